package peertest_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// A kind is somebody else's implementation.
type kind struct {
	name   string // as peer.py knows it
	module string // what it needs in Python
	least  int    // bytes of the shortest message that it seals: gss-ntlmssp takes no empty one
}

var (
	gss      = kind{"gss", "gssapi", 1}
	pyspnego = kind{"pyspnego", "spnego", 0}

	// What listener.py needs: pyspnego does Kerberos by GSSAPI.
	pyspnegoKerberos = kind{"pyspnego with Kerberos", "spnego, gssapi, krb5", 0}
)

// python returns an interpreter that has the module, or skips the test.
func (k kind) python(t *testing.T) string {
	t.Helper()
	candidates := []string{"/usr/bin/python3", "python3"}
	if venv := os.Getenv("WINRMKIT_PEERS_VENV"); venv != "" {
		candidates = append([]string{filepath.Join(venv, "bin", "python3")}, candidates...)
	}
	for _, python := range candidates {
		if exec.Command(python, "-c", "import "+k.module).Run() == nil {
			return python
		}
	}
	missing(t, "Python module "+k.module)
	return ""
}

// missing skips the test, or fails it where all peers have to be there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("WINRMKIT_INTEROP") == "1" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}

// A peer is a process that takes part in a logon.
type peer struct {
	kind
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

// A peerConfig tells who the peer is, or whom it knows.
type peerConfig struct {
	role, mech string
	binding    []byte
	user, pass string // of an initiator
	accounts   string // of an acceptor: DOMAIN:user:password
	host       string
	extraEnv   []string
}

func (k kind) start(t *testing.T, cfg peerConfig) *peer {
	t.Helper()
	args := []string{"peer.py", k.name, cfg.role, cfg.mech, "--binding", hex.EncodeToString(cfg.binding)}
	if cfg.user != "" {
		args = append(args, "--user", cfg.user)
	}
	if cfg.host != "" {
		args = append(args, "--host", cfg.host)
	}
	cmd := exec.CommandContext(t.Context(), k.python(t), args...)
	cmd.Env = append(os.Environ(), "PEER_PASSWORD="+cfg.pass)
	cmd.Env = append(cmd.Env, cfg.extraEnv...)
	if cfg.accounts != "" {
		file := filepath.Join(t.TempDir(), "accounts")
		require.NoError(t, os.WriteFile(file, []byte(cfg.accounts+"\n"), 0o600))
		cmd.Env = append(cmd.Env, "NTLM_USER_FILE="+file)
	}
	in, out := begin(t, k.name, cmd, func() {})
	return &peer{kind: k, t: t, in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

// begin starts a program that is spoken to. At the end of the test its input is
// closed and end called, and it is waited for; if the test has failed, what the
// program said is told.
func begin(t *testing.T, name string, cmd *exec.Cmd, end func()) (in io.WriteCloser, out io.Reader) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err = cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		end()
		_ = cmd.Wait()
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("%s said: %s", name, stderr.String())
		}
	})
	return in, out
}

type header struct {
	Op    string   `json:"op,omitempty"`
	Size  int      `json:"size"`
	Lens  []int    `json:"lens,omitempty"`
	Error string   `json:"error,omitempty"`
	Done  bool     `json:"done,omitempty"`
	Token bool     `json:"token,omitempty"`
	User  string   `json:"user,omitempty"`
	Mech  string   `json:"mech,omitempty"`
	Flags []string `json:"flags,omitempty"`
}

func (p *peer) call(req header, data []byte) (header, []byte) {
	p.t.Helper()
	req.Size = len(data)
	head, err := json.Marshal(req)
	require.NoError(p.t, err)
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(head))), head...)
	_, err = p.in.Write(append(frame, data...))
	require.NoError(p.t, err)

	var size [4]byte
	_, err = io.ReadFull(p.out, size[:])
	require.NoError(p.t, err, "the peer is gone")
	head = make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(p.out, head)
	require.NoError(p.t, err)
	var resp header
	require.NoError(p.t, json.Unmarshal(head, &resp))
	data = make([]byte, resp.Size)
	_, err = io.ReadFull(p.out, data)
	require.NoError(p.t, err)
	return resp, data
}

// step hands the peer a token.
func (p *peer) step(token []byte) (header, []byte) {
	p.t.Helper()
	return p.call(header{Op: "step"}, token)
}

// A sealer is our side of a session.
type sealer interface {
	Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error)
	Unwrap(buf []byte, tokenLen int) ([]byte, error)
}

const (
	maxMessage   = 1 << 20
	batch        = 4 << 20 // bytes sealed before the peer gets them
	signatureLen = 16
)

// exchange seals messages of random lengths, has the peer open them and seal
// them the other way, and opens those. Lengths go from 0 to 1 MiB, both ends
// included, most of them short.
func exchange(t *testing.T, ours sealer, theirs *peer) {
	t.Helper()
	count := 200
	if s := os.Getenv("WINRMKIT_INTEROP_COUNT"); s != "" {
		var err error
		count, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	random := rand.NewChaCha8([32]byte{1})
	pick := rand.New(random)
	for sent := 0; sent < count; {
		plain, lens := [][]byte(nil), []int(nil)
		var sealed []byte
		for sent < count && len(sealed) < batch {
			u := pick.Float64()
			n := int(math.Exp(u*u*math.Log(maxMessage+1))) - 1
			switch sent {
			case 0:
				n = 0
			case 1:
				n = maxMessage
			}
			n = max(n, theirs.least)
			message := make([]byte, n)
			_, _ = random.Read(message)
			before := len(sealed)
			out, tokenLen, length, err := ours.Wrap(sealed, message)
			require.NoError(t, err)
			require.Equal(t, signatureLen, tokenLen)
			require.Equal(t, n, length)
			sealed, plain, lens = out, append(plain, message), append(lens, len(out)-before)
			sent++
		}
		resp, data := theirs.call(header{Op: "echo", Lens: lens}, sealed)
		require.Empty(t, resp.Error)
		require.Len(t, resp.Lens, len(plain))
		for i, n := range resp.Lens {
			got, err := ours.Unwrap(data[:n:n], signatureLen)
			require.NoError(t, err, "message %d of %d bytes", i, n)
			require.True(t, bytes.Equal(plain[i], got), "message %d of %d bytes differs", i, n)
			data = data[n:]
		}
	}
}
