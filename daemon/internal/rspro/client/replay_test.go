package client_test

import (
	"context"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
)

// step is one line of a transcript of the real programs.
type step struct {
	line int
	at   time.Duration
	conn string
	what string // "syn", "fin", "send" (to the client), "expect" (from it)
	port string // of a syn
	data []byte
}

var (
	frameLine = regexp.MustCompile(`^\+([\d.]+) (c\d+)  (\S+) (->|<-) (\S+) ([0-9a-f]+)$`)
	tcpLine   = regexp.MustCompile(`^\+([\d.]+) (c\d+)  TCP (SYN|FIN|RST)\s+(.*)$`)
)

// transcript reads what concerns the client: the connections on which it said who
// it is.
func transcript(t *testing.T, path string) []step {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var steps []step
	ours := map[string]bool{}
	for i, line := range strings.Split(string(b), "\n") {
		if m := frameLine.FindStringSubmatch(line); m != nil {
			ours[m[2]] = ours[m[2]] || m[3] == "client"
			what := "expect"
			if m[4] == "<-" {
				what = "send"
			}
			data, err := hex.DecodeString(m[6])
			require.NoError(t, err)
			steps = append(steps, step{line: i + 1, at: seconds(t, m[1]), conn: m[2], what: what, data: data})
		}
		if m := tcpLine.FindStringSubmatch(line); m != nil && m[3] != "RST" {
			s := step{line: i + 1, at: seconds(t, m[1]), conn: m[2], what: strings.ToLower(m[3])}
			if s.what == "syn" {
				s.port = strings.Fields(m[4][strings.Index(m[4], "127.0.0.1:"):])[2]
				s.port = s.port[strings.Index(s.port, ":")+1:]
			} else if m[4] == "by client" {
				s.what = "fin of client"
			}
			steps = append(steps, s)
		}
	}
	var mine []step
	for _, s := range steps {
		if ours[s.conn] {
			mine = append(mine, s)
		}
	}
	require.NotEmpty(t, mine)
	return mine
}

func seconds(t *testing.T, s string) time.Duration {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	require.NoError(t, err)
	return time.Duration(f * float64(time.Second))
}

// played is the real peer's end of one connection.
type played struct {
	net.Conn
	from  chan []byte // frames that the client sent
	pings int         // PINGs of the peer without PONG
}

// TestSessionsOfTheRealPrograms plays the server and the bank of the transcripts,
// to the microsecond, and wants from our client what the real one sent. Where
// ours is told to differ (section 12 of the facts) the comments say how.
func TestSessionsOfTheRealPrograms(t *testing.T) {
	files, err := filepath.Glob("testdata/0*.txt")
	require.NoError(t, err)
	require.Len(t, files, 6)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			steps := transcript(t, path)
			synctest.Test(t, func(t *testing.T) { play(t, steps) })
		})
	}
}

// clientOf is the identity that the transcript's client registered with.
func clientOf(t *testing.T, steps []step) model.ClientSlot {
	for _, s := range steps {
		if s.what != "expect" || s.data[2] != rspro.ProtoOSMO {
			continue
		}
		var p rspro.PDU
		_, err := p.Decode(s.data[4:])
		require.NoError(t, err)
		c := p.Msg.(*rspro.ConnectClientReq).ClientSlot
		return model.ClientSlot{ID: uint16(c.ClientID), Slot: uint16(c.SlotNr)}
	}
	return model.ClientSlot{}
}

