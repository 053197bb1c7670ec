package cardfake

import "bytes"

// newFiles builds the card's files: the MF with the USIM, and the 2G directories, whose
// EFs are those of the USIM where both have them.
func newFiles(p Profile) (mf, usim *file) {
	mf = &file{id: 0x3F00, read: always, update: needADM}
	usim = &file{id: fidADF, kind: application, aid: p.AID, label: p.Label, read: always, update: needADM}
	mf.add(usim)
	mf.records(0x2F00, 0x1E, always, needADM, dir(p), padded(nil, dirLen))
	mf.binary(0x2F05, 0x05, always, needPIN, padded([]byte("en"), 10))
	mf.records(fidARR, 0x06, always, never, arrRecords()...)
	mf.binary(0x2FE2, 0x02, always, never, padded(bcd(string(p.ICCID)), 10))

	identity(usim, p)
	networks(usim, p)
	location(usim)
	messages(usim, p)
	evolved(usim)
	telecom(mf, usim)
	gsmDirectory(mf, usim)
	return mf, usim
}

// Sizes of records, bytes.
const (
	dirLen    = 38
	msisdnLen = 30
	smspLen   = 40
	smsLen    = 176
	adnLen    = 30
)

func (f *file) binary(id uint16, sfi byte, read, update access, data []byte) *file {
	return f.add(&file{id: id, kind: transparent, sfi: sfi, read: read, update: update, body: &content{data: data}})
}

func (f *file) records(id uint16, sfi byte, read, update access, records ...[]byte) *file {
	return f.add(&file{id: id, kind: linear, sfi: sfi, read: read, update: update, body: &content{records: records}})
}

func (f *file) directory(id uint16) *file {
	return f.add(&file{id: id, read: always, update: needADM})
}

// blank are n empty records.
func blank(n, length int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = padded(nil, length)
	}
	return out
}

// dir is the record of EF.DIR (ETSI TS 102 221 §13.1).
func dir(p Profile) []byte {
	return padded(tlv(0x61, join(tlv(0x4F, p.AID...), tlv(0x50, []byte(p.Label)...))...), dirLen)
}

// identity are who the subscriber is and what the card can do (3GPP TS 31.102 §4.2).
func identity(d *file, p Profile) {
	d.binary(0x6F05, 0x02, always, needPIN, padded([]byte("en"), 4))                      // LI
	d.records(fidARRUSIM, 0x17, always, never, arrRecords()...)                           // ARR
	d.binary(0x6F07, 0x07, needPIN, needADM, p.imsi())                                    // IMSI
	d.binary(0x6F08, 0x08, needPIN, needPIN, noKeys(33))                                  // Keys
	d.binary(0x6F09, 0x09, needPIN, needPIN, noKeys(33))                                  // KeysPS
	d.binary(0x6F38, 0x04, needPIN, needADM, serviceTable())                              // UST
	d.binary(0x6F3E, 0, needPIN, needADM, padded(p.GID1, 4))                              // GID1
	d.binary(0x6F3F, 0, needPIN, needADM, padded(p.GID2, 4))                              // GID2
	d.binary(0x6F46, 0, always, needADM, append([]byte{1}, padded([]byte(p.SPN), 16)...)) // SPN
	d.binary(0x6F56, 0x05, needPIN, needPIN2, []byte{0})                                  // EST
	d.binary(0x6F5B, 0x0F, needPIN, needPIN, []byte{0xF0, 0, 0, 0xF0, 0, 0})              // START-HFN
	d.binary(0x6F5C, 0x10, needPIN, needADM, []byte{0xF0, 0, 0})                          // THRESHOLD
	d.binary(0x6F78, 0x06, needPIN, needADM, accessClass(p.IMSI))                         // ACC
	d.binary(0x6FAD, 0x03, always, needADM, []byte{0, 0, 0, byte(p.MNCLength)})           // AD
	d.binary(0x6FC4, 0, needPIN, needPIN, padded(nil, 128))                               // NETPAR
	// 112 and 911, for all emergency services
	d.records(0x6FB7, 0x01, always, needADM, []byte{0x11, 0xF2, 0xFF, 0}, []byte{0x19, 0xF1, 0xFF, 0})
}

// noKeys are cipher keys that do not exist: KSI 7, and FF.
func noKeys(n int) []byte { return padded([]byte{0x07}, n) }

// accessClass is 0 to 9 by the last digit of the IMSI (3GPP TS 22.011 §4.2).
func accessClass(imsi string) []byte {
	n := uint16(1) << (imsi[len(imsi)-1] - '0')
	return []byte{byte(n >> 8), byte(n)}
}

// serviceTable is EF.UST (3GPP TS 31.102 §4.2.8): the services whose files or functions
// are here.
func serviceTable() []byte {
	out := make([]byte, 17)
	for _, n := range []int{
		10, 12, 17, 18, 19, 20, 21, // SMS, SMSP, GID1, GID2, SPN, PLMNwAcT, MSISDN
		27, 28, 33, 38, // GSM access, SMS-PP data download, (shall be 1), GSM security context
		42, 43, // OPLMNwAcT, HPLMNwAcT
		85, 122, 123, // EPS mobility management, 5GS mobility management, 5G security parameters
	} {
		out[(n-1)/8] |= 1 << ((n - 1) % 8)
	}
	return out
}

