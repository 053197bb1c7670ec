// Package rspro is the wire codec of the Osmocom Remote SIM Protocol: IPA frames
// and their control messages (ipa.go), and the 21 RSPRO messages in BER. It
// accepts what osmo-remsim's own decoder (asn1c 0.9.28) accepts and writes DER
// byte for byte as its encoder does. It owns no socket, no clock and no
// goroutine, and knows nothing of what the messages mean.
//
// Decoding aliases its input: octet strings point into it. Numbers keep their
// full width, because the protocol's own decoder checks no constraint; whoever
// uses a number checks its range.
package rspro

import "fmt"

// Version is what every program of osmo-remsim sends as RsproPDU.version.
const Version = 2

// ComponentType says what kind of program a ComponentIdentity belongs to.
type ComponentType int64

// The component types.
const (
	RemsimClient ComponentType = 0
	RemsimServer ComponentType = 1
	RemsimBankd  ComponentType = 2
)

// String returns the ASN.1 name.
func (c ComponentType) String() string {
	switch c {
	case RemsimClient:
		return "remsimClient"
	case RemsimServer:
		return "remsimServer"
	case RemsimBankd:
		return "remsimBankd"
	}
	return fmt.Sprintf("component type %d", int64(c))
}

// ResultCode is the outcome of a request.
type ResultCode int64

// The results that RSPRO defines.
const (
	ResultOK                         ResultCode = 0
	ResultIllegalClientID            ResultCode = 1
	ResultIllegalBankID              ResultCode = 2
	ResultIllegalSlotID              ResultCode = 3
	ResultUnsupportedProtocolVersion ResultCode = 4
	ResultUnknownSlotmap             ResultCode = 5
	ResultIdentityInUse              ResultCode = 6
	ResultCardNotPresent             ResultCode = 100
	ResultCardUnresponsive           ResultCode = 101
	ResultCardTransmissionError      ResultCode = 102
)

// String returns the ASN.1 name, or the number of a result unknown to us.
func (r ResultCode) String() string {
	switch r {
	case ResultOK:
		return "ok"
	case ResultIllegalClientID:
		return "illegalClientId"
	case ResultIllegalBankID:
		return "illegalBankId"
	case ResultIllegalSlotID:
		return "illegalSlotId"
	case ResultUnsupportedProtocolVersion:
		return "unsupportedProtocolVersion"
	case ResultUnknownSlotmap:
		return "unknownSlotmap"
	case ResultIdentityInUse:
		return "identityInUse"
	case ResultCardNotPresent:
		return "cardNotPresent"
	case ResultCardUnresponsive:
		return "cardUnresponsive"
	case ResultCardTransmissionError:
		return "cardTransmissionError"
	}
	return fmt.Sprintf("result %d", int64(r))
}

// ErrorCode is what an ErrorInd reports.
type ErrorCode int64

// The error codes.
const (
	UnknownClientConnected    ErrorCode = 1
	UnexpectedDisconnect      ErrorCode = 2
	UnexpectedProtocolVersion ErrorCode = 3
)

// String returns the ASN.1 name, or the number of a code unknown to us.
func (e ErrorCode) String() string {
	switch e {
	case UnknownClientConnected:
		return "unknownClientConnected"
	case UnexpectedDisconnect:
		return "unexpectedDisconnect"
	case UnexpectedProtocolVersion:
		return "unexpectedProtocolVersion"
	}
	return fmt.Sprintf("error code %d", int64(e))
}

// ErrorSeverity is how bad an ErrorInd is.
type ErrorSeverity int64

// The severities.
const (
	SeverityMinor ErrorSeverity = 1
	SeverityMajor ErrorSeverity = 2
	SeverityFatal ErrorSeverity = 3
)

// String returns the ASN.1 name, or the number of a severity unknown to us.
func (s ErrorSeverity) String() string {
	switch s {
	case SeverityMinor:
		return "minor"
	case SeverityMajor:
		return "major"
	case SeverityFatal:
		return "fatal"
	}
	return fmt.Sprintf("severity %d", int64(s))
}

// ClientSlot names a slot on the modem's side; both numbers are 0..1023 by the
// ASN.1, which nobody on the wire enforces.
type ClientSlot struct {
	ClientID int64
	SlotNr   int64
}

// String writes the slot as C<id>:<slot>.
func (s ClientSlot) String() string { return fmt.Sprintf("C%d:%d", s.ClientID, s.SlotNr) }

// BankSlot names a slot of a bank.
type BankSlot struct {
	BankID int64
	SlotNr int64
}

// String writes the slot as B<id>:<slot>.
func (s BankSlot) String() string { return fmt.Sprintf("B%d:%d", s.BankID, s.SlotNr) }

// ComponentIdentity is how a program introduces itself. The optional fields are
// nil when absent; osmo-remsim never sends them.
type ComponentIdentity struct {
	Type           ComponentType
	Name           string // host name
	Software       string
	SWVersion      string
	HWManufacturer *string
	HWModel        *string
	HWSerialNr     *string
	HWVersion      *string
	FWVersion      *string
}

// IPAddress is the CHOICE of an IPv4 and an IPv6 address. Bytes may have any
// length on the wire.
type IPAddress struct {
	V6    bool
	Bytes []byte
}

// IPPort is where a bank listens.
type IPPort struct {
	IP   IPAddress
	Port int64
}

// Flags go with every TPDU. All are false in both directions in every program
// known, and ignored on receipt.
type Flags struct {
	TPDUHeaderPresent  bool
	FinalPart          bool
	ProcByteContinueTx bool
	ProcByteContinueRx bool
}

// Maybe is an optional BOOLEAN.
type Maybe uint8

// The values of an optional BOOLEAN.
const (
	Absent Maybe = iota
	False
	True
)

// MaybeOf makes a present optional BOOLEAN.
func MaybeOf(v bool) Maybe {
	if v {
		return True
	}
	return False
}

// SlotPhysStatus is the state of a slot's contacts.
type SlotPhysStatus struct {
	ResetActive bool
	VCCPresent  Maybe
	CLKActive   Maybe
	CardPresent Maybe
}

// PDU is one RSPRO message with its envelope. osmo-remsim neither checks
// Version nor echoes Tag: match nothing by them.
type PDU struct {
	Version int64
	Tag     int64
	Msg     Message
}

// Message is one of the 21 messages, or *Unknown.
type Message interface {
	// Name returns the ASN.1 name of the message.
	Name() string
	// number is the tag of the message in RsproPDUchoice.
	number() byte
	appendBody(dst []byte) []byte
	decodeBody(c *cursor) *DecodeError
}

// Unknown is a message that a newer peer sent; it is skipped, and cannot be
// written.
type Unknown struct {
	Class  byte // 0 universal, 1 application, 2 context, 3 private
	Number uint32
}

// Name says which alternative it is.
func (m *Unknown) Name() string { return fmt.Sprintf("unknown message [%d]", m.Number) }

func (m *Unknown) number() byte                    { return 0xff }
func (m *Unknown) appendBody(dst []byte) []byte    { return dst }
func (m *Unknown) decodeBody(*cursor) *DecodeError { return nil }
