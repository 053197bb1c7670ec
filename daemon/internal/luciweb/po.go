package luciweb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// message is one entry of a translation.
type message struct {
	context, id, plural string
	text                []string // one, or one per plural form
}

// language is the first language of the browser that the app speaks.
func (s *Server) language(r *http.Request) string {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		tag, _, _ = strings.Cut(tag, "-")
		if tag == "en" {
			break
		}
		if _, err := os.Stat(s.poFile(tag)); err == nil {
			return tag
		}
	}
	return "en"
}

// poFile is where the app keeps a language. A name with anything but letters in
// it is none.
func (s *Server) poFile(lang string) string {
	if !validName(lang, true) {
		lang = "templates"
	}
	files, err := filepath.Glob(filepath.Join(s.opt.App, "po", lang, "*.po"))
	if err != nil || len(files) == 0 {
		return filepath.Join(s.opt.App, "po", lang, "none")
	}
	return files[0]
}

// translations serves the app's texts in a language: window.TR by hash for LuCI's
// own client, window.TRtext by the text itself for the small host.
func (s *Server) translations(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/javascript; charset=UTF-8")
	w.Header().Set("Cache-Control", "no-cache")
	hashed, plain := map[string]string{}, map[string]string{}
	if data, err := os.ReadFile(s.poFile(r.PathValue("lang"))); err == nil {
		messages, err := parsePO(data)
		if err != nil {
			s.log.Warn("translation is malformed", "err", err)
		}
		for _, m := range messages {
			m.keys(func(key, text string) { hashed[hashKey(key)], plain[key] = text, text })
			if m.id == "" {
				hashed["00000000"] = pluralRule(m.text[0])
			}
		}
	}
	var out bytes.Buffer
	for _, part := range []struct {
		name string
		v    map[string]string
	}{{"TR", hashed}, {"TRtext", plain}} {
		text, err := json.Marshal(part.v)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(&out, "window.%s=%s;\n", part.name, text)
	}
	_, _ = w.Write(out.Bytes())
}

// keys calls fn with each key under which LuCI's client looks for the message
// (po2lmo.c): context, 01, text, 02, number of the plural form.
func (m message) keys(fn func(key, text string)) {
	if m.id == "" {
		return
	}
	key := squeeze(m.id)
	if m.context != "" {
		key = squeeze(m.context) + "\x01" + key
	}
	for i, text := range m.text {
		switch {
		case text == "":
		case m.plural != "":
			fn(key+"\x02"+strconv.Itoa(i), text)
		default:
			fn(key, text)
		}
	}
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// pluralRule takes the formula out of a translation's head.
func pluralRule(head string) string {
	for line := range strings.Lines(head) {
		if rule, ok := strings.CutPrefix(line, "Plural-Forms:"); ok {
			if _, rule, ok = strings.Cut(rule, "plural="); ok {
				return "plural=" + strings.TrimRight(strings.TrimSpace(rule), ";") + ";"
			}
		}
	}
	return "plural=(n != 1);"
}

// parsePO reads a translation in gettext's format.
func parsePO(data []byte) ([]message, error) {
	var out []message
	var m message
	var to *string
	flush := func() {
		if len(m.text) > 0 {
			out = append(out, m)
		}
		m, to = message{}, nil
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		word, quoted, found := strings.Cut(line, `"`)
		switch word = strings.TrimSpace(word); {
		case line == "" || strings.HasPrefix(line, "#"):
			if len(m.text) > 0 {
				flush()
			}
			continue
		case !found:
			return out, fmt.Errorf("line %d of the translation: no text stands here", n)
		case word == "msgctxt":
			flush()
			to = &m.context
		case word == "msgid":
			if len(m.text) > 0 {
				flush()
			}
			to = &m.id
		case word == "msgid_plural":
			to = &m.plural
		case strings.HasPrefix(word, "msgstr"):
			m.text = append(m.text, "")
			to = &m.text[len(m.text)-1]
		case word != "" || to == nil:
			return out, fmt.Errorf("line %d of the translation: %q is no keyword", n, word)
		}
		text, err := strconv.Unquote(`"` + quoted)
		if err != nil {
			return out, fmt.Errorf("line %d of the translation: read the text: %w", n, err)
		}
		*to += text
	}
	flush()
	return out, nil
}

// hashKey is the name of a text in window.TR: the SuperFastHash of LuCI's cbi.js.
func hashKey(key string) string {
	b := []byte(key)
	u16 := func(i int) uint32 { return uint32(b[i]) | uint32(b[i+1])<<8 }
	h := uint32(len(b))
	for len(b) >= 4 {
		h += u16(0)
		h = h<<16 ^ u16(2)<<11 ^ h
		h += h >> 11
		b = b[4:]
	}
	switch len(b) {
	case 3:
		h += u16(0)
		h ^= h << 16
		h ^= uint32(int8(b[2])) << 18
		h += h >> 11
	case 2:
		h += u16(0)
		h ^= h << 11
		h += h >> 17
	case 1:
		h += uint32(int8(b[0]))
		h ^= h << 10
		h += h >> 1
	}
	h ^= h << 3
	h += h >> 5
	h ^= h << 4
	h += h >> 17
	h ^= h << 25
	h += h >> 6
	return fmt.Sprintf("%08x", h)
}
