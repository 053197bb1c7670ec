package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// newIonMesh makes the orchestrator's client. Without one nothing else suffers:
// the task says why it fails.
func (a *App) newIonMesh() (*ionmesh.Client, error) {
	clock, err := ionmesh.NewClock()
	if err != nil {
		return nil, err
	}
	return ionmesh.New(ionmesh.Config{
		Plan: a.engine.IonMeshPlan(), Events: a.engine.Tell, Stats: a.meshStats, Do: a.meshOrder,
		Store: ionmesh.NewStore(a.opts.StateDir, a.opts.RunDir), Clock: clock, Dial: a.drivers.Dial,
	}), nil
}

// meshPlan translates the section ionmesh; the engine adds path and state.
func (o Options) meshPlan(c *config.Config) (p model.IonMeshPlan, clearText string) {
	m := c.IonMesh
	if !m.Enabled {
		return p, ""
	}
	p = model.IonMeshPlan{
		URL: m.URL, AllowInsecure: m.TLS.AllowInsecure, KeyFile: o.stored("api_key", m.APIKeyFile),
		TenantID: m.TenantID, Mode: m.MappingMode, MCCMNC: m.MCCMNC, Interval: m.Heartbeat, Timeout: m.Timeout,
	}
	if m.TLS.On {
		p.TLS = o.credentials(model.Endpoint{TLS: &m.TLS.Files}).TLS
	} else if host := m.Host(); !loopback(host) {
		clearText = "ionmesh " + host
	}
	for _, modem := range c.Modems {
		if _, direct := c.BankOf(modem.Name); modem.Source != model.SourceRemote || direct {
			continue
		}
		id := c.Main.DeviceID
		if len(p.Members) > 0 {
			id += "/" + modem.Name
		}
		p.Members = append(p.Members, model.MeshMember{Modem: modem.Name, ClientID: id})
	}
	return p, clearText
}

// stored turns the name of a stored credential into a path; a path stays.
func (o Options) stored(kind, name string) string {
	if name == "" || strings.Contains(name, "/") {
		return name
	}
	return filepath.Join(o.StateDir, credentialsDir, kind+"-"+name)
}

// meshStats is what a beat tells of a modem.
func (a *App) meshStats(modem string) model.MeshStats {
	s := a.engine.Snapshot()
	out := model.MeshStats{Status: "active", Uptime: int64(time.Since(s.Started) / time.Second)}
	switch s.State {
	case model.StateOperational:
	case model.StateDegraded:
		out.Status = "error"
	default:
		out.Status = "warning"
	}
	for _, x := range s.Sessions {
		if x.Modem == modem {
			out.Sent, out.Received, out.Errors = x.TPDU.Sent, x.TPDU.Received, x.TPDU.Errors
		}
	}
	for _, m := range s.Modems {
		if m.Name == modem {
			out.RSSI, out.RSRP = whole(m.Signal.RSSI), whole(m.Signal.RSRP)
		}
	}
	for _, l := range s.Links {
		if l.Modem == modem {
			out.DataRx, out.DataTx = out.DataRx+l.RxBytes, out.DataTx+l.TxBytes
		}
	}
	return out
}

func whole(v *float64) int {
	if v == nil {
		return 0
	}
	return int(*v)
}

// meshOrder carries out a command of the orchestrator.
func (a *App) meshOrder(ctx context.Context, modem string, o ionmesh.Order) (string, json.RawMessage, error) {
	switch o.Name {
	case ionmesh.OrderMove:
		_, err := a.engine.Do(ctx, model.Moved{Modem: modem, Card: *o.Move.Card})
		return fmt.Sprintf("bank %d slot %d is taken", o.Move.Card.Bank.ID, o.Move.Card.Bank.Slot), nil, err
	case ionmesh.OrderReset:
		rung := model.ResetRung(o.Method)
		if o.Method == "auto" {
			rung = ""
		}
		_, err := a.engine.Do(ctx, model.Reset{Modem: modem, Rung: rung})
		return "the modem is being reset", nil, err
	case ionmesh.OrderTest:
		return a.meshTest(ctx, modem, o.Target)
	case ionmesh.OrderConfig:
		r := a.Reload(ctx)
		data, err := json.Marshal(map[string]any{"ok": r.OK, "errors": len(r.Errors), "warnings": len(r.Warnings)})
		return "the configuration was read again", data, err
	case ionmesh.OrderCollect:
		data, err := json.Marshal(a.collected(modem))
		return "as it is now", data, err
	}
	return "", nil, &model.CommandError{Kind: model.NotSupported, Message: "command " + o.Name + " is not known"}
}

func (a *App) meshTest(ctx context.Context, modem, target string) (string, json.RawMessage, error) {
	steps, err := a.Test(ctx, target, modem)
	if err != nil {
		return "", nil, err
	}
	ok := len(steps) > 0
	for _, s := range steps {
		ok = ok && s.OK
	}
	data, err := json.Marshal(map[string]any{"ok": ok, "steps": steps})
	text := "the test succeeded"
	if !ok {
		text = "the test failed"
	}
	return text, data, err
}

// collected is a short status: what an operator asks for first. It holds no
// identity.
func (a *App) collected(modem string) map[string]any {
	s := a.engine.Snapshot()
	var codes []string
	for _, f := range s.Health.Findings {
		codes = append(codes, f.Code+"/"+f.Subject)
	}
	out := map[string]any{"version": s.Version, "state": s.State, "reason": s.Reason, "findings": codes, "score": s.Health.Score}
	for _, m := range s.Modems {
		if m.Name == modem {
			out["modem"], out["signal"], out["registration"], out["card"] = m.State, m.Signal, m.Registration, m.Card.State
		}
	}
	return out
}

// cleanIonMesh gives back what the orchestrator gave, and forgets the lease. One
// that cannot be reached is left alone: the lease ends by itself.
func cleanIonMesh(ctx context.Context, o Options, d Drivers) (done []Cleaned) {
	cfg, _, err := config.Load(o.ConfigDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return []Cleaned{{"orchestrator", err}}
	}
	if cfg == nil || !cfg.IonMesh.Enabled {
		return nil
	}
	cfg.SetHostname(o.Hostname)
	p, _ := o.meshPlan(cfg)
	for _, m := range p.Members {
		one := p
		one.Members = []model.MeshMember{m}
		done = append(done, Cleaned{"unregistered " + m.ClientID + " at " + p.URL, ionmesh.Unregister(ctx, one, d.Dial)})
	}
	forgotten, err := ionmesh.Forget(o.StateDir, o.RunDir)
	if forgotten || err != nil {
		done = append(done, Cleaned{"lease forgotten", err})
	}
	return done
}
