// Package wsman speaks WS-Management, the SOAP protocol of WinRM, over any
// HTTP client. It knows messages and resources; logging on and encrypting is
// the business of the HTTP client's transport, shells and commands are that of
// package winrm.
//
// # How to think of it
//
// A [Resource] is a URI, with selectors that pick one instance of it. A
// [Client] does things to resources at one endpoint:
//
//	c, err := wsman.NewClient("https://srv1:5986/wsman", &wsman.Config{HTTPClient: hc})
//
//	var svc struct{ Name, State string }
//	err = c.Get(ctx, wsman.Resource{
//		URI:       wsman.URICIMv2 + "Win32_Service",
//		Selectors: []wsman.Selector{{Name: "Name", Value: "WinRM"}},
//	}, &svc)
//
//	for hotfix, err := range wsman.Query[Hotfix](ctx, c, "root/cimv2", "select HotFixID from Win32_QuickFixEngineering") {
//		...
//	}
//
// Everything goes through [Client.Do]: a [Request] out, a [Response] back. A
// request that fails says how by the type of its error:
//
//	*Fault          the server understood the request and refused it
//	*StatusError    what answered was no WS-Management service, or not in SOAP
//	*TimeoutError   nothing answered in time
//	*ResponseError  the answer was malformed or belonged to another request
//	anything else   the transport's error
//
// A Fault unwraps to its [FaultCode], of which the package knows the names,
// meanings and remedies; errors.Is(err, [ErrTimedOut]) is how to look for one.
// Nothing is ever sent twice here, with one exception: a Pull that the server
// answers with "nothing yet" is repeated.
//
// # The codec
//
// Messages are written by an [Encoder] and read by a [Decoder], without a tree
// in between. [WriteEnvelope] and [ReadEnvelope] speak the role of the client
// and that of the server, so that a test server is made of the same parts.
//
// # Where things are specified
//
//	envelope and addressing     SOAP 1.2; WS-Addressing 2004/08; DSP0226 5; [MS-WSMV] 2.2.4, 3.1.4.1
//	Get, Put, Create, Delete    WS-Transfer; DSP0226 7; [MS-WSMV] 3.1.4.2 ff.
//	fragments                   DSP0226 7.7; [MS-WSMV] 3.1.4.1.15
//	Enumerate, Pull, Release    WS-Enumeration; DSP0226 8; [MS-WSMV] 4.1.2
//	Subscribe, Unsubscribe      WS-Eventing; DSP0226 10; [MS-WSMV] 3.1.4.6
//	Identify                    DSP0226 11; [MS-WSMV] 3.1.4.1.23
//	Invoke, CIM values          DSP0227; DSP0230; DSP0004; [MS-WSMV] 4.1.4
//	faults                      DSP0226 14; [MS-WSMV] 2.2.4.43; wsmerror.h
package wsman
