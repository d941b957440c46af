package winpath_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/winrmkit/winrmkit/internal/winpath"
)

func TestParse(t *testing.T) {
	const home = `C:\Users\u`
	long := strings.Repeat(`\0123456789`, 30)
	for _, c := range []struct{ in, full, dir, base, root string }{
		{`C:\a\b.txt`, `C:\a\b.txt`, `C:\a\`, `b.txt`, `C:\`},
		{`c:/a//b/../c.txt`, `c:\a\c.txt`, `c:\a\`, `c.txt`, `c:\`},
		{`C:\`, `C:\`, ``, ``, `C:\`},
		{`C:`, `C:\`, ``, ``, `C:\`},
		{`b.txt`, `C:\Users\u\b.txt`, `C:\Users\u\`, `b.txt`, `C:\`},
		{`.`, `C:\Users\u`, `C:\Users\`, `u`, `C:\`},
		{``, `C:\Users\u`, `C:\Users\`, `u`, `C:\`},
		{`..\..\..\..\x`, `C:\x`, `C:\`, `x`, `C:\`},
		{`\temp\x`, `C:\temp\x`, `C:\temp\`, `x`, `C:\`},
		{`\\srv\share\d\x`, `\\srv\share\d\x`, `\\srv\share\d\`, `x`, ``},
		{`\\srv\share`, `\\srv\share\`, ``, ``, ``},
		{`C:\a.`, `\\?\C:\a.`, `\\?\C:\`, `a.`, `C:\`},
		{`C:\a \b`, `\\?\C:\a \b`, `\\?\C:\a \`, `b`, `C:\`},
		{`C:\con.txt`, `\\?\C:\con.txt`, `\\?\C:\`, `con.txt`, `C:\`},
		{`C:\com10`, `C:\com10`, `C:\`, `com10`, `C:\`},
		{`\\srv\share\nul`, `\\?\UNC\srv\share\nul`, `\\?\UNC\srv\share\`, `nul`, ``},
		{`\\?\C:\a\..\b`, `\\?\C:\a\..\b`, `\\?\C:\a\..\`, `b`, `C:\`},
		{`C:` + long, `\\?\C:` + long, `\\?\C:` + strings.TrimSuffix(long, "0123456789"), `0123456789`, `C:\`},
		{`/srv/a/b`, `/srv/a/b`, `/srv/a/`, `b`, ``},
	} {
		assert.Equal(t, winpath.Path{Full: c.full, Dir: c.dir, Base: c.base, Root: c.root}, winpath.Parse(home, c.in), "%q", c.in)
	}
	assert.Equal(t, `/srv/u/x`, winpath.Parse("/srv/u", "x").Full)
	assert.Equal(t, `\\srv\s\x`, winpath.Plain(`\\?\UNC\srv\s\x`))
}

func TestIsAbs(t *testing.T) {
	for _, p := range []string{`C:\`, `c:/x`, `\\srv\s`, `//srv/s`, `\\?\C:\x`, `/srv`} {
		assert.True(t, winpath.IsAbs(p), p)
	}
	for _, p := range []string{``, `x`, `.`, `C:`, `C:x`, `\x`, `x\y`, `1:\x`} {
		assert.False(t, winpath.IsAbs(p), p)
	}
}

func TestDirFor(t *testing.T) {
	deep := `C:` + strings.Repeat(`\0123456789`, 20) + `\` // 223 characters
	for _, c := range []struct {
		dir  string
		name int
		want string
	}{
		{deep, 36, deep},
		{deep, 37, `\\?\` + deep},
		{`\\srv\s` + deep[2:], 40, `\\?\UNC\srv\s` + deep[2:]},
		{`C:\a.\`, 8, `\\?\C:\a.\`},
		{`C:\`, 34, `C:\`},
		{`/srv` + strings.Repeat("/0123456789", 30) + "/", 40, `/srv` + strings.Repeat("/0123456789", 30) + "/"},
	} {
		assert.Equal(t, c.want, winpath.Parse("", c.dir+"x").DirFor(c.name))
	}
}

func TestValidName(t *testing.T) {
	for _, n := range []string{"a", "a b", "ä'`$[]{};&%!#.txt", "日本語", "a.", "😀"} {
		assert.True(t, winpath.ValidName(n), n)
	}
	for _, n := range []string{"", ".", "..", "a:b", `a\b`, "a/b", "a*", "a\n", "a\x00", `"`} {
		assert.False(t, winpath.ValidName(n), n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`C:\a\b`)
	f.Add(`\\?\UNC\a\b\c`)
	f.Add("//a/b")
	f.Fuzz(func(t *testing.T, p string) {
		out := winpath.Parse(`C:\h`, p)
		if out.Base != "" && out.Dir+out.Base != out.Full {
			t.Fatalf("%q: %+v", p, out)
		}
	})
}
