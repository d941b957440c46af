package main

import (
	"os"
	"syscall"
)

// enableEchoInput is ENABLE_ECHO_INPUT of SetConsoleMode.
const enableEchoInput = 0x0004

var setConsoleMode = syscall.NewLazyDLL("kernel32.dll").NewProc("SetConsoleMode")

func isTerminal(f *os.File) bool {
	var mode uint32
	return syscall.GetConsoleMode(syscall.Handle(f.Fd()), &mode) == nil
}

// echoOff stops the console from showing what is typed. The returned function
// restores it.
func echoOff(f *os.File) (restore func(), err error) {
	console := syscall.Handle(f.Fd())
	var before uint32
	if err := syscall.GetConsoleMode(console, &before); err != nil {
		return nil, err
	}
	set := func(mode uint32) error {
		if ok, _, err := setConsoleMode.Call(uintptr(console), uintptr(mode)); ok == 0 {
			return err
		}
		return nil
	}
	if err := set(before &^ enableEchoInput); err != nil {
		return nil, err
	}
	return func() { _ = set(before) }, nil
}
