package app_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// modem is a program that keeps the card busy and checks each answer against
// the command that it is for.
type modem struct {
	reader  *vpcdfake.Reader
	profile cardfake.Profile
	sqn     uint64
	le      byte // of the answer to STATUS, once it is known

	answered, resets int
	rands            [][16]byte // of every AUTHENTICATE given
}

// errWrong means that an answer does not belong to its command.
var errWrong = errors.New("an answer that does not belong to its command")

// run works until ctx ends. A card that goes away is a reset that was reported:
// the modem starts over. Anything else that is not the right answer is an error.
func (m *modem) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := m.session(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, vpcdfake.ErrNoCard):
			m.resets++
		case err != nil:
			return err
		}
	}
	return nil
}

// session powers the card and works with it until it goes away.
func (m *modem) session(ctx context.Context) error {
	if _, err := m.reader.WaitCard(ctx); err != nil {
		return err
	}
	if _, err := m.reader.PowerOn(ctx); err != nil {
		return err
	}
	if err := m.expect(ctx, append([]byte{0x00, 0xA4, 0x04, 0x0C, byte(len(m.profile.AID))}, m.profile.AID...), 0x90, 0x00); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := m.update(ctx); err != nil {
			return err
		}
		if err := m.authenticate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// send transmits and counts the answer.
func (m *modem) send(ctx context.Context, tpdu []byte) ([]byte, error) {
	r, err := m.reader.Transmit(ctx, tpdu)
	if err == nil {
		m.answered++
	}
	return r, err
}

func (m *modem) expect(ctx context.Context, tpdu []byte, want ...byte) error {
	r, err := m.send(ctx, tpdu)
	if err != nil {
		return err
	}
	if !bytes.HasSuffix(r, want) {
		return fmt.Errorf("%w: % X was answered % X", errWrong, tpdu[:5], r)
	}
	return nil
}

// update writes a number that was never used to EF.LOCI and reads it back.
func (m *modem) update(ctx context.Context) error {
	if err := m.expect(ctx, []byte{0x00, 0xA4, 0x00, 0x0C, 0x02, 0x6F, 0x7E}, 0x90, 0x00); err != nil {
		return err
	}
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], uint32(m.answered))
	if err := m.expect(ctx, append([]byte{0x00, 0xD6, 0x00, 0x00, 0x04}, number[:]...), 0x90, 0x00); err != nil {
		return err
	}
	return m.expect(ctx, []byte{0x00, 0xB0, 0x00, 0x00, 0x04}, append(number[:], 0x90, 0x00)...)
}

// authenticate gives a new challenge: only its own RES is the right answer.
func (m *modem) authenticate(ctx context.Context) error {
	var challenge [16]byte
	_, _ = rand.Read(challenge[:])
	m.sqn += 32
	autn, res, _, _ := cardfake.NewMilenage(m.profile.K, m.profile.OPc).Challenge(challenge, m.profile.SQN+m.sqn, [2]byte{0x80, 0})
	m.rands = append(m.rands, challenge)
	body := append(append([]byte{16}, challenge[:]...), append([]byte{16}, autn[:]...)...)
	r, err := m.send(ctx, append([]byte{0x00, 0x88, 0x00, 0x81, byte(len(body))}, body...))
	if err != nil {
		return err
	}
	if len(r) != 2 || r[0] != 0x61 {
		return fmt.Errorf("%w: AUTHENTICATE was answered % X", errWrong, r)
	}
	if r, err = m.send(ctx, []byte{0x00, 0xC0, 0x00, 0x00, r[1]}); err != nil {
		return err
	}
	if len(r) < 10 || !bytes.Equal(r[2:10], res[:]) {
		return fmt.Errorf("%w: the RES is not that of this challenge", errWrong)
	}
	return nil
}

// TestSoak kills and restarts the server, the bank and the ubus broker ten times
// each in random order under traffic. Everything is connected again at the end,
// no answer ever belonged to another command, and the card's own log shows that
// what must not be repeated was run at most once.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	w := newWorld(t)
	w.write(w.config(""))
	w.start()
	w.assign()
	m := &modem{reader: w.reader, profile: cardfake.Default()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.run(ctx) }()
	defer cancel()
	w.untilState(model.StateOperational)

	for _, what := range shuffled("server", "bank", "broker") {
		select {
		case err := <-done:
			require.NoError(t, err, "the modem gave up")
		case <-time.After(time.Duration(500+mathrand.IntN(2000)) * time.Millisecond): // traffic between two cuts: the amount is random on purpose
		}
		w.kill(what)
	}
	w.dial()
	s := w.until("all connected", func(s *model.Snapshot) bool {
		return s.State == model.StateOperational && s.Sessions[0].Server.State == model.ConnConnected && len(s.Health.Findings) == 0
	})
	before := s.Sessions[0].TPDU.Received
	w.until("commands flow", func(s *model.Snapshot) bool { return s.Sessions[0].TPDU.Received > before+20 })
	cancel()
	require.NoError(t, <-done)
	w.checkLogs(m)
}

