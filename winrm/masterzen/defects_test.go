package masterzen_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masterzen/winrm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm/masterzen"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// The defects of masterzen/winrm that pass through its transport, by the numbers
// of docs/from-masterzen.md. Where it is cheap a test shows the defect with
// masterzen's own transport first: then it is known that the test can fail.

const (
	noSuchShell  = uint32(wsman.ErrNoSuchShell)
	accessDenied = uint32(wsman.ErrAccessDenied)
	timedOut     = uint32(wsman.ErrTimedOut)
)

// sealing is masterzen's transport with message encryption.
func sealing() winrm.Transporter {
	e, err := winrm.NewEncryption("ntlm")
	if err != nil {
		panic(err)
	}
	return e
}

func TestDefect1StatusIsHeeded(t *testing.T) {
	refuse := winrmtest.Fault{Action: "Create", Code: accessDenied, Count: -1}
	post := func(t *testing.T, srv *winrmtest.Server, transport winrm.Transporter) (string, error) {
		srv.AddFaults(refuse)
		client := clientOf(t, srv, func() winrm.Transporter { return transport })
		return transport.Post(client, winrm.NewOpenShellRequest(srv.URL, &client.Parameters))
	}
	t.Run("theirs", func(t *testing.T) {
		srv, _ := theirs(t)
		body, err := post(t, srv, winrm.NewClientWithDial(net.Dial))
		require.NoError(t, err, "the defect: status 500 is success")
		assert.Contains(t, body, "Fault")
	})
	t.Run("ours", func(t *testing.T) {
		srv := serve(t, newServer())
		transports := masterzen.New(auth.NTLM(credentials()), nil)
		defer transports.Close()
		body, err := post(t, srv, transports.Decorate())
		require.ErrorIs(t, err, wsman.ErrAccessDenied)
		assert.Empty(t, body)
	})
}

func TestDefect2FaultsEndReceive(t *testing.T) {
	t.Run("theirs", func(t *testing.T) {
		srv, client := theirs(t)
		srv.AddFaults(winrmtest.Fault{Action: "Receive", Code: noSuchShell, Count: -1})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = client.RunWithContext(context.Background(), "echo x", io.Discard, io.Discard)
		}()
		require.Eventually(t, func() bool { return seen(srv, "Receive") > 100 }, 30*time.Second, 5*time.Millisecond)
		srv.ClearFaults()
		<-ended
	})
	for name, code := range map[string]wsman.FaultCode{
		"no such shell": wsman.ErrNoSuchShell, "access denied": wsman.ErrAccessDenied, "quota": wsman.ErrTooManyOperations,
		"aborted": wsman.ErrAborted,
	} {
		t.Run("ours, "+name, func(t *testing.T) {
			srv, client := ours(t)
			srv.AddFaults(winrmtest.Fault{Action: "Receive", Code: uint32(code), Count: -1})
			code2, err := client.RunWithContext(t.Context(), "echo x", io.Discard, io.Discard)
			require.ErrorIs(t, err, code)
			assert.Equal(t, 16001, code2, "not 0, which would be success")
			assert.Equal(t, 1, seen(srv, "Receive"))
		})
	}
}

// Nothing but "nothing yet" makes masterzen's loop ask again, whatever the texts.
func TestDefect2NothingSpins(t *testing.T) {
	page := []byte("<html>OperationTimeout of the gateway</html>")
	for name, fault := range map[string]winrmtest.Fault{
		"a fault that speaks of OperationTimeout": {Code: uint32(wsman.ErrInvalidHeader), Edit: func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("</f:Message>"), []byte("the OperationTimeout header is invalid</f:Message>"))
		}},
		"a page that does":       {Status: 502, Body: page, Header: http.Header{"Content-Type": {"text/html"}}},
		"503":                    {Status: 503},
		"400 with an empty body": {Status: 400},
		"lost before":            {Drop: winrmtest.DropBefore},
		"lost after":             {Drop: winrmtest.DropAfter},
		"lost within":            {Drop: winrmtest.DropAt, At: 300},
		"half closed":            {Drop: winrmtest.HalfCloseAt, At: 300},
		"an answer that is cut":  {Edit: func(b []byte) []byte { return b[:len(b)/2] }},
		"an answer to something else": {Edit: func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("RelatesTo>uuid:"), []byte("RelatesTo>uuid:0"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			srv, client := ours(t)
			fault.Action, fault.Count = "Receive", -1
			srv.AddFaults(fault)
			within(t, 20*time.Second, func() {
				code, err := client.RunWithContext(t.Context(), "echo x", io.Discard, io.Discard)
				assert.Error(t, err)
				assert.Equal(t, 16001, code)
				assert.NotContains(t, err.Error(), "OperationTimeout")
			})
			// What was provably not processed is sent a second time, once.
			assert.LessOrEqual(t, seen(srv, "Receive"), 2)
		})
	}
}

