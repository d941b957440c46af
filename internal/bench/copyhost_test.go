package bench_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A copyHost is a host that files are copied to and from, by ours and by others.
// All other commands go to rest.
type copyHost struct {
	rest winrmtest.Handler
	host winrmtest.Host
	disk *winrmtest.Disk

	mu   sync.Mutex
	text map[string]*bytes.Buffer // what echo has written, by its file
}

func newCopyHost(rest winrmtest.Handler) *copyHost {
	d := &winrmtest.Disk{}
	return &copyHost{rest: rest, host: winrmtest.Host{Disk: d}, disk: d, text: make(map[string]*bytes.Buffer)}
}

// echoed is the line by which winrmcp writes a piece of a file.
var echoed = regexp.MustCompile(`^echo (\S+) >> "%TEMP%\\(.+)"$`)

// ServeCommand implements winrmtest.Handler.
func (h *copyHost) ServeCommand(p *winrmtest.Proc) uint32 {
	verb, rest, _ := strings.Cut(p.Line, " ")
	var err error
	switch {
	case verb == "receive": // stdin to a file
		var data bytes.Buffer
		if _, err = data.ReadFrom(p.Stdin); err == nil {
			err = h.disk.WriteFile(rest, data.Bytes())
		}
	case verb == "send": // a file to stdout
		var data []byte
		if data, err = h.disk.ReadFile(rest); err == nil {
			_, err = p.Stdout.Write(data)
		}
	case verb == "sum":
		var data []byte
		if data, err = h.disk.ReadFile(rest); err == nil {
			sum := sha256.Sum256(data)
			_, err = io.WriteString(p.Stdout, hex.EncodeToString(sum[:]))
		}
	case verb == "powershell":
		return h.host.ServeCommand(p)
	case verb == "powershell.exe":
		err = h.winrmcp(rest)
	default:
		if m := echoed.FindStringSubmatch(p.Line); m != nil {
			h.echo(m[2], m[1])
			return 0
		}
		return h.rest.ServeCommand(p)
	}
	if err != nil {
		fmt.Fprintln(p.Stderr, err)
		return 1
	}
	return 0
}

func (h *copyHost) echo(file, line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.text[file] == nil {
		h.text[file] = new(bytes.Buffer)
	}
	h.text[file].WriteString(line + "\n")
}

// The scripts of winrmcp have these lines.
var (
	scriptTemp = regexp.MustCompile(`\$tmp_file_path = .*GetFullPath\("\$env:TEMP\\(.+?)"\)`)
	scriptDest = regexp.MustCompile(`\$dest_file_path = .*GetFullPath\("'?(.+?)'?"\.Trim`)
)

// winrmcp does what the two scripts of winrmcp do: decode the lines into the file, and
// remove them.
func (h *copyHost) winrmcp(args string) error {
	_, encoded, _ := strings.Cut(args, "-EncodedCommand ")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i]) | uint16(raw[2*i+1])<<8
	}
	script := string(utf16.Decode(units))
	temp, dest := scriptTemp.FindStringSubmatch(script), scriptDest.FindStringSubmatch(script)
	if temp == nil {
		return fmt.Errorf("unknown script: %s", script)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if dest == nil {
		delete(h.text, temp[1])
		return nil
	}
	var data []byte
	for line := range strings.Lines(h.text[temp[1]].String()) {
		if data, err = base64.StdEncoding.AppendDecode(data, []byte(strings.TrimSpace(line))); err != nil {
			return err
		}
	}
	return h.disk.WriteFile(dest[1], data)
}
