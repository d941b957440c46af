package credssp_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	protocol "github.com/winrmkit/winrmkit/internal/credssp"
	"github.com/winrmkit/winrmkit/internal/httpseal"
	"github.com/winrmkit/winrmkit/internal/ntlm"
)

const password = "Delegated ✓ Passw0rd"

var (
	delegated = auth.Credentials{Domain: "CORP", User: "svc", Password: password}
	peer      = auth.Peer{Scheme: "http", Host: "srv1.corp.example", Port: "5985", Seal: true}
)

func innerNTLM() auth.Mechanism { return &bareNTLM{"CORP", "svc", "logon"} }

// acceptNTLM is the accepting side of bareNTLM.
type acceptNTLM struct {
	*ntlm.Acceptor
	done bool
}

func (m *acceptNTLM) Step(ctx context.Context, token []byte) (out []byte, err error) {
	out, m.done, err = m.Acceptor.Step(ctx, token)
	return out, err
}
func (m *acceptNTLM) Finish(context.Context) error { return nil }
func (m *acceptNTLM) Ready() bool                  { return m.done }
func (m *acceptNTLM) Done() bool                   { return m.done }
func (m *acceptNTLM) Close() error                 { return nil }
func (m *acceptNTLM) Wrap(dst, plain []byte) ([]byte, error) {
	out, _, _, err := m.Acceptor.Wrap(dst, plain)
	return out, err
}
func (m *acceptNTLM) Unwrap(buf []byte) ([]byte, error) { return m.Acceptor.Unwrap(buf, 16) }

// A host is the accepting side of one connection: a Windows host as far as a
// session can see.
type host struct {
	t testing.TB
	*protocol.Acceptor
	legs int
}

func newHost(t testing.TB, cfg protocol.AcceptorConfig) *host {
	t.Helper()
	a, err := ntlm.NewAcceptor(ntlm.AcceptorConfig{
		ComputerName: "SRV1", DomainName: "CORP",
		Lookup: func(context.Context, string, string) (ntlm.Hash, error) { return ntlm.PasswordHash("logon") },
	})
	require.NoError(t, err)
	cfg.Mech = &acceptNTLM{Acceptor: a}
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{newCertificate(t)}}
	}
	h := &host{t: t}
	h.Acceptor, err = protocol.NewAcceptor(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// answer is what HTTP would bring back.
func (h *host) answer(token []byte) auth.Leg {
	h.legs++
	out, done, err := h.Acceptor.Step(context.Background(), token)
	switch {
	case done:
		return auth.Leg{Status: http.StatusOK}
	case err != nil:
		return auth.Leg{Status: http.StatusUnauthorized, HasToken: len(out) > 0, Token: out}
	}
	// Like servers that trim the header, without an empty token.
	return auth.Leg{Status: http.StatusUnauthorized, HasToken: len(out) > 0, Token: out}
}

// run logs on; between may change an answer.
func run(t testing.TB, s auth.Session, h *host, between func(*auth.Leg)) error {
	t.Helper()
	in := auth.Leg{First: true}
	for range 20 {
		out, done, err := s.Step(t.Context(), in)
		if err != nil || done {
			return err
		}
		in = h.answer(out)
		if between != nil {
			between(&in)
		}
	}
	t.Fatal("no end")
	return nil
}

func newSession(t testing.TB, cfg credssp.Config) auth.Session {
	t.Helper()
	if cfg.Inner == nil {
		cfg.Inner = innerNTLM()
	}
	cfg.Credentials = delegated
	s, err := credssp.New(cfg).NewSession(peer)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestLogon(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			h := newHost(t, protocol.AcceptorConfig{})
			s := newSession(t, credssp.Config{TLS: &tls.Config{MaxVersion: version}})
			sealer := s.(auth.Sealer)
			require.NoError(t, run(t, s, h, func(*auth.Leg) { assert.False(t, sealer.Ready()) }))
			assert.Equal(t, 5, h.legs)
			got := h.Credentials().Password
			assert.Equal(t, "CORP", protocol.Text(got.Domain))
			assert.Equal(t, "svc", protocol.Text(got.User))
			assert.Equal(t, password, protocol.Text(got.Password))

			assert.True(t, sealer.Ready())
			assert.Equal(t, "application/HTTP-CredSSP-session-encrypted", sealer.Protocol())
			assert.Equal(t, 16384, sealer.MaxPlain())
			out, tokenLen, length, err := sealer.Wrap(nil, []byte("<Envelope/>"))
			require.NoError(t, err)
			assert.Equal(t, 11, length)
			plain, err := h.Unwrap(out, tokenLen)
			require.NoError(t, err)
			assert.Equal(t, "<Envelope/>", string(plain))
		})
	}
}

