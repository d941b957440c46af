package winrmtest

import (
	"context"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
)

// gatherTime is how long a Receive that has some output waits for more of it,
// or for the end of the command: a short command is then answered at once.
const gatherTime = 25 * time.Millisecond

// brokenPipe is ERROR_BROKEN_PIPE: what Send gets when the command has ended.
const brokenPipe = 109

// runCommand is Command.
func (s *Server) runCommand(c *call) *soap.Fault {
	var body wsmv.CommandLine
	if f := c.decode("CommandLine", body.Decode); f != nil {
		return f
	}
	sh, done, f := s.useShell(c)
	if f != nil {
		return f
	}
	defer done()
	id := canonicalID(body.ID)
	switch {
	case id == "":
		id = soap.NewUUID()
	case !soap.ValidUUID(id):
		return soap.New(soap.CommandIDInvalid, "")
	}
	if body.Command == "" {
		return soap.New(soap.InvalidParameter, "")
	}
	if c.req.OptionTrue(wsmv.OptionSkipCmd) && !strings.ContainsAny(body.Command, `\/`) {
		return providerFault(soap.New(soap.FileNotFound, ""))
	}
	cmd := s.newCommand(sh, id, &body, c.req)
	if f := s.addCommand(sh, cmd); f != nil {
		cmd.cancel(nil)
		return f
	}
	(&wsmv.CommandResponse{ID: id}).Encode(c.out)
	return nil
}

// send is Send.
func (s *Server) send(c *call) *soap.Fault {
	var body wsmv.Send
	if f := c.decode("Send", body.Decode); f != nil {
		return f
	}
	sh, done, f := s.useShell(c)
	if f != nil {
		return f
	}
	defer done()
	ctx, cancel := c.hold()
	defer cancel()
	for _, st := range body.Streams {
		if st.Name != wsmv.Stdin || st.CommandID == "" {
			return soap.New(soap.InvalidParameter, "")
		}
		cmd, f := s.findCommand(sh, st.CommandID)
		switch {
		case f != nil:
			return f
		case cmd.in.full():
			return soap.New(soap.Busy, "") // an earlier Send still waits for the command
		case !cmd.in.put(st.Data, st.End):
			return providerFault(soap.New(brokenPipe, "The pipe has been ended."))
		}
		// What a Send has brought is kept even when it times out.
		if !cmd.in.wait(ctx) {
			return soap.New(soap.OperationTimedOut, "")
		}
	}
	wsmv.EncodeEmpty(c.out, "SendResponse")
	return nil
}

// signal is Signal.
func (s *Server) signal(c *call) *soap.Fault {
	var body wsmv.Signal
	if f := c.decode("Signal", body.Decode); f != nil {
		return f
	}
	sh, done, f := s.useShell(c)
	if f != nil {
		return f
	}
	defer done()
	cmd, f := s.findCommand(sh, body.CommandID)
	if f != nil {
		return f
	}
	switch {
	case strings.EqualFold(body.Code, wsmv.SignalTerminate):
		s.terminate(cmd)
	case body.Code == wsmv.SignalCtrlC:
		if cmd.proc.Console { // with a pipe for stdin there is no console that could interrupt
			cmd.signal(CtrlC)
		}
	case body.Code == wsmv.SignalCtrlBreak:
		cmd.signal(CtrlBreak)
	default:
		return soap.New(soap.InvalidParameter, "")
	}
	wsmv.EncodeEmpty(c.out, "SignalResponse")
	return nil
}

// removeByRequest is Delete. [MS-WSMV] wants an empty body; winrm-java sends an
// element named Delete, and could not close a client if Windows minded.
func (s *Server) removeByRequest(c *call) *soap.Fault {
	if f := c.anyBody(); f != nil {
		return f
	}
	sh, done, f := s.useShell(c)
	if f != nil {
		return f
	}
	defer done()
	s.deleteShell(sh)
	return nil
}

