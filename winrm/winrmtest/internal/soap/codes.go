package soap

// Codes of the faults that the server gives. Names follow wsmerror.h of the
// Windows SDK and, for the small ones, winerror.h.
const (
	AccessDenied               uint32 = 5
	NotSupported               uint32 = 50
	InvalidParameter           uint32 = 87
	Busy                       uint32 = 170
	OperationAborted           uint32 = 995
	FileNotFound               uint32 = 0x80070002
	ResourceNotFound           uint32 = 0x80338000
	InvalidMessageHeader       uint32 = 0x8033800f
	SoapMustUnderstand         uint32 = 0x80338010
	MessageHeaderRequired      uint32 = 0x80338011
	ActionNotSupported         uint32 = 0x80338013
	InvalidRepresentation      uint32 = 0x80338015
	FilteringNotSupported      uint32 = 0x80338018
	FilterDialectUnavailable   uint32 = 0x80338019
	CannotProcessFilter        uint32 = 0x8033801a
	InvalidEnumerationContext  uint32 = 0x8033801b
	OperationTimedOut          uint32 = 0x80338029
	AlreadyExists              uint32 = 0x80338033
	InvalidOptions             uint32 = 0x80338039
	InvalidResourceURI         uint32 = 0x8033803b
	InvalidSelectors           uint32 = 0x8033803d
	QuotaLimit                 uint32 = 0x8033803f
	SchemaValidation           uint32 = 0x80338041
	MaxEnvelopeSizeExceeded    uint32 = 0x80338048
	Concurrency                uint32 = 0x80338032
	OptionsNotSupported        uint32 = 0x80338051
	InvalidXMLNamespace        uint32 = 0x80338058
	InsufficientSelectors      uint32 = 0x8033805a
	UnexpectedSelectors        uint32 = 0x8033805b
	DuplicateSelectors         uint32 = 0x8033805f
	AddressingModeUnsupported  uint32 = 0x80338076
	FragmentNotSupported       uint32 = 0x80338077
	MinEnvelopeSize            uint32 = 0x8033807e
	EnumerationModeUnsupported uint32 = 0x80338086
	MustUnderstandOnLocale     uint32 = 0x80338087
	CannotChangeGPOSetting     uint32 = 0x8033808a
	InvalidFragmentDialect     uint32 = 0x80338092
	InvalidFragmentPath        uint32 = 0x80338093
	InvalidHostnamePattern     uint32 = 0x8033809f
	NonPullSubscription        uint32 = 0x803380ff
	ConfigReadOnly             uint32 = 0x8033813f
	CodePageNotSupported       uint32 = 0x80338140
	CertMappingPasswordUser    uint32 = 0x8033816c
	CannotChangeCertKeys       uint32 = 0x80338172
	QuotaMaxShells             uint32 = 0x803381a5
	QuotaMaxOperations         uint32 = 0x803381a6
	QuotaMaxShellUsers         uint32 = 0x803381ab
	RemoteShellsNotAllowed     uint32 = 0x803381ac
	DeprecatedSetting          uint32 = 0x803381ae
	CBTHardeningInvalid        uint32 = 0x803381b8
	CustomShellDeprecated      uint32 = 0x803381bc
	ShellCommandsFilter        uint32 = 0x803381c0
	ShellCommandsMode          uint32 = 0x803381c1
	ShellDisconnected          uint32 = 0x803381c4
	SessionIDMismatch          uint32 = 0x803381c6
	ShellConnectedElsewhere    uint32 = 0x803381cd
	DisconnectNotValid         uint32 = 0x803381cf
	CommandIDInvalid           uint32 = 0x803381d4
	ShellIDInvalid             uint32 = 0x803381d5
	CommandIDConflict          uint32 = 0x803381d6
	ShellIDConflict            uint32 = 0x803381d7
	QuotaCommandsPerShell      uint32 = 0x803381e9
	IdleTimeoutOutOfBounds     uint32 = 0x803381f2
	WMIInvalidClass            uint32 = 0x80041010
	WMINotFound                uint32 = 0x80041002
)

