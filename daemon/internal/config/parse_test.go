package config

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// working is a configuration without any problem, for tests to add to.
const working = `
config remsim 'main'
	option enabled '1'
config modem 'primary'
	option match 'usb:2-1'
	option network 'wwan0'
	option client_id '7'
config modem 'iot'
	option role 'iot'
	option match 'usb:1-1'
	option network 'wwan1'
config link 'wan'
	option network 'wan'
config server
	option host 'remsim.example.com'
`

// lines parses text and returns its problems as lines, without those that only
// say that an option has no effect yet: they have a test of their own.
func lines(t *testing.T, text string) (*Config, []string) {
	t.Helper()
	cfg, problems, err := Parse("remsim", []byte(text))
	require.NoError(t, err)
	var out []string
	for _, p := range withoutLater(problems) {
		out = append(out, p.String())
	}
	return cfg, out
}

func withoutLater(problems []model.Problem) []model.Problem {
	return slices.DeleteFunc(problems, func(p model.Problem) bool { return strings.Contains(p.Message, "no effect yet") })
}

func TestWorkingConfigurationHasNoProblem(t *testing.T) {
	cfg, got := lines(t, working)
	require.Empty(t, got)
	require.Empty(t, cfg.Missing())
}

// Each value that is refused says what is wrong and what is accepted.
func TestValuesAreRefusedWithWhatIsAccepted(t *testing.T) {
	for _, tc := range []struct{ section, option, value, says string }{
		{"remsim 'main'", "enabled", "maybe", "is neither yes nor no; accepted: 1 or 0"},
		{"remsim 'main'", "device_id", strings.Repeat("x", 65), "has 65 bytes; accepted: UTF-8 text of at most 64 bytes"},
		{"remsim 'main'", "device_id", "a\nb", "control character"},
		{"remsim 'main'", "device_id", "\xff", "is not UTF-8"},
		{"remsim 'main'", "log_level", "warning", `is not known, did you mean "warn"; accepted: one of debug, info, warn, error`},
		{"modem 'primary'", "role", "secondary", "accepted: one of primary, iot"},
		{"modem 'primary'", "match", "2-1", "does not say by what"},
		{"modem 'primary'", "match", "/dev/ttyUSB2", "lacks its kind; write dev: before it"},
		{"modem 'primary'", "match", "usb:2", "is no USB path"},
		{"modem 'primary'", "match", "usb:2-1:1.4", "is no USB path"},
		{"modem 'primary'", "match", "imei:12345", "is no IMEI"},
		{"modem 'primary'", "match", "serial:", "does not say by what"},
		{"modem 'primary'", "match", "dev:ttyUSB2", "below /dev"},
		{"modem 'primary'", "match", "dev:/dev/../etc/passwd", "below /dev"},
		{"modem 'primary'", "match", "pci:1", `starts with "pci", which is not known; accepted: usb:PATH`},
		{"modem 'primary'", "network", "wwan-0", "is no name of a netifd interface"},
		{"modem 'primary'", "network_remote", "a.b", "is no name of a netifd interface"},
		{"modem 'primary'", "source", "remot", `did you mean "remote"`},
		{"modem 'primary'", "fallback", "remote", "accepted: one of none, local"},
		{"modem 'primary'", "front", "simtrace", "accepted: one of auto, cardem, uim-remote, vpcd, none"},
		{"modem 'primary'", "front_device", "usb:x", "is no USB path"},
		{"modem 'primary'", "front_device", "usb:2-1:256", "its interface is no number from 0 to 255"},
		{"modem 'primary'", "front_device", "qmi:cdc-wdm0", "below /dev"},
		{"modem 'primary'", "front_device", "qmi:/dev/cdc-wdm0:4", "its slot is no number from 1 to 3"},
		{"modem 'primary'", "front_device", "qmi:/dev/cdc-wdm0:", "its slot is no number from 1 to 3"},
		{"modem 'primary'", "front_device", "localhost", "is not HOST:PORT"},
		{"modem 'primary'", "front_device", "::1:35963", "without brackets or without a port"},
		{"modem 'primary'", "client_id", "1024", "is out of range; accepted: a whole number, 0 to 1023"},
		{"modem 'primary'", "client_id", "-1", "is not a whole number"},
		{"modem 'primary'", "client_id", "router-001", "is not a whole number; accepted: a whole number, 0 to 1023"},
		{"modem 'primary'", "client_id", "0x10", "is not a whole number"},
		{"modem 'primary'", "client_id", "99999999999999999999", "is not a whole number"},
		{"modem 'primary'", "client_slot", "2000", "is out of range"},
		{"modem 'primary'", "atr", "3B0", "is no ATR: \"3B0\" is not pairs of hexadecimal digits"},
		{"modem 'primary'", "atr", "3C00", "is no ATR: TS is 3C, expected 3B"},
		{"modem 'primary'", "card_cache", "on", "accepted: one of off, safe, full"},
		{"modem 'primary'", "status_interval", "10m", "has a unit, which has to be left out; accepted: whole seconds, 0 to 86400"},
		{"modem 'primary'", "status_interval", "86401", "is out of range"},
		{"modem 'primary'", "sim_line", "20", "is a bare number; such numbers change from kernel to kernel; accepted: the name of a GPIO line, or CHIP:OFFSET (as gpiochip0:20), with ! in front if it is active low"},
		{"modem 'primary'", "sim_line", "gpiochip0:x", "is not CHIP:OFFSET"},
		{"modem 'primary'", "sim_remote_level", "1", "accepted: one of high, low"},
		{"modem 'primary'", "reset_pulse_ms", "5", "accepted: whole milliseconds, 10 to 10000"},
		{"modem 'primary'", "mm_reset", "2", "is neither yes nor no"},
		{"modem 'primary'", "metered", "YES", "is neither yes nor no"},
		{"modem 'primary'", "user_traffic", "sometimes", "accepted: one of never, emergency, always"},
		{"link 'wan'", "user_traffic", "ever", `did you mean "never"`},
		{"server", "host", "https://remsim.example.com", "is a URL"},
		{"server", "host", "remsim.example.com:9998", "has a port with it"},
		{"server", "host", "[2001:db8::1]", "has brackets"},
		{"server", "host", "2001:db8:::1", "is no IPv6 address"},
		{"server", "host", "300.1.1.1", "is no host name"},
		{"server", "host", "10.1.1", "is no host name"},
		{"server", "host", "-a.example.com", "is no host name"},
		{"server", "host", "a..b", "is no host name"},
		{"server", "host", strings.Repeat("a", 64) + ".example.com", "is no host name"},
		{"server", "host", "bänk.example.com", "is not ASCII"},
		{"server", "host", "a b", "is no host name"},
		{"server", "port", "0", "accepted: a whole number, 1 to 65535"},
		{"server", "port", "65536", "accepted: a whole number, 1 to 65535"},
		{"server", "tls", "ssl", "is neither yes nor no"},
		{"server", "ca_cert", "certs/ca.pem", "is a path that does not start with /"},
		{"server", "ca_cert", "/etc/\x07ca", "control character"},
		{"server", "ca_cert", "/etc/ssl/", "is a directory"},
		{"server", "client_cert", "my cert", "is no name of a credential"},
		{"bank", "bank_id", "1024", "is out of range"},
		{"bank", "slot", "a", "is not a whole number"},
		{"ionmesh 'ionmesh'", "url", "ionmesh.example.com", "does not start with https://"},
		{"ionmesh 'ionmesh'", "url", "https://", "has no host"},
		{"ionmesh 'ionmesh'", "url", "https://h:99999", "its port is out of range"},
		{"ionmesh 'ionmesh'", "url", "https://h/?q=1", "has a query or fragment"},
		{"ionmesh 'ionmesh'", "url", "https://a_:b@h", "holds a user name or password"},
		{"ionmesh 'ionmesh'", "tenant_id", "x", "is not a whole number"},
		{"ionmesh 'ionmesh'", "mapping_mode", "ONE_TO_ONE_SWIM", `did you mean "ONE_TO_ONE_SWSIM"`},
		{"ionmesh 'ionmesh'", "mcc_mnc", "26", "is no MCC and MNC; accepted: 3 digits MCC"},
		{"ionmesh 'ionmesh'", "heartbeat_interval", "5", "accepted: whole seconds, 10 to 3600"},
		{"ionmesh 'ionmesh'", "timeout", "61", "accepted: whole seconds, 1 to 60"},
		{"failover 'failover'", "grace", "-5", "is not a whole number"},
		{"failover 'failover'", "failback", "later", "accepted: one of after, immediate, never"},
		{"failover 'failover'", "detect", "slow", "accepted: one of fast, normal, frugal"},
		{"failover 'failover'", "probe", "8.8.8.8:53", "has a port with it"},
		{"budget", "monthly_mb", "0", "accepted: a whole number, 1 to 10000000"},
		{"budget", "reset_day", "32", "accepted: a whole number, 1 to 31"},
		{"budget", "at_limit", "block", "accepted: one of warn, essential, stop"},
		{"hook", "script", "hook.sh", "does not start with /; accepted: an absolute path"},
		{"metrics 'metrics'", "listen", "9187", "is not HOST:PORT; accepted: ADDRESS:PORT"},
		{"metrics 'metrics'", "listen", "example.com:9187", "does not start with an address of this router"},
	} {
		t.Run(tc.section+" "+tc.option+" "+clip(strings.ToValidUTF8(tc.value, "?")), func(t *testing.T) {
			text := fmt.Sprintf("config %s\n\toption %s '%s'\n", tc.section, tc.option, tc.value)
			_, problems, err := Parse("remsim", []byte(text))
			require.NoError(t, err)
			require.NotEmpty(t, problems)
			p := problems[0]
			require.Equal(t, tc.option, p.Option)
			require.Equal(t, shown(tc.option, tc.value), p.Value)
			require.Contains(t, p.Message, tc.says)
			require.Contains(t, p.Message, "accepted: ")
			require.Equal(t, 2, p.Line)
			require.False(t, p.Warning)
			require.False(t, OK(problems))
		})
	}
}

