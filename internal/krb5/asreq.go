package krb5

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Types of pre-authentication data. See RFC 4120 section 7.5.2, [MS-KILE]
// section 2.2, [MS-SFU] section 2.2.
const (
	paTGSReq       int32 = 1
	paEncTimestamp int32 = 2
	paPWSalt       int32 = 3
	paPKASReq      int32 = 16
	paETypeInfo2   int32 = 19
	paPACRequest   int32 = 128
	paForUser      int32 = 129
	paS4UX509User  int32 = 130
	paPACOptions   int32 = 167
)

const (
	maxReferrals     = 10
	defaultLifetime  = 10 * time.Hour
	defaultRenewLife = 7 * 24 * time.Hour
)

// A ReplyError is an answer of a KDC that does not belong to the request, or
// that cannot be opened.
type ReplyError struct {
	KDC, Realm string
	Err        error
}

func (e *ReplyError) Error() string {
	return fmt.Sprintf("krb5: answer of KDC %s of %s not accepted: %v", e.KDC, e.Realm, e.Err)
}

func (e *ReplyError) Unwrap() error { return e.Err }

func newNonce() int64 {
	// 31 bits: some KDCs read it as signed.
	return int64(binary.BigEndian.Uint32(randomBytes(4))&0x7fffffff) | 1
}

func wireETypes(list []EType) []int32 {
	out := make([]int32, len(list))
	for i, e := range list {
		out[i] = int32(e)
	}
	return out
}

// logon is one run of the AS exchange.
type logon struct {
	c         *Client
	principal Principal // its realm follows referrals
	skew      time.Duration
}

// logon gets a ticket-granting ticket. See RFC 4120 section 3.1. The first
// request carries no pre-authentication: the KDC's refusal tells the salt, and
// nothing is counted as a failed logon. Then there is one attempt.
func (c *Client) logon(ctx context.Context) (*Ticket, error) {
	l := &logon{c: c, principal: c.cfg.Principal}
	if l.principal.Realm == "" {
		return nil, errors.New("krb5: no realm for " + l.principal.String())
	}
	seen := []string{}
	for range maxReferrals {
		t, err := l.realm(ctx)
		var e *Error
		if !errors.As(err, &e) || e.Code != ErrWrongRealm || e.crealm == "" {
			return t, err
		}
		// RFC 6806 section 7: the account lives in crealm.
		if slices.Contains(seen, e.crealm) {
			return nil, err
		}
		seen = append(seen, l.principal.Realm, e.crealm)
		l.principal.Realm = e.crealm
	}
	return nil, fmt.Errorf("krb5: logon of %v: %w: too many referrals", c.cfg.Principal, ErrWrongRealm)
}

// request encodes an AS-REQ and returns the nonce that the answer must repeat.
func (l *logon) request(etypes []EType, pa ...types.PAData) ([]byte, int64, error) {
	now := l.c.now().Add(l.skew)
	nonce := newNonce()
	body, err := asn1.Marshal(kdcReqBody{
		Options: bits(FlagForwardable | FlagRenewable | optCanonicalize),
		CName:   l.principal.wire(), Realm: l.principal.Realm,
		SName: tgsName(l.principal.Realm, "").wire(),
		Till:  now.Add(l.c.lifetime()).UTC().Truncate(time.Second),
		RTime: now.Add(l.c.renewLife()).UTC().Truncate(time.Second),
		Nonce: nonce, ETypes: wireETypes(etypes),
	})
	if err != nil {
		return nil, 0, fmt.Errorf("krb5: encode AS-REQ: %w", err)
	}
	// KERB-PA-PAC-REQUEST ::= SEQUENCE { include-pac [0] BOOLEAN }, true.
	pac := types.PAData{PADataType: paPACRequest, PADataValue: []byte{0x30, 0x05, 0xa0, 0x03, 0x01, 0x01, 0xff}}
	msg, err := marshalApp(kdcReq{
		PVNO: pvno, MsgType: tagASReq, PAData: append(pa, pac), Body: contextTag(4, body),
	}, tagASReq)
	return msg, nonce, err
}

// etypes is what is asked for: what the caller allows, of what the secret has.
func (l *logon) etypes() ([]EType, error) {
	have := l.c.cfg.Secret.ETypes(Principal{Parts: l.principal.Parts, Realm: l.c.cfg.Principal.Realm})
	if have == nil {
		return l.c.cfg.ETypes, nil
	}
	var list []EType
	for _, e := range l.c.cfg.ETypes {
		if slices.Contains(have, e) {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return nil, &NoKeyError{Principal: l.c.cfg.Principal, Have: have, Allowed: l.c.cfg.ETypes}
	}
	return list, nil
}

// A NoKeyError is a keytab or set of keys without one that can be used.
type NoKeyError struct {
	Principal     Principal
	Have, Allowed []EType
}

func (e *NoKeyError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("krb5: no key of %v; the name must be written as in the keytab, case included", e.Principal)
	}
	text := fmt.Sprintf("krb5: keys of %v are of types %v, allowed are %v", e.Principal, e.Have, e.Allowed)
	if slices.Contains(e.Have, RC4) && !slices.Contains(e.Allowed, RC4) {
		text += "; RC4 must be allowed by name"
	}
	return text
}