func TestMechanism(t *testing.T) {
	m := credssp.New(credssp.Config{Credentials: delegated, Inner: innerNTLM()})
	assert.Equal(t, "CredSSP", m.Name())
	assert.Equal(t, "CredSSP", m.Scheme())
	assert.True(t, m.AskFirst())
	assert.Same(t, delegated.Logon(), m.Logon())
	own := &accounted{bareNTLM{"CORP", "other", "logon"}, auth.Credentials{User: "other"}.Logon()}
	assert.Same(t, delegated.Logon(), credssp.New(credssp.Config{Credentials: delegated, Inner: own}).Logon())
	s := newSession(t, credssp.Config{Inner: own})
	require.Error(t, run(t, s, newHost(t, protocol.AcceptorConfig{}), bare401(3)))
	assert.Contains(t, s.(auth.Explainer).Explain(401, true)[0].Text, "(other logs on)")
}

type accounted struct {
	bareNTLM
	logon *auth.Logon
}

func (a *accounted) Logon() *auth.Logon { return a.logon }

func TestRedacted(t *testing.T) {
	cfg := credssp.Config{Credentials: delegated, Inner: auth.Basic(delegated)}
	m := credssp.New(cfg)
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "cfg", cfg, "m", m)
	text, err := json.Marshal(cfg.Credentials)
	require.NoError(t, err)
	for _, s := range []string{b.String(), string(text), fmt.Sprintf("%v %+v %#v %v", cfg, cfg, cfg, m), fmt.Sprintf("%+v %#v", m, m)} {
		assert.NotContains(t, s, password)
	}
}

func TestAllow(t *testing.T) {
	for _, tc := range []struct {
		allow, host string
		want        bool
	}{
		{"", "anything", true},
		{"*", "anything", true},
		{"wsman/*", "10.1.2.3", true},
		{"wsman/srv1.corp.example", "SRV1.corp.example", true},
		{"WSMAN/SRV1.CORP.EXAMPLE.", "srv1.corp.example", true},
		{"srv1.corp.example", "srv1.corp.example.", true},
		{"srv1.corp.example", "srv2.corp.example", false},
		{"wsman/*.corp.example", "srv1.corp.example", true},
		{"wsman/*.corp.example", "a.b.corp.example", true},
		{"wsman/*.corp.example", "corp.example", false},
		{"wsman/*.corp.example", "evilcorp.example", false},
		{"wsman/*.corp.example", "srv1.corp.example.evil.example", false},
		{"wsman/*.1", "10.0.0.1", false},
		{"10.0.0.1", "10.0.0.1", true},
		{"wsman/[fe80::1]", "fe80:0::1", true},
		{"http/srv1", "srv1", true},
		{"a,b", "b", true},
	} {
		t.Run(tc.allow+" "+tc.host, func(t *testing.T) {
			var list []string
			if tc.allow != "" {
				list = strings.Split(tc.allow, ",")
			}
			p := peer
			p.Host = tc.host
			s, err := credssp.New(credssp.Config{Credentials: delegated, Inner: innerNTLM(), Allow: list}).NewSession(p)
			if tc.want {
				require.NoError(t, err)
				require.NoError(t, s.Close())
				return
			}
			refused, ok := errors.AsType[*credssp.NotAllowedError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, tc.host, refused.Host)
			assert.ErrorContains(t, err, "wsman/"+tc.host)
		})
	}
}

