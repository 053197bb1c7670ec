package relay_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
)

// stored has a modem start up twice with a card, and is what a daemon would store then.
func stored(tb testing.TB, mode string, u cardfake.StartUp, c *cardfake.Card, challenge cardfake.Challenger) []byte {
	tb.Helper()
	a := newAttachOn(tb, mode, false, c, nil)
	for range 2 {
		a.start(u, challenge)
	}
	return cache.AppendKept(nil, a.session.Keep())
}

// reboot is the session of a daemon that finds something stored.
func reboot(tb testing.TB, mode string, c *cardfake.Card, file []byte) *attach {
	tb.Helper()
	cards, err := cache.ParseKept(file)
	require.NoError(tb, err)
	return newAttachOn(tb, mode, false, c, cards)
}

// TestStoredAnswersCountOnceTheCardHasGivenThemAgain stores a card, changes it in the ways in
// which another user of the card could have, and starts up with what was stored: the
// answers are those of a card in the modem's slot.
func TestStoredAnswersCountOnceTheCardHasGivenThemAgain(t *testing.T) {
	changes := []struct {
		name   string
		change func(t *testing.T, c *cardfake.Card)
		lost   int // answers that the card does not give again, at most
	}{
		{"nothing", func(*testing.T, *cardfake.Card) {}, 0},
		{"another IMSI", func(t *testing.T, c *cardfake.Card) {
			require.NoError(t, c.SetBinary(mustHex("082910101032547699"), cardfake.USIM, 0x6F07))
		}, 4},
		{"another service table", func(t *testing.T, c *cardfake.Card) {
			old, err := c.Binary(cardfake.USIM, 0x6F38)
			require.NoError(t, err)
			old[3] ^= 0x10
			require.NoError(t, c.SetBinary(old, cardfake.USIM, 0x6F38))
		}, 4},
		{"its PIN switched on", func(t *testing.T, c *cardfake.Card) {
			c.Reset(true)
			require.Equal(t, "9000", fmt.Sprintf("%X", c.Transmit(mustHex("0028000108"+"31323334FFFFFFFF"))))
		}, 1000},
	}
	for _, u := range cardfake.StartUps() {
		for _, mode := range []string{"safe", "full"} {
			for _, ch := range changes {
				t.Run(u.Name+"/"+mode+"/"+ch.name, func(t *testing.T) {
					c, twin := cardfake.New(cardfake.Default()), cardfake.New(cardfake.Default())
					here, there := cardfake.Home(c), cardfake.Home(twin)
					file := stored(t, mode, u, c, here)
					for range 2 {
						direct(t, twin, u, there)
					}
					ch.change(t, c)
					ch.change(t, twin)
					a := reboot(t, mode, c, file)
					t.Logf("%d bytes stored; asked again: %d round trips, %d TPDUs, %d bytes", len(file), a.flights, a.sent, a.bytes)
					require.LessOrEqual(t, a.flights, identifying+3) // 64 commands each
					var had, same int
					require.Len(t, a.notes, 1)
					_, err := fmt.Sscanf(a.notes[0], "answers of the card that were stored: %d, that it gave again: %d", &had, &same)
					require.NoError(t, err, a.notes[0])
					require.Greater(t, had, 30)
					require.LessOrEqual(t, had-same, ch.lost, a.notes[0])
					cold := -1
					for range 2 {
						want := direct(t, twin, u, there)
						got := a.start(u, here)
						requireSame(t, want, got)
						if cold < 0 {
							cold = a.flights
							t.Logf("%s; %d commands, %d round trips", a.notes[0], len(got), a.flights)
						}
					}
					if ch.lost == 0 {
						m, err := cache.ParseMode("safe")
						require.NoError(t, err)
						require.LessOrEqual(t, cold, mustReach(direct(t, twin, u, there), m, map[uint16]bool{})+6)
					}
				})
			}
		}
	}
}

