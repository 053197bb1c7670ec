// Package relay is one session between a card front and a bank: it carries the
// modem's commands to the card and the answers back, with deadlines of its own,
// outside the engine. It owns what has to be known for that: which command is
// pending, what the bank still owes, whose card it is, and what the modem did to
// the card since its last reset, so that a new bank connection can be brought to
// the same state (docs/RELAY.md).
//
// It never makes up an answer, never gives an answer of one command to another,
// never sends a command twice unless that is harmless (Repeatable), and never
// logs: commands carry secrets. It opens nothing and connects nowhere.
package relay

import (
	"errors"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Deadlines that Config may replace.
const (
	// DefaultOwed is how long an answer that nobody waits for any more may
	// keep the connection blocked before the bank is dropped.
	DefaultOwed = 10 * time.Second
	// DefaultSetup bounds each command of the relay's own, and the wait for the ATR.
	DefaultSetup = 10 * time.Second
	// defaultAnswer is used for a front that names no limit.
	defaultAnswer = 15 * time.Second
)

// Reasons for which a session drops its bank. They are told to the bank and
// stand in events.
var (
	ErrSilent      = errors.New("bank does not answer")
	ErrOutOfStep   = errors.New("bank is out of step")
	ErrNoATR       = errors.New("bank sent no ATR")
	ErrUnreachable = errors.New("bank cannot be written to")
	ErrClosed      = errors.New("session is closed")
)

// Config makes a Session.
type Config struct {
	Modem string
	// Events receives what happened, in order. It is called with the
	// session's lock held: it must not block and must not call the session.
	Events func(model.Event)
	Owed   time.Duration // 0: DefaultOwed
	Setup  time.Duration // 0: DefaultSetup
	// Check has every command go to the card, and compares its answer with the
	// one that would have been given in its place. A difference is told, and ends
	// the use of the cache for this card. For tests.
	Check bool
	// Stored are cards as Keep gave them in an earlier life. They are not changed.
	Stored []cache.Kept
}

// instant is monotonic time in nanoseconds since the session was made. 0 is never.
type instant int64

// phase is how far the present bank connection has been brought.
type phase uint8

const (
	phaseGone     phase = iota // no connection
	phaseSilent                // connected, no ATR yet
	phaseIdentify              // reading EF.ICCID
	phaseRecheck               // asking again what was stored of the card
	phaseReplay                // bringing the card to where the modem left it
	phaseOpen                  // commands pass
)

// owed is what the bank's next answer belongs to, but for the answers to steps that
// went ahead of it (sync.go). RSPRO answers carry no id, so at most one flight is ever
// unanswered on a connection: the steps that restore a selection, and one command.
type owed uint8

const (
	owesNothing  owed = iota
	owesCommand       // the modem's pending command
	owesStale         // a command that is void: the answer is discarded
	owesIdentify      // one of the relay's own, in phaseIdentify
	owesReplay        // one of the relay's own, in phaseReplay
	owesRecheck       // one of several that are on their way, in phaseRecheck
	owesProbe         // Probe's STATUS
	owesCatchUp       // the last step before the pending command, which waits for it
)

// command is a TPDU kept over time, and what became of it.
type command struct {
	active bool // the modem waits for its answer
	sent   bool // it is on the present connection
	maybe  bool // it was on an earlier one: the card may have seen it
	id     uint64
	since  instant // when the modem gave it
	sentAt instant
	limit  instant // when the front has to go mute
	n      int
	buf    [card.MaxTPDU]byte
}

func (c *command) tpdu() []byte { return c.buf[:c.n] }

// erase forgets the command, and wipes it: it may hold a PIN or a RAND.
func (c *command) erase() {
	clear(c.buf[:c.n])
	c.n, c.active, c.sent, c.maybe = 0, false, false, false
}

// known is the card as the last identification found it.
type known struct {
	ok         bool // some card has been identified, or at least tried
	atr        []byte
	iccid      model.ICCID
	identified bool // iccid was read
}

// Session joins one front and one bank connection at a time. It is a
// card.Handler and a card.BankHandler; all methods may be called from any
// goroutine, in any order. Make it with New, end it with Close.
//
// It calls Front and Bank with its lock held (Drop excepted), so these must not
// call back into the session before they return.
type Session struct {
	modem      string
	events     func(model.Event)
	owedLimit  instant
	setupLimit instant
	epoch      time.Time

	mu     sync.Mutex
	closed bool
	plan   model.CardPlan

	// The modem's side.
	front     card.Front // nil: no device
	info      card.Info  // of front, or of the last one
	limits    card.Limits
	lines     card.Lines // as last reported
	shown     bool       // a card is inserted
	shownATR  []byte
	needReset bool // the inserted card has not been reset by the modem yet
	pend      command

	// The bank's side.
	bank       card.Bank
	phase      phase
	atr        []byte // of this connection; may be longer than what the front takes
	owes       owed
	ahead      int     // answers to steps that come before the one that owes tells
	owedBy     instant // owesStale: when to drop the bank
	setupBy    instant // phaseSilent, or one of our own commands: when to give up
	resetting  bool    // the modem reset the card while an answer was owed
	late       command // the muted command whose answer is still owed
	dropping   card.Bank
	dropReason error

	card  known
	trail trail
	ident identification
	play  replay
	local local
	again recheck
	sync  catchUp
	check bool
	quota quota

	stats    counters
	probing  *probe
	tracer   tracer
	reported model.CardChanged

	timer   *time.Timer
	armed   instant // when timer fires; 0: not armed
	ticking sync.WaitGroup
}

var (
	_ card.Handler     = (*Session)(nil)
	_ card.BankHandler = (*Session)(nil)
)

// New makes a session that shows no card until SetPlan says so.
func New(c Config) *Session {
	s := &Session{
		modem:      c.Modem,
		check:      c.Check,
		again:      recheck{stored: c.Stored},
		events:     c.Events,
		owedLimit:  instant(c.Owed),
		setupLimit: instant(c.Setup),
		epoch:      time.Now(),
		reported:   model.CardChanged{State: model.CardNone},
	}
	if s.owedLimit <= 0 {
		s.owedLimit = instant(DefaultOwed)
	}
	if s.setupLimit <= 0 {
		s.setupLimit = instant(DefaultSetup)
	}
	return s
}

// SetPlan says what the front shall show. It is a level: the same plan again
// changes nothing.
func (s *Session) SetPlan(p model.CardPlan) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed {
		return
	}
	if p.TraceActive != s.plan.TraceActive {
		s.tracer.set(p.TraceActive)
	}
	p.ATR = append([]byte(nil), p.ATR...)
	recache := p.Cache != s.plan.Cache
	s.plan = p
	if recache {
		s.setModes()
	}
	now := s.now()
	if !p.Hold && s.phase == phaseGone && s.shown {
		s.card = known{}
		s.settle("the bank is away and the card is no longer held")
	} else {
		s.settle("")
	}
	s.pump(now)
	s.arm(now)
}

