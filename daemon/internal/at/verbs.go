package at

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Identity is what a modem says it is.
type Identity struct {
	Manufacturer, Model, Revision string
	IMEI                          model.IMEI
}

// SIMState is what the modem says of its card.
type SIMState string

// The states of +CPIN? (TS 27.007 §8.3), as words.
const (
	SIMReady   SIMState = "ready"
	SIMAbsent  SIMState = "absent"
	SIMPIN     SIMState = "pin"
	SIMPUK     SIMState = "puk"
	SIMLocked  SIMState = "locked" // another code: PIN2, personalization
	SIMBusy    SIMState = "busy"
	SIMFailure SIMState = "failure"
)

// SIM is the card as the modem sees it.
type SIM struct {
	State SIMState
	Code  string // what +CPIN? asks for, when locked
	ICCID model.ICCID
	IMSI  model.IMSI
}

// ReadIdentity asks +CGMI, +CGMM, +CGMR and +CGSN (TS 27.007 §5.1 to §5.4).
func ReadIdentity(ctx context.Context, d Doer) (Identity, error) {
	var id Identity
	var imei string
	for _, q := range []struct {
		text string
		to   *string
	}{{"+CGMI", &id.Manufacturer}, {"+CGMM", &id.Model}, {"+CGMR", &id.Revision}, {"+CGSN", &imei}} {
		lines, err := d.Do(ctx, Command{Text: q.text, Shape: Bare})
		if unsupported(err) {
			continue
		}
		if err != nil {
			return id, err
		}
		if len(lines) > 0 {
			*q.to = strings.Trim(lines[0], `"`)
		}
	}
	if digits := digitsOf(imei); len(digits) == 15 || len(digits) == 14 {
		id.IMEI = model.IMEI(digits)
	} else if imei != "" {
		return id, fmt.Errorf("AT+CGSN: %d digits, an IMEI has 15: %w", len(digits), ErrMalformed)
	}
	return id, nil
}

