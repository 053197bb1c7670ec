package relay_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
)

var rounds = flag.Int("rounds", 300, "how many random sequences of events to play")

// TestAnyOrderOfEvents plays random events to a session between a modem and a
// software card, beside a twin of that card in the modem's own slot. It proves:
// each command got one answer, or a reset or a silence that was reported; each answer
// is what the twin says to the same command, so that it belongs to it and the card
// was where the modem had left it; and nothing that must not be repeated ever
// reached the card twice.
func TestAnyOrderOfEvents(t *testing.T) {
	total := tally{}
	for seed := range uint64(*rounds) {
		synctest.Test(t, func(t *testing.T) {
			o := newOracle(t, seed)
			for range 250 {
				o.event()
			}
			o.finish()
			total.add(o.tally)
		})
	}
	t.Logf("%+v", total)
	for name, n := range map[string]int{
		"answers": total.answers, "mutes": total.mutes, "resets": total.resets, "losses": total.losses,
		"replays": total.replays, "repeats": total.repeats, "held": total.held, "cached": total.cached, "ahead": total.ahead, "visible": total.visible, "stale": total.stale,
	} {
		require.NotZero(t, n, "no %s: the events do not reach that any more", name)
	}
}

type tally struct {
	commands, answers, held, cached, ahead, mutes, resets, visible, losses, replays, repeats, stale int
}

func (a *tally) add(b tally) {
	a.commands += b.commands
	a.answers += b.answers
	a.held += b.held
	a.cached += b.cached
	a.ahead += b.ahead
	a.mutes += b.mutes
	a.resets += b.resets
	a.visible += b.visible
	a.losses += b.losses
	a.replays += b.replays
	a.repeats += b.repeats
	a.stale += b.stale
}

// item is something the bank has received and not yet acted on.
type item struct {
	tpdu  []byte
	lines card.Lines
}

type oracle struct {
	t       *testing.T
	rng     *rand.Rand
	session *relay.Session
	front   *fakeFront
	card    *cardfake.Card // in the bank
	twin    *cardfake.Card // what the modem should believe to have

	bank    *fakeBank
	queue   []item
	told    card.Lines // as the bank was told last; a stock bank keeps it
	answers [][]byte   // of the card, on their way to the relay
	dropped bool
	hold    bool

	turn      sync.Mutex
	modem     modem
	sent      bool   // the modem's command is on the present connection
	late      []byte // the muted command whose answer the bank still owes
	answering bool   // an answer of the bank's is being delivered
	fetched   bool   // the card has given a proactive command away
	plan      model.CardPlan
	ambiguous bool // a command without an answer may have changed the card's files
	executed  map[string]int
	log       []string
	tally     tally
}

func newOracle(t *testing.T, seed uint64) *oracle {
	profile := cardfake.Default()
	profile.PINEnabled = seed%2 == 0
	o := &oracle{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), hold: true,
		card: cardfake.New(profile), twin: cardfake.New(profile), executed: map[string]int{},
	}
	o.front = &fakeFront{
		say: o.say, limits: card.Limits{Answer: 5 * time.Second, MaxATR: 33, Removes: seed%3 != 0},
		answer: o.answered, muted: o.muted, removed: o.removed,
	}
	o.session = relay.New(relay.Config{Modem: "primary", Events: o.happened, Check: seed%8 == 7, Stored: storedBefore(t, seed, profile)})
	o.plan = model.CardPlan{Show: true, Hold: true, TraceActive: seed%5 == 0, StatusInterval: time.Duration(seed%3) * 20 * time.Second,
		Cache: []string{"off", "safe", "full", "full"}[seed/2%4]}
	o.session.SetPlan(o.plan)
	o.session.FrontUp(o.front)
	return o
}

// storedBefore is what an earlier daemon stored of the card, which somebody may have changed
// since. Some know of nothing.
func storedBefore(t *testing.T, seed uint64, profile cardfake.Profile) []cache.Kept {
	if seed%4 > 1 {
		return nil
	}
	c := cardfake.New(profile)
	if seed%3 == 0 {
		require.NoError(t, c.SetBinary(mustHex("082910101032547699"), cardfake.USIM, 0x6F07))
	}
	a := newAttachOn(t, "full", false, c, nil)
	a.start(cardfake.StartUps()[seed/4%3], cardfake.Home(c))
	return a.session.Keep()
}

