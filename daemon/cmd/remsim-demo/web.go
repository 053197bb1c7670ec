package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/terminills/remsim-openwrt/daemon/internal/luciweb"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// users may log in to the app: one who may do everything, and one who may only
// look.
var users = []luciweb.User{
	{Name: "root", Password: "remsim", Write: []string{"*"}},
	{Name: "viewer", Password: "remsim", Read: []string{"*"}},
}

// startWeb serves the LuCI app for a world. It returns the address, and a channel
// that says how it ended once ctx has.
func startWeb(ctx context.Context, w *world, p *peers, o options) (address string, ended <-chan error, err error) {
	opt := luciweb.Options{
		Socket: p.socket(), Config: p.configDir(), App: o.app, ACL: []string{filepath.Join(o.app, "../rpcd/acl.d")}, LuCI: o.luci, Hostname: w.router,
		Users: users, Changed: p.reload, Logger: slog.New(slog.DiscardHandler),
	}
	if p.hardware != nil {
		opt.Elsewhere = p.hardware.netifd.GetUCI
	}
	server, err := luciweb.New(opt)
	if err != nil {
		return "", nil, err
	}
	l, err := listen(o.listen)
	if err != nil {
		return "", nil, err
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	return "http://" + l.Addr().String() + "/", done, nil
}

// usualPort is where the app is found again after a restart.
const usualPort = "127.0.0.1:7460"

func listen(address string) (net.Listener, error) {
	if address != "" {
		return net.Listen("tcp", address)
	}
	l, err := net.Listen("tcp", usualPort)
	if err != nil { // another demo has it
		return net.Listen("tcp", "127.0.0.1:0")
	}
	return l, nil
}

// hint is what somebody types to log in.
func hint(u luciweb.User) string { return u.Name + " / " + u.Password }

// reload tells the daemon that its configuration was written, as procd's trigger
// does on a router. What the daemon says of it is in its own findings.
func (p *peers) reload(ctx context.Context, config string) {
	if config != "remsim" {
		return
	}
	conn, err := ubus.Dial(ctx, p.socket())
	if err != nil {
		return // the broker is away: as on a router whose ubusd is
	}
	defer conn.Close()
	if _, err := conn.Call(ctx, "remsim", "reload", nil); err != nil {
		fmt.Fprintln(os.Stderr, "remsim-demo: reload:", err)
	}
}
