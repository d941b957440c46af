package wsman

// Bounds of the names that a Decoder remembers, so that a hostile document
// cannot make it grow.
const (
	maxInterned   = 512
	maxInternSize = 64
)

// wellKnown holds the strings that occur in nearly every message.
var wellKnown = func() map[string]string {
	m := make(map[string]string)
	for _, s := range []string{
		NSEnvelope, NSAddressing, NSWSMan, NSMicrosoft, NSTransfer, NSEnumeration, NSEventing, NSPolicy, NSIdentify,
		NSFault, NSCIM, NSShell, NSConfig, NSSubscription, NSMachineID, NSInteractive, NSPowerShell, NSSchemaInstance,
		NSSchema, NSXML, AddressAnonymous, ActionFault, ActionAddressingFault,
		ActionGet + "Response", ActionPut + "Response", ActionCreate + "Response", ActionDelete + "Response",
		ActionEnumerate + "Response", ActionPull + "Response", ActionRelease + "Response",
		ActionCommand + "Response", ActionSend + "Response", ActionReceive + "Response", ActionSignal + "Response",
		ActionGet, ActionPut, ActionCreate, ActionDelete, ActionEnumerate, ActionPull, ActionRelease,
		ActionCommand, ActionSend, ActionReceive, ActionSignal, URICmdShell,
		NSShell + "/CommandState/Running", NSShell + "/CommandState/Done", NSShell + "/CommandState/Pending",
		"", "s", "a", "w", "p", "x", "n", "e", "f", "m", "b", "rsp", "cfg", "xsi", "xml", "cim", "wsman", "wsmv", "wsa", "wsen", "wst", "xs",
		"Envelope", "Header", "Body", "Fault", "Code", "Subcode", "Value", "Reason", "Text", "Detail",
		"Action", "MessageID", "RelatesTo", "To", "ReplyTo", "FaultTo", "Address", "ReferenceParameters", "EndpointReference",
		"ResourceURI", "SelectorSet", "Selector", "OptionSet", "Option", "Name", "OperationTimeout", "MaxEnvelopeSize",
		"Locale", "DataLocale", "SessionId", "OperationID", "SequenceId", "ActivityId", "ResourceCreated",
		"mustUnderstand", "lang", "nil", "type", "true", "false", "True", "False", "TRUE", "FALSE", "en-US",
		"EnumerateResponse", "PullResponse", "EnumerationContext", "Items", "Item", "EndOfSequence",
		"Shell", "ShellId", "CommandLine", "Command", "Arguments", "CommandResponse", "CommandId", "Receive", "DesiredStream",
		"ReceiveResponse", "Stream", "End", "CommandState", "State", "ExitCode", "stdin", "stdout", "stderr", "stdout stderr",
		"Send", "SendResponse", "Signal", "SignalResponse", "WSManFault", "Machine", "Message", "ProviderFault", "FaultDetail",
		"PT60.000S", "PT60S", "0", "1", "512000", "153600",
	} {
		m[s] = s
	}
	return m
}()

// intern returns b as a string, the same string for the same short text.
func (d *Decoder) intern(b []byte) string {
	if s, ok := wellKnown[string(b)]; ok {
		return s
	}
	if string(b) == d.expected {
		return d.expected
	}
	if len(b) > maxInternSize {
		return string(b)
	}
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	if d.names == nil {
		d.names = make(map[string]string)
	} else if len(d.names) >= maxInterned {
		clear(d.names)
	}
	s := string(b)
	d.names[s] = s
	return s
}
