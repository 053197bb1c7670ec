package relay_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
)

// fakeFront plays a front and the modem behind it: it keeps to the rules of
// card.Front and tells what it was asked to do.
type fakeFront struct {
	say     func(format string, args ...any)
	limits  card.Limits
	refuses error // what Insert answers

	mu       sync.Mutex
	inserted []byte
	pending  uint64
	lastID   uint64
	answer   func(id uint64, response []byte) // if set, told of each answer
	muted    func(id uint64)
	removed  func()
}

func (f *fakeFront) Run(context.Context, card.Handler) error { return nil }

func (f *fakeFront) Insert(atr card.ATR) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses != nil {
		f.say("front insert %s refused", atr)
		return f.refuses
	}
	f.say("front insert %s", atr)
	f.inserted, f.pending = append([]byte(nil), atr...), 0
	return nil
}

func (f *fakeFront) Remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say("front remove")
	f.inserted, f.pending = nil, 0
	if f.removed != nil {
		f.removed()
	}
	return nil
}

func (f *fakeFront) Answer(id uint64, response []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id != f.pending {
		f.say("front answer %d %X: stale", id, response)
		return card.ErrStale
	}
	f.say("front answer %d %X", id, response)
	f.pending = 0
	if f.answer != nil {
		f.answer(id, response)
	}
	return nil
}

func (f *fakeFront) Mute(id uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say("front mute %d", id)
	if id == f.pending {
		f.pending = 0
	}
	if f.muted != nil {
		f.muted(id)
	}
	return nil
}

func (f *fakeFront) Info() card.Info     { return card.Info{Kind: "fake", Device: "dev0"} }
func (f *fakeFront) Limits() card.Limits { return f.limits }

// command makes the modem give a command, and returns its id.
func (f *fakeFront) command(h card.Handler, tpdu []byte) uint64 {
	f.mu.Lock()
	f.lastID++
	f.pending = f.lastID
	id := f.lastID
	f.mu.Unlock()
	h.Command(id, tpdu)
	return id
}

// reset forgets the pending command, as edges of the contacts do.
func (f *fakeFront) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = 0
}

// waits tells whether a command of the modem is still without an answer.
func (f *fakeFront) waits() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pending != 0
}

// fakeBank is one connection to a bank.
type fakeBank struct {
	say    func(format string, args ...any)
	broken error // what Send and Lines answer
	sent   func(tpdu []byte)
	lines  func(l card.Lines)
	drops  func()
}

func (b *fakeBank) Send(tpdu []byte) error {
	if b.broken != nil {
		b.say("bank send %X: broken", tpdu)
		return b.broken
	}
	b.say("bank send %X", tpdu)
	if b.sent != nil {
		b.sent(append([]byte(nil), tpdu...))
	}
	return nil
}

func (b *fakeBank) Lines(l card.Lines) error {
	if b.broken != nil {
		return b.broken
	}
	b.say("bank lines %s", lineText(l))
	if b.lines != nil {
		b.lines(l)
	}
	return nil
}

func (b *fakeBank) Drop(reason error) {
	b.say("bank drop: %v", reason)
	if b.drops != nil {
		b.drops()
	}
}

func lineText(l card.Lines) string {
	s := "off"
	if l.Powered {
		s = "on"
	}
	if l.Reset {
		s += " reset"
	}
	return s
}

func eventText(e model.Event) string {
	switch e := e.(type) {
	case model.CardChanged:
		return fmt.Sprintf("event card %s atr=%s iccid=%s: %s", e.State, e.ATR, model.Masked(e.ICCID.String()), e.Reason)
	case model.CommandMuted:
		return "event muted: " + e.Reason
	case model.FrontChanged:
		return fmt.Sprintf("event front up=%v %s", e.Up, e.Reason)
	case model.TPDUStats:
		return fmt.Sprintf("event stats sent=%d received=%d errors=%d", e.TPDU.Sent, e.TPDU.Received, e.TPDU.Errors)
	case model.Noted:
		return fmt.Sprintf("event note %s: %s", e.Kind, e.Text)
	}
	return fmt.Sprintf("event %T", e)
}

// world runs one transcript.
type world struct {
	session *relay.Session
	front   *fakeFront
	bank    *fakeBank
	lines   card.Lines

	mu    sync.Mutex
	out   []string
	quiet bool // leaves out what the bank is told
}

func newWorld() *world {
	w := &world{}
	w.session = relay.New(relay.Config{Modem: "primary", Events: func(e model.Event) { w.say("%s", eventText(e)) }})
	return w
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := strings.TrimRight(fmt.Sprintf(format, args...), " ")
	if w.quiet && strings.HasPrefix(s, "bank ") {
		return
	}
	w.out = append(w.out, s)
}

