package wsman_test

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

func readFault(t testing.TB, doc []byte) (*wsman.Fault, error) {
	t.Helper()
	d := wsman.NewDecoder(doc)
	if _, err := wsman.ReadEnvelope(d); err != nil {
		return nil, err
	}
	if _, ok := d.NextChild(); !ok {
		return nil, errors.New("empty body")
	}
	f, err := wsman.ReadFault(d)
	if err != nil {
		return nil, err
	}
	return f, d.Finish()
}

func TestReadFault(t *testing.T) {
	for name, want := range map[string]wsman.Fault{
		"captured-fault-timedout.xml": {
			Code: 2150858793, Subcode: wsman.Name{Space: wsman.NSWSMan, Local: "TimedOut"}, Machine: "192.168.56.11",
			Reason:  "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.",
			Message: "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.",
		},
		"captured-fault-selectors.xml": {
			Code: 2150858843, Sender: true, Subcode: wsman.Name{Space: wsman.NSWSMan, Local: "InvalidSelectors"}, Machine: "192.168.56.15", Detail: "UnexpectedSelectors",
			Reason:  "The WS-Management service cannot process the request because the request contained invalid selectors for the resource.",
			Message: "The Windows Remote Shell received a request to perform an operation on a command identifier that does not exist. Either the command has completed execution or the client specified an invalid command identifier.",
		},
		"wsmv-4.10-fault.xml": {
			Code: 32768, Inner: 32768, Sender: true, Subcode: wsman.Name{Local: "DestinationUnreachable"}, Machine: "http://localhost:80/wsman",
			Detail: "ResourceNotFound", Provider: "D9A2A039-A4B3-4A70-8CB9-8D7714EAD776",
			Reason:  "The WS-Management service cannot process the request.\nThe service cannot find the resource identified by the\nresource URI and selectors.",
			Message: "The WS-Management service cannot\nprocess the request. The service cannot\nfind the resource identified by the\nresource URI and selectors.",
		},
		"quota-wmierror.xml": {
			Code: 2150859174, Subcode: wsman.Name{Space: wsman.NSWSMan, Local: "InternalError"}, Reason: "too many shells", Message: "only 1 shell is allowed",
			WMI: &wsman.WMIError{StatusCode: 27, Code: 2150859174, Category: 30, Type: "HRESULT", Message: "only 1 shell is allowed", MessageID: "HRESULT 0x803381a6"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readFault(t, load(t, name))
			require.NoError(t, err)
			assert.Equal(t, &want, got)
		})
	}
}

// The forms of a provider's fault, text before, inside and after the elements.
func TestReadFaultProviderForms(t *testing.T) {
	read := func(detail string) *wsman.Fault {
		t.Helper()
		f, err := readFault(t, []byte(`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"><s:Body><s:Fault>`+
			`<s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text xml:lang="de">nein</s:Text></s:Reason><s:Detail>`+detail+`</s:Detail></s:Fault></s:Body></s:Envelope>`))
		require.NoError(t, err)
		return f
	}
	f := read(`<f:WSManFault Code="87" Machine="h"><f:Message><f:ProviderFault provider="Shell provider" path="%systemroot%\system32\WsmSvc.dll">wrong &amp; bad</f:ProviderFault></f:Message></f:WSManFault>`)
	assert.Equal(t, wsman.FaultCode(87), f.Code)
	assert.Equal(t, "Shell provider", f.Provider)
	assert.Equal(t, "wrong & bad", f.Message)

	f = read(`<f:WSManFault Code="2147749904"><f:Message> <f:ProviderFault provider="WMI Provider"><f:WSManFault Code="5"><f:Message>outer</f:Message></f:WSManFault><f:ExtendedError><q:__ExtendedStatus xmlns:q="urn:q" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><q:Description xsi:nil="true"/><q:Operation>ExecQuery</q:Operation><q:ParameterInfo>select</q:ParameterInfo><q:ProviderName>WinMgmt</q:ProviderName><q:StatusCode xsi:nil="true"/></q:__ExtendedStatus></f:ExtendedError></f:ProviderFault></f:Message></f:WSManFault>`)
	assert.Equal(t, wsman.FaultCode(2147749904), f.Code)
	assert.Equal(t, wsman.FaultCode(5), f.Inner)
	assert.Equal(t, "outer", f.Message)
	assert.Equal(t, &wsman.WMIError{Operation: "ExecQuery", Parameter: "select", Provider: "WinMgmt"}, f.WMI)

	f = read(`<f:WSManFault Code="-2144108503"/>`)
	assert.ErrorIs(t, f, wsman.ErrTimedOut, "a code written as the negative number that it is")
	f = read(`<f:WSManFault Code="0x803381A5"/>`)
	assert.ErrorIs(t, f, wsman.ErrTooManyShells)
	f = read(`<f:WSManFault Code="99999999999"/>`)
	assert.Zero(t, f.Code)
	assert.NoError(t, f.Unwrap())
	assert.Contains(t, f.Error(), "nein")
}

