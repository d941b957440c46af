package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/winrmkit/winrmkit/internal/chanbind"
	"github.com/winrmkit/winrmkit/internal/ntlm"
	"github.com/winrmkit/winrmkit/internal/spnego"
)

// schemeNegotiate is the scheme word of NTLM, with SPNEGO around it and
// without.
const schemeNegotiate = "Negotiate"

// NTLM logs on with NTLMv2, for hosts outside a domain and where no KDC can be
// reached. Over http it seals the messages, over https it binds the logon to
// the server's certificate.
//
// Two round trips make a logon. The tokens go without SPNEGO around them, which
// WinRM takes; inside [Negotiate] they have it.
//
// NTLM does not know which server it talks to: over http somebody in between
// who relays the logon to another host is kept from reading and changing
// messages, and from nothing else. Kerberos is better where it works.
func NTLM(c Credentials) Mechanism { return &ntlmMechanism{cred: c.hidden(), logon: c.Logon()} }

type ntlmMechanism struct {
	cred  func() Credentials
	logon *Logon
}

func (m *ntlmMechanism) Name() string   { return "NTLM" }
func (m *ntlmMechanism) Scheme() string { return schemeNegotiate }
func (m *ntlmMechanism) Logon() *Logon  { return m.logon }

// alias is the word of those who offer NTLM alone, proxies above all.
func (m *ntlmMechanism) alias() string { return "NTLM" }

func (m *ntlmMechanism) NewSession(p Peer) (Session, error) {
	initiator, err := m.initiator(p)
	if err != nil {
		return nil, err
	}
	return &ntlmSession{Initiator: initiator, peer: p}, nil
}

// NewContext makes NTLM part of a SPNEGO negotiation.
func (m *ntlmMechanism) NewContext(p Peer) (spnego.Context, error) { return m.initiator(p) }

func (m *ntlmMechanism) initiator(p Peer) (*ntlm.Initiator, error) {
	domain, user := m.cred().Account()
	if user == "" {
		return nil, errors.New("auth: NTLM: credentials without a user name")
	}
	binding, err := channelBinding(p)
	if err != nil {
		return nil, err
	}
	return ntlm.NewInitiator(ntlm.InitiatorConfig{
		Domain: domain, User: user, Secret: m.secret,
		Workstation:    workstation(),
		TargetName:     "HTTP/" + p.Host,
		ChannelBinding: binding,
		Seal:           p.Seal,
	})
}

// secret returns the NT hash, by the same precedence as the gate's key.
func (m *ntlmMechanism) secret(ctx context.Context) (ntlm.Hash, error) {
	if m.cred().PasswordFunc == nil && m.cred().Password == "" && len(m.cred().NTHash) > 0 {
		var hash ntlm.Hash
		if len(m.cred().NTHash) != len(hash) {
			return hash, fmt.Errorf("auth: NTLM: NTHash has %d bytes, not %d", len(m.cred().NTHash), len(hash))
		}
		copy(hash[:], m.cred().NTHash)
		return hash, nil
	}
	password, err := m.cred().Secret(ctx)
	if err != nil {
		return ntlm.Hash{}, err
	}
	return ntlm.PasswordHash(password)
}

// channelBinding is what ties a logon to the connection: nil over clear http.
func channelBinding(p Peer) ([]byte, error) {
	if p.TLS == nil || len(p.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	return chanbind.ServerEndPoint(p.TLS.PeerCertificates[0].Raw)
}

// workstation is this computer's NetBIOS name, for the server's event log: it
// tells administrators where failed logons come from.
var workstation = sync.OnceValue(func() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	name, _, _ = strings.Cut(name, ".")
	name = strings.ToUpper(name)
	return name[:min(len(name), 15)]
})

// ntlmSession is NTLM without SPNEGO. The last word is the client's.
type ntlmSession struct {
	*ntlm.Initiator
	peer Peer
}

func (s *ntlmSession) Step(ctx context.Context, in Leg) (out []byte, done bool, err error) {
	switch {
	case in.HasToken && len(in.Token) > 0 && in.Token[0] == negTokenResp:
		return nil, false, &Error{Err: errSPNEGO, Causes: []Cause{{
			ID: "spnego-only", Text: "the server insists on SPNEGO", Remedy: "use Negotiate(NTLM(credentials))",
		}}}
	case in.First, in.HasToken:
		return s.Initiator.Step(ctx, in.Token)
	case isSuccess(in.Status):
		return nil, false, errUnwanted
	default:
		return nil, false, &Error{Err: errNoChallenge, Causes: noChallengeCauses()}
	}
}

func (s *ntlmSession) Close() error { return nil }

func (s *ntlmSession) Ready() bool      { return s.CanSeal() }
func (s *ntlmSession) Protocol() string { return sealedSPNEGO }
func (s *ntlmSession) MaxPlain() int    { return 0 }

func (s *ntlmSession) Explain(_ int, presented bool) []Cause {
	if !presented {
		return noChallengeCauses()
	}
	return ntlmCauses(s.peer)
}

// sealedSPNEGO is the media type of sealed messages under the scheme word
// Negotiate, whatever mechanism seals ([MS-WSMV] section 2.2.9.1.1.2.1).
const sealedSPNEGO = "application/HTTP-SPNEGO-session-encrypted"

// negTokenResp is the first byte of SPNEGO's answer (RFC 4178 section 4.2).
const negTokenResp = 0xa1

var (
	errSPNEGO      = errors.New("the server answered NTLM with SPNEGO around it")
	errNoChallenge = errors.New("the server did not take up the logon")
	errUnwanted    = errors.New("the server let the request pass before the logon: it is no WinRM listener, or something in between answered")
)

var (
	_ Accounter = (*ntlmMechanism)(nil)
	_ aliased   = (*ntlmMechanism)(nil)
	_ Sealer    = (*ntlmSession)(nil)
	_ Presenter = (*ntlmSession)(nil)
	_ Explainer = (*ntlmSession)(nil)
)