// receive is Receive: it is held until there is output, the command ends, or
// OperationTimeout has passed.
func (s *Server) receive(c *call) *soap.Fault {
	var body wsmv.Receive
	if f := c.decode("Receive", body.Decode); f != nil {
		return f
	}
	sh, done, f := s.useShell(c)
	if f != nil {
		return f
	}
	defer done()
	if body.CommandID == "" {
		return soap.New(soap.InvalidParameter, "")
	}
	want, f := wanted(body.Streams)
	if f != nil {
		return f
	}
	cmd, f := s.findCommand(sh, body.CommandID)
	if f != nil {
		return f
	}
	release, f := s.holdOperation(c.user)
	if f != nil {
		return f
	}
	defer release()
	ctx, cancel := c.hold()
	defer cancel()
	select {
	case cmd.receive <- struct{}{}:
		defer func() { <-cmd.receive }()
	case <-ctx.Done():
		return soap.New(soap.OperationTimedOut, "")
	}
	return s.answerReceive(ctx, c, sh, cmd, want)
}

func (s *Server) answerReceive(ctx context.Context, c *call, sh *shell, cmd *command, want [streamCount]bool) *soap.Fault {
	s.shells.mu.Lock()
	delivered, disconnected, off := cmd.delivered, sh.disconnected, sh.off
	s.shells.mu.Unlock()
	switch {
	case disconnected: // since the command was looked up: off is the next one's
		return soap.New(soap.ShellDisconnected, "")
	case delivered:
		return providerFault(soap.New(soap.UnexpectedSelectors, "The command has ended."))
	}
	budget := c.room() - receiveOverhead
	if f := waitOutput(ctx, cmd, off, want, budget); f != nil {
		return f
	}
	ended := cmd.finished() // asked first: what comes after it is in the outbox
	chunk := orDefault(s.Quotas.ReceiveChunk, segmentSize)
	segs, more := cmd.out.take(c.conn.segs[:0], want, budget, chunk)
	c.conn.segs = segs
	encodeOutput(c, cmd, segs, want, ended && !more)
	if ended && !more {
		s.deliveredDone(cmd)
	}
	release(segs)
	return nil
}

// receiveOverhead bounds what ReceiveResponse holds beside the data: its tags,
// the ends of the streams and the state.
const receiveOverhead = 2048

// waitOutput returns when there is something to say.
func waitOutput(ctx context.Context, cmd *command, off <-chan struct{}, want [streamCount]bool, budget int) *soap.Fault {
	var gather <-chan time.Time
	for {
		pending := cmd.out.pending(want)
		if cmd.finished() || pending >= min(rawBudget(budget), cmd.out.limit) {
			return nil
		}
		if pending > 0 && gather == nil {
			timer := time.NewTimer(gatherTime)
			defer timer.Stop()
			gather = timer.C
		}
		select {
		case <-cmd.out.ready:
		case <-cmd.done:
			return nil
		case <-gather:
			return nil
		case <-cmd.ended:
			return soap.New(soap.OperationAborted, "")
		case <-off:
			return soap.New(soap.ShellDisconnected, "")
		case <-ctx.Done():
			if cmd.out.pending(want) > 0 {
				return nil
			}
			return soap.New(soap.OperationTimedOut, "")
		}
	}
}

func encodeOutput(c *call, cmd *command, segs []segment, want [streamCount]bool, done bool) {
	var r wsmv.ReceiveResponse
	for _, seg := range segs {
		r.Streams = append(r.Streams, wsmv.Stream{Name: streamNames[seg.stream], CommandID: cmd.id, Data: seg.data})
	}
	state := wsmv.CommandState{CommandID: cmd.id, State: wsmv.StateRunning}
	if done {
		for i, w := range want {
			if w {
				r.Streams = append(r.Streams, wsmv.Stream{Name: streamNames[i], CommandID: cmd.id, End: true})
			}
		}
		state.State, state.ExitCode, state.HasExitCode = wsmv.StateDone, cmd.code, true
	}
	r.States = append(r.States, state)
	r.Encode(c.out)
}

func wanted(names string) (want [streamCount]bool, f *soap.Fault) {
	if f := checkStreams(names, streamNames[:]...); f != nil {
		return want, f
	}
	for name := range strings.FieldsSeq(names) {
		for i, n := range streamNames {
			want[i] = want[i] || n == name
		}
	}
	if want == [streamCount]bool{} {
		return want, soap.New(soap.InvalidParameter, "")
	}
	return want, nil
}
