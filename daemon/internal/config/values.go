package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// Each function here reads the value of one kind. Its error says what is
// wrong; the caller adds what is accepted.

// parseBool takes what libuci's and OpenWrt's shell functions take.
func parseBool(_ Option, v string) (bool, error) {
	switch v {
	case "1", "on", "true", "yes", "enabled":
		return true, nil
	case "0", "off", "false", "no", "disabled":
		return false, nil
	}
	return false, errors.New("is neither yes nor no")
}

func parseNumber(o Option, v string) (int, error) {
	if strings.Trim(v, "0123456789") != "" || len(v) > 12 {
		if trimmed := strings.TrimRight(v, "smhdSMHD"); trimmed != v && trimmed != "" && strings.Trim(trimmed, "0123456789") == "" {
			return 0, errors.New("has a unit, which has to be left out")
		}
		return 0, errors.New("is not a whole number")
	}
	n, err := strconv.ParseInt(v, 10, 64)
	switch {
	case err != nil:
		return 0, errors.New("is not a whole number")
	case n < int64(o.Min) || n > int64(o.Max):
		return 0, errors.New("is out of range")
	}
	return int(n), nil
}

func parseChoice(o Option, v string) (string, error) {
	for _, c := range o.Choices {
		if v == c {
			return v, nil
		}
	}
	if c := nearest(v, o.Choices); c != "" {
		return "", fmt.Errorf("is not known, did you mean %q", c)
	}
	return "", errors.New("is not known")
}

func parseText(o Option, v string) (string, error) {
	switch {
	case !utf8.ValidString(v):
		return "", errors.New("is not UTF-8")
	case strings.ContainsFunc(v, unicode.IsControl):
		return "", errors.New("holds a control character or a line end")
	case len(v) > o.Max:
		return "", fmt.Errorf("has %d bytes", len(v))
	}
	return v, nil
}

func parseNetwork(_ Option, v string) (string, error) {
	if !validName(v, false) {
		return "", errors.New("is no name of a netifd interface")
	}
	return v, nil
}

func parseName(_ Option, v string) (string, error) {
	if !validName(v, false) || v == "" {
		return "", errors.New("is no name of a section")
	}
	return v, nil
}

// parseHost takes a name (RFC 1123 §2.1, and _ as many networks have it) or an
// address. The usual mistakes get their own words.
func parseHost(_ Option, v string) (string, error) {
	if _, err := netip.ParseAddr(v); err == nil {
		return v, nil
	}
	switch {
	case strings.Contains(v, "://"):
		return "", errors.New("is a URL; only the host belongs here")
	case strings.HasPrefix(v, "["):
		return "", errors.New("has brackets, which an IPv6 address does not need here")
	case strings.Count(v, ":") == 1:
		return "", errors.New("has a port with it, which has an option of its own")
	case strings.Contains(v, ":"):
		return "", errors.New("is no IPv6 address")
	case strings.ContainsFunc(v, func(r rune) bool { return r > unicode.MaxASCII }):
		return "", errors.New("is not ASCII; write an international name in its xn-- form")
	}
	if !validHostname(v) {
		return "", errors.New("is no host name")
	}
	return v, nil
}

func validHostname(v string) bool {
	v = strings.TrimSuffix(v, ".")
	if v == "" || len(v) > 253 {
		return false
	}
	labels := strings.Split(v, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || !validName(l, true) {
			return false
		}
	}
	// A name that ends in a number would be an IPv4 address, and it is none.
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// parseHostPort takes host:port, an IPv6 address in brackets.
func parseHostPort(o Option, v string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(v)
	if err != nil {
		if strings.Count(v, ":") > 1 && !strings.HasPrefix(v, "[") {
			return "", "", errors.New("is an IPv6 address without brackets or without a port")
		}
		return "", "", errors.New("is not HOST:PORT")
	}
	if _, err := parseHost(o, host); err != nil {
		return "", "", fmt.Errorf("its host %w", err)
	}
	if _, err := parseNumber(Option{Min: 1, Max: 65535}, port); err != nil {
		return "", "", fmt.Errorf("its port %w", err)
	}
	return host, port, nil
}

func parseListen(o Option, v string) (string, error) {
	host, _, err := parseHostPort(o, v)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
		return "", errors.New("does not start with an address of this router")
	}
	return v, nil
}

func parseURL(o Option, v string) (string, error) {
	u, err := url.Parse(v)
	switch {
	case err != nil:
		return "", errors.New("is no URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("does not start with https://")
	case u.User != nil:
		return "", errors.New("holds a user name or password, which everybody could read here")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(v, "#"):
		return "", errors.New("has a query or fragment")
	case u.Hostname() == "":
		return "", errors.New("has no host")
	}
	if _, err := parseHost(o, u.Hostname()); err != nil {
		return "", fmt.Errorf("its host %w", err)
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		if _, err := parseNumber(Option{Min: 1, Max: 65535}, p); err != nil || p == "" {
			return "", errors.New("its port is out of range")
		}
	}
	return strings.TrimRight(v, "/"), nil
}

func parsePath(_ Option, v string) (string, error) {
	switch {
	case !strings.HasPrefix(v, "/"):
		return "", errors.New("does not start with /")
	case !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl):
		return "", errors.New("holds a control character or is not UTF-8")
	case strings.HasSuffix(v, "/"):
		return "", errors.New("is a directory")
	}
	return path.Clean(v), nil
}

