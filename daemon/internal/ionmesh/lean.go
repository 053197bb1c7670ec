package ionmesh

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/terminills/remsim-openwrt/daemon/internal/lease"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/peertls"
)

// metricsEvery is how many beats carry no metrics frame after one that did.
const metricsEvery = 12

// leanConn is one connection for lean beats. Run's goroutine beats on it, a
// goroutine of its own reads.
type leanConn struct {
	nc      net.Conn
	rd      io.Reader
	where   string
	timeout time.Duration
	members []model.MeshMember // by index, as in the hello
	renew   time.Time          // make it anew then
	acks    chan LeanDown
	orders  func(job)
	done    chan struct{} // closed when reading has ended
	fault   *Fault        // why; read it after done

	writing sync.Mutex

	mu    sync.Mutex
	asked []lease.Answer // by member: the last request whose answer has come

	// Below: only the goroutine that beats.
	sequence uint16
	counted  []Stats // by member, as the orchestrator has them from beats
	metered  []Stats // likewise, from metrics
	quiet    []int   // beats until the next metrics
}

// openLean connects and says who will beat.
func (r *rest) openLean(ctx context.Context, members []model.MeshMember, hello LeanHello, asked []lease.Answer, orders func(job)) (*leanConn, LeanText, *Fault) {
	p, base := r.current()
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	key, err := readKey(p.KeyFile)
	if err != nil {
		return nil, LeanText{}, faultf(model.MeshKeyFile, err, "API key: %v", err)
	}
	nc, err := r.connect(ctx, "", "")
	if err != nil {
		return nil, LeanText{}, exchangeFault(ctx, address(base), err, r.now(), p.Timeout)
	}
	l := &leanConn{
		nc: nc, where: address(base), timeout: p.Timeout, members: members, orders: orders, asked: asked,
		acks: make(chan LeanDown, 1), done: make(chan struct{}), quiet: make([]int, len(members)),
	}
	for _, c := range hello.Clients {
		l.counted, l.metered = append(l.counted, c.Stats), append(l.metered, c.Stats)
	}
	u := *base
	u.Path = u.Path + apiPath + "lean-beat"
	answer, fault := l.greet(ctx, r, ws.Dialer{Protocols: []string{LeanProtocol}, Header: keyHeader(key)}, &u, hello)
	if fault != nil {
		_ = nc.Close()
		return nil, answer, fault
	}
	return l, answer, nil
}

func keyHeader(key string) ws.HandshakeHeader {
	h := http.Header{}
	if key != "" {
		h.Set("X-API-Key", key)
	}
	return ws.HandshakeHeaderHTTP(h)
}

// read gives the next frame that is not of the protocol itself.
func (l *leanConn) read() (ws.OpCode, []byte, *Fault) {
	for {
		h, err := ws.ReadHeader(l.rd)
		if err != nil {
			return 0, nil, l.ended(err)
		}
		if h.Length > leanTextMax || !h.Fin || h.Masked || h.Rsv != 0 {
			return 0, nil, faultf(model.MeshBadAnswer, nil, "%s sent a frame that does not belong on a lean connection", l.where)
		}
		b := make([]byte, h.Length)
		if _, err := io.ReadFull(l.rd, b); err != nil {
			return 0, nil, l.ended(err)
		}
		switch h.OpCode {
		case ws.OpBinary, ws.OpText:
			return h.OpCode, b, nil
		case ws.OpPing: // a proxy's; we send none
			if err := l.write(ws.NewPongFrame(b)); err != nil {
				return 0, nil, l.ended(err)
			}
		case ws.OpPong:
		case ws.OpClose:
			return 0, nil, faultf(model.PeerClosed, nil, "%s closed the lean connection", l.where)
		default:
			return 0, nil, faultf(model.MeshBadAnswer, nil, "%s sent a frame that does not belong on a lean connection", l.where)
		}
	}
}

func (l *leanConn) ended(err error) *Fault {
	return exchangeFault(context.Background(), l.where, err, time.Now(), l.timeout)
}

