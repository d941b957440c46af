package credssp

import (
	"context"
	"fmt"
	"net/http"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/credssp"
)

// inner makes an [auth.Session] the inner logon: where HTTP would carry its
// tokens, TSRequests do, and its sealing makes pubKeyAuth and authInfo.
type inner struct {
	session  auth.Session
	sealer   auth.Sealer
	tokenLen int // of sealed messages, from the last one that we made
	started  bool
	done     bool
}

var _ credssp.Mech = (*inner)(nil)

// newInner starts the inner logon. It knows nothing of the outer TLS: what it is
// bound to is the inner one, by pubKeyAuth.
func newInner(m auth.Mechanism, p auth.Peer) (*inner, error) {
	p.TLS, p.Seal = nil, true
	session, err := m.NewSession(p)
	if err != nil {
		return nil, err
	}
	sealer, ok := session.(auth.Sealer)
	if !ok {
		_ = session.Close()
		return nil, fmt.Errorf("credssp: %s cannot seal messages and so cannot be the inner logon", m.Name())
	}
	return &inner{session: session, sealer: sealer}, nil
}

func (i *inner) Step(ctx context.Context, token []byte) ([]byte, error) {
	in := auth.Leg{First: true}
	if i.started {
		in = auth.Leg{Status: http.StatusUnauthorized, HasToken: true, Token: token}
	}
	i.started = true
	out, done, err := i.session.Step(ctx, in)
	i.done = done
	return out, err
}

func (i *inner) Finish(ctx context.Context) error {
	out, done, err := i.session.Step(ctx, auth.Leg{Status: http.StatusOK})
	if err == nil && (!done || len(out) > 0) {
		err = fmt.Errorf("%w: the inner logon is not complete", ErrUnexpected)
	}
	i.done = done
	return err
}

func (i *inner) Ready() bool  { return i.done || i.sealer.Ready() }
func (i *inner) Done() bool   { return i.done }
func (i *inner) Close() error { return i.session.Close() }

func (i *inner) Wrap(dst, plain []byte) ([]byte, error) {
	out, tokenLen, _, err := i.sealer.Wrap(dst, plain)
	i.tokenLen = tokenLen
	return out, err
}

// Unwrap takes what the host sealed. Token and data are in one buffer without a
// length; the token of the other direction is as long.
func (i *inner) Unwrap(buf []byte) ([]byte, error) {
	return i.sealer.Unwrap(buf, i.tokenLen)
}

// presented tells whether the inner logon has put credentials before the server.
func (i *inner) presented() bool {
	p, ok := i.session.(auth.Presenter)
	if ok {
		return p.Presented()
	}
	return i.started
}
