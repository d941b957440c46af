package ntlm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"io"
	"time"
)

// BindingLevel is how much an acceptor asks of a client's channel binding; the
// names are those of WinRM's CbtHardeningLevel.
type BindingLevel int

// The levels.
const (
	BindingNone    BindingLevel = iota // not looked at
	BindingRelaxed                     // refused if it is there and wrong
	BindingStrict                      // refused if it is wrong or not there
)

// AcceptorConfig tells who the server is and whom it knows.
type AcceptorConfig struct {
	// Lookup returns the NT hash of an account's password, or ErrNoUser.
	Lookup func(ctx context.Context, domain, user string) (Hash, error)

	// ComputerName and DomainName are the NetBIOS names of the server; without
	// them most clients refuse to seal. The others may be empty.
	ComputerName, DomainName       string
	DNSComputerName, DNSDomainName string
	ChannelBinding                 []byte // application data of the TLS channel, nil without one
	BindingLevel                   BindingLevel
	CheckTarget                    func(spn string) error // nil: any target name will do
	WithoutTimestamp               bool                   // as servers before Vista: then clients send no MIC
	Without                        Flags                  // abilities that the server does not have
	Rand                           io.Reader              // nil: crypto/rand
	Now                            func() time.Time       // nil: time.Now

	more avList // further pairs in the challenge
}

// maxAge is how old a response may be, the MaxLifetime of [MS-NLMP].
const maxAge = 36 * time.Hour

// An Acceptor lets one client in: Step is called for each of its messages. Then
// it is a [Session].
type Acceptor struct {
	Session
	cfg       AcceptorConfig
	negotiate []byte
	challenge []byte
	offered   Flags
	pairs     avList // what the challenge told
	nonce     [8]byte
	state     state
	client    Client
}

// Client is who logged on, or tried to.
type Client struct {
	Domain, User, Workstation string
	TargetName                string // the server's name as the client knows it
	MIC                       bool   // the messages were protected by a MIC
	Bound                     bool   // the right channel binding was sent
}

// NewAcceptor does no I/O.
func NewAcceptor(cfg AcceptorConfig) (*Acceptor, error) {
	if err := checkFIPS(); err != nil {
		return nil, err
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Acceptor{cfg: cfg}, nil
}

// OIDs returns the object identifier of NTLM in SPNEGO.
func (s *Acceptor) OIDs() []string { return []string{OID} }

// Client tells who the client says to be; once Step said done, it is true. It is
// known when an AUTHENTICATE message could be read.
func (s *Acceptor) Client() Client { return s.client }

// MessageMIC reports whether the client's AUTHENTICATE message carried a MIC.
func (s *Acceptor) MessageMIC() bool { return s.client.MIC }

// Step takes the client's next message and returns the answer, if there is one.
func (s *Acceptor) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	switch s.state {
	case stateNew:
		s.state = stateWaiting
		out, err = s.challengeFor(in)
		if err != nil {
			s.state = stateDone
		}
		return out, false, err
	case stateWaiting:
		s.state = stateDone
		err = s.authenticate(ctx, in)
		return nil, err == nil, err
	default:
		return nil, false, ErrOutOfTurn
	}
}

// challengeFor answers a NEGOTIATE message, section 3.2.5.1.1.
func (s *Acceptor) challengeFor(in []byte) ([]byte, error) {
	m, err := parseNegotiate(in)
	if err != nil {
		return nil, err
	}
	s.negotiate = bytes.Clone(in)
	able := (offeredFlags | FlagSeal) &^ s.cfg.Without
	if !m.flags.Has(FlagUnicode) {
		able |= FlagOEM
	}
	s.offered = m.flags & able
	if missing := leastOf(s.offered) &^ m.flags; missing != 0 {
		return nil, &FlagsError{Missing: missing, Offered: m.flags}
	}
	if _, err := io.ReadFull(s.cfg.Rand, s.nonce[:]); err != nil {
		return nil, err
	}
	c := challengeMessage{
		flags:     s.offered | (FlagTargetInfo|FlagTargetServer)&^s.cfg.Without,
		challenge: s.nonce,
		version:   version,
	}
	if c.targetName, err = encodeText(s.offered, s.cfg.ComputerName); err != nil {
		return nil, err
	}
	if c.flags.Has(FlagTargetInfo) {
		if s.pairs, err = s.targetInfo(); err != nil {
			return nil, err
		}
		c.targetInfo = s.pairs.append(nil)
	}
	if !fits(c.targetName, c.targetInfo) {
		return nil, &MessageError{"CHALLENGE", "a field is longer than 64 KiB"}
	}
	s.challenge = c.append(nil)
	return bytes.Clone(s.challenge), nil
}

