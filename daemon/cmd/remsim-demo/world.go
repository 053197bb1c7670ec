package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// world is what a world file describes: the peers that exist and the steps that
// are played. tests/worlds/tour.txt explains the format, two-modems.txt what
// modems with hardware add to it.
type world struct {
	router   string
	server   bool
	mesh     bool // an orchestrator
	banks    []bankSpec
	cards    []cardSpec
	modems   []modemSpec
	boards   []boardSpec
	failover failoverSpec
	steps    []step

	listen     string // address of server and banks, at the usual ports; "": loopback, any ports
	interfaces []interfaceSpec
}

type bankSpec struct{ id, slots int }

type cardSpec struct {
	bank, slot  int
	iccid, imsi string
}

// modemSpec is a modem section of the configuration. One without an RSPRO client
// uses the card in its own slot.
type modemSpec struct {
	name         string
	remote       bool
	client, slot int
}

// boardSpec is the hardware behind a modem section: the modem as ModemManager
// sees it, its netifd interface, and the lines that are wired to it.
type boardSpec struct {
	modem, usb, model, imei, network, port string
	card                                   simSpec
	simLine, resetLine                     bool
}

// simSpec is a card in a modem's own slot.
type simSpec struct{ iccid, imsi, pin string }

// step is one line below `play`.
type step struct {
	line int
	verb string   // say, do, see, modem, run
	args []string // the words after it
	text string   // all after the verb
}

// lineError names the place of what cannot be read.
func lineError(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
}

// parseWorld reads a world file.
func parseWorld(r io.Reader) (*world, error) {
	w := &world{router: "router"}
	playing := false
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if playing {
			s, err := parseStep(n, text)
			if err != nil {
				return nil, err
			}
			w.steps = append(w.steps, s)
			continue
		}
		if text == "play" {
			playing = true
			continue
		}
		if err := w.add(strings.Fields(text)); err != nil {
			return nil, lineError(n, "%v", err)
		}
	}
	return w, sc.Err()
}

func parseStep(n int, text string) (step, error) {
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "say", "do", "see", "modem", "run":
	default:
		return step{}, lineError(n, "%q is not one of say, do, see, modem, run", verb)
	}
	if rest = strings.TrimSpace(rest); rest == "" {
		return step{}, lineError(n, "nothing follows %q", verb)
	}
	return step{line: n, verb: verb, args: strings.Fields(rest), text: rest}, nil
}

// add takes one line that describes what exists.
func (w *world) add(words []string) error {
	f := fields{words: words[1:]}
	switch words[0] {
	case "router":
		w.router = f.word()
	case "server":
		w.server = true
	case "ionmesh":
		w.mesh = true
	case "bank":
		b := bankSpec{id: f.number()}
		f.expect("slots")
		b.slots = f.number()
		w.banks = append(w.banks, b)
	case "card":
		w.cards = append(w.cards, f.card())
	case "modem":
		m := modemSpec{name: f.word(), remote: len(f.words) > 0}
		if m.remote {
			f.expect("client")
			m.client = f.number()
			f.expect("slot")
			m.slot = f.number()
		}
		w.modems = append(w.modems, m)
	case "failover":
		w.failover = f.failover()
	case "hardware":
		w.boards = append(w.boards, f.board())
	case "listen":
		w.listen = f.word()
	case "interface":
		w.interfaces = append(w.interfaces, f.netInterface())
	default:
		return fmt.Errorf("%q is not one of router, server, ionmesh, bank, card, modem, hardware, failover, listen, interface, play", words[0])
	}
	return f.end()
}

// fields takes words one after the other and keeps the first thing that is
// wrong.
type fields struct {
	words []string
	err   error
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

func (f *fields) word() string {
	if len(f.words) == 0 {
		f.fail("a word is missing at the end")
		return ""
	}
	w := f.words[0]
	f.words = f.words[1:]
	return w
}

func (f *fields) expect(word string) {
	if w := f.word(); w != word {
		f.fail("%q stands where %q is expected", w, word)
	}
}

// number takes an RSPRO number, 0..1023.
func (f *fields) number() int {
	w := f.word()
	n, err := strconv.Atoi(w)
	if err != nil || n < 0 || n > 1023 {
		f.fail("%q is not a number of 0..1023", w)
	}
	return n
}

// card takes "bank B slot S iccid DIGITS imsi DIGITS".
func (f *fields) card() cardSpec {
	var c cardSpec
	f.expect("bank")
	c.bank = f.number()
	f.expect("slot")
	c.slot = f.number()
	f.expect("iccid")
	c.iccid = f.word()
	f.expect("imsi")
	c.imsi = f.word()
	return c
}

// sim takes "iccid DIGITS imsi DIGITS [pin DIGITS]".
func (f *fields) sim() (s simSpec) {
	f.expect("iccid")
	s.iccid = f.word()
	f.expect("imsi")
	s.imsi = f.word()
	if len(f.words) > 0 && f.words[0] == "pin" {
		f.expect("pin")
		s.pin = f.word()
	}
	return s
}

// board takes "MODEM usb PATH model NAME imei DIGITS network NAME port NAME" and
// the card in its slot, then the lines there are: "sim-line", "reset-line".
func (f *fields) board() boardSpec {
	b := boardSpec{modem: f.word()}
	for _, v := range []struct {
		name string
		to   *string
	}{{"usb", &b.usb}, {"model", &b.model}, {"imei", &b.imei}, {"network", &b.network}, {"port", &b.port}} {
		f.expect(v.name)
		*v.to = f.word()
	}
	b.card = f.sim()
	for len(f.words) > 0 && f.err == nil {
		switch w := f.word(); w {
		case "sim-line":
			b.simLine = true
		case "reset-line":
			b.resetLine = true
		default:
			f.fail("%q is not one of sim-line, reset-line", w)
		}
	}
	return b
}

func (f *fields) end() error {
	if len(f.words) > 0 {
		f.fail("%q is one word too many", f.words[0])
	}
	return f.err
}
