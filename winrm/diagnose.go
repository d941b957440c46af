package winrm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/wsman"
)

// A Verdict is the outcome of a [Step].
type Verdict string

// The verdicts.
const (
	StepOK      Verdict = "ok"
	StepWarning Verdict = "warning" // it works, but look at it
	StepFailed  Verdict = "failed"  // the walk ends here
	StepSkipped Verdict = "skipped" // it does not apply
)

// A Step is one check of [Diagnose].
type Step struct {
	Name     string
	Verdict  Verdict
	Duration time.Duration
	Evidence []string // what was seen
	Causes   []Cause  // of a failure or warning
	Err      error
}

// DiagnoseOptions say what [Diagnose] looks at.
type DiagnoseOptions struct {
	// Config is how a client would connect. Without Auth the walk ends with the
	// schemes that the host offers.
	Config *Config
	// Slow is how long a step may take before that is worth a warning. 0 is 5 s.
	Slow time.Duration
	// Timeout is how long a step may take. 0 is 60 s.
	Timeout time.Duration

	// Resolver looks up the host's name. nil is net.DefaultResolver.
	Resolver *net.Resolver

	// SecondHop names another host that commands on this one are to reach.
	SecondHop string
	// SecureChannel checks the host's channel to its domain, by nltest.
	SecureChannel bool
	// ManagedAccount names a group managed service account that the host is to
	// use, such as "webapp01".
	ManagedAccount string
}

// Diagnose walks the way to a host and stops at the first step that is broken:
// name, port, TLS, HTTP, offered schemes, logon, clock, rights, shell, quota,
// and what else the options ask for. Each step tells its verdict as it is known;
// a failed one names the cause and the remedy.
//
//	for step := range winrm.Diagnose(ctx, "https://srv1.corp.example", &winrm.DiagnoseOptions{Config: cfg}) {
//		fmt.Println(step.Name, step.Verdict)
//	}
//
// At most one logon with the credentials is refused on the way.
func Diagnose(ctx context.Context, target string, o *DiagnoseOptions) iter.Seq[Step] {
	return func(yield func(Step) bool) {
		d := &doctor{target: target}
		if o != nil {
			d.DiagnoseOptions = *o
		}
		if d.Config != nil {
			d.cfg = *d.Config
		}
		if d.Slow <= 0 {
			d.Slow = 5 * time.Second
		}
		if d.Timeout <= 0 {
			d.Timeout = time.Minute
		}
		if d.Resolver == nil {
			d.Resolver = net.DefaultResolver
		}
		defer d.close()
		for _, s := range d.steps() {
			if s.run == nil {
				continue
			}
			step := d.take(ctx, s)
			if !yield(step) || step.Verdict == StepFailed {
				return
			}
		}
	}
}

// A doctor is one walk.
type doctor struct {
	DiagnoseOptions
	cfg    Config
	target string
	url    *url.URL

	anonymous *Client
	client    *Client
	seen      sight
}

// sight is what the hooks of a client have seen.
type sight struct {
	tls   *auth.TLSInfo
	logon *auth.LogonInfo
}

// A check is a step before it is taken. run returns what it has seen and, for a
// failure, an error or causes. It is nil for a step that is not asked for.
type check struct {
	name string
	run  func(context.Context) (finding, error)
}

// A finding is what a check has seen.
type finding struct {
	evidence []string
	skipped  bool
	causes   []Cause
	failed   bool // because of causes; otherwise they are a warning
}

func saw(format string, args ...any) finding {
	return finding{evidence: []string{fmt.Sprintf(format, args...)}}
}

func (d *doctor) steps() []check {
	all := []check{
		{"endpoint", d.endpoint}, {"name", d.name}, {"port", d.port}, {"tls", d.tls}, {"http", d.http}, {"schemes", d.schemes},
	}
	if d.cfg.Auth == nil {
		return all
	}
	all = append(all, []check{
		{"logon", d.logon}, {"clock", d.clock}, {"authorization", d.authorization}, {"shell", d.shell}, {"quota", d.quota},
	}...)
	if d.SecureChannel {
		all = append(all, check{"secure channel", d.secureChannel})
	}
	if d.ManagedAccount != "" {
		all = append(all, check{"managed account", d.managedAccount})
	}
	if d.SecondHop != "" {
		all = append(all, check{"second hop", d.secondHop})
	}
	return all
}

