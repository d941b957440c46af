package kerberos

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/krb5"
)

// Config tells [New] who logs on and how the realm is reached. The zero value
// uses the credential cache of the machine's kinit.
type Config struct {
	// Credentials name a user with a password, or an NT hash together with
	// AllowRC4. DOMAIN\user, user@realm and user@upn.suffix are understood. With
	// Keytab or CCache, User chooses whose keys or tickets are used; where they
	// are of others only, New returns an [OtherAccountError].
	Credentials auth.Credentials
	// Keytab is a file with the user's or service's keys: FILE:path or a path. An
	// empty name in Credentials means the keytab's first entry.
	Keytab string
	// CCache is a credential cache: FILE:path, DIR:path (of all in it the named
	// user's, or the primary one) or a path. Without any other credentials an
	// empty one means $KRB5CCNAME, then krb5.conf's default_ccache_name, then
	// kinit's own default. It is read again when its tickets have ended.
	CCache string
	// CCacheData is the content of a credential cache, instead of a file.
	CCacheData CacheData
	// Managed logs on as a group managed service account.
	Managed *ManagedAccount

	// Realm is the Kerberos realm, CORP.EXAMPLE. Empty: the upper-case DNS domain
	// of the user, or krb5.conf's default_realm.
	Realm string
	// ConfigFile is a krb5.conf, or several joined as in $PATH. Empty means
	// $KRB5_CONFIG, or /etc/krb5.conf if there is one; "-" means none.
	ConfigFile string
	// KDCs are the addresses of the realm's KDCs: host, host:port, or the https
	// URL of a KDC proxy. They go before krb5.conf and DNS.
	KDCs []string
	// Dial connects to KDCs. nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolver finds KDCs by their SRV records. nil: net.DefaultResolver.
	Resolver Resolver
	// TLS is for KDC proxies. nil: the system's roots.
	TLS *tls.Config
	// KDCTimeout is how long one KDC may take before the next is asked. 0: 10 s.
	KDCTimeout time.Duration

	// SPNs are the service names to ask for, in order, each tried when the KDC
	// does not know the one before. {host} and {port} stand for the listener's,
	// {canonical} for the host's name after DNS aliases. nil: [DefaultSPNs].
	SPNs []string
	// Delegate says whether the server gets a ticket to go on with in the
	// user's name. The zero value is [DelegateNever].
	Delegate Delegation
	// Impersonate is a user, user@REALM or a UPN, in whose name a service logs on
	// by S4U2Self and S4U2Proxy; the credentials are then the service's.
	Impersonate string

	// AllowRC4 allows RC4 keys and tickets beside AES. Windows is giving it up.
	AllowRC4 bool
	// FollowKDCClock uses the KDC's clock where ours is wrong, instead of
	// returning an error that tells by how much.
	FollowKDCClock bool
	// TicketLifetime is what is asked for. 0: krb5.conf's, else 10 h.
	TicketLifetime time.Duration
}

// A Resolver finds SRV records; *net.Resolver is one. If it also has
// *net.Resolver's LookupCNAME, that serves {canonical} in SPNs.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}

// CacheData is the content of a credential cache. It prints as ***.
type CacheData []byte

// String returns ***.
func (CacheData) String() string { return redacted }

// Format writes *** whatever the verb.
func (CacheData) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue returns ***.
func (CacheData) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns ***.
func (CacheData) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const redacted = "***"

// Delegation says when a forwarded ticket goes to the server.
type Delegation int

// The server can use a forwarded ticket for everything that the user may do.
const (
	// DelegateNever sends none.
	DelegateNever Delegation = iota
	// DelegateIfTrusted sends one to servers that the domain trusts for
	// delegation (ok-as-delegate), as Windows clients do.
	DelegateIfTrusted
	// DelegateAlways sends one, and fails where that is not possible.
	DelegateAlways
)

// Mechanism is Kerberos with one account. It is safe for concurrent use.
type Mechanism struct {
	cfg      Config
	client   *krb5.Client
	logon    *auth.Logon
	account  string
	imperson krb5.Principal
	spns     *spnMemory
}

// New reads the configuration, the keytab and the credential cache; it does not
// use the network. The Config is copied and must not be modified afterwards.
// The Mechanism is to be closed.
func New(cfg *Config) (*Mechanism, error) {
	m := &Mechanism{spns: newSPNMemory()}
	if cfg != nil {
		m.cfg = *cfg
	}
	if m.cfg.SPNs == nil {
		m.cfg.SPNs = DefaultSPNs()
	}
	if err := checkSPNs(m.cfg.SPNs); err != nil {
		return nil, err
	}
	conf, err := readConf(m.cfg.ConfigFile)
	if err != nil {
		return nil, fmt.Errorf("kerberos: %w", err)
	}
	if err := m.open(conf); err != nil {
		return nil, fmt.Errorf("kerberos: %w", err)
	}
	m.cfg.CCacheData = nil
	return m, nil
}

