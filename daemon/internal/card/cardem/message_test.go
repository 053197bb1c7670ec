package cardem

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// vectors are the messages of libosmo-simtrace2 itself, by name.
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile("testdata/simtrace2_msgs.json")
	require.NoError(t, err)
	var list []struct{ Name, Hex string }
	require.NoError(t, json.Unmarshal(b, &list))
	out := make(map[string][]byte)
	for _, v := range list {
		out[v.Name], err = hex.DecodeString(v.Hex)
		require.NoError(t, err)
	}
	require.Equal(t, 23, len(out))
	return out
}

// counting is n bytes from first on, each one more than the one before.
func counting(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func TestMessagesAreTheLibrarysBytes(t *testing.T) {
	slot3 := Message{Class: ClassCardem, Type: TypeCardInsert, Slot: 3, Payload: []byte{1}}
	built := map[string][]byte{
		"card_insert":           AppendCardInsert(nil, true),
		"card_remove":           AppendCardInsert(nil, false),
		"card_insert_slot3":     slot3.AppendTo(nil),
		"pb_and_rx_a4":          AppendTxData(nil, FlagPBAndRx, []byte{0xA4}),
		"pb_and_tx_1":           AppendTxData(nil, FlagPBAndTx, []byte{0xB0}, 0),
		"pb_and_tx_9":           AppendTxData(nil, FlagPBAndTx, []byte{0xC0}, counting(0, 9)...),
		"pb_and_tx_255":         AppendTxData(nil, FlagPBAndTx, []byte{0xB0}, counting(0, 255)...),
		"pb_and_tx_256":         AppendTxData(nil, FlagPBAndTx, []byte{0xB0}, counting(0, 256)...),
		"sw_9000":               AppendTxData(nil, FlagPBAndTx|FlagFinal, []byte{0x90, 0x00}),
		"sw_6c0a":               AppendTxData(nil, FlagPBAndTx|FlagFinal, []byte{0x6C, 0x0A}),
		"set_atr_3b00":          AppendSetATR(nil, []byte{0x3B, 0x00}),
		"set_atr_33":            AppendSetATR(nil, counting(0x3B, 33)),
		"config_status_irq":     AppendConfig(nil, Config{Features: FeatureStatusIRQ}),
		"config2_default":       AppendConfig(nil, Config{Features: FeatureStatusIRQ}),
		"config2_pres_high":     AppendConfig(nil, Config{Features: FeatureStatusIRQ, Presence: PresentHigh}),
		"config2_pres_low":      AppendConfig(nil, Config{Features: FeatureStatusIRQ, Presence: PresentLow}),
		"config2_mux5":          AppendConfig(nil, Config{Features: FeatureStatusIRQ, Mux: 5}),
		"modem_reset_pulse_300": AppendModemReset(nil, ResetPulse, 300),
		"modem_reset_active":    AppendModemReset(nil, ResetOn, 0),
		"modem_reset_inactive":  AppendModemReset(nil, ResetOff, 0),
		"sim_select_local":      AppendSIMSelect(nil, false),
		"sim_select_remote":     AppendSIMSelect(nil, true),
	}
	modemStatus := Message{Class: ClassModem, Type: TypeModemStatus}
	built["modem_get_status"] = modemStatus.AppendTo(nil)
	for name, want := range vectors(t) {
		got, ok := built[name]
		require.True(t, ok, "nobody builds %s", name)
		require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(got), name)
		require.LessOrEqual(t, len(got), MaxMessage, name)
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	m, rest, err := ParseMessage(AppendStatus(nil, Status{Flags: StatusVCC | StatusReset, Millivolts: 1800, F: 9, D: 6, WI: 10, WaitingTime: 9600}))
	require.NoError(t, err)
	require.Empty(t, rest)
	st, err := ParseStatus(m.Payload)
	require.NoError(t, err)
	require.Equal(t, Status{Flags: 0x11, Millivolts: 1800, F: 9, D: 6, WI: 10, WaitingTime: 9600}, st)

	p := PTS{Len: 4, Req: [6]byte{0xFF, 0x10, 0x96, 0x79}, Resp: [6]byte{0xFF, 0x10, 0x96, 0x79}}
	m, _, err = ParseMessage(AppendPTS(nil, p))
	require.NoError(t, err)
	got, err := ParsePTS(m.Payload)
	require.NoError(t, err)
	require.Equal(t, p, got)

	m, _, err = ParseMessage(AppendConfig(nil, Config{Features: 1, Mux: 2, Presence: PresentLow}))
	require.NoError(t, err)
	for n, want := range map[int]Config{4: {Features: 1}, 5: {Features: 1, Mux: 2}, 6: {Features: 1, Mux: 2, Presence: PresentLow}} {
		c, err := ParseConfig(m.Payload[:n])
		require.NoError(t, err)
		require.Equal(t, want, c)
	}

	two := AppendQuery(AppendRxData(nil, FlagFinal, []byte{1, 2}), TypeConfig)
	m, rest, err = ParseMessage(two)
	require.NoError(t, err)
	d, err := ParseData(m.Payload)
	require.NoError(t, err)
	require.Equal(t, Data{Flags: FlagFinal, Bytes: []byte{1, 2}}, d)
	m, rest, err = ParseMessage(rest)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.Equal(t, TypeConfig, m.Type)
}

func TestMessagesRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		err  func() error
		want string
	}{
		"half a header": {func() error { _, _, err := ParseMessage(make([]byte, 7)); return err }, "7 bytes"},
		"no length":     {func() error { _, _, err := ParseMessage(make([]byte, 8)); return err }, "length 0"},
		"a length beyond the transfer": {func() error {
			_, _, err := ParseMessage([]byte{1, 6, 0, 0, 0, 0, 9, 0})
			return err
		}, "length 9 in a transfer of 8"},
		"short data":              {func() error { _, err := ParseData(make([]byte, 5)); return err }, "data of 5 bytes"},
		"data beyond the message": {func() error { _, err := ParseData([]byte{1, 0, 0, 0, 6, 0, 1, 2, 3, 4, 5}); return err }, "claims 6 bytes, has 5"},
		"short status":            {func() error { _, err := ParseStatus(make([]byte, 12)); return err }, "status of 12"},
		"short configuration":     {func() error { _, err := ParseConfig(make([]byte, 3)); return err }, "of 3 bytes"},
		"short PTS":               {func() error { _, err := ParsePTS(make([]byte, 12)); return err }, "PTS of 12"},
		"a PTS of 7 bytes":        {func() error { _, err := ParsePTS([]byte{7, 12: 0}); return err }, "claims 7 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.err()
			require.ErrorIs(t, err, ErrMalformed)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// FuzzCardem holds for every transfer of a device: no parser panics, refusals are
// ErrMalformed, and what is accepted is written again byte for byte.
func FuzzCardem(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v)
	}
	f.Add(AppendPTS(AppendStatus(nil, Status{Flags: 3}), PTS{Len: 4}))
	f.Add(AppendRxData(nil, FlagHeader, []byte{0, 0xA4, 0, 4, 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(err error) bool {
			if err != nil && !errors.Is(err, ErrMalformed) {
				t.Fatalf("error is not ErrMalformed: %v", err)
			}
			return err == nil
		}
		for len(b) > 0 {
			m, rest, err := ParseMessage(b)
			if !check(err) {
				return
			}
			if got, want := m.AppendTo(nil), b[:len(b)-len(rest)]; !bytes.Equal(got, want) {
				t.Fatalf("round trip: % x became % x", want, got)
			}
			if d, err := ParseData(m.Payload); check(err) {
				again, err := ParseData(AppendRxData(nil, d.Flags, d.Bytes)[headerLen:])
				if err != nil || again.Flags != d.Flags || !bytes.Equal(again.Bytes, d.Bytes) {
					t.Fatalf("data %+v became %+v, %v", d, again, err)
				}
			}
			if s, err := ParseStatus(m.Payload); check(err) {
				if again, err := ParseStatus(AppendStatus(nil, s)[headerLen:]); err != nil || again != s {
					t.Fatalf("status %+v became %+v, %v", s, again, err)
				}
			}
			if c, err := ParseConfig(m.Payload); check(err) {
				if again, err := ParseConfig(AppendConfig(nil, c)[headerLen:]); err != nil || again != c {
					t.Fatalf("configuration %+v became %+v, %v", c, again, err)
				}
			}
			if p, err := ParsePTS(m.Payload); check(err) {
				if again, err := ParsePTS(AppendPTS(nil, p)[headerLen:]); err != nil || again != p {
					t.Fatalf("PTS %+v became %+v, %v", p, again, err)
				}
			}
			b = rest
		}
	})
}
