package mm

import (
	"strconv"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Values of ModemManager-enums.h that are decided upon.
const (
	stateFailed   = -1
	stateEnabled  = 6
	lockNone      = 1
	lockSIMPIN    = 2
	simTypeESIM   = 2
	lockNameNone  = "none"
	accessTechMax = 18
)

// named looks up a number, and shows one that this version does not know.
func named(names []string, n int64) string {
	if n >= 0 && n < int64(len(names)) {
		return names[n]
	}
	return "unknown-" + strconv.FormatInt(n, 10)
}

func stateName(n int64) string {
	if n == stateFailed {
		return "failed"
	}
	return named([]string{
		"unknown", "initializing", "locked", "disabled", "disabling", "enabling", "enabled", "searching", "registered", "disconnecting", "connecting", "connected",
	}, n)
}

func failedName(n int64) string {
	return named([]string{"", "unknown", "sim-missing", "sim-error", "unknown-capabilities", "esim-without-profiles"}, n)
}

func powerName(n int64) string { return named([]string{"", "off", "low", "on"}, n) }

func lockName(n int64) string {
	return named([]string{
		"unknown", lockNameNone, "sim-pin", "sim-pin2", "sim-puk", "sim-puk2", "ph-sp-pin", "ph-sp-puk", "ph-net-pin", "ph-net-puk", "ph-sim-pin", "ph-corp-pin",
		"ph-corp-puk", "ph-fsim-pin", "ph-fsim-puk", "ph-netsub-pin", "ph-netsub-puk",
	}, n)
}

func registrationName(n int64) string {
	return named([]string{
		"idle", "home", "searching", "denied", "unknown", "roaming", "home-sms-only", "roaming-sms-only", "emergency-only", "home-csfb-not-preferred",
		"roaming-csfb-not-preferred", "attached-rlos",
	}, n)
}

func portKind(n int64) model.PortKind {
	return model.PortKind(named([]string{"", "unknown", "net", "at", "qcdm", "gps", "qmi", "mbim", "audio", "ignored", "xmmrpc"}, n))
}

// accessTechnology names the bits of MMModemAccessTechnology, oldest first:
// "lte+5gnr" is a modem on both.
func accessTechnology(bits int64) string {
	names := [accessTechMax]string{
		"pots", "gsm", "gsm-compact", "gprs", "edge", "umts", "hsdpa", "hsupa", "hspa", "hspa-plus", "1xrtt", "evdo0", "evdoa", "evdob", "lte", "5gnr", "cat-m", "nb-iot",
	}
	var on []string
	for bit, name := range names {
		if bits&(1<<bit) != 0 {
			on = append(on, name)
		}
	}
	return strings.Join(on, "+")
}

// rejectNames are the causes of 3GPP TS 24.301 §9.9.3.9 and TS 24.008 §10.5.3.6
// that people meet, in words; ModemManager 1.24 gives the number.
func rejectName(cause int64) string {
	switch cause {
	case 0:
		return ""
	case 2:
		return "IMSI unknown in HLR"
	case 3:
		return "illegal subscriber"
	case 5:
		return "IMEI not accepted"
	case 6:
		return "illegal modem"
	case 7:
		return "no packet service with this card"
	case 8:
		return "no service with this card"
	case 11:
		return "network not allowed"
	case 12:
		return "area not allowed"
	case 13:
		return "roaming not allowed in this area"
	case 14:
		return "no packet service in this network"
	case 15:
		return "no suitable cell in this area"
	case 17:
		return "network failure"
	case 22:
		return "network congested"
	}
	return "cause " + strconv.FormatInt(cause, 10)
}
