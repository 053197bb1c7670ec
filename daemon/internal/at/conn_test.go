package at_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/at/atfake"
)

// limit bounds every wait; nothing takes nearly as long.
const limit = 20 * time.Second

// bench is a modem, the Conn on it and what the Conn reported.
type bench struct {
	modem *atfake.Modem
	conn  *at.Conn

	mu       sync.Mutex
	urcs     []string
	changes  []error
	heard    chan struct{} // one per change
	stopping func()
}

// patient and hasty are how long a Conn waits to get back into step: hasty is
// for tests that want it to give up.
const (
	patient = 10 * time.Second
	hasty   = 300 * time.Millisecond
)

func newBench(t *testing.T, persona string) *bench {
	t.Helper()
	m, err := atfake.New(t.TempDir(), persona)
	require.NoError(t, err)
	return start(t, m, patient)
}

// start runs a Conn on a modem and waits until its port is open.
func start(t *testing.T, m *atfake.Modem, syncWait time.Duration) *bench {
	t.Helper()
	b := &bench{modem: m, heard: make(chan struct{}, 1000)}
	b.conn = at.New(at.Options{
		Open: func() (at.Port, error) { return at.OpenPort(m.Path()) },
		Unsolicited: func(line string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.urcs = append(b.urcs, line)
		},
		Changed: func(err error) {
			b.mu.Lock()
			b.changes = append(b.changes, err)
			b.mu.Unlock()
			b.heard <- struct{}{}
		},
		Quiet: 20 * time.Millisecond, SyncWait: syncWait, RetryMin: time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.conn.Run(ctx) }()
	b.stopping = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
		m.Close()
	})
	t.Cleanup(b.stopping)
	b.up(t)
	return b
}

// newHasty is newBench with a Conn that gives up soon.
func newHasty(t *testing.T) *bench {
	t.Helper()
	m, err := atfake.New(t.TempDir(), "generic")
	require.NoError(t, err)
	return start(t, m, hasty)
}

// next waits for the next change of the port.
func (b *bench) next(t *testing.T) error {
	t.Helper()
	select {
	case <-b.heard:
	case <-time.After(limit):
		t.Fatal("the port did not change: ", b.modem)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.changes[0]
	b.changes = b.changes[1:]
	return err
}

// up waits until the port is open.
func (b *bench) up(t *testing.T) {
	t.Helper()
	for b.next(t) != nil {
	}
}

func (b *bench) unsolicited() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.urcs...)
}

func (b *bench) do(t *testing.T, text string, timeout time.Duration) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return b.conn.Do(ctx, at.Command{Text: text, Timeout: timeout})
}

func TestCommandAndAnswer(t *testing.T) {
	b := newBench(t, "generic")
	lines, err := b.do(t, "+CSQ", 0)
	require.NoError(t, err)
	require.Equal(t, []string{"20,99"}, lines)
	_, err = b.do(t, "+NOSUCH", 0)
	var e *at.Error
	require.ErrorAs(t, err, &e)
	require.EqualError(t, err, "AT+NOSUCH: modem answers error")
	require.Equal(t, []string{"+CMEE?", "E0", "+CMEE=1", "+CSQ", "+NOSUCH"}, b.modem.Received())
}

func TestErrorsAreTypedWithWords(t *testing.T) {
	b := newBench(t, "generic")
	for _, c := range []struct {
		final string
		is    error
		text  string
	}{
		{"+CME ERROR: 10", at.ErrSIMNotInserted, "AT+CPIN?: modem answers SIM not inserted (CME 10)"},
		{"+CME ERROR: 14", at.ErrSIMBusy, "AT+CPIN?: modem answers SIM busy (CME 14)"},
		{"+CME ERROR: 777", nil, "AT+CPIN?: modem answers an unlisted error (CME 777)"},
		{"+CME ERROR: SIM not inserted", nil, "AT+CPIN?: modem answers sim not inserted (CME)"},
		{"+CMS ERROR: 310", nil, "AT+CPIN?: modem answers SIM not inserted (CMS 310)"},
		{"NO CARRIER", nil, "AT+CPIN?: modem answers no carrier"},
	} {
		b.modem.Set("+CPIN?", c.final)
		_, err := b.do(t, "+CPIN?", 0)
		require.EqualError(t, err, c.text)
		if c.is != nil {
			require.ErrorIs(t, err, c.is)
		}
	}
}

func TestErrorsDoNotShowParameters(t *testing.T) {
	b := newBench(t, "generic")
	_, err := b.do(t, `+CPIN="1234"`, 0)
	require.ErrorContains(t, err, "AT+CPIN=…")
	require.NotContains(t, err.Error(), "1234")
}

