package card

import "fmt"

// file is an elementary file with a name. open: its content says nothing about a
// person and opens nothing, so that a trace may show it.
type file struct {
	fid  uint16
	sfi  byte // 0: none is standardised
	name string
	open bool
}

const (
	shown  = true
	hidden = false
)

// filesMF are the files under the MF (ETSI TS 102 221 §13).
var filesMF = []file{
	{0x2F00, 0x1E, "EF.DIR", shown}, {0x2FE2, 0x02, "EF.ICCID", hidden}, {0x2F05, 0x05, "EF.PL", shown},
	{0x2F06, 0x06, "EF.ARR", shown}, {0x2F08, 0x08, "EF.UMPC", shown},
}

// filesUSIM are the files of ADF USIM (3GPP TS 31.102 §4.2, short identifiers by annex H).
var filesUSIM = []file{
	{0x6F05, 0x02, "EF.LI", shown}, {0x6F06, 0x17, "EF.ARR", shown}, {0x6F07, 0x07, "EF.IMSI", hidden},
	{0x6F08, 0x08, "EF.Keys", hidden}, {0x6F09, 0x09, "EF.KeysPS", hidden}, {0x6F2C, 0, "EF.DCK", hidden},
	{0x6F31, 0x12, "EF.HPPLMN", shown}, {0x6F32, 0, "EF.CNL", shown}, {0x6F37, 0, "EF.ACMmax", shown},
	{0x6F38, 0x04, "EF.UST", shown}, {0x6F39, 0, "EF.ACM", shown}, {0x6F3B, 0, "EF.FDN", hidden},
	{0x6F3C, 0, "EF.SMS", hidden}, {0x6F3E, 0, "EF.GID1", shown}, {0x6F3F, 0, "EF.GID2", shown},
	{0x6F40, 0, "EF.MSISDN", hidden}, {0x6F41, 0, "EF.PUCT", shown}, {0x6F42, 0, "EF.SMSP", hidden},
	{0x6F43, 0, "EF.SMSS", shown}, {0x6F45, 0, "EF.CBMI", shown}, {0x6F46, 0, "EF.SPN", shown},
	{0x6F47, 0, "EF.SMSR", hidden}, {0x6F48, 0x0E, "EF.CBMID", shown}, {0x6F49, 0, "EF.SDN", shown},
	{0x6F4B, 0, "EF.EXT2", hidden}, {0x6F4C, 0, "EF.EXT3", hidden}, {0x6F4D, 0, "EF.BDN", hidden},
	{0x6F4E, 0, "EF.EXT5", hidden}, {0x6F50, 0, "EF.CBMIR", shown}, {0x6F56, 0x05, "EF.EST", shown},
	{0x6F57, 0, "EF.ACL", shown}, {0x6F5B, 0x0F, "EF.START-HFN", shown}, {0x6F5C, 0x10, "EF.THRESHOLD", shown},
	{0x6F60, 0x0A, "EF.PLMNwAcT", shown}, {0x6F61, 0x11, "EF.OPLMNwAcT", shown}, {0x6F62, 0x13, "EF.HPLMNwAcT", shown},
	{0x6F73, 0x0C, "EF.PSLOCI", hidden}, {0x6F78, 0x06, "EF.ACC", shown}, {0x6F7B, 0x0D, "EF.FPLMN", shown},
	{0x6F7E, 0x0B, "EF.LOCI", hidden}, {0x6F80, 0x14, "EF.ICI", hidden}, {0x6F81, 0x15, "EF.OCI", hidden},
	{0x6FAD, 0x03, "EF.AD", shown}, {0x6FB5, 0, "EF.eMLPP", shown}, {0x6FB6, 0, "EF.AAeM", shown},
	{0x6FB7, 0x01, "EF.ECC", shown}, {0x6FC3, 0, "EF.Hiddenkey", hidden}, {0x6FC4, 0, "EF.NETPAR", shown},
	{0x6FC5, 0x19, "EF.PNN", shown}, {0x6FC6, 0x1A, "EF.OPL", shown}, {0x6FC7, 0, "EF.MBDN", hidden},
	{0x6FC8, 0, "EF.EXT6", hidden}, {0x6FC9, 0, "EF.MBI", shown}, {0x6FCA, 0, "EF.MWIS", shown},
	{0x6FCB, 0, "EF.CFIS", hidden}, {0x6FCD, 0x1B, "EF.SPDI", shown}, {0x6FCE, 0, "EF.MMSN", hidden},
	{0x6FD0, 0, "EF.MMSICP", hidden}, {0x6FD2, 0, "EF.MMSUCP", hidden}, {0x6FD5, 0, "EF.GBANL", hidden},
	{0x6FD6, 0, "EF.GBABP", hidden}, {0x6FD7, 0, "EF.MSK", hidden}, {0x6FD8, 0, "EF.MUK", hidden},
	{0x6FD9, 0x1D, "EF.EHPLMN", shown}, {0x6FDA, 0, "EF.GBANL", hidden}, {0x6FDB, 0, "EF.EHPLMNPI", shown},
	{0x6FDC, 0, "EF.LRPLMNSI", shown}, {0x6FDD, 0, "EF.NAFKCA", hidden}, {0x6FDE, 0, "EF.SPNI", shown},
	{0x6FDF, 0, "EF.PNNI", shown}, {0x6FE2, 0, "EF.NCP-IP", hidden}, {0x6FE3, 0x1E, "EF.EPSLOCI", hidden},
	{0x6FE4, 0x18, "EF.EPSNSC", hidden}, {0x6FE6, 0, "EF.UFC", shown}, {0x6FE8, 0, "EF.NASCONFIG", shown},
	{0x6FEC, 0, "EF.PWS", shown}, {0x6FED, 0, "EF.FDNURI", hidden}, {0x6FEF, 0, "EF.SDNURI", shown},
	{0x6FF3, 0, "EF.ePDGId", shown}, {0x6FF4, 0, "EF.ePDGSelection", shown}, {0x6FF7, 0, "EF.FromPreferred", shown},
}

