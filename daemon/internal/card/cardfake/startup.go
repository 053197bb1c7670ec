package cardfake

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// StartUp is what a modem asks of its card between power and registration, reacting to
// what the card says: GET RESPONSE after 61xx and 9Fxx, FETCH and TERMINAL RESPONSE after
// 91xx, another length after 6Cxx.
type StartUp struct {
	Name  string
	steps []string
}

// The three shapes.
const (
	ShapeUSIM   = "usim"    // 3GPP TS 31.102 §5.1, on two logical channels
	ShapeGSM    = "gsm"     // class A0, 3GPP TS 51.011 §11.2
	ShapeReread = "re-read" // a host and a modem that ask for the same again and again
)

// auth in a script is AUTHENTICATE with the next challenge of the home network.
const auth = "authenticate"

// StartUps are the scripts, in upper-case hexadecimal TPDUs.
func StartUps() []StartUp {
	return []StartUp{
		{ShapeUSIM, usimStartUp()},
		{ShapeGSM, gsmStartUp()},
		{ShapeReread, rereadStartUp()},
	}
}

// Wants are the proactive commands that a card in this start-up has for the modem: SET
// UP MENU with one item, and POLL INTERVAL of 30 s (ETSI TS 102 223 §6.6.7, §6.6.6).
func Wants() [][]byte {
	return [][]byte{
		{0xD0, 0x16, 0x81, 0x03, 0x01, 0x25, 0x00, 0x82, 0x02, 0x81, 0x82, 0x05, 0x04, 'M', 'e', 'n', 'u', 0x8F, 0x05, 0x01, 'I', 't', 'e', 'm'},
		{0xD0, 0x0D, 0x81, 0x03, 0x02, 0x03, 0x00, 0x82, 0x02, 0x81, 0x82, 0x84, 0x02, 0x01, 0x1E},
	}
}

// sel is SELECT by identifier with the FCP wanted, on a channel.
func sel(cla byte, fid uint16) string { return fmt.Sprintf("%02XA4000402%04X", cla, fid) }

const selectADF = "A4040407A0000000871002"

// record80 is the body of an UPDATE RECORD of EF.EPSNSC: no security context.
const record80 = "A04E800107810100" + "8220" + "0000000000000000000000000000000000000000000000000000000000000000" +
	"830400000000" + "840400000000" + "850100" + "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"

func usimStartUp() []string {
	var s []string
	add := func(more ...string) { s = append(s, more...) }
	add(sel(0, 0x3F00), sel(0, 0x2FE2), "00B000000A", sel(0, 0x2F05), "00B000000A", sel(0, 0x2F00), "00B2010426", "00B2020426")
	add("80AA000005A903830180", "0070000001")
	add("00"+selectADF, "80F2010C00", "0020000100", "801000001EFFFFFFFF7F3F00DFFF03021FE28D01030900060000000000F002010400")
	for _, f := range []struct {
		fid  uint16
		read string // "" : the modem finds no such file
	}{
		{0x6FB7, "00B2010404"}, {0x6F05, "00B0000004"}, {0x6F38, "00B0000011"}, {0x6F56, "00B0000001"}, {0x6FAD, "00B0000004"},
		{0x6F07, "00B0000009"}, {0x6F78, "00B0000002"}, {0x6F31, "00B0000001"}, {0x6F3E, "00B0000004"}, {0x6F3F, "00B0000004"},
		{0x6F46, "00B0000011"}, {0x6F06, "00B2010428"}, {0x6F08, "00B0000021"}, {0x6F09, "00B0000021"}, {0x6F7E, "00B000000B"},
		{0x6F73, "00B000000E"}, {0x6FE3, "00B0000012"}, {0x6FE4, "00B2010450"}, {0x6F5B, "00B0000006"}, {0x6F5C, "00B0000003"},
		{0x6FC4, "00B0000080"}, {0x6F60, "00B0000028"}, {0x6F61, "00B0000028"}, {0x6F62, "00B000000A"}, {0x6F7B, "00B000000C"},
		{0x6FC5, ""}, {0x6FC6, ""}, {0x6FCD, ""}, {0x6FD9, ""}, {0x6FDB, ""}, {0x6FDC, ""}, {0x6FE8, ""}, {0x6F50, ""}, {0x6F48, ""},
		{0x6F40, "00B201041E"}, {0x6F42, "00B2010428"}, {0x6F43, "00B0000002"}, {0x6F3C, "00B20104B0"},
	} {
		add(sel(0, f.fid))
		if f.read != "" {
			add(f.read)
		}
	}
	add(sel(0, 0x5FC0), sel(0, 0x4F06), "00B0000004", sel(0, 0x4F0A), "00B0000004", sel(0, 0x4F01), "00B0000014")
	add("01"+selectADF, sel(1, 0x6F38), "01B0000011", sel(1, 0x6FAD), "01B0000004", "01A4040407A0000000871004")
	add("00A40804047F106F3A", "00B201041E", "00B202041E", "00A40804047F106F44", "00A40004027FFF", "80F2000C00")
	add(auth, "00D68B000BFFFFFFFF00F11000010000", "00D68C000EFFFFFFFFFFFFFF00F1100001FF00", auth)
	add(sel(0, 0x6F08), "00D6000021"+"01"+hexRun(32), sel(0, 0x6F09), "00D6000021"+"02"+hexRun(32))
	add(sel(0, 0x6FE3), "00D6000012"+"0BF600F1108001010000000100F110000100", sel(0, 0x6FE4), "00DC010450"+record80)
	add("00D68F0006F00001F00001", "00D68D000C"+"00F220FFFFFFFFFFFFFFFFFF", "80F2000C00", sel(0, 0x6F07), "00B0000009", "80F2000C00")
	return fix(s)
}

