//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package main

import (
	"errors"
	"os"
)

func isTerminal(*os.File) bool { return false }

func echoOff(*os.File) (restore func(), err error) { return nil, errors.ErrUnsupported }
