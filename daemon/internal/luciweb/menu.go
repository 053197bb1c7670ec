package luciweb

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
)

// node is one entry of LuCI's menu, as its client gets it.
type node struct {
	Title     string           `json:"title,omitempty"`
	Order     int              `json:"order,omitempty"`
	Action    *action          `json:"action,omitempty"`
	Depends   depends          `json:"depends,omitzero"`
	Children  map[string]*node `json:"children,omitempty"`
	Satisfied bool             `json:"satisfied"`
	ReadOnly  bool             `json:"readonly,omitempty"`
	Wildcard  bool             `json:"wildcard,omitempty"`
}

// action says what an entry shows.
type action struct {
	Type      string `json:"type"` // view, firstchild, alias
	Path      string `json:"path,omitempty"`
	Preferred string `json:"preferred,omitempty"`
}

// depends are the conditions of an entry. Those on files of the router (fs) are
// taken as met: what is shown here is a router that has the app and its daemon.
type depends struct {
	ACL []string                   `json:"acl,omitempty"`
	UCI map[string]json.RawMessage `json:"uci,omitempty"`
}

// menu builds the tree that a session sees.
func (s *Server) menu(a access) (*node, error) {
	tree := &node{Action: &action{Type: "firstchild"}, Satisfied: true}
	host, err := fs.Sub(hostFiles, "host/menu.d")
	if err != nil {
		return nil, err
	}
	for _, dir := range []fs.FS{host, os.DirFS(filepath.Join(s.opt.App, "root/usr/share/luci/menu.d"))} {
		if err := readJSONs(dir, func(name string, data []byte) error {
			var file map[string]*node
			if err := json.Unmarshal(data, &file); err != nil {
				return fmt.Errorf("read menu %s: %w", name, err)
			}
			for path, n := range file {
				tree.put(path, n)
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	s.satisfy(tree, a)
	return tree, nil
}

// put adds an entry at a path, on top of what is known of it.
func (n *node) put(path string, spec *node) {
	for name := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(name, "*") {
			n.Wildcard = true
			break
		}
		if n.Children == nil {
			n.Children = make(map[string]*node)
		}
		if n.Children[name] == nil {
			n.Children[name] = &node{Satisfied: true}
		}
		n = n.Children[name]
	}
	children, wildcard := n.Children, n.Wildcard
	*n = *spec
	n.Children, n.Wildcard = children, wildcard || spec.Wildcard
}

// satisfy sets what a session may see and what it may only look at.
func (s *Server) satisfy(n *node, a access) {
	may, writable := groupsOf(a, n.Depends.ACL)
	n.Satisfied = may && s.configured(n.Depends.UCI)
	n.ReadOnly = len(n.Depends.ACL) > 0 && may && !writable
	for _, c := range n.Children {
		s.satisfy(c, a)
	}
}

// groupsOf is check_acl_depends: every group is needed, the right to write on one
// of them makes the entry writable.
func groupsOf(a access, groups []string) (may, writable bool) {
	for _, g := range groups {
		write := a.allows("access-group", g, "write")
		if !write && !a.allows("access-group", g, "read") {
			return false, false
		}
		writable = writable || write
	}
	return true, writable || len(groups) == 0
}

// configured is check_uci_depends: a file with any section, or sections of a name
// or type with certain values.
func (s *Server) configured(want map[string]json.RawMessage) bool {
	for name, w := range want {
		p, err := s.uci.load(name, nil)
		if err != nil {
			return false
		}
		var sections map[string]json.RawMessage
		if json.Unmarshal(w, &sections) != nil { // `true`
			if len(p.sections) == 0 {
				return false
			}
			continue
		}
		for section, options := range sections {
			if !slices.ContainsFunc(p.sections, func(sec config.UCISection) bool { return hasSection(sec, section, options) }) {
				return false
			}
		}
	}
	return true
}

// hasSection tells whether a section is the wanted one: NAME or @TYPE, and `true`
// for any, its type, or a table of values.
func hasSection(s config.UCISection, want string, options json.RawMessage) bool {
	if typ, ok := strings.CutPrefix(want, "@"); (ok && s.Type != typ) || (!ok && s.Name != want) {
		return false
	}
	var typ string
	if json.Unmarshal(options, &typ) == nil {
		return s.Type == typ
	}
	var values map[string]any
	if json.Unmarshal(options, &values) != nil {
		return true
	}
	for name, v := range values {
		o := option(&s, name)
		if text, ok := v.(string); o == nil || (ok && !slices.Contains(o.Values, text)) {
			return false
		}
	}
	return true
}

// menuJSON serves admin/menu.
func (s *Server) menuJSON(w http.ResponseWriter, r *http.Request) {
	ses := s.visitor(r)
	if ses == nil {
		loginRequired(w)
		return
	}
	tree, err := s.menu(ses.access)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	s.write(w, tree)
}

// resolve follows a path to an entry that shows something: where it ends at a
// `firstchild` or an alias, that leads on. nil: there is none.
func (n *node) resolve(path []string) (*node, []string) {
	at := n
	for _, name := range path {
		next := at.Children[name]
		if next == nil || !next.Satisfied {
			return nil, nil
		}
		at = next
	}
	for depth := 0; at.Action != nil && depth < 8; depth++ {
		switch at.Action.Type {
		case "view":
			return at, path
		case "alias":
			return n.resolve(strings.Split(at.Action.Path, "/"))
		}
		name := at.first()
		if name == "" {
			return nil, nil
		}
		at, path = at.Children[name], append(slices.Clone(path), name)
	}
	return nil, nil
}

// first is the child that a `firstchild` leads to: the one it prefers, else the
// one that comes first and shows something.
func (n *node) first() string {
	best := ""
	for name, c := range n.Children {
		if !c.Satisfied || c.Title == "" || c.Action == nil || (c.Action.Type == "firstchild" && c.first() == "") {
			continue
		}
		if name == n.Action.Preferred {
			return name
		}
		if best == "" || c.Order < n.Children[best].Order || (c.Order == n.Children[best].Order && name < best) {
			best = name
		}
	}
	return best
}
