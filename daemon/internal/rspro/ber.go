package rspro

import (
	"fmt"
	"math"
)

// tag is an ASN.1 tag: class in the two highest bits, number below.
type tag uint32

const (
	tagBoolean    tag = 1
	tagInteger    tag = 2
	tagOctets     tag = 4
	tagEnumerated tag = 10
	tagSequence   tag = 16
	tagIA5        tag = 22
)

func context(n byte) tag { return 2<<30 | tag(n) }

func (t tag) String() string {
	n := t & (1<<30 - 1)
	switch t >> 30 {
	case 0:
		switch n {
		case tagBoolean:
			return "BOOLEAN (01)"
		case tagInteger:
			return "INTEGER (02)"
		case tagOctets:
			return "OCTET STRING (04)"
		case tagEnumerated:
			return "ENUMERATED (0a)"
		case tagSequence:
			return "SEQUENCE (30)"
		case tagIA5:
			return "IA5String (16)"
		}
		return fmt.Sprintf("[UNIVERSAL %d]", n)
	case 1:
		return fmt.Sprintf("[APPLICATION %d]", n)
	case 2:
		return fmt.Sprintf("[%d]", n)
	}
	return fmt.Sprintf("[PRIVATE %d]", n)
}

// unread is the tag of a header whose identifier is not whole.
const unread tag = 1<<32 - 1

// indefinite is the length of an element that ends with two zero bytes.
const indefinite = -1

// hugeLength stands for every length beyond what an input can hold.
const hugeLength = 1 << 30

// header is the identifier and length of one element (X.690 §8.1.2, §8.1.3).
type header struct {
	tag         tag
	constructed bool
	length      int
	at          int // offset of the identifier
}

// cursor walks the content of one constructed element.
//
// Running out of bytes means two things: if an enclosing element with a definite
// length ends within the input, the element that runs out is malformed;
// otherwise the input has been cut. limit tells them apart: it is the lowest
// definite end of this element and all around it.
type cursor struct {
	b     []byte
	pos   int
	end   int // where this element ends; indefinite: at two zero bytes
	limit int
}

func (c *cursor) available() int { return min(c.limit, len(c.b)) }

func (c *cursor) fail(at int, format string, args ...any) *DecodeError {
	return &DecodeError{Offset: at, What: fmt.Sprintf(format, args...)}
}

// short is the error of running out of bytes while reading what.
func (c *cursor) short(at int, what string) *DecodeError {
	if c.limit <= len(c.b) {
		return c.fail(at, "%s runs past the end of the element around it (byte %d)", what, c.limit)
	}
	return &DecodeError{Offset: at, What: fmt.Sprintf("%s runs past the end of the input (%d bytes)", what, len(c.b)), Truncated: true}
}

// header reads one identifier and length.
func (c *cursor) header() (header, *DecodeError) {
	p, avail := c.pos, c.available()
	if p+1 < avail { // fast: one identifier byte, one length byte
		id, n := c.b[p], c.b[p+1]
		if id&0x1f != 0x1f && n < 0x80 {
			c.pos = p + 2
			return header{tag: tag(id&0xc0)<<24 | tag(id&0x1f), constructed: id&0x20 != 0, length: int(n), at: p}, nil
		}
	}
	return c.longHeader()
}

func (c *cursor) longHeader() (header, *DecodeError) {
	h := header{tag: unread, at: c.pos}
	avail := c.available()
	if c.pos >= avail {
		return h, c.short(h.at, "identifier")
	}
	id := c.b[c.pos]
	c.pos++
	h.constructed = id&0x20 != 0
	number := tag(id & 0x1f)
	if number == 0x1f { // high-tag-number form (X.690 §8.1.2.4)
		number = 0
		for more := true; more; c.pos++ {
			if c.pos >= avail {
				return h, c.short(h.at, "identifier")
			}
			if number>>23 != 0 {
				return h, c.fail(h.at, "tag number is longer than 30 bits")
			}
			number = number<<7 | tag(c.b[c.pos]&0x7f)
			more = c.b[c.pos]&0x80 != 0
		}
	}
	h.tag = number | tag(id&0xc0)<<24
	var err *DecodeError
	h.length, err = c.length(h.constructed)
	return h, err
}