// hexRun are n bytes that are no secret of anybody.
func hexRun(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return fmt.Sprintf("%X", b)
}

func gsmStartUp() []string {
	gsel := func(fid uint16) string { return fmt.Sprintf("A0A4000002%04X", fid) }
	s := []string{gsel(0x3F00), gsel(0x2FE2), "A0B000000A", gsel(0x2F05), "A0B000000A", gsel(0x7F20), "A0F2000016"}
	s = append(s, gsel(0x6FAE), "A0B0000001", "A0100000041F0F0300")
	for round := range 2 { // before and after the service table is known
		for _, f := range []struct {
			fid uint16
			n   byte
		}{
			{0x6FAD, 4}, {0x6F38, 8}, {0x6F07, 9}, {0x6F78, 2}, {0x6F05, 1}, {0x6F31, 1}, {0x6F46, 17}, {0x6F3E, 4}, {0x6F3F, 4}, {0x6F30, 24},
			{0x6F60, 40}, {0x6F61, 40}, {0x6F62, 10}, {0x6F7B, 12}, {0x6F20, 9}, {0x6F74, 16}, {0x6F7E, 11}, {0x6FB7, 0}, {0x6F52, 0}, {0x6F45, 0},
		} {
			s = append(s, gsel(f.fid))
			if f.n > 0 {
				s = append(s, fmt.Sprintf("A0B00000%02X", f.n))
			}
		}
		if round == 0 {
			s = append(s, gsel(0x7F10), gsel(0x6F3A), "A0B201041E", "A0B202041E", gsel(0x6F40), "A0B201041E", gsel(0x6F42), "A0B2010428", gsel(0x6F3C), "A0B20104B0", gsel(0x7F20))
		}
	}
	s = append(s, "gsm-"+auth, gsel(0x6F20), "A0D6000009"+hexRun(8)+"01", "gsm-"+auth, "A0D6000009"+hexRun(8)+"02")
	s = append(s, gsel(0x6F7E), "A0D600000BFFFFFFFF00F11000010000", gsel(0x6F74), "A0D6000010"+hexRun(16), gsel(0x6F7B), "A0D600000C00F220FFFFFFFFFFFFFFFFFF")
	return append(s, gsel(0x6F7E), "A0D600000BFFFFFFFF00F11000020000", gsel(0x6F20), "A0D6000009"+hexRun(8)+"03", "A0F2000016", gsel(0x6F30), "A0D6000003"+"00F120")
}

func rereadStartUp() []string {
	s := []string{sel(0, 0x3F00), "00A4000C022FE2", "00B000000A", "80100000040F00FFFF", "00" + selectADF}
	for range 8 {
		s = append(s, "00B0870009", "00B0830004", "00B0840011", "00B0860002", sel(0, 0x6F07), "00B0000009", sel(0, 0x6F46), "00B0000011", "00B0000000",
			"00A40004027FFF", "80F2000C00", "00A4080C022FE2", "00B000000A", "00B0000205", "00A4080C047FFF6F78", "00B0000002", sel(0, 0x6FC5), "00B08D000C")
	}
	s = append(s, auth, "00D68B000BFFFFFFFF00F11000010000", "00D68D000C00F220FFFFFFFFFFFFFFFFFF", "00B08D000C", "00B08D000C", auth)
	s = append(s, "00A4040C07A0000000871002", "00D68C000EFFFFFFFFFFFFFF00F1100001FF00", sel(0, 0x6F08), "00D6000021"+"01"+hexRun(32), "00B0000021")
	return append(s, "00D6890021"+"03"+hexRun(32), "00D69E0012"+"0BF600F1108001010000000100F110000100", "00DC01C450"+record80, "00D68F0006F00001F00001", "00B0870009")
}

