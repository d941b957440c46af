//go:build !unix

package auth

import (
	"fmt"
	"os"
)

// CheckPrivateFile only asks whether the file is there: files have no mode here,
// and what an access list means for a secret is not ours to judge.
func CheckPrivateFile(path string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("auth: private file: %w", err)
	}
	return nil
}
