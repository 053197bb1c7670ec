package lease_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/lease"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func card(slot uint16) *model.MeshCard {
	return &model.MeshCard{Bank: model.BankSlot{ID: 1, Slot: slot}, Bankd: model.MeshAddress{Host: "192.0.2.1", Port: 9999}}
}

// at is the clock of boot "a", s seconds after it.
func at(s int) lease.Clock { return lease.Clock{Boot: time.Duration(s) * time.Second, BootID: "a"} }

// grant is a lease of 1000 s for slot 2 under an epoch, asked for at s.
func grant(s int, epoch int64) lease.Answer {
	return lease.Answer{Asked: at(s), Card: card(2), ID: "L", Epoch: epoch, HasLength: true, Length: 1000 * time.Second}
}

func take(t *testing.T, r lease.Record, a lease.Answer) lease.Record {
	t.Helper()
	r, err := lease.Take(r, "router", a)
	require.NoError(t, err)
	return r
}

func TestLeaseRunsFromTheRequestNotFromTheAnswer(t *testing.T) {
	r := take(t, lease.Record{}, grant(100, 1))
	state, left := lease.Judge(r, at(600))
	require.Equal(t, lease.Held, state)
	require.InDelta(t, 500, left.Seconds(), 0.3)
	require.Less(t, left, 500*time.Second, "a slow clock must not lengthen it")
	state, _ = lease.Judge(r, at(1100))
	require.Equal(t, lease.Ended, state)
}

func TestWhichAnswerCounts(t *testing.T) {
	old := take(t, lease.Record{}, grant(100, 5))
	renewal := lease.Answer{Asked: at(200), AskedEpoch: 5, HasLength: true, Length: 1000 * time.Second}
	for name, c := range map[string]struct {
		answer func() lease.Answer
		err    error
		end    int
		slot   uint16
	}{
		"a renewal lengthens":                      {func() lease.Answer { return renewal }, nil, 1200, 2},
		"a renewal may shorten":                    {func() lease.Answer { a := renewal; a.Length = 10 * time.Second; return a }, nil, 210, 2},
		"a revocation ends at once":                {func() lease.Answer { a := renewal; a.Length = 0; return a }, nil, 200, 2},
		"less than nothing is nothing":             {func() lease.Answer { a := renewal; a.Length = -time.Hour; return a }, nil, 200, 2},
		"an older epoch never wins":                {func() lease.Answer { a := grant(300, 4); a.Card = card(7); return a }, lease.ErrStale, 1100, 2},
		"no epoch is older than any":               {func() lease.Answer { a := grant(300, 0); a.Card = card(7); return a }, lease.ErrStale, 1100, 2},
		"a newer epoch wins":                       {func() lease.Answer { a := grant(300, 6); a.Card = card(7); return a }, nil, 1300, 7},
		"a newer epoch wins when it comes late":    {func() lease.Answer { a := grant(50, 6); a.Card = card(7); return a }, nil, 1050, 7},
		"an answer to an earlier request":          {func() lease.Answer { a := grant(50, 5); a.Card = card(7); return a }, lease.ErrLate, 1100, 2},
		"a renewal of the lease before":            {func() lease.Answer { a := renewal; a.AskedEpoch = 4; return a }, lease.ErrStale, 1100, 2},
		"a renewal of a lease that we do not know": {func() lease.Answer { a := renewal; a.Epoch = 6; return a }, lease.ErrNewGrant, 1100, 2},
		"until needs the orchestrator's time":      {func() lease.Answer { a := renewal; a.HasLength, a.Until = false, noon; return a }, lease.ErrUnmeasured, 1100, 2},
		"an id without an end is no lease":         {func() lease.Answer { a := grant(300, 6); a.HasLength = false; return a }, lease.ErrUnmeasured, 1100, 2},
		"a beat that says nothing of it":           {func() lease.Answer { a := renewal; a.HasLength = false; return a }, nil, 1100, 2},
		"another slot under the lease that runs":   {func() lease.Answer { return lease.Answer{Asked: at(300), AskedEpoch: 5, Card: card(7), Keep: true} }, nil, 1100, 7},
		"the shorter of two statements counts":     {func() lease.Answer { a := renewal; a.ServerTime, a.Until = noon, noon.Add(time.Minute); return a }, nil, 260, 2},
		"until alone, measured by server_time": {func() lease.Answer {
			a := renewal
			a.HasLength, a.ServerTime, a.Until = false, noon, noon.Add(time.Minute)
			return a
		}, nil, 260, 2},
		"another client id's record is none of ours": {func() lease.Answer { return grant(300, 1) }, nil, 1300, 2},
	} {
		t.Run(name, func(t *testing.T) {
			client := "router"
			if name == "another client id's record is none of ours" {
				client = "other"
			}
			r, err := lease.Take(old, client, c.answer())
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.slot, r.Card.Bank.Slot)
			require.InDelta(t, float64(c.end), r.End.Seconds(), 0.3)
			require.GreaterOrEqual(t, float64(c.end), r.End.Seconds())
		})
	}
}

