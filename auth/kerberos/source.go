package kerberos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/krb5"
)

// source is where an account's proof comes from.
type source struct {
	principal krb5.Principal
	secret    krb5.Secret
	tickets   []*krb5.Ticket
	reload    func() ([]*krb5.Ticket, error)
	offset    time.Duration
	logon     *auth.Logon
}

func (c *Config) source(conf *krb5.Conf) (source, error) {
	switch {
	case c.Managed != nil:
		return c.fromManaged()
	case c.Keytab != "":
		return c.fromKeytab(c.Keytab, conf)
	case len(c.CCacheData) > 0:
		return c.fromCCacheData()
	case c.CCache != "":
		return c.fromCCache(c.CCache)
	case c.Credentials.User != "":
		return c.fromCredentials(conf)
	}
	if name := os.Getenv("KRB5CCNAME"); name != "" {
		return c.fromCCache(name)
	}
	if conf.CCacheName != "" {
		return c.fromCCache(expand(conf.CCacheName))
	}
	// MIT's default, whatever $TMPDIR says.
	return c.fromCCache(filepath.Join(string(filepath.Separator), "tmp", "krb5cc_"+strconv.Itoa(os.Getuid())))
}

// expand replaces the parameters of krb5.conf(5) that occur in cache names.
func expand(s string) string {
	uid := strconv.Itoa(os.Getuid())
	return strings.NewReplacer("%{uid}", uid, "%{euid}", strconv.Itoa(os.Geteuid()), "%{USERID}", uid,
		"%{TEMP}", os.TempDir(), "%{null}", "").Replace(s)
}

var (
	errLocal  = errors.New("a host's own account (domain \".\") has no Kerberos; use NTLM")
	errSecret = errors.New("a user without a password: for tickets of kinit name CCache, or leave the user empty; for keys name Keytab")
	errRealm  = errors.New("no realm: set Realm, write user@realm, or set default_realm in krb5.conf")
)

func (c *Config) fromCredentials(conf *krb5.Conf) (source, error) {
	p, err := c.principal(conf)
	if err != nil {
		return source{}, err
	}
	s := source{principal: p, logon: c.Credentials.Logon()}
	cred := &c.Credentials
	switch {
	case cred.PasswordFunc == nil && cred.Password == "" && len(cred.NTHash) > 0:
		if !c.AllowRC4 {
			return source{}, errors.New("an NT hash is an RC4 key; it needs AllowRC4")
		}
		s.secret = krb5.KeySecret{{EType: krb5.RC4, Value: slices.Clone(cred.NTHash)}}
	case cred.PasswordFunc == nil && cred.Password == "":
		return source{}, errSecret
	default:
		s.secret = krb5.Password(cred.Secret)
	}
	return s, nil
}

// principal makes the Kerberos name of the Credentials.
func (c *Config) principal(conf *krb5.Conf) (krb5.Principal, error) {
	domain, user := c.Credentials.Account()
	if domain == "." {
		return krb5.Principal{}, errLocal
	}
	if domain == "" {
		if at := strings.LastIndexByte(user, '@'); at > 0 {
			return c.upn(conf, user, user[:at], user[at+1:])
		}
	}
	realm := c.Realm
	if realm == "" && strings.Contains(domain, ".") {
		realm = strings.ToUpper(domain)
	}
	if realm == "" {
		realm = conf.DefaultRealm
	}
	if realm == "" {
		realm = strings.ToUpper(domain) // a NetBIOS name, which domain controllers take
	}
	if realm == "" {
		return krb5.Principal{}, errRealm
	}
	return userPrincipal(user, realm)
}

// upn reads user@suffix: an account of the realm where the suffix is one, or a
// name that the realm's KDC has to look up.
func (c *Config) upn(conf *krb5.Conf, whole, user, suffix string) (krb5.Principal, error) {
	if suffix == "" {
		return krb5.Principal{}, krb5.ErrPrincipal
	}
	realm := c.Realm
	if _, known := conf.KDCs[strings.ToUpper(suffix)]; realm == "" && known {
		realm = strings.ToUpper(suffix)
	}
	if realm == "" {
		realm = conf.DefaultRealm
	}
	if realm == "" {
		realm = strings.ToUpper(suffix)
	}
	if strings.EqualFold(realm, suffix) {
		return userPrincipal(user, realm)
	}
	return krb5.Enterprise(whole, realm), nil
}

func userPrincipal(user, realm string) (krb5.Principal, error) {
	p := krb5.Principal{Type: krb5.NTPrincipal, Parts: strings.Split(user, "/"), Realm: realm}
	if slices.Contains(p.Parts, "") {
		return krb5.Principal{}, krb5.ErrPrincipal
	}
	return p, nil
}