// take returns what was said since it was asked last.
func (w *world) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.out
	w.out = nil
	return out
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(fmt.Sprintf("%q: %v", s, err))
	}
	return b
}

// do obeys one line of a transcript.
func (w *world) do(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	args := strings.Fields(rest)
	switch verb {
	case "plan":
		return w.plan(args)
	case "front":
		return w.doFront(args)
	case "power", "reset", "clock":
		return w.edge(verb, rest)
	case "cmd":
		w.front.command(w.session, mustHex(rest))
	case "lone": // a command while the one before is pending still
		w.session.Command(100, mustHex(rest))
	case "bank":
		return w.doBank(args, rest)
	case "card":
		w.card(args)
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			return err
		}
		<-time.After(d)
	case "probe":
		go w.probe()
	case "trace":
		w.trace(args)
	case "close":
		w.session.Close()
		w.say("closed")
	default:
		return fmt.Errorf("no such verb: %q", verb)
	}
	return nil
}

func (w *world) plan(args []string) error {
	var p model.CardPlan
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "show":
			p.Show = true
		case "hold":
			p.Hold = true
		case "trace":
			p.TraceActive = true
		case "atr":
			p.ATR = mustHex(value)
		case "auth":
			n, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			p.AuthPerHour = n
		case "cache":
			p.Cache, p.StatusInterval = value, 10*time.Minute
		case "limit":
			d, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			p.Limit = d
		default:
			return fmt.Errorf("no such part of a plan: %q", a)
		}
	}
	w.session.SetPlan(p)
	return nil
}

func (w *world) doFront(args []string) error {
	switch args[0] {
	case "up":
		w.front = &fakeFront{say: w.say, limits: card.Limits{Answer: 10 * time.Second, MaxATR: 33, Removes: true}}
		for _, a := range args[1:] {
			switch a {
			case "blind":
				w.front.limits.Removes = false
			case "refuses":
				w.front.refuses = card.ErrNotReady
			default:
				return fmt.Errorf("no such front: %q", a)
			}
		}
		w.lines = card.Lines{}
		w.session.FrontUp(w.front)
	case "down":
		w.session.FrontDown(errors.New(strings.Join(args[1:], " ")))
	default:
		return fmt.Errorf("the front cannot %q", args[0])
	}
	return nil
}

func (w *world) edge(verb, to string) error {
	switch verb + " " + to {
	case "power on":
		w.lines = card.Lines{Powered: true, Clock: true}
	case "power off":
		w.lines = card.Lines{}
	case "reset on":
		w.lines.Reset = true
	case "reset off":
		w.lines.Reset = false
	case "clock off":
		w.lines.Clock = false
	default:
		return fmt.Errorf("no such edge: %s %s", verb, to)
	}
	if verb == "power" || w.lines.Reset {
		w.front.reset()
	}
	w.session.Lines(w.lines)
	return nil
}

func (w *world) doBank(args []string, rest string) error {
	switch args[0] {
	case "up":
		w.bank = &fakeBank{say: w.say}
		w.session.BankUp(w.bank)
	case "atr":
		w.session.ATR(w.bank, mustHex(args[1]))
	case "repeats": // N times the same
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		for range n {
			w.session.Response(w.bank, mustHex(args[2]))
		}
	case "says":
		w.session.Response(w.bank, mustHex(strings.TrimPrefix(rest, "says ")))
	case "down":
		w.session.BankDown(w.bank, errors.New(strings.TrimPrefix(rest, "down ")))
	case "breaks":
		w.bank.broken = errors.New("connection reset by peer")
	default:
		return fmt.Errorf("the bank cannot %q", args[0])
	}
	return nil
}

// card connects a bank whose card lets itself be identified: "card ATR EF.ICCID".
func (w *world) card(args []string) {
	w.mu.Lock()
	w.quiet = true
	w.mu.Unlock()
	w.bank = &fakeBank{say: w.say}
	w.session.BankUp(w.bank)
	w.session.ATR(w.bank, mustHex(args[0]))
	for _, r := range []string{"9000", "9000", args[1] + "9000"} {
		// The last one opens what follows: the replay, or the waiting command.
		w.mu.Lock()
		w.quiet = len(r) == 4
		w.mu.Unlock()
		w.session.Response(w.bank, mustHex(r))
	}
}

func (w *world) probe() {
	steps, err := w.session.Probe(context.Background())
	for _, s := range steps {
		w.say("probe %s ok=%v %s", s.Name, s.OK, s.Text)
	}
	if err != nil {
		w.say("probe: %v", err)
	}
}

func (w *world) trace(args []string) {
	if len(args) == 1 {
		w.session.SetTracing(args[0] == "on")
		return
	}
	for _, a := range w.session.Trace(0, 0) {
		w.say("trace %s | %s -> %s | %s", a.Name, a.Command, a.Response, a.Status)
	}
}
