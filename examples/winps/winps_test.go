package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

func winps(t *testing.T, fn func(*winrmtest.Script) (uint32, bool), stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	srv := winrmtest.NewServer(&winrmtest.Host{Script: fn})
	defer srv.Close()
	t.Setenv("WINRM_PASSWORD", winrmtest.DefaultPassword)
	var out, errs bytes.Buffer
	code = run(append([]string{"-r", srv.URL, "-u", winrmtest.DefaultUser}, args...), strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), code
}

func TestScriptFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.ps1")
	require.NoError(t, os.WriteFile(file, []byte("\ufeffparam($Kb) 'ä'"), 0o644))
	echo := func(s *winrmtest.Script) (uint32, bool) {
		fmt.Fprintf(s.Stdout, "%s|%s\r\n", s.Text, s.Args)
		s.Record("warning", "careful")
		return 5, true
	}
	stdout, stderr, code := winps(t, echo, "", file, "-Kb", "5'; x", "-Restart", "-Count:3")
	assert.Equal(t, 5, code)
	assert.Equal(t, `param($Kb) 'ä'|{"Count":"3","Kb":"5'; x","Restart":true}`+"\r\n", stdout)
	assert.Equal(t, "WARNING: careful\r\n", stderr)
	stdout, _, _ = winps(t, echo, "'from stdin'", "-", "one", "-1")
	assert.Equal(t, `'from stdin'|["one","-1"]`+"\r\n", stdout)
	for _, args := range [][]string{{}, {"missing.ps1"}, {file, "-A", "x", "y"}, {"-wrong"}} {
		_, stderr, code = winps(t, echo, "", args...)
		assert.Equal(t, exitFailure, code, args)
		assert.NotEmpty(t, stderr)
	}
}

func TestJSON(t *testing.T) {
	stdout, stderr, code := winps(t, func(s *winrmtest.Script) (uint32, bool) {
		fmt.Fprint(s.Stdout, "noise\r\n")
		s.Emit(map[string]int{"A": 1})
		return 0, true
	}, "", "-json", "-c", "x")
	assert.Zero(t, code)
	assert.Equal(t, "[\n  {\n    \"A\": 1\n  }\n]\n", stdout)
	assert.Equal(t, "noise\r\n", strings.TrimSuffix(stderr, "\n"))
}

func TestThrow(t *testing.T) {
	_, stderr, code := winps(t, nil, "", "-c", "throw 'bad'")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "winps: winrm: script: bad (line 1)")
}

func TestConsole(t *testing.T) {
	var b bytes.Buffer
	c := &console{w: &b, terminal: true}
	fmt.Fprint(c, "WARNING: w\r\nbad \x1b[2J\n")
	assert.Equal(t, yellow+"WARNING: w\n"+plain+red+"bad [2J\n"+plain, b.String())
}
