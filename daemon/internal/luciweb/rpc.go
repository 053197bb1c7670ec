package luciweb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// maxPost is the longest body that uhttpd takes, in bytes.
const maxPost = 64 << 10

// callTime is uhttpd's script_timeout as OpenWrt sets it.
const callTime = 60 * time.Second

// fault is an error of JSON-RPC as uhttpd words it.
type fault struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// The faults of uhttpd's ubus plugin.
var (
	faultParse    = &fault{-32700, "Parse error"}
	faultMethod   = &fault{-32601, "Method not found"}
	faultParams   = &fault{-32602, "Invalid parameters"}
	faultInternal = &fault{-32603, "Internal error"}
	faultObject   = &fault{-32000, "Object not found"}
	faultAccess   = &fault{-32002, "Access denied"}
	faultTimeout  = &fault{-32003, "ubus request timed out"}
)

// request is one JSON-RPC request.
type request struct {
	Version string          `json:"jsonrpc"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	ID      json.RawMessage `json:"id"`
}

// response is its answer: a result or a fault.
type response struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  any             `json:"result,omitempty"`
	Fault   *fault          `json:"error,omitempty"`
}

func answer(id json.RawMessage, result any, f *fault) response {
	if id == nil {
		id = json.RawMessage("null")
	}
	return response{Version: "2.0", ID: id, Result: result, Fault: f}
}

// rpc serves POST /ubus: one request or a batch, which is worked off in order.
func (s *Server) rpc(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPost+1))
	w.Header().Set("Content-Type", "application/json")
	body = bytes.TrimSpace(body)
	switch {
	case err != nil || len(body) > maxPost || !json.Valid(body):
		w.Header().Set("Connection", "close") // what is left of the body is no request
		s.write(w, answer(nil, nil, faultParse))
	case body[0] == '{':
		s.write(w, s.serve(r.Context(), body))
	case body[0] == '[':
		s.batch(r.Context(), w, body)
	default:
		s.write(w, answer(nil, nil, faultParse))
	}
}

func (s *Server) batch(ctx context.Context, w io.Writer, body []byte) {
	var list []json.RawMessage
	if json.Unmarshal(body, &list) != nil {
		return // it is valid JSON and starts with a bracket
	}
	_, _ = io.WriteString(w, "[")
	for i, one := range list {
		if i > 0 {
			_, _ = io.WriteString(w, ",")
		}
		s.write(w, s.serve(ctx, one))
	}
	_, _ = io.WriteString(w, "]")
}

// write sends JSON. A browser that has gone away needs no answer.
func (s *Server) write(w io.Writer, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.log.Debug("answer not sent", "err", err)
	}
}

// serve answers one request.
func (s *Server) serve(ctx context.Context, body []byte) response {
	var req request
	if json.Unmarshal(body, &req) != nil || req.Version != "2.0" || req.Method == "" {
		return answer(req.ID, nil, faultParse)
	}
	switch req.Method {
	case "call":
		result, f := s.rpcCall(ctx, req.Params)
		return answer(req.ID, result, f)
	case "list":
		result, f := s.list(ctx, req.Params)
		return answer(req.ID, result, f)
	}
	return answer(req.ID, nil, faultMethod)
}

// rpcCall carries out [session, object, method, arguments].
func (s *Server) rpcCall(ctx context.Context, params json.RawMessage) (any, *fault) {
	var p []json.RawMessage
	var sid, object, method string
	if json.Unmarshal(params, &p) != nil || len(p) < 4 || json.Unmarshal(p[0], &sid) != nil ||
		json.Unmarshal(p[1], &object) != nil || json.Unmarshal(p[2], &method) != nil {
		return nil, faultParse
	}
	args, err := parseTable(p[3])
	if err != nil {
		return nil, faultParse
	}
	status, data, f := s.call(ctx, sid, object, method, args)
	if f != nil {
		return nil, f
	}
	if len(data) == 0 {
		return []any{status}, nil
	}
	return []any{status, data}, nil
}

// call asks the bus for a session: the object must be there, the session must be
// allowed to, and no arguments may pretend to be another session.
func (s *Server) call(ctx context.Context, sid, object, method string, args ubus.Table) (ubus.Status, ubus.Table, *fault) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	conn, err := s.bus.dial(ctx)
	if err != nil {
		return 0, nil, faultObject
	}
	if _, err := conn.Lookup(ctx, object); err != nil {
		return 0, nil, faultObject
	}
	if !s.sessions.allowed(sid, "ubus", object, method) {
		return 0, nil, faultAccess
	}
	if _, has := args.Get("ubus_rpc_session"); has {
		return 0, nil, faultParams
	}
	args = append(args, ubus.Field{Name: "ubus_rpc_session", Value: sid})
	data, err := conn.Call(ctx, object, method, args)
	var status *ubus.StatusError
	switch {
	case err == nil:
		return ubus.StatusOK, data, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return 0, nil, faultTimeout
	case errors.As(err, &status):
		return status.Status, status.Data, nil
	}
	return 0, nil, faultInternal
}

// list names all objects, or shows the signatures of some.
func (s *Server) list(ctx context.Context, params json.RawMessage) (any, *fault) {
	conn, err := s.bus.dial(ctx)
	if err != nil {
		return nil, faultInternal
	}
	var patterns []string
	if json.Unmarshal(params, &patterns) != nil || patterns == nil {
		infos, err := conn.List(ctx, "")
		if err != nil {
			return nil, faultInternal
		}
		names := []string{}
		for _, o := range infos {
			names = append(names, o.Path)
		}
		return names, nil
	}
	out := make(map[string]any)
	for _, p := range patterns {
		infos, err := conn.List(ctx, p)
		if err != nil {
			continue // nothing of that name
		}
		for _, o := range infos {
			out[o.Path] = signature(o)
		}
	}
	return out, nil
}

// signature is an object's methods with the types of their arguments, in
// uhttpd's words.
func signature(o ubus.ObjectInfo) map[string]map[string]string {
	words := map[ubus.Type]string{ubus.Int8: "boolean", ubus.Int32: "number", ubus.String: "string", ubus.Array: "array", ubus.TableType: "object"}
	out := make(map[string]map[string]string)
	for _, m := range o.Methods {
		args := make(map[string]string)
		for _, a := range m.Args {
			if args[a.Name] = words[a.Type]; args[a.Name] == "" {
				args[a.Name] = "unknown"
			}
		}
		out[m.Name] = args
	}
	return out
}

// restCall serves POST /ubus/call/OBJECT.
func (s *Server) restCall(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPost+1))
	var req request
	if err != nil || len(body) > maxPost || json.Unmarshal(body, &req) != nil || req.Version != "2.0" || req.Method == "" {
		s.write(w, answer(nil, nil, faultParse))
		return
	}
	args, err := parseTable(req.Params)
	if err != nil {
		s.write(w, answer(req.ID, nil, faultParse))
		return
	}
	status, data, f := s.call(r.Context(), bearer(r), r.PathValue("object"), req.Method, args)
	switch {
	case f != nil:
		s.write(w, answer(req.ID, nil, f))
	case status != ubus.StatusOK:
		s.write(w, answer(req.ID, nil, &fault{int(status), status.String()}))
	default:
		s.write(w, answer(req.ID, data, nil))
	}
}

// restList serves GET /ubus/list and /ubus/list/OBJECT.
func (s *Server) restList(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	object := r.PathValue("object")
	pattern := []string{"*"}
	if object != "" {
		pattern = []string{object}
	}
	params, _ := json.Marshal(pattern) // of strings
	result, f := s.list(r.Context(), params)
	all, _ := result.(map[string]any)
	switch {
	case f != nil:
		s.write(w, f)
	case object == "":
		s.write(w, all)
	case all[object] == nil:
		w.WriteHeader(http.StatusInternalServerError)
		s.write(w, &fault{int(ubus.StatusNotFound), ubus.StatusNotFound.String()})
	default:
		s.write(w, all[object])
	}
}

// bearer is the session of a REST request.
func bearer(r *http.Request) string {
	if h := r.Header.Get("Authorization"); len(h) > 7 && strings.EqualFold(h[:7], "Bearer ") {
		return h[7:]
	}
	return nobody
}

// errNoTable: arguments that are no JSON object.
var errNoTable = errors.New("no JSON object")

// parseTable reads a JSON object as libubox makes blobmsg of it: whole numbers
// are integers, names keep their order.
func parseTable(data []byte) (ubus.Table, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := parseValue(dec, ubus.MaxDepth)
	if err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	t, ok := v.(ubus.Table)
	if !ok {
		return nil, errNoTable
	}
	return t, nil
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth == 0 {
		return nil, ubus.ErrTooLarge
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Number:
		if n, err := tok.Int64(); err == nil {
			if n == int64(int32(n)) {
				return int32(n), nil
			}
			return n, nil
		}
		return tok.Float64()
	case json.Delim:
		if tok == '[' {
			return parseList(dec, depth-1)
		}
		return parseFields(dec, depth-1)
	default:
		return tok, nil // null, a boolean or a string
	}
}

func parseList(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := parseValue(dec, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := dec.Token() // the bracket
	return list, err
}

func parseFields(dec *json.Decoder, depth int) (any, error) {
	t := ubus.Table{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		v, err := parseValue(dec, depth)
		if err != nil {
			return nil, err
		}
		t = append(t, ubus.Field{Name: name.(string), Value: v}) // encoding/json has seen to that
	}
	_, err := dec.Token() // the brace
	return t, err
}
