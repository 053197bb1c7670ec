package health_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

var t0 = time.Unix(1_800_000_000, 0)

func TestFindingKeepsItsSinceAndHidesWhatItCauses(t *testing.T) {
	conditions := []health.Condition{
		{Code: "server-dns-failed", Subject: "primary", Detail: "srv.example.com: no such host"},
		{Code: health.NoAssignment, Subject: "primary", Cause: "server-dns-failed"},
	}
	first := health.Compute(t0, conditions, nil, nil)
	require.Len(t, first.Findings, 1)
	require.Equal(t, "RSPRO server: its name cannot be resolved: srv.example.com: no such host", first.Findings[0].Text)
	require.Equal(t, 85, first.Score)

	later := health.Compute(t0.Add(time.Hour), conditions, nil, first.Findings)
	require.Equal(t, t0.Unix(), later.Findings[0].Since)
	require.Empty(t, health.News(first.Findings, later.Findings))

	gone := health.Compute(t0.Add(2*time.Hour), nil, nil, later.Findings)
	require.Equal(t, "cleared: RSPRO server: its name cannot be resolved", health.News(later.Findings, gone.Findings)[0].Text)
	require.Equal(t, 100, gone.Score)
}

func TestEveryCodeIsDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range health.Codes() {
		require.Regexp(t, regexp.MustCompile(`^[a-z]+(-[a-z]+)+$|^disabled$|^unmapped$|^watchcat$`), d.Code)
		require.NotEmpty(t, d.Text, d.Code)
		require.NotEmpty(t, d.Fix, d.Code)
		require.Contains(t, []model.Severity{model.Info, model.Warning, model.Critical}, d.Severity)
		require.False(t, seen[d.Code], "%s is listed twice", d.Code)
		seen[d.Code] = true
		require.Equal(t, d, health.Lookup(d.Code))
	}
	require.Greater(t, len(seen), 40)
}

func TestDiagnosisNamesTheFirstBrokenLinkAndNotWhatHangsOnIt(t *testing.T) {
	s := &model.Snapshot{
		Modems: []model.Modem{{Name: "primary", Card: model.Card{Source: model.SourceRemote, Front: "vpcd", State: model.CardAbsent}},
			{Name: "iot", Card: model.Card{Source: model.SourceLocal}}},
		Sessions: []model.Session{{Modem: "primary", Bank: &model.BankSlot{ID: 1, Slot: 2},
			Server: model.Peer{State: model.ConnConnected, Address: "srv:9998"},
			Bankd:  model.Peer{State: model.ConnBackoff, Address: "bank:9999"}}},
		Health: model.Health{Findings: []model.Finding{{Code: "bank-no-card", Subject: "primary", Text: "bank: it has no card in the assigned slot", Fix: "put one in"}}},
	}
	checks, verdict := health.Diagnose(s, "")
	require.Equal(t, "primary bank: bank: it has no card in the assigned slot", verdict)
	byName := map[string]model.Check{}
	for _, c := range checks {
		byName[c.Name] = c
	}
	require.True(t, byName["primary server"].OK)
	require.Equal(t, "put one in", byName["primary bank"].Fix)
	require.Equal(t, "not checked, because this failed: primary bank", byName["primary card"].Text)
	require.Equal(t, "not checked, because this failed: primary card", byName["primary answers"].Text)
	require.True(t, byName["iot card"].OK)

	_, verdict = health.Diagnose(s, "iot")
	require.Equal(t, "everything that was checked works", verdict)
}

func TestDiagnosisOfAModemThatIsThere(t *testing.T) {
	s := &model.Snapshot{Modems: []model.Modem{{Name: "iot", Present: true, Manufacturer: "Quectel", Model: "EC25", State: "registered",
		Registration: "home", Operator: "Test", Card: model.Card{Source: model.SourceLocal}}}}
	checks, verdict := health.Diagnose(s, "")
	require.Equal(t, "everything that was checked works", verdict)
	require.Equal(t, "Quectel EC25, registered", checks[1].Text)

	s.Health.Findings = []model.Finding{{Code: "pin-wrong", Subject: "iot", Text: "the card refused the configured PIN", Fix: "correct it"}}
	_, verdict = health.Diagnose(s, "")
	require.Equal(t, "iot network: the card refused the configured PIN", verdict)

	s.Modems[0].Present = false
	s.Health.Findings = []model.Finding{{Code: "modemmanager-missing", Subject: "modemmanager", Text: "ModemManager is not running", Fix: "start it"}}
	checks, verdict = health.Diagnose(s, "")
	require.Equal(t, "iot modem: ModemManager is not running", verdict)
	require.Equal(t, "not checked, because this failed: iot modem", checks[2].Text)
}
