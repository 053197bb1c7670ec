package uimremote

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Capability is what a modem says about UIM Remote.
type Capability struct {
	Device    string // the port that was asked
	Transport Transport
	// Offered: the modem has the service and gave a client of it. If it is not
	// offered, Reason says in words what was seen.
	Offered bool
	Major   uint16
	Minor   uint16
	Reason  string
}

// ErrNotOffered: the modem has no UIM Remote service. In Quectel modems an EFS item
// switches it on (EnablePlan).
var ErrNotOffered = errors.New("the modem does not offer QMI UIM Remote (service 0x32)")

// Probe asks the modem behind a control port ("qmi:/dev/cdc-wdm0") whether it offers
// UIM Remote, through the proxy and beside ModemManager. It reads the modem's list of
// services, and has a client of the service allocated and released again. Nothing is
// said to the service itself, so the modem's card is left alone. An error means that
// it could not be told.
func Probe(ctx context.Context, device string) (Capability, error) {
	return Options{}.Probe(ctx, device)
}

// Probe does what the function Probe does, with these options.
func (o Options) Probe(ctx context.Context, device string) (Capability, error) {
	o.fill()
	path, _, err := ParseDevice(device)
	if err != nil {
		return Capability{}, err
	}
	l, err := o.connect(ctx, path)
	if err != nil {
		return Capability{}, fmt.Errorf("probe %s: %w", path, err)
	}
	defer l.close()
	c := Capability{Device: l.device, Transport: l.transport}
	v, client, err := l.allocate(ctx)
	switch {
	case errors.Is(err, ErrNotOffered):
		c.Reason = err.Error()
		return c, nil
	case err != nil:
		return c, fmt.Errorf("probe %s: %w", path, err)
	}
	c.Offered, c.Major, c.Minor = true, v.major, v.minor
	if err := l.release(ctx, client); err != nil {
		return c, fmt.Errorf("probe %s: give the client back: %w", path, err)
	}
	return c, nil
}

// allocate gets a client of UIM Remote, if the modem has the service.
func (l *link) allocate(ctx context.Context) (v version, client byte, err error) {
	v.service = serviceUIMRemote
	m, err := l.control(ctx, ctlVersions, nil, controlTimeout)
	var refused QMIError
	switch {
	case errors.As(err, &refused):
		// A modem without a list may have the service all the same.
	case errors.Is(err, errPassthrough):
		return v, 0, fmt.Errorf("%w: %w", ErrNotOffered, err)
	case err != nil:
		return v, 0, fmt.Errorf("ask for the modem's services: %w", err)
	default:
		all, err := versionsOf(m)
		if err != nil {
			return v, 0, fmt.Errorf("ask for the modem's services: %w", err)
		}
		i := slices.IndexFunc(all, func(v version) bool { return v.service == serviceUIMRemote })
		if i < 0 {
			return v, 0, fmt.Errorf("%w: it is not among the %d services of its list", ErrNotOffered, len(all))
		}
		v = all[i]
	}
	m, err = l.control(ctx, ctlAllocate, appendTLV(nil, tlvControl, serviceUIMRemote), controlTimeout)
	if errors.Is(err, errInvalidService) || errors.Is(err, errNotSupported) {
		return v, 0, fmt.Errorf("%w: %w", ErrNotOffered, err)
	}
	if err != nil {
		return v, 0, fmt.Errorf("get a client of UIM Remote: %w", err)
	}
	client, err = clientOf(m, serviceUIMRemote)
	return v, client, err
}

// release gives a client back. Only while nobody else receives.
func (l *link) release(ctx context.Context, client byte) error {
	_, err := l.control(ctx, ctlRelease, appendTLV(nil, tlvControl, serviceUIMRemote, client), controlTimeout)
	return err
}
