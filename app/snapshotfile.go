package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// The last snapshot is kept in a sealed file, so that a gateway can start while the
// database is away. The file is what was read, not what was built: upstream
// credentials and pseudonym keys in it are sealed twice, virtual keys are hashes.
//
// Sealed bytes (package secret) of: a zstd frame of one JSON object a line, first the
// head, then one tenant each.

const (
	purposeSnapshot  = "snapshot-file"
	snapshotSubject  = "gateway"
	snapshotFormat   = 1
	snapshotTempName = ".snapshot-"

	maxSnapshotBytes = 256 << 20 // of the file
	maxSnapshotPlain = 1 << 30   // unpacked

	// keepEvery is the shortest time between two writes of the file: many notices in a
	// row are one write.
	keepEvery = 2 * time.Second
	// maxSnapshotSkew is how far in the future a file may say it was loaded. Beyond it
	// this machine's clock, or the writer's, is wrong, and its age cannot be known.
	maxSnapshotSkew = time.Minute
	tempAge         = time.Hour
)

// ErrNoSnapshotFile reports that there is nothing to start from.
var ErrNoSnapshotFile = fault.New(fault.KindNotFound, "snapshot_file_absent", "There is no snapshot file yet.")

type snapshotHead struct {
	Format   int
	LoadedAt time.Time
	Tenants  int
}

// KeepIn makes Follow keep the last snapshot in a file; Restore reads it. Set it
// before either.
func (s *Snapshots) KeepIn(path string) { s.file = path }

// keepSoon asks for the file to be written; one token stands for many.
func (s *Snapshots) keepSoon() {
	select {
	case s.unkept <- struct{}{}:
	default:
	}
}

// keepForever writes the file after each load, until ctx ends.
func (s *Snapshots) keepForever(ctx context.Context) {
	for s.file != "" {
		select {
		case <-ctx.Done():
			return
		case <-s.unkept:
		}
		if err := s.Keep(); err != nil {
			s.log.ErrorContext(ctx, "the snapshot is not kept; a gateway could not start from it while the database is away", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(keepEvery):
		}
	}
}

// Keep writes the snapshot in force to the file, whole or not at all.
func (s *Snapshots) Keep() error {
	s.loading.Lock()
	head := snapshotHead{Format: snapshotFormat, LoadedAt: s.current.Load().LoadedAt.UTC(), Tenants: len(s.rows)}
	lines := make([][]byte, 0, len(s.rows))
	for _, line := range s.rows {
		lines = append(lines, line)
	}
	s.loading.Unlock()
	if head.LoadedAt.IsZero() {
		return nil // one tenant alone was loaded: that is no snapshot to start from
	}
	first, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("encode snapshot: %w", err)
	}
	var packed bytes.Buffer
	zip, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("pack snapshot: %w", err)
	}
	for _, line := range append([][]byte{first}, lines...) {
		_, _ = zip.Write(line) // its errors come again with Close
		_, _ = zip.Write([]byte{'\n'})
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("pack snapshot: %w", err)
	}
	sealed := s.ring.Seal(purposeSnapshot, snapshotSubject, packed.Bytes())
	if len(sealed) > maxSnapshotBytes {
		return fmt.Errorf("the snapshot has %d bytes, more than the %d a file may have", len(sealed), maxSnapshotBytes)
	}
	return replaceFile(s.file, sealed)
}

// replaceFile puts a file in place of another so that every reader, and every crash,
// sees the one or the other.
func replaceFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, snapshotTempName+"*")
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what is left of it is swept later
		return fmt.Errorf("write snapshot: %w", err)
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// Restore puts the file's snapshot in force, with the age it has: who serves from it
// has to look at LoadedAt. What was revoked after that instant is accepted until the
// database answers or the snapshot is too old.
func (s *Snapshots) Restore(ctx context.Context) error {
	s.sweepTemp()
	sealed, err := readBounded(s.file)
	if err != nil {
		return err
	}
	packed, err := s.ring.Open(purposeSnapshot, snapshotSubject, sealed)
	if err != nil {
		return fmt.Errorf("open snapshot file: %w", err)
	}
	unzip, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSnapshotPlain))
	if err != nil {
		return fmt.Errorf("unpack snapshot file: %w", err)
	}
	defer unzip.Close()
	lines := json.NewDecoder(io.LimitReader(unzip, maxSnapshotPlain))
	var head snapshotHead
	if err := lines.Decode(&head); err != nil {
		return fmt.Errorf("read snapshot file: %w", err)
	}
	now := s.now()
	age := now.Sub(head.LoadedAt)
	if head.Format != snapshotFormat || age < -maxSnapshotSkew {
		return fmt.Errorf("snapshot file of format %d, loaded at %s, is not for this program and clock", head.Format, head.LoadedAt.Format(time.RFC3339))
	}
	var rows []db.SnapshotTenant
	for range head.Tenants {
		var row db.SnapshotTenant
		if err := lines.Decode(&row); err != nil {
			return fmt.Errorf("read snapshot file: %w", err)
		}
		rows = append(rows, row)
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if !s.current.Load().LoadedAt.IsZero() {
		return nil // the database was faster
	}
	// Counted back from now, so that its age goes by this machine's steady clock.
	s.install(ctx, rows, id.Tenant{}, now.Add(-max(age, 0)), now)
	return nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoSnapshotFile.Because(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read snapshot file: %w", err)
	}
	defer f.Close()
	sealed, err := io.ReadAll(io.LimitReader(f, maxSnapshotBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read snapshot file: %w", err)
	}
	if len(sealed) > maxSnapshotBytes {
		return nil, fmt.Errorf("the snapshot file has more than %d bytes", maxSnapshotBytes)
	}
	return sealed, nil
}

// sweepTemp removes what crashes left of writes that never ended.
func (s *Snapshots) sweepTemp() {
	left, err := os.ReadDir(filepath.Dir(s.file))
	if err != nil {
		return // Restore meets the same fault and says so
	}
	for _, entry := range left {
		at, err := entry.Info()
		if err == nil && strings.HasPrefix(entry.Name(), snapshotTempName) && time.Since(at.ModTime()) > tempAge {
			_ = os.Remove(filepath.Join(filepath.Dir(s.file), entry.Name())) // another gateway may have been faster
		}
	}
}