func TestCommandsCannotSmuggle(t *testing.T) {
	b := newBench(t, "generic")
	for _, text := range []string{"", "+CSQ\rAT+CFUN=0", "+CSQ\n", "\x1a", "é"} {
		_, err := b.do(t, text, 0)
		require.ErrorIs(t, err, at.ErrMalformed)
	}
}

func TestEchoIsTolerated(t *testing.T) {
	b := newBench(t, "generic")
	b.modem.Set("E0", "ERROR") // a modem that insists
	b.modem.Echo(true)
	for range 3 {
		lines, err := b.do(t, "+CSQ", 0)
		require.NoError(t, err)
		require.Equal(t, []string{"20,99"}, lines)
	}
	require.Empty(t, b.unsolicited())
}

func TestUnsolicitedLinesComeInOrder(t *testing.T) {
	b := newBench(t, "generic")
	b.modem.Set("+CSQ", "+CREG: 5", "RING", "+CSQ: 20,99", "^MODE: 5,4", "OK")
	b.modem.Say("+CGEV: NW DETACH")
	for i := range 50 {
		b.modem.Say(fmt.Sprintf("+QIND: %d", i))
	}
	lines, err := b.do(t, "+CSQ", 0)
	require.NoError(t, err)
	require.Equal(t, []string{"20,99"}, lines)
	want := []string{"+CGEV: NW DETACH"}
	for i := range 50 {
		want = append(want, fmt.Sprintf("+QIND: %d", i))
	}
	require.Equal(t, append(want, "+CREG: 5", "RING", "^MODE: 5,4"), b.unsolicited())
}

func TestBareAnswersAreToldFromUnsolicited(t *testing.T) {
	b := newBench(t, "generic")
	b.modem.Set("+CIMI", "+CREG: 1", "001010123456789", "RDY", "OK")
	lines, err := b.conn.Do(context.Background(), at.Command{Text: "+CIMI", Shape: at.Bare})
	require.NoError(t, err)
	require.Equal(t, []string{"001010123456789"}, lines)
	require.Equal(t, []string{"+CREG: 1", "RDY"}, b.unsolicited())
}

func TestNoiseAndPieces(t *testing.T) {
	b := newBench(t, "generic")
	b.modem.Pieces(1)
	b.modem.Noise([]byte("\x00\xff\xfe~garbage\x80\r\n\r\r\n\n"))
	b.modem.Noise(make([]byte, 10000))
	lines, err := b.do(t, "+CSQ", 0)
	require.NoError(t, err)
	require.Equal(t, []string{"20,99"}, lines)
	require.Equal(t, []string{"\uFFFD~garbage\uFFFD"}, b.unsolicited())
}

// TestLateAnswerNeverAnswersTheNextCommand: the answer to a command that
// timed out comes while the next one is waiting.
func TestLateAnswerNeverAnswersTheNextCommand(t *testing.T) {
	b := newBench(t, "generic")
	b.modem.Set("+SLOW", "+SLOW: late", "OK")
	b.modem.Hold("+SLOW")
	_, err := b.do(t, "+SLOW", 50*time.Millisecond)
	require.ErrorIs(t, err, at.ErrTimeout)
	got := make(chan []string, 1)
	go func() {
		lines, _ := b.conn.Do(context.Background(), at.Command{Text: "+CSQ"})
		got <- lines
	}()
	b.modem.Release()
	require.Equal(t, []string{"20,99"}, <-got)
	require.Empty(t, b.unsolicited(), "the late answer is nobody's")
}

// TestLateAnswerAfterManyMarkers: the modem sleeps through several markers and
// then answers all of them.
func TestLateAnswerAfterManyMarkers(t *testing.T) {
	for range 5 {
		b := newHasty(t)
		b.modem.Set("+SLOW", "+SLOW: late", "OK")
		b.modem.Hold("+SLOW")
		_, err := b.do(t, "+SLOW", 20*time.Millisecond)
		require.ErrorIs(t, err, at.ErrTimeout)
		waitFor(t, func() bool { return count(b.modem.Received(), "+CMEE?") >= 3 }) // one from the start, two unanswered
		b.modem.Release()
		for range 5 {
			lines, err := b.do(t, "+CSQ", 0)
			require.NoError(t, err)
			require.Equal(t, []string{"20,99"}, lines)
		}
		require.Empty(t, b.unsolicited())
		b.stopping()
	}
}

