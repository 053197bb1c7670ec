package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh/ionmeshfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// startMesh starts the orchestrator of a world. It asks for a beat a second: a
// story has no time for five minutes.
func (p *peers) startMesh(router string) (err error) {
	p.router = router
	p.mesh, err = ionmeshfake.Start(ionmeshfake.Options{
		Capabilities: []string{"lease", "commands", "lean-beat"}, Interval: time.Second, Lease: time.Hour,
	})
	return err
}

// meshSection is the UCI text that lets the orchestrator choose the cards.
func (p *peers) meshSection() string {
	return fmt.Sprintf("\nconfig ionmesh 'ionmesh'\n\toption enabled '1'\n\toption url '%s'\n\toption timeout '3'\n", p.mesh.URL())
}

// meshCommand takes the words after `do ionmesh`.
func (p *peers) meshCommand(f *fields) func() error {
	if p.mesh == nil {
		f.fail("this world has no orchestrator: a line `ionmesh` is missing")
		return nil
	}
	switch verb := f.word(); verb {
	case "enable":
		return p.enableMesh
	case "stop":
		return func() error { p.mesh.Stop(); return nil }
	case "start":
		return p.mesh.Resume
	case "restart":
		return p.mesh.Restart
	case "cut":
		return func() error { p.mesh.CutLean(); return nil }
	case "card":
		c, client := f.card(), [2]int{}
		f.expect("client")
		client[0] = f.number()
		f.expect("slot")
		client[1] = f.number()
		return func() error { return p.offer(c, client) }
	case "move":
		f.expect("bank")
		bank := f.number()
		f.expect("slot")
		slot := f.number()
		return func() error {
			_, err := p.mesh.Move(p.router, bank, slot)
			return err
		}
	default:
		f.fail("%q is not one of enable, stop, start, restart, cut, card, move", verb)
	}
	return nil
}

func (p *peers) enableMesh() error {
	path := filepath.Join(p.configDir(), "remsim")
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, p.meshSection()...), 0o644)
}

// offer plugs a card into a bank and lets the orchestrator give it away. The bank
// learns who will come for it, as it does from a server.
func (p *peers) offer(c cardSpec, client [2]int) error {
	if err := p.plug(c); err != nil {
		return err
	}
	b := p.banks[c.bank]
	b.Map(c.slot, model.ClientSlot{ID: uint16(client[0]), Slot: uint16(client[1])})
	p.mesh.Add(ionmeshfake.Card{
		Bank: c.bank, Slot: c.slot, ICCID: c.iccid, IMSI: c.imsi, Client: &client,
		Endpoint: fmt.Sprintf("http://127.0.0.1:%d", b.Port()),
	})
	return nil
}

// cleanup is what the init script does after the daemon has been stopped for good.
func (s *stage) cleanup(ctx context.Context) error {
	if s.stop == nil {
		s.print("  (left out here: everything keeps running)")
		return nil
	}
	done, err := s.stop(ctx)
	if err != nil {
		return err
	}
	for _, d := range done {
		if d.Err != nil {
			return fmt.Errorf("%s: %w", d.What, d.Err)
		}
		s.print("  done: %s", d.What)
	}
	if m := s.peers.mesh; m != nil {
		if _, still := m.Client(s.peers.router); still {
			return errors.New("the orchestrator still knows the router")
		}
		s.print("  ok: the orchestrator knows the router no more")
	}
	return nil
}

// running is the daemon in this process.
type running struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed when it has ended
	err     error         // read it after done
	wanted  chan struct{} // closed when it is meant to end
	options app.Options
	drivers app.Drivers
}

func startDaemon(ctx context.Context, o app.Options, d app.Drivers) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, done: make(chan struct{}), wanted: make(chan struct{}), options: o, drivers: d}
	go func() {
		defer close(r.done)
		r.err = app.Run(ctx, o, d)
	}()
	return r
}

// end stops it and waits.
func (r *running) end() error {
	r.cancel()
	<-r.done
	return r.err
}

// cleanup stops it and hands the world back.
func (r *running) cleanup(ctx context.Context) ([]app.Cleaned, error) {
	close(r.wanted)
	if err := r.end(); err != nil {
		return nil, err
	}
	return app.Cleanup(ctx, r.options, r.drivers)
}

// early receives when the daemon ends without being asked to.
func (r *running) early() <-chan struct{} {
	early := make(chan struct{})
	go func() {
		<-r.done
		select {
		case <-r.wanted:
		default:
			close(early)
		}
	}()
	return early
}
