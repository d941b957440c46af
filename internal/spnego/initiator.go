package spnego

import (
	"context"
	"fmt"
)

// An Initiator negotiates and logs on: Step is called for each token of the
// acceptor. Then it seals with the mechanism that was chosen. It is used by one
// goroutine at a time.
type Initiator struct {
	mechs    []Context // offered, the preferred one first
	skipped  []*MechError
	oids     []string
	mechList []byte // DER of oids, the thing that is signed
	mech     Context
	state    initiatorState

	raw         bool // the acceptor does without SPNEGO
	mechDone    bool
	micRequired bool // both sides have to sign the list
	micSent     bool
	micVerified bool
}

type initiatorState uint8

const (
	initiatorNew initiatorState = iota
	initiatorOffered
	initiatorAnswered // the acceptor has chosen
	initiatorDone
	initiatorFailed
)

// NewInitiator takes the mechanisms in order of preference, at least one. It
// calls nothing of them.
func NewInitiator(mechs ...Context) *Initiator { return &Initiator{mechs: mechs} }

// Chosen returns the name of the mechanism in use, "" before the acceptor took
// one.
func (c *Initiator) Chosen() string {
	if c.state == initiatorNew || c.state == initiatorOffered || c.mech == nil {
		return ""
	}
	return MechName(c.mech.OIDs()[0])
}

// Mech returns the mechanism in use, nil before the first Step.
func (c *Initiator) Mech() Context { return c.mech }

// Skipped returns the mechanisms that were not available here and so were not
// offered, with the reasons.
func (c *Initiator) Skipped() []*MechError { return c.skipped }

// Ready reports whether messages can be sealed. It may become true before Step
// says done: after NTLM's last token only a signature is still to come.
func (c *Initiator) Ready() bool {
	return c.state == initiatorDone ||
		c.state == initiatorAnswered && c.mechDone && (c.micSent || !c.micRequired)
}

// Step takes the acceptor's token, nothing at first, and returns the next one.
func (c *Initiator) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	switch c.state {
	case initiatorNew:
		out, err = c.offer(ctx)
	case initiatorOffered, initiatorAnswered:
		out, err = c.answer(ctx, in)
	default:
		return nil, false, ErrOutOfTurn
	}
	if err != nil {
		c.state = initiatorFailed
		return out, false, err
	}
	return out, c.state == initiatorDone, nil
}

// Finish is called instead of Step when the acceptor is content and sent no
// token. That is enough where its signature is not called for.
func (c *Initiator) Finish() error {
	switch {
	case c.state == initiatorDone:
		return nil
	case c.state != initiatorAnswered || !c.mechDone:
		c.state = initiatorFailed
		return ErrIncomplete
	case c.micRequired && !c.micVerified:
		c.state = initiatorFailed
		return ErrNoMIC
	}
	c.state = initiatorDone
	return nil
}

// offer makes the first token, of the first mechanism that is available here.
// One that cannot be used is not offered either: the acceptor would choose it.
func (c *Initiator) offer(ctx context.Context) ([]byte, error) {
	for i, mech := range c.mechs {
		token, done, err := mech.Step(ctx, nil)
		if err != nil {
			err := &MechError{MechName(mech.OIDs()[0]), err}
			if isUnavailable(err) && i < len(c.mechs)-1 {
				c.skipped = append(c.skipped, err)
				continue
			}
			return nil, err
		}
		c.mechs, c.mech, c.mechDone = c.mechs[i:], mech, done
		for _, m := range c.mechs {
			c.oids = append(c.oids, m.OIDs()...)
		}
		c.mechList = encodeMechList(c.oids)
		c.state = initiatorOffered
		first := initToken{mechList: c.mechList, mechToken: token, hasToken: true}
		return first.encode(), nil
	}
	return nil, &ChoiceError{}
}

// answer reads a NegTokenResp and makes the next.
func (c *Initiator) answer(ctx context.Context, in []byte) ([]byte, error) {
	if c.raw || c.state == initiatorOffered && c.answeredRaw(in) {
		return c.rawStep(ctx, in)
	}
	resp, err := parseResp(in)
	if err != nil {
		return nil, err
	}
	if resp.state == stateReject {
		return nil, c.rejected(ctx, resp)
	}
	var out []byte
	if c.state == initiatorOffered {
		if resp.state == stateAbsent {
			return nil, &TokenError{"no state in the first answer"}
		}
		if err := c.choose(resp); err != nil {
			return nil, err
		}
	}
	if c.mechDone && len(resp.token) > 0 {
		return nil, ErrOutOfTurn
	}
	if !c.mechDone {
		// The first step of a mechanism that was not the preferred one comes
		// with nothing; every other needs a token.
		if len(resp.token) == 0 && c.state != initiatorOffered {
			return nil, ErrIncomplete
		}
		if out, c.mechDone, err = c.mech.Step(ctx, resp.token); err != nil {
			return c.errorToken(out), &MechError{MechName(c.mech.OIDs()[0]), err}
		}
	}
	c.state = initiatorAnswered
	if err := c.verify(resp); err != nil {
		return nil, err
	}
	return c.reply(resp.state, out)
}