// open makes the client of the configured account.
func (m *Mechanism) open(conf *krb5.Conf) error {
	source, err := m.cfg.source(conf)
	if err != nil {
		return err
	}
	cc := krb5.ClientConfig{
		Network: &krb5.Network{
			Conf: conf, Dial: m.cfg.Dial, Resolver: m.cfg.Resolver, TLS: m.cfg.TLS, Timeout: m.cfg.KDCTimeout,
		},
		Principal: source.principal, Secret: source.secret, Tickets: source.tickets, Reload: source.reload,
		ClockOffset: source.offset, FollowKDCClock: m.cfg.FollowKDCClock,
		ETypes: krb5.DefaultETypes(), TicketLifetime: m.cfg.TicketLifetime, RenewLifetime: conf.RenewLifetime,
	}
	if m.cfg.AllowRC4 {
		cc.ETypes = append(cc.ETypes, krb5.RC4)
	}
	if cc.TicketLifetime == 0 {
		cc.TicketLifetime = conf.TicketLifetime
	}
	if len(m.cfg.KDCs) > 0 {
		cc.Network.KDCs = map[string][]string{source.principal.Realm: m.cfg.KDCs}
	}
	if m.cfg.Impersonate != "" {
		if m.imperson, err = impersonated(m.cfg.Impersonate, source.principal.Realm); err != nil {
			return err
		}
	}
	m.logon = source.logon
	if m.logon == nil && source.secret != nil {
		cc.Guard = refuseOnce()
	}
	m.account = source.principal.String()
	m.client, err = krb5.NewClient(cc)
	if err != nil && source.secret != nil {
		source.secret.Wipe()
	}
	return err
}

// impersonated reads the name of a user to act for. A name without a realm, or
// with a UPN suffix, is looked up by the KDC.
func impersonated(name, realm string) (krb5.Principal, error) {
	user, suffix, ok := strings.Cut(name, "@")
	switch {
	case user == "" || ok && suffix == "":
		return krb5.Principal{}, krb5.ErrPrincipal
	case !ok || suffix == realm:
		return krb5.Principal{Type: krb5.NTPrincipal, Parts: []string{user}, Realm: realm}, nil
	case suffix == strings.ToUpper(suffix):
		return krb5.Principal{Type: krb5.NTPrincipal, Parts: []string{user}, Realm: suffix}, nil
	default:
		return krb5.Enterprise(name, ""), nil
	}
}

// refuseOnce keeps a key that was refused from being tried again: it would cost
// a failed logon each time, for as many connections as there are.
func refuseOnce() func(context.Context, func(context.Context) error) error {
	turn := make(chan error, 1)
	turn <- nil
	return func(ctx context.Context, logon func(context.Context) error) error {
		var refused error
		select {
		case refused = <-turn:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if refused != nil {
			turn <- refused
			return fmt.Errorf("not tried again: %w", refused)
		}
		err := logon(ctx)
		if e, ok := errors.AsType[*krb5.Error](err); ok && e.RefusesAccount() {
			refused = err
		}
		turn <- refused
		return err
	}
}

// String names the mechanism and its account, and no secret.
func (m *Mechanism) String() string { return "Kerberos as " + m.account }

// Format writes String whatever the verb.
func (m *Mechanism) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, m.String()) }

// LogValue is String.
func (m *Mechanism) LogValue() slog.Value { return slog.StringValue(m.String()) }

// Account is the principal that logs on.
func (m *Mechanism) Account() string { return m.account }

// Close wipes all keys and tickets. Connections that are established go on;
// new ones fail.
func (m *Mechanism) Close() error { return m.client.Close() }

// readConf reads krb5.conf. That the usual file does not exist is no error.
func readConf(name string) (*krb5.Conf, error) {
	switch {
	case name == "-":
		return krb5.NewConf(), nil
	case name != "":
		return krb5.ReadConf(filepath.SplitList(name)...)
	}
	if env := os.Getenv("KRB5_CONFIG"); env != "" {
		return krb5.ReadConf(filepath.SplitList(env)...)
	}
	conf, err := krb5.ReadConf(systemConf())
	if errors.Is(err, fs.ErrNotExist) {
		return krb5.NewConf(), nil
	}
	return conf, err
}

func systemConf() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "MIT", "Kerberos5", "krb5.ini")
	}
	return "/etc/krb5.conf"
}
