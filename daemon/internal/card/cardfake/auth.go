package cardfake

// gsmKeys derives SRES and Kc from a 3G answer: the conversion functions c2 and c3 (3GPP
// TS 33.102 §6.8.1.2).
func gsmKeys(res [8]byte, ck, ik [16]byte) (sres [4]byte, kc [8]byte) {
	for i := range sres {
		sres[i] = res[i] ^ res[i+4]
	}
	for i := range kc {
		kc[i] = ck[i] ^ ck[i+8] ^ ik[i] ^ ik[i+8]
	}
	return sres, kc
}

// indBits is the length of IND, the part of a sequence number that says which of the
// card's counters it belongs to (3GPP TS 33.102 §C.1.1.1).
const indBits = 5

// authenticator is the card's side of 3G authentication. Its counters survive power
// cycles.
type authenticator struct {
	milenage Milenage
	seq      [1 << indBits]uint64
}

func newAuthenticator(p Profile) authenticator {
	a := authenticator{milenage: NewMilenage(p.K, p.OPc)}
	a.setSQN(p.SQN)
	return a
}

func (a *authenticator) setSQN(sqn uint64) {
	for i := range a.seq {
		a.seq[i] = sqn >> indBits
	}
}

// sqn is the highest sequence number accepted so far.
func (a *authenticator) sqn() uint64 {
	best := 0
	for i, s := range a.seq {
		if s >= a.seq[best] {
			best = i
		}
	}
	return a.seq[best]<<indBits | uint64(best)
}

// fresh accepts sqn if it is above the counter it belongs to (3GPP TS 33.102 §C.2).
func (a *authenticator) fresh(sqn uint64) bool {
	ind, seq := sqn&(1<<indBits-1), sqn>>indBits
	if seq <= a.seq[ind] {
		return false
	}
	a.seq[ind] = seq
	return true
}

// authenticate is AUTHENTICATE (3GPP TS 31.102 §7.1.2), 3G and GSM security
// context.
func (c *Card) authenticate(ch *channel, m command) ([]byte, sw) {
	switch {
	case m.p1 != 0 || m.p2 != 0x80 && m.p2 != 0x81:
		return nil, swWrongP1P2
	case ch.app != c.usim:
		return nil, swConditions
	case !c.granted(needPIN):
		return nil, swSecurity
	}
	if m.p2 == 0x80 {
		if len(m.data) != 17 {
			return nil, swWrongLength
		}
		if m.data[0] != 16 {
			return nil, swWrongData
		}
		sres, kc := c.auth.gsm([16]byte(m.data[1:]))
		return c.outgoing(join([]byte{4}, sres[:], []byte{8}, kc[:]))
	}
	if len(m.data) != 34 {
		return nil, swWrongLength
	}
	if m.data[0] != 16 || m.data[17] != 16 {
		return nil, swWrongData
	}
	data, s := c.auth.umts([16]byte(m.data[1:17]), [16]byte(m.data[18:]))
	if s != swOK {
		return nil, s
	}
	return c.outgoing(data)
}

// gsm runs the algorithms without a check of the network.
func (a *authenticator) gsm(rand [16]byte) (sres [4]byte, kc [8]byte) {
	res, ck, ik, _ := a.milenage.F2345(rand)
	return gsmKeys(res, ck, ik)
}

// umts checks the network (3GPP TS 33.102 §6.3.3) and answers RES, CK, IK and Kc, or
// AUTS if the sequence number is old.
func (a *authenticator) umts(rand, autn [16]byte) ([]byte, sw) {
	res, ck, ik, ak := a.milenage.F2345(rand)
	var n [6]byte
	for i := range n {
		n[i] = autn[i] ^ ak[i]
	}
	mac, _ := a.milenage.F1(rand, n, [2]byte(autn[6:8]))
	if mac != [8]byte(autn[8:]) {
		return nil, swWrongMAC
	}
	if !a.fresh(sqnOf(n)) {
		return a.auts(rand), swOK
	}
	_, kc := gsmKeys(res, ck, ik)
	return join([]byte{0xDB, 8}, res[:], []byte{16}, ck[:], []byte{16}, ik[:], []byte{8}, kc[:]), swOK
}

// auts tells the network the card's own sequence number.
func (a *authenticator) auts(rand [16]byte) []byte {
	n := sqnBytes(a.sqn())
	ak := a.milenage.F5Star(rand)
	_, mac := a.milenage.F1(rand, n, [2]byte{}) // AMF is zero in AUTS
	hidden := n
	for i := range hidden {
		hidden[i] ^= ak[i]
	}
	return join([]byte{0xDC, 14}, hidden[:], mac[:])
}
