//go:build unix

package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// CheckPrivateFile refuses a file with a secret that others can read or write,
// as OpenSSH does with its keys: it returns a [*FileModeError]. A file of root's
// may be readable by its group, for that is how a service gets at it. On Windows,
// whose files have no mode, it accepts everything.
func CheckPrivateFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("auth: private file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("auth: private file %s: %w", path, errors.New("not a regular file"))
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	self := os.Geteuid()
	return judgeMode(path, info.Mode(), int(stat.Uid), self)
}

// judgeMode decides by mode and owner; self is who asks.
func judgeMode(path string, mode fs.FileMode, owner, self int) error {
	allowed := fs.FileMode(0o700)
	switch {
	case owner == self || self == 0: // root may use a user's file
	case owner == 0:
		allowed = 0o740
	default:
		// Whoever owns the file can change it and its mode.
		return fileModeError(path, mode, owner, fmt.Sprintf("chown %d %s && chmod 600 %s", self, quote(path), quote(path)))
	}
	if mode.Perm()&^allowed == 0 {
		return nil
	}
	remedy := "chmod 600 " + quote(path)
	if owner != self && owner == 0 {
		remedy = "chmod 640 " + quote(path)
	}
	return fileModeError(path, mode, owner, remedy)
}

func fileModeError(path string, mode fs.FileMode, owner int, remedy string) error {
	name := strconv.Itoa(owner)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return &FileModeError{Path: path, Mode: mode, Owner: name, Remedy: remedy}
}

// quote quotes a path for a shell, where it needs that.
func quote(path string) string {
	plain := strings.IndexFunc(path, func(r rune) bool {
		return !(r == '/' || r == '.' || r == '_' || r == '-' || r < 0x80 && isAlphanumeric(byte(r)))
	}) < 0
	if plain && !strings.HasPrefix(path, "-") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
