package winrmtest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

func TestDisk(t *testing.T) {
	d := &winrmtest.Disk{}
	require.NoError(t, d.WriteFile(`C:\Dir\File.TXT`, []byte("one")))
	require.NoError(t, d.WriteFile(`c:/dir/FILE.txt`, []byte("two")), "names have no case, slashes are backslashes")
	data, err := d.ReadFile(`\\?\C:\dir\file.txt`)
	require.NoError(t, err)
	assert.Equal(t, "two", string(data))
	assert.Equal(t, []string{`c:\dir\file.txt`}, d.Files())

	data, err = d.ReadFile(`C:\dir\file.txt. .`)
	require.NoError(t, err, "blanks and dots at the end of a name are nothing")
	assert.Equal(t, "two", string(data))
	_, err = d.ReadFile(`\\?\C:\dir\file.txt.`)
	assert.ErrorContains(t, err, "0x80070002")

	require.NoError(t, d.WriteFile(`\\srv\share\x`, []byte("unc")))
	data, err = d.ReadFile(`\\?\UNC\SRV\share\x`)
	require.NoError(t, err)
	assert.Equal(t, "unc", string(data))

	long := `C:\` + strings.Repeat(`0123456789\`, 25) + "x"
	for path, code := range map[string]string{
		`C:\a|b`: "0x8007007B", `C:\a:b`: "0x8007007B", "C:\\a\nb": "0x8007007B", `relative`: "0x8007007B",
		long: "0x800700CE", `C:\` + strings.Repeat("n", 256): "0x800700CE",
		`C:\none\x`: "0x80070003", `C:\none`: "0x80070002", `C:\dir`: "0x80070005",
	} {
		_, err := d.ReadFile(path)
		assert.ErrorContains(t, err, code, path)
	}
	require.NoError(t, d.WriteFile(`\\?\`+long, []byte("deep")))
	data, err = d.ReadFile(`\\?\` + long)
	require.NoError(t, err)
	assert.Equal(t, "deep", string(data))

	d.Capacity = 1 << 20
	assert.ErrorContains(t, d.WriteFile(`C:\big`, make([]byte, 2<<20)), "0x80070070")
	_, err = d.Lock(`C:\none`)
	assert.Error(t, err)
}
