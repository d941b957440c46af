package winrm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A source is what is uploaded.
type source struct {
	r        io.Reader
	at       io.ReaderAt // nil if what the host has of it cannot be used
	rewound  func() bool // reads r from its beginning again; nil if that cannot be done
	pipe     *pipeSource // of r if it can be read once, and that is to be enough
	close    func()
	size     int64 // -1 when not known
	modified time.Time
	readOnly bool
	opt      *CopyOptions
	progress *progress

	begun    bool        // the host has something of it
	part     string      // what an attempt in one go may have left on the host
	verified func(int64) // told how much of it the host is found to have
	sent     *CopyResult // what is to come of it; nil before its end was sent
}

func openSource(src string, opt *CopyOptions) (*source, error) {
	if opt == nil {
		opt = &CopyOptions{}
	}
	s := &source{r: opt.Source, size: -1, close: func() {}}
	if s.r == nil {
		f, err := os.Open(src)
		if err != nil {
			return nil, fmt.Errorf("winrm: upload: %w", err)
		}
		s.r, s.close = f, func() { _ = f.Close() }
	}
	f, ok := s.r.(interface{ Stat() (os.FileInfo, error) })
	if !ok {
		if err := s.measure(); err != nil {
			return nil, fmt.Errorf("winrm: upload: %w", err)
		}
	} else {
		info, err := f.Stat()
		switch {
		case err != nil:
		case info.IsDir():
			s.close()
			return nil, fmt.Errorf("winrm: upload: %w", &os.PathError{Op: "read", Path: src, Err: errors.New("is a directory")})
		case info.Mode().IsRegular():
			s.size = info.Size()
			s.at, _ = s.r.(io.ReaderAt)
			s.rest()
			if !opt.NoTimes && opt.Source == nil {
				s.modified, s.readOnly = info.ModTime(), info.Mode().Perm()&0o200 == 0
			}
		}
	}
	s.prepare(src, opt)
	return s, nil
}

// measure finds the size of what is no file but can be read at any offset.
func (s *source) measure() error {
	seeker, ok := s.r.(io.ReadSeeker)
	if !ok {
		return nil
	}
	at, ok := s.r.(io.ReaderAt)
	if !ok {
		at = &seekReader{r: seeker, pos: -1}
	}
	off, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil //nolint:nilerr // it can be read from its beginning to its end
	}
	end, err := seeker.Seek(0, io.SeekEnd)
	if err == nil {
		s.at, s.size = at, end
	}
	if _, err := seeker.Seek(off, io.SeekStart); err != nil {
		return err
	}
	s.rest()
	return nil
}

// A seekReader reads at any offset what can seek.
type seekReader struct {
	mu  sync.Mutex
	r   io.ReadSeeker
	pos int64 // -1 when it is not known
}

func (s *seekReader) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pos != off {
		s.pos = -1
		if _, err := s.r.Seek(off, io.SeekStart); err != nil {
			return 0, err
		}
		s.pos = off
	}
	n, err := io.ReadFull(s.r, p)
	s.pos += int64(n)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// rest leaves out what somebody has read before.
func (s *source) rest() {
	seeker, ok := s.r.(io.Seeker)
	if !ok {
		s.at, s.size = nil, -1
		return
	}
	off, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		s.at, s.size = nil, -1
		return
	}
	s.rewound = func() bool {
		_, err := seeker.Seek(off, io.SeekStart)
		return err == nil
	}
	if off > 0 {
		s.size = max(s.size-off, 0)
		if s.at != nil {
			s.at = io.NewSectionReader(s.at, off, s.size)
		}
	}
}

func (s *source) prepare(name string, opt *CopyOptions) {
	if s.size <= smallFile {
		s.at = nil
	}
	s.opt = opt
	if s.progress == nil {
		s.progress = newProgress(name, s.size, opt.Progress)
	}
	if s.rewound == nil && s.at == nil && opt.retries() > 0 {
		s.pipe = newPipeSource(s.r)
	}
}

// rewind makes ready for another attempt, and reports false when what was read of the
// source is not to be had again.
func (s *source) rewind() bool {
	return s.at != nil || s.pipe != nil || s.rewound != nil && s.rewound()
}
