package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"sync"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// partSize is how much of a support archive one reply holds: 192 KiB of base64.
const partSize = 144 << 10

// archived is the support archive whose parts are being fetched.
type archived struct {
	mu   sync.Mutex
	data []byte
	sum  string
}

// supportReply is one part of it.
type supportReply struct {
	Parts  int    `json:"parts"`
	Size   int    `json:"size"`   // of the whole, in bytes
	SHA256 string `json:"sha256"` // of the whole
	Data   string `json:"data"`
}

// support makes the archive anew for part 0, and forgets it with the last part.
func (a *API) support(ctx context.Context, req *ubus.Request) {
	part, err := req.Args.Int("part", 0)
	if err != nil {
		a.refuse(req, err)
		return
	}
	s := &a.archive
	s.mu.Lock()
	defer s.mu.Unlock()
	if part == 0 {
		if s.data, err = a.backend.Support(ctx); err != nil {
			a.refuse(req, err)
			return
		}
		sum := sha256.Sum256(s.data)
		s.sum = hex.EncodeToString(sum[:])
	}
	parts := int64(len(s.data)+partSize-1) / partSize
	if part < 0 || part >= parts {
		a.refuse(req, &model.CommandError{Kind: model.NotFound, Message: "there is no such part; begin with part 0, which makes the archive"})
		return
	}
	from := int(part) * partSize
	r := supportReply{Parts: int(parts), Size: len(s.data), SHA256: s.sum,
		Data: base64.StdEncoding.EncodeToString(s.data[from:min(from+partSize, len(s.data))])}
	if part == parts-1 {
		s.data = nil
	}
	a.answer(req, r, nil)
}

// discover tells what is there and could be configured.
func (a *API) discover(ctx context.Context, req *ubus.Request) {
	found, err := a.backend.Discover(ctx)
	a.answer(req, found, err)
}

// credential stores or removes one if a kind is given, and lists them all.
func (a *API) credential(_ context.Context, req *ubus.Request) {
	kind, err1 := req.Args.Text("kind", "")
	name, err2 := req.Args.Text("name", "")
	text, err3 := req.Args.Text("pem", "")
	err := firstOf(err1, err2, err3)
	switch {
	case err != nil || kind == "" && name == "" && text == "":
	case text == "":
		err = a.backend.RemoveCredential(kind, name)
	default:
		err = a.backend.StoreCredential(kind, name, []byte(text))
	}
	if err != nil {
		a.refuse(req, err)
		return
	}
	list, err := a.backend.Credentials()
	a.answer(req, map[string]any{"credentials": list}, err)
}
