package winrm

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"unicode/utf16"

	"github.com/winrmkit/winrmkit/internal/cmdline"
)

// powerShellLine is how scripts are started. Without -OutputFormat the error
// stream of a script given by -EncodedCommand comes as CLIXML.
const powerShellLine = "powershell -NoProfile -NonInteractive -OutputFormat Text -EncodedCommand "

// A ScriptTooLongError says that a script does not fit into a command line.
type ScriptTooLongError struct {
	Length int // of the script, in UTF-16 units
	Limit  int
}

func (e *ScriptTooLongError) Error() string {
	return fmt.Sprintf("winrm: script of %d characters exceeds the %d that fit into a command line; "+
		"copy it to a file on the host, or feed it through Stdin of powershell -Command -", e.Length, e.Limit)
}

// PowerShell returns a command that runs a script in Windows PowerShell. The exit
// code is that of the script's exit statement, otherwise 0, or 1 when its last
// statement failed. When the script does not fit into a command line, Start
// returns a [*ScriptTooLongError].
func (c *Client) PowerShell(ctx context.Context, script string) *Cmd {
	cmd := c.CommandContext(ctx, "powershell")
	units := utf16.Encode([]rune(script))
	limit := (cmdline.MaxShell - len(powerShellLine)) / 4 * 3 / 2
	if len(units) > limit {
		cmd.Err = &ScriptTooLongError{Length: len(units), Limit: limit}
		return cmd
	}
	raw := make([]byte, 0, 2*len(units))
	for _, u := range units {
		raw = binary.LittleEndian.AppendUint16(raw, u)
	}
	cmd.Raw = powerShellLine + base64.StdEncoding.EncodeToString(raw)
	return cmd
}
