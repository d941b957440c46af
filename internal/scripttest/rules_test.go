package scripttest_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/winrmkit/winrmkit/internal/powershell"
)

// A tree is what one grammar makes of one text: see grammar.py.
type tree struct {
	Name, Grammar string
	Errors        []struct {
		Line int
		Text string
	}
	Facts []fact
}

type fact struct {
	Kind, Text string
	Line       int
	Guards     []string
}

// words are those of a text.
func words(text string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		out[w] = true
	}
	return out
}

// since says which version of PowerShell, or of the .NET that it needs, brought
// what the scripts use. What is not here is not allowed: look its version up and
// write it down.
var since = map[string][4]map[string]bool{
	"operator": {
		2: words(`= += -= *= /= -and -or -not -eq -ne -gt -ge -lt -le -like -notlike -match -notmatch -contains -notcontains -is -isnot
			-band -bor -join -split -replace`),
		3: words("-in -notin -shl -shr"),
	},
	"command": {
		2: words("New-Object Where-Object ForEach-Object Sort-Object Start-Sleep Start-Service Invoke-Expression"),
		3: words("ConvertTo-Json ConvertFrom-Json Test-ADServiceAccount"),
	},
	"parameter": {
		2: {
			"New-Object -ComObject": true, "New-Object -Property": true, "Sort-Object -Descending": true,
			"Start-Sleep -Milliseconds": true,
		},
		3: {
			"ConvertTo-Json -Compress": true, "ConvertTo-Json -Depth": true, "ConvertTo-Json -InputObject": true,
			"Test-ADServiceAccount -Identity": true,
		},
	},
	"type": {
		2: words(`void string char byte bool int long array xml ref ScriptBlock BitConverter Console DateTime DateTimeKind Enum Environment
			Math Text.Encoding IO.File IO.FileInfo IO.Directory IO.DirectoryInfo IO.DriveInfo IO.Path IO.FileMode IO.FileAccess IO.FileShare
			IO.FileAttributes IO.Compression.CompressionMode Security.Cryptography.SHA256 Reflection.TargetInvocationException
			Runtime.InteropServices.Marshal Threading.AbandonedMutexException Microsoft.Win32.Registry
			Management.Automation.PSCustomObject Management.Automation.IContainsErrorRecord`),
		3: words("NullString"),
	},
	"object": {
		2: words(`PSObject byte[] DateTime Text.UTF8Encoding Collections.ArrayList IO.FileStream IO.MemoryStream IO.IOException
			IO.Compression.DeflateStream Threading.Mutex Security.AccessControl.MutexSecurity Security.AccessControl.MutexAccessRule
			Security.Principal.SecurityIdentifier Security.Cryptography.SHA256CryptoServiceProvider`),
	},
	"method": {
		2: words(`::Combine ::Create ::CreateDirectory ::Delete ::Exists ::GetAttributes ::GetBytes ::GetFiles ::GetHRForException
			::GetTempPath ::Join ::Max ::Min ::Move ::Open ::OpenStandardInput ::OpenStandardOutput ::Replace ::SetAttributes
			::SetLastWriteTimeUtc ::ToInt32 ::ToInt64 ::ToObject ::ToString
			Add AddAccessRule AddSeconds Clear Close ComputeHash Connect Create CreateFolder CreateSession CreateSubKey DeleteFolder
			DeleteSubKeyTree DeleteTask DeleteValue Flush Get GetAttribute GetBytes GetFileSystemInfos GetFolder GetFolders GetString
			GetTasks GetType GetValue GetValueKind GetValueNames MoveNext NewTask OpenSubKey Put Read RegisterTaskDefinition ReleaseMutex
			Replace SelectSingleNode SetLength SetValue Substring ToArray ToLowerInvariant ToString TransformBlock TransformFinalBlock
			Trim WaitOne Write WriteLine`),
		3: words("CopyTo"),
	},
}

// silent are methods that return nothing, and results those that are called for
// what they return. Any other one that is a statement gets into the output.
var (
	silent = words(`AddAccessRule Clear Close CopyTo Delete DeleteSubKeyTree DeleteValue Flush Move ReleaseMutex Replace SetAttributes
		SetLastWriteTimeUtc SetLength SetValue Write WriteLine`)
	results = words("Create CreateSession GetHRForException GetValue Substring ToLowerInvariant")
)

