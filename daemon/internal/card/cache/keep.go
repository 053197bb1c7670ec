package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// ErrMalformed: what was stored cannot be read.
var ErrMalformed = errors.New("malformed store of card answers")

// Kept are the answers of one card, as they are stored. None of them counts until the
// card itself has given it again (Restore): while the daemon was away anybody may have
// used the card. Only what mode Safe keeps, and what can be had without a PIN, is stored.
type Kept struct {
	ICCID string
	ATR   string
	items []Item
}

// Item is one answer, with what has to be known to ask for it again.
type Item struct {
	Command  []byte // on the basic channel
	Select   []byte // of a GET RESPONSE: the SELECT that it follows; else nil
	Spot     Spot   // where it was given, as far as it depends on that; without Place
	Response []byte

	key   string
	entry entry
}

// Items are the answers, in a fixed order. Read only.
func (k Kept) Items() []Item { return k.items }

// storable: contents that the modem may write tell where it has been (EF.FPLMN), and
// those that a PIN opens cannot be asked for again before the modem has given it.
func (e *entry) storable() bool { return e.mode == Safe && e.needs == 0 }

// Keep takes what may be stored of the card.
func (c *Cache) Keep(iccid, atr string) Kept {
	k := Kept{ICCID: iccid, ATR: atr}
	if c.Off() {
		return k
	}
	for _, key := range slices.Sorted(maps.Keys(c.entries)) {
		e := c.entries[key]
		if it, ok := item(key, e); ok && e.storable() {
			it.Response = slices.Clone(it.Response)
			k.items = append(k.items, it)
		}
	}
	return k
}

// Restore keeps an answer that the card has just given again.
func (c *Cache) Restore(it *Item) {
	if it.entry.mode > c.mode || c.Off() {
		return
	}
	c.key = append(c.key[:0], it.key...)
	e := it.entry
	e.response = slices.Clone(it.Response)
	c.keep(e)
}

// item reads a key (keyOf) back.
func item(key string, e entry) (it Item, ok bool) {
	it = Item{key: key, entry: e, Response: e.response}
	b := []byte(key)
	var fetch []byte
	if len(b) > 5 && b[0] == 0xFF && b[1] == 0xFF {
		fetch, b = b[2:5], b[5:]
	}
	if len(b) < 2 {
		return it, false
	}
	n := int(b[0]) | int(b[1])<<8
	if b = b[2:]; n < card.MinTPDU || n > card.MaxTPDU || len(b) < n {
		return it, false
	}
	it.Command, b = b[:n:n], b[n:]
	if fetch != nil {
		it.Select = it.Command
		it.Command = []byte{it.Select[0], 0xC0, fetch[0], fetch[1], fetch[2]}
	}
	switch {
	case len(b) == 0:
	case b[0] == 'd':
		it.Spot.Dir = b[1:]
	case b[0] == 'f' && len(b) >= 2 && len(b) >= 2+int(b[1]):
		n := 2 + int(b[1])
		it.Spot.Dir, it.Spot.File = b[2:n], b[n:]
	default:
		return it, false
	}
	return it, it.sound()
}

// sound: it is a command whose answer may be kept.
func (it *Item) sound() bool {
	if n := len(it.Response); n < 2 || n > card.MaxResponse {
		return false
	}
	content := it.entry.sort == ofContent
	switch Classify(it.Command) {
	case Select:
		return it.Select == nil && !content
	case Read:
		return it.Select == nil && content && safely(it.entry.fid)
	case Fetch:
		return it.Select != nil && Classify(it.Select) == Select && !content
	}
	return false
}

// safely tells whether mode Safe keeps the contents of some file of this identifier.
func safely(fid uint16) bool {
	for i := range Files {
		if Files[i].FID == fid && Files[i].Mode == Safe {
			return true
		}
	}
	return false
}

// The layout, all numbers big endian: magic; for each card the lengths of ICCID and ATR
// (a byte each), the number of answers (2 bytes), ICCID, ATR, and for each answer
// the lengths of key and response (2 bytes each), sort, flags, file identifier (2 bytes),
// key, response.
const magic = "remsim card answers 1\n"

const flagGSM = 1

// AppendKept writes cards for storage.
func AppendKept(b []byte, cards []Kept) []byte {
	b = append(b, magic...)
	for i := range cards {
		k := &cards[i]
		b = append(b, byte(len(k.ICCID)), byte(len(k.ATR)))
		b = binary.BigEndian.AppendUint16(b, uint16(len(k.items)))
		b = append(append(b, k.ICCID...), k.ATR...)
		for j := range k.items {
			it := &k.items[j]
			b = binary.BigEndian.AppendUint16(b, uint16(len(it.key)))
			b = binary.BigEndian.AppendUint16(b, uint16(len(it.Response)))
			flags := byte(0)
			if it.entry.gsm {
				flags |= flagGSM
			}
			b = append(b, byte(it.entry.sort), flags)
			b = binary.BigEndian.AppendUint16(b, it.entry.fid)
			b = append(append(b, it.key...), it.Response...)
		}
	}
	return b
}

// ParseKept reads what AppendKept wrote.
func ParseKept(b []byte) (cards []Kept, err error) {
	r := reader{b: b}
	if string(r.take(len(magic))) != magic {
		return nil, fmt.Errorf("%w: it does not begin as one of this version", ErrMalformed)
	}
	for len(r.b) > 0 {
		nICCID, nATR, n := int(r.number(1)), int(r.number(1)), r.number(2)
		k := Kept{ICCID: string(r.take(nICCID)), ATR: string(r.take(nATR))}
		for range n {
			it, ok := r.item()
			if !ok {
				break
			}
			k.items = append(k.items, it)
		}
		if r.bad || len(k.items) != int(n) {
			return nil, fmt.Errorf("%w: card %d, answer %d", ErrMalformed, len(cards), len(k.items))
		}
		cards = append(cards, k)
	}
	return cards, nil
}

// reader takes bytes from the front of b until there are not enough: bad from then on.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// number is a number of so many bytes.
func (r *reader) number(bytes int) (n uint16) {
	for _, b := range r.take(bytes) {
		n = n<<8 | uint16(b)
	}
	return n
}

func (r *reader) item() (Item, bool) {
	nKey, nResponse := int(r.number(2)), int(r.number(2))
	e := entry{mode: Safe, sort: sort(r.number(1))}
	flags := r.number(1)
	e.fid, e.gsm = r.number(2), flags == flagGSM
	key := string(r.take(nKey))
	e.response = r.take(nResponse)
	if r.bad || e.sort > ofContent || flags&^flagGSM != 0 {
		return Item{}, false
	}
	return item(key, e)
}