func (o *oracle) say(format string, args ...any) {
	o.fence()
	defer o.fence()
	o.log = append(o.log, fmt.Sprintf(format, args...))
	if len(o.log) > 60 {
		o.log = o.log[1:]
	}
}

// fence orders this goroutine and the session's timer, which takes turns with it:
// that one is at work only while event waits for time to pass.
func (o *oracle) fence() {
	o.turn.Lock()
	defer o.turn.Unlock()
}

func (o *oracle) story() string { return strings.Join(o.log, "\n") }

func (o *oracle) happened(e model.Event) {
	defer o.fence()
	o.say("%s", eventText(e))
	if c, ok := e.(model.CardChanged); ok {
		if strings.Contains(c.Reason, "commands replayed") {
			o.tally.replays++
		}
		if strings.Contains(c.Reason, "card was reset:") {
			o.tally.visible++
		}
	}
}

// answered: the modem has got an answer.
func (o *oracle) answered(_ uint64, response []byte) {
	defer o.fence()
	cmd := o.modem.current
	require.NotNil(o.t, cmd, "an answer without a command\n%s", o.story())
	o.modem.current = nil
	o.tally.answers++
	defer func() { o.sent = false }()
	want := o.twin.Transmit(cmd)
	o.fetched = o.fetched && cmd[1] != 0x12
	if o.plan.Cache != "off" && !o.sent && o.bank != nil { // answered in the card's place
		o.tally.cached++
		require.Contains(o.t, []byte{0xA4, 0xB0, 0xB2, 0xC0, 0xF2}, cmd[1], o.story())
		if n := len(want); want[n-2] == 0x91 { // which the modem will hear with the next real answer
			want = append(want[:n-2:n-2], 0x90, 0x00)
		}
	} else if !o.answering {
		o.tally.held++ // only STATUS can be answered without the bank
		require.Equal(o.t, byte(0xF2), cmd[1], o.story())
		if n := len(want); want[n-2] == 0x91 { // which the modem will hear when the bank is back
			want = append(want[:n-2:n-2], 0x90, 0x00)
		}
		if o.sent {
			o.late = cmd
		}
	}
	require.Equal(o.t, fmt.Sprintf("%X", want), fmt.Sprintf("%X", response), "the answer to % X\n%s", cmd, o.story())
	o.modem.learn(cmd, response)
}

// muted: the modem has met silence. It resets the card then, or goes on as if
// nothing had been.
func (o *oracle) muted(uint64) {
	defer o.fence()
	o.tally.mutes++
	o.ambiguous = true
	if o.sent {
		o.late = o.modem.current
	}
	o.modem.current, o.sent = nil, false
	o.modem.fetch = 0
	if o.rng.IntN(2) == 0 {
		o.modem.powered = false
	}
}

// removed: a modem that cannot see it goes on as well.
func (o *oracle) removed() {
	defer o.fence()
	if o.modem.current != nil {
		o.ambiguous = true
		o.modem.current, o.sent = nil, false
	}
	o.late = nil // the card is reset
	if o.front.limits.Removes {
		o.modem.powered = false
	}
}

// event does one random thing.
func (o *oracle) event() {
	synctest.Wait()
	switch n := o.rng.IntN(1000); {
	case n < 560:
		o.command()
	case n < 800:
		o.work()
	case n < 830:
		o.reset()
	case n < 860:
		o.loss()
	case n < 880:
		o.duplicate()
	case n < 885:
		o.toolkit()
	case n < 888:
		o.unplug()
	case n < 891:
		o.replan()
	case n < 900:
		d := time.Duration(o.rng.IntN(8000)) * time.Millisecond
		o.fence()
		<-time.After(d)
		synctest.Wait()
		o.fence()
	default:
		o.connect()
		o.work()
		o.work()
	}
}

