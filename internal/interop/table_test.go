package interop_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A command is one row of the table: what is run and what must come back.
type command struct {
	name  string
	path  string
	args  []string
	stdin []byte // nil: none is sent
	want  result
}

// result is what a client saw of a command.
type result struct {
	stdout, stderr []byte
	code           uint32
}

const bigOutput = 5 << 20

// table is what every client runs. The commands are those of [serve].
func table() []command {
	text := "Ωμέγα 한국어 😀 Übergröße\r\n"
	return []command{
		{
			name: "echo", path: "echo", args: []string{"hello", "world"},
			want: result{stdout: []byte("hello world\r\n")},
		},
		{
			name: "stderr", path: "warn", args: []string{"disk", "full"},
			want: result{stderr: []byte("disk full\r\n"), code: 1},
		},
		{
			name: "both", path: "both",
			want: result{stdout: []byte("out\r\n"), stderr: []byte("err\r\n")},
		},
		{name: "exit 7", path: "quit", args: []string{"7"}, want: result{code: 7}},
		{name: "exit 256", path: "quit", args: []string{"256"}, want: result{code: 256}},
		{
			name: "exit 0xC000013A", path: "quit", args: []string{"3221225786"},
			want: result{code: 0xC000013A},
		},
		{name: "silent", path: "quit", args: []string{"0"}},
		{
			name: "stdin", path: "count", stdin: []byte("first\r\nsecond " + text),
			want: result{
				stdout: []byte("first\r\nsecond " + text),
				stderr: fmt.Appendf(nil, "%d bytes\r\n", len("first\r\nsecond "+text)),
			},
		},
		{name: "text", path: "text", args: []string{"Ωμέγα", "한국어", "😀", "Übergröße"}, want: result{stdout: []byte(text)}},
		{name: "every byte", path: "bytes", want: result{stdout: everyByte()}},
		{name: "5 MB", path: "big", args: []string{strconv.Itoa(bigOutput)}, want: result{stdout: random(bigOutput)}},
	}
}

// without returns the table less some rows, for clients with a known defect.
func without(names ...string) []command {
	var left []command
	for _, c := range table() {
		if !strings.Contains("|"+strings.Join(names, "|")+"|", "|"+c.name+"|") {
			left = append(left, c)
		}
	}
	return left
}

func everyByte() []byte {
	p := make([]byte, 256)
	for i := range p {
		p[i] = byte(i)
	}
	return p
}

// random is output that is the same in every run and does not compress.
func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p) // never fails
	return p
}

// serve is the host's side of the table. It reads the command line as cmd.exe
// would get it: some clients send a command and arguments, others one line.
func serve(p *winrmtest.Proc) uint32 {
	words := strings.Fields(strings.ReplaceAll(p.Line, `"`, "")) // our client quotes what it is not sure of
	rest := strings.Join(words[1:], " ") + "\r\n"
	switch words[0] {
	case "echo", "text":
		io.WriteString(p.Stdout, rest)
	case "warn":
		io.WriteString(p.Stderr, rest)
		return 1
	case "both":
		io.WriteString(p.Stdout, "out\r\n")
		io.WriteString(p.Stderr, "err\r\n")
	case "quit":
		code, err := strconv.ParseUint(words[1], 10, 32)
		if err != nil {
			return 87 // ERROR_INVALID_PARAMETER
		}
		return uint32(code)
	case "count": // stdin to its end, then its length: proves that EOF arrives
		n, err := io.Copy(p.Stdout, p.Stdin)
		if err != nil {
			return 1
		}
		fmt.Fprintf(p.Stderr, "%d bytes\r\n", n)
	case "bytes":
		p.Stdout.Write(everyByte())
	case "big":
		n, err := strconv.Atoi(words[1])
		if err != nil || n > 1<<30 {
			return 87
		}
		io.Copy(p.Stdout, bytes.NewReader(random(n)))
	default:
		fmt.Fprintf(p.Stderr, "no such command: %q\r\n", p.Line)
		return 9009 // what cmd.exe says then
	}
	return 0
}
