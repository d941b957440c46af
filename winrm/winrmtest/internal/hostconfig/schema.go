// Package hostconfig imitates the WinRM configuration of a host: the resources
// below http://schemas.microsoft.com/wbem/wsman/1/config with their ranges,
// defaults, read-only items and items that come from group policy.
//
// Paths name items as the WSMan: drive of PowerShell does, with slashes:
// "Service/Auth/CredSSP". They compare without case.
//
// Sources: [MS-WSMV] sections 2.2.4.4 to 2.2.4.34, 3.1.4.1.29 and 4.2; defaults
// are those that Windows Server 2016 and later show.
package hostconfig

import (
	"math"
	"strconv"
	"strings"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
)

// An item is one value of the configuration.
type item struct {
	path     string
	def      string
	kind     kind
	min, max uint64
	locked   uint32                    // code of the fault when it is changed; 0 when it may be
	check    func(value string) uint32 // code of the fault of a bad value, 0 for none
}

type kind int

const (
	text kind = iota
	number
	boolean
)

const (
	maxUint = math.MaxUint32
	maxInt  = math.MaxInt32
)

// schema lists the items in the order in which Windows prints them.
var schema = []item{
	{path: "MaxEnvelopeSizekb", def: "500", kind: number, min: 32, max: maxUint},
	{path: "MaxTimeoutms", def: "60000", kind: number, min: 500, max: maxUint},
	{path: "MaxBatchItems", def: "32000", kind: number, min: 1, max: maxUint},
	{path: "MaxProviderRequests", def: "4294967295", kind: number, max: maxUint, locked: soap.DeprecatedSetting},

	{path: "Client/NetworkDelayms", def: "5000", kind: number, min: 500, max: maxUint},
	{path: "Client/URLPrefix", def: "wsman", check: checkPrefix},
	{path: "Client/AllowUnencrypted", def: "false", kind: boolean},
	{path: "Client/Auth/Basic", def: "true", kind: boolean},
	{path: "Client/Auth/Digest", def: "true", kind: boolean},
	{path: "Client/Auth/Kerberos", def: "true", kind: boolean},
	{path: "Client/Auth/Negotiate", def: "true", kind: boolean},
	{path: "Client/Auth/Certificate", def: "true", kind: boolean},
	{path: "Client/Auth/CredSSP", def: "false", kind: boolean},
	{path: "Client/DefaultPorts/HTTP", def: "5985", kind: number, min: 1, max: 65535},
	{path: "Client/DefaultPorts/HTTPS", def: "5986", kind: number, min: 1, max: 65535},
	{path: "Client/TrustedHosts", check: checkTrustedHosts},

	{path: "Service/RootSDDL", def: "O:NSG:BAD:P(A;;GA;;;BA)(A;;GR;;;IU)S:P(AU;FA;GA;;;WD)(AU;SA;GXGW;;;WD)"},
	{path: "Service/MaxConcurrentOperations", def: "4294967295", kind: number, max: maxUint, locked: soap.DeprecatedSetting},
	{path: "Service/MaxConcurrentOperationsPerUser", def: "1500", kind: number, min: 1, max: maxUint},
	{path: "Service/EnumerationTimeoutms", def: "240000", kind: number, min: 500, max: maxUint},
	{path: "Service/MaxConnections", def: "300", kind: number, min: 1, max: maxUint},
	{path: "Service/MaxPacketRetrievalTimeSeconds", def: "120", kind: number, min: 1, max: maxUint},
	{path: "Service/AllowUnencrypted", def: "false", kind: boolean},
	{path: "Service/Auth/Basic", def: "false", kind: boolean},
	{path: "Service/Auth/Kerberos", def: "true", kind: boolean},
	{path: "Service/Auth/Negotiate", def: "true", kind: boolean},
	{path: "Service/Auth/Certificate", def: "false", kind: boolean},
	{path: "Service/Auth/CredSSP", def: "false", kind: boolean},
	{path: "Service/Auth/CbtHardeningLevel", def: "Relaxed", check: checkHardening},
	{path: "Service/DefaultPorts/HTTP", def: "5985", kind: number, max: 65535, locked: soap.ConfigReadOnly},
	{path: "Service/DefaultPorts/HTTPS", def: "5986", kind: number, max: 65535, locked: soap.ConfigReadOnly},
	{path: "Service/IPv4Filter", def: "*"},
	{path: "Service/IPv6Filter", def: "*"},
	{path: "Service/EnableCompatibilityHttpListener", def: "false", kind: boolean},
	{path: "Service/EnableCompatibilityHttpsListener", def: "false", kind: boolean},
	{path: "Service/CertificateThumbprint", check: checkThumbprint},
	{path: "Service/AllowRemoteAccess", def: "true", kind: boolean, locked: soap.ConfigReadOnly},

	{path: "Winrs/AllowRemoteShellAccess", def: "true", kind: boolean},
	{path: "Winrs/IdleTimeout", def: "7200000", kind: number, max: maxInt},
	{path: "Winrs/MaxConcurrentUsers", def: "2147483647", kind: number, min: 1, max: maxInt},
	{path: "Winrs/MaxShellRunTime", def: "2147483647", kind: number, max: maxInt, locked: soap.DeprecatedSetting},
	{path: "Winrs/MaxProcessesPerShell", def: "2147483647", kind: number, max: maxInt},
	{path: "Winrs/MaxMemoryPerShellMB", def: "2147483647", kind: number, max: maxInt},
	{path: "Winrs/MaxShellsPerUser", def: "2147483647", kind: number, max: maxInt},
}