// realm runs the exchange with one realm's KDCs.
func (l *logon) realm(ctx context.Context) (*Ticket, error) {
	etypes, err := l.etypes()
	if err != nil {
		return nil, err
	}
	req, nonce, err := l.request(etypes)
	if err != nil {
		return nil, err
	}
	reply, kdc, err := l.c.cfg.Network.exchange(ctx, l.principal.Realm, req, false)
	if err != nil {
		return nil, err
	}
	if appTag(reply) != tagKRBError {
		// An account without pre-authentication.
		return l.open(ctx, reply, kdc, nonce, etypes, nil)
	}
	e, err := l.failure(reply, kdc)
	if err != nil {
		return nil, err
	}
	if e.Code != ErrPreAuthRequired {
		return nil, e
	}
	info, err := chooseInfo(e.methods, etypes)
	if err != nil {
		return nil, &ReplyError{KDC: kdc, Realm: l.principal.Realm, Err: err}
	}
	if info == nil {
		if !slices.ContainsFunc(e.methods, func(m types.PAData) bool { return m.PADataType == paPKASReq }) {
			e.Code = ErrETypeNoSupport // nothing was offered for the types that we asked for
		}
		return nil, e // otherwise the KDC wants a smart card
	}
	if l.c.cfg.FollowKDCClock && e.Skew.Abs() > maxSkew/2 {
		l.skew = e.Skew
	}
	return l.preauth(ctx, etypes, *info)
}

// failure reads a KRB-ERROR of a KDC.
func (l *logon) failure(reply []byte, kdc string) (*Error, error) {
	e, err := parseError(reply, l.c.now())
	if err != nil {
		return nil, &ReplyError{KDC: kdc, Realm: l.principal.Realm, Err: err}
	}
	e.Op, e.KDC, e.Realm = "logon of "+l.principal.String(), kdc, l.principal.Realm
	return e, nil
}

// keyInfo is one entry of ETYPE-INFO2. See RFC 4120 section 5.2.7.5.
type keyInfo struct {
	etype  EType
	salt   string
	hasS   bool
	params []byte
}

