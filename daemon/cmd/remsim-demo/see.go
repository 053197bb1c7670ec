package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// run asks the daemon for what a person would ask it with the program remsim.
func (s *stage) run(ctx context.Context, words []string) error {
	args := map[string]any{}
	switch {
	case len(words) == 3 && words[0] == "sim":
		args["modem"], args["source"] = words[1], words[2]
	case len(words) == 3 && words[0] == "reset":
		args["modem"], args["method"] = words[1], words[2]
	case len(words) == 1 && words[0] == "cleanup":
		return s.cleanup(ctx)
	case len(words) == 1 && words[0] == "reload":
	default:
		return errors.New("it is one of reload, cleanup, sim MODEM SOURCE, reset MODEM METHOD")
	}
	ctx, cancel := context.WithTimeout(ctx, doTime)
	defer cancel()
	_, err := s.conn.Call(ctx, "remsim", words[0], args)
	return err
}

// forget begins a new part of the story: `see told` looks only at that.
func (s *stage) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tale = nil
}

// hasTold tells whether the journal said something with text in it since the last
// `say`.
func (s *stage) hasTold(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.tale, func(t string) bool { return strings.Contains(t, text) })
}

// seen tells whether the world is as the words say.
func (s *stage) seen(snapshot *model.Snapshot, args []string) (bool, error) {
	switch {
	case args[0] == "told":
		return s.hasTold(strings.Join(args[1:], " ")), nil
	case args[0] == "network" && len(args) == 3 && s.board(args[1]) != nil:
		state := s.peers.hardware.netifd.State(s.board(args[1]).spec.network)
		return state == "up" && args[2] == "up" || state != "up" && args[2] == "down", nil
	case slices.Contains([]string{"modem", "signal", "source", "iccid"}, args[0]) && len(args) == 3:
		for _, m := range snapshot.Modems {
			if m.Name == args[1] {
				return modemSeen(m, args[0], args[2]), nil
			}
		}
		return false, nil
	}
	return seen(snapshot, args)
}

func (s *stage) board(modem string) *board {
	if s.peers.hardware == nil {
		return nil
	}
	return s.peers.hardware.boards[modem]
}

// modemSeen tells whether a modem is in a state, has a signal, or uses a card.
func modemSeen(m model.Modem, what, want string) bool {
	switch what {
	case "signal": // RSRP in dBm
		return m.Signal.RSRP != nil && strconv.FormatFloat(*m.Signal.RSRP, 'f', -1, 64) == want
	case "source":
		return string(m.Card.Source) == want
	case "iccid":
		return string(m.Card.ICCID) == model.Masked(want)
	}
	switch want {
	case "there":
		return m.Present
	case "gone":
		return !m.Present
	case "registered":
		return m.Registration == "home" || m.Registration == "roaming"
	}
	return m.State == want
}

// seen tells whether a status shows what the words say.
func seen(s *model.Snapshot, args []string) (bool, error) {
	var session model.Session
	if len(s.Sessions) > 0 {
		session = s.Sessions[0]
	}
	if is, about := linkSeen(s, args); about {
		return is, nil
	}
	switch what := strings.Join(args[:min(2, len(args))], " "); {
	case args[0] == "state" && len(args) == 2:
		return string(s.State) == args[1], nil
	case what == "server connected":
		return session.Server.State == model.ConnConnected, nil
	case what == "bank connected":
		return session.Bankd.State == model.ConnConnected, nil
	case what == "card present":
		return len(s.Modems) > 0 && s.Modems[0].Card.State != model.CardAbsent && s.Modems[0].Card.State != model.CardNone &&
			s.Modems[0].Card.State != model.CardLost, nil
	case what == "card lost":
		return len(s.Modems) > 0 && s.Modems[0].Card.State == model.CardLost, nil
	case args[0] == "orchestrator" && len(args) == 2:
		return s.IonMesh.State == args[1] || s.IonMesh.Transport == args[1], nil
	case args[0] == "slot" && len(args) == 2:
		return session.Bank != nil && strconv.Itoa(int(session.Bank.Slot)) == args[1] && session.Bankd.State == model.ConnConnected, nil
	case what == "no finding":
		return s.Sequence > 0 && len(s.Health.Findings) == 0, nil
	case args[0] == "finding" && len(args) == 2:
		for _, f := range s.Health.Findings {
			if strings.HasPrefix(f.Code, args[1]) {
				return true, nil
			}
		}
		return false, nil
	}
	return false, fmt.Errorf("%q cannot be seen; it is one of state X, server connected, bank connected, card present, card lost, finding X, no finding, "+
		"orchestrator STATE, slot N, control LINK, data LINK, link LINK usable, failover STATE, modem M STATE, signal M DBM, source M SOURCE, iccid M DIGITS, network M up, told TEXT", strings.Join(args, " "))
}

// findings lists what is wrong, for whoever waited for something in vain.
func findings(s *model.Snapshot) (text string) {
	for _, f := range s.Health.Findings {
		text += fmt.Sprintf("; %s %s: %s", f.Subject, f.Code, f.Text)
	}
	return text
}
