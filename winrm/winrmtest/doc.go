// Package winrmtest is a WinRM server inside the process, for tests and demos,
// in the spirit of net/http/httptest.
//
//	srv := winrmtest.NewServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
//		fmt.Fprintln(p.Stdout, "hello from", p.Line)
//		return 0
//	}))
//	defer srv.Close()
//	client := srv.Client()
//
// The server speaks the real protocol: HTTP authentication bound to the
// connection, sealed messages, WS-Management envelopes, shells, the
// configuration tree, WMI rows and event subscriptions. It behaves as the
// specifications say that Windows behaves, quotas, time-outs and fault codes
// included, so that clients of any make can be tried against it. What commands
// do is up to a [Handler]: a function, [Host], which imitates a Windows host,
// or [Exec], which runs local programs.
//
// Failures are ordered by [Fault] values in [Server.Faults], so that a test says
// what breaks and how often. [NewMemoryServer] needs no network and works in the
// virtual time of testing/synctest.
//
// Sources:
//
//	[MS-WSMV]  envelopes, shells, configuration, faults, HTTP
//	[MS-WSMAN] resources of the first version
//	DSP0226    WS-Management, Identify
//
// It is a test server: it checks passwords, but it is no place to keep secrets,
// and with [Exec] everybody who logs on runs programs on this computer.
package winrmtest