func TestValuesAreRead(t *testing.T) {
	cfg, got := lines(t, `
config remsim 'main'
	option enabled 'on'
	option device_id 'Büro 3'
	option log_level 'debug'
config modem 'a'
	option match 'imei:490154203237518'
	option network 'wwan0'
	option network_remote 'wwan0r'
	option fallback 'local'
	option front 'cardem'
	option front_device 'usb:1-1.4:1'
	option client_id '0'
	option client_slot '1023'
	option atr '3B 9F 96 80 1F C7 80 31 A0 73 BE 21 13 67 43 20 07 18 00 00 01 A5'
	option card_cache 'full'
	option status_interval '0'
	option sim_line 'sim-select'
	option sim_remote_level 'low'
	option reset_line 'gpiochip0:21'
	option reset_pulse_ms '250'
	option power_line 'modem power'
	option mm_reset 'no'
	option metered 'true'
	option user_traffic 'emergency'
config modem 'b'
	option role 'iot'
	option match 'dev:/dev/ttyUSB2'
config link 'wan'
	option network 'wan'
config server 'first'
	option host '2001:db8::1'
	option ca_cert 'my-ca'
	option client_cert '/etc/remsim/cert.pem'
	option client_key '/etc/remsim/../remsim/key.pem'
config server
	option host 'localhost'
	option port '1'
	option tls 'off'
config bank
	option host 'bank.example.com'
	option bank_id '3'
	option slot '5'
	option modem 'a b'
config bank
	option bank_id '4'
	option host 'other.example.com'
config ionmesh 'ionmesh'
	option enabled '1'
	option url 'https://[2001:db8::2]:5000/base/'
	option mcc_mnc '310-410'
	option api_key_file '/etc/remsim/key'
config failover 'failover'
	list control_path 'b'
	list control_path 'wan'
	list probe '192.0.2.1'
	list probe 'probe.example.com.'
	option detect 'fast'
	option grace '0'
config budget
	option link 'b'
	option monthly_mb '4'
	option reset_day '31'
	option at_limit 'stop'
config hook
	option script '/etc/remsim/hook.sh'
config metrics 'metrics'
	option enabled '1'
	option listen '[::1]:9187'
`)
	require.Empty(t, got)
	id := uint16(0)
	atr, err := card.ParseATR("3B9F96801FC78031A073BE21136743200718000001A5")
	require.NoError(t, err)
	require.Equal(t, Main{Enabled: true, DeviceID: "Büro 3", LogLevel: slog.LevelDebug}, cfg.Main)
	require.Equal(t, []Modem{
		{Name: "a", Role: model.RolePrimary, Match: Match{"imei", "490154203237518"}, Network: "wwan0", NetworkRemote: "wwan0r",
			Source: model.SourceRemote, Fallback: FallbackLocal, Front: FrontCardem, FrontDevice: Device{"usb", "1-1.4", 1}, ClientID: &id,
			ClientSlot: 1023, ATR: atr, CardCache: CacheFull, SIMLine: Line{Name: "sim-select"}, ResetLine: Line{Chip: "gpiochip0", Offset: 21},
			ResetPulse: 250 * time.Millisecond, PowerLine: Line{Name: "modem power"}, Metered: true, UserTraffic: TrafficEmergency},
		{Name: "b", Role: model.RoleIoT, Match: Match{"dev", "/dev/ttyUSB2"}, Source: model.SourceLocal, Fallback: FallbackNone, Front: FrontAuto,
			CardCache: CacheSafe, StatusInterval: 10 * time.Minute, SIMRemoteHigh: true, ResetPulse: 500 * time.Millisecond, MMReset: true,
			Metered: true, UserTraffic: TrafficNever},
	}, cfg.Modems)
	require.Equal(t, []Link{{Name: "wan", Network: "wan", UserTraffic: TrafficAlways}}, cfg.Links)
	require.Equal(t, []Server{
		{Name: "first", Host: "2001:db8::1", Port: 9998,
			TLS: TLS{On: true, Files: model.TLSFiles{CA: "my-ca", Cert: "/etc/remsim/cert.pem", Key: "/etc/remsim/key.pem"}}},
		{Name: "@server[1]", Host: "localhost", Port: 1},
	}, cfg.Servers)
	require.Equal(t, model.Endpoint{Host: "localhost", Port: 1, Ping: 30 * time.Second}, cfg.Servers[1].Endpoint())
	require.Equal(t, []Bank{
		{Name: "@bank[0]", Host: "bank.example.com", Port: 9999, ID: 3, Slot: 5, Modems: []string{"a", "b"}, TLS: TLS{On: true}},
		{Name: "@bank[1]", Host: "other.example.com", ID: 4, TLS: TLS{On: true}},
	}, cfg.Banks)
	bank, ok := cfg.BankOf("b")
	require.True(t, ok)
	slot, ok := bank.SlotOf("b")
	require.True(t, ok)
	require.Equal(t, model.BankSlot{ID: 3, Slot: 6}, slot)
	require.Equal(t, map[uint16]model.Endpoint{4: {Host: "other.example.com", TLS: &model.TLSFiles{}}}, cfg.Corrections())
	require.Equal(t, IonMesh{Enabled: true, URL: "https://[2001:db8::2]:5000/base", TenantID: 1, MappingMode: "ONE_TO_ONE_SWSIM", MCCMNC: "310410",
		APIKeyFile: "/etc/remsim/key", TLS: TLS{On: true}, Heartbeat: 5 * time.Minute, Timeout: 10 * time.Second}, cfg.IonMesh)
	require.Equal(t, Failover{ControlPath: []string{"b", "wan"}, Failback: FailbackAfter, Hold: 30 * time.Second, Detect: DetectFast,
		Probes: []string{"192.0.2.1", "probe.example.com."}}, cfg.Failover)
	require.Equal(t, []Budget{{Link: "b", MonthlyMB: 4, ResetDay: 31, AtLimit: LimitStop}}, cfg.Budgets)
	require.Equal(t, []Hook{{Script: "/etc/remsim/hook.sh"}}, cfg.Hooks)
	require.Equal(t, Metrics{Enabled: true, Listen: "[::1]:9187"}, cfg.Metrics)
	client, ok := cfg.Modems[0].Client()
	require.True(t, ok)
	require.Equal(t, model.ClientSlot{ID: 0, Slot: 1023}, client)
	require.Equal(t, []string{"imei:…7518", "usb:1-1.4:1", "gpiochip0:21"},
		[]string{cfg.Modems[0].Match.String(), cfg.Modems[0].FrontDevice.String(), cfg.Modems[0].ResetLine.String()})
}

