package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"

	"github.com/winrmkit/winrmkit/wsman"
)

const uriCertMapping = wsman.URIConfig + "/service/certmapping"

// A CertMapping maps client certificates to a local account of the host. The
// WSMan: drive calls them ClientCertificate. See [MS-WSMV] section 2.2.4.4.
type CertMapping struct {
	Issuer  string // SHA-1 thumbprint of the issuing authority
	Subject string // UPN or DNS name of the certificate; * may be its first character
	URI     string // resources for which it counts; * may be its last character
	Source  Source

	CertMappingSettings
}

// CertMappingSettings are what can be changed of a [CertMapping].
type CertMappingSettings struct {
	UserName Value[string]
	Password Value[Secret] // never shown
	Enabled  Value[bool]
}

// A Secret is sent as it is and printed as ***.
type Secret string

// Password is a Value for a change.
func Password(p string) Value[Secret] { return Value[Secret]{V: Secret(p), Known: true} }

const hidden = "***"

// Format prints *** for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// String returns ***.
func (Secret) String() string { return hidden }

// LogValue returns ***.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText returns ***.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// key writes the thumbprint of the issuer as the service wants it; one that is
// none goes as it is, for the host to refuse.
func (m *CertMapping) key() []wsman.Selector {
	issuer, err := thumbprint(m.Issuer)
	if err != nil {
		issuer = m.Issuer
	}
	return []wsman.Selector{{Name: "Issuer", Value: issuer}, {Name: "Subject", Value: m.Subject}, {Name: "URI", Value: m.URI}}
}

func (m *CertMapping) path() string {
	return fmt.Sprintf(`ClientCertificate\%s+%s+%s`, m.Issuer, m.Subject, m.URI)
}

func (m *CertMapping) decode(d *wsman.Decoder) error {
	*m = CertMapping{Source: sourceOf(d)}
	return decodeEntry(d, "ClientCertificate", &m.CertMappingSettings, func(name, value string) {
		switch name {
		case "Issuer":
			m.Issuer = value
		case "Subject":
			m.Subject = value
		case "URI":
			m.URI = value
		}
	})
}

// CertMappings returns all mappings.
func CertMappings(ctx context.Context, c *wsman.Client) ([]CertMapping, error) {
	return enumerate(ctx, c, uriCertMapping, (*CertMapping).decode)
}

// CreateCertMapping makes a mapping and reads it back. The host tries the
// account's password.
func CreateCertMapping(ctx context.Context, c *wsman.Client, m CertMapping) error {
	r := wsman.Resource{URI: uriCertMapping, Selectors: m.key()}
	if _, err := c.Create(ctx, r, entryBody("CertMapping", uriCertMapping+".xsd", m.values())); err != nil {
		return err
	}
	return m.readBack(ctx, c, r)
}

// readBack compares what the host shows now with what it was given, but for the
// password, which it shows nobody.
func (m *CertMapping) readBack(ctx context.Context, c *wsman.Client, r wsman.Resource) error {
	var now CertMapping
	if err := c.Get(ctx, r, now.decode); err != nil {
		return err
	}
	changes := changesOf(reflect.ValueOf(CertMappingSettings{UserName: m.UserName, Enabled: m.Enabled}), "")
	return applied(m.path(), &now.CertMappingSettings, changes)
}

// values are the changes, the password in clear.
func (s CertMappingSettings) values() []change {
	list := changesOf(reflect.ValueOf(s), "")
	for i := range list {
		if list[i].rel == "Password" {
			list[i].value = string(s.Password.V)
		}
	}
	return list
}

// SetCertMapping changes the account or the state of the mapping with the keys
// of m.
func SetCertMapping(ctx context.Context, c *wsman.Client, m CertMapping) error {
	r := wsman.Resource{URI: uriCertMapping, Selectors: m.key()}
	if m.Source == Policy {
		return &PolicyError{Item: m.path(), Want: "something else"}
	}
	if err := c.Put(ctx, r, entryBody("CertMapping", uriCertMapping, m.values()), nil); err != nil {
		if errors.Is(err, wsman.ErrSetByPolicy) {
			return &PolicyError{Item: m.path(), Want: "something else", Err: err}
		}
		return err
	}
	return m.readBack(ctx, c, r)
}

// DeleteCertMapping removes the mapping with the keys of m.
func DeleteCertMapping(ctx context.Context, c *wsman.Client, m CertMapping) error {
	err := c.Delete(ctx, wsman.Resource{URI: uriCertMapping, Selectors: m.key()})
	return entryPolicy(err, m.path(), nil)
}
