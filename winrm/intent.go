package winrm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/hostscript"
)

// A CredSSPIntent is the note that a host is about to have its CredSSP switched
// on for a while. It holds no secret.
type CredSSPIntent struct {
	ID       string        `json:"id"`
	Endpoint string        `json:"endpoint"`
	Created  time.Time     `json:"created"`
	Lease    time.Duration `json:"lease"` // how long until the host helps itself

	// Running says that the program that made the note still runs. A store that
	// cannot tell leaves it false.
	Running bool `json:"-"`
}

// A CredSSPStore keeps the notes of [Client.WithCredSSP] where they outlive the
// process. [NewFileStore] makes one.
type CredSSPStore interface {
	// Put keeps a note. It is on stable storage when Put returns.
	Put(context.Context, CredSSPIntent) error
	// Delete removes a note; one that is not there is no error.
	Delete(ctx context.Context, id string) error
	// List returns all notes; with an error those that it could read.
	List(context.Context) ([]CredSSPIntent, error)
}

// A FileStore is a [CredSSPStore] in a folder: one file for each note. Several
// processes can share it. The process that made a note keeps its file locked, so
// that others see that it runs.
type FileStore struct {
	dir string

	mu   sync.Mutex
	held map[string]*os.File
}

var _ CredSSPStore = (*FileStore)(nil)

// NewFileStore returns the store in a folder, which is made if need be.
func NewFileStore(dir string) (*FileStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("winrm: store: %w", err)
	}
	return &FileStore{dir: dir, held: make(map[string]*os.File)}, nil
}

const (
	intentExt = ".json"
	lockExt   = ".lock"
)

func (s *FileStore) path(id, ext string) string { return filepath.Join(s.dir, "credssp-"+id+ext) }

// Put implements [CredSSPStore].
func (s *FileStore) Put(_ context.Context, in CredSSPIntent) error {
	if !hostscript.ValidID(in.ID) {
		return fmt.Errorf("winrm: store: %q is no id", in.ID)
	}
	data, err := json.Marshal(in)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[in.ID] == nil {
		lock, held, err := lockFile(s.path(in.ID, lockExt))
		if err != nil {
			return fmt.Errorf("winrm: store: %w", err)
		}
		if held {
			return fmt.Errorf("winrm: store: another process holds %s", in.ID)
		}
		s.held[in.ID] = lock
	}
	if err := writeDurably(s.path(in.ID, intentExt), data); err != nil {
		return fmt.Errorf("winrm: store: %w", err)
	}
	return nil
}

// writeDurably replaces a file so that after a crash, of the computer too, it is
// there whole or not at all.
func writeDurably(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Abandon keeps a note and lets go of it: nobody runs any more who will finish
// what it tells of. A [CredSSPStore] with this method is told so when the value
// could not be put back.
func (s *FileStore) Abandon(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	lock := s.held[id]
	delete(s.held, id)
	if lock == nil {
		return nil
	}
	return lock.Close()
}

// Delete implements [CredSSPStore].
func (s *FileStore) Delete(_ context.Context, id string) error {
	if !hostscript.ValidID(id) {
		return fmt.Errorf("winrm: store: %q is no id", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := os.Remove(s.path(id, intentExt))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if lock := s.held[id]; lock != nil {
		_ = lock.Close()
		delete(s.held, id)
	}
	if removeErr := os.Remove(s.path(id, lockExt)); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("winrm: store: %w", err)
	}
	return nil
}

// List implements [CredSSPStore].
func (s *FileStore) List(context.Context) ([]CredSSPIntent, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "credssp-*"+intentExt))
	if err != nil {
		return nil, err
	}
	var list []CredSSPIntent
	var bad error
	for _, name := range files {
		in, err := s.read(name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // finished in between
		case err != nil:
			bad = errors.Join(bad, fmt.Errorf("winrm: store: %w", err))
		default:
			list = append(list, in)
		}
	}
	return list, bad
}

func (s *FileStore) read(name string) (in CredSSPIntent, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return in, err
	}
	if err := json.Unmarshal(data, &in); err != nil || !hostscript.ValidID(in.ID) {
		return in, fmt.Errorf("%s is no note: %w", name, errors.Join(err, errNotValid(in.ID)))
	}
	in.Running, err = s.running(in.ID)
	return in, err
}

func errNotValid(id string) error {
	if hostscript.ValidID(id) {
		return nil
	}
	return fmt.Errorf("%q is no id", id)
}

// running reports whether the process that made a note still holds its lock.
func (s *FileStore) running(id string) (bool, error) {
	s.mu.Lock()
	mine := s.held[id] != nil
	s.mu.Unlock()
	if mine {
		return true, nil
	}
	lock, held, err := lockFile(s.path(id, lockExt))
	if err != nil || held {
		return held, err
	}
	return false, lock.Close()
}

// abandoned reports whether a note belongs to this endpoint and to nobody who
// runs.
func (in *CredSSPIntent) abandoned(endpoint string) bool {
	return !in.Running && strings.EqualFold(in.Endpoint, endpoint)
}
