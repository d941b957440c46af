package credssp_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
)

// python returns the interpreter of a virtual environment with pyspnego.
// WINRMKIT_PEERS_VENV names it; WINRMKIT_INTEROP=1 makes its absence an error.
func python(t *testing.T) string {
	t.Helper()
	venv := os.Getenv("WINRMKIT_PEERS_VENV")
	path := filepath.Join(venv, "bin", "python")
	missing := "pyspnego: WINRMKIT_PEERS_VENV is not set"
	if venv != "" {
		out, err := exec.Command(path, "-c", "import spnego").CombinedOutput()
		if err == nil {
			return path
		}
		missing = fmt.Sprintf("pyspnego: %s: %v %s", path, err, out)
	}
	if os.Getenv("WINRMKIT_INTEROP") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// A pyspnego is the process of testdata/acceptor.py.
type pyspnego struct {
	t      *testing.T
	in     *json.Encoder
	out    *bufio.Scanner
	stderr bytes.Buffer
}

// pyAnswer is one line of it.
type pyAnswer struct {
	Ready                  bool
	Data, Token            []byte
	Done                   bool
	Version                int
	Domain, User, Password string
	Error                  string
}

func startPyspnego(t *testing.T, inner string, version int, tlsVersion string, env ...string) *pyspnego {
	t.Helper()
	cmd := exec.Command(python(t), "testdata/acceptor.py", inner, fmt.Sprint(version), tlsVersion)
	p := &pyspnego{t: t}
	cmd.Stderr = &p.stderr
	cmd.Env = append(os.Environ(), env...)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	p.in, p.out = json.NewEncoder(stdin), bufio.NewScanner(stdout)
	p.out.Buffer(nil, 4<<20)
	require.True(t, p.read().Ready)
	return p
}

func (p *pyspnego) read() (a pyAnswer) {
	p.t.Helper()
	require.True(p.t, p.out.Scan(), "pyspnego ended: %s", &p.stderr)
	require.NoError(p.t, json.Unmarshal(p.out.Bytes(), &a))
	return a
}

func (p *pyspnego) ask(op string, token, data []byte) pyAnswer {
	p.t.Helper()
	require.NoError(p.t, p.in.Encode(map[string]any{"op": op, "token": token, "data": data}))
	return p.read()
}

// logon runs a logon to its end, or to the error of either side.
func (p *pyspnego) logon(s auth.Session) (got pyAnswer, legs int, err error) {
	p.t.Helper()
	in := auth.Leg{First: true}
	for {
		out, done, err := s.Step(p.t.Context(), in)
		if err != nil || done {
			return got, legs, err
		}
		legs++
		got = p.ask("step", nil, out)
		switch {
		case got.Error != "":
			return got, legs, fmt.Errorf("pyspnego: %s", got.Error)
		case got.Done:
			in = auth.Leg{Status: http.StatusOK}
		default:
			in = auth.Leg{Status: http.StatusUnauthorized, HasToken: true, Token: got.Data}
		}
	}
}

// odd are texts of characters that are easily lost.
var odd = []string{
	"plain", " leading and trailing ", `"quotes" 'and' \back\slash`, "<&>%;:|,=@", "tab\tand\nnewline\r",
	"Pä$$wörd", "пароль", "密码", "\U0001f600 \U0010ffff", "\x01\x7f\u0085\u2028\ufeff", "e\u0301 \u00e9", "\x00 nul",
}

func TestPyspnego(t *testing.T) {
	python(t)
	users := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(users, []byte("CORP:svc:Logon-Passw0rd\n"), 0o600))
	env := "NTLM_USER_FILE=" + users
	logon := auth.Credentials{Domain: "CORP", User: "svc", Password: "Logon-Passw0rd", Gate: &auth.Gate{}}
	inners := map[string]auth.Mechanism{"ntlm": auth.NTLM(logon), "negotiate": auth.Negotiate(auth.NTLM(logon))}
	passwords := 0
	for inner, mech := range inners {
		for _, tlsVersion := range []string{"1.2", "1.3"} {
			for version := 2; version <= 6; version++ {
				password := odd[passwords%len(odd)]
				passwords++
				t.Run(fmt.Sprintf("%s, TLS %s, version %d, %+q", inner, tlsVersion, version, password), func(t *testing.T) {
					peer := startPyspnego(t, inner, version, tlsVersion, env)
					m := credssp.New(credssp.Config{
						Credentials: auth.Credentials{Domain: "TÖRT", User: "Jürgen's", Password: password},
						Inner:       mech, MinVersion: 2,
					})
					s, err := m.NewSession(auth.Peer{Scheme: "http", Host: "srv1.corp.example", Port: "5985", Seal: true})
					require.NoError(t, err)
					defer s.Close()
					got, legs, err := peer.logon(s)
					require.NoError(t, err)
					assert.Equal(t, 5, legs)
					assert.Equal(t, version, got.Version)
					assert.Equal(t, []string{"TÖRT", "Jürgen's", password}, []string{got.Domain, got.User, got.Password})
					sealBothWays(t, peer, s.(auth.Sealer))
				})
			}
		}
	}
	require.GreaterOrEqual(t, passwords, len(odd), "every odd text has its turn")
}

// sealBothWays exchanges messages in the framing of WinRM.
func sealBothWays(t *testing.T, peer *pyspnego, s auth.Sealer) {
	t.Helper()
	require.True(t, s.Ready())
	for _, n := range []int{1, 2, 16, 1000, 16383, 16384} {
		plain := bytes.Repeat([]byte{byte(n)}, n)
		out, tokenLen, length, err := s.Wrap(nil, plain)
		require.NoError(t, err)
		require.Equal(t, n, length)
		got := peer.ask("unwrap", out[:tokenLen], out[tokenLen:])
		require.Empty(t, got.Error)
		require.True(t, bytes.Equal(plain, got.Data))

		got = peer.ask("wrap", nil, plain)
		require.Empty(t, got.Error)
		require.Len(t, got.Token, tokenLen, "both sides know the same trailer")
		back, err := s.Unwrap(append(got.Token, got.Data...), len(got.Token))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, back))
	}
}
