package mmfake

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"
)

const busName = "org.freedesktop.DBus"

// guid names this bus in the handshake; any 32 hex digits do.
const guid = "72656d73696d6d6d66616b6500000001"

// queued is how many messages a client may leave unread before it is cut off,
// as a bus daemon does.
const queued = 8192

// bus is a message bus with one service on it: names, match rules and
// delivery as in the D-Bus specification, as far as a client of ModemManager
// uses them. It listens on a unix socket.
type bus struct {
	listener net.Listener
	serve    func(p *peer, m *dbus.Message) // a call to the service
	left     func(p *peer)

	tasks  sync.WaitGroup
	mu     sync.Mutex
	peers  map[*peer]bool
	owners map[string]string // well-known name -> unique name
	next   int
	shut   bool
}

// peer is one client.
type peer struct {
	name string // unique
	conn net.Conn
	out  chan []byte
	gone chan struct{}
	once sync.Once

	mu     sync.Mutex
	rules  []map[string]string
	serial uint32
}

func (b *bus) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		p := &peer{conn: conn, out: make(chan []byte, queued), gone: make(chan struct{})}
		b.mu.Lock()
		if b.shut {
			b.mu.Unlock()
			_ = conn.Close()
			return
		}
		b.next++
		p.name = fmt.Sprintf(":1.%d", b.next)
		b.peers[p] = true
		b.tasks.Go(func() { p.write() })
		b.tasks.Go(func() { b.read(p) })
		b.mu.Unlock()
	}
}

// own gives a well-known name to a new unique one and returns that.
func (b *bus) own(name string) string {
	b.mu.Lock()
	b.next++
	unique := fmt.Sprintf(":1.%d", b.next)
	b.owners[name] = unique
	b.mu.Unlock()
	b.broadcast(busName, "/org/freedesktop/DBus", busName, "NameOwnerChanged", name, "", unique)
	return unique
}

// disown is own's end.
func (b *bus) disown(name string) {
	b.mu.Lock()
	unique := b.owners[name]
	delete(b.owners, name)
	b.mu.Unlock()
	b.broadcast(busName, "/org/freedesktop/DBus", busName, "NameOwnerChanged", name, unique, "")
}

func (b *bus) owner(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.owners[name]
}

func (b *bus) close() {
	b.mu.Lock()
	b.shut = true
	_ = b.listener.Close()
	for p := range b.peers {
		p.hangUp()
	}
	b.mu.Unlock()
	b.tasks.Wait()
}

func (p *peer) hangUp() {
	p.once.Do(func() {
		close(p.gone)
		_ = p.conn.Close()
	})
}

func (p *peer) write() {
	for {
		select {
		case b := <-p.out:
			if _, err := p.conn.Write(b); err != nil {
				p.hangUp()
				return
			}
		case <-p.gone:
			return
		}
	}
}

func (b *bus) read(p *peer) {
	defer func() {
		p.hangUp()
		b.mu.Lock()
		delete(b.peers, p)
		b.mu.Unlock()
		b.left(p)
	}()
	in := bufio.NewReader(p.conn)
	if handshake(in, p.conn) != nil {
		return
	}
	for {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		if m.Type != dbus.TypeMethodCall {
			continue
		}
		if dest, _ := m.Headers[dbus.FieldDestination].Value().(string); dest == busName {
			b.daemon(p, m)
		} else {
			b.serve(p, m)
		}
	}
}

// handshake is the server's side of authentication by EXTERNAL; the socket's
// permissions are what protects the fake.
func handshake(in *bufio.Reader, conn net.Conn) error {
	if _, err := in.ReadByte(); err != nil { // the NUL that carries credentials
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		words := strings.Fields(line)
		reply := "ERROR\r\n"
		switch {
		case len(words) == 0:
		case words[0] == "BEGIN":
			return nil
		case words[0] == "AUTH" && len(words) == 1:
			reply = "REJECTED EXTERNAL\r\n"
		case words[0] == "AUTH" && words[1] == "EXTERNAL" && len(words) == 2:
			reply = "DATA\r\n"
		case words[0] == "AUTH" && words[1] == "EXTERNAL", words[0] == "DATA":
			if _, err := hex.DecodeString(words[len(words)-1]); err == nil || words[0] == "DATA" {
				reply = "OK " + guid + "\r\n"
			}
		}
		if _, err := conn.Write([]byte(reply)); err != nil {
			return err
		}
	}
}

