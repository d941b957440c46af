//go:build unix

// Command winrmcp does for the benchmarks what they order, with
// github.com/packer-community/winrmcp. The orders are those of peer.py: it knows
// "upload" and "cpu". It is in a module of its own so that no other has to
// require winrmcp.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/packer-community/winrmcp/winrmcp"
)

type job struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	User     string `json:"user"`
	Password string `json:"password"`
	File     string `json:"file"`
	Remote   string `json:"remote"`
}

type order struct {
	Order string `json:"order"`
	N     int64  `json:"n"`
}

type answer struct {
	N     int64  `json:"n"`
	Error string `json:"error,omitempty"`
}

func main() {
	answers := json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr // winrmcp prints there what its scripts say
	lines := bufio.NewScanner(os.Stdin)
	lines.Scan()
	var j job
	must(json.Unmarshal(lines.Bytes(), &j))
	data, err := os.ReadFile(j.File)
	must(err)
	client, err := winrmcp.New(fmt.Sprintf("%s:%d", j.Host, j.Port), &winrmcp.Config{
		Auth: winrmcp.Auth{User: j.User, Password: j.Password}, MaxOperationsPerShell: 1000, OperationTimeout: time.Minute,
	})
	must(err)
	for lines.Scan() {
		var o order
		must(json.Unmarshal(lines.Bytes(), &o))
		a := answer{N: o.N}
		switch o.Order {
		case "upload":
			if err := client.Write(j.Remote, bytes.NewReader(data[:o.N])); err != nil {
				a.Error = "winrmcp: " + err.Error()
			}
		case "cpu":
			var u syscall.Rusage
			must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
			a.N = u.Utime.Nano() + u.Stime.Nano()
		default:
			a.Error = "winrmcp: unknown order " + o.Order
		}
		must(answers.Encode(a))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "winrmcp:", err)
		os.Exit(1)
	}
}
