package winrmtest_test

import (
	"bytes"
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// TestNegotiatedLogons runs a command through our own client; interop and
// peertest let others do it.
func TestNegotiatedLogons(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mech   winrmtest.Mechanism
		secure bool
		cbt    string
	}{
		{"NTLM over http", winrmtest.NTLM(), false, "Relaxed"},
		{"Negotiate over http", winrmtest.Negotiate(), false, "Relaxed"},
		{"NTLM over https, strict binding", winrmtest.NTLM(), true, "Strict"},
		{"Negotiate over https, strict binding", winrmtest.Negotiate(), true, "Strict"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(echo))
			srv.Mechanisms = []winrmtest.Mechanism{tt.mech}
			srv.Settings = map[string]string{"Service/Auth/CbtHardeningLevel": tt.cbt}
			srv.Record = true
			if tt.secure {
				srv.TLS = &tls.Config{}
			}
			srv.StartMemory()
			t.Cleanup(srv.Close)
			client := srv.Client()
			cmd := client.CommandContext(t.Context(), "hello")
			var out bytes.Buffer
			cmd.Stdout = &out
			require.Error(t, cmd.Run())
			require.NoError(t, client.Close())
			assert.Equal(t, `hello as WINRMTEST\user`, out.String())
			stats := srv.Stats()
			assert.Equal(t, 2*stats.TotalConnections, stats.Exchanges[winrmtest.ActionLogon], "two exchanges a connection")
			assert.Empty(t, stats.FailedLogons)
			for _, x := range srv.Exchanges() {
				assert.True(t, x.Sealed || len(x.Request) == 0 || tt.secure, x.Action)
			}
		})
	}
}

// A client that logs on and seals may ask as nobody, too.
func TestIdentifyAnonymousOverAnyTransport(t *testing.T) {
	srv := winrmtest.NewUnstartedServer(nil)
	srv.StartMemory()
	t.Cleanup(srv.Close)
	client := srv.Client()
	defer client.Close()
	id, err := client.WSMan().IdentifyAnonymous(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "Microsoft Corporation", id.ProductVendor)

	cfg := srv.Config()
	cfg.Auth, cfg.Encryption = auth.Anonymous(), auth.EncryptNever
	nobody, err := winrm.New(srv.URL, cfg)
	require.NoError(t, err)
	defer nobody.Close()
	id, err = nobody.WSMan().IdentifyAnonymous(t.Context())
	require.NoError(t, err)
	assert.Empty(t, id.SecurityProfiles)
	_, err = nobody.WSMan().Identify(t.Context())
	require.Error(t, err)
}
