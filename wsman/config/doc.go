// Package config reads and changes the WinRM configuration of a host, what
// PowerShell shows as the WSMan: drive, over WS-Management and from anywhere.
//
//	auth, err := config.GetServiceAuth(ctx, client.WSMan())
//	fmt.Println(auth.CredSSP.V, auth.CredSSP.Source) // false, or true GPO
//
//	err = config.SetServiceAuth(ctx, client.WSMan(), config.ServiceAuth{CredSSP: config.Bool(true)})
//
// # Values
//
// Every setting is a [Value]: what it is and where it comes from. In what a Set
// function is given, a zero Value means "leave it as it is", so that a struct
// with one field set changes one setting. Set functions read first, send only
// what differs, and read back afterwards:
//
//	*PolicyError       group policy owns the setting; nothing was changed
//	*LockoutError      the change would shut the caller out; nothing was changed
//	*NotAppliedError   the host took the change and shows another value
//
// [Items], [GetItem] and [SetItem] do the same for paths as the WSMan: drive has
// them, such as Service\Auth\CredSSP, and show settings that this package does
// not know.
//
// # What changes when
//
// A switch of Service\Auth takes effect on the next logon; connections that are
// logged on stay so. Plug-ins take changes at the next start of the service.
//
//	resource                          source
//	values, ranges and operations     [MS-WSMV] 2.2.4.4 to 2.2.4.34, 3.1.4.1.29
//	namespaces of elements            [MS-WSMV] 4.2, WSMan provider of PowerShell
//	security descriptors              [MS-DTYP] 2.5.1
package config
