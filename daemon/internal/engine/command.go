package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// maxID is the largest RSPRO bank, client or slot number (RSPRO.asn: 0..1023).
const maxID = 1023

// Do carries out a command and returns the sequence of the snapshot that shows
// its effect. The command is refused with a *model.CommandError.
func (e *Engine) Do(ctx context.Context, cmd model.Command) (sequence int64, err error) {
	var refused error
	err = e.do(ctx, func(now time.Time) {
		refused = e.command(now, cmd)
		sequence = e.sequence + 1 // a journal entry goes with it, so a snapshot will be made
	})
	if err != nil {
		return 0, err
	}
	return sequence, refused
}

func (e *Engine) command(now time.Time, cmd model.Command) error {
	if c, ok := cmd.(model.SwitchRole); ok {
		return e.switchRole(now, c)
	}
	m, err := e.target(cmd)
	if err != nil {
		return err
	}
	switch cmd := cmd.(type) {
	case model.SetSource:
		return e.setSource(now, m, cmd.Source)
	case model.MapBank:
		return e.mapBank(now, m, cmd)
	case model.Moved:
		return e.moved(now, m, cmd.Card)
	case model.Unmap:
		m.mapped, m.unmapped = nil, true
		m.generation++
		e.note(now, model.KindCommand, m.conf.Name, "unmap: the remote card is taken away until a new assignment", nil)
	case model.Reset:
		return e.resetModem(now, m, cmd.Rung)
	case model.SetTracing:
		m.tracing = cmd.On
		e.note(now, model.KindCommand, m.conf.Name, "APDU trace switched "+onOff(cmd.On), nil)
	default:
		return refuse(model.NotSupported, "command %T is not supported", cmd)
	}
	return nil
}

// target finds the modem that a command is for. Without a name it is the only
// modem, or the only one with a remote card.
func (e *Engine) target(cmd model.Command) (*modem, error) {
	if name := cmd.Target(); name != "" {
		if m := e.find(name); m != nil {
			return m, nil
		}
		return nil, refuse(model.NotFound, "there is no modem %q; configured: %s", name, e.names())
	}
	if len(e.modems) == 1 {
		return e.modems[0], nil
	}
	var only *modem
	for _, m := range e.modems {
		if m.conf.Source == model.SourceRemote {
			if only != nil {
				return nil, refuse(model.InvalidArgument, "argument modem is missing; configured: %s", e.names())
			}
			only = m
		}
	}
	if only == nil {
		return nil, refuse(model.NotFound, "no modem with a remote card is configured")
	}
	return only, nil
}

func (e *Engine) setSource(now time.Time, m *modem, source model.Source) error {
	switch source {
	case model.SourceRemote, model.SourceLocal:
	default:
		return refuse(model.InvalidArgument, "source %q is neither remote nor local", source)
	}
	if source == model.SourceRemote && m.frontKind() == "" {
		ok, why := false, m.noFront()
		if m.conf.FrontAuto {
			ok, why = e.fitsFront(now, m)
		}
		if !ok {
			return refuse(model.NotSupported, "modem %s cannot take a remote card: %s", m.conf.Name, why)
		}
	}
	m.source = source
	m.switchGeneration++ // a switch that failed is tried again
	e.note(now, model.KindCommand, m.conf.Name, "card source set to "+string(source), nil)
	return nil
}

func (e *Engine) mapBank(now time.Time, m *modem, cmd model.MapBank) error {
	if m.frontKind() == "" && !m.undecided() {
		return refuse(model.NotSupported, "modem %s cannot take a remote card: %s", m.conf.Name, orElse(m.noFront(), "its source is local"))
	}
	if cmd.Slot.ID > maxID || cmd.Slot.Slot > maxID {
		return refuse(model.InvalidArgument, "bank_id %d, slot %d: each must be 0..%d", cmd.Slot.ID, cmd.Slot.Slot, maxID)
	}
	if cmd.Port < 0 || cmd.Port > 65535 {
		return refuse(model.InvalidArgument, "port %d is not 1..65535", cmd.Port)
	}
	end, known := m.conf.Banks[cmd.Slot.ID]
	if known && end.Host == "" && cmd.Host == "" {
		known = false // a correction of what a server announces
	}
	if reached, ok := m.banks[cmd.Slot.ID]; !known && ok && (cmd.Host == "" || cmd.Host == reached.Host) {
		end, known = reached, true
	}
	if !known {
		end = m.conf.DefaultBank
		if cmd.Host == "" {
			return refuse(model.InvalidArgument, "argument host is missing: bank %d is in no bank section and was not reached yet", cmd.Slot.ID)
		}
	}
	if cmd.Host != "" {
		end.Host = cmd.Host
	}
	if cmd.Port != 0 {
		end.Port = uint16(cmd.Port)
	}
	m.mapped = &model.BankAssignment{Slot: cmd.Slot, Endpoint: end, By: "command"}
	m.unmapped = false
	m.generation++
	e.note(now, model.KindCommand, m.conf.Name,
		fmt.Sprintf("map: bank %d slot %d at %s port %d", cmd.Slot.ID, cmd.Slot.Slot, end.Host, end.Port), nil)
	return nil
}

// names lists the configured modems for an error text.
func (e *Engine) names() string {
	if len(e.modems) == 0 {
		return "none"
	}
	s := ""
	for i, m := range e.modems {
		if i > 0 {
			s += ", "
		}
		s += m.conf.Name
	}
	return s
}

func refuse(kind model.CommandErrorKind, format string, args ...any) error {
	return &model.CommandError{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
