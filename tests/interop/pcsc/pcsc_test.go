// Package pcsc shows that PC/SC programs work with a remote card: Debian's pcscd
// and vsmartcard-vpcd, opensc-tool, scriptor and pyscard on one side, the bank's card
// on the other, `remsim daemon` between them.
package pcsc

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/pcscrig"
	"github.com/terminills/remsim-openwrt/tests/rig"
)

// The card of tests/worlds/tour.txt.
const (
	bank, slot = 1, 2
	// EF.ICCID holds 8988211000000000011 with the digits of each byte swapped, and F to
	// fill (ETSI TS 102 221 §13.2).
	iccid = "988812010000000010f1"
	aid   = "a0000000871002ffffffff8907090000"
)

// Commands of 3GPP TS 31.102 and ETSI TS 102 221.
const (
	selectMF    = "00a4000c023f00"
	selectICCID = "00a4000c022fe2"
	readICCID   = "00b000000a"
	selectUSIM  = "00a4040c10" + aid
	selectAD    = "00a4000c026fad"
	readAD      = "00b0000004"
)

// desk is a PC with a reader that holds the remote card.
type desk struct {
	*testing.T
	ctx    context.Context
	pcsc   *pcscrig.Rig
	peers  *rig.Peers
	daemon *rig.Daemon
}

func newDesk(t *testing.T) *desk {
	pcscrig.Need(t, "opensc-tool", "scriptor")
	ctx, cancel := context.WithTimeout(context.Background(), 3*rig.Bound)
	t.Cleanup(cancel)
	d := &desk{T: t, ctx: ctx, pcsc: pcscrig.Start(t, 1), peers: rig.StartPeers(t, "tour.txt")}
	// vpcd's reader takes the place of the fake one.
	uci := strings.Replace(d.peers.UCI(), d.peers.Readers["primary"], d.pcsc.Device(0), 1)
	require.Contains(t, uci, d.pcsc.Device(0))
	d.daemon = rig.StartDaemon(t, rig.DaemonOptions{Bus: rig.BusKinds()[0].Start(t, d.peers), UCI: uci})
	d.peers.Do("assign client 7 slot 1 bank %d slot %d", bank, slot)
	d.daemon.Until("remsim shows the card", rig.CardIs("present", "ready"))
	_, err := d.pcsc.Client(0).WaitCard(ctx) // pcscd asks its readers now and then
	require.NoError(t, err, d.pcsc.Log())
	return d
}

// last is the newest command that reached the card, with its answer.
func (d *desk) last(command string) rig.Entry {
	d.Helper()
	log := d.peers.Log(bank)
	for i := len(log) - 1; i >= 0; i-- {
		if log[i].Kind == "tpdu" && log[i].Command == command {
			return log[i]
		}
	}
	d.Fatalf("the card never got %s", command)
	return rig.Entry{}
}

// authenticate is the command for a challenge, without Le, and the answer that
// its home network expects, without the Kc at its end (3GPP TS 31.102 §7.1.2.1).
func authenticate(c rig.Challenge) (command, answer string) {
	return "0088008122" + "10" + c.RAND + "10" + c.AUTN, "db08" + c.RES + "10" + c.CK + "10" + c.IK
}

// getResponse is the command that fetches as many bytes as 61xx announces.
func (d *desk) getResponse(answer string) string {
	d.Helper()
	count, found := strings.CutPrefix(answer, "61")
	require.True(d, found && len(count) == 2, "the card has an answer to fetch: %s", answer)
	return "00c00000" + count
}

func digits(answers [][]byte) []string {
	out := make([]string, len(answers))
	for i, a := range answers {
		out[i] = hex.EncodeToString(a)
	}
	return out
}

// session is a PC/SC program that keeps its connection to the card.
type session struct {
	*desk
	*pcscrig.Client
}

func (s session) send(command string) string {
	s.Helper()
	b, err := hex.DecodeString(command)
	require.NoError(s, err)
	answer, err := s.Transmit(s.ctx, b)
	require.NoError(s, err, "%s\n%s", s.pcsc.Log(), s.daemon.Stderr)
	return hex.EncodeToString(answer)
}

