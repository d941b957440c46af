package auth_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A remote is a server with all that its handler was asked to run.
type remote struct {
	*winrmtest.Server
	name string // of the host, as clients know it

	mu    sync.Mutex
	lines []string
}

// newRemote starts a host on in-memory connections. Its commands repeat their
// line, unless the handler, which may be nil, does something else.
func newRemote(tb testing.TB, change func(*winrmtest.Server), handler winrmtest.HandlerFunc) *remote {
	tb.Helper()
	r := &remote{name: host}
	if handler == nil {
		handler = func(p *winrmtest.Proc) uint32 {
			fmt.Fprintf(p.Stdout, "ran %s as %s", p.Line, p.User)
			return 0
		}
	}
	r.Server = winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		r.mu.Lock()
		r.lines = append(r.lines, p.Line)
		r.mu.Unlock()
		return handler(p)
	}))
	r.Users = map[string]string{"user": goodPass}
	r.Record = true
	if change != nil {
		change(r.Server)
	}
	r.StartMemory()
	tb.Cleanup(r.Server.Close)
	return r
}

// client makes a client of the host; change may be nil.
func (r *remote) client(tb testing.TB, m auth.Mechanism, change func(*winrm.Config)) *winrm.Client {
	tb.Helper()
	cfg := r.ConfigFor(creds())
	cfg.Auth = m
	url := "http://" + r.name + ":5985/wsman"
	if strings.HasPrefix(r.URL, "https") {
		url = "https://" + r.name + ":5986/wsman"
		cfg.TLS.ServerName = "winrmtest.invalid"
	}
	if change != nil {
		change(cfg)
	}
	c, err := winrm.New(url, cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// run runs one command and returns its output.
func run(ctx context.Context, c *winrm.Client, line string) (string, error) {
	cmd := c.CommandContext(ctx, "")
	cmd.Raw = line
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	return out.String(), err
}

// ran are the commands that the host was asked to run.
func (r *remote) ran() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

// actions are the requests in order, each with its connection: "1 Logon", ...
// Signals, which clean up after a command and keep nobody waiting, are left out.
func (r *remote) actions() []string {
	var all []string
	for _, x := range r.Exchanges() {
		if action := x.Action[strings.LastIndexByte(x.Action, '/')+1:]; action != "Signal" {
			all = append(all, fmt.Sprint(x.Conn, " ", action))
		}
	}
	return all
}

// repetitions is how often tests repeat what only chance breaks.
// WINRMKIT_REPEAT makes it more.
func repetitions(tb testing.TB) int {
	s := os.Getenv("WINRMKIT_REPEAT")
	if s == "" {
		return 3
	}
	n, err := strconv.Atoi(s)
	require.NoError(tb, err)
	return n
}

// A logon is two exchanges without bodies, over http and https, the first of
// them with a token; a command on a warm connection is two exchanges more.
func TestExchangesOfACommand(t *testing.T) {
	cert := newCertificate(t, host)
	for name, mech := range ntlmKinds {
		for _, scheme := range []string{"http", "https"} {
			t.Run(name+"/"+scheme, func(t *testing.T) {
				var wire recorder
				s := newNTLMServer(t, nil)
				if scheme == "https" {
					s = newNTLMServer(t, &cert)
				}
				tr := s.transport(use(mech(creds())))
				for range 3 {
					_, _, err := s.post(tr, t.Context(), "hello")
					require.NoError(t, err)
				}
				for i, r := range s.got() {
					assert.Equal(t, i < 2, strings.HasPrefix(r.authorization, "Negotiate "), "request %d", i)
					assert.Equal(t, i < 2, len(r.raw) == 0, "request %d", i)
				}

				r := newRemote(t, func(srv *winrmtest.Server) {
					if scheme == "https" {
						srv.TLS = newTLSConfig(cert)
					}
				}, nil)
				c := r.client(t, mech(creds()), func(cfg *winrm.Config) {
					wire.tap(cfg)
					if scheme == "https" {
						cfg.TLS.InsecureSkipVerify = true
					}
				})
				want := []string{"1 Logon", "1 Logon", "1 Create"}
				for range 3 {
					out, err := run(t.Context(), c, "hello")
					require.NoError(t, err)
					assert.Equal(t, `ran hello as WINRMTEST\user`, out)
					want = append(want, "1 Command", "1 Receive")
					assert.Equal(t, want, r.actions())
				}
				require.NoError(t, c.Close())
				assert.Equal(t, 1, r.Stats().Unauthorized, "the challenge")
				for _, x := range r.Exchanges() {
					assert.Equal(t, scheme == "http" && x.Action != winrmtest.ActionLogon, x.Sealed, x.Action)
				}
				assert.Equal(t, scheme == "http", strings.Contains(wire.leftTheClient(), "--Encrypted Boundary"))
				assert.NotContains(t, wire.leftTheClient(), "Envelope")
			})
		}
	}
}

// Fifty commands at once share a few connections, and none gets what belongs to
// another.
func TestCommandsAtOnce(t *testing.T) {
	for name, mech := range ntlmKinds {
		t.Run(name, func(t *testing.T) {
			for range repetitions(t) {
				r := newRemote(t, nil, func(p *winrmtest.Proc) uint32 {
					fmt.Fprint(p.Stdout, strings.Repeat(p.Line+" ", 300))
					return 0
				})
				c := r.client(t, mech(creds()), func(cfg *winrm.Config) { cfg.MaxShells = 50 })
				var wg sync.WaitGroup
				for i := range 50 {
					wg.Go(func() {
						line := "command-" + strconv.Itoa(i)
						out, err := run(t.Context(), c, line)
						assert.NoError(t, err)
						assert.Equal(t, strings.Repeat(line+" ", 300), out)
					})
				}
				wg.Wait()
				assert.NoError(t, c.Close())
				stats := r.Stats()
				assert.LessOrEqual(t, stats.PeakConnections, winrm.DefaultMaxConns)
				assert.Equal(t, 50, stats.TotalCommands)
				assert.Equal(t, 2*stats.Logons, stats.Exchanges[winrmtest.ActionLogon])
				assert.Empty(t, stats.FailedLogons)
				r.Server.Close()
			}
		})
	}
}
