package cmdexe

import "strings"

const maxDepth = 100

// Parse reads a line whose percent signs have been expanded. nil is an empty
// line.
func Parse(line string) (*Node, error) {
	if len(line) > MaxLine {
		return nil, ErrTooLong
	}
	// A line ends at its first line break: what follows is never seen.
	if at := strings.IndexAny(line, "\r\n"); at >= 0 {
		line = line[:at]
	}
	p := &parser{s: line}
	n, err := p.sequence()
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.s) {
		return nil, ErrSyntax // a closing parenthesis too many
	}
	return n, nil
}

type parser struct {
	s     string
	pos   int
	depth int
}

// sequence reads commands joined by &, which binds weakest.
func (p *parser) sequence() (*Node, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return nil, ErrDepth
	}
	left, err := p.or()
	for err == nil && p.operator("&") {
		if p.blank() {
			return left, nil // "a &" is allowed
		}
		var right *Node
		right, err = p.or()
		left = &Node{Op: "&", Left: left, Right: right}
	}
	return left, err
}

func (p *parser) or() (*Node, error)   { return p.binary("||", p.and) }
func (p *parser) and() (*Node, error)  { return p.binary("&&", p.pipe) }
func (p *parser) pipe() (*Node, error) { return p.binary("|", p.command) }

func (p *parser) binary(op string, next func() (*Node, error)) (*Node, error) {
	left, err := next()
	for err == nil && p.operator(op) {
		var right *Node
		right, err = next()
		if err == nil && (left == nil || right == nil) {
			return nil, ErrSyntax
		}
		left = &Node{Op: op, Left: left, Right: right}
	}
	return left, err
}

// operator consumes op when it is next and not the beginning of a longer one.
func (p *parser) operator(op string) bool {
	p.skip()
	rest := p.s[p.pos:]
	if !strings.HasPrefix(rest, op) {
		return false
	}
	if len(op) == 1 && len(rest) > 1 && rest[1] == op[0] {
		return false
	}
	p.pos += len(op)
	return true
}

func (p *parser) skip() {
	for p.pos < len(p.s) && strings.IndexByte(" \t", p.s[p.pos]) >= 0 {
		p.pos++
	}
}

// blank reports whether nothing but the end or a closing parenthesis follows.
func (p *parser) blank() bool {
	p.skip()
	return p.pos == len(p.s) || p.s[p.pos] == ')' && p.depth > 1
}

// command reads a simple command or a parenthesis, with redirections.
func (p *parser) command() (*Node, error) {
	p.skip()
	for p.pos < len(p.s) && (p.s[p.pos] == '@' || p.s[p.pos] == ',' || p.s[p.pos] == ';' || p.s[p.pos] == '=') {
		p.pos++
		p.skip()
	}
	if p.pos < len(p.s) && p.s[p.pos] == '(' {
		p.pos++
		inner, err := p.sequence()
		if err != nil {
			return nil, err
		}
		if inner == nil || p.pos >= len(p.s) || p.s[p.pos] != ')' {
			return nil, ErrSyntax
		}
		p.pos++
		n := &Node{Op: "(", Left: inner}
		rest, err := p.simple()
		if err != nil {
			return nil, err
		}
		if rest != nil {
			if strings.TrimSpace(rest.Command) != "" {
				return nil, ErrSyntax
			}
			n.Redirects = rest.Redirects
		}
		return n, nil
	}
	return p.simple()
}

// simple reads up to an operator. Quotes switch the meaning of special
// characters off, a caret that of the next character.
func (p *parser) simple() (*Node, error) {
	n := &Node{}
	var b strings.Builder
	quoted := false
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		switch {
		case c == '"':
			quoted = !quoted
			b.WriteByte(c)
			p.pos++
		case quoted:
			b.WriteByte(c)
			p.pos++
		case c == '^':
			p.pos++
			if p.pos < len(p.s) {
				b.WriteByte(p.s[p.pos])
				p.pos++
			}
		case c == '&' || c == '|' || c == ')' && p.depth > 1:
			return n.finish(b.String()), nil
		case c == '<' || c == '>':
			if err := p.redirect(n, &b); err != nil {
				return nil, err
			}
		default:
			b.WriteByte(c)
			p.pos++
		}
	}
	return n.finish(b.String()), nil
}

func (n *Node) finish(text string) *Node {
	if strings.TrimSpace(text) == "" && len(n.Redirects) == 0 {
		return nil
	}
	n.Command = strings.TrimLeft(text, " \t")
	return n
}

// redirect reads one redirection. A digit right before it, with a blank before
// that, is the handle.
func (p *parser) redirect(n *Node, b *strings.Builder) error {
	r := Redirect{Handle: 1, Op: ">"}
	if p.s[p.pos] == '<' {
		r = Redirect{Handle: 0, Op: "<"}
	}
	text := b.String()
	if k := len(text) - 1; k >= 0 && text[k] >= '0' && text[k] <= '9' && (k == 0 || text[k-1] == ' ' || text[k-1] == '\t') && p.s[p.pos-1] == text[k] {
		r.Handle = int(text[k] - '0')
		b.Reset()
		b.WriteString(text[:k])
	}
	p.pos++
	rest := p.s[p.pos:]
	switch {
	case r.Op == ">" && strings.HasPrefix(rest, ">"):
		r.Op = ">>"
		p.pos++
	case r.Op == ">" && strings.HasPrefix(rest, "&") && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		r.Op, r.Target = ">&", rest[1:2]
		p.pos += 2
		n.Redirects = append(n.Redirects, r)
		return nil
	}
	p.skip()
	start, quoted := p.pos, false
	for p.pos < len(p.s) && (quoted || strings.IndexByte(" \t&|<>)", p.s[p.pos]) < 0) {
		quoted = quoted != (p.s[p.pos] == '"')
		p.pos++
	}
	r.Target = strings.Trim(p.s[start:p.pos], `"`)
	if r.Target == "" {
		return ErrSyntax
	}
	n.Redirects = append(n.Redirects, r)
	return nil
}
