package main

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/url"
	"os"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// connect makes the client, for the host of -r or for the demo host, and the
// function that closes it with all that it has opened. Nothing is dialled yet.
func connect(o *options, term terminal) (*winrm.Client, func() error, error) {
	if o.remote == "" {
		return demo(o, term)
	}
	cfg, err := o.config(term)
	if err != nil {
		return nil, nil, err
	}
	client, err := winrm.New(o.endpoint(), cfg)
	if err != nil {
		return nil, nil, err
	}
	return client, client.Close, nil
}

// demo starts a host inside this process and says so.
func demo(o *options, term terminal) (*winrm.Client, func() error, error) {
	srv := winrmtest.NewUnstartedServer(&winrmtest.Host{})
	srv.Name = "DEMO"
	srv.Users = map[string]string{"demo": rand.Text()}
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate()}
	srv.Start()
	fmt.Fprintf(term.err, "winrs: no -r: commands go to the built-in demo host at %s.\n"+
		"It lives in this process and listens on the loopback only. It is protected as a Windows host is\n"+
		"by default: Negotiate with NTLM and encrypted messages; the password is random.\n", srv.URL)

	cfg := srv.Config()
	o.common(cfg, term)
	client, err := winrm.New(srv.URL, cfg)
	if err != nil {
		srv.Close()
		return nil, nil, err
	}
	return client, func() error {
		defer srv.Close()
		return client.Close()
	}, nil
}

// common sets what does not depend on the host.
func (o *options) common(cfg *winrm.Config, term terminal) {
	cfg.Shell = winrm.ShellOptions{
		Env:       o.env,
		Dir:       o.dir,
		Codepage:  o.codepage,
		NoProfile: o.noProfile,
	}
	if o.verbose {
		cfg.Logger = slog.New(slog.NewTextHandler(term.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

func (o *options) config(term terminal) (*winrm.Config, error) {
	mechanism, err := o.mechanism(term)
	if err != nil {
		return nil, err
	}
	cfg := &winrm.Config{Auth: mechanism, CAFile: o.ca}
	if o.unencrypted {
		cfg.Encryption = auth.EncryptNever
	}
	if o.pin != "" {
		cfg.Pins = []string{o.pin}
	}
	if o.insecure {
		cfg.TLS = &tls.Config{InsecureSkipVerify: true} // said by name: -insecure
	}
	switch o.proxy {
	case "":
	case "env":
		cfg.Proxy = auth.ProxyFromEnvironment
	default:
		proxy, err := url.Parse(o.proxy)
		if err != nil {
			return nil, fmt.Errorf("-proxy: %w", err)
		}
		cfg.Proxy = func(*url.URL) (*url.URL, error) { return proxy, nil }
	}
	o.common(cfg, term)
	return cfg, nil
}

func (o *options) mechanism(term terminal) (auth.Mechanism, error) {
	if o.auth == "certificate" {
		return auth.CertificateFromFiles(o.cert, o.key, os.Getenv(keyVariable))
	}
	password, err := o.readPassword(term)
	if err != nil {
		return nil, err
	}
	cred := auth.Credentials{User: o.user, Password: password}
	switch {
	case o.auth == "ntlm":
		return auth.NTLM(cred), nil
	case o.auth == "credssp":
		// The host that was named receives the password: that is the purpose.
		return credssp.New(credssp.Config{Credentials: cred}), nil
	case o.auth == "basic" && o.unencrypted:
		return auth.BasicInsecure(cred), nil
	case o.auth == "basic":
		return auth.Basic(cred), nil
	}
	return auth.Negotiate(auth.NTLM(cred)), nil
}
