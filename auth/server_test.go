package auth_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/httpseal"
	"github.com/winrmkit/winrmkit/internal/memconn"
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

const (
	soapType = "application/soap+xml;charset=UTF-8"
	goodPass = "correct horse"
	host     = "srv1.test"
)

// A server speaks HTTP as a listener does, with a toy mechanism, and does
// something else where a test says so.
type server struct {
	tb     testing.TB
	ln     net.Listener
	kind   toyauth.Kind
	basic  bool // Basic instead of the toy
	tls    *tls.Config
	dial   func(context.Context, string, string) (net.Conn, error)
	offers []string // what a 401 lists; nil: the mechanism

	// answer makes the reply to a message; nil echoes it.
	answer func(r *received) reply
	// intercept answers in place of everything else; "" leaves it to the server.
	intercept func(r *received) string

	mu       sync.Mutex
	requests []*received
	failed   int
	wire     bytes.Buffer // all that came from clients
	conns    map[net.Conn]bool
	count    int
	wg       sync.WaitGroup
}

// received is one request.
type received struct {
	conn, nth     int // of the connection, within the connection
	authorization string
	contentType   string
	path          string
	raw           []byte // the body as it came
	plain         string // the body, opened
	message       bool   // it has a body
	nc            net.Conn
	header        http.Header
}

// reply is what the server says to a message.
type reply struct {
	status      int
	body        string
	clear       bool // not sealed though the request was
	contentType string
	header      string // further header lines
	drop        bool   // no answer: the connection is closed
}

// newServer starts a server on in-memory connections.
func newServer(tb testing.TB, kind toyauth.Kind) *server {
	s := &server{tb: tb, kind: kind, conns: map[net.Conn]bool{}}
	ln := memconn.Listen(host)
	s.ln, s.dial = ln, ln.DialContext
	s.start()
	return s
}

func (s *server) start() {
	s.wg.Go(func() {
		for {
			nc, err := s.ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[nc] = true
			s.count++
			id := s.count
			s.mu.Unlock()
			s.wg.Go(func() {
				s.serve(id, nc)
			})
		}
	})
	s.tb.Cleanup(s.stop)
}

func (s *server) stop() {
	_ = s.ln.Close()
	s.closeConns()
	s.wg.Wait()
}

// closeConns closes all connections of the moment.
func (s *server) closeConns() { s.eachConn(func(nc net.Conn) { _ = nc.Close() }) }

func (s *server) eachConn(do func(net.Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		do(nc)
	}
}

func (s *server) serve(id int, nc net.Conn) {
	defer func() {
		_ = nc.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
	}()
	var rw io.ReadWriter = &sniffed{Conn: nc, s: s}
	if s.tls != nil {
		rw = tls.Server(nc, s.tls)
	}
	c := &serverConn{s: s, id: id, rw: rw, br: bufio.NewReader(rw), nc: nc}
	for nth := 1; ; nth++ {
		req, err := http.ReadRequest(c.br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r := &received{
			conn: id, nth: nth, authorization: req.Header.Get("Authorization"), path: req.URL.Path, header: req.Header,
			contentType: req.Header.Get("Content-Type"), raw: body, message: len(body) > 0, nc: nc,
		}
		s.mu.Lock()
		s.requests = append(s.requests, r)
		intercept := s.intercept
		s.mu.Unlock()
		out := ""
		if intercept != nil {
			out = intercept(r)
		}
		if out == "" {
			out = c.respond(r)
		}
		if out == "drop" {
			return
		}
		if _, err := io.WriteString(rw, out); err != nil {
			return
		}
	}
}

// sniffed keeps what clients send.
type sniffed struct {
	net.Conn
	s *server
}

func (c *sniffed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.s.mu.Lock()
	c.s.wire.Write(p[:n])
	c.s.mu.Unlock()
	return n, err
}

type serverConn struct {
	s   *server
	id  int
	nc  net.Conn
	rw  io.ReadWriter
	br  *bufio.Reader
	ctx authserver.Context
	in  bool
}

func httpAnswer(status int, header, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nServer: Microsoft-HTTPAPI/2.0\r\n%sContent-Length: %d\r\n\r\n%s",
		status, http.StatusText(status), header, len(body), body)
}

func (c *serverConn) unauthorized(token string) string {
	if token != "" {
		return httpAnswer(401, "WWW-Authenticate: "+token+"\r\n", "")
	}
	c.ctx, c.in = nil, false
	offers := c.s.offers
	if offers == nil {
		offers = []string{"Negotiate", toyauth.Scheme}
	}
	if c.s.basic {
		offers = []string{`Basic realm="WSMAN"`}
	}
	var lines strings.Builder
	for _, o := range offers {
		lines.WriteString("WWW-Authenticate: " + o + "\r\n")
	}
	return httpAnswer(401, lines.String(), "")
}

