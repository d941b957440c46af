package fileagent_test

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/fileagent"
)

func TestFrames(t *testing.T) {
	b := fileagent.AppendFrame(nil, fileagent.Data, []byte("abc"))
	assert.Equal(t, "D\x03\x00\x00\x00abc", string(b))
	b, err := fileagent.AppendJSON(b, fileagent.Reply, map[string]int{"a": 1})
	require.NoError(t, err)
	b = fileagent.AppendFrame(b, fileagent.GiveUp, nil)
	r := fileagent.NewReader(io.LimitReader(bytes.NewReader(b), int64(len(b))), 100)
	for _, want := range []struct {
		k fileagent.Kind
		s string
	}{{fileagent.Data, "abc"}, {fileagent.Reply, `{"a":1}`}, {fileagent.GiveUp, ""}} {
		k, content, err := r.Next()
		require.NoError(t, err)
		assert.Equal(t, want.k, k)
		assert.Equal(t, want.s, string(content))
	}
	_, _, err = r.Next()
	assert.Equal(t, io.EOF, err)
	for i := 1; i < 8; i++ {
		_, _, err = fileagent.NewReader(bytes.NewReader(b[:i]), 100).Next()
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF, i)
	}
	for _, bad := range []string{"D\x65\x00\x00\x00", "D\xff\xff\xff\xff", "y\x00\x00\x00\x00"} {
		_, _, err = fileagent.NewReader(strings.NewReader(bad), 100).Next()
		assert.IsType(t, (*fileagent.FrameError)(nil), err)
	}
}

func TestPieces(t *testing.T) {
	b := fileagent.AppendPiece(nil, fileagent.Piece, 1<<40, 3, []byte("abc"))
	k, content, err := fileagent.NewReader(bytes.NewReader(b), fileagent.MaxFrame).Next()
	require.NoError(t, err)
	assert.Equal(t, fileagent.Piece, k)
	offset, known, data, ok := fileagent.ParsePiece(content)
	assert.True(t, ok)
	assert.Equal(t, []any{int64(1 << 40), int64(3), "abc"}, []any{offset, known, string(data)})
	for _, bad := range [][]byte{nil, content[:15], bytes.Repeat([]byte{0xFF}, 20)} {
		_, _, _, ok = fileagent.ParsePiece(bad)
		assert.False(t, ok)
	}
}

// The script cannot be run here without a PowerShell; what can be checked of its
// text is that it keeps the rules that it is written by.
func TestScript(t *testing.T) {
	s := fileagent.Script
	assert.NotRegexp(t, `(?i)\$\{?input\b`, s, "PowerShell would read stdin itself")
	for _, c := range s {
		require.Less(t, c, rune(0x7F), "ASCII")
	}
	code := regexp.MustCompile(`(?m)^\s*#.*$|'[^'\n]*'|"[^"\n]*"`).ReplaceAllString(s, "")
	for _, pair := range []string{"{}", "()", "[]"} {
		assert.Equal(t, strings.Count(code, pair[:1]), strings.Count(code, pair[1:]), pair)
	}
	// Every function that is called is there, under a name that no alias has.
	defined := map[string]bool{}
	for _, m := range regexp.MustCompile(`function (\w+)`).FindAllStringSubmatch(s, -1) {
		assert.True(t, strings.HasPrefix(m[1], "Wk"), m[1])
		defined[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`\bWk\w+`).FindAllString(s, -1) {
		assert.True(t, defined[m], m)
	}
	assert.NotContains(t, s, "[IO.FileAttributes](", "a cast refuses attributes that .NET has no names for")
	// Each request, reply and error code is written as the Go side has it.
	for _, op := range []fileagent.Op{fileagent.OpHello, fileagent.OpStat, fileagent.OpList, fileagent.OpRead, fileagent.OpSum, fileagent.OpWrite, fileagent.OpJoin, fileagent.OpMkdir, fileagent.OpRemove} {
		assert.Contains(t, s, "$q.op -eq '"+string(op)+"'")
	}
	assert.Contains(t, s, fmt.Sprintf("$piece=%d\n", fileagent.PieceSize))
	assert.Contains(t, s, fmt.Sprintf("$block=%d\n", fileagent.BlockSize))
	for _, m := range regexp.MustCompile(`WkFail (-?\d+)`).FindAllStringSubmatch(s, -1) {
		assert.Len(t, m[1], len("-2147024891"))
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("D\x03\x00\x00\x00abcR\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := fileagent.NewReader(bytes.NewReader(in), 1000)
		for total := 0; ; {
			_, content, err := r.Next()
			if err != nil {
				return
			}
			if total += 5 + len(content); total > len(in) || len(content) > 1000 {
				t.Fatal("more than there was")
			}
		}
	})
}
