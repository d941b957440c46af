// Package masterzen gives programs that are written for
// github.com/masterzen/winrm the transports of this library: CredSSP, sealed
// Kerberos and NTLM, channel binding, one failed logon for one wrong password.
// One line of such a program changes:
//
//	params := winrm.NewParameters("PT60S", "en-US", 153600)
//	params.TransportDecorator = masterzen.Decorator(auth.NTLM(credentials), nil)
//	client, err := winrm.NewClientWithParameters(endpoint, "", "", params)
//
// User and password given to NewClientWithParameters are not used: masterzen's
// Client keeps them to itself. The mechanism has the credentials.
//
// # What is taken from the program
//
//	Endpoint.Host, Port, HTTPS        the listener; port 0 is WinRM's own
//	Endpoint.Insecure, CACert,        how its certificate is verified
//	  TLSServerName
//	Endpoint.Cert, Key                the client certificate. Without a mechanism it
//	                                  logs on, as with masterzen's ClientAuthRequest.
//	Endpoint.Timeout                  how long an answer may take, but never less than
//	                                  the message lets the host take plus 15 seconds;
//	                                  less than 30 seconds also bounds connecting
//	Parameters.Timeout, Locale        stand in the messages, which go as they are
//	Parameters.EnvelopeSize           a Send that is longer is cut into several
//	Parameters.Dial                   connects, unless Options.Dial does
//	HTTP_PROXY and its like           are heeded as by masterzen, unless Options.Proxy
//
// # What becomes of errors
//
// masterzen's loop around Receive goes on after two kinds of errors: one whose
// text has the word OperationTimeout, and a *url.Error that is a time-out. So a
// fault that means "nothing yet" is told in the first form, and nothing else is
// in either: the loop ends with an *Error, which wraps what happened, such as
// *wsman.Fault or *auth.ConnectionLostError. The text of an error of Receive has
// the word EOF, from which masterzen makes exit code 16001: without it, a program
// that looks at the exit code alone would read 0.
//
// # What stays
//
// masterzen's own loop and pipes: docs/from-masterzen.md lists what no transport
// can mend, and what to write instead.
//
// This package is a part of the library's module. A program that does not import
// it compiles nothing of masterzen/winrm, and, by the pruning of module graphs,
// finds nothing of it in its go.mod and go.sum.
package masterzen
