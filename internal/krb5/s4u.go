package krb5

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/types"
)

// paForUserValue is PA-FOR-USER. See [MS-SFU] section 2.2.1.
type paForUserValue struct {
	User    types.PrincipalName `asn1:"explicit,tag:0"`
	Realm   string              `asn1:"generalstring,explicit,tag:1"`
	Cksum   types.Checksum      `asn1:"explicit,tag:2"`
	Package string              `asn1:"generalstring,explicit,tag:3"`
}

// s4uUserID and paS4UX509UserValue: [MS-SFU] section 2.2.2.
type s4uUserID struct {
	Nonce   int64               `asn1:"explicit,tag:0"`
	CName   types.PrincipalName `asn1:"explicit,optional,tag:1"`
	CRealm  string              `asn1:"generalstring,explicit,tag:2"`
	Cert    []byte              `asn1:"explicit,optional,omitempty,tag:3"`
	Options asn1.BitString      `asn1:"explicit,optional,tag:4"`
}

type paS4UX509UserValue struct {
	UserID asn1.RawValue  `asn1:"explicit,tag:0"`
	Cksum  types.Checksum `asn1:"explicit,tag:1"`
}

// s4uReplyKeyUsage asks for the reply's checksum under a usage of its own, as
// every Windows client does.
const s4uReplyKeyUsage uint32 = 0x20000000

// paForUserBytes is S4UByteArray, what the checksum of PA-FOR-USER covers.
func paForUserBytes(user Principal) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(user.Type))
	for _, p := range user.Parts {
		b = append(b, p...)
	}
	b = append(b, user.Realm...)
	return append(b, "Kerberos"...)
}

func paForUserData(user Principal, key Key) (types.PAData, error) {
	value, err := asn1.Marshal(paForUserValue{
		User: user.wire(), Realm: user.Realm, Package: "Kerberos",
		Cksum: types.Checksum{
			CksumType: cksumHMACMD5, Checksum: hmacMD5Checksum(key.Value, usageForUser, paForUserBytes(user)),
		},
	})
	return types.PAData{PADataType: paForUser, PADataValue: value}, err
}

// s4uChecksum is the checksum of PA-S4U-X509-USER: the one of the key's type,
// or the unkeyed rsa-md4 with an RC4 key.
func s4uChecksum(key Key, usage uint32, userID []byte) (types.Checksum, error) {
	if key.EType == RC4 {
		return types.Checksum{CksumType: cksumRSAMD4, Checksum: md4Sum(userID)}, nil
	}
	sumType, sum, err := checksum(key, usage, userID)
	return types.Checksum{CksumType: sumType, Checksum: sum}, err
}

func paS4UData(user Principal, key Key, nonce int64) (types.PAData, error) {
	id, err := asn1.Marshal(s4uUserID{Nonce: nonce, CName: user.wire(), CRealm: user.Realm, Options: bits(s4uReplyKeyUsage)})
	if err != nil {
		return types.PAData{}, err
	}
	sum, err := s4uChecksum(key, usageS4UX509UserReq, id)
	if err != nil {
		return types.PAData{}, err
	}
	value, err := asn1.Marshal(paS4UX509UserValue{UserID: contextTag(0, id), Cksum: sum})
	return types.PAData{PADataType: paS4UX509User, PADataValue: value}, err
}

// pacOptionsRBCD is PA-PAC-OPTIONS with the resource-based constrained
// delegation bit. See [MS-SFU] section 2.2.5.
func pacOptionsRBCD() (types.PAData, error) {
	value, err := asn1.Marshal(struct {
		Flags asn1.BitString `asn1:"explicit,tag:0"`
	}{bits(1 << (31 - 3))})
	return types.PAData{PADataType: paPACOptions, PADataValue: value}, err
}

// A DelegationError is an S4U request that did not give what was asked for.
type DelegationError struct {
	User   string
	Server string // empty for S4U2Self
	Err    error
}

func (e *DelegationError) Error() string {
	if e.Server == "" {
		return fmt.Sprintf("krb5: acting as %s: %v", e.User, e.Err)
	}
	return fmt.Sprintf("krb5: acting as %s towards %s: %v", e.User, e.Server, e.Err)
}