// Servers other than WinRM send subcodes only.
func TestReadFaultSubcodeOnly(t *testing.T) {
	for _, tt := range []struct {
		space, local, detail string
		want                 wsman.FaultCode
	}{
		{wsman.NSWSMan, "TimedOut", "", wsman.ErrTimedOut},
		{wsman.NSWSMan, "AccessDenied", "", wsman.ErrAccessDenied},
		{wsman.NSWSMan, "InvalidSelectors", "", wsman.ErrInvalidSelectors},
		{wsman.NSWSMan, "InvalidSelectors", "UnexpectedSelectors", wsman.ErrNoSuchShell},
		{wsman.NSEnumeration, "InvalidEnumerationContext", "", wsman.ErrContextExpired},
		{wsman.NSAddressing, "ActionNotSupported", "", wsman.ErrActionNotSupported},
		{wsman.NSAddressing, "TimedOut", "", 0},
		{wsman.NSWSMan, "InternalError", "", 0},
	} {
		in := &wsman.Fault{Subcode: wsman.Name{Space: tt.space, Local: tt.local}, Detail: tt.detail, Reason: "r"}
		e := wsman.NewEncoder(nil)
		wsman.WriteEnvelope(e, &wsman.Header{Action: in.MessageAction()}, in.Encode)
		require.NoError(t, e.Err())
		f, err := readFault(t, e.Bytes())
		require.NoError(t, err)
		assert.Equal(t, tt.want, f.Code, "%v", tt)
	}
}

