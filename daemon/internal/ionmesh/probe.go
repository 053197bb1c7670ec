package ionmesh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Test tries the way to the orchestrator out, step by step, on a connection of its
// own. It asks what the orchestrator can do and registers nothing.
func (c *Client) Test(ctx context.Context) []model.Step {
	p := c.cfg.Plan.Get()
	if p.URL == "" {
		return []model.Step{{Name: "configuration", Text: "config ionmesh has no url, or is not enabled"}}
	}
	r := newRest(c.cfg.Dial, c.rest.now)
	defer r.http.CloseIdleConnections()
	r.use(p)
	t := tester{rest: r, plan: p}
	return t.steps(ctx)
}

type tester struct {
	rest *rest
	plan model.IonMeshPlan
	done []model.Step
}

func (t *tester) step(name string, do func() (string, error)) bool {
	begin := time.Now()
	text, err := do()
	if err != nil {
		text = err.Error()
	}
	t.done = append(t.done, model.Step{Name: name, OK: err == nil, MS: float64(time.Since(begin)) / float64(time.Millisecond), Text: text})
	return err == nil
}

func (t *tester) steps(ctx context.Context) []model.Step {
	if t.plan.KeyFile != "" && !t.step("key", func() (string, error) {
		_, err := readKey(t.plan.KeyFile)
		return "the API key can be read", err
	}) {
		return t.done
	}
	if !t.step("connect", func() (string, error) { return t.connect(ctx) }) {
		return t.done
	}
	t.step("discover", func() (string, error) {
		d, fault := t.rest.discover(ctx)
		if fault != nil {
			return "", fault
		}
		if d.Service == "" {
			return "it answers, and does not say what it can do", nil
		}
		return fmt.Sprintf("%s %s, can %v", d.Service, d.Version, printable(fmt.Sprint(d.Capabilities), 200)), nil
	})
	return t.done
}

func (t *tester) connect(ctx context.Context) (string, error) {
	nc, err := t.rest.connect(ctx, "", "")
	if err != nil {
		return "", err
	}
	defer func() { _ = nc.Close() }()
	text := fmt.Sprintf("connected to %v from %v", nc.RemoteAddr(), nc.LocalAddr())
	if s, ok := nc.(*tls.Conn); ok {
		state := s.ConnectionState()
		peer := state.PeerCertificates[0]
		text += fmt.Sprintf(", %s, certificate of %s until %s", tls.VersionName(state.Version), printable(peer.Subject.String(), 100), peer.NotAfter.UTC().Format(time.DateOnly))
	}
	return text, nil
}

// Unregister gives back what the members of a plan were given. It works without a
// Client, while no daemon runs, and is done only when a router leaves for good.
func Unregister(ctx context.Context, p model.IonMeshPlan, dial DialFunc) error {
	r := newRest(dial, time.Now)
	defer r.http.CloseIdleConnections()
	r.use(p)
	var errs []error
	for _, m := range p.Members {
		if fault := r.unregister(ctx, m.ClientID); fault != nil {
			errs = append(errs, fmt.Errorf("unregister %s: %w", m.ClientID, fault))
		}
	}
	return errors.Join(errs...)
}