func (e *DelegationError) Unwrap() error { return e.Err }

// ErrS4UIgnored is a KDC that does not know S4U2Self: it gave a ticket of the
// service for itself.
var ErrS4UIgnored = errors.New("krb5: the KDC does not support S4U2Self")

// ForUser gets a ticket of the user to this client's own service without the
// user's help: S4U2Self, [MS-SFU] section 3.1.5.1.1. It is the evidence for
// Proxy. A user of type NT-ENTERPRISE, or without a realm, is looked up first.
func (c *Client) ForUser(ctx context.Context, user Principal) (*Ticket, error) {
	t, err := c.shared(ctx, "self "+ticketID(user), func(ctx context.Context, _ *Ticket) (*Ticket, error) {
		var t *Ticket
		err := c.withTGT(ctx, func(tgt *Ticket) error {
			var err error
			t, err = c.s4u2self(ctx, tgt, user)
			return err
		})
		return t, err
	})
	if err != nil {
		return nil, &DelegationError{User: user.String(), Err: err}
	}
	return t, nil
}

func (c *Client) s4u2self(ctx context.Context, tgt *Ticket, user Principal) (*Ticket, error) {
	home := tgt.Server.Parts[1]
	if user.Realm == "" || user.Type == NTEnterprise {
		realm, err := c.realmOfUser(ctx, user, home)
		if err != nil {
			return nil, err
		}
		user.Realm = realm
	}
	start, err := c.realmTGT(ctx, tgt, user.Realm)
	if err != nil {
		return nil, err
	}
	// The modern padata alone first: the older one is protected by HMAC-MD5 only.
	// A KDC that does not know it (Samba) leaves it aside, and gives a ticket of
	// ourselves.
	t, err := c.s4u2selfWalk(ctx, tgt.Client, start, home, user, tgt.Key.EType == RC4)
	if errors.Is(err, ErrS4UIgnored) && tgt.Key.EType != RC4 {
		t, err = c.s4u2selfWalk(ctx, tgt.Client, start, home, user, true)
	}
	return t, err
}

// s4u2selfWalk asks the KDC of the user's realm, and follows its referrals to
// the service's own realm, whose KDC issues the ticket.
func (c *Client) s4u2selfWalk(ctx context.Context, self Principal, tgt *Ticket, home string, user Principal, old bool) (*Ticket, error) {
	visited := []string{}
	for {
		realm := tgt.Server.Parts[1]
		if slices.Contains(visited, realm) || len(visited) > maxReferrals {
			return nil, &ReplyError{Realm: realm, Err: errors.New("referrals go in a circle")}
		}
		visited = append(visited, realm)
		server := self
		if realm != home {
			server = Enterprise(self.Name()+"@"+self.Realm, "")
		}
		t, err := c.s4u2selfOnce(ctx, tgt, server, user, old)
		if err != nil || !t.Server.isTGS() {
			return t, err
		}
		tgt = t
	}
}

func (c *Client) s4u2selfOnce(ctx context.Context, tgt *Ticket, server, user Principal, old bool) (*Ticket, error) {
	ignored := false
	t, err := c.tgs(ctx, tgt, tgsRequest{
		server: server, options: FlagForwardable | optCanonicalize, op: "ticket of " + user.String() + " to ourselves",
		padata: func(nonce int64) ([]types.PAData, error) {
			modern, err := paS4UData(user, tgt.Key, nonce)
			if err != nil || !old {
				return []types.PAData{modern}, err
			}
			older, err := paForUserData(user, tgt.Key)
			return []types.PAData{modern, older}, err
		},
		client: func(got Principal, referral bool) bool {
			if referral {
				// The ticket to the next realm is still the service's; the user
				// is in its authorization data.
				return got.Equal(tgt.Client)
			}
			ignored = got.Equal(tgt.Client)
			return !ignored && got.Realm == user.Realm || got.isSameUser(user)
		},
		check: func(rep kdcRep, part *encKDCRepPart) error {
			if tgt.Key.EType == RC4 {
				return nil // the ticket's name was checked; the checksum is unkeyed
			}
			return checkS4UReply(rep, tgt.Key, part.Nonce, old)
		},
	})
	if ignored {
		return nil, ErrS4UIgnored
	}
	return t, err
}

