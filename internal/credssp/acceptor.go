package credssp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// AcceptorConfig is what an [Acceptor] needs.
type AcceptorConfig struct {
	// Mech is the accepting side of the inner logon. The Acceptor closes it.
	Mech Mech
	// TLS has the server's one certificate (its key is what the logon is bound
	// to) and the TLS versions. Resumption never happens.
	TLS *tls.Config
	// MinVersion is the least version that clients may speak; 0 means
	// MinVersion, the constant.
	MinVersion uint32
	// Version is what we announce; 0 means MaxVersion.
	Version uint32
}

// An Acceptor is the server's side of one logon and, after it, of the TLS
// session. It is used by one goroutine at a time and must be closed.
type Acceptor struct {
	channel
	cfg       AcceptorConfig
	phase     Phase
	announced uint32
	version   uint32
	key       []byte
	creds     *Credentials
	err       error
}

// NewAcceptor makes an Acceptor. No goroutine runs before the first Step.
func NewAcceptor(cfg AcceptorConfig) (*Acceptor, error) {
	if cfg.MinVersion == 0 {
		cfg.MinVersion = MinVersion
	}
	if cfg.Version == 0 {
		cfg.Version = MaxVersion
	}
	if cfg.TLS == nil || len(cfg.TLS.Certificates) != 1 || len(cfg.TLS.Certificates[0].Certificate) == 0 {
		return nil, errors.New("credssp: an acceptor has exactly one certificate")
	}
	leaf, err := x509.ParseCertificate(cfg.TLS.Certificates[0].Certificate[0])
	if err != nil {
		return nil, err
	}
	key, err := SubjectPublicKey(leaf)
	if err != nil {
		return nil, err
	}
	return &Acceptor{cfg: cfg, key: key, channel: channel{pump: newPump(tls.Server, serverTLS(cfg.TLS))}}, nil
}

// serverTLS completes the caller's TLS configuration. Nothing can be resumed:
// tickets are off, and where they are on their key lives and dies with this one
// connection.
func serverTLS(base *tls.Config) *tls.Config {
	t := base.Clone()
	t.DynamicRecordSizingDisabled = true
	t.SessionTicketsDisabled = true
	t.ClientAuth = tls.NoClientCert
	t.GetCertificate, t.GetConfigForClient = nil, nil
	if t.MaxVersion != 0 && t.MaxVersion < tls.VersionTLS13 {
		return t
	}
	// Some clients (requests-credssp) take an empty answer to the Finished of
	// TLS 1.3 for a refusal. crypto/tls answers it with a session ticket only if
	// it had to wait for the client's certificate, so that is asked for.
	tickets := t.Clone()
	tickets.SessionTicketsDisabled = false
	tickets.ClientAuth = tls.RequestClientCert
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails, see crypto/rand
	tickets.SetSessionTicketKeys([][32]byte{key})
	t.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
			return tickets, nil
		}
		return nil, nil
	}
	return t
}

// Phase tells how far the logon is.
func (a *Acceptor) Phase() Phase { return a.phase }

// Version is the protocol version in use, 0 before the client named its own.
func (a *Acceptor) Version() int { return int(a.version) }

// ConnectionState describes the TLS session.
func (a *Acceptor) ConnectionState() tls.ConnectionState { return a.pump.conn.ConnectionState() }

// Credentials returns what the client delegated, nil before the logon is done.
func (a *Acceptor) Credentials() *Credentials { return a.creds }

// Step takes the client's flight and returns ours, which may be empty. done says
// that the credentials have arrived. A flight that comes with an error is to be
// sent: an errorCode or a TLS alert.
func (a *Acceptor) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	if a.err != nil {
		return nil, false, a.err
	}
	phase := a.phase
	out, err = a.step(ctx, in)
	if err != nil {
		if out == nil {
			out = a.refusal(err)
		}
		a.err = &PhaseError{Phase: phase, Err: err}
		return out, false, a.err
	}
	return out, a.phase == PhaseDone, nil
}

// Close frees the Acceptor and its inner logon.
func (a *Acceptor) Close() error {
	a.pump.close()
	if a.err == nil {
		a.err = ErrClosed
	}
	return a.cfg.Mech.Close()
}

func (a *Acceptor) step(ctx context.Context, in []byte) ([]byte, error) {
	if a.phase != PhaseTLS {
		msg, err := a.open(in)
		if err != nil {
			return nil, err
		}
		return a.request(ctx, msg)
	}
	out, done, err := a.pump.handshake(in)
	switch {
	case err != nil:
		return out, err
	case !done && len(out) == 0:
		return nil, fmt.Errorf("%w: TLS flight cut short", ErrUnexpected)
	case !done:
		return out, nil
	}
	state := a.pump.conn.ConnectionState()
	a.channel.nonce = explicitNonceLen(state.Version, state.CipherSuite)
	a.phase = PhaseNegotiate
	// A client may send its first TSRequest along with the end of its handshake.
	msg, err := a.open(nil)
	if err != nil || len(msg) == 0 {
		return out, err
	}
	answer, err := a.request(ctx, msg)
	if err != nil && answer == nil {
		answer = a.refusal(err)
	}
	return append(out, answer...), err
}

