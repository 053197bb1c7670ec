package app

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
)

// ConfigReport tells what the last check of the configuration said.
func (a *App) ConfigReport() model.ConfigReport { return a.conf.Report() }

// Reload reads the configuration again.
func (a *App) Reload(ctx context.Context) model.ConfigReport {
	a.apply(ctx)
	return a.conf.Report()
}

// Trace returns traced APDUs of a modem.
func (a *App) Trace(modem string, since int64, limit int) ([]model.APDU, error) {
	_, st, err := a.stackOf(modem)
	if err != nil {
		return nil, err
	}
	return st.relay.Trace(since, limit), nil
}

// Test tries one thing out. It never registers a second time: a stock bank
// counts connections, and a server takes the newcomer for a double.
func (a *App) Test(ctx context.Context, target, name string) ([]model.Step, error) {
	if target == "path" {
		return a.testPath(ctx, name)
	}
	if target == "ionmesh" {
		if a.ionmesh == nil {
			return nil, &model.CommandError{Kind: model.NotSupported, Message: "the client of the orchestrator does not run"}
		}
		return a.ionmesh.Test(ctx), nil
	}
	modem, st, err := a.stackOf(name)
	if err != nil {
		return nil, err
	}
	switch target {
	case "card":
		return st.relay.Probe(ctx)
	case "server":
		return a.testPeer(ctx, st, modem, model.PeerServer)
	case "bank":
		return a.testPeer(ctx, st, modem, model.PeerBankd)
	}
	return nil, &model.CommandError{Kind: model.NotSupported, Message: fmt.Sprintf("target %q cannot be tested", target)}
}

// testPeer measures the live connection if there is one, and otherwise looks
// how far one would come: name, TCP, TLS.
func (a *App) testPeer(ctx context.Context, st *stack, modem string, peer model.PeerKind) ([]model.Step, error) {
	seen := a.seenPeer(modem, peer)
	if seen.State == model.ConnConnected {
		rtt, err := st.session.Ping(ctx, peer)
		if err != nil {
			return []model.Step{{Name: "keep-alive", Text: fmt.Sprintf("%s: %v", seen.Address, err)}}, nil
		}
		return []model.Step{{Name: "keep-alive", OK: true, MS: float64(rtt.Microseconds()) / 1000,
			Text: fmt.Sprintf("connected to %s, which answers", seen.Address)}}, nil
	}
	endpoint, ok := a.endpoint(modem, peer, seen)
	if !ok {
		return []model.Step{{Name: "address", Text: fmt.Sprintf("%s has no %s to connect to now", modem, peerName(peer))}}, nil
	}
	plan := a.engine.Plans(modem).Session.Get()
	via := plan.Path
	if peer == model.PeerServer {
		via = plan.ServerPath
	}
	return client.Probe(ctx, peer, endpoint, via, a.drivers.Dial), nil
}

func peerName(peer model.PeerKind) string {
	if peer == model.PeerBankd {
		return "bank"
	}
	return "server"
}

// seenPeer is the connection as the status shows it.
func (a *App) seenPeer(modem string, peer model.PeerKind) model.Peer {
	for _, s := range a.engine.Snapshot().Sessions {
		if s.Modem == modem && peer == model.PeerServer {
			return s.Server
		}
		if s.Modem == modem {
			return s.Bankd
		}
	}
	return model.Peer{}
}

// endpoint is where a connection that does not stand would go: as configured,
// or where the last attempt went.
func (a *App) endpoint(modem string, peer model.PeerKind, seen model.Peer) (model.Endpoint, bool) {
	plan := a.engine.Plans(modem).Session.Get()
	switch {
	case peer == model.PeerServer && len(plan.Servers) > 0:
		return plan.Servers[0], true
	case peer == model.PeerBankd && plan.Bank != nil:
		return plan.Bank.Endpoint, true
	}
	host, port, err := net.SplitHostPort(seen.Address)
	if err != nil {
		return model.Endpoint{}, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return model.Endpoint{}, false
	}
	e := model.Endpoint{Host: host, Port: uint16(n)}
	if seen.TLS {
		e.TLS = plan.BankDefaults.TLS
	}
	return e, true
}
