package credssp

import "crypto/tls"

const (
	recordHeaderLen = 5
	recordTypeFirst = 20 // change_cipher_spec
	recordTypeLast  = 23 // application_data
	// maxRecordPlain is the most plaintext that one TLS record carries, and so
	// the piece into which WinRM cuts its messages.
	maxRecordPlain = 16384
	// maxRecordLen is the longest record body: TLS 1.2 allows 2048 bytes around
	// the plaintext (RFC 5246 section 6.2.3), TLS 1.3 fewer.
	maxRecordLen = maxRecordPlain + 2048
)

// wholeRecords checks that b is a number of TLS records, one after the other and
// nothing else, and returns their number. crypto/tls would keep the rest of an
// unfinished record for later; here later never comes.
func wholeRecords(b []byte) (int, error) {
	count := 0
	for len(b) > 0 {
		if len(b) < recordHeaderLen {
			return 0, ErrTruncated
		}
		n := int(b[3])<<8 | int(b[4])
		if n > maxRecordLen || n > len(b)-recordHeaderLen {
			return 0, ErrTruncated
		}
		b = b[recordHeaderLen+n:]
		count++
	}
	return count, nil
}

// explicitNonceLen is the length of what stands in clear between the header of a
// record and its ciphertext: the nonce of GCM (RFC 5288 section 3) or the IV of
// CBC (RFC 5246 section 6.2.3.2). TLS 1.3, ChaCha20 and RC4 have none.
func explicitNonceLen(version, suite uint16) int {
	if version >= tls.VersionTLS13 {
		return 0
	}
	switch suite {
	case tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		return 8
	}
	if version < tls.VersionTLS11 {
		return 0 // the IV is the end of the record before
	}
	return cbcBlockLen(suite)
}

// cbcBlockLen is the block length of a CBC suite, 0 for any other.
func cbcBlockLen(suite uint16) int {
	switch suite {
	case tls.TLS_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256:
		return 16
	case tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA:
		return 8
	}
	return 0
}

// A channel is the established TLS session, as both sides use it.
type channel struct {
	pump  *pump
	nonce int // explicitNonceLen of the session
}

// open decrypts one flight of the peer: a TSRequest, or nothing (session
// tickets, an empty token). The TSRequest must not use more records than it
// needs ([MS-CSSP] note <8>: Windows refuses it too).
func (c *channel) open(flight []byte) ([]byte, error) {
	if _, err := wholeRecords(flight); err != nil {
		return nil, err
	}
	if err := c.pump.put(flight); err != nil {
		return nil, err
	}
	var msg []byte
	buf := make([]byte, maxRecordPlain)
	short := false
	for {
		n, more, err := c.pump.read(buf)
		switch {
		case err != nil:
			return nil, err
		case !more:
			return msg, nil
		case n == 0:
			continue
		case short:
			return nil, ErrSplit
		case len(msg)+n > maxRequest:
			return nil, ErrTooLarge
		}
		short = n < maxRecordPlain
		msg = append(msg, buf[:n]...)
	}
}

// seal encrypts one TSRequest, and puts before it what the TLS layer itself
// still had to say.
func (c *channel) seal(msg []byte) ([]byte, error) {
	if err := c.pump.write(msg); err != nil {
		return nil, err
	}
	return c.pump.take(), nil
}

// protocol and maxPlain are what the sealed messages of WinRM need to know.
// See [MS-WSMV] section 2.2.9.1.3.
const protocol = "application/HTTP-CredSSP-session-encrypted"

// Protocol is the media type of sealed messages.
func (c *channel) Protocol() string { return protocol }

// MaxPlain is the most plaintext that one Wrap takes: one TLS record.
func (c *channel) MaxPlain() int { return maxRecordPlain }

// Wrap seals plain as one TLS record and appends it to dst. tokenLen is the
// length of the record's trailer (MAC, padding, content type), measured on the
// record itself: Windows puts the record together again from its own idea of
// these lengths, though the token's bytes are merely the first of the record.
//
// An empty message needs no record.
func (c *channel) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	switch {
	case len(plain) > maxRecordPlain:
		return dst, 0, 0, ErrTooLarge
	case c.pump.err != nil:
		return dst, 0, 0, c.pump.err
	case len(plain) == 0:
		return dst, 0, 0, nil
	}
	// A key update that the peer asked for may be waiting in out; it has to
	// travel before the data.
	c.pump.out = append(dst, c.pump.out...)
	start := len(c.pump.out)
	if err := c.pump.write(plain); err != nil {
		c.pump.take()
		return dst, 0, 0, err
	}
	out = c.pump.take()
	if n, err := wholeRecords(out[start:]); err != nil || n != 1 {
		return dst, 0, 0, ErrRecordSplit
	}
	return out, len(out) - start - recordHeaderLen - c.nonce - len(plain), len(plain), nil
}

// SealedLen returns the length of the sealed message at the start of rest. Its
// records tell it: what follows them, a line end or a boundary, is no record.
func (c *channel) SealedLen(rest []byte, _, _ int) (int, error) {
	n := 0
	for n < len(rest) && rest[n] >= recordTypeFirst && rest[n] <= recordTypeLast {
		if len(rest)-n < recordHeaderLen {
			return 0, ErrTruncated
		}
		body := int(rest[n+3])<<8 | int(rest[n+4])
		if body > maxRecordLen || body > len(rest)-n-recordHeaderLen {
			return 0, ErrTruncated
		}
		n += recordHeaderLen + body
	}
	return n, nil
}

// Unwrap decrypts the records in buf in place; where the token ended does not
// matter, because token and data are one run of TLS bytes. The result is a part
// of buf.
func (c *channel) Unwrap(buf []byte, _ int) ([]byte, error) {
	records, err := wholeRecords(buf)
	if err != nil {
		return nil, err
	}
	if c.pump.err != nil {
		return nil, c.pump.err
	}
	if len(c.pump.in) != 0 {
		return nil, ErrUnexpected
	}
	// The plaintext of a record is written only after its whole ciphertext was
	// read, and it is shorter: it never overtakes the reading.
	c.pump.in = buf
	defer func() { c.pump.in = nil }()
	n := 0
	for n < len(buf) {
		got, more, err := c.pump.read(buf[n:])
		if err != nil {
			return nil, err
		}
		n += got
		if !more || got > 0 && records == 1 { // usually: nothing is left to ask for
			break
		}
	}
	return buf[:n], nil
}
