//go:build unix

package crashtest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const (
	variableCopy = "WINRMKIT_CRASH_COPY" // "up" or "down"
	variableFile = "WINRMKIT_CRASH_FILE"
	remoteFile   = `C:\data\big.bin`
)

// copyFile is what gets killed: a process that copies one file.
func copyFile(client *winrm.Client, way string) error {
	var err error
	opt := &winrm.CopyOptions{NoCompression: true}
	if way == "up" {
		_, err = client.Upload(context.Background(), os.Getenv(variableFile), remoteFile, opt)
	} else {
		_, err = client.Download(context.Background(), remoteFile, os.Getenv(variableFile), opt)
	}
	return err
}

// What may go over the wire again after a process was killed: for each of its streams
// what one message held, and of a download the block that was not whole.
const (
	streams = winrm.DefaultStreams
	again   = streams * (512000 + 120<<10*4/3)
)

// killer ends a process.
type killer struct{ pid atomic.Int64 }

func (k *killer) kill() {
	if pid := k.pid.Swap(0); pid != 0 {
		_ = syscall.Kill(int(pid), syscall.SIGKILL)
	}
}

// Uploads and downloads whose process is killed at any moment, again and again, go on
// where they were: nothing half-written has the final name, and no more goes over the
// wire than the file and, for each kill, one message of each stream.
func TestKilledCopies(t *testing.T) {
	size, rounds := 24<<20, 3
	if testing.Short() || raceDetector {
		size, rounds = 8<<20, 1
	}
	content := make([]byte, size)
	_, _ = mathrand.NewChaCha8([32]byte{4}).Read(content)
	for round := range rounds {
		for _, way := range []string{"up", "down"} {
			t.Run(fmt.Sprintf("%s %d", way, round), func(t *testing.T) {
				testKilledCopy(t, way, content, mathrand.New(mathrand.NewPCG(uint64(round), 11)))
			})
		}
	}
}

func testKilledCopy(t *testing.T, way string, content []byte, r *mathrand.Rand) {
	var k killer
	var limit atomic.Int64 // of the traffic
	disk := &winrmtest.Disk{}
	h := newHost(t, func(s *winrmtest.Server) {
		s.Handler = &winrmtest.Host{Disk: disk}
		s.Hook = func(*winrmtest.Exchange) *winrmtest.Fault {
			if traffic(s, way) > limit.Load() {
				k.kill()
			}
			return nil
		}
	})
	file := filepath.Join(t.TempDir(), "big.bin")
	if way == "up" {
		require.NoError(t, os.WriteFile(file, content, 0o600))
		require.NoError(t, disk.WriteFile(`C:\data\other`, nil))
	} else {
		require.NoError(t, disk.WriteFile(remoteFile, content))
	}
	const most = 6
	kills := int64(0)
	for kills < most {
		before := traffic(h.Server, way)
		limit.Store(1 << 60)
		var timer *time.Timer
		if kills%2 == 0 {
			limit.Store(before + r.Int64N(int64(len(content))))
		} else {
			timer = time.AfterFunc(time.Duration(r.IntN(int(400*time.Millisecond))), k.kill)
		}
		cmd := h.startCopy(t, way, file)
		k.pid.Store(int64(cmd.Process.Pid))
		dead := killed(t, cmd)
		k.pid.Store(0)
		if timer != nil {
			timer.Stop()
		}
		h.settle(t)
		t.Logf("%d bytes over the wire, killed: %v", traffic(h.Server, way)-before, dead)
		if !dead {
			break
		}
		kills++
		if whole := nothingHalf(t, way, disk, file, content); whole {
			break // only the end of the process was cut off
		}
	}
	limit.Store(1 << 60)
	if kills == most {
		require.False(t, killed(t, h.startCopy(t, way, file)))
	}
	require.True(t, nothingHalf(t, way, disk, file, content))

	// Base64, with a hundredth for envelopes and frames; and what it takes to begin:
	// scripts, and one message of padding to learn how large they may be.
	const begin = 512000 + 100_000
	total, bound := traffic(h.Server, way), int64(len(content))*4/3*101/100+kills*again+(kills+1)*begin
	t.Logf("%d kills, %d bytes of file, %d bytes over the wire of at most %d", kills, len(content), total, bound)
	assert.LessOrEqual(t, total, bound)
	if way == "up" {
		assert.Equal(t, []string{strings.ToLower(remoteFile), `c:\data\other`}, disk.Files())
	} else {
		left, err := os.ReadDir(filepath.Dir(file))
		require.NoError(t, err)
		assert.Len(t, left, 1)
	}
}

func (h *host) startCopy(t *testing.T, way, file string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), variableURL+"="+h.URL, variableCopy+"="+way, variableFile+"="+file)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	return cmd
}

// traffic is how many bytes have gone in the direction of the copy.
func traffic(srv *winrmtest.Server, way string) int64 {
	s := srv.Stats()
	if way == "up" {
		return s.BytesIn
	}
	return s.BytesOut
}

// nothingHalf asserts that what has the final name is whole, and reports whether there
// is something.
func nothingHalf(t *testing.T, way string, disk *winrmtest.Disk, file string, content []byte) bool {
	t.Helper()
	var got []byte
	var err error
	if way == "up" {
		got, err = disk.ReadFile(remoteFile)
	} else {
		got, err = os.ReadFile(file)
	}
	if err != nil {
		return false
	}
	require.Equal(t, sha256.Sum256(content), sha256.Sum256(got))
	require.True(t, bytes.Equal(content, got))
	return true
}
