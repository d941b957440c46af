// Package target is what the examples about one host have in common: the flags
// that say which host and which account, the password, the demo host, and how an
// error is told.
package target

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const passwordVariable = "WINRM_PASSWORD"

// Flags say which host is meant.
type Flags struct {
	Remote   string // "" is the demo host
	User     string
	Password string
	Auth     string
	SSL      bool
	CA       string
	Insecure bool
}

// Register adds the flags to a set.
func (f *Flags) Register(set *flag.FlagSet) {
	set.StringVar(&f.Remote, "r", "", "`host`, host:port or URL of the listener (default: a demo host inside this process)")
	set.StringVar(&f.User, "u", "", `account: user, DOMAIN\user or user@realm`)
	set.StringVar(&f.Password, "p", "", "where the password comes from: env:NAME or file:PATH (default env:"+passwordVariable+")")
	set.StringVar(&f.Auth, "auth", "negotiate", "negotiate (Kerberos for user@realm, else NTLM), kerberos, basic or credssp")
	set.BoolVar(&f.SSL, "ssl", false, "use https (port 5986)")
	set.StringVar(&f.CA, "ca", "", "trust the certificate authorities in this PEM `file`")
	set.BoolVar(&f.Insecure, "insecure", false, "do not verify the host's certificate: anybody in between can read along")
}

// A Host is how one is reached. Close it when done.
type Host struct {
	Endpoint    string
	Config      *winrm.Config
	Credentials auth.Credentials
	inner       auth.Mechanism // of CredSSP, nil: NTLM
	close       func()
}

// Close ends the demo host, if it is that, and the logon.
func (h *Host) Close() {
	if h.close != nil {
		h.close()
	}
}

// CredSSP is the mechanism that hands the credentials to the host.
func (h *Host) CredSSP() auth.Mechanism {
	return credssp.New(credssp.Config{Credentials: h.Credentials, Inner: h.inner})
}

// Host makes ready what the flags say. Nothing is dialled yet.
func (f *Flags) Host(name string, stderr io.Writer) (*Host, error) {
	if f.Remote == "" {
		return f.demo(name, stderr)
	}
	if f.User == "" {
		return nil, errors.New("-u is missing: whose account?")
	}
	password, err := f.readPassword()
	if err != nil {
		return nil, err
	}
	h := &Host{Endpoint: f.endpoint(), Config: &winrm.Config{CAFile: f.CA}, Credentials: auth.Credentials{User: f.User, Password: password}}
	if f.Insecure {
		h.Config.TLS = &tls.Config{InsecureSkipVerify: true} // said by name: -insecure
	}
	switch f.Auth {
	case "negotiate":
		m, end, err := Negotiate(h.Credentials, h.Endpoint)
		if err != nil {
			return nil, err
		}
		h.Config.Auth, h.inner, h.close = m, m, func() { _ = end() }
	case "kerberos":
		kerb, err := kerberos.New(&kerberos.Config{Credentials: h.Credentials})
		if err != nil {
			return nil, err
		}
		h.Config.Auth, h.close = auth.Negotiate(kerb), func() { _ = kerb.Close() }
		h.inner = h.Config.Auth
	case "basic":
		h.Config.Auth = auth.Basic(h.Credentials)
	case "credssp":
		inner, end, err := Negotiate(h.Credentials, h.Endpoint)
		if err != nil {
			return nil, err
		}
		h.inner, h.close = inner, func() { _ = end() }
		h.Config.Auth = h.CredSSP()
	default:
		return nil, fmt.Errorf("-auth %s: not one of negotiate, kerberos, basic, credssp", f.Auth)
	}
	return h, nil
}

// HostOrNobody is Host, but without -u it is reached without a logon.
func (f *Flags) HostOrNobody(name string, stderr io.Writer) (*Host, error) {
	if f.Remote != "" && f.User == "" {
		h := &Host{Endpoint: f.endpoint(), Config: &winrm.Config{CAFile: f.CA}}
		if f.Insecure {
			h.Config.TLS = &tls.Config{InsecureSkipVerify: true} // said by name: -insecure
		}
		return h, nil
	}
	return f.Host(name, stderr)
}