// digitsOf takes the first run of digits, as firmware dresses numbers up:
// `+CGSN: "123…"`, "IMEI: 123…".
func digitsOf(s string) string {
	start := strings.IndexFunc(s, isDigit)
	if start < 0 {
		return ""
	}
	s = s[start:]
	if end := strings.IndexFunc(s, func(r rune) bool { return !isDigit(r) }); end >= 0 {
		s = s[:end]
	}
	return s
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// ReadSIM asks +CPIN?, and of a ready card +CIMI (§5.6) and its ICCID.
func ReadSIM(ctx context.Context, d Doer, p Profile) (SIM, error) {
	lines, err := d.Do(ctx, Command{Text: "+CPIN?"})
	sim, err := simState(lines, err)
	if err != nil {
		return sim, err
	}
	if sim.State == SIMAbsent || sim.State == SIMFailure || sim.State == SIMBusy {
		return sim, nil
	}
	if sim.ICCID, err = readICCID(ctx, d, p); err != nil {
		return sim, err
	}
	if sim.State != SIMReady {
		return sim, nil // the IMSI needs the PIN
	}
	lines, err = d.Do(ctx, Command{Text: "+CIMI", Shape: Bare})
	if err != nil {
		return sim, err
	}
	if len(lines) > 0 {
		sim.IMSI = model.IMSI(digitsOf(lines[0]))
	}
	return sim, nil
}

func simState(lines []string, err error) (SIM, error) {
	var e *Error
	if errors.As(err, &e) {
		switch {
		case e.Is(ErrSIMNotInserted), e.Kind == "CME" && e.Code < 0 && strings.Contains(e.Text, "not inserted"):
			return SIM{State: SIMAbsent}, nil
		case e.Is(ErrSIMBusy):
			return SIM{State: SIMBusy}, nil
		case e.Is(ErrSIMFailure), e.Kind == "CME" && e.Code == 15:
			return SIM{State: SIMFailure}, nil
		case e.Is(ErrSIMPIN):
			return SIM{State: SIMPIN, Code: "SIM PIN"}, nil
		case e.Is(ErrSIMPUK):
			return SIM{State: SIMPUK, Code: "SIM PUK"}, nil
		}
	}
	if err != nil {
		return SIM{}, err
	}
	if len(lines) == 0 {
		return SIM{}, fmt.Errorf("AT+CPIN?: no information line: %w", ErrMalformed)
	}
	code := strings.Trim(lines[len(lines)-1], `"`)
	switch code {
	case "READY":
		return SIM{State: SIMReady}, nil
	case "SIM PIN":
		return SIM{State: SIMPIN, Code: code}, nil
	case "SIM PUK":
		return SIM{State: SIMPUK, Code: code}, nil
	case "NOT INSERTED", "NOT READY":
		return SIM{State: SIMAbsent}, nil
	}
	return SIM{State: SIMLocked, Code: code}, nil
}

// readICCID tries the profile's commands. The number is 18 to 20 digits
// (ITU-T E.118); a trailing F is padding.
func readICCID(ctx context.Context, d Doer, p Profile) (model.ICCID, error) {
	for _, text := range p.ICCID {
		lines, err := d.Do(ctx, Command{Text: text, Shape: Bare})
		var e *Error
		if errors.As(err, &e) {
			continue
		}
		if err != nil {
			return "", err
		}
		for _, line := range lines {
			if n := digitsOf(line); len(n) >= 18 && len(n) <= 20 {
				return model.ICCID(n), nil
			}
		}
	}
	return "", nil
}

// Functionality reads +CFUN? (§8.2): 0 minimum, 1 full, 4 radio off.
func Functionality(ctx context.Context, d Doer) (int, error) {
	lines, err := d.Do(ctx, Command{Text: "+CFUN?"})
	if err != nil {
		return 0, err
	}
	if len(lines) == 0 {
		return 0, fmt.Errorf("AT+CFUN?: no information line: %w", ErrMalformed)
	}
	n, err := strconv.Atoi(fields(lines[len(lines)-1])[0])
	if err != nil {
		return 0, fmt.Errorf("AT+CFUN?: %w", ErrMalformed)
	}
	return n, nil
}

// funTimeout: firmware detaches from the network first.
const funTimeout = 45 * time.Second

// SetFunctionality sends +CFUN=level. Levels that are not in the standard's
// table belong to vendors' resets: see Reset.
func SetFunctionality(ctx context.Context, d Doer, level int) error {
	if level != 0 && level != 1 && level != 4 {
		return fmt.Errorf("functionality %d is not 0, 1 or 4: %w", level, ErrUnsupported)
	}
	_, err := d.Do(ctx, Command{Text: "+CFUN=" + strconv.Itoa(level), Timeout: funTimeout})
	return err
}

// Reset restarts the modem with the profile's command. Most modems go away
// without an answer: that the port is lost is what was asked for.
func Reset(ctx context.Context, d Doer, p Profile) error {
	if p.Reset == "" {
		return fmt.Errorf("reset %s by command: %w", p.Name, ErrUnsupported)
	}
	_, err := d.Do(ctx, Command{Text: p.Reset, Timeout: funTimeout})
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

// PowerSaving is what may make a modem unreachable.
type PowerSaving struct {
	PSM, EDRX             bool
	PSMKnown, EDRXKnown   bool          // false: the modem does not tell
	ActiveTime, TAUPeriod time.Duration // asked for, 0 if not given
}

// ReadPowerSaving asks +CPSMS? (§7.38) and +CEDRXS? (§7.40). Both are fatal on
// a modem that carries control traffic: it sleeps through it.
func ReadPowerSaving(ctx context.Context, d Doer) (PowerSaving, error) {
	var ps PowerSaving
	lines, err := d.Do(ctx, Command{Text: "+CPSMS?"})
	switch {
	case unsupported(err):
	case err != nil:
		return ps, err
	case len(lines) > 0:
		f := fields(lines[0])
		ps.PSMKnown, ps.PSM = true, f[0] == "1"
		if len(f) >= 5 {
			ps.TAUPeriod, ps.ActiveTime = timer3(f[3]), timer2(f[4])
		}
	}
	lines, err = d.Do(ctx, Command{Text: "+CEDRXS?"})
	switch {
	case unsupported(err):
	case err != nil:
		return ps, err
	default:
		// One line per access technology that has eDRX asked for; none, or
		// technology 0, means off.
		ps.EDRXKnown = true
		for _, l := range lines {
			ps.EDRX = ps.EDRX || fields(l)[0] != "0" && l != ""
		}
	}
	return ps, nil
}

// timer3 is GPRS timer 3 (TS 24.008 §10.5.7.4a), timer2 GPRS timer 2 as T3324
// uses it (§10.5.7.4): three bits of unit, five of value.
func timer3(bits string) time.Duration {
	return gprsTimer(bits, [8]time.Duration{10 * time.Minute, time.Hour, 10 * time.Hour, 2 * time.Second, 30 * time.Second, time.Minute, 320 * time.Hour, 0})
}

func timer2(bits string) time.Duration {
	return gprsTimer(bits, [8]time.Duration{2 * time.Second, time.Minute, 6 * time.Minute, time.Minute, time.Minute, time.Minute, time.Minute, 0})
}

func gprsTimer(bits string, unit [8]time.Duration) time.Duration {
	n, err := strconv.ParseUint(bits, 2, 8)
	if err != nil || len(bits) != 8 {
		return 0
	}
	return unit[n>>5] * time.Duration(n&31)
}

// Slot asks which card slot is in use, counted from 1.
func Slot(ctx context.Context, d Doer, p Profile) (int, error) {
	if p.Slots.Query == "" {
		return 0, fmt.Errorf("ask %s for its card slot: %w", p.Name, ErrUnsupported)
	}
	lines, err := d.Do(ctx, Command{Text: p.Slots.Query})
	if err != nil {
		return 0, err
	}
	if len(lines) == 0 {
		return 0, fmt.Errorf("AT%s: no information line: %w", p.Slots.Query, ErrMalformed)
	}
	n, err := strconv.Atoi(fields(lines[len(lines)-1])[0])
	if err != nil || n < p.Slots.First || n > p.Slots.First+1 {
		return 0, fmt.Errorf("AT%s: slot %.20q: %w", p.Slots.Query, lines[len(lines)-1], ErrMalformed)
	}
	return n - p.Slots.First + 1, nil
}

// SetSlot chooses a card slot, counted from 1.
func SetSlot(ctx context.Context, d Doer, p Profile, slot int) error {
	if p.Slots.Set == "" || slot < 1 || slot > 2 {
		return fmt.Errorf("choose card slot %d of %s: %w", slot, p.Name, ErrUnsupported)
	}
	_, err := d.Do(ctx, Command{Text: p.Slots.Set + strconv.Itoa(slot-1+p.Slots.First), Timeout: funTimeout})
	return err
}

// SetHotSwap lets the modem watch its card-presence pin, or not. A modem that
// does already what is asked is sent nothing.
func SetHotSwap(ctx context.Context, d Doer, p Profile, on bool) error {
	if p.HotSwap.Query == "" {
		return fmt.Errorf("hot swap of %s: %w", p.Name, ErrUnsupported)
	}
	lines, err := d.Do(ctx, Command{Text: p.HotSwap.Query})
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return fmt.Errorf("AT%s: no information line: %w", p.HotSwap.Query, ErrMalformed)
	}
	f, want := fields(lines[len(lines)-1]), "0"
	if on {
		want = "1"
	}
	if f[0] != "0" && f[0] != "1" {
		return fmt.Errorf("AT%s: %.20q: %w", p.HotSwap.Query, f[0], ErrMalformed)
	}
	if f[0] == want {
		return nil
	}
	f[0] = want
	_, err = d.Do(ctx, Command{Text: p.HotSwap.Set + strings.Join(f, ",")})
	return err
}
