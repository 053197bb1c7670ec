package client_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
)

// modem sends numbered commands, one at a time, as long as there is a bank, and
// writes down which of them were answered.
type modem struct {
	mu       sync.Mutex
	bank     card.Bank
	number   uint32
	pending  bool
	answered map[uint32]bool
	lost     map[uint32]bool // no answer before the bank went: may or may not have run
	wrong    []string
	ups      int
}

func (m *modem) BankUp(b card.Bank) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bank, m.ups = b, m.ups+1
	m.send()
}

func (m *modem) ATR(card.Bank, []byte) {}

// send gives the next command. Call with the lock held.
func (m *modem) send() {
	m.number++
	m.pending = true
	if m.bank.Send(command(binary.BigEndian.AppendUint32(nil, m.number)...)) != nil {
		m.lost[m.number], m.pending = true, false
	}
}

func (m *modem) Response(b card.Bank, r []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	want := append(binary.BigEndian.AppendUint32(nil, m.number), 0x90, 0)
	if b != m.bank || !m.pending || !bytes.Equal(r, want) {
		m.wrong = append(m.wrong, "an answer that belongs to no command")
	}
	m.answered[m.number], m.pending = true, false
	m.send()
}

func (m *modem) BankDown(b card.Bank, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b != m.bank {
		m.wrong = append(m.wrong, "the end of a bank that had ended")
	}
	if m.pending {
		m.lost[m.number], m.pending = true, false
	}
	m.bank = nil
}

func (m *modem) answers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.answered)
}

// TestRestartStorm restarts server and bank under traffic and makes the bank
// misbehave. In the end everything is connected, every command has run at most
// once, every answer was that of its command, and no command that was answered
// did not run.
func TestRestartStorm(t *testing.T) {
	w := newWorld(t)
	m := &modem{answered: map[uint32]bool{}, lost: map[uint32]bool{}}
	require.NoError(t, w.server.AddMap(slot0, client1))
	w.run(w.byServer(), func(c *client.Config) { c.Bank = m })
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		before := m.answers()
		require.Eventually(t, func() bool { return m.answers() > before+5 }, patience, time.Millisecond, "traffic goes on")
		switch rnd.IntN(7) {
		case 0:
			require.NoError(t, w.server.Restart())
			require.Eventually(t, func() bool { return w.server.AddMap(slot0, client1) == nil }, patience, time.Millisecond)
		case 1:
			require.NoError(t, w.bank.Restart())
		case 2:
			w.bank.Cut(true)
		case 3:
			w.server.Cut(rnd.IntN(2) == 0)
		case 4:
			w.bank.Inject(rsprofake.CutAfter, rsprofake.CutBefore, rsprofake.ResetAfter)
		case 5:
			w.bank.Inject(rsprofake.Duplicate, rsprofake.WrongSlot, rsprofake.BadBER)
		case 6:
			w.bank.Inject(rsprofake.Dribble, rsprofake.HTTP)
		}
	}
	before := m.answers()
	require.Eventually(t, func() bool { return m.answers() > before+50 }, patience, time.Millisecond)
	w.stop()

	m.mu.Lock()
	defer m.mu.Unlock()
	require.Empty(t, m.wrong)
	require.Greater(t, m.ups, 5)
	ran := map[uint32]int{}
	for _, e := range w.bank.Log() {
		if e.Kind == "tpdu" && e.Answer != nil {
			ran[binary.BigEndian.Uint32(e.Command[5:])]++
		}
	}
	for n := uint32(1); n <= m.number; n++ {
		require.False(t, m.answered[n] && m.lost[n], "command %d has two fates", n)
		require.True(t, m.answered[n] || m.lost[n], "command %d has no fate", n)
		require.LessOrEqual(t, ran[n], 1, "command %d ran more than once", n)
		require.True(t, !m.answered[n] || ran[n] == 1, "command %d was answered and did not run", n)
	}
	require.Empty(t, w.server.Wrongs())
	require.Empty(t, w.bank.Wrongs())
}

