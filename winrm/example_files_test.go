package winrm_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"strings"
	"testing/fstest"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// Parameters travel beside the script, as data.
func ExampleRunJSON() {
	host := &winrmtest.Host{Script: func(s *winrmtest.Script) (uint32, bool) {
		s.Emit(map[string]any{"Name": "Spooler", "Status": "Running", "Args": s.Args})
		return 0, true
	}}
	srv := winrmtest.NewServer(host)
	defer srv.Close()
	client := srv.Client()
	defer client.Close()

	cmd := client.PowerShell(context.Background(), `param($Like) Get-Service $Like | Select-Object Name, @{n='Status'; e={"$($_.Status)"}}`)
	cmd.Script.Args = map[string]string{"Like": "Spool*"}
	services, err := winrm.RunJSON[[]struct{ Name, Status string }](cmd)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(services)
	// Output: [{Spooler Running}]
}

func ExampleClient_PowerShell() {
	srv := winrmtest.NewServer(&winrmtest.Host{})
	defer srv.Close()
	client := srv.Client()
	defer client.Close()

	cmd := client.PowerShell(context.Background(), `throw 'the disk is on fire'`)
	cmd.Script.Record = func(r winrm.Record) { fmt.Println(r.Stream, "record:", r.Error.Message) }
	err := cmd.Run()
	if e, ok := errors.AsType[*winrm.ScriptError](err); ok {
		fmt.Println(e.Record.Category, e.Record.Message)
	}
	// Output:
	// error record: the disk is on fire
	// OperationStopped the disk is on fire
}

func ExampleClient_CopyFS() {
	srv := winrmtest.NewServer(&winrmtest.Host{})
	defer srv.Close()
	client := srv.Client()
	defer client.Close()

	ctx := context.Background()
	site := fstest.MapFS{
		"index.html":     {Data: []byte("<h1>hello</h1>")},
		"img/logo 1.svg": {Data: []byte("<svg/>")},
	}
	if err := client.CopyFS(ctx, `C:\inetpub\wwwroot`, site, nil); err != nil {
		log.Fatal(err)
	}
	err := fs.WalkDir(client.FS(ctx, `C:\inetpub`), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			fmt.Println(path)
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// wwwroot/img/logo 1.svg
	// wwwroot/index.html
}

func ExampleClient_Upload() {
	srv := winrmtest.NewServer(&winrmtest.Host{})
	defer srv.Close()
	client := srv.Client()
	defer client.Close()

	ctx := context.Background()
	res, err := client.Upload(ctx, "motd", `C:\motd.txt`, &winrm.CopyOptions{Source: strings.NewReader("welcome\r\n")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d bytes, SHA-256 %x...\n", res.Size, res.SHA256[:4])
	_, err = client.Download(ctx, `C:\nothing`, "nothing", nil)
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// 9 bytes, SHA-256 c84f4966...
	// true
}
