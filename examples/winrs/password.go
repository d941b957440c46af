package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/winrmkit/winrmkit/auth"
)

const (
	passwordVariable = "WINRM_PASSWORD"
	keyVariable      = "WINRM_KEY_PASSWORD"
)

// readPassword gets the password from where -p says. A password is never a flag:
// every user of the computer can read the command lines of its processes.
func (o *options) readPassword(term terminal) (string, error) {
	source, value, _ := strings.Cut(o.password, ":")
	switch source {
	case "":
		if p, ok := os.LookupEnv(passwordVariable); ok {
			return p, nil
		}
		return prompt(term, o.user)
	case "prompt":
		return prompt(term, o.user)
	case "env":
		if value == "" {
			value = passwordVariable
		}
		p, ok := os.LookupEnv(value)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set", value)
		}
		return p, nil
	case "file":
		return passwordFile(value)
	}
	return "", errors.New("-p says where the password comes from: prompt, env:NAME or file:PATH; " +
		"a password on the command line can be read by every user of this computer")
}

// passwordFile reads the first line of a file that only its owner can read.
func passwordFile(path string) (string, error) {
	if err := auth.CheckPrivateFile(path); err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readLine(f)
}

func prompt(term terminal, user string) (string, error) {
	if !isTerminal(term.in) {
		return "", fmt.Errorf("no password for %s: standard input is no terminal to ask at; set %s or use -p file:PATH",
			user, passwordVariable)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupted)

	restore, err := echoOff(term.in) // before the prompt: who types at once is not shown either
	if err != nil {
		return "", fmt.Errorf("turn off the terminal's echo: %w", err)
	}
	defer fmt.Fprintln(term.err)
	defer restore()
	fmt.Fprintf(term.err, "Password of %s: ", user)

	type answer struct {
		line string
		err  error
	}
	typed := make(chan answer, 1)
	go func() { // a read of a terminal cannot be cancelled: it ends with the process
		line, err := readLine(term.in)
		typed <- answer{line, err}
	}()
	select {
	case a := <-typed:
		return a.line, a.err
	case <-interrupted:
		return "", errors.New("interrupted at the password prompt")
	}
}

// readLine reads a line without its end. It reads no further than the line when
// r is a terminal, which hands out a line at a time.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil && !(errors.Is(err, io.EOF) && line != "") {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

// piped reports whether standard input carries data for the command: a pipe or
// a file, but no terminal and not the null device.
func piped(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice == 0
}
