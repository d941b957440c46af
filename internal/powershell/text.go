package powershell

import (
	"fmt"
	"strings"
)

// The pieces of a frame. Variables and functions begin with wk; the script, which
// runs in a scope below, sees them but is not disturbed by them. Everything
// outside of "if($wkf)" and "try" is allowed in constrained language mode, and in
// the modes inline and object so is what "try" encloses: there a type that is not
// of the core has neither its methods called nor its properties set.
const (
	signature = "#winrmkit 1 "

	// The console's code page is the shell's. Setting the encoding as well makes
	// pipes to programs UTF-8 and leaves out the byte order mark.
	prologue = "$ProgressPreference='%s'\n" +
		"try{$OutputEncoding=[Console]::OutputEncoding=New-Object Text.UTF8Encoding $false}catch{}\n"

	// Windows PowerShell takes Ignore for no preference: it complains at the
	// first error, and that ends the script.
	ignore = "if($PSVersionTable.PSVersion.Major -lt 7){'SilentlyContinue'}else{'Ignore'}"

	// What comes before the script is in the try, too: outside of it PowerShell
	// would show an error of the head, go on without a script and exit with 0.
	begin = "$wkf=$ExecutionContext.SessionState.LanguageMode -eq 'FullLanguage'\ntry{\n"

	headInline = "$wks=%s\n$wka=@{}\n"
	headObject = "$wkh=$input|ConvertFrom-Json\n"
	headLines  = "[void]$input.MoveNext()\n$wkh=$input.Current|ConvertFrom-Json\n"
	headRaw    = "$wki=[Console]::OpenStandardInput()\n" +
		"function wkr($n){$b=New-Object byte[] $n;$o=0;while($o -lt $n){$r=$wki.Read($b,$o,$n-$o)" +
		";if($r -le 0){throw 'the input ended in the frame'};$o+=$r};,$b}\n" +
		"$wkh=[Text.Encoding]::ASCII.GetString((wkr ([int][Text.Encoding]::ASCII.GetString((wkr 8)))))|ConvertFrom-Json\n"

	// The arguments become a hash table or an array for splatting. An object's
	// properties are set by name: in constrained language mode $p.Value is
	// read-only.
	arguments = "function wku($v){if($v -is [string]){$v.Substring(1)}elseif($v -is [array]){,@(foreach($x in $v){wku $x})}" +
		"elseif($v -is [Management.Automation.PSCustomObject]){foreach($p in @($v.psobject.Properties)){$v.($p.Name)=wku $p.Value};$v}else{$v}}\n" +
		"$wks=$wkh.s\n$wka=@{}\n" +
		"if($wkh.a -is [array]){$wka=$wkh.a;if($wkh.d){$wka=wku $wka}}" +
		"elseif($wkh.a){foreach($wkp in $wkh.a.psobject.Properties){$wka[$wkp.Name]=$wkp.Value;if($wkh.d){$wka[$wkp.Name]=wku $wkp.Value}}}\n"

	block = "if($wkf){$wkb=[ScriptBlock]::Create($wks)}else{$wkb=Invoke-Expression \"{`n$wks`n}\"}\n"

	// A terminating error of any kind ends the script here. It is reported and
	// thrown again: PowerShell shows it and exits with 1. Where the preference
	// is to be silent, throw does nothing.
	end = "}catch{$wke=$_;if($wkf){$wki=$wke.InvocationInfo;$wkc=$wke.CategoryInfo;$wkd=@{m=\"$wke\";i=$wke.FullyQualifiedErrorId" +
		";c=\"$($wkc.Category)\";a=$wkc.Activity;r=$wkc.Reason;t=$wkc.TargetName;y=$wkc.TargetType" +
		";p=$wki.PositionMessage;n=$wki.ScriptLineNumber;s=$wke.ScriptStackTrace;x=$wke.Exception.GetType().FullName}\n" +
		"[Console]::Error.WriteLine('%s'+(ConvertTo-Json -Compress $wkd))};throw;exit 1}\n"

	run     = "& $wkb @wka"
	runJSON = "$wkt='%s'+(ConvertTo-Json -InputObject @(%s) -Depth %d -Compress)\n" +
		"if($wkf){$wkt=[Text.Encoding]::UTF8.GetBytes(\"`n$wkt`n\");$wko=[Console]::OpenStandardOutput()" +
		";$wko.Write($wkt,0,$wkt.Length);$wko.Flush()}else{$wkt}\n"
)

// line begins the lines of the frame's own.
func (f *Frame) line() string { return MarkerPrefix + f.Marker + " " }

// text is the frame for -EncodedCommand.
func (f *Frame) text(mode Mode, reads bool) string {
	var b strings.Builder
	b.WriteString(signature + string(mode) + " " + f.Marker + "\n")
	progress := "SilentlyContinue"
	if f.Progress {
		progress = "Continue"
	}
	fmt.Fprintf(&b, prologue, progress)
	switch f.ErrorAction {
	case "":
	case "Ignore":
		b.WriteString("$ErrorActionPreference=" + ignore + "\n")
	default:
		b.WriteString("$ErrorActionPreference=" + Quote(f.ErrorAction) + "\n")
	}
	b.WriteString(begin)
	switch mode {
	case Inline:
		fmt.Fprintf(&b, headInline, Quote(f.Script))
	case Object:
		b.WriteString(headObject + arguments)
	case Lines:
		b.WriteString(headLines + arguments)
	case Raw:
		b.WriteString(headRaw + arguments)
	}
	call := run
	if reads {
		call = "$input|" + run
	}
	if f.Depth > 0 {
		call = fmt.Sprintf(runJSON, f.line(), call, f.Depth)
	}
	b.WriteString(block + call)
	fmt.Fprintf(&b, end, f.line())
	return b.String()
}

// An ErrorReport is what a frame tells about the error that ended its script.
type ErrorReport struct {
	Message    string `json:"m"`
	ID         string `json:"i"`
	Category   string `json:"c"`
	Activity   string `json:"a"`
	Reason     string `json:"r"`
	TargetName string `json:"t"`
	TargetType string `json:"y"`
	Position   string `json:"p"`
	Line       int    `json:"n"`
	StackTrace string `json:"s"`
	Exception  string `json:"x"`
}
