package rspro

// How each message is written and read: the fields in the order of the ASN.1.

func (m *ConnectBankReq) appendBody(dst []byte) []byte {
	dst = m.Identity.append(dst)
	dst = appendInteger(dst, tagInteger, m.BankID)
	return appendInteger(dst, tagInteger, m.NumberOfSlots)
}

func (m *ConnectBankReq) decodeBody(c *cursor) (err *DecodeError) {
	if err = m.Identity.decode(c); err != nil {
		return err
	}
	if m.BankID, err = c.integer(tagInteger, "bankId"); err != nil {
		return err
	}
	m.NumberOfSlots, err = c.integer(tagInteger, "numberOfSlots")
	return err
}

func (m *ConnectBankRes) appendBody(dst []byte) []byte {
	return m.Result.append(m.Identity.append(dst))
}

func (m *ConnectBankRes) decodeBody(c *cursor) *DecodeError {
	if err := m.Identity.decode(c); err != nil {
		return err
	}
	return m.Result.decode(c)
}

func (m *ConnectClientReq) appendBody(dst []byte) []byte {
	dst = m.Identity.append(dst)
	if m.ClientSlot != nil {
		dst = m.ClientSlot.append(dst, tagSequence)
	}
	return dst
}

func (m *ConnectClientReq) decodeBody(c *cursor) *DecodeError {
	if err := m.Identity.decode(c); err != nil {
		return err
	}
	here, err := c.has(tagSequence)
	if err != nil || !here {
		return err
	}
	m.ClientSlot = new(ClientSlot)
	return m.ClientSlot.decode(c, tagSequence, "clientSlot")
}

func (m *ConnectClientRes) appendBody(dst []byte) []byte {
	return m.Result.append(m.Identity.append(dst))
}

func (m *ConnectClientRes) decodeBody(c *cursor) *DecodeError {
	if err := m.Identity.decode(c); err != nil {
		return err
	}
	return m.Result.decode(c)
}

func appendMapping(dst []byte, client ClientSlot, bank BankSlot) []byte {
	return bank.append(client.append(dst, tagSequence), tagSequence)
}

func decodeMapping(c *cursor, client *ClientSlot, bank *BankSlot) *DecodeError {
	if err := client.decode(c, tagSequence, "client"); err != nil {
		return err
	}
	return bank.decode(c, tagSequence, "bank")
}

func (m *CreateMappingReq) appendBody(dst []byte) []byte { return appendMapping(dst, m.Client, m.Bank) }

func (m *CreateMappingReq) decodeBody(c *cursor) *DecodeError {
	return decodeMapping(c, &m.Client, &m.Bank)
}

func (m *RemoveMappingReq) appendBody(dst []byte) []byte { return appendMapping(dst, m.Client, m.Bank) }

func (m *RemoveMappingReq) decodeBody(c *cursor) *DecodeError {
	return decodeMapping(c, &m.Client, &m.Bank)
}

func (m *CreateMappingRes) appendBody(dst []byte) []byte      { return m.Result.append(dst) }
func (m *CreateMappingRes) decodeBody(c *cursor) *DecodeError { return m.Result.decode(c) }

func (m *RemoveMappingRes) appendBody(dst []byte) []byte      { return m.Result.append(dst) }
func (m *RemoveMappingRes) decodeBody(c *cursor) *DecodeError { return m.Result.decode(c) }

func (m *ConfigClientIDReq) appendBody(dst []byte) []byte {
	return m.ClientSlot.append(dst, tagSequence)
}

func (m *ConfigClientIDReq) decodeBody(c *cursor) *DecodeError {
	return m.ClientSlot.decode(c, tagSequence, "clientSlot")
}

func (m *ConfigClientIDRes) appendBody(dst []byte) []byte      { return m.Result.append(dst) }
func (m *ConfigClientIDRes) decodeBody(c *cursor) *DecodeError { return m.Result.decode(c) }

func (m *ConfigClientBankReq) appendBody(dst []byte) []byte {
	return m.Bankd.append(m.BankSlot.append(dst, tagSequence))
}

func (m *ConfigClientBankReq) decodeBody(c *cursor) *DecodeError {
	if err := m.BankSlot.decode(c, tagSequence, "bankSlot"); err != nil {
		return err
	}
	return m.Bankd.decode(c)
}

func (m *ConfigClientBankRes) appendBody(dst []byte) []byte      { return m.Result.append(dst) }
func (m *ConfigClientBankRes) decodeBody(c *cursor) *DecodeError { return m.Result.decode(c) }

func (m *SetATRReq) appendBody(dst []byte) []byte {
	return appendOctets(m.Slot.append(dst, tagSequence), tagOctets, m.ATR)
}

func (m *SetATRReq) decodeBody(c *cursor) (err *DecodeError) {
	if err = m.Slot.decode(c, tagSequence, "slot"); err != nil {
		return err
	}
	m.ATR, err = c.octets(tagOctets, tagOctets, "atr")
	return err
}

func (m *SetATRRes) appendBody(dst []byte) []byte      { return m.Result.append(dst) }
func (m *SetATRRes) decodeBody(c *cursor) *DecodeError { return m.Result.decode(c) }

