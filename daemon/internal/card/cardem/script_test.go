package cardem_test

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
)

// script is a bus with one device whose every message a test writes. It answers the
// greeting by itself.
type script struct {
	in      chan scripted
	out     chan []byte
	closed  chan struct{}
	down    atomic.Bool
	greeted bool
}

type scripted struct {
	pipe cardem.Pipe
	b    []byte
}

func newScript() *script {
	return &script{in: make(chan scripted, 64), out: make(chan []byte, 64), closed: make(chan struct{})}
}

func (s *script) Discover() []cardem.Found {
	b, _ := cardem.BoardOf(0x1d50, 0x60e3)
	return []cardem.Found{{Path: "1-1", Board: b}}
}

func (s *script) Open(cardem.Found) (cardem.Link, error) { return s, nil }

func (s *script) Out(b []byte) error {
	if m, _, err := cardem.ParseMessage(b); err == nil && !s.greeted {
		switch m.Type {
		case cardem.TypeConfig:
			s.in <- scripted{cardem.PipeIn, cardem.AppendConfig(nil, cardem.Config{})}
		case cardem.TypeStatus:
			s.in <- scripted{cardem.PipeIn, cardem.AppendStatus(nil, cardem.Status{Flags: cardem.StatusReset})}
			s.greeted = true
		}
	}
	s.out <- append([]byte(nil), b...)
	return nil
}

func (s *script) Recv() (cardem.Pipe, []byte, error) {
	select {
	case m := <-s.in:
		return m.pipe, m.b, nil
	case <-s.closed:
		return 0, nil, os.ErrClosed
	}
}

func (s *script) SetDeadline(time.Time) error { return nil }

func (s *script) Close() error {
	if !s.down.Swap(true) {
		close(s.closed)
	}
	return nil
}

// next is the next message to the device.
func (s *script) next(t *testing.T) []byte {
	t.Helper()
	select {
	case b := <-s.out:
		return b
	case <-time.After(patience):
		require.FailNow(t, "the host sends nothing")
		return nil
	}
}

// scriptedDesk has a front with a card in it on a script.
func scriptedDesk(t *testing.T, atr card.ATR) (*script, *desk) {
	s := newScript()
	front, err := cardem.NewOn(s, "")
	require.NoError(t, err)
	d := newDesk(front)
	d.Hold(true)
	d.run(t)
	t.Cleanup(func() { d.stop(t) })
	require.NoError(t, front.Insert(atr))
	for range 7 {
		s.next(t) // two queries; ATR, configuration, slot, query, pin
	}
	return s, d
}

var recorded = regexp.MustCompile(`^\+[0-9.]+ (host->dev|dev->host) ep=0x(..) ([0-9a-f]+) `)

// TestRecordedSession plays what osmo-remsim-client-st2 and a device said to each
// other. Where the modem speaks T=0, our messages are the same, byte for byte.
func TestRecordedSession(t *testing.T) {
	raw, err := os.ReadFile("testdata/20_st2_usb.usb.txt")
	require.NoError(t, err)
	type line struct {
		toDevice bool
		scripted
	}
	var lines []line
	for _, text := range strings.Split(string(raw), "\n") {
		m := recorded.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		b, err := hex.DecodeString(m[3])
		require.NoError(t, err)
		pipe := cardem.PipeIn
		if m[2] == "86" {
			pipe = cardem.PipeIRQ
		}
		lines = append(lines, line{m[1] == "host->dev", scripted{pipe, b}})
	}
	s, d := scriptedDesk(t, card.ATR{0x3B, 0x00})
	commands := 0
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		m, _, err := cardem.ParseMessage(l.b)
		require.NoError(t, err)
		switch {
		case !l.toDevice && m.Type == cardem.TypeConfig:
			continue // ours was another moment
		case !l.toDevice:
			s.in <- l.scripted
		case m.Type != cardem.TypeTxData || m.Class != cardem.ClassCardem:
			continue // insertion and removal have an order of our own
		default:
			data, err := cardem.ParseData(m.Payload)
			require.NoError(t, err)
			if data.Flags == cardem.FlagPBAndRx {
				require.Equal(t, l.b, s.next(t))
				continue
			}
			h := d.nextHeld(t)
			commands++
			response := data.Bytes
			if data.Flags&cardem.FlagFinal == 0 {
				i++
				sw, _, err := cardem.ParseMessage(lines[i].b)
				require.NoError(t, err)
				last, err := cardem.ParseData(sw.Payload)
				require.NoError(t, err)
				response = append(append([]byte{}, data.Bytes[1:]...), last.Bytes...)
			}
			require.NoError(t, d.front.Answer(h.ID, response))
			require.Equal(t, l.b, s.next(t))
			if data.Flags&cardem.FlagFinal == 0 {
				require.Equal(t, lines[i].b, s.next(t))
			}
		}
	}
	require.Greater(t, commands, 15)
	require.EqualValues(t, 1, d.front.Stats().Selections)
	require.Zero(t, d.front.Stats().Malformed)
	require.Zero(t, d.front.Stats().LostEdges)
}