// echoBank is a bank with no work to do: it answers every command from the
// socket alone.
func echoBank(b testing.TB, answer []byte) (addr string, done func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := rspro.NewReader(c)
		accept, err := rspro.AppendFrame(nil, &rspro.ConnectClientRes{Identity: rspro.ComponentIdentity{Type: rspro.RemsimBankd}})
		if _, err2 := r.Next(); err != nil || err2 != nil {
			return
		}
		_, _ = c.Write(accept)
		for {
			if _, err := r.Next(); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	return l.Addr().String(), func() { _ = l.Close(); wg.Wait() }
}

// waker tells that an answer has come.
type waker struct {
	up  chan card.Bank
	got chan struct{}
}

func (w *waker) BankUp(b card.Bank)         { w.up <- b }
func (w *waker) ATR(card.Bank, []byte)      {}
func (w *waker) Response(card.Bank, []byte) { w.got <- struct{}{} }
func (w *waker) BankDown(card.Bank, error)  {}

func answer64(tb testing.TB) []byte {
	f, err := rspro.AppendTpduCardToModem(nil, rspro.BankSlot{BankID: 1}, rspro.ClientSlot{ClientID: 1}, make([]byte, 66))
	require.NoError(tb, err)
	return f
}

// BenchmarkRoundTrip is Send until Response against a bank on loopback that does
// nothing, from a goroutine that waits for each answer.
func BenchmarkRoundTrip(b *testing.B) {
	addr, done := echoBank(b, answer64(b))
	defer done()
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	require.NoError(b, err)
	w := &world{t: b, events: newFeed[model.Event]()}
	wake := &waker{up: make(chan card.Bank, 1), got: make(chan struct{}, 1)}
	w.run(model.SessionPlan{Online: true, Client: client1, Bank: &model.BankAssignment{Slot: slot0, Endpoint: model.Endpoint{Host: "127.0.0.1", Port: uint16(tcp.Port)}}},
		func(c *client.Config) { c.Bank = wake })
	bank := <-wake.up
	tpdu := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if err := bank.Send(tpdu); err != nil {
			b.Fatal(err)
		}
		<-wake.got
	}
	b.StopTimer()
	w.stop()
}

// BenchmarkRawEcho is the same bytes over the same kind of socket without a
// client: what loopback itself costs, with the reader in a goroutine of its own
// as the client's is.
func BenchmarkRawEcho(b *testing.B) {
	addr, done := echoBank(b, answer64(b))
	defer done()
	c, err := net.Dial("tcp", addr)
	require.NoError(b, err)
	frame, err := rspro.AppendTpduModemToCard(nil, rspro.ClientSlot{ClientID: 1}, rspro.BankSlot{BankID: 1}, make([]byte, 64))
	require.NoError(b, err)
	_, err = c.Write(frame) // stands for the registration
	require.NoError(b, err)
	got := make(chan struct{}, 1)
	var reader sync.WaitGroup
	reader.Go(func() {
		in := rspro.NewReader(c)
		for {
			if _, err := in.Next(); err != nil {
				return
			}
			got <- struct{}{}
		}
	})
	<-got
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(frame); err != nil {
			b.Fatal(err)
		}
		<-got
	}
	b.StopTimer()
	require.NoError(b, c.Close())
	reader.Wait()
}

// TestSendingAndReceivingDoNotAllocate holds for the whole path of a TPDU.
func TestSendingAndReceivingDoNotAllocate(t *testing.T) {
	addr, done := echoBank(t, answer64(t))
	defer done()
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	require.NoError(t, err)
	w := &world{t: t, events: newFeed[model.Event]()}
	wake := &waker{up: make(chan card.Bank, 1), got: make(chan struct{}, 1)}
	w.run(model.SessionPlan{Online: true, Client: client1, Bank: &model.BankAssignment{Slot: slot0, Endpoint: model.Endpoint{Host: "127.0.0.1", Port: uint16(tcp.Port)}}},
		func(c *client.Config) { c.Bank = wake })
	bank := <-wake.up
	tpdu := make([]byte, 64)
	rounds := 0
	require.Zero(t, testing.AllocsPerRun(500, func() {
		if bank.Send(tpdu) == nil {
			<-wake.got
			rounds++
		}
	}))
	require.Equal(t, 501, rounds, "and every one was answered")
	w.stop()
	require.ErrorContains(t, bank.Send(tpdu), "closed")
}
