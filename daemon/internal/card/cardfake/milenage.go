package cardfake

import (
	"crypto/aes"
	"crypto/cipher"
)

// Milenage is the algorithm set of 3GPP TS 35.206 for one subscriber key, with the
// constants c1 to c5 and r1 to r5 of its §4.1. Make it with NewMilenage.
type Milenage struct {
	block cipher.Block
	opc   [16]byte
}

// NewMilenage prepares the algorithms for key k and the derived operator code
// opc.
func NewMilenage(k, opc [16]byte) Milenage {
	return Milenage{block: kernel(k), opc: opc}
}

// OPc derives OPc from k and the operator code op (3GPP TS 35.206 §4.1).
func OPc(k, op [16]byte) [16]byte {
	return xor(encrypt(kernel(k), op), op)
}

// F1 computes MAC-A and, as f1*, MAC-S.
func (m Milenage) F1(rand [16]byte, sqn [6]byte, amf [2]byte) (macA, macS [8]byte) {
	var in [16]byte
	copy(in[0:], sqn[:])
	copy(in[6:], amf[:])
	copy(in[8:], in[:8])
	// c1 is zero, r1 is 64 bits.
	out := encrypt(m.block, xor(m.temp(rand), rotate(xor(in, m.opc), 64)))
	out = xor(out, m.opc)
	return [8]byte(out[:8]), [8]byte(out[8:])
}

// F2345 computes RES, CK, IK and AK.
func (m Milenage) F2345(rand [16]byte) (res [8]byte, ck, ik [16]byte, ak [6]byte) {
	out2 := m.out(rand, 0, 1)
	return [8]byte(out2[8:]), m.out(rand, 32, 2), m.out(rand, 64, 4), [6]byte(out2[:6])
}

// F5Star computes AK for resynchronization.
func (m Milenage) F5Star(rand [16]byte) [6]byte {
	out := m.out(rand, 96, 8)
	return [6]byte(out[:6])
}

// Challenge is what a home network does: AUTN for rand and sequence number sqn (48
// bits), and what the card has to answer.
func (m Milenage) Challenge(rand [16]byte, sqn uint64, amf [2]byte) (autn [16]byte, res [8]byte, ck, ik [16]byte) {
	res, ck, ik, ak := m.F2345(rand)
	n := sqnBytes(sqn)
	mac, _ := m.F1(rand, n, amf)
	for i := range n {
		autn[i] = n[i] ^ ak[i]
	}
	copy(autn[6:], amf[:])
	copy(autn[8:], mac[:])
	return autn, res, ck, ik
}

// Resync is what a home network does with AUTS: the card's sequence number, if MAC-S is
// right (3GPP TS 33.102 §6.3.3).
func (m Milenage) Resync(rand [16]byte, auts [14]byte) (sqn uint64, ok bool) {
	ak := m.F5Star(rand)
	var n [6]byte
	for i := range n {
		n[i] = auts[i] ^ ak[i]
	}
	_, mac := m.F1(rand, n, [2]byte{})
	return sqnOf(n), mac == [8]byte(auts[6:])
}

// temp is E(RAND xor OPc).
func (m Milenage) temp(rand [16]byte) [16]byte {
	return encrypt(m.block, xor(rand, m.opc))
}

// out is OUT2 to OUT5: rotation r in bits, and the last byte of the constant.
func (m Milenage) out(rand [16]byte, r int, c byte) [16]byte {
	in := rotate(xor(m.temp(rand), m.opc), r)
	in[15] ^= c
	return xor(encrypt(m.block, in), m.opc)
}

func kernel(k [16]byte) cipher.Block {
	b, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // 16 bytes are always a key
	}
	return b
}

func encrypt(b cipher.Block, in [16]byte) (out [16]byte) {
	b.Encrypt(out[:], in[:])
	return out
}

func xor(a, b [16]byte) [16]byte {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}

// rotate rotates towards the most significant bit. r is a multiple of 8.
func rotate(a [16]byte, r int) (out [16]byte) {
	for i := range a {
		out[i] = a[(i+r/8)%16]
	}
	return out
}

func sqnBytes(sqn uint64) (b [6]byte) {
	for i := range b {
		b[i] = byte(sqn >> (40 - 8*i))
	}
	return b
}

func sqnOf(b [6]byte) (sqn uint64) {
	for _, x := range b {
		sqn = sqn<<8 | uint64(x)
	}
	return sqn
}
