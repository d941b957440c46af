package krb5

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/types"
)

// A KDC is the other side of the exchanges: enough of a key distribution centre
// for tests that have no real one. It knows accounts with passwords, wants
// pre-authentication, issues tickets for its services and forwards
// ticket-granting tickets. The fields must not be modified once it serves.
type KDC struct {
	Realm    string
	Users    map[string]string // name to password
	Services map[string]Key    // name such as HTTP/host to key
	Referral map[string]string // name of a service to the realm that has it
	Errors   map[string]Code   // name of a user or service to what is answered
	Trusted  []string          // services that are ok-as-delegate
	ETypes   []EType           // of session keys and users' keys; nil: DefaultETypes
	Session  EType             // of session keys, asked for or not; 0: as asked for
	Lifetime time.Duration     // of tickets; 0: ten hours
	Now      func() time.Time  // nil: time.Now
	// Cross are keys shared with other realms, by their names.
	Cross map[string]Key

	mu     sync.Mutex
	key    Key // of krbtgt
	counts KDCCounts
}

// KDCCounts counts what a KDC was asked.
type KDCCounts struct {
	AS        int // with pre-authentication
	Bare      int // AS without it
	TGS       int
	Failed    int            // wrong passwords
	ByService map[string]int // TGS by service
}

// Counts returns the counters.
func (k *KDC) Counts() KDCCounts {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.counts
	c.ByService = map[string]int{}
	maps.Copy(c.ByService, k.counts.ByService)
	return c
}

func (k *KDC) count(update func(*KDCCounts)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.counts.ByService == nil {
		k.counts.ByService = map[string]int{}
	}
	update(&k.counts)
}

func (k *KDC) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

func (k *KDC) etypes() []EType {
	if k.ETypes != nil {
		return k.ETypes
	}
	return DefaultETypes()
}

func (k *KDC) tgtKey() (Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key.Value == nil {
		var err error
		if k.key, err = NewKey(k.etypes()[0]); err != nil {
			return Key{}, err
		}
	}
	return k.key, nil
}

// Serve answers on l until it is closed, and waits for its connections.
func (k *KDC) Serve(l net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			k.serveConn(conn)
		})
	}
}

