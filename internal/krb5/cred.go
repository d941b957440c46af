package krb5

import (
	"fmt"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/types"
)

// maxCredTickets bounds the tickets in one KRB-CRED.
const maxCredTickets = 32

// credMessage makes the KRB-CRED that hands one ticket with its key to the
// holder of key. See RFC 4120 section 5.8.1.
func credMessage(t *Ticket, key Key) ([]byte, error) {
	plain, err := marshalApp(encCredPart{Info: []credInfo{{
		Key: t.Key.wire(), PRealm: t.Client.Realm, PName: t.Client.wire(), Flags: bits(t.Flags),
		AuthTime: t.AuthTime, StartTime: t.StartTime, EndTime: t.EndTime, RenewTill: t.RenewTill,
		SRealm: t.Server.Realm, SName: t.Server.wire(),
	}}}, tagEncCredPart)
	if err != nil {
		return nil, err
	}
	enc, err := encryptData(key, usageKRBCred, 0, plain)
	clear(plain)
	if err != nil {
		return nil, err
	}
	return marshalApp(krbCred{
		PVNO: pvno, MsgType: tagKRBCred, Tickets: contextTag(2, sequenceOf(t.Raw)), EncPart: enc,
	}, tagKRBCred)
}

// parseCred reads a KRB-CRED encrypted with one of keys, or with none at all
// (encryption type 0), as old Windows clients send it inside the authenticator.
func parseCred(b []byte, keys ...Key) ([]*Ticket, error) {
	var m krbCred
	if err := unmarshalApp(b, &m, tagKRBCred, "KRB-CRED"); err != nil {
		return nil, err
	}
	plain, err := openCred(m.EncPart, keys)
	if err != nil {
		return nil, err
	}
	var part encCredPart
	if err := unmarshalApp(plain, &part, tagEncCredPart, "encrypted part of KRB-CRED"); err != nil {
		return nil, err
	}
	raws, err := splitSequence(m.Tickets.Bytes, maxCredTickets)
	if err != nil {
		return nil, err
	}
	if len(raws) != len(part.Info) {
		return nil, &FormatError{What: "KRB-CRED"}
	}
	tickets := make([]*Ticket, 0, len(raws))
	for i, raw := range raws {
		t, err := part.Info[i].ticket(raw)
		if err != nil {
			return nil, err
		}
		tickets = append(tickets, t)
	}
	return tickets, nil
}

func openCred(d types.EncryptedData, keys []Key) ([]byte, error) {
	if d.EType == 0 {
		return d.Cipher, nil
	}
	for _, k := range keys {
		if EType(d.EType) != k.EType {
			continue
		}
		if plain, err := decryptData(k, usageKRBCred, d); err == nil {
			return plain, nil
		}
	}
	return nil, fmt.Errorf("krb5: delegated credentials: %w", ErrIntegrity)
}

func (i credInfo) ticket(raw []byte) (*Ticket, error) {
	w, err := parseTicket(raw)
	if err != nil {
		return nil, err
	}
	key, err := keyFromWire(i.Key)
	if err != nil {
		return nil, err
	}
	t := &Ticket{
		Client: fromWire(i.PName, i.PRealm), Server: fromWire(w.SName, w.Realm), Key: key, Flags: flags(i.Flags),
		AuthTime: i.AuthTime, StartTime: i.StartTime, EndTime: i.EndTime, RenewTill: i.RenewTill, Raw: raw,
	}
	return t, nil
}

// splitSequence cuts a SEQUENCE OF into its encoded elements.
func splitSequence(b []byte, limit int) ([][]byte, error) {
	var seq asn1.RawValue
	if err := unmarshalAll(b, &seq, "sequence"); err != nil {
		return nil, err
	}
	var out [][]byte
	for rest := seq.Bytes; len(rest) > 0; {
		if len(out) == limit {
			return nil, &FormatError{What: "sequence: too many elements"}
		}
		var one asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return nil, &FormatError{What: "sequence", Err: err}
		}
		out = append(out, one.FullBytes)
	}
	return out, nil
}
