package netifd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// Up has netifd bring an interface up, and keep it up. It lifts the block that
// an interface got after a failure. netifd answers before anything was done,
// and without its device the interface comes up when that comes.
func (c *Client) Up(ctx context.Context, name string) error {
	err := c.verb(ctx, "up", name)
	if err == nil {
		c.mu.Lock()
		c.debts.pay(name)
		c.mu.Unlock()
	}
	return err
}

// Down has netifd take an interface down, and leave it down. netifd answers
// before the connection is gone. The interface counts as taken down by us until
// Up, or until somebody else brings it up.
func (c *Client) Down(ctx context.Context, name string) error {
	c.mu.Lock()
	c.debts.add(name)
	c.mu.Unlock()
	err := c.verb(ctx, "down", name)
	if errors.Is(err, ErrNoInterface) {
		c.mu.Lock()
		c.debts.pay(name)
		c.mu.Unlock()
	}
	return err
}

// Renew has netifd ask for the interface's addresses again, where its protocol
// can.
func (c *Client) Renew(ctx context.Context, name string) error { return c.verb(ctx, "renew", name) }

func (c *Client) verb(ctx context.Context, verb, name string) error {
	_, err := c.call(ctx, object+"."+name, verb, nil)
	if errors.Is(err, &ubus.StatusError{Status: ubus.StatusNotFound}) {
		err = ErrNoInterface
	}
	if err != nil {
		return fmt.Errorf("take interface %s %s: %w", name, verb, err)
	}
	c.Refresh()
	return nil
}

// call asks netifd. An object that is not there is ErrDown for the one that
// netifd always has.
func (c *Client) call(ctx context.Context, path, method string, args any) (ubus.Table, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	t, err := c.bus.Call(ctx, path, method, args)
	switch {
	case errors.Is(err, ubus.ErrNotConnected), errors.Is(err, ubus.ErrClosed):
		return nil, fmt.Errorf("%w: %w", ErrDown, err)
	case path == object && errors.Is(err, &ubus.StatusError{Status: ubus.StatusNotFound}):
		return nil, ErrDown
	}
	return t, err
}

// PIN is the PIN of a card. It shows itself to nobody but Reveal's caller.
type PIN string

// LogValue hides the PIN in logs.
func (PIN) LogValue() slog.Value { return slog.StringValue("****") }

// String hides the PIN in texts.
func (PIN) String() string { return "****" }

// GoString hides the PIN in %#v.
func (PIN) GoString() string { return "****" }

// MarshalText hides the PIN in JSON.
func (PIN) MarshalText() ([]byte, error) { return []byte("****"), nil }

// Reveal returns the PIN.
func (p PIN) Reveal() string { return string(p) }

// PIN reads the option `pincode` of an interface, "" if it has none.
func (c *Client) PIN(ctx context.Context, name string) (PIN, error) {
	sections, err := c.sections(ctx)
	if err != nil {
		return "", fmt.Errorf("read the PIN of interface %s: %w", name, err)
	}
	section, err := sections.Table(name)
	if err != nil || section == nil {
		return "", fmt.Errorf("read the PIN of interface %s: %w", name, ErrNoInterface)
	}
	pin, err := section.Text("pincode", "")
	if err != nil {
		return "", fmt.Errorf("read the PIN of interface %s: option pincode is no text", name) // err could show it
	}
	return PIN(pin), nil
}

// sections asks rpcd for the interfaces as they are configured. The reply holds
// secrets.
func (c *Client) sections(ctx context.Context) (ubus.Table, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	t, err := c.bus.Call(ctx, "uci", "get", map[string]any{"config": "network", "type": "interface"})
	switch {
	case errors.Is(err, ubus.ErrNotConnected), errors.Is(err, ubus.ErrClosed):
		return nil, fmt.Errorf("%w: %w", ErrDown, err)
	case errors.Is(err, &ubus.StatusError{Status: ubus.StatusNotFound}):
		return nil, ErrNoUCI // the file itself is on every router
	case err != nil:
		return nil, err
	}
	return t.Table("values")
}

// modemProto tells whether the option device of a protocol names a modem.
func modemProto(proto string) bool {
	switch proto {
	case "modemmanager", "qmi", "mbim", "ncm", "wwan", "3g", "directip", "atc", "fm350":
		return true
	}
	return false
}

// nameModems enters the option device of the modems' interfaces, which netifd
// does not tell. Without rpcd they stay without.
func (c *Client) nameModems(ctx context.Context, list []model.Interface) {
	if !slices.ContainsFunc(list, func(i model.Interface) bool { return modemProto(i.Proto) }) {
		return
	}
	sections, err := c.sections(ctx)
	if err != nil {
		for i := range list {
			list[i].ModemDevice = c.last[list[i].Name].ModemDevice // as far as it was known
		}
		return
	}
	for i := range list {
		if modemProto(list[i].Proto) {
			section, _ := sections.Table(list[i].Name) // nil of one that is no section
			list[i].ModemDevice, _ = section.Text("device", "")
		}
	}
}
