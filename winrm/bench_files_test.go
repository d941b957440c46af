package winrm_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
)

// link is a connection with a round-trip time, which counts what goes over it.
type link struct {
	net.Conn
	delay time.Duration
	bytes *atomic.Int64
	wrote bool
}

func (l *link) Write(p []byte) (int, error) {
	l.wrote = true
	l.bytes.Add(int64(len(p)))
	return l.Conn.Write(p)
}

func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.bytes.Add(int64(n))
	if n > 0 && l.wrote { // the answer to a request
		l.wrote = false
		time.Sleep(l.delay)
	}
	return n, err
}

// BenchmarkCopy copies 16 MB over links with and without delay: MB/s, exchanges a
// MB and bytes on the wire a byte.
func BenchmarkCopy(b *testing.B) {
	const size = 16 << 20
	text := bytes.Repeat([]byte("2024-01-01 12:00:00 GET /index.html 200 0 0 15\r\n"), size/48+1)[:size]
	for _, content := range []struct {
		name string
		data []byte
	}{{"random", random(b, size)}, {"text", text}} {
		for _, delay := range []time.Duration{0, 20 * time.Millisecond} {
			for _, way := range []string{"up", "down"} {
				b.Run(content.name+"/"+delay.String()+"/"+way, func(b *testing.B) {
					var wire atomic.Int64
					srv, d, client := files(b, func(c *winrm.Config) {
						c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
							conn, err := new(net.Dialer).DialContext(ctx, network, addr)
							return &link{Conn: conn, delay: delay, bytes: &wire}, err
						}
					})
					require.NoError(b, d.WriteFile(`C:\down`, content.data))
					_, err := client.Stat(b.Context(), `C:\`) // starts the agent
					require.NoError(b, err)
					before := len(srv.Exchanges())
					wire.Store(0)
					b.SetBytes(size)
					for b.Loop() {
						if way == "up" {
							_, err = client.Upload(b.Context(), "x", `C:\up`, &winrm.CopyOptions{Source: bytes.NewReader(content.data)})
						} else {
							_, err = client.Download(b.Context(), `C:\down`, "", &winrm.CopyOptions{Target: discard{}})
						}
						require.NoError(b, err)
					}
					n := float64(b.N) * size
					b.ReportMetric(float64(len(srv.Exchanges())-before)/n*1e6, "exchanges/MB")
					b.ReportMetric(float64(wire.Load())/n, "wire/byte")
				})
			}
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