// chooseInfo takes the first of our etypes that the KDC lists. It returns nil
// where the KDC does not want an encrypted timestamp.
func chooseInfo(methods []types.PAData, etypes []EType) (*keyInfo, error) {
	var list types.ETypeInfo2
	salt, haveList, timestamps := "", false, false
	for _, m := range methods {
		switch m.PADataType {
		case paETypeInfo2:
			if err := unmarshalAll(m.PADataValue, &list, "ETYPE-INFO2"); err != nil {
				return nil, err
			}
			haveList = true
		case paPWSalt:
			salt = string(m.PADataValue)
		case paEncTimestamp:
			timestamps = true
		}
	}
	if !haveList && !timestamps {
		return nil, nil
	}
	for _, e := range etypes {
		for _, entry := range list {
			if EType(entry.EType) == e {
				info := keyInfo{etype: e, salt: entry.Salt, hasS: entry.Salt != "", params: entry.S2KParams}
				if !info.hasS {
					info.salt = salt
				}
				return &info, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: the account has keys of types %v", ErrETypeNoSupport, infoTypes(list))
}

func infoTypes(list types.ETypeInfo2) []EType {
	var out []EType
	for _, e := range list {
		out = append(out, EType(e.EType))
	}
	return out
}

// preauth sends the encrypted timestamp: the one attempt, with the one key of a
// password or keytab. Only a gMSA has a second key, that of its password before
// the last change.
func (l *logon) preauth(ctx context.Context, etypes []EType, info keyInfo) (*Ticket, error) {
	keys, err := l.keys(ctx, info)
	if err != nil {
		return nil, err
	}
	defer wipeKeys(keys)
	for i, key := range keys {
		t, err := l.attempt(ctx, etypes, info, key)
		if i+1 < len(keys) && errors.Is(err, ErrPreAuthFailed) {
			continue
		}
		return t, err
	}
	return nil, &NoKeyError{Principal: l.c.cfg.Principal, Allowed: etypes}
}

func (l *logon) keys(ctx context.Context, info keyInfo) ([]Key, error) {
	p := Principal{Type: l.principal.Type, Parts: l.principal.Parts, Realm: l.c.cfg.Principal.Realm}
	if !info.hasS && info.salt == "" && info.etype != RC4 {
		// RFC 4120 section 4: the default salt, where the KDC names none.
		info.salt = l.principal.Realm + strings.Join(l.principal.Parts, "")
	}
	return l.c.cfg.Secret.Keys(ctx, p, info.etype, info.salt, info.params)
}

func wipeKeys(keys []Key) {
	for _, k := range keys {
		k.Wipe()
	}
}

func (l *logon) attempt(ctx context.Context, etypes []EType, info keyInfo, key Key) (*Ticket, error) {
	pa, err := encTimestamp(key, l.c.now().Add(l.skew))
	if err != nil {
		return nil, err
	}
	req, nonce, err := l.request(etypes, pa)
	if err != nil {
		return nil, err
	}
	reply, kdc, err := l.c.cfg.Network.exchange(ctx, l.principal.Realm, req, true)
	if err != nil {
		return nil, err
	}
	if appTag(reply) != tagKRBError {
		return l.open(ctx, reply, kdc, nonce, etypes, &key)
	}
	e, err := l.failure(reply, kdc)
	if err != nil {
		return nil, err
	}
	if e.Code == ErrPreAuthRequired {
		// Again, although it was given: some KDCs say so of a wrong key.
		e.Code = ErrPreAuthFailed
	}
	return nil, e
}

// encTimestamp is PA-ENC-TIMESTAMP. See RFC 4120 section 5.2.7.2.
func encTimestamp(key Key, now time.Time) (types.PAData, error) {
	sec, usec := timestamp(now)
	plain, err := asn1.Marshal(types.PAEncTSEnc{PATimestamp: sec, PAUSec: usec})
	if err != nil {
		return types.PAData{}, err
	}
	enc, err := encryptData(key, usagePAEncTimestamp, 0, plain)
	if err != nil {
		return types.PAData{}, err
	}
	value, err := asn1.Marshal(enc)
	return types.PAData{PADataType: paEncTimestamp, PADataValue: value}, err
}

// open verifies an AS-REP and makes the ticket. Without pre-authentication the
// key is found from the reply.
func (l *logon) open(ctx context.Context, reply []byte, kdc string, nonce int64, etypes []EType, key *Key) (*Ticket, error) {
	fail := func(err error) error { return &ReplyError{KDC: kdc, Realm: l.principal.Realm, Err: err} }
	var rep kdcRep
	if err := unmarshalApp(reply, &rep, tagASRep, "AS-REP"); err != nil {
		return nil, fail(err)
	}
	etype := EType(rep.EncPart.EType)
	if !slices.Contains(etypes, etype) {
		return nil, fail(unasked(etype))
	}
	if key == nil || key.EType != etype {
		info := &keyInfo{etype: etype}
		if found, err := chooseInfo(rep.PAData, []EType{etype}); err == nil && found != nil {
			info = found
		}
		keys, err := l.keys(ctx, *info)
		if err != nil {
			return nil, err
		}
		defer wipeKeys(keys)
		if len(keys) == 0 {
			return nil, &NoKeyError{Principal: l.c.cfg.Principal, Allowed: etypes}
		}
		key = &keys[0]
	}
	plain, err := decryptData(*key, usageASRep, rep.EncPart)
	if err != nil {
		// No pre-authentication was asked for, so this is how a wrong password shows.
		return nil, &Error{Code: ErrBadIntegrity, Op: "logon of " + l.principal.String(), KDC: kdc, Realm: l.principal.Realm}
	}
	t, _, err := ticketFromReply(rep, plain, nonce)
	if err != nil {
		return nil, fail(err)
	}
	if err := l.c.allowed(t); err != nil {
		t.wipe()
		return nil, fail(err)
	}
	// Client and realm may be canonicalized (a NetBIOS name becomes the DNS one),
	// the service may not be another.
	if !t.Server.isTGS() {
		return nil, fail(fmt.Errorf("a ticket for %v", t.Server))
	}
	if realm := t.Server.Parts[1]; realm != l.principal.Realm {
		l.c.cfg.Network.sameRealm(realm, l.principal.Realm)
	}
	return t, nil
}

var errNonce = errors.New("the nonce is another request's")

// ticketFromReply reads the decrypted part of a KDC's reply.
func ticketFromReply(rep kdcRep, plain []byte, nonce int64) (*Ticket, *encKDCRepPart, error) {
	defer clear(plain)
	var part encKDCRepPart
	// RFC 4120 section 5.4.2: some use the tag of one for the other.
	tag := appTag(plain)
	if tag != tagEncASRepPart && tag != tagEncTGSRepPart {
		return nil, nil, &FormatError{What: "encrypted part of a KDC's reply"}
	}
	if err := unmarshalApp(plain, &part, tag, "encrypted part of a KDC's reply"); err != nil {
		return nil, nil, err
	}
	if part.Nonce != nonce {
		return nil, nil, errNonce
	}
	w, err := parseTicket(rep.Ticket.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, err := keyFromWire(part.Key)
	if err != nil {
		return nil, nil, err
	}
	t := &Ticket{
		Client: fromWire(rep.CName, rep.CRealm), Server: fromWire(part.SName, part.SRealm), Key: key,
		Flags: flags(part.Flags), AuthTime: part.AuthTime, StartTime: part.StartTime, EndTime: part.EndTime,
		RenewTill: part.RenewTill, Raw: slices.Clone(rep.Ticket.Bytes),
	}
	if !t.Server.Equal(fromWire(w.SName, w.Realm)) {
		return nil, nil, errors.New("the ticket names another service than the reply")
	}
	if t.StartTime.IsZero() {
		t.StartTime = t.AuthTime
	}
	return t, &part, nil
}
