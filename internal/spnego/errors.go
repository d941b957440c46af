package spnego

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of a negotiation.
var (
	// ErrRejected says that the acceptor gave up: it takes none of the
	// mechanisms, or the credentials were refused.
	ErrRejected = errors.New("spnego: rejected by the peer")
	// ErrMIC says that the list of mechanisms was changed on its way, or that
	// the peer does not have the session's key.
	ErrMIC = errors.New("spnego: wrong signature of the mechanism list")
	// ErrNoMIC says that the list of mechanisms has to be signed and is not.
	ErrNoMIC = errors.New("spnego: mechanism list is not signed")
	// ErrOutOfTurn is returned for a token that nobody expects.
	ErrOutOfTurn = errors.New("spnego: token out of turn")
	// ErrIncomplete says that the peer stopped before the logon was complete.
	ErrIncomplete = errors.New("spnego: peer ended the negotiation early")
)

// A TokenError says that a token cannot be read.
type TokenError struct {
	Reason string
}

func (e *TokenError) Error() string { return "spnego: bad token: " + e.Reason }

// A MechError is the error of one mechanism.
type MechError struct {
	Mech string // as MechName has it
	Err  error
}

func (e *MechError) Error() string { return e.Mech + ": " + e.Err.Error() }

// Unwrap returns the mechanism's error.
func (e *MechError) Unwrap() error { return e.Err }

// A ChoiceError says that the two sides have no mechanism in common.
type ChoiceError struct {
	Offered []string // by the initiator, as MechName has them
	Chosen  string   // by the acceptor, "" for none
}

func (e *ChoiceError) Error() string {
	offered := strings.Join(e.Offered, ", ")
	if e.Chosen == "" {
		return fmt.Sprintf("spnego: none of %s is accepted", offered)
	}
	return fmt.Sprintf("spnego: peer chose %s, offered were %s", e.Chosen, offered)
}
