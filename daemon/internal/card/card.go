// Package card defines how a modem is made to see a card that is somewhere
// else. A Front is one such way: an electrical card emulator in the SIM slot, a
// Qualcomm modem's UIM Remote service, or vpcd for PC/SC programs. The package
// holds what all fronts share (the interface, the ATR, the T=0 command cases)
// and no I/O of its own.
package card

import (
	"context"
	"errors"
	"time"
)

// Bounds of a command TPDU that the bank takes (5 header bytes, up to 255 data
// bytes; ISO 7816-3 §12.1.1, osmo-remsim's bankd refuses anything else).
const (
	MinTPDU     = 5
	MaxTPDU     = 260
	MaxResponse = 258 // 256 data bytes and SW1 SW2
)

// Errors that fronts and their callers tell apart.
var (
	// ErrStale: the answer belongs to a command that is no longer pending,
	// because the modem reset the card or gave up.
	ErrStale = errors.New("answer to a command that is no longer pending")
	// ErrNotReady: the front's device is not open now.
	ErrNotReady = errors.New("card front is not ready")
)

// Lines is what the modem does with the card's contacts (ISO 7816-3 §5).
type Lines struct {
	Powered bool // VCC present (C1)
	Reset   bool // RST asserted, state L (C2)
	Clock   bool // CLK running (C3)
}

// Info says what a front is, for status and diagnosis.
type Info struct {
	Kind   string // "cardem", "uim-remote", "vpcd"
	Device string // what it was opened on: "usb:2-1:0", "qmi:/dev/cdc-wdm0", "127.0.0.1:35963"
	Detail string // firmware or reader name, if known
}

// Limits are a front's own bounds.
type Limits struct {
	// Answer is how long a command may stay unanswered before the front has
	// to go mute. A cardem covers long waits itself with NULL procedure
	// bytes, so its limit is the modem's patience; UIM Remote firmware waits
	// about 15 s.
	Answer time.Duration
	// MaxATR is the longest ATR that the front can present, in bytes
	// (33 by ISO 7816-3 §8.2.1).
	MaxATR int
	// Removes tells whether a removal is visible to the modem (presence
	// pin, removal event). Where it is not, the modem needs a reset to see a
	// changed card.
	Removes bool
}

// Handler is told what the modem does with the card. A front calls it from one
// goroutine at a time, in order, and never while it holds a lock of its own
// that Insert, Remove, Answer or Mute take. No call may block.
type Handler interface {
	// FrontUp: the device is open and will take Insert.
	FrontUp(f Front)
	// Lines reports an edge. Every edge is reported, once, in order: a reset
	// is Reset true, then Reset false.
	Lines(l Lines)
	// Command hands over a complete T=0 command TPDU (header, and body for
	// cases 3 and 4). tpdu is valid only during the call. id never repeats
	// during the life of the front. At most one command is pending: Lines
	// edges that reset the card, and FrontDown, end it.
	Command(id uint64, tpdu []byte)
	// FrontDown: the device is gone or closed; a pending command is void.
	FrontDown(err error)
}

// Front makes a modem see a card. Insert, Remove, Answer and Mute may be called
// from any goroutine, and return quickly (they write at most one message to the
// device, with a deadline of the front's own).
type Front interface {
	// Run opens the device and serves it until ctx ends (nil) or the device
	// fails (an error that names it). The caller restarts it with back-off.
	// FrontUp and FrontDown bracket each successful opening.
	Run(ctx context.Context, h Handler) error
	// Insert presents a card with this ATR. While a card is inserted, the
	// same ATR changes nothing and another ATR is a card change (removal,
	// then insertion).
	Insert(atr ATR) error
	// Remove takes the card away. Removing no card is no error.
	Remove() error
	// Answer gives the response (data and SW1 SW2) to command id. It returns
	// ErrStale, and sends nothing, if id is not the pending command.
	Answer(id uint64, response []byte) error
	// Mute gives up on command id without inventing a status word: the modem
	// sees a card that does not answer, in the way that its front can show
	// that, and will reset it or report it lost.
	Mute(id uint64) error
	// Info and Limits describe the front; they are constant but for
	// Info.Detail.
	Info() Info
	Limits() Limits
}

// ModemResetter is a front whose hardware can reset the modem (PERST pulse).
type ModemResetter interface {
	// ResetModem asserts reset for the given time, at most 10 s.
	ResetModem(pulse time.Duration) error
}

// SlotSelector is a front whose hardware switches the modem's SIM slot between
// the local card and the remote one.
type SlotSelector interface {
	// SelectRemote switches to the remote card (true) or the local one.
	SelectRemote(remote bool) error
}
