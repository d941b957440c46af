package wsman_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

// foreign is an envelope as another client writes it: other prefixes, CDATA.
const foreign = `<?xml version="1.0" encoding="utf-8" ?>
<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><env:Header><a:To>http://h/wsman?a&amp;b</a:To><w:OperationTimeout>PT7S</w:OperationTimeout><a:MessageID>uuid:1</a:MessageID><a:Action mustUnderstand="true">urn:act</a:Action></env:Header><env:Body><c><![CDATA[a&b]]></c></env:Body></env:Envelope>`

func TestForward(t *testing.T) {
	s := newServer(t, answerXML("<x>1 &amp; &#50;</x>"))
	c := s.client(t, nil)
	answer, err := c.Forward(t.Context(), []byte(foreign))
	require.NoError(t, err)
	assert.Contains(t, string(answer), "<x>1 &amp; &#50;</x>", "the answer as it came")
	require.Len(t, s.seen(), 1)
	assert.Equal(t, foreign, string(s.seen()[0].Body))
	assert.Equal(t, 7*time.Second, s.seen()[0].OperationTimeout)
}

func TestForwardRefuses(t *testing.T) {
	s := newServer(t, refuse(&wsman.Fault{Code: wsman.ErrAccessDenied, Reason: "r"}))
	c := s.client(t, nil)
	_, err := c.Forward(t.Context(), []byte(foreign))
	require.ErrorIs(t, err, wsman.ErrAccessDenied)
	fault, ok := errors.AsType[*wsman.Fault](err)
	require.True(t, ok)
	assert.Equal(t, "urn:act", fault.Action)
	require.Len(t, s.seen(), 1)

	for name, text := range map[string]string{
		"empty":          "",
		"no envelope":    "<a/>",
		"cut short":      foreign[:len(foreign)-8],
		"CDATA broken":   fmt.Sprintf("%s]]>%s", foreign[:len(foreign)-30], foreign[len(foreign)-30:]),
		"two documents":  foreign + foreign[40:],
		"a control char": foreign[:len(foreign)-40] + "\x01" + foreign[len(foreign)-40:],
	} {
		_, err := c.Forward(t.Context(), []byte(text))
		require.Error(t, err, name)
	}
	assert.Len(t, s.seen(), 1, "nothing of it was sent")
}
