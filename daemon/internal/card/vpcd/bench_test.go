package vpcd_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
)

// echo answers every command at once with 64 bytes and 9000, without a card.
type echo struct {
	front  *vpcd.Front
	up     chan struct{}
	answer [66]byte
}

func (e *echo) FrontUp(card.Front)             { close(e.up) }
func (e *echo) FrontDown(error)                {}
func (e *echo) Lines(card.Lines)               {}
func (e *echo) Command(id uint64, tpdu []byte) { _ = e.front.Answer(id, e.answer[:]) }

// runEcho has a front with an echo in the reader at device until the test ends.
func runEcho(tb testing.TB, device string) {
	tb.Helper()
	front, err := vpcd.New(device)
	require.NoError(tb, err)
	e := &echo{front: front, up: make(chan struct{}), answer: [66]byte{64: 0x90}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- front.Run(ctx, e) }()
	tb.Cleanup(func() {
		cancel()
		require.NoError(tb, <-ended)
	})
	<-e.up
	require.NoError(tb, front.Insert(card.ATR{0x3B, 0x00}))
}

// bareReader is the other end of the connection without a byte of garbage.
func bareReader(tb testing.TB) net.Conn {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	defer ln.Close()
	runEcho(tb, ln.Addr().String())
	c, err := ln.Accept()
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = c.Close() })
	_, err = c.Write([]byte{0, 1, 1})
	require.NoError(tb, err)
	return c
}

func TestNoAllocationPerCommand(t *testing.T) {
	c := bareReader(t)
	command := []byte{0, 5, 0x00, 0xB0, 0x00, 0x00, 0x40}
	answer := make([]byte, 2+66)
	got := testing.AllocsPerRun(1000, func() {
		if _, err := c.Write(command); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			t.Fatal(err)
		}
	})
	require.Zero(t, got)
}

// BenchmarkRoundTrip is READ BINARY of 64 bytes: reader, front, handler and back.
func BenchmarkRoundTrip(b *testing.B) {
	c := bareReader(b)
	command := []byte{0, 5, 0x00, 0xB0, 0x00, 0x00, 0x40}
	answer := make([]byte, 2+66)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(command); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReset is what delayed acknowledgements would make 40 ms long: two writes of
// pcscd's in a row, the second being held back until the first is acknowledged.
func BenchmarkReset(b *testing.B) {
	r, err := vpcdfake.Listen("127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { _ = r.Close() })
	runEcho(b, r.Addr())
	ctx := context.Background()
	_, err = r.WaitCard(ctx)
	require.NoError(b, err)
	_, err = r.PowerOn(ctx)
	require.NoError(b, err)
	for b.Loop() {
		if _, err := r.Reset(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
