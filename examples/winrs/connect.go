package main

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/examples/internal/target"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// connect makes the client, for the host of -r or for the demo host, and the
// function that closes it with all that it has opened. Nothing is dialled yet.
func connect(o *options, term terminal) (*winrm.Client, func() error, error) {
	if o.remote == "" {
		return demo(o, term)
	}
	cfg, wipe, err := o.config(term)
	if err != nil {
		return nil, nil, err
	}
	client, err := winrm.New(o.endpoint(), cfg)
	if err != nil {
		return nil, nil, errors.Join(err, wipe())
	}
	return client, func() error { return errors.Join(client.Close(), wipe()) }, nil
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
	if cfg.ReconnectTimeout = o.reconnect; o.reconnect == 0 {
		cfg.ReconnectTimeout = -1
	}
	if o.verbose {
		cfg.Logger = slog.New(slog.NewTextHandler(term.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

// config makes the client's configuration; wipe ends what the logon holds.
func (o *options) config(term terminal) (cfg *winrm.Config, wipe func() error, err error) {
	mechanism, wipe, err := o.mechanism(term)
	if err != nil {
		return nil, nil, err
	}
	cfg = &winrm.Config{Auth: mechanism, CAFile: o.ca}
	if o.unencrypted {
		cfg.Encryption = auth.EncryptNever
	}
	if o.pin != "" {
		cfg.Pins, cfg.PinReplacesChain = []string{o.pin}, o.ca == ""
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
			return nil, nil, errors.Join(fmt.Errorf("-proxy: %w", err), wipe())
		}
		cfg.Proxy = auth.ProxyURL(proxy)
	}
	o.common(cfg, term)
	return cfg, wipe, nil
}

func (o *options) mechanism(term terminal) (m auth.Mechanism, wipe func() error, err error) {
	if o.auth == "kerberos" {
		return o.kerberos(term)
	}
	none := func() error { return nil }
	if o.auth == "certificate" {
		m, err = auth.CertificateFromFiles(o.cert, o.key, os.Getenv(keyVariable))
		return m, none, err
	}
	password, err := o.readPassword(term)
	if err != nil {
		return nil, nil, err
	}
	cred := auth.Credentials{User: o.user, Password: password}
	switch {
	case o.auth == "ntlm":
		return auth.NTLM(cred), none, nil
	case o.auth == "basic" && o.unencrypted:
		return auth.BasicInsecure(cred), none, nil
	case o.auth == "basic":
		return auth.Basic(cred), none, nil
	}
	m, wipe, err = target.Negotiate(cred, o.endpoint())
	if err == nil && o.auth == "credssp" {
		// The host that was named receives the password: that is the purpose.
		m = credssp.New(credssp.Config{Credentials: cred, Inner: m})
	}
	return m, wipe, err
}

// kerberos takes a keytab or a credential cache where they are named, the
// password of -u, or else what kinit has left. Where the realm's KDCs are,
// krb5.conf or DNS says.
func (o *options) kerberos(term terminal) (m auth.Mechanism, wipe func() error, err error) {
	cfg := &kerberos.Config{Credentials: auth.Credentials{User: o.user}, Keytab: o.keytab, CCache: o.ccache}
	if o.user != "" && o.keytab == "" && o.ccache == "" {
		if cfg.Credentials.Password, err = o.readPassword(term); err != nil {
			return nil, nil, err
		}
	}
	if o.delegate {
		cfg.Delegate = kerberos.DelegateAlways // said by name, so that it works or fails
	}
	kerb, err := kerberos.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	return auth.Negotiate(kerb), kerb.Close, nil
}
