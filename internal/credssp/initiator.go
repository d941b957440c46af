package credssp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
)

// InitiatorConfig is what an [Initiator] needs.
type InitiatorConfig struct {
	// Mech is the inner logon. The Initiator closes it.
	Mech Mech
	// Credentials returns what is delegated. It is called once, after the
	// server's key has been verified.
	Credentials func(context.Context) (*Credentials, error)
	// TLS is the base of the TLS configuration; nil means its defaults. Session
	// resumption is switched off and the certificate is not verified unless
	// VerifyCertificate does it.
	TLS *tls.Config
	// VerifyCertificate judges the server's certificate chain, leaf first. nil
	// takes any: pubKeyAuth binds it to the inner logon.
	VerifyCertificate func([]*x509.Certificate) error
	// MinVersion is the least version of the protocol that is accepted; 0 means
	// SafeVersion.
	MinVersion uint32
	// Version is what we announce; 0 means MaxVersion. Tests lower it.
	Version uint32

	rand io.Reader // nil: crypto/rand
}

// An Initiator is the client's side of one logon and, after it, of the TLS
// session. It is used by one goroutine at a time and must be closed.
type Initiator struct {
	channel
	cfg       InitiatorConfig
	phase     Phase
	settling  bool   // our TLS 1.3 Finished is under way and may get an empty answer
	announced uint32 // version in the server's first TSRequest, 0 before it
	version   uint32 // the version in use
	key       []byte // SubjectPublicKey of the server's certificate
	nonce     []byte
	err       error // the logon has failed
}

// NewInitiator makes an Initiator. No goroutine runs before the first Step.
func NewInitiator(cfg InitiatorConfig) *Initiator {
	if cfg.MinVersion == 0 {
		cfg.MinVersion = SafeVersion
	}
	if cfg.Version == 0 {
		cfg.Version = MaxVersion
	}
	if cfg.rand == nil {
		cfg.rand = rand.Reader
	}
	return &Initiator{cfg: cfg, channel: channel{pump: newPump(tls.Client, clientTLS(&cfg))}}
}

// clientTLS completes the caller's TLS configuration.
func clientTLS(cfg *InitiatorConfig) *tls.Config {
	t := &tls.Config{}
	if cfg.TLS != nil {
		t = cfg.TLS.Clone()
	}
	if t.MinVersion == 0 {
		t.MinVersion = tls.VersionTLS12
	}
	if t.CurvePreferences == nil {
		// The post-quantum key shares would make the first token 2 KB long,
		// and Windows knows none of them.
		t.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}
	}
	t.ClientSessionCache = nil // [MS-CSSP] 3.1.5: no resumption
	t.SessionTicketsDisabled = true
	t.DynamicRecordSizingDisabled = true // one record to a TSRequest
	t.InsecureSkipVerify = true          // see InitiatorConfig.VerifyCertificate
	t.VerifyPeerCertificate = nil
	verify := cfg.VerifyCertificate
	t.VerifyConnection = func(state tls.ConnectionState) error {
		if verify == nil {
			return nil
		}
		return verify(state.PeerCertificates)
	}
	return t
}

// Phase tells how far the logon is.
func (i *Initiator) Phase() Phase { return i.phase }

// Settling reports that the flight in flight was the end of a TLS 1.3
// handshake. A server may have nothing to say to it, and then its answer is
// easily mistaken for a refusal.
func (i *Initiator) Settling() bool { return i.settling }

// Version is the protocol version in use, 0 before the server named its own.
func (i *Initiator) Version() int { return int(i.version) }

// ConnectionState describes the TLS session.
func (i *Initiator) ConnectionState() tls.ConnectionState { return i.pump.conn.ConnectionState() }