func parseCredential(o Option, v string) (string, error) {
	if strings.HasPrefix(v, "/") {
		return parsePath(o, v)
	}
	switch {
	case strings.Contains(v, "-----BEGIN"):
		return "", errors.New("is the content of a file, which everybody could read here; store it in a file of mode 0600 or with `remsim credential`")
	case strings.Contains(v, "/"):
		return "", errors.New("is a path that does not start with /")
	case !ValidCredentialName(v):
		return "", errors.New("is no name of a credential")
	}
	return v, nil
}

// ValidCredentialName tells whether a credential may be stored under that name.
func ValidCredentialName(v string) bool {
	return v != "" && len(v) <= 64 && v[0] != '.' && validName(strings.ReplaceAll(v, ".", "-"), true)
}

func parseMatch(_ Option, v string) (Match, error) {
	by, value, ok := strings.Cut(v, ":")
	if !ok || value == "" {
		if strings.HasPrefix(v, "/dev/") {
			return Match{}, errors.New("lacks its kind; write dev: before it")
		}
		return Match{}, errors.New("does not say by what (usb, imei, serial, dev)")
	}
	switch by {
	case "usb":
		if !validUSBPath(value) {
			return Match{}, errors.New("is no USB path; /sys/bus/usb/devices has them")
		}
	case "imei":
		if len(value) != 15 || strings.Trim(value, "0123456789") != "" {
			return Match{}, errors.New("is no IMEI")
		}
	case "serial":
		if !printable(value) {
			return Match{}, errors.New("is no serial number")
		}
	case "dev":
		if !validNode(value) {
			return Match{}, errors.New("is no device node below /dev")
		}
	default:
		return Match{}, fmt.Errorf("starts with %q, which is not known", clip(by))
	}
	return Match{By: by, Value: value}, nil
}

// validUSBPath takes bus-port[.port…] as the kernel names devices: 2-1, 1-1.4.2.
func validUSBPath(v string) bool {
	bus, ports, ok := strings.Cut(v, "-")
	if !ok {
		return false
	}
	for _, n := range append(strings.Split(ports, "."), bus) {
		if n == "" || len(n) > 3 || strings.Trim(n, "0123456789") != "" {
			return false
		}
	}
	return true
}

func validNode(v string) bool {
	return strings.HasPrefix(v, "/dev/") && path.Clean(v) == v && v != "/dev" && printable(v)
}

func printable(v string) bool {
	return v != "" && len(v) <= 128 && !strings.ContainsFunc(v, func(r rune) bool { return r < '!' || r > '~' })
}

// parseDevice takes every form; which of them a front has is checked with the front.
func parseDevice(o Option, v string) (Device, error) {
	by, rest, _ := strings.Cut(v, ":")
	switch by {
	case "usb", "serial":
		d := Device{By: by, Value: rest, Interface: -1}
		if at := strings.LastIndexByte(rest, ':'); at >= 0 {
			n, err := parseNumber(Option{Min: 0, Max: 255}, rest[at+1:])
			if err != nil || rest[at+1:] == "" {
				return Device{}, errors.New("its interface is no number from 0 to 255")
			}
			d.Value, d.Interface = rest[:at], n
		}
		if by == "usb" && !validUSBPath(d.Value) {
			return Device{}, errors.New("is no USB path; /sys/bus/usb/devices has them")
		}
		if !printable(d.Value) {
			return Device{}, errors.New("is no serial number")
		}
		return d, nil
	case "qmi":
		d := Device{By: by, Value: rest, Interface: -1}
		if node, slot, numbered := strings.Cut(rest, ":"); numbered {
			n, err := parseNumber(Option{Min: 1, Max: 3}, slot)
			if err != nil || slot == "" {
				return Device{}, errors.New("its slot is no number from 1 to 3")
			}
			d.Value, d.Interface = node, n
		}
		if !validNode(d.Value) {
			return Device{}, errors.New("is no device node below /dev")
		}
		return d, nil
	}
	if _, _, err := parseHostPort(o, v); err != nil {
		return Device{}, err
	}
	return Device{By: "tcp", Value: v, Interface: -1}, nil
}

// parseLine reads NAME or CHIP:OFFSET. A "!" in front says that the line is
// active low: asserted, or powered, when low.
func parseLine(_ Option, v string) (Line, error) {
	v, low := strings.CutPrefix(v, "!")
	if chip, offset, ok := strings.Cut(v, ":"); ok {
		n, err := parseNumber(Option{Min: 0, Max: 1023}, offset)
		if err != nil || chip == "" || offset == "" || !validName(chip, true) {
			return Line{}, errors.New("is not CHIP:OFFSET")
		}
		return Line{Chip: chip, Offset: n, ActiveLow: low}, nil
	}
	if strings.Trim(v, "0123456789") == "" {
		return Line{}, errors.New("is a bare number; such numbers change from kernel to kernel")
	}
	if !printable(strings.ReplaceAll(v, " ", "_")) {
		return Line{}, errors.New("is no name of a line")
	}
	return Line{Name: v, ActiveLow: low}, nil
}

func parseATR(_ Option, v string) (card.ATR, error) {
	atr, err := card.ParseATR(v)
	if err != nil {
		return nil, fmt.Errorf("is no ATR: %s", strings.TrimPrefix(err.Error(), card.ErrATR.Error()+": "))
	}
	return atr, nil
}

func parsePLMN(_ Option, v string) (string, error) {
	digits := strings.Replace(v, "-", "", 1)
	if len(digits) < 5 || len(digits) > 6 || strings.Trim(digits, "0123456789") != "" || digits != v && v[3] != '-' {
		return "", errors.New("is no MCC and MNC")
	}
	return digits, nil
}

// loopback tells whether a host is this router itself.
func loopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