func TestFaultEncode(t *testing.T) {
	want := &wsman.Fault{
		Code: wsman.ErrSetByPolicy, Sender: true, Subcode: wsman.Name{Space: wsman.NSAddressing, Local: "EndpointUnavailable"},
		Reason: "no <way>", Detail: "InvalidValue", Message: "set by policy", Machine: "srv", Provider: "Config provider",
	}
	e := wsman.NewEncoder(nil)
	wsman.WriteEnvelope(e, &wsman.Header{Action: want.MessageAction(), RelatesTo: "uuid:1"}, want.Encode)
	require.NoError(t, e.Err())
	assert.Contains(t, string(e.Bytes()), wsman.ActionAddressingFault)
	got, err := readFault(t, e.Bytes())
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestFaultTextIsHarmless(t *testing.T) {
	f := &wsman.Fault{Action: wsman.ActionReceive, Code: 5, Message: "a\r\n\x1b[2Jb\u0085c" + strings.Repeat(" x", 2000)}
	s := f.Error()
	assert.NotContains(t, s, "\x1b")
	assert.NotContains(t, s, "\n")
	assert.Less(t, len(s), 1500)
	assert.Contains(t, s, "Receive refused")
}

// The whole of wsmerror.h, from a list that is not ours.
func TestFaultCodesComplete(t *testing.T) {
	lines := bufio.NewScanner(bytes.NewReader(load(t, "wsmerror.tsv")))
	n := 0
	texts := map[string]bool{}
	for lines.Scan() {
		number, symbol, ok := strings.Cut(lines.Text(), "\t")
		if !ok {
			continue
		}
		n++
		v, err := strconv.ParseUint(number, 10, 32)
		require.NoError(t, err)
		code := wsman.FaultCode(v)
		assert.Equal(t, symbol, code.Symbol())
		assert.NotEmpty(t, code.Text(), symbol)
		assert.Contains(t, code.Error(), symbol)
		texts[code.Text()] = true
	}
	assert.Equal(t, 512, n)
	assert.Greater(t, len(texts), 450, "texts tell codes apart")
}

// A code in all the forms that it may have as xs:unsignedInt, and as programs
// print an HRESULT.
func TestReadFaultCodes(t *testing.T) {
	for text, want := range map[string]wsman.FaultCode{
		"2150858793": wsman.ErrTimedOut, "-2144108503": wsman.ErrTimedOut, "0x80338029": wsman.ErrTimedOut, "0X80338029": wsman.ErrTimedOut,
		" 5\t": 5, "+5": 5, "00005": 5, "010": 10, "": 0, "abc": 0, "4294967296": 0, "1_0": 0, "0x": 0, "5.0": 0,
	} {
		doc := `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Detail>` +
			`<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="` + text + `"/></s:Detail></s:Fault></s:Body></s:Envelope>`
		f, err := readFault(t, []byte(doc))
		require.NoError(t, err)
		assert.Equal(t, want, f.Code, "%q", text)
	}
}

func TestFaultCodeForms(t *testing.T) {
	assert.ErrorIs(t, wsman.FaultCode(2147942405), wsman.ErrAccessDenied)     // 0x80070005
	assert.ErrorIs(t, wsman.FaultCode(2147943418), wsman.ErrProfileUnloading) // 0x800703FA
	assert.NotErrorIs(t, wsman.FaultCode(2147942405), wsman.ErrNotSupported)
	assert.Equal(t, "ERROR_FILE_NOT_FOUND", wsman.FaultCode(2147942402).Symbol())
	assert.Equal(t, "wsman: code 4294967295 (0xFFFFFFFF)", wsman.FaultCode(0xFFFFFFFF).Error())
	assert.Empty(t, wsman.FaultCode(0xFFFFFFFF).Text())
	for code, want := range map[wsman.FaultCode]wsman.RetryClass{
		wsman.ErrTimedOut: wsman.RetryRepeat, wsman.ErrQuotaLimit: wsman.RetryLater, wsman.ErrCannotDecrypt: wsman.RetryReconnect,
		wsman.ErrNoSuchShell: wsman.RetryNever, 12345: wsman.RetryNever, 2150859230: wsman.RetryRepeat, 2150859241: wsman.RetryLater, 2147942570: wsman.RetryLater,
	} {
		assert.Equal(t, want, code.Retry(), code.Symbol())
	}
	assert.True(t, wsman.ErrTimedOut.Timeout())
	// The names that a mistake in a number would spoil.
	for code, symbol := range map[wsman.FaultCode]string{
		wsman.ErrConcurrency: "ERROR_WSMAN_CONCURRENCY", wsman.ErrBadFilter: "ERROR_WSMAN_ENUMERATE_CANNOT_PROCESS_FILTER", wsman.ErrEnvelopeTooLarge: "ERROR_WSMAN_ENVELOPE_TOO_LARGE",
		wsman.ErrUnsupportedFeature: "ERROR_WSMAN_UNSUPPORTED_FEATURE", wsman.ErrResponseTooLarge: "ERROR_WSMAN_MAX_ENVELOPE_SIZE_EXCEEDED", wsman.ErrWrongSession: "ERROR_WINRS_SHELL_CLIENTSESSIONID_MISMATCH",
		wsman.ErrShellInUse: "ERROR_WINRS_SHELL_CONNECTED_TO_DIFFERENT_CLIENT", wsman.ErrTooManyCommands: "ERROR_WSMAN_QUOTA_MAX_COMMANDS_PER_SHELL_PPQ", wsman.ErrIdleTimeout: "ERROR_WINRS_IDLETIMEOUT_OUTOFBOUNDS",
		wsman.ErrRequestTooLarge: "ERROR_WSMAN_HTTP_REQUEST_TOO_LARGE_STATUS", wsman.ErrSetByPolicy: "ERROR_WSMAN_CONFIG_CANNOT_CHANGE_GPO_CONTROLLED_SETTING", wsman.ErrBadShellID: "ERROR_WINRS_SHELL_CLIENTID_NOT_VALID",
		wsman.ErrShellIDConflict: "ERROR_WINRS_SHELL_CLIENTID_RESOURCE_CONFLICT", wsman.ErrCommandIDConflict: "ERROR_WINRS_SHELLCOMMAND_CLIENTID_RESOURCE_CONFLICT", wsman.ErrBadCommandID: "ERROR_WINRS_SHELLCOMMAND_CLIENTID_NOT_VALID",
	} {
		assert.Equal(t, symbol, code.Symbol())
	}
}

func FuzzReadFault(f *testing.F) {
	for _, name := range []string{"captured-fault-selectors.xml", "captured-fault-timedout.xml", "wsmv-4.10-fault.xml", "quota-wmierror.xml"} {
		f.Add(load(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fault, err := readFault(t, data)
		if err == nil && len(fault.Error()) > 4000 {
			t.Fatal("an error text without bounds")
		}
	})
}
