package mmrig

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// atChannel is one opened AT port of a played modem.
type atChannel struct {
	mu  sync.Mutex
	out io.Writer
	qss bool // Telit: card events were asked for
}

// serveAT answers AT commands on rw until it fails. The commands and answers
// are those of testdata/*.log: what made ModemManager 1.20 and 1.24 content.
func serveAT(m *Modem, rw io.ReadWriter) {
	ch := &atChannel{out: rw}
	m.attach(ch)
	defer m.detach(ch)
	sc := bufio.NewScanner(rw)
	sc.Split(splitCR)
	for sc.Scan() {
		cmd := strings.TrimSpace(sc.Text())
		if len(cmd) < 2 || !strings.EqualFold(cmd[:2], "AT") {
			continue
		}
		m.mu.Lock()
		m.commands = append(m.commands, cmd)
		lines, final := m.answerAT(ch, strings.ToUpper(cmd[2:]), cmd[2:])
		muted := m.muted
		m.mu.Unlock()
		if muted {
			continue
		}
		ch.write(append(lines, final)...)
		if final == "OK" && isReset(strings.ToUpper(cmd[2:])) {
			m.reset()
		}
	}
}

func isReset(cmd string) bool {
	return cmd == "+CFUN=15" || cmd == "+CFUN=1,1" || cmd == "+CFUN=16" || cmd == "#REBOOT"
}

