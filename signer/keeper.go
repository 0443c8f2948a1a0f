package signer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// maxLogs bounds the logs that one keeper signs: each has a file.
const maxLogs = 100_000

const suffix = ".json"

var (
	errBusy    = errors.New("another process signs from this directory")
	errState   = fault.New(fault.KindInternal, "signer_state", "What was signed last of this log cannot be read: nothing of it is signed until somebody has looked.")
	errTooMany = fault.New(fault.KindLimited, "signer_logs", "This signer has as many logs as it can keep.")
)

// Keeper signs, and keeps what it signed last.
type Keeper struct {
	authority *auditlog.Authority
	dir       string
	lock      *os.File
	log       *slog.Logger
	mu        sync.Mutex // one head at a time: a directory's write is what takes time
	logs      int
	counts    struct{ heads, firsts, decisions, stale, forks, failures atomic.Int64 }
}

// Counts are numbers since the start.
type Counts struct {
	Logs                                             int64
	Heads, Firsts, Decisions, Stale, Forks, Failures int64
}

// Counts tells how often what happened.
func (k *Keeper) Counts() Counts {
	k.mu.Lock()
	logs := int64(k.logs)
	k.mu.Unlock()
	c := &k.counts
	return Counts{logs, c.heads.Load(), c.firsts.Load(), c.decisions.Load(), c.stale.Load(), c.forks.Load(), c.failures.Load()}
}

// OpenKeeper opens a directory, which it alone signs from.
func OpenKeeper(dir string, authority *auditlog.Authority, log *slog.Logger) (*Keeper, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the signer's directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the signer's directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errBusy, lock.Close())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Keeper{authority: authority, dir: dir, lock: lock, log: log, logs: len(files)}, nil
}

// Close gives the directory back.
func (k *Keeper) Close() error { return k.lock.Close() }

// last is what was signed last of a log, as its file holds it.
type last struct {
	Origin string        `json:"origin"`
	Size   int64         `json:"size"`
	Root   auditlog.Hash `json:"root"`
}

func (k *Keeper) path(tenant id.Tenant) string { return filepath.Join(k.dir, tenant.String()+suffix) }

// read reads what was signed last; a size of nothing is a log that is not known.
func (k *Keeper) read(tenant id.Tenant) (auditlog.Checkpoint, error) {
	text, err := os.ReadFile(k.path(tenant))
	if errors.Is(err, fs.ErrNotExist) {
		return auditlog.Checkpoint{}, nil
	}
	if err != nil {
		return auditlog.Checkpoint{}, errState.Because(err)
	}
	var kept last
	if err := json.Unmarshal(text, &kept); err != nil || kept.Size <= 0 || kept.Origin != auditlog.Origin(tenant) {
		return auditlog.Checkpoint{}, errState.Because(err)
	}
	return auditlog.Checkpoint{Origin: kept.Origin, Size: kept.Size, Root: kept.Root}, nil
}

// write replaces the file whole, and returns when the disk has it.
func (k *Keeper) write(tenant id.Tenant, head auditlog.Checkpoint) error {
	text, err := json.Marshal(last{head.Origin, head.Size, head.Root})
	if err != nil {
		return fmt.Errorf("encode what is signed: %w", err)
	}
	scratch := k.path(tenant) + ".new"
	file, err := os.OpenFile(scratch, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep what is signed: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("keep what is signed: %w", err)
	}
	if err := os.Rename(scratch, k.path(tenant)); err != nil {
		return fmt.Errorf("keep what is signed: %w", err)
	}
	dir, err := os.Open(k.dir)
	if err != nil {
		return fmt.Errorf("keep what is signed: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// SignHead signs a head that follows the last one, or a log's first. It is on the disk
// that it was signed before the signature leaves.
func (k *Keeper) SignHead(ctx context.Context, ask auditlog.HeadAsk) (auditlog.Signed, error) {
	signed, err := k.signHead(ctx, ask)
	var stale *auditlog.StaleError
	switch {
	case errors.As(err, &stale):
		k.counts.stale.Add(1)
	case errors.Is(err, auditlog.ErrForked):
		k.counts.forks.Add(1)
		k.log.ErrorContext(ctx, "refused to sign: the log is not the one whose head was signed before", "log", auditlog.Origin(ask.Tenant), "size", ask.Size)
	case err != nil:
		k.counts.failures.Add(1)
		k.log.ErrorContext(ctx, "a head was not signed", "log", auditlog.Origin(ask.Tenant), "size", ask.Size, "error", err)
	}
	return signed, err
}

func (k *Keeper) signHead(ctx context.Context, ask auditlog.HeadAsk) (auditlog.Signed, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, err := k.read(ask.Tenant)
	if err != nil {
		return auditlog.Signed{}, err
	}
	if err := ask.Continues(before); err != nil {
		return auditlog.Signed{}, err
	}
	if before.Size == 0 && k.logs >= maxLogs {
		return auditlog.Signed{}, errTooMany
	}
	signed, err := k.authority.SignHead(ask.Tenant, ask.Size, ask.Root)
	if err != nil {
		return auditlog.Signed{}, err
	}
	if ask.Size > before.Size {
		if err := k.write(ask.Tenant, auditlog.Checkpoint{Origin: auditlog.Origin(ask.Tenant), Size: ask.Size, Root: ask.Root}); err != nil {
			return auditlog.Signed{}, err
		}
	}
	if before.Size == 0 {
		k.logs++
		k.counts.firsts.Add(1)
		k.log.WarnContext(ctx, "the first head of a log that was not known: trusted, being the first", "log", auditlog.Origin(ask.Tenant), "size", ask.Size, "root", ask.Root.String())
	}
	k.counts.heads.Add(1)
	return signed, nil
}

// SignDecision signs a decision's text.
func (k *Keeper) SignDecision(_ context.Context, tenant id.Tenant, text string) (auditlog.Signed, error) {
	signed, err := k.authority.SignDecision(tenant, text)
	if err != nil {
		k.counts.failures.Add(1)
		return signed, err
	}
	k.counts.decisions.Add(1)
	return signed, nil
}

// Apart tells that the keys are not in the process that serves.
func (k *Keeper) Apart() bool { return true }

// unixPath is the path of an address that names a local socket.
func unixPath(address string) (string, bool) { return strings.CutPrefix(address, "unix:") }
