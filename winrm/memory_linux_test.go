//go:build !race

// The race detector takes memory of its own.

package winrm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
)

// TestMemoryChild is the client of TestClientMemory, in a process of its own.
func TestMemoryChild(t *testing.T) {
	url := os.Getenv("WINRMKIT_MEMORY_URL")
	if url == "" {
		return // not the child
	}
	client, err := winrm.New(url, config())
	require.NoError(t, err)
	defer client.Close()
	src, dst := os.Getenv("WINRMKIT_MEMORY_FILE"), os.Getenv("WINRMKIT_MEMORY_FILE")+".back"
	begun := time.Now()
	_, err = client.Upload(t.Context(), src, `C:\big`, nil)
	require.NoError(t, err)
	up := time.Since(begun)
	begun = time.Now()
	_, err = client.Download(t.Context(), `C:\big`, dst, nil)
	require.NoError(t, err)
	down := time.Since(begun)
	// Not getrusage: its peak is that of the process before exec, too.
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	require.True(t, ok)
	fmt.Printf("peak=%s up=%v down=%v\n", strings.Fields(rest)[0], up, down)
}

// The memory of a client does not depend on the size of the file:
// WINRMKIT_MEMORY_SIZE=1073741824 is the run of the acceptance list.
func TestClientMemory(t *testing.T) {
	size := knob(t, "WINRMKIT_MEMORY_SIZE", 48<<20)
	srv, _, _ := files(t)
	srv.Record = false
	src := filepath.Join(t.TempDir(), "big")
	f, err := os.Create(src)
	require.NoError(t, err)
	block := random(t, 1<<20)
	for n := 0; n < size; n += len(block) {
		_, err = f.Write(block[:min(len(block), size-n)])
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe, "-test.run", "^TestMemoryChild$", "-test.v")
	cmd.Env = append(os.Environ(), "WINRMKIT_MEMORY_URL="+srv.URL, "WINRMKIT_MEMORY_FILE="+src)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	_, rest, ok := strings.Cut(string(out), "peak=")
	require.True(t, ok, "%s", out)
	fields := strings.Fields(rest)
	peak, err := strconv.Atoi(fields[0]) // KiB
	require.NoError(t, err)
	t.Logf("%d MB up and down: peak %.1f MB, %s %s", size>>20, float64(peak)/1024, fields[1], fields[2])
	assert.Less(t, peak, 32<<10)
}