// filesISIM are the files of ADF ISIM (3GPP TS 31.103 §4.2).
var filesISIM = []file{
	{0x6F02, 0x02, "EF.IMPI", hidden}, {0x6F03, 0x05, "EF.DOMAIN", shown}, {0x6F04, 0x04, "EF.IMPU", hidden},
	{0x6F06, 0x06, "EF.ARR", shown}, {0x6F07, 0x07, "EF.IST", shown}, {0x6F09, 0, "EF.P-CSCF", shown},
	{0x6FAD, 0x03, "EF.AD", shown}, {0x6FD5, 0, "EF.GBABP", hidden}, {0x6FD7, 0, "EF.GBANL", hidden},
	{0x6FDD, 0, "EF.NAFKCA", hidden}, {0x6FE7, 0, "EF.UICCIARI", shown},
}

// files5GS are the files of DF 5GS (TS 31.102 §4.4.11).
var files5GS = []file{
	{0x4F01, 0x01, "EF.5GS3GPPLOCI", hidden}, {0x4F02, 0x02, "EF.5GSN3GPPLOCI", hidden},
	{0x4F03, 0x03, "EF.5GS3GPPNSC", hidden}, {0x4F04, 0x04, "EF.5GSN3GPPNSC", hidden},
	{0x4F05, 0x05, "EF.5GAUTHKEYS", hidden}, {0x4F06, 0x06, "EF.UAC_AIC", shown},
	{0x4F07, 0x07, "EF.SUCI_Calc_Info", hidden}, {0x4F08, 0x08, "EF.OPL5G", shown},
	{0x4F09, 0x09, "EF.SUPI_NAI", hidden}, {0x4F0A, 0x0A, "EF.Routing_Indicator", shown},
	{0x4F0B, 0x0B, "EF.URSP", shown}, {0x4F0C, 0x0C, "EF.TN3GPPSNN", shown},
}

// filesGSMAccess are the files of DF GSM-ACCESS (TS 31.102 §4.4.3).
var filesGSMAccess = []file{
	{0x4F20, 0x01, "EF.Kc", hidden}, {0x4F52, 0x02, "EF.KcGPRS", hidden}, {0x4F63, 0, "EF.CPBCCH", shown},
	{0x4F64, 0, "EF.InvScan", shown},
}

