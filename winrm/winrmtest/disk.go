package winrmtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	"github.com/winrmkit/winrmkit/internal/fileagent"
)

// A Disk is a file system in memory with the manners of Windows: drives and
// shares, names without case, names that are not allowed, paths that are too
// long without \\?\, sharing violations, read-only files. The zero value is empty
// and ready to use; drives are there when they are named. It is safe for
// concurrent use.
type Disk struct {
	// Capacity is how many bytes of files fit, 0 for no limit.
	Capacity int64

	mu    sync.Mutex
	nodes map[string]*diskNode // by diskKey
	used  int64
}

// A diskNode is a file or directory. Its fields belong to the Disk's mutex.
type diskNode struct {
	name    string
	attrs   uint32
	time    time.Time
	blocks  [][]byte // of a file
	size    int64
	locked  bool // opened by somebody who does not share
	denied  bool
	writers int // agents of an upload that have it open
}

const blockSize = 256 << 10

// Codes of Windows, as HRESULTs.
const (
	errFileNotFound  diskError = 0x80070002
	errPathNotFound  diskError = 0x80070003
	errAccessDenied  diskError = 0x80070005
	errCRC           diskError = 0x80070017
	errSharing       diskError = 0x80070020
	errNotSupported  diskError = 0x80070032
	errDiskFull      diskError = 0x80070070
	errInvalidName   diskError = 0x8007007B
	errDirNotEmpty   diskError = 0x80070091
	errAlreadyExists diskError = 0x800700B7
	errTooLong       diskError = 0x800700CE
	errDirectoryName diskError = 0x8007010B
	errAborted       diskError = 0x800703E3
)

// A diskError is an HRESULT.
type diskError uint32

var diskTexts = map[diskError]string{
	errFileNotFound:  "Could not find the file.",
	errPathNotFound:  "Could not find a part of the path.",
	errAccessDenied:  "Access to the path is denied.",
	errCRC:           "The SHA-256 of what arrived is not that of what was sent.",
	errSharing:       "The process cannot access the file because it is being used by another process.",
	errNotSupported:  "This request is not known.",
	errDiskFull:      "There is not enough space on the disk.",
	errInvalidName:   "The filename, directory name, or volume label syntax is incorrect.",
	errDirNotEmpty:   "The directory is not empty.",
	errAlreadyExists: "It exists.",
	errTooLong:       "The specified path, file name, or both are too long.",
	errDirectoryName: "The directory name is invalid.",
	errAborted:       "The upload was given up.",
}

func (e diskError) Error() string { return fmt.Sprintf("%s (0x%08X)", diskTexts[e], uint32(e)) }