// take runs one check and makes the step of it.
func (d *doctor) take(ctx context.Context, c check) Step {
	ctx, cancel := context.WithTimeoutCause(ctx, d.Timeout, &slowError{d.Timeout})
	defer cancel()
	began := time.Now()
	f, err := c.run(ctx)
	s := Step{Name: c.name, Verdict: StepOK, Duration: time.Since(began), Evidence: f.evidence, Causes: f.causes, Err: err}
	switch {
	case err != nil:
		s.Verdict = StepFailed
		s.Evidence = append(s.Evidence, evidenceOf(err))
		if len(s.Causes) == 0 {
			s.Causes = d.explain(ctx, err)
		}
	case f.skipped:
		s.Verdict = StepSkipped
	case f.failed:
		s.Verdict = StepFailed
	case len(f.causes) > 0:
		s.Verdict = StepWarning
	case s.Duration > d.Slow:
		s.Verdict = StepWarning
		s.Causes = []Cause{slowHost(d.host(), fmt.Sprintf("took %s", s.Duration.Round(time.Millisecond)))}
	}
	return s
}

// evidenceOf is an error without the causes in its text: the step has them.
func evidenceOf(err error) string {
	if e, ok := errors.AsType[*auth.Error](err); ok {
		short := *e
		short.Causes = nil
		return short.Error()
	}
	return err.Error()
}

// slowError says that a step took too long.
type slowError struct{ after time.Duration }

func (e *slowError) Error() string { return fmt.Sprintf("winrm: no end after %s", e.after) }

func slowHost(host, what string) Cause {
	return Cause{
		ID: "slow-host", Text: host + " " + what + ": it is overloaded, hangs, or the network loses packets",
		Check:  `Get-Counter '\Processor(_Total)\% Processor Time','\Memory\Available MBytes'`,
		Remedy: "Restart-Service WinRM on the host; a longer OperationTimeout here",
	}
}

func (d *doctor) host() string {
	if d.url == nil {
		return d.target
	}
	return d.url.Host
}

// explain finds the causes of an error with what is known of the client.
func (d *doctor) explain(ctx context.Context, err error) []Cause {
	if slow, ok := errors.AsType[*slowError](context.Cause(ctx)); ok && ctx.Err() != nil {
		if dial, isDial := errors.AsType[*auth.DialError](err); !isDial || dial.Stage != "dial" {
			return []Cause{slowHost(d.host(), fmt.Sprintf("did not answer for %s", slow.after))}
		}
	}
	switch {
	case d.client != nil:
		return d.client.Explain(err)
	case d.anonymous != nil:
		return d.anonymous.Explain(err)
	}
	x := explainer{}
	if d.url != nil {
		x.endpoint = d.url.String()
	}
	return x.explain(err)
}

func (d *doctor) close() {
	for _, c := range []*Client{d.client, d.anonymous} {
		if c != nil {
			_ = c.Close()
		}
	}
}

func (d *doctor) endpoint(context.Context) (finding, error) {
	text, err := parseEndpoint(d.target)
	if err != nil {
		return finding{}, err
	}
	if d.url, err = url.Parse(text); err != nil {
		return finding{}, err
	}
	return saw("%s", text), nil
}

// direct reports whether the host is reached without a proxy or a dialer of the
// caller's: only then its name and port can be looked at from here.
func (d *doctor) direct() bool {
	if d.cfg.Dial != nil {
		return false
	}
	if d.cfg.Proxy == nil {
		return true
	}
	proxy, err := d.cfg.Proxy(d.url)
	return err == nil && proxy == nil
}

func (d *doctor) name(ctx context.Context) (finding, error) {
	host := d.url.Hostname()
	if !d.direct() {
		return finding{skipped: true, evidence: []string{"the way there is not ours to resolve: a proxy, or a dialer of its own"}}, nil
	}
	if ip := net.ParseIP(strings.SplitN(host, "%", 2)[0]); ip != nil {
		return finding{skipped: true, evidence: []string{"an address; Kerberos needs a name"}}, nil
	}
	addrs, err := d.Resolver.LookupHost(ctx, host)
	if err != nil {
		return finding{}, &auth.DialError{Stage: "dial", Addr: d.url.Host, Err: err}
	}
	return saw("%s is %s", host, strings.Join(addrs, ", ")), nil
}

