package interop_test

import (
	"testing"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// awinrm stands on asyauth, which shares no code with the other Python clients:
// its NTLM, SPNEGO and CredSSP are of its own. Over TLS it seals all the same and
// binds nothing to the channel.
func TestAwinrm(t *testing.T) {
	credssp := append(windows(), winrmtest.CredSSP(winrmtest.CredSSPOptions{}))
	for _, tt := range []struct {
		auth string
		l    listener
	}{
		{"spnego", listener{name: "http", mechanisms: windows()}},
		{"spnego", listener{name: "http domain account", mechanisms: windows(), account: `CORP\alice`}},
		{"spnego", listener{name: "https", mechanisms: windows(), tls: true}},
		{"credssp", listener{name: "http", mechanisms: credssp}},
		{"credssp", listener{name: "https", mechanisms: credssp, tls: true}},
	} {
		t.Run(tt.auth+" "+tt.l.name, func(t *testing.T) {
			ep := tt.l.start(t)
			pythonClient{"awinrm_client.py", tt.auth, "always"}.run(t, ep, table())
			checkSealed(t, ep, true)
		})
	}
}