// A list that came out empty is no consent.
func TestAllowNobody(t *testing.T) {
	_, err := credssp.New(credssp.Config{Credentials: delegated, Inner: innerNTLM(), Allow: []string{}}).NewSession(peer)
	refused, ok := errors.AsType[*credssp.NotAllowedError](err)
	require.True(t, ok, "%v", err)
	assert.ErrorContains(t, refused, "Allow lists none")
}

func TestConfigRefused(t *testing.T) {
	for name, cfg := range map[string]credssp.Config{
		"no user":           {Credentials: auth.Credentials{Password: "x"}},
		"hash only":         {Credentials: auth.Credentials{User: "u", NTHash: make([]byte, 16)}},
		"version 1":         {Credentials: delegated, MinVersion: 1},
		"version 7":         {Credentials: delegated, MinVersion: 7},
		"pattern inside":    {Credentials: delegated, Allow: []string{"wsman/srv*.corp.example"}},
		"other service":     {Credentials: delegated, Allow: []string{"TERMSRV/srv1"}},
		"empty pattern":     {Credentials: delegated, Allow: []string{""}},
		"wildcard and dot":  {Credentials: delegated, Allow: []string{"*."}},
		"short pin":         {Credentials: delegated, Pins: []string{"aabb"}},
		"inner cannot seal": {Credentials: delegated, Inner: auth.Basic(delegated)},
	} {
		t.Run(name, func(t *testing.T) {
			if cfg.Inner == nil {
				cfg.Inner = innerNTLM()
			}
			p := peer
			p.Scheme = "https"
			_, err := credssp.New(cfg).NewSession(p)
			require.Error(t, err)
			assert.True(t, strings.HasPrefix(err.Error(), "credssp: "), err)
		})
	}
}

