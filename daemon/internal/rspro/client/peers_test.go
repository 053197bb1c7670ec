package client_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
)

// What peers answer, send wrongly, or remember.

func TestIdentityInUse(t *testing.T) {
	w := newWorld(t)
	w.server.Refuse(rspro.ResultIdentityInUse)
	w.run(w.byServer())
	f := w.fails(model.PeerServer, model.PeerIdentityInUse)
	require.Equal(t, model.ConnRefused, f.State)
	require.Equal(t, "the server says that another client is connected as C1:0 (identityInUse)", f.Reason)
	w.server.Refuse(rspro.ResultOK)
	w.peer(model.PeerServer, model.ConnConnected)
}

func TestResultsThatNobodyKnowsAreRetried(t *testing.T) {
	w := newWorld(t)
	w.server.Refuse(77)
	w.run(w.byServer())
	f := w.fails(model.PeerServer, model.PeerRefused)
	require.Equal(t, "the server refused C1:0: result 77", f.Reason)
	w.server.Refuse(rspro.ResultUnsupportedProtocolVersion)
	w.fails(model.PeerServer, model.PeerRefused)
	w.server.Refuse(rspro.ResultOK)
	w.peer(model.PeerServer, model.ConnConnected)
}

func TestCardComesBack(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	w.bank.Remove(0)
	require.NoError(t, b.Send(command(1)))
	require.Equal(t, "the bank closed the connection", w.ear.hears(t, "down").err.Error())
	f := w.fails(model.PeerBankd, model.PeerNoCard)
	require.Equal(t, model.ConnRefused, f.State)
	w.bank.Insert(0, &softCard{atr: atr0})
	w.exchange(w.up(), 1)
}

func TestWrongPeerType(t *testing.T) {
	w := newWorld(t)
	w.server.Claim(rspro.RemsimBankd)
	w.run(w.byServer())
	f := w.fails(model.PeerServer, model.PeerWrongType)
	require.Equal(t, "the server at "+w.server.Addr()+" says that it is a remsimBankd (remsim-server), expected remsimServer: check host and port", f.Reason)
	w.server.Claim(rspro.RemsimServer)
	w.peer(model.PeerServer, model.ConnConnected)
}

func TestPeersThatSpeakSomethingElse(t *testing.T) {
	w := newWorld(t)
	w.server.GreetHTTP(true)
	require.NoError(t, w.server.AddMap(slot0, client1))
	w.run(w.byServer())
	f := w.fails(model.PeerServer, model.PeerGarbage)
	require.Contains(t, f.Reason, "the peer speaks HTTP")
	require.Contains(t, f.Reason, "at byte 0")
	w.bank.GreetHTTP(true)
	w.server.GreetHTTP(false)
	w.fails(model.PeerBankd, model.PeerGarbage)
	w.bank.GreetHTTP(false)
	b := w.up()

	require.NoError(t, w.server.SendBadBER(client1))
	f = w.fails(model.PeerServer, model.PeerMalformed)
	require.Equal(t, "the server sent a malformed message: RSPRO version at byte 2: value of 9 bytes runs past the end of the element around it (byte 7)", f.Reason)
	w.peer(model.PeerServer, model.ConnConnected)
	require.NoError(t, w.server.SendRaw(client1, []byte{0, 0, 0xfe, 0, 0, 0xee, 0, 1, 0xfe, 0}))
	require.Eventually(t, func() bool {
		_, err := w.ses.Ping(t.Context(), model.PeerServer)
		return err == nil
	}, patience, time.Millisecond, "frames of length zero are passed over")
	w.exchange(b, 1)
}

func TestAnswersThatDoNotFitDropTheBankUndelivered(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	for _, c := range []struct {
		fault      rsprofake.Fault
		code, text string
	}{
		{rsprofake.Duplicate, model.PeerOutOfStep, "the bank sent two answers to one command"},
		{rsprofake.WrongOrder, model.PeerOutOfStep, "the bank sent two answers to one command"},
		{rsprofake.WrongSlot, model.PeerOutOfStep, "the bank sent an answer of B1:0 to C2:0; this is B1:0 and C1:0"},
		{rsprofake.ShortAnswer, model.PeerMalformed, "the bank sent an answer of 1 bytes, a card's has 2 to 258"},
		{rsprofake.LongAnswer, model.PeerMalformed, "the bank sent an answer of 259 bytes, a card's has 2 to 258"},
		{rsprofake.BadBER, model.PeerMalformed, "the bank sent a malformed message: RSPRO version at byte 2: value of 9 bytes runs past the end of the element around it (byte 7)"},
		{rsprofake.HTTP, model.PeerGarbage, ""},
		{rsprofake.CutBefore, model.PeerClosed, "the bank closed the connection"},
		{rsprofake.CutAfter, model.PeerClosed, "the bank closed the connection"},
		{rsprofake.ResetAfter, model.PeerClosed, "the bank reset the connection"},
	} {
		w.bank.Inject(c.fault)
		require.NoError(t, b.Send(command(byte(c.fault))))
		next := w.ear.await(t, "the end of the bank", func(s said) bool { return s.what == "response" || s.what == "down" })
		require.Equal(t, "down", next.what, "fault %d: nothing is delivered", c.fault)
		require.Same(t, b, next.bank)
		if c.text != "" {
			require.EqualError(t, next.err, c.text)
		}
		w.fails(model.PeerBankd, c.code)
		b = w.up()
		w.exchange(b, 0xaa)
	}
}

