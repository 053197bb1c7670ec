package at

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// scale turns a coded value into dBm or dB. The standard codes intervals; the
// value given is the lower edge of the interval, for code 0 one step below the
// edge of code 1.
type scale struct {
	base, step   float64 // value of code 0 and of one code
	top, unknown int
}

// The scales of TS 27.007: +CSQ §8.5, +CESQ §8.69 (the measures themselves are
// TS 45.008, TS 25.133, TS 36.133 and TS 38.133).
var (
	scaleRSSI   = scale{-113, 2, 31, 99}       // 0: -113 dBm or less, 31: -51 dBm or more
	scaleRxLev  = scale{-111, 1, 63, 99}       // 1: -110 <= x < -109
	scaleRSCP   = scale{-121, 1, 96, 255}      // 1: -120 <= x < -119
	scaleRSRQ   = scale{-20, 0.5, 34, 255}     // 1: -19.5 <= x < -19
	scaleRSRP   = scale{-141, 1, 97, 255}      // 1: -140 <= x < -139
	scaleSSRSRQ = scale{-43.5, 0.5, 126, 255}  // 1: -43 <= x < -42.5
	scaleSSRSRP = scale{-157, 1, 126, 255}     // 1: -156 <= x < -155
	scaleSSSINR = scale{-23.5, 0.5, 127, 255}  // 1: -23 <= x < -22.5
	scaleXRSSNR = scale{0, 0.5, 100, 255}      // Intel's +XCESQ: signed halves of a dB
	scaleQSINR  = scale{-20, 0.2, 250, -32768} // Quectel's +QCSQ on LTE: fifths of a dB from -20
)

// value decodes one field; nil if the modem did not measure it.
func (s scale) value(field string) *float64 {
	n, err := strconv.Atoi(field)
	if err != nil || n == s.unknown || n > s.top || n < 0 && s.base != 0 || n < -s.top {
		return nil
	}
	v := s.base + float64(n)*s.step
	return &v
}

// plain decodes a field that is already in dBm or dB, within lo..hi.
func plain(field string, lo, hi float64) *float64 {
	v, err := strconv.ParseFloat(field, 64)
	if err != nil || !(v >= lo && v <= hi) {
		return nil
	}
	return &v
}

// signalCommand is one way to read the signal.
type signalCommand struct {
	cmd   Command
	parse func(lines []string) (model.Signal, error)
}

// Names of signal commands in profiles.
const (
	SignalCSQ     = "+CSQ"
	SignalCESQ    = "+CESQ"
	SignalQCSQ    = "+QCSQ"
	SignalXCESQ   = "+XCESQ?"
	SignalGSTATUS = "!GSTATUS?"
)

func signalCommandFor(name string) (signalCommand, bool) {
	switch name {
	case SignalCSQ:
		return signalCommand{Command{Text: name}, oneLine(parseCSQ)}, true
	case SignalCESQ:
		return signalCommand{Command{Text: name}, oneLine(parseCESQ)}, true
	case SignalQCSQ:
		return signalCommand{Command{Text: name}, parseQCSQ}, true
	case SignalXCESQ:
		return signalCommand{Command{Text: name}, oneLine(parseXCESQ)}, true
	case SignalGSTATUS:
		return signalCommand{Command{Text: name, Shape: Block}, parseGSTATUS}, true
	}
	return signalCommand{}, false
}

// ReadSignal asks with the profile's commands, in order, and merges what they
// tell: an earlier command's value stands. A command that this modem does not
// know is passed over.
func ReadSignal(ctx context.Context, d Doer, p Profile) (model.Signal, error) {
	var sum model.Signal
	var last error
	answered := false
	for _, name := range p.Signal {
		sc, ok := signalCommandFor(name)
		if !ok {
			return sum, fmt.Errorf("signal command %s of profile %s: %w", name, p.Name, ErrUnsupported)
		}
		lines, err := d.Do(ctx, sc.cmd)
		if unsupported(err) {
			last = err
			continue
		}
		if err != nil {
			return sum, err
		}
		s, err := sc.parse(lines)
		if err != nil {
			return sum, fmt.Errorf("AT%s: %w", name, err)
		}
		answered = true
		merge(&sum, s)
	}
	if !answered {
		return sum, fmt.Errorf("read signal: %w", errors.Join(ErrUnsupported, last))
	}
	return sum, nil
}

func merge(into *model.Signal, from model.Signal) {
	for _, f := range []struct{ to, from **float64 }{
		{&into.RSSI, &from.RSSI}, {&into.RSRP, &from.RSRP}, {&into.RSRQ, &from.RSRQ}, {&into.SINR, &from.SINR},
	} {
		if *f.to == nil {
			*f.to = *f.from
		}
	}
	if into.Quality == nil {
		into.Quality = from.Quality
	}
}

func oneLine(parse func(string) (model.Signal, error)) func([]string) (model.Signal, error) {
	return func(lines []string) (model.Signal, error) {
		if len(lines) == 0 {
			return model.Signal{}, fmt.Errorf("no information line: %w", ErrMalformed)
		}
		return parse(lines[len(lines)-1])
	}
}

