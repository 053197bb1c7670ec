package cardemfake

import (
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
)

// queueLen is how many messages the firmware keeps for an endpoint (USB_MAX_QLEN).
const queueLen = 3

// cardState is where the card is (ISO 7816-3 §6), as card_emu.c has it.
type cardState uint8

const (
	waitPower cardState = iota
	waitClock
	waitReset
	waitTPDU
	inTPDU
)

func (s cardState) String() string {
	return [...]string{"WAIT_POWER", "WAIT_CLK", "WAIT_RST", "WAIT_TPDU", "IN_TPDU"}[s]
}

// tpduState is where a T=0 exchange is.
type tpduState uint8

const (
	header tpduState = iota // waiting for CLA to P3
	waitPB                  // waiting for the host's procedure byte
	waitRx                  // waiting for the modem's body
	waitTx                  // waiting for the host's data
)

func (s tpduState) String() string {
	return [...]string{"header", "WAIT_PB", "WAIT_RX", "WAIT_TX"}[s]
}

// defaultATR is that of a firmware that was told none.
var defaultATR = []byte{0x3B, 0x80, 0x80, 0x81, 0x1F, 0xC7, 0x59}

// pending is a TX_DATA message.
type pending struct {
	flags uint32
	bytes []byte
}

// firmware is card_emu.c and mode_cardemu.c, byte by byte, without the time that
// bytes take. Device's lock guards it.
type firmware struct {
	// What the modem does with the contacts.
	vcc, rst bool // rst: L, which it is without power

	features         uint32
	presence         cardem.Presence
	enabled          bool
	vccLast, rstLast bool

	state              cardState
	active, reset, clk bool
	atr                []byte
	f, d, wi           uint8
	tpdu               tpduState
	hdr                []byte
	rx                 []byte // bytes of the modem that the host has not got
	got                int    // bytes of the body
	tx                 []pending
	wire               []byte // bytes for the modem
	chunk              int    // tells the host of a body in parts of so many bytes; 0: whole

	inserted bool // presence pin
	queues   [2]queue
	nulls    int
	loseBody bool
	ignored  int // TX_DATA that came at a wrong time
}

// queue is an endpoint towards the host.
type queue struct {
	busy    []byte // with the USB hardware
	waiting [][]byte
	dropped int
}

// boot is a start of the firmware. The contacts are as they are: it takes them for
// the state of a card that it does not emulate yet.
func (w *firmware) boot() {
	*w = firmware{
		vcc: w.vcc, rst: w.rst, chunk: w.chunk, presence: cardem.PresentHigh,
		active: w.vcc, clk: w.vcc, reset: w.rst,
		atr: defaultATR, f: 1, d: 1, wi: 10,
	}
}

// clear is card_handle_reset: what was under way is forgotten.
func (w *firmware) clear() {
	w.rx, w.tx, w.wire, w.hdr, w.got = nil, nil, nil, nil, 0
	w.tpdu = header
	w.f, w.d = 1, 1
}

// contacts is process_io_statechg: an emulation that is off sees no power and no
// reset.
func (w *firmware) contacts() {
	if on := w.vcc && w.enabled; on != w.vccLast {
		w.change(&w.active, on, waitPower, waitClock)
		w.change(&w.clk, on, w.state, w.state)
		w.vccLast = on
	}
	if on := w.rst && w.enabled; on != w.rstLast {
		if on != w.reset {
			w.reset = on
			if on {
				w.clear()
				w.state = waitReset
			}
			w.activate()
			w.edge()
		}
		w.rstLast = on
	}
}

// change is an edge of VCC or CLK.
func (w *firmware) change(level *bool, on bool, off, up cardState) {
	if *level == on {
		w.activate()
		return
	}
	*level = on
	if level == &w.active {
		if on {
			w.state = up
		} else {
			w.clear()
			w.state = off
		}
	}
	w.activate()
	w.edge()
}

// activate sends the ATR once power, clock and a released reset are there.
func (w *firmware) activate() {
	if w.state > waitReset || !w.active || !w.clk || w.reset {
		return
	}
	w.wire = append(w.wire, w.atr...)
	w.wi = tc2(w.atr)
	w.state, w.tpdu = waitTPDU, header
}

// tc2 is the waiting integer of an ATR (ISO 7816-3 §8.3), 10 if it has none.
func tc2(atr []byte) uint8 {
	if len(atr) < 2 {
		return 10
	}
	pos, y := 2, atr[1]>>4
	for i := 1; ; i++ {
		for bit := uint8(1); bit <= 8; bit <<= 1 {
			if y&bit == 0 {
				continue
			}
			if pos >= len(atr) {
				return 10
			}
			if i == 2 && bit == 4 && atr[pos] != 0 {
				return atr[pos]
			}
			pos++
		}
		if y&8 == 0 || i == 2 {
			return 10
		}
		y = atr[pos-1] >> 4
	}
}

func (w *firmware) status() cardem.Status {
	s := cardem.Status{F: w.f, D: w.d, WI: w.wi, WaitingTime: 960 * uint32(w.wi)}
	for flag, on := range map[uint32]bool{cardem.StatusVCC: w.active, cardem.StatusClock: w.clk, cardem.StatusReset: w.reset} {
		if on {
			s.Flags |= flag
		}
	}
	return s
}

// edge tells the host of one.
func (w *firmware) edge() {
	if w.features&cardem.FeatureStatusIRQ != 0 {
		w.queue(cardem.PipeIRQ, cardem.AppendStatus(nil, w.status()))
	}
}

