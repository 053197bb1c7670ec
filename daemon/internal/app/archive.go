package app

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// supportFile is one file of a support archive.
type supportFile struct {
	name string
	data []byte
}

// archive packs files as .tar.gz. The gzip part only stores: a compressor would
// cost every router more flash than this archive, which is made twice a year.
func archive(files []supportFile, now time.Time) []byte {
	var out []byte
	for _, f := range files {
		out = append(out, tarHeader(f.name, len(f.data), now)...)
		out = append(out, f.data...)
		out = append(out, make([]byte, -len(f.data)&511)...)
	}
	return stored(append(out, make([]byte, 1024)...)) // two empty blocks end it
}

// tarHeader is the block before a file (POSIX ustar, pax(1)): name, mode, owner,
// size, time, checksum, type.
func tarHeader(name string, size int, now time.Time) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000600\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00%011o\x00", size, now.Unix()))
	copy(h[148:], "        ") // the checksum counts as blanks
	h[156] = '0'              // a file
	copy(h[257:], "ustar\x0000")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// stored wraps b as gzip (RFC 1952) of stored blocks (RFC 1951 §3.2.4).
func stored(b []byte) []byte {
	const most = 65535
	out := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255} // deflate, no time, no system
	for rest := b; ; {
		n := min(len(rest), most)
		last := byte(0)
		if n == len(rest) {
			last = 1
		}
		out = append(out, last)
		out = binary.LittleEndian.AppendUint16(out, uint16(n))
		out = binary.LittleEndian.AppendUint16(out, ^uint16(n))
		out = append(out, rest[:n]...)
		if rest = rest[n:]; last == 1 {
			break
		}
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(b))
	return binary.LittleEndian.AppendUint32(out, uint32(len(b)))
}
