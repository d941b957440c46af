package masterzen_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/masterzen/winrm"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/winrm/masterzen"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// startHost stands for a Windows host.
func startHost(users map[string]string, mechs ...winrmtest.Mechanism) (srv *winrmtest.Server, port int) {
	srv = winrmtest.NewUnstartedServer(&winrmtest.Host{Name: "SRV1"})
	srv.Users, srv.Mechanisms = users, mechs
	srv.Start()
	_, text, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	port, _ = strconv.Atoi(text)
	return srv, port
}

// The program is the one of masterzen's README; the line with the decorator is
// new.
func Example() {
	srv, port := startHost(map[string]string{`CORP\svc`: "Passw0rd!"}, winrmtest.Negotiate())
	defer srv.Close()

	endpoint := winrm.NewEndpoint("127.0.0.1", port, false, false, nil, nil, nil, 0)
	params := winrm.NewParameters("PT60S", "en-US", 153600)
	params.TransportDecorator = masterzen.Decorator(auth.NTLM(auth.Credentials{Domain: "CORP", User: "svc", Password: "Passw0rd!"}), nil)
	client, err := winrm.NewClientWithParameters(endpoint, "", "", params)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stdout strings.Builder
	code, err := client.RunWithContext(ctx, "hostname", &stdout, os.Stderr)
	fmt.Println(strings.TrimSpace(stdout.String()), code, err)
	// Output: SRV1 0 <nil>
}

// A program that makes many clients closes their connections when it is done
// with them, and ends what is under way by a context of its own.
func ExampleNew() {
	srv, port := startHost(map[string]string{`CORP\svc`: "Passw0rd!"}, winrmtest.CredSSP(winrmtest.CredSSPOptions{}))
	defer srv.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	mech := credssp.New(credssp.Config{Credentials: auth.Credentials{Domain: "CORP", User: "svc", Password: "Passw0rd!"}})
	transports := masterzen.New(mech, &masterzen.Options{Context: ctx})
	defer transports.Close()

	params := winrm.NewParameters("PT60S", "en-US", 153600)
	params.TransportDecorator = transports.Decorate
	client, err := winrm.NewClientWithParameters(winrm.NewEndpoint("127.0.0.1", port, false, false, nil, nil, nil, 0), "", "", params)
	if err != nil {
		panic(err)
	}
	stdout, _, code, err := client.RunCmdWithContext(ctx, "echo delegated")
	fmt.Printf("%q %d %v\n", stdout, code, err)
	// Output: "delegated\r\n" 0 <nil>
}

// Errors keep their types on the way through masterzen.
func ExampleError() {
	srv, port := startHost(map[string]string{`CORP\svc`: "Passw0rd!"}, winrmtest.Negotiate())
	defer srv.Close()
	srv.AddFaults(winrmtest.Fault{Action: "Create", Code: uint32(wsman.ErrTooManyShells)})

	params := winrm.NewParameters("PT60S", "en-US", 153600)
	params.TransportDecorator = masterzen.Decorator(auth.NTLM(auth.Credentials{Domain: "CORP", User: "svc", Password: "Passw0rd!"}), nil)
	client, err := winrm.NewClientWithParameters(winrm.NewEndpoint("127.0.0.1", port, false, false, nil, nil, nil, 0), "", "", params)
	if err != nil {
		panic(err)
	}
	_, err = client.CreateShell()
	if fault, ok := errors.AsType[*wsman.Fault](err); ok {
		fmt.Println(fault.Code.Symbol())
	}
	// Output: ERROR_WSMAN_QUOTA_MAX_SHELLS
}
