package archtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/winrmkit/winrmkit"

// goPackage is the part of `go list -json` that the rules look at.
type goPackage struct {
	ImportPath string
	Name       string
	Doc        string
	Standard   bool
	Imports    []string
	GoFiles    []string
}

// ours returns the path below the module's root ("" for the root itself), and
// whether the package belongs to the module at all.
func ours(importPath string) (string, bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// within reports whether a path below the root lies in one of the folders. A
// folder that ends in "/..." means all that is below it, and itself too.
func within(rel string, folders []string) bool {
	for _, f := range folders {
		tree, all := strings.CutSuffix(f, "/...")
		if rel == tree || all && strings.HasPrefix(rel, tree+"/") {
			return true
		}
		if ok, err := path.Match(f, rel); err == nil && ok {
			return true
		}
	}
	return false
}

// moduleRoot is the folder of the go.mod above the test.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		require.NotEqual(t, dir, parent, "no go.mod above the test")
		dir = parent
	}
}

// goList lists packages as the go command sees them on one operating system.
// Packages that do not compile are listed all the same: the compiler is the one
// to complain about those.
func goList(t testing.TB, goos string, args ...string) []goPackage {
	t.Helper()
	fields := "-json=ImportPath,Name,Doc,Standard,Imports,GoFiles"
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", fields}, args...)...)
	cmd.Dir = moduleRoot(t)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go list: %s", stderr.String())

	var pkgs []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		pkgs = append(pkgs, p)
	}
	require.NotEmpty(t, pkgs)
	return pkgs
}
