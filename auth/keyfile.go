package auth

import (
	"fmt"
	"io/fs"
)

// A FileModeError is a file with a secret that others than its owner can read
// or write.
type FileModeError struct {
	Path   string
	Mode   fs.FileMode
	Owner  string
	Remedy string // the command that mends it
}

func (e *FileModeError) Error() string {
	return fmt.Sprintf("auth: %s (mode %04o, owner %s) can be read or written by others, so its secret is not trusted; run: %s",
		e.Path, e.Mode.Perm(), e.Owner, e.Remedy)
}
