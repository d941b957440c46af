package credssp_test

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// TestMain fails the package when a goroutine is left behind by a logon, given
// up or not.
func TestMain(m *testing.M) {
	code := m.Run()
	for i := 0; runtime.NumGoroutine() > 1 && code == 0; i++ {
		if i == 200 {
			buf := make([]byte, 1<<16)
			_, _ = os.Stderr.Write(buf[:runtime.Stack(buf, true)])
			code = 1
		}
		time.Sleep(10 * time.Millisecond)
	}
	os.Exit(code)
}
