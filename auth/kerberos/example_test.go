package kerberos_test

import (
	"fmt"
	"os"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A server under test accepts tickets that need no KDC. A real one is reached by
// kerberos.New with credentials, a keytab or kinit's cache.
func Example() {
	realm := winrmtest.NewRealm("EXAMPLE.TEST")
	server := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		fmt.Fprintln(p.Stdout, p.User)
		return 0
	}))
	server.Mechanisms = []winrmtest.Mechanism{realm.Negotiate()}
	server.Start()
	defer server.Close()

	kerb, err := realm.Client("alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer kerb.Close()
	client, err := winrm.New(server.URL, &winrm.Config{Auth: auth.Negotiate(kerb)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	cmd := client.Command("whoami")
	cmd.Stdout = os.Stdout
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
	}
	// Output: alice@EXAMPLE.TEST
}

// A service acts as a user towards a host, without the user's password: S4U.
func ExampleConfig_impersonate() {
	kerb, err := kerberos.New(&kerberos.Config{
		Keytab:      "/etc/service.keytab",
		Impersonate: "alice@CORP.EXAMPLE",
	})
	if err != nil {
		fmt.Println("the keytab cannot be read")
		return
	}
	defer kerb.Close()
	// Output: the keytab cannot be read
}
