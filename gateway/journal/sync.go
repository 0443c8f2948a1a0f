package journal

import (
	"context"
	"fmt"
	"os"
)

// Sync returns when every record up to p is on the disk. Waiters share syncs.
// It returns ctx's error when that ends first (the record may be synced all the
// same), and the journal's error once it has failed.
func (j *Journal) Sync(ctx context.Context, p Position) error {
	for {
		j.mu.Lock()
		round := j.round
		done, err := j.reached(p)
		j.mu.Unlock()
		if done || err != nil {
			return err
		}
		j.nudge()
		select {
		case <-round:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reached says whether p is synced, or why it never will be.
func (j *Journal) reached(p Position) (bool, error) {
	switch {
	case p <= j.synced:
		return true, nil
	case j.failed != nil:
		return false, j.failed
	case p > j.last:
		return false, ErrFuture
	}
	return false, nil
}

// nudge tells the syncer that somebody waits; one token is enough for all.
func (j *Journal) nudge() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// syncLoop serves Sync until the journal is closed or has failed.
func (j *Journal) syncLoop() {
	defer close(j.stopped)
	for range j.wake {
		if !j.syncOnce() {
			return
		}
	}
}

// syncOnce syncs all that is written at this moment, and says whether to go on:
// no longer once it was closed before, when nothing can follow. Appends continue
// while the disk works.
func (j *Journal) syncOnce() bool {
	j.mu.Lock()
	file, target, entry := j.file, j.last, j.newEntry
	closed, failed, idle := j.closed, j.failed != nil, target == j.synced
	j.mu.Unlock()
	if failed || idle && !entry {
		return !closed
	}
	err := j.datasync(file)
	if err == nil && entry {
		err = syncDirectory(j.path)
	}

	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		// The kernel may have dropped the dirty pages: a second try that succeeds
		// would prove nothing.
		_ = j.fail(fmt.Errorf("sync: %w", err)) // kept, and returned to every caller
		return !closed
	}
	if file == j.file {
		j.newEntry = false
	}
	for _, f := range j.retired {
		_ = f.Close() // synced when it was retired
	}
	j.retired = j.retired[:0]
	j.publish(max(target, j.synced))
	return !closed
}

// publish says how far the disk has come and lets every waiter look.
func (j *Journal) publish(synced Position) {
	j.synced = synced
	close(j.round)
	j.round = make(chan struct{})
}

// syncDirectory makes the entries of a directory durable.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		_ = d.Close() // the sync's error is the one that matters
		return fmt.Errorf("sync directory: %w", err)
	}
	return d.Close()
}
