package winrmtest

import (
	"context"

	"github.com/winrmkit/winrmkit/internal/memconn"
)

// ProcessForTest processes an envelope as that of the default user.
func (s *Server) ProcessForTest(envelope []byte) (status int, body string) {
	a, b := memconn.Pipe(memconn.Addr("192.0.2.1:1"), memconn.Addr("host:5985"))
	defer func() { _, _ = a.Close(), b.Close() }()
	c := newConn(s, b)
	x := &Exchange{}
	answer := c.parse(envelope, x).answer(context.Background(), verdict{ok: true, user: s.Name + `\` + DefaultUser}, x)
	return answer.status, string(answer.body)
}
