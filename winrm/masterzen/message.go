package masterzen

import (
	"bytes"
	"errors"
	"net/url"
	"strings"

	"github.com/winrmkit/winrmkit/wsman"
)

// A message is an envelope as masterzen writes it: one line, fixed prefixes, no
// escaped text in what is looked at here.
type message struct {
	text   string
	action string
}

func readMessage(text string) message {
	m := message{text: text}
	if from, to, ok := m.find("<a:Action", "</a:Action>"); ok {
		m.action = text[from:to]
	}
	return m
}

// find returns where the content of the first such element stands.
func (m message) find(open, end string) (from, to int, ok bool) {
	from = strings.Index(m.text, open)
	if from < 0 {
		return 0, 0, false
	}
	gt := strings.IndexByte(m.text[from:], '>')
	if gt < 0 {
		return 0, 0, false
	}
	from += gt + 1
	to = strings.Index(m.text[from:], end)
	return from, from + to, to >= 0
}

// with is the text with the content of an element replaced.
func (m message) with(open, end, content string) string {
	from, to, ok := m.find(open, end)
	if !ok {
		return m.text
	}
	return m.text[:from] + content + m.text[to:]
}

// withTimeout is the message with another OperationTimeout.
func (m message) withTimeout(duration string) string {
	return m.with("<w:OperationTimeout", "</w:OperationTimeout>", duration)
}

// split cuts a Send that is longer than limit into several. masterzen fills an
// envelope with as many bytes as it may have, and only then makes base64 of them.
func (m message) split(limit int) []string {
	from, to, ok := m.find("<rsp:Stream", "</rsp:Stream>")
	room := (limit - (len(m.text) - (to - from))) / 4 * 4 // base64 is cut between its groups
	if !ok || limit <= 0 || len(m.text) <= limit || room <= 0 || strings.Contains(m.text[:from], ` End="true"`) {
		return []string{m.text}
	}
	var parts []string
	for content := m.text[from:to]; content != ""; {
		n := min(room, len(content))
		part := message{text: m.text[:from] + content[:n] + m.text[to:]}
		if len(parts) > 0 {
			part.text = part.with("<a:MessageID", "</a:MessageID>", wsman.NewUUID())
		}
		parts = append(parts, part.text)
		content = content[n:]
	}
	return parts
}

var (
	nameShell   = wsman.Name{Space: wsman.NSShell, Local: "Shell"}
	nameShellID = wsman.Name{Space: wsman.NSShell, Local: "ShellId"}
	nameCreated = wsman.Name{Space: wsman.NSTransfer, Local: "ResourceCreated"}
)

// errNoShellID: masterzen would go on with a shell without name.
var errNoShellID = errors.New("masterzen: the host's answer does not name the shell that it opened")

// withShellID puts the id of a new shell where masterzen looks for it. Windows 7
// and Server 2008 R2 name the shell in the reference of x:ResourceCreated only.
func withShellID(answer []byte) ([]byte, error) {
	id, inShell, err := shellID(answer)
	switch {
	case err != nil:
		return nil, err
	case id == "":
		return nil, errNoShellID
	case inShell:
		return answer, nil
	}
	end := bytes.LastIndex(answer, []byte("Body>"))
	if end >= 0 {
		end = bytes.LastIndex(answer[:end], []byte("</"))
	}
	if end < 0 {
		return nil, errNoShellID
	}
	e := wsman.NewEncoder(bytes.Clone(answer[:end]))
	e.Start("rsp:Shell")
	e.Namespace("rsp", wsman.NSShell)
	e.Element("rsp:ShellId", id)
	e.End()
	return append(e.Bytes(), answer[end:]...), e.Err()
}

// shellID reads a shell's id, and whether rsp:Shell tells it.
func shellID(answer []byte) (id string, inShell bool, err error) {
	d := wsman.NewDecoder(bytes.Clone(answer)) // it resolves references in place
	if _, err := wsman.ReadEnvelope(d); err != nil {
		return "", false, err
	}
	for name := range d.Children() {
		switch name {
		case nameShell:
			for child := range d.Children() {
				if child != nameShellID {
					continue
				}
				if text, err := d.Value(); err == nil && text != "" {
					id, inShell = text, true
				}
			}
		case nameCreated:
			var created wsman.EndpointReference
			if err := created.Decode(d); err != nil {
				return "", false, err
			}
			for _, s := range created.Resource.Selectors {
				if s.Name == "ShellId" && id == "" {
					id = s.Value
				}
			}
		}
	}
	return id, inShell, d.Finish()
}

// hidden reports whether somebody asks an error for a *url.Error.
func hidden(target any) bool {
	_, ok := target.(**url.Error)
	return ok
}
