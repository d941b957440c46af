package winrmtest

import (
	"fmt"
	"strings"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/krb5"
)

// Kerberos accepts tickets that were made for the services of a keytab, whose
// content is given: those of a real KDC, or of a [Realm]. The scheme word is
// Kerberos.
func Kerberos(keytab []byte) (Mechanism, error) {
	accept, err := kerberosAcceptor(keytab)
	if err != nil {
		return Mechanism{}, err
	}
	return Mechanism{accept: accept, setting: "Service/Auth/Kerberos", seals: true}, nil
}

// NegotiateKerberos accepts Kerberos as Kerberos does, but through SPNEGO under
// the scheme word Negotiate, and NTLM beside it.
func NegotiateKerberos(keytab []byte) (Mechanism, error) {
	accept, err := kerberosAcceptor(keytab)
	if err != nil {
		return Mechanism{}, err
	}
	return Mechanism{
		accept:  authserver.Negotiate{Mechs: []authserver.SPNEGOMechanism{accept, authserver.NTLM{}}},
		setting: "Service/Auth/Negotiate", seals: true,
	}, nil
}

func kerberosAcceptor(keytab []byte) (authserver.Kerberos, error) {
	keys, err := krb5.ParseKeytab(keytab)
	if err != nil {
		return authserver.Kerberos{}, fmt.Errorf("winrmtest: %w", err)
	}
	return authserver.Kerberos{Keys: keys, Replay: &krb5.ReplayCache{}, AllowRC4: true}, nil
}

// A Realm makes Kerberos tickets without a KDC: for tests that need no more than
// a server which accepts them.
type Realm struct {
	name    string
	service krb5.Principal
	key     krb5.Key
}

// realmService is the service that a Realm makes tickets for, whatever the
// server's address is.
const realmService = "server"

// NewRealm makes a realm of this name, EXAMPLE.TEST, with one service. It panics
// where AES keys are not allowed.
func NewRealm(name string) *Realm {
	host := realmService + "." + strings.ToLower(name)
	key, err := krb5.NewKey(krb5.DefaultETypes()[0])
	if err != nil {
		panic(fmt.Sprintf("winrmtest: %v", err))
	}
	return &Realm{name: name, service: krb5.Service("HTTP", host, name), key: key}
}

// SPN is the service's name, such as HTTP/server.example.test.
func (r *Realm) SPN() string { return r.service.Name() }

// Keytab is the content of the service's keytab.
func (r *Realm) Keytab() []byte { return krb5.KeytabFor(r.service, 1, r.key).Marshal() }

// CCache is the content of a credential cache with the user's ticket for the
// service, valid for ten hours.
func (r *Realm) CCache(user string) ([]byte, error) {
	client := krb5.Principal{Type: krb5.NTPrincipal, Parts: []string{user}, Realm: r.name}
	t, err := krb5.Mint{Client: client, Server: r.service, ServiceKey: r.key, KVNO: 1, Flags: krb5.FlagForwardable}.Ticket()
	if err != nil {
		return nil, fmt.Errorf("winrmtest: %w", err)
	}
	cache := krb5.CCache{Client: client, Tickets: []*krb5.Ticket{t}}
	return cache.Marshal(), nil
}

// Client is the mechanism with which the user logs on to a server that accepts
// the realm's tickets. The caller closes it.
func (r *Realm) Client(user string) (*kerberos.Mechanism, error) {
	cache, err := r.CCache(user)
	if err != nil {
		return nil, err
	}
	return kerberos.New(&kerberos.Config{CCacheData: cache, ConfigFile: "-", SPNs: []string{r.SPN()}})
}

// Kerberos accepts the realm's tickets; [Server.Client] logs on with one.
func (r *Realm) Kerberos() Mechanism { return r.mechanism(Kerberos) }

// Negotiate accepts the realm's tickets through SPNEGO, and NTLM beside them.
func (r *Realm) Negotiate() Mechanism {
	m := r.mechanism(NegotiateKerberos)
	bare := m.client
	m.client = func(c auth.Credentials) auth.Mechanism { return auth.Negotiate(bare(c)) }
	return m
}

func (r *Realm) mechanism(accept func([]byte) (Mechanism, error)) Mechanism {
	m, err := accept(r.Keytab())
	if err != nil {
		panic(err.Error())
	}
	m.client = func(c auth.Credentials) auth.Mechanism {
		client, err := r.Client(c.User)
		if err != nil {
			panic(err.Error())
		}
		return client
	}
	return m
}