// connect brings the bank up if it is away.
func (o *oracle) connect() {
	if o.bank != nil {
		return
	}
	o.card.Reset(true)
	o.queue, o.answers, o.dropped = nil, nil, false
	b := &fakeBank{say: o.say}
	b.sent = func(tpdu []byte) {
		if len(o.queue) > 0 && o.queue[len(o.queue)-1].tpdu != nil {
			o.tally.ahead++ // in one flight with the one before
		}
		o.queue = append(o.queue, item{tpdu: tpdu})
		defer o.fence()
		o.sent = o.sent || o.modem.current != nil && bytes.Equal(tpdu, o.modem.current)
	}
	b.lines = func(l card.Lines) { o.queue = append(o.queue, item{lines: l}); o.fence() }
	b.drops = func() { o.dropped = true; o.fence() }
	o.bank = b
	o.say("bank up")
	o.session.BankUp(b)
	o.session.ATR(b, cardfake.Default().ATR)
}

// work lets the bank act on what it has received, and deliver what is answered.
func (o *oracle) work() {
	if o.bank == nil {
		return
	}
	if o.dropped {
		o.lose()
		return
	}
	for range 1 + o.rng.IntN(12) {
		o.execute()
		if o.rng.IntN(12) != 0 {
			o.deliver()
		}
		if o.bank == nil || o.dropped {
			return
		}
	}
}

func (o *oracle) execute() {
	if len(o.queue) == 0 {
		return
	}
	it := o.queue[0]
	o.queue = o.queue[1:]
	if it.tpdu == nil {
		if o.told.Powered && !it.lines.Powered {
			o.card.Reset(true)
		} else if it.lines.Reset && !o.told.Reset {
			o.card.Reset(false)
		}
		o.told = it.lines
		return
	}
	if o.ambiguous && o.sent && bytes.Equal(it.tpdu, o.modem.current) {
		o.synchronise()
	}
	if once(it.tpdu) {
		o.executed[string(it.tpdu)]++
		require.Equal(o.t, 1, o.executed[string(it.tpdu)], "% X reached the card again\n%s", it.tpdu, o.story())
	} else if o.modem.current != nil && bytes.Equal(it.tpdu, o.modem.current) {
		o.executed[string(it.tpdu)]++
	}
	r := o.card.Transmit(it.tpdu)
	o.fetched = o.fetched || it.tpdu[1] == 0x12 && len(r) > 2
	o.answers = append(o.answers, r)
}

func (o *oracle) deliver() {
	if len(o.answers) == 0 {
		return
	}
	r := o.answers[0]
	o.answers = o.answers[1:]
	if o.modem.current == nil {
		o.tally.stale++
	}
	if o.late != nil { // the card did execute it, whatever the modem believes
		o.twin.Transmit(o.late)
		o.fetched = o.fetched && o.late[1] != 0x12
		o.late = nil
	}
	o.answering = true
	o.session.Response(o.bank, r)
	o.answering = false
}

// toolkit makes the card want something of the modem.
func (o *oracle) toolkit() {
	if o.bank == nil || o.modem.current != nil || o.late != nil || len(o.queue)+len(o.answers) > 0 {
		return
	}
	o.say("the card has a proactive command")
	require.NoError(o.t, o.card.QueueProactive(proactive))
	require.NoError(o.t, o.twin.QueueProactive(proactive))
}

// once tells the commands of the test that carry a tag.
func once(tpdu []byte) bool { return tpdu[1] == 0xD6 || tpdu[1] == 0x88 }

// synchronise gives the twin the files and the sequence number of the card: a command
// that got no answer may or may not have changed them.
func (o *oracle) synchronise() {
	o.ambiguous = false
	for _, fid := range []uint16{0x6F7E, 0x6F7B} {
		data, err := o.card.Binary(cardfake.USIM, fid)
		require.NoError(o.t, err)
		require.NoError(o.t, o.twin.SetBinary(data, cardfake.USIM, fid))
	}
	o.twin.SetSQN(o.card.SQN())
	if o.modem.fresh == 1 {
		o.popToolkit()
	}
}

// popToolkit takes the proactive command from the twin, fresh from a reset, that the
// card has given away to nobody.
func (o *oracle) popToolkit() {
	if o.fetched {
		o.fetched = false
		o.twin.Transmit([]byte{0x80, 0x10, 0, 0, 1, 0xFF})
		o.twin.Transmit([]byte{0x80, 0x12, 0, 0, byte(len(proactive))})
		o.twin.Reset(true)
	}
}