func TestDefect3ShellFaultsSayWhy(t *testing.T) {
	t.Run("theirs", func(t *testing.T) {
		srv, client := theirs(t)
		srv.AddFaults(winrmtest.Fault{Action: "Create", Code: accessDenied})
		_, err := client.CreateShell()
		require.EqualError(t, err, "received error response")
	})
	t.Run("ours", func(t *testing.T) {
		srv, client := ours(t)
		srv.AddFaults(winrmtest.Fault{Action: "Create", Code: accessDenied})
		_, err := client.CreateShell()
		fault, ok := errors.AsType[*wsman.Fault](err)
		require.True(t, ok)
		assert.Equal(t, wsman.ErrAccessDenied, fault.Code)
		assert.NotEmpty(t, fault.Reason)
		assert.ErrorContains(t, err, "Access is denied")
	})
}

// Windows 7 answers Create with a reference to the shell and no rsp:Shell.
func TestDefect3SelectorOnlyShell(t *testing.T) {
	shell := regexp.MustCompile(`(?s)<rsp:Shell.*</rsp:Shell>`)
	onlySelector := winrmtest.Fault{Action: "Create", Count: -1, Edit: func(b []byte) []byte {
		if !shell.Match(b) || !bytes.Contains(b, []byte("ResourceCreated")) {
			panic("no such answer to Create: " + string(b))
		}
		return shell.ReplaceAll(b, nil)
	}}
	t.Run("theirs", func(t *testing.T) {
		srv, client := theirs(t)
		srv.AddFaults(onlySelector)
		_, err := client.CreateShell()
		require.NoError(t, err, "the defect: a shell without a name")
		_, _, _, err = client.RunCmdWithContext(t.Context(), "echo x")
		require.Error(t, err)
	})
	t.Run("ours", func(t *testing.T) {
		srv, client := ours(t)
		srv.AddFaults(onlySelector)
		out, _, _, err := client.RunCmdWithContext(t.Context(), "echo x")
		require.NoError(t, err)
		assert.Equal(t, "x\r\n", out)
		assert.Zero(t, srv.Stats().Shells)
	})
	t.Run("no id at all", func(t *testing.T) {
		srv, client := ours(t)
		srv.AddFaults(winrmtest.Fault{Action: "Create", Edit: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("ShellId"), []byte("Other")) }})
		_, err := client.CreateShell()
		require.ErrorContains(t, err, "does not name the shell")
	})
}

// inClear is the messages that came in clear.
func inClear(srv *winrmtest.Server) (actions []string) {
	for _, x := range srv.Exchanges() {
		if x.Action != winrmtest.ActionLogon && !x.Sealed {
			actions = append(actions, x.Action)
		}
	}
	return actions
}

func TestDefect4NeverInClear(t *testing.T) {
	down := winrmtest.Fault{Action: winrmtest.ActionLogon, Status: 503, Count: -1}
	t.Run("theirs", func(t *testing.T) {
		srv := serve(t, newServer())
		srv.AddFaults(down)
		_, _ = clientOf(t, srv, sealing).CreateShell()
		assert.NotEmpty(t, inClear(srv), "the defect")
		assert.Zero(t, srv.Stats().TotalShells, "the host does not take it, but everybody could read it")
	})
	t.Run("ours", func(t *testing.T) {
		srv, client := ours(t)
		srv.AddFaults(down)
		_, err := client.CreateShell()
		require.Error(t, err)
		assert.Empty(t, inClear(srv))
		assert.Zero(t, seen(srv, "Create"))
	})
}

