package archtest_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A package is named for its idea. These names have none.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "types", "shared"}

func TestPackagesAreNamedAndDescribed(t *testing.T) {
	for _, p := range goList(t, "linux", "./...") {
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		assert.NotContainsf(t, emptyNames, p.Name, "%s: the name says nothing", p.ImportPath)
		assert.NotEmptyf(t, p.Doc, "%s has no package comment", p.ImportPath)
	}
}

// The project stands alone: no file of it speaks of the machine it was made on.
var machinePath = regexp.MustCompile(`(^|[^\w.*~}-])/(work|tmp|root|home)/\w`)

// everywhere are paths that a machine path looks like but that are the same on
// all machines: MIT Kerberos keeps its credential caches there.
var everywhere = regexp.MustCompile(`/tmp/krb5cc_`)

func TestNoMachinePaths(t *testing.T) {
	root := moduleRoot(t)
	files := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.Name() != ".git":
		case d.IsDir():
			return fs.SkipDir
		default:
			return nil // of a linked worktree: it names the folder of the main one
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(data, 0) >= 0 {
			return nil // not text
		}
		files++
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			line = everywhere.ReplaceAll(line, nil)
			assert.Falsef(t, machinePath.Match(line), "%s:%d names a path of a machine: %s", rel, i+1, line)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 10)
}

func TestMachinePath(t *testing.T) {
	slash := "/"
	assert.True(t, machinePath.MatchString("see "+slash+"work/main"))
	assert.True(t, machinePath.MatchString(slash+"tmp/x"))
	assert.False(t, machinePath.MatchString("internal/work/main"))
	assert.False(t, machinePath.MatchString("$HOME"+slash+"tmp"))
}