// Step takes the server's flight, nil at the start, and returns ours. When the
// flight with the credentials has been returned, Phase is PhaseCredentials; the
// server's consent is the carrier's to see ([Initiator.Finish]). A flight that
// comes with an error is to be sent (a TLS alert); no later leg ever is.
func (i *Initiator) Step(ctx context.Context, in []byte) (out []byte, err error) {
	if i.err != nil {
		return nil, i.err
	}
	failed := &PhaseError{Phase: i.phase}
	out, err = i.step(ctx, in)
	if err != nil {
		if failed.Phase == PhaseTLS { // the end of TLS is where the inner logon begins
			failed.Phase, failed.unheard = i.phase, true
		}
		failed.Err = err
		i.err = failed
		return out, i.err
	}
	return out, nil
}

// Finish says that the server accepted the credentials.
func (i *Initiator) Finish() error {
	if i.err != nil {
		return i.err
	}
	if i.phase != PhaseCredentials {
		return &PhaseError{Phase: i.phase, Err: fmt.Errorf("%w: the server ended the logon too early", ErrUnexpected)}
	}
	i.phase = PhaseDone
	return nil
}

// Close frees the Initiator and its inner logon.
func (i *Initiator) Close() error {
	i.pump.close()
	if i.err == nil {
		i.err = ErrClosed
	}
	return i.cfg.Mech.Close()
}

func (i *Initiator) step(ctx context.Context, in []byte) ([]byte, error) {
	if i.phase == PhaseTLS && !i.settling {
		out, done, err := i.pump.handshake(in)
		switch {
		case err != nil:
			return out, err
		case !done && len(out) == 0:
			return nil, fmt.Errorf("%w: TLS flight cut short", ErrUnexpected)
		case !done:
			return out, nil
		}
		if err := i.secured(); err != nil {
			return nil, err
		}
		if len(out) > 0 {
			// TLS 1.3: our Finished is a flight of its own.
			i.settling = true
			return out, nil
		}
		in = nil
	}
	msg, err := i.open(in)
	if err != nil {
		return nil, err
	}
	if i.phase == PhaseTLS {
		i.settling = false
		if len(msg) == 0 {
			i.phase = PhaseNegotiate
			return i.negotiate(ctx, nil)
		}
	}
	req, err := i.answer(msg)
	if err != nil {
		return nil, err
	}
	switch i.phase {
	case PhaseNegotiate:
		return i.negotiate(ctx, req)
	case PhaseKey:
		return i.delegate(ctx, req)
	}
	return nil, fmt.Errorf("%w: TSRequest", ErrUnexpected)
}

// secured is called when the TLS handshake is complete.
func (i *Initiator) secured() error {
	state := i.pump.conn.ConnectionState()
	if state.DidResume || len(state.PeerCertificates) == 0 {
		return fmt.Errorf("%w: TLS session without a certificate", ErrUnexpected)
	}
	if state.Version < tls.VersionTLS11 && cbcBlockLen(state.CipherSuite) != 0 {
		return ErrRecordSplit
	}
	i.channel.nonce = explicitNonceLen(state.Version, state.CipherSuite)
	key, err := SubjectPublicKey(state.PeerCertificates[0])
	i.key = key
	return err
}

// answer reads a TSRequest of the server: its error first, then its version.
func (i *Initiator) answer(msg []byte) (*Request, error) {
	if len(msg) == 0 {
		return nil, fmt.Errorf("%w: the server sent no TSRequest", ErrUnexpected)
	}
	req, err := ParseRequest(msg)
	if err != nil {
		return nil, err
	}
	if req.ErrorCode != 0 {
		return nil, req.ErrorCode
	}
	if i.announced == 0 {
		i.announced = req.Version
		i.version = min(req.Version, i.cfg.Version)
	}
	if req.Version != i.announced {
		return nil, &VersionError{Got: req.Version, First: i.announced}
	}
	if i.version < i.cfg.MinVersion {
		return nil, &VersionError{Got: req.Version, Min: i.cfg.MinVersion}
	}
	if req.AuthInfo != nil {
		return nil, fmt.Errorf("%w: authInfo from the server", ErrUnexpected)
	}
	return req, nil
}