// Close ends the session: everything that was kept of the card is wiped. Front and
// bank are left as they are, to whoever owns them, so that the modem keeps its card
// when only the process ends; SetPlan takes the card away. Close waits until nothing
// of the session runs any more.
func (s *Session) Close() {
	s.mu.Lock()
	if !s.closed {
		s.void()
		s.forget()
		s.endProbe(ErrClosed)
		s.local.wipe()
		s.again = recheck{}
		s.closed, s.bank, s.front, s.phase = true, nil, nil, phaseGone
		s.disarm()
	}
	s.unlock()
	s.ticking.Wait()
}

// now is the monotonic time; it is never 0.
func (s *Session) now() instant { return instant(time.Since(s.epoch)) + 1 }

// unlock releases the lock, and then drops the bank if that was decided under
// it: Drop may well call BankDown before it returns.
func (s *Session) unlock() {
	b, reason := s.dropping, s.dropReason
	if b != nil {
		s.dropping, s.dropReason = nil, nil
	}
	s.mu.Unlock()
	if b != nil {
		b.Drop(reason)
	}
}

// note tells the journal something that is no change of state.
func (s *Session) note(text string) {
	s.emit(model.Noted{At: stamp(), Kind: model.KindCard, Subject: s.modem, Text: text})
}

func (s *Session) emit(e model.Event) {
	if s.events != nil {
		s.events(e)
	}
}

func stamp() model.At { return model.At{Time: time.Now()} }
