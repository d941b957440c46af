// Package winrm runs commands on Windows hosts over WinRM.
//
// A [Client] stands for one host. [Client.Command] returns a [Cmd], which has
// the shape of os/exec.Cmd:
//
//	client, err := winrm.New("https://srv1.corp.example:5986", &winrm.Config{
//		Auth: auth.Basic(auth.Credentials{User: "svc", Password: pw}),
//	})
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	cmd := client.CommandContext(ctx, "ipconfig", "/all")
//	cmd.Stdout = os.Stdout
//	err = cmd.Run()
//	if exit, ok := errors.AsType[*winrm.ExitError](err); ok {
//		fmt.Println("exit code", exit.Code)
//	}
//
// Commands run in remote shells, of which the Client keeps a few: Windows runs
// one command at a time in each. A command in a shell that exists costs two
// exchanges until its result is known (Command and Receive), one more when the
// shell has to be created. [Client.OpenShell] gives a shell of one's own.
//
// [Client.PowerShell] runs scripts of any length, with arguments that travel as
// data, and hands on their errors and other streams as records; [RunJSON] decodes
// the objects that they put out. [Client.Upload], [Client.Download],
// [Client.CopyFS] and [Client.FS] copy and read files: verified at both ends,
// whole or not at all under their final name, resumed after an interruption, and
// by themselves when a connection is lost.
//
// A command is never sent twice, output is never cut short in silence, and
// nothing waits for ever: what went wrong is told by the type of the error
// ([ExitError], [ExitMissingError], [OutputLostError], [InputLostError],
// [CommandLostError], and those of the packages wsman and auth).
//
// The sections of [MS-WSMV] behind this package are 3.1.4.5.2 (Create), 3.1.4.11
// (Command) to 3.1.4.17 (Connect).
package winrm
