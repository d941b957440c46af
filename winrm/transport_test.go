package winrm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// The same over each way to log on, sealed and inside TLS.
func TestTransports(t *testing.T) {
	for name, srv := range map[string]*winrmtest.Server{
		"http, Negotiate, sealed": {},
		"http, NTLM, sealed":      {Mechanisms: []winrmtest.Mechanism{winrmtest.NTLM()}},
		"http, Basic":             {Mechanisms: []winrmtest.Mechanism{winrmtest.Basic()}},
		"https, Basic":            {Mechanisms: []winrmtest.Mechanism{winrmtest.Basic()}},
		"https, Negotiate":        {},
	} {
		t.Run(name, func(t *testing.T) {
			srv.Handler = winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
				n, _ := io.Copy(p.Stdout, p.Stdin)
				fmt.Fprint(p.Stderr, n)
				return 9
			})
			if name[:5] == "https" {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			client := srv.Client()
			defer client.Close()
			want := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
			var wg sync.WaitGroup
			for range 6 {
				wg.Go(func() {
					cmd := client.Command("cat.exe")
					cmd.Stdin = bytes.NewReader(want)
					var out, errs bytes.Buffer
					cmd.Stdout, cmd.Stderr = &out, &errs
					assert.EqualError(t, cmd.Run(), "winrm: exit status 9")
					assert.True(t, bytes.Equal(want, out.Bytes()))
					assert.Equal(t, fmt.Sprint(len(want)), errs.String())
				})
			}
			within(t, 30*time.Second, wg.Wait)
			require.NoError(t, client.Close())
			assert.Zero(t, srv.Stats().Shells)
		})
	}
}

// Something listens, but speaks no TLS: the handshake ends with the context.
func TestCancelInHandshake(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	cfg := config()
	client, err := winrm.New("https://"+l.Addr().String(), cfg)
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	within(t, 2*time.Second, func() {
		assert.ErrorIs(t, client.CommandContext(ctx, "x").Run(), context.DeadlineExceeded)
	})
}

// Nor does it wait for ever without one.
func TestConnectTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	cfg := config()
	cfg.ConnectTimeout = 100 * time.Millisecond
	client, err := winrm.New("https://"+l.Addr().String(), cfg)
	require.NoError(t, err)
	defer client.Close()
	within(t, 2*time.Second, func() { assert.Error(t, client.Command("x").Run()) })
}

// A host's own certificate is trusted by its digest, and no other.
func TestPinnedHost(t *testing.T) {
	srv := winrmtest.NewTLSServer(winrmtest.HandlerFunc(echo))
	defer srv.Close()
	digest := sha256.Sum256(srv.Certificate().Raw)
	run := func(pin [sha256.Size]byte, replaces bool) error {
		cfg := srv.Config()
		cfg.TLS, cfg.CAFile = nil, ""
		cfg.Pins, cfg.PinReplacesChain = []string{hex.EncodeToString(pin[:])}, replaces
		client, err := winrm.New(srv.URL, cfg)
		require.NoError(t, err)
		defer client.Close()
		return client.Command("x").Run()
	}
	assert.NoError(t, run(digest, true))
	_, untrusted := errors.AsType[x509.UnknownAuthorityError](run(digest, false))
	assert.True(t, untrusted)
	digest[0] ^= 1
	_, other := errors.AsType[*auth.PinError](run(digest, true))
	assert.True(t, other)
}
