package backup

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Reader reads a zip whose manifest its keys vouch for.
type Reader struct {
	Manifest Manifest
	archive  *zip.ReadCloser
}

// Open opens a zip. The keys are those that may have sealed its manifest.
func Open(path string, keys [][]byte) (*Reader, error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("%s is no whole backup: %w", path, err)
	}
	r := &Reader{archive: archive}
	document, err := r.small(manifestName)
	if err == nil {
		var seal []byte
		if seal, err = r.small(sealName); err == nil {
			r.Manifest, err = readManifest(document, seal, keys)
		}
	}
	if err != nil {
		return nil, errors.Join(err, archive.Close())
	}
	return r, nil
}

func (r *Reader) small(name string) ([]byte, error) {
	file, err := r.archive.Open(name)
	if err != nil {
		return nil, fmt.Errorf("the backup has no %s: %w", name, err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxManifest+1))
	if err == nil && len(content) > maxManifest {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, fmt.Errorf("read the backup's %s: %w", name, err)
	}
	return content, nil
}

// Read hands a file's content to fn. At its end the content is refused when it is not what
// the manifest says, whatever fn made of it.
func (r *Reader) Read(f File, fn func(io.Reader) error) error {
	file, err := r.archive.Open(f.Path)
	if err != nil {
		return fmt.Errorf("the backup has no %s: %w", f.Path, err)
	}
	defer file.Close()
	c := &checked{from: io.LimitReader(file, f.Bytes+1), want: f, digest: sha256.New()}
	if err := fn(c); err != nil {
		return errors.Join(c.bad, err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil { // what fn left
		return err
	}
	return c.bad
}

// Close lets go of the file.
func (r *Reader) Close() error { return r.archive.Close() }

// checked fails instead of ending when what was read is not what was written.
type checked struct {
	from   io.Reader
	want   File
	digest hash.Hash
	bytes  int64
	bad    error
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.bytes += int64(n)
	c.digest.Write(p[:n]) // never fails
	switch {
	case errors.Is(err, io.EOF) && c.bytes == c.want.Bytes && hex.EncodeToString(c.digest.Sum(nil)) == c.want.SHA256:
		return n, io.EOF
	case err != nil:
		c.bad = fmt.Errorf("%s is not what was backed up: a byte of it was changed, or it was cut short", c.want.Path)
		return n, c.bad
	}
	return n, nil
}
