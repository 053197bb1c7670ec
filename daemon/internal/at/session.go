package at

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// session is one life of the port: from open to lost.
type session struct {
	c     *Conn
	port  Port
	lines chan string
	stop  chan struct{}
	wait  sync.WaitGroup
	lost  chan error // the reader's end, once

	sent      []string // what may be echoed
	abandoned *Command // timed out; its late answer is dropped
	owed      int      // answers to sync that never came: dropped when they do
	skipFinal bool     // the final of an owed answer comes next
	noMarker  bool     // the modem does not know +CMEE?
	marked    bool     // it has answered +CMEE? before
}

// marker is the command whose answer cannot be taken for another's: nobody
// else may send it (TS 27.007 §9.1).
const (
	marker       = "+CMEE?"
	markerPrefix = "+CMEE:"
)

func newSession(c *Conn, port Port) *session {
	s := &session{c: c, port: port, lines: make(chan string, 64), stop: make(chan struct{}), lost: make(chan error, 1)}
	s.wait.Add(1)
	go s.read()
	return s
}

// close ends the reader and waits for it.
func (s *session) close() {
	close(s.stop)
	_ = s.port.Close() // of a port that is gone: it says so, and we know
	s.wait.Wait()
}

func (s *session) read() {
	defer s.wait.Done()
	var sp splitter
	buf := make([]byte, 2048)
	for {
		n, err := s.port.Read(buf)
		sp.push(buf[:n], func(line string) {
			select {
			case s.lines <- line:
			case <-s.stop:
			}
		})
		if err != nil {
			s.lost <- err
			return
		}
	}
}

// setup gets into step with a port that may still be answering somebody
// else's command, and switches echo off and numeric errors on.
func (s *session) setup(ctx context.Context) error {
	if err := s.resync(ctx); err != nil {
		return err
	}
	for _, text := range []string{"E0", "+CMEE=1"} {
		_, err := s.exchange(ctx, ctx, Command{Text: text, Timeout: s.c.opt.SyncWait})
		var e *Error
		switch {
		case err == nil, errors.As(err, &e): // a modem that refuses works all the same
		case errors.Is(err, ErrTimeout):
			if err := s.resync(ctx); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

// serve runs commands and hands out unsolicited lines until the port is lost.
func (s *session) serve(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.lost:
			return lostError(err)
		case line := <-s.lines:
			s.stray(line)
		case r := <-s.c.queue:
			if err := s.run(ctx, r); err != nil {
				return err
			}
		}
	}
}

// run carries out one request. An error means that the session is over.
func (s *session) run(ctx context.Context, r *request) error {
	if err := r.ctx.Err(); err != nil {
		r.reply <- result{err: err}
		return nil
	}
	lines, err := s.exchange(ctx, r.ctx, r.cmd)
	r.reply <- result{lines: lines, err: err}
	switch {
	case errors.Is(err, ErrLost), errors.Is(err, ErrHung):
		return err
	case errors.Is(err, ErrTimeout), gaveUp(err):
		s.abandoned = &r.cmd
		return s.resync(ctx)
	}
	return nil
}

// exchange sends a command and collects its answer.
func (s *session) exchange(ctx, caller context.Context, cmd Command) ([]string, error) {
	if err := s.send("AT" + cmd.Text); err != nil {
		return nil, err
	}
	limit := time.NewTimer(orDefault(cmd.Timeout, DefaultTimeout))
	defer limit.Stop()
	lines := []string{}
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrClosed, ctx.Err())
		case <-caller.Done():
			return nil, caller.Err()
		case err := <-s.lost:
			return nil, lostError(err)
		case <-limit.C:
			return nil, ErrTimeout
		case line := <-s.lines:
			if s.echo(line) || s.owedAnswer(line) {
				continue
			}
			if ended, err := final(line); ended {
				return lines, err
			}
			if text, ok := cmd.answers(line); ok {
				lines = append(lines, text)
			} else {
				s.c.unsolicited(line)
			}
		}
	}
}

// send writes one command line under the watchdog.
func (s *session) send(text string) error {
	s.sent = append(s.sent, text)
	if len(s.sent) > 8 {
		s.sent = slices.Delete(s.sent, 0, len(s.sent)-8)
	}
	// Ports without deadlines are those of tests, which do not hang.
	_ = s.port.SetWriteDeadline(time.Now().Add(writeLimit))
	if _, err := s.port.Write([]byte(text + "\r")); err != nil {
		if isTimeout(err) {
			return fmt.Errorf("%w: it takes no more bytes", ErrHung)
		}
		return lostError(err)
	}
	return nil
}

// echo tells whether a line is our own command coming back (ATE1).
func (s *session) echo(line string) bool {
	return slices.Contains(s.sent, line)
}