func TestCertificate(t *testing.T) {
	cert := newCertificate(t, "srv1.corp.example")
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	ofCert, ofKey := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	for name, tc := range map[string]struct {
		cfg credssp.Config
		ok  bool
	}{
		"not asked":        {credssp.Config{}, true},
		"trusted":          {credssp.Config{VerifyCertificate: true, TLS: &tls.Config{RootCAs: roots}}, true},
		"not trusted":      {credssp.Config{VerifyCertificate: true, TLS: &tls.Config{RootCAs: x509.NewCertPool()}}, false},
		"other name":       {credssp.Config{VerifyCertificate: true, TLS: &tls.Config{RootCAs: roots, ServerName: "srv2"}}, false},
		"pin":              {credssp.Config{Pins: []string{hex.EncodeToString(ofCert[:])}}, true},
		"pin of the key":   {credssp.Config{Pins: []string{"sha256:" + hex.EncodeToString(ofKey[:])}}, true},
		"pin of another":   {credssp.Config{Pins: []string{strings.Repeat("00", 32)}}, false},
		"pin and no trust": {credssp.Config{Pins: []string{hex.EncodeToString(ofCert[:])}, VerifyCertificate: true, TLS: &tls.Config{RootCAs: x509.NewCertPool()}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, protocol.AcceptorConfig{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
			s := newSession(t, tc.cfg)
			err := run(t, s, h, nil)
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			assert.False(t, s.(auth.Presenter).Presented())
			assert.Nil(t, h.Credentials())
		})
	}
}

func TestLegacySuites(t *testing.T) {
	h := newHost(t, protocol.AcceptorConfig{TLS: &tls.Config{
		Certificates: []tls.Certificate{newCertificate(t)}, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
	}})
	require.NoError(t, run(t, newSession(t, credssp.Config{TLS: &tls.Config{CipherSuites: credssp.LegacySuites()}}), h, nil))
	assert.Contains(t, credssp.LegacySuites(), tls.TLS_RSA_WITH_AES_256_GCM_SHA384)
	assert.NotContains(t, credssp.LegacySuites(), tls.TLS_RSA_WITH_RC4_128_SHA)
	assert.NotContains(t, credssp.LegacySuites(), tls.TLS_AES_128_GCM_SHA256)
}

// bare401 is a refusal without a reason, after this many good answers.
func bare401(after int) func(*auth.Leg) {
	n := 0
	return func(l *auth.Leg) {
		if n++; n > after {
			*l = auth.Leg{Status: http.StatusUnauthorized}
		}
	}
}

func TestBareRefusal(t *testing.T) {
	for _, tc := range []struct {
		after     int
		phase     credssp.Phase
		presented bool
		causes    []string
	}{
		{0, credssp.PhaseTLS, false, []string{"inner-tls", "scheme-off"}},
		{2, credssp.PhaseNegotiate, false, []string{"inner-mechanism", "scheme-off"}},
		{3, credssp.PhaseKey, true, []string{"wrong-password", "key-refused", "ntlm-refused"}},
		{4, credssp.PhaseCredentials, true, []string{"wrong-delegated-password", "account-protected", "logon-right"}},
	} {
		t.Run(tc.phase.String(), func(t *testing.T) {
			s := newSession(t, credssp.Config{TLS: &tls.Config{MaxVersion: tls.VersionTLS12}})
			err := run(t, s, newHost(t, protocol.AcceptorConfig{}), bare401(tc.after))
			refused, ok := errors.AsType[*credssp.RefusedError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, tc.phase, refused.Phase)
			assert.Equal(t, tc.presented, s.(auth.Presenter).Presented())
			whole, ok := errors.AsType[*auth.Error](err)
			require.True(t, ok)
			var ids []string
			for _, c := range whole.Causes {
				ids = append(ids, c.ID)
				assert.NotEmpty(t, c.Text)
				assert.NotEmpty(t, c.Check)
			}
			assert.Equal(t, tc.causes, ids)
		})
	}
}

// What we do not accept of a host is told with its cause and what to do.
func TestCausesOfOurRefusal(t *testing.T) {
	oldTLS := &tls.Config{Certificates: []tls.Certificate{newCertificate(t)}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	for name, tc := range map[string]struct {
		host   protocol.AcceptorConfig
		cfg    credssp.Config
		cause  string
		says   string
		phase  credssp.Phase
		remedy string
	}{
		"version before the fix": {protocol.AcceptorConfig{Version: 4}, credssp.Config{}, "credssp-version", "CVE-2018-0886", credssp.PhaseNegotiate, "update"},
		"version below MinVersion": {
			protocol.AcceptorConfig{Version: 5}, credssp.Config{MinVersion: 6}, "credssp-version", "MinVersion", credssp.PhaseNegotiate, "lower MinVersion",
		},
		"no TLS version in common": {protocol.AcceptorConfig{TLS: oldTLS}, credssp.Config{}, "inner-tls", "TLS version", credssp.PhaseTLS, "LegacySuites"},
		"certificate of its own":   {protocol.AcceptorConfig{}, credssp.Config{VerifyCertificate: true}, "inner-certificate", "verified", credssp.PhaseTLS, "Pins"},
		"another certificate": {
			protocol.AcceptorConfig{}, credssp.Config{Pins: []string{strings.Repeat("00", 32)}}, "inner-pin", "in between", credssp.PhaseTLS, "Pins",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t, newSession(t, tc.cfg), newHost(t, tc.host), nil)
			refusal, ok := errors.AsType[*auth.Error](err)
			require.True(t, ok, "%v", err)
			require.Len(t, refusal.Causes, 1)
			assert.Equal(t, tc.cause, refusal.Causes[0].ID)
			assert.Contains(t, refusal.Causes[0].Text, tc.says)
			assert.Contains(t, refusal.Causes[0].Remedy, tc.remedy)
			phase, ok := errors.AsType[*credssp.PhaseError](err)
			require.True(t, ok)
			assert.Equal(t, tc.phase, phase.Phase)
			if v, ok := errors.AsType[*credssp.VersionError](err); ok && v.Got >= 5 {
				assert.NotContains(t, refusal.Causes[0].Text, "CVE")
			}
		})
	}
}

