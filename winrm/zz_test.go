package winrm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
)

func TestZZ(t *testing.T) {
	url := os.Getenv("ZZ_URL")
	if url == "" {
		t.Skip()
	}
	client, err := winrm.New(url, config())
	require.NoError(t, err)
	defer client.Close()
	src := filepath.Join(t.TempDir(), "f")
	f, _ := os.Create(src)
	for range 48 {
		f.Write(random(t, 1<<20))
	}
	f.Close()
	runtime.GC()
	show := func(w string) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Printf("%s sys=%d heapsys=%d inuse=%d alloc=%d total=%d gcs=%d next=%d stack=%d\n", w, m.Sys>>10, m.HeapSys>>10, m.HeapInuse>>10, m.HeapAlloc>>10, m.TotalAlloc>>10, m.NumGC, m.NextGC>>10, m.StackInuse>>10)
	}
	show("start")
	runtime.MemProfileRate = 1024
	n := 0
	begun := time.Now()
	_, err = client.Upload(t.Context(), src, `C:\big`, &winrm.CopyOptions{Progress: func(p winrm.CopyProgress) {
		n++
		if n == 3 {
			runtime.GC()
			g, _ := os.Create("/tmp/heap.prof")
			pprof.Lookup("heap").WriteTo(g, 0)
			g.Close()
		}
	}})
	require.NoError(t, err)
	fmt.Println("up", time.Since(begun))
	show("up")
	begun = time.Now()
	var last time.Time
	_, err = client.Download(t.Context(), `C:\big`, src+".back", &winrm.CopyOptions{Progress: func(p winrm.CopyProgress) {
		last = time.Now()
		fmt.Println("progress", p.Bytes, time.Since(begun))
	}})
	require.NoError(t, err)
	fmt.Println("down", time.Since(begun), time.Since(last))
	show("down")
}

func TestZZServer(t *testing.T) {
	if os.Getenv("ZZ_SERVER") == "" {
		t.Skip()
	}
	srv, _, _ := files(t)
	srv.Record = false
	fmt.Println("URL", srv.URL)
	time.Sleep(100 * time.Second)
}
