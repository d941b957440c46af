package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// redacted stands wherever a [Credentials] is printed.
const redacted = "***"

// Credentials name an account and the secret that proves it. They print as ***
// in every format.
//
// Two limits are package fmt's: it cannot call the methods of what sits in an
// unexported struct field (keep a function there that returns them), and does not
// for %p and a misplaced %w, which go vet reports.
type Credentials struct {
	// Domain is the account's NetBIOS or DNS domain. When it is empty,
	// DOMAIN\user in User is split; "." means the host's own accounts.
	Domain string
	// User is the account name. user@realm stays whole, with an empty domain.
	User string
	// Password may hold any character.
	Password string
	// NTHash, 16 bytes, stands in for the password. Only NTLM can use it.
	NTHash []byte
	// PasswordFunc, when set, is asked for the password at each logon.
	PasswordFunc func(context.Context) (string, error)
	// Gate remembers refused logons. nil means [DefaultGate].
	Gate *Gate
}

// Account returns the domain and the user name as they go into a logon:
// DOMAIN\user is split, and user@realm stays whole with an empty domain.
func (c Credentials) Account() (domain, user string) {
	domain, user = c.Domain, c.User
	if domain != "" {
		return domain, user
	}
	if d, u, ok := strings.Cut(user, `\`); ok {
		return d, u
	}
	return "", user
}

// AccountName returns the account as people write it: DOMAIN\user, user@realm
// or user. It holds no secret.
func (c Credentials) AccountName() string {
	domain, user := c.Account()
	if domain == "" {
		return user
	}
	return domain + `\` + user
}

// Secret returns the password, asking PasswordFunc when there is one.
func (c Credentials) Secret(ctx context.Context) (string, error) {
	if c.PasswordFunc == nil {
		return c.Password, nil
	}
	password, err := c.PasswordFunc(ctx)
	if err != nil {
		return "", fmt.Errorf("auth: password of %s: %w", c.AccountName(), err)
	}
	return password, nil
}

// Logon returns what the credentials' gate knows about the account. Mechanisms
// hand it on as [Accounter] so that a refused secret is not sent again.
func (c Credentials) Logon() *Logon {
	if c.Gate == nil {
		return DefaultGate.Logon(c)
	}
	return c.Gate.Logon(c)
}

// hidden wraps the credentials for a mechanism to keep: what an unexported field
// holds, package fmt prints when the verb does not suit it, but not through a
// function.
func (c Credentials) hidden() func() Credentials { return func() Credentials { return c } }

// String returns ***.
func (c Credentials) String() string { return redacted }

// GoString returns ***.
func (c Credentials) GoString() string { return redacted }

// Format writes *** whatever the verb.
func (c Credentials) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue returns ***.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns ***.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "***".
func (c Credentials) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// GobEncode refuses: the encoding would hold the secret.
func (c Credentials) GobEncode() ([]byte, error) {
	return nil, errors.New("auth: credentials are not encoded")
}

var (
	_ fmt.Formatter  = Credentials{}
	_ fmt.GoStringer = Credentials{}
	_ slog.LogValuer = Credentials{}
)
