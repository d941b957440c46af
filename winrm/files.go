package winrm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

// Errors that a [*FileError] matches, besides fs.ErrNotExist, fs.ErrPermission
// and fs.ErrExist. A path of more than 247 characters, and a name such as "con" or
// one with a dot at its end, is ErrInvalidName on hosts older than Windows
// PowerShell 5.1 and .NET Framework 4.6.2.
var (
	ErrDiskFull    = errors.New("winrm: the disk of the host is full")
	ErrInUse       = errors.New("winrm: the file is in use on the host")
	ErrChecksum    = errors.New("winrm: what arrived is not what was sent")
	ErrInvalidName = errors.New("winrm: Windows does not allow this file name")
)

// A FileError is something that Windows did not do with a file. It matches
// fs.ErrNotExist, fs.ErrPermission, fs.ErrExist, [ErrDiskFull], [ErrInUse],
// [ErrChecksum] and [ErrInvalidName].
type FileError struct {
	Op      string // such as "upload" or "stat"
	Path    string // on the host
	Code    uint32 // HRESULT
	Message string // of the host, in its language
	Type    string // of the exception
}

func (e *FileError) Error() string {
	return fmt.Sprintf("winrm: %s %s: %s (0x%08X)", e.Op, e.Path, e.Message, e.Code)
}

// codeClasses are HRESULTs by what they mean to a program.
var codeClasses = map[uint32]error{
	0x80070002: fs.ErrNotExist,   // ERROR_FILE_NOT_FOUND
	0x80070003: fs.ErrNotExist,   // ERROR_PATH_NOT_FOUND
	0x8007000F: fs.ErrNotExist,   // ERROR_INVALID_DRIVE
	0x80070035: fs.ErrNotExist,   // ERROR_BAD_NETPATH
	0x80070043: fs.ErrNotExist,   // ERROR_BAD_NET_NAME
	0x80070005: fs.ErrPermission, // ERROR_ACCESS_DENIED
	0x80070013: fs.ErrPermission, // ERROR_WRITE_PROTECT
	0x80070050: fs.ErrExist,      // ERROR_FILE_EXISTS
	0x800700B7: fs.ErrExist,      // ERROR_ALREADY_EXISTS
	0x80070017: ErrChecksum,      // ERROR_CRC
	0x80070020: ErrInUse,         // ERROR_SHARING_VIOLATION
	0x80070021: ErrInUse,         // ERROR_LOCK_VIOLATION
	0x80070497: ErrInUse,         // ERROR_UNABLE_TO_REMOVE_REPLACED
	0x800704C8: ErrInUse,         // ERROR_USER_MAPPED_FILE
	0x80070027: ErrDiskFull,      // ERROR_HANDLE_DISK_FULL
	0x80070070: ErrDiskFull,      // ERROR_DISK_FULL
	0x8007050F: ErrDiskFull,      // ERROR_DISK_QUOTA_EXCEEDED
	0x8007007B: ErrInvalidName,   // ERROR_INVALID_NAME
	0x800700CE: ErrInvalidName,   // ERROR_FILENAME_EXCED_RANGE
}

// nameTypes are exceptions that .NET Framework throws for the sake of a path, before
// Windows has seen it.
var nameTypes = map[string]bool{"System.ArgumentException": true, "System.NotSupportedException": true}

// Is reports whether the code is of the class of target.
func (e *FileError) Is(target error) bool {
	class, ok := codeClasses[e.Code]
	if !ok && nameTypes[e.Type] {
		class, ok = ErrInvalidName, true
	}
	return ok && class == target
}

// CopyOptions say how files are copied. The zero value, and nil, copy with
// everything that can be kept.
type CopyOptions struct {
	// Source is read by Upload in place of a file of this computer, such as
	// os.Stdin; a file from where it stands.
	Source io.Reader
	// Target is written by Download in place of a file of this computer, such as
	// os.Stdout. What it gets is verified when it has got it all.
	Target io.Writer

	// NoResume begins anew although an interrupted copy has left something.
	NoResume bool
	// NoTimes leaves the time of modification and the read-only attribute as
	// they come with a new file.
	NoTimes bool
	// NoCompression sends everything as it is. Otherwise pieces that become
	// smaller go compressed.
	NoCompression bool

	// Streams is over how many streams at once a large file goes, each with a shell
	// and a connection of its own: what a link with a long delay carries grows with
	// their number. 0 is DefaultStreams, 1 is one. It is bounded by the Client's
	// MaxConns and MaxShells, less one, and by the shells that the host allows.
	Streams int

	// Retries is how many times in a row a copy that has lost its connection is taken
	// up again without coming further: because an answer was lost, dialling fails, or
	// the shell went with the service or the host that is restarted. Bytes that the
	// other side is then found to have, by their hashes, set the count back. Before
	// the first retry there is a pause of a quarter of a second, four times as long
	// before each further one, up to half a minute. 0 is DefaultRetries, which takes
	// about a minute beside what the attempts take; a host needs more to restart, such
	// as 20 for about ten minutes. Negative is none.
	//
	// What is refused is not tried again: a logon, access, a full disk, a quota, a
	// wrong hash, a file in use. Nor is a host that this Client has not reached yet.
	// Of a Source that cannot be read again, such as a pipe, the last 6 MB are held: if
	// the host has lost more of what it had taken, the upload ends with an
	// [*InputLostError]. The error of a copy that is given up is a
	// [*CopyRetriesError].
	Retries int

	// Progress, if not nil, is told about ten times a second how far the copy is,
	// when it has lost its connection, and once at the end of each file. It is called
	// by one goroutine at a time and not after the copy has returned. The copy waits
	// for it.
	Progress func(CopyProgress)
}

