package winrmtest

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/winrmkit/winrmkit/internal/clixml"
	psframe "github.com/winrmkit/winrmkit/internal/powershell"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/cmdexe"
)

// A Script is a PowerShell script that a client runs on a [Host], for
// Host.Script to do what the script would do.
type Script struct {
	*Proc                 // with the streams of the script
	Text  string          // of the script
	Args  json.RawMessage // its arguments, nil for none

	frame    *psframe.Frame
	framed   bool // run by package winrm
	values   []any
	begun    bool // CLIXML
	progress int
}

// script is the script of a frame.
func (r *hostRun) script(ctx context.Context, f *psframe.Frame, stdin io.Reader, c *cmdexe.Call) *Script {
	return &Script{
		Proc: &Proc{
			Path: c.Name, Line: c.Line, Env: c.Shell.List(), Dir: c.Shell.Dir,
			Codepage: r.proc.Codepage, NoProfile: r.proc.NoProfile, Console: r.proc.Console,
			Stdin: stdin, Stdout: c.Stdout, Stderr: c.Stderr,
			User: r.proc.User, ShellID: r.proc.ShellID, CommandID: r.proc.CommandID,
			server: r.proc.server, ctx: ctx, signals: r.proc.signals, parent: r.proc,
		},
		Text: f.Script, Args: f.Args, frame: f, framed: f.Marker != "",
	}
}

// Emit puts an object into the output: as JSON if the client wants that, otherwise
// as text.
func (s *Script) Emit(v any) {
	if s.frame.Depth > 0 {
		s.values = append(s.values, v)
		return
	}
	fmt.Fprintf(s.Stdout, "%v\r\n", v)
}

// Record writes to another stream of the script: "error", "warning", "verbose",
// "debug" or "information".
func (s *Script) Record(stream, text string) {
	if !s.framed {
		fmt.Fprintf(s.Stderr, "%s\r\n", text)
		return
	}
	if stream == "error" {
		text += "\r\n"
		stream = "Error"
	}
	s.element(fmt.Sprintf(`<S S="%s">`, stream) + escape(text) + "</S>")
}

// Progress writes to the progress stream, if the client wants it. A percentage
// beyond 100 completes the activity.
func (s *Script) Progress(activity, status string, percent int) {
	if !s.framed || !s.frame.Progress {
		return
	}
	state := "Processing"
	if percent > 100 {
		state, percent = "Completed", -1
	}
	s.element(fmt.Sprintf(`<Obj S="progress" RefId="%d"><MS><I64 N="SourceId">1</I64><PR N="Record"><AV>%s</AV><AI>0</AI><Nil />`+
		`<PI>-1</PI><PC>%d</PC><T>%s</T><SR>-1</SR><SD>%s</SD></PR></MS></Obj>`, s.progress, escape(activity), percent, state, escape(status)))
	s.progress++
}

// Throw ends the script as a terminating error does. Its result is the exit code.
func (s *Script) Throw(message, id, category string) uint32 {
	if s.framed {
		_ = s.frame.Report(s.Stderr, &psframe.ErrorReport{
			Message: message, ID: id, Category: category, Reason: "RuntimeException", Line: 1,
			Position: "At line:1 char:1", Exception: "System.Management.Automation.RuntimeException",
		})
	}
	for _, line := range []string{
		message, "At line:1 char:1", "    + CategoryInfo          : " + category + ": (:) [], RuntimeException",
		"    + FullyQualifiedErrorId : " + id, " ",
	} {
		s.Record("error", line)
	}
	return 1
}

func (s *Script) element(x string) {
	if !s.begun {
		s.begun = true
		fmt.Fprint(s.Stderr, "#< CLIXML\r\n"+`<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">`)
	}
	fmt.Fprint(s.Stderr, x)
}

// end closes what is open.
func (s *Script) end() {
	if s.begun {
		fmt.Fprint(s.Stderr, "</Objs>")
	}
	if s.frame.Depth > 0 {
		_ = s.frame.Result(s.Stdout, s.values)
	}
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(clixml.Escape(s)))
	return b.String()
}
