package wsman_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain fails the run if a test leaves goroutines behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leaked(); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines left:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked returns the stacks of goroutines that are still there after a while.
func leaked() (left string) {
	for range 100 {
		buf := make([]byte, 1<<20)
		var stacks []string
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")[1:] {
			if !strings.Contains(g, "testing.") && !strings.Contains(g, "os/signal") {
				stacks = append(stacks, g)
			}
		}
		if left = strings.Join(stacks, "\n\n"); left == "" {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return left
}

// load returns a file of testdata.
func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return b
}
