package relay

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
)

// flight is how many commands of a recheck are on their way at once, so that it takes
// hardly more round trips than the card needs time.
const flight = 64

// recheck asks a card again for all that was stored of it (docs/CACHE.md): after it was
// identified, before the modem sees it, and before the reset that the modem's session
// begins with. What is not answered as it was, byte for byte, is forgotten.
type recheck struct {
	stored []cache.Kept // not asked for yet; never written to

	card   *cache.Kept
	steps  []ask
	sent   int
	got    int
	lost   standing // how certain it is that the card stands where the next answer is for
	same   int      // answers that were given again
	used   []bool   // for plan
	dir    []byte   // where plan stands
	file   []byte
	stands bool
}

// ask is one command of a recheck.
type ask struct {
	tpdu   []byte
	item   int  // whose answer it is; -1: it only leads somewhere
	anchor bool // does not depend on where the card stands
}

type standing uint8

const (
	there    standing = iota
	lostFile          // the directory is the right one
	lostDir
)

// Keep is what may be stored of the session's cards, and what is known of the others.
func (s *Session) Keep() []cache.Kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []cache.Kept
	for i := len(s.local.all) - 1; i >= 0; i-- {
		c := &s.local.all[i]
		out = append(out, c.cache.Keep(c.iccid.String(), c.atr))
	}
	return out
}

// againFrom tells whether something was stored of the card that was identified. It is asked
// for once: a card on which that fails is a cold one the next time.
func (s *Session) againFrom() bool {
	r := &s.again
	if s.local.cache == nil || s.local.cache.Off() {
		return false
	}
	var left []cache.Kept
	for i := range r.stored {
		if k := &r.stored[i]; k.ICCID == s.card.iccid.String() && k.ATR == string(s.card.atr) {
			r.card = k
		} else {
			left = append(left, *k)
		}
	}
	r.stored = left
	if r.card == nil || s.local.cache.Stats().Entries > 0 {
		r.card = nil
		return false // nothing, or it has been asked since
	}
	r.plan()
	return len(r.steps) > 0
}

// askAgain sends as many commands as may be on their way.
func (s *Session) askAgain(now instant) {
	r := &s.again
	for r.sent < len(r.steps) && r.sent-r.got < flight && s.bank != nil {
		if s.owes == owesRecheck {
			s.ahead++
		}
		r.sent++
		s.send(owesRecheck, r.steps[r.sent-1].tpdu, now)
	}
	if s.bank != nil {
		s.setupBy = now + s.setupLimit
	}
}

// rechecked takes the answer to the next command.
func (s *Session) rechecked(response []byte, now instant) {
	r := &s.again
	a := &r.steps[r.got]
	r.got++
	if s.tracer.on {
		s.traceOwn(card.Place{}, a.tpdu, response, s.ownSince())
	}
	if r.take(a, response) {
		s.local.cache.Restore(&r.card.Items()[a.item])
		r.same++
	}
	if r.got < len(r.steps) {
		s.askAgain(now)
		return
	}
	s.note(fmt.Sprintf("answers of the card that were stored: %d, that it gave again: %d", len(r.card.Items()), r.same))
	r.end()
	s.setupBy = 0
	s.renew()
	s.start("the card is ready")
}

// take tells whether an answer is the one that was stored.
func (r *recheck) take(a *ask, response []byte) bool {
	_, sw1, _ := split(response)
	if a.anchor {
		r.lost = there
	}
	if a.item < 0 {
		if !taken(sw1) {
			r.lost = lostDir
		}
		return false
	}
	selects := a.tpdu[1] == insSelect
	if selects && r.lost == lostFile {
		r.lost = there
	}
	if r.lost != there {
		return false
	}
	if repeats(r.card.Items()[a.item].Response, response) {
		return true
	}
	switch {
	case !selects:
	case taken(sw1): // another file than it was, or even a directory
		r.lost = lostDir
	default:
		r.lost = lostFile
	}
	return false
}

// repeats compares answers. 9000 and 91xx are the same: only the command after it is
// the announcement for.
func repeats(was, is []byte) bool {
	n := len(is) - 2
	return bytes.Equal(was, is) || len(was) == len(is) && is[n] == 0x91 && was[n] == 0x90 && was[n+1] == 0 && bytes.Equal(was[:n], is[:n])
}

// end forgets what was asked, but not what is still stored of other cards.
func (r *recheck) end() { *r = recheck{stored: r.stored} }

