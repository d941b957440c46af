package krb5

import (
	"context"
	"slices"
)

// A Secret is the long-term secret of a client's principal.
type Secret interface {
	// ETypes lists the types that it has keys of; nil means any.
	ETypes(Principal) []EType
	// Keys returns the keys of one type, to be tried in order. Salt and params
	// come from the KDC.
	Keys(ctx context.Context, p Principal, etype EType, salt string, params []byte) ([]Key, error)
	// Wipe overwrites what is kept.
	Wipe()
}

// Password is a Secret that asks for the password at each logon.
type Password func(context.Context) (string, error)

// ETypes is nil: a password makes keys of any type.
func (Password) ETypes(Principal) []EType { return nil }

// Keys derives the key. A password has one, and so one attempt.
func (f Password) Keys(ctx context.Context, _ Principal, etype EType, salt string, params []byte) ([]Key, error) {
	password, err := f(ctx)
	if err != nil {
		return nil, err
	}
	k, err := StringToKey(etype, password, salt, params)
	return []Key{k}, err
}

// Wipe has nothing to do: the password is the caller's.
func (Password) Wipe() {}

// KeytabSecret is a Secret with the keys of a keytab.
type KeytabSecret struct{ *Keytab }

// ETypes lists the types of the principal's keys.
func (k KeytabSecret) ETypes(p Principal) []EType {
	list := k.etypes(p)
	if list == nil {
		list = []EType{}
	}
	return list
}

// Keys returns the newest key: an older one would only be refused.
func (k KeytabSecret) Keys(_ context.Context, p Principal, etype EType, _ string, _ []byte) ([]Key, error) {
	keys := k.Keytab.Keys(p, etype)
	if len(keys) > 1 {
		keys = keys[:1]
	}
	return cloneKeys(keys), nil
}

// KeySecret is a Secret of bare keys: an NT hash (etype 23) or AES keys. Where
// several have the same type, as those of a gMSA around a change of its
// password, they are tried in order.
type KeySecret []Key

// ETypes lists the types of the keys.
func (k KeySecret) ETypes(Principal) []EType {
	list := []EType{}
	for _, key := range k {
		if !slices.Contains(list, key.EType) {
			list = append(list, key.EType)
		}
	}
	return list
}

// Keys returns the keys of one type.
func (k KeySecret) Keys(_ context.Context, _ Principal, etype EType, _ string, _ []byte) ([]Key, error) {
	var keys []Key
	for _, key := range k {
		if key.EType == etype && key.valid() == nil {
			keys = append(keys, key)
		}
	}
	return cloneKeys(keys), nil
}

// Wipe overwrites the keys.
func (k KeySecret) Wipe() {
	for _, key := range k {
		key.Wipe()
	}
}

// cloneKeys copies keys: their user wipes them.
func cloneKeys(keys []Key) []Key {
	out := make([]Key, len(keys))
	for i, k := range keys {
		out[i] = Key{EType: k.EType, Value: slices.Clone(k.Value)}
	}
	return out
}