// filesGSM are the files of DF GSM (3GPP TS 51.011 §10.3).
var filesGSM = []file{
	{0x6F05, 0, "EF.LP", shown}, {0x6F07, 0, "EF.IMSI", hidden}, {0x6F20, 0, "EF.Kc", hidden},
	{0x6F30, 0, "EF.PLMNsel", shown}, {0x6F31, 0, "EF.HPPLMN", shown}, {0x6F37, 0, "EF.ACMmax", shown},
	{0x6F38, 0, "EF.SST", shown}, {0x6F39, 0, "EF.ACM", shown}, {0x6F3E, 0, "EF.GID1", shown},
	{0x6F3F, 0, "EF.GID2", shown}, {0x6F45, 0, "EF.CBMI", shown}, {0x6F46, 0, "EF.SPN", shown},
	{0x6F52, 0, "EF.KcGPRS", hidden}, {0x6F53, 0, "EF.LOCIGPRS", hidden}, {0x6F60, 0, "EF.PLMNwAcT", shown},
	{0x6F61, 0, "EF.OPLMNwAcT", shown}, {0x6F62, 0, "EF.HPLMNwAcT", shown}, {0x6F74, 0, "EF.BCCH", shown},
	{0x6F78, 0, "EF.ACC", shown}, {0x6F7B, 0, "EF.FPLMN", shown}, {0x6F7E, 0, "EF.LOCI", hidden},
	{0x6FAD, 0, "EF.AD", shown}, {0x6FAE, 0, "EF.Phase", shown}, {0x6FB7, 0, "EF.ECC", shown},
	{0x6FC5, 0, "EF.PNN", shown}, {0x6FC6, 0, "EF.OPL", shown}, {0x6FCD, 0, "EF.SPDI", shown},
}

// filesTelecom are the files of DF TELECOM (TS 51.011 §10.5).
var filesTelecom = []file{
	{0x6F06, 0, "EF.ARR", shown}, {0x6F3A, 0, "EF.ADN", hidden}, {0x6F3B, 0, "EF.FDN", hidden},
	{0x6F3C, 0, "EF.SMS", hidden}, {0x6F3D, 0, "EF.CCP", shown}, {0x6F40, 0, "EF.MSISDN", hidden},
	{0x6F42, 0, "EF.SMSP", hidden}, {0x6F43, 0, "EF.SMSS", shown}, {0x6F44, 0, "EF.LND", hidden},
	{0x6F47, 0, "EF.SMSR", hidden}, {0x6F49, 0, "EF.SDN", shown}, {0x6F4A, 0, "EF.EXT1", hidden},
	{0x6F4B, 0, "EF.EXT2", hidden}, {0x6F4C, 0, "EF.EXT3", hidden}, {0x6F54, 0, "EF.SUME", shown},
}

// filesOf are the named files of a directory; nil if it has none here.
func filesOf(app App, df uint16) []file {
	switch df {
	case fidMF:
		return filesMF
	case 0x7F20, 0x7F21:
		return filesGSM
	case 0x7F10:
		return filesTelecom
	}
	switch {
	case df == fidADF && app == USIM:
		return filesUSIM
	case df == fidADF && app == ISIM:
		return filesISIM
	case df == 0x5FC0 && app == USIM:
		return files5GS
	case df == 0x5F3B && app == USIM:
		return filesGSMAccess
	}
	return nil
}

// lookUp finds a named file. Files under the MF can be told wherever they are
// selected from: no other directory uses 2Fxx.
func lookUp(app App, df, ef uint16) (file, bool) {
	if ef>>8 == 0x2F {
		df = fidMF
	}
	for _, f := range filesOf(app, df) {
		if f.fid == ef {
			return f, true
		}
	}
	return file{}, false
}

func fileName(app App, df, ef uint16) string {
	if f, ok := lookUp(app, df, ef); ok {
		return f.name
	}
	return fmt.Sprintf("EF %04X", ef)
}

// shortFile is the file behind a short identifier, 0 if that is not known.
func shortFile(app App, df uint16, sfi byte) uint16 {
	for _, f := range filesOf(app, df) {
		if f.sfi == sfi {
			return f.fid
		}
	}
	return 0
}

func dirName(app App, df uint16) string {
	switch df {
	case fidMF:
		return "MF"
	case fidADF:
		if app == "" {
			return "current ADF"
		}
		return "ADF " + string(app)
	case 0x7F10:
		return "DF TELECOM"
	case 0x7F20:
		return "DF GSM"
	case 0x7F21:
		return "DF DCS1800"
	case 0x5FC0:
		return "DF 5GS"
	case 0x5F3B:
		return "DF GSM-ACCESS"
	case 0x5F3A:
		return "DF PHONEBOOK"
	case 0:
		return "a directory"
	}
	return fmt.Sprintf("DF %04X", df)
}
