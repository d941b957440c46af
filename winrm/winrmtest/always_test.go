package winrmtest_test

import (
	"context"
	"errors"

	"github.com/winrmkit/winrmkit/internal/authserver"
)

// toyauthContext is the context of alwaysIn.
type toyauthContext struct{}

func (*toyauthContext) Accept(context.Context, []byte, bool) ([]byte, authserver.State, error) {
	return nil, authserver.Accepted, nil
}
func (*toyauthContext) User() string     { return `WINRMTEST\user` }
func (*toyauthContext) Ready() bool      { return true }
func (*toyauthContext) Protocol() string { return "application/x" }
func (*toyauthContext) MaxPlain() int    { return 0 }

func (*toyauthContext) Wrap(dst, plain []byte) ([]byte, int, int, error) {
	return append(dst, plain...), 0, len(plain), nil
}

func (*toyauthContext) Unwrap([]byte, int) ([]byte, error) { return nil, errors.New("never") }
