package krb5

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"

	"github.com/jcmturner/gofork/encoding/asn1"
)

// kdcProxyMessage carries a KDC message over HTTPS. See [MS-KKDCP] section 2.2.2.
type kdcProxyMessage struct {
	Message []byte `asn1:"explicit,tag:0"`
	Realm   string `asn1:"generalstring,explicit,optional,tag:1"`
}

// viaProxy exchanges a request through a KDC proxy at an https URL. Redirects
// are not followed, and no proxy of the environment is used.
func (n *Network) viaProxy(ctx context.Context, url, realm string, req []byte) (reply []byte, sent bool, err error) {
	framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(req))), req...)
	body, err := asn1.Marshal(kdcProxyMessage{Message: framed, Realm: realm})
	if err != nil {
		return nil, false, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	post.Header.Set("Content-Type", "application/kerberos")
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if n.TLS != nil {
		config = n.TLS.Clone()
	}
	transport := &http.Transport{DialContext: n.dialProxy, TLSClientConfig: config, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(post)
	if err != nil {
		return nil, true, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, true, fmt.Errorf("KDC proxy answers %s", resp.Status)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+64))
	if err != nil {
		return nil, true, err
	}
	var m kdcProxyMessage
	if err := unmarshalAll(answer, &m, "KDC proxy message"); err != nil {
		return nil, true, err
	}
	if len(m.Message) < 5 || int64(binary.BigEndian.Uint32(m.Message)) != int64(len(m.Message)-4) {
		return nil, true, errReplyLength
	}
	return m.Message[4:], true, nil
}
