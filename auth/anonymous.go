package auth

import (
	"context"
	"net"
)

// Anonymous does not log on. It serves requests that need none, such as an
// unauthenticated Identify; over http it needs [EncryptNever].
func Anonymous() Mechanism { return anonymous{} }

type anonymous struct{}

func (anonymous) Name() string                     { return "Anonymous" }
func (anonymous) Scheme() string                   { return "" }
func (anonymous) NewSession(Peer) (Session, error) { return anonymousSession{}, nil }

type anonymousSession struct{ noLegs }

func (anonymousSession) Authorization(context.Context) (string, error) { return "", nil }
func (anonymousSession) immediately() bool                             { return true }

// hostPort names the peer in errors.
func hostPort(p Peer) string { return net.JoinHostPort(p.Host, p.Port) }
