package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
)

// player is the program in the place of a modem: it powers the card in its
// reader and does with it what a modem does.
type player struct {
	reader  *vpcdfake.Reader
	sqn     uint64
	iccid   string
	removed *atomic.Bool // the card went away since power-on
	watch   context.CancelFunc
}

// do carries out one verb and returns what came of it, in words.
func (m *player) do(ctx context.Context, verb string, args []string, profiles map[string]cardfake.Profile) (string, error) {
	switch verb {
	case "power-on":
		return m.powerOn(ctx)
	case "read-iccid":
		return m.checkICCID(ctx, args)
	case "authenticate":
		profile, ok := profiles[m.iccid]
		if !ok {
			return "", errors.New("authenticate needs read-iccid before it")
		}
		return m.authenticate(ctx, profile)
	case "read-more":
		return m.readMore(ctx)
	case "no-reset-since":
		if m.removed == nil {
			return "", errors.New("the card was never powered")
		}
		if m.removed.Load() {
			return "", errors.New("the card went away in between")
		}
		return "the modem's card was never taken away", nil
	}
	return "", fmt.Errorf("%q is not one of power-on, read-iccid, authenticate, read-more, no-reset-since", verb)
}

func (m *player) close() {
	if m.watch != nil {
		m.watch()
	}
}

func (m *player) powerOn(ctx context.Context) (string, error) {
	if _, err := m.reader.WaitCard(ctx); err != nil {
		return "", err
	}
	atr, err := m.reader.PowerOn(ctx)
	if err != nil {
		return "", err
	}
	m.close()
	removed := new(atomic.Bool)
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m.removed, m.watch = removed, cancel
	go func() {
		if m.reader.WaitNoCard(watching) == nil {
			removed.Store(true)
		}
	}()
	return fmt.Sprintf("power on, ATR %X", atr), nil
}

// send transmits a TPDU and wants one of the status words ok.
func (m *player) send(ctx context.Context, what string, tpdu []byte, ok ...byte) ([]byte, error) {
	r, err := m.reader.Transmit(ctx, tpdu)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if len(r) < 2 || !bytes.Contains(ok, r[len(r)-2:len(r)-1]) {
		return nil, fmt.Errorf("%s: status word %X", what, r[max(0, len(r)-2):])
	}
	return r, nil
}

// selectFile selects below what is selected, without asking for data.
func (m *player) selectFile(ctx context.Context, fid ...byte) error {
	_, err := m.send(ctx, fmt.Sprintf("select %X", fid), append([]byte{0x00, 0xA4, 0x00, 0x0C, byte(len(fid))}, fid...), 0x90)
	return err
}

func (m *player) checkICCID(ctx context.Context, args []string) (string, error) {
	if len(args) != 1 {
		return "", errors.New("read-iccid wants the number that must come out")
	}
	digits, err := m.readICCID(ctx)
	if err == nil && digits != args[0] {
		err = fmt.Errorf("the card is %s, expected %s", digits, args[0])
	}
	if err != nil {
		return "", err
	}
	m.iccid = digits
	return "ICCID " + digits, nil
}

func (m *player) readICCID(ctx context.Context) (string, error) {
	if err := m.selectFile(ctx, 0x3F, 0x00); err != nil {
		return "", err
	}
	if err := m.selectFile(ctx, 0x2F, 0xE2); err != nil {
		return "", err
	}
	r, err := m.send(ctx, "read EF.ICCID", []byte{0x00, 0xB0, 0x00, 0x00, 0x0A}, 0x90)
	if err != nil {
		return "", err
	}
	digits := make([]byte, 0, 20)
	for _, b := range r[:len(r)-2] { // two digits a byte, low half first (ETSI TS 102 221 §13.2)
		for _, d := range []byte{b & 0x0F, b >> 4} {
			if d <= 9 {
				digits = append(digits, '0'+d)
			}
		}
	}
	return string(digits), nil
}

// authenticate runs 3GPP AUTHENTICATE with a challenge of the home network, and
// compares the card's answer with what the network expects.
func (m *player) authenticate(ctx context.Context, profile cardfake.Profile) (string, error) {
	aid := profile.AID
	if _, err := m.send(ctx, "select USIM", append([]byte{0x00, 0xA4, 0x04, 0x0C, byte(len(aid))}, aid...), 0x90); err != nil {
		return "", err
	}
	var challenge [16]byte
	if _, err := rand.Read(challenge[:]); err != nil {
		return "", err
	}
	m.sqn += 32 // a new SEQ, the same IND (3GPP TS 33.102 C.1.1.1)
	autn, res, _, _ := cardfake.NewMilenage(profile.K, profile.OPc).Challenge(challenge, profile.SQN+m.sqn, [2]byte{0x80, 0})
	body := append(append([]byte{16}, challenge[:]...), append([]byte{16}, autn[:]...)...)
	r, err := m.send(ctx, "AUTHENTICATE", append([]byte{0x00, 0x88, 0x00, 0x81, byte(len(body))}, body...), 0x61)
	if err != nil {
		return "", err
	}
	r, err = m.send(ctx, "GET RESPONSE", []byte{0x00, 0xC0, 0x00, 0x00, r[len(r)-1]}, 0x90)
	if err != nil {
		return "", err
	}
	if len(r) < 10 || r[0] != 0xDB || !bytes.Equal(r[2:10], res[:]) {
		return "", errors.New("the card's RES is not what the network expects")
	}
	return "AUTHENTICATE: the card's RES is what the home network expects", nil
}

// readMore goes on where the modem left off: it selects EF.AD below the USIM
// that was selected before, which works only if the card still knows that.
func (m *player) readMore(ctx context.Context) (string, error) {
	if err := m.selectFile(ctx, 0x6F, 0xAD); err != nil {
		return "", err
	}
	r, err := m.send(ctx, "read EF.AD", []byte{0x00, 0xB0, 0x00, 0x00, 0x04}, 0x90)
	if err != nil {
		return "", err
	}
	return "read on in the USIM selected before the outage: EF.AD " + hex.EncodeToString(r[:len(r)-2]), nil
}