// parseCSQ reads "<rssi>,<ber>". MediaTek and Qualcomm firmware answers
// 99,99 when camped on NR alone.
func parseCSQ(line string) (model.Signal, error) {
	f := fields(line)
	if len(f) != 2 {
		return model.Signal{}, fmt.Errorf("+CSQ has 2 fields, not %d: %w", len(f), ErrMalformed)
	}
	s := model.Signal{RSSI: scaleRSSI.value(f[0])}
	if s.RSSI != nil {
		n, _ := strconv.Atoi(f[0])
		q := n * 100 / scaleRSSI.top
		s.Quality = &q
	}
	return s, nil
}

// parseCESQ reads "<rxlev>,<ber>,<rscp>,<ecno>,<rsrq>,<rsrp>" and, since
// release 15, ",<ss_rsrq>,<ss_rsrp>,<ss_sinr>". Of several cells NR wins over
// LTE and LTE over the rest.
func parseCESQ(line string) (model.Signal, error) {
	f := fields(line)
	if len(f) != 6 && len(f) != 9 {
		return model.Signal{}, fmt.Errorf("+CESQ has 6 or 9 fields, not %d: %w", len(f), ErrMalformed)
	}
	s := model.Signal{RSSI: scaleRxLev.value(f[0])}
	if s.RSSI == nil {
		s.RSSI = scaleRSCP.value(f[2])
	}
	s.RSRQ, s.RSRP = scaleRSRQ.value(f[4]), scaleRSRP.value(f[5])
	if len(f) == 9 {
		if p := scaleSSRSRP.value(f[7]); p != nil {
			s.RSRP, s.RSRQ, s.SINR = p, scaleSSRSRQ.value(f[6]), scaleSSSINR.value(f[8])
		}
	}
	return s, nil
}

// parseXCESQ reads Intel's "<n>,<rxlev>,<ber>,<rscp>,<ecno>,<rsrq>,<rsrp>,<rssnr>",
// with rssnr in signed halves of a dB (ModemManager's XMM plugin reads it so);
// L860 adds NR fields that are 255.
func parseXCESQ(line string) (model.Signal, error) {
	f := fields(line)
	if len(f) < 8 {
		return model.Signal{}, fmt.Errorf("+XCESQ has 8 fields, not %d: %w", len(f), ErrMalformed)
	}
	s := model.Signal{RSSI: scaleRxLev.value(f[1]), RSRQ: scaleRSRQ.value(f[5]), RSRP: scaleRSRP.value(f[6]), SINR: scaleXRSSNR.value(f[7])}
	if s.RSSI == nil {
		s.RSSI = scaleRSCP.value(f[3])
	}
	return s, nil
}

// parseQCSQ reads Quectel's `"LTE",<rssi>,<rsrp>,<sinr>,<rsrq>` and
// `"NR5G-SA",<rsrp>,<sinr>,<rsrq>` (or with <rssi> in front). On LTE sinr is
// coded 0..250 in fifths of a dB from -20 (EC25 AT Commands Manual); on NR it
// is in dB. NSA prints an LTE line and an NR line: NR wins.
func parseQCSQ(lines []string) (model.Signal, error) {
	var sum model.Signal
	found := false
	for _, line := range lines {
		f := fields(line)
		s := model.Signal{}
		switch mode := f[0]; {
		case mode == "NOSERVICE":
		case mode == "GSM" && len(f) >= 2:
			s.RSSI = plain(f[1], -120, 0)
		case mode == "WCDMA" && len(f) >= 2:
			s.RSSI = plain(f[1], -120, 0)
		case (mode == "LTE" || mode == "CAT-M1" || mode == "CAT-NB1" || mode == "eMTC" || mode == "NBIoT") && len(f) >= 5:
			s.RSSI, s.RSRP, s.SINR, s.RSRQ = plain(f[1], -140, 0), plain(f[2], -140, -20), scaleQSINR.value(f[3]), plain(f[4], -45, 10)
		case strings.HasPrefix(mode, "NR5G") && len(f) >= 4:
			f = f[len(f)-3:]
			s.RSRP, s.SINR, s.RSRQ = plain(f[0], -160, -20), plain(f[1], -40, 60), plain(f[2], -60, 30)
		default:
			return sum, fmt.Errorf("+QCSQ of %q with %d fields: %w", mode, len(f), ErrMalformed)
		}
		found = true
		merge(&s, sum) // a later line, NR, stands
		sum = s
	}
	if !found {
		return sum, fmt.Errorf("+QCSQ without a line: %w", ErrMalformed)
	}
	return sum, nil
}

// parseGSTATUS reads the labelled text of Sierra's AT!GSTATUS?: "PCC RxM RSSI:
// -45  RSRP (dBm): -81", "RSRQ (dB): -14.0", "SINR (dB): 23.8". The first of
// each label is the primary cell's.
func parseGSTATUS(lines []string) (model.Signal, error) {
	text := strings.Join(lines, "\n")
	if !strings.Contains(text, "System mode") {
		return model.Signal{}, fmt.Errorf("!GSTATUS without a system mode: %w", ErrMalformed)
	}
	return model.Signal{
		RSSI: labelled(text, "RxM RSSI:", -140, 0),
		RSRP: labelled(text, "RSRP (dBm):", -160, -20),
		RSRQ: labelled(text, "RSRQ (dB):", -60, 30),
		SINR: labelled(text, "SINR (dB):", -40, 60),
	}, nil
}

func labelled(text, label string, lo, hi float64) *float64 {
	_, rest, ok := strings.Cut(text, label)
	if !ok {
		return nil
	}
	f := strings.Fields(rest)
	if len(f) == 0 {
		return nil
	}
	return plain(f[0], lo, hi)
}
