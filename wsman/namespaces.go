package wsman

// XML namespaces of the messages. See [MS-WSMV] section 2.2.1.
const (
	NSEnvelope       = "http://www.w3.org/2003/05/soap-envelope"                         // s
	NSAddressing     = "http://schemas.xmlsoap.org/ws/2004/08/addressing"                // a, wsa
	NSWSMan          = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"                  // w, wsman
	NSMicrosoft      = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"             // p, wsmv
	NSTransfer       = "http://schemas.xmlsoap.org/ws/2004/09/transfer"                  // x, wst
	NSEnumeration    = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"               // n, wsen
	NSEventing       = "http://schemas.xmlsoap.org/ws/2004/08/eventing"                  // e, wse
	NSPolicy         = "http://schemas.xmlsoap.org/ws/2004/09/policy"                    // wsp
	NSIdentify       = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd" // wsmid
	NSFault          = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"            // f
	NSCIM            = "http://schemas.dmtf.org/wbem/wscim/1/common"                     // cim
	NSShell          = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"         // rsp
	NSConfig         = "http://schemas.microsoft.com/wbem/wsman/1/config"                // cfg
	NSSubscription   = "http://schemas.microsoft.com/wbem/wsman/1/subscription"          // sub
	NSMachineID      = "http://schemas.microsoft.com/wbem/wsman/1/machineid"             // m
	NSInteractive    = "http://schemas.microsoft.com/wbem/wsman/1/cim/interactive.xsd"   // i
	NSPowerShell     = "http://schemas.microsoft.com/powershell"                         // PSRP
	NSSchemaInstance = "http://www.w3.org/2001/XMLSchema-instance"                       // xsi
	NSSchema         = "http://www.w3.org/2001/XMLSchema"                                // xs
	NSXML            = "http://www.w3.org/XML/1998/namespace"                            // xml
)

// Actions of the operations; the answer to each has the same action with
// "Response" appended. See [MS-WSMV] section 3.1.4.1.
const (
	ActionGet         = NSTransfer + "/Get"
	ActionPut         = NSTransfer + "/Put"
	ActionCreate      = NSTransfer + "/Create"
	ActionDelete      = NSTransfer + "/Delete"
	ActionEnumerate   = NSEnumeration + "/Enumerate"
	ActionPull        = NSEnumeration + "/Pull"
	ActionRelease     = NSEnumeration + "/Release"
	ActionSubscribe   = NSEventing + "/Subscribe"
	ActionUnsubscribe = NSEventing + "/Unsubscribe"
	ActionCommand     = NSShell + "/Command"
	ActionSend        = NSShell + "/Send"
	ActionReceive     = NSShell + "/Receive"
	ActionSignal      = NSShell + "/Signal"
	ActionConnect     = NSShell + "/Connect"
	ActionDisconnect  = NSShell + "/Disconnect"
	ActionReconnect   = NSShell + "/Reconnect"

	ActionFault           = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
	ActionAddressingFault = NSAddressing + "/fault"
)

// AddressAnonymous is the address that stands for the sender of a request: the
// answer goes back on the connection that the request came on.
const AddressAnonymous = NSAddressing + "/role/anonymous"

// ContentType is the media type of every message this package sends.
const ContentType = "application/soap+xml;charset=UTF-8"

// Roots of resource URIs.
const (
	// URIWMI and a namespace with slashes and a class name a WMI class:
	// URIWMI + "root/cimv2/Win32_Service".
	URIWMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
	// URICIMv2 and a class name name a WMI class of root\cimv2.
	URICIMv2 = URIWMI + "root/cimv2/"
	// URICIM and a class name name a class of the DMTF CIM schema.
	URICIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"

	URIShell        = NSShell              // Get and Enumerate of shells
	URICmdShell     = NSShell + "/cmd"     // operations on command shells
	URIShellCommand = NSShell + "/Command" // Enumerate of the commands of one shell
	URIConfig       = NSConfig
	URIEventLog     = "http://schemas.microsoft.com/wbem/wsman/1/windows/EventLog"
)