func (k *KDC) serveConn(conn net.Conn) {
	for {
		var prefix [4]byte
		if _, err := io.ReadFull(conn, prefix[:]); err != nil {
			return
		}
		size := binary.BigEndian.Uint32(prefix[:])
		if size > maxReply {
			return
		}
		var req bytes.Buffer
		if _, err := io.CopyN(&req, conn, int64(size)); err != nil {
			return
		}
		reply := k.Answer(req.Bytes())
		if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// Answer answers one request.
func (k *KDC) Answer(req []byte) []byte {
	var reply []byte
	var err error
	switch appTag(req) {
	case tagASReq:
		reply, err = k.as(req)
	case tagTGSReq:
		reply, err = k.tgs(req)
	default:
		err = ErrMsgType
	}
	if err == nil {
		return reply
	}
	e := &Error{Code: ErrGeneric}
	var code Code
	if !errors.As(err, &e) && errors.As(err, &code) {
		e.Code = code
	}
	stime, susec := timestamp(k.now())
	msg, err := marshalApp(krbError{
		PVNO: pvno, MsgType: tagKRBError, STime: stime, Susec: susec, Code: int32(e.Code),
		CRealm: e.crealm, Realm: k.Realm, SName: tgsName(k.Realm, "").wire(), EData: e.data,
	}, tagKRBError)
	if err != nil {
		return nil
	}
	return msg
}

// request is a decoded request.
type request struct {
	padata []types.PAData
	raw    []byte // the body as it came
	body   kdcReqBody
	etype  EType // the session key's
}

func (k *KDC) parse(b []byte, tag int) (*request, error) {
	var m struct {
		PVNO    int            `asn1:"explicit,tag:1"`
		MsgType int            `asn1:"explicit,tag:2"`
		PAData  []types.PAData `asn1:"explicit,optional,tag:3"`
		Body    asn1.RawValue  `asn1:"explicit,tag:4"`
	}
	if err := unmarshalApp(b, &m, tag, "request"); err != nil {
		return nil, err
	}
	r := &request{padata: m.PAData, raw: m.Body.Bytes}
	if err := unmarshalAll(r.raw, &r.body, "request body"); err != nil {
		return nil, err
	}
	for _, e := range r.body.ETypes {
		if slices.Contains(k.etypes(), EType(e)) {
			r.etype = EType(e)
			return r, nil
		}
	}
	return nil, ErrETypeNoSupport
}

func (r *request) data(kind int32) []byte {
	for _, p := range r.padata {
		if p.PADataType == kind {
			return p.PADataValue
		}
	}
	return nil
}

// as answers an AS-REQ.
func (k *KDC) as(b []byte) ([]byte, error) {
	r, err := k.parse(b, tagASReq)
	if err != nil {
		return nil, err
	}
	client := fromWire(r.body.CName, k.Realm)
	if code := k.Errors[client.Name()]; code != 0 {
		return nil, code
	}
	if realm := k.Referral[client.Name()]; realm != "" {
		return nil, &Error{Code: ErrWrongRealm, crealm: realm}
	}
	password, ok := k.Users[client.Name()]
	if !ok {
		return nil, ErrClientUnknown
	}
	salt := k.Realm + "/" + client.Name() // nothing that a client could guess
	key, err := StringToKey(r.etype, password, salt, nil)
	if err != nil {
		return nil, err
	}
	if err := k.preauth(r, key, salt); err != nil {
		return nil, err
	}
	k.count(func(c *KDCCounts) { c.AS++ })
	tgt, err := k.tgtKey()
	if err != nil {
		return nil, err
	}
	return k.issue(r, issuing{
		client: client, server: tgsName(k.Realm, k.Realm), serverKey: tgt, replyKey: key, usage: usageASRep,
		tag: tagASRep, encTag: tagEncASRepPart, flags: FlagInitial | FlagPreAuth,
	})
}

// preauth wants an encrypted timestamp.
func (k *KDC) preauth(r *request, key Key, salt string) error {
	value := r.data(paEncTimestamp)
	if value == nil {
		k.count(func(c *KDCCounts) { c.Bare++ })
		info, err := asn1.Marshal(types.ETypeInfo2{{EType: int32(key.EType), Salt: salt}})
		if err != nil {
			return err
		}
		methods, err := asn1.Marshal([]types.PAData{{PADataType: paEncTimestamp}, {PADataType: paETypeInfo2, PADataValue: info}})
		return errors.Join(err, &Error{Code: ErrPreAuthRequired, data: methods})
	}
	var enc types.EncryptedData
	if err := unmarshalAll(value, &enc, "PA-ENC-TIMESTAMP"); err != nil {
		return err
	}
	plain, err := decryptData(key, usagePAEncTimestamp, enc)
	if err != nil {
		k.count(func(c *KDCCounts) { c.Failed++ })
		return ErrPreAuthFailed
	}
	var ts types.PAEncTSEnc
	if err := unmarshalAll(plain, &ts, "timestamp"); err != nil {
		return err
	}
	if k.now().Sub(ts.PATimestamp).Abs() > maxSkew {
		return ErrSkew
	}
	return nil
}

// tgs answers a TGS-REQ.
func (k *KDC) tgs(b []byte) ([]byte, error) {
	r, err := k.parse(b, tagTGSReq)
	if err != nil {
		return nil, err
	}
	a, err := k.authenticate(r)
	if err != nil {
		return nil, err
	}
	server := fromWire(r.body.SName, k.Realm)
	k.count(func(c *KDCCounts) { c.TGS++; c.ByService[server.Name()]++ })
	if code := k.Errors[server.Name()]; code != 0 {
		return nil, code
	}
	if realm := k.Referral[server.Name()]; realm != "" {
		server = tgsName(realm, k.Realm)
	}
	key, ok := k.Services[server.Name()]
	if server.isTGS() {
		key, ok = k.Cross[server.Parts[1]]
		if server.Parts[1] == k.Realm {
			key, err = k.tgtKey()
			ok = err == nil
		}
	}
	if !ok {
		return nil, ErrServerUnknown
	}
	extra := flags(r.body.Options) & FlagForwarded
	if slices.Contains(k.Trusted, server.Name()) {
		extra |= FlagOKAsDelegate
	}
	return k.issue(r, issuing{
		client: a.acc.Client, server: server, serverKey: key, replyKey: a.session, usage: usageTGSRepSessionKey,
		tag: tagTGSRep, encTag: tagEncTGSRepPart, flags: extra,
	})
}

// authenticate verifies the PA-TGS-REQ: ticket, authenticator, and the checksum
// of the body.
func (k *KDC) authenticate(r *request) (*acceptance, error) {
	var m apReq
	if err := unmarshalApp(r.data(paTGSReq), &m, tagAPReq, "AP-REQ"); err != nil {
		return nil, err
	}
	key, err := k.tgtKey()
	if err != nil {
		return nil, err
	}
	keys := kdcKeys{key}
	for _, cross := range k.Cross {
		keys = append(keys, cross)
	}
	a := &acceptance{acc: &Accepted{}, cfg: AcceptorConfig{Keys: keys, Now: k.now, AllowRC4: true}}
	if err := a.openTicket(m.Ticket.Bytes); err != nil {
		return nil, err
	}
	if err := a.openAuthenticator(m.Authenticator, usageTGSReqAuth); err != nil {
		return nil, err
	}
	sum := a.auth.Cksum
	return a, verifyChecksum(a.session, usageTGSReqCksum, r.raw, sum.CksumType, sum.Checksum)
}

// kdcKeys are the keys of ticket-granting tickets.
type kdcKeys []Key

func (k kdcKeys) ServiceKeys(_ Principal, e EType, _ int) []Key {
	return slices.DeleteFunc(slices.Clone(k), func(key Key) bool { return key.EType != e })
}

// issuing is what goes into a reply.
type issuing struct {
	client, server      Principal
	serverKey, replyKey Key
	usage               uint32
	tag, encTag         int
	flags               uint32
}

func (k *KDC) issue(r *request, i issuing) ([]byte, error) {
	options := flags(r.body.Options) & (FlagForwardable | FlagRenewable)
	t, err := Mint{
		Client: i.client, Server: i.server, ServiceKey: i.serverKey, KVNO: 1, SessionEType: cmp.Or(k.Session, r.etype),
		Flags: i.flags | options, Now: k.now(), Lifetime: k.Lifetime,
	}.Ticket()
	if err != nil {
		return nil, err
	}
	plain, err := marshalApp(encKDCRepPart{
		Key: t.Key.wire(), LastReq: contextTag(1, sequenceOf()), Nonce: r.body.Nonce, Flags: bits(t.Flags),
		AuthTime: t.AuthTime, StartTime: t.StartTime, EndTime: t.EndTime,
		SRealm: t.Server.Realm, SName: t.Server.wire(),
	}, i.encTag)
	if err != nil {
		return nil, err
	}
	enc, err := encryptData(i.replyKey, i.usage, 0, plain)
	if err != nil {
		return nil, err
	}
	return marshalApp(kdcRep{
		PVNO: pvno, MsgType: i.tag, CRealm: t.Client.Realm, CName: t.Client.wire(),
		Ticket: contextTag(5, t.Raw), EncPart: enc,
	}, i.tag)
}
