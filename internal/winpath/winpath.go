// Package winpath works with Windows paths on any system.
//
// See "Naming Files, Paths, and Namespaces" in the documentation of the Win32
// API for the rules.
package winpath

import (
	"strings"
	"unicode/utf16"
)

// A Path is the absolute path of a file, in the form in which it is handed to
// Windows.
type Path struct {
	Full string // with \\?\ where that is needed
	Dir  string // of the directory, with a separator at its end; "" for a root
	Base string // the name
	Root string // the drive with a separator, "" for a share or what is not known
}

// maxPlain is how long a path can be without \\?\. Directories have room for a
// short name less than files.
const maxPlain = 247

// maxPath is that of files, with the zero at its end.
const maxPath = 260

// Parse makes a path absolute, relative to dir, and clean. A path that begins
// with a slash and no drive is taken for that of a host that is not Windows and
// left as it is.
func Parse(dir, p string) Path {
	if isForeign(p) || p == "" && isForeign(dir) || !IsAbs(p) && isForeign(dir) {
		return foreign(dir, p)
	}
	literal := strings.HasPrefix(p, `\\?\`)
	if !literal {
		p = strings.ReplaceAll(p, "/", `\`)
	}
	switch {
	case literal:
	case len(p) >= 2 && p[1] == ':' && isLetter(p[0]) && (len(p) == 2 || p[2] == '\\'):
	case strings.HasPrefix(p, `\\`):
	case strings.HasPrefix(p, `\`):
		p = volume(dir) + p
	case p == "":
		p = dir
	default:
		p = strings.TrimRight(dir, `\`) + `\` + p
	}
	root, names := split(p)
	names = clean(names, literal)
	out := Path{Root: driveRoot(root)}
	full := root + strings.Join(names, `\`)
	odd := literal || needsLiteral(names) || len(utf16.Encode([]rune(full))) > maxPlain
	if odd {
		root = long(root)
	}
	out.Full = root + strings.Join(names, `\`)
	if n := len(names); n > 0 {
		out.Base = names[n-1]
		out.Dir = root + strings.Join(append(names[:n-1:n-1], ""), `\`)
	}
	return out
}

// DirFor is the directory as a file with so long a name in it needs it.
func (p Path) DirFor(name int) string {
	if strings.HasPrefix(p.Dir, `\\?\`) || isForeign(p.Dir) || len(utf16.Encode([]rune(p.Dir)))+name < maxPath {
		return p.Dir
	}
	root, names := split(p.Dir)
	return long(root) + strings.Join(names, `\`)
}

// IsAbs reports whether a path has a drive, is a UNC path or, for other systems,
// begins with a slash. One that begins with a backslash lacks the drive.
func IsAbs(p string) bool {
	if isForeign(p) {
		return true
	}
	p = strings.ReplaceAll(p, "/", `\`)
	return strings.HasPrefix(p, `\\`) || len(p) > 2 && p[1] == ':' && isLetter(p[0]) && p[2] == '\\'
}

func isForeign(p string) bool { return strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "//") }

func foreign(dir, p string) Path {
	if !strings.HasPrefix(p, "/") {
		p = strings.TrimRight(dir, "/") + "/" + p
	}
	p = strings.TrimRight(p, "/")
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return Path{Full: "/"}
	}
	return Path{Full: p, Dir: p[:i+1], Base: p[i+1:]}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func volume(p string) string {
	if len(p) >= 2 && p[1] == ':' {
		return p[:2]
	}
	return ""
}

// split takes the root, with a separator at its end, off a path.
func split(p string) (root string, names []string) {
	lead := ""
	if rest, ok := strings.CutPrefix(p, `\\?\UNC\`); ok {
		lead, p = `\\`, `\\`+rest
	} else if rest, ok := strings.CutPrefix(p, `\\?\`); ok {
		p = rest
	}
	if rest, ok := strings.CutPrefix(p, `\\`); ok {
		lead = `\\`
		parts := strings.SplitN(rest, `\`, 3)
		root = lead + strings.Join(parts[:min(2, len(parts))], `\`) + `\`
		if len(parts) == 3 {
			names = strings.Split(parts[2], `\`)
		}
		return root, names
	}
	if v := volume(p); v != "" {
		return v + `\`, strings.Split(strings.TrimPrefix(p[2:], `\`), `\`)
	}
	return "", strings.Split(p, `\`)
}

// clean resolves "." and ".." and drops empty names. A literal path has none of
// these.
func clean(names []string, literal bool) []string {
	var out []string
	for _, n := range names {
		switch {
		case n == "":
		case literal:
			out = append(out, n)
		case n == ".":
		case n == "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, n)
		}
	}
	return out
}

// needsLiteral reports whether a name would be changed, or taken for a device,
// without \\?\.
func needsLiteral(names []string) bool {
	for _, n := range names {
		if last := n[len(n)-1]; last == '.' || last == ' ' {
			return true
		}
		stem, _, _ := strings.Cut(n, ".")
		if isDevice(strings.ToUpper(strings.TrimRight(stem, " "))) {
			return true
		}
	}
	return false
}

func isDevice(name string) bool {
	switch name {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if len(name) < 4 || name[:3] != "COM" && name[:3] != "LPT" {
		return false
	}
	switch name[3:] {
	case "¹", "²", "³":
		return true
	}
	return len(name) == 4 && name[3] >= '0' && name[3] <= '9'
}

// long puts \\?\ in front of a root.
func long(root string) string {
	if rest, ok := strings.CutPrefix(root, `\\`); ok {
		return `\\?\UNC\` + rest
	}
	if root == "" {
		return ""
	}
	return `\\?\` + root
}

func driveRoot(root string) string {
	if len(root) == 3 && root[1] == ':' {
		return root
	}
	return ""
}

// Plain takes \\?\ off a path, for people.
func Plain(p string) string {
	if rest, ok := strings.CutPrefix(p, `\\?\UNC\`); ok {
		return `\\` + rest
	}
	return strings.TrimPrefix(p, `\\?\`)
}

// ValidName reports whether a file on Windows can have the name.
func ValidName(n string) bool {
	if n == "" || n == "." || n == ".." || strings.ContainsAny(n, "<>:\"/\\|?*") {
		return false
	}
	return !strings.ContainsFunc(n, func(r rune) bool { return r < 0x20 })
}
