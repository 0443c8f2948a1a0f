package journal

import (
	"context"
	"fmt"
	"os"
	"time"
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
		if rest := j.pace.rest(time.Now()); rest > 0 {
			time.Sleep(rest)
		}
		if !j.syncOnce() {
			return
		}
	}
}

// Syncing is the dearest thing a journal does. While few records come each is synced
// at once; while many come the syncer rests, so that more of them share a sync and
// the processor is there for requests. What a waiter loses by it is less than what
// it would wait for a busy processor.
const (
	quietRate  = 3000 // records per second up to which nobody waits for others
	busyRate   = 8000 // from which on syncs are restApart from one another
	restApart  = 3 * time.Millisecond
	paceWithin = 100 * time.Millisecond // over which the rate is averaged
)

// pace decides how long the syncer rests before its next sync.
type pace struct {
	began   time.Time // the last sync
	rate    float64   // records per second, a moving average
	through Position  // records counted so far
}

// rest is how long to wait from now on.
func (p *pace) rest(now time.Time) time.Duration {
	busy := min(max((p.rate-quietRate)/(busyRate-quietRate), 0), 1)
	return time.Duration(busy*float64(restApart)) - now.Sub(p.began)
}

// begin notes a sync of all records up to a position.
func (p *pace) begin(now time.Time, through Position) {
	if past := now.Sub(p.began); past > 0 {
		weight := min(past.Seconds()/paceWithin.Seconds(), 1)
		p.rate += weight * (float64(through-p.through)/past.Seconds() - p.rate)
	}
	p.began, p.through = now, through
}

// syncOnce syncs all that is written at this moment, and says whether to go on:
// no longer once it was closed before, when nothing can follow. Appends continue
// while the disk works.
func (j *Journal) syncOnce() bool {
	j.mu.Lock()
	_ = j.put() // a failure is kept, and looked at next
	file, target, entry := j.file, j.last, j.newEntry
	closed, failed, idle := j.closed, j.failed != nil, target == j.synced
	j.mu.Unlock()
	if failed || idle && !entry {
		return !closed
	}
	j.pace.begin(time.Now(), target)
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
