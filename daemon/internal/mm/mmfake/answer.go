package mmfake

import (
	"github.com/godbus/dbus/v5"
)

// call answers a method of the modem's own object; f.mu is held.
func (m *Modem) call(method string, args []any) (body []any, after func(), err *dbus.Error) {
	switch method {
	case modemFace + ".Enable":
		if on, _ := arg[bool](args, 0); !on {
			m.state, m.bearer, m.rate = stDisabled, nil, 0
			m.announce()
			return nil, nil, nil
		}
		if m.state < stDisabled {
			return nil, nil, failed("Core.WrongState", "modem in "+stateName(m.state)+" state")
		}
		m.enable()
	case modemFace + ".Reset":
		return nil, m.restart, nil
	case modemFace + ".SetPowerState":
		p, _ := arg[uint32](args, 0)
		if !m.f.atLeast(24) && m.state != stDisabled && m.state != stFailed {
			return nil, nil, failed("Core.WrongState", "Cannot set power state: not in disabled state")
		}
		m.power = p
		m.announce()
	case modemFace + ".SetPrimarySimSlot":
		n, _ := arg[uint32](args, 0)
		if m.spec.Slots < 2 {
			return nil, nil, failed("Core.Unsupported", "Cannot switch sim slot: operation not supported")
		}
		if n < 1 || int(n) > m.spec.Slots {
			return nil, nil, failed("Core.InvalidArgs", "Cannot switch sim slot: requested SIM slot is out of bounds")
		}
		return nil, func() { m.slot, m.unlocked = int(n)-1, false; m.reprobe() }, nil
	case sigFace + ".Setup":
		if m.state < stEnabled {
			return nil, nil, failed("Core.WrongState", "Cannot setup signal: modem not enabled yet")
		}
		m.rate, _ = arg[uint32](args, 0)
		return nil, m.announce, nil
	default:
		return nil, nil, dbus.NewError(busName+".Error.UnknownMethod", []any{"No such method " + method})
	}
	return nil, nil, nil
}

// restart is a reset of the firmware: the PIN is wanted again.
func (m *Modem) restart() {
	m.unlocked, m.power = false, 3
	m.withdraw()
	m.f.after(m.export)
}

func (m *Modem) sendPIN(pin string) (after func(), err *dbus.Error) {
	c := m.card()
	switch {
	case !m.locked():
		return nil, failed("Core.WrongState", "Cannot send PIN: device is not SIM-PIN locked")
	case c.Tries == 0:
		return nil, failed("MobileEquipment.SimPuk", "SIM PUK required")
	case pin != c.PIN:
		c.Tries--
		return m.announce, failed("MobileEquipment.IncorrectPassword", "Incorrect password")
	}
	c.Tries, m.unlocked, m.state = 3, true, stDisabled
	return m.announce, nil
}
