package cardfake

// maxChannels is the basic channel and the three that CLA 01 to 03 can name.
const maxChannels = 4

// fidADF stands for the ADF of the current application in paths.
const fidADF = 0x7FFF

// channel is a logical channel (ETSI TS 102 221 §8.7).
type channel struct {
	app    *file // the active application; nil: none
	df     *file
	ef     *file // nil: none selected
	record int   // current record of ef, from 1; 0: none
}

func (ch *channel) to(f *file) {
	ch.ef, ch.record = nil, 0
	if f.isDF() {
		ch.df = f
		return
	}
	ch.df, ch.ef = f.parent, f
}

// channelOf tells the logical channel of an interindustry class (ETSI TS 102 221
// §10.1.1).
func channelOf(cla byte) (int, sw) {
	secure := cla&0x0C != 0
	number := int(cla & 0x03)
	if cla&0x40 != 0 {
		secure = cla&0x20 != 0
		number = 4 + int(cla&0x0F)
	}
	switch cla & 0xF0 {
	case 0x00, 0x80, 0x40, 0xC0, 0x60, 0xE0:
		if secure {
			return 0, swNoSecure
		}
		return number, swOK
	}
	return 0, swNoClass
}

// selectFile is SELECT (ETSI TS 102 221 §11.1.1).
func (c *Card) selectFile(ch *channel, m command) ([]byte, sw) {
	var f *file
	s := swNotFound
	switch m.p1 {
	case 0x00:
		f, s = c.byID(ch, m.data)
	case 0x03:
		if f = ch.df.parent; f != nil {
			s = swOK
		}
	case 0x04:
		return c.selectApp(ch, m)
	case 0x08:
		f, s = c.byPath(ch, c.mf, m.data)
	case 0x09:
		f, s = c.byPath(ch, ch.df, m.data)
	default:
		return nil, swWrongP1P2
	}
	if m.p2&^0x0C != 0 || m.p2 == 0x08 {
		return nil, swWrongP1P2
	}
	if s != swOK {
		return nil, s
	}
	ch.to(f)
	return c.selected(f, m.p2)
}

// selected answers SELECT: FCP, or nothing if P2 says so.
func (c *Card) selected(f *file, p2 byte) ([]byte, sw) {
	if p2&0x0C == 0x0C {
		if !f.isDF() && f.body.deactivated {
			return nil, swDeactivated
		}
		return nil, swOK
	}
	return c.outgoing(c.fcp(f))
}

func (c *Card) byID(ch *channel, id []byte) (*file, sw) {
	switch len(id) {
	case 0:
		return c.mf, swOK
	case 2:
	default:
		return nil, swWrongLength
	}
	n := uint16(id[0])<<8 | uint16(id[1])
	if n == fidADF && ch.app != nil {
		return ch.app, swOK
	}
	if f := ch.df.reachable(n, c.mf); f != nil {
		return f, swOK
	}
	return nil, swNotFound
}

// byPath follows a path of identifiers down from DF from.
func (c *Card) byPath(ch *channel, from *file, path []byte) (*file, sw) {
	if len(path) == 0 || len(path)%2 != 0 {
		return nil, swWrongLength
	}
	f := from
	for i := 0; i < len(path); i += 2 {
		id := uint16(path[i])<<8 | uint16(path[i+1])
		switch {
		case id == fidADF && i == 0 && ch.app != nil:
			f = ch.app
		case f.isDF() && f.child(id) != nil:
			f = f.child(id)
		default:
			return nil, swNotFound
		}
	}
	return f, swOK
}

// selectApp is SELECT by DF name, whole or cut on the right, with P2 choosing among
// several (first, last, next, previous) and ending the application's session.
func (c *Card) selectApp(ch *channel, m command) ([]byte, sw) {
	if m.p2&^0x4F != 0 || m.p2&0x0C == 0x08 {
		return nil, swWrongP1P2
	}
	found := apps(c.mf, m.data)
	if len(m.data) == 0 || len(found) == 0 {
		return nil, swNotFound
	}
	at := 0
	for i, f := range found {
		if f == ch.app {
			at = i
		}
	}
	switch m.p2 & 0x03 {
	case 0:
		at = 0
	case 1:
		at = len(found) - 1
	case 2:
		at++
	case 3:
		at--
	}
	if at < 0 || at >= len(found) {
		return nil, swNotFound
	}
	if m.p2&0x40 != 0 { // terminate the session
		ch.app = nil
		ch.to(c.mf)
		return nil, swOK
	}
	ch.app = found[at]
	ch.to(ch.app)
	return c.selected(ch.app, m.p2)
}

// status is STATUS (ETSI TS 102 221 §11.1.2).
func (c *Card) status(ch *channel, m command) ([]byte, sw) {
	if m.p1 > 2 {
		return nil, swWrongP1P2
	}
	var data []byte
	switch m.p2 {
	case 0x00:
		data = c.fcp(ch.df)
	case 0x01:
		if ch.app == nil {
			return nil, swConditions
		}
		data = tlv(0x84, ch.app.aid...)
	case 0x0C:
		return nil, swOK
	default:
		return nil, swWrongP1P2
	}
	if m.le() != len(data) {
		return nil, swWrongLe | sw(len(data)&0xFF)
	}
	return data, swOK
}

// manageChannel is MANAGE CHANNEL (ETSI TS 102 221 §11.1.17).
func (c *Card) manageChannel(ch *channel, number int, m command) ([]byte, sw) {
	switch m.p1 {
	case 0x00:
		return c.openChannel(ch, number, m)
	case 0x80:
		n := int(m.p2)
		switch {
		case n == 0 || n >= maxChannels || c.channels[n] == nil:
			return nil, swNoChannel
		case m.p3 != 0:
			return nil, swWrongLength
		}
		c.channels[n] = nil
		return nil, swOK
	}
	return nil, swWrongP1P2
}

// openChannel opens the lowest free channel. From the basic channel it starts in the
// MF, from another one where that one is.
func (c *Card) openChannel(ch *channel, number int, m command) ([]byte, sw) {
	switch {
	case m.p2 != 0:
		return nil, swWrongP1P2
	case m.p3 != 1:
		return nil, swWrongLe | 1
	}
	for n := 1; n < maxChannels; n++ {
		if c.channels[n] != nil {
			continue
		}
		c.channels[n] = &channel{df: c.mf}
		if number != 0 {
			*c.channels[n] = channel{app: ch.app, df: ch.df}
		}
		return []byte{byte(n)}, swOK
	}
	return nil, swNotSupported
}