func (a *Acceptor) request(ctx context.Context, msg []byte) ([]byte, error) {
	if len(msg) == 0 {
		return nil, fmt.Errorf("%w: the client sent no TSRequest", ErrUnexpected)
	}
	req, err := ParseRequest(msg)
	if err != nil {
		return nil, err
	}
	if a.announced == 0 {
		a.announced = req.Version
		a.version = min(req.Version, a.cfg.Version)
	}
	switch {
	case req.Version != a.announced:
		return nil, &VersionError{Got: req.Version, First: a.announced}
	case a.version < a.cfg.MinVersion:
		return nil, &VersionError{Got: req.Version, Min: a.cfg.MinVersion}
	case req.ErrorCode != 0:
		return nil, req.ErrorCode
	case a.phase == PhaseNegotiate:
		return a.negotiate(ctx, req)
	case a.phase == PhaseCredentials:
		return nil, a.receive(req)
	}
	return nil, fmt.Errorf("%w: TSRequest", ErrUnexpected)
}

func (a *Acceptor) negotiate(ctx context.Context, req *Request) ([]byte, error) {
	token, err := req.token()
	if err != nil {
		return nil, err
	}
	if req.AuthInfo != nil {
		return nil, fmt.Errorf("%w: authInfo before pubKeyAuth", ErrUnexpected)
	}
	var out []byte
	if len(token) > 0 || req.PubKeyAuth == nil {
		if out, err = a.cfg.Mech.Step(ctx, token); err != nil {
			return nil, err
		}
	}
	if req.PubKeyAuth == nil {
		return a.send(&Request{NegoTokens: [][]byte{out}})
	}
	return a.prove(req, out)
}

// prove verifies the client's half of the key binding and answers with ours.
// token is the last of the inner logon, usually the mechListMIC.
func (a *Acceptor) prove(req *Request, token []byte) ([]byte, error) {
	if !a.cfg.Mech.Done() {
		return nil, fmt.Errorf("%w: pubKeyAuth before the inner logon is complete", ErrUnexpected)
	}
	if a.version >= SafeVersion && len(req.ClientNonce) != nonceLen {
		return nil, malformed("clientNonce of %d bytes", len(req.ClientNonce))
	}
	got, err := a.cfg.Mech.Unwrap(req.PubKeyAuth)
	if err != nil {
		return nil, err
	}
	if !equal(got, clientPubKey(a.version, req.ClientNonce, a.key)) {
		return nil, ErrPeerKey
	}
	answer := &Request{}
	if len(token) > 0 {
		answer.NegoTokens = [][]byte{token}
	}
	answer.PubKeyAuth, err = a.cfg.Mech.Wrap(nil, serverPubKey(a.version, req.ClientNonce, a.key))
	if err != nil {
		return nil, err
	}
	a.phase = PhaseCredentials
	return a.send(answer)
}

// receive takes the credentials.
func (a *Acceptor) receive(req *Request) error {
	if req.AuthInfo == nil {
		return fmt.Errorf("%w: no authInfo", ErrUnexpected)
	}
	plain, err := a.cfg.Mech.Unwrap(req.AuthInfo)
	if err != nil {
		return err
	}
	if a.creds, err = ParseCredentials(plain); err != nil {
		return err
	}
	a.phase = PhaseDone
	return nil
}

func (a *Acceptor) send(req *Request) ([]byte, error) {
	req.Version = a.cfg.Version
	return a.seal(req.Append(nil))
}

// refusal tells the client why, in the versions that have an errorCode
// ([MS-CSSP] section 2.2.1: 3, 4 and 6). nil otherwise.
func (a *Acceptor) refusal(err error) []byte {
	if !a.pump.done || a.pump.err != nil || a.version < 3 || a.version == 5 {
		return nil
	}
	code := SecInvalidToken
	status, ok := errors.AsType[Status](err)
	_, version := errors.AsType[*VersionError](err)
	coded, hasCode := errors.AsType[interface {
		error
		NTStatus() uint32
	}](err)
	switch {
	case ok:
		code = status
	case hasCode:
		code = Status(coded.NTStatus())
	case version:
		code = StatusNotSupported
	case errors.Is(err, ErrPeerKey):
		code = SecMessageAltered
	case a.phase == PhaseNegotiate && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnexpected):
		code = StatusLogonFailure
	}
	out, err := a.send(&Request{ErrorCode: code})
	if err != nil {
		return nil
	}
	return out
}
