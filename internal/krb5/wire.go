package krb5

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Application tags and message types. See RFC 4120 sections 5.3 to 5.10.
const (
	tagTicket        = 1
	tagAuthenticator = 2
	tagEncTicketPart = 3
	tagASReq         = 10
	tagASRep         = 11
	tagTGSReq        = 12
	tagTGSRep        = 13
	tagAPReq         = 14
	tagAPRep         = 15
	tagKRBCred       = 22
	tagEncASRepPart  = 25
	tagEncTGSRepPart = 26
	tagEncAPRepPart  = 27
	tagEncCredPart   = 29
	tagKRBError      = 30
)

const pvno = 5

// kdcReq is AS-REQ and TGS-REQ. See RFC 4120 section 5.4.1.
type kdcReq struct {
	PVNO    int            `asn1:"explicit,tag:1"`
	MsgType int            `asn1:"explicit,tag:2"`
	PAData  []types.PAData `asn1:"explicit,optional,omitempty,tag:3"`
	Body    asn1.RawValue  // [4], encoded by itself: the authenticator's checksum is over it
}

type kdcReqBody struct {
	Options   asn1.BitString      `asn1:"explicit,tag:0"`
	CName     types.PrincipalName `asn1:"explicit,optional,tag:1"`
	Realm     string              `asn1:"generalstring,explicit,tag:2"`
	SName     types.PrincipalName `asn1:"explicit,optional,tag:3"`
	Till      time.Time           `asn1:"generalized,explicit,tag:5"`
	RTime     time.Time           `asn1:"generalized,explicit,optional,tag:6"`
	Nonce     int64               `asn1:"explicit,tag:7"`
	ETypes    []int32             `asn1:"explicit,tag:8"`
	Addresses []types.HostAddress `asn1:"explicit,optional,omitempty,tag:9"`
	Tickets   asn1.RawValue       `asn1:"optional"` // [11]
}

// kdcRep is AS-REP and TGS-REP. See RFC 4120 section 5.4.2.
type kdcRep struct {
	PVNO    int                 `asn1:"explicit,tag:0"`
	MsgType int                 `asn1:"explicit,tag:1"`
	PAData  []types.PAData      `asn1:"explicit,optional,omitempty,tag:2"`
	CRealm  string              `asn1:"generalstring,explicit,tag:3"`
	CName   types.PrincipalName `asn1:"explicit,tag:4"`
	Ticket  asn1.RawValue       `asn1:"explicit,tag:5"`
	EncPart types.EncryptedData `asn1:"explicit,tag:6"`
}

type encKDCRepPart struct {
	Key           types.EncryptionKey `asn1:"explicit,tag:0"`
	LastReq       asn1.RawValue       `asn1:"explicit,tag:1"`
	Nonce         int64               `asn1:"explicit,tag:2"`
	KeyExpiration time.Time           `asn1:"generalized,explicit,optional,tag:3"`
	Flags         asn1.BitString      `asn1:"explicit,tag:4"`
	AuthTime      time.Time           `asn1:"generalized,explicit,tag:5"`
	StartTime     time.Time           `asn1:"generalized,explicit,optional,tag:6"`
	EndTime       time.Time           `asn1:"generalized,explicit,tag:7"`
	RenewTill     time.Time           `asn1:"generalized,explicit,optional,tag:8"`
	SRealm        string              `asn1:"generalstring,explicit,tag:9"`
	SName         types.PrincipalName `asn1:"explicit,tag:10"`
	CAddr         []types.HostAddress `asn1:"explicit,optional,omitempty,tag:11"`
	EncPAData     []types.PAData      `asn1:"explicit,optional,omitempty,tag:12"`
}

// wireTicket is the part of a ticket that everyone can read. See RFC 4120 section 5.3.
type wireTicket struct {
	VNO     int                 `asn1:"explicit,tag:0"`
	Realm   string              `asn1:"generalstring,explicit,tag:1"`
	SName   types.PrincipalName `asn1:"explicit,tag:2"`
	EncPart types.EncryptedData `asn1:"explicit,tag:3"`
}

