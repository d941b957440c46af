package bench_test

import (
	"testing"
	"time"

	"github.com/winrmkit/winrmkit/internal/bench/bound"
)

// Further units of figures.
const (
	unitExchanges = "exchanges/op"
	unitKDC       = "kdc-exchanges/op"
)

// A kind of work, which is done with a client that is open, or with one of its
// own each time.
type kind struct {
	section, row string
	size         int64
	open         func(client) error                        // with an open client
	cold         bool                                      // with a client for each operation
	order        string                                    // of a Python peer
	answer       func(size int64) (argument, result int64) // of that order
}

var (
	warmKind   = kind{section: sectionWarm, open: warm, order: "warm", answer: func(int64) (int64, int64) { return 0, 5 }}
	coldKind   = kind{section: sectionCold, cold: true, order: "cold", answer: func(int64) (int64, int64) { return 0, 5 }}
	stdoutKind = kind{
		section: sectionStreams, row: "stdout, ", size: streamSize, open: func(c client) error { return readOutput(c, streamSize) },
		order: "output", answer: func(n int64) (int64, int64) { return n, n },
	}
	stdinKind = kind{
		section: sectionStreams, row: "stdin, ", size: streamSize, open: func(c client) error { return writeInput(c, streamSize) },
		order: "input", answer: func(n int64) (int64, int64) { return n, n },
	}
)

const streamSize = 16_000_000

const (
	sectionWarm    = "A warm command"
	sectionCold    = "A cold command"
	sectionStreams = "Streams"
	sectionHosts   = "Many hosts at once"
)

// notes stand below the tables and say what they cannot show.
var notes = map[string]string{
	sectionWarm: "masterzen/winrm does not seal with Kerberos: in that row it sends in clear. Its sealed NTLM logs on again for each\n" +
		"message. It has no CredSSP.",
	sectionCold: "Logon, a shell, one command, and all closed again. The Python clients' figures are without the start of the\n" +
		"interpreter, and with Kerberos without the KDC: they take the tickets that kinit has fetched. masterzen/winrm has one\n" +
		"exchange less with Kerberos because it sends the first message together with its token, in clear, before the host is\n" +
		"proved; ours sends nothing before.",
	sectionStreams: "The bound is cipher, MAC and base64 of both ends, done by Go's own packages one after the other; ours does some of\n" +
		"it on two processors at once. masterzen/winrm has no stdin over sealed NTLM: while it sends, it receives on the same\n" +
		"cipher, and the checksums do not match.",
	sectionFiles: "Over Basic in clear, so that the ways of copying are compared. One stream is ours with CopyOptions.Streams of 1.\n" +
		"pypsrp is not given its Client.copy, which sends base64 in CLIXML in base64, 1.78 bytes for each, but something faster:\n" +
		"its WinRS process, with the largest input that it sends and raw bytes at the other end, without a hash or a rename.\n" +
		"winrmcp copies 128 KiB, the others 32 MiB; it does not download. Without a delay a copy is bound by the processors, and\n" +
		"several streams gain nothing. Ours takes some exchanges more than pypsrp's process: a shell for each stream, the search for\n" +
		"what an earlier copy has left, the hash at the end.",
	sectionHosts: "All hosts at once, sealed NTLM: first a short command on each, then one that runs until it has begun on all. The memory\n" +
		"is that of the whole client process, divided by the hosts. Of 1,000 hosts at once masterzen/winrm dies with a nil pointer\n" +
		"in its XPath library; the Python clients take a thread for each host, and at their rate minutes for 10,000. Of our\n" +
		"two goroutines for each host one is the caller's, who waits for the command; a thread of Python is far more than both.",
}

func BenchmarkWarmCommand(b *testing.B) { eachRound(b, warmKind.race) }
func BenchmarkColdCommand(b *testing.B) { eachRound(b, coldKind.race) }
func BenchmarkStdout(b *testing.B)      { eachRound(b, stdoutKind.race) }
func BenchmarkStdin(b *testing.B)       { eachRound(b, stdinKind.race) }

// race has all contestants do the work in each lane.
func (k kind) race(b *testing.B) {
	for _, l := range lanes() {
		b.Run(l.name, func(b *testing.B) {
			if l.server.Mechanism == "kerberos" {
				l.realm = startRealm(b)
				l.server.Keytab = l.realm.keytab
			}
			g := group{section: k.section, row: k.row + l.name}
			p := startServer(b, l.server)
			g.measure(b, k.inProcess(b, ours, l, p, openOurs), k.size)
			if other, ok := l.masterzen(k); ok {
				g.measure(b, k.inProcess(b, "masterzen", other, startServer(b, other.server), openMasterzen), k.size)
			}
			if *withPeers {
				for _, library := range []string{"pywinrm", "pypsrp"} {
					g.measure(b, k.python(b, library, l, p), k.size)
				}
			}
			if k.order == "output" && !l.server.TLS {
				g.run(b, boundName, k.size, func() error {
					bound.Stream(int(k.size), l.bare())
					return nil
				})
			}
			g.ratios(b, ours)
			if k.order == "warm" {
				g.floor(b, ours, "masterzen", 4)
			}
		})
	}
}

// masterzen is the lane as that client can go it.
func (l lane) masterzen(k kind) (lane, bool) {
	switch l.server.Mechanism {
	case "credssp":
		return l, false
	case "ntlm":
		l.server.Hooked = true
	case "kerberos":
		l.server.Mechanism = "kerberos-clear"
	}
	if k.order == "input" {
		if l.server.Hooked {
			return l, false // its Receive and its Send disturb each other's cipher
		}
		l.envelope = 153600
	}
	return l, true
}

// bare is the cipher and MAC of the lane.
func (l lane) bare() func([]byte) {
	switch l.server.Mechanism {
	case "ntlm":
		return bound.RC4
	case "kerberos":
		return bound.AES
	case "credssp":
		return bound.GCM
	}
	return bound.None
}

func (l lane) counts(b *testing.B, p *child) map[string]func() int {
	c := map[string]func() int{unitExchanges: func() int { return p.stats(b).Exchanges }}
	if l.realm != nil {
		c[unitKDC] = l.realm.exchanges
	}
	return c
}

// inProcess is the work of a Go client.
func (k kind) inProcess(b *testing.B, name string, l lane, p *child, open func(lane, target) (client, error)) contestant {
	b.Helper()
	c := contestant{name: name, counts: l.counts(b, p)}
	if k.cold {
		c.op = func() error {
			return cold(func() (client, error) { return open(l, p.targets[0]) })
		}
		return c
	}
	var opened client
	c.op = func() error {
		if opened == nil { // here: a filter of -bench may leave it out
			var err error
			if opened, err = open(l, p.targets[0]); err != nil {
				return err
			}
			b.Cleanup(func() {
				if err := opened.close(); err != nil {
					b.Error(name, err)
				}
			})
		}
		return k.open(opened)
	}
	return c
}

// python is the work of a Python peer.
func (k kind) python(b *testing.B, library string, l lane, p *child) contestant {
	b.Helper()
	var other *peer
	start := func() error {
		if other != nil {
			return nil
		}
		other = startPython(b, library, l, p.targets[0], "")
		if k.cold {
			return nil
		}
		return other.order("open", 0, 0)
	}
	argument, result := k.answer(k.size)
	return contestant{
		name: library, counts: l.counts(b, p),
		cpu: func() time.Duration { return other.cpu() },
		op: func() error {
			if err := start(); err != nil {
				return err
			}
			return other.order(k.order, argument, result)
		},
	}
}