func (d *doctor) port(ctx context.Context) (finding, error) {
	dial := d.cfg.Dial
	if dial == nil {
		if !d.direct() {
			return finding{skipped: true, evidence: []string{"the proxy connects"}}, nil
		}
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	nc, err := dial(ctx, "tcp", d.url.Host)
	if err == nil {
		return saw("%s is open", nc.RemoteAddr()), nc.Close()
	}
	f := finding{}
	if d.direct() {
		f.evidence = d.otherPort(ctx)
	}
	return f, &auth.DialError{Stage: "dial", Addr: d.url.Host, Err: err}
}

// otherPort looks whether the host listens on the other of WinRM's ports.
func (d *doctor) otherPort(ctx context.Context) []string {
	for port, scheme := range map[string]string{"5985": "http", "5986": "https"} {
		if port == d.url.Port() {
			continue
		}
		nc, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(d.url.Hostname(), port))
		if err == nil {
			_ = nc.Close()
			return []string{fmt.Sprintf("port %s is open: %s", port, scheme)}
		}
	}
	return nil
}

// open makes a client that logs on by a mechanism, and whose hooks are ours.
func (d *doctor) open(mech auth.Mechanism, enc auth.Encryption) (*Client, error) {
	cfg := d.cfg
	cfg.Auth, cfg.Encryption = mech, enc
	trace := Trace{}
	if cfg.Trace != nil {
		trace = *cfg.Trace
	}
	hooks := auth.Trace{}
	if trace.Auth != nil {
		hooks = *trace.Auth
	}
	hooks.TLS = func(_ context.Context, i auth.TLSInfo) { d.seen.tls = &i }
	hooks.Logon = func(_ context.Context, i auth.LogonInfo) { d.seen.logon = &i }
	trace.Auth = &hooks
	cfg.Trace = &trace
	return New(d.target, &cfg)
}

// tls connects and asks the service who it is, without a logon. What comes after
// the handshake is the next step's.
func (d *doctor) tls(ctx context.Context) (finding, error) {
	var err error
	if d.anonymous, err = d.open(auth.Anonymous(), auth.EncryptNever); err != nil {
		return finding{}, err
	}
	if d.url.Scheme != "https" {
		return finding{skipped: true, evidence: []string{"http: messages are encrypted by the logon, if at all"}}, nil
	}
	_, err = d.anonymous.WSMan().IdentifyAnonymous(ctx)
	if e, ok := errors.AsType[*auth.DialError](err); ok || d.seen.tls == nil {
		if !ok {
			return finding{}, err
		}
		return finding{}, e
	}
	state := d.seen.tls.State
	f := saw("%s, %s", tlsVersion(state.Version), tlsSuite(state.CipherSuite))
	if len(state.PeerCertificates) > 0 {
		leaf := state.PeerCertificates[0]
		f.evidence = append(f.evidence, fmt.Sprintf("certificate of %s, valid until %s", strings.Join(namesOf(leaf), ", "), leaf.NotAfter.Format("2006-01-02")))
		if left := time.Until(leaf.NotAfter); left < 14*24*time.Hour {
			f.causes = []Cause{{
				ID: "certificate-expires", Text: fmt.Sprintf("the certificate expires in %d days", int(left.Hours()/24)),
				Check: `Get-ChildItem Cert:\LocalMachine\My`, Remedy: "renew it and give it to the listener",
			}}
		}
	}
	return f, nil
}

func (d *doctor) http(ctx context.Context) (finding, error) {
	id, err := d.anonymous.WSMan().IdentifyAnonymous(ctx)
	if err == nil {
		return saw("%s %s", id.ProductVendor, id.ProductVersion), nil
	}
	if e, ok := errors.AsType[*auth.Error](err); ok && e.Status == 401 {
		return saw("a service that tells nothing without a logon"), nil
	}
	if e, ok := errors.AsType[*wsman.StatusError](err); ok && e.Status == 401 {
		return saw("a service that tells nothing without a logon"), nil
	}
	return finding{}, err
}

// schemes asks for something without a logon: the refusal lists what is on.
func (d *doctor) schemes(ctx context.Context) (finding, error) {
	_, err := d.anonymous.WSMan().Identify(ctx)
	var offered []string
	if e, ok := errors.AsType[*auth.Error](err); ok {
		offered = e.Offered
	} else if e, ok := errors.AsType[*wsman.StatusError](err); ok && e.Status == 401 {
		offered = e.Schemes
	} else if err != nil {
		return finding{}, err
	}
	f := saw("offered: %s", strings.Join(offered, ", "))
	if d.cfg.Auth == nil {
		return f, nil
	}
	f.evidence = append(f.evidence, "ours: "+d.cfg.Auth.Scheme())
	f.causes = auth.NotOffered(d.cfg.Auth.Scheme(), d.host(), offered)
	f.failed = len(f.causes) > 0
	return f, nil
}
