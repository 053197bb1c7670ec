package cardfake

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// testSet is one row of testdata/milenage.json: the standard's own test data.
type testSet struct {
	Set                                int
	K, Rand, Sqn, Amf, Op, Opc         string
	F1, F1star, F2, F3, F4, F5, F5star string
}

func testSets(t *testing.T) []testSet {
	t.Helper()
	b, err := os.ReadFile("testdata/milenage.json")
	require.NoError(t, err)
	var file struct{ Sets []testSet }
	require.NoError(t, json.Unmarshal(b, &file))
	require.Len(t, file.Sets, 20)
	return file.Sets
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func key(t *testing.T, s string) [16]byte { return [16]byte(unhex(t, s)) }

func TestMilenageEqualsTheStandardsTestSets(t *testing.T) {
	for _, set := range testSets(t) {
		t.Run(fmt.Sprintf("set %d", set.Set), func(t *testing.T) {
			k, opc, rand := key(t, set.K), key(t, set.Opc), key(t, set.Rand)
			derived := OPc(k, key(t, set.Op))
			require.Equal(t, set.Opc, hex.EncodeToString(derived[:]), "OPc")

			m := NewMilenage(k, opc)
			macA, macS := m.F1(rand, [6]byte(unhex(t, set.Sqn)), [2]byte(unhex(t, set.Amf)))
			require.Equal(t, set.F1, hex.EncodeToString(macA[:]), "f1")
			require.Equal(t, set.F1star, hex.EncodeToString(macS[:]), "f1*")
			res, ck, ik, ak := m.F2345(rand)
			require.Equal(t, set.F2, hex.EncodeToString(res[:]), "f2")
			require.Equal(t, set.F3, hex.EncodeToString(ck[:]), "f3")
			require.Equal(t, set.F4, hex.EncodeToString(ik[:]), "f4")
			require.Equal(t, set.F5, hex.EncodeToString(ak[:]), "f5")
			star := m.F5Star(rand)
			require.Equal(t, set.F5star, hex.EncodeToString(star[:]), "f5*")
		})
	}
}

// In 2G the answers follow from the 3G ones (3GPP TS 55.205 §3); these are its test
// set 1.
func TestGSMAnswersOfTestSet1(t *testing.T) {
	set := testSets(t)[0]
	a := authenticator{milenage: NewMilenage(key(t, set.K), key(t, set.Opc))}
	sres, kc := a.gsm(key(t, set.Rand))
	require.Equal(t, "46f8416a", hex.EncodeToString(sres[:]))
	require.Equal(t, "eae4be823af9a08b", hex.EncodeToString(kc[:]))
}

func TestResyncRefusesAForgedAUTS(t *testing.T) {
	m := NewMilenage([16]byte{1}, [16]byte{2})
	a := authenticator{milenage: m}
	a.setSQN(0x1234567890A0)
	auts := a.auts([16]byte{3})
	require.Len(t, auts, 16)
	sqn, ok := m.Resync([16]byte{3}, [14]byte(auts[2:]))
	require.True(t, ok)
	require.Equal(t, a.sqn(), sqn)
	auts[15] ^= 1
	_, ok = m.Resync([16]byte{3}, [14]byte(auts[2:]))
	require.False(t, ok)
}

func TestSequenceNumbersPerIndex(t *testing.T) {
	var a authenticator
	a.setSQN(0x100)
	require.False(t, a.fresh(0x100), "used")
	require.False(t, a.fresh(0x11F), "another index, but the same SEQ")
	require.True(t, a.fresh(0x120))
	require.False(t, a.fresh(0x120), "again")
	require.True(t, a.fresh(0x205), "another index")
	require.True(t, a.fresh(0x140), "older than that, but newer in its own index")
	require.Equal(t, uint64(0x205), a.sqn())
}
