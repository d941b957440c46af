package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
)

// Basic logs on with user and password in every request ([RFC 7617], UTF-8).
// Over http, where they could be read, it is refused; see [BasicInsecure].
func Basic(c Credentials) Mechanism { return &basic{cred: c.hidden(), logon: c.Logon()} }

// BasicInsecure is Basic that sends the password in clear over http. The
// messages too then need to be in clear by name: [EncryptNever].
func BasicInsecure(c Credentials) Mechanism {
	return &basic{cred: c.hidden(), logon: c.Logon(), insecure: true}
}

type basic struct {
	cred     func() Credentials
	logon    *Logon
	insecure bool
}

func (b *basic) Name() string   { return "Basic" }
func (b *basic) Scheme() string { return "Basic" }
func (b *basic) Logon() *Logon  { return b.logon }

func (b *basic) NewSession(p Peer) (Session, error) {
	if p.Scheme != "https" && !b.insecure {
		return nil, &ClearTextError{
			Mechanism: b.Name(), Host: hostPort(p), Credentials: true,
			Remedy: "use https, or say BasicInsecure",
		}
	}
	if err := checkBasicName(b.cred().AccountName()); err != nil {
		return nil, err
	}
	return &basicSession{cred: b.cred, header: sync.OnceValue(func() string { return basicHeader(b.cred(), b.cred().Password) })}, nil
}

func basicHeader(c Credentials, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.AccountName()+":"+password))
}

var errBasicName = errors.New("auth: Basic needs a user name, and one without a colon")

// checkBasicName refuses names that would be read as others: what follows a colon
// is taken for the password ([RFC 7617] section 2).
func checkBasicName(name string) error {
	if name == "" || strings.Contains(name, ":") {
		return errBasicName
	}
	return nil
}

type basicSession struct {
	noLegs
	cred   func() Credentials
	header func() string // with the password, if it is known without asking; hidden as cred is
}

func (s *basicSession) Presented() bool { return true }

func (s *basicSession) immediately() bool { return s.cred().PasswordFunc == nil }

func (s *basicSession) Authorization(ctx context.Context) (string, error) {
	if s.immediately() {
		return s.header(), nil
	}
	cred := s.cred()
	password, err := cred.Secret(ctx)
	if err != nil {
		return "", err
	}
	return basicHeader(cred, password), nil
}

func (s *basicSession) Explain(int, bool) []Cause {
	return []Cause{
		{
			ID: "wrong-password", Text: "user name or password is wrong",
			Check:  `log on to the host's console with the account`,
			Remedy: "correct it before the next try: each one counts towards the lock-out of the account",
		},
		{
			ID: "basic-off", Text: "the service does not accept Basic",
			Check:  `winrm get winrm/config/service/auth`,
			Remedy: `Set-Item WSMan:\localhost\Service\Auth\Basic $true`,
		},
		{
			ID: "domain-account", Text: "the account belongs to a domain, Basic takes the host's own accounts only",
			Remedy: "use Negotiate or Kerberos",
		},
	}
}

var (
	_ Accounter         = (*basic)(nil)
	_ RequestAuthorizer = (*basicSession)(nil)
	_ immediate         = (*basicSession)(nil)
	_ Presenter         = (*basicSession)(nil)
	_ Explainer         = (*basicSession)(nil)
)

// noLegs is the part of a Session that a RequestAuthorizer does not use.
type noLegs struct{}

func (noLegs) Step(context.Context, Leg) ([]byte, bool, error) { return nil, true, nil }
func (noLegs) Close() error                                    { return nil }
