package bench_test

import (
	"net"
	"sync/atomic"
	"time"
)

// A link is a path of some length to a server: it hands on what comes in either
// direction after half the round-trip time, and never makes the sender wait.
type link struct {
	listener net.Listener
	to       string
	delay    time.Duration // of each direction
	carried  atomic.Int64
}

// newLink listens on the loopback, as long as the process lives.
func newLink(to string, roundTrip time.Duration) *link {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	k := &link{listener: l, to: to, delay: roundTrip / 2}
	go k.serve()
	return k
}

func (k *link) addr() string { return k.listener.Addr().String() }

func (k *link) bytes() int64 { return k.carried.Load() }

func (k *link) serve() {
	for {
		near, err := k.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", k.to)
		if err != nil {
			near.Close()
			continue
		}
		go k.carry(near, far)
		go k.carry(far, near)
	}
}

// A packet is what was read at once, and when it is due at the other end.
type packet struct {
	data []byte
	due  time.Time
}

func (k *link) carry(from, to net.Conn) {
	way := make(chan packet, 4096) // far more than a round trip takes
	go func() {
		defer to.Close()
		defer from.Close()
		for p := range way {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				break
			}
		}
		for range way { // the reader is not to wait
		}
	}()
	defer close(way)
	buf := make([]byte, 256<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			k.carried.Add(int64(n))
			way <- packet{append([]byte(nil), buf[:n]...), time.Now().Add(k.delay)}
		}
		if err != nil {
			return
		}
	}
}
