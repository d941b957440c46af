package credssp

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/big"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain fails the package when a goroutine is left: every handshake of every
// test, finished or abandoned, must have ended with its Close.
func TestMain(m *testing.M) {
	code := m.Run()
	for range 100 {
		if runtime.NumGoroutine() <= 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); code == 0 && n > 2 {
		buf := make([]byte, 1<<16)
		os.Stderr.Write(buf[:runtime.Stack(buf, true)])
		code = 1
	}
	os.Exit(code)
}

// vectors reads testdata/vectors.txt.
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	f, err := os.Open("testdata/vectors.txt")
	require.NoError(t, err)
	defer f.Close()
	rows := map[string][]byte{}
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, ok := strings.Cut(s.Text(), " = ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		rows[name], err = hex.DecodeString(value)
		require.NoError(t, err, name)
	}
	return rows
}

func newCertificate(t testing.TB, key crypto.Signer) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "SRV1"},
		DNSNames:     []string{"srv1.corp.example"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func rsaCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := rsaKey()
	require.NoError(t, err)
	return newCertificate(t, key)
}

func ecdsaCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return newCertificate(t, key)
}

// errWrongPassword is how a toyMech refuses.
var errWrongPassword = errors.New("toy: wrong password")

// errUnfinished is what a toyMech says without the last token.
var errUnfinished = errors.New("toy: the server's last token is missing")

// A toyMech is an inner logon in the shape of NTLM inside SPNEGO: two tokens of
// the client, one of the server, and a last one of the server that travels with
// its pubKeyAuth. Messages are sealed by AES-GCM under a key from the password
// and both nonces, and numbered, so that nothing can be replayed or reordered.
type toyMech struct {
	accept    bool
	short     bool // like Kerberos: one token each, done after it
	talks     bool // does not end where it should
	password  string
	nonces    []byte
	leg       int
	in, out   uint64
	closed    bool
	wrapped   [][]byte // plaintexts given to Wrap, for assertions
	finishMAC []byte
}

var _ Mech = (*toyMech)(nil)

func (m *toyMech) Step(_ context.Context, token []byte) ([]byte, error) {
	m.leg++
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	switch {
	case !m.accept && m.leg == 1:
		m.nonces = nonce
		return nonce, nil
	case m.accept && m.leg == 1:
		m.nonces = append(bytes.Clone(token), nonce...)
		return nonce, nil
	case !m.accept && m.leg == 2:
		m.nonces = append(m.nonces, token...)
		if m.short {
			return nil, nil
		}
		return m.mac("client"), nil
	case m.accept && m.leg == 2 && !m.short:
		if !hmac.Equal(token, m.mac("client")) {
			return nil, errWrongPassword
		}
		return m.mac("server"), nil
	case !m.accept && m.leg == 3 && !m.short:
		if !hmac.Equal(token, m.mac("server")) {
			return nil, errWrongPassword
		}
		m.finishMAC = token
		if m.talks {
			return []byte("one more thing"), nil
		}
		return nil, nil
	}
	return nil, errors.New("toy: too many legs")
}

func (m *toyMech) Finish(context.Context) error { return errUnfinished }

func (m *toyMech) mac(role string) []byte {
	h := hmac.New(sha256.New, []byte(m.password))
	h.Write([]byte(role))
	h.Write(m.nonces)
	return h.Sum(nil)
}

func (m *toyMech) Ready() bool { return m.leg >= 2 || m.accept && m.short && m.leg == 1 }

func (m *toyMech) Done() bool {
	if m.short || m.accept {
		return m.Ready()
	}
	return m.leg >= 3
}

func (m *toyMech) aead() cipher.AEAD {
	block, err := aes.NewCipher(m.mac("key"))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func (m *toyMech) nonce(sending bool, n uint64) []byte {
	nonce := make([]byte, 12)
	if sending == m.accept {
		nonce[0] = 1
	}
	binary.BigEndian.PutUint64(nonce[4:], n)
	return nonce
}

func (m *toyMech) Wrap(dst, plain []byte) ([]byte, error) {
	m.wrapped = append(m.wrapped, bytes.Clone(plain))
	m.out++
	return m.aead().Seal(dst, m.nonce(true, m.out), plain, nil), nil
}

func (m *toyMech) Unwrap(buf []byte) ([]byte, error) {
	m.in++
	plain, err := m.aead().Open(nil, m.nonce(false, m.in), buf, nil)
	if err != nil {
		return nil, errWrongPassword
	}
	return plain, nil
}

func (m *toyMech) Close() error {
	m.closed = true
	return nil
}

const testPassword = "Pä$$wörd \x00\"'<&>%\u2028😀"

func passwordCredentials(context.Context) (*Credentials, error) {
	return &Credentials{Type: CredPassword, Password: &PasswordCreds{
		Domain: UTF16("CORP"), User: UTF16("svc"), Password: UTF16(testPassword),
	}}, nil
}

// A pair is a client and a server without anything between them.
type pair struct {
	client     *Initiator
	server     *Acceptor
	clientMech *toyMech
	serverMech *toyMech
}

func newPair(t testing.TB, ic InitiatorConfig, ac AcceptorConfig) *pair {
	t.Helper()
	p := &pair{clientMech: &toyMech{password: "logon"}, serverMech: &toyMech{accept: true, password: "logon"}}
	if m, ok := ic.Mech.(*toyMech); ok {
		p.clientMech = m
	}
	if m, ok := ac.Mech.(*toyMech); ok {
		p.serverMech = m
	}
	ic.Mech, ac.Mech = p.clientMech, p.serverMech
	if ic.Credentials == nil {
		ic.Credentials = passwordCredentials
	}
	if ac.TLS == nil {
		ac.TLS = &tls.Config{Certificates: []tls.Certificate{rsaCertificate(t)}}
	}
	p.client = NewInitiator(ic)
	var err error
	p.server, err = NewAcceptor(ac)
	require.NoError(t, err)
	t.Cleanup(func() { p.close() })
	return p
}

func (p *pair) close() {
	_ = p.client.Close()
	_ = p.server.Close()
}

// A leg is one flight of each side.
type leg struct {
	request, answer      []byte
	clientErr, serverErr error
	done                 bool
}

// step does one leg.
func (p *pair) step(ctx context.Context, in []byte) leg {
	var l leg
	l.request, l.clientErr = p.client.Step(ctx, in)
	if l.clientErr != nil && l.request == nil {
		return l
	}
	l.answer, l.done, l.serverErr = p.server.Step(ctx, l.request)
	return l
}

// run does legs until one side is done or fails. between may change the answer.
func (p *pair) run(t testing.TB, between func(n int, l *leg)) (legs []leg) {
	t.Helper()
	var in []byte
	for n := range 12 {
		l := p.step(t.Context(), in)
		if between != nil {
			between(n, &l)
		}
		legs = append(legs, l)
		if l.clientErr != nil || l.done {
			return legs
		}
		if l.serverErr != nil && l.answer == nil {
			return legs
		}
		in = l.answer
	}
	t.Fatal("the logon does not end")
	return nil
}

// logon runs a logon that must succeed.
func (p *pair) logon(t testing.TB) []leg {
	t.Helper()
	legs := p.run(t, nil)
	last := legs[len(legs)-1]
	require.NoError(t, last.clientErr)
	require.NoError(t, last.serverErr)
	require.True(t, last.done)
	require.Empty(t, last.answer, "the credentials are answered by HTTP 200, not by a token")
	require.Equal(t, PhaseCredentials, p.client.Phase())
	require.NoError(t, p.client.Finish())
	return legs
}
