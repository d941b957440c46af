// Package delegation reads and sets, in the directory, which computers may act
// for their users on other services: the ways to a second hop that leave no
// password on the first host. It works on many accounts at once:
//
//	admin, err := kerberos.New(&kerberos.Config{...})
//	dir := delegation.New(delegation.Config{Domain: "corp.example", Kerberos: admin})
//	results, err := dir.Apply(ctx, []delegation.Change{
//		// Resource-based: the file server says who may act on it.
//		{Account: "files1", Actors: delegation.Add("web1", "web2")},
//		// Constrained: the web server's account says where it may act.
//		{Account: "web3", Services: delegation.Set("cifs/files2.corp.example")},
//	}, nil)
//
// The front host's KDC remembers refusals; purge its tickets afterwards, with
// PurgeTickets of the client in package winrm.
//
// See [MS-SFU] section 3.2.5.2 for what the KDC makes of the attributes, [MS-ADTS] section 2.2.16 for the bits of userAccountControl, and
// [MS-ADA2] for msDS-AllowedToDelegateTo and
// msDS-AllowedToActOnBehalfOfOtherIdentity.
package delegation

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/internal/directory"
)

// The attributes.
const (
	attrName     = "sAMAccountName"
	attrSID      = "objectSid"
	attrControl  = "userAccountControl"
	attrServices = "msDS-AllowedToDelegateTo"
	attrActors   = "msDS-AllowedToActOnBehalfOfOtherIdentity"
)

// Bits of userAccountControl. See [MS-ADTS] section 2.2.16.
const (
	bitUnconstrained = 0x00080000 // TRUSTED_FOR_DELEGATION
	bitTransition    = 0x01000000 // TRUSTED_TO_AUTH_FOR_DELEGATION
)

// batch is how many accounts one search asks for.
const batch = 50

// Config tells how the directory is reached, and who asks. Reading needs no
// rights. Actors are set by whoever may write to the computer's account; Services
// and ProtocolTransition also need the privilege SeEnableDelegationPrivilege on
// the domain controllers, which domain administrators have.
type Config struct {
	// Domain is the DNS name of the domain that the accounts are in.
	Domain string
	// Server is a domain controller, host or host:port. Empty: found by DNS.
	Server string
	// Kerberos logs on to the directory with LDAP sealed.
	Kerberos *kerberos.Mechanism
	// Credentials log on by a simple bind over LDAPS, where Kerberos is nil.
	Credentials auth.Credentials
	// TLS is for LDAPS. nil: the system's roots.
	TLS *tls.Config
	// Dial connects to the server. nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolver finds domain controllers. nil: net.DefaultResolver.
	Resolver kerberos.Resolver
}

// A Directory reads and sets the delegation of accounts. Each call makes a
// connection of its own; it is safe for concurrent use.
type Directory struct{ cfg Config }

// New makes a Directory; it does no I/O.
func New(cfg Config) *Directory { return &Directory{cfg} }

// A Delegation is what the directory says of one account.
type Delegation struct {
	Account string // sAMAccountName, with the '$' of a computer
	DN      string
	SID     string
	// Services are the names of services that the account may act on for users:
	// constrained delegation. A name grants the whole account that it belongs to,
	// because the class in front can be exchanged in a ticket.
	Services []string
	// ProtocolTransition lets the account do so for users who did not log on to it
	// with Kerberos.
	ProtocolTransition bool
	// Unconstrained is trust for delegation to any service: users' tickets are
	// sent to the host. This package only reports it.
	Unconstrained bool
	// Actors are the accounts that may act on this one for users: resource-based
	// delegation.
	Actors []Actor
	// OtherEntries counts entries of the list of actors that are no plain grants,
	// such as denials. Add and Remove keep them, Set drops them.
	OtherEntries int
	// Malformed is a list of actors that cannot be read. Only Set changes it.
	Malformed error

	sid     sid
	control uint32
	list    []byte // as the directory holds it
}

// An Actor may act on an account for users.
type Actor struct {
	SID     string
	Account string // empty where the domain has none with the SID
}

// Warnings are what an administrator should know of the account.
func (d *Delegation) Warnings() []string {
	var w []string
	if d.Unconstrained {
		w = append(w, d.Account+" is trusted for delegation to any service: whoever controls the host gets the tickets of its users; prefer resource-based delegation and clear TRUSTED_FOR_DELEGATION")
	}
	if d.ProtocolTransition && len(d.Services) > 0 {
		w = append(w, d.Account+" may act for any user on "+strings.Join(d.Services, ", ")+" without the user having logged on")
	}
	for _, a := range d.Actors {
		if a.Account == "" {
			w = append(w, fmt.Sprintf("%s lets %s act, which is no account of the domain", d.Account, a.SID))
		}
	}
	if d.OtherEntries > 0 {
		w = append(w, fmt.Sprintf("the list of actors of %s has %d entries that are no plain grants", d.Account, d.OtherEntries))
	}
	if d.Malformed != nil {
		w = append(w, fmt.Sprintf("the list of actors of %s: %v", d.Account, d.Malformed))
	}
	return w
}