// DefaultStreams is CopyOptions.Streams when that is zero.
const DefaultStreams = 4

// CopyProgress is how far a copy is.
type CopyProgress struct {
	Path    string  // of the file, as it was given
	Bytes   int64   // of its content that are done, those of an earlier copy included
	Total   int64   // -1 when it is not known
	Resumed int64   // bytes that an earlier copy had done
	Rate    float64 // bytes a second of this copy
	Done    bool    // the file is complete and verified

	// While a copy is without a connection, Retry is which retry follows and Lost is
	// what happened. Bytes never becomes less: what was on its way is not counted
	// again. When the copy goes on, they are 0 and nil.
	Retry int
	Lost  error
}

// A CopyResult is a file that was copied and verified.
type CopyResult struct {
	Size    int64
	Resumed int64 // bytes that an earlier copy had done
	SHA256  [32]byte
}

// fileInfo is an entry of a directory of the host.
type fileInfo struct{ e fileagent.Entry }

var (
	_ fs.FileInfo = fileInfo{}
	_ fs.DirEntry = fileInfo{}
)

func (i fileInfo) Name() string               { return i.e.Name }
func (i fileInfo) Size() int64                { return i.e.Size }
func (i fileInfo) IsDir() bool                { return i.Mode().IsDir() }
func (i fileInfo) Type() fs.FileMode          { return i.Mode().Type() }
func (i fileInfo) Info() (fs.FileInfo, error) { return i, nil }
func (i fileInfo) ModTime() time.Time         { return fromTicks(i.e.Modified) }
func (i fileInfo) String() string             { return fs.FormatFileInfo(i) }

// Sys returns the attributes of Windows, a uint32.
func (i fileInfo) Sys() any { return i.e.Attributes }

// Mode is made of the attributes. A directory that leads elsewhere (a junction, a
// symbolic link, a mount point) is irregular and no directory, so that walks end.
func (i fileInfo) Mode() fs.FileMode {
	mode := fs.FileMode(0o666)
	if i.e.Attributes&fileagent.AttrReadOnly != 0 {
		mode = 0o444
	}
	switch a := i.e.Attributes; {
	case a&fileagent.AttrDirectory != 0 && a&fileagent.AttrReparse != 0:
		mode |= fs.ModeIrregular
	case a&fileagent.AttrDirectory != 0:
		mode |= fs.ModeDir | 0o111
	}
	return mode
}

func ticks(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()*fileagent.TickSeconds + int64(t.Nanosecond()/100) + fileagent.EpochTicks
}

func fromTicks(n int64) time.Time {
	n -= fileagent.EpochTicks
	return time.Unix(n/fileagent.TickSeconds, n%fileagent.TickSeconds*100)
}

// Stat returns what the host knows of a file or directory. Relative paths begin
// in the user's profile, here and in all that follows.
func (c *Client) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	a, err := c.simple(ctx, "stat", name, fileagent.Request{Op: fileagent.OpStat})
	if err != nil {
		return nil, err
	}
	return fileInfo{a.Entry}, nil
}

// Mkdir makes a directory on the host. The one above it has to exist.
func (c *Client) Mkdir(ctx context.Context, name string) error {
	_, err := c.simple(ctx, "mkdir", name, fileagent.Request{Op: fileagent.OpMkdir})
	return err
}

// MkdirAll makes a directory on the host with those above it. It is no error if
// they exist.
func (c *Client) MkdirAll(ctx context.Context, name string) error {
	_, err := c.simple(ctx, "mkdir", name, fileagent.Request{Op: fileagent.OpMkdir, Recursive: true})
	return err
}

// Remove removes a file, also one that is read-only, or an empty directory of the
// host.
func (c *Client) Remove(ctx context.Context, name string) error {
	_, err := c.simple(ctx, "remove", name, fileagent.Request{Op: fileagent.OpRemove})
	return err
}

// RemoveAll removes a file or a directory of the host with all that it contains,
// read-only or not. It is no error if there is none.
func (c *Client) RemoveAll(ctx context.Context, name string) error {
	_, err := c.simple(ctx, "remove", name, fileagent.Request{Op: fileagent.OpRemove, Recursive: true})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// simple is a request with one reply.
func (c *Client) simple(ctx context.Context, op, name string, q fileagent.Request) (fileagent.Answer, error) {
	var answer fileagent.Answer
	err := c.withAgent(ctx, name, func(a *fileAgent, p winpath.Path) error {
		q.Path, q.Dir = p.Full, p.Dir
		if err := a.query(&q); err != nil {
			return err
		}
		_, content, err := a.next(op, p.Full)
		if err != nil {
			return err
		}
		return a.answer(content, &answer)
	})
	return answer, err
}

// base is the last name of a path of this computer or of a host.
func base(p string) string {
	if i := len(p) - 1; i >= 0 && (p[i] == '/' || p[i] == '\\') {
		return ""
	}
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] == '/' || p[i] == '\\' || p[i] == ':' {
			return p[i+1:]
		}
	}
	return path.Base(p)
}
