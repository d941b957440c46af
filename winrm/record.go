package winrm

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/winrmkit/winrmkit/internal/clixml"
	"github.com/winrmkit/winrmkit/internal/powershell"
)

// A RecordStream is one of the streams of a script besides its output.
type RecordStream string

// The streams.
const (
	StreamError       RecordStream = "error"
	StreamWarning     RecordStream = "warning"
	StreamVerbose     RecordStream = "verbose"
	StreamDebug       RecordStream = "debug"
	StreamInformation RecordStream = "information"
	StreamProgress    RecordStream = "progress"
)

// A Record is what a script has written to one of its streams.
type Record struct {
	Stream   RecordStream
	Text     string          // as PowerShell shows it
	Error    *ErrorRecord    // of StreamError, as far as it could be read
	Progress *ScriptProgress // of StreamProgress
}

// ScriptProgress is what Write-Progress was given.
type ScriptProgress = clixml.Progress

// An ErrorRecord is an error of a script. Fields that PowerShell did not tell are
// empty.
type ErrorRecord struct {
	Message    string
	ID         string // FullyQualifiedErrorId
	Category   string // such as ObjectNotFound
	Activity   string // the command that failed
	Reason     string // the type of the exception, short
	TargetName string // what it was about
	TargetType string
	Position   string // where in the script, as PowerShell shows it
	Line       int    // in the script, 0 when not known
	StackTrace string // of the script
	Exception  string // the full type of the exception
}

const (
	maxReport = 1 << 20  // bytes of the line about the error that ended the script
	maxResult = 1 << 30  // of the result as JSON
	maxView   = 64 << 10 // of an error as PowerShell shows it
)

// scriptStreams reads what a script writes.
type scriptStreams struct {
	record func(Record)
	stdout io.Writer
	stderr io.Writer
	mode   powershell.Mode

	outFilter *powershell.LineFilter // nil unless the result is wanted
	errFilter *powershell.LineFilter
	decoder   *clixml.Decoder
	writeErr  error

	view        []byte // an error that is being shown
	report      *ErrorRecord
	reported    bool // report was delivered
	constrained bool
	result      json.RawMessage
}

// scriptStreams returns what goes between the command and the writers.
func (c *Cmd) scriptStreams() *scriptStreams {
	s := &scriptStreams{record: c.Script.Record, stdout: c.Stdout, stderr: c.Stderr, mode: c.frame.Mode}
	s.decoder = clixml.NewDecoder(s.decoded, s.text)
	s.errFilter = c.frame.NewLineFilter(maxReport, func(p []byte) error {
		_, _ = s.decoder.Write(p)
		return s.writeErr
	}, s.reportLine)
	if c.wantJSON {
		s.outFilter = c.frame.NewLineFilter(maxResult, func(p []byte) error {
			if s.stdout == nil {
				return nil
			}
			_, err := s.stdout.Write(p)
			return err
		}, func(line []byte) { s.result = append(json.RawMessage(nil), line...) })
	}
	return s
}

func (s *scriptStreams) out() io.Writer {
	if s.outFilter == nil {
		return s.stdout
	}
	return flusher{s.outFilter, s.outFilter.Close}
}

func (s *scriptStreams) err() io.Writer { return flusher{s.errFilter, s.close} }

// flusher is a writer that holds something back until the end of the stream.
type flusher struct {
	io.Writer
	end func() error
}

func (s *scriptStreams) close() error {
	err := s.errFilter.Close()
	_ = s.decoder.Close()
	s.endView()
	if s.report != nil && !s.reported {
		s.deliver(Record{Stream: StreamError, Text: s.report.Message, Error: s.report})
	}
	if err == nil {
		err = s.writeErr
	}
	return err
}

// text hands on what is not CLIXML: other programs', or that of a PowerShell that
// writes plain text.
func (s *scriptStreams) text(p []byte) {
	if s.stderr != nil && s.writeErr == nil {
		_, s.writeErr = s.stderr.Write(p)
	}
}

func (s *scriptStreams) deliver(r Record) {
	if s.record != nil {
		s.record(r)
	}
}

// prefixes are what PowerShell puts in front of messages when it shows them.
var prefixes = map[RecordStream]string{StreamWarning: "WARNING: ", StreamVerbose: "VERBOSE: ", StreamDebug: "DEBUG: "}

// decoded takes a record of the error stream.
func (s *scriptStreams) decoded(r *clixml.Record) {
	stream := RecordStream(r.Stream)
	if stream == StreamError {
		s.errorRecord(r.Value)
		return
	}
	s.endView()
	if p := clixml.AsProgress(r.Value); p != nil {
		text := p.Activity
		if status := strings.TrimSpace(p.Status); status != "" {
			text += ": " + status
		}
		s.deliver(Record{Stream: StreamProgress, Text: text, Progress: p})
		return
	}
	text := clixml.Text(r.Value)
	s.deliver(Record{Stream: stream, Text: text})
	if stream == StreamInformation && clixml.FromHost(r.Value) {
		return // Write-Host: it is in the output
	}
	s.text([]byte(prefixes[stream] + strings.TrimRight(text, "\r\n") + "\r\n"))
}

// errorRecord takes an error: an object, or the text that PowerShell shows, which
// comes in pieces.
func (s *scriptStreams) errorRecord(v any) {
	if e := clixml.AsError(v); e != nil {
		s.endView()
		s.deliver(Record{Stream: StreamError, Text: e.Message, Error: &ErrorRecord{
			Message: e.Message, ID: e.ID, Category: e.Category, Activity: e.Activity, Reason: e.Reason,
			TargetName: e.TargetName, TargetType: e.TargetType, Position: e.Position,
		}})
		s.text([]byte(e.Message + "\r\n"))
		return
	}
	text := clixml.Text(v)
	s.text([]byte(text))
	if len(s.view) < maxView {
		s.view = append(s.view, text...)
	}
	if strings.TrimSpace(text) == "" && viewIsWhole(s.view) {
		s.endView()
	}
}

// endView delivers the error that was being shown.
func (s *scriptStreams) endView() {
	text := strings.TrimSpace(string(s.view))
	s.view = s.view[:0]
	if text == "" {
		return
	}
	e := parseErrorView(text)
	s.constrained = s.constrained || e.ID == idConstrained
	if s.report != nil && !s.reported && (e.ID == "" || e.ID == s.report.ID) {
		e, s.reported = s.report, true
	}
	s.deliver(Record{Stream: StreamError, Text: text, Error: e})
}

// reportLine takes the frame's word on the error that ended the script.
func (s *scriptStreams) reportLine(line []byte) {
	var r powershell.ErrorReport
	if err := json.Unmarshal(line, &r); err != nil {
		s.text(append(line, '\n'))
		return
	}
	s.report = &ErrorRecord{
		Message: r.Message, ID: r.ID, Category: r.Category, Activity: r.Activity, Reason: r.Reason,
		TargetName: r.TargetName, TargetType: r.TargetType, Position: r.Position, Line: r.Line,
		StackTrace: r.StackTrace, Exception: r.Exception,
	}
}

// explain says more about an exit code, if the script did.
func (s *scriptStreams) explain(exit *ExitError) error {
	switch {
	case s.report != nil:
		return &ScriptError{Record: *s.report, Err: exit}
	case s.constrained && (s.mode == powershell.Raw || s.mode == powershell.Lines):
		return &LanguageModeError{Err: exit}
	}
	return exit
}
