package winrm_test

import (
	"context"
	"fmt"
	"os"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// The files of a patch are on a share that only the administrator can read: the
// host needs the administrator's credentials while it copies them.
func ExampleClient_WithCredSSP() {
	srv := credSSPHost()
	srv.Start()
	defer srv.Close()
	client := srv.Client()
	defer client.Close()

	dir, err := os.MkdirTemp("", "notes")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	notes, err := winrm.NewFileStore(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.WithCredSSP(context.Background(), winrm.TemporaryCredSSP{
		Auth: credssp.New(credssp.Config{Credentials: auth.Credentials{
			User: winrmtest.DefaultUser, Password: winrmtest.DefaultPassword,
		}}),
		Store: notes,
	}, func(ctx context.Context, session *winrm.Client) error {
		fmt.Println("CredSSP", srv.Setting("Service/Auth/CredSSP"))
		return session.CommandContext(ctx, "hop").Run() // such as: robocopy \\fs\patches C:\patches
	})
	fmt.Println("CredSSP", srv.Setting("Service/Auth/CredSSP"), err)
	// Output:
	// CredSSP true
	// CredSSP false <nil>
}

func ExampleDiagnose() {
	srv := winrmtest.NewServer(nil)
	defer srv.Close()
	cfg := srv.Config()
	cfg.Auth = credssp.New(credssp.Config{Credentials: auth.Credentials{User: winrmtest.DefaultUser, Password: winrmtest.DefaultPassword}})
	for step := range winrm.Diagnose(context.Background(), srv.URL, &winrm.DiagnoseOptions{Config: cfg}) {
		fmt.Println(step.Name, step.Verdict)
		for _, c := range step.Causes {
			fmt.Println("  remedy:", c.Remedy)
		}
	}
	// Output:
	// endpoint ok
	// name skipped
	// port ok
	// tls skipped
	// http ok
	// schemes failed
	//   remedy: Set-Item -Path WSMan:\localhost\Service\Auth\CredSSP -Value $true -Force, or Enable-WSManCredSSP -Role Server -Force
}
