package winrm

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/wsman"
)

func TestEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		"srv1":                          "http://srv1:5985/wsman",
		" srv1 ":                        "http://srv1:5985/wsman",
		"srv1:5985":                     "http://srv1:5985/wsman",
		"srv1:5986":                     "https://srv1:5986/wsman",
		"srv1:8080":                     "http://srv1:8080/wsman",
		"http://srv1":                   "http://srv1:5985/wsman",
		"https://srv1.corp.example":     "https://srv1.corp.example:5986/wsman",
		"https://srv1:443/":             "https://srv1:443/wsman",
		"https://srv1:443/custom/wsman": "https://srv1:443/custom/wsman",
		"192.0.2.1":                     "http://192.0.2.1:5985/wsman",
		"::1":                           "http://[::1]:5985/wsman",
		"[::1]":                         "http://[::1]:5985/wsman",
		"[2001:db8::5]:5986":            "https://[2001:db8::5]:5986/wsman",
		"fe80::1%eth0":                  "http://[fe80::1%25eth0]:5985/wsman",
		"https://[fe80::1%25eth0]:5986": "https://[fe80::1%25eth0]:5986/wsman",
	} {
		got, err := parseEndpoint(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, got, in)
	}
	for _, in := range []string{
		"", "http://", "ftp://srv1", "http://user:secret@srv1", "srv 1", "http://srv1?x=1", "http://srv1#x", "http://srv1:port",
		"http://a:secret@[bad", "srv1:99999", "https://srv1:0", "srv1:65536",
	} {
		_, err := parseEndpoint(in)
		_, ok := errors.AsType[*EndpointError](err)
		require.True(t, ok, "%q: %v", in, err)
		assert.NotContains(t, err.Error(), "secret")
	}
}

// chunks collects what is written to it, write by write.
type chunks struct{ list [][]byte }

func (c *chunks) Write(p []byte) (int, error) {
	c.list = append(c.list, bytes.Clone(p))
	return len(p), nil
}

func TestOutputKeepsCharactersWhole(t *testing.T) {
	texts := []string{"", "abc", "é", "한글", "😀", "a😀b한c", "\xff\xfe", "a\xe2\x82", "\xe2\x28\xa1é", "\xf0\x9f\x98", "😀\xf0😀\x80\x80\x80\x80é"}
	for _, text := range texts {
		for i := 0; i <= len(text); i++ {
			for j := i; j <= len(text); j++ {
				var got chunks
				o := newOutput(&got, true)
				o.write([]byte(text[:i]))
				o.write([]byte(text[i:j]))
				o.write([]byte(text[j:]))
				o.flush()
				require.NoError(t, o.err)
				require.Equal(t, text, string(bytes.Join(got.list, nil)))
				if !utf8.ValidString(text) {
					continue
				}
				for _, c := range got.list {
					require.True(t, utf8.Valid(c), "%q cut at %d and %d", text, i, j)
				}
			}
		}
	}
}

func TestOutputOfOtherCodepagesIsPassedOn(t *testing.T) {
	var got chunks
	o := newOutput(&got, false)
	o.write([]byte{'a', 0xE2})
	assert.Equal(t, [][]byte{{'a', 0xE2}}, got.list)
}

func TestEdges(t *testing.T) {
	for _, size := range []int{0, 1, edgeSize, edgeSize + 1, 2 * edgeSize, 2*edgeSize + 1, 5*edgeSize + 17} {
		for _, step := range []int{1 + size/3, size + 1, 1000} {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte('a' + i%26)
			}
			var e edges
			for p := data; len(p) > 0; p = p[min(step, len(p)):] {
				n, err := e.Write(p[:min(step, len(p))])
				require.NoError(t, err)
				require.Equal(t, min(step, len(p)), n)
			}
			got := e.Bytes()
			if size <= 2*edgeSize {
				require.Equal(t, string(data), string(got))
				continue
			}
			require.Equal(t, string(data[:edgeSize]), string(got[:edgeSize]))
			require.Equal(t, string(data[size-edgeSize:]), string(got[len(got)-edgeSize:]))
			require.Contains(t, string(got), "omitting")
		}
	}
}

func TestPipe(t *testing.T) {
	p := newOutputPipe(pipeSize)
	want := strings.Repeat("0123456789", pipeSize/4)
	go func() {
		_, _ = io.Copy(p, strings.NewReader(want))
		_ = p.writer().Close()
	}()
	got, err := io.ReadAll(p)
	require.NoError(t, err)
	assert.Equal(t, want, string(got))

	p = newOutputPipe(pipeSize)
	failed := make(chan error)
	go func() {
		_, err := p.Write(make([]byte, 2*pipeSize))
		failed <- err
	}()
	require.NoError(t, p.Close())
	assert.ErrorIs(t, <-failed, io.ErrClosedPipe)
}

