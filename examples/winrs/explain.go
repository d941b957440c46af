package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/wsman"
)

// explain prints an error with all that the library knows about it: what was
// tried, what the host offered, the candidate causes and what to do about each.
func explain(w io.Writer, err error) {
	if e, ok := errors.AsType[*auth.Error](err); ok {
		explainLogon(w, e)
		return
	}
	fmt.Fprintln(w, "winrs:", err)
	if _, ok := errors.AsType[*auth.ClearTextError](err); ok {
		line(w, "remedy", "-ssl; or -unencrypted, if everybody on the way may read along")
	}
	if e, ok := errors.AsType[*wsman.StatusError](err); ok {
		line(w, "offered", strings.Join(e.Schemes, ", "))
		line(w, "remedy", e.Remedy())
	}
	if e, ok := errors.AsType[*wsman.Fault](err); ok {
		line(w, "fault", strings.TrimSpace(fmt.Sprintf("%d %s", uint32(e.Code), e.Code.Symbol())))
		line(w, "host", e.Machine)
		line(w, "says", e.Message)
		line(w, "meaning", e.Code.Text())
		line(w, "remedy", e.Code.Remedy())
	}
}

// explainLogon gives each cause its lines; the error's own text has them all in
// one.
func explainLogon(w io.Writer, e *auth.Error) {
	short := *e
	short.Offered, short.Causes = nil, nil
	fmt.Fprintln(w, "winrs:", short.Error())
	line(w, "tried", e.Mechanism+" as "+e.Account)
	line(w, "offered", strings.Join(e.Offered, ", "))
	for i, c := range e.Causes {
		line(w, fmt.Sprintf("cause %d", i+1), c.Text)
		line(w, "  check", c.Check)
		line(w, "  remedy", c.Remedy)
	}
}

func line(w io.Writer, label, text string) {
	if text != "" {
		fmt.Fprintf(w, "  %-9s %s\n", label+":", text)
	}
}