func TestEmptyFileHasDefaults(t *testing.T) {
	cfg, got := lines(t, "")
	require.Empty(t, got)
	require.Equal(t, &Config{
		Main:     Main{LogLevel: slog.LevelInfo},
		IonMesh:  IonMesh{TenantID: 1, MappingMode: "ONE_TO_ONE_SWSIM", Heartbeat: 5 * time.Minute, Timeout: 10 * time.Second, TLS: TLS{On: true}},
		Failover: Failover{Grace: 5 * time.Minute, Failback: FailbackAfter, Hold: 30 * time.Second, Detect: DetectNormal},
		Metrics:  Metrics{Listen: "127.0.0.1:9187"},
	}, cfg)
	cfg.SetHostname("openwrt")
	cfg.SetHostname("other")
	require.Equal(t, "openwrt", cfg.Main.DeviceID)
}

func TestControlPathHasADefault(t *testing.T) {
	cfg, _ := lines(t, working)
	require.Equal(t, []string{"iot", "primary", "wan"}, cfg.Failover.ControlPath)
}

// The example of the contract, with what it leaves open filled in.
func TestExampleOfTheContract(t *testing.T) {
	text, err := os.ReadFile("testdata/contract.uci")
	require.NoError(t, err)
	cfg, got := lines(t, string(text))
	require.Empty(t, got)
	require.Len(t, cfg.Modems, 2)
	require.Equal(t, []string{"iot", "primary"}, cfg.Failover.ControlPath)
	require.NotEmpty(t, cfg.Costs())
}

