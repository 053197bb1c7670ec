// Package vpcd makes PC/SC programs see a card: it is the card's side of the
// protocol that Debian's vsmartcard-vpcd speaks inside pcscd. vpcd listens, one
// port per reader; a connection is a card in that reader.
//
// The package owns that connection. It never looks into an APDU beyond its lengths
// and never answers one, except those that a T=0 card cannot be given at all
// (extended or contradictory lengths: 6700).
//
// PC/SC programs see a T=0 card as it is: 61xx and 6Cxx are theirs to handle
// (OpenSC does, and so does everything written for CCID readers at TPDU level). Le of
// a case 4 command is dropped, as ISO 7816-3 §12.2 has it.
package vpcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// DefaultDevice is where Debian's vpcd listens for its first reader; the second
// is one port higher.
const DefaultDevice = "127.0.0.1:35963"

const (
	// removalTime is how long the reader is left empty when a card goes away:
	// pcscd looks every 400 ms, and would take a connection that comes back
	// faster for the same powered card.
	removalTime = time.Second
	// answerLimit: vpcd itself waits for ever, with the whole reader locked.
	answerLimit = 30 * time.Second
	dialTimeout = 5 * time.Second
	// writeTimeout: vpcd always reads, so a write that blocks means it hangs.
	writeTimeout = 2 * time.Second
	// Pauses between attempts while pcscd is away.
	minPause = 250 * time.Millisecond
	maxPause = 5 * time.Second
)

// Front is a reader of pcscd as a card front. Make it with New.
type Front struct {
	device  string
	removal time.Duration // removalTime but in tests
	wake    chan struct{} // 1: the wanted card changed

	mu      sync.Mutex
	running bool
	atr     card.ATR     // nil: no card is wanted in the reader
	conn    *net.TCPConn // nil: not connected
	pending uint64       // id of the command without an answer; 0: none
	lastID  uint64
	gone    time.Time // when the reader last lost a card
	detail  string
	tx      [headerLen + card.MaxResponse]byte
}

var _ card.Front = (*Front)(nil)

// New makes the front for the reader whose driver listens on device, "host:port".
// An empty device is DefaultDevice, an empty host the loopback address.
func New(device string) (*Front, error) {
	if device == "" {
		device = DefaultDevice
	}
	host, port, err := net.SplitHostPort(device)
	if err != nil {
		return nil, fmt.Errorf("vpcd device %q: expected host:port: %w", device, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("vpcd device %q: port %q is not 1..65535", device, port)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return &Front{
		device:  net.JoinHostPort(host, port),
		removal: removalTime,
		wake:    make(chan struct{}, 1),
		detail:  "stopped",
	}, nil
}

// Insert puts a card with this ATR into the reader. It is connected as soon as
// pcscd is there, and again when pcscd comes back.
func (f *Front) Insert(atr card.ATR) error {
	if err := card.CheckATR(atr); err != nil {
		return fmt.Errorf("insert card into vpcd reader %s: %w", f.device, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running {
		return fmt.Errorf("insert card into vpcd reader %s: %w", f.device, card.ErrNotReady)
	}
	if string(f.atr) == string(atr) {
		return nil
	}
	f.hangUp()
	f.atr = append(card.ATR(nil), atr...)
	f.stir()
	return nil
}

// Remove disconnects, which is an empty reader.
func (f *Front) Remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hangUp()
	f.atr = nil
	f.stir()
	return nil
}

// Answer gives the response to command id to pcscd.
func (f *Front) Answer(id uint64, response []byte) error {
	if n := len(response); n < 2 || n > card.MaxResponse {
		return fmt.Errorf("answer command %d in vpcd reader %s: %d bytes, expected 2..%d", id, f.device, n, card.MaxResponse)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == 0 || id != f.pending {
		return fmt.Errorf("answer command %d in vpcd reader %s: %w", id, f.device, card.ErrStale)
	}
	f.pending = 0 // before the write: the next command may come at once
	return f.send(response)
}

// Mute takes the card away for a moment. The program's SCardTransmit ends with an
// answer of no bytes (that is what vpcd makes of a closed connection) and then
// learns that the card was removed.
func (f *Front) Mute(id uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == 0 || id != f.pending {
		return fmt.Errorf("mute command %d in vpcd reader %s: %w", id, f.device, card.ErrStale)
	}
	f.hangUp()
	return nil
}

// Info tells the device, and in Detail whether pcscd has the card.
func (f *Front) Info() card.Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return card.Info{Kind: "vpcd", Device: f.device, Detail: f.detail}
}

// Limits of a reader: a removal is always seen.
func (f *Front) Limits() card.Limits {
	return card.Limits{Answer: answerLimit, MaxATR: 33, Removes: true}
}

// send writes one message. f.mu is held.
func (f *Front) send(payload []byte) error {
	if f.conn == nil {
		return fmt.Errorf("write to vpcd reader %s: %w", f.device, card.ErrNotReady)
	}
	b := appendMessage(f.tx[:0], payload)
	err := f.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = f.conn.Write(b)
	}
	if err != nil {
		f.hangUp()
		return fmt.Errorf("write to vpcd reader %s: %w", f.device, err)
	}
	return nil
}

// hangUp closes the connection and voids the pending command; Run, whose read
// ends by it, reports the loss of power. f.mu is held.
func (f *Front) hangUp() {
	f.pending = 0
	if f.conn != nil {
		// The peer has gone, or is about to be told so: nobody needs the error.
		_ = f.conn.Close()
		f.conn = nil
		f.gone = time.Now()
	}
}

// stir wakes Run to look at the wanted card again.
func (f *Front) stir() {
	select {
	case f.wake <- struct{}{}:
	default: // a wake-up is already waiting
	}
}

// begin claims the front for one Run.
func (f *Front) begin() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running {
		return fmt.Errorf("run vpcd reader %s: it is running already", f.device)
	}
	f.running, f.detail = true, "no card"
	return nil
}

// end undoes begin; a later Run starts with an empty reader.
func (f *Front) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hangUp()
	f.running, f.atr, f.detail = false, nil, "stopped"
}

// describe sets Info's Detail.
func (f *Front) describe(detail string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.detail = detail
}

// wanted tells the card that shall be in the reader, nil for none, and how long
// the reader has to stay empty before.
func (f *Front) wanted(now time.Time) (atr card.ATR, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.atr == nil || f.gone.IsZero() {
		return f.atr, 0
	}
	return f.atr, f.gone.Add(f.removal).Sub(now)
}

// adopt makes conn the connection, unless the wanted card is another by now.
func (f *Front) adopt(conn *net.TCPConn, atr card.ATR) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.atr == nil || string(f.atr) != string(atr) {
		return false
	}
	f.conn, f.detail = conn, "card in the reader"
	return true
}

// dial connects to pcscd.
func (f *Front) dial(ctx context.Context) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "tcp", f.device)
	if err != nil {
		return nil, fmt.Errorf("connect to vpcd reader %s: %w", f.device, err)
	}
	conn, ok := c.(*net.TCPConn)
	if !ok {
		_ = c.Close()
		return nil, errors.New("connect to vpcd reader: not a TCP connection")
	}
	// Go's default, said all the same: an answer must not wait for an ACK.
	if err := conn.SetNoDelay(true); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connect to vpcd reader %s: %w", f.device, err)
	}
	return conn, nil
}