func (m *TpduModemToCard) appendBody(dst []byte) []byte {
	dst = m.FromClientSlot.append(dst, tagSequence)
	dst = m.ToBankSlot.append(dst, tagSequence)
	return appendOctets(m.Flags.append(dst), tagOctets, m.Data)
}

func (m *TpduModemToCard) decodeBody(c *cursor) (err *DecodeError) {
	if err = m.FromClientSlot.decode(c, tagSequence, "fromClientSlot"); err != nil {
		return err
	}
	if err = m.ToBankSlot.decode(c, tagSequence, "toBankSlot"); err != nil {
		return err
	}
	if err = m.Flags.decode(c); err != nil {
		return err
	}
	m.Data, err = c.octets(tagOctets, tagOctets, "data")
	return err
}

func (m *TpduCardToModem) appendBody(dst []byte) []byte {
	dst = m.FromBankSlot.append(dst, tagSequence)
	dst = m.ToClientSlot.append(dst, tagSequence)
	return appendOctets(m.Flags.append(dst), tagOctets, m.Data)
}

func (m *TpduCardToModem) decodeBody(c *cursor) (err *DecodeError) {
	if err = m.FromBankSlot.decode(c, tagSequence, "fromBankSlot"); err != nil {
		return err
	}
	if err = m.ToClientSlot.decode(c, tagSequence, "toClientSlot"); err != nil {
		return err
	}
	if err = m.Flags.decode(c); err != nil {
		return err
	}
	m.Data, err = c.octets(tagOctets, tagOctets, "data")
	return err
}

func (m *ClientSlotStatusInd) appendBody(dst []byte) []byte {
	dst = m.FromClientSlot.append(dst, tagSequence)
	dst = m.ToBankSlot.append(dst, tagSequence)
	return m.SlotPhysStatus.append(dst)
}

func (m *ClientSlotStatusInd) decodeBody(c *cursor) *DecodeError {
	if err := m.FromClientSlot.decode(c, tagSequence, "fromClientSlot"); err != nil {
		return err
	}
	if err := m.ToBankSlot.decode(c, tagSequence, "toBankSlot"); err != nil {
		return err
	}
	return m.SlotPhysStatus.decode(c)
}

func (m *BankSlotStatusInd) appendBody(dst []byte) []byte {
	dst = m.FromBankSlot.append(dst, tagSequence)
	dst = m.ToClientSlot.append(dst, tagSequence)
	return m.SlotPhysStatus.append(dst)
}

func (m *BankSlotStatusInd) decodeBody(c *cursor) *DecodeError {
	if err := m.FromBankSlot.decode(c, tagSequence, "fromBankSlot"); err != nil {
		return err
	}
	if err := m.ToClientSlot.decode(c, tagSequence, "toClientSlot"); err != nil {
		return err
	}
	return m.SlotPhysStatus.decode(c)
}

func (m *ErrorInd) appendBody(dst []byte) []byte {
	dst = appendInteger(dst, tagEnumerated, int64(m.Sender))
	dst = appendInteger(dst, tagEnumerated, int64(m.Severity))
	dst = appendInteger(dst, tagEnumerated, int64(m.Code))
	if m.BankSlot != nil {
		dst = m.BankSlot.append(dst, context(0))
	}
	if m.ClientSlot != nil {
		dst = m.ClientSlot.append(dst, context(1))
	}
	return appendOptional(dst, context(2), m.ErrorString)
}

func (m *ErrorInd) decodeBody(c *cursor) *DecodeError {
	sender, err := c.integer(tagEnumerated, "sender")
	if err != nil {
		return err
	}
	severity, err := c.integer(tagEnumerated, "severity")
	if err != nil {
		return err
	}
	code, err := c.integer(tagEnumerated, "code")
	if err != nil {
		return err
	}
	m.Sender, m.Severity, m.Code = ComponentType(sender), ErrorSeverity(severity), ErrorCode(code)
	return m.decodeOptional(c)
}

func (m *ErrorInd) decodeOptional(c *cursor) *DecodeError {
	here, err := c.has(context(0))
	if err != nil {
		return err
	}
	if here {
		m.BankSlot = new(BankSlot)
		if err = m.BankSlot.decode(c, context(0), "bankSlot"); err != nil {
			return err
		}
	}
	if here, err = c.has(context(1)); err != nil {
		return err
	}
	if here {
		m.ClientSlot = new(ClientSlot)
		if err = m.ClientSlot.decode(c, context(1), "clientSlot"); err != nil {
			return err
		}
	}
	m.ErrorString, err = c.optionalText(context(2), "errorString")
	return err
}

func (m *ResetStateReq) appendBody(dst []byte) []byte    { return dst }
func (m *ResetStateReq) decodeBody(*cursor) *DecodeError { return nil }

func (m *ResetStateRes) appendBody(dst []byte) []byte      { return m.Result.append(dst) }
func (m *ResetStateRes) decodeBody(c *cursor) *DecodeError { return m.Result.decode(c) }
