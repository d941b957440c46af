package winrm_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bare is how dylanmei/winrmtest answers, against which many programs are
// tested: no header and no body in the envelope, the ids without what is to be
// around them, and nothing at all where there is nothing to say.
func bare(x *ask) reply {
	const envelope = `
			<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell">
				%s
			</env:Envelope>`
	answer := reply{cut: -1, header: []string{"Content-Type: application/soap+xml"}}
	switch x.action {
	case "Create":
		answer.body = fmt.Appendf(nil, envelope, "<rsp:ShellId>123</rsp:ShellId>")
	case "Command":
		answer.body = fmt.Appendf(nil, envelope, "<rsp:CommandId>"+peerCommand+"</rsp:CommandId>")
	case "Receive":
		answer.body = fmt.Appendf(nil, envelope, `<rsp:ReceiveResponse>`+stream("stdout", x.command, peerOutput)+
			`<rsp:Stream Name="stdout" CommandId="`+x.command+`" End="true"></rsp:Stream>`+
			`<rsp:CommandState State="`+rspURI+`/CommandState/Done"><rsp:ExitCode>7</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>`)
	}
	return answer
}

func TestBareAnswers(t *testing.T) {
	p := runsCommands(t, bare)
	assert.Len(t, p.seen("Create"), 1, "the shell serves all commands")
	assert.Len(t, p.seen("Delete"), 1)
	for _, x := range p.seen("") {
		if x.action != "Create" {
			require.Equal(t, "123", x.shell, x.action)
		}
	}
	for _, x := range p.seen("Receive") {
		require.Equal(t, peerCommand, x.command)
	}
}
