package winrm_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/wsman"
)

// knownCodes are the codes that package wsman has a text for.
func knownCodes() []wsman.FaultCode {
	var codes []wsman.FaultCode
	for _, r := range [][2]uint32{{1, 20000}, {0x80070000, 0x80072000}, {0x80338000, 0x80338400}, {0x803D0000, 0x803D0100}, {0x80041000, 0x80041100}} {
		for c := r[0]; c < r[1]; c++ {
			if wsman.FaultCode(c).Symbol() != "" {
				codes = append(codes, wsman.FaultCode(c))
			}
		}
	}
	return codes
}

// Every documented fault, in answer to each request of a command: a typed error
// at once, never a wrong success, and a second Command only for the faults that
// say that nothing was started.
func TestEachFault(t *testing.T) {
	codes := knownCodes()
	require.Greater(t, len(codes), 300)
	step := 1
	if testing.Short() || raceDetector {
		step = 13
	}
	for _, action := range []string{"Create", "Command", "Receive", "Send", "Signal", "Delete"} {
		t.Run(action, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for i := 0; i < len(codes); i += step {
					runFaulty(t, action, codes[i])
				}
				for _, code := range []wsman.FaultCode{wsman.ErrTimedOut, 170, 2150858843, 2147943418, 2150859174} {
					runFaulty(t, action, code)
				}
			})
		})
	}
}

func runFaulty(t *testing.T, action string, code wsman.FaultCode) {
	t.Helper()
	var faults atomic.Int64
	p, client := newPeer(t, func(x *ask) reply {
		switch {
		case x.action == action && (code != wsman.ErrTimedOut || faults.Load() == 0):
			faults.Add(1)
			return x.fault(uint32(code))
		case x.action == "Receive" && action == "Send" && faults.Load() == 0:
			time.Sleep(time.Second)
			return x.answer(`<rsp:ReceiveResponse/>`)
		}
		return x.usual()
	})
	defer p.close()
	cmd := client.Command("x.exe")
	if action == "Send" {
		cmd.Stdin = strings.NewReader("input")
	}
	began := time.Now()
	out, err := cmd.Output()
	closed := client.Close()
	where := fmt.Sprintf("%s %d %s: %v", action, code, code.Symbol(), err)
	assert.LessOrEqual(t, time.Since(began), 20*time.Second, where)
	assert.Positive(t, faults.Load(), where)

	f, isFault := errors.AsType[*wsman.Fault](err)
	exit, isExit := errors.AsType[*winrm.ExitError](err)
	_, missing := errors.AsType[*winrm.ExitMissingError](err)
	_, lostInput := errors.AsType[*winrm.InputLostError](err)
	commands := 1
	switch action {
	case "Create", "Command", "Receive":
		if code == wsman.ErrTimedOut { // it may have been done, and was
			assert.True(t, isExit && exit.Code == 7 && string(out) == peerOutput, where)
			break
		}
		assert.True(t, isFault && f.Code == code && !isExit, where)
		assert.Equal(t, action == "Receive", missing, where)
		switch {
		case action == "Create":
			commands = 0
		case action == "Command" && (code == 2150858843 || code == 2147943418):
			commands = 2
		}
	case "Send":
		// Those say what became of the bytes, or are waited out until the command
		// ends by itself.
		known := code == wsman.ErrTimedOut || code == 2150858843 || code == 170
		assert.Equal(t, !known, lostInput && isFault && f.Code == code, where)
		assert.True(t, isExit && exit.Code == 7, where)
	case "Signal":
		assert.True(t, isExit && exit.Code == 7 && string(out) == peerOutput, where)
	case "Delete":
		assert.True(t, isExit && exit.Code == 7 && string(out) == peerOutput, where)
		if code != 2150858843 { // then it is gone, as it should be
			f, ok := errors.AsType[*wsman.Fault](closed)
			assert.True(t, ok && f.Code == code, "Close: %v", closed)
		}
	}
	assert.Len(t, p.seen("Command"), commands, where)
}
