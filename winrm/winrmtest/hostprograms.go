package winrmtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/cmdexe"
)

func whoami(_ context.Context, r *hostRun, c *cmdexe.Call) uint32 {
	user := strings.ToLower(r.proc.User)
	switch args := splitArgs(c.Tail); {
	case len(args) == 0:
		fmt.Fprintf(c.Stdout, "%s\r\n", user)
	case strings.EqualFold(args[0], "/all"), strings.EqualFold(args[0], "/groups"):
		fmt.Fprintf(c.Stdout, "\r\nUSER INFORMATION\r\n----------------\r\n\r\nUser Name: %s\r\n", user)
		fmt.Fprint(c.Stdout, "\r\nGROUP INFORMATION\r\n-----------------\r\n\r\n")
		fmt.Fprint(c.Stdout, "Everyone\r\nBUILTIN\\Administrators\r\nNT AUTHORITY\\NETWORK\r\nNT AUTHORITY\\Authenticated Users\r\n")
	default:
		fmt.Fprintf(c.Stderr, "winrmtest: whoami knows /all and /groups, not %s\r\n", args[0])
		return 1
	}
	return 0
}

func ipconfig(_ context.Context, r *hostRun, c *cmdexe.Call) uint32 {
	fmt.Fprint(c.Stdout, "\r\nWindows IP Configuration\r\n\r\n")
	if slices.ContainsFunc(splitArgs(c.Tail), func(a string) bool { return strings.EqualFold(a, "/all") }) {
		fmt.Fprintf(c.Stdout, "   Host Name . . . . . . . . . . . . : %s\r\n", r.host.Name)
		fmt.Fprintf(c.Stdout, "   Primary Dns Suffix  . . . . . . . : %s\r\n\r\n", r.host.Domain)
	}
	fmt.Fprint(c.Stdout, "\r\nEthernet adapter Ethernet:\r\n\r\n")
	fmt.Fprintf(c.Stdout, "   Connection-specific DNS Suffix  . : %s\r\n", r.host.Domain)
	fmt.Fprintf(c.Stdout, "   IPv4 Address. . . . . . . . . . . : %s\r\n", r.host.Address)
	fmt.Fprint(c.Stdout, "   Subnet Mask . . . . . . . . . . . : 255.255.255.0\r\n")
	fmt.Fprint(c.Stdout, "   Default Gateway . . . . . . . . . : 192.0.2.1\r\n")
	return 0
}

