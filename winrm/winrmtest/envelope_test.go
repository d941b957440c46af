package winrmtest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// The Create of winrm-rs 2.0.1 as recorded, which its makers run against
// Windows Server 2025: the options stand between the header and the body.
const createBesideHeader = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
  xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
  xmlns:wsman="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
  xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell">
  <s:Header>
    <wsa:To>http://127.0.0.1:15985/wsman</wsa:To>
    <wsman:ResourceURI s:mustUnderstand="true">http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd</wsman:ResourceURI>
    <wsa:ReplyTo>
      <wsa:Address s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:Address>
    </wsa:ReplyTo>
    <wsa:Action s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/09/transfer/Create</wsa:Action>
    <wsman:MaxEnvelopeSize s:mustUnderstand="true">153600</wsman:MaxEnvelopeSize>
    <wsa:MessageID>uuid:00daf588-7829-408f-8d23-f35c8e475928</wsa:MessageID>
    <wsman:Locale xml:lang="en-US" s:mustUnderstand="false"/>
    <wsman:OperationTimeout>PT60S</wsman:OperationTimeout>
  </s:Header>
    <wsman:OptionSet xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
      <wsman:Option Name="WINRS_NOPROFILE">TRUE</wsman:Option>
      <wsman:Option Name="WINRS_CODEPAGE">65001</wsman:Option>
    </wsman:OptionSet>
  <s:Body>
    <rsp:Shell>
      <rsp:InputStreams>stdin</rsp:InputStreams>
      <rsp:OutputStreams>stdout stderr</rsp:OutputStreams>
    </rsp:Shell>
  </s:Body>
</s:Envelope>`

func TestElementsBesideHeader(t *testing.T) {
	srv := start(t, &winrmtest.Host{})
	c := dial(t, srv)

	c.send("POST", "/wsman", createBesideHeader)
	resp, body := c.answer()
	require.Equal(t, 200, resp.StatusCode, body)
	assert.Contains(t, body, `<w:Selector Name="ShellId">`)

	// What is read over must be well-formed all the same, and a body must follow.
	for _, broken := range []string{
		strings.Replace(createBesideHeader, "</wsman:OptionSet>", "", 1),
		createBesideHeader[:strings.Index(createBesideHeader, "  <s:Body>")] + "</s:Envelope>",
	} {
		c.send("POST", "/wsman", broken)
		resp, body = c.answer()
		assert.Equal(t, 500, resp.StatusCode)
		assert.Contains(t, body, `Code="2150858817"`)
	}
}