// Read reads computer accounts, by name with or without the '$'. The results are
// in the order asked for, an account that is not read has its Err; the error
// joins these, or tells why there are no results.
func (d *Directory) Read(ctx context.Context, accounts ...string) ([]Result, error) {
	changes := make([]Change, len(accounts))
	for i, a := range accounts {
		changes[i].Account = a
	}
	return d.Apply(ctx, changes, nil)
}

// All reads every account of the domain that has any delegation.
func (d *Directory) All(ctx context.Context) ([]*Delegation, error) {
	var all []*Delegation
	err := d.session(ctx, func(s *session) error {
		// The matching rule is a bitwise AND. See [MS-ADTS] section 3.1.1.3.4.4.1.
		bit := func(b int) string { return attrControl + ":1.2.840.113556.1.4.803:=" + strconv.Itoa(b) }
		filter := fmt.Sprintf("(|(%s=*)(%s=*)(%s)(%s))", attrServices, attrActors, bit(bitUnconstrained), bit(bitTransition))
		var err error
		if all, err = s.find(filter); err != nil {
			return err
		}
		return s.nameActors(all)
	})
	return all, err
}

// session is one connection, and the accounts that were seen by it.
type session struct {
	conn  *directory.Conn
	names map[sid]string
}

func (d *Directory) session(ctx context.Context, do func(*session) error) error {
	conn, err := directory.Connect(ctx, directory.Config{
		Domain: d.cfg.Domain, Server: d.cfg.Server, Kerberos: d.cfg.Kerberos, Credentials: d.cfg.Credentials,
		TLS: d.cfg.TLS, Dial: d.cfg.Dial, Resolver: d.cfg.Resolver,
	})
	if err == nil {
		defer conn.Close()
		err = do(&session{conn: conn, names: map[sid]string{}})
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("delegation: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("delegation: %w", err)
	}
	return nil
}

// find reads accounts; the actors have no names yet.
func (s *session) find(filter string) ([]*Delegation, error) {
	entries, err := s.conn.Search(filter, attrName, attrSID, attrControl, attrServices, attrActors)
	if err != nil {
		return nil, err
	}
	found := make([]*Delegation, 0, len(entries))
	for _, e := range entries {
		d, err := decode(e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.DN, err)
		}
		s.names[d.sid] = d.Account
		found = append(found, d)
	}
	return found, nil
}

func decode(e directory.Entry) (*Delegation, error) {
	d := &Delegation{Account: string(e.Value(attrName)), DN: e.DN, list: e.Value(attrActors)}
	var err error
	if d.sid, _, err = cutSID(e.Value(attrSID)); err != nil {
		return nil, err
	}
	d.SID = d.sid.String()
	if text := string(e.Value(attrControl)); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", attrControl, err)
		}
		d.control = uint32(n) //nolint:gosec // the attribute is signed, the bits are not
	}
	d.Unconstrained = d.control&bitUnconstrained != 0
	d.ProtocolTransition = d.control&bitTransition != 0
	for _, v := range e.Values(attrServices) {
		d.Services = append(d.Services, string(v))
	}
	slices.Sort(d.Services)
	if len(d.list) > 0 {
		var list *descriptor
		list, d.Malformed = parseDescriptor(d.list)
		var sids []sid
		sids, d.OtherEntries = list.actors()
		for _, s := range sids {
			d.Actors = append(d.Actors, Actor{SID: s.String()})
		}
	}
	return d, nil
}

// nameActors looks up the names of actors.
func (s *session) nameActors(accounts []*Delegation) error {
	var unknown []sid
	each := func(do func(a *Actor, id sid)) {
		for _, d := range accounts {
			for i := range d.Actors {
				id, _ := parseSID(d.Actors[i].SID)
				do(&d.Actors[i], id)
			}
		}
	}
	each(func(_ *Actor, id sid) {
		if _, ok := s.names[id]; !ok && !slices.Contains(unknown, id) {
			unknown = append(unknown, id)
		}
	})
	for part := range slices.Chunk(unknown, batch) {
		var filter strings.Builder
		for _, id := range part {
			filter.WriteString("(" + attrSID + "=" + id.String() + ")")
		}
		entries, err := s.conn.Search("(|"+filter.String()+")", attrName, attrSID)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if id, _, err := cutSID(e.Value(attrSID)); err == nil {
				s.names[id] = string(e.Value(attrName))
			}
		}
	}
	each(func(a *Actor, id sid) { a.Account = s.names[id] })
	return nil
}
