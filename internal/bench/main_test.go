package bench_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var (
	withPeers = flag.Bool("peers", false, "also measure pywinrm and pypsrp, which WINRMKIT_PEERS_VENV has")
	tableFile = flag.String("table", "", "write the figures of this run as a Markdown table to this `file`")
)

// The test program is also the servers' and the clients' child process.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(serverVariable) != "":
		serve(os.Getenv(serverVariable))
		return
	case os.Getenv(crowdVariable) != "":
		crowd(os.Getenv(crowdVariable))
		return
	}
	code := m.Run()
	if *tableFile != "" && code == 0 {
		if err := figures.write(*tableFile); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
