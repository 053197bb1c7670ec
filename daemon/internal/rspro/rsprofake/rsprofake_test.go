package rsprofake_test

import (
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// chip counts what is done to it.
type chip struct {
	mu    sync.Mutex
	calls []string
}

func (c *chip) did(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, s)
}

func (c *chip) history() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.calls, " ")
}

func (c *chip) Reset(cold bool) []byte {
	if c.did("warm"); cold {
		c.mu.Lock()
		c.calls[len(c.calls)-1] = "cold"
		c.mu.Unlock()
	}
	return []byte{0x3b, 0}
}
func (c *chip) Transmit([]byte) []byte { c.did("tpdu"); return []byte{0x90, 0} }
func (c *chip) PowerOff()              { c.did("off") }

// raw is a client of bytes.
type raw struct {
	t *testing.T
	net.Conn
	r *rspro.Reader
}

func dial(t *testing.T, addr string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &raw{t: t, Conn: c, r: rspro.NewReader(c)}
}

func (c *raw) say(m rspro.Message) {
	c.t.Helper()
	b, err := rspro.AppendFrame(nil, m)
	require.NoError(c.t, err)
	_, err = c.Write(b)
	require.NoError(c.t, err)
}

// hear is the next message, nil at the end of the connection. PING and PONG are
// passed over.
func (c *raw) hear() rspro.Message {
	c.t.Helper()
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(patience)))
	for {
		f, err := c.r.Next()
		if err != nil {
			require.NotErrorIs(c.t, err, os.ErrDeadlineExceeded)
			return nil
		}
		if f.Proto == rspro.ProtoOSMO {
			var p rspro.PDU
			_, err := p.Decode(f.Payload)
			require.NoError(c.t, err)
			return p.Msg
		}
	}
}

var slotC1 = rspro.ClientSlot{ClientID: 1}

func request(s *rspro.ClientSlot) *rspro.ConnectClientReq {
	return &rspro.ConnectClientReq{Identity: rspro.ComponentIdentity{Type: rspro.RemsimClient, Name: "t", Software: "t", SWVersion: "0"}, ClientSlot: s}
}

func (c *raw) register(want rspro.ResultCode) {
	c.t.Helper()
	c.say(request(&slotC1))
	res, ok := c.hear().(*rspro.ConnectClientRes)
	require.True(c.t, ok)
	require.Equal(c.t, want, res.Result)
}

func startBank(t *testing.T, cfg rsprofake.BankConfig) (*rsprofake.Bank, *chip) {
	t.Helper()
	cfg.ID = 1
	b, err := rsprofake.StartBank(cfg)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	c := &chip{}
	b.Insert(0, c)
	return b, c
}

func mapped(t *testing.T) (*rsprofake.Bank, *chip) {
	b, c := startBank(t, rsprofake.BankConfig{Slots: 4})
	b.Map(0, model.ClientSlot{ID: 1})
	return b, c
}

func tpdu(n int) *rspro.TpduModemToCard {
	return &rspro.TpduModemToCard{FromClientSlot: slotC1, ToBankSlot: rspro.BankSlot{BankID: 1}, Data: make([]byte, n)}
}

func TestOneHolderPerCardAndNoDeadPeerDetection(t *testing.T) {
	b, c := mapped(t)
	first := dial(t, b.Addr())
	first.register(rspro.ResultOK)
	require.Equal(t, &rspro.SetATRReq{Slot: slotC1, ATR: []byte{0x3b, 0}}, first.hear())
	second := dial(t, b.Addr())
	second.register(rspro.ResultCardNotPresent)
	require.Contains(t, b.String(), "card, held by connection 1, mapped to C1:0")

	// Only the FIN of the first lets go of the card, which loses its power.
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool { return c.history() == "cold off" }, patience, time.Millisecond)
	require.Eventually(t, func() bool {
		third := dial(t, b.Addr())
		third.say(request(&slotC1))
		res, ok := third.hear().(*rspro.ConnectClientRes)
		_ = third.Close()
		return ok && res.Result == rspro.ResultOK
	}, patience, time.Millisecond)
	require.Equal(t, "power-on power-off", kinds(b)[:len("power-on power-off")])
}

func kinds(b *rsprofake.Bank) string {
	var k []string
	for _, e := range b.Log() {
		k = append(k, e.Kind)
	}
	return strings.Join(k, " ")
}

func TestConnectionsAreLimitedInAll(t *testing.T) {
	b, _ := startBank(t, rsprofake.BankConfig{Slots: 4, MaxConns: 2})
	b.Map(0, model.ClientSlot{ID: 1})
	idle1, _ := dial(t, b.Addr()), dial(t, b.Addr()) // say nothing, for ever
	require.Eventually(t, func() bool { return b.Connections() == 2 }, patience, time.Millisecond)
	third := dial(t, b.Addr()) // the kernel takes it, the bank does not
	third.say(request(&slotC1))
	require.NoError(t, third.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := third.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, idle1.Close())
	require.IsType(t, &rspro.ConnectClientRes{}, third.hear())
}