func TestAnswerToNothingDropsTheBank(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	w.bank.Inject(rsprofake.Extra)
	require.NoError(t, b.Send(command(1)))
	// The second answer comes by itself: whether both are there at once is up
	// to the network, that the bank is dropped is not.
	w.ear.hears(t, "down")
	w.fails(model.PeerBankd, model.PeerOutOfStep)
	w.exchange(w.up(), 1)
}

func TestAnswersInPiecesAndLateAreTaken(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	w.bank.Inject(rsprofake.Dribble)
	w.exchange(b, 1, 2, 3, 4, 5)
	w.bank.Delay(50 * time.Millisecond)
	w.exchange(b, 6)
	// Commands one behind the other are answered in order.
	w.bank.Delay(0)
	for i := range 20 {
		require.NoError(t, b.Send(command(byte(i))))
	}
	for i := range 20 {
		require.Equal(t, []byte{byte(i), 0x90, 0}, w.ear.hears(t, "response").data)
	}
}

func TestCommandsThatTheBankWouldCloseForAreNotSent(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	require.EqualError(t, b.Send([]byte{0, 1, 2, 3}), "send command to the bank: 4 bytes, 5 to 260 are possible")
	require.Error(t, b.Send(make([]byte, 261)))
	long := make([]byte, 255)
	w.exchange(b, long...)
	require.Empty(t, w.bank.Wrongs())
}

func TestResetsReachTheCardWhateverTheBankRemembers(t *testing.T) {
	w := newWorld(t)
	on := card.Lines{Powered: true, Clock: true}
	kinds := func() (out []string) {
		for _, e := range w.bank.Log() {
			if e.Kind != "tpdu" {
				out = append(out, e.Kind)
			}
		}
		return out
	}
	b := w.connect()
	// Power on, as every modem starts, is no reset.
	require.NoError(t, b.Lines(card.Lines{Powered: true, Reset: false, Clock: true}))
	require.NoError(t, b.Lines(on))
	w.exchange(b, 1)
	require.Equal(t, []string{"power-on"}, kinds())

	require.NoError(t, b.Lines(card.Lines{}))                           // off
	require.NoError(t, b.Lines(card.Lines{Powered: true, Reset: true})) // on, reset still held: no second reset
	require.NoError(t, b.Lines(on))
	w.exchange(b, 2)
	require.Equal(t, []string{"power-on", "cold-reset"}, kinds())

	require.NoError(t, b.Lines(card.Lines{Powered: true, Reset: true, Clock: true}))
	require.NoError(t, b.Lines(on))
	require.NoError(t, b.Lines(card.Lines{Powered: true, Reset: true, Clock: true}))
	w.exchange(b, 3)
	require.Equal(t, []string{"power-on", "cold-reset", "warm-reset", "warm-reset"}, kinds())

	// The next client of the same worker: the bank still thinks that reset is
	// held. There are four workers; each has its own memory.
	for i := range 5 {
		b.Drop(errors.New("test"))
		b = w.up()
		before := len(kinds())
		require.NoError(t, b.Lines(card.Lines{}))
		w.exchange(b, byte(i))
		require.Equal(t, []string{"cold-reset"}, kinds()[before:])
	}
}

func TestDropGivesTheReasonAndConnectsAnew(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	w.bank.Inject(rsprofake.CutAfter)
	reason := errors.New("no answer for 10 s")
	b.Drop(reason)
	down := w.ear.hears(t, "down")
	require.ErrorIs(t, down.err, reason)
	ev := w.peer(model.PeerBankd, model.ConnBackoff)
	require.Equal(t, "no answer for 10 s", ev.Reason)
	require.NotSame(t, b, w.up())
	w.awaitTrace("ends: EOF") // FIN, not RST
}
