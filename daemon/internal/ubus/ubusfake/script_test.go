package ubusfake_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// A script is a conversation between connections and a broker, one message a
// line:
//
//	a > TYPE [peer=…] [seq=…] attribute=value …   connection a sends
//	a < TYPE [peer=…] [seq=…] attribute=value …   connection a must get exactly this
//	a > RAW hex                                   bytes as they are
//	a < END                                       the broker hangs up
//	a < NOTHING                                   nothing is on its way (a ping overtakes nothing)
//	a > CLOSE                                     a hangs up
//
// A connection's first mention opens it and reads its HELLO; $a is its client
// id; the one called nobody belongs to that user. $name stands for an id: its first appearance binds it. Sequence numbers
// count from 1; an answer must have that of the last request of its connection
// unless seq= says otherwise, and is not checked for unasked messages, which
// name none. The user root stands for whoever runs the test.
type script struct {
	t      *testing.T
	socket string
	wires  map[string]*wire
	ids    map[string]uint32
}

type wire struct {
	nc  net.Conn
	rd  *ubus.Reader
	seq uint16
}

var typeNames = []string{"HELLO", "STATUS", "DATA", "PING", "LOOKUP", "INVOKE", "ADD_OBJECT", "REMOVE_OBJECT",
	"SUBSCRIBE", "UNSUBSCRIBE", "NOTIFY", "MONITOR"}

var attrNames = []string{"?", "status", "path", "obj", "method", "type", "sig", "data", "target", "active", "noreply",
	"subscribers", "user", "group"}

func runScript(t *testing.T, socket, text string) {
	s := &script{t: t, socket: socket, wires: map[string]*wire{}, ids: map[string]uint32{}}
	defer func() {
		for _, w := range s.wires {
			w.nc.Close()
		}
	}()
	me, err := user.Current()
	require.NoError(t, err)
	group, err := user.LookupGroupId(me.Gid)
	require.NoError(t, err)
	text = strings.ReplaceAll(text, "user=root group=root", "user="+me.Username+" group="+group.Name)
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 3 {
			s.line(strings.TrimSpace(line), f[0], f[1], f[2], f[3:])
		}
	}
}

func (s *script) line(line, name, dir, typ string, args []string) {
	w := s.wire(name)
	switch {
	case dir == ">" && typ == "CLOSE":
		w.nc.Close()
	case dir == ">" && typ == "RAW":
		b, err := hex.DecodeString(strings.Join(args, ""))
		require.NoError(s.t, err, line)
		w.nc.Write(b) // the broker may have hung up by now
	case dir == ">":
		w.seq++
		_, err := w.nc.Write(s.build(w, line, typ, args))
		require.NoError(s.t, err, line)
	case typ == "END":
		m, err := w.rd.Next()
		require.Error(s.t, err, "%s: got %s", line, s.show(m))
		require.False(s.t, errors.Is(err, os.ErrDeadlineExceeded), line)
	case typ == "NOTHING":
		ping := ubus.Begin(nil, ubus.MsgPing, 0xfffe, 0).Frame()
		_, err := w.nc.Write(ping)
		require.NoError(s.t, err, line)
		s.expect(w, line, "DATA", []string{"seq=65534"})
		s.expect(w, line, "STATUS", []string{"seq=65534", "status=0"})
	default:
		s.expect(w, line, typ, args)
	}
}

func (s *script) wire(name string) *wire {
	if w := s.wires[name]; w != nil {
		return w
	}
	open := net.Dial
	if name == "nobody" {
		open = dialAsNobody
	}
	nc, err := open("unix", s.socket)
	require.NoError(s.t, err)
	require.NoError(s.t, nc.SetDeadline(time.Now().Add(patience)))
	w := &wire{nc: nc, rd: ubus.NewReader(nc, 2*ubus.MaxMessage)}
	m, err := w.rd.Next()
	require.NoError(s.t, err)
	require.Equal(s.t, ubus.MsgHello, m.Type)
	require.Zero(s.t, m.Seq)
	require.Empty(s.t, m.Body)
	s.wires[name], s.ids["$"+name] = w, m.Peer
	return w
}

