package credssp_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A command on one host reads from a second one, with the password that CredSSP
// has brought there.
func Example() {
	host := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		if p.Delegated == nil {
			_, _ = io.WriteString(p.Stderr, "Access is denied.")
			return 5
		}
		_, _ = fmt.Fprintf(p.Stdout, "reading as %s\\%s", p.Delegated.Domain, p.Delegated.User)
		return 0
	}))
	host.Users = map[string]string{`CORP\svc`: "Passw0rd!"}
	host.Mechanisms = []winrmtest.Mechanism{winrmtest.CredSSP(winrmtest.CredSSPOptions{})}
	host.Start()
	defer host.Close()

	cred := auth.Credentials{Domain: "CORP", User: "svc", Password: "Passw0rd!"}
	client, err := winrm.New(host.URL, &winrm.Config{
		Auth: credssp.New(credssp.Config{
			Credentials: cred,
			Inner:       auth.Negotiate(auth.NTLM(cred)), // Kerberos first, in a domain
			Allow:       []string{"wsman/127.0.0.1", "wsman/[::1]", "wsman/*.corp.example"},
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	out, err := client.CommandContext(context.Background(), "type", `\\files\share\readme.txt`).Output()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", out)
	// Output: reading as CORP\svc
}
