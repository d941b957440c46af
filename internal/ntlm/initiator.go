package ntlm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"time"
)

// InitiatorConfig tells who logs on, to what, and how.
type InitiatorConfig struct {
	// Domain and User are sent as they are. An empty domain goes with a user
	// principal name (user@realm). The domain "." stands for the server's own
	// accounts and is replaced with the server's name.
	Domain, User string

	// Secret returns the NT hash of the password. It is asked once the server's
	// challenge has been found good.
	Secret func(context.Context) (Hash, error)

	// Workstation is the computer's name in the server's log.
	Workstation string

	// TargetName is the service principal name of the server, such as
	// "HTTP/srv1".
	TargetName string

	// ChannelBinding is the application data of the TLS channel, nil without
	// one.
	ChannelBinding []byte

	// Seal says that messages will be sealed: without the flags that this needs
	// nothing is sent to the server that could be tried against a password.
	Seal bool

	Rand io.Reader        // nil: crypto/rand
	Now  func() time.Time // nil: time.Now
}

// An Initiator logs on: Step is called for each message of the acceptor. Then it
// is a [Session].
type Initiator struct {
	Session
	cfg       InitiatorConfig
	negotiate []byte
	state     state
	micSent   bool
	presented bool
}

type state uint8

const (
	stateNew state = iota
	stateWaiting
	stateDone
)

// NewInitiator does no I/O and calls nothing of cfg.
func NewInitiator(cfg InitiatorConfig) (*Initiator, error) {
	if err := checkFIPS(); err != nil {
		return nil, err
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Initiator{cfg: cfg}, nil
}

// OIDs returns the object identifier of NTLM in SPNEGO.
func (c *Initiator) OIDs() []string { return []string{OID} }

// OID is NTLM's object identifier in SPNEGO, [MS-SPNG] section 1.9.
const OID = "1.3.6.1.4.1.311.2.2.10"

// Step takes the acceptor's message, nothing at first, and returns the next one
// to send. With the AUTHENTICATE message the logon is done as far as this side
// can tell.
func (c *Initiator) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	switch c.state {
	case stateNew:
		if len(in) > 0 {
			return nil, false, ErrOutOfTurn
		}
		m := negotiateMessage{flags: offeredFlags}
		if c.cfg.Seal {
			m.flags |= FlagSeal
		}
		c.negotiate = m.append(nil)
		c.state = stateWaiting
		return bytes.Clone(c.negotiate), false, nil
	case stateWaiting:
		c.state = stateDone
		out, err = c.authenticate(ctx, in)
		return out, err == nil, err
	default:
		return nil, false, ErrOutOfTurn
	}
}

// Presented reports whether the proof of the password was made: from then on the
// server may count a failed logon.
func (c *Initiator) Presented() bool { return c.presented }

// MessageMIC reports whether the AUTHENTICATE message carried a MIC. Windows
// wants a mechListMIC then.
func (c *Initiator) MessageMIC() bool { return c.micSent }

// authenticate answers a CHALLENGE message, section 3.1.5.1.2.
func (c *Initiator) authenticate(ctx context.Context, in []byte) ([]byte, error) {
	challenge, err := parseChallenge(in)
	if err != nil {
		return nil, err
	}
	least := plainFlags
	if c.cfg.Seal {
		least = sealFlags
	}
	offered := c.negotiated(challenge.flags)
	if missing := least &^ offered; missing != 0 {
		return nil, &FlagsError{Missing: missing, Offered: challenge.flags}
	}
	info, ok := parseAVList(challenge.targetInfo)
	if !ok && len(challenge.targetInfo) > 0 {
		return nil, &MessageError{"CHALLENGE", "bad AV pairs"}
	}
	computer := info.text(avNbComputerName)
	if c.cfg.Seal && (computer == "" || info.text(avNbDomainName) == "") {
		return nil, ErrServerName
	}
	if c.cfg.Domain == "." {
		c.cfg.Domain = computer
	}

	answer, err := c.respond(ctx, challenge, info)
	if err != nil {
		return nil, err
	}
	m, exported, err := c.message(challenge, answer)
	if err != nil {
		return nil, err
	}
	out := m.append(nil)
	if answer.mic {
		mic := messageMIC(exported, c.negotiate, in, out)
		copy(out[micOffset:], mic[:])
		c.micSent = true
	}
	c.presented = true
	c.Session.start(m.flags, exported, false)
	return out, nil
}