// negotiate carries the tokens of the inner logon. The last one travels together
// with pubKeyAuth ([MS-CSSP] 3.1.5). req is nil at the start.
func (i *Initiator) negotiate(ctx context.Context, req *Request) ([]byte, error) {
	var token []byte
	if req != nil {
		var err error
		if token, err = req.token(); err != nil {
			return nil, err
		}
		if req.PubKeyAuth != nil {
			return nil, fmt.Errorf("%w: pubKeyAuth before ours", ErrUnexpected)
		}
	}
	var out []byte
	if req == nil || len(token) > 0 {
		var err error
		if out, err = i.cfg.Mech.Step(ctx, token); err != nil {
			return i.lastWord(out), err
		}
	} else if !i.cfg.Mech.Ready() {
		return nil, fmt.Errorf("%w: TSRequest without a token", ErrUnexpected)
	}
	// Before the server's first TSRequest its version is unknown, and with it
	// the form of pubKeyAuth.
	if req == nil || !i.cfg.Mech.Ready() {
		if len(out) == 0 {
			return nil, fmt.Errorf("%w: the inner logon has nothing to send", ErrUnexpected)
		}
		return i.send(&Request{NegoTokens: [][]byte{out}})
	}
	return i.bind(out)
}

// bind sends our half of the proof that TLS and inner logon end at the same
// server.
func (i *Initiator) bind(token []byte) ([]byte, error) {
	req := &Request{}
	if len(token) > 0 {
		req.NegoTokens = [][]byte{token}
	}
	if i.version >= SafeVersion {
		i.nonce = make([]byte, nonceLen)
		if _, err := io.ReadFull(i.cfg.rand, i.nonce); err != nil {
			return nil, err
		}
		req.ClientNonce = i.nonce
	}
	var err error
	req.PubKeyAuth, err = i.cfg.Mech.Wrap(nil, clientPubKey(i.version, i.nonce, i.key))
	if err != nil {
		return nil, err
	}
	i.phase = PhaseKey
	return i.send(req)
}

// delegate verifies the server's half and then, and only then, sends the
// credentials.
func (i *Initiator) delegate(ctx context.Context, req *Request) ([]byte, error) {
	token, err := req.token()
	if err != nil {
		return nil, err
	}
	if len(token) > 0 {
		// The server's mechListMIC. It is verified before pubKeyAuth is unsealed,
		// because NTLM's cipher restarts after it.
		out, err := i.cfg.Mech.Step(ctx, token)
		if err != nil {
			return nil, err
		}
		if len(out) > 0 {
			return nil, fmt.Errorf("%w: the inner logon goes on after pubKeyAuth", ErrUnexpected)
		}
	}
	if req.PubKeyAuth == nil {
		return nil, fmt.Errorf("%w: no pubKeyAuth", ErrUnexpected)
	}
	got, err := i.cfg.Mech.Unwrap(req.PubKeyAuth)
	if err != nil {
		return nil, err
	}
	if !equal(got, serverPubKey(i.version, i.nonce, i.key)) {
		return nil, ErrPeerKey
	}
	if !i.cfg.Mech.Done() {
		// [MS-CSSP] 3.1.5 has no token here; Windows sends one.
		if err := i.cfg.Mech.Finish(ctx); err != nil {
			return nil, err
		}
	}
	creds, err := i.cfg.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	plain := creds.Append(nil)
	creds.wipe()
	info, err := i.cfg.Mech.Wrap(nil, plain)
	clear(plain)
	if err != nil {
		return nil, err
	}
	i.phase = PhaseCredentials
	return i.send(&Request{AuthInfo: info})
}

func (i *Initiator) send(req *Request) ([]byte, error) {
	req.Version = i.cfg.Version
	return i.seal(req.Append(nil))
}

// lastWord sends the token with which the inner logon gives up, if there is one.
func (i *Initiator) lastWord(token []byte) []byte {
	if len(token) == 0 {
		return nil
	}
	out, err := i.send(&Request{NegoTokens: [][]byte{token}})
	if err != nil {
		return nil
	}
	return out
}
