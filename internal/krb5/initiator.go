package krb5

import (
	"crypto/fips140"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Authorization data types. See RFC 4120 section 5.2.6, [MS-KILE] section 3.2.5.8.
const (
	adIfRelevant     int32  = 1
	adAPOptions      int32  = 143
	apOptionsCBT     uint32 = 0x4000
	apMutualRequired uint32 = 1 << (31 - 2)
)

// BindingHash is the channel binding as tokens carry it: MD5 of the structure of
// RFC 2744 section 3.11 with no addresses, and data such as
// "tls-server-end-point:" and the certificate's hash.
//
// RFC 4121 has no other hash, so FIPS 140 enforcement is left for it: what it
// protects is the TLS connection's own certificate hash, which is SHA-2.
func BindingHash(data []byte) (sum [16]byte) {
	b := make([]byte, 16, 20+len(data))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, data...)
	fips140.WithoutEnforcement(func() { sum = md5.Sum(b) })
	return sum
}

// InitiatorConfig is what a client puts into its first token.
type InitiatorConfig struct {
	Ticket   *Ticket
	Binding  []byte           // application data of the channel binding, nil for none
	Delegate *Ticket          // a forwarded ticket-granting ticket to hand over, nil for none
	Now      func() time.Time // nil: time.Now; the KDC's time, if it is known to be another
}

// An Initiator is the client's side of the establishment of a context: one
// token out, one in.
type Initiator struct {
	cfg    InitiatorConfig
	subkey Key
	seq    uint64
	ctime  time.Time
	cusec  int
	sent   bool
}

// NewInitiator starts a context.
func NewInitiator(cfg InitiatorConfig) (*Initiator, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Ticket == nil {
		return nil, errors.New("krb5: no ticket")
	}
	subkey, err := NewKey(cfg.Ticket.Key.EType)
	if err != nil {
		return nil, err
	}
	// Below 2^30, so that no implementation takes it for a negative number, and
	// never 0, which is the same as absent.
	seq := uint64(binary.BigEndian.Uint32(randomBytes(4))&0x3fffffff) | 1
	return &Initiator{cfg: cfg, subkey: subkey, seq: seq}, nil
}

// Token is the first token, an AP-REQ. See RFC 4121 section 4.1.
func (i *Initiator) Token() ([]byte, error) {
	t := i.cfg.Ticket
	sum := gssChecksum{Flags: contextWinRM}
	a := types.Authenticator{
		AVNO: pvno, CRealm: t.Client.Realm, CName: t.Client.wire(),
		SubKey: i.subkey.wire(), SeqNumber: int64(i.seq),
	}
	if i.cfg.Binding != nil {
		sum.Bindings = BindingHash(i.cfg.Binding)
		ad, err := cbtAware()
		if err != nil {
			return nil, err
		}
		a.AuthorizationData = ad
	}
	if i.cfg.Delegate != nil {
		// Encrypted in the session key, not the subkey (RFC 4121 section 4.1.1).
		cred, err := credMessage(i.cfg.Delegate, t.Key)
		if err != nil {
			return nil, err
		}
		if len(cred) > 0xffff {
			return nil, fmt.Errorf("krb5: forwarded ticket of %d bytes does not fit in a token", len(cred))
		}
		sum.Flags |= ContextDeleg
		sum.Cred = cred
	}
	a.Cksum = types.Checksum{CksumType: cksumGSS, Checksum: sum.marshal()}
	i.ctime, i.cusec = timestamp(i.cfg.Now())
	a.CTime, a.Cusec = i.ctime, i.cusec
	req, err := apReqMessage(t, a, usageAPReqAuth, apMutualRequired)
	if err != nil {
		return nil, err
	}
	i.sent = true
	return frame(tokAPReq, req), nil
}

// cbtAware is the authorization data that says "this client knows channel
// bindings". It goes only with a binding: without, a server would refuse.
// See [MS-KILE] sections 3.2.5.8 and 3.4.5.
func cbtAware() (types.AuthorizationData, error) {
	inner, err := asn1.Marshal(types.AuthorizationData{{
		ADType: adAPOptions, ADData: binary.LittleEndian.AppendUint32(nil, apOptionsCBT),
	}})
	if err != nil {
		return nil, err
	}
	return types.AuthorizationData{{ADType: adIfRelevant, ADData: inner}}, nil
}

// A MutualAuthError is a server that did not prove that it holds the
// service's key.
type MutualAuthError struct{ Err error }

func (e *MutualAuthError) Error() string {
	return fmt.Sprintf("krb5: the server did not prove its identity: %v", e.Err)
}

func (e *MutualAuthError) Unwrap() error { return e.Err }

// Finish verifies the server's token and makes the context. A KRB-ERROR is
// returned as *Error.
func (i *Initiator) Finish(token []byte) (*Context, error) {
	if !i.sent {
		return nil, errors.New("krb5: answer before the first token")
	}
	id, inner, err := parseContextToken(token)
	if err != nil {
		return nil, &MutualAuthError{err}
	}
	if id == tokError || appTag(inner) == tagKRBError {
		e, err := parseError(inner, i.cfg.Now())
		if err != nil {
			return nil, err
		}
		e.Op = "server's answer"
		return nil, e
	}
	if id != tokAPRep {
		return nil, &MutualAuthError{errToken}
	}
	part, err := i.openAPRep(inner)
	if err != nil {
		return nil, &MutualAuthError{err}
	}
	key, fromAcceptor := i.subkey, false
	// The tokens of RC4 know no acceptor's subkey (RFC 1964), unless it is what
	// changes the encryption type. So MIT has it.
	if len(part.Subkey.KeyValue) > 0 && (key.EType != RC4 || EType(part.Subkey.KeyType) != RC4) {
		if key, err = keyFromWire(part.Subkey); err != nil {
			return nil, err
		}
		fromAcceptor = true
	}
	return newContext(true, key, fromAcceptor, i.seq, uint64(uint32(part.Seq)))
}

func (i *Initiator) openAPRep(b []byte) (*encAPRepPart, error) {
	var m apRep
	if err := unmarshalApp(b, &m, tagAPRep, "AP-REP"); err != nil {
		return nil, err
	}
	plain, err := decryptData(i.cfg.Ticket.Key, usageAPRep, m.EncPart)
	if err != nil {
		return nil, err
	}
	var part encAPRepPart
	if err := unmarshalApp(plain, &part, tagEncAPRepPart, "encrypted part of AP-REP"); err != nil {
		return nil, err
	}
	if !part.CTime.Equal(i.ctime) || part.Cusec != i.cusec {
		return nil, errors.New("krb5: AP-REP does not repeat the authenticator's time")
	}
	return &part, nil
}

// Wipe overwrites the subkey of a context that is not established.
func (i *Initiator) Wipe() { i.subkey.Wipe() }
