//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"os"
	"syscall"
	"unsafe"
)

// The few lines of golang.org/x/term that a password prompt needs: the library
// and its examples stand on the standard library alone.

func isTerminal(f *os.File) bool {
	_, err := getTermios(f)
	return err == nil
}

// echoOff stops the terminal from showing what is typed. The returned function
// restores it.
func echoOff(f *os.File) (restore func(), err error) {
	before, err := getTermios(f)
	if err != nil {
		return nil, err
	}
	quiet := before
	quiet.Lflag &^= syscall.ECHO
	quiet.Lflag |= syscall.ICANON | syscall.ISIG
	if err := setTermios(f, &quiet); err != nil {
		return nil, err
	}
	return func() { _ = setTermios(f, &before) }, nil
}

func getTermios(f *os.File) (t syscall.Termios, err error) {
	return t, ioctl(f, ioctlGetTermios, &t)
}

func setTermios(f *os.File, t *syscall.Termios) error {
	return ioctl(f, ioctlSetTermios, t)
}

func ioctl(f *os.File, request uintptr, t *syscall.Termios) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(t)))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
