package delegation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/winrmkit/winrmkit/internal/directory"
)

// ErrNotFound is an account that the domain does not have, or not as a computer.
var ErrNotFound = errors.New("no such computer account")

var errTwice = errors.New("the account is changed by an earlier one of the changes already")

// An AccountError is why one account was not read or changed.
type AccountError struct {
	Account string
	Err     error
}

func (e *AccountError) Error() string { return "delegation: " + e.Account + ": " + e.Err.Error() }
func (e *AccountError) Unwrap() error { return e.Err }

// A ServiceError is text that names no service.
type ServiceError struct{ Service string }

func (e *ServiceError) Error() string {
	return fmt.Sprintf("%q is not the name of a service; want class/host, such as cifs/files.corp.example", e.Service)
}

// An ActorError is an actor that is no account of the domain, or (Ambiguous) both
// a computer and a user.
type ActorError struct {
	Actor     string
	Ambiguous bool
}

func (e *ActorError) Error() string {
	if e.Ambiguous {
		return fmt.Sprintf("%s is a computer and another account; name the computer with its $, the other by its SID", e.Actor)
	}
	return fmt.Sprintf("no account %s in the domain; an actor of another domain is named by its SID", e.Actor)
}

// A RefusedError is a change that the domain controller does not let this
// principal make. Nothing of the account was changed.
type RefusedError struct {
	Attributes []string // that were to be written
	Code       uint16   // of LDAP
	Err        error    // with the domain controller's words
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the domain controller refused to change %s (%s): %v", strings.Join(e.Attributes, ", "), e.Remedy(), e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// Remedy says what to do. See [MS-ADTS] section 3.1.1.5.3.1 for the rights.
func (e *RefusedError) Remedy() string {
	actorsOnly := !slices.ContainsFunc(e.Attributes, func(a string) bool { return a != attrActors })
	switch {
	case e.Code != directory.InsufficientRights && slices.Contains(e.Attributes, attrActors):
		return "Samba lets only the system itself write the list of actors: use samba-tool delegation add-principal on the domain controller"
	case actorsOnly:
		return "it takes write access to the account, at least to " + attrActors
	default:
		return "it takes write access to the account and the privilege SeEnableDelegationPrivilege, which domain administrators have; or set resource-based delegation on the other side, which needs no privilege"
	}
}

// An UnverifiedError is a change that was sent, but that the directory does not
// show afterwards, or that could not be read back.
type UnverifiedError struct {
	Left []Step // what is, or may be, still to be done
	Err  error
}

func (e *UnverifiedError) Error() string {
	if e.Err != nil {
		return "the change was sent, but not read back: " + e.Err.Error()
	}
	return fmt.Sprintf("the change was taken, but the directory shows otherwise; left to do: %v", e.Left)
}

func (e *UnverifiedError) Unwrap() error { return e.Err }

// modifyError sorts out what a modification's failure is. Without an answer it is
// open what was done.
func modifyError(ctx context.Context, err error, steps []Step) error {
	var answer *directory.ResultError
	if !errors.As(err, &answer) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return &UnverifiedError{Err: err, Left: steps}
	}
	switch answer.Code {
	case directory.InsufficientRights, directory.ConstraintViolation, directory.UnwillingToPerform:
		refused := &RefusedError{Code: answer.Code, Err: err}
		for _, s := range steps {
			refused.Attributes = append(refused.Attributes, s.Attribute)
		}
		return refused
	}
	return err
}
