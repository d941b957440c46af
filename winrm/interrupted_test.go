package winrm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/wsman"
)

// What is tried again is a lost connection, wherever in the chain it stands, and nothing
// in which somebody has said no.
func TestInterruptedErrors(t *testing.T) {
	t.Parallel()
	lost := &auth.ConnectionLostError{Sent: true, Err: io.ErrUnexpectedEOF}
	reset := &net.OpError{Op: "read", Err: errors.New("reset")}
	gone := &wsman.Fault{Code: codeUnknownID}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"none":                                 {nil, false},
		"answer lost":                          {&AgentError{&OutputLostError{Answers: 1, Err: lost, Result: &ExitMissingError{lost}}}, true},
		"input lost":                           {&AgentError{&InputLostError{lost}}, true},
		"input lost, then ended by us":         {&AgentError{both(&InputLostError{lost}, &ExitError{Code: 3})}, true},
		"input lost, too long":                 {&AgentError{&InputLostError{&wsman.StatusError{Status: 413}}}, false},
		"start lost":                           {&CommandLostError{Err: lost, Asked: gone}, true},
		"time-out":                             {fmt.Errorf("winrm: open shell: %w", &wsman.TimeoutError{}), true},
		"shell gone":                           {&AgentError{&ExitMissingError{gone}}, true},
		"shell ended by the service":           {&AgentError{&ExitMissingError{&wsman.Fault{Code: 995}}}, true},
		"the same as an HRESULT":               {&AgentError{&ExitMissingError{&wsman.Fault{Code: 0x800703E3}}}, true},
		"going down":                           {&wsman.Fault{Code: 1115}, true},
		"profile gone":                         {&wsman.Fault{Code: codeProfileGone}, true},
		"dial":                                 {&auth.DialError{Stage: "dial", Err: reset}, true},
		"name gone with the VPN":               {&auth.DialError{Stage: "dial", Err: &net.DNSError{IsNotFound: true}}, true},
		"dial in time":                         {&auth.DialError{Stage: "dial", Err: context.DeadlineExceeded}, true},
		"handshake cut":                        {&auth.DialError{Stage: "tls", Err: io.EOF}, true},
		"certificate":                          {&auth.DialError{Stage: "tls", Err: &tls.CertificateVerificationError{Err: errors.New("expired")}}, false},
		"pin":                                  {&auth.DialError{Stage: "tls", Err: &auth.PinError{}}, false},
		"alert":                                {&auth.DialError{Stage: "tls", Err: alert(t)}, false},
		"TLS on a clear port":                  {&auth.DialError{Stage: "http", Err: errors.New("TLS")}, false},
		"proxy does not reach it":              {&auth.DialError{Stage: "proxy", Err: errors.New("CONNECT answered with 503")}, true},
		"proxy refuses the logon":              {&auth.DialError{Stage: "proxy", Err: &auth.Error{Refused: true, Proxy: true}}, false},
		"password":                             {&auth.Error{Refused: true, Status: 401}, false},
		"password remembered":                  {&auth.Error{Remembered: true}, false},
		"password, after a lost answer":        {errors.Join(lost, &auth.Error{Refused: true}), false},
		"logon cut":                            {&auth.Error{Err: reset}, true},
		"logon at a service that starts":       {&auth.Error{Status: 503}, true},
		"directory away":                       {&auth.Error{Err: fmt.Errorf("kdc: %w", reset)}, true},
		"logon not offered":                    {&auth.Error{Status: 401}, false},
		"context lost":                         {&auth.ConnectionLostError{Sent: true, Err: &auth.Error{Status: 401}}, true},
		"answer broken":                        {&auth.ResponseError{Err: io.ErrUnexpectedEOF}, true},
		"answer in clear":                      {&auth.ResponseError{Err: auth.ErrUnsealed}, false},
		"redirect":                             {&auth.ResponseError{Err: auth.ErrRedirected}, false},
		"answer malformed":                     {&OutputLostError{Err: &wsman.ResponseError{Err: &wsman.SyntaxError{}}}, true},
		"answer too long":                      {&OutputLostError{Err: &wsman.ResponseError{Err: &wsman.LimitError{}}}, false},
		"service stopped":                      {&wsman.StatusError{Status: 503}, true},
		"gateway":                              {&wsman.StatusError{Status: 502}, true},
		"forbidden":                            {&wsman.StatusError{Status: 403}, false},
		"not found":                            {&wsman.StatusError{Status: 404}, false},
		"access denied":                        {&wsman.Fault{Code: wsman.ErrAccessDenied}, false},
		"shells":                               {&wsman.Fault{Code: wsman.ErrTooManyShells}, false},
		"throttled":                            {&wsman.Fault{Code: wsman.ErrUserThrottled}, false},
		"fault without a code":                 {&wsman.Fault{}, false},
		"disk full":                            {&FileError{Code: 0x80070070}, false},
		"hash":                                 {&FileError{Code: 0x80070017}, false},
		"source":                               {&localError{err: reset}, false},
		"closed":                               {both(ErrClosed, lost), false},
		"transport closed":                     {fmt.Errorf("%w: %w", auth.ErrClosed, lost), false},
		"constrained":                          {&AgentError{&LanguageModeError{Err: &ExitError{Code: 1}}}, false},
		"agent ended by a host that goes down": {&AgentError{&ExitError{Code: 0x40010004}}, true},
		"agent ended":                          {&AgentError{fmt.Errorf("it has ended: %w", io.ErrUnexpectedEOF)}, false},
		"agent killed":                         {&AgentError{&ExitError{Code: 0xFFFFFFFF}}, false},
		"agent out of step":                    {&AgentError{&fileagent.FrameError{}}, false},
		"none of ours":                         {errors.New("x"), false},
		"context":                              {context.Canceled, false},
		"several, of which one is a loss":      {errors.Join(errors.New("x"), lost), true},
	} {
		assert.Equal(t, c.want, interrupted(c.err), name)
	}
}

// The pauses that are documented.
func TestRetryPauses(t *testing.T) {
	t.Parallel()
	for i, want := range []time.Duration{250 * time.Millisecond, time.Second, 4 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
		assert.Equal(t, want, retryPause(i+1))
	}
	assert.Equal(t, 30*time.Second, retryPause(1<<30))
}

// What was given back is handed out again, and nothing is known beyond it before.
func TestPiecesGivenBack(t *testing.T) {
	t.Parallel()
	const most = 2 * fileagent.BlockSize
	p := newPieces(5*fileagent.BlockSize + 7)
	a, b, c := p.take(most, 1), p.take(most, 1), p.take(most, 1)
	assert.Nil(t, p.take(most, 1))
	p.finish(b)
	p.finish(c)
	assert.Zero(t, p.known())
	p.giveBack(a, 100)
	assert.True(t, p.more())
	assert.Equal(t, int64(100), p.known())
	again := p.take(most, 1)
	assert.Equal(t, int64(100), again.off)
	assert.Equal(t, int64(most-100), again.n)
	assert.Nil(t, p.take(most, 1))
	p.giveBack(again, again.n) // it had come, and only the end was missing
	assert.Equal(t, p.size, p.known())
	assert.False(t, p.more())
}
