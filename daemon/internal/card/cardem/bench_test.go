package cardem_test

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
)

// wire is a device that allocates nothing: it greets, and then it hands over the
// messages that are in the ring.
type wire struct {
	*script
	turn     chan []byte
	answered chan int
	started  atomic.Bool
}

func (w *wire) Open(cardem.Found) (cardem.Link, error) { return w, nil }

func (w *wire) Out(b []byte) error {
	if !w.started.Load() {
		return w.script.Out(b)
	}
	w.answered <- len(b)
	return nil
}

func (w *wire) Recv() (cardem.Pipe, []byte, error) {
	select {
	case m := <-w.in:
		return m.pipe, m.b, nil
	case b := <-w.turn:
		return cardem.PipeIn, b, nil
	case <-w.closed:
		return 0, nil, os.ErrClosed
	}
}

// echo answers every command at once with 64 bytes and 9000, or with 9000.
type echo struct {
	front  *cardem.Front
	up     chan struct{}
	reset  chan struct{}
	answer [66]byte
}

func (e *echo) FrontUp(card.Front) { close(e.up) }
func (e *echo) FrontDown(error)    {}
func (e *echo) Lines(l card.Lines) {
	if l == on {
		close(e.reset)
	}
}

func (e *echo) Command(id uint64, tpdu []byte) {
	answer := e.answer[:]
	if card.BodyLen(tpdu) > 0 {
		answer = answer[64:]
	}
	_ = e.front.Answer(id, answer)
}

// startWire has a front with an echo on a wire until the test ends.
func startWire(tb testing.TB) *wire {
	tb.Helper()
	w := &wire{script: newScript(), turn: make(chan []byte), answered: make(chan int, 4)}
	front, err := cardem.NewOn(w, "")
	require.NoError(tb, err)
	e := &echo{front: front, up: make(chan struct{}), reset: make(chan struct{}), answer: [66]byte{64: 0x90}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- front.Run(ctx, e) }()
	tb.Cleanup(func() {
		cancel()
		require.NoError(tb, <-ended)
	})
	<-e.up
	require.NoError(tb, front.Insert(card.ATR{0x3B, 0x00}))
	for _, flags := range []uint32{0x11, 0x13, 0x03} {
		w.in <- scripted{cardem.PipeIRQ, cardem.AppendStatus(nil, cardem.Status{Flags: flags})}
	}
	<-e.reset
	w.started.Store(true)
	return w
}

var (
	readBinary  = cardem.AppendRxData(nil, cardem.FlagHeader, []byte{0, 0xB0, 0, 0, 64})
	selectFile  = cardem.AppendRxData(nil, cardem.FlagHeader, []byte{0, 0xA4, 0, 4, 2})
	selectBody  = cardem.AppendRxData(nil, cardem.FlagFinal, []byte{0x3F, 0x00})
	answerBytes = []int{8 + 6 + 65, 8 + 6 + 2}
)

// read is READ BINARY of 64 bytes; choose is SELECT with its body.
func (w *wire) read() bool {
	w.turn <- readBinary
	return <-w.answered == answerBytes[0] && <-w.answered == answerBytes[1]
}

func (w *wire) choose() bool {
	w.turn <- selectFile
	if <-w.answered != 8+6+1 {
		return false
	}
	w.turn <- selectBody
	return <-w.answered == answerBytes[1]
}

func TestNoAllocationPerCommand(t *testing.T) {
	w := startWire(t)
	for name, exchange := range map[string]func() bool{"READ BINARY": w.read, "SELECT": w.choose} {
		got := testing.AllocsPerRun(1000, func() {
			if !exchange() {
				t.Fatal("a wrong answer")
			}
		})
		require.Zero(t, got, name)
	}
}

// BenchmarkCommand is what the front adds to a command: device, front, handler and back.
func BenchmarkCommand(b *testing.B) {
	for _, x := range []struct {
		name     string
		exchange func(*wire) bool
	}{{"ReadBinary64", (*wire).read}, {"Select", (*wire).choose}} {
		b.Run(x.name, func(b *testing.B) {
			w := startWire(b)
			b.ReportAllocs()
			for b.Loop() {
				if !x.exchange(w) {
					b.Fatal("a wrong answer")
				}
			}
		})
	}
}

// TestExchangeOnKernel times commands through the kernel's USB.
func TestExchangeOnKernel(t *testing.T) {
	needVHCI(t)
	r := kernelRig(t, "", false)
	serve(t, r.front(t))
	powerOn(t, r)
	const times = 300
	var worst time.Duration
	start := time.Now()
	for range times {
		one := time.Now()
		require.Equal(t, "9000", send(t, r, selectMF))
		worst = max(worst, time.Since(one))
	}
	t.Logf("%d SELECT with a body through usbfs: mean %v, worst %v", times, time.Since(start)/times, worst)
}