// fix sets P3 of commands with a body to its length, so that a script cannot be wrong
// about it.
func fix(s []string) []string {
	for i, h := range s {
		b, err := hex.DecodeString(h)
		if err == nil && len(b) > 5 {
			b[4] = byte(len(b) - 5)
			s[i] = fmt.Sprintf("%X", b)
		}
	}
	return s
}

// Challenger gives the next challenge of a home network: RAND and AUTN.
type Challenger func() (rand, autn [16]byte)

// Home is the home network of a card. Each challenge is another one, and the same for
// two cards of one profile and history.
func Home(c *Card) Challenger {
	var n uint32
	return func() (rand, autn [16]byte) {
		n++
		binary.BigEndian.PutUint32(rand[:], n)
		autn, _, _, _ = c.Milenage().Challenge(rand, c.SQN()+32, [2]byte{0x80})
		return rand, autn
	}
}

// Direct plays the start-up with a card in the modem's own slot: it is reset, and has
// something to say (Wants).
func (u StartUp) Direct(c *Card, challenge Challenger) ([]Entry, error) {
	for _, w := range Wants() {
		if err := c.QueueProactive(w); err != nil {
			return nil, err
		}
	}
	c.Reset(true)
	return u.Run(func(b []byte) ([]byte, error) { return c.Transmit(b), nil }, challenge)
}

// Difference tells where two start-ups differ, "" if nowhere.
func Difference(want, got []Entry) string {
	for i := range want {
		if i >= len(got) {
			break
		}
		w, g := fmt.Sprintf("%X -> %X", want[i].Command, want[i].Response), fmt.Sprintf("%X -> %X", got[i].Command, got[i].Response)
		if w != g {
			return fmt.Sprintf("command %d: got %s, want %s", i+1, g, w)
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%d commands, want %d", len(got), len(want))
	}
	return ""
}

// Run plays the start-up through send, which gives a TPDU to the card. It returns every command in order with its answer.
func (u StartUp) Run(send func(tpdu []byte) ([]byte, error), challenge Challenger) ([]Entry, error) {
	var log []Entry
	give := func(tpdu []byte) ([]byte, error) {
		r, err := send(tpdu)
		if err != nil {
			return nil, fmt.Errorf("command %d % X: %w", len(log)+1, tpdu[:5], err)
		}
		if len(r) < 2 {
			return nil, fmt.Errorf("command %d % X: an answer of %d bytes", len(log)+1, tpdu[:5], len(r))
		}
		log = append(log, Entry{Sequence: uint64(len(log) + 1), Kind: Command, Command: append([]byte(nil), tpdu...), Response: append([]byte(nil), r...)})
		return r, nil
	}
	for _, step := range u.steps {
		if err := react(give, tpduOf(step, challenge)); err != nil {
			return log, err
		}
	}
	return log, nil
}

func tpduOf(step string, challenge Challenger) []byte {
	switch step {
	case auth:
		rand, autn := challenge()
		return join([]byte{0x00, 0x88, 0x00, 0x81, 34, 16}, rand[:], []byte{16}, autn[:])
	case "gsm-" + auth:
		rand, _ := challenge()
		return join([]byte{0xA0, 0x88, 0x00, 0x00, 16}, rand[:])
	}
	b, err := hex.DecodeString(step)
	if err != nil {
		panic(err) // the scripts are constant
	}
	return b
}

// react sends one command and does what its answer asks for.
func react(give func([]byte) ([]byte, error), tpdu []byte) error {
	cla := tpdu[0] & 0x03
	toolkit := byte(0x80)
	if tpdu[0] == claGSM {
		cla, toolkit = claGSM, claGSM
	}
	for {
		r, err := give(tpdu)
		if err != nil {
			return err
		}
		sw1, sw2 := r[len(r)-2], r[len(r)-1]
		switch {
		case sw1 == 0x61 || sw1 == 0x9F:
			tpdu = []byte{cla, insGetResponse, 0, 0, sw2}
		case sw1 == 0x6C && len(tpdu) == 5:
			tpdu = append(tpdu[:4:4], sw2)
		case sw1 == 0x91:
			tpdu = []byte{toolkit, insFetch, 0, 0, sw2}
		case tpdu[1] == insFetch && sw1 == 0x90 && len(r) > 9:
			at := 2
			if r[1] == 0x81 {
				at = 3
			}
			// Command details, device identities, result: performed.
			tpdu = join([]byte{toolkit, insTerminalResponse, 0, 0, 12}, r[at:at+5], []byte{0x82, 0x02, 0x82, 0x81, 0x83, 0x01, 0x00})
		default:
			return nil
		}
	}
}
