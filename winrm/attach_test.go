package winrm_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// A command outlives the disconnection of its shell: the same client, or another
// one, gets the rest of its output and its exit code.
func TestAttach(t *testing.T) {
	for name, other := range map[string]bool{"reconnect": false, "another client": true} {
		t.Run(name, func(t *testing.T) {
			step := make(chan struct{})
			srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
				fmt.Fprint(p.Stdout, "one ")
				select {
				case <-step:
				case <-p.Context().Done(): // the test has failed
				}
				fmt.Fprint(p.Stdout, "two")
				return 5
			})
			shell, err := client.OpenShell(t.Context(), winrm.ShellOptions{})
			require.NoError(t, err)
			first := make(chan struct{})
			cmd := shell.Command("x")
			assert.Empty(t, cmd.ID())
			cmd.Stdout = writerFunc(func(p []byte) (int, error) {
				assert.Equal(t, "one ", string(p))
				close(first)
				return len(p), nil
			})
			require.NoError(t, cmd.Start())
			id := cmd.ID()
			require.NotEmpty(t, id)
			<-first
			require.NoError(t, shell.Disconnect(t.Context()))
			within(t, 5*time.Second, func() { err = cmd.Wait() })
			assert.ErrorIs(t, err, winrm.ErrDisconnected)
			assert.Equal(t, 1, srv.Stats().Commands, "it lives on")
			close(step)

			if other {
				client, err = winrm.New(srv.URL, config())
				require.NoError(t, err)
				defer client.Close()
				shell, err = client.ConnectShell(t.Context(), shell.ID())
				require.NoError(t, err)
			} else {
				require.NoError(t, shell.Reconnect(t.Context()))
			}
			again := shell.Attach(t.Context(), id)
			var out []byte
			within(t, 5*time.Second, func() { out, err = again.Output() })
			exit, ok := errors.AsType[*winrm.ExitError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, uint32(5), exit.Code)
			assert.Equal(t, "two", string(out))
			assert.Equal(t, 1, srv.Stats().TotalCommands)
			require.NoError(t, shell.Command("next").Start(), "the shell is free again")
			require.NoError(t, shell.Close())
			assert.Zero(t, srv.Stats().Shells)
		})
	}
}

// A command that the shell does not have.
func TestAttachToNothing(t *testing.T) {
	_, client := handle(t, echo)
	shell, err := client.OpenShell(t.Context(), winrm.ShellOptions{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = shell.Attach(ctx, wsman.NewGUID()).Run()
	f, ok := errors.AsType[*wsman.Fault](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, wsman.FaultCode(2150858843), f.Code)
	require.NoError(t, shell.Command("x").Run())
}
