package kerberos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/krb5"
)

// A ManagedAccount is a group managed service account (gMSA): the directory
// makes its password and changes it by itself.
type ManagedAccount struct {
	// Name is the account's name, with or without its '$'.
	Name string
	// Realm is its domain, CORP.EXAMPLE.
	Realm string
	// Password reads msDS-ManagedPassword, over an encrypted connection.
	Password PasswordBlob
}

// A PasswordBlob reads the attribute msDS-ManagedPassword of an account from the
// directory.
type PasswordBlob interface {
	ManagedPassword(ctx context.Context) ([]byte, error)
}

// PasswordBlobFunc is a function that is a [PasswordBlob].
type PasswordBlobFunc func(ctx context.Context) ([]byte, error)

// ManagedPassword calls f.
func (f PasswordBlobFunc) ManagedPassword(ctx context.Context) ([]byte, error) { return f(ctx) }

func (c *Config) fromManaged() (source, error) {
	m := c.Managed
	if m.Name == "" || m.Realm == "" || m.Password == nil {
		return source{}, errors.New("a managed account needs Name, Realm and Password")
	}
	name := strings.TrimSuffix(m.Name, "$") + "$"
	realm := strings.ToUpper(m.Realm)
	return source{
		principal: krb5.Principal{Type: krb5.NTPrincipal, Parts: []string{name}, Realm: realm},
		secret:    &managedSecret{account: *m, name: name, realm: realm, rc4: c.AllowRC4},
	}, nil
}

// managedSecret derives keys from the blob and reads it anew when its time has
// come. Around a change of the password the KDC may know the previous one.
type managedSecret struct {
	account     ManagedAccount
	name, realm string
	rc4         bool

	mu       sync.Mutex
	password *krb5.ManagedPassword
	until    time.Time
}

func (s *managedSecret) ETypes(krb5.Principal) []krb5.EType {
	list := krb5.DefaultETypes()
	if s.rc4 {
		list = append(list, krb5.RC4)
	}
	return list
}

func (s *managedSecret) Keys(ctx context.Context, _ krb5.Principal, e krb5.EType, salt string, params []byte) ([]krb5.Key, error) {
	p, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	defer p.Wipe()
	return p.Keys(e, s.name, s.realm, salt, params)
}

// read returns a copy of the password.
func (s *managedSecret) read(ctx context.Context) (*krb5.ManagedPassword, error) {
	s.mu.Lock()
	if s.password != nil && time.Now().Before(s.until) {
		defer s.mu.Unlock()
		return s.password.Clone(), nil
	}
	s.mu.Unlock()
	blob, err := s.account.Password.ManagedPassword(ctx)
	if err != nil {
		return nil, fmt.Errorf("password of %s: %w", s.name, err)
	}
	p, err := krb5.ParseManagedPassword(blob)
	if err != nil {
		return nil, fmt.Errorf("password of %s: %w", s.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.password != nil {
		s.password.Wipe()
	}
	s.password, s.until = p, time.Now().Add(p.Unchanged)
	return p.Clone(), nil
}

func (s *managedSecret) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.password != nil {
		s.password.Wipe()
	}
	s.password = nil
}

// String keeps the password out of formats.
func (s *managedSecret) String() string   { return "managed password of " + s.name }
func (s *managedSecret) GoString() string { return s.String() }

// A CredentialSpec names the gMSA of a container: the file that Docker takes as
// credentialspec, or the credspec of a Kubernetes GMSACredentialSpec. It holds no
// password. What it has beside these fields is kept.
type CredentialSpec struct {
	CmsPlugins            []string
	DomainJoinConfig      DomainJoinConfig
	ActiveDirectoryConfig ActiveDirectoryConfig

	extra map[string]json.RawMessage
}

// DomainJoinConfig names the domain.
type DomainJoinConfig struct {
	Sid                string `json:"Sid,omitempty"`
	MachineAccountName string // without '$'
	GUID               string `json:"Guid,omitempty"`
	DNSTreeName        string `json:"DnsTreeName,omitempty"`
	DNSName            string `json:"DnsName"`
	NetBiosName        string `json:"NetBiosName,omitempty"`
}

// ActiveDirectoryConfig lists the accounts.
type ActiveDirectoryConfig struct {
	GroupManagedServiceAccounts []GroupManagedServiceAccount
	HostAccountConfig           json.RawMessage `json:"HostAccountConfig,omitempty"`
}

// GroupManagedServiceAccount is an account with its domain, as DNS or NetBIOS
// name.
type GroupManagedServiceAccount struct {
	Name  string
	Scope string
}

// UnmarshalJSON reads the file, or the Kubernetes resource around it.
func (s *CredentialSpec) UnmarshalJSON(b []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	if inner, ok := all["credspec"]; ok {
		return s.UnmarshalJSON(inner)
	}
	type fields CredentialSpec // without this method
	var f fields
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if f.DomainJoinConfig.MachineAccountName == "" || f.DomainJoinConfig.DNSName == "" {
		return errors.New("kerberos: credential spec without MachineAccountName or DnsName")
	}
	*s = CredentialSpec(f)
	s.extra = all
	return nil
}

// MarshalJSON writes the file with everything that UnmarshalJSON met.
func (s CredentialSpec) MarshalJSON() ([]byte, error) {
	type fields CredentialSpec
	b, err := json.Marshal(fields(s))
	if err != nil {
		return nil, err
	}
	var own map[string]json.RawMessage
	if err := json.Unmarshal(b, &own); err != nil {
		return nil, err
	}
	return json.Marshal(mergeObjects(s.extra, own))
}

// mergeObjects lays an object over another, members that are objects likewise.
func mergeObjects(under, over map[string]json.RawMessage) map[string]json.RawMessage {
	out := maps.Clone(over)
	for name, old := range under {
		var a, b map[string]json.RawMessage
		switch {
		case out[name] == nil:
			out[name] = old
		case json.Unmarshal(old, &a) == nil && json.Unmarshal(out[name], &b) == nil && a != nil && b != nil:
			if merged, err := json.Marshal(mergeObjects(a, b)); err == nil {
				out[name] = merged
			}
		}
	}
	return out
}

// Account is the managed account that the spec names; only Password is missing.
func (s *CredentialSpec) Account() ManagedAccount {
	return ManagedAccount{Name: s.DomainJoinConfig.MachineAccountName, Realm: strings.ToUpper(s.DomainJoinConfig.DNSName)}
}