func TestPackagedFileHasNoProblem(t *testing.T) {
	const packaged = "../../../files/etc/config/remsim"
	info, err := os.Stat(packaged)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o644), info.Mode().Perm())
	cfg, problems, err := Load(filepath.Dir(packaged))
	require.NoError(t, err)
	require.Empty(t, problems)
	require.False(t, cfg.Main.Enabled)
	require.False(t, cfg.IonMesh.Enabled)
	require.Equal(t, []string{"iot", "primary"}, cfg.Failover.ControlPath)
	// What it takes to enable it, in words.
	var missing []string
	for _, p := range cfg.Missing() {
		missing = append(missing, p.Section+"."+p.Option)
	}
	require.Equal(t, []string{"primary.match", "primary.client_id", "primary.source", "iot.match"}, missing)

	// Each commented example is one, too.
	text, err := os.ReadFile(packaged)
	require.NoError(t, err)
	var all []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, ok := strings.CutPrefix(strings.TrimLeft(line, "\t"), "#"); ok && rest != "" && rest[0] != ' ' {
			line = rest
		}
		all = append(all, line)
	}
	_, got := lines(t, strings.Join(all, "\n"))
	require.Empty(t, got)
	options := 0
	for _, o := range Options() {
		if strings.Contains(string(text), "option "+o.Name) || strings.Contains(string(text), "list "+o.Name) {
			options++
		} else {
			t.Errorf("the packaged file does not show %s.%s", o.Section, o.Name)
		}
	}
	require.Len(t, Options(), options)
}

