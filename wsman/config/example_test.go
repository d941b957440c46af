package config_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman/config"
)

func Example() {
	srv := winrmtest.NewUnstartedServer(nil)
	srv.Policy = map[string]string{"Service/Auth/Basic": "false"}
	srv.Start()
	defer srv.Close()
	client := srv.Client()
	defer client.Close()
	ctx := context.Background()

	err := config.SetServiceAuth(ctx, client.WSMan(), config.ServiceAuth{CredSSP: config.Bool(true)})
	if err != nil {
		fmt.Println(err)
		return
	}
	auth, err := config.GetServiceAuth(ctx, client.WSMan())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("CredSSP", auth.CredSSP.V)
	fmt.Println("Basic", auth.Basic.V, auth.Basic.Source)

	err = config.SetServiceAuth(ctx, client.WSMan(), config.ServiceAuth{Basic: config.Bool(true)})
	if policy, ok := errors.AsType[*config.PolicyError](err); ok {
		fmt.Println(policy.Item, "comes from group policy and is", policy.Value)
	}
	err = config.SetServiceAuth(ctx, client.WSMan(), config.ServiceAuth{Negotiate: config.Bool(false)})
	fmt.Println(err)
	// Output:
	// CredSSP true
	// Basic false GPO
	// Service\Auth\Basic comes from group policy and is false
	// config: Service\Auth\Negotiate is not set to false: this client logs on with Negotiate
}

// A group gets the right to use WinRM.
func ExampleParseSDDL() {
	d, err := config.ParseSDDL("O:NSG:BAD:P(A;;GA;;;BA)(A;;GR;;;IU)S:P(AU;FA;GA;;;WD)(AU;SA;GXGW;;;WD)")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = d.Grant("S-1-5-21-1004336348-1177238915-682003330-1104", config.GenericRead+config.GenericExecute)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.DACL)
	// Output:
	// P(A;;GA;;;BA)(A;;GR;;;IU)(A;;GRGX;;;S-1-5-21-1004336348-1177238915-682003330-1104)
}
