package uimremote_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote/uimremotefake"
)

func TestProbe(t *testing.T) {
	for _, x := range []struct {
		name      string
		start     func(t *testing.T, o uimremotefake.Options) *world
		modem     uimremotefake.Options
		transport uimremote.Transport
		reason    string // empty: it is offered
	}{
		{"QMI, on", fakeQMI, on, uimremote.QMIProxy, ""},
		{"QMI, off", fakeQMI, uimremotefake.Options{}, uimremote.QMIProxy, "not among the 3 services"},
		{"MBIM, on", fakeMBIM, on, uimremote.MBIMProxy, ""},
		{"MBIM, off", fakeMBIM, uimremotefake.Options{}, uimremote.MBIMProxy, "not among the 3 services"},
		{"MBIM without QMI", fakeMBIM, uimremotefake.Options{NoPassthrough: true}, uimremote.MBIMProxy, "does not take QMI over MBIM"},
		{"real qmi-proxy, on", realQMI, on, uimremote.QMIProxy, ""},
		{"real qmi-proxy, off", realQMI, uimremotefake.Options{}, uimremote.QMIProxy, "not among the 3 services"},
		{"real mbim-proxy, on", realMBIM, on, uimremote.MBIMProxy, ""},
		{"real mbim-proxy without QMI", realMBIM, uimremotefake.Options{NoPassthrough: true}, uimremote.MBIMProxy, "does not take QMI over MBIM"},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := x.start(t, x.modem)
			for range 2 {
				c, err := w.options.Probe(within(t), w.device)
				require.NoError(t, err)
				require.Equal(t, x.transport, c.Transport)
				require.Equal(t, x.reason == "", c.Offered, c.Reason)
				require.Contains(t, c.Reason, x.reason)
				if c.Offered {
					require.Equal(t, [2]uint16{1, 3}, [2]uint16{c.Major, c.Minor})
				}
			}
			require.Zero(t, w.modem.Clients(), "clients are given back")
			require.Zero(t, w.modem.Syncs)
			for _, e := range w.modem.Events() {
				require.False(t, strings.HasPrefix(e, "con") || strings.HasPrefix(e, "card"), "a probe said %q", e)
			}
			if x.reason != "" {
				front, err := uimremote.New(w.device, w.options)
				require.NoError(t, err)
				require.ErrorIs(t, front.Run(within(t), &desk{}), uimremote.ErrNotOffered)
			}
		})
	}
}

func TestProbeLeavesACardInUseAlone(t *testing.T) {
	w := fakeQMI(t, on)
	d := w.serve(t)
	w.attach(t, d)
	require.Equal(t, "9000", w.send(t, selectUSIM))
	c, err := w.options.Probe(within(t), w.device)
	require.NoError(t, err)
	require.True(t, c.Offered)
	require.Equal(t, "9000", w.send(t, "00A4000C026F07"), "the application is still selected")
	require.Equal(t, []string{"on"}, d.edges())
}

func TestProbeTellsWhyItCannotTell(t *testing.T) {
	w := fakeQMI(t, on)
	require.NoError(t, w.proxy.Close())
	_, err := w.options.Probe(within(t), w.device)
	require.ErrorContains(t, err, "qmi-proxy")

	_, err = uimremote.Options{Sysfs: t.TempDir()}.Probe(within(t), "qmi:/dev/cdc-wdm7")
	require.ErrorContains(t, err, "no such QMI or MBIM port")
	_, err = uimremote.Probe(within(t), "usb:1-2")
	require.ErrorContains(t, err, "expected qmi:/dev/NAME")
	_, err = uimremote.Options{Sysfs: sysfs(t, "cdc-wdm0", "cdc_wdm")}.Probe(within(t), "qmi:/dev/cdc-wdm0")
	require.ErrorContains(t, err, "has driver cdc_wdm")
}

// The kinds of ports that a kernel may show, by what a refused connection names.
func TestTransports(t *testing.T) {
	wwan := func(name, typ string) string {
		root := t.TempDir()
		dir := filepath.Join(root, "class", "wwan", name)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		if typ != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "type"), []byte(typ+"\n"), 0o644))
		}
		return root
	}
	rpmsg := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(rpmsg, "class", "rpmsg", "rpmsg0"), 0o755))
	link := filepath.Join(t.TempDir(), "modem")
	port := filepath.Join(t.TempDir(), "cdc-wdm3")
	require.NoError(t, os.WriteFile(port, nil, 0o600))
	require.NoError(t, os.Symlink(port, link))
	for _, x := range []struct{ device, sysfs, want string }{
		{"/dev/wwan0qmi0", wwan("wwan0qmi0", "QMI"), "qmi-proxy does not run"},
		{"/dev/wwan0mbim0", wwan("wwan0mbim0", "MBIM"), "mbim-proxy does not run"},
		{"/dev/wwan0p2MBIM", wwan("wwan0p2MBIM", ""), "mbim-proxy does not run"},
		{"/dev/wwan0at0", wwan("wwan0at0", "AT"), "is of type AT"},
		{"/dev/rpmsg0", rpmsg, "qmi-proxy does not run"},
		{link, sysfs(t, "cdc-wdm3", "cdc_mbim"), "mbim-proxy does not run"},
	} {
		o := uimremote.Options{Sysfs: x.sysfs, QMIProxy: "@remsim-test-nobody", MBIMProxy: "@remsim-test-nobody"}
		_, err := o.Probe(within(t), "qmi:"+x.device)
		require.ErrorContains(t, err, x.want, x.device)
	}
}

func TestTheOnlyPort(t *testing.T) {
	w := fakeQMI(t, on)
	require.Equal(t, []string{"/dev/cdc-wdm0"}, w.options.Ports())
	c, err := w.options.Probe(within(t), "")
	require.NoError(t, err)
	require.Equal(t, "/dev/cdc-wdm0", c.Device)
	require.True(t, c.Offered)
	w.device = ""
	d := w.serve(t)
	w.attach(t, d)
	require.Equal(t, "qmi:auto", d.front.Info().Device)
	require.Contains(t, d.front.Info().Detail, "of /dev/cdc-wdm0 through qmi-proxy")

	// An AT port is none, a second modem makes a choice.
	other := filepath.Join(w.options.Sysfs, "class", "wwan")
	for name, typ := range map[string]string{"wwan0at0": "AT", "wwan0mbim0": "MBIM"} {
		require.NoError(t, os.MkdirAll(filepath.Join(other, name), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(other, name, "type"), []byte(typ), 0o644))
	}
	_, err = w.options.Probe(within(t), "")
	require.ErrorContains(t, err, "several QMI or MBIM ports (/dev/cdc-wdm0, /dev/wwan0mbim0)")
	_, err = uimremote.Options{Sysfs: t.TempDir()}.Probe(within(t), "")
	require.ErrorContains(t, err, "no such QMI or MBIM port")
}
