package krb5

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// Ticket flags, which are also the KDC options of the same name.
// See RFC 4120 sections 5.3 and 5.4.1, RFC 6806 section 3.
const (
	FlagForwardable  uint32 = 1 << (31 - 1)
	FlagForwarded    uint32 = 1 << (31 - 2)
	FlagInvalid      uint32 = 1 << (31 - 7)
	FlagRenewable    uint32 = 1 << (31 - 8)
	FlagInitial      uint32 = 1 << (31 - 9)
	FlagPreAuth      uint32 = 1 << (31 - 10)
	FlagOKAsDelegate uint32 = 1 << (31 - 13)

	optCNameInAddlTkt uint32 = 1 << (31 - 14) // [MS-SFU] section 2.2.3
	optCanonicalize   uint32 = 1 << (31 - 15)
	optRenew          uint32 = 1 << (31 - 30)
)

// A Ticket is a ticket with its session key: what a credential cache holds.
type Ticket struct {
	Client, Server Principal
	Key            Key
	Flags          uint32
	AuthTime       time.Time
	StartTime      time.Time
	EndTime        time.Time
	RenewTill      time.Time
	Raw            []byte // the ticket as the KDC sent it, DER
}

// String names the ticket without its key.
func (t *Ticket) String() string {
	return fmt.Sprintf("ticket of %v for %v until %s", t.Client, t.Server, t.EndTime.UTC().Format(time.RFC3339))
}

// LogValue keeps the key out of logs.
func (t *Ticket) LogValue() slog.Value { return slog.StringValue(t.String()) }

// valid reports whether the ticket can still be used for margin longer.
func (t *Ticket) valid(now time.Time, margin time.Duration) bool {
	return t.Flags&FlagInvalid == 0 && now.Add(margin).Before(t.EndTime) && !now.Add(maxSkew).Before(t.StartTime)
}

// isCrossRealm reports whether t is a ticket-granting ticket that one realm has
// made for another. Those of a logon may name their realm in two ways.
func (t *Ticket) isCrossRealm() bool {
	return t.Server.isTGS() && !strings.EqualFold(t.Server.Parts[1], t.Server.Realm) && t.Flags&FlagInitial == 0
}

func (t *Ticket) wipe() { t.Key.Wipe() }

// clone copies the ticket, so that one owner can wipe it without harm to another.
func (t *Ticket) clone() *Ticket {
	c := *t
	c.Key.Value = append([]byte(nil), t.Key.Value...)
	return &c
}

// maxSkew is how far clocks may differ. See RFC 4120 section 1.6.
const maxSkew = 5 * time.Minute

// parseTicket reads the open part of a ticket.
func parseTicket(raw []byte) (wireTicket, error) {
	var t wireTicket
	if err := unmarshalApp(raw, &t, tagTicket, "ticket"); err != nil {
		return t, err
	}
	if t.VNO != pvno {
		return t, &FormatError{What: "ticket"}
	}
	return t, nil
}

// apReqMessage is an AP-REQ with an authenticator encrypted under usage: the
// same message opens a GSS-API context and accompanies a TGS-REQ.
func apReqMessage(t *Ticket, a types.Authenticator, usage uint32, options uint32) ([]byte, error) {
	plain, err := marshalApp(a, tagAuthenticator)
	if err != nil {
		return nil, err
	}
	enc, err := encryptData(t.Key, usage, 0, plain)
	if err != nil {
		return nil, err
	}
	return marshalApp(apReq{
		PVNO: pvno, MsgType: tagAPReq, Options: bits(options),
		Ticket: contextTag(3, t.Raw), Authenticator: enc,
	}, tagAPReq)
}

// timestamp splits t into what messages carry: seconds and microseconds.
func timestamp(t time.Time) (time.Time, int) {
	t = t.UTC()
	return t.Truncate(time.Second), t.Nanosecond() / 1000
}

// A Mint makes tickets from a service's key, as its KDC would: for servers
// under test, where there is no KDC.
type Mint struct {
	Client, Server Principal
	ServiceKey     Key // encrypts the ticket
	KVNO           int
	SessionEType   EType // 0: that of ServiceKey
	Flags          uint32
	Now            time.Time     // zero: time.Now
	Lifetime       time.Duration // 0: ten hours
}

// Ticket makes one ticket with a fresh session key.
func (m Mint) Ticket() (*Ticket, error) {
	if m.SessionEType == 0 {
		m.SessionEType = m.ServiceKey.EType
	}
	if m.Now.IsZero() {
		m.Now = time.Now()
	}
	if m.Lifetime == 0 {
		m.Lifetime = 10 * time.Hour
	}
	session, err := NewKey(m.SessionEType)
	if err != nil {
		return nil, err
	}
	now, _ := timestamp(m.Now)
	t := &Ticket{
		Client: m.Client, Server: m.Server, Key: session, Flags: m.Flags,
		AuthTime: now, StartTime: now, EndTime: now.Add(m.Lifetime).Truncate(time.Second),
	}
	plain, err := marshalApp(encTicketPart{
		Flags: bits(t.Flags), Key: session.wire(), CRealm: t.Client.Realm, CName: t.Client.wire(),
		Transited: transited{Type: 1, Contents: []byte{}},
		AuthTime:  t.AuthTime, StartTime: t.StartTime, EndTime: t.EndTime,
	}, tagEncTicketPart)
	if err != nil {
		return nil, err
	}
	enc, err := encryptData(m.ServiceKey, usageTicket, m.KVNO, plain)
	if err != nil {
		return nil, err
	}
	t.Raw, err = marshalApp(wireTicket{VNO: pvno, Realm: t.Server.Realm, SName: t.Server.wire(), EncPart: enc}, tagTicket)
	return t, err
}
