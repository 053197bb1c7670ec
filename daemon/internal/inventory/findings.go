package inventory

import "github.com/terminills/remsim-openwrt/daemon/internal/model"

// Codes of findings. They are stable once released.
const (
	CodeNotFound     = "modem-not-found"
	CodeClaimedTwice = "modem-claimed-twice"
	CodeAmbiguous    = "modem-ambiguous"
	CodeMoved        = "modem-moved"
	CodeOther        = "modem-other-device"
	CodeUnclaimed    = "modem-unclaimed"
)

// Codes lists what this package finds: code, severity, what is true and the
// cure. Subject is the modem's section, for modem-unclaimed its sysfs path.
func Codes() []model.Finding {
	return []model.Finding{
		{Code: CodeAmbiguous, Severity: model.Critical, Text: "more than one modem is what option match names",
			Fix: "Set option match to usb:PATH of the one that is meant; `remsim discover` lists them."},
		{Code: CodeClaimedTwice, Severity: model.Critical, Text: "two sections name the same modem",
			Fix: "Give each modem section a match of its own, or remove one of them."},
		{Code: CodeMoved, Severity: model.Info, Text: "the modem is not where option match says",
			Fix: "Nothing is broken: it is known by its IMEI. To settle it, set option match to what `remsim discover` shows."},
		{Code: CodeNotFound, Severity: model.Critical, Text: "the modem is not there",
			Fix: "Check power and cable; then compare option match with `remsim discover`."},
		{Code: CodeOther, Severity: model.Critical, Text: "another modem has taken over the device node",
			Fix: "Name the modem by usb:PATH or imei:DIGITS in option match: device nodes are numbered in order of arrival."},
		{Code: CodeUnclaimed, Severity: model.Info, Text: "a modem is in no section",
			Fix: "Add a modem section with a match from `remsim discover`, or leave it to others."},
	}
}

// find adds a finding; detail says what exactly.
func (m *matcher) find(code, subject, detail string) {
	for _, f := range Codes() {
		if f.Code == code {
			f.Subject, f.Text = subject, f.Text+": "+detail
			m.result.Findings = append(m.result.Findings, f)
		}
	}
}
