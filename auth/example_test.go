package auth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// Over http, NTLM seals all messages.
func ExampleNTLM() {
	srv := winrmtest.NewUnstartedServer(nil)
	srv.Users = map[string]string{`CORP\svc`: "secret"}
	srv.Start()
	defer srv.Close()

	client, err := winrm.New(srv.URL, &winrm.Config{
		Auth: auth.NTLM(auth.Credentials{Domain: "CORP", User: "svc", Password: "secret"}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	out, err := client.Command("whoami").Output()
	fmt.Println(strings.TrimSpace(string(out)), err)
	// Output:
	// corp\svc <nil>
}

// A trace shows which mechanism was chosen, and after how many exchanges.
func ExampleNegotiate() {
	srv := winrmtest.NewServer(nil)
	defer srv.Close()

	credentials := auth.Credentials{User: winrmtest.DefaultUser, Password: winrmtest.DefaultPassword}
	transport, err := auth.NewTransport(srv.URL, &auth.TransportConfig{
		Mechanism: auth.Negotiate(auth.NTLM(credentials)), // Kerberos comes first where there is a domain
		Trace: &auth.Trace{Logon: func(_ context.Context, i auth.LogonInfo) {
			fmt.Println(i.Mechanism, "chose", i.Chosen, "for", i.Account, "in", i.Legs, "exchanges")
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer transport.Close()

	client, err := wsman.NewClient(srv.URL, &wsman.Config{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		fmt.Println(err)
		return
	}
	identity, err := client.Identify(context.Background())
	fmt.Println(identity.ProductVendor, err)
	// Output:
	// Negotiate chose NTLM for user in 2 exchanges
	// Microsoft Corporation <nil>
}

// The host maps the certificate to one of its accounts.
func ExampleCertificate() {
	srv := winrmtest.NewUnstartedServer(nil)
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Certificate()}
	srv.CertMappings = []winrmtest.CertMapping{{Subject: "svc@corp.example", User: winrmtest.DefaultUser}}
	srv.StartTLS()
	defer srv.Close()

	client, err := winrm.New(srv.URL, &winrm.Config{
		Auth: auth.Certificate(srv.ClientCertificate("svc@corp.example")),
		TLS:  &tls.Config{RootCAs: srv.RootCAs()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	out, err := client.Command("whoami").Output()
	fmt.Println(strings.TrimSpace(string(out)), err)
	// Output:
	// winrmtest\user <nil>
}

// A wrong password is put before one host once, however many clients, hosts and
// mechanisms are made from it, until it is forgotten on purpose.
func ExampleGate() {
	srv := winrmtest.NewServer(nil)
	defer srv.Close()

	gate := &auth.Gate{} // without one, auth.DefaultGate watches
	wrong := auth.Credentials{User: winrmtest.DefaultUser, Password: "guess", Gate: gate}
	try := func(m auth.Mechanism) {
		client, err := winrm.New(srv.URL, &winrm.Config{Auth: m})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer client.Close()
		err = client.Command("whoami").Run()
		if e, ok := errors.AsType[*auth.Error](err); ok {
			fmt.Println(e.Mechanism, "refused:", e.Refused, "from memory:", e.Remembered, "first cause:", e.Causes[0].ID)
		}
		fmt.Println("failed logons:", srv.Stats().FailedLogons["user"])
	}
	try(auth.NTLM(wrong))
	try(auth.Negotiate(auth.NTLM(wrong)))
	gate.Forget(wrong) // somebody has set the password meanwhile
	try(auth.NTLM(wrong))
	// Output:
	// NTLM refused: true from memory: false first cause: wrong-password
	// failed logons: 1
	// NTLM refused: true from memory: true first cause: wrong-password
	// failed logons: 1
	// NTLM refused: true from memory: false first cause: wrong-password
	// failed logons: 2
}