// answeredRaw reports whether the acceptor took the token out of SPNEGO and goes
// on without. Nothing is lost if it is that of the preferred mechanism: somebody
// in between could not have made us take a weaker one.
func (c *Initiator) answeredRaw(in []byte) bool {
	oid, ok := rawOID(in)
	return ok && c.is(c.mech, oid)
}

// rawStep takes a token without SPNEGO around it.
func (c *Initiator) rawStep(ctx context.Context, in []byte) (out []byte, err error) {
	if c.mechDone {
		return nil, ErrOutOfTurn
	}
	c.raw, c.state = true, initiatorAnswered
	if out, c.mechDone, err = c.mech.Step(ctx, in); err != nil {
		return out, &MechError{MechName(c.mech.OIDs()[0]), err}
	}
	if c.mechDone {
		c.state = initiatorDone
	}
	return out, nil
}

// choose settles the mechanism by the acceptor's first answer. It leaves the
// state as it is only if the mechanism chosen has not begun yet.
func (c *Initiator) choose(resp *respToken) error {
	if resp.state == stateRequestMIC {
		c.micRequired = true
	}
	if resp.mech == "" || c.is(c.mech, resp.mech) {
		if !c.mechDone && len(resp.token) == 0 {
			return ErrIncomplete
		}
		return nil
	}
	for _, mech := range c.mechs {
		if !c.is(mech, resp.mech) {
			continue
		}
		if len(resp.token) > 0 {
			return ErrOutOfTurn // an answer to a token that was not sent
		}
		// Somebody may have taken the better mechanisms from the list.
		c.mech, c.mechDone, c.micRequired = mech, false, true
		return nil
	}
	return &ChoiceError{Offered: mechNames(c.oids), Chosen: MechName(resp.mech)}
}

func (c *Initiator) is(mech Context, oid string) bool {
	for _, own := range mech.OIDs() {
		if sameMech(own, oid) {
			return true
		}
	}
	return false
}

// rejected makes the error for an acceptor that gave up. Its last token may say
// more than that.
func (c *Initiator) rejected(ctx context.Context, resp *respToken) error {
	if len(resp.token) > 0 && !c.mechDone && (resp.mech == "" || c.is(c.mech, resp.mech)) {
		if _, _, err := c.mech.Step(ctx, resp.token); err != nil {
			return fmt.Errorf("%w: %w", ErrRejected, &MechError{MechName(c.mech.OIDs()[0]), err})
		}
	}
	return ErrRejected
}

// errorToken frames what a mechanism wants the acceptor to know about a failure.
func (c *Initiator) errorToken(token []byte) []byte {
	if len(token) == 0 {
		return nil
	}
	resp := respToken{state: stateReject, token: token, hasToken: true}
	return resp.encode()
}

// verify checks the acceptor's signature of the list, if it came.
func (c *Initiator) verify(resp *respToken) error {
	if resp.mic == nil {
		return nil
	}
	if !c.mechDone || !c.mech.CanSign() {
		return ErrMIC
	}
	if err := c.mech.VerifyMIC(c.mechList, resp.mic); err != nil {
		return fmt.Errorf("%w: %w", ErrMIC, err)
	}
	c.mech.ResetAfterMIC()
	c.micVerified = true
	return nil
}

// reply makes the next NegTokenResp, if one is due.
func (c *Initiator) reply(state negState, token []byte) ([]byte, error) {
	if state == stateAcceptCompleted {
		if len(token) > 0 {
			return nil, ErrOutOfTurn // the mechanism has something to say that nobody waits for
		}
		return nil, c.Finish()
	}
	resp := respToken{state: stateAcceptIncomplete, token: token, hasToken: len(token) > 0}
	if c.mechDone && !c.micSent && (c.micRequired || c.micVerified || len(token) == 0 || wantsMIC(c.mech)) {
		if !c.mech.CanSign() {
			return nil, ErrNoMIC
		}
		mic, err := c.mech.MIC(nil, c.mechList)
		if err != nil {
			return nil, err
		}
		c.mech.ResetAfterMIC()
		resp.mic, c.micSent = mic, true
	}
	if !resp.hasToken && resp.mic == nil {
		if state != stateAbsent {
			return nil, ErrIncomplete // waiting for something that is not coming
		}
		return nil, c.Finish()
	}
	return resp.encode(), nil
}

// Wrap seals with the mechanism in use.
func (c *Initiator) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	if !c.Ready() {
		return nil, 0, 0, ErrIncomplete
	}
	return c.mech.Wrap(dst, plain)
}

// Unwrap opens with the mechanism in use.
func (c *Initiator) Unwrap(buf []byte, tokenLen int) ([]byte, error) {
	if !c.Ready() {
		return nil, ErrIncomplete
	}
	return c.mech.Unwrap(buf, tokenLen)
}

// mechNames lists mechanisms for texts, each once.
func mechNames(oids []string) []string {
	var names []string
	for i, oid := range oids {
		if i == 0 || !sameMech(oid, oids[i-1]) {
			names = append(names, MechName(oid))
		}
	}
	return names
}
