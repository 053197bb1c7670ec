package meter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// ErrMalformed: this is not what nft writes.
var ErrMalformed = errors.New("malformed nft listing")

// listing is the part of `nft -j list counters` that matters.
type listing struct {
	Nftables []struct {
		Counter *struct {
			Family string `json:"family"`
			Table  string `json:"table"`
			Name   string `json:"name"`
			Bytes  int64  `json:"bytes"`
		} `json:"counter"`
	} `json:"nftables"`
}

// parse reads `nft -j list counters table inet remsim`. A table without a name
// for its life, or with an unknown layout, is none of ours: ErrNoTable.
func parse(b []byte) (Reading, error) {
	var l listing
	if err := json.Unmarshal(b, &l); err != nil {
		return Reading{}, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if l.Nftables == nil {
		return Reading{}, fmt.Errorf("%w: it has no list nftables", ErrMalformed)
	}
	var r Reading
	for _, o := range l.Nftables {
		c := o.Counter
		if c == nil || c.Family != family || c.Table != table {
			continue
		}
		if c.Bytes < 0 {
			return Reading{}, fmt.Errorf("%w: counter %q is negative", ErrMalformed, c.Name)
		}
		if epoch, ok := strings.CutPrefix(c.Name, epochPrefix); ok {
			r.Epoch = epoch
			continue
		}
		r.take(c.Name, c.Bytes)
	}
	if r.Epoch == "" {
		return Reading{}, ErrNoTable
	}
	return r, nil
}

// take enters one counter; one that is not ours says nothing.
func (r *Reading) take(name string, bytes int64) {
	kind, link, ok := strings.Cut(name, "_")
	if !ok || link == "" {
		return
	}
	var into func(c *model.MeterCount)
	switch kind {
	case "rx":
		into = func(c *model.MeterCount) { c.Rx = bytes }
	case "tx":
		into = func(c *model.MeterCount) { c.Tx = bytes }
	case "dropped":
		into = func(c *model.MeterCount) { c.Dropped = bytes }
	case "unasked":
		into = func(c *model.MeterCount) { c.Unasked = bytes }
	default:
		number, ok := strings.CutPrefix(kind, "p")
		n, err := strconv.ParseUint(number, 10, 8)
		if !ok || err != nil || model.Purpose(n) > model.LastPurpose {
			return
		}
		into = func(c *model.MeterCount) {
			if bytes > 0 {
				c.Purposes[model.Purpose(n).String()] = bytes
			}
		}
	}
	into(r.of(link))
}

// of finds the counts of a link, or makes them.
func (r *Reading) of(link string) *model.MeterCount {
	for i := range r.Counts {
		if r.Counts[i].Link == link {
			return &r.Counts[i]
		}
	}
	r.Counts = append(r.Counts, model.MeterCount{Link: link, Purposes: make(map[string]int64)})
	return &r.Counts[len(r.Counts)-1]
}
