package config

import (
	"fmt"
	"strings"
)

// A PolicyError says that group policy owns a setting: it cannot be changed on
// the host. Nothing was changed.
type PolicyError struct {
	Item  string // such as Service\Auth\CredSSP
	Value string // what the policy says, "" when the host did not tell
	Want  string
	Err   error // the host's fault; nil when it was not even asked
}

func (e *PolicyError) Error() string {
	value := ""
	if e.Value != "" {
		value = " and is " + e.Value
	}
	return fmt.Sprintf("config: %s comes from group policy%s; it cannot be set to %s on the host. %s", e.Item, value, e.Want, e.Remedy())
}

// Unwrap returns the host's fault.
func (e *PolicyError) Unwrap() error { return e.Err }

// Remedy says where the policy is.
func (e *PolicyError) Remedy() string {
	return `Change the policy under Computer Configuration\Administrative Templates\Windows Components\` +
		`Windows Remote Management (WinRM); gpresult /scope computer /r names it`
}

// A LockoutError says that a change would shut its caller, or everybody, out
// of the host. Nothing was changed. [AllowLockout] lets it pass.
type LockoutError struct {
	Item   string // such as Service\Auth\Negotiate
	Value  string // what it was to be
	Reason string
}

func (e *LockoutError) Error() string {
	return fmt.Sprintf("config: %s is not set to %s: %s", e.Item, e.Value, e.Reason)
}

// A NotAppliedError says that the host took a change, and then showed another
// value.
type NotAppliedError struct {
	Item, Want, Got string
}

func (e *NotAppliedError) Error() string {
	if e.Got == "" {
		return fmt.Sprintf("config: %s was set to %s, but the host shows no value for it", e.Item, e.Want)
	}
	return fmt.Sprintf("config: %s was set to %s, but the host says %s", e.Item, e.Want, e.Got)
}

// A ValueError says that a value is none for its setting.
type ValueError struct {
	Item, Text string
	Err        error
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("config: %s cannot be %q: %v", e.Item, e.Text, e.Err)
}

// Unwrap returns the reason.
func (e *ValueError) Unwrap() error { return e.Err }

// A PathError says that a path names nothing.
type PathError struct {
	Path string
	Have []string // names that exist in its place
}

func (e *PathError) Error() string {
	text := fmt.Sprintf("config: there is no %s", e.Path)
	if len(e.Have) > 0 {
		text += "; there are " + strings.Join(e.Have, ", ")
	}
	return text
}