// aliases come before functions of the same name.
var aliases = words(`ac asnp cat cd chdir clc clear clhy cli clp cls clv cnsn compare copy cp cpi cpp cvpa dbp del diff dir dnsn ebp echo
	epal epcsv epsn erase etsn exsn fc fl foreach ft fw gal gbp gc gci gcm gcs gdr ghy gi gjb gl gm gmo gp gps group gsn gsnp gsv gu gv
	gwmi h history icm iex ihy ii ipal ipcsv ipmo ipsn irm ise iwmi iwr kill lp ls man md measure mi mount move mp mv nal ndr ni nmo npssc
	nsn nv ogv oh popd ps pushd pwd r rbp rcjb rcsn rd rdr ren ri rjb rm rmdir rmo rni rnp rp rsn rsnp rujb rv rvpa rwmi sajb sal saps
	sasv sbp sc select set shcm si sl sleep sls sort sp spjb spps spsv start sujb sv swmi tee trcm type where wjb write`)

// scopes are what may stand before a colon in a variable; anything else is a slip
// in a string, such as "$name: text".
var scopes = []string{"env:", "script:", "global:", "local:"}

// complaints are what is wrong with a script, by one grammar.
func (s script) complaints(tr tree) (out []string) {
	say := func(line int, format string, args ...any) {
		out = append(out, fmt.Sprintf("%s, %s, line %d: ", tr.Name, tr.Grammar, line)+fmt.Sprintf(format, args...))
	}
	for _, e := range tr.Errors {
		say(e.Line, "the grammar does not take %.80q", e.Text)
	}
	own := map[string]bool{}
	for _, f := range tr.Facts {
		if f.Kind == "function" {
			own[f.Text] = true
		}
	}
	for _, f := range tr.Facts {
		if why := s.rule(f, own); why != "" {
			say(f.Line, "%s: %s", f.Text, why)
		}
		if s.frame != nil {
			if why := s.frameRule(f); why != "" {
				say(f.Line, "%s: %s", f.Text, why)
			}
		}
	}
	return out
}

func (s script) rule(f fact, own map[string]bool) string {
	switch f.Kind {
	case "syntax":
		return "this syntax came after the version, or is not for scripts"
	case "function":
		if aliases[strings.ToLower(f.Text)] {
			return "an alias has this name, and comes first"
		}
	case "null on the right":
		return "compares each element, if the left side is an array"
	case "mixed":
		return "-and and -or have the same precedence: it wants parentheses"
	case "variable":
		if _, _, colon := strings.Cut(f.Text, ":"); colon && !slices.ContainsFunc(scopes, func(p string) bool { return strings.HasPrefix(f.Text, "$"+p) }) {
			return "what is before the colon is taken for a scope or drive"
		}
	case "bare":
		if !silent[f.Text] && !results[f.Text] {
			return "what it returns gets into the output"
		}
	case "operator", "command", "parameter", "type", "object", "method":
		if f.Kind == "command" && own[f.Text] {
			return ""
		}
		for v := 2; v < len(since[f.Kind]); v++ {
			if since[f.Kind][v][f.Text] {
				if v > s.version {
					return fmt.Sprintf("needs PowerShell %d, the script claims %d", v, s.version)
				}
				return ""
			}
		}
		return "no " + f.Kind + " of which it is known since when it is there"
	}
	return ""
}

// frameRule is for frames. They guard what can fail, and in two of their modes do
// without what constrained language mode forbids.
func (s script) frameRule(f fact) string {
	guarded := func(by ...string) bool {
		return slices.ContainsFunc(by, func(g string) bool { return slices.Contains(f.Guards, g) })
	}
	acts := f.Kind == "command" || f.Kind == "method" || f.Kind == "call" || f.Kind == "set"
	switch {
	case acts && !guarded("try", "catch"):
		return "outside of a try an error of it is shown, and the frame goes on"
	case s.frame.Mode != powershell.Inline && s.frame.Mode != powershell.Object, guarded("full", "quiet"):
	case f.Kind == "method" && f.Text != "Substring", f.Kind == "object":
		return "constrained language mode forbids it"
	case f.Kind == "set" && !strings.HasPrefix(f.Text, "$v.("): // a PSCustomObject
		return "constrained language mode lets properties of core types be set only"
	}
	return ""
}
