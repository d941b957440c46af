package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/winrm"
)

// options are the command line.
type options struct {
	remote   string // "" is the demo host
	user     string
	password string // where it comes from, see readPassword

	auth        string
	ssl         bool
	unencrypted bool
	cert, key   string
	ca          string
	pin         string
	insecure    bool
	proxy       string
	keytab      string
	ccache      string
	delegate    bool

	dir       string
	env       variables
	codepage  int
	noProfile bool
	noEcho    bool
	noStdin   bool
	timeout   time.Duration
	reconnect time.Duration
	verbose   bool

	command []string
}

// variables collects -env NAME=value.
type variables []string

func (v *variables) String() string { return strings.Join(*v, " ") }

func (v *variables) Set(s string) error {
	if name, _, ok := strings.Cut(s, "="); !ok || name == "" {
		return fmt.Errorf("%q is not NAME=value", s)
	}
	*v = append(*v, s)
	return nil
}

var mechanisms = []string{"negotiate", "ntlm", "basic", "certificate", "kerberos", "credssp"}

const usage = `usage: winrs [flags] [command [arguments]]

Runs a command on a Windows host. One argument is a line for cmd.exe, several
are a program and its arguments; none starts an interactive session. Without
-r the command goes to a demo host inside this process.

`

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("winrs", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	f.StringVar(&o.remote, "r", "", "`host`, host:port or URL of the listener")
	f.StringVar(&o.user, "u", "", `account: user, DOMAIN\user or user@realm`)
	f.StringVar(&o.password, "p", "", "where the password comes from: prompt, env:NAME or file:PATH\n"+
		"(default: $"+passwordVariable+", else the prompt)")
	f.StringVar(&o.auth, "auth", "", strings.Join(mechanisms, ", ")+" (default negotiate: Kerberos\n"+
		"for user@realm and hosts with a name, else NTLM; certificate with -cert,\n"+
		"kerberos with -keytab, -ccache or -delegate)")
	f.BoolVar(&o.ssl, "ssl", false, "use https (port 5986)")
	f.BoolVar(&o.unencrypted, "unencrypted", false, "over http, send commands in clear, and with -auth basic the password too")
	f.StringVar(&o.cert, "cert", "", "client certificate, PEM `file`")
	f.StringVar(&o.key, "key", "", "its private key, PEM `file`; a passphrase is taken from $"+keyVariable)
	f.StringVar(&o.ca, "ca", "", "trust the certificate authorities in this PEM `file`")
	f.StringVar(&o.pin, "pin", "", "trust only the certificate or key with this SHA-256 `digest`, whoever issued it (with -ca: and that authority)")
	f.BoolVar(&o.insecure, "insecure", false, "do not verify the host's certificate: anybody in between can read along")
	f.StringVar(&o.proxy, "proxy", "", "http, https or socks5 proxy `URL`, or env for those of the environment")
	f.StringVar(&o.keytab, "keytab", "", "log on with the keys in this `file`: those of -u, or its first ones")
	f.StringVar(&o.ccache, "ccache", "", "log on with the tickets in this `cache` (default without -u and -keytab: kinit's)")
	f.BoolVar(&o.delegate, "delegate", false, "hand the host a ticket to go on with in your name: it can do there all that you can")
	f.StringVar(&o.dir, "dir", "", "working `directory` on the host")
	f.Var(&o.env, "env", "environment variable `NAME=value` on the host; may be repeated")
	f.IntVar(&o.codepage, "codepage", 0, "code page of the console on the host (default 65001, UTF-8)")
	f.BoolVar(&o.noProfile, "noprofile", false, "do not load the user's profile")
	f.BoolVar(&o.noEcho, "noecho", false, "do not show what is typed in a session")
	f.BoolVar(&o.noStdin, "n", false, "send no standard input")
	f.DurationVar(&o.timeout, "timeout", 0, "give the command up after this `time`, such as 90s")
	f.DurationVar(&o.reconnect, "reconnect", winrm.DefaultReconnectTimeout, "while the command runs and the host cannot be reached, try for this `time`")
	f.BoolVar(&o.verbose, "v", false, "log connections, logons and exchanges")

	if err := f.Parse(colons(f, args)); err != nil {
		return nil, err
	}
	o.command = f.Args()
	if err := o.check(); err != nil {
		fmt.Fprintln(stderr, "winrs:", err)
		return nil, err
	}
	return o, nil
}

// colons turns -name:value, as winrs.exe has it, into -name=value.
func colons(f *flag.FlagSet, args []string) []string {
	args = slices.Clone(args)
	for i := 0; i < len(args) && strings.HasPrefix(args[i], "-"); i++ {
		name := strings.TrimLeft(args[i], "-")
		if name == "" {
			break // "--" ends the flags, "-" is no flag
		}
		if before, value, ok := strings.Cut(name, ":"); ok && f.Lookup(before) != nil {
			args[i] = "-" + before + "=" + value
			continue
		}
		if fl := f.Lookup(name); fl != nil && !isBool(fl) {
			i++ // the next argument is its value
		}
	}
	return args
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

func (o *options) check() error {
	if o.auth == "" {
		o.auth = "negotiate"
		if o.cert != "" {
			o.auth = "certificate"
		}
		if o.wantsKerberos() {
			o.auth = "kerberos"
		}
	}
	switch {
	case !slices.Contains(mechanisms, o.auth):
		return fmt.Errorf("-auth %s: not one of %s", o.auth, strings.Join(mechanisms, ", "))
	case o.remote == "" && (o.user != "" || o.password != "" || o.ssl || o.cert != "" || o.wantsKerberos()):
		return errors.New("-r is missing: the demo host has its own account")
	case o.remote != "" && o.auth == "certificate" && (o.cert == "" || o.key == ""):
		return errors.New("-auth certificate needs -cert and -key")
	case o.auth != "kerberos" && o.wantsKerberos():
		return errors.New("-keytab, -ccache and -delegate are for -auth kerberos")
	case o.keytab != "" && o.ccache != "":
		return errors.New("-keytab or -ccache, not both")
	case o.remote != "" && o.auth != "certificate" && o.auth != "kerberos" && o.user == "":
		return errors.New("-u is missing: whose account?")
	}
	return nil
}

// wantsKerberos reports whether a flag says something that only Kerberos has.
func (o *options) wantsKerberos() bool { return o.keytab != "" || o.ccache != "" || o.delegate }

// endpoint is what winrm.New is given.
func (o *options) endpoint() string {
	if !o.ssl || strings.Contains(o.remote, "://") {
		return o.remote
	}
	if ip := net.ParseIP(o.remote); ip != nil && ip.To4() == nil {
		return "https://[" + o.remote + "]"
	}
	return "https://" + o.remote
}
