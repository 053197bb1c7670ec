package health

import (
	"fmt"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Diagnose walks the chain that a remote card depends on, for one modem or for
// all if modem is empty, and returns every check with a verdict in one
// sentence: the first broken link of the chain, or that all is well.
func Diagnose(s *model.Snapshot, modem string) (checks []model.Check, verdict string) {
	d := &diagnosis{snapshot: s}
	d.add("configuration", "", d.configuration)
	for _, m := range s.Modems {
		if modem != "" && m.Name != modem {
			continue
		}
		d.hardware(m)
		if m.Card.Source != model.SourceRemote {
			d.add(m.Name+" card", "configuration", func() (bool, string, string) {
				return true, "uses its own local card", ""
			})
			continue
		}
		d.remote(m, session(s, m.Name))
	}
	for _, c := range d.checks {
		if !c.OK {
			return d.checks, fmt.Sprintf("%s: %s", c.Name, c.Text)
		}
	}
	return d.checks, "everything that was checked works"
}

// Findings about the modem as a device, and about its card and network.
var (
	deviceCodes = []string{ModemManagerMissing, "modem-", ATPortHung, ATPortBusy, "line-", PowerOff, TwoOwners}
	cardCodes   = []string{"sim-", "pin-", PUKNeeded, WrongCard, SwitchFailed, RegistrationDenied}
)

// hardware adds the checks of the modem itself, where one is there or should be.
func (d *diagnosis) hardware(m model.Modem) {
	missing, noMM := d.found("modemmanager", ModemManagerMissing)
	device, bad := d.found(m.Name, deviceCodes...)
	network, ill := d.found(m.Name, cardCodes...)
	if !m.Present && !bad && !ill && !noMM {
		return // no option match: a front without a modem of ours
	}
	name := m.Name + " modem"
	d.add(name, "configuration", func() (bool, string, string) {
		switch {
		case bad:
			return false, device.Text, device.Fix
		case noMM && !m.Present:
			return false, missing.Text, missing.Fix
		case !m.Present:
			return false, "it is not there", "Wait a moment: it is being probed or reset."
		}
		return true, fmt.Sprintf("%s %s, %s", m.Manufacturer, m.Model, m.State), ""
	})
	d.add(m.Name+" network", name, func() (bool, string, string) {
		if ill {
			return false, network.Text, network.Fix
		}
		return true, fmt.Sprintf("%s %s %s", orUnknown(m.Registration), m.Operator, m.AccessTechnology), ""
	})
}

type diagnosis struct {
	snapshot *model.Snapshot
	checks   []model.Check
}

// add runs a check unless its parent failed.
func (d *diagnosis) add(name, parent string, check func() (ok bool, text, fix string)) {
	c := model.Check{Name: name, DependsOn: parent}
	for _, p := range d.checks {
		if p.Name == parent && !p.OK {
			c.Text = "not checked, because this failed: " + parent
			d.checks = append(d.checks, c)
			return
		}
	}
	c.OK, c.Text, c.Fix = check()
	d.checks = append(d.checks, c)
}

// found looks for a finding whose code starts with one of the prefixes.
func (d *diagnosis) found(subject string, prefixes ...string) (model.Finding, bool) {
	for _, f := range d.snapshot.Health.Findings {
		for _, p := range prefixes {
			if f.Subject == subject && strings.HasPrefix(f.Code, p) {
				return f, true
			}
		}
	}
	return model.Finding{}, false
}

func (d *diagnosis) configuration() (bool, string, string) {
	for _, code := range []string{ConfigInvalid, ConfigRefused} {
		if f, bad := d.found("config", code); bad {
			return false, f.Text, f.Fix
		}
	}
	if f, off := d.found("remsim", Disabled); off {
		return false, f.Text, f.Fix
	}
	if f, bad := d.found("config", ConfigWarning); bad {
		return true, "accepted, with a warning: " + f.Text, f.Fix
	}
	return true, "accepted", ""
}

// remote adds the chain of one remote card.
func (d *diagnosis) remote(m model.Modem, s *model.Session) {
	server, slot, bank := m.Name+" server", m.Name+" assignment", m.Name+" bank"
	front, card, answers := m.Name+" front", m.Name+" card", m.Name+" answers"
	parent := "configuration"
	d.add(front, parent, func() (bool, string, string) {
		if f, bad := d.found(m.Name, FrontNone, FrontDown, FrontGone, FrontStalled, FrontProxy, FrontModem); bad {
			return false, f.Text, f.Fix
		}
		return true, frontText(m.Card), ""
	})
	if m.Card.Front == "" {
		parent = front // nobody asks for a card then
	}
	if s != nil && s.Server.Address != "" {
		d.add(server, parent, func() (bool, string, string) { return d.peer(m.Name, s.Server, Server) })
		if s.Bank == nil {
			parent = server // an assignment that is there does not need the server any more
		}
	}
	if c, ok := client(d.snapshot, m.Name); ok {
		name := m.Name + " orchestrator"
		d.add(name, "configuration", func() (bool, string, string) { return d.orchestrator(m.Name, c) })
		if s == nil || s.Bank == nil {
			parent = name
		}
	}
	d.add(slot, parent, func() (bool, string, string) {
		if s == nil || s.Bank == nil {
			fix := Lookup(NoAssignment).Fix
			if f, ok := d.found(m.Name, Unmapped); ok {
				return false, f.Text, f.Fix
			}
			return false, "no bank slot is assigned", fix
		}
		return true, fmt.Sprintf("bank %d slot %d", s.Bank.ID, s.Bank.Slot), ""
	})
	d.add(bank, slot, func() (bool, string, string) { return d.peer(m.Name, s.Bankd, Bank) })
	d.add(card, bank, func() (bool, string, string) {
		switch m.Card.State {
		case model.CardPresent, model.CardPowered, model.CardReset, model.CardReady:
			return true, fmt.Sprintf("%s, ICCID %s", m.Card.State, orUnknown(model.Masked(m.Card.ICCID.String()))), ""
		}
		return false, "the modem is shown no card (" + string(m.Card.State) + ")", "See the checks of front and bank."
	})
	d.add(answers, card, func() (bool, string, string) {
		if f, bad := d.found(m.Name, CardSilent, CardSlow, CardCut, FrontRestart); bad {
			return false, f.Text, f.Fix
		}
		t := s.TPDU
		return true, fmt.Sprintf("%d commands, %d answers, %d errors, round trip %.1f ms (p50) %.1f ms (p99)", t.Sent, t.Received, t.Errors, t.RTTp50, t.RTTp99), ""
	})
}

// frontText names the front of a card.
func frontText(c model.Card) string {
	switch {
	case c.Front == "":
		return "being looked for: " + c.Detail
	case c.FrontDetail != "":
		return fmt.Sprintf("%s at %s, chosen by front auto: %s", c.Front, c.FrontDevice, c.FrontDetail)
	case c.FrontDevice != "":
		return c.Front + " at " + c.FrontDevice
	}
	return c.Front
}

func (d *diagnosis) peer(modem string, p model.Peer, prefix string) (bool, string, string) {
	if p.State == model.ConnConnected {
		secure := "clear text"
		if p.TLS {
			secure = "TLS"
		}
		return true, fmt.Sprintf("connected to %s (%s)", p.Address, secure), ""
	}
	if f, bad := d.found(modem, prefix); bad {
		return false, f.Text, f.Fix
	}
	return false, fmt.Sprintf("%s: %s", p.Address, p.State), "Wait a moment: the connection is being made."
}

// orchestrator checks that it answers, and that the lease runs.
func (d *diagnosis) orchestrator(modem string, c model.MeshClient) (bool, string, string) {
	if f, bad := d.found(modem, IonMesh); bad {
		return false, f.Text, f.Fix
	}
	if c.State != model.MeshRegistered {
		return false, string(c.State), "Wait a moment: it is being asked."
	}
	text := fmt.Sprintf("registered as %s at %s", c.ClientID, d.snapshot.IonMesh.URL)
	if c.Lease != nil {
		text += fmt.Sprintf(", lease %s, epoch %d", c.Lease.ID, c.Lease.Epoch)
	}
	return true, text, ""
}

func client(s *model.Snapshot, modem string) (model.MeshClient, bool) {
	for _, c := range s.IonMesh.Clients {
		if c.Modem == modem {
			return c, true
		}
	}
	return model.MeshClient{}, false
}

func session(s *model.Snapshot, modem string) *model.Session {
	for i := range s.Sessions {
		if s.Sessions[i].Modem == modem {
			return &s.Sessions[i]
		}
	}
	return nil
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
