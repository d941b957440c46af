package interop_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
)

// runOurs runs the commands with our own client, so that it stands in the same
// table as the others.
func runOurs(t *testing.T, client *winrm.Client, commands []command) {
	t.Helper()
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var stdout, stderr bytes.Buffer
			cmd := client.CommandContext(ctx, c.path, c.args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if c.stdin != nil {
				cmd.Stdin = bytes.NewReader(c.stdin)
			}
			var code uint32
			err := cmd.Run()
			if exit, ok := errors.AsType[*winrm.ExitError](err); ok {
				code, err = exit.Code, nil
			}
			require.NoError(t, err)
			check(t, c.want, result{stdout.Bytes(), stderr.Bytes(), code})
		})
	}
	require.NoError(t, client.Close())
}

func TestOursBasic(t *testing.T) {
	for _, l := range basicListeners() {
		t.Run(l.name, func(t *testing.T) {
			runOurs(t, l.start(t).srv.Client(), table())
		})
	}
}

func TestOursSealed(t *testing.T) {
	for _, l := range sealedListeners() {
		for name, mechanism := range map[string]func(auth.Credentials) auth.Mechanism{
			"ntlm":      auth.NTLM,
			"negotiate": func(c auth.Credentials) auth.Mechanism { return auth.Negotiate(auth.NTLM(c)) },
		} {
			t.Run(name+" "+l.name, func(t *testing.T) {
				ep := l.start(t)
				cfg := ep.srv.Config()
				cfg.Auth = mechanism(auth.Credentials{User: ep.user, Password: ep.password})
				cfg.Encryption = auth.EncryptAlways
				client, err := winrm.New(ep.url, cfg)
				require.NoError(t, err)
				runOurs(t, client, table())
				checkSealed(t, ep, true)
			})
		}
	}
}
