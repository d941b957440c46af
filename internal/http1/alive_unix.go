//go:build unix

package http1

import (
	"errors"
	"syscall"
)

// peekSocket looks at the receive queue without taking anything out of it.
func peekSocket(rc syscall.RawConn) (pending, known bool) {
	known = true
	err := rc.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		pending = !errors.Is(err, syscall.EAGAIN)
		return true // never wait: sockets of package net do not block
	})
	if err != nil {
		return true, true
	}
	return pending, known
}
