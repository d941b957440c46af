package cmdexe

import (
	"context"
	"fmt"
	"io"
	"maps"
	"sort"
	"strings"
	"unicode/utf8"
)

// A Shell runs lines.
type Shell struct {
	Env    map[string]Variable // by name in upper case
	Dir    string              // current directory, such as C:\Users\user
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	// Run runs a program that is no inner command. found is false when there is
	// no such program.
	Run func(ctx context.Context, c *Call) (code uint32, found bool)
	// Override is asked before the inner commands; nil for none.
	Override func(*Call) (code uint32, ok bool)
	// Open opens the target of a redirection, relative to dir; op is "<", ">" or
	// ">>". nil is a host without disk: only NUL can be named.
	Open func(dir, name, op string) (io.ReadWriteCloser, error)
	// IsProgram tells whether a name with blanks names a program, for the quotes
	// of "cmd /c"; nil is never.
	IsProgram func(string) bool

	level uint32 // ERRORLEVEL
	exit  bool   // EXIT was called: nothing more is run
}

// Variable is one variable of the environment.
type Variable struct{ Name, Value string }

// A Call is one command with its streams.
type Call struct {
	Name string // as it was written, without quotes
	Tail string // everything behind it, blanks included
	Line string // both, as it was written

	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Shell          *Shell
}

// NewEnv makes an environment of name=value entries; a later one wins.
func NewEnv(list []string) map[string]Variable {
	env := make(map[string]Variable, len(list))
	for _, kv := range list {
		name, value, _ := strings.Cut(kv, "=")
		env[strings.ToUpper(name)] = Variable{name, value}
	}
	return env
}

// List is the environment as name=value, sorted as SET prints it.
func (sh *Shell) List() []string {
	list := make([]string, 0, len(sh.Env))
	for _, v := range sh.Env {
		list = append(list, v.Name+"="+v.Value)
	}
	sort.Slice(list, func(i, j int) bool { return strings.ToUpper(list[i]) < strings.ToUpper(list[j]) })
	return list
}

// Lookup finds a variable, those that cmd.exe makes up among them.
func (sh *Shell) Lookup(name string) (string, bool) {
	if v, ok := sh.Env[strings.ToUpper(name)]; ok {
		return v.Value, true
	}
	switch strings.ToUpper(name) {
	case "CD":
		return sh.Dir, true
	case "ERRORLEVEL":
		return fmt.Sprint(int32(sh.level)), true
	}
	return "", false
}

// Exited reports whether EXIT has ended the shell.
func (sh *Shell) Exited() bool { return sh.exit }

// Execute runs what "cmd /c" was given.
func (sh *Shell) Execute(ctx context.Context, line string) uint32 {
	isProgram := sh.IsProgram
	if isProgram == nil {
		isProgram = func(string) bool { return false }
	}
	return sh.RunLine(ctx, StripOuter(line, isProgram))
}

// RunLine runs one line as it is typed at the prompt.
func (sh *Shell) RunLine(ctx context.Context, line string) uint32 {
	if len(line) > MaxLine {
		fmt.Fprintf(sh.Stderr, "%s\r\n", ErrTooLong)
		return 1
	}
	tree, err := Parse(Expand(line, sh.Lookup))
	if err != nil {
		fmt.Fprintf(sh.Stderr, "%s\r\n", err)
		sh.level = 255
		return 255
	}
	return sh.run(ctx, tree, sh.Stdin, sh.Stdout, sh.Stderr)
}

func (sh *Shell) run(ctx context.Context, n *Node, in io.Reader, out, errOut io.Writer) uint32 {
	if n == nil || sh.exit || ctx.Err() != nil {
		return sh.level
	}
	if len(n.Redirects) > 0 {
		var f func()
		var err error
		if in, out, errOut, f, err = sh.redirect(n.Redirects, in, out, errOut); err != nil {
			fmt.Fprintf(errOut, "%s\r\n", err)
			sh.level = 1
			return 1
		}
		defer f()
	}
	switch n.Op {
	case "(":
		return sh.run(ctx, n.Left, in, out, errOut)
	case "&":
		sh.run(ctx, n.Left, in, out, errOut)
		return sh.run(ctx, n.Right, in, out, errOut)
	case "&&":
		if code := sh.run(ctx, n.Left, in, out, errOut); code != 0 {
			return code
		}
		return sh.run(ctx, n.Right, in, out, errOut)
	case "||":
		if code := sh.run(ctx, n.Left, in, out, errOut); code == 0 {
			return 0
		}
		return sh.run(ctx, n.Right, in, out, errOut)
	case "|":
		return sh.pipe(ctx, n, in, out, errOut)
	}
	sh.level = sh.simple(ctx, n.Command, in, out, errOut)
	return sh.level
}

