package krb5

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kdcProxy answers as [MS-KKDCP] says, or as change makes of it.
func kdcProxy(t *testing.T, k *KDC, change func([]byte) []byte) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		var m kdcProxyMessage
		if !assert.NoError(t, unmarshalAll(body, &m, "message")) {
			return
		}
		assert.Equal(t, k.Realm, m.Realm)
		reply := k.Answer(m.Message[4:])
		out, err := asn1.Marshal(kdcProxyMessage{Message: append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...)})
		assert.NoError(t, err)
		if change != nil {
			out = change(out)
		}
		_, _ = w.Write(out)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestKDCProxy(t *testing.T) {
	k := testKDC(t)
	client := func(s *httptest.Server) *Client {
		c := kdcClient(t, &fakeNet{}, s.URL+"/KdcProxy")
		c.cfg.Network.Dial = nil
		c.cfg.Network.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig
		return c
	}
	_, err := client(kdcProxy(t, k, nil)).Ticket(t.Context(), testService)
	require.NoError(t, err)

	for name, change := range map[string]func([]byte) []byte{
		"empty":  func([]byte) []byte { return nil },
		"cut":    func(b []byte) []byte { return b[:len(b)/2] },
		"length": func(b []byte) []byte { b[len(b)/2] ^= 1; b[8] ^= 0x40; return b },
		"huge":   func(b []byte) []byte { return make([]byte, 2*maxReply) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(kdcProxy(t, k, change)).TGT(t.Context())
			require.Error(t, err)
		})
	}
	t.Run("certificate", func(t *testing.T) {
		c := client(kdcProxy(t, k, nil))
		c.cfg.Network.TLS = &tls.Config{}
		c.cfg.Network.Timeout = 5 * time.Second
		_, err := c.TGT(t.Context())
		var none *NoKDCError
		require.ErrorAs(t, err, &none)
	})
}