func TestDefect5EveryMessageHasItsBody(t *testing.T) {
	t.Run("theirs", func(t *testing.T) {
		srv := serve(t, newServer())
		client := clientOf(t, srv, sealing)
		_, err := client.CreateShell()
		require.NoError(t, err)
		_, err = client.CreateShell()
		require.Error(t, err, "the defect: an empty body on a connection that is logged on")
		http.DefaultClient.CloseIdleConnections()
	})
	t.Run("ours", func(t *testing.T) {
		srv, client := ours(t)
		for range 3 {
			out, _, _, err := client.RunCmdWithContext(t.Context(), "echo x")
			require.NoError(t, err)
			assert.Equal(t, "x\r\n", out)
		}
		stats := srv.Stats()
		assert.Equal(t, 1, stats.Logons, "one logon for a connection, not one for a message")
		assert.Zero(t, stats.Exchanges[winrmtest.ActionInvalid])
	})
}

func TestDefect6EndpointIsHeeded(t *testing.T) {
	srv := newServer()
	srv.StartTLS()
	t.Cleanup(srv.Close)
	run := func(decorate func() winrm.Transporter) {
		t.Helper()
		params := winrm.NewParameters("PT60S", "en-US", 153600)
		params.TransportDecorator = decorate
		ep := endpoint(t, srv)
		ep.Insecure = true
		client, err := winrm.NewClientWithParameters(ep, user, password, params)
		require.NoError(t, err)
		_, _, _, err = client.RunCmdWithContext(t.Context(), "echo x")
		require.NoError(t, err)
	}
	run(sealing)
	theirClear := len(inClear(srv))
	assert.NotZero(t, theirClear, "the defect: the sealing part does not heed Insecure, and what it falls back to does not seal")
	transports := masterzen.New(auth.NTLM(credentials()), &masterzen.Options{Encryption: auth.EncryptAlways})
	defer transports.Close()
	run(transports.Decorate)
	assert.Len(t, inClear(srv), theirClear)
}

// Users do not share connections, and many messages of one client go at once.
func TestDefect6ConnectionsOfOneUser(t *testing.T) {
	srv := newServer()
	srv.Users = map[string]string{`CORP\alice`: password, `CORP\bob`: "other"}
	serve(t, srv)
	bobs := auth.Credentials{User: `CORP\bob`, Password: "other", Gate: new(auth.Gate)}
	clients := map[string]*winrm.Client{
		`CORP\alice`: newClient(t, srv, auth.NTLM(credentials()), nil),
		`CORP\bob`:   newClient(t, srv, auth.NTLM(bobs), nil),
	}
	var wg sync.WaitGroup
	for name, client := range clients {
		for range 4 {
			wg.Go(func() {
				out, _, _, err := client.RunCmdWithContext(t.Context(), "whoami")
				assert.NoError(t, err)
				assert.Equal(t, name, out)
			})
			wg.Go(func() {
				in := strings.Repeat(name+"\r\n", 30_000)
				out, _, _, err := client.RunWithContextWithString(t.Context(), "sort", in)
				assert.NoError(t, err)
				assert.True(t, in == out, "%d bytes of %d", len(out), len(in))
			})
		}
	}
	within(t, time.Minute, wg.Wait)
	assert.Empty(t, srv.Stats().FailedLogons)
}

