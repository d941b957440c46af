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

// A peer is another client in a process of its own.
type peer struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// A peerJob is what the process is told first.
type peerJob struct {
	Library  string `json:"library"`
	URL      string `json:"url"`
	Host     string `json:"host"`
	Port     int    `json:"port"`
	CA       string `json:"ca"`
	Auth     string `json:"auth"`
	User     string `json:"user"`
	Password string `json:"password"`
	SPNHost  string `json:"spn_host"`
	File     string `json:"file"`   // to upload
	Remote   string `json:"remote"` // and where to
}

// startPython starts pywinrm or pypsrp. The script is in testdata.
func startPython(b *testing.B, library string, l lane, t target, file string) *peer {
	b.Helper()
	cmd := exec.Command(interpreter(), filepath.Join("testdata", "peer.py")) //nolint:gosec // our own script
	job := peerJob{
		Library: library, URL: t.URL, Host: t.Host, Port: t.Port, CA: t.caFile(b), Auth: l.server.Mechanism,
		User: user, Password: password, File: file, Remote: remoteFile,
	}
	if l.realm != nil {
		cmd.Env = l.realm.env
		job.SPNHost = spnHost
	}
	return startPeer(b, cmd, job)
}

func startPeer(b *testing.B, cmd *exec.Cmd, job peerJob) *peer {
	b.Helper()
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
			b.Error(job.Library, err)
		}
	})
	if err := json.NewEncoder(in).Encode(job); err != nil {
		b.Fatal(err)
	}
	return &peer{in: in, out: bufio.NewReaderSize(out, 1<<16)}
}

// A peerOrder is one thing to do, a peerAnswer what came of it.
type peerOrder struct {
	Order   string   `json:"order"`
	N       int64    `json:"n"`
	Targets []target `json:"targets,omitempty"`
}

type peerAnswer struct {
	N       int64  `json:"n"`
	CPU     int64  `json:"cpu"` // nanoseconds
	Memory  int64  `json:"memory"`
	Sockets int64  `json:"sockets"`
	Error   string `json:"error"`
}

func (p *peer) send(o peerOrder) (answer peerAnswer, err error) {
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
func (p *peer) order(order string, n, want int64) error {
	got, err := p.send(peerOrder{Order: order, N: n})
	return errors.Join(err, expect(got.N, want))
}

// cpu is the processor time that the peer has used.
func (p *peer) cpu() time.Duration {
	a, err := p.send(peerOrder{Order: "cpu"})
	must(err)
	return time.Duration(a.N)
}
