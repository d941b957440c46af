//go:build unix

package bench_test

import "syscall"

// descriptorLimit is how many files and sockets this process may have open.
func descriptorLimit() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return r.Cur
}