// ping waits a second between its lines: the usual way to sleep in a batch.
func ping(ctx context.Context, _ *hostRun, c *cmdexe.Call) uint32 {
	count, target := 4, ""
	args := splitArgs(c.Tail)
	for i := 0; i < len(args); i++ {
		switch {
		case strings.EqualFold(args[i], "-n") && i+1 < len(args):
			n, err := strconv.Atoi(args[i+1])
			if err != nil || n < 1 {
				fmt.Fprintf(c.Stdout, "Bad value for option -n, valid range is from 1 to 4294967295.\r\n")
				return 1
			}
			count = n
			i++
		case strings.EqualFold(args[i], "-t"):
			count = 1 << 31
		case strings.HasPrefix(args[i], "-"):
			i++
		default:
			target = args[i]
		}
	}
	if target == "" {
		fmt.Fprint(c.Stdout, "\r\nUsage: ping [-n count] target_name\r\n")
		return 1
	}
	fmt.Fprintf(c.Stdout, "\r\nPinging %s with 32 bytes of data:\r\n", target)
	for i := range count {
		if i > 0 && !sleep(ctx, time.Second) {
			return exitControlC
		}
		if _, err := fmt.Fprintf(c.Stdout, "Reply from %s: bytes=32 time<1ms TTL=128\r\n", target); err != nil {
			return 1
		}
	}
	fmt.Fprintf(c.Stdout, "\r\nPing statistics for %s:\r\n    Packets: Sent = %d, Received = %d, Lost = 0 (0%% loss),\r\n", target, count, count)
	return 0
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func timeout(ctx context.Context, _ *hostRun, c *cmdexe.Call) uint32 {
	for _, a := range splitArgs(c.Tail) {
		if n, err := strconv.Atoi(a); err == nil && n >= 0 {
			if !sleep(ctx, time.Duration(n)*time.Second) {
				return exitControlC
			}
			return 0
		}
	}
	fmt.Fprint(c.Stderr, "ERROR: Invalid syntax.\r\n")
	return 1
}

func sortInput(_ context.Context, _ *hostRun, c *cmdexe.Call) uint32 {
	data, err := io.ReadAll(c.Stdin)
	if err != nil {
		return 1
	}
	lines := strings.Split(strings.TrimRight(string(data), "\r\n"), "\n")
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	for _, l := range lines {
		fmt.Fprintf(c.Stdout, "%s\r\n", strings.TrimRight(l, "\r"))
	}
	return 0
}

// findstr prints the lines of stdin that hold a text; /i ignores case, /v takes
// the others. Regular expressions are not imitated.
func findstr(_ context.Context, _ *hostRun, c *cmdexe.Call) uint32 {
	fold, invert, text, given := false, false, "", false
	for _, a := range splitArgs(c.Tail) {
		switch rest, literal := strings.CutPrefix(strings.ToLower(a), "/c:"); {
		case literal:
			text, given = a[len(a)-len(rest):], true
		case strings.EqualFold(a, "/i"):
			fold = true
		case strings.EqualFold(a, "/v"):
			invert = true
		case strings.HasPrefix(a, "/"):
			fmt.Fprintf(c.Stderr, "winrmtest does not imitate the switch %s.\r\n", a)
			return 2
		case !given:
			text, given = a, true
		default:
			fmt.Fprintf(c.Stderr, "FINDSTR: Cannot open %s\r\n", a)
			return 1
		}
	}
	if fold {
		text = strings.ToLower(text)
	}
	code := uint32(1)
	lines := bufio.NewScanner(c.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		probe := line
		if fold {
			probe = strings.ToLower(line)
		}
		if strings.Contains(probe, text) != invert {
			code = 0
			fmt.Fprintf(c.Stdout, "%s\r\n", strings.TrimRight(line, "\r"))
		}
	}
	return code
}

func where(_ context.Context, _ *hostRun, c *cmdexe.Call) uint32 {
	code := uint32(0)
	for _, a := range splitArgs(c.Tail) {
		name := strings.TrimSuffix(strings.ToLower(a), ".exe")
		if programs[name] == nil {
			fmt.Fprint(c.Stderr, "INFO: Could not find files for the given pattern(s).\r\n")
			code = 1
			continue
		}
		fmt.Fprintf(c.Stdout, "C:\\Windows\\System32\\%s.exe\r\n", name)
	}
	return code
}

// cmd is "cmd /c line", or a session that reads its lines from stdin.
func cmd(ctx context.Context, r *hostRun, c *cmdexe.Call) uint32 {
	child := *c.Shell
	child.Env = cmdexe.NewEnv(c.Shell.List())
	child.Stdin, child.Stdout, child.Stderr = c.Stdin, c.Stdout, c.Stderr
	tail := strings.TrimLeft(c.Tail, " \t")
	for len(tail) > 1 && tail[0] == '/' {
		letter := tail[1] | 0x20
		tail = strings.TrimLeft(tail[2:], " \t")
		if letter == 'c' || letter == 'r' {
			return child.Execute(ctx, tail)
		}
		if letter == 'k' {
			child.Execute(ctx, tail)
			break
		}
	}
	fmt.Fprint(c.Stdout, "Microsoft Windows [Version 10.0.20348.2113]\r\n(imitated by winrmtest)\r\n")
	lines := bufio.NewScanner(c.Stdin)
	lines.Buffer(nil, 1<<20)
	code := uint32(0)
	for !child.Exited() && ctx.Err() == nil {
		fmt.Fprintf(c.Stdout, "\r\n%s>", child.Dir)
		if !lines.Scan() {
			break
		}
		if line := strings.TrimRight(lines.Text(), "\r"); strings.TrimSpace(line) != "" {
			code = child.RunLine(ctx, line)
		}
	}
	return code
}
