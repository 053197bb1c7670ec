package mmrig

import (
	"fmt"

	"github.com/godbus/dbus/v5"
)

// polkit allows everything: Debian's ModemManager asks it before each
// privileged call; OpenWrt's is built without.
type polkit struct{}

type verdict struct {
	Allowed   bool
	Challenge bool
	Details   map[string]string
}

type subject struct {
	Kind    string
	Details map[string]dbus.Variant
}

// CheckAuthorization is polkit's only question.
func (polkit) CheckAuthorization(_ subject, _ string, _ map[string]string, _ uint32, _ string) (verdict, *dbus.Error) {
	return verdict{Allowed: true, Details: map[string]string{}}, nil
}

// CancelCheckAuthorization has nothing to cancel.
func (polkit) CancelCheckAuthorization(string) *dbus.Error { return nil }

type polkitProperties struct{}

// GetAll is read by libpolkit when it connects.
func (polkitProperties) GetAll(string) (map[string]dbus.Variant, *dbus.Error) {
	return map[string]dbus.Variant{
		"BackendName": dbus.MakeVariant("mmrig"), "BackendVersion": dbus.MakeVariant("1"), "BackendFeatures": dbus.MakeVariant(uint32(0)),
	}, nil
}

func servePolkit(conn *dbus.Conn) error {
	const path = dbus.ObjectPath("/org/freedesktop/PolicyKit1/Authority")
	if err := conn.Export(polkit{}, path, "org.freedesktop.PolicyKit1.Authority"); err != nil {
		return err
	}
	if err := conn.Export(polkitProperties{}, path, "org.freedesktop.DBus.Properties"); err != nil {
		return err
	}
	reply, err := conn.RequestName("org.freedesktop.PolicyKit1", dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = fmt.Errorf("own polkit's name: reply %d", reply)
	}
	return err
}
