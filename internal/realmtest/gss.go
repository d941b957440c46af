package realmtest

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
)

//go:embed testdata/gss_peer.py
var gssPeer string

// GSS is MIT's GSS-API in a process of its own, accepting or initiating.
type GSS struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
}

// GSSAnswer is what the peer says; the fields depend on what was asked.
type GSSAnswer struct {
	Data   []byte   `json:"data"`
	Header []byte   `json:"header"`
	Done   bool     `json:"done"`
	Name   string   `json:"name"`
	Flags  []string `json:"flags"`
	Deleg  string   `json:"deleg"`
	Ticket string   `json:"ticket"` // what a further ticket fetched with delegated credentials said
	Sealed bool     `json:"sealed"`
	Error  string   `json:"error"`
}

// GSSRequest is one order to the peer.
type GSSRequest struct {
	Op     string `json:"op"`
	Data   []byte `json:"data,omitempty"`
	Header []byte `json:"header,omitempty"`
	MIC    []byte `json:"mic,omitempty"`
}

// StartGSS starts the peer: args are "accept" or "init TARGET" with options, as
// the script's head has them; env as for a realm.
func StartGSS(t testing.TB, env []string, args ...string) *GSS {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's bindings belong to Debian's Python
	if !isFile(python) && find(python) == "" {
		missing(t, python+" is not installed")
	}
	if exec.Command(python, "-c", "import gssapi").Run() != nil {
		missing(t, "python3-gssapi is not installed")
	}
	cmd := exec.Command(python, append([]string{"-c", gssPeer}, args...)...) //nolint:gosec // arguments of tests
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &GSS{t: t, in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

// Try sends one order and returns the peer's error as an error.
func (g *GSS) Try(r GSSRequest) (GSSAnswer, error) {
	g.t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := g.in.Write(append(b, '\n')); err != nil {
		g.t.Fatalf("GSS peer: %v", err)
	}
	line, err := g.out.ReadBytes('\n')
	if err != nil {
		g.t.Fatalf("GSS peer: %v", err)
	}
	var a GSSAnswer
	if err := json.Unmarshal(line, &a); err != nil {
		g.t.Fatalf("GSS peer: %v: %s", err, line)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Do sends one order that must succeed.
func (g *GSS) Do(r GSSRequest) GSSAnswer {
	g.t.Helper()
	a, err := g.Try(r)
	if err != nil {
		g.t.Fatalf("GSS peer: %s: %v", r.Op, err)
	}
	return a
}
