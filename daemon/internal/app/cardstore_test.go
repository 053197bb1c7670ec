package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// keeping is the configuration of a router that stores what it keeps of cards, or not.
func (w *world) keeping(keep string) string {
	text := strings.Replace(w.config(""), "\toption enabled '1'\n", "\toption enabled '1'\n\toption card_cache_keep '"+keep+"'\n", 1)
	return strings.Replace(text, "\toption front 'vpcd'\n", "\toption front 'vpcd'\n\toption card_cache 'full'\n", 1)
}

// attach has a PC/SC program start up as a modem does, and compares with a twin of the card.
func (w *world) attach(ctx context.Context, u cardfake.StartUp, twin *cardfake.Card, here, there cardfake.Challenger) {
	w.Helper()
	want, err := u.Direct(twin, there)
	require.NoError(w, err)
	for _, x := range cardfake.Wants() {
		require.NoError(w, w.card.QueueProactive(x))
	}
	w.power(ctx)
	got, err := u.Run(func(b []byte) ([]byte, error) { return w.reader.Transmit(ctx, b) }, here)
	require.NoError(w, err)
	require.Empty(w, cardfake.Difference(want, got))
	require.NoError(w, w.reader.PowerOff(ctx))
}

// cached tells how many commands were answered in the card's place.
func (w *world) cached() int64 {
	w.Helper()
	var n int64
	w.until("counters", func(s *model.Snapshot) bool {
		if len(s.Sessions) == 0 {
			return false
		}
		t := s.Sessions[0].TPDU
		n = t.Cached
		return t.Sent > 0
	})
	return n
}

func TestCardsOutliveAReboot(t *testing.T) {
	w := newWorld(t)
	w.flush = 50 * time.Millisecond
	u, twin := cardfake.StartUps()[0], cardfake.New(cardfake.Default())
	here, there := cardfake.Home(w.card), cardfake.Home(twin)
	ctx := withBound(t)
	file := filepath.Join(w.dir, "state", "cards")

	w.write(w.keeping("0"))
	w.start()
	w.assign()
	w.attach(ctx, u, twin, here, there)
	w.stop()
	require.NoFileExists(t, file, "flash is not worn unless the owner wants it")

	w.write(w.keeping("1"))
	w.start()
	w.attach(ctx, u, twin, here, there)
	require.Eventually(t, func() bool { _, err := os.Stat(file); return err == nil }, bound, 10*time.Millisecond)
	w.stop()
	first, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), first.Mode().Perm())
	require.Less(t, first.Size(), int64(10_000))

	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "run"))) // a reboot
	w.start()
	w.attach(ctx, u, twin, here, there)
	require.Greater(t, w.cached(), int64(100), "the first start-up is a warm one")
	require.Contains(t, w.journal(), "answers of the card that were stored")
	w.until("some time for another write", func(*model.Snapshot) bool { return time.Since(first.ModTime()) > 500*time.Millisecond })
	w.stop()
	again, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, first.ModTime(), again.ModTime(), "what has not changed is not written")

	require.NoError(t, os.WriteFile(file, []byte("remsim card answers 1\nnonsense"), 0o600))
	w.start()
	w.attach(ctx, u, twin, here, there)
	require.Contains(t, w.log.String(), "stored cards not read")
	w.stop()

	w.write(w.keeping("0"))
	w.start()
	w.until("removed", func(*model.Snapshot) bool { _, err := os.Stat(file); return os.IsNotExist(err) })
}

