package bench_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Units of the figures of many hosts.
const (
	unitCommands = "commands/s"
	unitMemory   = "KiB/host"
	unitRoutines = "goroutines/host"
	unitSockets  = "sockets"
)

// crowdVariable makes this program the client of many hosts, so that its memory
// is that client's alone. Its value is a crowdJob.
const crowdVariable = "WINRMKIT_BENCH_CROWD"

type crowdJob struct {
	Contestant, Mechanism string
	Hooked                bool
}

// crowdResult is what the client of many hosts measured.
type crowdResult struct {
	Commands     time.Duration // until each host had run a short command
	CPU          time.Duration
	Idle         int64 // bytes of memory, all hosts connected and silent
	Running      int64 // and with a command running on each
	Goroutines   int   // then
	Sockets      int
	Descriptors  uint64 // the limit of open files
	FirstProblem string
}

// most is how many hosts a contestant is given; notes says what comes of more.
var most = map[string]int{ours: 10_000, "masterzen": 100, "pywinrm": 100, "pypsrp": 100}

// BenchmarkHosts runs a sealed command on each of many hosts, all at once, and
// then one that waits until it runs on all.
func BenchmarkHosts(b *testing.B) { eachRound(b, crowds) }

func crowds(b *testing.B) {
	for _, hosts := range []int{1, 100, 1000, 10_000} {
		b.Run(strconv.Itoa(hosts), func(b *testing.B) {
			g := group{section: sectionHosts, row: fmt.Sprintf("hosts: %d", hosts)}
			g.crowd(b, crowdJob{Contestant: ours, Mechanism: "ntlm"}, hosts)
			g.crowd(b, crowdJob{Contestant: "masterzen", Mechanism: "ntlm", Hooked: true}, hosts)
			if *withPeers {
				g.pythonCrowd(b, "pywinrm", hosts)
				g.pythonCrowd(b, "pypsrp", hosts)
			}
		})
	}
}

// crowdServers are children that together have so many hosts.
func crowdServers(b *testing.B, job crowdJob, hosts int) (children []*child, targets []target) {
	b.Helper()
	const each = 2500
	for rest := hosts; rest > 0; rest -= each {
		p := startServer(b, serverConfig{Mechanism: job.Mechanism, Hosts: min(rest, each), Hooked: job.Hooked})
		children, targets = append(children, p), append(targets, p.targets...)
	}
	return children, targets
}

func (g *group) crowd(b *testing.B, job crowdJob, hosts int) {
	b.Helper()
	if hosts > most[job.Contestant] {
		return
	}
	b.Run(job.Contestant, func(b *testing.B) {
		var r crowdResult
		for range b.N {
			r = runCrowd(b, job, hosts)
		}
		if r.FirstProblem != "" {
			b.Fatal(r.FirstProblem)
		}
		n := float64(hosts)
		for unit, v := range map[string]float64{
			unitCommands: n / r.Commands.Seconds(),
			unitCPU:      float64(r.CPU) / n,
			unitMemory:   float64(r.Idle) / n / 1024,
			unitRunning:  float64(r.Running) / n / 1024,
			unitRoutines: float64(r.Goroutines) / n,
			unitSockets:  float64(r.Sockets),
		} {
			b.ReportMetric(v, unit)
			figures.add(g.section, g.row, unit, job.Contestant, v)
		}
		b.ReportMetric(float64(r.Descriptors), "descriptor-limit")
		if job.Contestant == ours && hosts >= 1000 {
			r.floors(b, hosts)
		}
		b.ReportMetric(0, "ns/op") // not shown: it has the start of the servers
	})
}

// floors fails the benchmark where a host costs more than it may. With few hosts the
// program itself is most of the memory.
func (r crowdResult) floors(b *testing.B, hosts int) {
	b.Helper()
	if each := r.Idle / int64(hosts); each > 64<<10 {
		b.Errorf("%d bytes of memory for each idle host", each)
	}
	if r.Goroutines > 2*hosts {
		b.Errorf("%d goroutines for %d running commands", r.Goroutines, hosts)
	}
}

const unitRunning = "KiB/running-host"

