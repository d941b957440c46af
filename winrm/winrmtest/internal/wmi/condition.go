package wmi

import (
	"cmp"
	"strconv"
	"strings"
)

func (p *parser) or() (condition, error) {
	left, err := p.and()
	for err == nil && p.keyword("or") {
		var right condition
		l := left
		right, err = p.and()
		left = func(in *Instance) bool { return l(in) || right(in) }
	}
	return left, err
}

func (p *parser) and() (condition, error) {
	left, err := p.not()
	for err == nil && p.keyword("and") {
		var right condition
		l := left
		right, err = p.not()
		left = func(in *Instance) bool { return l(in) && right(in) }
	}
	return left, err
}

func (p *parser) not() (condition, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return nil, p.errorf("it is nested too deep")
	}
	switch {
	case p.keyword("not"):
		inner, err := p.not()
		return func(in *Instance) bool { return !inner(in) }, err
	case p.symbol("("):
		inner, err := p.or()
		if err == nil && !p.symbol(")") {
			err = p.errorf("a parenthesis is not closed")
		}
		return inner, err
	}
	return p.comparison()
}

func (p *parser) comparison() (condition, error) {
	field, err := p.name()
	if err != nil {
		return nil, err
	}
	if p.keyword("is") {
		negate := p.keyword("not")
		if !p.keyword("null") {
			return nil, p.errorf("IS without NULL")
		}
		return func(in *Instance) bool {
			v, ok := in.Get(field)
			return ok && (v == nil) != negate
		}, nil
	}
	op, err := p.operator()
	if err != nil {
		return nil, err
	}
	value, err := p.next()
	if err != nil {
		return nil, err
	}
	if value.kind == tokenSymbol {
		return nil, p.errorf("%q is no value", value.text)
	}
	return func(in *Instance) bool {
		v, ok := in.Get(field)
		return ok && v != nil && compare(Text(v), op, value.text)
	}, nil
}

func (p *parser) operator() (string, error) {
	if p.keyword("like") {
		return "like", nil
	}
	t, err := p.next()
	if err != nil {
		return "", err
	}
	switch t.text {
	case "=", "<>", "!=", "<", ">", "<=", ">=":
		return t.text, nil
	}
	return "", p.errorf("%q is no comparison", t.text)
}

// compare compares numbers as numbers and everything else without case.
func compare(have, op, want string) bool {
	if op == "like" {
		return like(strings.ToLower(want), strings.ToLower(have))
	}
	order := strings.Compare(strings.ToLower(have), strings.ToLower(want))
	a, errA := strconv.ParseInt(have, 10, 64)
	b, errB := strconv.ParseInt(want, 10, 64)
	if errA == nil && errB == nil {
		order = cmp.Compare(a, b)
	}
	switch op {
	case "=":
		return order == 0
	case "<>", "!=":
		return order != 0
	case "<":
		return order < 0
	case ">":
		return order > 0
	case "<=":
		return order <= 0
	}
	return order >= 0
}

// like matches % (anything), _ (one character) and [abc], [a-c], [^a] (one of a
// set). Only the last % is tried again: what an earlier one could take more, the
// last one can take too.
func like(pattern, s string) bool {
	retry, from := "", -1 // pattern after the last %, and where in s it was tried
	pos := 0
	for pos < len(s) || pattern != "" {
		if pattern != "" && pattern[0] == '%' {
			pattern = pattern[1:]
			retry, from = pattern, pos
			continue
		}
		if pattern != "" && pos < len(s) {
			if width := one(pattern, s[pos]); width > 0 {
				pattern, pos = pattern[width:], pos+1
				continue
			}
		}
		if from < 0 || from >= len(s) {
			return false
		}
		from++
		pattern, pos = retry, from
	}
	return true
}

// one matches a character and returns how much of the pattern stands for it; 0
// when it does not match.
func one(pattern string, c byte) int {
	switch pattern[0] {
	case '_':
		return 1
	case '[':
		end := strings.IndexByte(pattern, ']')
		if end < 0 || !inSet(pattern[1:end], c) {
			return 0
		}
		return end + 1
	case c:
		return 1
	}
	return 0
}

func inSet(set string, c byte) bool {
	set, negate := strings.CutPrefix(set, "^")
	found := false
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			found = found || set[i] <= c && c <= set[i+2]
			i += 2
			continue
		}
		found = found || set[i] == c
	}
	return found != negate
}
