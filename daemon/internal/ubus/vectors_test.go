package ubus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// step is one message of a recorded connection.
type step struct {
	sent bool // by the program, to ubusd
	raw  []byte
}

// recording is one connection of a recorded session.
type recording struct {
	file, title string
	steps       []step
}

// recordings reads the traces of real programs and the real ubusd. Each `###`
// section, and each HELLO in it, begins a connection.
func recordings(t testing.TB, glob string) (all []recording) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", glob))
	require.NoError(t, err)
	require.NotEmpty(t, files, glob)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		title, fresh := "", false
		for line := range strings.Lines(string(text)) {
			if after, ok := strings.CutPrefix(line, "### "); ok {
				title, fresh = strings.TrimSpace(after), true
			}
			dir, rest, ok := strings.Cut(strings.TrimPrefix(line, "RAW "), " ")
			if !ok || !strings.HasPrefix(line, "RAW ") {
				continue
			}
			raw, err := hex.DecodeString(strings.TrimSpace(rest))
			require.NoError(t, err, file)
			s := step{sent: dir == ">", raw: raw}
			if fresh || !s.sent && raw[1] == byte(MsgHello) {
				all = append(all, recording{file: filepath.Base(file), title: title})
				fresh = false
			}
			last := &all[len(all)-1]
			last.steps = append(last.steps, s)
		}
	}
	return all
}

// misfits are recorded messages that are meant to be no ubus messages: the
// reader must refuse them.
var misfits = map[string]bool{
	"000300010000000000000003": true, // 05g: a root attribute shorter than its head
	"000300010000000000100001": true, // 05g: one longer than ubusd takes
}

func TestEveryRecordedMessageIsReadAndWrittenBack(t *testing.T) {
	messages, tables := 0, 0
	for _, rec := range recordings(t, "*.txt") {
		for _, s := range rec.steps {
			m, err := NewReader(bytes.NewReader(s.raw), MaxMessage).Next()
			if misfits[hex.EncodeToString(s.raw)] {
				require.ErrorIs(t, err, ErrMalformed)
				continue
			}
			require.NoError(t, err, "%s: %x", rec.file, s.raw)
			require.Equal(t, s.raw, m.AppendTo(nil), rec.file)
			messages++
			tables += rebuild(t, rec, m, s.raw)
		}
	}
	require.Equal(t, 313, messages)
	require.Equal(t, 84, tables)
}

// odd are bodies that no program of ubus' own would write.
func odd(rec recording, m Message) bool {
	return rec.file == "17-odd-root-length.txt" && len(m.Body)%4 != 0 ||
		bytes.Contains(m.Body, []byte("nul-less")) ||
		rec.file == "12-ping.txt" && m.Peer == 0xdeadbeef
}

// rebuild writes a message anew from its decoded attributes, tables included,
// in the order in which they stood, and returns how many tables there were.
func rebuild(t *testing.T, rec recording, m Message, want []byte) (tables int) {
	t.Helper()
	if odd(rec, m) || m.Type == MsgMonitor {
		return 0
	}
	a := ParseAttrs(m.Body)
	out := Begin(nil, m.Type, m.Seq, m.Peer)
	out.b[0] = m.Version
	for body := m.Body; len(body) > 0; {
		b, rest, ok := nextBlob(body)
		require.True(t, ok, "%s: %x", rec.file, want)
		body = rest
		id := AttrID(b.id)
		require.True(t, a.Has(id), "%s: attribute %d of %x", rec.file, id, want)
		switch id {
		case AttrStatus:
			out.Uint32(id, uint32(a.Status))
		case AttrObjID:
			out.Uint32(id, a.ObjID)
		case AttrObjType:
			out.Uint32(id, a.ObjType)
		case AttrTarget:
			out.Uint32(id, a.Target)
		case AttrActive:
			out.Bool(id, a.Active)
		case AttrNoReply:
			out.Bool(id, a.NoReply)
		case AttrObjPath:
			out.Text(id, a.ObjPath)
		case AttrMethod:
			out.Text(id, a.Method)
		case AttrUser:
			out.Text(id, a.User)
		case AttrGroup:
			out.Text(id, a.Group)
		case AttrSubscribers:
			var ids []byte
			EachUint32(a.Subscribers, func(v uint32) {
				ids = binary.BigEndian.AppendUint32(append(ids, 0, 0, 0, 8), v)
			})
			out.Nested(id, ids)
		case AttrData, AttrSignature:
			table, err := ParseTable(b.data)
			require.NoError(t, err, "%s: %x", rec.file, want)
			out.Content(id, table)
			tables++
		}
	}
	got, err := out.End()
	require.NoError(t, err)
	require.Equal(t, want, got, rec.file)
	return tables
}

func TestMonitorMessagesCarryTheWatchedAttributes(t *testing.T) {
	rec := recordings(t, "11-monitor.txt")[0]
	seen := false
	for _, s := range rec.steps {
		if MsgType(s.raw[1]) != MsgMonitor {
			continue
		}
		seen = true
		for body := s.raw[headerLen:]; len(body) > 0; {
			b, rest, ok := nextBlob(body)
			require.True(t, ok)
			if body = rest; b.id == 5 {
				a := ParseAttrs(b.data)
				require.True(t, a.Has(AttrStatus))
			}
		}
	}
	require.True(t, seen)
}
