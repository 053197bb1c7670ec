package mm

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// FuzzSignal feeds the watcher whatever a bus could carry: no message makes it
// panic, and a modem that is reported gone had been reported seen.
func FuzzSignal(f *testing.F) {
	const modemPath = root + "/Modem/0"
	v := func(x any) dbus.Variant { return dbus.MakeVariant(x) }
	type port struct {
		Name string
		Kind uint32
	}
	full := properties{
		modemFace: {
			"Device": v("/sys/devices/usb2/2-1"), "State": v(int32(8)), "Ports": v([]port{{"ttyUSB2", 3}, {"wwan0", 2}}), "Sim": v(dbus.ObjectPath("/")),
			"UnlockRetries": v(map[uint32]uint32{2: 3}), "SignalQuality": v(struct {
				Q uint32
				R bool
			}{50, true}),
		},
		m3gppFace: {"RegistrationState": v(uint32(1)), "NetworkRejection": v(map[string]dbus.Variant{"error": v(uint32(13))})},
		sigFace:   {"Lte": v(map[string]dbus.Variant{"rsrp": v(-80.0)}), "Rate": v(uint32(5))},
	}
	f.Add(encode(f, omFace, "InterfacesAdded", root, modemPath, full), encode(f, propsFace, "PropertiesChanged", modemPath, modemFace, full[modemFace], []string{"Model"}))
	f.Add(encode(f, omFace, "InterfacesAdded", root, modemPath, full), encode(f, omFace, "InterfacesRemoved", root, modemPath, []string{modemFace}))
	f.Add(encode(f, omFace, "InterfacesAdded", root, modemPath, properties{modemFace: {"Sim": v(root + "/SIM/0"), "Bearers": v([]dbus.ObjectPath{"/x"})}}), []byte("l"))
	f.Add(encode(f, busName, "NameOwnerChanged", "/org/freedesktop/DBus", service, ":1.1", ""), encode(f, propsFace, "PropertiesChanged", modemPath, "x", map[string]dbus.Variant{}, []string{}))

	f.Fuzz(func(t *testing.T, first, second []byte) {
		seen := map[string]bool{}
		c := New(Options{Sysfs: "/nonexistent", Events: func(ev model.Event) {
			switch e := ev.(type) {
			case model.ModemSeen:
				seen[e.Seen.Path] = true
			case model.ModemGone:
				require.True(t, seen[e.Path])
			}
		}})
		// A watch that has ended asks no questions.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		w := &watcher{client: c, owner: ":1.1", listed: true, modems: map[dbus.ObjectPath]*modem{}, parts: map[dbus.ObjectPath]*object{}}
		for i, raw := range [][]byte{first, second} {
			m, err := dbus.DecodeMessage(bytes.NewReader(raw))
			if err != nil || m.Type != dbus.TypeSignal {
				continue
			}
			path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
			face, _ := m.Headers[dbus.FieldInterface].Value().(string)
			member, _ := m.Headers[dbus.FieldMember].Value().(string)
			sender := w.owner
			if face == busName {
				sender = busName
			}
			w.signal(ctx, &dbus.Signal{Sender: sender, Path: path, Name: face + "." + member, Body: m.Body, Sequence: dbus.Sequence(i + 1)})
		}
	})
}

func encode(f *testing.F, face, member string, path dbus.ObjectPath, body ...any) []byte {
	m := &dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldInterface: dbus.MakeVariant(face), dbus.FieldMember: dbus.MakeVariant(member),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body...)),
	}}
	var b bytes.Buffer
	require.NoError(f, m.EncodeTo(&b, binary.LittleEndian))
	return b.Bytes()
}
