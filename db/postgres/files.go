package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// sharedRoot holds the files of servers whose user cannot enter Config.Dir.
const sharedRoot = "/var/lib/tollbook"

// files is where one server keeps everything, and whose it is.
type files struct {
	dir   string
	owner owner
	moved bool // dir is not the one that was asked for
}

func (f files) data() string    { return filepath.Join(f.dir, "data") }
func (f files) fresh() string   { return filepath.Join(f.dir, "data.new") }
func (f files) logFile() string { return filepath.Join(f.dir, "postgres.log") }
func (f files) lock() string    { return filepath.Join(f.dir, "tollbook.lock") }

// locateFiles decides the place without touching the disk.
func locateFiles(dir string) (files, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return files{}, fmt.Errorf("postgres: resolve %s: %w", dir, err)
	}
	asked := files{dir: abs}
	if asked.owner, err = serverOwner(asked.data()); err != nil {
		return files{}, err
	}
	if asked.owner.canEnter(abs) || asked.owner.canEnter(filepath.Dir(abs)) && asked.isOurs() {
		return asked, nil
	}
	sum := sha256.Sum256([]byte(abs))
	moved := files{dir: filepath.Join(sharedRoot, hex.EncodeToString(sum[:8])), moved: true}
	if moved.owner, err = serverOwner(moved.data()); err != nil {
		return files{}, err
	}
	if !moved.owner.canEnter(moved.dir) {
		return files{}, fmt.Errorf("postgres: %s cannot enter %s, nor %s", moved.owner.name, abs, moved.dir)
	}
	return moved, nil
}

// isOurs says whether the directory holds nothing but a server's files, as a
// temporary directory made for one does: then it may be given to the owner.
func (f files) isOurs() bool {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		switch filepath.Join(f.dir, entry.Name()) {
		case f.data(), f.fresh(), f.logFile(), f.lock():
		default:
			return false
		}
	}
	return true
}

// placeFiles decides the place and makes the directory. One that exists keeps
// its owner if the server can enter it or if it holds files of others.
func placeFiles(dir string) (files, error) {
	place, err := locateFiles(dir)
	if err != nil {
		return files{}, err
	}
	if err := os.MkdirAll(filepath.Dir(place.dir), 0o755); err != nil {
		return files{}, fmt.Errorf("postgres: make the data directory: %w", err)
	}
	err = place.owner.makeDir(place.dir)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return files{}, err
	}
	if !place.owner.canEnter(place.dir) && place.isOurs() {
		if err := place.owner.give(place.dir); err != nil {
			return files{}, err
		}
	}
	if !place.owner.canEnter(place.dir) {
		return files{}, fmt.Errorf("postgres: %s cannot enter %s (is the umask too strict?)", place.owner.name, place.dir)
	}
	return place, nil
}

// initialize makes the cluster on the first start. It is made aside and renamed,
// so that one cut short by a kill is never taken for a whole one.
func (f files) initialize(ctx context.Context, bin string, fast bool, log io.Writer) error {
	if exists(f.data(), "PG_VERSION") {
		return f.checkVersion(bin)
	}
	if err := os.RemoveAll(f.fresh()); err != nil {
		return fmt.Errorf("postgres: remove an unfinished cluster: %w", err)
	}
	if err := f.owner.makeDir(f.fresh()); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(log, "Creating a PostgreSQL cluster in %s\n", f.data())
	args := []string{"-D", f.fresh(), "-U", Superuser, "-A", "trust", "-E", "UTF8", "--no-locale"}
	if fast {
		args = append(args, "--no-sync")
	}
	cmd := f.owner.command(ctx, f.dir, bin, "initdb", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("postgres: initdb: %w: %s", err, lastLines(string(out)))
	}
	// An empty directory may be in the way; anything else is not ours to remove.
	if err := os.Remove(f.data()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("postgres: %s exists and holds no cluster: %w", f.data(), err)
	}
	if err := os.Rename(f.fresh(), f.data()); err != nil {
		return fmt.Errorf("postgres: put the new cluster in place: %w", err)
	}
	return nil
}

// checkVersion refuses a cluster of another major version with a sentence that
// helps; the server's own message does not say what to do.
func (f files) checkVersion(bin string) error {
	raw, err := os.ReadFile(filepath.Join(f.data(), "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("postgres: read the cluster's version: %w", err)
	}
	have, err := binariesVersion(bin)
	if err != nil {
		return err
	}
	var made int
	if _, err := fmt.Sscanf(string(raw), "%d", &made); err != nil || made != have {
		return fmt.Errorf("postgres: the cluster in %s was made by PostgreSQL %.12q and %s is version %d: set %s to the other version's bin directory, or start with an empty directory",
			f.data(), raw, bin, have, BinVariable)
	}
	return nil
}
