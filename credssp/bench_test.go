package credssp_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// sealers runs a benchmark with each of the sealing mechanisms, side by side
// against servers in this process, so that the costs of both ends are in.
func sealers(b *testing.B, h winrmtest.Handler, fn func(*testing.B, *winrm.Client)) {
	b.Helper()
	key, err := krb5.NewKey(krb5.AES256SHA1)
	if err != nil {
		b.Fatal(err)
	}
	kdc := &krb5.KDC{Realm: realm, Users: map[string]string{kerbAlice: password}, Services: map[string]krb5.Key{"HTTP/" + kerbHost: key}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go kdc.Serve(l)
	cred := fresh(realm, kerbAlice, password)
	kerb, err := kerberos.New(&kerberos.Config{Credentials: cred, ConfigFile: "-", KDCs: []string{l.Addr().String()}, Realm: realm})
	if err != nil {
		b.Fatal(err)
	}
	defer kerb.Close()
	accept, err := winrmtest.NegotiateKerberos(krb5.KeytabFor(krb5.Service("HTTP", kerbHost, realm), 1, key).Marshal())
	if err != nil {
		b.Fatal(err)
	}
	for _, m := range []struct {
		name   string
		client auth.Mechanism
		server winrmtest.Mechanism
	}{
		{"NTLM", auth.NTLM(cred), negotiate()},
		{"Kerberos", auth.Negotiate(kerb), accept},
		{"CredSSP", credssp.New(credssp.Config{Credentials: cred}), winrmtest.CredSSP(winrmtest.CredSSPOptions{})},
	} {
		b.Run(m.name, func(b *testing.B) {
			s := winrmtest.NewUnstartedServer(h)
			s.Users = map[string]string{realm + `\` + kerbAlice: password}
			s.Mechanisms = []winrmtest.Mechanism{m.server}
			s.Start()
			defer s.Close()
			c, err := winrm.New("http://"+kerbHost, &winrm.Config{
				Auth: m.client,
				Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
					var d net.Dialer
					return d.DialContext(ctx, network, s.Listener.Addr().String())
				},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if err := c.CommandContext(context.Background(), "warm").Run(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			fn(b, c)
		})
	}
}

// BenchmarkStdout is a command with 100 MB of output.
func BenchmarkStdout(b *testing.B) {
	const size = 100_000_000
	chunk := make([]byte, 1<<16)
	h := winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		for n := size; n > 0 && p.Path != "warm"; n -= len(chunk) {
			if _, err := p.Stdout.Write(chunk[:min(n, len(chunk))]); err != nil {
				return 1
			}
		}
		return 0
	})
	sealers(b, h, func(b *testing.B, c *winrm.Client) {
		b.SetBytes(size)
		for b.Loop() {
			cmd := c.CommandContext(context.Background(), "output")
			cmd.Stdout = io.Discard
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkWarmCommand is one short command on a client that is logged on.
func BenchmarkWarmCommand(b *testing.B) {
	h := winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		_, _ = fmt.Fprintln(p.Stdout, "hello")
		return 0
	})
	sealers(b, h, func(b *testing.B, c *winrm.Client) {
		for b.Loop() {
			if err := c.CommandContext(context.Background(), "echo", "hello").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
