package winrm

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/winrmkit/winrmkit/auth"
)

// Defaults of [Config].
const (
	DefaultMaxConns         = 6 // four streams of a copy, what waits for a reply, and one for the rest
	DefaultMaxShells        = 5
	DefaultCommandsPerShell = 250
	DefaultOperationTimeout = 60 * time.Second
	DefaultReconnectTimeout = 5 * time.Second
	DefaultMaxEnvelopeSize  = 512000
	DefaultCodepage         = 65001
)

// A Config says how a [Client] reaches its host. The zero value of each field is
// its default. It is copied by New; what it points to must not be modified
// after.
type Config struct {
	// Auth logs on. Required; [auth.Anonymous] logs on as nobody.
	Auth auth.Mechanism
	// Encryption says when messages are sealed. Zero is auth.EncryptAuto: on
	// clear http always, inside TLS never.
	Encryption auth.Encryption

	// TLS is the base of the TLS configuration; nil is the default one.
	TLS *tls.Config
	// CAFile names a PEM file of certificate authorities to trust instead of
	// the system's.
	CAFile string
	// Pins are SHA-256 digests, in hex or base64, of the host's certificate or of
	// its public key. One must match.
	Pins []string
	// PinReplacesChain leaves it at that, without a look at issuers, names and
	// dates: for hosts with certificates that they made themselves. It needs Pins.
	PinReplacesChain bool

	// Dial connects; nil is a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Proxy returns the proxy for the endpoint, nil for none: [auth.ProxyURL]
	// names one. The environment is asked only by [auth.ProxyFromEnvironment].
	Proxy func(*url.URL) (*url.URL, error)
	// ProxyAuth logs on to the proxy.
	ProxyAuth auth.Mechanism

	// MaxConns is the number of connections at once: 0 is DefaultMaxConns, at
	// least 2, one of which is kept for what cannot wait.
	MaxConns int
	// MaxShells is the number of shells that the Client keeps for commands. A
	// shell runs one command at a time; further commands wait. 0 is
	// DefaultMaxShells.
	MaxShells int
	// CommandsPerShell is after how many commands a shell is replaced: Windows
	// counts them all against the user's quota of operations until the shell
	// goes. 0 is DefaultCommandsPerShell.
	CommandsPerShell int
	// ConnectTimeout bounds dialling and logging on. 0 is
	// auth.DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// ReconnectTimeout is for how long connecting is tried again when the host of
	// a running command cannot be reached: its output is waited for, and its input
	// kept, until then. The last attempt may take ConnectTimeout more. A host lets
	// a command run on without its client, and holds its output, until the shell's
	// IdleTimeout. 0 is DefaultReconnectTimeout, which bridges a change of routes
	// or a network adapter that starts anew; negative is not at all. Commands are
	// not started again, whatever happened.
	ReconnectTimeout time.Duration
	// OperationTimeout is how long the host may hold a request for which it has
	// nothing to say, before it says so. 0 is DefaultOperationTimeout.
	OperationTimeout time.Duration
	// MaxEnvelopeSize is the largest message in bytes, both ways. 0 is
	// DefaultMaxEnvelopeSize.
	MaxEnvelopeSize int
	// MaxResponse bounds an answer in bytes, whatever was asked for. 0 is
	// auth.DefaultMaxResponse.
	MaxResponse int64
	// Locale is the language of the host's texts. "" is en-US.
	Locale string
	// UserAgent is sent with each request. "" is auth.DefaultUserAgent.
	UserAgent string

	// PowerShell is the program that runs scripts, and what the file functions
	// need: "" is powershell, Windows PowerShell; pwsh is its successor, where
	// that is installed.
	PowerShell string

	// Shell is how the Client opens shells for its commands.
	Shell ShellOptions

	// Trace, if not nil, is told what happens.
	Trace *Trace
	// Logger gets lines at level debug, shells that had to be replaced, lost
	// output and copies that are taken up again at level warn. nil is silent.
	Logger *slog.Logger
}

func (cfg *Config) setDefaults() {
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	cfg.MaxConns = max(cfg.MaxConns, 2)
	if cfg.MaxShells <= 0 {
		cfg.MaxShells = DefaultMaxShells
	}
	if cfg.CommandsPerShell <= 0 {
		cfg.CommandsPerShell = DefaultCommandsPerShell
	}
	if cfg.ReconnectTimeout == 0 {
		cfg.ReconnectTimeout = DefaultReconnectTimeout
	}
	if cfg.OperationTimeout <= 0 {
		cfg.OperationTimeout = DefaultOperationTimeout
	}
	if cfg.MaxEnvelopeSize <= 0 {
		cfg.MaxEnvelopeSize = DefaultMaxEnvelopeSize
	}
	if cfg.Locale == "" {
		cfg.Locale = "en-US"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
}
