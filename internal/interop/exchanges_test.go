package interop_test

import (
	"testing"

	masterzen "github.com/masterzen/winrm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// The same sealed commands cost us less than a fifth of the exchanges that they
// cost masterzen/winrm, which logs on anew for every message.
func TestFifthOfMasterzensExchanges(t *testing.T) {
	commands := without("stdin") // see TestMasterzenNTLMSealed
	exchanges := func(ep endpoint) (n int) {
		for _, count := range ep.srv.Stats().Exchanges {
			n += count
		}
		return n
	}
	theirs := listener{mechanisms: windows()}.start(t)
	theirs.srv.AddFaults(winrmtest.Fault{
		Match: func(x *winrmtest.Exchange) bool { return x.Sealed },
		Count: -1, Close: true,
	})
	runMasterzen(t, theirs, func() masterzen.Transporter {
		e, err := masterzen.NewEncryption("ntlm")
		require.NoError(t, err)
		return e
	}, commands)
	ours := listener{mechanisms: windows()}.start(t)
	runOurs(t, ours.srv.Client(), commands)
	a, b := exchanges(ours), exchanges(theirs)
	t.Logf("%d commands: %d exchanges, masterzen's %d", len(commands), a, b)
	assert.Less(t, 5*a, b)
}
