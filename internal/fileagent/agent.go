package fileagent

import (
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Script is the agent. It runs until its standard input ends.
//
//go:embed agent.ps1
var Script string

// Limits of the protocol.
const (
	// PieceSize is the most content in a frame, and what it unpacks to. With
	// everything around it, a piece fits into one message of the default size.
	PieceSize = 3 * BlockSize
	// BlockSize is what S has the hashes of, and the most content in a frame
	// from the agent: what was cut off in the middle of a frame is lost.
	BlockSize = 120 << 10
	// PieceHead is the size of what comes before the content in W and V.
	PieceHead = 16
	// MaxFrame is the size of the largest frame from the client.
	MaxFrame = PieceHead + PieceSize
	MaxReply = 8 << 20
)

// A Kind is the first byte of a frame.
type Kind byte

// The kinds of frames.
const (
	Query    Kind = 'Q'
	Data     Kind = 'D'
	Deflated Kind = 'Z'
	Piece    Kind = 'W'
	Packed   Kind = 'V'
	GiveUp   Kind = 'T'
	End      Kind = 'E'
	Sums     Kind = 'S'
	Part     Kind = 'L'
	Reply    Kind = 'R'
	Failure  Kind = 'X'
)

// An Op is what a request asks for.
type Op string

// The requests.
const (
	OpHello  Op = "hello"
	OpStat   Op = "stat"
	OpList   Op = "list"
	OpRead   Op = "read"
	OpSum    Op = "sum"
	OpWrite  Op = "write"
	OpJoin   Op = "join"
	OpMkdir  Op = "mkdir"
	OpRemove Op = "remove"
)

// A Request is the content of Q.
type Request struct {
	Op   Op     `json:"op"`
	Path string `json:"p,omitempty"`

	Recursive bool `json:"r,omitempty"` // mkdir: parents too; remove: content too; write: in pieces, to be taken up again

	// Of read and sum.
	Offset   int64 `json:"o,omitempty"`
	Count    int64 `json:"c,omitempty"` // read: -1 to the end, wherever that is by then; sum: from the beginning
	Blocks   bool  `json:"b,omitempty"` // sum: of each block of the first Count bytes, instead of all together
	NoHash   bool  `json:"n,omitempty"`
	Compress bool  `json:"z,omitempty"`

	// Of write, and the first three of join; Dir also of mkdir.
	Dir      string `json:"d,omitempty"` // with a separator at its end
	Key      string `json:"k,omitempty"` // begins the name of the part file
	Unique   string `json:"u,omitempty"` // ends it
	Volume   string `json:"v,omitempty"` // whose free space to look at
	Size     int64  `json:"s"`           // -1 when not known
	Modified int64  `json:"m,omitempty"` // ticks
	ReadOnly bool   `json:"a,omitempty"`
	Anew     bool   `json:"x,omitempty"` // does not take up what an earlier upload has left
}

// An Entry is a file or directory.
type Entry struct {
	Name       string `json:"n"`
	Size       int64  `json:"s"`
	Modified   int64  `json:"t"` // ticks
	Attributes uint32 `json:"a"`
}

// Attributes of files. See [MS-FSCC] section 2.6.
const (
	AttrReadOnly  = 0x1
	AttrHidden    = 0x2
	AttrSystem    = 0x4
	AttrDirectory = 0x10
	AttrArchive   = 0x20
	AttrReparse   = 0x400
)

// An Answer is the content of L and R.
type Answer struct {
	Entry
	Entries []Entry `json:"e,omitempty"`
	Offset  int64   `json:"o"`           // write: size of the part file
	Hash    string  `json:"h,omitempty"` // read: of what was read; sum
	Info    *Entry  `json:"i,omitempty"` // read, sum

	Version    int    `json:"v,omitempty"` // hello
	PowerShell string `json:"ps,omitempty"`
	Dir        string `json:"d,omitempty"`
}

// An Error is the content of X.
type Error struct {
	Code    int32  `json:"c"` // HRESULT
	Message string `json:"m"`
	Type    string `json:"y"` // of the exception
}

// Ticks of .NET are 100 ns since the year 1.
const (
	TickSeconds = 10_000_000
	EpochTicks  = 621_355_968_000_000_000 // 1970
)

// AppendFrame appends a frame to b.
func AppendFrame(b []byte, k Kind, content []byte) []byte {
	b = append(b, byte(k))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	return append(b, content...)
}

// AppendPiece appends a frame W or V: content that belongs at an offset, known as in
// the package comment.
func AppendPiece(b []byte, k Kind, offset, known int64, content []byte) []byte {
	b = append(b, byte(k))
	b = binary.LittleEndian.AppendUint32(b, uint32(PieceHead+len(content)))
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(known))
	return append(b, content...)
}

// ParsePiece takes the content of W or V apart.
func ParsePiece(frame []byte) (offset, known int64, content []byte, ok bool) {
	if len(frame) < PieceHead {
		return 0, 0, nil, false
	}
	offset, known = int64(binary.LittleEndian.Uint64(frame)), int64(binary.LittleEndian.Uint64(frame[8:]))
	return offset, known, frame[PieceHead:], offset >= 0 && known >= 0
}

// AppendJSON appends a frame with a value as JSON.
func AppendJSON(b []byte, k Kind, v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return b, err
	}
	return AppendFrame(b, k, raw), nil
}

// A FrameError is a frame that breaks the rules of the protocol.
type FrameError struct {
	Kind   Kind
	Length uint32
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("fileagent: frame of kind %q with %d bytes", byte(e.Kind), e.Length)
}

// A Reader reads frames.
type Reader struct {
	r     io.Reader
	limit uint32
	buf   []byte
}

// NewReader returns a Reader for frames up to a limit.
func NewReader(r io.Reader, limit int) *Reader { return &Reader{r: r, limit: uint32(limit)} }

// Next reads a frame. The content is valid until the next call. The error is
// io.EOF only between two frames.
func (r *Reader) Next() (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, err
	}
	k, n := Kind(head[0]), binary.LittleEndian.Uint32(head[1:])
	if n > r.limit {
		return 0, nil, &FrameError{Kind: k, Length: n}
	}
	switch k {
	case Query, Data, Deflated, Piece, Packed, GiveUp, End, Sums, Part, Reply, Failure:
	default:
		return 0, nil, &FrameError{Kind: k, Length: n}
	}
	if cap(r.buf) < int(n) {
		r.buf = make([]byte, min(int(n)*5/4+64, int(r.limit)))
	}
	content := r.buf[:n]
	if _, err := io.ReadFull(r.r, content); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return k, content, nil
}
