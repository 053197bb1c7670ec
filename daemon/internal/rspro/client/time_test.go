package client_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
)

// Everything here runs in the time of testing/synctest: it moves only when all
// goroutines wait, so hours pass in no time and waits are exact.

// stage is a session whose peers are written out by hand.
type stage struct {
	*world
	begin time.Time
	dials []time.Duration // since begin
	at    chan *actor
}

// actor is the peer's end of a connection.
type actor struct {
	*played
	st *stage
}

// newStage runs a session with a bank of its own plan; every dial is answered by
// dial, or with a connection for which an actor is handed out.
func newStage(t *testing.T, ping time.Duration, refuse func(n int) error, change ...func(*client.Config)) *stage {
	st := &stage{world: &world{t: t, events: newFeed[model.Event](), ear: ear{newFeed[said]()}}, begin: time.Now(), at: make(chan *actor, 100)}
	st.run(model.SessionPlan{Online: true, Client: client1, Bank: &model.BankAssignment{Slot: slot0, By: "config",
		Endpoint: model.Endpoint{Host: "bank.example", Port: 9999, Ping: ping}}}, func(c *client.Config) {
		c.Jitter = func() float64 { return 0.5 }
		c.Dial = func(context.Context, model.Path, model.Purpose, string, string) (net.Conn, error) {
			st.dials = append(st.dials, time.Since(st.begin))
			if err := refuse(len(st.dials)); err != nil {
				return nil, err
			}
			ours, theirs := net.Pipe()
			st.at <- &actor{played: newPlayed(ours), st: st}
			return theirs, nil
		}
		for _, f := range change {
			f(c)
		}
	})
	return st
}

func never(int) error { return nil }

func (a *actor) say(m rspro.Message) {
	f, err := rspro.AppendFrame(nil, m)
	require.NoError(a.st.t, err)
	_, err = a.Write(f)
	require.NoError(a.st.t, err)
	synctest.Wait()
}

func (a *actor) ccm(msgType byte) {
	_, err := a.Write(rspro.AppendCCM(nil, msgType))
	require.NoError(a.st.t, err)
	synctest.Wait()
}

// accept plays the bank until the client has its card.
func (a *actor) accept() {
	a.say(&rspro.ConnectClientRes{Identity: rspro.ComponentIdentity{Type: rspro.RemsimBankd}})
	a.say(&rspro.SetATRReq{Slot: rspro.ClientSlot{ClientID: 1}, ATR: atr0})
}

// frames is what the client has sent since the last call.
func (a *actor) frames() (out [][]byte) {
	synctest.Wait()
	for {
		select {
		case f, ok := <-a.from:
			if !ok {
				return out
			}
			out = append(out, f)
		default:
			return out
		}
	}
}

// pinged counts the PINGs since the last call.
func (a *actor) pinged() (n int) {
	for _, f := range a.frames() {
		if f[2] == rspro.ProtoCCM && f[3] == rspro.Ping {
			n++
		}
	}
	return n
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestPingAtConnectThen30SecondsAfterEachPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 30*time.Second, never)
		defer st.stop()
		bank := <-st.at
		f := bank.frames()
		require.Len(t, f, 2)
		require.Equal(t, rspro.AppendCCM(nil, rspro.Ping), f[0], "PING first, then connectClientReq")
		bank.accept()
		for range 5 {
			pass(4 * time.Second)
			bank.ccm(rspro.Pong)
			pass(30*time.Second - time.Nanosecond)
			require.Zero(t, bank.pinged())
			pass(time.Nanosecond)
			require.Equal(t, 1, bank.pinged())
		}
		bank.ccm(rspro.Pong)
		bank.ccm(rspro.Pong) // nobody asked for it: ignored
		pass(29 * time.Second)
		require.Zero(t, bank.pinged())
		for range 50 { // its own PINGs are answered, and change nothing
			bank.ccm(rspro.Ping)
		}
		require.Zero(t, bank.pinged())
		pass(time.Second)
		require.Equal(t, 1, bank.pinged())
	})
}

func TestNoKeepAliveMeansNoByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 0, never)
		defer st.stop()
		bank := <-st.at
		require.Len(t, bank.frames(), 1, "connectClientReq alone")
		bank.accept()
		require.Len(t, bank.frames(), 1, "setAtrRes")
		pass(100 * time.Hour)
		require.Empty(t, bank.frames())
		require.Len(t, st.dials, 1)
	})
}

func TestMissingPongEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 30*time.Second, never)
		defer st.stop()
		bank := <-st.at
		require.Equal(t, 1, bank.pinged())
		bank.accept()
		bank.ccm(rspro.Pong)
		pass(30 * time.Second)
		require.Equal(t, 1, bank.pinged())
		pass(10*time.Second - time.Nanosecond)
		require.Len(t, st.dials, 1)
		pass(time.Nanosecond)
		f := st.fails(model.PeerBankd, model.PeerKeepAliveTimeout)
		require.Equal(t, "the bank did not answer PING for 10s", f.Reason)
		require.EqualError(t, st.ear.hears(t, "down").err, f.Reason)
	})
}

func TestSlowCardMayHoldUpThePong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 30*time.Second, never)
		defer st.stop()
		bank := <-st.at
		bank.accept()
		bank.ccm(rspro.Pong)
		b := st.up()
		pass(25 * time.Second)
		require.NoError(t, b.Send(command(1)))
		pass(45 * time.Second) // the PING went out at 30 s
		bank.say(&rspro.TpduCardToModem{FromBankSlot: rspro.BankSlot{BankID: 1}, ToClientSlot: rspro.ClientSlot{ClientID: 1}, Data: []byte{0x90, 0}})
		st.ear.hears(t, "response")
		pass(9 * time.Second)
		bank.ccm(rspro.Pong) // stood behind the command
		require.Len(t, st.dials, 1)

		// A command for ever is not a reason to wait for ever.
		require.NoError(t, b.Send(command(2)))
		pass(30*time.Second + 60*time.Second)
		st.fails(model.PeerBankd, model.PeerKeepAliveTimeout)
	})
}

func TestRegistrationThatIsNotAnsweredIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 30*time.Second, never)
		defer st.stop()
		bank := <-st.at
		bank.ccm(rspro.Pong) // it lives, and says nothing
		pass(5 * time.Second)
		bank.ccm(rspro.Ping)
		pass(5*time.Second - time.Nanosecond)
		require.Len(t, st.dials, 1)
		pass(time.Nanosecond)
		require.Equal(t, "the bank at bank.example:9999 did not answer connectClientReq for 10s", st.fails(model.PeerBankd, model.PeerConnectTimeout).Reason)
	})
}

func TestRetriesDoubleUpToHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 0, func(int) error { return syscall.ECONNREFUSED })
		defer st.stop()
		pass(10 * time.Minute)
		require.Greater(t, len(st.dials), 30)
		var waits []time.Duration
		for i, at := range st.dials[1:8] {
			waits = append(waits, at-st.dials[i])
		}
		half := func(s float64) time.Duration { return time.Duration(s * float64(time.Second) / 2) }
		require.Equal(t, []time.Duration{half(1), half(2), half(4), half(8), half(16), half(30), half(30)}, waits)
	})
}

func TestStableConnectionMakesTheNextRetryQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 0, func(n int) error {
			if n < 8 {
				return syscall.ECONNREFUSED
			}
			return nil
		})
		defer st.stop()
		lastWait := func() time.Duration {
			synctest.Wait()
			return st.dials[len(st.dials)-1] - st.dials[len(st.dials)-2]
		}
		bank := <-st.at
		bank.accept()
		pass(9 * time.Second)
		require.NoError(t, bank.Close())
		bank = <-st.at
		require.Equal(t, 9*time.Second+15*time.Second, lastWait(), "not stable yet")
		bank.accept()
		pass(10 * time.Second)
		require.NoError(t, bank.Close())
		bank = <-st.at
		require.Equal(t, 10*time.Second+500*time.Millisecond, lastWait())
		bank.accept()
		// An acceptance alone is not stability: a bank that throws us out each
		// time is not asked ten times a second.
		for want := time.Second; want <= 8*time.Second; want *= 2 {
			require.NoError(t, bank.Close())
			bank = <-st.at
			require.Equal(t, want, lastWait())
			bank.accept()
		}
	})
}