// diskKey checks a path and returns what it is known by. Without \\?\ Windows
// takes blanks and dots off the end of names, and no more than 259 characters.
func diskKey(p string) (string, error) {
	literal := strings.HasPrefix(p, `\\?\`)
	if literal {
		p = p[4:]
		if rest, ok := strings.CutPrefix(p, `UNC\`); ok {
			p = `\\` + rest
		}
	} else {
		p = strings.ReplaceAll(p, "/", `\`)
		if len(utf16.Encode([]rune(p))) > 259 {
			return "", errTooLong
		}
	}
	share := strings.HasPrefix(p, `\\`)
	names := strings.Split(strings.TrimRight(strings.TrimPrefix(p, `\\`), `\`), `\`)
	if !share && (len(names[0]) != 2 || names[0][1] != ':') {
		return "", errInvalidName // relative paths are resolved by the client
	}
	for i, n := range names {
		if !literal {
			n = strings.TrimRight(n, ". ")
		}
		if i > 0 || share {
			switch {
			case n == "" || strings.ContainsAny(n, "<>:\"/\\|?*") || strings.ContainsFunc(n, func(r rune) bool { return r < 0x20 }):
				return "", errInvalidName
			case len(utf16.Encode([]rune(n))) > 255:
				return "", errTooLong
			}
		}
		names[i] = strings.ToLower(n)
	}
	key := strings.Join(names, `\`)
	if share {
		key = `\\` + key
	}
	return key, nil
}

// isRoot reports whether a key is a drive or a share, which exist.
func isRoot(key string) bool {
	if rest, ok := strings.CutPrefix(key, `\\`); ok {
		return strings.Count(rest, `\`) <= 1
	}
	return len(key) == 2
}

func parentKey(key string) string { return key[:strings.LastIndexByte(key, '\\')] }

// baseName is the last name of a path as it was written.
func baseName(p string) string {
	p = strings.TrimRight(p, `\/`)
	return p[strings.LastIndexAny(p, `\/`)+1:]
}

// lookup returns the node of a key; the mutex is held.
func (d *Disk) lookup(key string) (*diskNode, error) {
	if n := d.nodes[key]; n != nil {
		return n, nil
	}
	if isRoot(key) {
		return d.add(key, key, fileagent.AttrDirectory), nil
	}
	if _, err := d.directory(parentKey(key)); err != nil {
		return nil, err
	}
	return nil, errFileNotFound
}

// directory is lookup of what has to be a directory.
func (d *Disk) directory(key string) (*diskNode, error) {
	if n := d.nodes[key]; n != nil && n.isDir() || isRoot(key) {
		return n, nil
	}
	return nil, errPathNotFound
}

func (d *Disk) add(key, name string, attrs uint32) *diskNode {
	if d.nodes == nil {
		d.nodes = make(map[string]*diskNode)
	}
	n := &diskNode{name: name, attrs: attrs, time: time.Now()}
	d.nodes[key] = n
	return n
}

func (n *diskNode) isDir() bool { return n.attrs&fileagent.AttrDirectory != 0 }

// children returns the keys of a directory's content; the mutex is held.
func (d *Disk) children(key string) []string {
	var keys []string
	for k := range d.nodes {
		if rest, ok := strings.CutPrefix(k, key+`\`); ok && !strings.Contains(rest, `\`) && !isRoot(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// readAt and writeAt are those of a file that is open; the node may have been
// renamed or removed meanwhile.
func (d *Disk) readAt(n *diskNode, p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off >= n.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), n.size-off)]
	done := 0
	for done < len(p) {
		at := off + int64(done)
		done += copy(p[done:], n.blocks[at/blockSize][at%blockSize:])
	}
	return done, nil
}

func (d *Disk) writeAt(n *diskNode, p []byte, off int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if end := off + int64(len(p)); end > n.size {
		if d.Capacity > 0 && d.used+end-n.size > d.Capacity {
			return errDiskFull
		}
		d.resize(n, end)
	}
	for len(p) > 0 {
		c := copy(n.blocks[off/blockSize][off%blockSize:], p)
		p, off = p[c:], off+int64(c)
	}
	n.time = time.Now()
	return nil
}

// resize sets the size of a file; the mutex is held.
func (d *Disk) resize(n *diskNode, size int64) {
	d.used += size - n.size
	for int64(len(n.blocks))*blockSize < size {
		n.blocks = append(n.blocks, make([]byte, blockSize))
	}
	n.blocks = n.blocks[:(size+blockSize-1)/blockSize]
	if size < n.size && size%blockSize > 0 {
		clear(n.blocks[size/blockSize][size%blockSize:])
	}
	n.size = size
}

// WriteFile puts a file on the disk, with the directories above it.
func (d *Disk) WriteFile(path string, data []byte) error {
	key, err := diskKey(path)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.makeParents(key, path)
	n := d.nodes[key]
	if n == nil {
		n = d.add(key, baseName(path), fileagent.AttrArchive)
	}
	d.resize(n, 0)
	d.mu.Unlock()
	return d.writeAt(n, data, 0)
}

// makeParents makes the directories above a path; the mutex is held.
func (d *Disk) makeParents(key, path string) {
	for !isRoot(key) {
		key = parentKey(key)
		path = path[:strings.LastIndexAny(strings.TrimRight(path, `\/`), `\/`)]
		if d.nodes[key] == nil {
			d.add(key, baseName(path), fileagent.AttrDirectory)
		}
	}
}

// ReadFile returns the content of a file.
func (d *Disk) ReadFile(path string) ([]byte, error) {
	key, err := diskKey(path)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	n, err := d.lookup(key)
	if err == nil && n.isDir() {
		err = errAccessDenied
	}
	if err != nil {
		d.mu.Unlock()
		return nil, err
	}
	data := make([]byte, n.size)
	d.mu.Unlock()
	_, err = d.readAt(n, data, 0)
	if err == io.EOF {
		err = nil
	}
	return data, err
}

// Files returns the paths of all files, in lower case and sorted.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, k := range slices.Sorted(maps.Keys(d.nodes)) {
		if !d.nodes[k].isDir() {
			out = append(out, k)
		}
	}
	return out
}

// Lock opens a file as a program does that shares it with nobody, and returns
// what closes it.
func (d *Disk) Lock(path string) (unlock func(), err error) {
	return d.mark(path, func(n *diskNode, on bool) { n.locked = on })
}

// Deny refuses access to a file or directory, and returns what ends that.
func (d *Disk) Deny(path string) (allow func(), err error) {
	return d.mark(path, func(n *diskNode, on bool) { n.denied = on })
}

func (d *Disk) mark(path string, set func(*diskNode, bool)) (func(), error) {
	key, err := diskKey(path)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.lookup(key)
	if err != nil {
		return nil, err
	}
	set(n, true)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		set(n, false)
	}, nil
}
