package winrm

import (
	"io/fs"
	"iter"
	"sync"
)

// A tree is walked once, however often a connection is lost: what was sent and not
// confirmed is visited again before the walk goes on.
type tree struct {
	fsys fs.FS
	next func() (*treeItem, bool)
	stop func()

	mu   sync.Mutex
	open []*treeItem // visited and not confirmed
}

// A treeItem is a file or directory of a tree.
type treeItem struct {
	name  string
	entry fs.DirEntry
	err   error // of the walk

	// Of a file, from one attempt to the next.
	progress *progress
	begun    bool
	part     string
	sent     *CopyResult
	verified int64
}

func newTree(fsys fs.FS) *tree {
	t := &tree{fsys: fsys}
	t.next, t.stop = iter.Pull(func(yield func(*treeItem) bool) {
		_ = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
			if !yield(&treeItem{name: name, entry: d, err: err}) {
				return fs.SkipAll
			}
			return nil
		})
	})
	return t
}

// end ends the walk, and what is told of its files.
func (t *tree) end() {
	t.stop()
	for _, item := range t.open {
		if item.progress != nil {
			item.progress.end()
		}
	}
}

// walk calls visit for what is not confirmed and for all that follows, until it returns
// an error. fs.SkipAll is none.
func (t *tree) walk(visit func(*treeItem) error) error {
	t.mu.Lock()
	again := append([]*treeItem(nil), t.open...)
	t.mu.Unlock()
	for {
		var item *treeItem
		if len(again) > 0 {
			item, again = again[0], again[1:]
		} else {
			var ok bool
			if item, ok = t.next(); !ok {
				return nil
			}
			t.mu.Lock()
			t.open = append(t.open, item)
			t.mu.Unlock()
		}
		switch err := visit(item); err {
		case nil:
		case fs.SkipAll:
			return nil
		default:
			return err
		}
	}
}

// confirm is told that the host has an item.
func (t *tree) confirm(item *treeItem) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, open := range t.open {
		if open == item {
			t.open = append(t.open[:i], t.open[i+1:]...)
			return
		}
	}
}

// progress is that of the first file that is not confirmed, nil if there is none.
func (t *tree) progress() *progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, item := range t.open {
		if item.progress != nil {
			return item.progress
		}
	}
	return nil
}
