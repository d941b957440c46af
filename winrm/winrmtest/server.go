package winrmtest

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/memconn"
)

// The account of a server whose [Server.Users] is nil.
const (
	DefaultUser     = "user"
	DefaultPassword = "Passw0rd!"
)

// A Server is a WinRM listener with a host behind it. The fields are set before
// Start, StartTLS or StartMemory and not changed after.
type Server struct {
	// URL is the endpoint, such as "http://127.0.0.1:41235/wsman". Start sets it.
	URL string
	// Listener is nil for a free port on the loopback. Start uses it when set.
	Listener net.Listener

	// Handler runs the commands; nil is [Host] with its zero value.
	Handler Handler
	// Name is the computer name, "" is "WINRMTEST". Faults and Host carry it.
	Name string

	// Users maps accounts to passwords; nil is [DefaultUser] with
	// [DefaultPassword]. A name may be DOMAIN\user.
	Users map[string]string
	// LockoutThreshold locks an account after that many failed logons in a row;
	// 0 never locks.
	LockoutThreshold int

	// Mechanisms are the logons accepted, in the order in which a 401 offers
	// them; nil is [DefaultMechanisms]. Listing one turns its switch in the
	// configuration on, leaving one out turns it off.
	Mechanisms []Mechanism
	// CertMappings map client certificates to accounts.
	CertMappings []CertMapping
	// TLS is the base of the TLS configuration of StartTLS and StartMemory; a
	// certificate is made when it has none.
	TLS *tls.Config

	// Settings change the configuration, by path under WSMan:\localhost with
	// slashes, such as "Service/Auth/CbtHardeningLevel" or "MaxEnvelopeSizekb".
	Settings map[string]string
	// Policy are settings that come from group policy: they read with
	// Source="GPO" and cannot be changed.
	Policy map[string]string
	// AllowUnencrypted is Service/AllowUnencrypted. It is turned on without
	// asking when the server has no mechanism that seals: it could not be used
	// over clear http otherwise.
	AllowUnencrypted bool
	// Quotas are limits that the configuration does not hold.
	Quotas Quotas

	// Faults break things on order; [Server.AddFaults] adds more later.
	Faults []Fault
	// Hook is asked for each exchange that no entry of Faults hits. It returns
	// nil to let it pass.
	Hook func(*Exchange) *Fault
	// Record keeps every exchange for [Server.Exchanges].
	Record bool
	// Cookie makes the server set the MS-WSMAN cookie and refuse, with status
	// 400, requests of the session that do not echo it.
	Cookie bool
	// Logger gets what is remarkable, such as why a logon was refused; nil is
	// silent.
	Logger *slog.Logger
	// ContextIdle is how long the security context of a silent connection lives;
	// 0 is the two minutes of Windows.
	ContextIdle time.Duration
	// Limited are accounts that are no administrators: the configuration and WMI
	// refuse them with fault 5.
	Limited []string

	ctx        context.Context //nolint:containedctx // ends with Close
	cancel     context.CancelFunc
	wait       sync.WaitGroup
	mechanisms []Mechanism
	config     settings
	accounts   accounts
	orders     orders
	counters   counters
	shells     shells
	enums      enumerations
	objects    *objects
	events     *eventLog
	tasks      hostTasks
	files      Disk // of a Host that has none
	cookie     string
	sessions   sync.Map // ids of sessions that were given the cookie
	tls        *tls.Config
	ca         *authority
	memory     *memconn.Listener
	conns      connections
}

// Quotas are limits that the configuration of a host does not hold. Zero values
// give the defaults.
type Quotas struct {
	// CommandsPerShell is how many commands one shell takes in its life, 0 for no
	// limit but the configuration's MaxConcurrentOperationsPerUser, which Windows
	// counts up at each command and down only when the shell goes.
	CommandsPerShell int
	// PendingOutput is how many bytes of output wait to be received before a
	// command that writes more blocks; 0 is 1 MiB.
	PendingOutput int
	// PendingInput is how many bytes of stdin wait to be read by the command
	// before Send is held; 0 is 1 MiB.
	PendingInput int
	// ReceiveChunk caps the bytes in one Stream element; 0 is no cap but the
	// envelope's.
	ReceiveChunk int
}

// A CertMapping maps client certificates to an account: an entry of
// WSMan:\localhost\ClientCertificate.
type CertMapping struct {
	Subject  string // UPN or DNS name of the certificate; one * may be its first character
	Issuer   string // thumbprint of the issuing certificate; "" is that of the server's own client CA
	URI      string // resource URI; one * may be its last character; "" is "*"
	User     string
	Disabled bool
}