func splitCR(data []byte, atEOF bool) (int, []byte, error) {
	for i, b := range data {
		if b == '\r' || b == '\n' {
			return i + 1, data[:i], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func (c *atChannel) write(lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range lines {
		// A failed write means that ModemManager closed the port; the reader ends then.
		_, _ = io.WriteString(c.out, "\r\n"+l+"\r\n")
	}
}

// tell sends the unsolicited lines that ModemManager listens to.
func (c *atChannel) tell(m *Modem, what change) {
	m.mu.Lock()
	var lines []string
	switch what {
	case cardChanged:
		if c.qss {
			lines = []string{fmt.Sprintf("#QSS: %d", m.qss())}
		}
	case registrationChanged:
		lines = []string{
			"+CREG: " + m.registrationLine(), "+CGREG: " + m.registrationLine(), "+CEREG: " + m.registrationLine(),
		}
	case signalChanged:
		lines = []string{fmt.Sprintf("+CIEV: 1,%d", m.bars())}
	}
	if m.muted {
		lines = nil
	}
	m.mu.Unlock()
	c.write(lines...)
}

// fixed are the answers that never change. "" stands for a bare OK.
var fixed = map[string][]string{
	"": nil, "E0": nil, "V1": nil, "+CMEE=1": nil, "X4": nil, "&C1": nil, "H": nil, "%IPSYS?": nil, "Z": nil,
	"+GCAP": {"+GCAP: +CGSM,+DS,+ES"}, "+WS46=?": {"+WS46: (12,22,25,28,29,36,37,38)"},
	"+CSCS=?": {`+CSCS: ("IRA","UCS2","GSM")`}, "+CSCS?": {`+CSCS: "UCS2"`},
	"+CEREG=?": {"+CEREG: (0-2)"}, "+C5GREG=?": {"+C5GREG: (0-2)"}, "+C5GREG?": {"+C5GREG: 0,0"},
	"+CGDCONT=?": {`+CGDCONT: (1-11),"IP",,,(0-2),(0-3)`, `+CGDCONT: (1-11),"IPV6",,,(0-2),(0-3)`, `+CGDCONT: (1-11),"IPV4V6",,,(0-2),(0-3)`},
	"+CGDCONT?":  {`+CGDCONT: 1,"IP","internet","",0,0`}, "+CGACT?": {"+CGACT: 1,0"},
	"+CNUM": {`+CNUM: "","+12025550123",145`}, "+CLCK=?": {`+CLCK: ("SC","PN","PU","PP","PC","PS","FD")`},
	"+CEMODE?": {"+CEMODE: 2"}, "+CUSD=?": {"+CUSD: (0,1,2)"}, "+CNMI=?": {"+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)"},
	"+CPMS=?": {`+CPMS: ("ME","SM"),("ME","SM"),("ME","SM")`}, "+CPMS?": {`+CPMS: "ME",0,100,"ME",0,100,"ME",0,100`},
	"+CTZU=1": nil, "+CCLK?": {`+CCLK: "26/08/22,12:00:00+08"`},
	"+CESQ=?": {"+CESQ: (0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)"},
	"+IFC=?":  nil, "+CIND=?": {`+CIND: ("signal",(0-5)),("service",(0-1)),("roam",(0-1)),("call",(0-1))`},
	"+CMER=?": {"+CMER: (0-3),0,0,(0-1),0"}, "+CGEREP=?": {"+CGEREP: (0-2),(0-1)"},
	"+CMGF=?": {"+CMGF: (0,1)"}, "+CMGL=4": nil, "+COPS=0": nil,
	"#QSS=?": {"#QSS: (0-2)"}, "+CSIM=1": nil, "+CSIM=0": nil,
}

// settings are commands that are taken and need no answer.
var settings = []string{
	"+CSCS=", "+CMER=", "+CGEREP=", "+CREG=", "+CGREG=", "+CEREG=", "+CUSD=", "+CMGF=", "+CNMI=", "+CLIP=", "+CRC=", "+CCWA=", "+CGACT=", "+CGDCONT=",
}

// answerAT returns the lines and the final result of one command. m.mu is
// held. cmd is upper case, raw as it came.
func (m *Modem) answerAT(ch *atChannel, cmd, raw string) (lines []string, final string) {
	if lines, ok := fixed[cmd]; ok {
		return lines, "OK"
	}
	if slices.ContainsFunc(settings, func(p string) bool { return strings.HasPrefix(cmd, p) }) {
		return nil, "OK"
	}
	for _, answer := range []func(*atChannel, string, string) ([]string, string){m.answerIdentity, m.answerCard, m.answerRadio, m.answerVendor} {
		if lines, final := answer(ch, cmd, raw); final != "" {
			return lines, final
		}
	}
	m.unknown = append(m.unknown, raw)
	return nil, "ERROR"
}

func (m *Modem) answerIdentity(_ *atChannel, cmd, _ string) ([]string, string) {
	switch cmd {
	case "+CGMI", "+GMI":
		return []string{m.Spec.Manufacturer}, "OK"
	case "+CGMM", "+GMM":
		return []string{m.Spec.Model}, "OK"
	case "+CGMR", "+GMR":
		return []string{m.Spec.Revision}, "OK"
	case "+CGSN", "+GSN":
		return []string{m.Spec.IMEI}, "OK"
	case "I":
		return []string{"Manufacturer: " + m.Spec.Manufacturer, "Model: " + m.Spec.Model, "Revision: " + m.Spec.Revision, "IMEI: " + m.Spec.IMEI}, "OK"
	}
	return nil, ""
}

const (
	cmeNoSIM         = "+CME ERROR: 10"
	cmePIN           = "+CME ERROR: 11"
	cmePUK           = "+CME ERROR: 12"
	cmeWrongPassword = "+CME ERROR: 16"
)

func (m *Modem) answerCard(_ *atChannel, cmd, raw string) ([]string, string) {
	isCard := slices.ContainsFunc([]string{"+CPIN", "+CSIM", "+CRSM", "+CIMI", "+CLCK", "+CPWD", "+CPMS="}, func(p string) bool { return strings.HasPrefix(cmd, p) })
	switch {
	case !isCard:
		return nil, ""
	case m.card == nil:
		return nil, cmeNoSIM
	case cmd == "+CPIN?":
		return []string{"+CPIN: " + m.pinState()}, "OK"
	case strings.HasPrefix(cmd, `+CPIN="`):
		if !m.enter(strings.Trim(raw[len("+CPIN="):], `"`)) {
			if m.card.Tries == 0 {
				return nil, cmePUK
			}
			return nil, cmeWrongPassword
		}
		return nil, "OK"
	case strings.HasPrefix(cmd, "+CSIM=10,"):
		return []string{fmt.Sprintf(`+CSIM: 4,"63C%X"`, m.triesOf(cmd))}, "OK"
	case strings.HasPrefix(cmd, "+CRSM=176,12258"): // EF.ICCID is readable without the PIN (TS 102 221 §13.2)
		return []string{fmt.Sprintf(`+CRSM: 144,0,"%s"`, swapNibbles(m.card.ICCID))}, "OK"
	case m.locked():
		return nil, cmePIN
	case cmd == "+CIMI":
		return []string{m.card.IMSI}, "OK"
	case strings.HasPrefix(cmd, "+CRSM=176,28589"): // EF.AD: two MNC digits
		return []string{`+CRSM: 144,0,"00000002"`}, "OK"
	case strings.HasPrefix(cmd, "+CRSM=176,28486"): // EF.SPN "Test"
		return []string{`+CRSM: 144,0,"0054657374FFFFFFFFFFFFFFFFFFFFFFFF"`}, "OK"
	case strings.HasPrefix(cmd, "+CRSM="):
		return []string{`+CRSM: 106,130,""`}, "OK"
	case strings.HasPrefix(cmd, "+CLCK="):
		return []string{"+CLCK: 0"}, "OK"
	case strings.HasPrefix(cmd, "+CPMS="):
		return []string{"+CPMS: 0,100,0,100,0,100"}, "OK"
	}
	return nil, ""
}

func (m *Modem) pinState() string {
	switch {
	case m.card.Tries == 0:
		return "SIM PUK"
	case m.locked():
		return "SIM PIN"
	}
	return "READY"
}

// triesOf reads an empty VERIFY or UNBLOCK PIN (TS 102 221 §11.1.9, §11.1.10),
// which asks for the tries left.
func (m *Modem) triesOf(cmd string) int {
	switch {
	case strings.Contains(cmd, "002C"):
		return 10
	case strings.Contains(cmd, "00200001"):
		return m.card.Tries
	}
	return 3
}

func (m *Modem) answerRadio(_ *atChannel, cmd, _ string) ([]string, string) {
	switch {
	case cmd == "+CFUN?":
		if m.radio {
			return []string{"+CFUN: 1"}, "OK"
		}
		return []string{"+CFUN: 4"}, "OK"
	case cmd == "+CFUN=1", cmd == "+CFUN=4":
		m.radio = cmd == "+CFUN=1"
		return nil, "OK"
	case isReset(cmd):
		return nil, "OK"
	case cmd == "+CREG?", cmd == "+CGREG?", cmd == "+CEREG?":
		return []string{strings.TrimSuffix(cmd, "?") + ": 2," + m.registrationLine()}, "OK"
	case cmd == "+COPS?":
		if !m.registered() {
			return []string{"+COPS: 0"}, "OK"
		}
		if m.numeric {
			return []string{`+COPS: 0,2,"00101",7`}, "OK"
		}
		return []string{`+COPS: 0,0,"Test PLMN 1-1",7`}, "OK"
	case cmd == "+COPS=3,2", cmd == "+COPS=3,0": // TS 27.007 §7.3: format of the operator's name
		m.numeric = cmd == "+COPS=3,2"
		return nil, "OK"
	case cmd == "+CESQ":
		return []string{fmt.Sprintf("+CESQ: 99,99,255,255,20,%d", m.rsrp+141)}, "OK" // TS 27.007 §8.69
	case cmd == "+CSQ":
		return []string{fmt.Sprintf("+CSQ: %d,99", m.csq())}, "OK"
	case cmd == "+CIND?":
		service := 0
		if m.registered() {
			service = 1
		}
		return []string{fmt.Sprintf("+CIND: %d,%d,0,0", m.bars(), service)}, "OK"
	}
	return nil, ""
}

func (m *Modem) answerVendor(ch *atChannel, cmd, _ string) ([]string, string) {
	switch {
	case m.Spec.Plugin == "telit" && cmd == "#QSS?":
		return []string{fmt.Sprintf("#QSS: 1,%d", m.qss())}, "OK"
	case m.Spec.Plugin == "telit" && strings.HasPrefix(cmd, "#QSS="):
		ch.qss = cmd != "#QSS=0"
		return nil, "OK"
	case m.Spec.Plugin == "telit" && cmd == "#PSNT?":
		return []string{"#PSNT: 0,4"}, "OK" // 4 is LTE
	case m.Spec.XMM && cmd == "+XACT=?":
		return []string{"+XACT: (0-6),(0-2),0,1,2,4,5,8,101,102,103,104,105,107,108,120,128,138,141"}, "OK"
	case m.Spec.XMM && cmd == "+XACT?":
		return []string{"+XACT: 4,1,,1,2,4,5,8,101,102,103,104,105,107,108,120,128,138,141"}, "OK"
	case m.Spec.XMM && strings.HasPrefix(cmd, "+XACT="):
		return nil, "OK"
	}
	return nil, ""
}

// registrationLine is <stat> and where, as in +CEREG (TS 27.007 §10.1.22).
func (m *Modem) registrationLine() string {
	switch {
	case !m.radio || m.card == nil || m.locked():
		return "0"
	case m.reg == Home:
		return `1,"1A2B","0012C3D4",7`
	case m.reg == Roaming:
		return `5,"1A2B","0012C3D4",7`
	case m.reg == Denied:
		return "3"
	}
	return "2"
}

// bars maps dBm to +CIND's 0..5, csq to +CSQ's 0..31.
func (m *Modem) bars() int { return max(0, min(5, (m.rsrp+120)/10)) }

func (m *Modem) csq() int { return max(0, min(31, (m.rsrp+20+113)/2)) }

func (m *Modem) qss() int {
	if m.card == nil {
		return 0
	}
	return 1
}

// swapNibbles writes digits as a card stores them (TS 102 221 §13.2).
func swapNibbles(digits string) string {
	if len(digits)%2 == 1 {
		digits += "F"
	}
	b := []byte(digits)
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return string(b)
}
