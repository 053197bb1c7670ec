package cardfake

import "bytes"

// structure is what kind of file a file is.
type structure byte

const (
	dedicated   structure = iota // MF, DF
	application                  // ADF
	transparent
	linear
	cyclic
)

// access is the condition of an operation (ETSI TS 102 221 §9).
type access byte

const (
	always access = iota
	needPIN
	needPIN2
	needADM
	never
)

// content is what an EF holds. Two files may share one: 2G and 3G see the same
// IMSI.
type content struct {
	data        []byte   // transparent
	records     [][]byte // of one length
	deactivated bool
}

// file is an EF, a DF, an ADF or the MF.
type file struct {
	id       uint16
	kind     structure
	sfi      byte   // 0: none
	aid      []byte // ADF
	label    string // ADF, in EF.DIR
	read     access
	update   access
	body     *content
	parent   *file
	children []*file
}

func (f *file) isDF() bool { return f.kind == dedicated || f.kind == application }

func (f *file) recordLen() int { return len(f.body.records[0]) }

// size is EF's file size without structural information.
func (f *file) size() int {
	if f.kind == transparent {
		return len(f.body.data)
	}
	return len(f.body.records) * f.recordLen()
}

// add puts child into DF f and returns child.
func (f *file) add(child *file) *file {
	child.parent = f
	f.children = append(f.children, child)
	return child
}

// link puts another name for EF of into DF f.
func (f *file) link(id uint16, of *file) {
	f.add(&file{id: id, kind: of.kind, read: of.read, update: of.update, body: of.body})
}

func (f *file) child(id uint16) *file {
	for _, k := range f.children {
		if k.id == id && k.kind != application {
			return k
		}
	}
	return nil
}

func (f *file) childBySFI(sfi byte) *file {
	for _, k := range f.children {
		if sfi != 0 && k.sfi == sfi {
			return k
		}
	}
	return nil
}

// reachable finds id as SELECT by file identifier does from current DF f (ETSI TS
// 102 221 §8.4.1): a child, the parent, a DF beside it, itself, the MF.
func (f *file) reachable(id uint16, mf *file) *file {
	if k := f.child(id); k != nil {
		return k
	}
	switch {
	case id == mf.id:
		return mf
	case id == f.id && f.kind != application:
		return f
	case f.parent == nil:
		return nil
	case id == f.parent.id && f.parent.kind != application:
		return f.parent
	}
	if k := f.parent.child(id); k != nil && k.isDF() {
		return k
	}
	return nil
}

// apps are the applications whose AID begins with prefix.
func apps(mf *file, prefix []byte) []*file {
	var out []*file
	for _, k := range mf.children {
		if k.kind == application && bytes.HasPrefix(k.aid, prefix) {
			out = append(out, k)
		}
	}
	return out
}

// tlv is one BER TLV with a length of up to 255 bytes.
func tlv(tag byte, value ...byte) []byte {
	if n := len(value); n > 127 {
		return append([]byte{tag, 0x81, byte(n)}, value...)
	}
	return append([]byte{tag, byte(len(value))}, value...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// padded is b followed by FF up to n bytes.
func padded(b []byte, n int) []byte {
	return append(append(make([]byte, 0, n), b...), bytes.Repeat([]byte{0xFF}, max(0, n-len(b)))...)
}