func play(t *testing.T, steps []step) {
	offers := map[string]chan net.Conn{"9998": make(chan net.Conn), "9999": make(chan net.Conn)}
	w := &world{t: t, events: newFeed[model.Event](), ear: ear{newFeed[said]()}}
	w.run(model.SessionPlan{Online: true, Client: clientOf(t, steps), BankDefaults: model.Endpoint{Ping: 30 * time.Second},
		Servers: []model.Endpoint{endpoint(9998)}}, func(c *client.Config) {
		c.Hostname, c.Version = "vm", "1.2.0.rig"
		c.Dial = func(ctx context.Context, _ model.Path, _ model.Purpose, _, address string) (net.Conn, error) {
			select {
			case nc := <-offers[address[strings.Index(address, ":")+1:]]:
				return nc, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	})
	conns := map[string]*played{}
	base := time.Now().Add(-steps[0].at)
	for _, s := range steps {
		time.Sleep(time.Until(base.Add(s.at))) // no time at all: the test lives in its own
		if s.what == "syn" {
			ours, theirs := net.Pipe()
			offers[s.port] <- theirs // waits for our client's back-off, which is not theirs
			base = time.Now().Add(-s.at)
			conns[s.conn] = newPlayed(ours)
			continue
		}
		w.playStep(s, conns[s.conn])
	}
	w.stop()
	for name, c := range conns {
		require.Nil(t, w.nextFrame(c), "nothing is left to say on %s", name)
		require.Zero(t, c.pings, "PINGs without PONG on %s", name)
	}
}

// newPlayed reads everything that the client sends, so that it never has to wait
// for the script.
func newPlayed(c net.Conn) *played {
	p := &played{Conn: c, from: make(chan []byte, 100)}
	go func() {
		defer close(p.from)
		for r := rspro.NewReader(c); ; {
			f, err := r.Next()
			if err != nil {
				return
			}
			if f.Proto == rspro.ProtoCCM {
				p.from <- rspro.AppendCCM(nil, f.Payload[0])
				continue
			}
			frame := []byte{0, 0, rspro.ProtoOSMO, rspro.ExtRSPRO}
			frame = append(frame, f.Payload...)
			frame[0], frame[1] = byte((len(frame)-3)>>8), byte(len(frame)-3)
			p.from <- frame
		}
	}()
	return p
}

func (w *world) playStep(s step, c *played) {
	t := w.t
	switch s.what {
	case "send":
		if s.data[2] == rspro.ProtoCCM && s.data[3] == rspro.Ping {
			c.pings++
		}
		_, err := c.Write(s.data)
		require.NoError(t, err, "line %d", s.line)
	case "expect":
		if s.data[2] == rspro.ProtoCCM {
			return // when exactly a PING or PONG comes is not the matter; that it does is counted
		}
		w.provoke(s)
		require.Equal(t, hex.EncodeToString(s.data), hex.EncodeToString(w.nextFrame(c)), "line %d", s.line)
	case "fin":
		require.NoError(t, c.Close())
	case "fin of client":
		require.Nil(t, w.nextFrame(c), "line %d: the client closes", s.line)
	}
	synctest.Wait()
}

// provoke makes the client send what the real one's modem made it send.
func (w *world) provoke(s step) {
	var p rspro.PDU
	_, err := p.Decode(s.data[4:])
	require.NoError(w.t, err)
	synctest.Wait()
	switch m := p.Msg.(type) {
	case *rspro.TpduModemToCard:
		require.NoError(w.t, w.lastBank().Send(m.Data))
	case *rspro.ClientSlotStatusInd:
		// The shell's RESET sends rst and no vcc in one message, and cardPresent.
		// Ours tells the bank first that the card runs: skip to the edge.
		require.NoError(w.t, w.lastBank().Lines(card.Lines{Powered: true, Clock: true}))
		require.NoError(w.t, w.lastBank().Lines(card.Lines{Reset: true}))
	}
}

func (w *world) lastBank() card.Bank {
	all := w.ear.all()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].what == "up" {
			return all[i].bank
		}
	}
	require.Fail(w.t, "no bank is up")
	return nil
}

// nextFrame is the next message of the client, nil at its end. A reset is two of
// ours for one of theirs, and says nothing of cardPresent.
func (w *world) nextFrame(c *played) []byte {
	for f := range c.from {
		if f[2] == rspro.ProtoCCM {
			if f[3] == rspro.Pong {
				c.pings--
			}
			continue
		}
		var p rspro.PDU
		_, err := p.Decode(f[4:])
		require.NoError(w.t, err)
		m, ok := p.Msg.(*rspro.ClientSlotStatusInd)
		if !ok {
			return f
		}
		if m.SlotPhysStatus.VCCPresent == rspro.False {
			m.SlotPhysStatus.CardPresent = rspro.True
			f, err = rspro.AppendFrame(nil, m)
			require.NoError(w.t, err)
			return f
		}
	}
	return nil
}
