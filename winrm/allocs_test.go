package winrm_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/httpseal"
	"github.com/winrmkit/winrmkit/internal/ntlm"
	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// A steadyHost is a host in memory that itself allocates nothing for a Receive or
// a Send, so that what the process allocates for one is the client's. Its
// connections answer within Write. After a number of rounds its only command ends.
type steadyHost struct {
	t       testing.TB
	sealed  bool   // NTLM, messages sealed; otherwise anything goes, in clear
	counted string // "Receive" or "Send": the exchange that is counted
	answers map[string]*cannedAnswer

	mu    sync.Mutex
	seen  int           // counted exchanges
	marks []uint64      // objects allocated so far, after each round of them
	over  chan struct{} // closed after the last round
	taken chan struct{} // holds one when the input of the command has been taken
}

const (
	warmRounds = 2  // not counted
	rounds     = 12 // counted
	perRound   = 50 // exchanges
)

// A cannedAnswer is an envelope without the id of the request that it answers and
// the last twelve digits of its own.
type cannedAnswer struct{ before, between, after []byte }

func newSteadyHost(t testing.TB, counted string, sealed bool) *steadyHost {
	h := &steadyHost{
		t: t, counted: counted, sealed: sealed, answers: make(map[string]*cannedAnswer),
		marks: make([]uint64, 0, rounds+1), over: make(chan struct{}), taken: make(chan struct{}, 1),
	}
	running := wsmv.ReceiveResponse{
		Streams: []wsmv.Stream{{Name: wsmv.Stdout, Data: bytes.Repeat([]byte("steady "), 100)}},
		States:  []wsmv.CommandState{{State: wsmv.StateRunning}},
	}
	done := wsmv.ReceiveResponse{States: []wsmv.CommandState{{State: wsmv.StateDone, HasExitCode: true}}}
	h.can("Create", func(e *wsman.Encoder) {
		created := wsmv.Created{ResourceURI: wsmv.URICmd, ShellID: "11111111-1111-1111-1111-111111111111"}
		created.Encode(e)
	})
	h.can("Command", (&wsmv.CommandResponse{ID: "22222222-2222-2222-2222-222222222222"}).Encode)
	h.can("Receive", running.Encode)
	h.can("Done", done.Encode)
	for _, empty := range []string{"Send", "Signal"} {
		h.can(empty, func(e *wsman.Encoder) { wsmv.EncodeEmpty(e, empty+"Response") })
	}
	h.can("Delete", nil)
	return h
}

func (h *steadyHost) can(name string, body func(*wsman.Encoder)) {
	const id, digits = "uuid:00000000-0000-0000-0000-000000000000", "333333333333"
	e := wsman.NewEncoder(nil)
	wsman.WriteEnvelope(e, &wsman.Header{
		Action: wsman.ActionReceive + "Response", To: wsman.AddressAnonymous, MessageID: "uuid:33333333-3333-3333-3333-" + digits, RelatesTo: id,
	}, body)
	require.NoError(h.t, e.Err())
	answer := bytes.Clone(e.Bytes())
	ours, related := bytes.Index(answer, []byte(digits)), bytes.Index(answer, []byte(id))
	require.True(h.t, ours > 0 && related > ours)
	h.answers[name] = &cannedAnswer{answer[:ours], answer[ours+len(digits) : related], answer[related+len(id):]}
}

