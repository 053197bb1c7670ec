package cardfake

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func upper(parts ...[]byte) string {
	return strings.ToUpper(hex.EncodeToString(join(parts...)))
}

// challenge is the body of AUTHENTICATE in a 3G context.
func challenge(rand, autn [16]byte) string {
	return "00880081" + "22" + upper([]byte{16}, rand[:], []byte{16}, autn[:])
}

func TestAuthenticateWithTestSet1(t *testing.T) {
	set := testSets(t)[0]
	c := powered(t, Default())
	rand, sqn := key(t, set.Rand), sqnOf([6]byte(unhex(t, set.Sqn)))
	autn, res, ck, ik := c.Milenage().Challenge(rand, sqn, [2]byte(unhex(t, set.Amf)))
	require.Equal(t, "55f328b43577b9b94a9ffac354dfafb3", hex.EncodeToString(autn[:]), "SQN xor AK, AMF, MAC of the standard")

	run(t, c, step{challenge(rand, autn), "6985"}, step{selectUSIM, "9000"})
	got := fetch(t, c, challenge(rand, autn))
	require.Equal(t, "DB08"+strings.ToUpper(set.F2)+"10"+strings.ToUpper(set.F3)+"10"+strings.ToUpper(set.F4)+"08EAE4BE823AF9A08B", upper(got))
	require.Equal(t, upper([]byte{0xDB, 8}, res[:], []byte{16}, ck[:], []byte{16}, ik[:]), upper(got[:44]))
	require.Equal(t, sqn, c.SQN())
}

func TestAuthenticateChecksTheNetwork(t *testing.T) {
	c := powered(t, Default())
	c.SetSQN(0x1000)
	m := c.Milenage()
	rand := [16]byte{1, 2, 3}
	run(t, c, step{selectUSIM, "9000"})

	autn, _, _, _ := m.Challenge(rand, 0x1021, [2]byte{0x80, 0})
	forged := autn
	forged[15] ^= 1
	run(t, c, step{challenge(rand, forged), "9862"})
	require.Equal(t, byte(0xDB), fetch(t, c, challenge(rand, autn))[0])

	// The same challenge again is a replay: AUTS carries the card's number.
	auts := fetch(t, c, challenge(rand, autn))
	require.Equal(t, []byte{0xDC, 14}, auts[:2])
	sqn, ok := m.Resync(rand, [14]byte(auts[2:]))
	require.True(t, ok)
	require.Equal(t, uint64(0x1021), sqn)

	// With it the network gets through.
	autn, _, _, _ = m.Challenge(rand, sqn+32, [2]byte{0x80, 0})
	require.Equal(t, byte(0xDB), fetch(t, c, challenge(rand, autn))[0])

	// The counters survive the power.
	c.PowerOff()
	c.Reset(true)
	run(t, c, step{selectUSIM, "9000"})
	require.Equal(t, byte(0xDC), fetch(t, c, challenge(rand, autn))[0])
}

func TestAuthenticateRefuses(t *testing.T) {
	p := Default()
	p.PINEnabled = true
	c := powered(t, p)
	rand := [16]byte{1}
	autn, _, _, _ := c.Milenage().Challenge(rand, 32, [2]byte{})
	good := challenge(rand, autn)
	run(t, c,
		step{selectUSIM, "9000"},
		step{good, "6982"},
		step{"0020000108" + "31323334FFFFFFFF", "9000"},
		step{strings.Replace(good, "00880081", "00880082", 1), "6A86"},
		step{"0088008101" + "10", "6700"},
		step{"0088008122" + "0F" + strings.Repeat("00", 33), "6A80"},
		step{"0088008002" + "1000", "6700"},
		step{"0088008011" + "0F" + strings.Repeat("00", 16), "6A80"},
		step{good, "61.."},
		step{"00A4000C023F00", "9000"},
		step{good, "61.."}, // the application stays active outside its directory
		step{"00A4044C07A0000000871002", "9000"},
		step{good, "6985"},
	)
}

func TestAuthenticateInGSMContext(t *testing.T) {
	set := testSets(t)[0]
	c := powered(t, Default())
	run(t, c, step{selectUSIM, "9000"})
	require.Equal(t, "0446F8416A08EAE4BE823AF9A08B", upper(fetch(t, c, "0088008011"+"10"+set.Rand)))
}

