package uimremote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Time limits of the link.
const (
	dialTimeout = 5 * time.Second
	// openTimeout: a proxy that does not have the port open yet opens it first, with
	// 10 s of its own.
	openTimeout = 15 * time.Second
	// proxyOpenSeconds is what mbim-proxy is told for the same.
	proxyOpenSeconds = 10
	controlTimeout   = 5 * time.Second
	// writeTimeout: the proxies always read, so a write that blocks means one hangs.
	writeTimeout = 2 * time.Second
)

// link carries QMI messages through a proxy. One goroutine may receive while others,
// one at a time, send.
type link struct {
	transport Transport
	device    string
	conn      net.Conn
	tx, inner []byte // message being sent, and the QMI inside it
	qmi       qmuxReader
	mbim      mbimReader
	mbimTxn   uint32
	ctlTxn    uint8
	// limit bounds one write, writeTimeout but in tests.
	limit time.Duration
	// skipped counts messages that were received and could not be read.
	skipped atomic.Uint64
}

// connect connects to the proxy and has it open the device.
func (o Options) connect(ctx context.Context, device string) (*link, error) {
	device, err := o.port(device)
	if err != nil {
		return nil, err
	}
	t, err := o.transport(device)
	if err != nil {
		return nil, err
	}
	address := o.QMIProxy
	if t == MBIMProxy {
		address = o.MBIMProxy
	}
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := o.Dial(dctx, "unix", address)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return nil, fmt.Errorf("%w: %s does not run; ModemManager starts it when it drives the modem: %w", ErrProxyGone, t, err)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t, err)
	}
	l := &link{transport: t, device: device, conn: conn, limit: o.timing.write}
	l.qmi.r, l.mbim.r = conn, conn
	if t == QMIProxy {
		err = l.openQMI(ctx, device)
	} else {
		err = l.openMBIM(ctx, device)
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("have %s open %s: %w", t, device, err)
	}
	return l, nil
}

// close ends the connection; the receiver sees it.
func (l *link) close() { _ = l.conn.Close() } // nobody can use the error

// openQMI names the device to qmi-proxy.
func (l *link) openQMI(ctx context.Context, device string) error {
	_, err := l.control(ctx, ctlProxyOpen, appendTLV(nil, tlvControl, []byte(device)...), openTimeout)
	return err
}

// openMBIM names the device to mbim-proxy, opens it in MBIM's sense (which the proxy
// answers by itself) and asks for QMI indications. Whether the modem agreed to that
// list does not matter: the proxy passes on what it gets.
func (l *link) openMBIM(ctx context.Context, device string) error {
	steps := []struct {
		what   string
		m      mbimMessage
		answer uint32
	}{
		{"configure the proxy", mbimMessage{typ: mbimCommand, service: uuidProxyControl, cid: cidProxyConfig, code: mbimSet, info: proxyConfig(device, proxyOpenSeconds)}, mbimDone},
		{"open", mbimMessage{typ: mbimOpen, code: mbimTransfer}, mbimOpenDone},
		{"subscribe to QMI", mbimMessage{typ: mbimCommand, service: uuidBasicConnect, cid: cidSubscribeList, code: mbimSet, info: subscribeQMI()}, mbimDone},
	}
	for _, s := range steps {
		status, err := l.askMBIM(ctx, s.m, s.answer)
		if err == nil && status != 0 && s.m.cid != cidSubscribeList {
			err = fmt.Errorf("MBIM status %d", status)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// askMBIM sends one MBIM message and waits for the status of its answer.
func (l *link) askMBIM(ctx context.Context, m mbimMessage, answer uint32) (uint32, error) {
	l.mbimTxn++
	m.txn = l.mbimTxn
	if err := l.write(m.appendTo(l.tx[:0])); err != nil {
		return 0, err
	}
	defer l.waitUntil(ctx, openTimeout)()
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		b, err := l.mbim.next()
		if err != nil {
			return 0, gone(ctx, err)
		}
		got, err := parseMBIM(b)
		switch {
		case err != nil:
			l.skipped.Add(1)
		case got.txn == m.txn && got.typ == mbimFunction:
			return 0, fmt.Errorf("MBIM function error %d", got.code)
		case got.txn == m.txn && got.typ == answer:
			return got.code, nil
		}
	}
}

// control asks the control service and waits for its answer. Only while nobody else
// receives.
func (l *link) control(ctx context.Context, id uint16, tlvs []byte, limit time.Duration) (message, error) {
	txn := l.nextControl()
	if err := l.send(message{service: serviceCTL, txn: txn, id: id, tlvs: tlvs}); err != nil {
		return message{}, err
	}
	defer l.waitUntil(ctx, limit)()
	for {
		if err := ctx.Err(); err != nil {
			return message{}, err
		}
		m, err := l.receive()
		if err != nil {
			return message{}, gone(ctx, err)
		}
		if m.service == serviceCTL && m.kind() == response && m.txn == txn && m.id == id {
			return m, m.result()
		}
	}
}

// nextControl gives the next transaction of the control service, 1..255.
func (l *link) nextControl() uint16 {
	l.ctlTxn++
	if l.ctlTxn == 0 {
		l.ctlTxn = 1
	}
	return uint16(l.ctlTxn)
}

// waitUntil bounds the reads that follow, by limit and by ctx; what it returns ends
// that.
func (l *link) waitUntil(ctx context.Context, limit time.Duration) func() {
	_ = l.conn.SetReadDeadline(time.Now().Add(limit)) // fails only if the read will too
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = l.conn.SetReadDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done // or the deadline would hit whoever reads next: the farewell
		}
		_ = l.conn.SetReadDeadline(time.Time{})
	}
}

