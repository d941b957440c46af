package auth_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
)

// In TLS 1.3 a server that requires a client certificate says so when the first
// request is already on its way. That is no lost connection, and no failed logon:
// the server has read nothing.
func TestServerRequiresCertificate(t *testing.T) {
	cert := newCertificate(t, "127.0.0.1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				_ = tls.Server(nc, &tls.Config{
					Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13,
				}).Handshake()
				_, _ = io.Copy(io.Discard, nc) // closed at once, the alert could be lost
				_ = nc.Close()
			})
		}
	})
	defer wait.Wait()
	defer l.Close()
	for name, mech := range map[string]auth.Mechanism{
		"Basic": auth.Basic(creds()),
		"NTLM":  auth.NTLM(creds()),
	} {
		t.Run(name, func(t *testing.T) {
			url := "https://" + l.Addr().String() + "/wsman"
			tr, err := auth.NewTransport(url, &auth.TransportConfig{Mechanism: mech, TLS: &tls.Config{InsecureSkipVerify: true}})
			require.NoError(t, err)
			defer tr.Close()
			for range 2 {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("x"))
				require.NoError(t, err)
				_, err = tr.RoundTrip(req)
				dial, ok := errors.AsType[*auth.DialError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, "tls", dial.Stage)
				assert.Contains(t, dial.Remedy, "Certificates")
				assert.False(t, auth.MayBeProcessed(err))
			}
		})
	}
}
