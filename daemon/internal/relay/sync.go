package relay

import (
	"bytes"
	"fmt"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
)

// catchUp is where the card's channels really stand when the modem has been answered in
// its place, and the commands on their way that bring one of them to where the modem
// believes it to be.
type catchUp struct {
	behind   bool                 // real counts; else the card stands where the modem left it
	real     [maxChannels]channel // selection, record pointer, unsure
	heldHere bool                 // the answer that waits for GET RESPONSE is not the card's

	steps []step // on their way, or answered
	next  int    // the next one to be answered
	bad   string // why what follows them did not run where it should
	since instant
}

// reset: every channel is where a reset leaves it.
func (u *catchUp) reset() {
	if u.behind {
		u.real = [maxChannels]channel{}
	}
	u.behind, u.heldHere = false, false
	u.wipe()
}

func (u *catchUp) wipe() {
	for i := range u.steps {
		clear(u.steps[i].tpdu)
	}
	u.steps, u.next, u.bad = u.steps[:0], 0, ""
}

// learn follows a command that the card has executed. t has learned it already.
func (u *catchUp) learn(t *trail, tpdu []byte, ok bool) {
	u.heldHere = false
	where, known := card.ClassOf(tpdu[0])
	if !u.behind || !known {
		return
	}
	real, c := &u.real[where.Channel], &t.channels[where.Channel]
	switch {
	case tpdu[1] == insGetResponse: // moves nothing
	case tpdu[1] == insManageChannel:
		for i := range t.channels {
			if t.channels[i].open != u.real[i].open {
				u.real[i] = t.channels[i]
			}
		}
	case tpdu[1] == insSelect:
		if ok {
			app := real.at.app
			*real = *c
			if tpdu[2] != 0x04 { // went somewhere without the application that the modem has selected
				real.at.app = app
			}
		}
	case cache.Depends(tpdu) == cache.Current, !where.GSM && namesFile(tpdu[1], tpdu[2], tpdu[3]):
		*real = *c // it was brought there for this command
	}
}

// plan makes the steps that a command needs before it, and where they lead. wait: the
// command must not be sent before they are answered.
func (u *catchUp) plan(t *trail, tpdu []byte) (to channel, wait bool) {
	u.wipe()
	where, known := card.ClassOf(tpdu[0])
	real, c := &u.real[where.Channel], &t.channels[where.Channel]
	needs := cache.Depends(tpdu)
	if needs == cache.Directory && !where.GSM && namesFile(tpdu[1], tpdu[2], tpdu[3]) {
		// Were it refused, the current file would be the one that it names, or
		// the one before: that has to be the modem's too.
		needs = cache.Current
	}
	fetch := tpdu[1] == insGetResponse
	switch {
	case !known, needs == cache.Nothing, fetch && !u.heldHere, c.at.unknown != "":
		return *real, false
	}
	to = *c
	if needs == cache.Directory {
		to.at.dropFile()
	}
	dirs := sameDirs(&real.at, &to.at)
	file, had := to.at.file(), real.at.file()
	if needs == cache.Directory && dirs {
		return *real, false // whatever file is current there makes no difference
	}
	stands := dirs && sameFile(file, had) && (c.pointer || !real.pointer) && (c.unsure || !real.unsure)
	if stands && !fetch {
		return *real, false
	}
	harms := !harmless(tpdu) && !fetch
	// A write must not meet another file if the SELECT before it fails: with the
	// directory selected first there is no current file then.
	if !dirs || file == nil || harms && had != nil {
		u.route(&real.at, &to.at, where, fetch)
	}
	if file != nil {
		u.steps = append(u.steps, step{tpdu: file.tpdu(nil, where.Channel), sw: file.sw})
	}
	to.pointer, to.unsure = false, false
	return to, harms && !u.guarded(&real.at, &to.at, tpdu, dirs)
}

// guarded tells whether a command that writes or counts may travel with the steps before
// it: were one of them refused, it would find no current file, or no application.
func (u *catchUp) guarded(from, to *selections, tpdu []byte, sameDirs bool) bool {
	if from.app.head[0] != 0 && !from.app.same(&to.app) {
		return false // the old application would answer
	}
	switch tpdu[1] {
	case insAuthenticate:
		return true
	case insUpdateBinary, insUpdateRecord, insIncrease, insSearchRecord, insReadRecord, insActivateFile, insDeactivateFile:
		if namesFile(tpdu[1], tpdu[2], tpdu[3]) { // which is another one in another directory
			return sameDirs && len(u.steps) == 1
		}
		if to.file() == nil {
			return false
		}
		for i := range to.chain[:to.n-1] {
			if !to.chain[i].isDir() {
				return false
			}
		}
		return true
	}
	return false
}

// route leads to a directory. fetch: what its SELECT answered is wanted, not only that it
// is selected.
func (u *catchUp) route(from, to *selections, where card.Class, fetch bool) {
	dirs := to.chain[:to.n]
	if to.file() != nil {
		dirs = to.chain[:to.n-1]
	}
	app := to.app.head[0] != 0
	fresh := app && (!from.app.same(&to.app) || fetch && len(dirs) == 0)
	if fresh {
		u.steps = append(u.steps, step{tpdu: to.app.tpdu(nil, where.Channel), sw: to.app.sw})
	}
	switch {
	case len(dirs) > 0 && dirs[0].absolute():
	case app && !fresh:
		u.base(where, 0x7F, 0xFF)
	case !app:
		u.base(where, 0x3F, 0x00)
	}
	for i := range dirs {
		u.steps = append(u.steps, step{tpdu: dirs[i].tpdu(nil, where.Channel), sw: dirs[i].sw})
	}
}