// write sends frames in one piece.
func (l *leanConn) write(frames ...ws.Frame) error {
	var b []byte
	for _, f := range frames {
		c, err := ws.CompileFrame(ws.MaskFrameInPlace(f)) // RFC 6455 §5.3: a client masks
		if err != nil {
			return err
		}
		b = append(b, c...)
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	_ = l.nc.SetWriteDeadline(time.Now().Add(l.timeout))
	_, err := l.nc.Write(b)
	return err
}

// headLimit bounds the answer to the upgrade.
const headLimit = 16 << 10

// greet upgrades the connection, says hello and waits for the answer.
func (l *leanConn) greet(ctx context.Context, r *rest, d ws.Dialer, u *url.URL, hello LeanHello) (answer LeanText, fault *Fault) {
	end, _ := ctx.Deadline()
	_ = l.nc.SetDeadline(end)
	stop := context.AfterFunc(ctx, func() { _ = l.nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	limited := struct {
		io.Reader
		io.Writer
	}{io.LimitReader(l.nc, headLimit), l.nc}
	br, _, err := d.Upgrade(limited, u)
	var status ws.StatusError
	switch {
	case errors.As(err, &status):
		f := faultf(model.MeshBadAnswer, err, "%s has no lean beat (%d: %s)", l.where, int(status), http.StatusText(int(status)))
		f.Status = int(status)
		return answer, f
	case err != nil && (peertls.IsTimeout(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || peertls.Alert(err) != ""):
		return answer, exchangeFault(ctx, l.where, err, r.now(), l.timeout)
	case err != nil:
		return answer, faultf(model.MeshBadAnswer, err, "%s has no lean beat: %s", l.where, printable(err.Error(), 100))
	}
	l.rd = l.nc
	if br != nil { // what came with the answer
		ahead, _ := br.Peek(br.Buffered())
		l.rd = io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), l.nc)
	}
	l.rd = bufio.NewReaderSize(l.rd, 512)
	b, _ := json.Marshal(hello) // plain values
	if err := l.write(ws.NewTextFrame(b)); err != nil {
		return answer, l.ended(err)
	}
	op, b, fault := l.read()
	if fault != nil {
		return answer, fault
	}
	answer, err = DecodeLeanText(b)
	if op != ws.OpText || err != nil || answer.Status != "ok" {
		return answer, faultf(model.MeshBadAnswer, err, "%s does not take the hello of a lean connection: %s", l.where, printable(answer.Message, 100))
	}
	_ = l.nc.SetDeadline(time.Time{})
	return answer, nil
}

// serve reads until the connection ends.
func (l *leanConn) serve() {
	defer close(l.done)
	for {
		op, b, fault := l.read()
		if fault == nil && op == ws.OpBinary {
			fault = l.answered(b)
		} else if fault == nil {
			fault = l.ordered(b)
		}
		if fault != nil {
			l.fault = fault
			_ = l.nc.Close()
			return
		}
	}
}

func (l *leanConn) answered(b []byte) *Fault {
	d, err := DecodeLeanDown(b)
	if err != nil || int(d.Member) >= len(l.members) {
		return faultf(model.MeshBadAnswer, err, "%s sent an answer that cannot be read", l.where)
	}
	select {
	case l.acks <- d:
	default: // nobody waits: an answer that came too late
	}
	return nil
}

func (l *leanConn) ordered(b []byte) *Fault {
	t, err := DecodeLeanText(b)
	if err != nil || len(t.Command) == 0 {
		return faultf(model.MeshBadAnswer, err, "%s sent a text that is no command", l.where)
	}
	o, err := DecodeOrder(t.Command)
	if err != nil {
		return faultf(model.MeshBadAnswer, err, "%s: %v", l.where, err)
	}
	for i, m := range l.members {
		if m.ClientID != t.ClientID {
			continue
		}
		l.mu.Lock()
		asked := l.asked[i]
		l.mu.Unlock()
		l.orders(job{member: m, order: o, asked: asked})
		return nil
	}
	return faultf(model.MeshBadAnswer, nil, "%s sent a command for a client that is not here", l.where)
}

// beat sends one beat and waits for its answer.
func (l *leanConn) beat(ctx context.Context, member int, epoch int64, status string, s Stats, asked lease.Answer) (LeanDown, *Fault) {
	l.sequence++
	old := l.counted[member]
	up := LeanUp{
		Member: uint8(member), Status: statusByte(status), Sequence: l.sequence, Epoch: epoch, RSSI: s.RSSI, RSRP: s.RSRP,
		Sent: grown(old.Sent, s.Sent), Received: grown(old.Received, s.Received), Errors: grown(old.Errors, s.Errors),
	}
	frames := []ws.Frame{ws.NewBinaryFrame(up.Append(nil))}
	if l.quiet[member]--; l.quiet[member] < 0 {
		if m := (LeanMetrics{Member: up.Member, Delta: s.since(l.metered[member])}); m.Delta.DataRx|m.Delta.DataTx != 0 {
			frames = append(frames, ws.NewBinaryFrame(m.Append(nil)))
			l.quiet[member], l.metered[member] = metricsEvery, s
		}
	}
	select {
	case <-l.acks: // of a beat that was given up
	default:
	}
	if err := l.write(frames...); err != nil {
		return LeanDown{}, l.ended(err)
	}
	wait := time.NewTimer(l.timeout)
	defer wait.Stop()
	for {
		select {
		case d := <-l.acks:
			if d.Sequence != l.sequence {
				continue
			}
			l.counted[member] = s
			l.mu.Lock()
			l.asked[member] = asked
			l.mu.Unlock()
			return d, nil
		case <-l.done:
			return LeanDown{}, l.fault
		case <-ctx.Done():
			return LeanDown{}, exchangeFault(ctx, l.where, ctx.Err(), time.Now(), l.timeout)
		case <-wait.C:
			return LeanDown{}, faultf(model.MeshTimeout, nil, "%s did not answer a lean beat within %v", l.where, l.timeout)
		}
	}
}

// grown is how much a counter has grown, as far as a beat can tell.
func grown(from, to int64) uint32 { return uint32(min(1<<32-1, max(0, to-from))) }

// since is the change from an earlier reading of what beats do not tell.
func (s Stats) since(old Stats) Stats {
	return Stats{Uptime: s.Uptime - old.Uptime, DataRx: s.DataRx - old.DataRx, DataTx: s.DataTx - old.DataTx}
}

// result tells what came of a command.
func (l *leanConn) result(client string, res Result) *Fault {
	b, err := json.Marshal(LeanText{ClientID: client, Result: &res})
	if err == nil {
		err = l.write(ws.NewTextFrame(b))
	}
	if err != nil {
		return l.ended(err)
	}
	return nil
}

// close ends the connection in order and waits for its reader.
func (l *leanConn) close() {
	_ = l.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "")))
	_ = l.nc.Close()
	<-l.done
}
