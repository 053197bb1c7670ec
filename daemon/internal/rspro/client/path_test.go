package client_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
)

// half is a connection that can be closed in one direction, as TCP can.
type half struct {
	net.Conn
	fin chan struct{}
}

func (h half) CloseWrite() error { close(h.fin); return nil }

// moved is a session whose connections tell by which path they were dialled.
type moved struct {
	*stage
	via  []model.Path
	fins []chan struct{}
}

func newMoved(t *testing.T) *moved {
	m := &moved{}
	m.stage = newStage(t, 0, never, func(c *client.Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, via model.Path, purpose model.Purpose, network, address string) (net.Conn, error) {
			require.Equal(t, model.PurposeBank, purpose)
			fin := make(chan struct{})
			m.via, m.fins = append(m.via, via), append(m.fins, fin)
			nc, err := dial(ctx, via, purpose, network, address)
			return half{nc, fin}, err
		}
	})
	return m
}

// to has the plan changed.
func (m *moved) to(path model.Path, lost bool) {
	p := m.plan.Get()
	p.Path, p.PathLost = path, lost
	m.plan.Set(p)
	synctest.Wait()
}

func (m *moved) finished(n int) bool {
	select {
	case <-m.fins[n]:
		return true
	default:
		return false
	}
}

var (
	overIoT     = model.Path{Link: "iot", Number: 2, Device: "wwan1"}
	overPrimary = model.Path{Link: "primary", Number: 1, Device: "wwan0"}
)

// A bank takes a second connection of a client for a stranger, so the first one
// is over, in order, before the next is dialled.
func TestMoveToAnotherPathClosesInOrderFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoved(t)
		defer m.stop()
		first := <-m.at
		first.accept()
		m.to(overIoT, false)
		require.True(t, m.finished(0), "FIN")
		require.Len(t, m.via, 1, "nothing is dialled before the bank has seen it")
		require.NoError(t, first.Close()) // the bank's own FIN
		second := <-m.at
		require.Equal(t, []model.Path{{}, overIoT}, m.via)
		second.accept()
		m.to(overIoT, false)
		pass(time.Minute)
		require.Len(t, m.via, 2, "the same path moves nothing")
	})
}

func TestMoveFromALostPathWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoved(t)
		defer m.stop()
		m.to(overIoT, false)
		pass(2 * time.Second) // a connection that had begun over no path is over
		old := m.last()
		require.Equal(t, overIoT, m.via[len(m.via)-1])
		old.accept()
		at := time.Now()
		m.to(overPrimary, true)
		fresh := <-m.at
		require.Zero(t, time.Since(at), "at once: no FIN of the bank can come")
		require.Equal(t, overPrimary, m.via[len(m.via)-1])
		require.False(t, m.finished(len(m.fins)-2), "and ours is left to the kernel")
		for range old.from { // ends only when the old one is closed
		}
		fresh.accept()
	})
}

// last is the newest connection.
func (m *moved) last() *actor {
	a := <-m.at
	for {
		select {
		case a = <-m.at:
		default:
			return a
		}
	}
}

func TestAnotherGenerationOfAPathMovesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoved(t)
		defer m.stop()
		again := overIoT
		again.Generation++
		dns := overIoT
		dns.DNS = []netip.Addr{netip.MustParseAddr("10.0.0.53")}
		m.last().accept()
		for _, c := range []struct {
			name  string
			path  model.Path
			moves bool
		}{
			{"first path", overIoT, true},
			{"other name servers", dns, false},
			{"its address is another", again, true},
		} {
			n := len(m.via)
			m.to(c.path, c.moves)
			if c.moves {
				m.last().accept()
			}
			pass(time.Minute)
			require.Equal(t, c.moves, len(m.via) > n, c.name)
		}
	})
}