// negotiated is what both sides want. What an acceptor sets unasked counts for
// nothing, except that it tells about itself.
func (c *Initiator) negotiated(theirs Flags) Flags {
	ours := offeredFlags
	if c.cfg.Seal {
		ours |= FlagSeal
	}
	return theirs & (ours | FlagTargetInfo)
}

// answer is the proof that goes into an AUTHENTICATE message.
type answer struct {
	response
	lm              []byte
	keyExchangeKey  [16]byte
	mic             bool
	clientChallenge [8]byte
}

// respond computes the NTLMv2 response and the key that comes with it.
func (c *Initiator) respond(ctx context.Context, challenge *challengeMessage, info avList) (*answer, error) {
	a := &answer{}
	if _, err := io.ReadFull(c.cfg.Rand, a.clientChallenge[:]); err != nil {
		return nil, err
	}
	filetime := toFiletime(c.cfg.Now())
	if stamp, ok := info.get(avTimestamp); ok && len(stamp) == 8 {
		// A server with a clock to compare with sends it, and then wants the
		// messages protected by a MIC.
		filetime = binary.LittleEndian.Uint64(stamp)
		a.mic = true
	}
	pairs, err := c.targetInfo(info, a.mic)
	if err != nil {
		return nil, err
	}
	hash, err := c.cfg.Secret(ctx)
	if err != nil {
		return nil, err
	}
	owf, err := ntowfv2(hash, c.cfg.User, c.cfg.Domain)
	if err != nil {
		return nil, err
	}
	a.response = prove(owf, challenge.challenge, makeTemp(filetime, a.clientChallenge, pairs))
	a.lm = zeros[:24]
	if !a.mic {
		a.lm = lmv2(owf, challenge.challenge, a.clientChallenge)
	}
	a.keyExchangeKey = sessionBaseKey(owf, a.proof)
	return a, nil
}

// targetInfo is the server's list with what the client adds. Sixteen zeros for
// the channel binding mean that there is no channel.
func (c *Initiator) targetInfo(info avList, mic bool) (avList, error) {
	pairs := append(avList(nil), info...)
	if mic {
		pairs = pairs.setFlags(pairs.flags() | avFlagMIC)
	}
	binding := zeros[:16]
	if c.cfg.ChannelBinding != nil {
		sum := bindingHash(c.cfg.ChannelBinding)
		binding = sum[:]
	}
	pairs = pairs.set(avChannelBindings, binding)
	target, err := utf16LE(c.cfg.TargetName)
	if err != nil || !fits(target) {
		return nil, &MessageError{"AUTHENTICATE", "bad target name"}
	}
	return pairs.set(avTargetName, target), nil
}

// message puts the AUTHENTICATE message together and chooses the session key.
func (c *Initiator) message(challenge *challengeMessage, a *answer) (m *authenticateMessage, exported [16]byte, err error) {
	m = &authenticateMessage{
		lmResponse: a.lm,
		ntResponse: a.append(nil),
		flags:      c.negotiated(challenge.flags),
		version:    version,
		withMIC:    true,
	}
	for _, text := range []struct {
		dst *[]byte
		src string
	}{{&m.domain, c.cfg.Domain}, {&m.user, c.cfg.User}, {&m.workstation, c.cfg.Workstation}} {
		if *text.dst, err = utf16LE(text.src); err != nil {
			return nil, exported, err
		}
	}
	exported = a.keyExchangeKey
	if m.flags.Has(FlagKeyExchange) && m.flags&(FlagSign|FlagSeal) != 0 {
		if _, err := io.ReadFull(c.cfg.Rand, exported[:]); err != nil {
			return nil, exported, err
		}
		m.sessionKey = rc4Once(a.keyExchangeKey, exported[:])
	}
	if !fits(m.ntResponse, m.domain, m.user, m.workstation) {
		return nil, exported, &MessageError{"AUTHENTICATE", "a field is longer than 64 KiB"}
	}
	return m, exported, nil
}
