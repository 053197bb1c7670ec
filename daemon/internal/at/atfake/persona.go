package atfake

// common is what every persona answers the same way.
func common() map[string][]string {
	return map[string][]string{
		"+CPIN?":    {"+CPIN: READY", "OK"},
		"+CFUN?":    {"+CFUN: 1", "OK"},
		"+CFUN=1,1": {"OK"},
		"+CPSMS?":   {`+CPSMS: 0,,,"01100001","00000101"`, "OK"},
		"+CEDRXS?":  {"OK"},
		"+CSQ":      {"+CSQ: 20,99", "OK"},
		"+CESQ":     {"+CESQ: 99,99,255,255,19,46", "OK"},
		"+CIMI":     {"001010123456789", "OK"},
		"+CGSN":     {"490154203237518", "OK"},
		"+ICCID":    {"+ICCID: 8988211000000000013", "OK"},
		"+CREG?":    {"+CREG: 0,1", "OK"},
	}
}

// setters name the query that shows what a command set.
func setters() map[string]string {
	return map[string]string{
		"+CFUN=": "+CFUN?", "+QUIMSLOT=": "+QUIMSLOT?", "+GTDUALSIM=": "+GTDUALSIM?", "!UIMS=": "!UIMS?",
		"+QSIMDET=": "+QSIMDET?", "+MSMPD=": "+MSMPD?",
	}
}

// gstatus is the layout of AT!GSTATUS? on EM and MC modules.
func gstatus(rsrq, sinr string) []string {
	return []string{
		"!GSTATUS: ",
		"Current Time:  1234		Temperature: 28",
		"Reset Counter: 1		Mode:        ONLINE         ",
		"System mode:   LTE        	PS state:    Attached     ",
		"LTE band:      B3     		LTE bw:      20 MHz  ",
		"LTE Rx chan:   1300		LTE Tx chan: 19300",
		"EMM state:     Registered     	Normal Service ",
		"RRC state:     RRC Connected  ",
		"PCC RxM RSSI:  -55		RSRP (dBm):  -87",
		"PCC RxD RSSI:  -56		RSRP (dBm):  -89",
		"Tx Power:      0		TAC:         0001 (1)",
		"RSRQ (dB):     " + rsrq + "		Cell ID:     00000101 (257)",
		"SINR (dB):     " + sinr,
		"OK",
	}
}

// personas are the modems of package at's profiles.
func personas() map[string]map[string][]string {
	return map[string]map[string][]string{
		"generic": {
			"+CGMI": {"Acme", "OK"}, "+CGMM": {"A1", "OK"}, "+CGMR": {"1.0", "OK"},
		},
		"fibocom-fm350": {
			"+CGMI": {`+CGMI: "Fibocom Wireless Inc."`, "OK"}, "+CGMM": {`+CGMM: "FM350-GL"`, "OK"},
			"+CGMR": {`+CGMR: "81600.0000.00.29.23.07"`, "OK"}, "+CGSN": {`+CGSN: "490154203237518"`, "OK"},
			"+CIMI":       {"+CIMI: 001010123456789", "OK"},
			"+CESQ":       {"+CESQ: 99,99,255,255,255,255,66,71,69", "OK"},
			"+CSQ":        {"+CSQ: 99,99", "OK"},
			"+GTDUALSIM?": {`+GTDUALSIM : 0, "SUB1", "L"`, "OK"},
			"+MSMPD?":     {"+MSMPD: 0", "OK"}, "+CFUN=15": {"OK"},
		},
		"fibocom-l850": {
			"+CGMI": {"Fibocom Wireless Inc.", "OK"}, "+CGMM": {"L850-GL", "OK"}, "+CGMR": {"18500.5001.00.05.27.30", "OK"},
			"+XCESQ?": {"+XCESQ: 0,99,99,255,255,19,46,32", "OK"}, "+CCID": {"+CCID: 8988211000000000013", "OK"},
			"+MSMPD?": {"+MSMPD: 0", "OK"}, "+CFUN=15": {"OK"},
		},
		"quectel-5g": {
			"+CGMI": {"Quectel", "OK"}, "+CGMM": {"RM520N-GL", "OK"}, "+CGMR": {"RM520NGLAAR03A03M4G", "OK"},
			"+QCSQ":      {`+QCSQ: "LTE",-52,-81,195,-10`, `+QCSQ: "NR5G-NSA",-85,18,-11`, "OK"},
			"+QCCID":     {"+QCCID: 8988211000000000013F", "OK"},
			"+QUIMSLOT?": {"+QUIMSLOT: 1", "OK"}, "+QSIMDET?": {"+QSIMDET: 0,1", "OK"},
		},
		"quectel-lte": {
			"+CGMI": {"Quectel", "OK"}, "+CGMM": {"EG25", "OK"}, "+CGMR": {"EG25GGBR07A08M2G", "OK"},
			"+QCSQ":  {`+QCSQ: "LTE",-52,-81,195,-10`, "OK"},
			"+QCCID": {"+QCCID: 8988211000000000013F", "OK"}, "+QSIMDET?": {"+QSIMDET: 0,0", "OK"},
		},
		"sierra-em91": {
			"+CGMI": {"Sierra Wireless, Incorporated", "OK"}, "+CGMM": {"EM9191", "OK"}, "+CGMR": {"SWIX55C_01.07.13.00", "OK"},
			"!GSTATUS?": gstatus("-11.0", "14.2"), "!ICCID?": {"!ICCID: 8988211000000000013", "OK"}, "+ICCID": {"ERROR"},
			"!UIMS?": {"!UIMS: 0", "OK"}, "!RESET": {"OK"},
		},
		"sierra-lte": {
			"+CGMI": {"Sierra Wireless, Incorporated", "OK"}, "+CGMM": {"EM7565", "OK"}, "+CGMR": {"SWI9X50C_01.14.02.00", "OK"},
			"!GSTATUS?": gstatus("-14.0", "23.8"), "+CSQ": {"+CSQ: 29,99", "OK"}, "+CESQ": {"ERROR"},
			"!UIMS?": {"!UIMS: 0", "OK"}, "!RESET": {"OK"},
		},
	}
}