// dialAsNobody connects as another user. Credentials are a thread's own for the
// kernel, and this thread ends with its goroutine.
func dialAsNobody(network, address string) (nc net.Conn, err error) {
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		for _, call := range []uintptr{syscall.SYS_SETRESGID, syscall.SYS_SETRESUID} {
			if _, _, e := syscall.RawSyscall(call, nobody, nobody, nobody); e != 0 {
				err = e
				return
			}
		}
		nc, err = net.Dial(network, address)
	}()
	<-done
	return nc, err
}

func (s *script) number(v string) uint32 {
	if id, ok := s.ids[v]; ok {
		return id
	}
	n, err := strconv.ParseInt(v, 0, 64)
	require.NoError(s.t, err, v)
	return uint32(n)
}

func (s *script) build(w *wire, line, typ string, args []string) []byte {
	t := -1
	for i, n := range typeNames {
		if n == typ {
			t = i
		}
	}
	if after, ok := strings.CutPrefix(typ, "TYPE"); ok {
		t = int(s.number(after))
	}
	require.GreaterOrEqual(s.t, t, 0, line)
	seq, peer := w.seq, uint32(0)
	for _, arg := range args {
		k, v, _ := strings.Cut(arg, "=")
		switch k {
		case "seq":
			seq = uint16(s.number(v))
		case "peer":
			peer = s.number(v)
		}
	}
	m := ubus.Begin(nil, ubus.MsgType(t), seq, peer)
	for _, arg := range args {
		k, v, _ := strings.Cut(arg, "=")
		switch k {
		case "seq", "peer":
		case "path":
			m.Text(ubus.AttrObjPath, v)
		case "method":
			m.Text(ubus.AttrMethod, v)
		case "user":
			m.Text(ubus.AttrUser, v)
		case "obj":
			m.Uint32(ubus.AttrObjID, s.number(v))
		case "target":
			m.Uint32(ubus.AttrTarget, s.number(v))
		case "type":
			m.Uint32(ubus.AttrObjType, s.number(v))
		case "status":
			m.Uint32(ubus.AttrStatus, s.number(v))
		case "noreply":
			m.Bool(ubus.AttrNoReply, v == "1")
		case "data":
			m.Content(ubus.AttrData, s.table(v))
		case "sig":
			m.Content(ubus.AttrSignature, s.table(v))
		case "rawdata", "rawsig", "rawpath":
			b, err := hex.DecodeString(v)
			require.NoError(s.t, err, line)
			m.Nested(map[string]ubus.AttrID{"rawdata": ubus.AttrData, "rawsig": ubus.AttrSignature, "rawpath": ubus.AttrObjPath}[k], b)
		default:
			require.FailNow(s.t, "unknown attribute", line)
		}
	}
	return m.Frame()
}

// table turns JSON into a table as the ubus program does: integers are INT32.
// "$name" is an id.
func (s *script) table(text string) ubus.Table {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	v := s.value(dec)
	table, ok := v.(ubus.Table)
	require.True(s.t, ok, text)
	return table
}

func (s *script) value(dec *json.Decoder) any {
	tok, err := dec.Token()
	require.NoError(s.t, err)
	switch v := tok.(type) {
	case json.Number:
		n, err := v.Int64()
		require.NoError(s.t, err)
		return int32(n)
	case string:
		if id, ok := s.ids[v]; ok {
			return int32(id)
		}
		return v
	case json.Delim:
		table, list := ubus.Table{}, []any{}
		for dec.More() {
			if v == '[' {
				list = append(list, s.value(dec))
				continue
			}
			name, err := dec.Token()
			require.NoError(s.t, err)
			table = append(table, ubus.Field{Name: name.(string), Value: s.value(dec)})
		}
		_, err := dec.Token()
		require.NoError(s.t, err)
		if v == '[' {
			return list
		}
		return table
	}
	return tok
}

