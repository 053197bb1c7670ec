package probe

import (
	"bytes"
	"encoding/binary"
)

// ICMP types, RFC 792 and RFC 4443 section 4.
const (
	echo4, reply4 = 8, 0
	echo6, reply6 = 128, 129
)

// echoSize is an echo message with 8 bytes of data.
const echoSize = 16

// echo makes an echo request. The kernel writes its checksum for ICMPv6 and for
// ping sockets, and for those the identifier too; the data tells whose reply it is.
func echo(six bool, id, seq uint16, data [8]byte) []byte {
	b := make([]byte, 8, echoSize)
	b[0] = echo4
	if six {
		b[0] = echo6
	}
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	b = append(b, data[:]...)
	if !six {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// isReply tells whether b is the reply to an echo request with these data. raw
// sockets of IPv4 deliver the IP header too, RFC 791 section 3.1.
func isReply(six bool, b []byte, data [8]byte) bool {
	if !six && len(b) >= 20 && b[0]>>4 == 4 {
		header := int(b[0]&15) * 4
		if header < 20 || header > len(b) {
			return false
		}
		b = b[header:]
	}
	want := byte(reply4)
	if six {
		want = reply6
	}
	return len(b) >= echoSize && b[0] == want && b[1] == 0 && bytes.Equal(b[8:echoSize], data[:])
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// question is a DNS question for the address of the root, RFC 1035 section 4.1:
// the shortest that there is, and its answer holds nothing.
func question(id uint16) []byte {
	b := []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1} // recursion desired; ".", A, IN
	binary.BigEndian.PutUint16(b, id)
	return b
}

// isAnswer tells whether b answers the question with that id. Refusing is an
// answer too.
func isAnswer(b []byte, id uint16) bool {
	return len(b) >= 12 && binary.BigEndian.Uint16(b) == id && b[2]&0x80 != 0
}
