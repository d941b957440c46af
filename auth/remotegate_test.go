package auth_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// Five hundred commands on fifty hosts, with mechanisms of three kinds made in a
// loop from copies of one credential with a wrong password: one failed logon.
func TestOneFailedLogonForAll(t *testing.T) {
	const hosts, calls = 50, 10
	bad := creds()
	bad.User, bad.Password = "user", "wrong"
	accept := func(password string) func(*winrmtest.Server) {
		return func(s *winrmtest.Server) {
			s.Users = map[string]string{"user": password}
			s.Mechanisms = []winrmtest.Mechanism{winrmtest.NTLM(), winrmtest.Negotiate(), winrmtest.Basic()}
			s.AllowUnencrypted = true
		}
	}
	kinds := []func(auth.Credentials) auth.Mechanism{ntlmKinds["NTLM"], ntlmKinds["Negotiate"], auth.BasicInsecure}
	connect := func(r *remote, i int, c auth.Credentials) *winrm.Client {
		return r.client(t, kinds[i%len(kinds)](c), func(cfg *winrm.Config) {
			if i%len(kinds) == 2 {
				cfg.Encryption = auth.EncryptNever
			}
		})
	}
	remotes := make([]*remote, hosts)
	for i := range remotes {
		remotes[i] = newRemote(t, accept(goodPass), nil)
		remotes[i].name = fmt.Sprintf("srv%d.test", i)
	}
	var wg sync.WaitGroup
	var fresh atomic.Int64
	for i, r := range remotes {
		c := connect(r, i, bad) // a copy
		for range calls {
			wg.Go(func() {
				out, err := run(t.Context(), c, "hello")
				assert.Empty(t, out)
				e, ok := errors.AsType[*auth.Error](err)
				if !assert.True(t, ok, "%v", err) {
					return
				}
				assert.True(t, e.Refused)
				assert.Equal(t, "user", e.Account)
				assert.Contains(t, []string{"NTLM", "Negotiate", "Basic"}, e.Mechanism)
				assert.Contains(t, e.Error(), "logon of user at srv")
				assert.Equal(t, "wrong-password", causeIDs(e)[0])
				for _, cause := range e.Causes {
					assert.NotEmpty(t, cause.Check+cause.Remedy, cause.ID)
				}
				if !e.Remembered {
					fresh.Add(1)
				}
			})
		}
	}
	wg.Wait()
	failed := func() (n int) {
		for _, r := range remotes {
			for _, k := range r.Stats().FailedLogons {
				n += k
			}
		}
		return n
	}
	assert.Equal(t, 1, failed())
	assert.EqualValues(t, 1, fresh.Load(), "the others are told from memory")
	for _, r := range remotes {
		assert.Empty(t, r.ran())
	}

	// Where the password is right, it is not tried either until it is forgotten.
	right := newRemote(t, accept("wrong"), nil)
	right.name = "right.test"
	for i := range kinds {
		_, err := run(t.Context(), connect(right, i, bad), "hello")
		e, ok := errors.AsType[*auth.Error](err)
		require.True(t, ok, "%v", err)
		assert.True(t, e.Remembered)
		assert.Equal(t, "right.test:5985", e.Host)
		assert.Regexp(t, `^srv\d+\.test:5985$`, e.RefusedBy)
	}
	assert.Empty(t, right.Exchanges())
	bad.Gate.Forget(bad)
	for i := range kinds {
		out, err := run(t.Context(), connect(right, i, bad), "hello")
		require.NoError(t, err)
		assert.Equal(t, `ran hello as WINRMTEST\user`, out)
	}
	// The secret is good somewhere, so each host now answers for itself, once.
	for range 3 {
		_, err := run(t.Context(), connect(remotes[0], 0, bad), "hello")
		require.Error(t, err)
	}
	assert.Equal(t, 2, failed())
}
