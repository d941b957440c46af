package cmdexe_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/cmdexe"
)

// run runs a line as "cmd /c" does, on a host with one program, args, which
// prints the string that it gets.
func run(line string) (stdout, stderr string, code uint32) {
	var out, errOut bytes.Buffer
	sh := &cmdexe.Shell{
		Env: cmdexe.NewEnv([]string{"NAME=value", "Path=x", "EMPTY="}), Dir: `C:\Users\user`,
		Stdin: strings.NewReader("line1\r\nline2\r\n"), Stdout: &out, Stderr: &errOut,
		IsProgram: func(s string) bool { return s == `C:\Program Files\args.exe` },
		Run: func(_ context.Context, c *cmdexe.Call) (uint32, bool) {
			switch strings.ToLower(c.Name) {
			case "args", `c:\program files\args.exe`:
				fmt.Fprintf(c.Stdout, "[%s]", c.Tail)
				return 0, true
			case "fail":
				return 3, true
			case "copy":
				_, _ = out.ReadFrom(c.Stdin)
				return 0, true
			}
			return 0, false
		},
	}
	code = sh.Execute(context.Background(), line)
	return out.String(), errOut.String(), code
}

// TestLines: what cmd.exe of Windows 10 prints for these lines. The cases are
// those that its documentation (cmd /?, set /?, echo /?) and SS64 describe.
func TestLines(t *testing.T) {
	for _, tt := range []struct {
		line, stdout string
		code         uint32
	}{
		{`echo hi`, "hi\r\n", 0},
		{`echo   two blanks less one`, "  two blanks less one\r\n", 0},
		{`ECHO.`, "\r\n", 0},
		{`echo`, "ECHO is on.\r\n", 0},
		{`echo a & echo b`, "a \r\nb\r\n", 0},
		{`echo a&&echo b`, "a\r\nb\r\n", 0},
		{`fail && echo no`, "", 3},
		{`fail || echo yes`, "yes\r\n", 0},
		{`fail & echo %ERRORLEVEL%`, "0\r\n", 0}, // expanded before fail runs
		{`echo a || echo b && echo c`, "a \r\n", 0},
		{`(echo a & fail) || echo b`, "a \r\nb\r\n", 0},
		{`exit 7`, "", 7},
		{`exit 7 & echo never`, "", 7},
		{`exit -1`, "", 0xFFFFFFFF},
		{`exit /b 5`, "", 5},
		{`echo %NAME%`, "value\r\n", 0},
		{`echo %name%`, "value\r\n", 0},
		{`echo %NOSUCH%`, "%NOSUCH%\r\n", 0}, // the prompt keeps it; a batch would not
		{`echo 100%`, "100%\r\n", 0},
		{`echo 5%NAME%5`, "5value5\r\n", 0},
		{`echo %NAME:~1,3%`, "alu\r\n", 0},
		{`echo %NAME:~-2%`, "ue\r\n", 0},
		{`echo %NAME:A=o%`, "volue\r\n", 0},
		{`echo ^%NAME^%`, "%NAME%\r\n", 0},
		{`echo a^&b`, "a&b\r\n", 0},
		{`echo a^^b`, "a^b\r\n", 0},
		{`echo "a&b"`, "\"a&b\"\r\n", 0},
		{`echo "a^&b"`, "\"a^&b\"\r\n", 0},
		{`echo ^"a&echo b`, "\"a\r\nb\r\n", 0},
		{`echo a>nul`, "", 0},
		{`echo a 1>&2`, "", 0},
		{`set X=1& set X`, "X=1\r\n", 0},
		{`set "X=a&b"& set X`, "X=a&b\r\n", 0},
		{`cd \Windows& cd`, "C:\\Windows\r\n", 0},
		{`cd ..\..& cd`, "C:\\\r\n", 0},
		{`type nul`, "", 0},
		{`rem echo no`, "", 0},
		{`args a "b c" ^d`, `[ a "b c" d]`, 0},
		{`copy`, "line1\r\nline2\r\n", 0},
		{`echo piped| copy`, "piped\r\n", 0},
		// The quotes around the whole: cmd /?.
		{`"echo hi"`, "hi\r\n", 0},
		{`"echo "a""`, "\"a\"\r\n", 0},
		{`"C:\Program Files\args.exe" x`, `[ x]`, 0},
		{`""C:\Program Files\args.exe" "x y""`, `[ "x y"]`, 0},
		{"echo a\r\necho b", "a\r\n", 0},
	} {
		t.Run(tt.line, func(t *testing.T) {
			stdout, _, code := run(tt.line)
			assert.Equal(t, tt.stdout, stdout)
			assert.Equal(t, tt.code, code)
		})
	}
}

func TestComplaints(t *testing.T) {
	for _, tt := range []struct{ line, stderr string }{
		{"nosuch.exe /x", "'nosuch.exe' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n"},
		{"a &&", "The syntax of the command is incorrect.\r\n"},
		{"(echo a", "The syntax of the command is incorrect.\r\n"},
		{"echo a)>", "The syntax of the command is incorrect.\r\n"},
		{"set NOSUCH", "Environment variable NOSUCH not defined\r\n"},
		{"echo a>file", "file: this host has no disk: only NUL can be redirected to\r\n"},
		{"echo x 1>&2", "x \r\n"},
		{"type nosuch", "The system cannot find the file specified.\r\n"},
		{strings.Repeat("x", cmdexe.MaxLine+1), "The command line is too long.\r\n"},
	} {
		t.Run(tt.line[:min(len(tt.line), 20)], func(t *testing.T) {
			_, stderr, code := run(tt.line)
			assert.Equal(t, tt.stderr, stderr)
			if tt.line != "echo x 1>&2" {
				assert.NotZero(t, code)
			}
		})
	}
}

func FuzzRun(f *testing.F) {
	for _, s := range []string{`echo a & (b || c) > nul`, `"echo %NAME:~1,2%"`, `^`, `((((`, `a|b|c`, `echo 2>&1`, `%A:=%`, `exit`, "set \"a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		begun := time.Now()
		run(line)
		if d := time.Since(begun); d > 5*time.Second {
			t.Fatalf("%q took %v", line, d)
		}
	})
}
