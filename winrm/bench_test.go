package winrm_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// One command in a shell that exists, server included.
func BenchmarkWarmCommand(b *testing.B) {
	client := server(b, winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		_, _ = io.WriteString(p.Stdout, "hello")
		return 0
	})))
	require.NoError(b, client.Command("x").Run())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Command("x").Output(); err != nil {
			b.Fatal(err)
		}
	}
}

// Output of a command, server included.
func BenchmarkOutput(b *testing.B) {
	const size = 1 << 20
	client := server(b, winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		_, _ = p.Stdout.Write(make([]byte, size))
		return 0
	})))
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		cmd := client.Command("x")
		cmd.Stdout = io.Discard
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
	}
}
