package bench_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var (
	rounds    = flag.Int("rounds", 1, "run each benchmark so many times, one round after the other; the table has their spread")
	withPeers = flag.Bool("peers", false, "also measure pywinrm and pypsrp, which WINRMKIT_PEERS_VENV has")
	tableFile = flag.String("table", "", "write the figures of this run as a Markdown table to this `file`")
)

// eachRound does a benchmark as often as the flag says. The framework's -count would
// repeat each contestant by itself, so that all the runs of one come in the same minute.
func eachRound(b *testing.B, fn func(*testing.B)) {
	b.Helper()
	if *rounds == 1 {
		fn(b)
		return
	}
	for i := range *rounds {
		b.Run(fmt.Sprintf("round%d", i+1), fn)
	}
}

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
	if *tableFile != "" { // of a run that failed too: what it has measured took its time
		if err := figures.write(*tableFile); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
