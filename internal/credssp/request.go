package credssp

import "math"

// Versions of the protocol ([MS-CSSP] section 2.2.1). From 5 on the public key
// is bound by a hash with a nonce, which ends CVE-2018-0886.
const (
	MinVersion  = 2 // what the oldest hosts speak
	SafeVersion = 5 // the first that CVE-2018-0886 does not touch
	MaxVersion  = 6 // what this package speaks
)

// maxRequest bounds a TSRequest. A Kerberos token carries at most 64 KiB of
// authorization data, and the rest is small.
const maxRequest = 128 << 10

// nonceLen is the length of clientNonce.
const nonceLen = 32

// A Request is a TSRequest, the one message of the protocol. Optional fields are
// nil (ErrorCode: 0) when absent.
//
// See [MS-CSSP] section 2.2.1.
type Request struct {
	Version     uint32   // version [0]
	NegoTokens  [][]byte // negoTokens [1]
	AuthInfo    []byte   // authInfo [2]
	PubKeyAuth  []byte   // pubKeyAuth [3]
	ErrorCode   Status   // errorCode [4]
	ClientNonce []byte   // clientNonce [5]
}

// Append appends the DER of r.
func (r *Request) Append(dst []byte) []byte {
	b := appendIntegerField(nil, 0, r.Version)
	if r.NegoTokens != nil {
		var list []byte
		for _, token := range r.NegoTokens {
			list = appendElement(list, tagSequence, appendField(nil, 0, tagOctetString, token))
		}
		b = appendField(b, 1, tagSequence, list)
	}
	if r.AuthInfo != nil {
		b = appendField(b, 2, tagOctetString, r.AuthInfo)
	}
	if r.PubKeyAuth != nil {
		b = appendField(b, 3, tagOctetString, r.PubKeyAuth)
	}
	if r.ErrorCode != 0 {
		b = appendIntegerField(b, 4, uint32(r.ErrorCode))
	}
	if r.ClientNonce != nil {
		b = appendField(b, 5, tagOctetString, r.ClientNonce)
	}
	return appendElement(dst, tagSequence, b)
}

// ParseRequest reads a TSRequest that fills b exactly. The result's slices are
// parts of b.
func ParseRequest(b []byte) (*Request, error) {
	if len(b) > maxRequest {
		return nil, malformed("TSRequest of %d bytes", len(b))
	}
	r, versions := &Request{}, 0
	err := fields(b, func(number int, content []byte) (err error) {
		switch number {
		case 0:
			versions++
			r.Version, err = parseInteger(content)
		case 1:
			r.NegoTokens, err = parseNegoData(content)
		case 2:
			r.AuthInfo, err = only(content, tagOctetString)
		case 3:
			r.PubKeyAuth, err = only(content, tagOctetString)
		case 4:
			var code uint32
			code, err = parseInteger(content)
			r.ErrorCode = Status(code)
		case 5:
			r.ClientNonce, err = only(content, tagOctetString)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if versions == 0 || r.Version > math.MaxInt32 {
		return nil, malformed("TSRequest without a version")
	}
	return r, nil
}

// parseNegoData reads NegoData ([MS-CSSP] section 2.2.1.1). The field may be
// empty, which pyspnego sends for "no token".
func parseNegoData(b []byte) ([][]byte, error) {
	list, err := only(b, tagSequence)
	if err != nil {
		return nil, err
	}
	tokens := [][]byte{}
	for len(list) > 0 {
		_, _, rest, err := element(list)
		if err != nil {
			return nil, err
		}
		token := []byte{} // the field may be absent: an empty token
		err = fields(list[:len(list)-len(rest)], func(number int, content []byte) (err error) {
			if number == 0 {
				token, err = only(content, tagOctetString)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		tokens, list = append(tokens, token), rest
	}
	return tokens, nil
}

// token is the one token of negoTokens, nil when there is none.
func (r *Request) token() ([]byte, error) {
	if len(r.NegoTokens) > 1 {
		return nil, malformed("%d negoTokens", len(r.NegoTokens))
	}
	if len(r.NegoTokens) == 0 || len(r.NegoTokens[0]) == 0 {
		return nil, nil
	}
	return r.NegoTokens[0], nil
}
