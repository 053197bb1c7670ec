package at

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

func f(v float64) *float64 { return &v }

// TestScales holds the ends and one middle of every table of TS 27.007.
func TestScales(t *testing.T) {
	for _, c := range []struct {
		name  string
		scale scale
		field string
		want  *float64
	}{
		{"CSQ lowest", scaleRSSI, "0", f(-113)}, {"CSQ 1", scaleRSSI, "1", f(-111)}, {"CSQ 2", scaleRSSI, "2", f(-109)},
		{"CSQ 30", scaleRSSI, "30", f(-53)}, {"CSQ highest", scaleRSSI, "31", f(-51)}, {"CSQ unknown", scaleRSSI, "99", nil},
		{"CSQ beyond", scaleRSSI, "32", nil}, {"CSQ negative", scaleRSSI, "-1", nil}, {"CSQ text", scaleRSSI, "x", nil},
		{"rxlev 1", scaleRxLev, "1", f(-110)}, {"rxlev highest", scaleRxLev, "63", f(-48)}, {"rxlev unknown", scaleRxLev, "99", nil},
		{"rscp 1", scaleRSCP, "1", f(-120)}, {"rscp highest", scaleRSCP, "96", f(-25)}, {"rscp unknown", scaleRSCP, "255", nil},
		{"rsrq 1", scaleRSRQ, "1", f(-19.5)}, {"rsrq highest", scaleRSRQ, "34", f(-3)},
		{"rsrp 1", scaleRSRP, "1", f(-140)}, {"rsrp highest", scaleRSRP, "97", f(-44)}, {"rsrp beyond", scaleRSRP, "98", nil},
		{"ss_rsrq 1", scaleSSRSRQ, "1", f(-43)}, {"ss_rsrq highest", scaleSSRSRQ, "126", f(19.5)},
		{"ss_rsrp 1", scaleSSRSRP, "1", f(-156)}, {"ss_rsrp highest", scaleSSRSRP, "126", f(-31)},
		{"ss_sinr 1", scaleSSSINR, "1", f(-23)}, {"ss_sinr highest", scaleSSSINR, "127", f(40)},
		{"rssnr negative", scaleXRSSNR, "-9", f(-4.5)}, {"rssnr", scaleXRSSNR, "32", f(16)}, {"rssnr unknown", scaleXRSSNR, "255", nil},
		{"qcsq sinr", scaleQSINR, "195", f(19)}, {"qcsq sinr lowest", scaleQSINR, "0", f(-20)}, {"qcsq sinr highest", scaleQSINR, "250", f(30)},
	} {
		got := c.scale.value(c.field)
		if c.want == nil {
			require.Nil(t, got, c.name)
			continue
		}
		require.NotNil(t, got, c.name)
		require.InDelta(t, *c.want, *got, 1e-9, c.name)
	}
}

func TestSignalLines(t *testing.T) {
	q := func(n int) *int { return &n }
	for _, c := range []struct {
		name, command string
		lines         []string
		want          model.Signal
		bad           bool
	}{
		{"CSQ", SignalCSQ, []string{"20,99"}, model.Signal{RSSI: f(-73), Quality: q(64)}, false},
		{"CSQ on NR alone", SignalCSQ, []string{"99,99"}, model.Signal{}, false},
		{"CSQ short", SignalCSQ, []string{"20"}, model.Signal{}, true},
		{"CSQ empty", SignalCSQ, nil, model.Signal{}, true},
		{"CESQ LTE", SignalCESQ, []string{"99,99,255,255,19,46"}, model.Signal{RSRQ: f(-10.5), RSRP: f(-95)}, false},
		{"CESQ GSM", SignalCESQ, []string{"33,0,255,255,255,255"}, model.Signal{RSSI: f(-78)}, false},
		{"CESQ UMTS", SignalCESQ, []string{"99,99,40,30,255,255"}, model.Signal{RSSI: f(-81)}, false},
		{"CESQ NR", SignalCESQ, []string{"99,99,255,255,255,255,66,71,69"}, model.Signal{RSRP: f(-86), RSRQ: f(-10.5), SINR: f(11)}, false},
		{"CESQ NR wins over LTE", SignalCESQ, []string{"99,99,255,255,19,46,66,71,69"}, model.Signal{RSRP: f(-86), RSRQ: f(-10.5), SINR: f(11)}, false},
		{"CESQ LTE with NR unknown", SignalCESQ, []string{"99,99,255,255,19,46,255,255,255"}, model.Signal{RSRQ: f(-10.5), RSRP: f(-95)}, false},
		{"CESQ short", SignalCESQ, []string{"99,99,255"}, model.Signal{}, true},
		{"XCESQ", SignalXCESQ, []string{"0,99,99,255,255,19,46,32"}, model.Signal{RSRQ: f(-10.5), RSRP: f(-95), SINR: f(16)}, false},
		{"XCESQ with NR fields", SignalXCESQ, []string{"0,99,99,255,255,19,58,-11,255,255,255,255"}, model.Signal{RSRQ: f(-10.5), RSRP: f(-83), SINR: f(-5.5)}, false},
		{"QCSQ LTE", SignalQCSQ, []string{`"LTE",-52,-81,195,-10`}, model.Signal{RSSI: f(-52), RSRP: f(-81), SINR: f(19), RSRQ: f(-10)}, false},
		{"QCSQ SA", SignalQCSQ, []string{`"NR5G-SA",-83,14,-11`}, model.Signal{RSRP: f(-83), SINR: f(14), RSRQ: f(-11)}, false},
		{"QCSQ SA with RSSI", SignalQCSQ, []string{`"NR5G-SA",-51,-80,2,-11`}, model.Signal{RSRP: f(-80), SINR: f(2), RSRQ: f(-11)}, false},
		{"QCSQ NSA", SignalQCSQ, []string{`"LTE",-52,-81,195,-10`, `"NR5G-NSA",-85,18,-11`}, model.Signal{RSSI: f(-52), RSRP: f(-85), SINR: f(18), RSRQ: f(-11)}, false},
		{"QCSQ no service", SignalQCSQ, []string{`"NOSERVICE"`}, model.Signal{}, false},
		{"QCSQ NR invalid", SignalQCSQ, []string{`"NR5G-SA",-32768,-32768,-32768`}, model.Signal{}, false},
		{"QCSQ unknown mode", SignalQCSQ, []string{`"6G",1`}, model.Signal{}, true},
		{"GSTATUS without mode", SignalGSTATUS, []string{"!GSTATUS:", "nothing"}, model.Signal{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc, ok := signalCommandFor(c.command)
			require.True(t, ok)
			got, err := sc.parse(c.lines)
			if c.bad {
				require.ErrorIs(t, err, ErrMalformed)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, rounded(got))
		})
	}
}

