package gpio

// Kind is what a line does on a board.
type Kind string

// The kinds of lines.
const (
	KindSelect Kind = "sim-select"  // chooses a card tray or card source
	KindReset  Kind = "modem-reset" // asserted: the modem is held in reset
	KindPower  Kind = "modem-power" // the modem's supply
	// KindKey is a module's power button (PWRKEY): how long a press means on
	// or off is the module's business, so remsim never presses it.
	KindKey Kind = "modem-power-key"
	// KindFixed is a line that other devices depend on, or whose meaning no
	// public source proves. remsim never drives it.
	KindFixed Kind = "fixed"
)

// BoardLine is one line of a board that has to do with modems.
type BoardLine struct {
	Name   string // gpio-line-names and gpio-export name
	Offset int    // on the board's own controller
	Kind   Kind
	// ActiveHigh: high means powered, in reset, or selected.
	ActiveHigh bool
	// BootHigh is the level that the device tree sets at boot.
	BootHigh bool
	Note     string
}

// Board is what is known of a router, by the board_name of `ubus call system board`.
type Board struct {
	Names  []string
	Model  string
	Lines  []BoardLine
	Note   string
	Source string // where the facts come from
}

// Line returns what the board knows of a line, by its name.
func (b Board) Line(name string) (BoardLine, bool) {
	for _, l := range b.Lines {
		if l.Name == name {
			return l, true
		}
	}
	return BoardLine{}, false
}

// BoardFor returns the profile of a board_name; a board that is not listed has
// an empty one, and its lines are taken as they are found.
func BoardFor(name string) (Board, bool) {
	for _, b := range Boards() {
		for _, n := range b.Names {
			if n == name {
				return b, true
			}
		}
	}
	return Board{}, false
}

// Boards returns every profile. gpio-export,output sets the raw level (OpenWrt
// generic/hack-*/800-GPIO-add-named-gpio-exports.patch: gpio_request_one with
// GPIOF_OUT_INIT_*, which drives the raw value even for an active-low line).
func Boards() []Board {
	const openwrt = "openwrt/openwrt target/linux/"
	return []Board{
		{
			Names:  []string{"zbtlink,zbt-z8102ax"},
			Model:  "Zbtlink ZBT-Z8102AX",
			Source: openwrt + "mediatek/dts/mt7981b-zbtlink-zbt-z8102ax.dts, node gpio-export",
			Note:   "5g1 and 5g2 are supplies, not resets; sim1 and sim2 choose between two trays each, there is no remote position",
			Lines: []BoardLine{
				{Name: "pcie_power", Offset: 3, Kind: KindFixed, ActiveHigh: true, BootHigh: true, Note: "supplies every PCIe slot"},
				{Name: "5g1", Offset: 4, Kind: KindPower, ActiveHigh: true, BootHigh: true, Note: "first M.2 slot"},
				{Name: "5g2", Offset: 5, Kind: KindPower, ActiveHigh: true, BootHigh: true, Note: "second M.2 slot"},
				{Name: "sim1", Offset: 6, Kind: KindSelect, ActiveHigh: true, BootHigh: true, Note: "trays of the first slot"},
				{Name: "sim2", Offset: 7, Kind: KindSelect, ActiveHigh: true, BootHigh: true, Note: "trays of the second slot"},
			},
		},
		{
			Names:  []string{"zbtlink,zbt-z8102ax-v2"},
			Model:  "ZBT Z8102AX V2",
			Source: openwrt + "mediatek/dts/mt7981b-zbtlink-zbt-z8102ax-v2.dts, nodes gpio-export and &pio gpio-line-names",
			Note:   "as ZBT-Z8102AX, but sim1 and sim2 are active low and low at boot",
			Lines: []BoardLine{
				{Name: "pcie_power", Offset: 3, Kind: KindFixed, ActiveHigh: true, BootHigh: true, Note: "supplies every PCIe slot; gpio-line-names calls it pcie"},
				{Name: "pcie", Offset: 3, Kind: KindFixed, ActiveHigh: true, BootHigh: true, Note: "the same line as pcie_power"},
				{Name: "5g1", Offset: 4, Kind: KindPower, ActiveHigh: true, BootHigh: true, Note: "first M.2 slot"},
				{Name: "5g2", Offset: 5, Kind: KindPower, ActiveHigh: true, BootHigh: true, Note: "second M.2 slot"},
				{Name: "sim1", Offset: 6, Kind: KindSelect, Note: "trays of the first slot"},
				{Name: "sim2", Offset: 7, Kind: KindSelect, Note: "trays of the second slot"},
			},
		},
		{
			Names:  []string{"glinet,gl-x3000", "glinet,gl-xe3000"},
			Model:  "GL.iNet GL-X3000 / GL-XE3000",
			Source: openwrt + "mediatek/dts/mt7981a-glinet-gl-x3000-xe3000-common.dtsi, node gpio-export",
			Note:   "one modem with two trays; the modem's own AT or QMI commands choose the tray",
			Lines: []BoardLine{
				{Name: "hub_power", Offset: 5, Kind: KindFixed, ActiveHigh: true, BootHigh: true, Note: "supplies the USB hub with the modem on it"},
				{Name: "5G_control", Offset: 9, Kind: KindFixed, ActiveHigh: true, BootHigh: true, Note: "meaning not documented"},
				{Name: "5G_reset", Offset: 10, Kind: KindReset, ActiveHigh: true, Note: "released (low) at boot"},
				{Name: "5G_power", Offset: 11, Kind: KindPower, ActiveHigh: true, BootHigh: true},
			},
		},
		{
			Names:  []string{"teltonika,rutx50"},
			Model:  "Teltonika RUTX50",
			Source: openwrt + "ipq40xx/files-6.6/arch/arm/boot/dts/qcom/qcom-ipq4018-rutx50.dts, node gpio-export; modem_power is a button: openwrt PR 19401 says so of the RUTC50",
			Note:   "lines sit on a 74HC595 shift register, which cannot be read back: the level shown is the last one written",
			Lines: []BoardLine{
				{Name: "modem_reset", Offset: 8, Kind: KindReset, ActiveHigh: true, Note: "released (low) at boot"},
				{Name: "modem_power", Offset: 9, Kind: KindKey, ActiveHigh: true, Note: "low at boot with the modem running"},
				{Name: "sim-select", Offset: 10, Kind: KindSelect, ActiveHigh: true, Note: "low SIM1, high SIM2"},
			},
		},
		{
			Names:  []string{"bananapi,bpi-r4", "bananapi,bpi-r4-poe", "bananapi,bpi-r4-2g5"},
			Model:  "Banana Pi BPI-R4",
			Source: openwrt + "mediatek/files-6.6/arch/arm64/boot/dts/mediatek/mt7988a-bananapi-bpi-r4.dtsi",
			Note: "no line for a modem's power, reset or card in the device tree: SIM1 is wired to the M.2 key-B slot, SIM2 and SIM3 to the " +
				"mPCIe slots; reset the modem by command",
		},
	}
}
