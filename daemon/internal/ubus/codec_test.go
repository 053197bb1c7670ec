package ubus

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// masked is a string type that shows only its tail, as identities do.
type masked string

func (m masked) MarshalText() ([]byte, error) { return []byte("…" + string(m[len(m)-1:])), nil }

type base struct {
	ID   int64  `json:"id"`
	Kind string `json:"kind"`
}

type node struct {
	Name string  `json:"name"`
	Kids []*node `json:"kids,omitempty"`
}

func ptr[T any](v T) *T { return &v }

func TestMarshalWritesWhatJSONWouldSay(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   any
		want string // as JSON
	}{
		{"nothing", nil, `{}`},
		{"nil pointer", (*base)(nil), `{}`},
		{"struct with tags", struct {
			A int    `json:"a"`
			B string `json:"b,omitempty"`
			C bool   `json:"-"`
			D float64
			e int
		}{A: 1, C: true, D: 0.5, e: 3}, `{"a":1,"D":0.5}`},
		{"embedded struct is flattened", struct {
			base
			Extra bool `json:"extra"`
		}{base{7, "x"}, true}, `{"id":7,"kind":"x","extra":true}`},
		{"nil embedded pointer is left out", struct {
			*base2
			N int `json:"n"`
		}{N: 1}, `{"n":1}`},
		{"an embedded field is hidden by a nearer one", struct {
			base
			Kind int `json:"kind"`
		}{base{1, "far"}, 2}, `{"id":1,"kind":2}`},
		{"an embedded struct with a name is nested", struct {
			base `json:"base"`
		}{base{1, "k"}}, `{"base":{"id":1,"kind":"k"}}`},
		{"identities mask themselves", map[string]any{"iccid": masked("12345"), "list": []masked{"67", "89"}},
			`{"iccid":"…5","list":["…7","…9"]}`},
		{"map keys are sorted", map[string]int{"b": 2, "a": 1, "c": 3}, `{"a":1,"b":2,"c":3}`},
		{"keys that are numbers", map[int]bool{2: true, 10: false}, `{"10":false,"2":true}`},
		{"pointers and nil", struct {
			P *float64 `json:"p"`
			Q *float64 `json:"q"`
			R *float64 `json:"r,omitempty"`
			S any      `json:"s"`
		}{P: ptr(1.5)}, `{"p":1.5,"q":null,"s":null}`},
		{"nil slice is an empty array, nil map an empty table", struct {
			L []int          `json:"l"`
			M map[string]int `json:"m"`
			N []int          `json:"n,omitempty"`
		}{}, `{"l":[],"m":{}}`},
		{"points of a history", struct {
			Points [][]any   `json:"points"`
			Fixed  [2]uint16 `json:"fixed"`
		}{[][]any{{int64(1), 0.5, nil}, {int64(2)}}, [2]uint16{8, 9}}, `{"points":[[1,0.5,null],[2]],"fixed":[8,9]}`},
		{"a tree of its own type", node{"a", []*node{{Name: "b"}, {Name: "c", Kids: []*node{nil}}}},
			`{"name":"a","kids":[{"name":"b"},{"name":"c","kids":[null]}]}`},
		{"bytes are base64", map[string][]byte{"data": {0, 1, 2, 255}}, `{"data":"AAEC/w=="}`},
		{"no number is null", map[string]float64{"nan": math.NaN(), "inf": math.Inf(1)}, `{"inf":null,"nan":null}`},
		{"time is text", map[string]time.Time{"t": time.Unix(0, 0).UTC()}, `{"t":"1970-01-01T00:00:00Z"}`},
		{"raw is taken as it is", map[string]any{"r": Raw(must(Marshal(map[string]int{"x": 1})))}, `{"r":{"x":1}}`},
		{"omitzero", struct {
			A time.Time `json:"a,omitzero"`
			B int       `json:"b,omitzero"`
		}{B: 1}, `{"b":1}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := Marshal(tt.in)
			require.NoError(t, err)
			got, err := ParseTable(b)
			require.NoError(t, err)
			require.Equal(t, tt.want, got.String())
			require.True(t, json.Valid(got.JSON()))
		})
	}
}

type base2 struct {
	Z int `json:"z"`
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestMarshalChoosesTypes(t *testing.T) {
	type named int64
	b, err := Marshal(struct {
		A int64   `json:"a"`
		B named   `json:"b"`
		C int     `json:"c"`
		D uint64  `json:"d"`
		E uint32  `json:"e"`
		F uint8   `json:"f"`
		G bool    `json:"g"`
		H float32 `json:"h"`
		I int16   `json:"i"`
	}{A: 1, B: 2, C: -3, D: 1 << 40, E: math.MaxUint32, F: 5, G: true, H: 2, I: 6})
	require.NoError(t, err)
	got, err := ParseTable(b)
	require.NoError(t, err)
	require.Equal(t, Table{{"a", int64(1)}, {"b", int64(2)}, {"c", int32(-3)}, {"d", int64(1 << 40)},
		{"e", int64(math.MaxUint32)}, {"f", int32(5)}, {"g", true}, {"h", float64(2)}, {"i", int32(6)}}, got)
}

func TestMarshalRefuses(t *testing.T) {
	deep := any(1)
	for range MaxDepth + 1 {
		deep = map[string]any{"x": deep}
	}
	loop := &node{Name: "loop"}
	loop.Kids = []*node{loop}
	for _, tt := range []struct {
		name string
		in   any
		is   error
		says string
	}{
		{"a number", 5, ErrUnsupported, "only structs, maps and tables"},
		{"a channel", map[string]any{"c": make(chan int)}, ErrUnsupported, "c: encode chan int"},
		{"a function in a struct", struct {
			F func() `json:"f"`
		}{}, ErrUnsupported, "f: encode func()"},
		{"keys without text", map[float64]int{1: 1}, ErrUnsupported, "key float64"},
		{"an unknown option", struct {
			N int `json:"n,string"`
		}{}, ErrUnsupported, `tag option "string"`},
		{"more than INT64", map[string]uint64{"n": math.MaxUint64}, ErrTooLarge, "n: encode 18446744073709551615"},
		{"too much", map[string]string{"s": strings.Repeat("x", MaxMessage)}, ErrTooLarge, "at most 1048576"},
		{"more than an attribute holds", map[string]string{"s": strings.Repeat("x", 1<<24)}, ErrTooLarge, "attribute of"},
		{"too deep", deep, ErrTooLarge, "nested deeper than 32"},
		{"a loop", loop, ErrTooLarge, "nested deeper than 32"},
		{"too long a name", map[string]int{strings.Repeat("n", 70000): 1}, ErrTooLarge, "key of 70000 bytes"},
		{"too long a name in a table", Table{{strings.Repeat("n", 70000), 1}}, ErrTooLarge, "name of 70000 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Marshal(tt.in)
			require.ErrorIs(t, err, tt.is)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestUnmarshalIntoGoTypes(t *testing.T) {
	type inner struct {
		X int     `json:"x"`
		Y *string `json:"y"`
	}
	type outer struct {
		base
		Flag  bool              `json:"flag"`
		Ratio float64           `json:"ratio"`
		In    inner             `json:"in"`
		P     *inner            `json:"p"`
		List  []int16           `json:"list"`
		Pair  [2]string         `json:"pair"`
		Map   map[string]uint64 `json:"map"`
		Any   any               `json:"any"`
		Raw   []byte            `json:"raw"`
		When  time.Time         `json:"when"`
		T     Table             `json:"t"`
		Keep  string            `json:"keep"`
		Gone  *int              `json:"gone"`
	}
	b, err := Marshal(Table{
		{"id", int32(5)}, {"kind", "k"}, {"flag", int32(1)}, {"ratio", int64(2)},
		{"in", Table{{"x", 3.0}, {"y", "why"}, {"unknown", true}}}, {"p", Table{{"x", true}}},
		{"list", []any{int64(1), int8(-2), int16(3)}}, {"pair", []any{"a"}},
		{"map", Table{{"m", int32(9)}}}, {"any", []any{Table{{"q", "r"}}}}, {"raw", "AAEC"},
		{"when", "1970-01-01T00:00:00Z"}, {"t", Table{{"u", nil}}}, {"keep", nil}, {"gone", nil},
	})
	require.NoError(t, err)
	got := outer{Keep: "kept", Gone: ptr(1)}
	require.NoError(t, Unmarshal(b, &got))
	require.Equal(t, outer{
		base: base{5, "k"}, Flag: true, Ratio: 2, In: inner{3, ptr("why")}, P: &inner{X: 1},
		List: []int16{1, -2, 3}, Pair: [2]string{"a"}, Map: map[string]uint64{"m": 9},
		Any: []any{Table{{"q", "r"}}}, Raw: []byte{0, 1, 2}, When: time.Unix(0, 0).UTC(), T: Table{{"u", nil}}, Keep: "kept",
	}, got)

	var m map[string]any
	require.NoError(t, Unmarshal(b, &m))
	require.Equal(t, int32(5), m["id"])
	var v any
	require.NoError(t, Unmarshal(b, &v))
	require.IsType(t, Table{}, v)

	for says, in := range map[string]Table{
		"id: a string does not fit Go type int64":                 {{"id", "x"}},
		"list: [0]: the integer 70000 does not fit Go type int16": {{"list", []any{int32(70000)}}},
		"in: x: the number 1.5 does not fit Go type int":          {{"in", Table{{"x", 1.5}}}},
		"map: m: the integer -1 does not fit Go type uint64":      {{"map", Table{{"m", int32(-1)}}}},
		"pair: array of 3 does not fit":                           {{"pair", []any{"a", "b", "c"}}},
		"raw: base64":                                             {{"raw", "?"}},
	} {
		require.ErrorContains(t, in.Decode(&outer{}), says)
	}
	require.ErrorIs(t, Unmarshal(b, outer{}), ErrUnsupported)
	require.ErrorIs(t, Unmarshal([]byte{1}, &outer{}), ErrMalformed)
}

func TestArgumentsAreTakenInAnyWidth(t *testing.T) {
	args := Table{{"i16", int16(-3)}, {"i32", int32(4)}, {"i64", int64(5)}, {"whole", 6.0}, {"half", 0.5}, {"yes", true},
		{"i8", int8(-1)}, {"text", "t"}, {"null", nil}, {"list", []any{"a"}}, {"table", Table{{"k", "v"}}}, {"huge", 1e300}, {"i32", int32(99)}}
	for name, want := range map[string]int64{"i16": -3, "i32": 4, "i64": 5, "whole": 6, "yes": 1, "null": 42, "absent": 42, "i8": -1} {
		got, err := args.Int(name, 42)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	for name, want := range map[string]float64{"i32": 4, "half": 0.5, "absent": 42} {
		got, err := args.Float(name, 42)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	for name, want := range map[string]bool{"yes": true, "absent": true, "i8": true} {
		got, err := args.Bool(name, true)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	text, err := args.Text("text", "")
	require.NoError(t, err)
	require.Equal(t, "t", text)
	list, err := args.List("list")
	require.NoError(t, err)
	require.Equal(t, []any{"a"}, list)
	table, err := args.Table("table")
	require.NoError(t, err)
	require.Equal(t, Table{{"k", "v"}}, table)
	require.True(t, args.Has("yes"))
	require.False(t, args.Has("null"))
	require.Equal(t, map[string]any{"k": "v"}, args.Map()["table"])
	require.Equal(t, int32(4), args.Map()["i32"], "the first counts")

	errOf := func(_ any, err error) error { return err }
	for says, err := range map[string]error{
		"argument text: want an integer, got a string":          errOf(args.Int("text", 0)),
		"argument half: want an integer, got the number 0.5":    errOf(args.Int("half", 0)),
		"argument huge: want an integer, got the number 1e+300": errOf(args.Int("huge", 0)),
		"argument list: want a number, got an array":            errOf(args.Float("list", 0)),
		"argument i32: want true or false, got the integer 4":   errOf(args.Bool("i32", false)),
		"argument i64: want a string, got the integer 5":        errOf(args.Text("i64", "")),
		"argument yes: want a table, got a boolean":             errOf(args.Table("yes")),
		"argument table: want an array, got a table":            errOf(args.List("table")),
	} {
		var arg *ArgError
		require.True(t, errors.As(err, &arg), says)
		require.EqualError(t, err, says)
	}
}

func TestJSONIsWholeAndInOrder(t *testing.T) {
	got := Table{{"z", int64(math.MinInt64)}, {"a", []any{int8(-5), nil, math.NaN(), 1e21}},
		{"quote\"\\\n\t\x01\x7f", "bad \xff utf"}, {"t", Table{}}}
	out, err := json.Marshal(got)
	require.NoError(t, err)
	require.Equal(t, `{"z":-9223372036854775808,"a":[true,null,null,1e+21],"quote\"\\\n\t\u0001\u007f":"bad �`+` utf","t":{}}`, string(out))
}

func TestMalformedBlobmsgIsRefusedWithItsPlace(t *testing.T) {
	for _, tt := range []struct{ name, in, says string }{
		{"cut head", "8500", "field 0: length does not fit into 2 bytes"},
		{"length too small", "85000003", "field 0: length"},
		{"length too large", "8500001000036e", "field 0: length"},
		{"no name header", "85000004", "name header needs 2 bytes, have 0"},
		{"name too long", "8500000800ff6162", "name of 255 bytes does not fit"},
		{"name without NUL", "8500000c00016e7800000001", "does not end with NUL"},
		{"short integer", "8500000a00016e0000010000", `field "n": int32 needs 4 bytes, have 2`},
		{"long integer", "8400000c00016e0000000001", `field "n": int64 needs 8 bytes, have 4`},
		{"string without NUL", "8300000c00016e0061626364", `field "n": string of 4 bytes does not end with NUL`},
		{"empty string value", "8300000800016e00", `field "n": string of 0 bytes`},
		{"inside a table", "8200001400016e008500000c00016e00000000", "length does not fit"},
		{"inside an array", "8100001000016e008500000800000000", `field "n": element 0: int32 needs 4 bytes, have 0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := hex.DecodeString(tt.in)
			require.NoError(t, err)
			_, err = ParseTable(b)
			require.ErrorIs(t, err, ErrMalformed)
			require.ErrorContains(t, err, tt.says)
		})
	}
	deep := []byte{}
	for range MaxDepth + 1 {
		b, at := open(nil, extended|byte(Array), noName)
		deep, _ = closeAttr(append(b, deep...), at)
	}
	_, err := ParseTable(deep)
	require.ErrorIs(t, err, ErrMalformed)
	require.ErrorContains(t, err, "nested deeper than 32")
}

