package clixml

// elementScan finds the end of an element in a growing buffer, without looking
// at what it has seen before.
type elementScan struct {
	at    int // next byte to look at
	depth int
	tag   bool // inside of a tag
	quote byte // inside of an attribute's value
	close bool // the tag is an end tag
}

const (
	scanMore = iota
	scanDone
	scanBad
)

// startsElement reports whether b begins with a start tag: those of CLIXML are
// capital letters first.
func startsElement(b []byte) bool {
	return len(b) > 1 && b[0] == '<' && b[1] >= 'A' && b[1] <= 'Z'
}

// next looks at what is new in b and returns the length of the element.
func (s *elementScan) next(b []byte) (n, state int) {
	for ; s.at < len(b); s.at++ {
		c := b[s.at]
		switch {
		case !s.tag:
			if c != '<' {
				continue
			}
			if s.at+1 == len(b) {
				return 0, scanMore
			}
			next := b[s.at+1]
			s.close = next == '/'
			if !s.close && (next < 'A' || next > 'Z') {
				return 0, scanBad
			}
			s.tag = true
		case s.quote != 0:
			if c == s.quote {
				s.quote = 0
			}
		case c == '"' || c == '\'':
			s.quote = c
		case c == '<':
			return 0, scanBad
		case c == '>':
			s.tag = false
			switch {
			case s.close:
				s.depth--
			case b[s.at-1] != '/':
				s.depth++
			}
			if s.depth <= 0 {
				return s.at + 1, scanDone
			}
		}
	}
	return 0, scanMore
}
