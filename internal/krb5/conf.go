package krb5

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxConfFile  = 1 << 20
	maxConfDepth = 10
	maxConfFiles = 256
)

// A Conf is what this package uses of a krb5.conf. Everything else in the file
// is passed over.
type Conf struct {
	DefaultRealm   string
	DNSLookupKDC   bool // true unless the file says no
	TicketLifetime time.Duration
	RenewLifetime  time.Duration
	CCacheName     string // default_ccache_name
	KDCs           map[string][]string
	DomainRealm    map[string]string // ".suffix" and "host", lower case
}

// NewConf is the configuration of a machine without a krb5.conf: everything by
// DNS.
func NewConf() *Conf {
	return &Conf{DNSLookupKDC: true, KDCs: map[string][]string{}, DomainRealm: map[string]string{}}
}

// ReadConf reads krb5.conf files, of which earlier ones win, with their include
// and includedir lines. A file that does not exist is passed over, unless all
// are missing.
func ReadConf(paths ...string) (*Conf, error) {
	c := NewConf()
	r := &confReader{conf: c, set: map[string]bool{}}
	missing := 0
	for _, path := range paths {
		err := r.file(path, 0)
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			if missing == len(paths) {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// A ConfError is a krb5.conf that cannot be read.
type ConfError struct {
	File string
	Line int
	Text string
}

func (e *ConfError) Error() string { return fmt.Sprintf("krb5: %s:%d: %s", e.File, e.Line, e.Text) }

// confReader reads files into one Conf.
type confReader struct {
	conf  *Conf
	set   map[string]bool // single values that are set: the first one wins
	files int
}

// confPlace is where in a file the reader is.
type confPlace struct {
	file string
	line int
	path []string // section, then the names of open braces
	last string   // the name on the line before, if it had no value
}

func (p *confPlace) fail(text string) error {
	return &ConfError{File: p.file, Line: p.line, Text: text}
}

func (r *confReader) file(path string, depth int) error {
	if depth > maxConfDepth || r.files >= maxConfFiles {
		return &ConfError{File: path, Text: "too many included files"}
	}
	r.files++
	b, err := readFile(path, maxConfFile)
	if err != nil {
		return err
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff")) // editors on Windows write one
	place := &confPlace{file: path}
	for sc := bufio.NewScanner(bytes.NewReader(b)); ; {
		if !sc.Scan() {
			if err := sc.Err(); err != nil {
				return place.fail("line too long")
			}
			break
		}
		place.line++
		if err := r.line(place, strings.TrimSpace(sc.Text()), depth); err != nil {
			return err
		}
	}
	if len(place.path) > 1 {
		return place.fail("a brace is not closed")
	}
	return nil
}

func (r *confReader) line(p *confPlace, line string, depth int) error {
	if line == "" || line[0] == '#' || line[0] == ';' {
		return nil
	}
	before := p.last
	p.last = ""
	switch {
	case line == "{" && before != "":
		return p.open(before)
	case strings.HasPrefix(line, "include ") || strings.HasPrefix(line, "include\t"):
		return r.include(p, strings.TrimSpace(line[len("include"):]), depth)
	case strings.HasPrefix(line, "includedir ") || strings.HasPrefix(line, "includedir\t"):
		return r.includeDir(p, strings.TrimSpace(line[len("includedir"):]), depth)
	case strings.HasPrefix(line, "module ") || strings.HasPrefix(line, "module\t"):
		return nil
	case line[0] == '[':
		end := strings.IndexByte(line, ']')
		if end < 0 || len(p.path) > 1 {
			return p.fail("malformed section")
		}
		p.path = []string{strings.ToLower(strings.TrimSpace(line[1:end]))}
		return nil
	case line[0] == '}':
		if len(p.path) < 2 {
			return p.fail("a brace is closed that was not opened")
		}
		p.path = p.path[:len(p.path)-1]
		return nil
	}
	name, value, ok := strings.Cut(line, "=")
	if !ok || len(p.path) == 0 {
		return p.fail("neither a section nor 'name = value'")
	}
	name, value = strings.TrimSuffix(strings.TrimSpace(name), "*"), strings.TrimSpace(value)
	if rest, ok := strings.CutPrefix(value, "{"); ok {
		switch rest = strings.TrimSpace(rest); {
		case rest == "":
			return p.open(name)
		case rest == "}" || p.path[0] != "realms": // libkrb5 takes the line for a value
			return nil
		}
		return p.fail("text after an opening brace")
	}
	if value == "" {
		p.last = name
	}
	r.value(p.path, name, unquote(value))
	return nil
}

// open enters the braces of a name.
func (p *confPlace) open(name string) error {
	if len(p.path) > maxConfDepth {
		return p.fail("braces nested too deep")
	}
	p.path = append(p.path, name)
	return nil
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\n`, "\n", `\t`, "\t").Replace(s[1 : len(s)-1])
	}
	return s
}

func (r *confReader) include(p *confPlace, path string, depth int) error {
	if !filepath.IsAbs(path) {
		return p.fail("include wants an absolute path")
	}
	return r.file(path, depth+1)
}

// includeDir reads the files of a directory whose names consist of letters,
// digits, '-' and '_', or end in .conf, in the order of their names.
func (r *confReader) includeDir(p *confPlace, dir string, depth int) error {
	if !filepath.IsAbs(dir) {
		return p.fail("includedir wants an absolute path")
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Fedora's and Debian's files name directories that need not be there
	}
	if err != nil {
		return fmt.Errorf("krb5: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		plain := !strings.ContainsFunc(name, func(c rune) bool {
			return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
		})
		if e.IsDir() || strings.HasPrefix(name, ".") || !plain && !strings.HasSuffix(name, ".conf") {
			continue
		}
		if err := r.file(filepath.Join(dir, name), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (r *confReader) value(path []string, name, value string) {
	c := r.conf
	switch {
	case len(path) == 1 && path[0] == "libdefaults":
		r.libdefault(strings.ToLower(name), value)
	case len(path) == 2 && path[0] == "realms" && (name == "kdc" || name == "master_kdc" || name == "primary_kdc"):
		value, _, _ = strings.Cut(strings.ReplaceAll(value, "\t", " "), " ") // a comment may follow
		if value != "" && !slices.Contains(c.KDCs[path[1]], value) {
			c.KDCs[path[1]] = append(c.KDCs[path[1]], value)
		}
	case len(path) == 1 && path[0] == "domain_realm":
		domain := strings.ToLower(name)
		if _, ok := c.DomainRealm[domain]; !ok {
			c.DomainRealm[domain] = value
		}
	}
}

func (r *confReader) libdefault(name, value string) {
	if r.set[name] {
		return
	}
	r.set[name] = true
	c := r.conf
	switch name {
	case "default_realm":
		c.DefaultRealm = value
	case "dns_lookup_kdc":
		c.DNSLookupKDC = confBool(value)
	case "ticket_lifetime":
		c.TicketLifetime = confDuration(value)
	case "renew_lifetime":
		c.RenewLifetime = confDuration(value)
	case "default_ccache_name":
		c.CCacheName = value
	}
}

func confBool(s string) bool {
	switch strings.ToLower(s) {
	case "y", "yes", "true", "t", "1", "on":
		return true
	}
	return false
}

// confDuration reads "36000", "10h", "7d", "1d12h30m", "10:30" and "10:30:00".
// What it cannot read is zero: the default.
func confDuration(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil {
		return max(0, time.Duration(n)) * time.Second
	}
	if parts := strings.Split(s, ":"); len(parts) == 2 || len(parts) == 3 {
		var total time.Duration
		for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second}[:len(parts)] {
			n, err := strconv.Atoi(parts[i])
			if err != nil || n < 0 {
				return 0
			}
			total += time.Duration(n) * unit
		}
		return total
	}
	days, rest, ok := strings.Cut(s, "d")
	if !ok {
		days, rest = "0", s
	}
	n, err := strconv.Atoi(strings.TrimSpace(days))
	rest = strings.ReplaceAll(rest, " ", "")
	if err != nil || n < 0 {
		return 0
	}
	if rest == "" {
		return time.Duration(n) * 24 * time.Hour
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return 0
	}
	return time.Duration(n)*24*time.Hour + d
}

// RealmOf finds the realm of a host by the domain_realm section, "" if it says
// nothing. See krb5.conf(5).
func (c *Conf) RealmOf(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if realm, ok := c.DomainRealm[host]; ok {
		return realm
	}
	for at := 0; ; {
		dot := strings.IndexByte(host[at:], '.')
		if dot < 0 {
			return ""
		}
		at += dot
		if realm, ok := c.DomainRealm[host[at:]]; ok {
			return realm
		}
		at++
		// MIT also takes a parent domain written without its dot.
		if realm, ok := c.DomainRealm[host[at:]]; ok {
			return realm
		}
	}
}
