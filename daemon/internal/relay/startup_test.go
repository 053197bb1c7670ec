package relay_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// attach is a modem that starts up with a card behind a session, and what it cost.
type attach struct {
	testing.TB
	session *relay.Session
	front   *fakeFront
	bank    *fakeBank
	card    *cardfake.Card
	queue   [][]byte
	answer  []byte
	notes   []string

	flights int // times that the bank was waited for
	several int // of these, for more than one answer
	sent    int // TPDUs
	bytes   int // on the wire, both ways
	most    int // answers that the bank gives; 0: all
	dropped atomic.Bool
}

// segment is what TCP and IPv4 with time stamps add to a frame; acknowledgements
// without data are not counted.
const segment = 52

// frames are the two RSPRO frames of a TPDU.
func frames(tb testing.TB, tpdu, response []byte) int {
	cs, bs := rspro.ClientSlot{ClientID: 7, SlotNr: 1}, rspro.BankSlot{BankID: 1, SlotNr: 2}
	up, err := rspro.AppendFrame(nil, &rspro.TpduModemToCard{FromClientSlot: cs, ToBankSlot: bs, Data: tpdu})
	require.NoError(tb, err)
	down, err := rspro.AppendFrame(nil, &rspro.TpduCardToModem{FromBankSlot: bs, ToClientSlot: cs, Data: response})
	require.NoError(tb, err)
	return len(up) + len(down) + 2*segment
}

func newAttach(tb testing.TB, mode string, check bool, profile cardfake.Profile) *attach {
	return newAttachOn(tb, mode, check, cardfake.New(profile), nil)
}

// newAttachOn is one with a card that may have been used before, and what was stored then.
func newAttachOn(tb testing.TB, mode string, check bool, c *cardfake.Card, stored []cache.Kept) *attach {
	a := prepareAttach(tb, mode, check, c, stored)
	a.connect()
	return a
}

// prepareAttach makes one that has no bank yet.
func prepareAttach(tb testing.TB, mode string, check bool, c *cardfake.Card, stored []cache.Kept) *attach {
	a := &attach{TB: tb, card: c}
	say := func(string, ...any) {}
	a.front = &fakeFront{say: say, limits: card.Limits{Answer: time.Minute, MaxATR: 33, Removes: true}}
	a.front.answer = func(_ uint64, r []byte) { a.answer = slices.Clone(r) }
	a.session = relay.New(relay.Config{Modem: "primary", Check: check, Stored: stored, Events: func(e model.Event) {
		if n, ok := e.(model.Noted); ok {
			a.notes = append(a.notes, n.Text)
		}
	}})
	tb.Cleanup(a.session.Close)
	a.session.SetPlan(model.CardPlan{Show: true, Hold: true, Cache: mode, StatusInterval: 10 * time.Minute})
	a.session.FrontUp(a.front)
	return a
}

// connect brings a bank connection up.
func (a *attach) connect() {
	a.bank = &fakeBank{say: func(string, ...any) {}, drops: func() { a.dropped.Store(true) }}
	a.bank.sent = func(b []byte) { a.queue = append(a.queue, b) }
	a.bank.lines = func(l card.Lines) {
		if !l.Powered || l.Reset {
			a.card.Reset(!l.Powered)
		}
	}
	a.card.Reset(true)
	a.session.BankUp(a.bank)
	a.session.ATR(a.bank, cardfake.Default().ATR)
	a.work()
}

// work answers what the bank was sent. What is sent before the first answer is one flight.
func (a *attach) work() {
	for len(a.queue) > 0 {
		flight := a.queue
		a.queue = nil
		a.flights++
		if len(flight) > 1 {
			a.several++
		}
		for _, tpdu := range flight {
			if a.most > 0 && a.sent == a.most {
				return
			}
			a.sent++
			r := a.card.Transmit(tpdu)
			a.bytes += frames(a.TB, tpdu, r)
			a.session.Response(a.bank, r)
		}
	}
}

// power is the modem's reset of the card; the counts start anew.
func (a *attach) power() {
	a.front.reset()
	a.session.Lines(card.Lines{})
	a.session.Lines(card.Lines{Powered: true, Clock: true})
	a.flights, a.several, a.sent, a.bytes = 0, 0, 0, 0
}

func (a *attach) send(tpdu []byte) ([]byte, error) {
	a.answer = nil
	a.front.command(a.session, tpdu)
	a.work()
	if a.answer == nil {
		return nil, errors.New("no answer")
	}
	return a.answer, nil
}

