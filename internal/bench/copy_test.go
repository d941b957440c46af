package bench_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
)

const (
	sectionFiles = "Files"
	winrmcpSize  = 128 << 10 // it would take minutes for more; its time is in proportion
	remoteFile   = `C:\bench.bin`
)

// BenchmarkCopy copies a file to a host and back over links with and without delay,
// all contestants over the same one, with Basic in clear: what is measured is the way
// of copying.
func BenchmarkCopy(b *testing.B) { eachRound(b, copies) }

func copies(b *testing.B) {
	size := 32 << 20
	if testing.Short() {
		size = 8 << 20
	}
	random := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(random)
	var text bytes.Buffer
	for n := 0; text.Len() < size; n++ {
		fmt.Fprintf(&text, "2024-01-01 12:%02d:%02d GET /pages/%d.html - 443 - 198.51.100.%d 200 0 0 %d\r\n", n/60%60, n%60, n*7919%10007, n%251, n*31%977)
	}
	for _, content := range []struct {
		name string
		data []byte
	}{{"random data", random}, {"text", text.Bytes()[:size]}} {
		for _, delay := range []time.Duration{0, 20 * time.Millisecond} {
			b.Run(fmt.Sprintf("%s/%v", content.name, delay), func(b *testing.B) {
				newContest(b, content.data, delay).run(b, fmt.Sprintf("%s, %d ms", content.name, delay.Milliseconds()))
			})
		}
	}
}

// A contest is a group whose contestants copy one file with a host.
type contest struct {
	p      *child
	lane   lane
	file   string
	data   []byte
	client *winrm.Client
}

func newContest(b *testing.B, data []byte, delay time.Duration) *contest {
	b.Helper()
	l := lane{server: serverConfig{Mechanism: "basic", Files: true, Delay: delay}}
	c := &contest{p: startServer(b, l.server), lane: l, file: filepath.Join(b.TempDir(), "file"), data: data}
	if err := os.WriteFile(c.file, data, 0o600); err != nil {
		b.Fatal(err)
	}
	var err error
	c.client, err = winrm.New(c.p.targets[0].URL, &winrm.Config{Auth: auth.BasicInsecure(account()), Encryption: auth.EncryptNever})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.client.Close(); err != nil {
			b.Error(err)
		}
	})
	return c
}

func (c *contest) run(b *testing.B, name string) {
	b.Helper()
	ctx := context.Background()
	one := &winrm.CopyOptions{Streams: 1}
	back := filepath.Join(b.TempDir(), "back")
	size := int64(len(c.data))

	up := group{section: sectionFiles, row: "upload, " + name}
	c.measure(b, &up, "upload", ours, size, func() error { _, err := c.client.Upload(ctx, c.file, remoteFile, nil); return err }, nil)
	c.measure(b, &up, "upload", oneStream, size, func() error { _, err := c.client.Upload(ctx, c.file, remoteFile, one); return err }, nil)
	var pypsrp *peer
	if *withPeers {
		pypsrp = startPython(b, "pypsrp", c.lane, c.p.targets[0], c.file)
		if err := pypsrp.order("open", 0, 0); err != nil {
			b.Fatal(err)
		}
		c.measure(b, &up, "upload", "pypsrp", size, func() error { return pypsrp.order("upload", size, size) }, pypsrp.cpu)
		other := startWinrmcp(b, c.p.targets[0], c.file)
		c.measure(b, &up, "upload", "winrmcp", winrmcpSize, func() error { return other.order("upload", winrmcpSize, winrmcpSize) }, other.cpu)
	}
	up.rates(b)

	if _, err := c.client.Upload(ctx, c.file, remoteFile, nil); err != nil {
		b.Fatal(err)
	}
	down := group{section: sectionFiles, row: "download, " + name}
	c.measure(b, &down, "download", ours, size, func() error { _, err := c.client.Download(ctx, remoteFile, back, nil); return err }, nil)
	c.measure(b, &down, "download", oneStream, size, func() error { _, err := c.client.Download(ctx, remoteFile, back, one); return err }, nil)
	if *withPeers {
		c.measure(b, &down, "download", "pypsrp", size, func() error { return pypsrp.order("download", size, size) }, pypsrp.cpu)
	}
	down.rates(b)
}

// oneStream is ours with one stream instead of as many as it chooses.
const oneStream = "one stream"

func (c *contest) measure(b *testing.B, g *group, way, name string, size int64, op func() error, cpu func() time.Duration) {
	b.Helper()
	b.Run(way, func(b *testing.B) {
		g.measure(b, contestant{
			name: name, op: op, cpu: cpu, perByte: size,
			counts: map[string]func() int{
				unitPerMB: func() int { return c.p.stats(b).Exchanges },
				unitWire:  func() int { return int(c.p.stats(b).Wire) },
			},
		}, size)
		if _, ran := g.costs[name]; ran && way == "upload" {
			if err := c.check(c.data[:size]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// check asks the host what it has.
func (c *contest) check(data []byte) error {
	cmd := c.client.Command("")
	cmd.Raw = "sum " + remoteFile
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	if want := sha256.Sum256(data); string(out) != hex.EncodeToString(want[:]) {
		return errors.New("the host has something else")
	}
	return nil
}

// startWinrmcp builds and starts the peer of the module beside this package.
func startWinrmcp(b *testing.B, t target, file string) *peer {
	b.Helper()
	program := filepath.Join(b.TempDir(), "winrmcp")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "winrmcp"
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return startPeer(b, exec.Command(program), peerJob{ //nolint:gosec // just built
		Library: "winrmcp", Host: t.Host, Port: t.Port, User: user, Password: password, File: file, Remote: remoteFile,
	})
}
