package luciweb

import (
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// root is where LuCI's dispatcher stands.
const root = "/cgi-bin/luci"

// cookie carries the session, as LuCI's does.
const cookie = "sysauth_http"

// visitor is the session of a page request; nil without one.
func (s *Server) visitor(r *http.Request) *session {
	c, err := r.Cookie(cookie)
	if err != nil || c.Value == nobody {
		return nil
	}
	return s.sessions.get(c.Value)
}

// loginRequired tells LuCI's client that the session is over.
func loginRequired(w http.ResponseWriter) {
	w.Header().Set("X-LuCI-Login-Required", "yes")
	http.Error(w, "Forbidden", http.StatusForbidden)
}

// page serves everything below the dispatcher: the login, and the page of a menu
// entry.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && r.PostFormValue("luci_username") != "" {
		s.login(w, r)
		return
	}
	ses := s.visitor(r)
	if ses == nil {
		w.WriteHeader(http.StatusForbidden)
		s.render(w, r, "login", map[string]string{"title": "Log in", "failed": "hidden"})
		return
	}
	tree, err := s.menu(ses.access)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	request := strings.FieldsFunc(strings.TrimPrefix(r.URL.Path, root), func(c rune) bool { return c == '/' })
	n, dispatch := tree.resolve(request)
	if n == nil {
		http.Error(w, "There is no such page, or this user may not see it.", http.StatusNotFound)
		return
	}
	env, err := json.Marshal(s.env(ses, n, request, dispatch))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.render(w, r, "page", map[string]string{"title": n.Title, "env": string(env), "view": n.Action.Path, "page": strings.Join(dispatch, "-")})
}

// env is what LuCI's client is told about its page.
func (s *Server) env(ses *session, n *node, request, dispatch []string) map[string]any {
	return map[string]any{
		"media": "/luci-static/bootstrap", "resource": "/luci-static/resources", "scriptname": root,
		"pathinfo": "/" + strings.Join(request, "/"), "documentroot": "/www", "requestpath": request, "dispatchpath": dispatch,
		"pollinterval": 5, "ubuspath": "/ubus/", "sessionid": ses.id, "token": ses.token, "nodespec": n,
		"apply_rollback": rollbackTime, "apply_holdoff": 1, "apply_timeout": 5, "apply_display": 1.5,
	}
}

// login opens a session and goes where the browser wanted to go.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	ses := s.sessions.login(r.PostFormValue("luci_username"), r.PostFormValue("luci_password"), loginTime)
	if ses == nil {
		w.WriteHeader(http.StatusForbidden)
		s.render(w, r, "login", map[string]string{"title": "Log in", "failed": ""})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: ses.id, Path: root + "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, r.URL.Path, http.StatusFound)
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if ses := s.visitor(r); ses != nil {
		s.sessions.destroy(ses.id)
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: root + "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, root+"/", http.StatusFound)
}

// render fills a page's {{name}} marks. Everything but env, which is JSON inside a
// script, is text and is escaped.
func (s *Server) render(w http.ResponseWriter, r *http.Request, name string, values map[string]string) {
	text, err := fs.ReadFile(hostFiles, "host/"+name+".html")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	pairs := []string{"{{hostname}}", html.EscapeString(s.opt.Hostname), "{{lang}}", html.EscapeString(s.language(r)), "{{users}}", html.EscapeString(s.userHint())}
	for k, v := range values {
		if k == "env" { // json.Marshal has escaped what could end a script
			pairs = append(pairs, "{{env}}", v)
			continue
		}
		pairs = append(pairs, "{{"+k+"}}", html.EscapeString(v))
	}
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = strings.NewReplacer(pairs...).WriteString(w, string(text))
}

// userHint says who may log in, with what password: everybody on this machine may
// know.
func (s *Server) userHint() string {
	var list []string
	for _, u := range s.opt.Users {
		list = append(list, u.Name+" / "+u.Password)
	}
	return strings.Join(list, ", ")
}

// serveStatic serves the first file of a name: the app's, LuCI's, the host's.
func (s *Server) serveStatic(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	if !strings.HasPrefix(name, "luci-static/") {
		http.NotFound(w, r)
		return
	}
	for _, dir := range s.static {
		data, err := fs.ReadFile(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil { // a directory
			break
		}
		st, err := fs.Stat(dir, name)
		if err != nil {
			break
		}
		changed := st.ModTime()
		if changed.IsZero() { // embedded: as old as this process
			changed = s.started
		}
		if typ := mime.TypeByExtension(path.Ext(name)); typ != "" {
			w.Header().Set("Content-Type", typ)
		}
		w.Header().Set("Cache-Control", "no-cache") // ask again, get 304
		http.ServeContent(w, r, name, changed, bytes.NewReader(data))
		return
	}
	http.NotFound(w, r)
}
