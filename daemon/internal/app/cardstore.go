package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
)

// cardsFile holds, in the state directory, what cards have said (docs/CACHE.md). It is there
// only if the owner wants that: it tells whose cards were used here.
const cardsFile = "cards"

// Bounds of the file: a card has 100 KiB at most.
const (
	maxStoredCards = 4
	maxCardsFile   = 1 << 19
)

// cardStore is what is stored of cards. App.mu guards it.
type cardStore struct {
	cards   []cache.Kept // the ones used last come first
	content []byte       // of the file
}

func (a *App) keepsCards() bool {
	cfg := a.conf.inUse()
	return cfg != nil && cfg.Main.CardCacheKeep
}

// loadCards reads the file. Without it each card is a cold one.
func (a *App) loadCards(ctx context.Context) {
	path := filepath.Join(a.opts.StateDir, cardsFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var content []byte
	var cards []cache.Kept
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(f, maxCardsFile+1))
		_ = f.Close() // only read
	}
	if err == nil {
		cards, err = cache.ParseKept(content)
	}
	if err != nil {
		a.opts.Logger.WarnContext(ctx, "stored cards not read", "err", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stored = cardStore{cards: cards, content: content}
}

// storeCards writes the file if it would be another one. It is called once in flushTime,
// and at the end.
func (a *App) storeCards(ctx context.Context) {
	if !a.keepsCards() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	cards := a.cardsToStore()
	content := cache.AppendKept(nil, cards)
	if bytes.Equal(content, a.stored.content) || len(cards) == 0 && a.stored.content == nil {
		return
	}
	if err := writeFile(filepath.Join(a.opts.StateDir, cardsFile), content); err != nil {
		a.opts.Logger.WarnContext(ctx, "cards not stored", "err", err)
		return
	}
	a.stored = cardStore{cards: cards, content: content}
}

// cardsToStore are the cards in use, and those of the file that are not. a.mu is held.
func (a *App) cardsToStore() []cache.Kept {
	var all []cache.Kept
	for _, st := range a.stacks {
		all = append(all, st.relay.Keep()...)
	}
	all = append(all, a.stored.cards...)
	// One that was wrong about its card, or has nothing to store, ends what was stored of it.
	var cards []cache.Kept
	for i := range all {
		k := &all[i]
		known := slices.IndexFunc(all[:i], func(o cache.Kept) bool { return o.ICCID == k.ICCID && o.ATR == k.ATR }) >= 0
		if !known && len(k.Items()) > 0 {
			cards = append(cards, *k)
		}
	}
	return cards[:min(len(cards), maxStoredCards)]
}

// forgetCards removes the file once the owner does not want it any more.
func (a *App) forgetCards(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keepsCards() || a.conf.inUse() == nil || a.stored.content == nil {
		return
	}
	a.stored = cardStore{}
	if err := os.Remove(filepath.Join(a.opts.StateDir, cardsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.opts.Logger.WarnContext(ctx, "stored cards not removed", "err", err)
	}
}