// start runs one start-up from the reset of the card.
func (a *attach) start(u cardfake.StartUp, challenge cardfake.Challenger) []cardfake.Entry {
	a.Helper()
	for _, w := range cardfake.Wants() {
		require.NoError(a, a.card.QueueProactive(w))
	}
	a.power()
	log, err := u.Run(a.send, challenge)
	require.NoError(a, err)
	return log
}

// direct runs it on a card in the modem's own slot.
func direct(tb testing.TB, c *cardfake.Card, u cardfake.StartUp, challenge cardfake.Challenger) []cardfake.Entry {
	tb.Helper()
	log, err := u.Direct(c, challenge)
	require.NoError(tb, err)
	return log
}

func requireSame(tb testing.TB, want, got []cardfake.Entry) {
	tb.Helper()
	require.Empty(tb, cardfake.Difference(want, got))
}

// mustReach counts the commands of a start-up that nobody but the card can answer, by a
// rule of its own: not SELECT and its GET RESPONSE, not reads of the listed files.
// A file that was written has to be read once more (dirty goes from one start-up to the
// next), and a refusal is never kept.
func mustReach(log []cardfake.Entry, mode cache.Mode, dirty map[uint16]bool) int {
	short := map[byte]uint16{0x07: 0x6F07, 0x03: 0x6FAD, 0x04: 0x6F38, 0x06: 0x6F78, 0x0D: 0x6F7B}
	kept := map[uint16]bool{}
	for _, f := range cache.Files {
		kept[f.FID] = kept[f.FID] || f.Mode <= mode
	}
	n, ef, selected := 0, uint16(0), false
	for _, e := range log {
		c := e.Command
		free := false
		switch c[1] {
		case 0xA4:
			free = true
			if sw1 := e.Response[len(e.Response)-2]; sw1 != 0x6A && sw1 != 0x94 {
				ef = 0
				if b := c[5:]; c[2] != 0x04 {
					ef = uint16(b[len(b)-2])<<8 | uint16(b[len(b)-1])
				}
			}
		case 0xC0:
			free = selected
		case 0xB0, 0xB2:
			if c[1] == 0xB0 && c[2]&0x80 != 0 && c[0] != 0xA0 {
				ef = short[c[2]&0x1F]
			}
			sw1 := e.Response[len(e.Response)-2]
			free = kept[ef] && !dirty[ef] && sw1 != 0x69 && sw1 != 0x98
			dirty[ef] = false
		case 0xD6, 0xDC:
			if c[1] == 0xD6 && c[2]&0x80 != 0 && c[0] != 0xA0 {
				ef = short[c[2]&0x1F]
			} else if c[1] == 0xDC && c[3]>>3 != 0 {
				ef = 0
			}
			dirty[ef] = true
		}
		selected = c[1] == 0xA4
		if !free || mode == cache.Off {
			n++
		}
	}
	return n
}

// TestStartUpIsTheSameThroughTheRelay starts a modem up three times, with a cold and a
// warm cache and after an outage of the bank: the answers are those of a card in its slot,
// and warm it costs hardly more round trips than commands that only the card can answer.
func TestStartUpIsTheSameThroughTheRelay(t *testing.T) {
	pin := cardfake.Default()
	pin.PINEnabled = true
	for _, u := range cardfake.StartUps() {
		for _, m := range []struct {
			name, mode string
			check, pin bool
		}{
			{"off", "off", false, false}, {"safe", "safe", false, false}, {"full", "full", false, false},
			{"check safe", "safe", true, false}, {"check full", "full", true, false}, {"PIN never given", "full", false, true},
		} {
			t.Run(u.Name+" "+m.name, func(t *testing.T) {
				profile := cardfake.Default()
				if m.pin {
					profile = pin
				}
				mode, err := cache.ParseMode(m.mode)
				require.NoError(t, err)
				a, twin := newAttach(t, m.mode, m.check, profile), cardfake.New(profile)
				here, there := cardfake.Home(a.card), cardfake.Home(twin)
				dirty := map[uint16]bool{}
				for _, run := range []string{"cold", "warm", "warm again", "after an outage", "warm after it"} {
					if run == "after an outage" {
						a.session.BankDown(a.bank, errors.New("cut"))
						a.connect()
					}
					want := direct(t, twin, u, there)
					got := a.start(u, here)
					requireSame(t, want, got)
					must := mustReach(got, mode, dirty)
					t.Logf("%s: %d commands, %d round trips (%d TPDUs), %d must reach the card", run, len(got), a.flights, a.sent, must)
					switch {
					case m.check || mode == cache.Off:
						require.Equal(t, len(got), a.flights)
						require.Equal(t, len(got), a.sent)
					case run != "cold" && run != "after an outage":
						// After TERMINAL RESPONSE the card is asked once more, which
						// here are SELECT and GET RESPONSE.
						extra := 2
						if u.Name == cardfake.ShapeReread {
							extra++ // a write by a short identifier waits for its directory
						}
						if !m.pin { // refusals leave the current file in doubt
							require.LessOrEqual(t, a.flights, must+extra)
						}
					}
				}
				require.Empty(t, a.notes, "check mode saw a difference")
			})
		}
	}
}

