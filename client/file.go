package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"
)

// How the file changes:
//
//	lock     one process at a time, on Path.lock: the file itself is replaced
//	load     what is there; what cannot be believed counts as nothing
//	replace  a new file beside it, readable by its owner only, then one rename
//
// A reader takes no lock: it finds the file as it was before or as it is after.

// maxFile is the size up to which a file is read: some sessions, and no more.
const maxFile = 1 << 20

// File keeps sessions in a file that only its owner can read, as a JSON object of
// keys and values. It is safe for concurrent use, also by several processes on
// one machine; on a network file system it is as safe as locks are there.
//
// A file that is damaged, or that others own or may read or write, is not believed:
// Get returns an error, Set and Remove put a new one in its place. On Windows the
// access rights are those of the directory, which for UserFile is the user's own.
//
// Beside the file stays an empty one for the lock, with the suffix ".lock".
type File struct {
	// Path is the name of the file. Its directory is created, for the owner
	// only, if it does not exist.
	Path string
}

var _ interface {
	Storage
	Swapper
} = (*File)(nil)

// UserFile returns a File in the user's configuration directory, see
// os.UserConfigDir: session.json in a directory with the name of the application.
func UserFile(application string) (*File, error) {
	if application == "" || application == "." || application != filepath.Base(application) || !filepath.IsLocal(application) {
		return nil, fmt.Errorf("client: %q is no name for a directory", application)
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, fmt.Errorf("client: find the configuration directory: %w", err)
	}
	return &File{Path: filepath.Join(dir, application, "session.json")}, nil
}

// Get returns the value of the key.
func (f *File) Get(ctx context.Context, key string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	values, err := f.load()
	return values[key], err
}

// Set keeps a value.
func (f *File) Set(ctx context.Context, key, value string) error {
	return f.change(ctx, func(values map[string]string) bool {
		values[key] = value
		return true
	})
}

// Remove removes a value.
func (f *File) Remove(ctx context.Context, key string) error {
	return f.change(ctx, func(values map[string]string) bool {
		delete(values, key)
		return true
	})
}

// CompareAndSwap puts value in the place of old.
func (f *File) CompareAndSwap(ctx context.Context, key, old, value string) (swapped bool, err error) {
	err = f.change(ctx, func(values map[string]string) bool {
		swapped = values[key] == old
		if value == "" {
			delete(values, key)
		} else {
			values[key] = value
		}
		return swapped
	})
	return swapped && err == nil, err
}

// errDoubtful reports a file whose content cannot be believed.
var errDoubtful = errors.New("sign in again, or remove the file")

// load returns what is in the file.
func (f *File) load() (map[string]string, error) {
	file, err := os.OpenFile(f.Path, openFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("client: read the session file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("client: read the session file: %w", err)
	}
	// Fails closed: who can write to the file could make the user work in a
	// session of somebody else.
	if !info.Mode().IsRegular() || !isPrivate(info) {
		return nil, fmt.Errorf("client: session file %s is not private (mode %v, or its owner): %w", f.Path, info.Mode(), errDoubtful)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("client: read the session file: %w", err)
	}
	values, ok := parseFile(data)
	if !ok {
		return nil, fmt.Errorf("client: session file %s is damaged: %w", f.Path, errDoubtful)
	}
	return values, nil
}

// parseFile returns the values in a file. The reason for which it cannot be read
// is dropped: it could quote the content.
func parseFile(data []byte) (map[string]string, bool) {
	if len(data) > maxFile {
		return nil, false
	}
	var values map[string]string
	if err := json.Unmarshal(data, &values); err != nil || values == nil {
		return nil, false
	}
	return values, true
}

// change changes the file while no other process does. If edit returns false, or
// changes nothing, the file stays as it is.
func (f *File) change(ctx context.Context, edit func(map[string]string) bool) error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
		return fmt.Errorf("client: write the session file: %w", err)
	}
	unlock, err := lockFile(ctx, f.Path+".lock")
	if err != nil {
		return fmt.Errorf("client: lock the session file: %w", err)
	}
	defer unlock()
	before, err := f.load()
	if err != nil && !errors.Is(err, errDoubtful) {
		return err
	}
	after := maps.Clone(before)
	if after == nil {
		after = make(map[string]string)
	}
	if !edit(after) || err == nil && maps.Equal(before, after) {
		return nil
	}
	return f.replace(after)
}

// replace puts a new file in the place of the old one. Whatever fails, one of the
// two is there, whole.
func (f *File) replace(values map[string]string) error {
	data, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("client: write the session file: %w", err)
	}
	// CreateTemp makes it readable by its owner only, whatever the umask.
	file, err := os.CreateTemp(filepath.Dir(f.Path), filepath.Base(f.Path)+".*.new")
	if err != nil {
		return fmt.Errorf("client: write the session file: %w", err)
	}
	_, err = file.Write(append(data, '\n'))
	// Without Sync a power cut can leave an empty file under the new name.
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), f.Path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("client: write the session file: %w", err)
	}
	return nil
}

// lockFile locks a file until unlock is called. The operating system takes the
// lock from a process that dies.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		locked, err := tryLock(file)
		if locked {
			return func() { _ = file.Close() }, nil // which gives up the lock
		}
		if err == nil {
			err = pause(ctx, lockPause)
		}
		if err != nil {
			_ = file.Close()
			return nil, err
		}
	}
}

// lockPause is the time between two tries: a change takes about as long.
const lockPause = 5 * time.Millisecond

// pause waits, unless the context ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
