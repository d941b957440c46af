package bench_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	masterzen "github.com/masterzen/winrm"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/winrm"
)

// A client of a host: ours or another.
type client interface {
	// run runs a command in the open shell and returns how long its output was.
	run(line string, stdin io.Reader) (int64, error)
	close() error
}

// A lane is a way to a host: a mechanism with or without TLS.
type lane struct {
	name   string
	server serverConfig
	realm  *realm // Kerberos
	// envelope is the size that masterzen's client is told; 0 is what all others
	// use. It makes its Sends a third larger.
	envelope int
}

// lanes are the ways that are measured.
func lanes() []lane {
	return []lane{
		{name: "Basic, https", server: serverConfig{Mechanism: "basic", TLS: true}},
		{name: "NTLM sealed, http", server: serverConfig{Mechanism: "ntlm"}},
		{name: "CredSSP sealed, http", server: serverConfig{Mechanism: "credssp"}},
		{name: "Kerberos sealed, http", server: serverConfig{Mechanism: "kerberos"}},
	}
}

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func account() auth.Credentials {
	return auth.Credentials{User: user, Password: password}
}

func expect(got, want int64) error {
	if got != want {
		return fmt.Errorf("%d bytes of output instead of %d", got, want)
	}
	return nil
}

// --- ours ---

type ourClient struct {
	c     *winrm.Client
	after func() // frees the mechanism
}

func openOurs(l lane, t target) (client, error) {
	config := &winrm.Config{}
	o := &ourClient{after: func() {}}
	switch l.server.Mechanism {
	case "basic":
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(t.CA)
		config.TLS = &tls.Config{RootCAs: pool}
		config.Auth = auth.Basic(account())
	case "ntlm":
		config.Auth = auth.NTLM(account())
	case "credssp":
		config.Auth = credssp.New(credssp.Config{Credentials: account()})
	case "kerberos":
		k, err := kerberos.New(&kerberos.Config{
			Credentials: account(), Realm: realmName, ConfigFile: l.realm.conf, SPNs: []string{"HTTP/" + spnHost},
		})
		if err != nil {
			return nil, err
		}
		o.after = func() { k.Close() }
		config.Auth = auth.Negotiate(k)
	}
	c, err := winrm.New(t.URL, config)
	o.c = c
	return o, err
}

func (o *ourClient) run(line string, stdin io.Reader) (int64, error) {
	var out counter
	cmd := o.c.CommandContext(context.Background(), "")
	cmd.Raw = line
	cmd.Stdout = &out
	if stdin != nil {
		cmd.Stdin = stdin
	}
	err := cmd.Run()
	return out.n, err
}

func (o *ourClient) close() error {
	defer o.after()
	return o.c.Close()
}

// --- masterzen/winrm ---

// A zenClient keeps one shell in which all commands run: that client at its best,
// its Run opens and deletes a shell each time.
type zenClient struct{ shell *masterzen.Shell }

func openMasterzen(l lane, t target) (client, error) {
	params := masterzen.NewParameters("PT60S", "en-US", cmp.Or(l.envelope, 512000))
	switch l.server.Mechanism {
	case "ntlm":
		params.TransportDecorator = sealing
	case "kerberos-clear":
		params.TransportDecorator = func() masterzen.Transporter {
			return masterzen.NewClientKerberos(&masterzen.Settings{
				WinRMUsername: user, WinRMPassword: password, WinRMHost: t.Host, WinRMPort: t.Port, WinRMProto: "http",
				KrbRealm: realmName, KrbConfig: l.realm.conf, KrbSpn: "HTTP/" + spnHost,
			})
		}
	}
	ep := masterzen.NewEndpoint(t.Host, t.Port, l.server.TLS, false, t.CA, nil, nil, time.Minute)
	c, err := masterzen.NewClientWithParameters(ep, user, password, params)
	if err != nil {
		return nil, err
	}
	shell, err := c.CreateShell()
	if err != nil {
		return nil, err
	}
	return &zenClient{shell}, nil
}

func sealing() masterzen.Transporter {
	e, err := masterzen.NewEncryption("ntlm")
	must(err) // it knows "ntlm" and nothing else
	return e
}

func (z *zenClient) run(line string, stdin io.Reader) (int64, error) {
	cmd, err := z.shell.ExecuteWithContext(context.Background(), line)
	if err != nil {
		return 0, err
	}
	done := make(chan error, 2)
	go func() {
		_, err := io.Copy(io.Discard, cmd.Stderr)
		done <- err
	}()
	go func() {
		var err error
		if stdin != nil {
			// Each Write is cut into messages by itself: large ones make full messages.
			_, err = io.CopyBuffer(cmd.Stdin, stdin, make([]byte, 1<<20))
			err = errors.Join(err, cmd.Stdin.Close())
		}
		done <- err
	}()
	var out counter
	_, err = io.Copy(&out, cmd.Stdout)
	err = errors.Join(err, <-done, <-done)
	cmd.Wait()
	return out.n, errors.Join(err, cmd.Close())
}

func (z *zenClient) close() error { return z.shell.Close() }

// --- the work ---

const hello = "echo hello"

// warm is one short command.
func warm(c client) error {
	n, err := c.run(hello, nil)
	return errors.Join(err, trimmed(n, 6))
}

// trimmed is expect for a line whose end some clients cut off.
func trimmed(got, want int64) error {
	if got == want-1 {
		return nil
	}
	return expect(got, want)
}

func readOutput(c client, size int64) error {
	n, err := c.run("zeros "+strconv.FormatInt(size, 10), nil)
	return errors.Join(err, expect(n, size))
}

// writeInput does not hold what it writes: many bytes that live would spare those
// contestants that make garbage many a collection.
func writeInput(c client, size int64) error {
	n, err := c.run("sink", io.LimitReader(zeros{}, size))
	return errors.Join(err, expect(n, int64(len(strconv.FormatInt(size, 10)))))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// cold is a client's first command: logon, shell, command, and all closed.
func cold(open func() (client, error)) error {
	c, err := open()
	if err != nil {
		return err
	}
	return errors.Join(warm(c), c.close())
}