// isSameUser compares a canonical name with the one that was asked for.
func (p Principal) isSameUser(user Principal) bool {
	return p.Realm == user.Realm && strings.EqualFold(p.Name(), user.Name())
}

// checkS4UReply verifies PA-S4U-X509-USER in the reply, which must be there
// unless the older padata went along.
func checkS4UReply(rep kdcRep, key Key, nonce int64, mayLack bool) error {
	i := slices.IndexFunc(rep.PAData, func(p types.PAData) bool { return p.PADataType == paS4UX509User })
	if i < 0 {
		if mayLack {
			return nil
		}
		return ErrS4UIgnored
	}
	var v paS4UX509UserValue
	if err := unmarshalAll(rep.PAData[i].PADataValue, &v, "PA-S4U-X509-USER"); err != nil {
		return err
	}
	var id s4uUserID
	if err := unmarshalAll(v.UserID.Bytes, &id, "S4UUserID"); err != nil {
		return err
	}
	if id.Nonce != nonce {
		return errNonce
	}
	usage := uint32(usageS4UX509UserReq)
	if flags(id.Options)&s4uReplyKeyUsage != 0 {
		usage = usageS4UX509UserReqRep
	}
	return verifyChecksum(key, usage, v.UserID.Bytes, v.Cksum.CksumType, v.Cksum.Checksum)
}

// realmOfUser asks the KDC where an account lives, by an AS-REQ without
// pre-authentication, which counts as nothing. See [MS-SFU] section 3.1.5.1.1.1.
func (c *Client) realmOfUser(ctx context.Context, user Principal, home string) (string, error) {
	user.Realm = home
	l := &logon{c: c, principal: user}
	req, _, err := l.request(c.cfg.ETypes)
	if err != nil {
		return "", err
	}
	reply, kdc, err := c.cfg.Network.exchange(ctx, home, req, false)
	if err != nil {
		return "", err
	}
	if appTag(reply) != tagKRBError {
		return home, nil
	}
	e, err := l.failure(reply, kdc)
	if err != nil {
		return "", err
	}
	switch {
	case e.Code == ErrWrongRealm && e.crealm != "":
		return e.crealm, nil
	case e.Code == ErrClientUnknown:
		return "", e
	}
	return home, nil
}

// Proxy gets a ticket of the evidence's user to another service: S4U2Proxy,
// [MS-SFU] section 3.1.5.2.1. The evidence is a ticket of the user to this
// client's service: from ForUser, or the one that the user came with.
func (c *Client) Proxy(ctx context.Context, evidence *Ticket, server Principal) (*Ticket, error) {
	id := "proxy " + ticketID(evidence.Client) + " " + ticketID(server)
	t, err := c.shared(ctx, id, func(ctx context.Context, _ *Ticket) (*Ticket, error) {
		var t *Ticket
		err := c.withTGT(ctx, func(tgt *Ticket) error {
			var err error
			t, err = c.tgs(ctx, tgt, tgsRequest{
				server: server, options: FlagForwardable | optCanonicalize | optCNameInAddlTkt,
				tickets: [][]byte{evidence.Raw},
				op:      "ticket of " + evidence.Client.String() + " for " + server.Name(),
				padata: func(int64) ([]types.PAData, error) {
					options, err := pacOptionsRBCD()
					return []types.PAData{options}, err
				},
				client: func(got Principal, _ bool) bool { return got.Equal(evidence.Client) },
			})
			return err
		})
		if err == nil && t.Server.isTGS() {
			return nil, &ReplyError{Realm: t.Server.Realm, Err: errors.New("delegation to another realm is not supported")}
		}
		return t, err
	})
	if err != nil {
		return nil, &DelegationError{User: evidence.Client.String(), Server: server.Name(), Err: err}
	}
	return t, nil
}
