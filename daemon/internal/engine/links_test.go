package engine_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/failover"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// twoLinks is settings with an interface behind each modem.
func twoLinks() engine.Settings {
	s := settings()
	s.Modems[0].Network, s.Modems[1].Network = "wwan0", "wwan1"
	s.Modems[0].Session.Servers = []model.Endpoint{{Host: "server.example", Port: 9998}}
	s.Links = []engine.Link{
		{Name: "primary", Modem: "primary", Network: "wwan0", User: model.UserAlways},
		{Name: "iot", Modem: "iot", Network: "wwan1", Metered: true, User: model.UserNever},
	}
	s.Failover = failover.Policy{ControlOrder: []string{"iot", "primary"}, Hold: 30 * time.Second}
	s.Detect, s.Probes = "normal", []string{"192.0.2.9"}
	return s
}

// iface is one of netifd's interfaces, up with an address and a default route.
func iface(name, device, address string) model.InterfaceChanged {
	prefix := netip.MustParsePrefix(address)
	return model.InterfaceChanged{At: now(), Interface: model.Interface{
		Name: name, Proto: "dhcp", L3Device: device, Up: true, Available: true, Autostart: true, Addresses: []netip.Prefix{prefix},
		Routes: []model.Route{{Target: netip.MustParsePrefix("0.0.0.0/0"), Gateway: prefix.Masked().Addr().Next()}},
		DNS:    []netip.Addr{netip.MustParseAddr("10.0.0.53")},
	}}
}

// closed is the same with option peerdns '0' and defaultroute '0', as it should be
// where user traffic may not go.
func closed(i model.InterfaceChanged) model.InterfaceChanged {
	n := &i.Interface
	n.UnusedDNS, n.DNS, n.Unused, n.Routes = n.DNS, nil, n.Routes, nil
	return i
}

// bothUp ends the wait for netifd and brings everything up.
func (b *bench) bothUp(more ...model.Event) *model.Snapshot {
	b.tell(model.NetifdChanged{At: now(), Up: true}, iface("wwan0", "wwan0", "10.1.0.2/24"), closed(iface("wwan1", "wwan1", "10.2.0.2/24")))
	b.tell(more...)
	require.False(b, b.Plans("primary").Session.Get().Online, "nothing is dialled before the links are known")
	require.False(b, b.PathPlans().Routes.Get().Known)
	time.Sleep(200 * time.Millisecond)
	return b.tell(serverUp(), assigned(), bankUp(), cardIs(model.CardReady, "card inserted"))
}

func judged(link string, usable bool, why string) model.LinkJudged {
	return model.LinkJudged{At: now(), Link: link, Usable: usable, Reason: why, LastGood: time.Now().Add(-3 * time.Second),
		V4: model.FamilyHealth{Known: true, Usable: usable, Loss: 0.25, RTT: 40 * time.Millisecond}}
}

// texts are the journal entries of a kind.
func (b *bench) texts(kind string) (out []string) {
	for _, e := range b.news {
		if e.Kind == kind {
			out = append(out, e.Text)
		}
	}
	return out
}

func TestControlTrafficTakesTheIoTLinkAndUserTrafficThePrimary(t *testing.T) {
	run(t, twoLinks(), func(b *bench) {
		s := b.bothUp()
		require.Equal(t, "iot", s.Failover.Control)
		require.Equal(t, "primary", s.Failover.Data)
		plan := b.Plans("primary").Session.Get()
		want := model.Path{Link: "iot", Number: 2, Device: "wwan1", DNS: []netip.Addr{netip.MustParseAddr("10.0.0.53")}}
		require.Equal(t, want, plan.Path)
		require.Equal(t, want, plan.ServerPath)
		require.Equal(t, []string{"control", "data"}, []string{s.Links[1].Role, s.Links[0].Role})
		require.Empty(t, s.Health.Findings)

		routes := b.PathPlans().Routes.Get()
		require.Len(t, routes.Links, 2)
		require.Equal(t, netip.MustParseAddr("10.1.0.1"), routes.Links[0].Gateway4)
		require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.2.0.2/24")}, routes.Links[1].Sources)
		require.Empty(t, routes.Data, "there is no choice for user traffic: the system's own routes stay in charge")

		probes := b.PathPlans().Probe.Get()
		require.Equal(t, "normal", probes.Detect)
		require.Equal(t, []string{"server.example:9998"}, probes.Links[0].Targets)
		require.Equal(t, []string{"192.0.2.9"}, probes.Links[0].Extra, "the bank of this session is on loopback; a bank is never probed by TCP")
		require.Equal(t, []bool{false, true}, []bool{probes.Links[0].Carries, probes.Links[1].Carries})
	})
}

