package uimremote

import (
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// maxCommand is the longest command of the service: a case 4 APDU with its Le.
const maxCommand = card.MaxTPDU + 1

// wrongLength is the status word of ISO 7816-4 for a command whose lengths are wrong.
const wrongLength = "\x67\x00"

// command hands a command over. The modem sends one at a time: another one means that
// it has given up on the one before.
func (s *session) command(m message) error {
	id, command, err := commandOf(m)
	if err != nil {
		// Without its number it cannot even be refused; the modem's own limit ends it.
		s.link.skipped.Add(1)
		return nil
	}
	f := s.front
	f.mu.Lock()
	f.muted = time.Time{}
	if !s.powered {
		defer f.mu.Unlock()
		return f.ask(msgAPDU, failureTLVs(f.options.Slot, id), asked{apdu: true})
	}
	if f.atr == nil || f.inserts != s.shown {
		// The card is about to be taken out, and the modem will hear of it.
		f.mu.Unlock()
		return nil
	}
	s.used = true
	tpdu, ok := s.shape(command)
	if !ok {
		defer f.mu.Unlock()
		return f.sendAnswer(id, []byte(wrongLength))
	}
	f.lastID++
	f.pending = pending{id: f.lastID, apdu: id}
	mine := f.pending.id
	f.mu.Unlock()
	s.handler.Command(mine, tpdu)
	clear(tpdu) // PINs and challenges pass here
	return nil
}

// shape turns a command into a T=0 command TPDU (ISO 7816-3 §12.2). Modems send TPDUs
// already; a case 1 without its P3 and a case 4 with its Le are corrected, and what the
// length bytes contradict gives false. The result is the session's own memory.
func (s *session) shape(command []byte) ([]byte, bool) {
	n := copy(s.tpdu[:], command)
	if n != len(command) || n < 4 {
		return nil, false
	}
	switch {
	case n == 4: // case 1
		s.tpdu[4] = 0
		return s.tpdu[:5], true
	case n == 5: // case 1 or 2
		return s.tpdu[:5], true
	case s.tpdu[4] == 0: // extended lengths
		return nil, false
	case n == 5+int(s.tpdu[4]): // case 3, or 4
		return s.tpdu[:n], true
	case n == 6+int(s.tpdu[4]): // case 4 with Le
		return s.tpdu[:n-1], true
	}
	return nil, false
}
