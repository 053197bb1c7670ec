package rspro

import "fmt"

// How the values of elements are read.

// primitive returns the content of the mandatory primitive element name.
func (c *cursor) primitive(want tag, name string) ([]byte, *DecodeError) {
	h, err := c.expect(want, name)
	if err != nil {
		return nil, err
	}
	if h.constructed {
		return nil, c.fail(h.at, "%v is constructed, expected a primitive element", h.tag).in(name)
	}
	return c.content(h, name)
}

func (c *cursor) content(h header, name string) ([]byte, *DecodeError) {
	if c.pos+h.length > c.available() {
		return nil, c.short(h.at, fmt.Sprintf("value of %d bytes", h.length)).in(name)
	}
	v := c.b[c.pos : c.pos+h.length : c.pos+h.length]
	c.pos += h.length
	return v, nil
}

// integer reads an INTEGER or ENUMERATED. No content is 0, leading octets that
// say nothing are passed over, and what then needs more than 64 bits is refused.
func (c *cursor) integer(want tag, name string) (int64, *DecodeError) {
	at := c.pos
	if end := at + 3; end <= len(c.b) && end <= c.limit && c.b[at] == want.id() && c.b[at+1] == 1 { // fast: -128..127
		c.pos = end
		return int64(int8(c.b[at+2])), nil
	}
	v, err := c.primitive(want, name)
	if err != nil || len(v) == 0 {
		return 0, err
	}
	for len(v) > 8 && (v[0] == 0 && v[1] < 0x80 || v[0] == 0xff && v[1] >= 0x80) {
		v = v[1:]
	}
	if len(v) > 8 {
		return 0, c.fail(at, "number of %d bytes does not fit in 64 bits", len(v)).in(name)
	}
	n := int64(int8(v[0]))
	for _, o := range v[1:] {
		n = n<<8 | int64(o)
	}
	return n, nil
}

// boolean reads a BOOLEAN: true if any octet of the content is not 0.
func (c *cursor) boolean(want tag, name string) (bool, *DecodeError) {
	if at, end := c.pos, c.pos+3; end <= len(c.b) && end <= c.limit && c.b[at] == want.id() && c.b[at+1] == 1 {
		c.pos = end
		return c.b[at+2] != 0, nil
	}
	v, err := c.primitive(want, name)
	for _, o := range v {
		if o != 0 {
			return true, nil
		}
	}
	return false, err
}

// octets reads a string type whose universal tag is chunk. A primitive one
// aliases the input; the chunks of a constructed one are put together.
func (c *cursor) octets(want, chunk tag, name string) ([]byte, *DecodeError) {
	h, err := c.expect(want, name)
	if err != nil {
		return nil, err
	}
	if !h.constructed {
		return c.content(h, name)
	}
	v, err := c.chunks(h, chunk)
	if err != nil {
		return nil, err.in(name)
	}
	return v, nil
}

// chunks joins the content of a constructed string (X.690 §8.7.3). Nesting is
// kept on a slice, not on the stack.
func (c *cursor) chunks(h header, chunk tag) ([]byte, *DecodeError) {
	out := []byte{}
	in, err := c.open(h)
	if err != nil {
		return nil, err
	}
	around := []cursor{*c}
	for len(around) > 0 {
		end, err := in.atEnd()
		if err != nil {
			return nil, err
		}
		if end {
			outer := &around[len(around)-1]
			if err := outer.leave(&in, false); err != nil {
				return nil, err
			}
			in, around = *outer, around[:len(around)-1]
			continue
		}
		h, err := in.header()
		if err != nil {
			return nil, err
		}
		if h.tag != chunk {
			return nil, in.fail(h.at, "expected a chunk with %v, found %v", chunk, h.tag)
		}
		if h.constructed {
			inner, err := in.open(h)
			if err != nil {
				return nil, err
			}
			around, in = append(around, in), inner
			continue
		}
		v, err := in.content(h, "chunk")
		if err != nil {
			return nil, err
		}
		out = append(out, v...)
	}
	c.pos = in.pos
	return out, nil
}