func TestDefect7HostileAnswers(t *testing.T) {
	type change = func([]byte) []byte
	changes := map[string]change{
		"one part":  func(b []byte) []byte { return b[:bytes.Index(b, []byte("octet-stream"))-40] },
		"no Length": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("Length="), []byte("Breadth")) },
		"no signature": func(b []byte) []byte {
			i := bytes.Index(b, []byte("octet-stream\r\n")) + 14
			return append(bytes.Clone(b[:i]), 1, 2)
		},
		"long signature": func(b []byte) []byte { i := bytes.Index(b, []byte("octet-stream\r\n")) + 14; b[i+2] = 0xFF; return b },
	}
	panics := 0
	for name, edit := range changes {
		fault := winrmtest.Fault{Action: "Create", Count: -1, EditSealed: func(b []byte) []byte { return edit(bytes.Clone(b)) }}
		t.Run(name, func(t *testing.T) {
			srv := serve(t, newServer())
			srv.AddFaults(fault)
			func() {
				defer func() {
					if recover() != nil {
						panics++
					}
				}()
				_, _ = clientOf(t, srv, sealing).CreateShell()
			}()
			http.DefaultClient.CloseIdleConnections()

			srv, client := ours(t)
			srv.AddFaults(fault)
			_, err := client.CreateShell()
			answer, ok := errors.AsType[*auth.ResponseError](err)
			require.True(t, ok, "%v", err)
			assert.NotEmpty(t, answer.Host)
		})
	}
	assert.NotZero(t, panics, "the defect: masterzen's transport panics")
}

// A user principal name stays whole: its suffix need not be a domain's name.
func TestDefect7UserPrincipalNames(t *testing.T) {
	const upn = "alice@mail.corp.example"
	srv := newServer()
	srv.Users = map[string]string{upn: password}
	serve(t, srv)
	client := newClient(t, srv, auth.NTLM(auth.Credentials{User: upn, Password: password, Gate: new(auth.Gate)}), nil)
	out, _, _, err := client.RunCmdWithContext(t.Context(), "whoami")
	require.NoError(t, err)
	assert.Equal(t, upn, out)
}

func TestDefect10DeadHost(t *testing.T) {
	dead := winrmtest.Fault{Action: "Receive", Drop: winrmtest.Silence, Count: -1}
	t.Run("theirs", func(t *testing.T) {
		srv := newServer()
		srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()}
		serve(t, srv)
		srv.AddFaults(dead)
		ep := endpoint(t, srv)
		ep.Timeout = 20 * time.Millisecond
		client, err := winrm.NewClient(ep, user, password)
		require.NoError(t, err)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = client.RunWithContext(context.Background(), "echo x", io.Discard, io.Discard)
		}()
		require.Eventually(t, func() bool { return seen(srv, "Receive") > 10 }, 30*time.Second, 5*time.Millisecond, "the defect")
		select {
		case <-ended:
			t.Error("it ended by itself")
		default:
		}
		srv.ClearFaults()
		<-ended
	})
	t.Run("ours", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, client, stop := inMemory(t, 0)
			defer stop()
			srv.AddFaults(dead)
			began := time.Now()
			code, err := client.RunWithContext(t.Context(), "echo x", io.Discard, io.Discard)
			late, ok := errors.AsType[*wsman.TimeoutError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, 75*time.Second, late.Wait)
			assert.InDelta(t, 75, time.Since(began).Seconds(), 0.1)
			assert.Equal(t, 16001, code)
			assert.Equal(t, 1, seen(srv, "Receive"))
		})
	})
	t.Run("ours, dial", func(t *testing.T) {
		params := winrm.NewParameters("PT60S", "en-US", 153600)
		params.Dial = func(string, string) (net.Conn, error) {
			return nil, &url.Error{Op: "dial", Err: context.DeadlineExceeded} // a time-out
		}
		params.TransportDecorator = masterzen.Decorator(auth.NTLM(credentials()), nil)
		client, err := winrm.NewClientWithParameters(winrm.NewEndpoint("srv1", 0, false, false, nil, nil, nil, 0), "", "", params)
		require.NoError(t, err)
		_, err = client.CreateShell()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var e *url.Error
		assert.False(t, errors.As(err, &e), "masterzen asks again for ever when it sees one")
	})
}

// inMemory is a server and a client in virtual time.
func inMemory(t *testing.T, timeout time.Duration) (*winrmtest.Server, *winrm.Client, func()) {
	t.Helper()
	return inMemoryWith(t, new(masterzen.Options), timeout)
}