func (s *script) expect(w *wire, line, typ string, args []string) {
	m, err := w.rd.Next()
	require.NoError(s.t, err, line)
	want := []string{typ}
	checked := false
	for _, arg := range args {
		k, v, _ := strings.Cut(arg, "=")
		switch k {
		case "seq":
			checked = true
			if v != "any" {
				require.Equal(s.t, uint16(s.number(v)), m.Seq, "%s: sequence of %s", line, s.show(m))
			}
		case "peer":
			require.Equal(s.t, s.number(v), m.Peer, "%s: peer of %s", line, s.show(m))
		default:
			want = append(want, arg)
		}
	}
	if answer := m.Type == ubus.MsgStatus || m.Type == ubus.MsgData; answer && !checked {
		require.Equal(s.t, w.seq, m.Seq, "%s: sequence of %s", line, s.show(m))
	}
	got := strings.Fields(s.show(m))
	require.Equal(s.t, len(want), len(got), "%s\n got %s", line, s.show(m))
	for i := range want {
		s.match(line, want[i], got[i])
	}
}

// match compares two words; a $name in the wanted one is bound or looked up.
func (s *script) match(line, want, got string) {
	k, v, _ := strings.Cut(want, "=")
	gk, gv, _ := strings.Cut(got, "=")
	if strings.HasPrefix(v, "$") && k == gk {
		id, known := s.ids[v]
		if !known {
			id = s.number(gv)
			s.ids[v] = id
		}
		v = fmt.Sprintf("0x%08x", id)
		want = k + "=" + v
	}
	want = s.idsInside(want, got)
	require.Equal(s.t, want, got, line)
}

// idsInside replaces each "$name" in a wanted table by its number, and binds
// the one that is new.
func (s *script) idsInside(want, got string) string {
	for name, id := range s.ids {
		want = strings.ReplaceAll(want, `"`+name+`"`, strconv.Itoa(int(int32(id))))
	}
	before, rest, ok := strings.Cut(want, `"$`)
	if !ok || !strings.HasPrefix(got, before) {
		return want
	}
	name, after, _ := strings.Cut(rest, `"`)
	digits := got[len(before):]
	if i := strings.IndexFunc(digits, func(r rune) bool { return r != '-' && (r < '0' || r > '9') }); i >= 0 {
		digits = digits[:i]
	}
	s.ids["$"+name] = s.number(digits)
	return before + digits + after
}

// show writes a message as a line of a script.
func (s *script) show(m ubus.Message) string {
	var b bytes.Buffer
	if int(m.Type) < len(typeNames) {
		b.WriteString(typeNames[m.Type])
	}
	body := m.Body
	for len(body) >= 4 {
		n := int(body[1])<<16 | int(body[2])<<8 | int(body[3])
		id := int(body[0] & 0x7f)
		if n < 4 || n > len(body) || id >= len(attrNames) {
			fmt.Fprintf(&b, " rest=%x", body)
			break
		}
		data := body[4:n]
		a := ubus.ParseAttrs(append(bytes.Clone(body[:n]), make([]byte, (4-n%4)%4)...))
		body = body[min((n+3)&^3, len(body)):]
		if m.Type == ubus.MsgMonitor { // it has attributes of its own
			fmt.Fprintf(&b, " %d=%#x", id, data)
			continue
		}
		fmt.Fprintf(&b, " %s=%s", attrNames[id], attrText(ubus.AttrID(id), &a, data))
	}
	return b.String()
}

func attrText(id ubus.AttrID, a *ubus.Attrs, data []byte) string {
	switch id {
	case ubus.AttrObjPath:
		return a.ObjPath
	case ubus.AttrMethod:
		return a.Method
	case ubus.AttrUser:
		return a.User
	case ubus.AttrGroup:
		return a.Group
	case ubus.AttrStatus:
		return strconv.Itoa(int(a.Status))
	case ubus.AttrSignature, ubus.AttrData:
		if t, err := ubus.ParseTable(data); err == nil {
			return t.String()
		}
	case ubus.AttrSubscribers:
		n := 0
		ubus.EachUint32(data, func(uint32) { n++ })
		return strconv.Itoa(n)
	case ubus.AttrActive, ubus.AttrNoReply:
		return strconv.Itoa(int(data[0]))
	}
	if len(data) == 4 {
		return fmt.Sprintf("0x%08x", uint32(data[0])<<24|uint32(data[1])<<16|uint32(data[2])<<8|uint32(data[3]))
	}
	return fmt.Sprintf("%x", data)
}
