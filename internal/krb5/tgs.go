package krb5

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/types"
)

// tgsRequest is one TGS exchange. See RFC 4120 section 3.3.
type tgsRequest struct {
	server  Principal // its realm is the TGT's
	options uint32
	tickets [][]byte                                    // additional tickets
	padata  func(nonce int64) ([]types.PAData, error)   // beside the TGT; may be nil
	client  func(got Principal, referral bool) bool     // whose name the reply may have; nil: the TGT's
	check   func(rep kdcRep, part *encKDCRepPart) error // may be nil
	op      string
}

// tgs sends one request to the KDC of the realm that tgt is for.
func (c *Client) tgs(ctx context.Context, tgt *Ticket, r tgsRequest) (*Ticket, error) {
	realm := tgt.Server.Parts[1]
	if r.op == "" {
		r.op = "ticket for " + r.server.Name()
	}
	msg, nonce, err := c.tgsMessage(tgt, realm, r)
	if err != nil {
		return nil, err
	}
	reply, kdc, err := c.cfg.Network.exchange(ctx, realm, msg, false)
	if err != nil {
		return nil, err
	}
	fail := func(err error) error { return &ReplyError{KDC: kdc, Realm: realm, Err: err} }
	if appTag(reply) == tagKRBError {
		e, err := parseError(reply, c.now())
		if err != nil {
			return nil, fail(err)
		}
		e.Op, e.KDC, e.Realm = r.op, kdc, realm
		return nil, e
	}
	var rep kdcRep
	if err := unmarshalApp(reply, &rep, tagTGSRep, "TGS-REP"); err != nil {
		return nil, fail(err)
	}
	plain, err := decryptData(tgt.Key, usageTGSRepSessionKey, rep.EncPart)
	if err != nil {
		return nil, fail(err)
	}
	t, part, err := ticketFromReply(rep, plain, nonce)
	if err != nil {
		return nil, fail(err)
	}
	if err := c.allowed(t); err != nil {
		t.wipe()
		return nil, fail(err)
	}
	named := t.Client.Equal(tgt.Client)
	if r.client != nil {
		named = r.client(t.Client, t.Server.isTGS())
	}
	if !named {
		t.wipe()
		return nil, fail(fmt.Errorf("a ticket of %v", t.Client))
	}
	if r.check != nil {
		if err := r.check(rep, part); err != nil {
			t.wipe()
			return nil, fail(err)
		}
	}
	if tgt.isCrossRealm() {
		// A realm that is merely trusted cannot have our users' tickets forwarded
		// to its servers: each realm on the way has to say that the next one may.
		// See [MS-KILE] section 3.3.5.7.5.
		t.Flags &^= FlagOKAsDelegate &^ tgt.Flags
	}
	return t, nil
}

// tgsMessage encodes a TGS-REQ. The authenticator has no subkey: the reply then
// comes under the session key, and all KDCs agree which key the checksums of
// S4U use.
func (c *Client) tgsMessage(tgt *Ticket, realm string, r tgsRequest) ([]byte, int64, error) {
	nonce := newNonce()
	body := kdcReqBody{
		Options: bits(r.options), Realm: realm, SName: r.server.wire(),
		Till: tgt.EndTime.UTC(), Nonce: nonce, ETypes: wireETypes(c.cfg.ETypes),
	}
	if r.options&FlagRenewable != 0 && !tgt.RenewTill.IsZero() {
		body.RTime = tgt.RenewTill.UTC()
	}
	if len(r.tickets) > 0 {
		body.Tickets = contextTag(11, sequenceOf(r.tickets...))
	}
	encoded, err := asn1.Marshal(body)
	if err != nil {
		return nil, 0, fmt.Errorf("krb5: encode TGS-REQ: %w", err)
	}
	sumType, sum, err := checksum(tgt.Key, usageTGSReqCksum, encoded)
	if err != nil {
		return nil, 0, err
	}
	a := types.Authenticator{
		AVNO: pvno, CRealm: tgt.Client.Realm, CName: tgt.Client.wire(),
		Cksum: types.Checksum{CksumType: sumType, Checksum: sum},
	}
	a.CTime, a.Cusec = timestamp(c.now())
	ap, err := apReqMessage(tgt, a, usageTGSReqAuth, 0)
	if err != nil {
		return nil, 0, err
	}
	pa := []types.PAData{{PADataType: paTGSReq, PADataValue: ap}}
	if r.padata != nil {
		more, err := r.padata(nonce)
		if err != nil {
			return nil, 0, err
		}
		pa = append(pa, more...)
	}
	msg, err := marshalApp(kdcReq{PVNO: pvno, MsgType: tagTGSReq, PAData: pa, Body: contextTag(4, encoded)}, tagTGSReq)
	return msg, nonce, err
}

