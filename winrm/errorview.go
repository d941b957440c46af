package winrm

import (
	"regexp"
	"strings"
)

// Windows PowerShell shows an error in its "normal view", wrapped at the width of
// the console, 80 columns in a remote shell. The labels of its last lines are the
// same in all languages:
//
//	Get-Item : Cannot find path 'C:\nope' because it does not exist.
//	At line:1 char:1
//	+ Get-Item C:\nope
//	+ ~~~~~~~~~~~~~~~~
//	    + CategoryInfo          : ObjectNotFound: (C:\nope:String) [Get-Item], ItemN
//	   otFoundException
//	    + FullyQualifiedErrorId : PathNotFound,Microsoft.PowerShell.Commands.GetItem
//	   Command

var (
	categoryLabel = regexp.MustCompile(`(?m)^ {0,4}\+ CategoryInfo +: `)
	idLabel       = regexp.MustCompile(`(?m)^ {0,4}\+ FullyQualifiedErrorId +: `)
	categoryInfo  = regexp.MustCompile(`^(\w+): \((.*?)\) \[(.*?)\](?:, (.*))?$`)
	positionStart = regexp.MustCompile(`(?m)^[^+\n]*:\d+ [^\n]*:\d+\r?\n\+ `)
	continuation  = regexp.MustCompile(` \r?\n {3}`)
	softBreak     = regexp.MustCompile(` \r?\n`)
)

// viewIsWhole reports whether an error ends with its last line.
func viewIsWhole(view []byte) bool { return idLabel.Match(view) }

// parseErrorView reads what it finds; the message is the whole text if it finds
// nothing.
func parseErrorView(text string) *ErrorRecord {
	cat := categoryLabel.FindStringIndex(text)
	if cat == nil {
		return &ErrorRecord{Message: text}
	}
	e := &ErrorRecord{}
	rest := text[cat[1]:]
	head := strings.TrimRight(text[:cat[0]], " \r\n")
	if id := idLabel.FindStringIndex(rest); id != nil {
		e.ID, _, _ = strings.Cut(unwrap(rest[id[1]:]), "\n")
		e.ID = strings.TrimSpace(e.ID)
		rest = rest[:id[0]]
	}
	if m := categoryInfo.FindStringSubmatch(strings.TrimSpace(unwrap(rest))); m != nil {
		e.Category, e.Activity, e.Reason = m[1], m[3], m[4]
		e.TargetName, e.TargetType = m[2], ""
		if i := strings.LastIndexByte(m[2], ':'); i >= 0 {
			e.TargetName, e.TargetType = m[2][:i], m[2][i+1:]
		}
	}
	if pos := positionStart.FindStringIndex(head); pos != nil {
		e.Position = head[pos[0]:]
		head = head[:pos[0]]
	}
	e.Message = strings.TrimSpace(softBreak.ReplaceAllString(head, " "))
	e.Message = strings.TrimPrefix(e.Message, e.Activity+" : ")
	return e
}

// unwrap joins lines that the width of the console has broken.
func unwrap(s string) string { return continuation.ReplaceAllString(s, "") }
