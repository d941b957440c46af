package auth

import (
	"encoding/base64"
	"slices"
	"strings"
)

// A Challenge is one scheme of a WWW-Authenticate or Proxy-Authenticate header
// ([RFC 9110] section 11.6.1).
type Challenge struct {
	Scheme  string
	Token68 string            // the token, as it stands in the header
	Params  map[string]string // keys in lower case
}

const (
	maxChallenges = 32
	maxParams     = 32
)

// ParseChallenges reads all values of the header. A value may hold several
// challenges: proxies join them with commas. What does not fit the grammar is
// skipped up to the next comma.
func ParseChallenges(values []string) []Challenge {
	var all []Challenge
	for _, v := range values {
		all = parseChallenges(all, v)
	}
	return all
}

func parseChallenges(all []Challenge, v string) []Challenge {
	p := challengeParser{s: v}
	current := -1
	for len(all) <= maxChallenges {
		p.skip(" \t,")
		if p.s == "" {
			break
		}
		word := p.token()
		if word == "" {
			p.toComma()
			continue
		}
		if value, ok := p.param(); ok {
			if current >= 0 && len(all[current].Params) < maxParams {
				if all[current].Params == nil {
					all[current].Params = map[string]string{}
				}
				all[current].Params[strings.ToLower(word)] = value
			}
			continue
		}
		if len(all) == maxChallenges {
			break
		}
		all = append(all, Challenge{Scheme: word})
		current = len(all) - 1
		all[current].Token68 = p.token68()
	}
	return all
}

type challengeParser struct{ s string }

func (p *challengeParser) skip(chars string) { p.s = strings.TrimLeft(p.s, chars) }

func (p *challengeParser) toComma() {
	if i := strings.IndexByte(p.s, ','); i >= 0 {
		p.s = p.s[i:]
		return
	}
	p.s = ""
}

// take cuts off what stands before the first byte that ok refuses.
func (p *challengeParser) take(ok func(byte) bool) string {
	n := 0
	for n < len(p.s) && ok(p.s[n]) {
		n++
	}
	word := p.s[:n]
	p.s = p.s[n:]
	return word
}

// token cuts a scheme word or parameter name. The URI that names certificate
// authentication is taken as a word too.
func (p *challengeParser) token() string {
	return p.take(func(c byte) bool {
		return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~:/", c) >= 0
	})
}

// token68 cuts a token that stands alone between blanks and the next comma. A
// parameter does not: it has "=" before its value.
func (p *challengeParser) token68() string {
	if p.s == "" || p.s[0] != ' ' && p.s[0] != '\t' {
		return ""
	}
	rest := challengeParser{s: p.s}
	rest.skip(" \t")
	word := rest.take(func(c byte) bool {
		return isAlphanumeric(c) || strings.IndexByte("-._~+/", c) >= 0
	})
	word += rest.take(func(c byte) bool { return c == '=' })
	rest.skip(" \t")
	if rest.s != "" && rest.s[0] != ',' {
		return ""
	}
	p.s = rest.s
	return word
}

// param cuts "= value" after a parameter's name.
func (p *challengeParser) param() (string, bool) {
	rest := challengeParser{s: p.s}
	rest.skip(" \t")
	if rest.s == "" || rest.s[0] != '=' {
		return "", false
	}
	rest.s = rest.s[1:]
	rest.skip(" \t")
	value := ""
	if strings.HasPrefix(rest.s, `"`) {
		value = rest.quoted()
	} else {
		value = rest.take(func(c byte) bool { return c != ',' && c != ' ' && c != '\t' })
	}
	p.s = rest.s
	return value, true
}

// quoted cuts a quoted string; one that is not closed ends with the value.
func (p *challengeParser) quoted() string {
	var b strings.Builder
	for i := 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.s = p.s[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(p.s):
			i++
			b.WriteByte(p.s[i])
		default:
			b.WriteByte(c)
		}
	}
	p.s = ""
	return b.String()
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

// offers is what a 401 or 407 says about the schemes.
type offers struct {
	schemes []string // without repetition, in order
	token   []byte   // of our scheme
	found   bool     // our scheme is there with a token
	bare    bool     // our scheme is there without
	err     error    // the token is no base64
}

// readOffers looks for the scheme's token among the challenges.
func readOffers(values []string, scheme string) offers {
	var o offers
	for _, c := range ParseChallenges(values) {
		if !slices.Contains(o.schemes, c.Scheme) {
			o.schemes = append(o.schemes, c.Scheme)
		}
		if !strings.EqualFold(c.Scheme, scheme) || o.found {
			continue
		}
		if c.Token68 == "" {
			o.bare = true
			continue
		}
		o.found = true
		o.token, o.err = decodeToken(c.Token68)
	}
	return o
}

// decodeToken decodes base64 with or without its padding.
func decodeToken(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}
