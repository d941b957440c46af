package krb5

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// BindingLevel is how an acceptor treats channel bindings, as the setting
// CbtHardeningLevel of a listener.
type BindingLevel int

// See [MS-WSMV] section 2.2.4.14 (CbtHardeningLevel).
const (
	BindingRelaxed BindingLevel = iota // a binding that is sent must be right
	BindingStrict                      // a binding must be sent over TLS
	BindingNone                        // not looked at
)

// A ServiceKeys finds the keys that may have encrypted a ticket.
type ServiceKeys interface {
	ServiceKeys(server Principal, etype EType, kvno int) []Key
}

// AcceptorConfig is what a server needs to accept contexts.
type AcceptorConfig struct {
	Keys         ServiceKeys
	Replay       *ReplayCache // nil: replays are not noticed
	Binding      []byte       // application data of this connection's channel binding, nil without TLS
	BindingLevel BindingLevel
	AllowRC4     bool
	Now          func() time.Time // nil: time.Now
}

// Accepted is an established context with what the acceptor learned.
type Accepted struct {
	Context   *Context
	Client    Principal
	Server    Principal
	Flags     uint32 // Context* constants
	Bound     bool   // the channel binding was sent and is right
	TicketEnd time.Time
	Ticket    *Ticket   // the client's ticket to us: the evidence for S4U2Proxy
	Delegated []*Ticket // the forwarded ticket-granting ticket
}

// ErrBinding is a channel binding that is missing or belongs to another channel.
var ErrBinding = errors.New("krb5: channel binding is missing or wrong")

// Accept answers the client's token. With an error, out may hold a KRB-ERROR
// for the client.
func Accept(cfg AcceptorConfig, token []byte) (out []byte, acc *Accepted, err error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	id, inner, err := parseContextToken(token)
	if err != nil || id != tokAPReq {
		return nil, nil, errToken
	}
	a := &acceptance{cfg: cfg, acc: &Accepted{}}
	out, err = a.accept(inner)
	if err == nil {
		return out, a.acc, nil
	}
	var e *Error
	if errors.As(err, &e) {
		if msg, merr := errorMessage(e.Code, a.acc.Server, cfg.Now()); merr == nil {
			out = frame(tokError, msg)
		}
	}
	return out, nil, err
}

// acceptance is the state of one Accept.
type acceptance struct {
	cfg     AcceptorConfig
	acc     *Accepted
	session Key
	auth    types.Authenticator
}

func refuse(code Code, op string) error { return &Error{Code: code, Op: op} }

func (a *acceptance) accept(b []byte) ([]byte, error) {
	var m apReq
	if err := unmarshalApp(b, &m, tagAPReq, "AP-REQ"); err != nil {
		return nil, err
	}
	if m.PVNO != pvno || m.MsgType != tagAPReq {
		return nil, refuse(ErrMsgType, "accept")
	}
	if err := a.openTicket(m.Ticket.Bytes); err != nil {
		return nil, err
	}
	if err := a.openAuthenticator(m.Authenticator, usageAPReqAuth); err != nil {
		return nil, err
	}
	if err := a.readChecksum(); err != nil {
		return nil, err
	}
	return a.reply(flags(m.Options)&apMutualRequired != 0)
}

// openTicket decrypts the ticket with the service's key. See RFC 4120 section 3.2.3.
func (a *acceptance) openTicket(raw []byte) error {
	t, err := parseTicket(raw)
	if err != nil {
		return err
	}
	a.acc.Server = fromWire(t.SName, t.Realm)
	etype := EType(t.EncPart.EType)
	if etype == RC4 && !a.cfg.AllowRC4 {
		return refuse(ErrETypeNoSupport, "accept")
	}
	keys := a.cfg.Keys.ServiceKeys(a.acc.Server, etype, t.EncPart.KVNO)
	if len(keys) == 0 {
		return refuse(ErrNoKey, "accept")
	}
	var part encTicketPart
	opened := false
	for _, k := range keys {
		plain, err := decryptData(k, usageTicket, t.EncPart)
		if err != nil {
			continue
		}
		if err := unmarshalApp(plain, &part, tagEncTicketPart, "encrypted part of a ticket"); err != nil {
			return err
		}
		opened = true
		break
	}
	if !opened {
		return refuse(ErrModified, "accept")
	}
	now := a.cfg.Now()
	if now.Sub(part.EndTime) > maxSkew {
		return refuse(ErrTicketExpired, "accept")
	}
	if part.StartTime.Sub(now) > maxSkew || flags(part.Flags)&FlagInvalid != 0 {
		return refuse(ErrTicketNotYet, "accept")
	}
	if a.session, err = keyFromWire(part.Key); err != nil {
		return err
	}
	if a.session.EType == RC4 && !a.cfg.AllowRC4 {
		return refuse(ErrETypeNoSupport, "accept")
	}
	a.acc.Client = fromWire(part.CName, part.CRealm)
	a.acc.TicketEnd = part.EndTime
	a.acc.Ticket = &Ticket{
		Client: a.acc.Client, Server: a.acc.Server, Key: a.session, Flags: flags(part.Flags),
		AuthTime: part.AuthTime, StartTime: part.StartTime, EndTime: part.EndTime, RenewTill: part.RenewTill,
		Raw: append([]byte(nil), raw...),
	}
	return nil
}