func TestLossOfTheControlLinkMovesItAndLeavesARecord(t *testing.T) {
	run(t, twoLinks(), func(b *bench) {
		b.bothUp()
		b.tell(model.RoutesChanged{At: now(), Applied: true})
		s := b.tell(judged("iot", false, "no answer from 10.2.0.1 for 3 s"))
		require.Equal(t, "primary", s.Failover.Control)
		require.Equal(t, "failover", s.Failover.State)
		plan := b.Plans("primary").Session.Get()
		require.Equal(t, "wwan0", plan.Path.Device)
		require.True(t, plan.PathLost, "nobody waits for a FIN over a dead path")
		codes := []string{s.Health.Findings[0].Code, s.Health.Findings[1].Code}
		require.Equal(t, []string{"link-unusable", "control-on-card"}, codes)
		require.Equal(t, "the link carries nothing: no answer from 10.2.0.1 for 3 s", s.Health.Findings[0].Text)
		require.Equal(t, model.StateOperational, s.State, "the card works on")

		time.Sleep(500 * time.Millisecond)
		b.tell(model.RoutesChanged{At: now(), Applied: true})
		require.Empty(t, b.texts(model.KindFailover), "the bank is not back yet")
		time.Sleep(500 * time.Millisecond)
		b.tell(bankLost("", ""), bankUp(), cardIs(model.CardReady, "bank back"))
		record := b.texts(model.KindFailover)
		require.Len(t, record, 1)
		require.Contains(t, record[0], "control traffic, iot to primary, ")
		require.Contains(t, record[0], "last_good +0 ms, detect +3000 ms, decide +3000 ms, control_up +4000 ms, card_ready +4000 ms", "no route changes: the connections are bound to another link")
		for _, e := range b.news {
			if e.Kind == model.KindFailover {
				require.Equal(t, "4000", e.Data["control_up_ms"])
				require.Equal(t, "control", e.Data["role"])
			}
		}

		// It comes back and has to stay good first.
		s = b.tell(judged("iot", true, ""))
		require.Equal(t, "primary", s.Failover.Control)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		require.Equal(t, "iot", b.Snapshot().Failover.Control)
		require.False(t, b.Plans("primary").Session.Get().PathLost, "the way before still carries packets: FIN first")
	})
}

func TestLossOfTheDataLinkReroutesUserTraffic(t *testing.T) {
	s := twoLinks()
	s.Links = append(s.Links, engine.Link{Name: "wan", Network: "wan", User: model.UserAlways})
	run(t, s, func(b *bench) {
		b.bothUp(iface("wan", "eth0", "10.9.0.2/24"))
		applied := func() model.RoutesChanged {
			return model.RoutesChanged{At: now(), Serial: b.PathPlans().Routes.Get().Serial, Applied: true}
		}
		b.tell(applied())
		shown := b.tell(judged("primary", false, "no answer"))
		require.Equal(t, "wan", shown.Failover.Data)
		require.Equal(t, "iot", shown.Failover.Control)
		late := applied()
		late.Serial--
		time.Sleep(time.Second)
		b.tell(late)
		require.Empty(t, b.texts(model.KindFailover), "that was the plan before")
		time.Sleep(time.Second)
		b.tell(applied())
		record := b.texts(model.KindFailover)
		require.Len(t, record, 1)
		require.Contains(t, record[0], "data traffic, primary to wan, ")
		require.Contains(t, record[0], "decide +3000 ms, route +5000 ms")
	})
}