func TestCardWithoutLeaseHasNoEnd(t *testing.T) {
	r := take(t, lease.Record{}, lease.Answer{Asked: at(1), Card: card(2)})
	state, _ := lease.Judge(r, at(1<<30))
	require.Equal(t, lease.Free, state)
	state, _ = lease.Judge(r, lease.Clock{BootID: "b"})
	require.Equal(t, lease.Unproven, state, "after a reboot it only says which card to ask for")
	_, decided := lease.ProveBySystem(r, lease.Clock{BootID: "b", Wall: noon, Trusted: true})
	require.False(t, decided)
}

func TestReboot(t *testing.T) {
	a := grant(100, 1)
	a.ServerTime = noon.Add(time.Hour) // it is an hour ahead of us
	a.Asked.Wall, a.Asked.Trusted, a.Asked.Bound = noon, true, time.Second
	r := take(t, lease.Record{}, a)
	boot := lease.Clock{Boot: 20 * time.Second, BootID: "b", Wall: noon.Add(600 * time.Second)}
	state, _ := lease.Judge(r, boot)
	require.Equal(t, lease.Unproven, state)

	_, decided := lease.ProveBySystem(r, boot)
	require.False(t, decided, "nobody has said that the clock is right")
	boot.Trusted, boot.Bound = true, 3*time.Second
	proven, decided := lease.ProveBySystem(r, boot)
	require.True(t, decided)
	state, left := lease.Judge(proven, boot)
	require.Equal(t, lease.Held, state)
	require.InDelta(t, 396, left.Seconds(), 0.5, "both errors are taken off")

	boot.Wall = noon.Add(998 * time.Second)
	proven, decided = lease.ProveBySystem(r, boot)
	require.True(t, decided)
	state, _ = lease.Judge(proven, boot)
	require.Equal(t, lease.Ended, state, "within the errors of its end it is over")

	proven, decided = lease.ProveByServer(r, boot, 15*time.Second, noon.Add(time.Hour+600*time.Second))
	require.True(t, decided)
	state, left = lease.Judge(proven, boot)
	require.Equal(t, lease.Held, state)
	require.InDelta(t, 394, left.Seconds(), 0.5, "its answer may be as old as the question, and a second")

	proven, _ = lease.ProveByServer(r, boot, 15*time.Second, noon.Add(-24*time.Hour))
	_, left = lease.Judge(proven, boot)
	require.LessOrEqual(t, left, 1000*time.Second, "a clock that went back lengthens nothing")
}

func TestReleaseKeepsTheEpoch(t *testing.T) {
	r := lease.Release(take(t, lease.Record{}, grant(100, 9)))
	state, _ := lease.Judge(r, at(101))
	require.Equal(t, lease.Nothing, state)
	_, err := lease.Take(r, "router", grant(200, 8))
	require.ErrorIs(t, err, lease.ErrStale)
}

func TestWhatIsWorthAWrite(t *testing.T) {
	r := take(t, lease.Record{}, grant(100, 5))
	longer := take(t, r, lease.Answer{Asked: at(200), AskedEpoch: 5, HasLength: true, Length: 1000 * time.Second})
	require.False(t, lease.Worth(r, longer))
	require.True(t, lease.Worth(longer, r), "an end that comes earlier")
	require.True(t, lease.Worth(r, take(t, r, grant(300, 6))))
	require.True(t, lease.Worth(r, lease.Release(r)))
}
