package rspro_test

import (
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

type object = map[string]any

// enumName writes an enumeration as the vectors do: by name, or as a number.
func enumName(s interface{ String() string }, v int64) any {
	if name := s.String(); !strings.ContainsAny(name, " ") {
		return name
	}
	return float64(v)
}

func cslot(s rspro.ClientSlot) object {
	return object{"clientId": float64(s.ClientID), "slotNr": float64(s.SlotNr)}
}

func bslot(s rspro.BankSlot) object {
	return object{"bankId": float64(s.BankID), "slotNr": float64(s.SlotNr)}
}

func identity(i rspro.ComponentIdentity) object {
	o := object{"type": enumName(i.Type, int64(i.Type)), "name": i.Name, "software": i.Software, "swVersion": i.SWVersion}
	for name, v := range map[string]*string{"hwManufacturer": i.HWManufacturer, "hwModel": i.HWModel,
		"hwSerialNr": i.HWSerialNr, "hwVersion": i.HWVersion, "fwVersion": i.FWVersion} {
		if v != nil {
			o[name] = *v
		}
	}
	return o
}

func flags(f rspro.Flags) object {
	return object{"tpduHeaderPresent": f.TPDUHeaderPresent, "finalPart": f.FinalPart,
		"procByteContinueTx": f.ProcByteContinueTx, "procByteContinueRx": f.ProcByteContinueRx}
}

func phys(s rspro.SlotPhysStatus) object {
	o := object{"resetActive": s.ResetActive}
	for name, v := range map[string]rspro.Maybe{"vccPresent": s.VCCPresent, "clkActive": s.CLKActive, "cardPresent": s.CardPresent} {
		if v != rspro.Absent {
			o[name] = v == rspro.True
		}
	}
	return o
}

func result(r rspro.ResultCode) object { return object{"result": enumName(r, int64(r))} }

// msgMap writes a message as the `msg` of the vectors.
func msgMap(t *testing.T, msg rspro.Message) object {
	t.Helper()
	switch m := msg.(type) {
	case *rspro.ConnectBankReq:
		return object{"identity": identity(m.Identity), "bankId": float64(m.BankID), "numberOfSlots": float64(m.NumberOfSlots)}
	case *rspro.ConnectBankRes:
		return object{"identity": identity(m.Identity), "result": result(m.Result)["result"]}
	case *rspro.ConnectClientReq:
		o := object{"identity": identity(m.Identity)}
		if m.ClientSlot != nil {
			o["clientSlot"] = cslot(*m.ClientSlot)
		}
		return o
	case *rspro.ConnectClientRes:
		return object{"identity": identity(m.Identity), "result": result(m.Result)["result"]}
	case *rspro.CreateMappingReq:
		return object{"client": cslot(m.Client), "bank": bslot(m.Bank)}
	case *rspro.RemoveMappingReq:
		return object{"client": cslot(m.Client), "bank": bslot(m.Bank)}
	case *rspro.CreateMappingRes:
		return result(m.Result)
	case *rspro.RemoveMappingRes:
		return result(m.Result)
	case *rspro.ConfigClientIDReq:
		return object{"clientSlot": cslot(m.ClientSlot)}
	case *rspro.ConfigClientIDRes:
		return result(m.Result)
	case *rspro.ConfigClientBankReq:
		kind := "ipv4"
		if m.Bankd.IP.V6 {
			kind = "ipv6"
		}
		return object{"bankSlot": bslot(m.BankSlot), "bankd": object{"ip": object{kind: hex.EncodeToString(m.Bankd.IP.Bytes)}, "port": float64(m.Bankd.Port)}}
	case *rspro.ConfigClientBankRes:
		return result(m.Result)
	case *rspro.SetATRReq:
		return object{"slot": cslot(m.Slot), "atr": hex.EncodeToString(m.ATR)}
	case *rspro.SetATRRes:
		return result(m.Result)
	case *rspro.TpduModemToCard:
		return object{"fromClientSlot": cslot(m.FromClientSlot), "toBankSlot": bslot(m.ToBankSlot), "flags": flags(m.Flags), "data": hex.EncodeToString(m.Data)}
	case *rspro.TpduCardToModem:
		return object{"fromBankSlot": bslot(m.FromBankSlot), "toClientSlot": cslot(m.ToClientSlot), "flags": flags(m.Flags), "data": hex.EncodeToString(m.Data)}
	case *rspro.ClientSlotStatusInd:
		return object{"fromClientSlot": cslot(m.FromClientSlot), "toBankSlot": bslot(m.ToBankSlot), "slotPhysStatus": phys(m.SlotPhysStatus)}
	case *rspro.BankSlotStatusInd:
		return object{"fromBankSlot": bslot(m.FromBankSlot), "toClientSlot": cslot(m.ToClientSlot), "slotPhysStatus": phys(m.SlotPhysStatus)}
	case *rspro.ErrorInd:
		o := object{"sender": enumName(m.Sender, int64(m.Sender)), "severity": enumName(m.Severity, int64(m.Severity)), "code": enumName(m.Code, int64(m.Code))}
		if m.BankSlot != nil {
			o["bankSlot"] = bslot(*m.BankSlot)
		}
		if m.ClientSlot != nil {
			o["clientSlot"] = cslot(*m.ClientSlot)
		}
		if m.ErrorString != nil {
			o["errorString"] = *m.ErrorString
		}
		return o
	case *rspro.ResetStateReq:
		return object{}
	case *rspro.ResetStateRes:
		return result(m.Result)
	}
	require.Fail(t, "no such message", "%T", msg)
	return nil
}

func pduMap(t *testing.T, p *rspro.PDU) object {
	t.Helper()
	return object{"version": float64(p.Version), "tag": float64(p.Tag), "msg": object{p.Msg.Name(): msgMap(t, p.Msg)}}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err, strconv.Quote(s))
	return b
}