// failing is an inner mechanism that has no first token.
type failing struct{ auth.Mechanism }

type failingSession struct {
	auth.Session
	auth.Sealer
}

var errNoTicket = errors.New("no ticket")

func (m failing) NewSession(p auth.Peer) (auth.Session, error) {
	s, err := m.Mechanism.NewSession(p)
	return failingSession{s, s.(auth.Sealer)}, err
}

func (failingSession) Step(context.Context, auth.Leg) ([]byte, bool, error) {
	return nil, false, errNoTicket
}

// An inner logon that cannot begin is no fault of TLS, and no verdict of the
// host's.
func TestInnerCannotBegin(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newSession(t, credssp.Config{Inner: failing{innerNTLM()}, TLS: &tls.Config{MaxVersion: version}})
		err := run(t, s, newHost(t, protocol.AcceptorConfig{}), nil)
		require.ErrorIs(t, err, errNoTicket)
		phase, ok := errors.AsType[*credssp.PhaseError](err)
		require.True(t, ok)
		assert.Equal(t, credssp.PhaseNegotiate, phase.Phase)
		assert.False(t, phase.Refused())
		assert.NotContains(t, err.Error(), "TLS")
	}
}

func TestErrorCode(t *testing.T) {
	h := newHost(t, protocol.AcceptorConfig{})
	s := newSession(t, credssp.Config{Inner: &bareNTLM{"CORP", "svc", "wrong"}})
	err := run(t, s, h, nil)
	status, ok := errors.AsType[credssp.Status](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "STATUS_LOGON_FAILURE", status.Symbol())
	assert.NotEmpty(t, status.Remedy())
	assert.True(t, s.(auth.Presenter).Presented())
	causes := s.(auth.Explainer).Explain(401, true)
	require.Len(t, causes, 1)
	assert.Equal(t, "status-logon-failure", causes[0].ID)
	_, _, err = s.Step(t.Context(), auth.Leg{Status: 200})
	assert.Error(t, err, "a failed logon stays failed")
	assert.Nil(t, h.Credentials())
}

func TestEarlySuccess(t *testing.T) {
	for after := range 4 {
		n := 0
		s := newSession(t, credssp.Config{})
		err := run(t, s, newHost(t, protocol.AcceptorConfig{}), func(l *auth.Leg) {
			if n++; n > after {
				*l = auth.Leg{Status: http.StatusOK}
			}
		})
		assert.ErrorIs(t, err, credssp.ErrUnexpected)
		assert.False(t, s.(auth.Sealer).Ready())
	}
}

// spied is an inner mechanism that shows for whom it was asked.
type spied struct {
	auth.Mechanism
	peer *auth.Peer
}

func (m spied) NewSession(p auth.Peer) (auth.Session, error) {
	*m.peer = p
	return m.Mechanism.NewSession(p)
}

// The inner logon is bound to the inner TLS by pubKeyAuth, and so not to the
// outer: its certificate may be that of something in between.
func TestInnerKnowsNoOuterTLS(t *testing.T) {
	outer := peer
	outer.Scheme, outer.Seal = "https", false
	outer.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("outer")}}}
	var inner auth.Peer
	s, err := credssp.New(credssp.Config{Credentials: delegated, Inner: spied{innerNTLM(), &inner}}).NewSession(outer)
	require.NoError(t, err)
	defer s.Close()
	assert.Nil(t, inner.TLS)
	assert.True(t, inner.Seal, "pubKeyAuth is sealed, whatever messages are")
	assert.Equal(t, outer.Host, inner.Host)
}

