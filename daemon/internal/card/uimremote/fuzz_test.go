package uimremote

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// seeds are frames as the front and a modem send them.
func seeds() [][]byte {
	svc := func(flags byte, id uint16, tlvs []byte) []byte {
		return message{sender: 0x80, service: serviceUIMRemote, client: 7, flags: flags, txn: 0x1234, id: id, tlvs: tlvs}.appendTo(nil)
	}
	ctl := func(flags byte, id uint16, tlvs []byte) []byte {
		return message{sender: 0x80, flags: flags, txn: 9, id: id, tlvs: tlvs}.appendTo(nil)
	}
	ok := appendTLV(nil, tlvResult, 0, 0, 0, 0)
	return [][]byte{
		svc(0, msgEvent, eventTLVs(evReset, 1, []byte{0x3B, 0x00}, 0)),
		svc(0, msgEvent, eventTLVs(evError, 1, nil, causeTimeout)),
		svc(0, msgAPDU, answerTLVs(1, 5, 2, 0, []byte{0x90, 0x00})),
		svc(0, msgAPDU, failureTLVs(1, 5)),
		svc(4, msgAPDU, appendTLV(appendTLV(appendTLV(nil, 1, 1, 0, 0, 0), 2, 5, 0, 0, 0), 3, 5, 0, 0, 0xA4, 0, 0xC, 0)),
		svc(4, msgConnect, appendTLV(nil, 1, 1, 0, 0, 0)),
		svc(2, msgEvent, appendTLV(nil, tlvResult, 1, 0, 94, 0)),
		svc(4, msgAPDU, appendTLV(nil, 1, 1)),
		ctl(1, ctlVersions, appendTLV(ok, 1, 2, 0, 1, 0, 5, 0, 0x32, 1, 0, 9, 0)),
		ctl(1, ctlAllocate, appendTLV(ok, 1, 0x32, 3)),
		ctl(0, ctlProxyOpen, appendTLV(nil, 1, []byte("/dev/cdc-wdm0")...)),
		{1, 4, 0, 0, 0}, {1, 5, 0, 0, 0, 0}, {}, {1},
	}
}

// FuzzQMUX holds the promises of the decoder: no input makes it panic, what it accepts
// is written back byte for byte, and what is read out of it stays inside it.
func FuzzQMUX(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseQMUX(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.Equal(t, b, m.appendTo(nil))
		_, err = versionsOf(m)
		refusal(t, err)
		_, err = clientOf(m, serviceUIMRemote)
		refusal(t, err)
		_, err = slotOf(m)
		refusal(t, err)
		if err := m.result(); err != nil && !errors.As(err, new(QMIError)) {
			refusal(t, err)
		}
		_, command, err := commandOf(m)
		refusal(t, err)
		var s session
		if tpdu, ok := s.shape(command); ok {
			require.GreaterOrEqual(t, len(tpdu), card.MinTPDU)
			require.LessOrEqual(t, len(tpdu), card.MaxTPDU)
		}
		_ = m.kind()
	})
}

func refusal(t *testing.T, err error) {
	if err != nil {
		require.ErrorIs(t, err, ErrMalformed)
	}
}

// FuzzMBIM holds the same promises for MBIM.
func FuzzMBIM(f *testing.F) {
	for _, m := range []mbimMessage{
		{typ: mbimOpen, txn: 1, code: mbimTransfer},
		{typ: mbimOpenDone, txn: 1},
		{typ: mbimClose, txn: 2},
		{typ: mbimFunction, txn: 2, code: 5},
		{typ: mbimCommand, txn: 3, service: uuidProxyControl, cid: cidProxyConfig, code: mbimSet, info: proxyConfig("/dev/cdc-wdm0", 10)},
		{typ: mbimCommand, txn: 3, service: uuidBasicConnect, cid: cidSubscribeList, code: mbimSet, info: subscribeQMI()},
		{typ: mbimDone, txn: 4, service: uuidQMI, cid: cidQMI, info: seeds()[0]},
		{typ: mbimIndication, service: uuidQMI, cid: cidQMI, info: seeds()[4]},
	} {
		f.Add(m.appendTo(nil))
	}
	f.Add([]byte{3, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMBIM(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.Equal(t, b, m.appendTo(nil))
	})
}