// runCrowd starts servers and client and plays the run once.
func runCrowd(b *testing.B, job crowdJob, hosts int) (r crowdResult) {
	b.Helper()
	children, targets := crowdServers(b, job, hosts)
	config, err := json.Marshal(job)
	must(err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crowdVariable+"="+string(config))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(err)
	stdout, err := cmd.StdoutPipe()
	must(err)
	must(cmd.Start())
	out := bufio.NewReader(stdout)
	must(json.NewEncoder(in).Encode(targets))

	// It says when it has started a command on every host.
	if _, err := out.ReadString('\n'); err != nil {
		b.Fatal("client: ", err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for commandsOf(b, children) < hosts && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Fprintln(in, "measure")
	if _, err := out.ReadString('\n'); err != nil {
		b.Fatal("client: ", err)
	}
	for _, p := range children {
		if _, err := p.ask("release"); err != nil {
			b.Fatal(err)
		}
	}
	line, err := out.ReadBytes('\n')
	if err != nil {
		b.Fatal("client: ", err)
	}
	must(json.Unmarshal(line, &r))
	in.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatal("client: ", err)
	}
	return r
}

func commandsOf(b *testing.B, children []*child) (n int) {
	b.Helper()
	for _, p := range children {
		n += p.stats(b).Commands
	}
	return n
}

// --- the client ---

// crowd is the child: it runs a command on all targets, then one that holds.
func crowd(config string) {
	var job crowdJob
	must(json.Unmarshal([]byte(config), &job))
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	must(err)
	var targets []target
	must(json.Unmarshal(line, &targets))
	line = nil
	l := lane{server: serverConfig{Mechanism: job.Mechanism}}
	open := openOurs
	if job.Contestant == "masterzen" {
		open = openMasterzen
	}

	r := crowdResult{Descriptors: descriptorLimit()}
	clients := make([]client, len(targets))
	memory, routines, cpu, began := resident(), runtime.NumGoroutine(), processTime(), time.Now()
	problems := forEach(len(targets), func(i int) error {
		c, err := open(l, targets[i])
		if err != nil {
			return err
		}
		clients[i] = c
		return warm(c)
	})
	r.Commands, r.CPU = time.Since(began), processTime()-cpu
	r.Idle = resident() - memory
	r.FirstProblem = problems()

	if r.FirstProblem != "" { // the orders are answered all the same
		fmt.Println("{}")
		fmt.Println("{}")
		must(json.NewEncoder(os.Stdout).Encode(r))
		return
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		problems = forEach(len(targets), func(i int) error {
			n, err := clients[i].run("hold", nil)
			if err != nil {
				return err
			}
			return trimmed(n, 9)
		})
	})
	fmt.Println("{}")
	_, err = in.ReadString('\n') // they run on all hosts
	must(err)
	// One goroutine a host is the caller's, who waits in Run; two are our own.
	r.Goroutines = runtime.NumGoroutine() - routines - 2
	r.Running = resident() - memory
	r.Sockets = sockets()
	fmt.Println("{}")
	ended.Wait()
	if r.FirstProblem = problems(); r.FirstProblem == "" {
		r.FirstProblem = forEach(len(clients), func(i int) error { return clients[i].close() })()
	}
	must(json.NewEncoder(os.Stdout).Encode(r))
}

// forEach calls fn for all at once. What it returns tells what went wrong first.
func forEach(n int, fn func(int) error) func() string {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first string
	failed := 0
	for i := range n {
		wg.Go(func() {
			if err := fn(i); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if failed++; failed == 1 {
					first = err.Error()
				}
			}
		})
	}
	wg.Wait()
	return func() string {
		if failed == 0 {
			return ""
		}
		return fmt.Sprintf("%d of %d failed, first: %s", failed, n, first)
	}
}

// resident is the memory that the process has, without what is garbage.
func resident() int64 {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil { // elsewhere what the runtime has
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.Sys - m.HeapReleased) //nolint:gosec // less than 2^63
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	must(err)
	return pages * int64(os.Getpagesize())
}

func sockets() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// pythonCrowd runs a command on each host, from a thread for each.
func (g *group) pythonCrowd(b *testing.B, library string, hosts int) {
	b.Helper()
	if hosts > most[library] {
		return
	}
	b.Run(library, func(b *testing.B) {
		var r peerAnswer
		for range b.N {
			_, targets := crowdServers(b, crowdJob{Mechanism: "ntlm"}, hosts)
			p := startPython(b, library, lane{server: serverConfig{Mechanism: "ntlm"}}, targets[0], "")
			var err error
			if r, err = p.send(peerOrder{Order: "crowd", Targets: targets}); err != nil {
				b.Fatal(err)
			}
		}
		n := float64(hosts)
		for unit, v := range map[string]float64{
			unitCommands: n / time.Duration(r.N).Seconds(),
			unitCPU:      float64(r.CPU) / n,
			unitMemory:   float64(r.Memory) / n / 1024,
			unitRoutines: 1,
			unitSockets:  float64(r.Sockets),
		} {
			b.ReportMetric(v, unit)
			figures.add(g.section, g.row, unit, library, v)
		}
		b.ReportMetric(0, "ns/op") // not shown: it has the start of the servers
	})
}
