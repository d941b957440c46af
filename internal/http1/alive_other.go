//go:build !unix

package http1

import "syscall"

// peekSocket cannot ask without waiting here.
func peekSocket(syscall.RawConn) (pending, known bool) { return false, false }
