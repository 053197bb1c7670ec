package uimremote

import "fmt"

// Messages of the control service (libqmi's qmi-service-ctl.json).
const (
	ctlVersions  = 0x0021
	ctlAllocate  = 0x0022
	ctlRelease   = 0x0023
	ctlSync      = 0x0027 // as an indication: the modem has forgotten all clients
	ctlProxyOpen = 0xFF00 // to qmi-proxy itself
)

// TLVs of the control service: all have one, with the same type.
const tlvControl = 0x01

// version is what a modem says about one service.
type version struct {
	service      byte
	major, minor uint16
}

// versionsOf reads the answer to ctlVersions: a count of one byte, then service,
// major and minor.
func versionsOf(m message) ([]version, error) {
	v, err := m.tlv(tlvControl, 1)
	if err != nil {
		return nil, err
	}
	n, v := int(v[0]), v[1:]
	if len(v) < 5*n {
		return nil, fmt.Errorf("%w: %d services in %d bytes", ErrMalformed, n, len(v))
	}
	out := make([]version, n)
	for i := range out {
		b := v[5*i:]
		out[i] = version{b[0], uint16(b[1]) | uint16(b[2])<<8, uint16(b[3]) | uint16(b[4])<<8}
	}
	return out, nil
}

// clientOf reads the answer to ctlAllocate.
func clientOf(m message, service byte) (byte, error) {
	v, err := m.tlv(tlvControl, 2)
	if err != nil {
		return 0, err
	}
	if v[0] != service {
		return 0, fmt.Errorf("%w: a client of service %02X was asked for, %02X was given", ErrMalformed, service, v[0])
	}
	return v[1], nil
}