func (f *Flags) endpoint() string {
	if !f.SSL || strings.Contains(f.Remote, "://") {
		return f.Remote
	}
	if ip := net.ParseIP(f.Remote); ip != nil && ip.To4() == nil {
		return "https://[" + f.Remote + "]"
	}
	return "https://" + f.Remote
}

// demo starts a host inside this process and says so. It is configured as a
// member of a domain: some settings come from group policy.
func (f *Flags) demo(name string, stderr io.Writer) (*Host, error) {
	if f.User != "" || f.Password != "" || f.SSL {
		return nil, errors.New("-r is missing: the demo host has its own account")
	}
	disk := &winrmtest.Disk{}
	if err := disk.WriteFile(`C:\Temp\hello.txt`, []byte("Hello from the demo host.\r\n")); err != nil {
		return nil, err
	}
	srv := winrmtest.NewUnstartedServer(&winrmtest.Host{Disk: disk})
	srv.Name = "DEMO"
	srv.Users = map[string]string{"demo": rand.Text()}
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate(), winrmtest.CredSSP(winrmtest.CredSSPOptions{})}
	srv.Settings = map[string]string{"Service/Auth/CredSSP": "false", "Service/Auth/Kerberos": "true"}
	srv.Policy = map[string]string{"Client/TrustedHosts": "*.corp.example", "Client/Auth/Digest": "false"}
	srv.Start()
	fmt.Fprintf(stderr, "%s: no -r: this is the built-in demo host at %s. It lives in this process and listens on the\n"+
		"loopback only, protected as a Windows host is by default: Negotiate with NTLM, encrypted messages, a random password.\n", name, srv.URL)
	return &Host{
		Endpoint: srv.URL, Config: srv.Config(), close: srv.Close,
		Credentials: auth.Credentials{User: "demo", Password: srv.Users["demo"]},
	}, nil
}

// readPassword gets the password. It is never a flag: every user of the computer
// can read the command lines of its processes.
func (f *Flags) readPassword() (string, error) {
	source, value, _ := strings.Cut(f.Password, ":")
	switch source {
	case "", "env":
		if value == "" {
			value = passwordVariable
		}
		p, ok := os.LookupEnv(value)
		if !ok {
			return "", fmt.Errorf("no password: the environment variable %s is not set", value)
		}
		return p, nil
	case "file":
		if err := auth.CheckPrivateFile(value); err != nil {
			return "", err
		}
		file, err := os.Open(value)
		if err != nil {
			return "", err
		}
		defer file.Close()
		line, err := bufio.NewReader(file).ReadString('\n')
		if err != nil && !(errors.Is(err, io.EOF) && line != "") {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	return "", errors.New("-p says where the password comes from: env:NAME or file:PATH")
}

// Tell prints an error with what is known about its causes.
func Tell(w io.Writer, name string, err error, causes []winrm.Cause) {
	if e, ok := errors.AsType[*auth.Error](err); ok {
		short := *e
		short.Causes = nil // they get lines of their own
		err = &short
	}
	fmt.Fprintf(w, "%s: %v\n", name, err)
	Causes(w, "  ", causes)
}

// Causes prints causes, a line for each thing there is to say.
func Causes(w io.Writer, indent string, causes []winrm.Cause) {
	for i, c := range causes {
		label := fmt.Sprintf("candidate %d", i+1)
		switch {
		case c.Certain:
			label = "cause"
		case len(causes) == 1:
			label = "candidate"
		}
		for _, l := range [][2]string{{label, c.Text + " [" + c.ID + "]"}, {"  check", c.Check}, {"  remedy", c.Remedy}} {
			if l[1] != "" {
				fmt.Fprintf(w, "%s%-12s %s\n", indent, l[0]+":", l[1])
			}
		}
	}
}
