package bench_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	masterzen "github.com/masterzen/winrm"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
)

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// BenchmarkWarmCommand is one short command on a client whose connection and
// shell are there already, over Basic and http.
func BenchmarkWarmCommand(b *testing.B) {
	t := startServer(b, "basic")
	var g group
	ours := ourClient(b, t, auth.BasicInsecure(account()), auth.EncryptNever)
	g.run(b, "winrmkit", 0, func() error { return runOurs(ours, "echo hello", 6) })

	shell := masterzenShell(b, t, nil)
	g.run(b, "masterzen", 0, func() error { return runMasterzen(shell, "echo hello", 6) })
	g.ratios(b, "winrmkit")
	g.floor(b, "winrmkit", "masterzen", 4)
}

// BenchmarkStdout is a command with 16 MiB of output, over Basic and http.
func BenchmarkStdout(b *testing.B) {
	const size = 16 << 20
	t := startServer(b, "basic")
	var g group
	line := fmt.Sprintf("zeros %d", size)
	ours := ourClient(b, t, auth.BasicInsecure(account()), auth.EncryptNever)
	g.run(b, "winrmkit", size, func() error { return runOurs(ours, line, size) })

	shell := masterzenShell(b, t, nil)
	g.run(b, "masterzen", size, func() error { return runMasterzen(shell, line, size) })
	g.ratios(b, "winrmkit")
}

func account() auth.Credentials {
	return auth.Credentials{User: user, Password: password}
}

func ourClient(b *testing.B, t target, mechanism auth.Mechanism, encryption auth.Encryption) *winrm.Client {
	b.Helper()
	client, err := winrm.New(t.URL, &winrm.Config{Auth: mechanism, Encryption: encryption})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := client.Close(); err != nil {
			b.Error(err)
		}
	})
	return client
}

func runOurs(client *winrm.Client, line string, want int64) error {
	var out counter
	cmd := client.CommandContext(context.Background(), "")
	cmd.Raw = line
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return err
	}
	return expect(out.n, want)
}

// masterzenShell opens the one shell in which all commands run: that client at
// its best, its Run opens and deletes a shell each time.
func masterzenShell(b *testing.B, t target, transport func() masterzen.Transporter) *masterzen.Shell {
	b.Helper()
	params := masterzen.NewParameters("PT60S", "en-US", 512000)
	params.TransportDecorator = transport
	ep := masterzen.NewEndpoint(t.Host, t.Port, false, false, nil, nil, nil, time.Minute)
	client, err := masterzen.NewClientWithParameters(ep, user, password, params)
	if err != nil {
		b.Fatal(err)
	}
	shell, err := client.CreateShell()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := shell.Close(); err != nil {
			b.Error(err)
		}
	})
	return shell
}

func runMasterzen(shell *masterzen.Shell, line string, want int64) error {
	cmd, err := shell.ExecuteWithContext(context.Background(), line)
	if err != nil {
		return err
	}
	var out counter
	stderr := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, cmd.Stderr)
		stderr <- err
	}()
	if _, err := io.Copy(&out, cmd.Stdout); err != nil {
		return err
	}
	if err := <-stderr; err != nil {
		return err
	}
	cmd.Wait()
	if err := cmd.Close(); err != nil {
		return err
	}
	return expect(out.n, want)
}

func expect(got, want int64) error {
	if got != want {
		return fmt.Errorf("%d bytes of output instead of %d", got, want)
	}
	return nil
}
