// Package atfake is a modem behind a pty that answers AT commands as the
// modems of package at's profiles do. It can be driven (unsolicited lines,
// echo, hang, noise, broken pieces, errors, unplug) and prints itself.
package atfake

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Modem is the fake. Make it with New, end it with Close.
type Modem struct {
	path string // the link that stands for /dev/ttyUSB2

	mu       sync.Mutex
	answers  map[string][]string // command without AT -> lines, the last one final
	sets     map[string]string   // "+QUIMSLOT=" -> the query that shows the value
	echo     bool
	cmee     string
	hang     bool
	held     map[string]bool   // answers kept back until Release
	waiting  []string          // what is kept back
	items    map[string]string // of the file system, by path, in hex
	readOnly bool              // they keep their value whatever is written
	piece    int               // write so many bytes at a time, 0: all
	received []string
	ptmx     *os.File
	tty      *os.File

	wait sync.WaitGroup
}

// New plugs a modem of a persona (a profile's name, or "generic") in; its port
// is a link named tty in dir.
func New(dir, persona string) (*Modem, error) {
	answers, ok := personas()[persona]
	if !ok {
		return nil, fmt.Errorf("no persona %q", persona)
	}
	m := &Modem{path: filepath.Join(dir, "tty"), answers: map[string][]string{}, held: map[string]bool{}, items: map[string]string{}, echo: true, cmee: "0", sets: setters()}
	for cmd, text := range common() {
		m.answers[cmd] = text
	}
	for cmd, text := range answers {
		m.answers[cmd] = text
	}
	return m, m.Plug()
}

// Path is the port.
func (m *Modem) Path() string { return m.path }

// Plug makes the port appear, with the modem just started.
func (m *Modem) Plug() error {
	ptmx, tty, err := open()
	if err != nil {
		return fmt.Errorf("plug the modem in: %w", err)
	}
	if err := raw(tty); err != nil {
		return fmt.Errorf("plug the modem in: %w", err)
	}
	if err := os.Symlink(tty.Name(), m.path); err != nil {
		return fmt.Errorf("plug the modem in: %w", err)
	}
	m.mu.Lock()
	m.ptmx, m.tty, m.echo, m.cmee, m.waiting = ptmx, tty, true, "0", nil
	m.mu.Unlock()
	m.wait.Add(1)
	go m.read(ptmx)
	return nil
}

// open makes a pty whose controlling side a Close can wake: the library leaves
// it blocking, outside Go's poller, so it is opened once more.
func open() (ptmx, tty *os.File, err error) {
	p, tty, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	fd, err := unix.FcntlInt(p.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, nil, errors.Join(err, tty.Close())
	}
	return os.NewFile(uintptr(fd), p.Name()), tty, nil
}

// raw keeps the tty from echoing what the modem says back to it before
// anybody has opened the port.
func raw(tty *os.File) error {
	c, err := tty.SyscallConn()
	if err != nil {
		return err
	}
	var ierr error
	err = c.Control(func(fd uintptr) {
		var t *unix.Termios
		if t, ierr = unix.IoctlGetTermios(int(fd), unix.TCGETS); ierr != nil {
			return
		}
		t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
		ierr = unix.IoctlSetTermios(int(fd), unix.TCSETS, t)
	})
	if err != nil {
		return err
	}
	return ierr
}

// Unplug takes the port away, whatever is going on.
func (m *Modem) Unplug() {
	m.mu.Lock()
	ptmx, tty := m.ptmx, m.tty
	m.ptmx, m.tty = nil, nil
	m.mu.Unlock()
	if ptmx == nil {
		return
	}
	os.Remove(m.path)
	tty.Close()
	ptmx.Close()
	m.wait.Wait()
}

// Close unplugs for good.
func (m *Modem) Close() { m.Unplug() }

// Set gives a command other lines; the last one is the final result.
func (m *Modem) Set(cmd string, lines ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers[cmd] = lines
}

// SetItem gives the modem's file system an item, with its value in hexadecimal digits.
func (m *Modem) SetItem(path, value string) {
	m.change(func() { m.items[strings.ToUpper(path)] = value })
}

// Item is the value of an item.
func (m *Modem) Item(path string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.items[strings.ToUpper(path)]
}

// FreezeItems has the modem say OK to what is written to an item, and keep the old value.
func (m *Modem) FreezeItems() { m.change(func() { m.readOnly = true }) }

// Echo is ATE1 or ATE0.
func (m *Modem) Echo(on bool) { m.change(func() { m.echo = on }) }

// Hang makes the modem take commands and answer nothing.
func (m *Modem) Hang(on bool) { m.change(func() { m.hang = on }) }

// Hold keeps the answers to a command back until Release.
func (m *Modem) Hold(cmd string) { m.change(func() { m.held[cmd] = true }) }

// Pieces makes the modem write n bytes at a time, 0: all at once.
func (m *Modem) Pieces(n int) { m.change(func() { m.piece = n }) }