// plan makes the list: directory by directory, each SELECT with its GET RESPONSE and the
// contents of its file, then what is left.
func (r *recheck) plan() {
	items := r.card.Items()
	r.used = make([]bool, len(items))
	for i := range items {
		if items[i].Command[1] == insSelect && !r.used[i] {
			r.directory(items, items[i].Spot.Dir)
		}
	}
	for i := range items {
		it := &items[i]
		if r.used[i] || it.Select != nil || !r.goTo(it.Spot.Dir, gsm(it)) {
			continue
		}
		if cache.Depends(it.Command) == cache.Directory {
			r.ask(i, it.Command)
			r.file = append(r.file[:0], it.Command[1:]...) // named by its short identifier
			continue
		}
		if !bytes.Equal(r.file, it.Spot.File) {
			tpdu, _, ok := firstStep(it.Spot.File)
			if !ok {
				continue
			}
			r.steps = append(r.steps, ask{tpdu: tpdu, item: -1})
			r.file = append(r.file[:0], it.Spot.File...)
		}
		r.ask(i, it.Command)
	}
}

func (r *recheck) ask(i int, tpdu []byte) {
	r.used[i] = true
	r.steps = append(r.steps, ask{tpdu: tpdu, item: i})
}

// directory asks for every SELECT that starts from one directory.
func (r *recheck) directory(items []cache.Item, dir []byte) {
	for i := range items {
		it := &items[i]
		if r.used[i] || it.Command[1] != insSelect || !bytes.Equal(it.Spot.Dir, dir) {
			continue
		}
		absolute := cache.Depends(it.Command) == cache.Nothing
		if !absolute && !r.goTo(dir, gsm(it)) {
			return
		}
		r.ask(i, it.Command)
		r.steps[len(r.steps)-1].anchor = absolute
		if f := slices.IndexFunc(items, func(o cache.Item) bool { return o.Select != nil && r.follows(&o, it) }); f >= 0 {
			r.ask(f, items[f].Command)
		}
		sel := selection{gsm: gsm(it), head: [4]byte(it.Command[1:5])}
		sel.n = copy(sel.data[:], it.Command[card.MinTPDU:])
		if !sel.isFile() {
			r.stands = false
			continue
		}
		r.file = sel.appendWay(r.file[:0])
		for j := range items {
			o := &items[j]
			if !r.used[j] && o.Select == nil && o.Command[1] != insSelect && bytes.Equal(o.Spot.Dir, dir) && bytes.Equal(o.Spot.File, r.file) {
				r.ask(j, o.Command)
			}
		}
	}
}

// follows tells whether a GET RESPONSE belongs to a SELECT.
func (r *recheck) follows(fetch, sel *cache.Item) bool {
	return bytes.Equal(fetch.Select, sel.Command) && bytes.Equal(fetch.Spot.Dir, sel.Spot.Dir)
}

func gsm(it *cache.Item) bool { return it.Command[0] == 0xA0 }

// goTo leads to a directory, from wherever the card stands.
func (r *recheck) goTo(dir []byte, gsm bool) bool {
	if r.stands && bytes.Equal(r.dir, dir) {
		return true
	}
	first := len(r.steps)
	if next, _, ok := firstStep(dir); !ok || cache.Depends(next) != cache.Nothing {
		mf, _, _ := firstStep([]byte{insSelect, 0, 0, 2, 0x3F, 0x00})
		if gsm {
			mf[0], mf[3] = 0xA0, 0
		}
		r.steps = append(r.steps, ask{tpdu: mf, item: -1})
	}
	for rest := dir; len(rest) > 0; {
		tpdu, n, ok := firstStep(rest)
		if !ok {
			r.steps = r.steps[:first]
			return false
		}
		r.steps = append(r.steps, ask{tpdu: tpdu, item: -1})
		rest = rest[n:]
	}
	r.steps[first].anchor = true
	r.dir, r.file, r.stands = append(r.dir[:0], dir...), r.file[:0], true
	return true
}

// firstStep is the command behind the first step of a way (appendWay), and how long that is.
func firstStep(way []byte) (tpdu []byte, n int, ok bool) {
	if len(way) < 4 {
		return nil, 0, false
	}
	if way[0] != insSelect { // a READ that names its file
		return append([]byte{0}, way[:4]...), 4, len(way) == 4
	}
	if n = 4 + int(way[3]); n > len(way) {
		return nil, 0, false
	}
	tpdu = []byte{0, insSelect, way[2], 0x0C, way[3]}
	if way[1] == 1 {
		tpdu[0], tpdu[3] = 0xA0, 0
	}
	return append(tpdu, way[4:n]...), n, true
}
