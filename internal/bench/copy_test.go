package bench_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/packer-community/winrmcp/winrmcp"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
)

const (
	winrmcpSize = 128 << 10 // it would take minutes for more; its time is in proportion
	remoteFile  = `C:\bench.bin`
)

// BenchmarkCopy copies a file of 50 MB (or WINRMKIT_BENCH_MB) to a host and back, over links with and without delay, all
// contestants over the same one: MB/s, exchanges for each MB, bytes on the wire for each
// byte. Random bytes cannot be compressed; text can, which only we do.
//
//   - winrmcp is given shells that it need not replace.
//   - pypsrp is not given its Client.copy, which sends base64 in CLIXML in base64, 1.78
//     bytes for each, but something faster: its WinRS process, with the largest input
//     that it sends and raw bytes at the other end. Without WINRMKIT_PEERS_VENV it is
//     left out.
//   - one-stream is ours with CopyOptions.Streams of 1.
//
// The ratio's x-time is for each byte.
func BenchmarkCopy(b *testing.B) {
	size := int(megabytes(b, 50))
	random := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(random)
	var text bytes.Buffer
	for n := 0; text.Len() < size; n++ {
		fmt.Fprintf(&text, "2024-01-01 12:%02d:%02d GET /pages/%d.html - 443 - 198.51.100.%d 200 0 0 %d\r\n", n/60%60, n%60, n*7919%10007, n%251, n*31%977)
	}
	for name, data := range map[string][]byte{"random": random, "text": text.Bytes()[:size]} {
		for _, delay := range []string{"0ms", "20ms"} {
			b.Run(name+"/"+delay, func(b *testing.B) { copies(b, data, delay) })
		}
	}
}

func copies(b *testing.B, data []byte, delay string) {
	t := startServer(b, "basic", delayVariable+"="+delay)
	client := ourClient(b, t, auth.BasicInsecure(account()), auth.EncryptNever)
	file := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		b.Fatal(err)
	}
	peer := startPypsrp(b, t, file)
	ctx := context.Background()
	one := &winrm.CopyOptions{Streams: 1}

	b.Run("up", func(b *testing.B) {
		g := contest{t: t, client: client}
		g.run(b, "winrmkit", data, func() error { _, err := client.Upload(ctx, file, remoteFile, nil); return err })
		g.run(b, "one-stream", data, func() error { _, err := client.Upload(ctx, file, remoteFile, one); return err })
		if peer != nil {
			g.run(b, "pypsrp", data, func() error { return peer.do("up") })
		}
		other, err := winrmcp.New(fmt.Sprintf("%s:%d", t.Host, t.Port), &winrmcp.Config{
			Auth: winrmcp.Auth{User: user, Password: password}, MaxOperationsPerShell: 1000, OperationTimeout: time.Minute,
		})
		if err != nil {
			b.Fatal(err)
		}
		g.run(b, "winrmcp", data[:winrmcpSize], func() error {
			return other.Write(remoteFile, bytes.NewReader(data[:winrmcpSize]))
		})
		g.ratios(b, "winrmkit")
	})
	if _, err := client.Upload(ctx, file, remoteFile, nil); err != nil {
		b.Fatal(err)
	}
	b.Run("down", func(b *testing.B) {
		g := contest{t: t, client: client}
		back := filepath.Join(b.TempDir(), "back")
		g.run(b, "winrmkit", data, func() error { _, err := client.Download(ctx, remoteFile, back, nil); return err })
		g.run(b, "one-stream", data, func() error { _, err := client.Download(ctx, remoteFile, back, one); return err })
		if peer != nil {
			g.run(b, "pypsrp", data, func() error { return peer.do("down") })
		}
		g.ratios(b, "winrmkit")
	})
}

// A contest is a group whose contestants copy one file with a host.
type contest struct {
	group
	t      target
	client *winrm.Client
}

func (c *contest) run(b *testing.B, name string, data []byte, op func() error) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		if err := op(); err != nil {
			b.Fatal(err)
		}
		c.check(b, data)
		b.SetBytes(int64(len(data)))
		before := c.t.traffic(b)
		b.ResetTimer()
		for range b.N {
			if err := op(); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		after, n := c.t.traffic(b), float64(b.N)*float64(len(data))
		b.ReportMetric(float64(after.Exchanges-before.Exchanges)/n*1e6, "exchanges/MB")
		b.ReportMetric(float64(after.Wire-before.Wire)/n, "wire/byte")
		c.add(name, cost{op: op, size: int64(len(data))})
	})
}

// check asks the host what it has.
func (c *contest) check(b *testing.B, data []byte) {
	b.Helper()
	cmd := c.client.Command("")
	cmd.Raw = "sum " + remoteFile
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	if want := sha256.Sum256(data); string(out) != hex.EncodeToString(want[:]) {
		b.Fatal("the host has something else")
	}
}

// pypsrp is a Python process that copies when it is told to.
type pypsrp struct {
	in  io.Writer
	out *bufio.Reader
}

// startPypsrp returns nil if there is no Python with pypsrp.
func startPypsrp(b *testing.B, t target, file string) *pypsrp {
	b.Helper()
	venv := os.Getenv("WINRMKIT_PEERS_VENV")
	if venv == "" {
		b.Log("without pypsrp: WINRMKIT_PEERS_VENV is not set")
		return nil
	}
	cmd := exec.Command(filepath.Join(venv, "bin", "python"), filepath.Join("testdata", "pypsrp_copy.py"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error("pypsrp:", err)
		}
	})
	if err := json.NewEncoder(in).Encode(map[string]any{
		"host": t.Host, "port": t.Port, "user": user, "password": password, "file": file, "path": remoteFile,
	}); err != nil {
		b.Fatal(err)
	}
	return &pypsrp{in: in, out: bufio.NewReader(out)}
}

func (p *pypsrp) do(way string) error {
	if _, err := fmt.Fprintln(p.in, way); err != nil {
		return err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return err
	}
	_, err = strconv.ParseFloat(strings.TrimSpace(line), 64)
	return err
}