func TestLoadReportsAMissingFile(t *testing.T) {
	cfg, problems, err := Load(t.TempDir())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Nil(t, cfg)
	require.Len(t, problems, 1)
	require.False(t, OK(problems))
}

func TestSyntaxErrorIsAProblemToo(t *testing.T) {
	cfg, problems, err := Parse("/etc/config/remsim", []byte("config remsim 'main'\n\toption enabled 'x\n"))
	require.ErrorIs(t, err, ErrSyntax)
	require.Nil(t, cfg)
	require.EqualError(t, err, "/etc/config/remsim:2:17: this ' is never closed")
	require.Equal(t, []model.Problem{{Message: "this ' is never closed (column 17); nothing of this file is used", Line: 2}}, problems)
}

func TestProblemsAreBounded(t *testing.T) {
	text := "config remsim 'main'\n" + strings.Repeat("\toption enabled 'x'\n", 1)
	for i := range 1000 {
		text += fmt.Sprintf("\toption unknown_%d 'x'\n", i)
	}
	text += "config modem\n"
	_, problems, err := Parse("remsim", []byte(text))
	require.NoError(t, err)
	require.Len(t, problems, maxProblems+1)
	require.False(t, OK(problems), "the errors are kept")
	require.Equal(t, "and 802 more", problems[maxProblems].Message)
}