// TestNoSecretLeavesTheDaemon has a modem start up with a card whose PIN is on, with a trace,
// at the most talkative level, and looks for secrets in all that the daemon tells or writes.
func TestNoSecretLeavesTheDaemon(t *testing.T) {
	w := newWorld(t)
	profile := cardfake.Default()
	profile.PINEnabled = true
	w.card = cardfake.New(profile)
	w.bank.Insert(int(slot.Slot), w.card)
	w.write(strings.Replace(w.keeping("1"), "option enabled '1'", "option enabled '1'\n\toption log_level 'debug'", 1))
	w.start()
	w.assign()
	ctx := withBound(t)
	w.until("the modem is known", func(s *model.Snapshot) bool { return len(s.Modems) > 0 })
	require.NoError(t, w.call("tracing", map[string]any{"modem": "primary", "on": true}, nil))
	w.power(ctx)
	secrets := map[string]string{"K": hexOf(profile.K[:]), "OPc": hexOf(profile.OPc[:]), "PIN": "31323334"}
	n := 0
	challenge := func() (rand, autn [16]byte) {
		n++
		copy(rand[:], fmt.Sprintf("canary RAND %d...", n))
		autn, res, ck, ik := w.card.Milenage().Challenge(rand, w.card.SQN()+32, [2]byte{0x80})
		for name, b := range map[string][]byte{"RAND": rand[:], "AUTN": autn[:], "RES": res[:], "CK": ck[:], "IK": ik[:]} {
			secrets[fmt.Sprintf("%s %d", name, n)] = hexOf(b)
		}
		return rand, autn
	}
	for _, tpdu := range []string{"00A4040C07A0000000871002", "0020000108" + "31323334FFFFFFFF"} {
		require.Equal(t, "9000", hexOf(w.transmit(ctx, unhex(t, tpdu))))
	}
	log, err := cardfake.StartUps()[0].Run(func(b []byte) ([]byte, error) { return w.reader.Transmit(ctx, b) }, challenge)
	require.NoError(t, err)
	require.Len(t, secrets, 3+2*5)
	for _, e := range log {
		open := e.Command[2] == 0x8D || e.Command[2] == 0x8F // EF.FPLMN, EF.START-HFN: a trace may show them
		if ins := e.Command[1]; (ins == 0xD6 || ins == 0xDC) && !open {
			secrets[fmt.Sprintf("written by command %d", e.Sequence)] = hexOf(e.Command[5:])
		}
	}
	told := w.everything()
	w.stop()
	file, err := os.ReadFile(filepath.Join(w.dir, "state", "cards"))
	require.NoError(t, err)
	require.NotEmpty(t, file)
	told["card store"] = hexOf(file)
	told["log"] = w.log.String()
	require.Contains(t, told["trace"], "AUTHENTICATE")
	for where, text := range told {
		for what, secret := range secrets {
			require.NotContains(t, strings.ToUpper(text), secret, "%s in the %s", what, where)
		}
		require.NotContains(t, text, "canary RAND", where)
	}
	for where, text := range told {
		if where == "card store" {
			continue // is there for these
		}
		require.NotContains(t, text, profile.IMSI, where)
		require.NotContains(t, text, string(profile.ICCID), where)
	}
}

// everything is what the bus tells of the daemon.
func (w *world) everything() map[string]string {
	w.Helper()
	told := map[string]string{"journal": w.journal()}
	for _, m := range []struct {
		name string
		args map[string]any
	}{{"status", nil}, {"events", map[string]any{"limit": 200}}, {"diagnose", nil}, {"config", nil}} {
		var reply map[string]any
		require.NoError(w, w.call(m.name, m.args, &reply), m.name)
		b, err := json.Marshal(reply)
		require.NoError(w, err)
		told[m.name] = string(b)
	}
	var trace struct {
		APDUs []map[string]any `json:"apdus"`
	}
	var all []map[string]any
	for since := any(0); ; {
		require.NoError(w, w.call("trace", map[string]any{"modem": "primary", "since": since, "limit": 200}, &trace))
		if len(trace.APDUs) == 0 {
			break
		}
		all = append(all, trace.APDUs...)
		since = trace.APDUs[len(trace.APDUs)-1]["id"]
	}
	b, err := json.Marshal(all)
	require.NoError(w, err)
	told["trace"] = string(b)
	return told
}

func hexOf(b []byte) string { return fmt.Sprintf("%X", b) }

func unhex(t *testing.T, s string) (b []byte) {
	t.Helper()
	_, err := fmt.Sscanf(s, "%X", &b)
	require.NoError(t, err)
	return b
}