func TestModemWithoutMarkerIsKeptInStepBySilence(t *testing.T) {
	m, err := atfake.New(t.TempDir(), "generic")
	require.NoError(t, err)
	m.Set("+CMEE?", "ERROR")
	m.Set("+SLOW", "+SLOW: late", "OK")
	b := start(t, m, patient)
	m.Hold("+SLOW")
	_, err = b.do(t, "+SLOW", 20*time.Millisecond)
	require.ErrorIs(t, err, at.ErrTimeout)
	m.Release()
	lines, err := b.do(t, "+CSQ", 0)
	require.NoError(t, err)
	require.Equal(t, []string{"20,99"}, lines)
}

func TestCallerMayGiveUp(t *testing.T) {
	b := newBench(t, "generic")
	b.modem.Hold("+CPIN?")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { _, err := b.conn.Do(ctx, at.Command{Text: "+CPIN?"}); done <- err }()
	waitFor(t, func() bool { return count(b.modem.Received(), "+CPIN?") == 1 })
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	b.modem.Release()
	lines, err := b.do(t, "+CSQ", 0)
	require.NoError(t, err)
	require.Equal(t, []string{"20,99"}, lines)
}

func TestHungModemIsReported(t *testing.T) {
	b := newHasty(t)
	b.modem.Hang(true)
	_, err := b.do(t, "+CSQ", 50*time.Millisecond)
	require.ErrorIs(t, err, at.ErrTimeout)
	require.ErrorIs(t, b.next(t), at.ErrHung)
	_, err = b.do(t, "+CSQ", 0)
	require.ErrorIs(t, err, at.ErrNoPort)
	require.ErrorIs(t, err, at.ErrHung)
	b.modem.Hang(false)
	b.up(t)
	_, err = b.do(t, "+CSQ", 0)
	require.NoError(t, err)
}

func TestReopensAfterUnplug(t *testing.T) {
	b := newBench(t, "generic")
	b.modem.Unplug()
	require.ErrorIs(t, b.next(t), at.ErrLost)
	require.ErrorIs(t, b.next(t), os.ErrNotExist)
	_, err := b.do(t, "+CSQ", 0)
	require.ErrorIs(t, err, at.ErrNoPort)
	require.NoError(t, b.modem.Plug())
	b.up(t)
	lines, err := b.do(t, "+CSQ", 0)
	require.NoError(t, err)
	require.Equal(t, []string{"20,99"}, lines)
}

func TestPortHasOneOwner(t *testing.T) {
	b := newBench(t, "generic")
	_, err := at.OpenPort(b.modem.Path())
	require.ErrorIs(t, err, at.ErrBusy)
	_, err = b.do(t, "+CSQ", 0)
	require.NoError(t, err)
}

func TestCommandsAfterTheEnd(t *testing.T) {
	b := newBench(t, "generic")
	b.stopping()
	_, err := b.do(t, "+CSQ", 0)
	require.ErrorIs(t, err, at.ErrClosed)
}

func TestCommandsAreQueuedOneAtATime(t *testing.T) {
	b := newBench(t, "generic")
	var wg sync.WaitGroup
	for i := range 20 {
		b.modem.Set(fmt.Sprintf("+N%d?", i), fmt.Sprintf("+N%d: %d", i, i), "OK")
	}
	for i := range 20 {
		wg.Go(func() {
			lines, err := b.conn.Do(context.Background(), at.Command{Text: fmt.Sprintf("+N%d?", i)})
			require.NoError(t, err)
			require.Equal(t, []string{fmt.Sprint(i)}, lines)
		})
	}
	wg.Wait()
}

// TestUnplugInACommandLeaksNothing: 100 times in the middle of a command;
// goroutines and descriptors are counted.
func TestUnplugInACommandLeaksNothing(t *testing.T) {
	b := newBench(t, "generic")
	before, ignore := descriptors(t), goleak.IgnoreCurrent()
	for range 100 {
		seen := len(b.modem.Received())
		b.modem.Hold("+CPIN?")
		done := make(chan error, 1)
		go func() { _, err := b.conn.Do(context.Background(), at.Command{Text: "+CPIN?"}); done <- err }()
		waitFor(t, func() bool { return count(b.modem.Received()[seen:], "+CPIN?") == 1 })
		b.modem.Unplug()
		require.ErrorIs(t, <-done, at.ErrLost)
		require.NoError(t, b.modem.Plug())
		b.modem.Release()
		b.up(t)
	}
	_, err := b.do(t, "+CSQ", 0)
	require.NoError(t, err)
	require.Equal(t, before, descriptors(t), "descriptors")
	b.stopping()
	goleak.VerifyNone(t, ignore)
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(d)
}

func count(in []string, what string) int {
	n := 0
	for _, s := range in {
		if s == what {
			n++
		}
	}
	return n
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, limit, time.Millisecond)
}