type encTicketPart struct {
	Flags     asn1.BitString          `asn1:"explicit,tag:0"`
	Key       types.EncryptionKey     `asn1:"explicit,tag:1"`
	CRealm    string                  `asn1:"generalstring,explicit,tag:2"`
	CName     types.PrincipalName     `asn1:"explicit,tag:3"`
	Transited transited               `asn1:"explicit,tag:4"`
	AuthTime  time.Time               `asn1:"generalized,explicit,tag:5"`
	StartTime time.Time               `asn1:"generalized,explicit,optional,tag:6"`
	EndTime   time.Time               `asn1:"generalized,explicit,tag:7"`
	RenewTill time.Time               `asn1:"generalized,explicit,optional,tag:8"`
	CAddr     []types.HostAddress     `asn1:"explicit,optional,omitempty,tag:9"`
	AuthData  types.AuthorizationData `asn1:"explicit,optional,omitempty,tag:10"`
}

type transited struct {
	Type     int32  `asn1:"explicit,tag:0"`
	Contents []byte `asn1:"explicit,tag:1"`
}

// apReq and apRep: RFC 4120 sections 5.5.1 and 5.5.2.
type apReq struct {
	PVNO          int                 `asn1:"explicit,tag:0"`
	MsgType       int                 `asn1:"explicit,tag:1"`
	Options       asn1.BitString      `asn1:"explicit,tag:2"`
	Ticket        asn1.RawValue       `asn1:"explicit,tag:3"`
	Authenticator types.EncryptedData `asn1:"explicit,tag:4"`
}

type apRep struct {
	PVNO    int                 `asn1:"explicit,tag:0"`
	MsgType int                 `asn1:"explicit,tag:1"`
	EncPart types.EncryptedData `asn1:"explicit,tag:2"`
}

type encAPRepPart struct {
	CTime  time.Time           `asn1:"generalized,explicit,tag:0"`
	Cusec  int                 `asn1:"explicit,tag:1"`
	Subkey types.EncryptionKey `asn1:"explicit,optional,tag:2"`
	Seq    int64               `asn1:"explicit,optional,tag:3"`
}

// krbError: RFC 4120 section 5.9.1.
type krbError struct {
	PVNO    int                 `asn1:"explicit,tag:0"`
	MsgType int                 `asn1:"explicit,tag:1"`
	CTime   time.Time           `asn1:"generalized,optional,explicit,tag:2"`
	Cusec   int                 `asn1:"optional,explicit,tag:3"`
	STime   time.Time           `asn1:"generalized,explicit,tag:4"`
	Susec   int                 `asn1:"explicit,tag:5"`
	Code    int32               `asn1:"explicit,tag:6"`
	CRealm  string              `asn1:"generalstring,optional,explicit,tag:7"`
	CName   types.PrincipalName `asn1:"optional,explicit,tag:8"`
	Realm   string              `asn1:"generalstring,explicit,tag:9"`
	SName   types.PrincipalName `asn1:"explicit,tag:10"`
	EText   string              `asn1:"generalstring,optional,explicit,tag:11"`
	EData   []byte              `asn1:"optional,explicit,tag:12"`
}

// krbCred: RFC 4120 section 5.8.1.
type krbCred struct {
	PVNO    int                 `asn1:"explicit,tag:0"`
	MsgType int                 `asn1:"explicit,tag:1"`
	Tickets asn1.RawValue       `asn1:"explicit,tag:2"`
	EncPart types.EncryptedData `asn1:"explicit,tag:3"`
}

type encCredPart struct {
	Info []credInfo `asn1:"explicit,tag:0"`
}

type credInfo struct {
	Key       types.EncryptionKey `asn1:"explicit,tag:0"`
	PRealm    string              `asn1:"generalstring,explicit,optional,tag:1"`
	PName     types.PrincipalName `asn1:"explicit,optional,tag:2"`
	Flags     asn1.BitString      `asn1:"explicit,optional,tag:3"`
	AuthTime  time.Time           `asn1:"generalized,explicit,optional,tag:4"`
	StartTime time.Time           `asn1:"generalized,explicit,optional,tag:5"`
	EndTime   time.Time           `asn1:"generalized,explicit,optional,tag:6"`
	RenewTill time.Time           `asn1:"generalized,explicit,optional,tag:7"`
	SRealm    string              `asn1:"generalstring,explicit,optional,tag:8"`
	SName     types.PrincipalName `asn1:"explicit,optional,tag:9"`
	CAddr     []types.HostAddress `asn1:"explicit,optional,omitempty,tag:10"`
}