func TestPIN(t *testing.T) {
	const (
		verify = "0020000108"
		right  = "31323334FFFFFFFF"
		wrong  = "30303030FFFFFFFF"
		fresh  = "34333231FFFFFFFF"
		puk    = "3132333435363738"
	)
	for _, tt := range []struct {
		name    string
		enabled bool
		steps   []step
	}{
		{"tries count down and a good one gives them back", true, []step{
			{"0020000100", "63C3"}, {verify + wrong, "63C2"}, {verify + wrong, "63C1"}, {"0020000100", "63C1"}, {verify + right, "9000"}, {"0020000100", "63C3"},
		}},
		{"blocked, and unblocked with the PUK", true, []step{
			{verify + wrong, "63C2"}, {verify + wrong, "63C1"}, {verify + wrong, "63C0"}, {verify + right, "6983"}, {"0020000100", "6983"},
			{"002C000100", "63CA"}, {"002C000110" + wrong + fresh, "63C9"}, {"002C000110" + puk + fresh, "9000"}, {verify + right, "63C2"}, {verify + fresh, "9000"},
		}},
		{"a wrong one takes back what was verified", true, []step{
			{verify + right, "9000"}, {selectUSIM, "9000"}, {"00B0870009", ".*9000"}, {verify + wrong, "63C2"}, {"00B0870009", "6982"},
		}},
		{"change", true, []step{{"0024000110" + wrong + fresh, "63C2"}, {"0024000110" + right + fresh, "9000"}, {verify + fresh, "9000"}, {"0024000108" + right, "6700"}}},
		{"switched off it is not asked for", true, []step{
			{"0026000108" + wrong, "63C2"}, {"0026000108" + right, "9000"}, {selectUSIM, "9000"}, {"00B0870009", ".*9000"}, {verify + right, "6984"}, {"0020000100", "6984"},
			{"0024000110" + right + fresh, "6984"}, {"0026000108" + right, "6984"}, {"0028000108" + right, "9000"}, {verify + right, "9000"},
		}},
		{"protects what it should", true, []step{
			{selectUSIM, "9000"}, {"00B0870009", "6982"}, {"00B0830004", "000000029000"}, {"00D68D000100", "6982"}, {verify + right, "9000"}, {"00D68D000100", "9000"},
		}},
		{"PIN2 and ADM cannot be switched off", false, []step{
			{"0020008108" + "35363738FFFFFFFF", "9000"}, {"0026008108" + "35363738FFFFFFFF", "6A81"}, {"0026000A08" + "3535353338343037", "6A81"}, {"002C000A10" + puk + puk, "6A81"},
		}},
		{"PIN2 protects EST", false, []step{
			{selectUSIM, "9000"}, {"00D685000101", "6982"}, {"0020008108" + "35363738FFFFFFFF", "9000"}, {"00D685000101", "9000"},
		}},
		{"malformed", true, []step{
			{"0020000104" + "31323334", "6700"}, {"0020000508" + right, "6A88"}, {"0020010108" + right, "6A86"}, {"0024000100", "6700"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Default()
			p.PINEnabled = tt.enabled
			run(t, powered(t, p), tt.steps...)
		})
	}
}

func TestPUKBlocks(t *testing.T) {
	c := powered(t, Default())
	c.SetPINEnabled(true)
	for n := 9; n >= 0; n-- {
		run(t, c, step{"002C000110" + "30303030303030303030303030303030", "63C" + string("0123456789"[n])})
	}
	run(t, c, step{"002C000110" + "3132333435363738" + "31323334FFFFFFFF", "6983"})
	require.NoError(t, c.SetPIN(PIN1, "0000"))
	pin, puk := c.Tries(PIN1)
	require.Equal(t, []int{3, 10}, []int{pin, puk})
	run(t, c, step{"0020000108" + "30303030FFFFFFFF", "9000"})
}

func TestProactiveCommands(t *testing.T) {
	c := powered(t, Default())
	first, second := unhex(t, "D009810301250082028182"), unhex(t, "D00B8103020500820281829900")
	require.NoError(t, c.QueueProactive(first))
	require.NoError(t, c.QueueProactive(second))
	run(t, c,
		step{selectUSIM, "9000"}, // no profile, no proactive command
		step{"801200000B", "6985"},
		step{"8010000003FFFFFF", "910B"},
		step{"00A4000C026F07", "910B"}, // every good answer says so
		step{"00A40004026F07", "6119"}, // but not one that has more to tell
		step{"00C0000019", ".*910B"},
		step{"00B0FF0000", "6A86"},
		step{"8012000000", "6C0B"},
		step{"801200000B", upper(first) + "9000"},
		step{"801200000B", "6985"}, // it is at work
		step{"00B0870009", ".*9000"},
		step{"8014000003810301", "910D"},
		step{"8014000003810301", "6985"},
		step{"801200000D", upper(second) + "9000"},
		step{"8014000003810302", "9000"},
		step{"80C2000004D1020000", "9000"},
		step{"8010010000", "6A86"},
		step{"8010000000", "9000"},
		step{"8016000000", "6D00"},
	)
	require.Equal(t, [][]byte{{0x81, 0x03, 0x01}, {0x81, 0x03, 0x02}}, c.TerminalResponses())
	require.Equal(t, [][]byte{{0xD1, 0x02, 0x00, 0x00}}, c.Envelopes())
}

func TestProactiveCommandAtWorkEndsWithThePower(t *testing.T) {
	c := powered(t, Default())
	require.NoError(t, c.QueueProactive([]byte{0xD0, 0x00}))
	require.NoError(t, c.QueueProactive([]byte{0xD0, 0x01, 0x02}))
	run(t, c, step{"8010000001FF", "9102"}, step{"8012000002", "D0009000"})
	c.Reset(true)
	run(t, c,
		step{"8014000003810301", "6985"},
		step{"80F2000C00", "9000"},
		step{"8010000001FF", "9103"},
	)
}

func TestGSMClass(t *testing.T) {
	p := Default()
	p.PINEnabled = true
	c := powered(t, p)
	run(t, c,
		step{"A0A40000023F00", "9F16"},
		step{"A0C0000016", "000000003F0001000000000009" + "0B" + "0204" + "04" + "00838A838A" + "9000"},
		step{"A0B0000009", "9400"},
		step{"A0A40000027F20", "9F16"},
		step{"A0F2000016", "000000007F2002000000000009" + "0B" + "0012" + "04" + "00838A838A" + "9000"},
		step{"A0F2000017", "6716"},
		step{"A0A40000026F07", "9F0F"},
		step{"A0C000000F", "000000096F07040014F04401020000" + "9000"},
		step{"A0C000000F", "9810"},
		step{"A0B0000009", "9804"},
		step{"A020000108" + "30303030FFFFFFFF", "9804"},
		step{"A020000108" + "31323334FFFFFFFF", "9000"},
		step{"A0B0000009", "0809101010325476989000"},
		step{"A0B0000000", "6709"},
		step{"A0B0001001", "9402"},
		step{"A0B2010401", "9408"},
		step{"A0A40000026FFF", "9404"},
		step{"A0A40000027F10", "9F16"},
		step{"A0A40000026F3A", "9F0F"},
		step{"A0B2010400", "671E"},
		step{"A0B20B041E", "9402"},
		step{"A0FA000000", "9000"},
		step{"A020000308" + "31323334FFFFFFFF", "9802"},
		step{"A0EE000000", "6D00"},
		step{"A0A4000001" + "3F", "6700"},
	)
}

func TestGSMFileAnswerOfIMSI(t *testing.T) {
	c := powered(t, Default())
	run(t, c, step{"A0A40000027F20", "9F16"})
	require.Equal(t, "000000096F07040014F044010200"+"00", upper(fetch(t, c, "A0A40000026F07")))
}

func TestGSMCHVBlocks(t *testing.T) {
	p := Default()
	p.PINEnabled = true
	run(t, powered(t, p),
		step{"A020000108" + "30303030FFFFFFFF", "9804"},
		step{"A020000108" + "30303030FFFFFFFF", "9804"},
		step{"A020000108" + "30303030FFFFFFFF", "9840"},
		step{"A020000108" + "31323334FFFFFFFF", "9840"},
		step{"A02C000010" + "3132333435363738" + "31323334FFFFFFFF", "9000"},
		step{"A026000108" + "31323334FFFFFFFF", "9000"},
		step{"A020000108" + "31323334FFFFFFFF", "9808"},
	)
}

func TestRunGSMAlgorithm(t *testing.T) {
	set := testSets(t)[0]
	c := powered(t, Default())
	run(t, c, step{"A088000010" + set.Rand, "9810"}, step{"A0A40000027F20", "9F16"})
	require.Equal(t, "46F8416AEAE4BE823AF9A08B", upper(fetch(t, c, "A088000010"+set.Rand)))
	run(t, c, step{"A088000001" + "00", "6700"})
}
