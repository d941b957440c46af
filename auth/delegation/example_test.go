package delegation_test

import (
	"context"
	"fmt"
	"log"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/delegation"
)

// Let two web servers act for their users on a file server; first see what would
// be done.
func Example() {
	dir := delegation.New(delegation.Config{
		Domain:      "corp.example",
		Credentials: auth.Credentials{User: "admin@corp.example", PasswordFunc: askPassword},
	})
	changes := []delegation.Change{{Account: "files1", Actors: delegation.Add("web1", "web2")}}
	for _, dry := range []bool{true, false} {
		results, err := dir.Apply(context.Background(), changes, &delegation.Options{DryRun: dry})
		for _, r := range results {
			fmt.Println(r.Account, r.Steps)
			if r.After != nil {
				fmt.Println(r.After.Warnings())
			}
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

func askPassword(context.Context) (string, error) { return "", nil }