// ErrProxyGone: there is no way to the modem's control port, for the proxy has ended or
// has closed it.
var ErrProxyGone = errors.New("no proxy")

// gone words the end of a read.
func gone(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%w: the proxy closed the connection: %w", ErrProxyGone, io.ErrUnexpectedEOF)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer in time: %w", err)
	}
	return err
}

// send sends one QMI message.
func (l *link) send(m message) error {
	if l.transport == QMIProxy {
		return l.write(m.appendTo(l.tx[:0]))
	}
	l.mbimTxn++
	l.inner = m.appendTo(l.inner[:0])
	defer clear(l.inner)
	c := mbimMessage{typ: mbimCommand, txn: l.mbimTxn, service: uuidQMI, cid: cidQMI, code: mbimSet, info: l.inner}
	return l.write(c.appendTo(l.tx[:0]))
}

func (l *link) write(b []byte) error {
	l.tx = b
	err := l.conn.SetWriteDeadline(time.Now().Add(l.limit))
	if err == nil {
		_, err = l.conn.Write(b)
	}
	clear(b) // answers of AUTHENTICATE pass here
	if err != nil {
		return fmt.Errorf("write to %s: %w", l.transport, err)
	}
	return nil
}

// receive waits for one QMI message, which is valid for ever. Messages that cannot be
// read are counted and skipped; a stream whose framing is lost ends.
func (l *link) receive() (message, error) {
	for {
		b, err := l.receiveFrame()
		if err != nil {
			return message{}, err
		}
		if b == nil {
			continue // MBIM that is no QMI
		}
		m, err := parseQMUX(b)
		if err != nil {
			l.skipped.Add(1)
			continue
		}
		m.tlvs = append([]byte(nil), m.tlvs...)
		return m, nil
	}
}

// errPassthrough: the modem speaks MBIM but takes no QMI through it.
var errPassthrough = errors.New("the modem does not take QMI over MBIM")

// receiveFrame gives the bytes of the next QMUX frame, or nil for a message that
// carries none.
func (l *link) receiveFrame() ([]byte, error) {
	if l.transport == QMIProxy {
		return l.qmi.next()
	}
	b, err := l.mbim.next()
	if err != nil {
		return nil, err
	}
	m, err := parseMBIM(b)
	switch {
	case err != nil:
		l.skipped.Add(1)
		return nil, nil
	case m.typ == mbimFunction:
		return nil, fmt.Errorf("MBIM function error %d", m.code)
	case m.service != uuidQMI || m.typ != mbimDone && m.typ != mbimIndication:
		return nil, nil
	case m.typ == mbimDone && m.code != 0:
		return nil, fmt.Errorf("%w: MBIM status %d", errPassthrough, m.code)
	case len(m.info) == 0:
		return nil, nil
	}
	return m.info, nil
}
