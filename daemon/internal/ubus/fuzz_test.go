package ubus

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// seedBodies gives a fuzzer the bodies of all recorded messages.
func seedBodies(f *testing.F, add func(m Message)) {
	f.Helper()
	for _, rec := range recordings(f, "*.txt") {
		for _, s := range rec.steps {
			if m, err := NewReader(bytes.NewReader(s.raw), MaxMessage).Next(); err == nil {
				add(m)
			}
		}
	}
}

// FuzzBlobmsg holds the promises of the blobmsg decoder: no input makes it
// panic or take more memory than a small multiple of itself, and whatever it
// accepts has a canonical form that decodes to the same.
func FuzzBlobmsg(f *testing.F) {
	seedBodies(f, func(m Message) {
		a := ParseAttrs(m.Body)
		f.Add(a.Data)
		f.Add(a.Signature)
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := ParseTable(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.LessOrEqual(t, fields(table), len(b)/4, "fields out of nothing")
		require.True(t, json.Valid(table.JSON()), "%s", table)
		table.Map()
		canon, err := appendFields(nil, table, 0)
		if err != nil {
			require.ErrorIs(t, err, ErrTooLarge)
			return
		}
		again, err := ParseTable(canon)
		require.NoError(t, err)
		// Compared as bytes: NaN is not equal to itself.
		twice, err := appendFields(nil, again, 0)
		require.NoError(t, err)
		require.Equal(t, canon, twice)
		require.Equal(t, table.String(), again.String())
		var v map[string]any
		require.NoError(t, Unmarshal(b, &v))
	})
}

func fields(v any) (n int) {
	switch v := v.(type) {
	case Table:
		for _, f := range v {
			n += 1 + fields(f.Value)
		}
	case []any:
		for _, e := range v {
			n += 1 + fields(e)
		}
	}
	return n
}

// FuzzMessage holds that no stream makes the reader panic or read past its
// limit, and that what it reads it can write back byte for byte.
func FuzzMessage(f *testing.F) {
	seedBodies(f, func(m Message) { f.Add(m.AppendTo(nil)) })
	f.Add([]byte{0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 4096
		r := NewReader(bytes.NewReader(b), limit)
		var out []byte
		for {
			m, err := r.Next()
			if err != nil {
				if !errors.Is(err, ErrMalformed) && err != io.EOF && err != io.ErrUnexpectedEOF {
					t.Fatalf("unnamed error: %v", err)
				}
				break
			}
			require.LessOrEqual(t, len(m.Body), limit-4)
			out = m.AppendTo(out)
			a := ParseAttrs(m.Body)
			EachUint32(a.Subscribers, func(uint32) {})
			parseSignature(a.Signature)
		}
		// The top bits of a root attribute's head are not kept: it has no id.
		for i := 0; i+headerLen <= len(out); {
			n := int(out[i+9])<<16 | int(out[i+10])<<8 | int(out[i+11])
			require.Equal(t, b[i:i+8], out[i:i+8])
			require.Equal(t, b[i+9:i+8+n], out[i+9:i+8+n])
			i += 8 + n
		}
	})
}
