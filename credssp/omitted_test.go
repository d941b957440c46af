package credssp_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A silent inner logon keeps its last token to itself, as [MS-CSSP] 3.1.5 has it
// and Windows has not.
type silent struct{ authserver.Negotiate }

func (m silent) NewContext(p authserver.Peer) authserver.Context {
	c := m.Negotiate.NewContext(p)
	return &silentContext{c, c.(authserver.Sealer)}
}

type silentContext struct {
	authserver.Context
	authserver.Sealer
}

func (c *silentContext) Accept(ctx context.Context, token []byte, has bool) ([]byte, authserver.State, error) {
	out, state, err := c.Context.Accept(ctx, token, has)
	if state == authserver.Accepted {
		out = nil
	}
	return out, state, err
}

func TestLastTokenOmitted(t *testing.T) {
	for name, tc := range map[string]struct {
		ntlm authserver.NTLM
		ok   bool
	}{
		// Without a time in the challenge there is no MIC, and so no mechListMIC.
		"nothing was to come":         {authserver.NTLM{WithoutTimestamp: true}, true},
		"the mechListMIC was to come": {authserver.NTLM{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inner := silent{authserver.Negotiate{Mechs: []authserver.SPNEGOMechanism{tc.ntlm}}}
			m := winrmtest.NewMechanism(authserver.CredSSP{Inner: inner}, "Service/Auth/CredSSP", true, nil)
			s := newServer(t, echo, m)
			cred := fresh("CORP", "svc", password)
			c := newClient(t, s, credssp.New(credssp.Config{Credentials: cred, Inner: auth.Negotiate(auth.NTLM(cred))}))
			_, err := c.CommandContext(t.Context(), "hi").Output()
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			assert.Zero(t, s.Stats().Logons, "the credentials did not leave")
		})
	}
}