// queue is usb_buf_submit: the oldest message makes room.
func (w *firmware) queue(p cardem.Pipe, msg []byte) {
	q := &w.queues[p]
	if len(q.waiting) >= queueLen {
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.dropped++
	}
	q.waiting = append(q.waiting, msg)
}

// refill is usb_refill_to_host: the hardware holds one message more.
func (q *queue) refill() {
	if q.busy == nil && len(q.waiting) > 0 {
		q.busy = q.waiting[0]
		q.waiting = slices.Delete(q.waiting, 0, 1)
	}
}

// ready is card_emu_ch_ready.
func (w *firmware) ready() bool { return w.state == waitTPDU || w.state == inTPDU }

// dispatch is dispatch_usb_command.
func (w *firmware) dispatch(m cardem.Message) (resetPulse uint16) {
	p := m.Payload
	switch m.Class {
	case cardem.ClassModem:
		switch {
		case m.Type == cardem.TypeSIMSelect && len(p) >= 1:
			w.enabled = p[0] != 0
		case m.Type == cardem.TypeModemReset && len(p) >= 3 && p[0] == byte(cardem.ResetPulse):
			return uint16(p[1]) | uint16(p[2])<<8
		}
	case cardem.ClassCardem:
		w.command(m.Type, p)
	}
	return 0
}

// command is dispatch_usb_command_cardem.
func (w *firmware) command(t cardem.Type, p []byte) {
	switch t {
	case cardem.TypeTxData:
		d, err := cardem.ParseData(p)
		if err != nil || !w.ready() {
			w.ignored++
			return
		}
		w.tx = append(w.tx, pending{d.Flags, slices.Clone(d.Bytes)})
		w.transmit()
	case cardem.TypeSetATR:
		if len(p) >= 1 && int(p[0]) <= 33 && int(p[0]) <= len(p)-1 {
			w.atr = slices.Clone(p[1 : 1+p[0]])
		}
	case cardem.TypeCardInsert:
		w.inserted = len(p) > 0 && p[0] != 0
	case cardem.TypeStatus:
		w.queue(cardem.PipeIn, cardem.AppendStatus(nil, w.status()))
	case cardem.TypeConfig:
		if c, err := cardem.ParseConfig(p); err == nil {
			w.features = c.Features & cardem.FeatureStatusIRQ
			if c.Presence&cardem.PresentLow != 0 {
				w.presence = c.Presence
			}
		}
		w.queue(cardem.PipeIn, cardem.AppendConfig(nil, cardem.Config{Features: w.features, Presence: w.presence}))
	}
}

// transmit is tx_byte_tpdu for as many bytes as can go.
func (w *firmware) transmit() {
	for len(w.tx) > 0 && w.state == inTPDU && (w.tpdu == waitPB || w.tpdu == waitTx) {
		m := w.tx[0]
		w.tx = w.tx[1:]
		w.wire = append(w.wire, m.bytes...)
		switch {
		case m.flags&cardem.FlagPBAndRx != 0:
			w.tpdu = waitRx
		case m.flags&cardem.FlagFinal != 0:
			w.state, w.tpdu = waitTPDU, header
		default:
			w.tpdu = waitTx
		}
	}
}

// receive is card_emu_process_rx_byte.
func (w *firmware) receive(b byte) {
	if !w.enabled {
		return
	}
	switch {
	case w.state == waitTPDU:
		w.state, w.tpdu, w.hdr = inTPDU, header, nil
		fallthrough
	case w.state == inTPDU && w.tpdu == header:
		if w.hdr = append(w.hdr, b); len(w.hdr) == 5 {
			w.queue(cardem.PipeIn, cardem.AppendRxData(nil, cardem.FlagHeader, w.hdr))
			w.tpdu, w.got, w.rx = waitPB, 0, nil
			w.transmit()
		}
	case w.state == inTPDU && w.tpdu == waitRx:
		w.rx = append(w.rx, b)
		w.got++
		switch {
		case w.got == int(w.hdr[4]):
			if !w.loseBody {
				w.queue(cardem.PipeIn, cardem.AppendRxData(nil, cardem.FlagFinal, w.rx))
			}
			w.loseBody = false
			w.rx, w.tpdu = nil, waitTx
			w.transmit()
		case w.chunk > 0 && len(w.rx) == w.chunk:
			w.queue(cardem.PipeIn, cardem.AppendRxData(nil, 0, w.rx))
			w.rx = nil
		}
	}
}

// halfTime is card_emu_wtime_half_expired: half of the waiting time is over.
func (w *firmware) halfTime() {
	if w.state == inTPDU && (w.tpdu == waitPB || w.tpdu == waitTx) {
		w.wire = append(w.wire, 0x60)
		w.nulls++
	}
}

// silent tells whether the modem waits for bytes that cannot come any more.
func (w *firmware) silent() bool {
	return len(w.wire) == 0 && !(w.enabled && w.state == inTPDU && (w.tpdu == waitPB || w.tpdu == waitTx))
}

// selection is the firmware's answer to a PTS: it agrees to everything.
func (w *firmware) selection(req []byte) {
	p := cardem.PTS{Len: len(req)}
	at := 2
	// The bytes lie at their own places on the way to the host, but the
	// firmware packs them.
	copy(p.Req[:], req)
	copy(p.Resp[:], req)
	if len(req) > at && req[1]&0x10 != 0 {
		w.f, w.d = req[at]>>4, req[at]&15
	}
	w.wire = append(w.wire, req...)
	w.queue(cardem.PipeIn, cardem.AppendPTS(nil, p))
}
