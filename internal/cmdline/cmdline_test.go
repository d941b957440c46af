package cmdline_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/cmdline"
)

// The lines that Python's subprocess.list2cmdline must write, from
// test_list2cmdline in Lib/test/test_subprocess.py of CPython 3.13.
func TestArgumentsPython(t *testing.T) {
	for want, args := range map[string][]string{
		`"a b c" d e`:     {`a b c`, `d`, `e`},
		`ab\"c \ d`:       {`ab"c`, `\`, `d`},
		`ab\"c " \\" d`:   {`ab"c`, ` \`, `d`},
		`a\\\b "de fg" h`: {`a\\\b`, `de fg`, `h`},
		`a\\\"b c d`:      {`a\"b`, `c`, `d`},
		`"a\\b c" d e`:    {`a\\b c`, `d`, `e`},
		`"a\\b\ c" d e`:   {`a\\b\ c`, `d`, `e`},
		`ab ""`:           {`ab`, ``},
	} {
		got, err := cmdline.Arguments(args)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

// The lines that Rust's std::process writes, from test_make_command_line in
// library/std/src/sys/process/windows/tests.rs.
func TestProgramRust(t *testing.T) {
	for _, c := range []struct {
		path string
		args []string
		want string
	}{
		{"prog", []string{"aaa", "bbb", "ccc"}, `"prog" aaa bbb ccc`},
		{"prog", []string{`C:\`}, `"prog" C:\`},
		{"prog", []string{`2slashes\\`}, `"prog" 2slashes\\`},
		{"prog", []string{` C:\`}, `"prog" " C:\\"`},
		{"prog", []string{` 2slashes\\`}, `"prog" " 2slashes\\\\"`},
		{`C:\Program Files\blah\blah.exe`, []string{"aaa"}, `"C:\Program Files\blah\blah.exe" aaa`},
		{`C:\Program Files\blah\blah.exe`, []string{"aaa", "v*"}, `"C:\Program Files\blah\blah.exe" aaa v*`},
		{`C:\Program Files\test`, []string{`aa"bb`}, `"C:\Program Files\test" aa\"bb`},
		{"echo", []string{"a b c"}, `"echo" "a b c"`},
		{"echo", []string{`" \" \`, `\`}, `"echo" "\" \\\" \\" \`},
		{"\u03c0\u042f\u97f3\u00e6\u221e", nil, "\"\u03c0\u042f\u97f3\u00e6\u221e\""},
	} {
		got, err := cmdline.Program(c.path, c.args)
		require.NoError(t, err)
		assert.Equal(t, c.want, got)
	}
}

// The table "Results of parsing command lines" of Microsoft's page "Parsing C++
// command-line arguments": it proves the model that the other tests trust.
func TestModelArgv(t *testing.T) {
	for line, want := range map[string][]string{
		`x "abc" d e`:       {"x", "abc", "d", "e"},
		`x a\\\b d"e f"g h`: {"x", `a\\\b`, "de fg", "h"},
		`x a\\\"b c d`:      {"x", `a\"b`, "c", "d"},
		`x a\\\\"b c" d e`:  {"x", `a\\b c`, "d", "e"},
		`x "a b c" d e`:     {"x", "a b c", "d", "e"},
		`x "ab\"c" "\\" d`:  {"x", `ab"c`, `\`, "d"},
		`"c:\a b\" q`:       {`c:\a b\`, "q"},
	} {
		assert.Equal(t, want, commandLineToArgv(line), line)
	}
}

// The model of cmd.exe against sentences of its own help text and of "Everyone
// quotes command line arguments the wrong way".
func TestModelCmd(t *testing.T) {
	env := map[string]string{"PATH": `C:\Windows`}
	assert.Equal(t, []string{`child "malicious argument\"`, `whoami"`}, cmdC(`child "malicious argument\"&whoami"`, env).commands)
	assert.Equal(t, []string{`child "malicious argument\"&whoami"`}, cmdC(`child ^"malicious argument\^"^&whoami^"`, env).commands)
	assert.Equal(t, []string{`"C:\a b\x.exe" "1 2"`}, cmdC(`""C:\a b\x.exe" "1 2""`, env).commands)
	assert.Equal(t, []string{`C:\a b\x.exe" "1 2`}, cmdC(`"C:\a b\x.exe" "1 2"`, env).commands)
	assert.Equal(t, []string{`echo C:\Windows`}, cmdC(`echo %PATH%`, env).commands)
	assert.Equal(t, []string{`echo C:\Windows`}, cmdC(`echo ^%path:a=b^%`, env).commands)
	assert.Equal(t, []string{`echo %nix%`}, cmdC(`echo %nix%`, env).commands)
}

// Arguments of Rust's test of batch files (tests/ui/std/windows-bat-args.rs,
// written for CVE-2024-24576): those that hold neither quote nor percent sign
// are quoted, the others refused.
func TestShellBatchRust(t *testing.T) {
	for arg, want := range map[string]string{
		"c is for cat":                `"c is for cat"`,
		`\`:                           `"\\"`,
		">file.txt":                   `">file.txt"`,
		"whoami.exe":                  `whoami.exe`,
		"&a.exe":                      `"&a.exe"`,
		"&echo hello ":                `"&echo hello "`,
		"!TMP!":                       `"!TMP!"`,
		"key=value":                   `"key=value"`,
		"key = value":                 `"key = value"`,
		"":                            `""`,
		"hello &echo oh no >file.txt": `"hello &echo oh no >file.txt"`,
	} {
		for _, path := range []string{"run.bat", "RUN.CMD", "run", "run.bat. .", "run.bat::$DATA"} {
			got, err := cmdline.Shell(path, []string{arg})
			require.NoError(t, err)
			assert.True(t, strings.HasSuffix(got, " "+want), "%s: %s", path, got)
		}
	}
	for _, arg := range []string{
		`"`, ` "`, `"key=value"`, `key=["value"]`, `key="&whoami"`, `key=[">file.txt"]`, "%hello", "%PATH%", "%%cd:~,%",
		`">file.txt`, `abc"&echo hello`, `123">file.txt`, `"&echo hello&whoami.exe`, `hello^"world`, "\n", "\r", "a\r\nwhoami",
	} {
		for _, path := range []string{"run.bat", "run", "set"} {
			_, err := cmdline.Shell(path, []string{"ok", arg})
			require.ErrorIs(t, err, cmdline.ErrCannotQuote, "%q", arg)
			q, ok := errors.AsType[*cmdline.QuoteError](err)
			require.True(t, ok)
			assert.Equal(t, 2, q.Arg)
			for _, way := range []string{"Raw", "NoShell", "PowerShell"} {
				assert.ErrorContains(t, err, way)
			}
		}
	}
}

func TestShellLines(t *testing.T) {
	for _, c := range []struct {
		path string
		args []string
		want string
	}{
		{"ipconfig", []string{"/all"}, "ipconfig /all"},
		{"powershell", []string{"-Command", "a; b"}, `powershell -Command "a; b"`},
		// "malicious argument" is the example of "Everyone quotes command line
		// arguments the wrong way", with the result that it asks for.
		{"child.exe", []string{`malicious argument"&whoami`}, `child.exe ^"malicious argument\^"^&whoami^"`},
		{`C:\Program Files\a.exe`, []string{"x y"}, `@"C:\Program Files\a.exe" "x y"`},
		{"where.exe", []string{"100%", "%PATH%"}, `where.exe ^"100%^" ^"%^PATH%^"`},
		{"echo", []string{"a", "&", `"b"`, "50% 60%"}, `echo a ^& ^"b^" 50%^ 60%`},
		{"exit", []string{"7"}, "exit 7"},
		{"dir", []string{`C:\Program Files\`}, `dir "C:\Program Files\"`},
		{"call", []string{"x.bat", "a b"}, `call x.bat "a b"`},
	} {
		got, err := cmdline.Shell(c.path, c.args)
		require.NoError(t, err)
		assert.Equal(t, c.want, got)
	}
	for _, path := range []string{"", `a"b`, "%x%", "a\nb"} {
		_, err := cmdline.Shell(path, nil)
		assert.ErrorIs(t, err, cmdline.ErrCannotQuote)
	}
	_, err := cmdline.Shell("call", []string{"a&b"})
	assert.ErrorIs(t, err, cmdline.ErrCannotQuote)
}

func TestLength(t *testing.T) {
	line, err := cmdline.Shell("echo", []string{strings.Repeat("x", cmdline.MaxShell-len("echo "))})
	require.NoError(t, err)
	assert.Len(t, line, cmdline.MaxShell)

	_, err = cmdline.Shell("echo", []string{strings.Repeat("x", cmdline.MaxShell-len("echo ")+1)})
	l, ok := errors.AsType[*cmdline.LengthError](err)
	require.True(t, ok)
	assert.Equal(t, cmdline.LengthError{Length: 8192, Limit: 8191}, *l)

	// Windows counts UTF-16 units: an emoji is two, an é one.
	require.NoError(t, cmdline.CheckLength(strings.Repeat("é", 8191), cmdline.MaxShell))
	require.Error(t, cmdline.CheckLength(strings.Repeat("😀", 4096), cmdline.MaxShell))
}

// nasty are texts that have broken other quoters.
var nasty = []string{
	"", " ", `"`, `\`, `\"`, `\\"`, `a\`, `a b\`, `%PATH%`, `%PATH:a=b%`, "%", "%%", "^", "^^", "&whoami", "|whoami", ">x", "<x",
	`"&whoami`, `" & whoami & "`, "(whoami)", "a b", "a\tb", "]]>", "<x/>", "&amp;", "!PATH!", "é 한 😀", "/?", "@echo", ";", ",", "=",
	`^"`, `%^PATH%`, `"%PATH%"`, `% PATH%`, `-c:"a b"`, `C:\Program Files\`, "'", "`",
}

func TestShellNothingInjected(t *testing.T) {
	for _, a := range nasty {
		for _, b := range nasty {
			checkShell(t, a, b)
		}
	}
}

// checkShell proves that a program, a batch file and echo get a and b as they
// are, or that they are refused.
func checkShell(t *testing.T, a, b string) {
	t.Helper()
	env := map[string]string{"PATH": `C:\x" & evil`, "": "evil", " PATH": "evil"}
	for _, path := range []string{"prog.exe", `C:\Program Files (x86)\a&b.exe`, "run.bat", "run", "echo", "set"} {
		line, err := cmdline.Shell(path, []string{a, b})
		if err != nil {
			if !errors.Is(err, cmdline.ErrCannotQuote) {
				if _, ok := errors.AsType[*cmdline.LengthError](err); !ok {
					t.Fatalf("untyped error %v", err)
				}
			}
			continue
		}
		// As it is, and in quotes that the server puts round it.
		for _, sent := range []string{line, `"` + line + `"`} {
			got := cmdC(sent, env)
			require.Len(t, got.commands, 1, "%q %q: %s", a, b, sent)
			require.False(t, got.redirect || got.expanded, "%q %q: %s", a, b, sent)
			switch {
			case strings.HasSuffix(path, ".exe"):
				require.Equal(t, []string{path, a, b}, commandLineToArgv(got.commands[0]), "%s", sent)
			case path == "echo":
				want := strings.TrimSpace("echo " + a + " " + b)
				require.Equal(t, want, got.commands[0], "%s", sent)
			default:
				// A batch file puts the text into lines of its own: quotes must
				// still be around everything that means something there.
				again := special("x " + strings.TrimPrefix(got.commands[0], path))
				require.Len(t, again.commands, 1, "%s", sent)
				require.False(t, again.redirect)
			}
		}
	}
}

func FuzzShell(f *testing.F) {
	for i, s := range nasty {
		f.Add(s, nasty[len(nasty)-1-i])
	}
	f.Fuzz(func(t *testing.T, a, b string) { checkShell(t, a, b) })
}

func FuzzProgram(f *testing.F) {
	for i, s := range nasty {
		f.Add(s, nasty[len(nasty)-1-i])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		line, err := cmdline.Program(`C:\a b\c.exe`, []string{a, b})
		if err != nil {
			_, long := errors.AsType[*cmdline.LengthError](err)
			carried := utf8.ValidString(a) && utf8.ValidString(b) && !strings.ContainsFunc(a+b, func(r rune) bool {
				return r < ' ' || r == 0xFFFE || r == 0xFFFF
			})
			require.True(t, long || !carried, "refused without a reason: %v", err)
			return
		}
		require.Equal(t, []string{`C:\a b\c.exe`, a, b}, commandLineToArgv(line))
	})
}
