package budget

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// ErrMalformed: bytes that Encode did not write.
var ErrMalformed = errors.New("malformed accounts")

// maxAccounts bounds what is taken back from a file.
const maxAccounts = 64

// Encode writes the book. Two books that say the same are the same bytes.
func (b *Book) Encode() []byte {
	out, err := json.Marshal(b.accounts) // keys are sorted
	if err != nil {
		return nil // maps of numbers can always be written
	}
	return append(out, '\n')
}

// Decode reads what Encode wrote.
func Decode(raw []byte) (*Book, error) {
	b := &Book{}
	if err := json.Unmarshal(raw, &b.accounts); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if len(b.accounts) > maxAccounts {
		return nil, fmt.Errorf("%w: %d links", ErrMalformed, len(b.accounts))
	}
	for link, a := range b.accounts {
		if a == nil || !a.sound() {
			return nil, fmt.Errorf("%w: link %q", ErrMalformed, link)
		}
	}
	return b, nil
}

// sound tells whether an account can be, and makes its maps.
func (a *account) sound() bool {
	if a.Start < 0 || a.First < 0 || a.Before < 0 || a.ResetDay < 0 || a.ResetDay > 31 {
		return false
	}
	for _, m := range []*map[string]int64{&a.Purposes, &a.Undated, &a.BeforeBy, &a.Seen} {
		if len(*m) > int(model.LastPurpose)+1 {
			return false
		}
		for _, n := range *m {
			// 1<<50 bytes are a petabyte; sums of them stay far from overflow.
			if n < 0 || n > 1<<50 {
				return false
			}
		}
	}
	if a.Purposes == nil {
		a.Purposes = make(map[string]int64)
	}
	for p, n := range a.Undated {
		if n > a.Purposes[p] {
			return false
		}
	}
	if a.Undated == nil {
		a.Undated = make(map[string]int64)
	}
	return true
}