// respond does what a listener does.
func (c *serverConn) respond(r *received) string {
	if c.s.basic {
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+goodPass))
		switch {
		case r.authorization == want:
			return c.reply(r, "")
		case r.authorization != "":
			c.s.fail()
		}
		return c.unauthorized("")
	}
	token := ""
	if word, rest, ok := strings.Cut(r.authorization, " "); ok {
		in, _ := base64.StdEncoding.DecodeString(rest)
		if c.ctx == nil || c.in {
			c.ctx = toyauth.Server{Kind: c.s.kind}.NewContext(authserver.Peer{Accounts: accounts{c.s}})
			c.in = false
		}
		out, state, _ := c.ctx.Accept(context.Background(), in, true)
		if out != nil {
			token = word + " " + base64.StdEncoding.EncodeToString(out)
		}
		switch state {
		case authserver.Refused:
			return c.unauthorized("")
		case authserver.Continue:
			return c.unauthorized(token)
		}
		c.in = true
	}
	if c.ctx == nil || !c.in && c.s.kind != toyauth.Early {
		return c.unauthorized("")
	}
	if token != "" {
		token = "WWW-Authenticate: " + token + "\r\n"
	}
	return c.reply(r, token)
}

// reply opens the message and answers.
func (c *serverConn) reply(r *received, header string) string {
	c.s.understand(r, r.raw)
	sealer, _ := c.ctx.(authserver.Sealer)
	sealed := httpseal.IsSealed(r.contentType)
	if sealed {
		plain, _, err := httpseal.Open(sealer, r.contentType, bytes.Clone(r.raw))
		if err != nil {
			if !c.in {
				return c.unauthorized("")
			}
			return httpAnswer(400, "", "")
		}
		c.in = true
		c.s.understand(r, plain)
	}
	if !r.message {
		return httpAnswer(200, header, "")
	}
	a := reply{status: 200, body: "re: " + r.plain}
	if c.s.answer != nil {
		a = c.s.answer(r)
	}
	switch {
	case a.drop:
		return "drop"
	case a.contentType == "":
		a.contentType = soapType
	}
	if sealed && !a.clear {
		body, ct, err := httpseal.Seal(nil, sealer, a.contentType, []byte(a.body))
		if err != nil {
			c.s.tb.Error(err)
		}
		a.body, a.contentType = string(body), ct
	}
	return httpAnswer(a.status, header+a.header+"Content-Type: "+a.contentType+"\r\n", a.body)
}

func (s *server) fail() {
	s.mu.Lock()
	s.failed++
	s.mu.Unlock()
}

// accounts knows one account.
type accounts struct{ s *server }

func (a accounts) Lookup(_, user string) (authserver.Account, bool) {
	return authserver.Account{Name: "user", User: "user", Password: goodPass}, user == "user"
}
func (a accounts) Failed(string, string)          { a.s.fail() }
func (a accounts) Passed(authserver.Account) bool { return true }
func (a accounts) Certificate(*tls.ConnectionState) (authserver.Account, bool) {
	return authserver.Account{}, false
}

// got returns the requests so far.
func (s *server) got() []*received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// last returns the last request.
func (s *server) last() *received {
	all := s.got()
	return all[len(all)-1]
}

// sniff returns all that came from clients.
func (s *server) sniff() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wire.String()
}

// understand notes what a request says, which tests may ask for meanwhile.
func (s *server) understand(r *received, plain []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.plain = string(plain)
}

// messages returns what the server took as messages.
func (s *server) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, r := range s.requests {
		if r.message {
			all = append(all, r.plain)
		}
	}
	return all
}

func (s *server) counts() (conns, requests, failed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, len(s.requests), s.failed
}

// creds are good credentials with a gate of their own.
func creds() auth.Credentials {
	return auth.Credentials{User: "user", Password: goodPass, Gate: &auth.Gate{}}
}

// transport makes a transport to the server; change may be nil.
func (s *server) transport(change func(*auth.TransportConfig)) *auth.Transport {
	s.tb.Helper()
	cfg := &auth.TransportConfig{Mechanism: toyauth.New(s.kind, creds()), Dial: s.dial, ConnectTimeout: 10 * time.Second}
	url := "http://" + host + ":5985/wsman"
	if s.tls != nil {
		url = "https://" + host + ":5986/wsman"
		cfg.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	if change != nil {
		change(cfg)
	}
	t, err := auth.NewTransport(url, cfg)
	require.NoError(s.tb, err)
	s.tb.Cleanup(func() { _ = t.Close() })
	return t
}

func newRequest(ctx context.Context, tls bool, body string) *http.Request {
	url := "http://" + host + ":5985/wsman"
	if tls {
		url = "https://" + host + ":5986/wsman"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", soapType)
	return req
}

// post sends one message and returns status and body.
func (s *server) post(t *auth.Transport, ctx context.Context, body string) (int, string, error) {
	resp, err := t.RoundTrip(newRequest(ctx, s.tls != nil, body))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}
