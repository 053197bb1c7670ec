package at

import "strings"

// USBID is vendor and product.
type USBID struct{ Vendor, Product uint16 }

// Slots is how a modem names its two card slots.
type Slots struct {
	Query string // "+QUIMSLOT?"
	Set   string // "+QUIMSLOT=", the number follows
	First int    // the number of the first slot
}

// HotSwap is how a modem is told to watch its card-presence pin. The first
// parameter is the switch; what follows it (Quectel: which level means
// inserted) depends on the board and is kept as it is. Quectel modules need a
// restart before it counts.
type HotSwap struct {
	Query string // "+QSIMDET?"
	Set   string // "+QSIMDET="
}

// Profile is what differs between vendors. It is data: nothing in this package
// asks which vendor it has.
type Profile struct {
	Name string
	USB  []USBID
	// Interfaces are the USB interface numbers whose tty answers AT commands,
	// in order of preference; empty: it has to be tried.
	Interfaces []int
	// Manufacturer and Models recognise a modem by +CGMI and +CGMM, in lower
	// case, when its USB identity is shared or unknown.
	Manufacturer string
	Models       []string
	Signal       []string // see SignalCSQ
	ICCID        []string
	Reset        string
	Slots        Slots
	HotSwap      HotSwap
	Source       string // where the facts come from
}

// Generic is TS 27.007 and nothing else.
func Generic() Profile {
	return Profile{
		Name: "generic", Signal: []string{SignalCESQ, SignalCSQ},
		// +ICCID and +CCID are not in the standard but widely known.
		ICCID: []string{"+ICCID", "+CCID"}, Reset: "+CFUN=1,1",
		Source: "3GPP TS 27.007 §5, §8.2, §8.3, §8.5, §8.69",
	}
}

