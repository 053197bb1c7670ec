package rspro

// ConnectBankReq (bank to server) registers a bank.
type ConnectBankReq struct {
	Identity      ComponentIdentity
	BankID        int64
	NumberOfSlots int64
}

// ConnectBankRes answers ConnectBankReq.
type ConnectBankRes struct {
	Identity ComponentIdentity
	Result   ResultCode
}

// ConnectClientReq (client to server or bank) registers a client. A real server
// that gets it without ClientSlot dies.
type ConnectClientReq struct {
	Identity   ComponentIdentity
	ClientSlot *ClientSlot
}

// ConnectClientRes answers ConnectClientReq.
type ConnectClientRes struct {
	Identity ComponentIdentity
	Result   ResultCode
}

// CreateMappingReq (server to bank) maps a client slot to a bank slot.
type CreateMappingReq struct {
	Client ClientSlot
	Bank   BankSlot
}

// CreateMappingRes answers CreateMappingReq.
type CreateMappingRes struct{ Result ResultCode }

// RemoveMappingReq (server to bank) removes a mapping.
type RemoveMappingReq struct {
	Client ClientSlot
	Bank   BankSlot
}

// RemoveMappingRes answers RemoveMappingReq.
type RemoveMappingRes struct{ Result ResultCode }

// ConfigClientIDReq (server to client) gives a client another identity.
type ConfigClientIDReq struct{ ClientSlot ClientSlot }

// ConfigClientIDRes answers ConfigClientIDReq.
type ConfigClientIDRes struct{ Result ResultCode }

// ConfigClientBankReq (server to client) assigns a bank slot, and says where
// the bank listens; port 0 withdraws it.
type ConfigClientBankReq struct {
	BankSlot BankSlot
	Bankd    IPPort
}

// ConfigClientBankRes answers ConfigClientBankReq.
type ConfigClientBankRes struct{ Result ResultCode }

// SetATRReq (bank to client) gives the card's answer to reset.
type SetATRReq struct {
	Slot ClientSlot
	ATR  []byte
}

// SetATRRes answers SetATRReq.
type SetATRRes struct{ Result ResultCode }

// TpduModemToCard (client to bank) carries a command.
type TpduModemToCard struct {
	FromClientSlot ClientSlot
	ToBankSlot     BankSlot
	Flags          Flags
	Data           []byte
}

// TpduCardToModem (bank to client) carries the answer to the oldest command.
type TpduCardToModem struct {
	FromBankSlot BankSlot
	ToClientSlot ClientSlot
	Flags        Flags
	Data         []byte
}

// ClientSlotStatusInd (client to bank) tells what the modem does with the
// card's contacts.
type ClientSlotStatusInd struct {
	FromClientSlot ClientSlot
	ToBankSlot     BankSlot
	SlotPhysStatus SlotPhysStatus
}

// BankSlotStatusInd (bank to client) is the other direction.
type BankSlotStatusInd struct {
	FromBankSlot   BankSlot
	ToClientSlot   ClientSlot
	SlotPhysStatus SlotPhysStatus
}

// ErrorInd (anybody to the server) reports an error.
type ErrorInd struct {
	Sender      ComponentType
	Severity    ErrorSeverity
	Code        ErrorCode
	BankSlot    *BankSlot
	ClientSlot  *ClientSlot
	ErrorString *string
}

// ResetStateReq (server to anybody) asks to forget all state.
type ResetStateReq struct{}

// ResetStateRes answers ResetStateReq.
type ResetStateRes struct{ Result ResultCode }

func (m *ConnectBankReq) number() byte      { return 0 }
func (m *ConnectBankRes) number() byte      { return 1 }
func (m *ConnectClientReq) number() byte    { return 2 }
func (m *ConnectClientRes) number() byte    { return 3 }
func (m *CreateMappingReq) number() byte    { return 4 }
func (m *CreateMappingRes) number() byte    { return 5 }
func (m *RemoveMappingReq) number() byte    { return 6 }
func (m *RemoveMappingRes) number() byte    { return 7 }
func (m *ConfigClientIDReq) number() byte   { return 8 }
func (m *ConfigClientIDRes) number() byte   { return 9 }
func (m *SetATRReq) number() byte           { return 10 }
func (m *SetATRRes) number() byte           { return 11 }
func (m *TpduModemToCard) number() byte     { return 12 }
func (m *TpduCardToModem) number() byte     { return 13 }
func (m *ClientSlotStatusInd) number() byte { return 14 }
func (m *BankSlotStatusInd) number() byte   { return 15 }
func (m *ErrorInd) number() byte            { return 16 }
func (m *ConfigClientBankReq) number() byte { return 17 }
func (m *ConfigClientBankRes) number() byte { return 18 }
func (m *ResetStateReq) number() byte       { return 19 }
func (m *ResetStateRes) number() byte       { return 20 }

// Name returns the ASN.1 name of the message.
func (m *ConnectBankReq) Name() string { return "connectBankReq" }

// Name returns the ASN.1 name of the message.
func (m *ConnectBankRes) Name() string { return "connectBankRes" }

// Name returns the ASN.1 name of the message.
func (m *ConnectClientReq) Name() string { return "connectClientReq" }

// Name returns the ASN.1 name of the message.
func (m *ConnectClientRes) Name() string { return "connectClientRes" }

// Name returns the ASN.1 name of the message.
func (m *CreateMappingReq) Name() string { return "createMappingReq" }

// Name returns the ASN.1 name of the message.
func (m *CreateMappingRes) Name() string { return "createMappingRes" }

// Name returns the ASN.1 name of the message.
func (m *RemoveMappingReq) Name() string { return "removeMappingReq" }

// Name returns the ASN.1 name of the message.
func (m *RemoveMappingRes) Name() string { return "removeMappingRes" }

// Name returns the ASN.1 name of the message.
func (m *ConfigClientIDReq) Name() string { return "configClientIdReq" }

// Name returns the ASN.1 name of the message.
func (m *ConfigClientIDRes) Name() string { return "configClientIdRes" }

// Name returns the ASN.1 name of the message.
func (m *SetATRReq) Name() string { return "setAtrReq" }

// Name returns the ASN.1 name of the message.
func (m *SetATRRes) Name() string { return "setAtrRes" }

// Name returns the ASN.1 name of the message.
func (m *TpduModemToCard) Name() string { return "tpduModemToCard" }

// Name returns the ASN.1 name of the message.
func (m *TpduCardToModem) Name() string { return "tpduCardToModem" }

// Name returns the ASN.1 name of the message.
func (m *ClientSlotStatusInd) Name() string { return "clientSlotStatusInd" }

// Name returns the ASN.1 name of the message.
func (m *BankSlotStatusInd) Name() string { return "bankSlotStatusInd" }

// Name returns the ASN.1 name of the message.
func (m *ErrorInd) Name() string { return "errorInd" }

// Name returns the ASN.1 name of the message.
func (m *ConfigClientBankReq) Name() string { return "configClientBankReq" }

// Name returns the ASN.1 name of the message.
func (m *ConfigClientBankRes) Name() string { return "configClientBankRes" }

// Name returns the ASN.1 name of the message.
func (m *ResetStateReq) Name() string { return "resetStateReq" }

// Name returns the ASN.1 name of the message.
func (m *ResetStateRes) Name() string { return "resetStateRes" }
