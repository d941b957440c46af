package hostscript

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var calls = []Call{
	{Op: OpAcquire, ID: "00112233445566778899aabbccddeeff", TTL: 30 * time.Minute},
	{Op: OpRenew, ID: "00112233445566778899aabbccddeeff", TTL: 90 * time.Second},
	{Op: OpRelease, ID: "00112233445566778899aabbccddeeff"},
	{Op: OpLeases},
	{Op: OpDelegation, Lists: []string{ListFresh, ListNTLM}, Add: []string{"wsman/a", "wsman/*.corp.example"}, Remove: []string{"wsman/b"}},
	{Op: OpDelegation, Lists: []string{ListFresh}, All: true},
}

func TestParse(t *testing.T) {
	for _, c := range calls {
		got, ok := Parse(c.Text())
		require.True(t, ok, c.Op)
		assert.Equal(t, c, got)
		_, ok = Parse(c.Text() + "\nRemove-Item C:\\ -Recurse")
		assert.False(t, ok, "a script with more in it is another one")
		_, ok = Parse(strings.Replace(c.Text(), "Stop", "Continue", 1))
		assert.False(t, ok)
	}
	_, ok := Parse("")
	assert.False(t, ok)
}

// The scripts are plain ASCII: the code page of the console does not matter. A
// task's command line has room for the dead man's script.
func TestLimits(t *testing.T) {
	for _, c := range calls {
		for _, r := range c.Text() {
			require.True(t, r == '\n' || r >= ' ' && r < 0x7f, "%q", r)
		}
	}
	dead := calls[0].deadman()
	assert.Less(t, len(dead), 30000) // CreateProcess takes 32767 characters
	_, err := base64.StdEncoding.DecodeString(dead)
	require.NoError(t, err)
}

func TestValid(t *testing.T) {
	assert.True(t, ValidName("wsman/*.corp.example"))
	for _, name := range []string{"", "a'b", "a b", "a;b", "$x", "a)", "a\nb"} {
		assert.False(t, ValidName(name), name)
	}
	assert.False(t, ValidID("x"))
	assert.Equal(t, []map[string]string{{"state": "on", "now": "true"}}, Results("noise\r\nwinrmkit: state=on;now=true\r\n"))
}

func TestCheck(t *testing.T) {
	for _, c := range calls {
		assert.NoError(t, c.Check(), c.Op)
	}
	const bad = "0123456789abcdef';exit 1;'"
	for _, c := range []Call{
		{},
		{Op: "x"},
		{Op: OpAcquire, ID: bad},
		{Op: OpRenew, ID: bad},
		{Op: OpRelease, ID: bad},
		{Op: OpRelease, ID: calls[0].ID + "\n"},
		{Op: OpRelease},
		{Op: OpDelegation, Lists: []string{bad}},
		{Op: OpDelegation, Add: []string{"a", bad}},
		{Op: OpDelegation, Remove: []string{bad}},
		{Op: OpDelegation, Add: []string{"a\u2019b"}},
		{Op: OpDelegation, Add: []string{"a\n"}},
	} {
		assert.Error(t, c.Check(), "%+v", c)
	}
}

// Nothing here can run PowerShell on Windows; what has gone wrong there before,
// in these scripts or others, is looked for in their text.
func TestKnownTraps(t *testing.T) {
	traps := map[string]*regexp.Regexp{
		"a date in the culture's calendar and with its separators": regexp.MustCompile(`ToString\('[^']{2,}'\)|Get-Date|-f |-Format`),
		"PowerShell 2.0 runs foreach once for no output":           regexp.MustCompile(`foreach\(\$\w+ in [A-Z(]`),
		"the drive writes all of Service\\Auth for one setting":    regexp.MustCompile(`(?i)[SG]et-Item |Enable-WSManCredSSP`),
		"$input and the console would both be read":                regexp.MustCompile(`\[Console\]::(In|Open)`),
		"-and and -or have the same precedence":                    regexp.MustCompile(`-or [^()]*(\([^()]*\))?[^()]* -and |-and [^()]*(\([^()]*\))?[^()]* -or `),
		"what a method of COM returns gets into the output":        regexp.MustCompile(`(?m)(^ *|\{)(\(Folder\)|\$svc)\.`),
		"a key that is there is emptied":                           regexp.MustCompile(`New-Item `),
	}
	texts := []string{Bootstrap}
	for _, c := range calls {
		texts = append(texts, c.Text())
	}
	for _, text := range texts {
		for why, trap := range traps {
			assert.NotRegexp(t, trap, regexp.MustCompile(`\$dead='[^']*'`).ReplaceAllString(text, ""), why)
		}
	}
}