// proactive is a MORE TIME (ETSI TS 102 223 §6.4.4).
var proactive = []byte{0xD0, 0x09, 0x81, 0x03, 0x01, 0x02, 0x00, 0x82, 0x02, 0x81, 0x82}

// command lets the modem go on.
func (o *oracle) command() {
	m := &o.modem
	if o.front.inserted == nil || m.current != nil {
		return
	}
	if !m.powered {
		o.powerUp()
		return
	}
	tpdu := m.next(o)
	m.current = tpdu
	o.tally.commands++
	o.say("modem % X", tpdu)
	o.front.command(o.session, tpdu)
}

func (o *oracle) powerUp() {
	o.say("modem powers the card")
	o.twin.Reset(true)
	o.popToolkit()
	o.late = nil
	o.modem = modem{powered: true, tag: o.modem.tag}
	o.front.reset()
	o.session.Lines(card.Lines{})
	o.session.Lines(card.Lines{Powered: true})
}

func (o *oracle) reset() {
	if !o.modem.powered || o.front.inserted == nil {
		return
	}
	o.say("modem resets the card")
	o.tally.resets++
	if o.modem.current != nil {
		o.ambiguous = true
	}
	o.twin.Reset(false)
	o.popToolkit()
	o.late, o.sent = nil, false
	o.modem = modem{powered: true, tag: o.modem.tag}
	o.front.reset()
	o.session.Lines(card.Lines{Powered: true, Reset: true})
	o.session.Lines(card.Lines{Powered: true})
}

// loss cuts the bank's connection, at any point of what it has to do.
func (o *oracle) loss() {
	if o.bank == nil {
		return
	}
	for range o.rng.IntN(3) {
		o.execute()
	}
	o.lose()
}

func (o *oracle) lose() {
	o.say("bank down")
	o.tally.losses++
	if o.modem.current != nil && o.executed[string(o.modem.current)] > 0 {
		o.tally.repeats++
	}
	b := o.bank
	o.bank, o.late, o.sent = nil, nil, false
	o.session.BankDown(b, errors.New("cut"))
	// Whatever was on its way does not count any more.
	o.session.Response(b, []byte{0x6F, 0x00})
}

// duplicate: the bank says something twice while nothing is asked.
func (o *oracle) duplicate() {
	if o.bank == nil || o.modem.current != nil || len(o.queue)+len(o.answers) > 0 {
		return
	}
	o.say("bank answers twice")
	o.session.Response(o.bank, []byte{0x12, 0x34, 0x90, 0x00})
}

func (o *oracle) unplug() {
	o.say("front unplugged")
	if o.modem.current != nil {
		o.ambiguous = true
	}
	o.modem = modem{tag: o.modem.tag}
	o.late, o.sent = nil, false
	o.front.reset()
	o.front.inserted = nil
	o.session.FrontDown(errors.New("unplugged"))
	o.session.FrontUp(o.front)
}

func (o *oracle) replan() {
	o.hold = !o.hold
	o.say("plan hold=%v", o.hold)
	o.plan.Hold = o.hold
	o.session.SetPlan(o.plan)
	if o.rng.IntN(4) == 0 {
		away := o.plan
		away.Show = false
		o.session.SetPlan(away)
		o.session.SetPlan(o.plan)
	}
}

// finish: after all that, the card works.
func (o *oracle) finish() {
	o.settle()
	before := o.tally.answers
	for range 20 {
		o.command()
		o.settle()
	}
	require.Greater(o.t, o.tally.answers, before, o.story())
	o.session.Close()
	require.False(o.t, o.front.waits(), "a command was forgotten\n%s", o.story())
}

// settle runs the bank until nothing is left to do.
func (o *oracle) settle() {
	for range 200 {
		synctest.Wait()
		if o.dropped && o.bank != nil {
			o.lose()
		}
		o.connect()
		if len(o.queue)+len(o.answers) == 0 {
			return
		}
		o.execute()
		o.deliver()
	}
	o.t.Fatalf("the bank never comes to rest\n%s", o.story())
}
