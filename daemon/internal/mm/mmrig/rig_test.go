package mmrig

import (
	"bufio"
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAnswersAreThoseThatWorked plays the recorded sessions of ModemManager
// 1.20 and 1.24 (which have the same modem and card) to the AT modem: it must
// say what the modem said that ModemManager was content with.
func TestAnswersAreThoseThatWorked(t *testing.T) {
	// "5g 5g-b#2 <- AT+CFUN? -> ["+CFUN: 1"] OK"
	line := regexp.MustCompile(`^5g \S+ <- AT(.*) -> \[(.*)\] (.+)$`)
	for _, name := range []string{"at-1.20.4-generic.log", "at-1.24.0-fibocom.log"} {
		f, err := os.Open("testdata/" + name)
		require.NoError(t, err)
		spec := FM350()
		m, compared := NewModem(spec), 0
		m.SetRSRP(-81)
		for sc := bufio.NewScanner(f); sc.Scan(); {
			got := line.FindStringSubmatch(sc.Text())
			if got == nil || strings.HasPrefix(got[1], "D*") || otherwise[got[1]] {
				continue
			}
			want, err := quoted(got[2])
			require.NoError(t, err, sc.Text())
			lines, final := m.answerAT(&atChannel{}, strings.ToUpper(got[1]), got[1])
			require.Equal(t, got[3], final, sc.Text())
			require.Equal(t, want, lines, sc.Text())
			compared++
		}
		require.NoError(t, f.Close())
		require.Greater(t, compared, 80, name)
	}
}

// otherwise are commands that the recording modem took and this one need not:
// a search for networks, a PIN that is switched on, a reset.
var otherwise = map[string]bool{"+COPS=?": true, "+CFUN=4": true, "+CFUN=15": true, "+GTRNDIS=?": true}

func quoted(list string) (all []string, err error) {
	for list = strings.TrimSpace(list); list != ""; list = strings.TrimSpace(list) {
		q, err := strconv.QuotedPrefix(list)
		if err != nil {
			return nil, err
		}
		s, err := strconv.Unquote(q)
		if err != nil {
			return nil, err
		}
		all, list = append(all, s), list[len(q):]
	}
	return all, nil
}

func TestMBIMRecords(t *testing.T) {
	m := NewModem(L850())
	require.Len(t, m.mbimSignal(), 20)
	require.Len(t, m.mbimPacketService(), 28)
	require.Len(t, m.mbimPINList(), 160)
	require.Len(t, mbimIPConfiguration(), 60+8+4+4)
	require.Equal(t, m.card.IMSI, request{data: m.mbimSubscriber()}.text(4))
	require.Equal(t, m.card.ICCID, request{data: m.mbimSubscriber()}.text(12))
	require.Equal(t, m.Spec.IMEI, request{data: m.mbimCaps()}.text(40))
}

// FuzzMBIM: no message makes the played modem panic.
func FuzzMBIM(f *testing.F) {
	command := func(cid, set uint32, data []byte) []byte {
		body := (&record{}).u32(1, 0).fixed
		body = append(body, basicConnect[:]...)
		body = append((&record{fixed: body}).u32(cid, set, uint32(len(data))).fixed, data...)
		return append((&record{}).u32(mbimCommand, uint32(12+len(body)), 7).fixed, body...)
	}
	f.Add(command(cidPIN, 1, (&record{}).u32(2, 0).text("1234").text("").bytes()))
	f.Add(command(cidConnect, 1, (&record{}).u32(0, 1).text("internet").bytes()))
	f.Add((&record{}).u32(mbimOpen, 16, 1, 4096).fixed)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := NewModem(L850())
		m.card.PIN = "1234"
		q, err := readMBIM(bytes.NewReader(raw))
		if err != nil || q.kind != mbimCommand {
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.answerMBIM(q)
	})
}
