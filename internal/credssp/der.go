package credssp

import (
	"errors"
	"fmt"
)

// The few DER forms that [MS-CSSP] uses. All its tags are EXPLICIT, so that each
// field is a context tag around a universal one.
const (
	tagInteger     = 0x02
	tagBitString   = 0x03
	tagOctetString = 0x04
	tagSequence    = 0x30
	tagContext0    = 0xa0
)

// ErrMalformed is wrapped by every error about bytes that are not the structure
// that was expected.
var ErrMalformed = errors.New("credssp: malformed message")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// element cuts the first DER element off b. Lengths are definite; the long form
// is taken even where the short one would do, because some encoders reserve a
// fixed width. Everything is checked against what is there before it is sliced.
func element(b []byte) (tag byte, content, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, malformed("element cut short")
	}
	tag, n, head := b[0], int(b[1]), 2
	if tag&0x1f == 0x1f {
		return 0, nil, nil, malformed("tag number of several octets")
	}
	if n >= 0x80 {
		octets := n & 0x7f
		if octets == 0 || octets > 4 {
			return 0, nil, nil, malformed("length of %d octets", octets)
		}
		if len(b) < 2+octets {
			return 0, nil, nil, malformed("length cut short")
		}
		var length uint32
		for _, c := range b[2 : 2+octets] {
			length = length<<8 | uint32(c)
		}
		head += octets
		if uint64(length) > uint64(len(b)-head) {
			return 0, nil, nil, malformed("element of %d bytes, %d are there", length, len(b)-head)
		}
		n = int(length)
	}
	if n > len(b)-head {
		return 0, nil, nil, malformed("element of %d bytes, %d are there", n, len(b)-head)
	}
	return tag, b[head : head+n], b[head+n:], nil
}

// only returns the content of b, which must be one element of this tag and
// nothing after it.
func only(b []byte, tag byte) ([]byte, error) {
	got, content, rest, err := element(b)
	if err != nil {
		return nil, err
	}
	if got != tag {
		return nil, malformed("tag %#02x instead of %#02x", got, tag)
	}
	if len(rest) != 0 {
		return nil, malformed("%d bytes after the end", len(rest))
	}
	return content, nil
}

// fields calls fn for each EXPLICIT field of a SEQUENCE, in the ascending order
// that DER demands. Unknown fields are fn's to ignore: later versions of the
// protocol add some.
func fields(b []byte, fn func(number int, content []byte) error) error {
	seq, err := only(b, tagSequence)
	if err != nil {
		return err
	}
	last := -1
	for len(seq) > 0 {
		var tag byte
		var content []byte
		if tag, content, seq, err = element(seq); err != nil {
			return err
		}
		if tag&0xe0 != tagContext0 {
			return malformed("tag %#02x instead of a field", tag)
		}
		number := int(tag & 0x1f)
		if number <= last {
			return malformed("field [%d] after [%d]", number, last)
		}
		last = number
		if err := fn(number, content); err != nil {
			return err
		}
	}
	return nil
}

// parseInteger reads an INTEGER that fits into 32 bits, signed or unsigned: an
// NTSTATUS is written by some as the negative number of four octets and by
// others as the positive one of five.
func parseInteger(b []byte) (uint32, error) {
	c, err := only(b, tagInteger)
	if err != nil {
		return 0, err
	}
	if len(c) == 5 && c[0] == 0 {
		c = c[1:]
	}
	if len(c) == 0 || len(c) > 4 {
		return 0, malformed("INTEGER of %d octets", len(c))
	}
	n := uint32(0)
	if len(c) < 4 && c[0]&0x80 != 0 {
		n = ^n
	}
	for _, o := range c {
		n = n<<8 | uint32(o)
	}
	return n, nil
}

// appendElement appends one element with the shortest length form.
func appendElement(dst []byte, tag byte, content []byte) []byte {
	return append(appendHead(dst, tag, len(content)), content...)
}

func appendHead(dst []byte, tag byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(dst, tag, byte(n))
	case n < 0x100:
		return append(dst, tag, 0x81, byte(n))
	case n < 0x10000:
		return append(dst, tag, 0x82, byte(n>>8), byte(n))
	case n < 0x1000000:
		return append(dst, tag, 0x83, byte(n>>16), byte(n>>8), byte(n))
	default:
		return append(dst, tag, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

// appendField appends content as an element inside the EXPLICIT tag number.
func appendField(dst []byte, number int, tag byte, content []byte) []byte {
	dst = appendHead(dst, tagContext0|byte(number), headLen(len(content))+len(content))
	return appendElement(dst, tag, content)
}

// appendIntegerField writes n as the unsigned number that it is.
func appendIntegerField(dst []byte, number int, n uint32) []byte {
	c := []byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	for len(c) > 1 && c[0] == 0 && c[1] < 0x80 {
		c = c[1:]
	}
	return appendField(dst, number, tagInteger, c)
}

func headLen(n int) int {
	return len(appendHead(make([]byte, 0, 8), 0, n))
}
