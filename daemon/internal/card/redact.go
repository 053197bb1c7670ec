package card

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Redact writes a command and the data of its answer (without the status word) in
// hexadecimal, with everything hidden that could be a secret or name a person: PINs,
// RAND, AUTN, RES, CK, IK, key files, IMSI, ICCID, phone numbers, messages, location.
// It shows what it knows to be harmless and hides the rest, so that a command it has
// never heard of hides its data. at is where the channel stood before the command.
func Redact(command, response []byte, at Place) (cmd, resp string) {
	var data []byte
	if n := len(response); n > 2 {
		data = response[:n-2]
	}
	if len(command) < headerLen {
		return veil(command), veil(data)
	}
	showBody, showData := harmless(command, at)
	head, body := command[:headerLen], command[headerLen:]
	cmd = upperHex(head)
	if showBody {
		cmd += upperHex(body)
	} else {
		cmd += veil(body)
	}
	if showData {
		return cmd, upperHex(data)
	}
	return cmd, veil(data)
}

// harmless tells what of a command and of its answer may be shown.
func harmless(command []byte, at Place) (body, data bool) {
	ins := command[1]
	switch ins {
	case 0xA4: // file identifiers and AIDs; file control parameters
		return true, true
	case 0xF2: // the directory's control parameters
		return true, true
	case 0x70, 0x10, 0xAA, 0x04, 0x44, 0xFA:
		return true, true
	case 0xC0:
		return true, at.Fetches == 0xA4
	case 0xB0, 0xD6, 0xB2, 0xDC:
		at.SelectShort(ins, command[2], command[3])
		f, ok := lookUp(at.App, at.DF, at.EF)
		return ok && f.open, ok && f.open
	}
	return false, false
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// veil stands for bytes that are not shown.
func veil(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return fmt.Sprintf("{%d bytes hidden}", len(b))
}
