package bench_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// interpreter is the Python that has the peers, "" if there is none.
func interpreter() string {
	venv := os.Getenv("WINRMKIT_PEERS_VENV")
	if venv == "" {
		return ""
	}
	return filepath.Join(venv, "bin", "python")
}

// A pythonPeer is pywinrm or pypsrp in a process of its own.
type pythonPeer struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// A pythonJob is what the process is told first.
type pythonJob struct {
	Library  string `json:"library"`
	URL      string `json:"url"`
	Host     string `json:"host"`
	Port     int    `json:"port"`
	CA       string `json:"ca"`
	Auth     string `json:"auth"`
	User     string `json:"user"`
	Password string `json:"password"`
	SPNHost  string `json:"spn_host"`
}

// startPython starts the peer. The script is in testdata.
func startPython(b *testing.B, library string, l lane, t target) *pythonPeer {
	b.Helper()
	cmd := exec.Command(interpreter(), filepath.Join("testdata", "peer.py")) //nolint:gosec // our own script
	cmd.Stderr = os.Stderr
	if l.realm != nil {
		cmd.Env = l.realm.env
	}
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
	p := &pythonPeer{in: in, out: bufio.NewReaderSize(out, 1<<16)}
	b.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(library, err)
		}
	})
	job := pythonJob{
		Library: library, URL: t.URL, Host: t.Host, Port: t.Port, CA: t.caFile(b), Auth: l.server.Mechanism,
		User: user, Password: password,
	}
	if l.realm != nil {
		job.SPNHost = spnHost
	}
	if err := json.NewEncoder(in).Encode(job); err != nil {
		b.Fatal(err)
	}
	return p
}

// A pythonOrder is one thing to do, a pythonAnswer what came of it.
type pythonOrder struct {
	Order   string   `json:"order"`
	N       int64    `json:"n"`
	Targets []target `json:"targets,omitempty"`
}

type pythonAnswer struct {
	N       int64  `json:"n"`
	CPU     int64  `json:"cpu"` // nanoseconds
	Memory  int64  `json:"memory"`
	Sockets int64  `json:"sockets"`
	Error   string `json:"error"`
}

func (p *pythonPeer) send(o pythonOrder) (answer pythonAnswer, err error) {
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		return answer, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return answer, err
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

// order gives an order and holds the answer to what it must be.
func (p *pythonPeer) order(order string, n, want int64) error {
	got, err := p.send(pythonOrder{Order: order, N: n})
	return errors.Join(err, expect(got.N, want))
}

// cpu is the processor time that the peer has used.
func (p *pythonPeer) cpu() time.Duration {
	a, err := p.send(pythonOrder{Order: "cpu"})
	must(err)
	return time.Duration(a.N)
}