// base selects the directory that a chain starts from: the application's, or the MF.
func (u *catchUp) base(where card.Class, hi, lo byte) {
	tpdu := []byte{card.OnChannel(0x00, where.Channel), insSelect, 0, 0x0C, 2, hi, lo}
	if where.GSM {
		tpdu[0], tpdu[3] = 0xA0, 0
	}
	u.steps = append(u.steps, step{tpdu: tpdu, sw: 0x9000, anySW: true})
}

// answer takes the card's answer to the next step.
func (u *catchUp) answer(response []byte) {
	st := &u.steps[u.next]
	u.next++
	_, sw1, sw2 := split(response)
	if got := uint16(sw1)<<8 | uint16(sw2); !st.accepts(got) && u.bad == "" {
		u.bad = fmt.Sprintf("%s was answered %04X when the selection was restored, %04X before", card.Instruction(st.tpdu[0], st.tpdu[1]), got, st.sw)
	}
}

// dispatch sends the pending command, and in the same flight what has to come before it.
func (s *Session) dispatch(now instant) {
	p, u := &s.pend, &s.sync
	if u.behind {
		where, _ := card.ClassOf(p.tpdu()[0])
		to, wait := u.plan(&s.trail, p.tpdu())
		if len(u.steps) > 0 {
			u.real[where.Channel] = to
			u.since = now
			if !s.sendSteps() {
				return
			}
			if wait {
				s.ahead--
				s.owes = owesCatchUp
				return
			}
		}
	}
	p.sent, p.sentAt = true, now
	s.stats.sentOne()
	if authenticates(p.tpdu()) {
		s.stats.auth++
	}
	s.send(owesCommand, p.tpdu(), now)
}

// sendSteps sends the steps without waiting for their answers. The bank answers in
// order, so that they are counted before whatever follows.
func (s *Session) sendSteps() bool {
	for i := range s.sync.steps {
		s.ahead++
		if err := s.bank.Send(s.sync.steps[i].tpdu); err != nil {
			s.drop(fmt.Errorf("%w: %v", ErrUnreachable, err))
			return false
		}
	}
	return true
}

// caughtUp takes the answer to a step. Steps that a reset has made void are only counted.
func (s *Session) caughtUp(response []byte) {
	u := &s.sync
	if u.next >= len(u.steps) {
		return
	}
	if s.tracer.on {
		s.traceOwn(card.Place{}, u.steps[u.next].tpdu, response, u.since)
	}
	s.overheard(response)
	u.answer(response)
}

// astray: the card did not take the way that it had taken before, so that the modem's
// command may have run in another place. What is left is one visible reset.
func (s *Session) astray() {
	why := s.sync.bad
	if s.local.cache != nil {
		s.local.cache.Break()
	}
	s.replace(why)
}

// same compares what two commands select, not what they answer.
func (s *selection) same(o *selection) bool {
	if s.gsm != o.gsm || s.head[0] != o.head[0] || s.head[1] != o.head[1] || s.n != o.n || !bytes.Equal(s.data[:s.n], o.data[:o.n]) {
		return false
	}
	return s.head[0] == insSelect || s.head[0] == 0 || s.head == o.head
}

// absolute: the command does not depend on the current directory (TS 102 221 §11.1.1).
func (s *selection) absolute() bool {
	if s.head[0] != insSelect {
		return false
	}
	return s.head[1] == 0x08 || s.head[1] == 0 && (s.n == 0 || isFID(s.data[:s.n], 0x3F, 0x00) || isFID(s.data[:s.n], 0x7F, 0xFF))
}

// isDir: the command selected a directory for certain, by the first byte of its
// identifier (TS 102 221 §8.6).
func (s *selection) isDir() bool {
	if s.head[0] != insSelect {
		return false
	}
	return s.head[1] == 0x04 || s.n == 0 || s.n >= 2 && (s.data[s.n-2] == 0x3F || s.data[s.n-2]&0xDF == 0x5F)
}

// file is the step that made a file the current one, nil if a directory is selected.
func (s *selections) file() *selection {
	if s.n == 0 || !s.chain[s.n-1].isFile() {
		return nil
	}
	return &s.chain[s.n-1]
}

func (s *selections) dropFile() {
	if s.file() != nil {
		s.n--
		s.chain[s.n] = selection{}
	}
}

// sameDirs tells whether two selections have the same application and directory.
func sameDirs(a, b *selections) bool {
	if a.unknown != "" || b.unknown != "" || !a.app.same(&b.app) {
		return false
	}
	an, bn := a.n, b.n
	if a.file() != nil {
		an--
	}
	if b.file() != nil {
		bn--
	}
	if an != bn {
		return false
	}
	for i := range an {
		if !a.chain[i].same(&b.chain[i]) {
			return false
		}
	}
	return true
}

func sameFile(a, b *selection) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.same(b)
}

// appendDir writes what tells the current directory from any other.
func (s *selections) appendDir(b []byte) []byte {
	if s.app.head[0] != 0 {
		b = s.app.appendWay(b)
	}
	n := s.n
	if s.file() != nil {
		n--
	}
	for i := range s.chain[:n] {
		b = s.chain[i].appendWay(b)
	}
	return b
}

// appendWay writes what tells this command's target from any other's.
func (s *selection) appendWay(b []byte) []byte {
	if s.head[0] != insSelect {
		return append(b, s.head[:]...)
	}
	kind := byte(0)
	if s.gsm {
		kind = 1
	}
	return append(append(b, insSelect, kind, s.head[1], byte(s.n)), s.data[:s.n]...)
}
