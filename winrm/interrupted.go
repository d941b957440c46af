package winrm

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/wsman"
)

// A verdict is what one error of a chain says about the question whether something
// that failed was only interrupted.
type verdict int

const (
	silent      verdict = iota // ask the others
	interrupt                  // the connection, or the shell with the service or host that had it, is gone
	refusal                    // somebody said no, or would say the same again
	unreachable                // an interrupt if the network below says so
)

// interrupted reports whether what failed with err may succeed when it is tried again
// because the connection failed, and nothing else. One refusal among several errors is
// enough to say no: a password, a right, a quota or a full disk is not made good by
// asking again.
func interrupted(err error) bool {
	lost := false
	var ask func(error) bool // reports false at a refusal
	ask = func(err error) bool {
		switch judge(err) {
		case refusal:
			return false
		case interrupt:
			lost = true
		case unreachable:
			lost = lost || isNetwork(err)
		}
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			return u.Unwrap() == nil || ask(u.Unwrap())
		case interface{ Unwrap() []error }:
			for _, one := range u.Unwrap() {
				if !ask(one) {
					return false
				}
			}
		}
		return true
	}
	return err != nil && ask(err) && lost
}

func judge(err error) verdict {
	switch err {
	case ErrClosed, auth.ErrClosed, auth.ErrUnsealed, auth.ErrRedirected:
		return refusal
	}
	switch e := err.(type) {
	case *FileError, *localError, *LanguageModeError, *fileagent.FrameError, *wsman.LimitError, *auth.ClearTextError, *auth.PinError,
		*tls.CertificateVerificationError, tls.RecordHeaderError:
		return refusal
	case *net.OpError:
		if isAlert(e) {
			return refusal
		}
	case *OutputLostError, *CommandLostError, *wsman.TimeoutError, *wsman.ResponseError, *auth.ResponseError, *auth.ConnectionLostError:
		return interrupt
	case *ExitError:
		if downCodes[e.Code] {
			return interrupt
		}
	case *auth.DialError:
		return judgeDial(e)
	case *auth.Error:
		return judgeLogon(e)
	case *wsman.StatusError:
		return judgeStatus(e.Status)
	case *wsman.Fault:
		return judgeFault(e.Code)
	}
	return silent
}

// downCodes are the exit codes of processes that Windows ends, or does not let begin,
// because it goes down or the logon does.
var downCodes = map[uint32]bool{
	0x40010004: true, // DBG_TERMINATE_PROCESS
	0xC000013A: true, // STATUS_CONTROL_C_EXIT, also of the events of a logoff and a shutdown
	0xC0000142: true, // STATUS_DLL_INIT_FAILED
	0xC000026B: true, // STATUS_DLL_INIT_FAILED_LOGOFF
}

// judgeDial is for connections that could not be made to a host that was there before:
// names and settings are right, then. What a handshake or a proxy refused has said so by
// an error of its own.
func judgeDial(e *auth.DialError) verdict {
	if e.Stage == "http" {
		return refusal
	}
	return interrupt
}

func judgeLogon(e *auth.Error) verdict {
	switch {
	case e.Refused || e.Remembered:
		return refusal
	case e.Status == 0 || e.Status/100 == 2:
		return unreachable // such as a directory that is asked about the account
	}
	if v := judgeStatus(e.Status); v == interrupt {
		return v
	}
	return unreachable
}

// judgeStatus is for answers that are not SOAP. The service that stops or starts is
// not there for http.sys, and gateways say that they do not reach it.
func judgeStatus(status int) verdict {
	switch status {
	case http.StatusOK, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return interrupt
	}
	return refusal
}

// Faults of a service or host that goes down or has just come up, and of shells that
// went with it.
var interruptCodes = []wsman.FaultCode{
	wsman.ErrNoSuchShell, wsman.ErrCommandTerminated, wsman.ErrShellNotStarted, wsman.ErrTimedOut, wsman.ErrCannotDecrypt,
	codeProfileGone,
	64,         // ERROR_NETNAME_DELETED
	995,        // ERROR_OPERATION_ABORTED
	1062,       // ERROR_SERVICE_NOT_ACTIVE
	1115,       // ERROR_SHUTDOWN_IN_PROGRESS
	1225,       // ERROR_CONNECTION_REFUSED
	1231,       // ERROR_NETWORK_UNREACHABLE
	1236,       // ERROR_CONNECTION_ABORTED
	1722,       // RPC_S_SERVER_UNAVAILABLE
	1726,       // RPC_S_CALL_FAILED
	1727,       // RPC_S_CALL_FAILED_DNE
	2150858770, // ERROR_WSMAN_DESTINATION_UNREACHABLE
	2150859046, // ERROR_WSMAN_NETWORK_TIMEDOUT
	2150859258, // ERROR_WSMAN_CLIENT_SESSION_UNUSABLE
}

func judgeFault(code wsman.FaultCode) verdict {
	for _, c := range interruptCodes {
		if c.Is(code) {
			return interrupt
		}
	}
	return refusal
}

// isAlert reports whether an error is an alert of TLS. Package tls keeps their type to
// itself: a number of eight bits.
func isAlert(op *net.OpError) bool { return reflect.ValueOf(op.Err).Kind() == reflect.Uint8 }

// isNetwork reports whether a socket failed below.
func isNetwork(err error) bool {
	_, socket := errors.AsType[net.Error](err)
	return socket || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