// length reads the length octets. Leading zeros are allowed, as many as the form
// has room for. On a primitive, 80 is no indefinite length but a long form of no
// octets, hence 0: the real decoder reads it so.
func (c *cursor) length(constructed bool) (int, *DecodeError) {
	at, avail := c.pos, c.available()
	if at >= avail {
		return 0, c.short(at, "length")
	}
	first := c.b[at]
	c.pos++
	switch {
	case first < 0x80:
		return int(first), nil
	case first == 0x80 && constructed:
		return indefinite, nil
	case first == 0xff:
		return 0, c.fail(at, "length octet ff is reserved")
	}
	var n int64
	for k := int(first & 0x7f); k > 0; k-- {
		if c.pos >= avail {
			return 0, c.short(at, "length")
		}
		n = n<<8 | int64(c.b[c.pos])
		c.pos++
		if n < 0 || (n>>56 != 0 && k > 1) {
			return 0, c.fail(at, "length does not fit in 63 bits")
		}
	}
	if n > math.MaxInt64-1024 {
		return 0, c.fail(at, "length %d is beyond any input", n)
	}
	return int(min(n, hugeLength)), nil
}

// atEnd tells whether the element has no more content.
func (c *cursor) atEnd() (bool, *DecodeError) {
	if c.end != indefinite {
		return c.pos >= c.end, nil
	}
	avail := c.available()
	if c.pos >= avail {
		return false, c.short(c.pos, "end-of-contents")
	}
	if c.b[c.pos] != 0 {
		return false, nil
	}
	if c.pos+2 > avail {
		return false, c.short(c.pos, "end-of-contents")
	}
	return c.b[c.pos+1] == 0, nil
}

// expect reads the header of the mandatory element name.
func (c *cursor) expect(want tag, name string) (header, *DecodeError) {
	end, err := c.atEnd()
	if err == nil && end {
		err = c.fail(c.pos, "%v is missing", want)
	}
	if err != nil {
		return header{}, err.in(name)
	}
	h, err := c.header()
	if h.tag != want && h.tag != unread { // says more than that the length is cut
		err = c.fail(h.at, "expected %v, found %v", want, h.tag)
	}
	if err != nil {
		return h, err.in(name)
	}
	return h, nil
}

// has tells whether the next element is the optional one with this tag.
func (c *cursor) has(want tag) (bool, *DecodeError) {
	end, err := c.atEnd()
	if err != nil || end {
		return false, err
	}
	look := *c
	h, err := look.header()
	if err != nil {
		return false, err
	}
	return h.tag == want, nil
}

// enter opens the constructed element that h heads.
func (c *cursor) enter(h header) (cursor, *DecodeError) {
	if !h.constructed {
		return cursor{}, c.fail(h.at, "%v is primitive, expected a constructed element", h.tag)
	}
	return c.open(h)
}

func (c *cursor) open(h header) (cursor, *DecodeError) {
	in := cursor{b: c.b, pos: c.pos, end: indefinite, limit: c.limit}
	if h.length != indefinite {
		in.end = c.pos + h.length
		if in.end > c.limit {
			return in, c.short(h.at, fmt.Sprintf("length %d", h.length))
		}
		in.limit = in.end
	}
	return in, nil
}

// sequence opens the mandatory SEQUENCE name.
func (c *cursor) sequence(want tag, name string) (cursor, *DecodeError) {
	if p := c.pos; p+1 < len(c.b) && c.b[p] == want.id()|constructedBit && c.b[p+1] < 0x80 { // fast: as DER writes short ones
		if end := p + 2 + int(c.b[p+1]); end <= c.limit {
			c.pos = p + 2
			return cursor{b: c.b, pos: c.pos, end: end, limit: end}, nil
		}
	}
	h, err := c.expect(want, name)
	if err != nil {
		return cursor{}, err
	}
	in, err := c.enter(h)
	if err != nil {
		return in, err.in(name)
	}
	return in, nil
}

// leave ends the element that in walked: extensions are skipped where the type
// has an extension marker, anything else is refused.
func (c *cursor) leave(in *cursor, extensible bool) *DecodeError {
	if in.pos == in.end {
		c.pos = in.pos
		return nil
	}
	for {
		end, err := in.atEnd()
		if err != nil {
			return err
		}
		if end {
			break
		}
		if !extensible {
			h, err := in.header()
			if err != nil {
				return err
			}
			return in.fail(h.at, "unexpected %v in a type without extensions", h.tag)
		}
		if err := in.skip(); err != nil {
			return err
		}
	}
	if in.end == indefinite {
		in.pos += 2
	}
	c.pos = in.pos
	return nil
}

// skip passes one element. Nested indefinite lengths are counted, not recursed
// into: the input may nest them as deep as it is long.
func (c *cursor) skip() *DecodeError {
	depth := 0
	for {
		if depth > 0 && c.pos+2 <= c.available() && c.b[c.pos] == 0 && c.b[c.pos+1] == 0 {
			c.pos += 2
			depth--
		} else {
			h, err := c.header()
			if err != nil {
				return err
			}
			if h.length == indefinite {
				depth++
			} else if c.pos+h.length > c.available() {
				return c.short(h.at, fmt.Sprintf("%v of %d bytes", h.tag, h.length))
			} else {
				c.pos += h.length
			}
		}
		if depth == 0 {
			return nil
		}
	}
}
