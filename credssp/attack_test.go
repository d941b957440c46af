package credssp_test

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	wire "github.com/winrmkit/winrmkit/internal/credssp"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// TestManInTheMiddle leads a client to an attacker who relays everything between
// it and a real host, and looks at what he gets: never the credentials, sealed or
// not. That the same attacker does get them once he has stolen the host's key
// shows that the test would see it.
func TestManInTheMiddle(t *testing.T) {
	hostCert := newCertificate(t)
	old := func(r *wire.Request) { r.Version = 2 }
	reflect := func(r *wire.Request) *wire.Request { return &wire.Request{Version: 6, PubKeyAuth: r.PubKeyAuth} }
	for name, tc := range map[string]struct {
		server, client int // versions: the host's, and the least that the client takes
		stolen         bool
		change         func(*wire.Request)
		deaf           func(*wire.Request) *wire.Request
		want           func(*testing.T, error)
		proof          bool // the client sent its pubKeyAuth
	}{
		"version 6":                       {want: isStatus(wire.SecMessageAltered), proof: true},
		"version 5":                       {server: 5, want: isRefused, proof: true},
		"version 4":                       {server: 4, want: isVersion},
		"version 2":                       {server: 2, want: isVersion},
		"version 2, allowed by name":      {server: 2, client: 2, want: isRefused, proof: true},
		"version lowered by the attacker": {change: old, want: isVersion},
		"lowered and allowed by name":     {client: 2, change: old, want: isError, proof: true},
		"he says yes himself":             {deaf: func(*wire.Request) *wire.Request { return nil }, want: isUnexpected, proof: true},
		"he reflects the client's proof":  {deaf: reflect, want: isError, proof: true},
		"he has the host's key":           {stolen: true, want: isError, proof: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, echo, winrmtest.CredSSP(winrmtest.CredSSPOptions{
				Version: tc.server, TLS: &tls.Config{Certificates: []tls.Certificate{hostCert}},
			}))
			a := &attacker{host: s.Listener.Addr().String(), cert: newCertificate(t), change: tc.change, deaf: tc.deaf}
			if tc.stolen {
				a.cert = hostCert
			}
			m := credssp.New(credssp.Config{Credentials: fresh("CORP", "svc", password), MinVersion: tc.client})
			err := newClientAt(t, a.start(t), m).CommandContext(t.Context(), "hi").Run()
			require.Error(t, err)
			tc.want(t, err)
			assert.NotContains(t, err.Error(), password)

			seen, clear := a.heard()
			require.NotEmpty(t, seen, "he was in the middle")
			proof, info := false, false
			for _, r := range seen {
				proof = proof || r.PubKeyAuth != nil
				info = info || r.AuthInfo != nil
			}
			assert.Equal(t, tc.proof, proof)
			assert.Equal(t, tc.stolen, info, "the credentials reached the attacker")
			assert.NotContains(t, string(clear), password)
			assert.NotContains(t, string(clear), string(wire.UTF16(password)))
			stats := s.Stats()
			assert.Equal(t, tc.stolen, stats.Logons > 0)
			assert.Empty(t, stats.FailedLogons, "nobody doubts the password")
		})
	}
}

func isError(t *testing.T, err error) {
	t.Helper()
	assert.Error(t, err)
}

func isUnexpected(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, credssp.ErrUnexpected)
}

func isStatus(want credssp.Status) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		require.ErrorIs(t, err, want)
	}
}

// isRefused: versions 2 and 5 have no way to say why, so the host's key is one
// of the causes that come into question.
func isRefused(t *testing.T, err error) {
	t.Helper()
	refused, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok, "%v", err)
	assert.True(t, slices.ContainsFunc(refused.Causes, func(c auth.Cause) bool { return c.ID == "key-refused" }))
}

func isVersion(t *testing.T, err error) {
	t.Helper()
	version, ok := errors.AsType[*credssp.VersionError](err)
	require.True(t, ok, "%v", err)
	assert.Less(t, version.Got, version.Min)
}
