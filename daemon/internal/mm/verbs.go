package mm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// Conditions that a caller of the verbs tells apart.
var (
	// ErrDown: the bus or ModemManager is away.
	ErrDown = errors.New("ModemManager is not running")
	// ErrNoModem: ModemManager does not show this device now.
	ErrNoModem = errors.New("no such modem")
	// ErrUnsupported: this modem or this ModemManager cannot do it.
	ErrUnsupported = errors.New("not supported by this modem")
	// ErrWrongState: not in the modem's present state.
	ErrWrongState = errors.New("modem is in the wrong state for this")
	// ErrBusy: another operation is under way, or somebody else inhibits the modem.
	ErrBusy = errors.New("modem is busy")
	// ErrRefused: the bus or polkit does not let us.
	ErrRefused = errors.New("not permitted")
	// ErrNoSIM: there is no card.
	ErrNoSIM = errors.New("no card in the modem")
	// ErrWrongPIN: the card refused the PIN, which cost a try.
	ErrWrongPIN = errors.New("wrong PIN")
	// ErrLastTry: one PIN try or none is left. A wrong one would block the
	// card, so a person has to enter it.
	ErrLastTry = errors.New("no PIN try to spare")
	// ErrTriesUnknown: ModemManager does not know yet how many tries are left;
	// it may say so in the modem's next report.
	ErrTriesUnknown = errors.New("PIN tries left are unknown")
	// ErrNotLocked: the card does not ask for its PIN.
	ErrNotLocked = errors.New("card does not ask for its PIN")
	// ErrTimeout: no answer in time; it may still happen.
	ErrTimeout = errors.New("no answer in time")
)

// How long each verb may take. ModemManager gives up on a mute modem after 25
// to 30 s per command; enabling takes several.
const (
	quickVerb  = 30 * time.Second
	slowVerb   = 60 * time.Second
	enableVerb = 150 * time.Second
)

// Power is a power state of the radio.
type Power uint32

// The power states that can be asked for.
const (
	PowerOff Power = 1
	PowerLow Power = 2
	PowerOn  Power = 3
)

// Reset restarts the modem's firmware. The modem vanishes and comes back under
// another D-Bus path.
func (c *Client) Reset(ctx context.Context, device string) error {
	return c.verb(ctx, "reset modem", device, slowVerb, "Reset")
}

// SetPowerState switches the radio. ModemManager 1.20 takes it only from
// disabled or failed modems (ErrWrongState).
func (c *Client) SetPowerState(ctx context.Context, device string, p Power) error {
	return c.verb(ctx, "set power state of modem", device, slowVerb, "SetPowerState", uint32(p))
}

// SetPrimarySimSlot chooses one of the modem's slots, counted from 1. The modem
// vanishes and comes back under another D-Bus path.
func (c *Client) SetPrimarySimSlot(ctx context.Context, device string, slot int) error {
	if slot < 1 || slot > 16 {
		return fmt.Errorf("choose slot %d of modem %s: %w", slot, device, ErrUnsupported)
	}
	return c.verb(ctx, "choose slot of modem", device, slowVerb, "SetPrimarySimSlot", uint32(slot))
}

// Enable switches the modem on and has it register. Only for modems that no
// netifd interface owns.
func (c *Client) Enable(ctx context.Context, device string) error {
	return c.verb(ctx, "enable modem", device, enableVerb, "Enable", true)
}

// Inhibit makes ModemManager let go of a device: its modem vanishes and its
// ports are free. That holds until Uninhibit, also through a restart of
// ModemManager, and ends with this connection to the bus at the latest.
func (c *Client) Inhibit(ctx context.Context, device string) error {
	conn, owner, _ := c.find(device)
	c.mu.Lock()
	already := c.inhibited[device]
	c.mu.Unlock()
	if already {
		return nil
	}
	if err := call(ctx, conn, owner, root, quickVerb, service+".InhibitDevice", device, true); err != nil {
		return verbError("inhibit modem "+device, err)
	}
	c.mu.Lock()
	c.inhibited[device] = true
	c.mu.Unlock()
	return nil
}

// Uninhibit gives the device back to ModemManager, which probes it anew.
func (c *Client) Uninhibit(ctx context.Context, device string) error {
	conn, owner, _ := c.find(device)
	c.mu.Lock()
	delete(c.inhibited, device)
	c.mu.Unlock()
	err := verbError("uninhibit modem "+device, call(ctx, conn, owner, root, quickVerb, service+".InhibitDevice", device, false))
	if errors.Is(err, ErrNoModem) || errors.Is(err, ErrDown) {
		return nil // the inhibition went with the device or with ModemManager
	}
	return err
}

