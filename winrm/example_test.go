package winrm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// host stands for a Windows host in the examples.
func host() *winrmtest.Server {
	return winrmtest.NewServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		switch name, rest, _ := strings.Cut(p.Line, " "); name {
		case "hostname":
			fmt.Fprintln(p.Stdout, "SRV1")
		case "sort":
			text, _ := io.ReadAll(p.Stdin)
			fmt.Fprintf(p.Stdout, "%d bytes sorted\n", len(text))
		case "exit":
			fmt.Fprintln(p.Stderr, "leaving")
			return 7
		case "ping":
			<-p.Signals()
			fmt.Fprintln(p.Stdout, "Control-C")
			return 0xC000013A
		case "echo":
			fmt.Fprintln(p.Stdout, rest)
		}
		return 0
	}))
}

func Example() {
	srv := host()
	defer srv.Close()

	client, err := winrm.New(srv.URL, srv.Config()) // no I/O
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	out, err := client.Command("hostname").Output()
	fmt.Print(string(out))
	fmt.Println(err)
	// Output:
	// SRV1
	// <nil>
}

func ExampleCmd_Run() {
	srv := host()
	defer srv.Close()
	client := srv.Client()
	defer client.Close()

	cmd := client.Command("exit", "7")
	cmd.Stderr = os.Stdout
	err := cmd.Run()
	if exit, ok := errors.AsType[*winrm.ExitError](err); ok {
		fmt.Println("code", exit.Code)
	}
	// Output:
	// leaving
	// code 7
}

func ExampleCmd_stdin() {
	srv := host()
	defer srv.Close()
	client := srv.Client()
	defer client.Close()

	cmd := client.Command("sort")
	cmd.Stdin = strings.NewReader("b\na\n")
	cmd.Stdout = os.Stdout
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
	}
	// Output: 4 bytes sorted
}

// When the context ends, the command gets Ctrl+C and time to react.
func ExampleClient_CommandContext() {
	srv := host()
	defer srv.Close()
	client := srv.Client()
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	cmd := client.CommandContext(ctx, "ping", "-t", "localhost")
	cmd.Stdout = os.Stdout
	err := cmd.Run()
	fmt.Println(err)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// Control-C
	// winrm: context deadline exceeded; exit status 0xC000013A
	// true
}

func ExampleClient_OpenShell() {
	srv := host()
	defer srv.Close()
	client := srv.Client()
	defer client.Close()

	shell, err := client.OpenShell(context.Background(), winrm.ShellOptions{
		Dir: `C:\Temp`,
		Env: []string{"STAGE=test"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer shell.Close()
	out, err := shell.Command("echo", "ready").Output()
	fmt.Print(string(out))
	fmt.Println(err)
	// Output:
	// ready
	// <nil>
}

// What cmd.exe cannot carry is refused, with the ways out.
func ExampleErrCannotQuote() {
	srv := host()
	defer srv.Close()
	client := srv.Client()
	defer client.Close()

	err := client.Command("deploy.bat", `say "hi"`).Run()
	fmt.Println(errors.Is(err, winrm.ErrCannotQuote))
	// Output: true
}
