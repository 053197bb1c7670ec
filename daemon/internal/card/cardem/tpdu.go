package cardem

import (
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// data takes bytes of the modem.
func (s *session) data(d Data) error {
	if d.Flags&FlagHeader != 0 {
		if len(d.Bytes) != 5 {
			return fmt.Errorf("%w: header of %d bytes", ErrMalformed, len(d.Bytes))
		}
		return s.header(d.Bytes)
	}
	if !s.collecting {
		return nil // the body of a command that a reset has ended
	}
	want := 5 + int(s.tpdu[4])
	if s.have+len(d.Bytes) > want || d.Flags&FlagFinal != 0 && s.have+len(d.Bytes) < want {
		return s.misfit(len(d.Bytes))
	}
	s.have += copy(s.tpdu[s.have:want], d.Bytes)
	if s.have < want {
		return nil
	}
	s.handOver()
	return nil
}

// misfit gives up on a command whose body is not what its header announced.
func (s *session) misfit(n int) error {
	if err := s.giveUp(); err != nil {
		return err
	}
	return fmt.Errorf("%w: body of %d bytes and %d more, P3 is %d", ErrMalformed, s.have-5, n, s.tpdu[4])
}

// giveUp leaves a command that the handler does not know of without an answer.
func (s *session) giveUp() error {
	s.collecting = false
	f := s.front
	f.mu.Lock()
	defer f.mu.Unlock()
	s.stopBody()
	f.pending = f.nextID()
	f.stats.Muted++
	return f.silence()
}

// header takes the first five bytes of a command. The firmware takes one only after
// it has sent the answer before, or after a reset.
func (s *session) header(h []byte) error {
	s.resetBehindOurBack()
	copy(s.tpdu[:], h)
	s.have = 5
	f := s.front
	f.mu.Lock()
	copy(f.header[:], h)
	fresh := f.fresh
	f.mu.Unlock()
	if !fresh {
		// The modem goes on with a session that it had with another card. It
		// shall reset this one first.
		return s.giveUp()
	}
	if card.BodyLen(h) == 0 {
		s.handOver()
		return nil
	}
	s.collecting = true
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bodyBy = time.Now().Add(f.body)
	if err := f.arm(); err != nil {
		return err
	}
	return f.send(AppendTxData(f.tx[:0], FlagPBAndRx, f.header[1:2]))
}

// resetBehindOurBack reports the reset that a new command proves, if its edges were
// lost, or are late.
func (s *session) resetBehindOurBack() {
	f := s.front
	f.mu.Lock()
	lost := f.fresh && (f.pending != 0 || s.collecting || !s.lines.Powered || s.lines.Reset)
	if lost {
		f.stats.LostEdges++
	}
	f.mu.Unlock()
	if !lost {
		if s.lagging() {
			s.lateUntil = time.Now().Add(lateTime)
		}
		return
	}
	on := card.Lines{Powered: true, Clock: true}
	if s.lines == on {
		s.report(card.Lines{Powered: true, Clock: true, Reset: true})
	}
	s.report(on)
	s.lateUntil = time.Now().Add(lateTime)
}

// handOver gives the complete command to the handler.
func (s *session) handOver() {
	s.collecting = false
	f := s.front
	f.mu.Lock()
	s.stopBody()
	f.pending = f.nextID()
	f.stats.Commands++
	id := f.pending
	f.mu.Unlock()
	s.handler.Command(id, s.tpdu[:s.have])
}
