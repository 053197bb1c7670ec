package luciweb

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// documentRoot is where the static files seem to lie.
const documentRoot = "/www"

// fileObject is the one method of rpcd's object `file` that LuCI's client needs:
// the list of a folder below the document root, from all places that files come from.
func (s *Server) fileObject() *ubus.Object {
	return &ubus.Object{Path: "file", Methods: []ubus.Method{{
		Name: "list", Args: []ubus.Arg{{Name: "path", Type: ubus.String}},
		Handler: func(_ context.Context, req *ubus.Request) {
			name, err := req.Args.Text("path", "")
			switch {
			case err != nil || name == "":
				end(req, ubus.StatusInvalidArgument, nil)
			case req.Session != "" && !s.sessions.allowed(req.Session, "file", name, "list"):
				end(req, ubus.StatusPermissionDenied, nil)
			default:
				entries := s.listStatic(name)
				if entries == nil {
					end(req, ubus.StatusNotFound, nil)
					return
				}
				end(req, ubus.StatusOK, map[string]any{"entries": entries})
			}
		},
	}}}
}

// listStatic is nil when there is no such folder.
func (s *Server) listStatic(name string) []map[string]any {
	below, ok := strings.CutPrefix(path.Clean(name), documentRoot+"/")
	if !ok {
		return nil
	}
	var out []map[string]any
	seen := make(map[string]bool)
	for _, dir := range s.static {
		entries, err := fs.ReadDir(dir, below)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, e := range entries {
			if seen[e.Name()] {
				continue
			}
			seen[e.Name()] = true
			typ := "file"
			if e.IsDir() {
				typ = "directory"
			}
			out = append(out, map[string]any{"name": e.Name(), "type": typ})
		}
	}
	return out
}

// featureObject is `luci`, which LuCI's client asks what the system can do.
// Nothing that the app uses depends on it.
func featureObject() *ubus.Object {
	return &ubus.Object{Path: "luci", Methods: []ubus.Method{{
		Name:    "getFeatures",
		Handler: func(_ context.Context, req *ubus.Request) { end(req, ubus.StatusOK, map[string]any{"rpcd": "demo"}) },
	}}}
}
