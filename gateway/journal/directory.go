package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
)

const (
	lockName      = "lock"
	segmentSuffix = ".seg"
	newPrefix     = ".new-"
	gonePrefix    = ".gone-"

	// halfMadeAge is how old a directory without a final name must be to be swept:
	// long after any Open or Remove that may be at work on it.
	halfMadeAge = time.Hour
	// maxEntries bounds what is read of any one directory.
	maxEntries = 1 << 16
)

func segmentName(number uint64) string { return fmt.Sprintf("%08d%s", number, segmentSuffix) }

// segmentNumber reads a segment's file name; false for any other file.
func segmentNumber(name string) (uint64, bool) {
	digits, found := strings.CutSuffix(name, segmentSuffix)
	if !found {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && segmentName(n) == name
}

// list returns the names in a directory, in no order.
func list(path string) ([]string, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) { // io.EOF: it is empty
		return nil, err
	}
	if len(names) == maxEntries {
		return nil, fmt.Errorf("directory %s holds over %d entries", path, maxEntries)
	}
	return names, nil
}

// segmentNumbers returns the numbers of a directory's segments, ascending.
func segmentNumbers(path string) ([]uint64, error) {
	names, err := list(path)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, name := range names {
		if n, ok := segmentNumber(name); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// lockDirectory takes a directory's lock without waiting. The lock lives as long
// as the returned file is open, and dies with the process.
func lockDirectory(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, syscall.LOCK_EX); err != nil {
		_ = f.Close() // not ours: nothing to flush
		return nil, err
	}
	// Between our open and our lock the owner may have removed the directory: then
	// what we locked is a file nobody else will ever see.
	held, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(f.Name()); err == nil && !os.SameFile(held, there) {
			err = ErrLocked
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// flock locks f as asked, without waiting; ErrLocked when somebody else has it.
func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		default:
			return fmt.Errorf("flock %s: %w", f.Name(), err)
		}
	}
}

// locked says whether a live process owns a directory. It asks with a shared
// lock, so that two who ask do not take each other for the owner.
func locked(path string) (bool, error) {
	f, err := os.Open(filepath.Join(path, lockName))
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = flock(f, syscall.LOCK_SH)
	if errors.Is(err, ErrLocked) {
		return true, nil
	}
	return false, err
}

// removeDirectory deletes a replica's directory. The rename makes it vanish
// whole; what a crash leaves after it is swept by a later Open.
func removeDirectory(path string) error {
	root, name := filepath.Split(path)
	gone := filepath.Join(root, gonePrefix+name)
	if err := os.Rename(path, gone); err != nil {
		return fmt.Errorf("remove journal: %w", err)
	}
	if err := syncDirectory(filepath.Clean(root)); err != nil {
		return fmt.Errorf("remove journal: %w", err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove journal: %w", err)
	}
	return nil
}

// sweep deletes directories that were left half made or half removed.
func sweep(root string, now time.Time) error {
	names, err := list(root)
	if err != nil {
		return fmt.Errorf("read journal root: %w", err)
	}
	for _, name := range names {
		rest, half := strings.CutPrefix(name, newPrefix)
		if !half {
			rest, half = strings.CutPrefix(name, gonePrefix)
		}
		if !half || uuid.Validate(rest) != nil {
			continue
		}
		path := filepath.Join(root, name)
		at, err := os.Stat(path)
		if err != nil || now.Sub(at.ModTime()) < halfMadeAge {
			continue // another replica may be sweeping, or still at work
		}
		if owned, err := locked(path); owned || err != nil && !errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("sweep journal root: %w", err)
		}
	}
	return nil
}

// Orphans returns the names of directories under root that no live process
// owns, in order. Directories in the making or on their way out are not whole
// journals and are left out. A root that does not exist has none.
func Orphans(root string) ([]string, error) {
	names, err := list(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal root: %w", err)
	}
	var orphans []string
	for _, name := range names {
		if !replicaName(name) {
			continue
		}
		owned, err := locked(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed while we looked, or never a journal
		}
		if err != nil {
			return nil, fmt.Errorf("look at journal %s: %w", name, err)
		}
		if !owned {
			orphans = append(orphans, name)
		}
	}
	slices.Sort(orphans)
	return orphans, nil
}

// replicaName says whether a directory's name is a replica's: exactly the form
// Open gives, so that no path can hide in it.
func replicaName(name string) bool {
	id, err := uuid.Parse(name)
	return err == nil && id.String() == name
}