// authenticate proves that the card at the other end is the right one, as a
// program that speaks T=0 does it.
func (s session) authenticate() {
	s.Helper()
	command, want := authenticate(s.peers.Challenge(bank, slot))
	fetch := s.getResponse(s.send(command))
	got := s.send(fetch)
	require.True(s, strings.HasPrefix(got, want), "RES, CK and IK that the home network expects: %s, got %s", want, got)
	require.True(s, strings.HasSuffix(got, "9000"))
	require.Equal(s, s.last(fetch).Answer, got, "the card's own words")
}

func TestProgramsReadAndAuthenticate(t *testing.T) {
	t.Parallel()
	d := newDesk(t)

	t.Run("opensc-tool", func(t *testing.T) {
		command, want := authenticate(d.peers.Challenge(bank, slot))
		answers, err := d.pcsc.OpenSCTool(d.ctx, 0, selectMF, selectICCID, readICCID, selectUSIM, command+"00")
		require.NoError(t, err)
		got := digits(answers)
		require.Len(t, got, 5)
		require.Equal(t, iccid+"9000", got[2])
		require.Equal(t, d.last(readICCID).Answer, got[2], "the card's own words")
		require.True(t, strings.HasPrefix(got[4], want), "RES, CK and IK that the home network expects: %s, got %s", want, got[4])
		require.Equal(t, d.last("00c0000035").Answer, got[4], "the card's own words")
	})

	t.Run("scriptor", func(t *testing.T) {
		command, want := authenticate(d.peers.Challenge(bank, slot))
		answers, err := d.pcsc.Scriptor(d.ctx, 0, selectMF, selectICCID, readICCID, selectUSIM, command, "00c0000035")
		require.NoError(t, err)
		got := digits(answers)
		require.Len(t, got, 6)
		require.Equal(t, iccid+"9000", got[2])
		require.Equal(t, "6135", got[4], "53 bytes to fetch")
		require.Equal(t, d.last("00c0000035").Answer, got[5], "the card's own words")
		require.True(t, strings.HasPrefix(got[5], want), "RES, CK and IK that the home network expects: %s, got %s", want, got[5])
	})

	t.Run("pyscard", func(t *testing.T) {
		s := session{d, d.pcsc.Client(0)}
		atr, err := s.PowerOn(d.ctx)
		require.NoError(t, err)
		status := d.daemon.Until("a program uses the card", rig.CardIs("ready"))
		require.Equal(t, strings.ToLower(status.Modems[0].Card.ATR), hex.EncodeToString(atr), "the ATR that remsim names")
		require.Equal(t, "9000", s.send(selectMF))
		require.Equal(t, "9000", s.send(selectICCID))
		require.Equal(t, iccid+"9000", s.send(readICCID))
		require.Equal(t, "9000", s.send(selectUSIM))
		s.authenticate()

		atr2, err := s.Reset(d.ctx)
		require.NoError(t, err)
		require.True(t, bytes.Equal(atr, atr2))
		require.NotEqual(t, "9000", s.send(selectAD), "a reset forgets the USIM that was selected")
	})
}

func TestSessionSurvivesTheLossOfTheBank(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := session{d, d.pcsc.Client(0)}
	_, err := s.PowerOn(d.ctx)
	require.NoError(t, err)
	require.Equal(t, "9000", s.send(selectUSIM))
	s.authenticate()

	d.peers.Do("bank stop")
	d.daemon.Until("the bank is missed", rig.InState("ride_through"))
	_, err = s.ATR(d.ctx)
	require.NoError(t, err, "the reader still holds the card")

	// A command in the outage is answered when the bank is back.
	type reply struct {
		answer []byte
		err    error
	}
	replies := make(chan reply, 1)
	command, err := hex.DecodeString(selectAD)
	require.NoError(t, err)
	go func() {
		answer, err := s.Transmit(d.ctx, command)
		replies <- reply{answer, err}
	}()
	select {
	case r := <-replies:
		t.Fatalf("there is no card that could answer, and yet: % x %v", r.answer, r.err)
	case <-time.After(500 * time.Millisecond):
	}
	d.peers.Do("bank start")
	r := <-replies
	require.NoError(t, r.err, d.pcsc.Log())
	require.Equal(t, "9000", fmt.Sprintf("%x", r.answer), "below the USIM that was selected before the outage")
	require.True(t, strings.HasSuffix(s.send(readAD), "9000"))
	s.authenticate()
	d.daemon.Until("all is well", func(st *rig.Status) bool { return st.State == "operational" && len(st.Health.Findings) == 0 })
}
