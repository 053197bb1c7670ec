package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const docFile = "../../../docs/CONFIG.md"

// markdown writes docs/CONFIG.md from the tables.
func markdown() string {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Generated from daemon/internal/config by go test ./daemon/internal/config -update. Do not edit. -->

The file is ` + "`/etc/config/remsim`" + `, in UCI syntax, mode 0644: everybody can read it, so no secret stands in it. Keys, certificates and
API keys are files of their own, or credentials stored with ` + "`remsim credential`" + ` and called by name.

* ` + "`remsim config check`" + ` prints every error with section, option, value and what is accepted, and what each setting costs.
* A file with an error is not used: the last good one stays in force and a finding says so.
* Options and sections that are not known are reported and not used. Options that are empty count as not set.
* Sections without a name are called ` + "`@server[0]`" + `, ` + "`@server[1]`" + ` and so on, as in ` + "`uci`" + `.
* *expert* marks options that stand in no LuCI form.
* While ` + "`enabled`" + ` is 0, what is missing is no error yet.
* *Accepted, no effect yet* marks options that are checked but that this version does nothing with. ` + "`remsim config check`" + ` warns of each that is set to
  something else than its default.

`)
	for _, s := range Sections() {
		name := "NAME"
		if s.Single() {
			name = s.Name
		}
		title := "config " + s.Type
		if s.Single() || s.Named {
			title += " '" + name + "'"
		}
		if why := sectionLater(s.Type); why != "" {
			s.Doc += " *Accepted, no effect yet:* " + why + "."
		}
		fmt.Fprintf(&b, "## `%s`\n\n%s\n\n| option | default | accepted | what it does |\n|---|---|---|---|\n", title, s.Doc)
		for _, o := range Options() {
			if o.Section == s.Type {
				b.WriteString(markdownRow(o))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString(markdownDetect() + markdownRules())
	return b.String()
}

// sectionLater is why nothing of a section has an effect yet, "" if something has.
func sectionLater(typ string) (why string) {
	for _, o := range Options() {
		if o.Section == typ {
			if why = o.Later; why == "" {
				return ""
			}
		}
	}
	return why
}

func markdownRow(o Option) string {
	name := "`" + o.Name + "`"
	if o.List {
		name = "`list " + o.Name + "`"
	}
	if o.Expert {
		name += " *expert*"
	}
	def := "unset"
	if o.Default != "" {
		def = "`" + o.Default + "`"
	}
	if o.IoTDefault != "" {
		def += ", with role iot `" + o.IoTDefault + "`"
	}
	if o.Required != "" {
		def = "required " + o.Required
	}
	doc := o.Doc
	switch {
	case sectionLater(o.Section) != "": // stands above the table
	case o.Later != "":
		doc += " *Accepted, no effect yet:* " + o.Later + "."
	case o.Cost != "":
		doc += " *Cost:* " + o.Cost
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", name, def, o.Accepts(), doc)
}

func markdownDetect() string {
	var b strings.Builder
	yet := ""
	if !acts("failover", "detect") {
		yet = "*No effect yet: no link is probed in this version.* "
	}
	b.WriteString("## What `failover.detect` means\n\n" + yet + "Whatever arrives on a link proves it for free; probes are sent only on a silent one, and at once when a byte of control traffic is not answered in time. " +
		"An answer that comes later than a probe waits counts as lost. The rules are in [FAILOVER.md](FAILOVER.md). " +
		"Seconds are the worst case until a dead link is noticed, megabytes what an idle link carries in a month of 30 days.\n\n" +
		"| detect | link | silence before a probe | an answer is overdue after | one probe waits | probes of a burst, apart | noticed, idle | noticed, with traffic | idle MB a month, at the most |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, d := range []Detect{DetectFast, DetectNormal, DetectFrugal} {
		for _, metered := range []bool{false, true} {
			p := d.Probing(metered)
			link := map[bool]string{false: "not metered", true: "metered"}[metered]
			fmt.Fprintf(&b, "| %s | %s | %.0f s | %.0f s | %.1f s | %d, %.2f s | %.1f s | %.1f s | %.2f |\n", d, link, p.Silence.Seconds(), p.Suspect.Seconds(),
				p.Wait.Seconds(), p.Probes, p.Spacing.Seconds(), p.Idle().Seconds(), p.Busy().Seconds(), p.Month())
		}
	}
	return b.String() + "\n"
}

func markdownRules() string {
	return `## Rules between options

* Clear text to a server, bank or orchestrator that is not this router itself is refused unless that section has ` + "`option allow_insecure '1'`" + `.
* Each modem has a match of its own, and a pair of ` + "`client_id` and `client_slot`" + ` of its own. A netifd interface belongs to one section.
* A modem with ` + "`source remote`" + ` needs a ` + "`client_id`" + ` and a ` + "`config server`, or a `config bank`" + ` that lists it, unless the orchestrator is enabled.
* A modem stands in the list of one bank; a slot of a bank has one modem.
* ` + "`front_device`" + ` has a form that its front knows. ` + "`client_cert` and `client_key`" + ` come together.
* ` + "`control_path`, `list modem` and `budget.link`" + ` name sections of this file.

## What is accepted as UCI

The file is read by libuci's rules; what the daemon sees is what ` + "`uci show remsim`" + ` shows once changes are committed (` + "`uci commit remsim`" + `). Two things
that libuci accepts are refused: a NUL byte, and a file beyond ` + fmt.Sprintf("%d KiB, %d sections or %d statements", maxText>>10, maxSections, maxStatements) + `. What follows an unquoted ` + "`;`" + ` glued to a word is
lost to libuci without a word; here a warning names the line.
`
}

func TestDocsAreFresh(t *testing.T) {
	want := markdown()
	if *update {
		require.NoError(t, os.WriteFile(docFile, []byte(want), 0o644))
	}
	got, err := os.ReadFile(docFile)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "docs/CONFIG.md is stale: go test ./daemon/internal/config -run TestDocsAreFresh -update")
}

// Each row says what it is for, and its own default is accepted.
func TestTableIsSound(t *testing.T) {
	sections := map[string]bool{}
	for _, s := range Sections() {
		require.NotEmpty(t, s.Doc, s.Type)
		sections[s.Type] = false
	}
	seen := map[string]bool{}
	for _, o := range Options() {
		key := o.Section + "." + o.Name
		require.False(t, seen[key], "%s stands twice", key)
		seen[key] = true
		require.Contains(t, sections, o.Section)
		sections[o.Section] = true
		require.NotEmpty(t, o.Accepts(), key)
		require.True(t, strings.HasSuffix(o.Doc, "."), "%s: %q is no sentence", key, o.Doc)
		require.Equal(t, o.Kind == KindChoice, len(o.Choices) > 0, key)
		require.False(t, o.Default != "" && o.Required != "", "%s has a default and is required", key)
	}
	for typ, used := range sections {
		require.True(t, used, "section type %s has no options", typ)
	}
}

// Every option of the table is read into the Config: a row that nobody asks
// for would be an option without effect.
func TestEveryOptionIsRead(t *testing.T) {
	f, err := scan("remsim", []byte("config modem 'm'\nconfig link 'l'\nconfig server\nconfig bank\nconfig budget\nconfig hook\n"))
	require.NoError(t, err)
	b := newBuilder(f)
	b.build()
	for _, o := range Options() {
		require.True(t, b.asked[[2]string{o.Section, o.Name}], "nobody reads %s.%s", o.Section, o.Name)
	}
}