// A text within the bounds of the scan, made to keep the checks busy.
func TestChecksAreBounded(t *testing.T) {
	long := strings.Repeat("n", 40)
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "config modem '%s_%d'\n", long, i)
	}
	text.WriteString("config failover 'failover'\n")
	for i := range 1800 {
		fmt.Fprintf(&text, "\tlist control_path '%s%d'\n", long, i)
	}
	start := time.Now()
	_, problems, err := Parse("remsim", []byte(text.String()))
	require.NoError(t, err)
	require.Len(t, problems, maxProblems+1)
	require.Less(t, time.Since(start), 30*time.Second)
}

func BenchmarkParse(b *testing.B) {
	text, err := os.ReadFile("../../../files/etc/config/remsim")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, problems, err := Parse("remsim", text)
		if err != nil || len(problems) > 0 {
			b.Fatal(err, problems)
		}
	}
}

func TestRefusedReaderDoesNotStopUs(t *testing.T) {
	f, err := scan("remsim", []byte(working))
	require.NoError(t, err)
	b := newBuilder(f)
	b.readWith(library{}, os.ErrPermission)
	cfg := b.build()
	require.Equal(t, "remsim.example.com", cfg.Servers[0].Host)
	p := withoutLater(b.report())
	require.Len(t, p, 1)
	require.True(t, p[0].Warning)
	require.Contains(t, p[0].Message, "permission denied")
}

// forged is a reader that loses the second of two equal items, as go-uci does.
type forged struct{ library }

func (f forged) values(section, option string) ([]string, error) {
	v, err := f.library.values(section, option)
	if err == nil && option == "control_path" {
		v = v[:1]
	}
	return v, err
}

func TestReaderThatLosesValuesIsNotBelieved(t *testing.T) {
	f, err := scan("remsim", []byte("config failover 'f'\n\tlist control_path 'a'\n\tlist control_path 'b'\n"))
	require.NoError(t, err)
	lib, err := openLibrary(f)
	require.NoError(t, err)
	require.ErrorIs(t, f.through(forged{lib}), errMisread)
	require.Equal(t, []string{"a", "b"}, f.Sections[0].find("control_path").Values)
}
