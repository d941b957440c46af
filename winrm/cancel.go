package winrm

import (
	"time"

	"github.com/winrmkit/winrmkit/internal/wsmv"
)

// interrupt is called when the caller's context has ended. The command is asked
// to end; its output and exit code are still wanted, so the receiver goes on.
// After WaitDelay it is given up.
func (e *execution) interrupt() {
	e.mu.Lock()
	if e.finished {
		e.mu.Unlock()
		return
	}
	e.interrupted = e.callerCtx.Err()
	e.mu.Unlock()
	e.endWithin(e.askToEnd)
}

// kill ends the command because its result is worth nothing any more: input is
// missing, or there is nobody to take its output.
func (e *execution) kill() {
	e.mu.Lock()
	again := e.killed || e.finished || e.shell.isDetached()
	e.killed = true
	e.mu.Unlock()
	if again {
		return
	}
	e.client.goTask(func() {
		e.endWithin(func() error { return e.signal(Terminate) })
	})
}

// askToEnd is the default of Cmd.Cancel, or Cmd.Cancel.
func (e *execution) askToEnd() error {
	switch {
	case e.cancelFn != nil:
		return e.cancelFn()
	case e.console:
		return e.signal(CtrlC)
	default:
		return e.signal(Terminate)
	}
}

// endWithin calls ask and gives the command WaitDelay to end, counted from now
// and not from when ask returns.
func (e *execution) endWithin(ask func() error) {
	e.client.goTask(func() { _ = ask() })
	var expired <-chan time.Time
	if e.waitDelay > 0 {
		t := time.NewTimer(e.waitDelay)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-e.done:
	case <-e.client.ctx.Done():
	case <-expired:
		e.mu.Lock()
		cause := e.interrupted
		e.mu.Unlock()
		e.abandon(cause)
	}
}

// abandon stops waiting for the command. It is terminated, and its shell, in
// which Windows may think that it still runs, is deleted.
func (e *execution) abandon(cause error) {
	first := e.finish(outcome{err: cause}, func() {
		e.abandoned = true
		e.abandonShell() // before the receiver ends: Close waits for one or the other
	})
	if first {
		e.recvStop(cause)
	}
}

// abandonShell terminates the command and deletes the shell, in the background.
func (e *execution) abandonShell() {
	s := e.shell
	mine := s.claim()
	e.client.goTask(func() {
		defer close(e.cleaned)
		if mine {
			ctx, cancel := e.client.cleanupContext(e.ctx)
			_ = s.signal(ctx, e.id, wsmv.SignalTerminate)
			cancel()
			ctx, cancel = e.client.cleanupContext(e.ctx)
			e.client.deleteShell(ctx, s, "canceled")
			cancel()
		}
		if s.pooled {
			e.client.pool.freeSlot()
			return
		}
		e.client.forget(s)
		select {
		case <-s.turn: // whoever waits for it learns that it is closed
		default:
		}
	})
}

// signal sends a signal to the command, on a connection other than the one that
// its Receive waits on.
func (e *execution) signal(sig Signal) error {
	ctx, cancel := e.client.cleanupContext(e.ctx)
	defer cancel()
	return e.shell.signal(ctx, e.id, string(sig))
}
