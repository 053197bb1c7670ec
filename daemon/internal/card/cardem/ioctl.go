package cardem

import (
	"runtime"
	"unsafe"
)

// ioctls are usbfs's request numbers (include/uapi/linux/usbdevice_fs.h), which
// depend on the architecture and on the size of a pointer.
type ioctls struct {
	setInterface, setConfiguration   uint
	claimInterface, releaseInterface uint
	submitURB, discardURB            uint
	reapURBNoDelay, clearHalt        uint
}

// thisMachine holds the numbers of the machine that the program runs on.
var thisMachine = ioctlsOf(runtime.GOARCH, unsafe.Sizeof(uintptr(0)))

// ioctlsOf computes the numbers as <asm/ioctl.h> does: MIPS (and PowerPC, SPARC,
// Alpha) have three bits of direction and 13 of size, everybody else two and 14.
func ioctlsOf(arch string, pointer uintptr) ioctls {
	read, write, none, shift := uint(2), uint(1), uint(0), 30
	switch arch {
	case "mips", "mipsle", "mips64", "mips64le", "ppc64", "ppc64le":
		read, write, none, shift = 2, 4, 1, 29
	}
	number := func(direction uint, nr uint, size uintptr) uint {
		return direction<<shift | uint(size)<<16 | 'U'<<8 | nr
	}
	const word = 4 // an unsigned int
	return ioctls{
		setInterface:     number(read, 4, 2*word),
		setConfiguration: number(read, 5, word),
		submitURB:        number(read, 10, urbSize(pointer)),
		discardURB:       number(none, 11, 0),
		reapURBNoDelay:   number(write, 13, pointer),
		claimInterface:   number(read, 15, word),
		releaseInterface: number(read, 16, word),
		clearHalt:        number(read, 21, word),
	}
}

// urb is struct usbdevfs_urb. The kernel fills status and actualLength when it is
// reaped. Go lays it out as C does on every architecture that Linux has.
type urb struct {
	kind         uint8
	endpoint     uint8
	status       int32
	flags        uint32
	buffer       unsafe.Pointer
	bufferLength int32
	actualLength int32
	startFrame   int32
	packets      int32 // or stream
	errorCount   int32
	signal       uint32
	context      uintptr
}

// urbSize is sizeof(struct usbdevfs_urb) for a size of pointers.
func urbSize(pointer uintptr) uintptr {
	align := func(n uintptr) uintptr { return (n + pointer - 1) &^ (pointer - 1) }
	return align(align(12)+pointer+6*4) + pointer
}

// The compiler holds Go's layout to it, on every architecture that it compiles for.
var _ = [1]struct{}{}[unsafe.Sizeof(urb{})-(32+3*unsafe.Sizeof(uintptr(0)))]

// Kinds of urb.
const (
	urbInterrupt = 1
	urbBulk      = 3
)
