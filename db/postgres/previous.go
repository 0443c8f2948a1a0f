package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// A server that is being shut down or is recovering gets this long to end.
	previousTimeout = 30 * time.Second
	pollInterval    = 5 * time.Millisecond

	// Above the highest pid of Linux (2^22) and macOS (99998): never a process.
	nobodysPID = 1<<22 + 1
)

// pidFile is what a running server says about itself in postmaster.pid.
type pidFile struct {
	pid    int
	socket string
	status string // starting, ready, standby, stopping; empty very early
}

// readPIDFile reports false when there is none, or none that can be read yet.
func (f files) readPIDFile() (pidFile, bool) {
	raw, err := os.ReadFile(f.pidPath())
	if err != nil {
		return pidFile{}, false
	}
	lines := strings.Split(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return pidFile{}, false
	}
	out := pidFile{pid: pid}
	const socketLine, statusLine = 4, 7
	if len(lines) > socketLine {
		out.socket = strings.TrimSpace(lines[socketLine])
	}
	if len(lines) > statusLine {
		out.status = strings.TrimSpace(lines[statusLine])
	}
	return out, true
}

func (f files) pidPath() string { return filepath.Join(f.data(), "postmaster.pid") }

// acquire takes the directory for this process. The kernel drops the lock when
// its holder dies, however it dies. A holder that is not serving (starting, or
// on its way out) is waited for; one that serves is an error.
func (f files) acquire(ctx context.Context) (*os.File, error) {
	lock, err := os.OpenFile(f.lock(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("postgres: open the lock of %s: %w", f.dir, err)
	}
	err = await(ctx, previousTimeout, func() (bool, error) {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return false, fmt.Errorf("postgres: lock %s: %w", f.dir, err)
		}
		if p, ok := f.readPIDFile(); ok && p.status == "ready" && alive(p.pid) {
			return false, f.inUse()
		}
		return false, nil
	})
	if errors.Is(err, errWaitedTooLong) {
		err = f.inUse()
	}
	if err == nil {
		err = writePID(lock)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func writePID(lock *os.File) error {
	err := lock.Truncate(0)
	if err == nil {
		_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return fmt.Errorf("postgres: write the lock: %w", err)
	}
	return nil
}

func (f files) inUse() error {
	holder := "unknown"
	if raw, err := os.ReadFile(f.lock()); err == nil {
		holder = strings.TrimSpace(string(raw))
	}
	return fmt.Errorf("postgres: another Tollbook (pid %s) is using %s: stop it, or use another directory", holder, f.dir)
}

// awaitPrevious deals with a server whose Tollbook is gone, since the lock is
// ours: it is on its way out, or was orphaned and is told to go.
func (f files) awaitPrevious(ctx context.Context, log io.Writer) error {
	p, ok := f.readPIDFile()
	if !ok || !alive(p.pid) {
		return nil
	}
	if !isPostmaster(ctx, p.pid, f.data()) {
		return f.disownPID(p.pid)
	}
	if !strings.HasPrefix(filepath.Base(p.socket), socketPrefix) {
		return fmt.Errorf("postgres: a server that Tollbook did not start (pid %d) is running in %s", p.pid, f.data())
	}
	_, _ = fmt.Fprintf(log, "Waiting for the previous PostgreSQL (pid %d) to end\n", p.pid)
	// Asking again is harmless when it is stopping already.
	if err := syscall.Kill(p.pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("postgres: stop the previous server (pid %d): %w", p.pid, err)
	}
	err := await(ctx, previousTimeout, func() (bool, error) {
		return !alive(p.pid) || !isPostmaster(ctx, p.pid, f.data()), nil
	})
	if errors.Is(err, errWaitedTooLong) {
		return fmt.Errorf("postgres: the previous server (pid %d) in %s is still running after %s", p.pid, f.data(), previousTimeout)
	}
	if err != nil || !alive(p.pid) {
		return err
	}
	return f.disownPID(p.pid) // ended, and nobody has reaped it yet
}

// disownPID names a process that cannot exist in a stale pid file whose number
// now belongs to somebody else, as happens in containers: PostgreSQL would
// refuse to start. The rest of the file stays: its shared memory key is how
// PostgreSQL notices surviving children of a killed server.
func (f files) disownPID(pid int) error {
	raw, err := os.ReadFile(f.pidPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("postgres: read a stale pid file: %w", err)
	}
	rest, ok := strings.CutPrefix(string(raw), strconv.Itoa(pid)+"\n")
	if !ok {
		return nil
	}
	// Written in place, so that the file keeps its owner.
	if err := os.WriteFile(f.pidPath(), []byte(strconv.Itoa(nobodysPID)+"\n"+rest), 0o600); err != nil {
		return fmt.Errorf("postgres: rewrite a stale pid file: %w", err)
	}
	return nil
}

var errWaitedTooLong = errors.New("waited too long")

// await polls until done says yes or fails, the limit passes or ctx ends.
func await(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("postgres: %w", context.Cause(ctx))
		case <-deadline.C:
			return errWaitedTooLong
		case <-tick.C:
		}
	}
}
