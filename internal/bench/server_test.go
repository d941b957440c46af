package bench_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// serverVariable makes this program a server instead of the benchmarks. Its
// value is a serverConfig.
const serverVariable = "WINRMKIT_BENCH_SERVER"

const (
	user     = "alice"
	password = "Passw0rd!"
)

// A serverConfig says what a child process serves.
type serverConfig struct {
	Mechanism string // a name of [mechanisms]
	TLS       bool
	Keytab    string        // file
	Hosts     int           // so many servers, each on a port of its own; 0 is one
	Hooked    bool          // close each connection after a sealed message, see closeSealed
	Files     bool          // a disk, and what others copy with, see copyHost
	Delay     time.Duration // round trip of the link in front of the first server; with Files
}

// A target is one server.
type target struct {
	URL  string
	Host string
	Port int
	CA   []byte // PEM, with TLS
}

// A child is the process of one or several servers.
type child struct {
	targets []target
	mu      sync.Mutex
	in      io.WriteCloser
	out     *bufio.Reader
}

// startServer starts the child and stops it with the benchmark.
func startServer(b testing.TB, c serverConfig) *child {
	b.Helper()
	config, err := json.Marshal(c)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverVariable+"="+string(config))
	cmd.Stderr = os.Stderr
	p := &child{}
	if p.in, err = cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.out = bufio.NewReader(stdout)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		p.in.Close() // the child ends with its standard input
		if err := cmd.Wait(); err != nil {
			b.Error("server:", err)
		}
	})
	if err := p.read(&p.targets); err != nil {
		b.Fatal("server: ", err)
	}
	return p
}

func (p *child) read(v any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// A report is what a child says of all its servers together.
type report struct {
	Exchanges, Connections, Commands, Logons int
	Wire                                     int64 // bytes over the link, both ways, with all headers
}

// stats asks the child.
func (p *child) stats(b testing.TB) report {
	b.Helper()
	r, err := p.ask("stats")
	if err != nil {
		b.Fatal("server: ", err)
	}
	return r
}

// ask gives an order: "stats", or "release", which lets commands go that hold.
func (p *child) ask(order string) (r report, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err = fmt.Fprintln(p.in, order); err != nil {
		return r, err
	}
	err = p.read(&r)
	return r, err
}

// caFile is the authority of a TLS server as a file.
func (t target) caFile(b testing.TB) string {
	b.Helper()
	if len(t.CA) == 0 {
		return ""
	}
	name := filepath.Join(b.TempDir(), "ca.pem")
	if err := os.WriteFile(name, t.CA, 0o600); err != nil {
		b.Fatal(err)
	}
	return name
}

// --- the child ---

func serve(config string) {
	var c serverConfig
	must(json.Unmarshal([]byte(config), &c))
	release := make(chan struct{})
	var servers []*winrmtest.Server
	var targets []target
	for range max(c.Hosts, 1) {
		srv := newServer(c, release)
		defer srv.Close()
		servers = append(servers, srv)
		targets = append(targets, targetOf(srv))
	}
	var l *link
	if c.Files {
		l = newLink(net.JoinHostPort(targets[0].Host, strconv.Itoa(targets[0].Port)), c.Delay)
		targets[0] = targetAt(&url.URL{Scheme: "http", Host: l.addr(), Path: "/wsman"})
	}
	out := json.NewEncoder(os.Stdout)
	must(out.Encode(targets))
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		if orders.Text() == "release" {
			close(release)
		}
		r := reportOf(servers)
		if l != nil {
			r.Wire = l.bytes()
		}
		must(out.Encode(r))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func newServer(c serverConfig, release <-chan struct{}) *winrmtest.Server {
	var h winrmtest.Handler = winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 { return handle(p, release) })
	if c.Files {
		h = newCopyHost(h)
	}
	srv := winrmtest.NewUnstartedServer(h)
	srv.Users = map[string]string{user: password}
	srv.Mechanisms = mechanisms(c)
	// Every command counts for the quota until its shell goes.
	srv.Settings = map[string]string{"Service/MaxConcurrentOperationsPerUser": "4294967295"}
	srv.AllowUnencrypted = c.Mechanism == "kerberos-clear"
	if c.Hooked {
		srv.Hook = closeSealed
	}
	if c.TLS {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	return srv
}

func targetOf(srv *winrmtest.Server) target {
	u, err := url.Parse(srv.URL)
	must(err)
	t := targetAt(u)
	if srv.Certificate() != nil {
		conn, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it tells whom to trust
		must(err)
		defer conn.Close()
		chain := conn.ConnectionState().PeerCertificates
		t.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[len(chain)-1].Raw})
	}
	return t
}

func targetAt(u *url.URL) target {
	host, port, err := net.SplitHostPort(u.Host)
	must(err)
	n, err := strconv.Atoi(port)
	must(err)
	return target{URL: u.String(), Host: host, Port: n}
}

func reportOf(servers []*winrmtest.Server) (r report) {
	for _, srv := range servers {
		s := srv.Stats()
		for _, n := range s.Exchanges {
			r.Exchanges += n
		}
		r.Connections += s.Connections
		r.Commands += s.Commands
		r.Logons += s.Logons
	}
	return r
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

func mechanisms(c serverConfig) []winrmtest.Mechanism {
	switch c.Mechanism {
	case "basic":
		return []winrmtest.Mechanism{winrmtest.Basic()}
	case "ntlm":
		return []winrmtest.Mechanism{winrmtest.NTLM()}
	case "kerberos", "kerberos-clear":
		keytab, err := os.ReadFile(c.Keytab)
		must(err)
		m, err := winrmtest.NegotiateKerberos(keytab)
		must(err)
		return []winrmtest.Mechanism{m}
	case "credssp":
		return []winrmtest.Mechanism{winrmtest.CredSSP(winrmtest.CredSSPOptions{})}
	default:
		panic("unknown mechanism " + c.Mechanism)
	}
}

// handle knows "echo ...", "zeros N", which writes, "sink", which reads all there
// is and says how much it was, and "hold", which ends when it is released.
func handle(p *winrmtest.Proc, release <-chan struct{}) uint32 {
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
	case "sink":
		n, err := io.Copy(io.Discard, p.Stdin)
		if err != nil {
			return 1
		}
		fmt.Fprint(p.Stdout, n)
		return 0
	case "hold":
		select {
		case <-release:
			fmt.Fprintln(p.Stdout, "released")
			return 0
		case <-p.Context().Done():
			return 1
		}
	}
	return 9009
}