// A FormatError is a message or file that cannot be read.
type FormatError struct {
	What string
	Err  error
}

func (e *FormatError) Error() string {
	if e.Err == nil {
		return "krb5: malformed " + e.What
	}
	return fmt.Sprintf("krb5: malformed %s: %v", e.What, e.Err)
}

func (e *FormatError) Unwrap() error { return e.Err }

var errTrailing = errors.New("trailing bytes")

// marshalApp encodes v inside an application tag.
func marshalApp(v any, tag int) ([]byte, error) {
	b, err := asn1.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("krb5: encode message: %w", err)
	}
	return asn1tools.AddASNAppTag(b, tag), nil
}

// unmarshalApp decodes the whole of b, whose application tag must be tag.
func unmarshalApp(b []byte, v any, tag int, what string) error {
	rest, err := asn1.UnmarshalWithParams(b, v, fmt.Sprintf("application,explicit,tag:%d", tag))
	return formatError(what, rest, err)
}

func unmarshalAll(b []byte, v any, what string) error {
	rest, err := asn1.Unmarshal(b, v)
	return formatError(what, rest, err)
}

func formatError(what string, rest []byte, err error) error {
	if err == nil && len(rest) > 0 {
		err = errTrailing
	}
	if err != nil {
		return &FormatError{What: what, Err: err}
	}
	return nil
}

// appTag tells which application tag b begins with, -1 for none.
func appTag(b []byte) int {
	if len(b) > 0 && b[0]&0xe0 == 0x60 && b[0]&0x1f != 0x1f {
		return int(b[0] & 0x1f)
	}
	return -1
}

// context wraps encoded bytes in an explicit context tag.
func contextTag(tag int, b []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Tag: tag, Bytes: b}
}

// sequenceOf wraps encoded elements in a SEQUENCE.
func sequenceOf(elements ...[]byte) []byte {
	var body []byte
	for _, e := range elements {
		body = append(body, e...)
	}
	b, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, IsCompound: true, Tag: asn1.TagSequence, Bytes: body})
	if err != nil {
		panic(err) // a tag and a length cannot fail
	}
	return b
}

// bits and flags turn KerberosFlags into a number, bit 0 the most significant,
// and back. See RFC 4120 section 5.2.8.
func bits(f uint32) asn1.BitString {
	return asn1.BitString{Bytes: binary.BigEndian.AppendUint32(nil, f), BitLength: 32}
}

func flags(b asn1.BitString) uint32 {
	var four [4]byte
	copy(four[:], b.Bytes)
	return binary.BigEndian.Uint32(four[:])
}

func (k Key) wire() types.EncryptionKey {
	return types.EncryptionKey{KeyType: int32(k.EType), KeyValue: k.Value}
}

func keyFromWire(k types.EncryptionKey) (Key, error) {
	key := Key{EType: EType(k.KeyType), Value: k.KeyValue}
	return key, key.valid()
}

// encryptData and decryptData are EncryptedData around encryptOnce and decryptOnce.
func encryptData(k Key, usage uint32, kvno int, plain []byte) (types.EncryptedData, error) {
	b, err := encryptOnce(k, usage, plain)
	return types.EncryptedData{EType: int32(k.EType), KVNO: kvno, Cipher: b}, err
}

func decryptData(k Key, usage uint32, d types.EncryptedData) ([]byte, error) {
	if EType(d.EType) != k.EType {
		return nil, fmt.Errorf("krb5: message encrypted with %v, the key is %v: %w", EType(d.EType), k.EType, ErrIntegrity)
	}
	return decryptOnce(k, usage, d.Cipher)
}