// index finds an item by its path in lower case.
var index = func() map[string]*item {
	m := make(map[string]*item, len(schema))
	for i := range schema {
		m[strings.ToLower(schema[i].path)] = &schema[i]
	}
	return m
}()

// parse brings a value into the form that is kept, or names the fault.
func (it *item) parse(value string) (string, *soap.Fault) {
	switch it.kind {
	case boolean:
		if !soap.ParseBool(value) && value != "0" && !strings.EqualFold(value, "false") {
			return "", soap.Newf(soap.SchemaValidation, "%s is true or false, not %q.", it.path, value)
		}
		return strconv.FormatBool(soap.ParseBool(value)), nil
	case number:
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || n < it.min || n > it.max {
			return "", soap.Newf(soap.SchemaValidation, "%s is a number from %d to %d, not %q.", it.path, it.min, it.max, value)
		}
		return strconv.FormatUint(n, 10), nil
	}
	if it.check != nil {
		if code := it.check(value); code != 0 {
			return "", soap.Newf(code, "%q is no value for %s.", value, it.path)
		}
	}
	return value, nil
}

func checkHardening(v string) uint32 {
	switch strings.ToLower(v) {
	case "none", "relaxed", "strict":
		return 0
	}
	return soap.CBTHardeningInvalid
}

func checkPrefix(v string) uint32 {
	if v == "" || strings.HasPrefix(v, "/") || strings.HasSuffix(v, "/") || strings.ContainsAny(v, " ?#") {
		return soap.SchemaValidation
	}
	return 0
}

func checkThumbprint(v string) uint32 {
	v = strings.ReplaceAll(v, " ", "")
	if v == "" {
		return 0
	}
	if len(v) != 40 || strings.Trim(strings.ToLower(v), "0123456789abcdef") != "" {
		return soap.SchemaValidation
	}
	return 0
}

// checkTrustedHosts allows one * at the start or the end of a name.
func checkTrustedHosts(v string) uint32 {
	if v == "" {
		return 0
	}
	for host := range strings.SplitSeq(v, ",") {
		host = strings.TrimSpace(host)
		inner := strings.TrimSuffix(strings.TrimPrefix(host, "*"), "*")
		switch {
		case host == "*" || host == "<local>":
		case inner == "" || strings.ContainsAny(inner, "*/ \\<>"):
			return soap.InvalidHostnamePattern
		}
	}
	return 0
}
