package winrm_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// childVariable makes the test binary a client of the server that it names.
const childVariable = "WINRMKIT_TEST_SERVER"

// childReport is what the child writes to its standard output.
type childReport struct {
	Bytes int64
	Hash  string
	Peak  int64  // resident memory at most, in KiB; 0 when unknown
	Error string // of the command
}

// child runs one command and hashes its output.
func child(url string) {
	var r childReport
	client, err := winrm.New(url, config())
	if err == nil {
		hash := sha256.New()
		cmd := client.Command("much")
		cmd.Stdout = io.MultiWriter(hash, writerFunc(func(p []byte) (int, error) {
			r.Bytes += int64(len(p))
			return len(p), nil
		}))
		err = cmd.Run()
		r.Hash = hex.EncodeToString(hash.Sum(nil))
		_ = client.Close()
	}
	if err != nil {
		r.Error = err.Error()
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		_, _ = fmt.Sscan(rest, &r.Peak)
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

// 200 MB of output pass through a client whose whole process stays small: order
// and bytes are those that the command wrote.
func TestMuchOutput(t *testing.T) {
	size := int64(200_000_000)
	if testing.Short() || raceDetector {
		size = 16_000_000
	}
	written := make(chan string, 1)
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		hash := sha256.New()
		src := rand.NewChaCha8([32]byte{1}) // random bytes: a piece out of place is seen
		if _, err := io.CopyN(io.MultiWriter(p.Stdout, hash), src, size); err != nil {
			return 1
		}
		written <- hex.EncodeToString(hash.Sum(nil))
		return 0
	}))
	server(t, srv)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+srv.URL)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var r childReport
	require.NoError(t, json.Unmarshal(out, &r), "%s", out)
	assert.Empty(t, r.Error)
	assert.Equal(t, size, r.Bytes)
	require.Len(t, written, 1)
	assert.Equal(t, <-written, r.Hash)
	t.Logf("%d bytes, at most %d KiB resident", r.Bytes, r.Peak)
	if !raceDetector {
		assert.Less(t, r.Peak, int64(64<<10), "KiB resident")
	}
}