// serviceTicket asks for a ticket, starting with the client's own realm, or with
// the one that the name or the configuration says.
func (c *Client) serviceTicket(ctx context.Context, tgt *Ticket, server Principal) (*Ticket, error) {
	realm := server.Realm
	if realm == "" && c.cfg.Network.Conf != nil && len(server.Parts) > 1 {
		realm = c.cfg.Network.Conf.RealmOf(server.Parts[1])
	}
	if realm != "" && realm != tgt.Server.Parts[1] {
		cross, err := c.realmTGT(ctx, tgt, realm)
		if err != nil {
			return nil, err
		}
		tgt = cross
	}
	t, _, err := c.follow(ctx, tgt, tgsRequest{
		server: server, options: FlagForwardable | FlagRenewable | optCanonicalize,
	})
	if !errors.Is(err, ErrServerUnknown) || realm != "" || len(server.Parts) < 2 {
		return t, err
	}
	// The KDC refers nowhere. As libkrb5 does, try the realm that the host's
	// domain suggests, if there is a path to it.
	_, domain, ok := strings.Cut(strings.TrimSuffix(server.Parts[1], "."), ".")
	if guess := strings.ToUpper(domain); ok && guess != tgt.Server.Parts[1] {
		if cross, crossErr := c.realmTGT(ctx, tgt, guess); crossErr == nil {
			if t, _, crossErr := c.follow(ctx, cross, tgsRequest{server: server, options: FlagForwardable | FlagRenewable | optCanonicalize}); crossErr == nil {
				return t, nil
			}
		}
	}
	return nil, err
}

// follow asks for a ticket and goes after referrals (RFC 6806 section 8). It
// returns the ticket and the TGT of the realm that gave it.
func (c *Client) follow(ctx context.Context, tgt *Ticket, r tgsRequest) (*Ticket, *Ticket, error) {
	visited := []string{tgt.Server.Parts[1]}
	for range maxReferrals {
		t, err := c.tgs(ctx, tgt, r)
		if err != nil {
			return nil, nil, err
		}
		if !t.Server.isTGS() || r.server.isTGS() && t.Server.Parts[1] == r.server.Parts[1] {
			return t, tgt, nil
		}
		next := t.Server.Parts[1]
		if slices.Contains(visited, next) {
			return nil, nil, &ReplyError{Realm: tgt.Server.Parts[1], Err: fmt.Errorf("referral back to %s", next)}
		}
		visited = append(visited, next)
		tgt = t
	}
	return nil, nil, &ReplyError{Realm: visited[len(visited)-1], Err: errors.New("too many referrals")}
}

// realmTGT gets a ticket-granting ticket of another realm, over others if need
// be, and keeps it.
func (c *Client) realmTGT(ctx context.Context, tgt *Ticket, realm string) (*Ticket, error) {
	if tgt.Server.Parts[1] == realm {
		return tgt, nil
	}
	id := "realm " + tgt.Server.Parts[1] + " " + realm
	return c.shared(ctx, id, func(ctx context.Context, _ *Ticket) (*Ticket, error) {
		t, _, err := c.follow(ctx, tgt, tgsRequest{
			server: tgsName(realm, ""), options: FlagForwardable | FlagRenewable | optCanonicalize,
			op: "ticket-granting ticket of realm " + realm,
		})
		return t, err
	})
}

// renew asks for the same ticket with a later end. See RFC 4120 section 3.3.3.1.
func (c *Client) renew(ctx context.Context, t *Ticket) (*Ticket, error) {
	return c.tgs(ctx, t, tgsRequest{
		server: t.Server, options: optRenew | FlagRenewable | t.Flags&FlagForwardable, op: "renewal",
	})
}

// ErrNotForwardable is a delegation that the user's ticket does not allow: the
// KDC does not issue forwardable tickets to accounts in Protected Users or
// marked sensitive.
var ErrNotForwardable = errors.New("krb5: the ticket-granting ticket is not forwardable (kinit -f; accounts in Protected Users or marked sensitive cannot be delegated)")

// Forward gets a ticket-granting ticket to hand to a server. It is shared by
// all servers, until it ends.
func (c *Client) Forward(ctx context.Context) (*Ticket, error) {
	return c.shared(ctx, "forward", func(ctx context.Context, _ *Ticket) (*Ticket, error) {
		var t *Ticket
		err := c.withTGT(ctx, func(tgt *Ticket) error {
			if tgt.Flags&FlagForwardable == 0 {
				return ErrNotForwardable
			}
			var err error
			t, err = c.tgs(ctx, tgt, tgsRequest{
				server:  tgsName(tgt.Server.Parts[1], ""),
				options: FlagForwarded | FlagForwardable | FlagRenewable | optCanonicalize,
				op:      "forwarded ticket-granting ticket",
			})
			return err
		})
		return t, err
	})
}
