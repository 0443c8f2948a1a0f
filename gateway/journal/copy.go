package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxCopies bounds how often a copy begins anew because its owner released what it was
// about to read.
const maxCopies = 20

// Copy reads the journal in the directory path for a backup, also while its owner writes:
// each segment from the oldest on, as many bytes of it as hold whole records. It changes
// nothing. What the owner released meanwhile is in the ledger. With a *CorruptError what
// came before it has been copied.
func Copy(path string, keys [][]byte, segment func(name string, bytes int64, content io.Reader) error) (Inspection, error) {
	for range maxCopies {
		in, err := Inspect(path, keys, nil)
		var broken *CorruptError
		if err != nil && !errors.As(err, &broken) {
			return in, err
		}
		// All are opened before any is read: an open file stays when its name goes.
		files, gone := openSegments(path, in.Segments)
		if gone == nil {
			err = errors.Join(err, copySegments(files, in.Segments, segment))
		}
		for _, f := range files {
			_ = f.Close() // was only read
		}
		if gone == nil {
			return in, err
		}
		if !errors.Is(gone, os.ErrNotExist) {
			return in, fmt.Errorf("copy journal: %w", gone)
		}
	}
	return Inspection{}, fmt.Errorf("copy journal %s: its owner released segments faster than they could be opened, %d times", filepath.Base(path), maxCopies)
}

func openSegments(path string, segments []SegmentView) ([]*os.File, error) {
	files := make([]*os.File, 0, len(segments))
	for _, s := range segments {
		f, err := os.Open(filepath.Join(path, s.Name))
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

func copySegments(files []*os.File, segments []SegmentView, segment func(string, int64, io.Reader) error) error {
	for i, s := range segments {
		if s.Bytes == 0 {
			continue // cut short before its first record
		}
		if err := segment(s.Name, s.Bytes, io.LimitReader(files[i], s.Bytes)); err != nil {
			return err
		}
	}
	return nil
}

// Replicas returns the names of all whole journals under root, owned or not. A root that
// does not exist has none.
func Replicas(root string) ([]string, error) {
	names, err := list(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal root: %w", err)
	}
	var replicas []string
	for _, name := range names {
		if replicaName(name) {
			replicas = append(replicas, name)
		}
	}
	return replicas, nil
}

// Place makes a dead replica's journal of copied segments, whole or not at all, for Adopt
// to find. One that is there already is left as it is, and made is false: it has at least
// what was copied from it.
func Place(root, replica string, write func(segment func(name string, content io.Reader) error) error) (made bool, err error) {
	if !replicaName(replica) {
		return false, fmt.Errorf("place journal: %q is not a replica's directory", replica)
	}
	if _, err := os.Stat(filepath.Join(root, replica)); err == nil {
		return false, nil
	}
	half := filepath.Join(root, newPrefix+replica)
	if err := errors.Join(os.RemoveAll(half), os.MkdirAll(half, 0o700)); err != nil {
		return false, fmt.Errorf("place journal: %w", err)
	}
	err = write(func(name string, content io.Reader) error {
		if _, ok := segmentNumber(name); !ok {
			return fmt.Errorf("place journal: %q is no segment", name)
		}
		return placeFile(filepath.Join(half, name), content)
	})
	if err == nil {
		err = placeFile(filepath.Join(half, lockName), nil)
	}
	if err == nil {
		err = syncDirectory(half)
	}
	if err == nil {
		err = os.Rename(half, filepath.Join(root, replica))
	}
	if err == nil {
		err = syncDirectory(root)
	}
	if err != nil {
		return false, errors.Join(err, os.RemoveAll(half))
	}
	return true, nil
}

func placeFile(path string, content io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if content != nil {
		_, err = io.Copy(f, content)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
