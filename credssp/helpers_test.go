package credssp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/ntlm"
)

// A bareNTLM is a mechanism of three dozen lines: what an inner logon needs to
// be, and no more.
type bareNTLM struct {
	domain, user, password string
}

func (m *bareNTLM) Name() string   { return "NTLM" }
func (m *bareNTLM) Scheme() string { return "Negotiate" }

func (m *bareNTLM) NewSession(p auth.Peer) (auth.Session, error) {
	i, err := ntlm.NewInitiator(ntlm.InitiatorConfig{
		Domain: m.domain, User: m.user, TargetName: "HTTP/" + p.Host, Seal: p.Seal,
		Secret: func(context.Context) (ntlm.Hash, error) { return ntlm.PasswordHash(m.password) },
	})
	return &bareSession{Initiator: i}, err
}

type bareSession struct {
	*ntlm.Initiator
	legs int
}

func (s *bareSession) Step(ctx context.Context, in auth.Leg) ([]byte, bool, error) {
	s.legs++
	return s.Initiator.Step(ctx, in.Token)
}

func (s *bareSession) Close() error     { return nil }
func (s *bareSession) Ready() bool      { return s.CanSeal() }
func (s *bareSession) Presented() bool  { return s.legs > 1 }
func (s *bareSession) Protocol() string { return "" }
func (s *bareSession) MaxPlain() int    { return 0 }

func newCertificate(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "SRV1"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