func TestSendLimit(t *testing.T) {
	var l sendLimit
	l.init(512000, false)
	assert.Equal(t, 150<<10, l.current())
	l.passed(100)
	assert.Equal(t, 150<<10, l.current(), "a small one proves nothing")
	l.passed(150 << 10)
	assert.Equal(t, 300<<10, l.current())
	l.passed(300 << 10)
	assert.Equal(t, 512000, l.current())
	assert.True(t, l.refused(512000))
	assert.Equal(t, 256000, l.current())
	l.passed(256000)
	assert.Equal(t, 256000, l.current(), "what was refused is not tried again")
	for l.refused(l.current()) {
	}
	assert.Equal(t, minSendSize, l.current())
}

func TestSendLimitInDoubt(t *testing.T) {
	var l sendLimit
	l.init(512000, true)
	assert.Zero(t, l.passed(100))
	assert.Equal(t, 512000, l.passed(150<<10))
	assert.Zero(t, l.passed(150<<10), "one asks at a time")
	l.asked(512000, false)
	assert.Equal(t, 150<<10, l.current())
	assert.Equal(t, 256000, l.passed(150<<10))
	l.asked(256000, true)
	assert.Equal(t, 256000, l.current())
	assert.Zero(t, l.passed(256000))
	assert.False(t, l.refused(256000), "not with the same data")
	assert.Equal(t, 128000, l.current())
}

func TestEnv(t *testing.T) {
	got, err := parseEnv([]string{"A=1", "b=x=y", "a=2", "C="})
	require.NoError(t, err)
	assert.Equal(t, []wsmv.Variable{{Name: "A", Value: "2"}, {Name: "b", Value: "x=y"}, {Name: "C", Value: ""}}, got)
	for _, bad := range []string{"", "A", "=x"} {
		_, err := parseEnv([]string{bad})
		_, ok := errors.AsType[*EnvError](err)
		assert.True(t, ok)
	}
}

func TestShellID(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id := newShellID()
		require.Regexp(t, `^57524B54-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`, id)
		require.True(t, isOurs(id) && isOurs(strings.ToLower(id)))
		require.False(t, seen[id])
		seen[id] = true
	}
	assert.False(t, isOurs("44AF9A2C-624E-4975-AB20-CEB406E440B9"))
	assert.False(t, isOurs(""))
}

func TestExitCodes(t *testing.T) {
	assert.Equal(t, "winrm: exit status 7", (&ExitError{Code: 7}).Error())
	assert.Equal(t, "winrm: exit status 0xC0000005", (&ExitError{Code: 0xC0000005}).Error())
	assert.Equal(t, 0, ExitStatus(0))
	assert.Equal(t, 7, ExitStatus(7))
	assert.Equal(t, 1, ExitStatus(256))
	assert.Equal(t, 1, ExitStatus(0x80070000))
	assert.NotZero(t, ExitStatus(0xC0000005)&0xFF)
}

func TestIsAbs(t *testing.T) {
	for _, p := range []string{`C:\x.exe`, `c:/x.exe`, `\\srv\share\x.exe`} {
		assert.True(t, isAbs(p), p)
	}
	for _, p := range []string{`x.exe`, `C:x.exe`, `\x.exe`, `/x`, ``} {
		assert.False(t, isAbs(p), p)
	}
}

// What may pass is told from what somebody said.
func TestUnreached(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	for _, err := range []error{
		&auth.DialError{Stage: "dial", Err: errors.New("a dialer's own words")},
		&auth.DialError{Stage: "proxy", Err: reset},
		&auth.DialError{Stage: "tls", Err: io.EOF},
		&auth.ConnectionLostError{Err: reset},
		&auth.Error{Err: reset},
		fmt.Errorf("KDC: %w", &net.DNSError{IsTimeout: true}),
	} {
		assert.True(t, unreached(err), "%v", err)
	}
	for _, err := range []error{
		&auth.ConnectionLostError{Sent: true, Err: reset},
		&auth.ResponseError{Err: reset},
		&auth.Error{Refused: true, Err: reset},
		&auth.Error{Remembered: true, Broken: true, Err: reset},
		&auth.Error{Status: http.StatusUnauthorized},
		&auth.DialError{Stage: "tls", Err: &tls.CertificateVerificationError{Err: errors.New("expired")}},
		&auth.DialError{Stage: "tls", Err: alert(t)},
		&auth.DialError{Stage: "proxy", Err: errors.New("the proxy refuses")},
		&wsman.Fault{Code: codeUnknownID},
		&wsman.StatusError{Status: http.StatusServiceUnavailable},
		&wsman.TimeoutError{},
		ErrClosed,
	} {
		assert.False(t, unreached(err), "%v", err)
	}
}

// alert is what a client gets whose versions of TLS the server does not take.
func alert(t *testing.T) error {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	var done sync.WaitGroup
	done.Go(func() { _ = tls.Server(b, &tls.Config{MinVersion: tls.VersionTLS13}).Handshake() })
	err := tls.Client(a, &tls.Config{ServerName: "host", MaxVersion: tls.VersionTLS12}).Handshake()
	_ = a.Close()
	done.Wait()
	require.Error(t, err)
	return err
}