// TestStoredAnswersOfAnotherCardAreNotAskedFor: what was stored belongs to one ICCID and ATR.
func TestStoredAnswersOfAnotherCardAreNotAskedFor(t *testing.T) {
	u := cardfake.StartUps()[0]
	c := cardfake.New(cardfake.Default())
	file := stored(t, "safe", u, c, cardfake.Home(c))
	profile := cardfake.Default()
	profile.ICCID = "8988211000000000029"
	profile.IMSI = "001010123456781"
	other, twin := cardfake.New(profile), cardfake.New(profile)
	a := reboot(t, "safe", other, file)
	require.Equal(t, identifying, a.sent, "the identification only")
	requireSame(t, direct(t, twin, u, cardfake.Home(twin)), a.start(u, cardfake.Home(other)))
	require.Empty(t, a.notes)

	a = reboot(t, "off", c, file)
	require.Equal(t, identifying, a.sent, "nothing is kept in mode off")
}

// TestRecheckThatFailsLeavesAColdCard: the bank goes, or falls silent, while it is asked.
func TestRecheckThatFailsLeavesAColdCard(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := cardfake.StartUps()[0]
			c, twin := cardfake.New(cardfake.Default()), cardfake.New(cardfake.Default())
			here, there := cardfake.Home(c), cardfake.Home(twin)
			file := stored(t, "safe", u, c, here)
			for range 2 {
				direct(t, twin, u, there)
			}
			cards, err := cache.ParseKept(file)
			require.NoError(t, err)
			a := prepareAttach(t, "safe", false, c, cards)
			a.most = 20 // answers: the bank says no more than these
			a.connect()
			require.Nil(t, a.front.inserted)
			if silent {
				<-time.After(11 * time.Second) // DefaultSetup
				synctest.Wait()
				require.True(t, a.dropped.Load())
			} else {
				a.session.BankDown(a.bank, errors.New("cut"))
			}
			a.most, a.queue, a.sent, a.flights = 0, nil, 0, 0
			a.connect()
			require.NotNil(t, a.front.inserted)
			require.Equal(t, identifying, a.sent, "it is not asked for a second time")
			requireSame(t, direct(t, twin, u, there), a.start(u, here))
		})
	}
}

// TestStoreHoldsNoSecretAndNoPlace looks for what must not be in a file on flash.
func TestStoreHoldsNoSecretAndNoPlace(t *testing.T) {
	for _, u := range cardfake.StartUps() {
		for _, on := range []bool{false, true} {
			profile := cardfake.Default()
			profile.PINEnabled = on
			c := cardfake.New(profile)
			a := newAttachOn(t, "full", false, c, nil)
			a.power()
			if on {
				for _, h := range []string{"00A4040C07A0000000871002", "0020000108" + "31323334FFFFFFFF"} {
					r, err := a.send(mustHex(h))
					require.NoError(t, err)
					require.Equal(t, "9000", fmt.Sprintf("%X", r))
				}
			}
			var said []string
			challenge := func() (rand, autn [16]byte) {
				rand, autn = cardfake.Home(c)()
				_, res, ck, ik := c.Milenage().Challenge(rand, c.SQN()+32, [2]byte{0x80})
				for _, b := range [][]byte{rand[:], autn[:], res[:], ck[:], ik[:]} {
					said = append(said, string(b))
				}
				return rand, autn
			}
			log, err := u.Run(a.send, challenge)
			require.NoError(t, err)
			file := string(cache.AppendKept(nil, a.session.Keep()))
			require.Greater(t, len(file), 1000)
			for _, s := range append(said, "31323334", "1234\xFF\xFF\xFF\xFF", string(profile.K[:]), string(profile.OPc[:])) {
				require.NotContains(t, file, s)
			}
			for _, e := range log {
				if ins := e.Command[1]; ins == 0xD6 || ins == 0xDC { // LOCI and its like, keys, FPLMN
					require.NotContains(t, file, string(e.Command[5:]))
				}
			}
			for _, path := range [][]uint16{{cardfake.USIM, 0x6F7E}, {cardfake.USIM, 0x6F73}, {cardfake.USIM, 0x6FE3}, {cardfake.USIM, 0x6F08}, {cardfake.USIM, 0x6F7B}} {
				b, err := c.Binary(path...)
				require.NoError(t, err)
				require.NotContains(t, file, string(b), "%X", path)
			}
			require.NotContains(t, file, strings.Repeat("\x00", 300))
		}
	}
}