// dial is for winrm.Config.
func (h *steadyHost) dial(context.Context, string, string) (net.Conn, error) {
	c := &steadyConn{host: h, closed: make(chan struct{})}
	if h.sealed {
		var err error
		if c.acceptor, err = ntlm.NewAcceptor(ntlm.AcceptorConfig{
			Lookup: func(context.Context, string, string) (ntlm.Hash, error) {
				return ntlm.PasswordHash(winrmtest.DefaultPassword)
			},
			ComputerName: "STEADY", DomainName: "STEADY",
		}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// count notes what has been allocated, after each round.
func (h *steadyHost) count() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen++; h.seen%perRound != 0 || len(h.marks) > rounds {
		return
	}
	if h.seen/perRound <= warmRounds {
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.marks = append(h.marks, m.Mallocs)
	if len(h.marks) > rounds {
		close(h.over)
	}
}

// least is how much one exchange allocates: the smallest mean of all rounds, for
// the runtime allocates now and then itself.
func (h *steadyHost) least() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Len(h.t, h.marks, rounds+1)
	least := math.Inf(1)
	for i := range rounds {
		least = min(least, float64(h.marks[i+1]-h.marks[i])/perRound)
	}
	return least
}

// A steadyConn is the client's end of a connection.
type steadyConn struct {
	host     *steadyHost
	acceptor *ntlm.Acceptor
	open     bool // logged on

	request  []byte // so far
	plain    []byte // an answer's envelope
	answer   []byte // with its head, what was not read yet of it
	buf      []byte // of answer
	body     []byte // sealed
	next     *cannedAnswer
	id       []byte // of the request
	count    int64  // answers
	held     bool   // next waits for the end of the counting
	deadline time.Time

	closed chan struct{}
	once   sync.Once
}

func (c *steadyConn) Write(p []byte) (int, error) {
	c.request = append(c.request, p...)
	head, body, ok := bytes.Cut(c.request, []byte("\r\n\r\n"))
	if !ok {
		return len(p), nil
	}
	size, err := strconv.Atoi(string(headerValue(head, "Content-Length: ")))
	if err != nil || len(body) < size {
		return len(p), err
	}
	err = c.serve(head, body)
	c.request = c.request[:0]
	return len(p), err
}

func headerValue(head []byte, name string) []byte { return between(head, name, "\r\n") }

// serve answers a message, or keeps its answer back: that of a Receive while Sends
// are counted.
func (c *steadyConn) serve(head, body []byte) error {
	if c.acceptor != nil && !c.open {
		return c.logon(head)
	}
	if c.acceptor != nil {
		const sealedType = `multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"`
		var err error
		if body, _, err = httpseal.Open(sealer{c.acceptor}, sealedType, body); err != nil {
			return err
		}
	}
	action := between(body, `mustUnderstand="true">`, "</a:Action>") // the first header block
	name := action[bytes.LastIndexByte(action, '/')+1:]
	if string(name) == c.host.counted {
		c.host.count()
	}
	if string(name) == "Command" || string(name) == "Send" {
		select {
		case c.host.taken <- struct{}{}:
		default: // nobody reads input any more
		}
	}
	c.next = c.host.answers[string(name)]
	c.id = append(c.id[:0], between(body, "<a:MessageID>", "</a:MessageID>")...)
	if string(name) == "Receive" {
		if c.held = c.host.counted == "Send"; c.held {
			return nil
		}
		select {
		case <-c.host.over:
			c.next = c.host.answers["Done"]
		default:
		}
	}
	return c.reply()
}

// reply is the next answer, sealed if need be.
func (c *steadyConn) reply() (err error) {
	c.count++
	c.plain = strconv.AppendInt(append(c.plain[:0], c.next.before...), 100_000_000_000+c.count, 10)
	c.plain = append(append(append(c.plain, c.next.between...), c.id...), c.next.after...)
	contentType, payload := "application/soap+xml;charset=UTF-8", c.plain
	if c.acceptor != nil {
		if c.body, contentType, err = httpseal.Seal(c.body[:0], sealer{c.acceptor}, contentType, c.plain); err != nil {
			return err
		}
		payload = c.body
	}
	c.respond("200 OK", "Content-Type: ", contentType, payload)
	return nil
}

// logon is one leg of NTLM.
func (c *steadyConn) logon(head []byte) error {
	token, err := base64.StdEncoding.DecodeString(string(headerValue(head, "Authorization: Negotiate ")))
	if err != nil {
		return err
	}
	out, done, err := c.acceptor.Step(context.Background(), token)
	if err != nil {
		return err
	}
	if c.open = done; done {
		c.respond("200 OK", "Content-Type: ", "text/plain", nil)
		return nil
	}
	c.respond("401 Unauthorized", "WWW-Authenticate: Negotiate ", base64.StdEncoding.EncodeToString(out), nil)
	return nil
}

// respond makes an answer with the header that Windows sends.
func (c *steadyConn) respond(status, name, value string, payload []byte) {
	b := append(append(append(c.buf[:0], "HTTP/1.1 "...), status...), "\r\n"...)
	b = append(append(append(b, name...), value...), "\r\n"...)
	b = append(b, "Server: Microsoft-HTTPAPI/2.0\r\nDate: Tue, 14 Jul 2026 08:00:00 GMT\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(payload)), 10), "\r\n\r\n"...)
	c.buf = append(b, payload...)
	c.answer = c.buf
}

func between(b []byte, from, to string) []byte {
	_, b, _ = bytes.Cut(b, []byte(from))
	b, _, _ = bytes.Cut(b, []byte(to))
	return b
}

// Read has an answer, or nothing: then it is a look whether the peer is still there,
// or waits for the end of the counting.
func (c *steadyConn) Read(p []byte) (int, error) {
	if c.held {
		select {
		case <-c.host.over:
		case <-c.closed:
			return 0, net.ErrClosed
		}
		c.held, c.next = false, c.host.answers["Done"]
		if err := c.reply(); err != nil {
			return 0, err
		}
	}
	if len(c.answer) == 0 {
		if c.deadline.IsZero() {
			return 0, io.ErrUnexpectedEOF
		}
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, c.answer)
	c.answer = c.answer[n:]
	return n, nil
}

func (c *steadyConn) SetReadDeadline(t time.Time) error { c.deadline = t; return nil }
func (c *steadyConn) SetDeadline(t time.Time) error {
	if t.IsZero() || time.Until(t) > 0 {
		return nil
	}
	return c.Close()
}
func (c *steadyConn) SetWriteDeadline(time.Time) error { return nil }
func (c *steadyConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *steadyConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

func (c *steadyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

type sealer struct{ *ntlm.Acceptor }

func (sealer) Protocol() string { return "application/HTTP-SPNEGO-session-encrypted" }
func (sealer) MaxPlain() int    { return 0 }

// A steadyInput has the next piece when the host has taken the one before.
type steadyInput struct{ host *steadyHost }

func (r steadyInput) Read(p []byte) (int, error) {
	select {
	case <-r.host.over:
		return 0, io.EOF
	case <-r.host.taken:
		return copy(p, "some input for the command"), nil
	}
}

// What a Receive and a Send of a running command allocate, from the envelope to
// the socket and back: about 25 objects, 10 of which are net/http's for the head of
// the answer and 8 those of contexts. What raises it makes every exchange of every
// command dearer.
func TestAllocationsPerExchange(t *testing.T) {
	if raceDetector {
		t.Log("the race detector makes pools forget: nothing to count")
		return
	}
	for _, c := range []struct {
		name, counted string
		sealed        bool
	}{
		{"Receive in clear", "Receive", false},
		{"Receive sealed by NTLM", "Receive", true},
		{"Send in clear", "Send", false},
		{"Send sealed by NTLM", "Send", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newSteadyHost(t, c.counted, c.sealed)
			cfg := config()
			cfg.Dial = h.dial
			if c.sealed {
				cfg.Encryption = auth.EncryptAlways
				cfg.Auth = auth.NTLM(auth.Credentials{
					User: winrmtest.DefaultUser, Password: winrmtest.DefaultPassword, Gate: new(auth.Gate),
				})
			}
			client, err := winrm.New("http://steady.example:5985", cfg)
			require.NoError(t, err)
			defer func() { _ = client.Close() }()
			cmd := client.Command("steady")
			cmd.Stdout = io.Discard
			if c.counted == "Send" {
				cmd.Stdin = steadyInput{h}
			}
			require.NoError(t, cmd.Run())
			got := h.least()
			t.Logf("%.1f allocations", got)
			assert.LessOrEqual(t, got, 30.0)
		})
	}
}