// Profiles lists every vendor profile, the more special ones first.
func Profiles() []Profile {
	const mm = "ModemManager 1.20 udev rules "
	return []Profile{
		{
			Name: "fibocom-fm350", USB: []USBID{{0x0e8d, 0x7126}, {0x0e8d, 0x7127}}, Interfaces: []int{6},
			Manufacturer: "fibocom", Models: []string{"fm350"},
			Signal: []string{SignalCESQ, SignalCSQ}, ICCID: []string{"+ICCID", "+CCID"}, Reset: "+CFUN=15",
			Slots: Slots{Query: "+GTDUALSIM?", Set: "+GTDUALSIM=", First: 0}, HotSwap: HotSwap{Query: "+MSMPD?", Set: "+MSMPD="},
			Source: "MediaTek T700, no QMI (reference/features.md A.16); Linux option.c 0e8d:7126 and :7127, NCTRL(2)|NCTRL(3)|NCTRL(4); " +
				"interface 6 alone answers AT: mrhaav/openwrt issue 14; +GTDUALSIM (0 and 1, a blank before the colon), +MSMPD and +CFUN=15 as public FM350 tools use them",
		},
		{
			Name: "fibocom-l850", USB: []USBID{{0x2cb7, 0x0007}, {0x8087, 0x095a}}, Interfaces: []int{2, 6},
			Manufacturer: "fibocom", Models: []string{"l850"},
			Signal: []string{SignalXCESQ, SignalCESQ, SignalCSQ}, ICCID: []string{"+CCID", "+ICCID"}, Reset: "+CFUN=15",
			HotSwap: HotSwap{Query: "+MSMPD?", Set: "+MSMPD="},
			Source: "Intel XMM7360 (reference/features.md A.16); " + mm + "77-mm-fibocom-port-types.rules: interfaces 2 and 6 AT, 4 debug; " +
				"its XMM plugin's tests: +XCESQ; change log of Fibocom's L8-Family AT Commands User Manual: +MSMPD is L850's, not L860's; +CFUN=15 as xmm2usb uses it",
		},
		{
			Name: "quectel-5g", USB: []USBID{{0x2c7c, 0x0800}, {0x2c7c, 0x0801}, {0x2c7c, 0x0122}}, Interfaces: []int{2, 3},
			Manufacturer: "quectel", Models: []string{"rm50", "rm51", "rm52", "rm55", "rg50", "rg52", "rg6"},
			Signal: []string{SignalQCSQ, SignalCESQ, SignalCSQ}, ICCID: []string{"+QCCID", "+ICCID"}, Reset: "+CFUN=1,1",
			Slots: Slots{Query: "+QUIMSLOT?", Set: "+QUIMSLOT=", First: 1}, HotSwap: HotSwap{Query: "+QSIMDET?", Set: "+QSIMDET="},
			Source: mm + "77-mm-quectel-port-types.rules: RM500 interface 2 primary, 3 secondary; Linux option.c RM500Q 0800, RM520N 0801, RG650V 0122; " +
				"+QCSQ (with and without RSSI on NR), +QUIMSLOT (1 and 2) and +QSIMDET as public RM5xx tools use them",
		},
		{
			Name: "quectel-lte", USB: []USBID{{0x2c7c, 0x0125}, {0x2c7c, 0x0121}, {0x2c7c, 0x0306}, {0x2c7c, 0x0512}}, Interfaces: []int{2, 3},
			Manufacturer: "quectel", Models: []string{"ec2", "eg2", "eg0", "em12", "ep06", "em06"},
			Signal: []string{SignalQCSQ, SignalCESQ, SignalCSQ}, ICCID: []string{"+QCCID", "+CCID"}, Reset: "+CFUN=1,1",
			HotSwap: HotSwap{Query: "+QSIMDET?", Set: "+QSIMDET="},
			Source: mm + "77-mm-quectel-port-types.rules: EC25/EG25 interface 2 primary, 3 secondary; EC25&EC21 AT Commands Manual: " +
				"+QCSQ, +QCCID, +QSIMDET; +CFUN=1,1, for +QPOWD only powers down (reference/features.md A.16)",
		},
		{
			Name: "sierra-em91", USB: []USBID{{0x1199, 0x90d3}}, Interfaces: []int{3},
			Manufacturer: "sierra wireless", Models: []string{"em919"},
			Signal: []string{SignalGSTATUS, SignalCESQ, SignalCSQ}, ICCID: []string{"+ICCID", "!ICCID?"}, Reset: "!RESET",
			Slots:  Slots{Query: "!UIMS?", Set: "!UIMS=", First: 0},
			Source: "linux-usb: qcserial patch by S. Brüns: EM919x in MBIM mode, interface 3 AT, 4 DIAG, 5 ADB; !GSTATUS?, !RESET and !UIMS (0 and 1) as the EM75 family has them",
		},
		{
			Name: "sierra-lte", USB: []USBID{{0x1199, 0x9091}, {0x1199, 0x9071}}, Interfaces: []int{3},
			Manufacturer: "sierra wireless", Models: []string{"em75", "em74", "mc74"},
			Signal: []string{SignalGSTATUS, SignalCESQ, SignalCSQ}, ICCID: []string{"+ICCID", "!ICCID?"}, Reset: "!RESET",
			Slots:  Slots{Query: "!UIMS?", Set: "!UIMS=", First: 0},
			Source: mm + "77-mm-sierra.rules: MC74xx 9071 and EM7565 9091, interface 3 primary, 2 NMEA, 0 DIAG; !GSTATUS? output of an EM/MC module, !RESET and !UIMS (0 and 1) as public tools use them",
		},
	}
}

// ProfileForUSB finds the profile of a USB identity.
func ProfileForUSB(id USBID) (Profile, bool) {
	for _, p := range Profiles() {
		for _, u := range p.USB {
			if u == id {
				return p, true
			}
		}
	}
	return Generic(), false
}

// ProfileFor finds the profile of what a modem says it is.
func ProfileFor(id Identity) Profile {
	maker, kind := strings.ToLower(id.Manufacturer), strings.ToLower(id.Model)
	for _, p := range Profiles() {
		if !strings.Contains(maker, p.Manufacturer) {
			continue
		}
		for _, m := range p.Models {
			if strings.Contains(kind, m) {
				return p
			}
		}
	}
	return Generic()
}
