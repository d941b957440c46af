package wsman

import "fmt"

// FaultCode is the number that Windows gives a [Fault]: a WS-Management error
// (0x8033....), an error of Win32, or one of Win32 as an HRESULT (0x8007....).
// It is an error, to be used with errors.Is.
type FaultCode uint32

// Error describes the code.
func (c FaultCode) Error() string { return "wsman: " + c.describe() }

func (c FaultCode) describe() string {
	return fmt.Sprintf("code %d (0x%X)", uint32(c), uint32(c))
}

// ErrTimedOut and so on.
const ErrTimedOut FaultCode = 2150858793

func codeOf(subcode Name, detail string) FaultCode { return 0 }

// Codes of Microsoft's client.
const (
	ErrNoResponseData           FaultCode = 2150858997
	ErrInvalidContentType       FaultCode = 2150858999
	ErrUnknownHTTPStatus        FaultCode = 2150859023
	ErrRedirectStatus           FaultCode = 2150859024
	ErrRequestTooLarge          FaultCode = 2150859025
	ErrServiceUnavailableStatus FaultCode = 2150859026
	ErrNotFoundStatus           FaultCode = 2150859027
	ErrServerErrorStatus        FaultCode = 2150859120
	ErrBadRequestStatus         FaultCode = 2150859121
)
