package relay_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
)

// TestNoSecretGetsOut runs commands with secrets through everything that can befall
// them, and looks for the secrets in all that a session tells.
func TestNoSecretGetsOut(t *testing.T) {
	for _, mode := range []string{"off", "full"} {
		t.Run("cache "+mode, func(t *testing.T) { noSecretGetsOut(t, mode) })
	}
}

func noSecretGetsOut(t *testing.T, mode string) {
	synctest.Test(t, func(t *testing.T) {
		profile := cardfake.Default()
		profile.PINEnabled = true
		sim := cardfake.New(profile)
		var mu sync.Mutex
		var told []string
		s := relay.New(relay.Config{Modem: "primary", Events: func(e model.Event) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprintf("%T %+v", e, e))
		}})
		defer s.Close()
		front := &fakeFront{say: func(string, ...any) {}, limits: card.Limits{Answer: time.Second, MaxATR: 33, Removes: true}}
		var last []byte
		front.answer = func(_ uint64, r []byte) { last = append([]byte(nil), r...) }
		s.SetPlan(model.CardPlan{Show: true, Hold: true, TraceActive: true, Cache: mode, StatusInterval: time.Hour})
		s.FrontUp(front)

		var bank *fakeBank
		var queue [][]byte
		connect := func() {
			sim.Reset(true)
			queue = nil
			bank = &fakeBank{say: func(string, ...any) {}, sent: func(b []byte) { queue = append(queue, b) },
				lines: func(l card.Lines) {
					if !l.Powered {
						sim.Reset(true)
					}
				}}
			s.BankUp(bank)
			s.ATR(bank, profile.ATR)
		}
		work := func() {
			for len(queue) > 0 {
				tpdu := queue[0]
				queue = queue[1:]
				s.Response(bank, sim.Transmit(tpdu))
			}
		}
		ask := func(h string) []byte {
			front.command(s, mustHex(h))
			work()
			return last
		}
		connect()
		work()
		s.Lines(card.Lines{Powered: true})
		ask("00A4040C07A0000000871002")
		pin := "31323334FFFFFFFF"
		require.Equal(t, "9000", fmt.Sprintf("%X", ask("0020000108"+pin)))

		rand := [16]byte([]byte("canary of RAND.."))
		autn, res, ck, ik := sim.Milenage().Challenge(rand, sim.SQN()+1<<5, [2]byte{0x80, 0})
		auth := fmt.Sprintf("008800812210%X10%X", rand, autn)
		answer := ask(auth)
		require.Equal(t, byte(0x61), answer[0])
		got := ask(fmt.Sprintf("00C00000%02X", answer[1]))
		require.Contains(t, fmt.Sprintf("%X", got), fmt.Sprintf("%X", res), "the card did authenticate")
		for _, fid := range []string{"6F07", "6F08", "6F09", "6F40", "6FE4"} {
			ask("00A4000C02" + fid)
			ask("00B0000009")
		}
		ask("00A4000C022FE2")
		ask("00B000000A")

		// In flight at a loss, and repeated by the relay.
		front.command(s, mustHex("0020000108"+pin))
		s.BankDown(bank, nil)
		connect()
		work()
		s.Lines(card.Lines{Powered: true})
		ask("00A4040C07A0000000871002")
		ask("0020000108" + pin)
		s.BankDown(bank, nil)
		connect()
		work()
		// Muted, voided, answered too late.
		front.command(s, mustHex(auth))
		<-time.After(2 * time.Second)
		front.command(s, mustHex("0020000108"+pin))
		s.Lines(card.Lines{Powered: true, Reset: true})
		work()
		front.command(s, mustHex("002000"))
		<-time.After(time.Minute)

		synctest.Wait()
		trace, err := json.Marshal(s.Trace(0, 0))
		require.NoError(t, err)
		require.Contains(t, string(trace), "AUTHENTICATE")
		require.Contains(t, string(trace), "by the relay")
		events := strings.ToUpper(strings.Join(told, "\n"))
		for name, secret := range map[string]string{
			"PIN": "31323334", "RAND": fmt.Sprintf("%X", rand), "AUTN": fmt.Sprintf("%X", autn), "RES": fmt.Sprintf("%X", res),
			"CK": fmt.Sprintf("%X", ck), "IK": fmt.Sprintf("%X", ik), "RAND as text": "CANARY", "PIN digits": profile.PIN1 + "\xFF",
		} {
			require.NotContains(t, events, secret, name)
			require.NotContains(t, strings.ToUpper(string(trace)), secret, name)
		}
		imsi, err := sim.Binary(cardfake.USIM, 0x6F07)
		require.NoError(t, err)
		iccid, err := sim.Binary(0x2FE2)
		require.NoError(t, err)
		for name, identity := range map[string]string{
			"IMSI": fmt.Sprintf("%X", imsi[2:]), "ICCID": fmt.Sprintf("%X", iccid), "ICCID digits": string(profile.ICCID), "IMSI digits": profile.IMSI,
		} {
			require.NotContains(t, string(trace), identity, name)
		}
	})
}
