package config

import (
	"context"

	"github.com/winrmkit/winrmkit/wsman"
)

// The fields of these structs have the names that the WSMan: drive shows.

// A Config is the whole configuration but for listeners, certificate mappings
// and plug-ins. See [MS-WSMV] section 2.2.4.9.
type Config struct {
	MaxEnvelopeSizekb   Value[uint32] // largest message in KiB, 32 and more
	MaxTimeoutms        Value[uint32] // longest OperationTimeout, 500 and more
	MaxBatchItems       Value[uint32]
	MaxProviderRequests Value[uint32] // read only

	Client  Client
	Service Service
	Winrs   Winrs
}

// Client is how the host's own WinRM client behaves, when commands on the host
// go on to others. See [MS-WSMV] section 2.2.4.6.
type Client struct {
	NetworkDelayms   Value[uint32]
	URLPrefix        Value[string]
	AllowUnencrypted Value[bool]
	Auth             ClientAuth
	DefaultPorts     DefaultPorts
	TrustedHosts     Value[string] // comma-separated; "*" is every host
}

// ClientAuth are the mechanisms that the host's own client may use.
type ClientAuth struct {
	Basic       Value[bool]
	Digest      Value[bool]
	Kerberos    Value[bool]
	Negotiate   Value[bool]
	Certificate Value[bool]
	CredSSP     Value[bool]
}

// DefaultPorts of a client or service.
type DefaultPorts struct {
	HTTP  Value[uint32]
	HTTPS Value[uint32]
}

// Service is how the host answers. See [MS-WSMV] section 2.2.4.32.
type Service struct {
	RootSDDL                         Value[string] // who may use WinRM; see [ParseSDDL]
	MaxConcurrentOperations          Value[uint32] // read only
	MaxConcurrentOperationsPerUser   Value[uint32]
	EnumerationTimeoutms             Value[uint32]
	MaxConnections                   Value[uint32]
	MaxPacketRetrievalTimeSeconds    Value[uint32]
	AllowUnencrypted                 Value[bool]
	Auth                             ServiceAuth
	DefaultPorts                     DefaultPorts // read only
	IPv4Filter                       Value[string]
	IPv6Filter                       Value[string]
	EnableCompatibilityHttpListener  Value[bool]
	EnableCompatibilityHttpsListener Value[bool]
	CertificateThumbprint            Value[string]
	AllowRemoteAccess                Value[bool] // read only
}

// ServiceAuth are the mechanisms by which one can log on to the host. See
// [MS-WSMV] section 2.2.4.3.
type ServiceAuth struct {
	Basic             Value[bool]
	Kerberos          Value[bool]
	Negotiate         Value[bool]
	Certificate       Value[bool]
	CredSSP           Value[bool]
	CbtHardeningLevel Value[string] // None, Relaxed or Strict
}

// Winrs are the rules for command shells; the WSMan: drive calls them Shell. See
// [MS-WSMV] section 2.2.4.39.
type Winrs struct {
	AllowRemoteShellAccess Value[bool]
	IdleTimeout            Value[uint32] // milliseconds
	MaxConcurrentUsers     Value[uint32]
	MaxShellRunTime        Value[uint32] // read only
	MaxProcessesPerShell   Value[uint32]
	MaxMemoryPerShellMB    Value[uint32]
	MaxShellsPerUser       Value[uint32]
}

// GetConfig reads the configuration.
func GetConfig(ctx context.Context, c *wsman.Client) (*Config, error) {
	return get[Config](ctx, c, sectionConfig)
}

// SetConfig changes settings anywhere in the configuration, all at once or none.
func SetConfig(ctx context.Context, c *wsman.Client, want Config) error {
	return set(ctx, c, sectionConfig, want)
}

// GetClient reads the settings of the host's own client.
func GetClient(ctx context.Context, c *wsman.Client) (*Client, error) {
	return get[Client](ctx, c, sectionClient)
}

// SetClient changes settings of the host's own client.
func SetClient(ctx context.Context, c *wsman.Client, want Client) error {
	return set(ctx, c, sectionClient, want)
}

// GetClientAuth reads the mechanisms of the host's own client.
func GetClientAuth(ctx context.Context, c *wsman.Client) (*ClientAuth, error) {
	return get[ClientAuth](ctx, c, sectionClientAuth)
}

// SetClientAuth switches mechanisms of the host's own client.
func SetClientAuth(ctx context.Context, c *wsman.Client, want ClientAuth) error {
	return set(ctx, c, sectionClientAuth, want)
}

// GetClientPorts reads the default ports of the host's own client.
func GetClientPorts(ctx context.Context, c *wsman.Client) (*DefaultPorts, error) {
	return get[DefaultPorts](ctx, c, sectionClientPorts)
}

// SetClientPorts changes the default ports of the host's own client.
func SetClientPorts(ctx context.Context, c *wsman.Client, want DefaultPorts) error {
	return set(ctx, c, sectionClientPorts, want)
}

// GetService reads the settings of the service.
func GetService(ctx context.Context, c *wsman.Client) (*Service, error) {
	return get[Service](ctx, c, sectionService)
}

// SetService changes settings of the service.
func SetService(ctx context.Context, c *wsman.Client, want Service) error {
	return set(ctx, c, sectionService, want)
}

// GetServiceAuth reads the mechanisms by which one can log on.
func GetServiceAuth(ctx context.Context, c *wsman.Client) (*ServiceAuth, error) {
	return get[ServiceAuth](ctx, c, sectionServiceAuth)
}

// SetServiceAuth switches mechanisms by which one can log on. The one that this
// client logs on with, and the last one that is on, stay on: the change is a
// [*LockoutError] unless the context comes from [AllowLockout].
func SetServiceAuth(ctx context.Context, c *wsman.Client, want ServiceAuth) error {
	return set(ctx, c, sectionServiceAuth, want)
}

// GetServicePorts reads the default ports of the service.
func GetServicePorts(ctx context.Context, c *wsman.Client) (*DefaultPorts, error) {
	return get[DefaultPorts](ctx, c, sectionServicePorts)
}

// GetWinrs reads the rules for command shells.
func GetWinrs(ctx context.Context, c *wsman.Client) (*Winrs, error) {
	return get[Winrs](ctx, c, sectionWinrs)
}

// SetWinrs changes the rules for command shells. AllowRemoteShellAccess can only
// be turned off in a context from [AllowLockout].
func SetWinrs(ctx context.Context, c *wsman.Client, want Winrs) error {
	return set(ctx, c, sectionWinrs, want)
}

// EnableCredSSPServer lets the host receive credentials by CredSSP. It is
// Enable-WSManCredSSP -Role Server, from afar. changed is false when it was so
// already.
func EnableCredSSPServer(ctx context.Context, c *wsman.Client) (changed bool, err error) {
	return switchCredSSP(ctx, c, true)
}

// DisableCredSSPServer is Disable-WSManCredSSP -Role Server. It refuses, with a
// [*LockoutError], on a client that is logged on by CredSSP.
func DisableCredSSPServer(ctx context.Context, c *wsman.Client) (changed bool, err error) {
	return switchCredSSP(ctx, c, false)
}

func switchCredSSP(ctx context.Context, c *wsman.Client, on bool) (changed bool, err error) {
	auth, err := GetServiceAuth(ctx, c)
	if err != nil {
		return false, err
	}
	if auth.CredSSP.Known && auth.CredSSP.V == on {
		return false, nil
	}
	if err := SetServiceAuth(ctx, c, ServiceAuth{CredSSP: Bool(on)}); err != nil {
		return false, err
	}
	return true, nil
}
