package client_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
)

// eager uses the card as soon as it has its ATR, as the relay does.
type eager struct{ ear }

func (e eager) ATR(b card.Bank, atr []byte) {
	e.ear.ATR(b, atr)
	_ = b.Send(command(1))
}

// The C client answers setAtrReq before anything else can go to the bank.
func TestSetATRIsAnsweredBeforeTheCardIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 0, never, func(c *client.Config) { c.Bank = eager{ear{newFeed[said]()}} })
		defer st.stop()
		bank := <-st.at
		bank.accept()
		var names []string
		for _, f := range bank.frames() {
			var p rspro.PDU
			_, err := p.Decode(f[rspro.HeaderLen+1:])
			require.NoError(t, err)
			names = append(names, p.Msg.Name())
		}
		require.Equal(t, []string{"connectClientReq", "setAtrRes", "tpduModemToCard"}, names)
	})
}

// mourner writes down how the bank's connection stood when its handler lost it.
type mourner struct {
	ear
	events *feed[model.Event]
	stood  chan model.PeerChanged
}

func (m mourner) BankDown(b card.Bank, err error) {
	all := m.events.all()
	slices.Reverse(all)
	for _, e := range all {
		if p, ok := e.(model.PeerChanged); ok && p.Peer == model.PeerBankd {
			m.stood <- p
			return
		}
	}
}

// Whoever hears that the card's bank is lost can say why at once; waiting for the
// FIN of a peer that is gone takes a second.
func TestALossIsReportedBeforeTheCardLearnsOfIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		end    func(st *stage, bank *actor, b card.Bank)
		state  model.ConnState
		reason string
	}{
		{"the bank closes", func(_ *stage, bank *actor, _ card.Bank) { _ = bank.Close() }, model.ConnBackoff, "the bank closed the connection"},
		{"the handler drops it", func(_ *stage, _ *actor, b card.Bank) { b.Drop(errMute) }, model.ConnBackoff, errMute.Error()},
		{"it is no longer wanted", func(st *stage, _ *actor, _ card.Bank) { st.plan.Set(model.SessionPlan{Client: client1}) }, model.ConnIdle, "switched off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := mourner{ear: ear{newFeed[said]()}, stood: make(chan model.PeerChanged, 1)}
				st := newStage(t, 0, never, func(cfg *client.Config) {
					m.events = newFeed[model.Event]()
					cfg.Bank, cfg.Events = &m, m.events.add
				})
				defer st.stop()
				bank := <-st.at
				bank.accept()
				begin := time.Now()
				c.end(st, bank, m.hears(t, "up").bank)
				stood := <-m.stood
				require.Equal(t, c.state, stood.State)
				require.Equal(t, c.reason, stood.Reason)
				require.Zero(t, time.Since(begin))
			})
		})
	}
}

// errMute is why a handler gives a bank up.
var errMute = errors.New("bank does not answer")
