package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// kept is what the file holds. Its secrets are in the clear: the file is the user's.
type kept struct {
	URL        string `json:"url"`    // of the installation
	Tenant     string `json:"tenant"` // the company's slug
	Person     string `json:"person"`
	CostCenter string `json:"cost_center"`
	CenterName string `json:"cost_center_name"`

	Refresh     string    `json:"refresh"`
	LoginEndsAt time.Time `json:"login_ends_at"`
	Credential  string    `json:"credential"`
	ExpiresAt   time.Time `json:"expires_at"` // of the credential
}

// ErrSignedOut reports that there is no login on this machine.
var ErrSignedOut = errors.New("you are not signed in: run tollbook login")

const (
	fileName     = "login.json"
	lockName     = "login.lock"
	maxFileBytes = 64 << 10
	// lockWithin bounds the wait for another process that is getting a credential; it is
	// longer than that takes.
	lockWithin = 30 * time.Second
	lockEvery  = 20 * time.Millisecond
)

// folder is where the login is kept, in the user's configuration directory.
func folder() (string, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find a place to keep the login: %w", err)
	}
	return filepath.Join(config, "tollbook"), nil
}

// load reads the file; ErrSignedOut when there is none.
func load(dir string) (kept, error) {
	var k kept
	f, err := os.Open(filepath.Join(dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return k, ErrSignedOut
	}
	if err != nil {
		return k, fmt.Errorf("read the login: %w", err)
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxFileBytes)).Decode(&k); err != nil {
		return k, fmt.Errorf("the login in %s cannot be read; run tollbook login again", f.Name())
	}
	return k, nil
}

// save replaces the file whole, for its owner alone.
func save(dir string, k kept) error {
	content, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	next, err := os.CreateTemp(dir, ".login-*") // 0600
	if err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	_, err = next.Write(append(content, '\n'))
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), filepath.Join(dir, fileName))
	}
	if err != nil {
		_ = os.Remove(next.Name()) // what is left of it
		return fmt.Errorf("keep the login: %w", err)
	}
	return nil
}

// forget removes the file. It may be gone.
func forget(dir string) error {
	if err := os.Remove(filepath.Join(dir, fileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the login: %w", err)
	}
	return nil
}

// locked lets one process at a time change the file: Claude Code starts several helpers
// at once.
func locked(ctx context.Context, dir string, do func() error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make a place to keep the login: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the login: %w", err)
	}
	defer f.Close() // lets go
	limited, cancel := context.WithTimeout(ctx, lockWithin)
	defer cancel()
	every := time.NewTicker(lockEvery)
	defer every.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return do()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock the login: %w", err)
		}
		select {
		case <-limited.Done():
			return errors.New("another tollbook login is at it and does not end")
		case <-every.C:
		}
	}
}
