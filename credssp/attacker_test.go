package credssp_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/credssp"
)

// An attacker sits between a client and a host. He answers the client's HTTP
// requests, ends the TLS of CredSSP with a certificate of his own, and carries
// the TSRequests on to the host, over TLS of his own.
type attacker struct {
	host string // its address
	cert tls.Certificate
	// change may alter what the host answers.
	change func(*credssp.Request)
	// deaf, if set, answers the client's proof in the host's place: with this
	// TSRequest, or with 200 when it returns nil.
	deaf func(victim *credssp.Request) *credssp.Request

	mu    sync.Mutex
	seen  []*credssp.Request // of the client
	clear bytes.Buffer       // all that the client said, as far as he can read it
}

// start begins the attack and returns where the client is to be led.
func (a *attacker) start(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { a.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wait.Wait() })
	return "http://" + l.Addr().String()
}

// serve answers one connection of the client.
func (a *attacker) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	host, err := net.Dial("tcp", a.host)
	if err != nil {
		return
	}
	defer host.Close()
	victim := &carried{in: make(chan []byte), out: make(chan flight)}
	defer close(victim.in)
	started := false
	for r := bufio.NewReader(conn); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		a.hear(body)
		answer := flight{status: http.StatusUnauthorized, header: "CredSSP"}
		if token, ok := credSSPToken(req.Header.Get("Authorization")); ok {
			if !started {
				started = true
				go a.relay(victim, host)
				<-victim.out // nothing: he has not heard anything yet
			}
			victim.in <- token
			answer = <-victim.out
		}
		if _, err := fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nWWW-Authenticate: %s\r\nContent-Length: 0\r\n\r\n",
			answer.status, http.StatusText(answer.status), answer.header); err != nil {
			return
		}
	}
}

// relay carries TSRequests from the client to the host and back.
func (a *attacker) relay(victim *carried, host net.Conn) {
	defer victim.finish()
	in := tls.Server(victim, &tls.Config{
		Certificates: []tls.Certificate{a.cert}, DynamicRecordSizingDisabled: true, SessionTicketsDisabled: true,
	})
	out := tls.Client(&posted{conn: host, r: bufio.NewReader(host)}, &tls.Config{
		InsecureSkipVerify: true, DynamicRecordSizingDisabled: true,
	})
	for buf := make([]byte, 1<<16); ; {
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		a.hear(buf[:n])
		req, err := credssp.ParseRequest(bytes.Clone(buf[:n]))
		if err != nil {
			return
		}
		a.mu.Lock()
		a.seen = append(a.seen, req)
		a.mu.Unlock()
		if a.deaf != nil && req.PubKeyAuth != nil {
			forged := a.deaf(req)
			if forged == nil {
				victim.status = http.StatusOK
				return
			}
			_, _ = in.Write(forged.Append(nil))
			continue
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return
		}
		n, err = out.Read(buf)
		if s, ok := errors.AsType[statusError](err); ok {
			victim.status = int(s)
			return
		}
		if err != nil {
			return
		}
		answer, err := credssp.ParseRequest(bytes.Clone(buf[:n]))
		if err != nil {
			return
		}
		if a.change != nil {
			a.change(answer)
		}
		_, _ = in.Write(answer.Append(nil))
	}
}

func (a *attacker) hear(b []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clear.Write(b)
}

// heard returns what the client has said.
func (a *attacker) heard() ([]*credssp.Request, []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen, bytes.Clone(a.clear.Bytes())
}

func credSSPToken(header string) ([]byte, bool) {
	rest, ok := strings.CutPrefix(header, "CredSSP")
	if !ok {
		return nil, false
	}
	token, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	return token, err == nil
}

// A flight is the answer to one leg of the client.
type flight struct {
	status int
	header string
}

// carried is the client's TLS as HTTP brings it: a Read that finds nothing ends
// the flight and waits for the next leg.
type carried struct {
	noAddr
	in     chan []byte
	out    chan flight
	unread []byte
	reply  []byte
	status int // of the last answer, when the logon has ended; 0 is 401
}

func (c *carried) Read(b []byte) (int, error) {
	for len(c.unread) == 0 {
		c.out <- flight{http.StatusUnauthorized, "CredSSP " + base64.StdEncoding.EncodeToString(c.reply)}
		c.reply = nil
		var ok bool
		if c.unread, ok = <-c.in; !ok {
			return 0, io.EOF
		}
	}
	n := copy(b, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *carried) Write(b []byte) (int, error) {
	c.reply = append(c.reply, b...)
	return len(b), nil
}

// finish answers the client's legs from here on without a token.
func (c *carried) finish() {
	if c.status == 0 {
		c.status = http.StatusUnauthorized
	}
	for {
		select {
		case c.out <- flight{c.status, "CredSSP"}:
		case _, ok := <-c.in:
			if !ok {
				return
			}
		}
	}
}

// posted is TLS towards the host: a Read that finds nothing posts what was
// written.
type posted struct {
	noAddr
	conn   net.Conn
	r      *bufio.Reader
	unread []byte
	out    []byte
}

// statusError is an answer of the host without a token.
type statusError int

func (e statusError) Error() string { return http.StatusText(int(e)) }

func (p *posted) Read(b []byte) (int, error) {
	if len(p.unread) == 0 {
		_, err := fmt.Fprintf(p.conn, "POST /wsman HTTP/1.1\r\nHost: srv\r\nAuthorization: CredSSP %s\r\nContent-Length: 0\r\n\r\n",
			base64.StdEncoding.EncodeToString(p.out))
		if err != nil {
			return 0, err
		}
		p.out = nil
		resp, err := http.ReadResponse(p.r, nil)
		if err != nil {
			return 0, err
		}
		_ = resp.Body.Close()
		if p.unread, _ = credSSPToken(resp.Header.Get("WWW-Authenticate")); len(p.unread) == 0 {
			return 0, statusError(resp.StatusCode)
		}
	}
	n := copy(b, p.unread)
	p.unread = p.unread[n:]
	return n, nil
}

func (p *posted) Write(b []byte) (int, error) {
	p.out = append(p.out, b...)
	return len(b), nil
}

// noAddr is the part of a net.Conn that TLS over HTTP has no use for.
type noAddr struct{}

func (noAddr) Close() error                     { return nil }
func (noAddr) LocalAddr() net.Addr              { return nil }
func (noAddr) RemoteAddr() net.Addr             { return nil }
func (noAddr) SetDeadline(time.Time) error      { return nil }
func (noAddr) SetReadDeadline(time.Time) error  { return nil }
func (noAddr) SetWriteDeadline(time.Time) error { return nil }