// daemon answers a call to the bus itself.
func (b *bus) daemon(p *peer, m *dbus.Message) {
	arg := ""
	if len(m.Body) > 0 {
		arg, _ = m.Body[0].(string)
	}
	owner := b.owner(arg)
	switch member(m) {
	case "Hello":
		p.reply(m, busName, p.name)
		p.signal(busName, "/org/freedesktop/DBus", busName, "NameAcquired", p.name)
	case "AddMatch":
		p.mu.Lock()
		p.rules = append(p.rules, parseRule(arg))
		p.mu.Unlock()
		p.reply(m, busName)
	case "RemoveMatch":
		rule := parseRule(arg)
		p.mu.Lock()
		p.rules = slices.DeleteFunc(p.rules, func(r map[string]string) bool { return fmt.Sprint(r) == fmt.Sprint(rule) })
		p.mu.Unlock()
		p.reply(m, busName)
	case "GetNameOwner":
		if owner == "" {
			p.fail(m, busName, busName+".Error.NameHasNoOwner", fmt.Sprintf("Could not get owner of name '%s': no such name", arg))
			return
		}
		p.reply(m, busName, owner)
	case "NameHasOwner":
		p.reply(m, busName, owner != "")
	case "StartServiceByName":
		if owner == "" {
			p.fail(m, busName, busName+".Error.ServiceUnknown", "The name "+arg+" was not provided by any .service files")
			return
		}
		p.reply(m, busName, uint32(2)) // already running
	default:
		p.fail(m, busName, busName+".Error.UnknownMethod", member(m))
	}
}

// broadcast sends a signal to every client with a rule that it matches.
func (b *bus) broadcast(sender, path, iface, name string, body ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.peers {
		p.mu.Lock()
		wanted := slices.ContainsFunc(p.rules, func(r map[string]string) bool { return matches(r, b.owners, sender, path, iface, name, body) })
		p.mu.Unlock()
		if wanted {
			p.signal(sender, path, iface, name, body...)
		}
	}
}

// parseRule splits "type='signal',sender='x'".
func parseRule(s string) map[string]string {
	rule := map[string]string{}
	for part := range strings.SplitSeq(s, ",") {
		if key, value, ok := strings.Cut(part, "="); ok {
			rule[key] = strings.Trim(value, "'")
		}
	}
	return rule
}

func matches(rule, owners map[string]string, sender, path, iface, name string, body []any) bool {
	for key, want := range rule {
		switch key {
		case "type":
			if want != "signal" {
				return false
			}
		case "sender":
			if want != sender && owners[want] != sender {
				return false
			}
		case "interface":
			if want != iface {
				return false
			}
		case "member":
			if want != name {
				return false
			}
		case "path":
			if want != path {
				return false
			}
		case "path_namespace":
			if path != want && !strings.HasPrefix(path, want+"/") {
				return false
			}
		case "arg0":
			if len(body) == 0 || body[0] != want {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func member(m *dbus.Message) string {
	s, _ := m.Headers[dbus.FieldMember].Value().(string)
	return s
}

func (p *peer) reply(to *dbus.Message, sender string, body ...any) {
	if to.Flags&dbus.FlagNoReplyExpected != 0 {
		return
	}
	p.send(dbus.TypeMethodReply, sender, map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(to.Serial())}, body)
}

func (p *peer) fail(to *dbus.Message, sender, name, text string) {
	p.send(dbus.TypeError, sender, map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(to.Serial()), dbus.FieldErrorName: dbus.MakeVariant(name),
	}, []any{text})
}

func (p *peer) signal(sender, path, iface, name string, body ...any) {
	p.send(dbus.TypeSignal, sender, map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(path)), dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(name),
	}, body)
}

// send queues a message. godbus keeps a message's serial to itself, so it is
// written into the encoded header (bytes 8 to 11).
func (p *peer) send(kind dbus.Type, sender string, headers map[dbus.HeaderField]dbus.Variant, body []any) {
	headers[dbus.FieldSender] = dbus.MakeVariant(sender)
	headers[dbus.FieldDestination] = dbus.MakeVariant(p.name)
	if len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	if kind == dbus.TypeSignal {
		delete(headers, dbus.FieldDestination) // a signal is for everybody
	}
	m := &dbus.Message{Type: kind, Flags: dbus.FlagNoReplyExpected, Headers: headers, Body: body}
	var buf bytes.Buffer
	if err := m.EncodeTo(&buf, binary.LittleEndian); err != nil {
		panic(fmt.Sprintf("mmfake cannot say %v: %v", headers, err)) // a body of ours that D-Bus has no type for
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serial++
	binary.LittleEndian.PutUint32(buf.Bytes()[8:], p.serial)
	select {
	case p.out <- buf.Bytes():
	default:
		p.hangUp() // it does not read
	}
}
