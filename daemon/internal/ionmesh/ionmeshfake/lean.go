package ionmeshfake

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh"
)

// leanPeer is a router on a lean connection.
type leanPeer struct {
	conn    net.Conn
	rd      *bufio.ReadWriter
	clients []ionmesh.LeanClient

	writing sync.Mutex
}

func (p *leanPeer) index(id string) int {
	for i, c := range p.clients {
		if c.ClientID == id {
			return i
		}
	}
	return -1
}

func (p *leanPeer) write(f ws.Frame) {
	p.writing.Lock()
	defer p.writing.Unlock()
	_ = p.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	b, err := ws.CompileFrame(f)
	if err == nil {
		_, err = p.conn.Write(b)
	}
	if err != nil {
		_ = p.conn.Close()
	}
}

func (p *leanPeer) text(t ionmesh.LeanText) {
	b, _ := json.Marshal(t) // plain values
	p.write(ws.NewTextFrame(b))
}

// command sends one by a goroutine of its own: the caller holds the mutex, and the
// other side may want to be heard before it listens.
func (f *Fake) command(p *leanPeer, id string, c Command) {
	b, _ := json.Marshal(c) // plain values
	f.lives.Go(func() { p.text(ionmesh.LeanText{ClientID: id, Command: b}) })
}

// lean serves one lean connection until it ends.
func (f *Fake) lean(w http.ResponseWriter, r *http.Request) {
	up := ws.HTTPUpgrader{Protocol: func(s string) bool { return s == ionmesh.LeanProtocol }}
	conn, rw, _, err := up.Upgrade(r, w)
	if err != nil {
		return // it has been answered
	}
	f.lives.Add(1)
	defer f.lives.Done()
	p := &leanPeer{conn: conn, rd: rw}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Time{})
	if !f.hello(p) {
		return
	}
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.leans, p)
		f.change("a lean connection has ended")
	}()
	for {
		op, b, err := p.read()
		if err != nil || !f.leanFrame(p, op, b) {
			return
		}
	}
}

// read gives the next data frame.
func (p *leanPeer) read() (ws.OpCode, []byte, error) {
	for {
		h, err := ws.ReadHeader(p.rd)
		if err != nil {
			return 0, nil, err
		}
		if h.Length > 16<<10 || !h.Masked {
			return 0, nil, net.ErrClosed
		}
		b := make([]byte, h.Length)
		for n := 0; n < len(b); {
			k, err := p.rd.Read(b[n:])
			if err != nil {
				return 0, nil, err
			}
			n += k
		}
		ws.Cipher(b, h.Mask, 0)
		switch h.OpCode {
		case ws.OpBinary, ws.OpText:
			return h.OpCode, b, nil
		case ws.OpClose:
			return 0, nil, net.ErrClosed
		}
	}
}

// hello takes the first frame: who beats here.
func (f *Fake) hello(p *leanPeer) bool {
	op, b, err := p.read()
	var h ionmesh.LeanHello
	if err != nil || op != ws.OpText || json.Unmarshal(b, &h) != nil || len(h.Clients) == 0 {
		return false
	}
	p.clients = h.Clients
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for _, c := range h.Clients {
		if known := f.clients[c.ClientID]; known != nil {
			known.status, known.stats = c.Status, Stats(c.Stats)
		}
	}
	f.leans[p] = struct{}{}
	f.requests["hello"]++
	var late []func()
	for _, c := range h.Clients {
		if known := f.clients[c.ClientID]; known != nil {
			for _, cmd := range known.commands {
				late = append(late, func() { f.command(p, c.ClientID, cmd) })
			}
			known.commands = nil
		}
	}
	f.change("%s opened a lean connection", h.Clients[0].ClientID)
	p.text(ionmesh.LeanText{Status: "ok", ServerTime: &now})
	for _, send := range late {
		send()
	}
	return true
}

func (f *Fake) leanFrame(p *leanPeer, op ws.OpCode, b []byte) bool {
	if op == ws.OpText {
		t, err := ionmesh.DecodeLeanText(b)
		if err != nil || t.Result == nil {
			return false
		}
		r := Result{ClientID: t.ClientID, ID: t.Result.ID, Status: t.Result.Status, Message: t.Result.Message}
		if len(t.Result.Data) > 0 && json.Unmarshal(t.Result.Data, &r.Data) != nil {
			return false
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.resulted(r)
		return true
	}
	if len(b) > 0 && b[0] == 0x02 {
		return f.leanMetrics(p, b)
	}
	u, err := ionmesh.DecodeLeanUp(b)
	if err != nil || int(u.Member) >= len(p.clients) {
		return false
	}
	f.mu.Lock()
	d, fault, broken := f.leanBeat(p, u)
	f.mu.Unlock()
	if broken && (fault.Kind == Hang || fault.Kind == Lose) {
		return true
	}
	if broken && fault.Kind == Hangup {
		return false
	}
	d.Busy = broken
	p.write(ws.NewBinaryFrame(d.Append(nil)))
	return true
}

// leanBeat takes a beat. The mutex is held.
func (f *Fake) leanBeat(p *leanPeer, u ionmesh.LeanUp) (d ionmesh.LeanDown, fault Fault, broken bool) {
	f.requests["beat"]++
	fault, broken = f.nextFault("beat")
	d = ionmesh.LeanDown{Member: u.Member, Sequence: u.Sequence, Interval: f.opts.Interval}
	c := f.clients[p.clients[u.Member].ClientID]
	if c == nil {
		d.Unknown = true
		return d, fault, broken
	}
	if broken && fault.Kind != Lose {
		return d, fault, broken
	}
	c.beats++
	c.status = ionmesh.StatusName(u.Status)
	c.stats.RSSI, c.stats.RSRP = u.RSSI, u.RSRP
	c.stats.Sent += int64(u.Sent)
	c.stats.Received += int64(u.Received)
	c.stats.Errors += int64(u.Errors)
	if f.can("lease") && u.Epoch == c.epoch { // a beat under an old epoch renews nothing
		f.renew(c)
		d.HasLease, d.Lease = true, f.opts.Lease
		if c.revoked {
			d.Lease = 0
		}
	}
	f.change("%s beat (lean): %s", c.id, c.status)
	return d, fault, broken
}

func (f *Fake) leanMetrics(p *leanPeer, b []byte) bool {
	m, err := ionmesh.DecodeLeanMetrics(b)
	if err != nil || int(m.Member) >= len(p.clients) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests["metrics"]++
	if c := f.clients[p.clients[m.Member].ClientID]; c != nil {
		c.stats.Uptime += m.Delta.Uptime
		c.stats.DataRx += m.Delta.DataRx
		c.stats.DataTx += m.Delta.DataTx
	}
	return true
}
