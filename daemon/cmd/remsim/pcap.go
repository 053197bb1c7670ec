package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// A capture file of the classic format (draft-ietf-opsawg-pcap), with packets that look as
// if a SIMtrace had sent them to this machine: IPv4, UDP to the port of GSMTAP, GSMTAP
// version 2 (libosmocore, gsmtap.h).
const (
	pcapMagic   = 0xA1B2C3D4 // times in microseconds
	linktypeRaw = 101        // a packet starts with its IP header
	snapLen     = 65535
	gsmtapPort  = 4729
	gsmtapSIM   = 4 // type: a card's APDU, command and answer in one
	gsmtapLen   = 16
	ipLen       = 20
	udpLen      = 8
)

// writePCAP writes the entries that have an answer. Bytes that the trace hides become
// zeros, as many as there were; of proactive commands and what the modem tells the card,
// one empty TLV of that length. skipped are those without: the format has no way to show
// a command that nobody answered.
func writePCAP(w io.Writer, entries []model.APDU) (skipped int, err error) {
	out := bufio.NewWriter(w)
	head := binary.LittleEndian.AppendUint32(nil, pcapMagic)
	head = binary.LittleEndian.AppendUint16(head, 2)
	head = binary.LittleEndian.AppendUint16(head, 4)
	head = binary.LittleEndian.AppendUint32(head, 0) // reserved
	head = binary.LittleEndian.AppendUint32(head, 0)
	head = binary.LittleEndian.AppendUint32(head, snapLen)
	head = binary.LittleEndian.AppendUint32(head, linktypeRaw)
	if _, err := out.Write(head); err != nil {
		return 0, err
	}
	var second int64
	var micro uint32 // entries know their second only; this keeps their order
	for _, a := range entries {
		apdu, err := wholeAPDU(a)
		if err != nil {
			return skipped, fmt.Errorf("trace entry %d: %w", a.ID, err)
		}
		if apdu == nil {
			skipped++
			continue
		}
		if a.Time != second {
			second, micro = a.Time, 0
		}
		packet := gsmtapPacket(apdu)
		rec := binary.LittleEndian.AppendUint32(nil, uint32(a.Time))
		rec = binary.LittleEndian.AppendUint32(rec, micro)
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(packet)))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(packet)))
		micro++
		if _, err := out.Write(append(rec, packet...)); err != nil {
			return skipped, err
		}
	}
	return skipped, out.Flush()
}

// wholeAPDU joins command, answer and status word; nil if there was no answer.
func wholeAPDU(a model.APDU) ([]byte, error) {
	word, _, _ := strings.Cut(a.Status, " ")
	sw, err := hex.DecodeString(word)
	if err != nil || len(sw) != 2 {
		return nil, nil
	}
	cmd, err := unveil(a.Command)
	if err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	data, err := unveil(a.Response)
	if err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	if len(cmd) >= 5 {
		switch cmd[1] { // of which a dissector expects TLVs
		case 0x12: // FETCH
			blankTLV(data, 0xD0)
		case 0x14, 0xC2: // TERMINAL RESPONSE, ENVELOPE
			blankTLV(cmd[5:], 0)
		}
	}
	return append(append(cmd, data...), sw...), nil
}

// blankTLV makes hidden bytes one TLV, within one of tag outer if that is not 0, so
// that zeros are not taken for a malformed packet.
func blankTLV(b []byte, outer byte) {
	if slices.ContainsFunc(b, func(x byte) bool { return x != 0 }) {
		return // not hidden
	}
	wrap := func(b []byte, tag byte) []byte {
		switch n := len(b); {
		case n < 2:
			return nil
		case n-2 < 0x80:
			b[0], b[1] = tag, byte(n-2)
			return b[2:]
		case n-3 < 0x100:
			b[0], b[1], b[2] = tag, 0x81, byte(n-3)
			return b[3:]
		}
		return nil
	}
	if outer != 0 {
		b = wrap(b, outer)
	}
	wrap(b, 0)
}

// unveil reads hexadecimal digits, with zeros for {N bytes hidden}.
func unveil(s string) ([]byte, error) {
	var out []byte
	for s != "" {
		shown, rest, veiled := strings.Cut(s, "{")
		b, err := hex.DecodeString(shown)
		if err != nil {
			return nil, fmt.Errorf("%q is not pairs of hexadecimal digits", shown)
		}
		out = append(out, b...)
		if !veiled {
			return out, nil
		}
		count, after, ok := strings.Cut(rest, " bytes hidden}")
		n, err := strconv.ParseUint(count, 10, 9)
		if !ok || err != nil {
			return nil, fmt.Errorf("expected {N bytes hidden}, got %q", "{"+rest)
		}
		out = append(out, make([]byte, n)...)
		s = after
	}
	return out, nil
}

// gsmtapPacket wraps an APDU.
func gsmtapPacket(apdu []byte) []byte {
	total := ipLen + udpLen + gsmtapLen + len(apdu)
	b := make([]byte, 0, total)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(total))
	b = append(b, 0, 0, 0, 0, 64, 17, 0, 0) // no fragments, TTL, UDP, checksum
	b = append(b, 127, 0, 0, 1, 127, 0, 0, 1)
	binary.BigEndian.PutUint16(b[10:], ipChecksum(b))
	b = binary.BigEndian.AppendUint16(b, gsmtapPort)
	b = binary.BigEndian.AppendUint16(b, gsmtapPort)
	b = binary.BigEndian.AppendUint16(b, uint16(udpLen+gsmtapLen+len(apdu)))
	b = append(b, 0, 0)                         // no checksum
	b = append(b, 2, gsmtapLen/4, gsmtapSIM)    // version, length in words, type
	b = append(b, make([]byte, gsmtapLen-3)...) // radio fields, and subtype 0: a whole APDU
	return append(b, apdu...)
}

// ipChecksum is that of RFC 791 over a header whose own field is 0.
func ipChecksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < ipLen; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xFFFF + sum>>16
	}
	return ^uint16(sum)
}