// owedAnswer drops a late answer to an earlier marker, with its final result.
func (s *session) owedAnswer(line string) bool {
	if s.owed == 0 {
		return false
	}
	if strings.HasPrefix(line, markerPrefix) {
		s.skipFinal = true
		return true
	}
	if ended, _ := final(line); ended && s.skipFinal {
		s.owed, s.skipFinal = s.owed-1, false
		return true
	}
	return false
}

// stray handles a line that no command waits for.
func (s *session) stray(line string) {
	if s.echo(line) || s.owedAnswer(line) {
		return
	}
	if ended, _ := final(line); ended {
		return // of a command that somebody else gave up
	}
	if a := s.abandoned; a != nil {
		if _, late := a.answers(line); late {
			return
		}
	}
	s.c.unsolicited(line)
}

// resync brings the port back into step after a timeout, so that the late
// answer never answers the next command. A modem answers commands in order,
// so everything before the answer to the marker belongs to the past. A modem
// may also have swallowed a marker while it was busy: then the marker is sent
// again, and each marker that stays unanswered is owed.
func (s *session) resync(ctx context.Context) error {
	if s.noMarker {
		return s.resyncBySilence(ctx)
	}
	pending := 0
	for range syncTries {
		// The lone CR ends a half command that was left in the modem's buffer.
		if err := s.send("\rAT" + marker); err != nil {
			return err
		}
		s.sent[len(s.sent)-1] = "AT" + marker
		pending++
		answered, refused, err := s.awaitMarker(ctx, &pending)
		if err != nil {
			return err
		}
		if answered {
			s.abandoned, s.owed, s.marked = nil, s.owed+pending, true
			return nil
		}
		if refused {
			s.noMarker, s.owed = true, s.owed+pending
			return s.resyncBySilence(ctx)
		}
	}
	return ErrHung
}

// awaitMarker reads until the marker is answered and the port is silent, or
// nothing comes in time. refused: a modem that never answered the marker sent
// plain errors and then nothing, so it may not know it.
func (s *session) awaitMarker(ctx context.Context, pending *int) (answered, refused bool, err error) {
	limit := time.NewTimer(s.c.opt.SyncWait)
	defer limit.Stop()
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	seen := false // the marker's line, its final result is next
	for {
		select {
		case <-ctx.Done():
			return false, false, fmt.Errorf("%w: %w", ErrClosed, ctx.Err())
		case err := <-s.lost:
			return false, false, lostError(err)
		case <-limit.C:
			return answered, refused && !answered, nil
		case <-quiet.C:
			return answered, !answered, nil
		case line := <-s.lines:
			ended, ferr := final(line)
			switch {
			case strings.HasPrefix(line, markerPrefix):
				seen = true
			case ended && seen:
				seen, answered, *pending = false, true, *pending-1
				if *pending == 0 && s.marked {
					return true, false, nil
				}
				// The first one of a session may belong to the port's last owner,
				// who asked the same: ours is still to come then.
				*pending = max(*pending, 0)
				quiet.Reset(s.c.opt.Quiet)
			case ended && !s.marked && !answered && unsupported(ferr):
				refused = true
				quiet.Reset(5 * s.c.opt.Quiet)
			case ended:
				// a late one
			default:
				s.stray(line)
			}
		}
	}
}

// resyncBySilence is for modems without the marker: it waits until the port
// has been silent, asks AT, takes one answer and waits for silence again. It
// is weaker: an answer that is later than the silence is taken for AT's.
func (s *session) resyncBySilence(ctx context.Context) error {
	for range syncTries {
		if _, err := s.silence(ctx); err != nil {
			return err
		}
		if err := s.send("AT"); err != nil {
			return err
		}
		ok, err := s.silence(ctx)
		if err != nil {
			return err
		}
		if ok {
			s.abandoned = nil
			return nil
		}
	}
	return ErrHung
}

// silence reads until nothing has come for five times Quiet; ok tells whether
// an OK was among it.
func (s *session) silence(ctx context.Context) (ok bool, err error) {
	limit := time.NewTimer(s.c.opt.SyncWait)
	defer limit.Stop()
	quiet := time.NewTimer(5 * s.c.opt.Quiet)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("%w: %w", ErrClosed, ctx.Err())
		case err := <-s.lost:
			return false, lostError(err)
		case <-limit.C:
			return ok, nil
		case <-quiet.C:
			return ok, nil
		case line := <-s.lines:
			ok = ok || line == "OK"
			s.stray(line)
			quiet.Reset(5 * s.c.opt.Quiet)
		}
	}
}

func lostError(err error) error { return fmt.Errorf("%w: %w", ErrLost, err) }

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
