package backup

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// Writer writes a zip; it has its name only after Finish.
type Writer struct {
	Manifest Manifest

	path    string
	file    *os.File
	archive *zip.Writer
}

// Create begins the zip path; one that exists is never written over.
func Create(path string, m Manifest) (*Writer, error) {
	file, err := fresh(path)
	if err != nil {
		return nil, err
	}
	m.Format = Format
	return &Writer{Manifest: m, path: path, file: file, archive: zip.NewWriter(file)}, nil
}

// fresh opens a file of mode 0600 beside the path it will have.
func fresh(path string) (*os.File, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s exists already; a backup is never written over", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".tollbook-backup-*")
	if err != nil {
		return nil, fmt.Errorf("write backup: %w", err)
	}
	return file, nil
}

// settle gives a whole file its name, or removes it.
func settle(file *os.File, path string, failed error) error {
	if failed == nil {
		failed = file.Sync()
	}
	failed = errors.Join(failed, file.Close())
	if failed == nil {
		failed = os.Rename(file.Name(), path)
	}
	if failed != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), errors.Join(failed, os.Remove(file.Name())))
	}
	return nil
}

// Table adds a table; write is given where its rows go and tells how many they were.
func (w *Writer) Table(t Table, write func(io.Writer) (int64, error)) error {
	var err error
	t.File, err = w.add("tables/"+t.Schema+"."+t.Name+".copy", func(to io.Writer) (err error) {
		t.Rows, err = write(to)
		return err
	})
	w.Manifest.Tables = append(w.Manifest.Tables, t)
	return err
}

// Segment adds a segment of a replica's journal.
func (w *Writer) Segment(replica, name string, content io.Reader) error {
	file, err := w.add("journals/"+replica+"/"+name, func(to io.Writer) error {
		_, err := io.Copy(to, content)
		return err
	})
	w.Manifest.Journals = append(w.Manifest.Journals, Segment{Replica: replica, Name: name, File: file})
	return err
}

func (w *Writer) add(name string, write func(io.Writer) error) (File, error) {
	into, err := w.archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: w.Manifest.AsOf})
	if err != nil {
		return File{}, fmt.Errorf("write %s: %w", name, err)
	}
	m := &measure{to: into, digest: sha256.New()}
	err = write(m)
	return File{Path: name, Bytes: m.bytes, SHA256: m.sum()}, err
}

// Finish writes the manifest, sealed, and gives the file its name.
func (w *Writer) Finish(seal []byte) error {
	document, err := json.MarshalIndent(w.Manifest, "", "  ")
	if err == nil {
		_, err = w.add(manifestName, func(to io.Writer) error { _, err := to.Write(document); return err })
	}
	if err == nil {
		_, err = w.add(sealName, func(to io.Writer) error { _, err := to.Write(sealOf(seal, document)); return err })
	}
	if err == nil {
		err = w.archive.Close()
	}
	return settle(w.file, w.path, err)
}

// Abandon removes what was written.
func (w *Writer) Abandon() {
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
}

// Plain writes a small file that is no secret, such as the heads of the logs.
func Plain(path string, content []byte) error {
	file, err := fresh(path)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return settle(file, path, err)
}

// measure counts and hashes what passes to a writer.
type measure struct {
	to     io.Writer
	digest hash.Hash
	bytes  int64
}

func (m *measure) Write(p []byte) (int, error) {
	n, err := m.to.Write(p)
	m.bytes += int64(n)
	m.digest.Write(p[:n]) // never fails
	return n, err
}

func (m *measure) sum() string { return hex.EncodeToString(m.digest.Sum(nil)) }