func inMemoryWith(t *testing.T, opts *masterzen.Options, timeout time.Duration) (*winrmtest.Server, *winrm.Client, func()) {
	t.Helper()
	srv := newServer()
	srv.StartMemory()
	opts.Dial = srv.Dial
	transports := masterzen.New(auth.NTLM(credentials()), opts)
	params := winrm.NewParameters("PT60S", "en-US", 153600)
	params.TransportDecorator = transports.Decorate
	client, err := winrm.NewClientWithParameters(winrm.NewEndpoint("winrmtest", 5985, false, false, nil, nil, nil, timeout), "", "", params)
	require.NoError(t, err)
	return srv, client, func() {
		require.NoError(t, transports.Close())
		srv.Close()
	}
}

// A program that wants its deadlines heeded at once hands them to Options.
func TestDefect11Context(t *testing.T) {
	t.Run("theirs", func(t *testing.T) {
		srv, client := theirs(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, _ = client.RunWithContext(ctx, "slow 600ms", io.Discard, io.Discard)
		assert.GreaterOrEqual(t, time.Since(began), 500*time.Millisecond, "the defect: not seen during a Receive")
		assert.NotNil(t, srv)
	})
	t.Run("ours", func(t *testing.T) {
		srv := serve(t, newServer())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		client := newClient(t, srv, auth.NTLM(credentials()), &masterzen.Options{Context: ctx})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer cancel()
			// A Receive is waiting, so the client knows that its command runs.
			assert.Eventually(t, func() bool {
				s := srv.Stats()
				return s.Exchanges["Command"] == 1 && s.Operations == 1
			}, 30*time.Second, 5*time.Millisecond)
		})
		within(t, 30*time.Second, func() {
			code, err := client.RunWithContext(ctx, "wait", io.Discard, io.Discard)
			assert.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, 16001, code)
		})
		wg.Wait()
		// The command was ended and the shell deleted all the same.
		assert.Equal(t, 1, seen(srv, "Signal"))
		require.Eventually(t, func() bool { s := srv.Stats(); return s.Shells+s.Commands == 0 }, 30*time.Second, 5*time.Millisecond)
		_, err := client.CreateShell()
		require.ErrorIs(t, err, context.Canceled)
	})
}

// Hosts with a MaxEnvelopeSizekb of 150, as Server 2008 R2 has it: masterzen fills
// an envelope of 153600 bytes with as many bytes, and then makes base64 of them.
func TestDefect12LongInput(t *testing.T) {
	input := strings.Repeat("0123456789abcde\n", 20_000)
	run := func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) (string, error) {
		require.NoError(t, srv.Set("MaxEnvelopeSizekb", "150"))
		out, _, _, err := client.RunWithContextWithString(t.Context(), "sort", input)
		return out, err
	}
	longest := func(srv *winrmtest.Server) (n int) {
		for _, x := range srv.Exchanges() {
			n = max(n, len(x.Request))
		}
		return n
	}
	t.Run("theirs", func(t *testing.T) {
		srv, client := theirs(t)
		within(t, 30*time.Second, func() {
			out, err := run(t, srv, client)
			assert.False(t, err == nil && out == input, "the defect")
		})
	})
	t.Run("ours", func(t *testing.T) {
		srv, client := ours(t)
		within(t, 30*time.Second, func() {
			out, err := run(t, srv, client)
			assert.NoError(t, err)
			assert.True(t, out == input, "%d bytes of %d", len(out), len(input))
		})
		assert.LessOrEqual(t, longest(srv), 153600)
		ids := map[string]bool{}
		for _, x := range srv.Exchanges() {
			assert.False(t, x.MessageID != "" && ids[x.MessageID], "a message id twice")
			ids[x.MessageID] = true
		}
	})
}