func (c *Config) fromKeytab(name string, conf *krb5.Conf) (source, error) {
	path := krb5.KeytabPath(name)
	if err := auth.CheckPrivateFile(path); err != nil {
		return source{}, err
	}
	kt, err := krb5.ReadKeytab(path)
	if err != nil {
		return source{}, err
	}
	p, err := c.keytabPrincipal(path, kt, conf)
	if err != nil {
		kt.Wipe()
		return source{}, err
	}
	return source{principal: p, secret: krb5.KeytabSecret{Keytab: kt}}, nil
}

// keytabPrincipal chooses whose keys are used: the named user's, else the first.
// What the name leaves open, such as the realm, the keytab tells.
func (c *Config) keytabPrincipal(path string, kt *krb5.Keytab, conf *krb5.Conf) (krb5.Principal, error) {
	list := kt.Principals()
	if len(list) == 0 {
		return krb5.Principal{}, fmt.Errorf("keytab %s has no keys", path)
	}
	if c.Credentials.User == "" {
		p := list[0]
		if c.Realm != "" {
			p.Realm = c.Realm
		}
		return p, nil
	}
	p, err := c.principal(conf)
	if err == nil && slices.ContainsFunc(list, p.Equal) {
		return p, nil
	}
	if i := slices.IndexFunc(list, c.names); i >= 0 {
		return list[i], nil
	}
	if errors.Is(err, errLocal) {
		return krb5.Principal{}, err
	}
	return krb5.Principal{}, &OtherAccountError{Where: "keytab " + path, User: c.Credentials.AccountName(), Holds: names(list)}
}

// names reports whether p is the user of the Credentials, as far as they tell:
// a short domain name says nothing about the realm.
func (c *Config) names(p krb5.Principal) bool {
	domain, user := c.Credentials.Account()
	if domain == "" {
		if strings.EqualFold(p.Name(), user) && (c.Realm == "" || strings.EqualFold(p.Realm, c.Realm)) {
			return true // whole, as a UPN may stand in a cache
		}
		if at := strings.LastIndexByte(user, '@'); at > 0 {
			user, domain = user[:at], user[at+1:]
		}
	}
	realm := c.Realm
	if realm == "" && strings.Contains(domain, ".") {
		realm = domain
	}
	return domain != "." && strings.EqualFold(p.Name(), user) && (realm == "" || strings.EqualFold(p.Realm, realm))
}

func names(list []krb5.Principal) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

func (c *Config) fromCCache(name string) (source, error) {
	cc, err := c.readCCache(name)
	if err != nil {
		return source{}, err
	}
	return source{
		principal: cc.Client, tickets: cc.Tickets, offset: cc.ClockOffset,
		reload: func() ([]*krb5.Ticket, error) {
			cc, err := c.readCCache(name)
			if err != nil {
				return nil, err
			}
			return cc.Tickets, nil
		},
	}, nil
}

// readCCache reads the cache of a name; of a collection, that of the named user
// where one is named. Nobody logs on as somebody else by mistake.
func (c *Config) readCCache(name string) (*krb5.CCache, error) {
	paths, err := krb5.CCachePaths(name)
	if err == nil && c.Credentials.User == "" {
		paths = paths[:1] // the primary one, or none
	}
	other := &OtherAccountError{Where: "credential cache " + name, User: c.Credentials.AccountName()}
	for _, path := range paths {
		cc, failed := readPrivateCCache(path)
		switch {
		case failed != nil:
			err = errors.Join(err, failed)
		case c.Credentials.User == "" || c.names(cc.Client):
			return cc, nil
		default:
			other.Holds = append(other.Holds, cc.Client.String())
			cc.Wipe()
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("credential cache %s: %w; run kinit, or name what else to log on with", name, err)
	case err != nil:
		return nil, fmt.Errorf("credential cache %s: %w", name, err)
	}
	return nil, other
}

func readPrivateCCache(path string) (*krb5.CCache, error) {
	if err := auth.CheckPrivateFile(path); err != nil {
		return nil, err
	}
	return krb5.ReadCCache("FILE:" + path)
}

func (c *Config) fromCCacheData() (source, error) {
	cc, err := krb5.ParseCCache(c.CCacheData)
	if err != nil {
		return source{}, err
	}
	if c.Credentials.User != "" && !c.names(cc.Client) {
		cc.Wipe()
		return source{}, &OtherAccountError{
			Where: "the credential cache", User: c.Credentials.AccountName(), Holds: []string{cc.Client.String()},
		}
	}
	return source{principal: cc.Client, tickets: cc.Tickets, offset: cc.ClockOffset}, nil
}