func (a *acceptance) openAuthenticator(d types.EncryptedData, usage uint32) error {
	plain, err := decryptData(a.session, usage, d)
	if err != nil {
		return refuse(ErrBadIntegrity, "accept")
	}
	if err := unmarshalApp(plain, &a.auth, tagAuthenticator, "authenticator"); err != nil {
		return err
	}
	if !fromWire(a.auth.CName, a.auth.CRealm).Equal(a.acc.Client) {
		return refuse(ErrBadMatch, "accept")
	}
	now := a.cfg.Now()
	ctime := a.auth.CTime.Add(time.Duration(a.auth.Cusec) * time.Microsecond)
	if now.Sub(ctime).Abs() > maxSkew {
		return &Error{Code: ErrSkew, Op: "accept", Skew: ctime.Sub(now)}
	}
	if a.cfg.Replay != nil && !a.cfg.Replay.add(d.Cipher, now) {
		return refuse(ErrRepeat, "accept")
	}
	return nil
}

// readChecksum takes flags, channel binding and delegated credentials from the
// authenticator. See RFC 4121 section 4.1.1 and [MS-KILE] section 3.4.5.
func (a *acceptance) readChecksum() error {
	if a.auth.Cksum.CksumType != cksumGSS {
		return refuse(ErrInappChecksum, "accept")
	}
	sum, err := parseGSSChecksum(a.auth.Cksum.Checksum)
	if err != nil {
		return err
	}
	a.acc.Flags = sum.Flags
	if a.cfg.Binding != nil && a.cfg.BindingLevel != BindingNone {
		want := BindingHash(a.cfg.Binding)
		sent := sum.Bindings != [16]byte{}
		right := subtle.ConstantTimeCompare(sum.Bindings[:], want[:]) == 1
		mustSend := a.cfg.BindingLevel == BindingStrict || clientKnowsBindings(a.auth.AuthorizationData)
		if sent && !right || !sent && mustSend {
			return ErrBinding
		}
		a.acc.Bound = sent && right
	}
	if sum.Flags&ContextDeleg == 0 {
		return nil
	}
	keys := []Key{a.session}
	if len(a.auth.SubKey.KeyValue) > 0 {
		if k, err := keyFromWire(a.auth.SubKey); err == nil {
			keys = append(keys, k)
		}
	}
	a.acc.Delegated, err = parseCred(sum.Cred, keys...)
	if err != nil {
		return fmt.Errorf("krb5: delegated credentials: %w", err)
	}
	return nil
}

// clientKnowsBindings looks for KERB_AP_OPTIONS_CBT.
func clientKnowsBindings(data types.AuthorizationData) bool {
	for _, outer := range data {
		if outer.ADType != adIfRelevant {
			continue
		}
		var inner types.AuthorizationData
		if inner.Unmarshal(outer.ADData) != nil {
			continue
		}
		for _, e := range inner {
			if e.ADType == adAPOptions && len(e.ADData) >= 4 && binary.LittleEndian.Uint32(e.ADData)&apOptionsCBT != 0 {
				return true
			}
		}
	}
	return false
}

// reply makes the context, and the AP-REP where the client wants one: with a
// subkey of ours, as Windows does.
func (a *acceptance) reply(mutual bool) ([]byte, error) {
	peerSeq := uint64(uint32(a.auth.SeqNumber))
	key := a.session
	if len(a.auth.SubKey.KeyValue) > 0 {
		var err error
		if key, err = keyFromWire(a.auth.SubKey); err != nil {
			return nil, err
		}
	}
	if !mutual {
		var err error
		a.acc.Context, err = newContext(false, key, false, peerSeq, peerSeq)
		return nil, err
	}
	seq := uint64(binary.BigEndian.Uint32(randomBytes(4))&0x3fffffff) | 1
	part := encAPRepPart{CTime: a.auth.CTime, Cusec: a.auth.Cusec, Seq: int64(seq)}
	// RC4's tokens know no acceptor's subkey: see Initiator.Finish.
	asserted := key.EType != RC4
	if asserted {
		var err error
		if key, err = NewKey(key.EType); err != nil {
			return nil, err
		}
		part.Subkey = key.wire()
	}
	plain, err := marshalApp(part, tagEncAPRepPart)
	if err != nil {
		return nil, err
	}
	enc, err := encryptData(a.session, usageAPRep, 0, plain)
	if err != nil {
		return nil, err
	}
	msg, err := marshalApp(apRep{PVNO: pvno, MsgType: tagAPRep, EncPart: enc}, tagAPRep)
	if err != nil {
		return nil, err
	}
	a.acc.Context, err = newContext(false, key, asserted, seq, peerSeq)
	return frame(tokAPRep, msg), err
}
