package archtest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An arrow says what of the module the packages in from may import outside of
// their tests. With only set nothing else of the module may be imported; never
// forbids in any case.
type arrow struct {
	name  string
	from  []string
	only  []string
	never []string
}

var nothing = []string{"-"} // matches no package

var arrows = []arrow{
	{
		name: "wsman knows nothing of what is built on it",
		from: []string{"wsman"}, only: nothing,
	},
	{
		name: "the configuration is WS-Management resources and no more",
		from: []string{"wsman/config"}, only: []string{"wsman"},
	},
	{
		name: "shell bodies are WS-Management bodies",
		from: []string{"internal/wsmv"}, only: []string{"wsman"},
	},
	{
		// Otherwise auth -> spnego -> auth: these declare the small interfaces
		// that they consume, and auth adapts to them.
		name:  "mechanisms' protocols stand below auth",
		from:  []string{"internal/ntlm", "internal/spnego", "internal/krb5", "internal/credssp", "internal/http1", "internal/httpseal"},
		never: []string{"auth/...", "credssp", "winrm/...", "wsman/..."},
	},
	{
		name: "objects of PowerShell are XML, read as WS-Management's is",
		from: []string{"internal/clixml"}, only: []string{"wsman"},
	},
	{
		name: "what is sent to PowerShell stands alone",
		from: []string{"internal/powershell", "internal/fileagent", "internal/winpath"}, only: nothing,
	},
	{
		name: "command line quoting, in-memory connections, RC4 and the two passes of sealing stand alone",
		from: []string{"internal/cmdline", "internal/memconn", "internal/rc4", "internal/twopass"}, only: nothing,
	},
	{
		name:  "auth authenticates connections, whatever goes over them",
		from:  []string{"auth"},
		never: []string{"auth/kerberos", "auth/gmsa", "auth/delegation", "internal/directory", "credssp", "winrm/...", "wsman/..."},
	},
	{
		name:  "a mechanism outside of auth needs auth and its own protocol",
		from:  []string{"auth/kerberos", "auth/gmsa", "auth/delegation", "internal/directory", "credssp"},
		never: []string{"winrm/...", "wsman/..."},
	},
	{
		name: "mechanisms reach winrm as values",
		from: []string{"winrm"},
		only: []string{"wsman", "wsman/config", "auth", "internal/wsmv", "internal/cmdline", "internal/hostscript", "internal/clixml", "internal/powershell", "internal/fileagent", "internal/winpath"},
	},
	{
		name: "psrp stands on winrm",
		from: []string{"winrm/psrp"}, only: []string{"winrm", "internal/..."},
		never: []string{"internal/authserver"},
	},
	{
		name:  "no library package needs the test server or an example",
		from:  []string{"wsman/...", "auth/...", "credssp", "winrm", "winrm/psrp", "winrm/masterzen", "internal/..."},
		never: []string{"winrm/winrmtest", "examples/..."},
	},
	{
		// Public packages show the initiating side only.
		name:  "the accepting side stays in internal and winrmtest",
		from:  []string{"wsman/...", "auth/...", "credssp", "winrm", "winrm/psrp", "winrm/masterzen", "internal/ntlm", "internal/spnego", "internal/krb5", "internal/credssp", "internal/http1", "internal/httpseal", "internal/wsmv", "internal/cmdline"},
		never: []string{"internal/authserver", "internal/toyauth", "internal/memconn", "internal/wiretest"},
	},
	{
		name:  "examples use what users can use",
		from:  []string{"examples/..."},
		never: []string{"internal/..."},
	},
}

func TestArrows(t *testing.T) {
	for _, goos := range []string{"linux", "windows", "darwin"} {
		pkgs := goList(t, goos, "./...")
		for _, a := range arrows {
			t.Run(goos+"/"+a.name, func(t *testing.T) {
				for _, p := range pkgs {
					if rel, ok := ours(p.ImportPath); ok && within(rel, a.from) {
						a.check(t, rel, p.Imports)
					}
				}
			})
		}
	}
}

func (a arrow) check(t *testing.T, from string, imports []string) {
	t.Helper()
	for _, imp := range imports {
		rel, ok := ours(imp)
		if !ok || rel == from {
			continue
		}
		assert.Falsef(t, within(rel, a.never), "%s must not import %s", from, rel)
		if a.only != nil {
			assert.Truef(t, within(rel, a.only), "%s may import only %v of the module, not %s", from, a.only, rel)
		}
	}
}

// The rules themselves can fail: an import that breaks one is seen.
func TestWithin(t *testing.T) {
	assert.True(t, within("auth", []string{"auth/..."}))
	assert.True(t, within("auth/kerberos", []string{"auth/..."}))
	assert.True(t, within("auth", []string{"auth"}))
	assert.False(t, within("auth/kerberos", []string{"auth"}))
	assert.False(t, within("authority", []string{"auth/..."}))
	assert.False(t, within("wsman", nothing))

	rel, ok := ours(module + "/winrm")
	assert.True(t, ok)
	assert.Equal(t, "winrm", rel)
	_, ok = ours(module + "er/winrm")
	assert.False(t, ok)
}

// Each heavy dependency sits behind one package.
func TestOneImporterPerDependency(t *testing.T) {
	importers := map[string][]string{
		"github.com/jcmturner/":       {"internal/krb5"},
		"github.com/go-ldap/":         {"internal/directory"},
		"github.com/masterzen/":       {"winrm/masterzen"},
		"github.com/stretchr/testify": {}, // tests only
	}
	for _, p := range goList(t, "linux", "./...") {
		rel, ok := ours(p.ImportPath)
		require.True(t, ok)
		for _, imp := range p.Imports {
			if !thirdParty(imp) {
				continue
			}
			for prefix, allowed := range importers {
				if strings.HasPrefix(imp, prefix) {
					assert.Containsf(t, allowed, rel, "%s must not import %s", rel, imp)
				}
			}
		}
	}
}

// A program that uses winrm and auth alone compiles nothing that is not in Go's
// own distribution or in this module.
func TestLeanProgram(t *testing.T) {
	lean := []string{"./wsman", "./auth", "./winrm"}
	for _, goos := range []string{"linux", "windows", "darwin"} {
		t.Run(goos, func(t *testing.T) {
			deps := goList(t, goos, append([]string{"-deps"}, lean...)...)
			require.True(t, slices.ContainsFunc(deps, func(p goPackage) bool { return p.ImportPath == module+"/winrm" }))
			for _, p := range deps {
				assert.Falsef(t, thirdParty(p.ImportPath), "a lean program compiles %s", p.ImportPath)
			}
		})
	}
}

// thirdParty reports whether the package comes from another module. The packages
// of the standard library have no dot in the first element of their path, those
// that it vendors have "vendor" there.
func thirdParty(importPath string) bool {
	if _, ok := ours(importPath); ok {
		return false
	}
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".")
}

func TestThirdParty(t *testing.T) {
	assert.False(t, thirdParty("net/http"))
	assert.False(t, thirdParty("vendor/golang.org/x/net/idna"))
	assert.False(t, thirdParty(module+"/auth"))
	assert.True(t, thirdParty("golang.org/x/crypto/md4"))
}
