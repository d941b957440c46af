package winrm_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/winrmkit/winrmkit/winrm"
)

// The answer to each request of a command is cut off after every byte, head
// included: typed errors at once, the truth about what is lost, and nothing is
// sent twice.
func TestTruncatedAtEveryByte(t *testing.T) {
	step := 1
	if testing.Short() || raceDetector {
		step = 17
	}
	for _, action := range []string{"Create", "Command", "Receive", "Send", "Signal", "Delete"} {
		t.Run(action, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a probe of an idle connection takes a millisecond
				size := runTruncated(t, action, 1<<20) // whole
				for at := 0; at < size && !t.Failed(); at += step {
					runTruncated(t, action, at)
				}
			})
		})
	}
}

// runTruncated runs one command and returns the size of the answer that was cut.
func runTruncated(t *testing.T, action string, at int) int {
	tr := &truncation{action: action, at: at}
	p, client := newPeer(t, tr.answer)
	cmd := client.Command("x.exe")
	if action == "Send" {
		cmd.Stdin = strings.NewReader("input")
	}
	began := time.Now()
	out, err := cmd.Output()
	closed := client.Close()
	p.close()
	size := int(tr.size.Load())
	assert.NotZero(t, size, "%s was sent", action)
	tr.check(t, string(out), err, closed, at < size)
	assert.Less(t, time.Since(began), 30*time.Second, "%s cut at %d", action, at)
	assert.Len(t, p.seen("Command"), 1, "%s cut at %d", action, at)
	assert.Len(t, p.seen("Create"), 1, "%s cut at %d", action, at)
	assert.LessOrEqual(t, len(p.seen("Send")), 1, "%s cut at %d", action, at)
	deletes := 1
	if action == "Delete" && at < size { // the one thing that may be done twice
		deletes = 2
	}
	assert.Len(t, p.seen("Delete"), deletes, "%s cut at %d", action, at)
	return size
}

// A truncation is one run of a command against a peer that cuts one answer.
type truncation struct {
	action string
	at     int
	hit    atomic.Bool
	size   atomic.Int64 // of the whole answer
}

func (tr *truncation) answer(x *ask) reply {
	r := x.usual()
	switch {
	case x.action != "Receive":
	case tr.action == "Send" && tr.size.Load() == 0:
		time.Sleep(time.Millisecond) // the input first
		return x.answer(`<rsp:ReceiveResponse/>`)
	case tr.action == "Receive" && tr.hit.Load():
		return x.answer(receive(x, doneState(x.command, 7))) // what an answer held is gone with it
	}
	if x.action == tr.action && !tr.hit.Swap(true) {
		tr.size.Store(int64(len(r.bytes())))
		r.cut = tr.at
	}
	return r
}

// check holds the outcome to what was lost.
func (tr *truncation) check(t *testing.T, out string, err, closed error, cut bool) {
	t.Helper()
	where := []any{"%s cut at %d: %v", tr.action, tr.at, err}
	exit, ok := errors.AsType[*winrm.ExitError](err)
	if !assert.True(t, ok, where...) {
		return
	}
	assert.Equal(t, uint32(7), exit.Code, where...)
	_, lostOutput := errors.AsType[*winrm.OutputLostError](err)
	_, lostInput := errors.AsType[*winrm.InputLostError](err)
	assert.Equal(t, cut && tr.action == "Receive", lostOutput, where...)
	assert.Equal(t, cut && tr.action == "Send", lostInput, where...)
	if lostOutput {
		assert.Empty(t, out, where...)
	} else {
		assert.Equal(t, peerOutput, out, where...)
	}
	assert.NoError(t, closed, where...)
}
