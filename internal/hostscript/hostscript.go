package hostscript

import (
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

var (
	//go:embed prelude.ps1
	prelude string
	//go:embed acquire.ps1
	acquire string
	//go:embed release.ps1
	release string
	//go:embed deadman.ps1
	deadman string
	//go:embed leases.ps1
	leases string
	//go:embed delegation.ps1
	delegation string
)

// Bootstrap runs the script that comes on standard input. A command line is too
// short for most of them. The input is taken as $input and not from the console:
// PowerShell 2.0 reads it for $input in any case.
const Bootstrap = "& ([ScriptBlock]::Create([string]::Join(\"`n\",@($input))))"

// Mark begins each line of a script's output that is meant for us.
const Mark = "winrmkit: "

// An Op is what a script does.
type Op string

// The scripts.
const (
	OpAcquire    Op = "acquire"    // lease CredSSP on the host and switch it on
	OpRenew      Op = "renew"      // extend a lease that still exists
	OpRelease    Op = "release"    // give a lease back; the last one restores the value
	OpLeases     Op = "leases"     // list all leases
	OpDelegation Op = "delegation" // change or list the policy about fresh credentials
)

// A Call is a script with its parameters.
type Call struct {
	Op  Op
	ID  string // of a lease: hexadecimal
	TTL time.Duration

	Lists       []string // of the delegation policy
	Add, Remove []string
	All         bool // remove every name of WinRM
}

// Lists of the delegation policy: for hosts that have proved their name, and for
// those that only NTLM vouches for.
const (
	ListFresh = "AllowFreshCredentials"
	ListNTLM  = "AllowFreshCredentialsWhenNTLMOnly"
)

var (
	validID   = regexp.MustCompile(`^[0-9a-f]{16,64}$`)
	validName = regexp.MustCompile(`^[A-Za-z0-9_./:*\[\]-]{1,255}$`)
)

// ValidID reports whether id can name a lease.
func ValidID(id string) bool { return validID.MatchString(id) }

// ValidName reports whether a name can stand in the delegation policy.
func ValidName(name string) bool { return validName.MatchString(name) }

// Check returns what cannot stand in the script, where it would become part of it.
func (c Call) Check() error {
	switch c.Op {
	case OpAcquire, OpRenew, OpRelease:
		if !ValidID(c.ID) {
			return fmt.Errorf("%q is no id of a lease", c.ID)
		}
	case OpLeases:
	case OpDelegation:
		for _, l := range c.Lists {
			if l != ListFresh && l != ListNTLM {
				return fmt.Errorf("%q is no list of the policy", l)
			}
		}
		for _, n := range slices.Concat(c.Add, c.Remove) {
			if !ValidName(n) {
				return fmt.Errorf("%q is no name in the policy", n)
			}
		}
	default:
		return fmt.Errorf("there is no script %q", c.Op)
	}
	return nil
}

// Text is the script of a call that Check approves of.
func (c Call) Text() string {
	head := "# winrmkit " + string(c.Op) + " 1\n"
	switch c.Op {
	case OpAcquire, OpRenew:
		renew := "$false"
		if c.Op == OpRenew {
			renew = "$true"
		}
		return head + fmt.Sprintf("$id='%s';$ttl=%d;$renew=%s;$dead='%s'\n", c.ID, int(c.TTL.Seconds()), renew, c.deadman()) + prelude + acquire
	case OpRelease:
		return head + fmt.Sprintf("$id='%s'\n", c.ID) + prelude + release
	case OpLeases:
		return head + "\n" + prelude + leases
	case OpDelegation:
		all := "$false"
		if c.All {
			all = "$true"
		}
		return head + fmt.Sprintf("$lists=%s;$add=%s;$remove=%s;$all=%s\n", list(c.Lists), list(c.Add), list(c.Remove), all) + delegation
	}
	return ""
}

// deadman is the script of the task that gives the lease back, as a task can
// hold it.
func (c Call) deadman() string {
	return Encode(fmt.Sprintf("$id='%s'\n", c.ID) + prelude + deadman)
}

// Encode is a script as powershell.exe -EncodedCommand takes it.
func Encode(text string) string {
	var raw []byte
	for _, u := range utf16.Encode([]rune(text)) {
		raw = binary.LittleEndian.AppendUint16(raw, u)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func list(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "'" + n + "'"
	}
	return "@(" + strings.Join(quoted, ",") + ")"
}

var (
	paramID   = regexp.MustCompile(`\$id='([0-9a-f]+)'`)
	paramTTL  = regexp.MustCompile(`\$ttl=(\d+)`)
	paramList = regexp.MustCompile(`\$(lists|add|remove)=@\(([^)]*)\)`)
)

// Parse tells what a script does, if it is one of ours to the byte.
func Parse(script string) (Call, bool) {
	var op, params string
	head, rest, _ := strings.Cut(script, "\n")
	if _, err := fmt.Sscanf(head, "# winrmkit %s 1", &op); err != nil {
		return Call{}, false
	}
	params, _, _ = strings.Cut(rest, "\n")
	c := Call{Op: Op(op), All: strings.Contains(params, "$all=$true")}
	if m := paramID.FindStringSubmatch(params); m != nil {
		c.ID = m[1]
	}
	if m := paramTTL.FindStringSubmatch(params); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return Call{}, false
		}
		c.TTL = time.Duration(n) * time.Second
	}
	for _, m := range paramList.FindAllStringSubmatch(params, -1) {
		var names []string
		for name := range strings.SplitSeq(m[2], ",") {
			if name != "" {
				names = append(names, strings.Trim(name, "'"))
			}
		}
		switch m[1] {
		case "lists":
			c.Lists = names
		case "add":
			c.Add = names
		case "remove":
			c.Remove = names
		}
	}
	return c, c.Text() == script && script != ""
}

// Results are the fields of each line of the output that is meant for us.
func Results(output string) (lines []map[string]string) {
	for line := range strings.Lines(output) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), Mark)
		if !ok {
			continue
		}
		fields := map[string]string{}
		for part := range strings.SplitSeq(text, ";") {
			name, value, _ := strings.Cut(part, "=")
			fields[name] = value
		}
		lines = append(lines, fields)
	}
	return lines
}
