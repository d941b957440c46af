package credssp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/credssp"
)

// A Config says whose credentials are delegated, how, and to whom. It is copied
// by New; what it points to must not be modified after.
type Config struct {
	// Credentials are delegated: the host receives domain, user and password as
	// they are given here. A password is needed, a hash is not enough.
	Credentials auth.Credentials

	// Inner logs on to the host, before anything is delegated. It may use other
	// credentials. nil means NTLM inside SPNEGO with Credentials. With Kerberos
	// the host's name is proved too:
	//
	//	Inner: auth.Negotiate(kerb, auth.NTLM(cred))
	Inner auth.Mechanism

	// Allow lists the hosts that may receive the credentials, in the form of the
	// Windows policy AllowFreshCredentials: "wsman/srv1.corp.example",
	// "wsman/*.corp.example", "*"; the service may be left out. A logon to any
	// other host is refused before a byte of it is sent.
	//
	// nil allows the host of each client that is given the mechanism: naming
	// CredSSP in its configuration is the consent. Redirects are never followed,
	// so no other host can come in. An empty list that is not nil, such as a
	// policy's without entries, allows none.
	Allow []string

	// MinVersion is the least version of the protocol that the host must speak.
	// 0 means 5. Hosts not updated since 2018 speak 2 to 4, in which a man in
	// the middle can use the logon for himself (CVE-2018-0886).
	MinVersion int

	// TLS is the base of the inner TLS configuration, nil for the default one.
	// MinVersion, MaxVersion, CipherSuites, CurvePreferences, RootCAs, Time and
	// ServerName matter. At least TLS 1.2 is spoken unless MinVersion says
	// otherwise by name. For hosts from 2008 R2 to 2012 R2 see [LegacySuites].
	TLS *tls.Config
	// VerifyCertificate also verifies the chain and the name of the inner TLS
	// certificate. Most hosts have a self-signed one.
	VerifyCertificate bool
	// Pins are SHA-256 digests, in hex or base64, of the inner certificate or
	// of its public key (SubjectPublicKeyInfo). One must match.
	Pins []string
}

// LegacySuites returns, for Config.TLS.CipherSuites, the cipher suites that
// Windows Server 2008 R2 to 2012 R2 with TLS 1.2 may share with us: Go's own,
// and after them AES with RSA key exchange, which has no forward secrecy, and
// CBC with SHA-256.
func LegacySuites() []uint16 {
	var suites []uint16
	for _, s := range tls.CipherSuites() {
		if slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			suites = append(suites, s.ID)
		}
	}
	return append(suites,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	)
}

// A Mechanism is CredSSP as an [auth.Mechanism].
type Mechanism struct {
	cfg   *Config // a pointer, so that printing the mechanism shows no secret
	inner auth.Mechanism
	allow []pattern
	pins  []digest
	err   error // what is wrong with the configuration
}

var (
	_ auth.Mechanism = (*Mechanism)(nil)
	_ auth.Asker     = (*Mechanism)(nil)
	_ auth.Accounter = (*Mechanism)(nil)
)

// New makes the mechanism. It does no I/O; what is wrong with the configuration
// is told at the first logon, before anything is sent.
func New(cfg Config) *Mechanism {
	m := &Mechanism{cfg: &cfg, inner: cfg.Inner}
	if m.inner == nil {
		m.inner = auth.Negotiate(auth.NTLM(cfg.Credentials))
	}
	m.err = m.validate()
	return m
}

func (m *Mechanism) validate() (err error) {
	if m.allow, err = parsePatterns(m.cfg.Allow); err != nil {
		return err
	}
	if m.pins, err = parsePins(m.cfg.Pins); err != nil {
		return err
	}
	if v := m.cfg.MinVersion; v != 0 && (v < credssp.MinVersion || v > credssp.MaxVersion) {
		return fmt.Errorf("credssp: MinVersion %d is not between %d and %d", v, credssp.MinVersion, credssp.MaxVersion)
	}
	c := m.cfg.Credentials
	if _, user := c.Account(); user == "" {
		return errors.New("credssp: no user to delegate")
	}
	if c.Password == "" && c.PasswordFunc == nil && len(c.NTHash) > 0 {
		return errors.New("credssp: the host needs the password itself, an NT hash cannot be delegated")
	}
	return nil
}

// Name returns "CredSSP".
func (m *Mechanism) Name() string { return "CredSSP" }

// Scheme returns "CredSSP".
func (m *Mechanism) Scheme() string { return "CredSSP" }

// AskFirst returns true: the host must have offered CredSSP before the first
// token ([MS-WSMV] section 3.1.4.1.28).
func (m *Mechanism) AskFirst() bool { return true }

// Logon returns the account whose password is delegated. Where another one logs
// on, its refusals are remembered here too, so that neither is tried in vain on
// one host after the other.
func (m *Mechanism) Logon() *auth.Logon { return m.cfg.Credentials.Logon() }

// innerAccount names the account that logs on, "" when it is the delegated one
// or the inner mechanism does not say.
func (m *Mechanism) innerAccount() string {
	a, ok := m.inner.(auth.Accounter)
	if !ok || a.Logon() == nil || a.Logon().Name() == m.cfg.Credentials.AccountName() {
		return ""
	}
	return a.Logon().Name()
}
