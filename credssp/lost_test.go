package credssp_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// rooms are the mechanisms whose contexts and connections are lost here; package
// auth does the same with NTLM.
var rooms = map[string]func(t *testing.T) winrmtest.Mechanism{
	"CredSSP": func(t *testing.T) winrmtest.Mechanism {
		return winrmtest.CredSSP(winrmtest.CredSSPOptions{TLS: &tls.Config{Certificates: []tls.Certificate{newCertificate(t)}}})
	},
	"Kerberos": func(*testing.T) winrmtest.Mechanism { return winrmtest.NewRealm(realm).Negotiate() },
}

// losing runs a test with each mechanism, in virtual time and memory.
func losing(t *testing.T, h winrmtest.HandlerFunc, test func(t *testing.T, s *winrmtest.Server, c *winrm.Client)) {
	for name, mech := range rooms {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := winrmtest.NewUnstartedServer(h)
				s.Users = map[string]string{"svc": password}
				s.Mechanisms = []winrmtest.Mechanism{mech(t)}
				s.StartMemory()
				c, err := winrm.New(s.URL, s.Config())
				require.NoError(t, err)
				test(t, s, c)
				require.NoError(t, c.Close())
				s.Close()
			})
		})
	}
}

func line(p *winrmtest.Proc) uint32 {
	_, _ = fmt.Fprint(p.Stdout, p.Line)
	return 0
}

// The client renews a context before the host drops it, and logs on again where
// the host was sooner: 401 says that nothing was done.
func TestLostContext(t *testing.T) {
	losing(t, line, func(t *testing.T, s *winrmtest.Server, c *winrm.Client) {
		for i, idle := range []time.Duration{0, 90 * time.Second, 110 * time.Second, time.Hour} {
			time.Sleep(idle)
			out, err := c.Command("n", fmt.Sprint(i)).Output()
			require.NoError(t, err, "after %v", idle)
			assert.Equal(t, fmt.Sprintf("n %d", i), string(out))
		}
		assert.Equal(t, 3, s.Stats().Logons, "the second found the first one's context alive")
	})
}

// The listener goes away between commands and while one is silent. Only the
// answer that was under way is lost, and said to be; no command runs twice.
func TestLostConnection(t *testing.T) {
	slow := func(p *winrmtest.Proc) uint32 {
		if p.Line == "slow" {
			time.Sleep(5 * time.Minute)
		}
		return line(p)
	}
	losing(t, slow, func(t *testing.T, s *winrmtest.Server, c *winrm.Client) {
		for range 3 {
			out, err := c.Command("quick").Output()
			require.NoError(t, err)
			assert.Equal(t, "quick", string(out))
			synctest.Wait()
			s.CloseConnections()
		}
		timer := time.AfterFunc(150*time.Second, s.CloseConnections)
		defer timer.Stop()
		out, err := c.Command("slow").Output()
		lost, ok := errors.AsType[*winrm.OutputLostError](err)
		require.True(t, ok, "%v", err)
		require.NoError(t, lost.Result)
		assert.Equal(t, "slow", string(out))
		assert.Equal(t, 4, s.Stats().TotalCommands)
		assert.Empty(t, s.Stats().FailedLogons)
	})
}

// A sealed answer is cut, or changed by a bit: nothing of it gets out.
func TestLostAnswer(t *testing.T) {
	const size = 40_000 // three pieces with CredSSP
	first, second := strings.Repeat("1", size), strings.Repeat("2", size)
	change := func(b []byte) []byte { b[len(b)-60] ^= 1; return b }
	for _, fault := range []winrmtest.Fault{
		{Drop: winrmtest.DropAt, At: 100},
		{Drop: winrmtest.DropAt, At: 20_000},
		{Drop: winrmtest.HalfCloseAt, At: 45_000},
		{EditSealed: change},
	} {
		var again chan struct{}
		h := func(p *winrmtest.Proc) uint32 {
			_, _ = fmt.Fprint(p.Stdout, first)
			<-again
			_, _ = fmt.Fprint(p.Stdout, second)
			return 4
		}
		losing(t, h, func(t *testing.T, s *winrmtest.Server, c *winrm.Client) {
			again = make(chan struct{})
			once := sync.OnceFunc(func() { close(again) })
			fault.Action = "Receive"
			s.AddFaults(fault)
			s.Hook = func(x *winrmtest.Exchange) *winrmtest.Fault {
				if strings.HasSuffix(x.Action, "/Receive") {
					once()
				}
				return nil
			}
			out, err := c.Command("x").Output()
			assert.Equal(t, 1, s.Stats().TotalCommands)
			if fault.EditSealed != nil {
				_, forged := errors.AsType[*auth.ResponseError](err)
				assert.True(t, forged, "%v", err)
				assert.NotContains(t, string(out), "1")
				once()
				return
			}
			_, lost := errors.AsType[*winrm.OutputLostError](err)
			assert.True(t, lost, "%v", err)
			assert.Equal(t, second, string(out))
		})
	}
}