func TestLossOfEveryControlPathIsRiddenThrough(t *testing.T) {
	run(t, twoLinks(), func(b *bench) {
		b.bothUp()
		s := b.tell(judged("iot", false, "no answer"), judged("primary", false, "no answer"))
		require.Equal(t, model.StateRideThrough, s.State)
		require.Contains(t, s.Reason, "primary: every control path is lost")
		require.Equal(t, s.GraceEnds, time.Now().Add(300*time.Second))
		require.True(t, b.Plans("primary").Card.Get().Show)
		require.NotEmpty(t, b.Plans("primary").Session.Get().Path.Device, "attempts go on over the last way")
		time.Sleep(301 * time.Second)
		synctest.Wait()
		require.Equal(t, model.StateDegraded, b.Snapshot().State)
		require.True(t, b.Plans("primary").Card.Get().Show, "the end of grace does not withdraw the card")
		s = b.tell(judged("primary", true, ""))
		require.Equal(t, model.StateOperational, s.State)
	})
}

func TestAddressChangeStrandsConnections(t *testing.T) {
	run(t, twoLinks(), func(b *bench) {
		b.bothUp()
		first := b.Plans("primary").Session.Get().Path
		more := iface("wwan1", "wwan1", "10.2.0.2/24")
		more.Interface.Addresses = append(more.Interface.Addresses, netip.MustParsePrefix("2001:db8::2/64"), netip.MustParsePrefix("fe80::1/64"))
		b.tell(more)
		require.True(t, first.Same(b.Plans("primary").Session.Get().Path), "one more address strands nothing")
		b.tell(iface("wwan1", "wwan1", "10.2.0.77/24"))
		again := b.Plans("primary").Session.Get()
		require.False(t, first.Same(again.Path))
		require.True(t, again.PathLost)
		require.Equal(t, []string{"wwan1"}, b.PathPlans().Routes.Get().FlushDevices)

		// Down and up again with the same address: the same path.
		second := again.Path
		down := iface("wwan1", "", "10.2.0.77/24")
		down.Interface.Up, down.Interface.L3Device = false, ""
		s := b.tell(down)
		require.Equal(t, "primary", s.Failover.Control)
		require.Equal(t, "no carrier or no address on wwan1", s.Links[1].Reason)
		b.tell(iface("wwan1", "wwan1", "10.2.0.77/24"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.True(t, second.Same(b.Plans("primary").Session.Get().Path))
	})
}

func TestChildrenOfAnInterfaceAreOneLinkAndCarrierCounts(t *testing.T) {
	run(t, twoLinks(), func(b *bench) {
		parent := iface("wwan1", "wwan1", "10.2.0.2/24")
		parent.Interface.Addresses, parent.Interface.Routes = nil, nil
		child := iface("wwan1_4", "wwan1", "10.2.0.9/30")
		child.Interface.Dynamic = true
		child.Interface.Unused, child.Interface.Routes = child.Interface.Routes, nil // defaultroute '0'
		b.bothUp()
		s := b.tell(parent, child)
		require.True(t, s.Links[1].Up)
		require.Equal(t, netip.MustParseAddr("10.2.0.9"), b.PathPlans().Routes.Get().Links[1].Gateway4)
		s = b.tell(model.DeviceChanged{At: now(), Device: "wwan1", Present: true})
		require.False(t, s.Links[1].Up, "no carrier")
		require.Equal(t, "primary", s.Failover.Control)
		s = b.tell(model.DeviceChanged{At: now(), Device: "wwan1", Present: true, Carrier: true})
		require.True(t, s.Links[1].Usable)
	})
}

func TestDeadlockIsProvedWithItsChain(t *testing.T) {
	deadlock := func(s *model.Snapshot) string {
		for _, f := range s.Health.Findings {
			if f.Code == "card-needs-itself" {
				require.Equal(t, model.Critical, f.Severity)
				return f.Text
			}
		}
		return ""
	}
	alias := func(network string) func(*engine.Settings) {
		return func(s *engine.Settings) {
			s.Links[1] = engine.Link{Name: "backup", Network: network, User: model.UserAlways}
			s.Failover.ControlOrder = []string{"backup", "primary"}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*engine.Settings)
		want   string
	}{
		{"an iot modem with its own card", func(*engine.Settings) {}, ""},
		{"both modems with remote cards", func(s *engine.Settings) { s.Modems[1].Source = model.SourceRemote }, "iot is online only with the remote card of iot; primary is online only with the remote card of primary"},
		{"only itself", func(s *engine.Settings) { s.Failover.ControlOrder = []string{"primary"} }, "primary is online only with the remote card of primary"},
		{"an alias of its own interface", alias("wwan0"), "backup is the modem primary under another name (wwan0)"},
		{"an alias that only the device shows", alias("usbnet"), "backup is the modem primary under another name (wwan0)"},
		{"a wired link", alias("wan"), ""},
		{"a local card to fall back to", func(s *engine.Settings) {
			s.Failover.ControlOrder = []string{"primary"}
			s.Modems[0].FallbackLocal = true
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := twoLinks()
			c.change(&s)
			run(t, s, func(b *bench) {
				shown := b.bothUp(iface("usbnet", "wwan0", "10.1.0.2/24"), iface("wan", "eth0", "10.9.0.2/24"))
				if c.want == "" {
					require.Empty(t, deadlock(shown))
					return
				}
				require.Contains(t, deadlock(shown), c.want)
			})
		})
	}
}

func TestSwitchByCommand(t *testing.T) {
	s := twoLinks()
	s.Links = append(s.Links, engine.Link{Name: "wan", Network: "wan", User: model.UserAlways})
	run(t, s, func(b *bench) {
		b.bothUp(iface("wan", "eth0", "10.9.0.2/24"))
		require.Equal(t, "primary", b.PathPlans().Routes.Get().Data)
		for _, c := range []struct {
			cmd  model.SwitchRole
			want string
		}{
			{model.SwitchRole{Role: "both", Link: "wan"}, `role "both" is neither data nor control`},
			{model.SwitchRole{Role: "data", Link: "lan"}, `there is no link "lan"; these are: primary iot wan`},
			{model.SwitchRole{Role: "control", Link: "wan"}, "wan may not carry control traffic: option control_path has only iot primary"},
			{model.SwitchRole{Role: "data", Link: "iot"}, "iot may not carry user traffic: its option user_traffic is never"},
		} {
			_, err := b.Do(b.Context(), c.cmd)
			require.EqualError(t, err, c.want)
		}
		_, err := b.Do(b.Context(), model.SwitchRole{Role: "data", Link: "wan"})
		require.NoError(t, err)
		b.tell() // plans are set once the command was answered
		require.Equal(t, "wan", b.PathPlans().Routes.Get().Data)
		require.Equal(t, []string{"wwan0"}, b.PathPlans().Routes.Get().FlushDevices, "what still runs over the old link is stranded")
		_, err = b.Do(b.Context(), model.SwitchRole{Role: "data", Link: "auto"})
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, "primary", b.PathPlans().Routes.Get().Data)
	})
}

func TestMwan3IsLeftInCharge(t *testing.T) {
	s := twoLinks()
	s.Links = append(s.Links, engine.Link{Name: "wan", Network: "wan", User: model.UserAlways})
	run(t, s, func(b *bench) {
		b.bothUp(iface("wan", "eth0", "10.9.0.2/24"))
		shown := b.tell(model.RoutesChanged{At: now(), Applied: true, Neighbour: "mwan3", Evidence: "rule 2001 with mark 0x100/0x3f00"})
		require.True(t, b.PathPlans().Routes.Get().LeaveData)
		require.Empty(t, b.PathPlans().Routes.Get().Data)
		require.Equal(t, "other-router", shown.Health.Findings[0].Code)
		require.Equal(t, "mwan3", shown.Health.Findings[0].Subject)
	})
}

func TestNothingIsTouchedWhenSwitchedOff(t *testing.T) {
	s := twoLinks()
	s.Enabled = false
	run(t, s, func(b *bench) {
		b.tell(iface("wwan0", "wwan0", "10.1.0.2/24"))
		require.Equal(t, model.RoutePlan{Serial: 1, Known: true}, b.PathPlans().Routes.Get(), "what was set before is taken away")
		require.Empty(t, b.PathPlans().Probe.Get().Links)
	})
}
