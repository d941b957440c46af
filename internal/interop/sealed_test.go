package interop_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"

	"github.com/Azure/go-ntlmssp"
	masterzen "github.com/masterzen/winrm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// windows is what a Windows listener offers as it is installed: Negotiate, with
// NTLM bare or inside SPNEGO, and no message in clear over http.
func windows() []winrmtest.Mechanism {
	return []winrmtest.Mechanism{winrmtest.Negotiate()}
}

// strict refuses logons over TLS that are not bound to the channel.
var strict = map[string]string{"Service/Auth/CbtHardeningLevel": "Strict"}

// sealedListeners are the listeners for clients that seal messages and bind
// their logon to the TLS channel.
func sealedListeners() []listener {
	return []listener{
		{name: "http", mechanisms: windows()},
		{name: "http domain account", mechanisms: windows(), account: `CORP\alice`},
		{name: "https strict", mechanisms: windows(), settings: strict, tls: true},
	}
}

// checkSealed makes sure that the messages of the commands were encrypted and
// that no logon went wrong on the way.
func checkSealed(t *testing.T, ep endpoint, sealed bool) {
	t.Helper()
	for _, x := range ep.srv.Exchanges() {
		if x.Action != winrmtest.ActionLogon {
			require.Equal(t, sealed, x.Sealed, "%s", x.Action)
		}
	}
}

func TestPywinrmNTLM(t *testing.T) {
	for _, l := range sealedListeners() {
		t.Run(l.name, func(t *testing.T) {
			ep := l.start(t)
			pythonClient{"pywinrm_client.py", "ntlm", "always"}.run(t, ep, table())
			checkSealed(t, ep, true)
		})
	}
}

func TestPypsrpSealed(t *testing.T) {
	for _, mechanism := range []string{"negotiate", "ntlm"} {
		for _, l := range sealedListeners() {
			t.Run(mechanism+" "+l.name, func(t *testing.T) {
				ep := l.start(t)
				pythonClient{"pypsrp_client.py", mechanism, "always"}.run(t, ep, table())
				checkSealed(t, ep, true)
			})
		}
	}
}

// masterzen's sealing transport logs on anew for every message, and sends an
// empty body instead of the message when the connection is logged on already:
// so the server ends the connection with each message. It also takes one security
// context for the Receive loop and for Send at the same time; what is typed to a
// running command is therefore left out.
func TestMasterzenNTLMSealed(t *testing.T) {
	ep := listener{mechanisms: windows()}.start(t)
	ep.srv.AddFaults(winrmtest.Fault{
		Match: func(x *winrmtest.Exchange) bool { return x.Sealed },
		Count: -1, Close: true,
	})
	transport := func() masterzen.Transporter {
		e, err := masterzen.NewEncryption("ntlm")
		require.NoError(t, err)
		return e
	}
	runMasterzen(t, ep, transport, without("stdin"))
	checkSealed(t, ep, true)
}

// Its other NTLM transport, go-ntlmssp's, does not seal and binds nothing.
func TestMasterzenNTLMOverTLS(t *testing.T) {
	ep := listener{mechanisms: windows(), tls: true}.start(t)
	transport := func() masterzen.Transporter { return &masterzen.ClientNTLM{} }
	runMasterzen(t, ep, transport, table())
	checkSealed(t, ep, false)
}

// go-ntlmssp under our own WS-Management client: any http.Client will do.
func TestNegotiator(t *testing.T) {
	for _, tt := range []struct {
		level  string
		status int // 0: accepted
	}{
		{"Relaxed", 0},
		{"None", 0},
		{"Strict", http.StatusUnauthorized}, // it has no channel bindings
	} {
		t.Run(tt.level, func(t *testing.T) {
			ep := listener{
				mechanisms: windows(), tls: true,
				settings: map[string]string{"Service/Auth/CbtHardeningLevel": tt.level},
			}.startUnchecked(t)
			roots := x509.NewCertPool()
			require.True(t, roots.AppendCertsFromPEM(ep.caPEM))
			negotiator := ntlmssp.Negotiator{RoundTripper: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
			client, err := wsman.NewClient(ep.url, &wsman.Config{
				HTTPClient: &http.Client{Transport: withPassword{negotiator, ep.user, ep.password}},
			})
			require.NoError(t, err)
			identity, err := client.Identify(t.Context())
			if tt.status == 0 {
				require.NoError(t, err)
				assert.Contains(t, identity.ProductVendor, "Microsoft")
				return
			}
			var status *wsman.StatusError
			require.ErrorAs(t, err, &status)
			assert.Equal(t, tt.status, status.Status)
		})
	}
}

// withPassword hands the account to the Negotiator as it wants it: as Basic.
type withPassword struct {
	next           http.RoundTripper
	user, password string
}

func (w withPassword) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth(w.user, w.password)
	return w.next.RoundTrip(r)
}