// SendPIN unlocks the card in the modem. It reads the tries left first and
// refuses with ErrLastTry or ErrTriesUnknown when a wrong PIN could block the
// card.
func (c *Client) SendPIN(ctx context.Context, device, pin string) error {
	doing := "send PIN to modem " + device
	conn, owner, modem := c.find(device)
	if owner == "" {
		return fmt.Errorf("%s: %w", doing, ErrDown)
	}
	if modem == "" {
		return fmt.Errorf("%s: %w", doing, ErrNoModem)
	}
	ctx, cancel := context.WithTimeout(ctx, slowVerb)
	defer cancel()
	var p map[string]dbus.Variant
	err := conn.Object(owner, modem).CallWithContext(ctx, propsFace+".GetAll", dbus.FlagNoAutoStart, modemFace).Store(&p)
	if err != nil {
		return verbError(doing, err)
	}
	if integer(p, "UnlockRequired") != lockSIMPIN {
		return fmt.Errorf("%s: %w", doing, ErrNotLocked)
	}
	_, retries := locks(p)
	left, known := retries[lockName(lockSIMPIN)]
	if !known {
		return fmt.Errorf("%s: %w", doing, ErrTriesUnknown)
	}
	if left <= 1 {
		return fmt.Errorf("%s: %d tries left: %w", doing, left, ErrLastTry)
	}
	sim := path(p, "Sim")
	if sim == "" || sim == "/" {
		return fmt.Errorf("%s: %w", doing, ErrNoSIM)
	}
	return hide(pin, verbError(doing, call(ctx, conn, owner, sim, slowVerb, simFace+".SendPin", pin)))
}

// hide replaces an error whose text repeats the secret. It keeps the sentinel.
func hide(secret string, err error) error {
	if err == nil || secret == "" || !strings.Contains(err.Error(), secret) {
		return err
	}
	for _, known := range []error{ErrWrongPIN, ErrTimeout, ErrDown, ErrNoModem, ErrNoSIM, ErrBusy, ErrWrongState, ErrRefused, ErrUnsupported} {
		if errors.Is(err, known) {
			return fmt.Errorf("send PIN: %w", known)
		}
	}
	return errors.New("send PIN: ModemManager refused it")
}

// verb calls a method of the modem that is the device now.
func (c *Client) verb(ctx context.Context, doing, device string, limit time.Duration, method string, args ...any) error {
	conn, owner, modem := c.find(device)
	doing += " " + device
	if owner == "" {
		return fmt.Errorf("%s: %w", doing, ErrDown)
	}
	if modem == "" {
		return fmt.Errorf("%s: %w", doing, ErrNoModem)
	}
	return verbError(doing, call(ctx, conn, owner, modem, limit, modemFace+"."+method, args...))
}

func (c *Client) find(device string) (conn *dbus.Conn, owner string, modem dbus.ObjectPath) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn, c.owner, c.paths[device]
}

func call(ctx context.Context, conn *dbus.Conn, owner string, path dbus.ObjectPath, limit time.Duration, method string, args ...any) error {
	if conn == nil || owner == "" {
		return ErrDown
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return conn.Object(owner, path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...).Err
}

// verbError says what was being done and wraps the sentinel that fits.
func verbError(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrDown) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var remote dbus.Error
	switch {
	case errors.As(err, &remote):
		if kind := conditions[strings.TrimPrefix(remote.Name, service+".Error.")]; kind != nil {
			return fmt.Errorf("%s: %w: %s", doing, kind, remote.Error())
		}
		return fmt.Errorf("%s: %s: %s", doing, remote.Name, remote.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, ErrTimeout)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %v", doing, ErrDown, err)
}

// conditions maps D-Bus error names, ModemManager's without their prefix.
var conditions = map[string]error{
	"Core.Unsupported":                                            ErrUnsupported,
	"Core.InvalidArgs":                                            ErrUnsupported, // a slot that the modem does not have
	"Core.WrongState":                                             ErrWrongState,
	"Core.Connected":                                              ErrWrongState,
	"Core.InProgress":                                             ErrBusy,
	"Core.Retry":                                                  ErrBusy,
	"Core.TooMany":                                                ErrBusy,
	"Core.NotFound":                                               ErrNoModem,
	"Core.Unauthorized":                                           ErrRefused,
	"Core.Timeout":                                                ErrTimeout,
	"Core.Aborted":                                                ErrNoModem, // the modem went while it was asked
	"Serial.ResponseTimeout":                                      ErrTimeout,
	"Serial.SendFailed":                                           ErrTimeout,
	"Serial.OpenFailed":                                           ErrTimeout,
	"MobileEquipment.SimNotInserted":                              ErrNoSIM,
	"MobileEquipment.IncorrectPassword":                           ErrWrongPIN,
	"MobileEquipment.SimBusy":                                     ErrBusy,
	"MobileEquipment.NotSupported":                                ErrUnsupported,
	"org.freedesktop.DBus.Error.ServiceUnknown":                   ErrDown,
	"org.freedesktop.DBus.Error.NameHasNoOwner":                   ErrDown,
	"org.freedesktop.DBus.Error.NoReply":                          ErrDown,
	"org.freedesktop.DBus.Error.Disconnected":                     ErrDown,
	"org.freedesktop.DBus.Error.AccessDenied":                     ErrRefused,
	"org.freedesktop.DBus.Error.UnknownObject":                    ErrNoModem,
	"org.freedesktop.DBus.Error.UnknownMethod":                    ErrNoModem, // what GDBus says of an object that has gone
	"org.freedesktop.DBus.Error.UnknownInterface":                 ErrUnsupported,
	"org.freedesktop.DBus.Error.Timeout":                          ErrTimeout,
	"org.freedesktop.DBus.Error.AuthFailed":                       ErrRefused,
	"org.freedesktop.DBus.Error.LimitsExceeded":                   ErrBusy,
	"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": ErrRefused,
}
