package wmi

import (
	"fmt"
	"strings"
)

// A Query is a WQL query on one class:
//
//	SELECT * | name, ... FROM class [WHERE condition]
//
// with the comparisons = <> != < > <= >= LIKE and IS [NOT] NULL, joined by AND,
// OR, NOT and parentheses. Keywords and names are compared without case, and so
// are strings, as WMI does.
type Query struct {
	Class  string
	Fields []string // nil selects all
	where  condition
}

// A condition says whether an instance is selected.
type condition func(*Instance) bool

// QueryError says why a query cannot be processed.
type QueryError struct {
	Query  string
	Reason string
}

func (e *QueryError) Error() string { return fmt.Sprintf("wmi: query %.120q: %s", e.Query, e.Reason) }

// maxDepth bounds nested parentheses and NOTs.
const maxDepth = 64

// Parse reads a query.
func Parse(s string) (*Query, error) {
	p := &parser{src: s}
	if err := p.scan(); err != nil {
		return nil, err
	}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.toks) {
		return nil, p.errorf("unexpected %q", p.toks[p.pos].text)
	}
	return q, nil
}

// Matches reports whether an instance is selected.
func (q *Query) Matches(in *Instance) bool { return q.where == nil || q.where(in) }

type tokenKind int

const (
	tokenWord tokenKind = iota
	tokenString
	tokenNumber
	tokenSymbol
)

type token struct {
	kind tokenKind
	text string
}

type parser struct {
	src   string
	toks  []token
	pos   int
	depth int
}

func (p *parser) errorf(format string, args ...any) error {
	return &QueryError{Query: p.src, Reason: fmt.Sprintf(format, args...)}
}

func (p *parser) scan() error {
	for i := 0; i < len(p.src); {
		c := p.src[i]
		switch {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case c == '\'' || c == '"':
			text, n, ok := quoted(p.src[i:])
			if !ok {
				return p.errorf("a string does not end")
			}
			p.toks = append(p.toks, token{tokenString, text})
			i += n
		case isWord(c) || c == '-' && i+1 < len(p.src) && isDigit(p.src[i+1]):
			j := i + 1
			for j < len(p.src) && (isWord(p.src[j]) || p.src[j] == '.') {
				j++
			}
			kind := tokenWord
			if isDigit(c) || c == '-' {
				kind = tokenNumber
			}
			p.toks = append(p.toks, token{kind, p.src[i:j]})
			i = j
		default:
			n := 1
			if i+1 < len(p.src) && strings.Contains("<= >= <> !=", p.src[i:i+2]) && p.src[i] != ' ' && p.src[i+1] != ' ' {
				n = 2
			}
			p.toks = append(p.toks, token{tokenSymbol, p.src[i : i+n]})
			i += n
		}
	}
	return nil
}

// quoted reads a string with backslash escapes.
func quoted(s string) (text string, n int, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == s[0]:
			return b.String(), i + 1, true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return c == '_' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// keyword consumes a word when it is next.
func (p *parser) keyword(word string) bool {
	if p.pos < len(p.toks) && p.toks[p.pos].kind == tokenWord && strings.EqualFold(p.toks[p.pos].text, word) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) symbol(s string) bool {
	if p.pos < len(p.toks) && p.toks[p.pos] == (token{tokenSymbol, s}) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) next() (token, error) {
	if p.pos >= len(p.toks) {
		return token{}, p.errorf("it ends too early")
	}
	p.pos++
	return p.toks[p.pos-1], nil
}

func (p *parser) name() (string, error) {
	t, err := p.next()
	if err == nil && t.kind != tokenWord {
		err = p.errorf("%q is no name", t.text)
	}
	return t.text, err
}

func (p *parser) query() (*Query, error) {
	q := &Query{}
	if !p.keyword("select") {
		return nil, p.errorf("it does not begin with SELECT")
	}
	if !p.symbol("*") {
		for {
			name, err := p.name()
			if err != nil {
				return nil, err
			}
			q.Fields = append(q.Fields, name)
			if !p.symbol(",") {
				break
			}
		}
	}
	if !p.keyword("from") {
		return nil, p.errorf("FROM is missing")
	}
	var err error
	if q.Class, err = p.name(); err != nil {
		return nil, err
	}
	if p.keyword("where") {
		q.where, err = p.or()
	}
	return q, err
}
