package spnego

import (
	"context"
	"fmt"
)

// An Acceptor is the other side of an [Initiator]. It takes tokens of a
// mechanism without SPNEGO around them, too, and then answers without.
type Acceptor struct {
	mechs    []Context
	mech     Context
	oid      string // as the initiator wrote it
	mechList []byte
	state    acceptorState

	raw         bool
	told        bool // supportedMech was sent
	mechDone    bool
	micRequired bool
	micSent     bool
	micVerified bool
}

type acceptorState uint8

const (
	acceptorNew acceptorState = iota
	acceptorRunning
	acceptorDone
	acceptorFailed
)

// NewAcceptor takes the mechanisms; the initiator's preference decides.
func NewAcceptor(mechs ...Context) *Acceptor { return &Acceptor{mechs: mechs} }

// Mech returns the mechanism that was chosen, nil before.
func (s *Acceptor) Mech() Context { return s.mech }

// Raw reports whether the initiator does without SPNEGO.
func (s *Acceptor) Raw() bool { return s.raw }

// Step takes the initiator's next token and returns the answer. A token that
// accompanies an error tells the initiator that it was rejected.
func (s *Acceptor) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	switch s.state {
	case acceptorNew:
		s.state = acceptorRunning
		out, err = s.first(ctx, in)
	case acceptorRunning:
		out, err = s.next(ctx, in)
	default:
		return nil, false, ErrOutOfTurn
	}
	if err != nil {
		s.state = acceptorFailed
		return out, false, err
	}
	return out, s.state == acceptorDone, nil
}

func (s *Acceptor) first(ctx context.Context, in []byte) ([]byte, error) {
	if oid, ok := rawOID(in); ok {
		if s.raw = s.choose(oid); !s.raw {
			return nil, &ChoiceError{Offered: []string{MechName(oid)}}
		}
		return s.rawStep(ctx, in)
	}
	init, err := parseInit(in)
	if err != nil {
		return nil, err
	}
	if len(init.mechTypes) == 0 {
		return nil, &TokenError{"no list of mechanisms"}
	}
	s.mechList = append(s.mechList, init.mechList...)
	for i, oid := range init.mechTypes {
		if !s.choose(oid) {
			continue
		}
		if i > 0 && !sameMech(oid, init.mechTypes[0]) {
			s.micRequired = true
			return s.answer(stateRequestMIC, nil, nil), nil
		}
		if !init.hasToken {
			return s.answer(stateAcceptIncomplete, nil, nil), nil
		}
		return s.step(ctx, &respToken{token: init.mechToken, hasToken: true, mic: init.mic})
	}
	return s.reject(nil), &ChoiceError{Offered: mechNames(init.mechTypes)}
}

func (s *Acceptor) next(ctx context.Context, in []byte) ([]byte, error) {
	if s.raw {
		return s.rawStep(ctx, in)
	}
	resp, err := parseResp(in)
	if err != nil {
		return nil, err
	}
	if resp.state == stateReject {
		return nil, ErrRejected
	}
	return s.step(ctx, resp)
}

// rawOID tells which mechanism a token without SPNEGO belongs to.
func rawOID(in []byte) (string, bool) {
	if len(in) >= 8 && string(in[:8]) == "NTLMSSP\x00" {
		return OIDNTLM, true
	}
	oid, _, ok := frameOID(in)
	return oid, ok && oid != OIDSPNEGO
}

func (s *Acceptor) choose(oid string) bool {
	for _, mech := range s.mechs {
		for _, own := range mech.OIDs() {
			if sameMech(own, oid) {
				s.mech, s.oid = mech, oid
				return true
			}
		}
	}
	return false
}

func (s *Acceptor) rawStep(ctx context.Context, in []byte) ([]byte, error) {
	out, done, err := s.mech.Step(ctx, in)
	if err != nil {
		return out, &MechError{MechName(s.oid), err}
	}
	if done {
		s.mechDone, s.state = true, acceptorDone
	}
	return out, nil
}

// step hands the mechanism its token and signs and verifies the list when the
// mechanism is done.
func (s *Acceptor) step(ctx context.Context, in *respToken) ([]byte, error) {
	var out []byte
	if !s.mechDone {
		if !in.hasToken {
			return s.reject(nil), ErrIncomplete
		}
		var err error
		if out, s.mechDone, err = s.mech.Step(ctx, in.token); err != nil {
			return s.reject(out), &MechError{MechName(s.oid), err}
		}
		if !s.mechDone {
			return s.answer(stateAcceptIncomplete, out, nil), nil
		}
	} else if len(in.token) > 0 {
		return s.reject(nil), ErrOutOfTurn
	}
	if in.mic != nil {
		if err := s.verify(in.mic); err != nil {
			return s.reject(nil), err
		}
	}
	return s.finish(out)
}

func (s *Acceptor) verify(mic []byte) error {
	if !s.mech.CanSign() {
		return ErrMIC
	}
	if err := s.mech.VerifyMIC(s.mechList, mic); err != nil {
		return fmt.Errorf("%w: %w", ErrMIC, err)
	}
	s.mech.ResetAfterMIC()
	s.micVerified = true
	return nil
}

// finish ends the negotiation, or asks for the initiator's signature first. It
// is called once the mechanism is done.
func (s *Acceptor) finish(token []byte) ([]byte, error) {
	needed := s.micRequired || wantsMIC(s.mech)
	switch {
	case !s.micVerified && !needed:
		s.state = acceptorDone
		return s.answer(stateAcceptCompleted, token, nil), nil
	case !s.micVerified && len(token) == 0:
		// The initiator had the last word and should have signed with it.
		return s.reject(nil), ErrNoMIC
	}
	state := stateAcceptIncomplete
	if s.micVerified {
		state = stateAcceptCompleted
	}
	var mic []byte
	if !s.micSent {
		var err error
		if !s.mech.CanSign() {
			return s.reject(nil), ErrNoMIC
		}
		if mic, err = s.mech.MIC(nil, s.mechList); err != nil {
			return s.reject(nil), err
		}
		s.mech.ResetAfterMIC()
		s.micSent = true
	}
	if s.micVerified {
		s.state = acceptorDone
	}
	return s.answer(state, token, mic), nil
}

// answer makes a NegTokenResp; the first one names the mechanism.
func (s *Acceptor) answer(state negState, token, mic []byte) []byte {
	resp := respToken{state: state, token: token, hasToken: len(token) > 0, mic: mic}
	if !s.told {
		resp.mech, s.told = s.oid, true
	}
	return resp.encode()
}

func (s *Acceptor) reject(token []byte) []byte {
	resp := respToken{state: stateReject, token: token, hasToken: len(token) > 0}
	return resp.encode()
}

// Wrap seals with the mechanism that was chosen.
func (s *Acceptor) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	if !s.mechDone {
		return nil, 0, 0, ErrIncomplete
	}
	return s.mech.Wrap(dst, plain)
}

// Unwrap opens with the mechanism that was chosen.
func (s *Acceptor) Unwrap(buf []byte, tokenLen int) ([]byte, error) {
	if !s.mechDone {
		return nil, ErrIncomplete
	}
	return s.mech.Unwrap(buf, tokenLen)
}