// meaning is what SOAP says beside a code: the subcode, the detail and who is
// to blame.
type meaning struct {
	subcode, detail string
	receiver        bool
	text            string
}

// meanings holds the pairs that wsmerror.h and the samples of [MS-WSMV] show.
// Texts are our own.
var meanings = map[uint32]meaning{
	AccessDenied:               {"w:AccessDenied", "", false, "Access is denied."},
	NotSupported:               {"w:InternalError", "", true, "The request is not supported."},
	InvalidParameter:           {"w:InvalidParameter", "InvalidValue", false, "The parameter is incorrect."},
	Busy:                       {"w:InternalError", "", true, "The requested resource is in use."},
	OperationAborted:           {"w:InternalError", "", true, "The operation was aborted: its shell or command has ended."},
	FileNotFound:               {"w:InternalError", "", true, "The system cannot find the file specified."},
	ResourceNotFound:           {"a:DestinationUnreachable", "ResourceNotFound", false, "The resource URI and selectors name nothing."},
	InvalidMessageHeader:       {"a:InvalidMessageInformationHeader", "", false, "A header is not valid."},
	SoapMustUnderstand:         {"", "", false, "A header that must be understood is not understood."},
	MessageHeaderRequired:      {"a:MessageInformationHeaderRequired", "", false, "A required header is missing."},
	ActionNotSupported:         {"a:ActionNotSupported", "", false, "The resource does not support the action."},
	InvalidRepresentation:      {"x:InvalidRepresentation", "InvalidNamespace", false, "The body does not represent the resource."},
	FilteringNotSupported:      {"n:FilteringNotSupported", "", false, "The resource does not support filters."},
	FilterDialectUnavailable:   {"n:FilterDialectRequestedUnavailable", "", false, "The filter dialect is not supported."},
	CannotProcessFilter:        {"n:CannotProcessFilter", "", false, "The filter cannot be processed."},
	InvalidEnumerationContext:  {"n:InvalidEnumerationContext", "", true, "The enumeration context is not valid any more."},
	OperationTimedOut:          {"w:TimedOut", "", true, "The operation did not complete within OperationTimeout."},
	AlreadyExists:              {"w:AlreadyExists", "", false, "The resource exists already."},
	InvalidOptions:             {"w:InvalidOptions", "", false, "An option is not valid."},
	InvalidResourceURI:         {"a:DestinationUnreachable", "InvalidResourceURI", false, "The resource URI is not known."},
	InvalidSelectors:           {"w:InvalidSelectors", "", false, "The selectors are not valid for the resource."},
	QuotaLimit:                 {"w:QuotaLimit", "", false, "The service is busy."},
	SchemaValidation:           {"w:SchemaValidationError", "", false, "The body does not follow its schema."},
	MaxEnvelopeSizeExceeded:    {"w:EncodingLimit", "MaxEnvelopeSize", false, "The answer does not fit in the MaxEnvelopeSize of the request."},
	Concurrency:                {"w:Concurrency", "", false, "The shell runs a command already."},
	OptionsNotSupported:        {"w:InvalidOptions", "NotSupported", false, "An option that must be complied with is not supported."},
	InvalidXMLNamespace:        {"w:SchemaValidationError", "InvalidNamespace", false, "The body's namespace is not that of the resource."},
	InsufficientSelectors:      {"w:InvalidSelectors", "InsufficientSelectors", false, "A selector of the resource is missing."},
	UnexpectedSelectors:        {"w:InvalidSelectors", "UnexpectedSelectors", false, "The selectors name nothing that exists: a shell or command may have ended."},
	DuplicateSelectors:         {"w:InvalidSelectors", "DuplicateSelectors", false, "A selector occurs more than once."},
	AddressingModeUnsupported:  {"w:UnsupportedFeature", "AddressingMode", false, "Answers go to the anonymous address only."},
	FragmentNotSupported:       {"w:UnsupportedFeature", "FragmentLevelAccess", false, "The resource does not support fragment transfer."},
	MinEnvelopeSize:            {"w:EncodingLimit", "MinimumEnvelopeLimit", false, "MaxEnvelopeSize is below the minimum of 8192 bytes."},
	EnumerationModeUnsupported: {"w:UnsupportedFeature", "EnumerationMode", false, "The enumeration mode is not supported."},
	MustUnderstandOnLocale:     {"w:UnsupportedFeature", "Locale", false, "Locale must not be marked mustUnderstand."},
	CannotChangeGPOSetting:     {"w:InvalidParameter", "", false, "The setting comes from group policy and cannot be changed."},
	InvalidFragmentDialect:     {"w:FragmentDialectNotSupported", "", false, "The fragment dialect is not supported."},
	InvalidFragmentPath:        {"w:InvalidParameter", "InvalidFragment", false, "The fragment path is not valid."},
	InvalidHostnamePattern:     {"w:SchemaValidationError", "InvalidValue", false, "A pattern in TrustedHosts is not valid."},
	NonPullSubscription:        {"e:DeliveryModeRequestedUnavailable", "", false, "Only pull delivery is supported."},
	ConfigReadOnly:             {"w:InvalidParameter", "ReadOnly", false, "The setting can only be read."},
	CodePageNotSupported:       {"w:InvalidParameter", "InvalidValue", false, "The code page is not supported."},
	CertMappingPasswordUser:    {"w:InvalidParameter", "InvalidValue", false, "User name and password of the mapping do not log on."},
	CannotChangeCertKeys:       {"w:InvalidParameter", "InvalidValue", false, "The keys of a certificate mapping cannot be changed."},
	QuotaMaxShells:             {"w:QuotaLimit", "", false, "The user has as many shells as MaxShellsPerUser allows."},
	QuotaMaxOperations:         {"w:QuotaLimit", "", false, "The user has as many operations as MaxConcurrentOperationsPerUser allows."},
	QuotaMaxShellUsers:         {"w:QuotaLimit", "", false, "As many users have shells as MaxConcurrentUsers allows."},
	RemoteShellsNotAllowed:     {"w:InternalError", "", true, "AllowRemoteShellAccess is false."},
	DeprecatedSetting:          {"w:InternalError", "", true, "The setting is obsolete and cannot be changed."},
	CBTHardeningInvalid:        {"w:SchemaValidationError", "InvalidValue", false, "CbtHardeningLevel is None, Relaxed or Strict."},
	CustomShellDeprecated:      {"w:InternalError", "", true, "Custom remote shells are obsolete."},
	ShellCommandsFilter:        {"w:InvalidParameter", "FilteringRequired", false, "Commands are enumerated with a selector filter that holds a ShellId."},
	ShellCommandsMode:          {"w:UnsupportedFeature", "EnumerationMode", false, "Commands are enumerated as objects only."},
	ShellDisconnected:          {"w:InternalError", "", true, "The shell is disconnected."},
	SessionIDMismatch:          {"w:InternalError", "", true, "The shell belongs to another session."},
	ShellConnectedElsewhere:    {"w:InternalError", "", true, "The shell is connected to another client."},
	DisconnectNotValid:         {"w:InternalError", "", true, "The shell cannot be disconnected or reconnected in its state."},
	CommandIDInvalid:           {"w:InvalidParameter", "InvalidValue", false, "The CommandId is no GUID."},
	ShellIDInvalid:             {"w:InvalidParameter", "InvalidValue", false, "The ShellId is no GUID."},
	CommandIDConflict:          {"w:AlreadyExists", "", false, "A command with that CommandId exists."},
	ShellIDConflict:            {"w:AlreadyExists", "", false, "A shell with that ShellId exists."},
	QuotaCommandsPerShell:      {"w:QuotaLimit", "", false, "The shell has run as many commands as it may."},
	IdleTimeoutOutOfBounds:     {"w:InvalidParameter", "InvalidValue", false, "IdleTimeOut is outside of what the server allows."},
	WMIInvalidClass:            {"w:InternalError", "", true, "The WMI class does not exist."},
	WMINotFound:                {"w:InternalError", "", true, "The WMI object was not found."},
}
