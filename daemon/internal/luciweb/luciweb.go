// Package luciweb serves the LuCI app where there is no LuCI: on loopback, to a
// browser on the same machine, over any ubus. It owns what rpcd and uhttpd do on
// a router as far as the app needs it (sessions with access lists, the objects
// `session` and `uci`, JSON-RPC under /ubus, the event stream, the menu) and a
// small host that offers the part of LuCI's client API that the views use. With
// a LuCI checkout or installation the real luci.js, form.js and ui.js are served
// in its place. It is only part of remsim-demo and never listens off loopback.
package luciweb

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// User is somebody who may log in. Read and Write are patterns of access groups
// as in /etc/config/rpcd: `*`, `luci-app-*`, `!group`.
type User struct {
	Name, Password string
	Read, Write    []string
}

// Options say what is served.
type Options struct {
	Socket   string   // of ubusd
	Config   string   // directory of the UCI files
	App      string   // directory of the app: htdocs, root, po, as in luci.mk
	ACL      []string // more directories with access lists, as /usr/share/rpcd/acl.d
	LuCI     string   // a LuCI checkout or installation; "" for the small host
	Hostname string
	Users    []User
	// Elsewhere answers `uci get` for files that are not in Config; nil: there are
	// none.
	Elsewhere func(args ubus.Table) (ubus.Table, ubus.Status)
	// Changed is called after a UCI file was written, as procd is told of it.
	Changed func(ctx context.Context, config string)
	Logger  *slog.Logger
}

// Server serves the app. Make it with New.
type Server struct {
	opt      Options
	log      *slog.Logger
	sessions *sessions
	uci      *uciStore
	bus      *bus
	static   []fs.FS // searched in order
	real     bool    // LuCI's own resources are served
	started  time.Time
}

//go:embed host
var hostFiles embed.FS

// New reads the access lists and the app's folders.
func New(opt Options) (*Server, error) {
	s := &Server{opt: opt, log: opt.Logger, bus: &bus{socket: opt.Socket}, started: time.Now()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if _, err := os.Stat(opt.App); err != nil {
		return nil, fmt.Errorf("find the LuCI app (run in the top folder of the sources, or name it): %w", err)
	}
	groups, err := s.readGroups()
	if err != nil {
		return nil, err
	}
	s.sessions = newSessions(groups, opt.Users)
	s.uci = newUCIStore(opt.Config, s.sessions, opt.Changed)
	s.uci.elsewhere = opt.Elsewhere
	return s, s.findStatic()
}

// findStatic lists where files come from: the app, then LuCI or the host.
func (s *Server) findStatic() error {
	s.static = []fs.FS{os.DirFS(filepath.Join(s.opt.App, "htdocs"))}
	if s.opt.LuCI != "" {
		for _, sub := range []string{"modules/luci-base/htdocs", "themes/luci-theme-bootstrap/htdocs", "www", "."} {
			dir := filepath.Join(s.opt.LuCI, sub)
			if _, err := os.Stat(filepath.Join(dir, "luci-static")); err == nil {
				s.static = append(s.static, os.DirFS(dir))
				s.real = true
			}
		}
		if !s.real {
			return fmt.Errorf("%s is no LuCI checkout and no installation: there is no luci-static in it", s.opt.LuCI)
		}
	}
	host, err := fs.Sub(hostFiles, "host")
	if err != nil {
		return err
	}
	s.static = append(s.static, host)
	return nil
}

// Bounds of one connection. An event stream may stay open for as long as it likes.
const (
	headerTime = 10 * time.Second
	stopTime   = 2 * time.Second
)

// Serve answers on l, which must be on loopback, until ctx ends, and publishes
// the objects `session` and `uci` on the bus.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if addr, ok := l.Addr().(*net.TCPAddr); !ok || !addr.IP.IsLoopback() {
		return errors.Join(fmt.Errorf("serve the app on %s: only loopback is allowed", l.Addr()), l.Close())
	}
	client := ubus.NewClient(s.opt.Socket, ubus.Options{Logger: s.log})
	for _, o := range []*ubus.Object{s.sessions.object(), s.uci.object(), s.fileObject(), featureObject()} {
		if err := client.AddObject(o); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	onBus := make(chan error, 1)
	go func() { onBus <- client.Run(ctx) }()

	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTime,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	select { // browsers wait in the queue of l until there is somebody to log in at
	case <-client.Ready():
	case <-ctx.Done():
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		served <- err
	}
	cancel() // ends the event streams
	grace, done := context.WithTimeout(context.Background(), stopTime)
	defer done()
	if server.Shutdown(grace) != nil {
		_ = server.Close()
	}
	s.uci.close()
	if e := <-served; err == nil && !errors.Is(e, http.ErrServerClosed) {
		err = e
	}
	return errors.Join(err, <-onBus, s.bus.close())
}

// Handler routes requests.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", http.RedirectHandler(root+"/", http.StatusFound))
	mux.HandleFunc("GET /luci-static/", s.serveStatic)
	mux.HandleFunc("POST /ubus", s.rpc)
	mux.HandleFunc("POST /ubus/{$}", s.rpc)
	mux.HandleFunc("POST /ubus/call/{object}", s.restCall)
	mux.HandleFunc("GET /ubus/list", s.restList)
	mux.HandleFunc("GET /ubus/list/{object}", s.restList)
	mux.HandleFunc("GET /ubus/subscribe/{object}", s.subscribe)
	mux.HandleFunc(root+"/admin/ubus", s.rpc)
	mux.HandleFunc(root+"/", s.page)
	mux.HandleFunc("GET "+root+"/admin/menu", s.menuJSON)
	mux.HandleFunc("GET "+root+"/admin/translations/{lang}", s.translations)
	mux.HandleFunc("GET "+root+"/admin/logout", s.logout)
	mux.HandleFunc("POST "+root+"/admin/uci/{what}", s.changes)
	return guard(mux)
}

// guard refuses what does not come from a page of ours: a name that somebody
// else's DNS points at loopback, and requests that another site's page makes.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "only loopback addresses are served here, not "+host, http.StatusForbidden)
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
			http.Error(w, "requests from another site are refused", http.StatusForbidden)
			return
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// With no-referrer a browser would send our own forms with Origin: null.
		h.Set("Referrer-Policy", "same-origin")
		// LuCI compiles its modules with eval and writes scripts into its pages.
		h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}
