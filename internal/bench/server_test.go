package bench_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// serverVariable makes this program the server instead of the benchmarks. Its
// value names the mechanism.
const serverVariable = "WINRMKIT_BENCH_SERVER"

// ntlmClosing is the mechanism "ntlm" with [closeSealed].
const ntlmClosing = "ntlm-closing"

const (
	user     = "alice"
	password = "Passw0rd!"
)

func TestMain(m *testing.M) {
	if mechanism := os.Getenv(serverVariable); mechanism != "" {
		serve(mechanism)
		return
	}
	os.Exit(m.Run())
}

// delayVariable puts a link in front of the server, with so long a round trip.
const delayVariable = "WINRMKIT_BENCH_DELAY"

// A target is a server in a child process.
type target struct {
	URL  string
	Host string
	Port int

	ask   io.Writer
	reply *bufio.Reader
}

// traffic is what a server has seen since its start.
type traffic struct {
	Exchanges int
	Wire      int64 // bytes over the link, both ways, with all headers
}

// traffic asks the server.
func (t target) traffic(b *testing.B) traffic {
	b.Helper()
	var seen traffic
	_, err := io.WriteString(t.ask, "\n")
	if err == nil {
		err = readLine(t.reply, &seen)
	}
	if err != nil {
		b.Fatal(err)
	}
	return seen
}

func readLine(r *bufio.Reader, v any) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// startServer starts the child and stops it with the benchmark.
func startServer(b *testing.B, mechanism string, env ...string) target {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), serverVariable+"="+mechanism), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close() // the child ends with its standard input
		if err := cmd.Wait(); err != nil {
			b.Error("server:", err)
		}
	})
	t := target{ask: stdin, reply: bufio.NewReader(stdout)}
	if err := readLine(t.reply, &t); err != nil {
		b.Fatal(err)
	}
	return t
}

// serve is the child.
func serve(mechanism string) {
	srv := winrmtest.NewUnstartedServer(newCopyHost())
	srv.Users = map[string]string{user: password}
	srv.Mechanisms = mechanisms(mechanism)
	// Every command counts for the quota until its shell goes.
	srv.Settings = map[string]string{"Service/MaxConcurrentOperationsPerUser": "4294967295"}
	if mechanism == ntlmClosing {
		srv.Hook = closeSealed
	}
	srv.Start()
	defer srv.Close()

	u, err := url.Parse(srv.URL)
	if err != nil {
		panic(err)
	}
	var l *link
	if s := os.Getenv(delayVariable); s != "" {
		delay, err := time.ParseDuration(s)
		if err != nil {
			panic(err)
		}
		l = newLink(u.Host, delay)
		u.Host = l.addr()
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		panic(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(target{URL: u.String(), Host: host, Port: n}); err != nil {
		panic(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		seen := traffic{Wire: l.bytes()}
		for action, n := range srv.Stats().Exchanges {
			if action != winrmtest.ActionLogon {
				seen.Exchanges += n
			}
		}
		if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
			panic(err)
		}
	}
}

// closeSealed ends the connection with every sealed message. On a connection that
// is logged on already masterzen's sealing transport sends an empty body instead
// of the message, so this is the only way in which it works at all.
func closeSealed(x *winrmtest.Exchange) *winrmtest.Fault {
	if x.Sealed {
		return &winrmtest.Fault{Close: true}
	}
	return nil
}

func mechanisms(name string) []winrmtest.Mechanism {
	switch name {
	case "basic":
		return []winrmtest.Mechanism{winrmtest.Basic()}
	case "ntlm", ntlmClosing:
		return []winrmtest.Mechanism{winrmtest.NTLM()}
	default:
		panic("unknown mechanism " + name)
	}
}

// handle knows "echo ..." and "zeros N".
func handle(p *winrmtest.Proc) uint32 {
	words := strings.Fields(p.Line)
	switch words[0] {
	case "echo":
		fmt.Fprintln(p.Stdout, strings.Join(words[1:], " "))
		return 0
	case "zeros":
		n, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return 87 // ERROR_INVALID_PARAMETER
		}
		chunk := make([]byte, 64<<10)
		for n > 0 {
			m, err := p.Stdout.Write(chunk[:min(n, int64(len(chunk)))])
			if err != nil {
				return 1
			}
			n -= int64(m)
		}
		return 0
	}
	return 9009
}