func TestBackOffEndsWhenTheServerSaysTheBankAgain(t *testing.T) {
	w := newWorld(t)
	w.bank.Remove(0)
	require.NoError(t, w.server.AddMap(slot0, client1))
	// A client may be sent to a bank that has not read of its map yet.
	w.awaitTrace("createMappingRes ok")
	w.run(w.byServer(), func(c *client.Config) { c.Jitter = func() float64 { return 1e6 } }) // for days
	w.fails(model.PeerBankd, model.PeerNoCard)
	w.bank.Insert(0, &softCard{atr: atr0})
	require.NoError(t, w.server.SendConfig(client1, slot0, net.IPv4(127, 0, 0, 1), w.bank.Port()))
	w.exchange(w.up(), 1)
}

func TestPeerThatTakesNoDataIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, events: newFeed[model.Event](), ear: ear{newFeed[said]()}}
		var ends []net.Conn
		w.run(model.SessionPlan{Online: true, Servers: []model.Endpoint{endpoint(1)}}, func(c *client.Config) {
			c.Dial = func(context.Context, model.Path, model.Purpose, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				ends = append(ends, ours) // and never read from
				return theirs, nil
			}
		})
		f := w.fails(model.PeerServer, model.PeerWriteTimeout)
		require.Equal(t, "the server took no data for more than 5s", f.Reason)
		w.stop()
		for _, e := range ends {
			require.NoError(t, e.Close())
		}
	})
}

func TestDialThatNeverReturnsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, events: newFeed[model.Event](), ear: ear{newFeed[said]()}}
		begin := time.Now()
		w.run(model.SessionPlan{Online: true, Servers: []model.Endpoint{endpoint(1)}}, func(c *client.Config) {
			c.Dial = func(ctx context.Context, _ model.Path, _ model.Purpose, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		f := w.fails(model.PeerServer, model.PeerConnectTimeout)
		require.Equal(t, "connect to 127.0.0.1:1: no answer for 10s", f.Reason)
		require.Equal(t, 10*time.Second, time.Since(begin))
		w.stop()
	})
}

func TestATRBeforeTheAcceptanceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 0, never)
		defer st.stop()
		bank := <-st.at
		bank.say(&rspro.SetATRReq{Slot: rspro.ClientSlot{ClientID: 1}, ATR: atr0})
		require.Empty(t, st.ear.all())
		bank.say(&rspro.ConnectClientRes{Identity: rspro.ComponentIdentity{Type: rspro.RemsimBankd}})
		st.up()
		bank.say(&rspro.SetATRReq{Slot: rspro.ClientSlot{ClientID: 1}, ATR: []byte{0x3b, 1, 2}})
		require.Equal(t, []byte{0x3b, 1, 2}, st.ear.hears(t, "atr").data, "a later one counts too")
	})
}

func TestIdentityIsGivenWhenAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 0, never)
		defer st.stop()
		bank := <-st.at
		bank.accept()
		bank.frames()
		_, err := bank.Write([]byte{0, 3, rspro.ProtoCCM, rspro.IDGet, 1, 8})
		require.NoError(t, err)
		f := bank.frames()
		require.Len(t, f, 2, "ID_RESP and ID_ACK")
		require.Equal(t, []byte{0, 1, rspro.ProtoCCM, rspro.IDResp}, f[0][:4])
		require.Equal(t, rspro.AppendCCM(nil, rspro.IDAck), f[1])
		for _, unknown := range []byte{rspro.IDAck, rspro.IDResp, 0x55} {
			bank.ccm(unknown)
		}
		require.Empty(t, bank.frames())
		require.Len(t, st.dials, 1)
	})
}