// A host that says "nothing yet" in any language is heard out, for minutes, and
// the output that comes in the moment of a time-out is not lost.
func TestDefect14SilentCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, stop := inMemory(t, time.Minute)
		defer stop()
		for _, d := range []string{"59s", "60s", "61s", "200s"} {
			out, _, code, err := client.RunCmdWithContext(t.Context(), "slow "+d)
			require.NoError(t, err)
			assert.Zero(t, code)
			assert.Equal(t, "at last", out)
		}
		assert.Zero(t, srv.Stats().Shells)
	})
}

func TestDefect15TimeoutByCode(t *testing.T) {
	srv, client := ours(t)
	srv.AddFaults(winrmtest.Fault{Action: "Receive", Code: timedOut, Count: 2, Edit: func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("OperationTimeout"), []byte("Zeitlimit"))
	}})
	out, _, _, err := client.RunCmdWithContext(t.Context(), "echo x")
	require.NoError(t, err)
	assert.Equal(t, "x\r\n", out)
	assert.Equal(t, 3, seen(srv, "Receive"))
}

// Nor does a host that does not wait before it says so make the loop spin.
func TestDefect15HastyHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, stop := inMemory(t, 0)
		defer stop()
		srv.AddFaults(winrmtest.Fault{Action: "Receive", Code: timedOut, Count: 40})
		began := time.Now()
		_, _, _, err := client.RunCmdWithContext(t.Context(), "echo x")
		require.NoError(t, err)
		assert.InDelta(t, 10, time.Since(began).Seconds(), 0.5, "four times a second")
	})
}

// masterzen puts commands between CDATA marks as they are. What breaks out of
// them is not sent.
func TestDefect16BrokenMessages(t *testing.T) {
	srv, client := ours(t)
	for _, line := range []string{"echo $a[$b[0]]>out.txt", "echo \x01", "echo ]]><x>"} {
		_, _, _, err := client.RunCmdWithContext(t.Context(), line)
		syntax, ok := errors.AsType[*wsman.SyntaxError](err)
		require.True(t, ok, "%q: %v", line, err)
		assert.NotEmpty(t, syntax.Error())
	}
	assert.Zero(t, seen(srv, "Command"))
	assert.Zero(t, seen(srv, winrmtest.ActionInvalid))
}

func TestDefect19AnswersThatAreNoSOAP(t *testing.T) {
	t.Run("a page", func(t *testing.T) {
		srv, client := ours(t)
		srv.AddFaults(winrmtest.Fault{Action: "Create", Status: 503, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<p>busy")})
		_, err := client.CreateShell()
		status, ok := errors.AsType[*wsman.StatusError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, 503, status.Status)
		assert.NotEmpty(t, status.Remedy())
	})
	t.Run("a refused logon", func(t *testing.T) {
		srv := serve(t, newServer())
		wrong := auth.Credentials{User: user, Password: "wrong", Gate: new(auth.Gate)}
		client := newClient(t, srv, auth.NTLM(wrong), nil)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				_, err := client.CreateShell()
				refused, ok := errors.AsType[*auth.Error](err)
				if assert.True(t, ok, "%v", err) {
					assert.True(t, refused.Refused)
					assert.NotEmpty(t, refused.Causes)
				}
			})
		}
		wg.Wait()
		require.Len(t, srv.Stats().FailedLogons, 1)
		for _, n := range srv.Stats().FailedLogons {
			assert.Equal(t, 1, n, "five calls, one failed logon")
		}
	})
}

// More commands at once than there are connections take turns: one that is done
// at once does not wait until the others have something to say.
func TestManyCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, stop := inMemoryWith(t, &masterzen.Options{MaxConns: 3}, 0)
		defer stop()
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				out, _, _, err := client.RunCmdWithContext(t.Context(), "slow 100s")
				assert.NoError(t, err)
				assert.Equal(t, "at last", out)
			})
		}
		time.Sleep(10 * time.Second)
		began := time.Now()
		out, _, _, err := client.RunCmdWithContext(t.Context(), "echo x")
		require.NoError(t, err)
		assert.Equal(t, "x\r\n", out)
		assert.Less(t, time.Since(began), 15*time.Second)
		wg.Wait()
		assert.LessOrEqual(t, srv.Stats().PeakConnections, 3)
	})
}