// What comes with the last 200 would be lost, and with it the order of records.
func TestTokenWithSuccess(t *testing.T) {
	s := newSession(t, credssp.Config{})
	err := run(t, s, newHost(t, protocol.AcceptorConfig{}), func(l *auth.Leg) {
		if l.Status == http.StatusOK {
			l.HasToken, l.Token = true, []byte{23, 3, 3, 0, 1, 0}
		}
	})
	assert.ErrorIs(t, err, credssp.ErrUnexpected)
	assert.False(t, s.(auth.Sealer).Ready())
}

func TestPasswordFunc(t *testing.T) {
	asked := 0
	cred := auth.Credentials{User: "svc@corp.example", PasswordFunc: func(context.Context) (string, error) {
		asked++
		return password, nil
	}}
	h := newHost(t, protocol.AcceptorConfig{})
	s, err := credssp.New(credssp.Config{Credentials: cred, Inner: innerNTLM()}).NewSession(peer)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, run(t, s, h, func(l *auth.Leg) {
		if h.legs < 4 {
			assert.Zero(t, asked, "before the host has proved itself")
		}
	}))
	assert.Equal(t, 1, asked)
	assert.Equal(t, "svc@corp.example", protocol.Text(h.Credentials().Password.User))
	assert.Empty(t, h.Credentials().Password.Domain)
}

// A forged proof is no refused password: the gate must not remember it.
func TestVerdict(t *testing.T) {
	for err, refused := range map[error]bool{
		credssp.ErrPeerKey:               false,
		credssp.ErrMalformed:             false,
		credssp.Status(0xc000006d):       true,
		errors.New("the inner logon"):    true,
		fmt.Errorf("x: %w", io.EOF):      true,
		&credssp.VersionError{Got: 2}:    false,
		&auth.PinError{Host: "whatever"}: true,
	} {
		v, ok := errors.AsType[auth.Verdict](fmt.Errorf("wrapped: %w", &credssp.PhaseError{Phase: credssp.PhaseKey, Err: err}))
		require.True(t, ok)
		assert.Equal(t, refused, v.Refused(), "%v", err)
	}
	v, ok := errors.AsType[auth.Verdict](error(&credssp.PhaseError{Phase: credssp.PhaseTLS, Err: io.EOF}))
	require.True(t, ok)
	assert.False(t, v.Refused(), "nothing was put before the host yet")
}

// Bodies of more than one record are cut and put together again.
func TestSealedBodies(t *testing.T) {
	h := newHost(t, protocol.AcceptorConfig{})
	s := newSession(t, credssp.Config{})
	require.NoError(t, run(t, s, h, nil))
	for _, n := range []int{1, 16383, 16384, 16385, 32768, 500_000} {
		plain := bytes.Repeat([]byte("\x17\x03\x03--Encrypted Boundary"), n/23+1)[:n]
		body, contentType, err := httpseal.Seal(nil, s.(auth.Sealer), "application/soap+xml;charset=UTF-8", plain)
		require.NoError(t, err)
		assert.Equal(t, n > 16384, strings.HasPrefix(contentType, "multipart/x-multi-encrypted"))
		got, _, err := httpseal.Open(h, contentType, body)
		require.NoError(t, err, "%d bytes", n)
		assert.True(t, bytes.Equal(plain, got), "%d bytes", n)
	}
	body, contentType, err := httpseal.Seal(nil, s.(auth.Sealer), "application/soap+xml", make([]byte, 40_000))
	require.NoError(t, err)
	for _, n := range []int{300, 17_000, len(body) - 40} {
		_, _, err = httpseal.Open(h, contentType, append(bytes.Clone(body[:n]), "--Encrypted Boundary--\r\n"...))
		require.Error(t, err)
	}
}