func (s *Acceptor) targetInfo() (avList, error) {
	var pairs avList
	for _, name := range []struct {
		id   uint16
		text string
	}{
		{avNbDomainName, s.cfg.DomainName},
		{avNbComputerName, s.cfg.ComputerName},
		{avDNSDomainName, s.cfg.DNSDomainName},
		{avDNSComputerName, s.cfg.DNSComputerName},
	} {
		if name.text == "" {
			continue
		}
		value, err := utf16LE(name.text)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, avPair{name.id, value})
	}
	if !s.cfg.WithoutTimestamp {
		now := toFiletime(s.cfg.Now())
		pairs = append(pairs, avPair{avTimestamp, binary.LittleEndian.AppendUint64(nil, now)})
	}
	return append(pairs, s.cfg.more...), nil
}

// authenticate judges an AUTHENTICATE message, section 3.2.5.1.2.
func (s *Acceptor) authenticate(ctx context.Context, in []byte) error {
	m, err := parseAuthenticate(in)
	if err != nil {
		return err
	}
	s.client = Client{
		Domain: decodeText(s.offered, m.domain), User: decodeText(s.offered, m.user),
		Workstation: decodeText(s.offered, m.workstation),
	}
	if len(m.user) == 0 && len(m.ntResponse) == 0 {
		return ErrAnonymous
	}
	response, filetime, pairs, err := parseResponse(m.ntResponse)
	if err != nil {
		return err
	}
	hash, err := s.cfg.Lookup(ctx, s.client.Domain, s.client.User)
	if err != nil {
		return err
	}
	owf, err := ntowfv2(hash, s.client.User, s.client.Domain)
	if err != nil {
		return err
	}
	want := prove(owf, s.nonce, response.temp)
	if !hmac.Equal(want.proof[:], response.proof[:]) {
		return ErrPassword
	}
	exported, flags, err := s.sessionKey(m, sessionBaseKey(owf, response.proof))
	if err != nil {
		return err
	}
	// From here on the client's word is good: the AV pairs are part of the proof.
	if pairs.flags()&avFlagMIC != 0 {
		if !m.withMIC {
			return ErrMIC
		}
		mic := messageMIC(exported, s.negotiate, s.challenge, in)
		if !hmac.Equal(mic[:], in[micOffset:micOffset+micSize]) {
			return ErrMIC
		}
		s.client.MIC = true
	}
	if err := s.checkPairs(filetime, pairs); err != nil {
		return err
	}
	s.Session.start(flags, exported, true)
	return nil
}

// sessionKey finds the key that the client chose.
func (s *Acceptor) sessionKey(m *authenticateMessage, keyExchangeKey [16]byte) (exported [16]byte, flags Flags, err error) {
	flags = m.flags & s.offered
	if missing := leastOf(s.offered) &^ flags; missing != 0 {
		return exported, 0, &FlagsError{Missing: missing, Offered: m.flags}
	}
	if !flags.Has(FlagKeyExchange) || flags&(FlagSign|FlagSeal) == 0 {
		return keyExchangeKey, flags, nil
	}
	if len(m.sessionKey) != len(exported) {
		return exported, 0, &MessageError{"AUTHENTICATE", "session key of a wrong length"}
	}
	copy(exported[:], rc4Once(keyExchangeKey, m.sessionKey))
	return exported, flags, nil
}

// checkPairs judges what the client said about the server and the channel.
func (s *Acceptor) checkPairs(filetime uint64, pairs avList) error {
	if now := toFiletime(s.cfg.Now()); filetime+uint64(maxAge/100) < now {
		return ErrClock
	}
	// The client repeats what it was told. Without the timestamp, which somebody
	// in between may have taken away, it would not have sent a MIC.
	for _, told := range s.pairs {
		if value, ok := pairs.get(told.id); !ok || !bytes.Equal(value, told.value) {
			return ErrMIC
		}
	}
	s.client.TargetName = pairs.text(avTargetName)
	if s.cfg.CheckTarget != nil {
		if err := s.cfg.CheckTarget(s.client.TargetName); err != nil {
			return err
		}
	}
	if s.cfg.ChannelBinding == nil || s.cfg.BindingLevel == BindingNone {
		return nil
	}
	got, ok := pairs.get(avChannelBindings)
	if !ok || bytes.Equal(got, zeros[:16]) {
		if s.cfg.BindingLevel == BindingStrict {
			return ErrNoBinding
		}
		return nil
	}
	if want := bindingHash(s.cfg.ChannelBinding); !hmac.Equal(got, want[:]) {
		return ErrBinding
	}
	s.client.Bound = true
	return nil
}