// pipe runs both sides at once, each in a shell of its own as cmd.exe does.
func (sh *Shell) pipe(ctx context.Context, n *Node, in io.Reader, out, errOut io.Writer) uint32 {
	r, w := io.Pipe()
	left, right := sh.child(), sh.child()
	done := make(chan struct{})
	errOut = &lockedWriter{w: errOut}
	go func() {
		defer close(done)
		left.run(ctx, n.Left, in, w, errOut)
		_ = w.Close()
	}()
	code := right.run(ctx, n.Right, r, out, errOut)
	_ = r.Close() // a left side that goes on writing gets an error
	<-done
	sh.level = code
	return code
}

func (sh *Shell) child() *Shell {
	c := *sh
	c.Env = make(map[string]Variable, len(sh.Env))
	maps.Copy(c.Env, sh.Env)
	return &c
}

// redirect opens what a command is redirected to. done closes it.
func (sh *Shell) redirect(list []Redirect, in io.Reader, out, errOut io.Writer) (r io.Reader, w, e io.Writer, done func(), err error) {
	var files []io.Closer
	done = func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
	for _, rd := range list {
		var target io.ReadWriter
		switch {
		case rd.Op == ">&" && rd.Target == "1":
			target = writeOnly{out}
		case rd.Op == ">&" && rd.Target == "2":
			target = writeOnly{errOut}
		case strings.EqualFold(rd.Target, "nul"):
			target = nul{}
		case sh.Open != nil && rd.Op != ">&":
			f, err := sh.Open(sh.Dir, rd.Target, rd.Op)
			if err != nil {
				done()
				return in, out, errOut, nil, err
			}
			files = append(files, f)
			target = f
		default:
			done()
			return in, out, errOut, nil, fmt.Errorf("%s: this host has no disk: only NUL can be redirected to", rd.Target)
		}
		switch rd.Handle {
		case 0:
			in = target
		case 1:
			out = target
		case 2:
			errOut = target
		}
	}
	return in, out, errOut, done, nil
}

// nul is the file NUL.
type nul struct{}

func (nul) Read([]byte) (int, error)    { return 0, io.EOF }
func (nul) Write(p []byte) (int, error) { return len(p), nil }

type writeOnly struct{ io.Writer }

func (writeOnly) Read([]byte) (int, error) { return 0, io.EOF }

// split takes the first word of a command: up to a blank or a character that
// ends the name of a command. Quotes around it go.
func split(command string) (name, tail string) {
	quoted := false
	at := len(command)
scan:
	for i, r := range command {
		switch {
		case r == '"':
			quoted = !quoted
		case !quoted && strings.ContainsRune(" \t,;=/", r):
			at = i
			break scan
		}
	}
	// A slash belongs to the name of a program, not to that of an inner command.
	if at < len(command) && command[at] == '/' && !inner[strings.ToLower(command[:at])] {
		for at < len(command) && !strings.ContainsRune(" \t", rune(command[at])) {
			at++
		}
	}
	name, tail = command[:at], command[at:]
	// "echo." and "echo:" are ECHO too.
	for i, r := range name {
		if strings.ContainsRune(".:([]+\\", r) && inner[strings.ToLower(name[:i])] {
			return name[:i], name[i:] + tail
		}
	}
	return strings.ReplaceAll(name, `"`, ""), tail
}

func (sh *Shell) simple(ctx context.Context, command string, in io.Reader, out, errOut io.Writer) uint32 {
	command = strings.TrimLeft(command, " \t")
	if command == "" {
		return sh.level
	}
	name, tail := split(command)
	c := &Call{Name: name, Tail: tail, Line: command, Stdin: in, Stdout: out, Stderr: errOut, Shell: sh}
	if sh.Override != nil {
		if code, ok := sh.Override(c); ok {
			return code
		}
	}
	if code, ok := sh.inner(ctx, c); ok {
		return code
	}
	if sh.Run != nil {
		if code, found := sh.Run(ctx, c); found {
			return code
		}
	}
	fmt.Fprintf(errOut, "'%s' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n", strings.ToValidUTF8(name, string(utf8.RuneError)))
	return 1
}