func TestFramesHaveToComeInOnePiece(t *testing.T) {
	for name, c := range map[string]struct {
		pieces []string
		closes bool
	}{
		"header in two":               {[]string{"\x00\x01", "\xfe\x00"}, true},
		"body in two":                 {[]string{"\x00\x02\xfe\x00", "\x00"}, true},
		"split behind the header":     {[]string{"\x00\x01\xfe", "\x00"}, false},
		"two frames in one":           {[]string{"\x00\x01\xfe\x00\x00\x01\xfe\x00"}, false},
		"a frame of length zero":      {[]string{"\x00\x00\xfe", "\x00\x01\xfe\x00"}, false},
		"an identity nobody asks for": {[]string{"\x00\x03\xfe\x04\x01\x55", "\x00\x01\xfe\x00"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := mapped(t)
			if !c.closes {
				require.True(t, lives(t, b, c.pieces))
				return
			}
			// On a busy machine the pieces may meet in the bank's socket and
			// be read in one: then there is nothing to see, and it is tried
			// again.
			require.Eventually(t, func() bool { return !lives(t, b, c.pieces) }, patience, time.Millisecond)
			require.Eventually(t, func() bool { return len(b.Wrongs()) == 1 }, patience, time.Millisecond)
		})
	}
}

// lives sends the pieces one by one and tells whether the bank answers a PING
// that ends them.
func lives(t *testing.T, b *rsprofake.Bank, pieces []string) bool {
	r := dial(t, b.Addr())
	defer r.Close()
	for i, p := range pieces {
		if i > 0 {
			require.NoError(t, r.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			_, _ = r.Read(make([]byte, 1)) // a pause
		}
		if _, err := io.WriteString(r, p); err != nil {
			return false
		}
	}
	require.NoError(t, r.SetReadDeadline(time.Now().Add(patience)))
	n, err := r.Read(make([]byte, 4))
	return err == nil && n == 4
}

func TestWhatMakesTheBankClose(t *testing.T) {
	for name, m := range map[string]rspro.Message{
		"short TPDU":                 tpdu(4),
		"long TPDU":                  tpdu(261),
		"another slot":               &rspro.TpduModemToCard{FromClientSlot: slotC1, ToBankSlot: rspro.BankSlot{BankID: 1, SlotNr: 1}, Data: make([]byte, 5)},
		"another client":             &rspro.TpduModemToCard{ToBankSlot: rspro.BankSlot{BankID: 1}, Data: make([]byte, 5)},
		"any other message":          &rspro.ResetStateReq{},
		"a second registration":      request(&slotC1),
		"a registration without end": request(nil),
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := mapped(t)
			r := dial(t, b.Addr())
			r.register(rspro.ResultOK)
			r.hear()
			r.say(m)
			for r.hear() != nil {
			}
			require.Len(t, b.Wrongs(), 1)
		})
	}
	b, c := mapped(t)
	r := dial(t, b.Addr())
	r.register(rspro.ResultOK)
	r.hear()
	r.say(tpdu(5))
	require.Equal(t, []byte{0x90, 0}, r.hear().(*rspro.TpduCardToModem).Data)
	b.Remove(0)
	r.say(tpdu(5))
	require.Nil(t, r.hear())
	require.Equal(t, "cold tpdu off", c.history())
	log := b.Log()
	require.True(t, log[1].Sent)
	require.Nil(t, log[2].Answer, "the card never saw it")
}

func status(vcc, rst bool) *rspro.ClientSlotStatusInd {
	return &rspro.ClientSlotStatusInd{FromClientSlot: slotC1, ToBankSlot: rspro.BankSlot{BankID: 1},
		SlotPhysStatus: rspro.SlotPhysStatus{ResetActive: rst, VCCPresent: rspro.MaybeOf(vcc)}}
}

// The edges are those of worker_handle_clientSlotStatusInd; one worker, so that
// its memory is seen.
func TestResetsAreEdgesThatSurviveClients(t *testing.T) {
	b, c := startBank(t, rsprofake.BankConfig{Slots: 4, MaxConns: 1})
	b.Map(0, model.ClientSlot{ID: 1})
	r := dial(t, b.Addr())
	r.register(rspro.ResultOK)
	r.hear()
	for _, m := range []rspro.Message{status(false, false), status(false, false), status(true, true), status(true, true), status(true, false), status(true, true), tpdu(5)} {
		r.say(m)
	}
	r.hear()
	require.Equal(t, "cold cold warm warm tpdu", c.history())
	require.NoError(t, r.Close())
	r = dial(t, b.Addr())
	r.register(rspro.ResultOK)
	r.hear()
	r.say(status(true, true)) // reset was held by the client before: no edge
	r.say(tpdu(5))
	r.hear()
	require.Equal(t, "cold cold warm warm tpdu off cold tpdu", c.history())
}