func TestStrangeMessages(t *testing.T) {
	s, d := scriptedDesk(t, card.ATR{0x3B, 0x00})
	irq := func(flags uint32) {
		s.in <- scripted{cardem.PipeIRQ, cardem.AppendStatus(nil, cardem.Status{Flags: flags})}
	}
	in := func(b []byte) { s.in <- scripted{cardem.PipeIn, b} }
	for _, flags := range []uint32{0x11, 0x13, 0x03} {
		irq(flags)
	}
	header := func(b ...byte) []byte { return cardem.AppendRxData(nil, cardem.FlagHeader, b) }
	silence := cardem.AppendTxData(nil, cardem.FlagPBAndRx, []byte{0x60})
	ack := cardem.AppendTxData(nil, cardem.FlagPBAndRx, []byte{0xD6})

	// Two messages in a transfer: the C client would lose the second.
	in(append(cardem.AppendPTS(nil, cardem.PTS{Len: 3}), header(0, 0xB0, 0, 0, 1)...))
	h := d.nextHeld(t)
	require.Equal(t, []byte{0, 0xB0, 0, 0, 1}, h.TPDU)
	require.NoError(t, d.front.Answer(h.ID, []byte{7, 0x90, 0}))
	require.Equal(t, cardem.AppendTxData(nil, cardem.FlagPBAndTx, []byte{0xB0}, 7), s.next(t))
	require.Equal(t, cardem.AppendTxData(nil, cardem.FlagPBAndTx|cardem.FlagFinal, []byte{0x90, 0}), s.next(t))

	// A body longer than announced, and one that ends early, are no commands.
	for _, body := range [][]byte{{1, 2, 3}, {1}} {
		in(header(0, 0xD6, 0, 0, 2))
		require.Equal(t, ack, s.next(t))
		in(cardem.AppendRxData(nil, cardem.FlagFinal, body))
		require.Equal(t, silence, s.next(t))
		irq(0x13)
		irq(0x03)
	}
	// A body that nobody asked for, a header that is none, half a message, another
	// class, a type that is not known, an empty error message.
	in(cardem.AppendRxData(nil, cardem.FlagFinal, []byte{1, 2}))
	in(header(1, 2, 3))
	in(header(0, 0xB0, 0, 0, 1)[:9])
	in([]byte{3, 0, 0, 0, 0, 0, 8, 0, 1, 99, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0})
	in([]byte{1, 4, 0, 0, 0, 0, 8, 0})
	in(header(0, 0xB0, 0, 0, 2))
	require.Equal(t, []byte{0, 0xB0, 0, 0, 2}, d.nextHeld(t).TPDU)
	st := d.front.Stats()
	require.EqualValues(t, 5, st.Malformed)
	require.EqualValues(t, 2, st.Muted)
	require.EqualValues(t, 2, st.Commands)

	// The modem gave up without our seeing its reset: a new header proves it.
	in(header(0, 0xD6, 0, 0, 1))
	require.Equal(t, ack, s.next(t))
	require.EqualValues(t, 1, d.front.Stats().LostEdges)
}
