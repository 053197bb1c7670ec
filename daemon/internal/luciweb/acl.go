package luciweb

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// grant is one rule of a session: object and function are patterns.
type grant struct{ object, function string }

// access is what a session may do, by scope: ubus, uci, file, access-group.
type access map[string][]grant

// group is one access group of the files in acl.d: what goes to whoever may read
// and to whoever may write it.
type group struct {
	Description string                     `json:"description"`
	Read        map[string]json.RawMessage `json:"read"`
	Write       map[string]json.RawMessage `json:"write"`
}

// readGroups reads every access list. Groups of one name in several files add up.
func (s *Server) readGroups() (map[string][]group, error) {
	host, err := fs.Sub(hostFiles, "host/acl.d")
	if err != nil {
		return nil, err
	}
	dirs := []fs.FS{host, os.DirFS(filepath.Join(s.opt.App, "root/usr/share/rpcd/acl.d"))}
	for _, d := range s.opt.ACL {
		dirs = append(dirs, os.DirFS(d))
	}
	groups := make(map[string][]group)
	for _, dir := range dirs {
		if err := readJSONs(dir, func(name string, data []byte) error {
			var file map[string]group
			if err := json.Unmarshal(data, &file); err != nil {
				return fmt.Errorf("read access list %s: %w", name, err)
			}
			for name, g := range file {
				groups[name] = append(groups[name], g)
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// readJSONs calls fn with each *.json of a directory, which need not exist, in
// order of the names.
func readJSONs(dir fs.FS, fn func(name string, data []byte) error) error {
	names, err := fs.Glob(dir, "*.json")
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := fs.ReadFile(dir, name)
		if err == nil {
			err = fn(name, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// accessOf is what a login grants. Nobody (nil) gets the group `unauthenticated`.
func accessOf(groups map[string][]group, u *User) access {
	a := make(access)
	for name, parts := range groups {
		for _, perm := range []string{"read", "write"} {
			if !permitted(u, perm, name) {
				continue
			}
			// rpcd writes down itself which groups a session has.
			a.add("access-group", name, perm)
			for _, g := range parts {
				block := g.Read
				if perm == "write" {
					block = g.Write
				}
				for scope, rules := range block {
					a.addRules(scope, perm, rules)
				}
			}
		}
	}
	return a
}

// permitted tells whether a user gets the perm block of a group. The right to
// write implies the right to read.
func permitted(u *User, perm, group string) bool {
	if u == nil {
		return group == "unauthenticated"
	}
	patterns := u.Read
	if perm == "write" {
		patterns = u.Write
	}
	for _, p := range patterns {
		if not, ok := strings.CutPrefix(p, "!"); ok && match(strings.TrimSpace(not), group) {
			return false
		}
	}
	for _, p := range patterns {
		if !strings.HasPrefix(p, "!") && match(p, group) {
			return true
		}
	}
	return perm == "read" && permitted(u, "write", group)
}

// addRules adds a scope's rules: a table of objects with their functions, or an
// array of objects whose function is the permission's name. What is neither is
// passed over, as in rpcd.
func (a access) addRules(scope, perm string, rules json.RawMessage) {
	var table map[string][]string
	if json.Unmarshal(rules, &table) == nil {
		for object, functions := range table {
			for _, f := range functions {
				a.add(scope, object, f)
			}
		}
		return
	}
	var list []string
	if json.Unmarshal(rules, &list) == nil {
		for _, object := range list {
			a.add(scope, object, perm)
		}
	}
}

func (a access) add(scope, object, function string) {
	if g := (grant{object, function}); !slices.Contains(a[scope], g) {
		a[scope] = append(a[scope], g)
	}
}

// allows tells whether a rule covers a function of an object.
func (a access) allows(scope, object, function string) bool {
	return slices.ContainsFunc(a[scope], func(g grant) bool { return match(g.object, object) && match(g.function, function) })
}

// match is fnmatch(3) with FNM_NOESCAPE: a star takes in slashes too.
func match(pattern, name string) bool {
	hide := strings.NewReplacer("/", "\x01", `\`, "\x02")
	ok, err := path.Match(hide.Replace(pattern), hide.Replace(name))
	return err == nil && ok
}