func TestClientWithoutMapWaitsAndGetsNoATR(t *testing.T) {
	b, c := startBank(t, rsprofake.BankConfig{Slots: 4})
	r := dial(t, b.Addr())
	r.register(rspro.ResultCardNotPresent)
	b.Map(0, model.ClientSlot{ID: 1})
	require.Eventually(t, func() bool { return c.history() == "cold" }, patience, time.Millisecond)
	r.say(tpdu(5))
	require.IsType(t, &rspro.TpduCardToModem{}, r.hear())
	b.Unmap(0)
	require.Nil(t, r.hear())
}

// The results are those of session 12, a scripted server against the real bank.
func TestMappingResultsOfTheBank(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, _ = startBank(t, rsprofake.BankConfig{Slots: 4, ServerAddr: l.Addr().String()})
	c, err := l.Accept()
	require.NoError(t, err)
	s := &raw{t: t, Conn: c, r: rspro.NewReader(c)}
	defer s.Close()
	require.IsType(t, &rspro.ConnectBankReq{}, s.hear())
	s.say(&rspro.ConnectBankRes{Identity: rspro.ComponentIdentity{Type: rspro.RemsimServer}})
	for _, x := range []struct {
		client, bank, slot int64
		create, remove     rspro.ResultCode
	}{
		{1, 1, 0, 0, -1}, {1, 1, 0, 0, -1}, {2, 1, 0, 0, -1}, {2, 1, 1, 0, -1},
		{1, 2, 0, rspro.ResultIllegalBankID, -1}, {1, 1, 4, rspro.ResultIllegalSlotID, -1}, {1, 1, 1023, rspro.ResultIllegalSlotID, -1},
		{2, 1, 3, -1, rspro.ResultUnknownSlotmap}, {2, 7, 1, -1, rspro.ResultIllegalBankID}, {2, 1, 9, -1, rspro.ResultIllegalSlotID},
		{2, 1, 1, -1, 0},
	} {
		client, bank := rspro.ClientSlot{ClientID: x.client}, rspro.BankSlot{BankID: x.bank, SlotNr: x.slot}
		if x.create >= 0 {
			s.say(&rspro.CreateMappingReq{Client: client, Bank: bank})
			require.Equal(t, &rspro.CreateMappingRes{Result: x.create}, s.hear(), "%+v", x)
		} else {
			s.say(&rspro.RemoveMappingReq{Client: client, Bank: bank})
			require.Equal(t, &rspro.RemoveMappingRes{Result: x.remove}, s.hear(), "%+v", x)
		}
	}
	s.say(&rspro.ResetStateReq{})
	require.Equal(t, &rspro.ResetStateRes{}, s.hear())
}

func TestServerRegistersOncePerIdentityAndForgetsMaps(t *testing.T) {
	s, err := rsprofake.StartServer(rsprofake.ServerConfig{})
	require.NoError(t, err)
	defer s.Close()
	slot, client := model.BankSlot{ID: 1}, model.ClientSlot{ID: 1}
	require.NoError(t, s.AddMap(slot, client), "an unknown bank is taken")
	require.Error(t, s.AddMap(slot, model.ClientSlot{ID: 2}))
	require.Error(t, s.AddMap(model.BankSlot{ID: 2}, client))
	first := dial(t, s.Addr())
	first.register(rspro.ResultOK)
	require.Equal(t, int64(0), first.hear().(*rspro.ConfigClientBankReq).Bankd.Port, "the bank is not there")
	second := dial(t, s.Addr())
	second.register(rspro.ResultIdentityInUse)
	require.Nil(t, second.hear(), "closed after a second")
	require.Contains(t, s.String(), "map C1:0 - B1:0 NEW")

	bank, err := rsprofake.StartBank(rsprofake.BankConfig{ID: 1, Slots: 4, Server: s})
	require.NoError(t, err)
	defer bank.Close()
	config := first.hear().(*rspro.ConfigClientBankReq)
	require.Equal(t, int64(bank.Port()), config.Bankd.Port)
	require.Equal(t, []byte{127, 0, 0, 1}, config.Bankd.IP.Bytes)
	require.NoError(t, s.RemoveMap(slot))
	require.Equal(t, int64(0), first.hear().(*rspro.ConfigClientBankReq).Bankd.Port)

	require.NoError(t, s.AddMap(slot, client))
	require.NoError(t, s.Restart())
	for first.hear() != nil {
	}
	require.NotContains(t, s.String(), "map")
	require.Empty(t, s.Wrongs())

	deadly := dial(t, s.Addr())
	deadly.say(request(nil))
	require.Nil(t, deadly.hear())
	require.Len(t, s.Wrongs(), 1)
}

func TestServerGivesAPeerWithoutPongUp(t *testing.T) {
	t.Parallel() // it takes its 10 s
	s, err := rsprofake.StartServer(rsprofake.ServerConfig{})
	require.NoError(t, err)
	defer s.Close()
	r := dial(t, s.Addr())
	r.register(rspro.ResultOK)
	require.Nil(t, r.hear(), "10 s after the PING")
	require.Eventually(t, func() bool { return len(s.Clients()) == 0 }, patience, time.Millisecond)
}