func TestWhatIsUnknownInBlobmsgIsSkipped(t *testing.T) {
	b, err := hex.DecodeString("05000008" + "00000001" + // no name: skipped
		"8f00000c" + "00017800" + "00000001" + // type 15: skipped
		"8500000c" + "00016e00" + "00000007" +
		"81000024" + "00016c00" + // an array of
		"0500000800000001" + // an element without name header
		"8f00000800000000" + // one of type 15
		"8500000c" + "00000000" + "00000002")
	require.NoError(t, err)
	got, err := ParseTable(b)
	require.NoError(t, err)
	require.Equal(t, `{"n":7,"l":[1,null,2]}`, got.String())
}

func TestAttributesOfTheWrongTypeAreAbsent(t *testing.T) {
	m := Begin(nil, MsgStatus, 1, 2).
		Nested(AttrStatus, []byte{1}).Nested(AttrObjPath, []byte("nul-less")).Nested(AttrMethod, nil).
		Nested(AttrActive, []byte{1, 2}).Nested(AttrTarget, []byte{1, 2, 3, 4, 5}).
		Uint32(AttrObjID, 7).Nested(AttrObjID, []byte{1}). // the wrong one does not hide the right one
		Text(AttrUser, "first").Text(AttrUser, "last").Nested(AttrGroup, []byte("cut\x00here\x00")).Uint32(99, 1).Frame()
	a := ParseAttrs(m[headerLen:])
	for _, id := range []AttrID{AttrStatus, AttrObjPath, AttrMethod, AttrActive, AttrTarget, 99, 0} {
		require.False(t, a.Has(id), id)
	}
	require.Equal(t, uint32(7), a.ObjID)
	require.Equal(t, "last", a.User)
	require.Equal(t, "cut", a.Group)
}

func TestBackoffIsFullJitter(t *testing.T) {
	for attempt, most := range map[int]time.Duration{0: 100 * time.Millisecond, 1: 200 * time.Millisecond, 5: 3200 * time.Millisecond,
		6: 5 * time.Second, 1000: 5 * time.Second} {
		var least, largest = time.Hour, time.Duration(0)
		for range 1000 {
			d := fullJitter(attempt)
			least, largest = min(least, d), max(largest, d)
		}
		require.GreaterOrEqual(t, least, time.Duration(0))
		require.Less(t, largest, most)
		require.Greater(t, largest-least, most/2, "spread")
	}
}