// rounded takes the noise of fifths off.
func rounded(s model.Signal) model.Signal {
	if s.SINR != nil {
		v := float64(int(*s.SINR*10+1000.5)-1000) / 10
		s.SINR = &v
	}
	return s
}

func TestTimers(t *testing.T) {
	for bits, want := range map[string]string{"00100100": "4h0m0s", "01100001": "2s", "11100000": "0s", "": "0s", "2": "0s", "0010010": "0s", "10100010": "2m0s"} {
		require.Equal(t, want, timer3(bits).String(), bits)
	}
	for bits, want := range map[string]string{"00000101": "10s", "00100011": "3m0s", "01000010": "12m0s", "11100001": "0s"} {
		require.Equal(t, want, timer2(bits).String(), bits)
	}
}

func TestLinesEdges(t *testing.T) {
	var s splitter
	var got []string
	s.push([]byte("\r\nOK\r\n+CSQ: 1,2\rRING\n\x00\x01 a\tb \xff\r\n"), func(l string) { got = append(got, l) })
	s.push(append(make([]byte, 0), []byte(string(make([]byte, 3))+"half")...), func(l string) { got = append(got, l) })
	require.Equal(t, []string{"OK", "+CSQ: 1,2", "RING", "a\tb \uFFFD"}, got)
	s.push([]byte(" done\n"), func(l string) { got = append(got, l) })
	require.Equal(t, "half done", got[4])
	long := make([]byte, 3*maxLine)
	for i := range long {
		long[i] = 'x'
	}
	s.push(append(long, "\nshort\n"...), func(l string) { got = append(got, l) })
	require.Equal(t, []string{"short"}, got[5:], "a line that never ends is dropped, the next is read")
}

// FuzzATLines holds the promises of the line parser: however the bytes are cut
// up the lines are the same, they are clean and bounded, and nothing that a
// modem sends makes any parser panic.
func FuzzATLines(f *testing.F) {
	for _, s := range []string{
		"\r\n+CSQ: 20,99\r\n\r\nOK\r\n", "AT+CSQ\r\r\n+CME ERROR: 10\r\n", "+CMS ERROR: unknown\r\n", "\x00\xff\r", "+CME ERROR\r\n",
		"+QCSQ: \"LTE\",-52,-81,195,-10\r\n", "+GTDUALSIM : 0, \"SUB1\", \"L\"\r\n", "+CESQ: 99,99,255,255,255,255,66,71,69\r\n",
		"!GSTATUS: \r\nSystem mode:   LTE\r\nRSRP (dBm):  -87\r\n\r\nOK\r\n", "RING\r\nNO CARRIER\r\n", "+CPSMS: 1,,,\"01100001\",\"00000101\"\r\n", "\"\"\",,\"",
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		whole, pieces := []string{}, []string{}
		var one, many splitter
		one.push(b, func(l string) { whole = append(whole, l) })
		step := int(cut)%7 + 1
		for i := 0; i < len(b); i += step {
			many.push(b[i:min(i+step, len(b))], func(l string) { pieces = append(pieces, l) })
		}
		require.Equal(t, whole, pieces)
		for _, l := range whole {
			require.NotEmpty(t, l)
			require.LessOrEqual(t, len(l), 3*maxLine) // U+FFFD is three bytes
			require.NotContains(t, l, "\r")
			require.NotContains(t, l, "\n")
			_, err := final(l)
			if err != nil {
				require.NotEmpty(t, err.Error())
			}
			for _, c := range []Command{{Text: "+CSQ"}, {Text: "+CIMI", Shape: Bare}, {Text: "!GSTATUS?", Shape: Block}} {
				c.answers(l)
			}
			fields(l)
			digitsOf(l)
			timer2(l)
			timer3(l)
		}
		for _, name := range []string{SignalCSQ, SignalCESQ, SignalQCSQ, SignalXCESQ, SignalGSTATUS} {
			sc, _ := signalCommandFor(name)
			if s, err := sc.parse(whole); err == nil {
				for _, v := range []*float64{s.RSSI, s.RSRP, s.RSRQ, s.SINR} {
					require.True(t, v == nil || *v >= -200 && *v <= 200, "%v", v)
				}
			} else {
				require.ErrorIs(t, err, ErrMalformed)
			}
		}
	})
}
