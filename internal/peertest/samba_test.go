package peertest_test

import (
	"bufio"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
)

// A samba is ntlm_auth as a helper, in the form that squid and Apache use: lines
// of a word and a token.
type samba struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

const (
	sambaUser     = "nobody" // the account that samba.sh makes
	sambaPassword = `pÄss"%wörd`
)

func startSamba(t *testing.T, protocol string) *samba {
	t.Helper()
	for _, program := range []string{"winbindd", "ntlm_auth", "pdbedit", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program)
		}
	}
	if os.Getuid() != 0 {
		missing(t, "root, which winbindd needs,")
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "--kill-child",
		"bash", "samba.sh", protocol, sambaPassword)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8") // pdbedit reads the password
	in, out := begin(t, "samba", cmd, func() { _ = cmd.Process.Kill() })
	return &samba{t: t, in: in, out: bufio.NewReader(out)}
}

// ask sends a request and returns the answer's words.
func (s *samba) ask(word string, token []byte) []string {
	s.t.Helper()
	line := word
	if token != nil {
		line += " " + base64.StdEncoding.EncodeToString(token)
	}
	_, err := io.WriteString(s.in, line+"\n")
	require.NoError(s.t, err)
	answer, err := s.out.ReadString('\n')
	require.NoError(s.t, err)
	return strings.Fields(answer)
}

func (s *samba) token(word string) []byte {
	s.t.Helper()
	if word == "*" {
		return nil
	}
	token, err := base64.StdEncoding.DecodeString(word)
	require.NoError(s.t, err)
	return token
}

// ntlm_auth seals nothing, so the logon is one as over TLS. That both sides have
// the same keys shows by the session key, which it tells, and by the signed list
// of mechanisms.
func TestSamba(t *testing.T) {
	for mech, protocol := range map[string]string{"ntlm": "squid-2.5-ntlmssp", "negotiate": "gss-spnego"} {
		t.Run(mech, func(t *testing.T) {
			t.Parallel()
			for name, password := range map[string]string{"right password": sambaPassword, "wrong password": "wrong"} {
				t.Run(name, func(t *testing.T) {
					theirs := startSamba(t, protocol)
					cred := auth.Credentials{Domain: "CORP", User: sambaUser, Password: password}
					session, err := mechanism(mech, cred).NewSession(auth.Peer{Scheme: "https", Host: "host", Port: "5986"})
					require.NoError(t, err)
					first, _, err := session.Step(t.Context(), auth.Leg{First: true})
					require.NoError(t, err)
					challenge := theirs.ask("YR", first)
					require.Equal(t, "TT", challenge[0], challenge)
					last, _, err := session.Step(t.Context(), auth.Leg{
						Status: http.StatusUnauthorized, HasToken: true, Token: theirs.token(challenge[1]),
					})
					require.NoError(t, err)

					verdict := theirs.ask("KK", last)
					if password != sambaPassword {
						require.Equal(t, "NA", verdict[0], verdict)
						assert.Contains(t, strings.Join(verdict, " "), "NT_STATUS_LOGON_FAILURE")
						return
					}
					require.Equal(t, "AF", verdict[0], verdict)
					assert.Contains(t, verdict[len(verdict)-1], sambaUser)
					if mech == "negotiate" {
						token := theirs.token(verdict[1])
						require.Greater(t, len(token), 16, "holds the signature of the list")
						_, done, err := session.Step(t.Context(), auth.Leg{Status: http.StatusOK, HasToken: true, Token: token})
						require.NoError(t, err)
						assert.True(t, done)
						return
					}
					key := theirs.ask("GK", nil)
					require.Equal(t, "GK", key[0], key)
					assert.Equal(t, session.(interface{ Key() []byte }).Key(), theirs.token(key[1]))
				})
			}
		})
	}
}