// shuffled names each thing ten times, in random order.
func shuffled(things ...string) []string {
	var all []string
	for range 10 {
		all = append(all, things...)
	}
	mathrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// kill ends a peer and starts it again.
func (w *world) kill(what string) {
	w.Helper()
	switch what {
	case "server":
		require.NoError(w, w.server.Restart())
		// A real server forgets its maps; the operator restores this one once
		// the bank has registered again.
		require.Eventually(w, func() bool { return w.server.HasBank(slot.ID) }, bound, 10*time.Millisecond)
		require.NoError(w, w.server.AddMap(slot, router))
	case "bank":
		require.NoError(w, w.bank.Restart())
	case "broker":
		require.NoError(w, w.broker.Restart())
	}
}

// checkLogs compares what the modem did with what the card saw.
func (w *world) checkLogs(m *modem) {
	w.Helper()
	runs := make(map[string]int)
	updates, repeated := make(map[string]int), 0
	var last []byte
	for _, e := range w.bank.Log() { // the card's own log is bounded, this one is whole
		if e.Kind != "tpdu" || e.Answer == nil {
			last = nil // a reset, or a command that never reached the card
			continue
		}
		switch e.Command[1] {
		case 0x88:
			runs[string(e.Command[6:22])]++
		case 0xD6:
			updates[string(e.Command)]++
		}
		if bytes.Equal(e.Command, last) && !repeatable(e.Command) {
			repeated++
		}
		last = e.Command
	}
	for _, r := range m.rands {
		require.LessOrEqual(w, runs[string(r[:])], 1, "an AUTHENTICATE was run twice")
	}
	for u, n := range updates {
		require.Equal(w, 1, n, "UPDATE % X", u)
	}
	require.Zero(w, repeated, "a command that is not harmless was repeated")
	require.Greater(w, m.answered, 500, "there was traffic")
	w.Logf("%d commands answered, %d AUTHENTICATE, %d visible resets, 30 restarts", m.answered, len(m.rands), m.resets)
	require.Empty(w, w.bank.Wrongs(), "the bank saw nothing that a real one would refuse")
}

// repeatable is what docs/RELAY.md allows to be sent again, of what this modem
// sends: STATUS, SELECT, READ BINARY.
func repeatable(tpdu []byte) bool {
	return tpdu[1] == 0xF2 || tpdu[1] == 0xA4 || tpdu[1] == 0xB0
}

// TestNoSecretLeaves runs commands that carry secrets and looks for them in
// everything that leaves the daemon.
func TestNoSecretLeaves(t *testing.T) {
	w := newWorld(t)
	w.write(w.config(""))
	w.start()
	w.assign()
	ctx := withBound(t)
	w.power(ctx)
	w.untilState(model.StateOperational)
	require.NoError(t, w.call("tracing", map[string]any{"on": true}, nil))
	var traced struct {
		APDUs []model.APDU `json:"apdus"`
	}
	w.until("traced", func(*model.Snapshot) bool {
		w.transmit(ctx, readICCID[0])
		return w.call("trace", nil, &traced) == nil && len(traced.APDUs) > 0
	})
	p := cardfake.Default()
	for _, tpdu := range readICCID {
		w.transmit(ctx, tpdu)
	}
	w.transmit(ctx, append([]byte{0x00, 0xA4, 0x04, 0x0C, byte(len(p.AID))}, p.AID...))
	pin := []byte{'1', '2', '3', '4', 0xFF, 0xFF, 0xFF, 0xFF}
	w.transmit(ctx, append([]byte{0x00, 0x20, 0x00, 0x01, 0x08}, pin...))
	m := &modem{reader: w.reader, profile: p}
	require.NoError(t, m.authenticate(ctx))
	w.transmit(ctx, []byte{0x00, 0xA4, 0x00, 0x0C, 0x02, 0x6F, 0x07})
	w.transmit(ctx, []byte{0x00, 0xB0, 0x00, 0x00, 0x09})
	w.bank.Cut(true) // secrets must not leak through the ways of failing either
	w.until("lost or back", func(s *model.Snapshot) bool { return s.Sessions[0].Bankd.State != model.ConnConnected })
	w.untilState(model.StateOperational)

	autn, res, ck, ik := cardfake.NewMilenage(p.K, p.OPc).Challenge(m.rands[0], p.SQN+m.sqn, [2]byte{0x80, 0})
	secrets := map[string]string{
		"RAND": fmt.Sprintf("%x", m.rands[0]), "AUTN": fmt.Sprintf("%x", autn), "RES": fmt.Sprintf("%x", res),
		"CK": fmt.Sprintf("%x", ck), "IK": fmt.Sprintf("%x", ik), "PIN": fmt.Sprintf("%x", pin), "K": fmt.Sprintf("%x", p.K),
		"ICCID": p.ICCID.String(), "ICCID on the card": "988812010000000010f1", "IMSI": p.IMSI, "IMSI on the card": "0809101010325476",
	}
	leaves := map[string]string{"log": w.log.String()}
	for _, method := range []string{"status", "events", "trace", "diagnose", "config"} {
		reply, err := w.conn.Call(ctx, "remsim", method, nil)
		require.NoError(t, err)
		leaves[method] = reply.String()
	}
	for where, text := range leaves {
		require.NotEmpty(t, text, where)
		for what, secret := range secrets {
			require.NotContains(t, string(bytes.ToLower([]byte(text))), secret, "%s in %s", what, where)
		}
	}
	var whole struct {
		Modems []struct {
			ICCID string `json:"iccid"`
		} `json:"modems"`
	}
	require.NoError(t, w.call("identities", nil, &whole))
	require.Equal(t, p.ICCID.String(), whole.Modems[0].ICCID, "the one method that gives it whole")
}