// networks are the lists that steer the choice of a network.
func networks(d *file, p Profile) {
	home := append(p.plmn(), 0xC8, 0x80)                                     // E-UTRAN, NG-RAN, UTRAN; GSM
	d.binary(0x6F31, 0x12, needPIN, needADM, []byte{0x05})                   // HPPLMN, x 6 minutes
	d.binary(0x6F60, 0x0A, needPIN, needPIN, emptyPLMNs(8))                  // PLMNwAcT
	d.binary(0x6F61, 0x11, needPIN, needADM, join(home, emptyPLMNs(7)))      // OPLMNwACT
	d.binary(0x6F62, 0x13, needPIN, needADM, join(home, emptyPLMNs(1)))      // HPLMNwAcT
	d.binary(0x6F7B, 0x0D, needPIN, needPIN, bytes.Repeat([]byte{0xFF}, 12)) // FPLMN
}

func emptyPLMNs(n int) []byte { return bytes.Repeat([]byte{0xFF, 0xFF, 0xFF, 0, 0}, n) }

// location is where the phone was last: nowhere.
func location(d *file) {
	lai := []byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFE}                                                     // no PLMN, LAC FFFE
	noTMSI := padded(nil, 4)                                                                        //
	d.binary(0x6F7E, 0x0B, needPIN, needPIN, join(noTMSI, lai, []byte{0x00, 0x01}))                 // LOCI: not updated
	d.binary(0x6F73, 0x0C, needPIN, needPIN, join(noTMSI, padded(nil, 3), lai, []byte{0xFF, 0x01})) // PSLOCI
}

// messages are short messages and numbers.
func messages(d *file, p Profile) {
	sms := blank(10, smsLen)
	for _, r := range sms {
		r[0] = 0 // free
	}
	d.records(0x6F3C, 0, needPIN, needPIN, sms...)                                     // SMS
	d.records(0x6F40, 0, needPIN, needPIN, phonebook("", p.MSISDN), phonebook("", "")) // MSISDN
	smsp := padded(nil, smspLen)
	smsp[smspLen-28] = 0xFD // only the service centre's address is there
	copy(smsp[smspLen-15:], number(p.SMSC, 12))
	d.records(0x6F42, 0, needPIN, needPIN, smsp, padded(nil, smspLen)) // SMSP
	d.binary(0x6F43, 0, needPIN, needPIN, []byte{0xFF, 0xFF})          // SMSS
}

// phonebook is a record of EF.ADN and EF.MSISDN (3GPP TS 31.102 §4.4.2.3): name,
// number, capability and extension.
func phonebook(name, digits string) []byte {
	return join(padded([]byte(name), adnLen-14), number(digits, 12), []byte{0xFF, 0xFF})
}

// evolved are the files of 4G and 5G (3GPP TS 31.102 §4.2.91, §4.2.92, §4.4.11).
func evolved(d *file) {
	gone := []byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0x01}                           // no TAI, not updated
	d.binary(0x6FE3, 0x1E, needPIN, needPIN, join(padded(nil, 12), gone))        // EPSLOCI
	d.records(0x6FE4, 0x18, needPIN, needPIN, padded(nil, 80))                   // EPSNSC
	fiveG := d.directory(0x5FC0)                                                 //
	gone = []byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0x01}                      // with a TAC of 3 bytes
	fiveG.binary(0x4F01, 0x01, needPIN, needPIN, join(padded(nil, 13), gone))    // 5GS3GPPLOCI
	fiveG.binary(0x4F02, 0x02, needPIN, needPIN, join(padded(nil, 13), gone))    // 5GSN3GPPLOCI
	fiveG.records(0x4F03, 0x03, needPIN, needPIN, padded(nil, 62))               // 5GS3GPPNSC
	fiveG.records(0x4F04, 0x04, needPIN, needPIN, padded(nil, 62))               // 5GSN3GPPNSC
	fiveG.binary(0x4F05, 0x05, needPIN, needPIN, padded(nil, 110))               // 5GAUTHKEYS
	fiveG.binary(0x4F06, 0x06, needPIN, needADM, []byte{0, 0, 0, 0})             // UAC_AIC
	fiveG.binary(0x4F0A, 0x0A, needPIN, needADM, []byte{0xF0, 0xFF, 0xFF, 0xFF}) // Routing_Indicator 0
}

// telecom is DF TELECOM (3GPP TS 31.102 §4.6, 3GPP TS 51.011 §10.5).
func telecom(mf, usim *file) {
	d := mf.directory(0x7F10)
	d.records(0x6F3A, 0, needPIN, needPIN, blank(10, adnLen)...) // ADN
	for _, id := range []uint16{0x6F3C, 0x6F40, 0x6F42, 0x6F43} {
		d.link(id, usim.child(id))
	}
	d.add(&file{id: 0x6F44, kind: cyclic, read: needPIN, update: needPIN, body: &content{records: blank(5, adnLen)}}) // LND
}

// gsmDirectory is DF GSM (3GPP TS 51.011 §10.3).
func gsmDirectory(mf, usim *file) {
	d := mf.directory(fidDFGSM)
	for _, id := range []uint16{0x6F07, 0x6F31, 0x6F3E, 0x6F3F, 0x6F46, 0x6F60, 0x6F61, 0x6F62, 0x6F78, 0x6F7B, 0x6F7E, 0x6FAD} {
		d.link(id, usim.child(id))
	}
	d.binary(0x6F05, 0, always, needPIN, []byte{0x01})                                            // LP: English
	d.binary(0x6F20, 0, needPIN, needPIN, append(padded(nil, 8), 0x07))                           // Kc
	d.binary(0x6F30, 0, needPIN, needPIN, bytes.Repeat([]byte{0xFF}, 24))                         // PLMNsel
	d.binary(0x6F38, 0, needPIN, needADM, []byte{0xCF, 0x30, 0xC3, 0xF3, 0x03, 0x00, 0x0C, 0x03}) // SST
	d.binary(0x6F74, 0, needPIN, needPIN, padded(nil, 16))                                        // BCCH
	d.binary(0x6FAE, 0, always, needADM, []byte{0x03})                                            // Phase 2+
}
