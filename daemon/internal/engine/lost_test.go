package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// A server that takes the slot away is obeyed in steps: the assignment goes first,
// then the connection, then the card. None of them is an outage.
func TestSlotThatIsTakenAwayIsNoOutage(t *testing.T) {
	run(t, settings(), func(b *bench) {
		b.tell(serverUp(), assigned(), bankUp(), cardIs(model.CardReady, "card inserted"))
		none := model.Assigned{At: now(), Modem: "primary", Client: model.ClientSlot{ID: 7, Slot: 1}}
		for _, ev := range []model.Event{none, cardIs(model.CardLost, "the bank is lost"), cardIs(model.CardAbsent, "no longer held")} {
			b.tell(ev)
		}
		require.Equal(t, model.StateWaiting, b.Snapshot().State)
		for _, n := range b.news {
			require.NotContains(t, n.Text, string(model.StateRideThrough))
		}
	})
}
