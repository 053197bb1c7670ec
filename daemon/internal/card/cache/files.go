package cache

import "github.com/terminills/remsim-openwrt/daemon/internal/card"

// File is an elementary file whose contents may be kept.
type File struct {
	App     card.App // "" for files below the MF and of TS 51.011
	DF      uint16   // 3F00, 7FFF for the application's directory, 7F20, 7F10, 5FC0
	FID     uint16
	Name    string
	Mode    Mode   // the least mode in which it is kept
	Section string // where it is specified, and with it who may write it
}

const (
	fidMF      = 0x3F00
	fidADF     = 0x7FFF
	fidGSM     = 0x7F20
	fidTelecom = 0x7F10
	fid5GS     = 0x5FC0
)

// Files are the files whose contents may be kept; no other one is. In mode Safe these
// are files that the modem has no right to write: only their issuer changes them (access
// condition ADM or never), which a router sees as ENVELOPE, a BIP channel, or REFRESH.
// Mode Full adds files that the modem may write (each write passes, and drops the file) or
// that the network changes now and then. Never kept are keys, counters, locations and
// messages. Read only; docs/CACHE.md is made from it.
var Files = [...]File{
	{"", fidMF, 0x2F00, "EF.DIR", Safe, "TS 102 221 §13.1"},
	{"", fidMF, 0x2FE2, "EF.ICCID", Safe, "TS 102 221 §13.2"},
	{"", fidMF, 0x2F05, "EF.PL", Full, "TS 102 221 §13.3"},
	{"", fidMF, 0x2F06, "EF.ARR", Safe, "TS 102 221 §13.4"},
	{"", fidMF, 0x2F08, "EF.UMPC", Safe, "TS 102 221 §13.6"},

	{card.USIM, fidADF, 0x6F05, "EF.LI", Full, "TS 31.102 §4.2.1"},
	{card.USIM, fidADF, 0x6F07, "EF.IMSI", Safe, "TS 31.102 §4.2.2"},
	{card.USIM, fidADF, 0x6F60, "EF.PLMNwAcT", Full, "TS 31.102 §4.2.5"},
	{card.USIM, fidADF, 0x6F31, "EF.HPPLMN", Safe, "TS 31.102 §4.2.6"},
	{card.USIM, fidADF, 0x6F37, "EF.ACMmax", Full, "TS 31.102 §4.2.7"},
	{card.USIM, fidADF, 0x6F38, "EF.UST", Safe, "TS 31.102 §4.2.8"},
	{card.USIM, fidADF, 0x6F3E, "EF.GID1", Safe, "TS 31.102 §4.2.10"},
	{card.USIM, fidADF, 0x6F3F, "EF.GID2", Safe, "TS 31.102 §4.2.11"},
	{card.USIM, fidADF, 0x6F46, "EF.SPN", Safe, "TS 31.102 §4.2.12"},
	{card.USIM, fidADF, 0x6F45, "EF.CBMI", Full, "TS 31.102 §4.2.14"},
	{card.USIM, fidADF, 0x6F78, "EF.ACC", Safe, "TS 31.102 §4.2.15"},
	{card.USIM, fidADF, 0x6F7B, "EF.FPLMN", Full, "TS 31.102 §4.2.16"},
	{card.USIM, fidADF, 0x6FAD, "EF.AD", Safe, "TS 31.102 §4.2.18"},
	{card.USIM, fidADF, 0x6F48, "EF.CBMID", Safe, "TS 31.102 §4.2.20"},
	{card.USIM, fidADF, 0x6FB7, "EF.ECC", Safe, "TS 31.102 §4.2.21"},
	{card.USIM, fidADF, 0x6F50, "EF.CBMIR", Full, "TS 31.102 §4.2.22"},
	{card.USIM, fidADF, 0x6F40, "EF.MSISDN", Full, "TS 31.102 §4.2.26"},
	{card.USIM, fidADF, 0x6F42, "EF.SMSP", Full, "TS 31.102 §4.2.27"},
	{card.USIM, fidADF, 0x6F49, "EF.SDN", Safe, "TS 31.102 §4.2.29"},
	{card.USIM, fidADF, 0x6F56, "EF.EST", Full, "TS 31.102 §4.2.47"},
	{card.USIM, fidADF, 0x6F57, "EF.ACL", Full, "TS 31.102 §4.2.48"},
	{card.USIM, fidADF, 0x6F5C, "EF.THRESHOLD", Safe, "TS 31.102 §4.2.52"},
	{card.USIM, fidADF, 0x6F61, "EF.OPLMNwAcT", Safe, "TS 31.102 §4.2.53"},
	{card.USIM, fidADF, 0x6F62, "EF.HPLMNwAcT", Safe, "TS 31.102 §4.2.54"},
	{card.USIM, fidADF, 0x6F06, "EF.ARR", Safe, "TS 31.102 §4.2.55"},
	{card.USIM, fidADF, 0x6FC5, "EF.PNN", Safe, "TS 31.102 §4.2.58"},
	{card.USIM, fidADF, 0x6FC6, "EF.OPL", Safe, "TS 31.102 §4.2.59"},
	{card.USIM, fidADF, 0x6FC7, "EF.MBDN", Full, "TS 31.102 §4.2.60"},
	{card.USIM, fidADF, 0x6FC9, "EF.MBI", Full, "TS 31.102 §4.2.62"},
	{card.USIM, fidADF, 0x6FCD, "EF.SPDI", Safe, "TS 31.102 §4.2.66"},
	{card.USIM, fidADF, 0x6FD9, "EF.EHPLMN", Safe, "TS 31.102 §4.2.84"},
	{card.USIM, fidADF, 0x6FDB, "EF.EHPLMNPI", Safe, "TS 31.102 §4.2.85"},
	{card.USIM, fidADF, 0x6FE8, "EF.NASCONFIG", Safe, "TS 31.102 §4.2.94"},

	{card.USIM, fid5GS, 0x4F06, "EF.UAC_AIC", Safe, "TS 31.102 §4.4.11.7"},
	{card.USIM, fid5GS, 0x4F08, "EF.OPL5G", Safe, "TS 31.102 §4.4.11.9"},
	{card.USIM, fid5GS, 0x4F0A, "EF.Routing_Indicator", Full, "TS 31.102 §4.4.11.11"},

	{"", fidGSM, 0x6F05, "EF.LP", Full, "TS 51.011 §10.3.1"},
	{"", fidGSM, 0x6F07, "EF.IMSI", Safe, "TS 51.011 §10.3.2"},
	{"", fidGSM, 0x6F30, "EF.PLMNsel", Full, "TS 51.011 §10.3.4"},
	{"", fidGSM, 0x6F31, "EF.HPPLMN", Safe, "TS 51.011 §10.3.5"},
	{"", fidGSM, 0x6F38, "EF.SST", Safe, "TS 51.011 §10.3.7"},
	{"", fidGSM, 0x6F3E, "EF.GID1", Safe, "TS 51.011 §10.3.9"},
	{"", fidGSM, 0x6F3F, "EF.GID2", Safe, "TS 51.011 §10.3.10"},
	{"", fidGSM, 0x6F46, "EF.SPN", Safe, "TS 51.011 §10.3.11"},
	{"", fidGSM, 0x6F78, "EF.ACC", Safe, "TS 51.011 §10.3.15"},
	{"", fidGSM, 0x6F7B, "EF.FPLMN", Full, "TS 51.011 §10.3.16"},
	{"", fidGSM, 0x6FAD, "EF.AD", Safe, "TS 51.011 §10.3.18"},
	{"", fidGSM, 0x6FAE, "EF.Phase", Safe, "TS 51.011 §10.3.19"},
	{"", fidGSM, 0x6FB7, "EF.ECC", Safe, "TS 51.011 §10.3.27"},
	{"", fidGSM, 0x6F60, "EF.PLMNwAcT", Full, "TS 51.011 §10.3.35"},
	{"", fidGSM, 0x6F61, "EF.OPLMNwAcT", Safe, "TS 51.011 §10.3.36"},
	{"", fidGSM, 0x6F62, "EF.HPLMNwAcT", Safe, "TS 51.011 §10.3.37"},
	{"", fidGSM, 0x6FC6, "EF.OPL", Safe, "TS 51.011 §10.3.42"},

	{"", fidTelecom, 0x6F40, "EF.MSISDN", Full, "TS 51.011 §10.5.5"},
	{"", fidTelecom, 0x6F42, "EF.SMSP", Full, "TS 51.011 §10.5.6"},
}

// listed is the entry for the current file of a place, nil if its contents are not
// kept. Files under the MF are told wherever they are selected from: no other
// directory uses 2Fxx.
func listed(at card.Place) *File {
	df := at.DF
	if at.EF>>8 == 0x2F {
		df = fidMF
	}
	for i := range Files {
		f := &Files[i]
		if f.FID == at.EF && f.DF == df && (f.App == "" || f.App == at.App) {
			return f
		}
	}
	return nil
}
