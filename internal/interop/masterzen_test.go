package interop_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	masterzen "github.com/masterzen/winrm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runMasterzen runs the commands with masterzen/winrm, each in a shell of its
// own, as that client does. transport is nil for its Basic transport.
func runMasterzen(t *testing.T, ep endpoint, transport func() masterzen.Transporter, commands []command) {
	t.Helper()
	params := masterzen.NewParameters("PT20S", "en-US", 153600)
	params.TransportDecorator = transport
	target := masterzen.NewEndpoint(ep.host, ep.port, ep.tls, false, ep.caPEM, nil, nil, time.Minute)
	client, err := masterzen.NewClientWithParameters(target, ep.user, ep.password, params)
	require.NoError(t, err)
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got, err := masterzenRun(ctx, client, c)
			require.NoError(t, err)
			check(t, c.want, got)
		})
	}
}

func masterzenRun(ctx context.Context, client *masterzen.Client, c command) (result, error) {
	line := strings.Join(append([]string{c.path}, c.args...), " ")
	var stdout, stderr bytes.Buffer
	var code int
	var err error
	if c.stdin == nil {
		code, err = client.RunWithContext(ctx, line, &stdout, &stderr)
	} else {
		code, err = client.RunWithContextWithInput(ctx, line, &stdout, &stderr, bytes.NewReader(c.stdin))
	}
	return result{stdout.Bytes(), stderr.Bytes(), uint32(code)}, errors.Join(err, ctx.Err())
}

func TestMasterzenBasic(t *testing.T) {
	for _, l := range basicListeners() {
		t.Run(l.name, func(t *testing.T) {
			runMasterzen(t, l.start(t), nil, table())
		})
	}
}

func TestMasterzenWrongPassword(t *testing.T) {
	ep := basicListeners()[0].startUnchecked(t)
	target := masterzen.NewEndpoint(ep.host, ep.port, ep.tls, false, nil, nil, nil, time.Minute)
	client, err := masterzen.NewClient(target, ep.user, "wrong")
	require.NoError(t, err)
	_, err = masterzenRun(t.Context(), client, table()[0])
	require.Error(t, err)
	assert.Contains(t, err.Error(), "401")
}