func (m *Modem) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// Release sends every answer that was kept back and keeps none back any more.
func (m *Modem) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, text := range m.waiting {
		m.write(text)
	}
	m.waiting, m.held = nil, map[string]bool{}
}

// Say sends an unsolicited line.
func (m *Modem) Say(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.write("\r\n" + line + "\r\n")
}

// Noise sends bytes as they are.
func (m *Modem) Noise(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.write(string(b))
}

// Received is every command line that came, in order, without AT.
func (m *Modem) Received() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.received)
}

// String prints the modem.
func (m *Modem) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := "plugged in"
	if m.ptmx == nil {
		state = "unplugged"
	}
	if m.hang {
		state += ", hung"
	}
	last := "none"
	if n := len(m.received); n > 0 {
		last = m.received[n-1]
	}
	return fmt.Sprintf("modem %s: %s, %d commands, last %s, %d answers kept back", strings.Join(m.answers["+CGMM"][:1], ""), state, len(m.received), last, len(m.waiting))
}

func (m *Modem) read(ptmx *os.File) {
	defer m.wait.Done()
	var line []byte
	buf := make([]byte, 1024)
	for {
		n, err := ptmx.Read(buf)
		for _, c := range buf[:n] {
			if c != '\r' {
				line = append(line, c)
				continue
			}
			m.command(ptmx, string(line))
			line = line[:0]
		}
		if err != nil {
			return
		}
	}
}

// command answers one line, if the port is still the one it came from.
func (m *Modem) command(ptmx *os.File, line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ptmx != ptmx {
		return
	}
	if m.echo {
		m.write(line + "\r")
	}
	line = strings.Trim(line, "\n ")
	if line == "" {
		return
	}
	text, ok := cutAT(line)
	if ok {
		m.received = append(m.received, text)
	}
	switch {
	case m.hang:
	case !ok:
		m.write("\r\nERROR\r\n")
	default:
		answer := m.answer(text)
		if m.held[text] || len(m.waiting) > 0 { // a modem answers in order
			m.waiting = append(m.waiting, answer)
			return
		}
		m.write(answer)
	}
}

func cutAT(line string) (string, bool) {
	if len(line) < 2 || !strings.EqualFold(line[:2], "AT") {
		return "", false
	}
	return strings.ToUpper(line[2:]), true
}

// answer is what the modem says to a command; it changes what it sets.
func (m *Modem) answer(text string) string {
	if lines, ok := m.answers[text]; ok {
		return m.frame(lines)
	}
	switch {
	case text == "":
		return m.frame([]string{"OK"})
	case text == "E0", text == "E1":
		m.echo = text == "E1"
		return m.frame([]string{"OK"})
	case text == "+CMEE?":
		return m.frame([]string{"+CMEE: " + m.cmee, "OK"})
	case strings.HasPrefix(text, "+CMEE="):
		m.cmee = text[len("+CMEE="):]
		return m.frame([]string{"OK"})
	}
	name, value, ok := strings.Cut(text, "=")
	if name == "+QNVFR" || name == "+QNVFW" {
		return m.frame(m.item(name, value))
	}
	query, known := m.sets[name+"="]
	if _, has := m.answers[query]; ok && known && has {
		m.answers[query] = []string{strings.TrimSuffix(query, "?") + ": " + value, "OK"}
		return m.frame([]string{"OK"})
	}
	return m.frame([]string{"ERROR"})
}

// item reads or writes an item of the file system, as Quectel's modems do: "path" for
// +QNVFR, "path",HEX for +QNVFW.
func (m *Modem) item(name, value string) []string {
	path, hex, writes := strings.Cut(strings.TrimPrefix(value, `"`), `",`)
	path = strings.TrimSuffix(path, `"`)
	old, has := m.items[path]
	switch {
	case !has || writes != (name == "+QNVFW"):
		return []string{"+CME ERROR: 4"}
	case writes && !m.readOnly:
		m.items[path] = hex
		return []string{"OK"}
	case writes:
		return []string{"OK"}
	}
	return []string{name + ": " + old, "OK"}
}

// frame dresses lines as V.250 §5.7.1 says. Numeric errors need +CMEE=1.
func (m *Modem) frame(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		if m.cmee == "0" && (strings.HasPrefix(l, "+CME ERROR") || strings.HasPrefix(l, "+CMS ERROR")) {
			l = "ERROR"
		}
		b.WriteString("\r\n" + l + "\r\n")
	}
	return b.String()
}

func (m *Modem) write(text string) {
	if m.ptmx == nil {
		return
	}
	step := m.piece
	if step <= 0 {
		step = max(len(text), 1)
	}
	for len(text) > 0 {
		n := min(step, len(text))
		if _, err := m.ptmx.WriteString(text[:n]); err != nil {
			return // unplugged
		}
		text = text[n:]
	}
}