// identifying is how many round trips the relay needs to find out whose card it is, in every
// mode.
const identifying = 3

// BenchmarkStartup tells what a start-up costs over a distance. The round trips are
// counted, not slept: seconds are round trips times the time of one, in which the card
// itself takes no time. stock-roundtrips are those with a bank that does not switch Nagle's
// algorithm off: of several answers to one flight it sends the second only once the first
// is acknowledged. After a reboot they include the question whether what was stored
// is still true.
func BenchmarkStartup(b *testing.B) {
	for _, u := range cardfake.StartUps() {
		for _, m := range []struct{ name, mode, begin string }{
			{"off", "off", "cold"}, {"safe-cold", "safe", "cold"}, {"safe-reboot", "safe", "reboot"}, {"safe-warm", "safe", "warm"},
			{"full-cold", "full", "cold"}, {"full-reboot", "full", "reboot"}, {"full-warm", "full", "warm"},
		} {
			b.Run(u.Name+"/"+m.name, func(b *testing.B) {
				none := newAttach(b, "off", false, cardfake.Default())
				none.start(u, cardfake.Home(none.card))
				a := newAttach(b, m.mode, false, cardfake.Default())
				here := cardfake.Home(a.card)
				trips, several, tpdus, bytes := 0, 0, 0, 0
				switch m.begin {
				case "warm":
					a.start(u, here)
				case "reboot":
					a = reboot(b, m.mode, a.card, stored(b, m.mode, u, a.card, here))
					fresh := newAttachOn(b, m.mode, false, a.card, nil)
					trips, several, tpdus, bytes = a.flights-identifying, a.several, a.sent-fresh.sent, a.bytes-fresh.bytes
				}
				log := a.start(u, here)
				trips, several, tpdus, bytes = trips+a.flights, several+a.several, tpdus+a.sent, bytes+a.bytes
				b.ReportMetric(float64(len(log)), "commands")
				b.ReportMetric(float64(trips), "roundtrips")
				b.ReportMetric(float64(trips+several), "stock-roundtrips")
				b.ReportMetric(float64(tpdus), "TPDUs")
				b.ReportMetric(float64(none.flights)/float64(trips), "x-fewer")
				b.ReportMetric(float64(bytes), "wireB")
				for _, rtt := range []int{0, 50, 100, 300, 1000} { // ms
					b.ReportMetric(float64(trips*rtt)/1000, fmt.Sprintf("s@%dms", rtt))
				}
				b.ReportMetric(0, "ns/op") // counted, not timed
			})
		}
	}
}

// BenchmarkCachedTPDU is our own time for a command that is answered in the card's place.
func BenchmarkCachedTPDU(b *testing.B) {
	a := newAttach(b, "safe", false, cardfake.Default())
	a.power()
	for _, c := range []string{"00A4040C07A0000000871002", "00A4000C026F07", "00B0000009"} {
		_, err := a.send(mustHex(c))
		require.NoError(b, err)
	}
	tpdu := mustHex("00B0000009")
	a.front.answer = func(uint64, []byte) {}
	flights := a.flights
	b.ReportAllocs()
	for b.Loop() {
		a.front.command(a.session, tpdu)
	}
	require.Equal(b, flights, a.flights)
}

// TestCheckModeSeesADifference changes a file behind the relay's back.
func TestCheckModeSeesADifference(t *testing.T) {
	u := cardfake.StartUps()[0]
	a, twin := newAttach(t, "safe", true, cardfake.Default()), cardfake.New(cardfake.Default())
	here, there := cardfake.Home(a.card), cardfake.Home(twin)
	requireSame(t, direct(t, twin, u, there), a.start(u, here))
	other := mustHex("080910101032547699")
	other[8] = 0x89
	require.NoError(t, a.card.SetBinary(other, cardfake.USIM, 0x6F07))
	require.NoError(t, twin.SetBinary(other, cardfake.USIM, 0x6F07))
	for range 2 {
		requireSame(t, direct(t, twin, u, there), a.start(u, here))
		require.Equal(t, []string{"the card's answer to READ BINARY EF.IMSI is not the one that was kept; nothing is kept of this card any more"}, a.notes)
	}
}
