package journal

import (
	"fmt"
	"os"
	"path/filepath"
)

// keptArrivals is the room for pending intents that is kept when all are gone.
const keptArrivals = 1 << 16

// Release says that the ledger has these events for good. Ids that are not
// pending are ignored, so that a flush may be repeated. Segments that no longer
// hold or precede a pending intent are deleted, oldest first; an error means one
// could not be, and a later Release tries again.
func (j *Journal) Release(ids []ID) error {
	j.releasing.Lock()
	defer j.releasing.Unlock()
	j.forget(ids)
	for {
		number, found := j.spent()
		if !found {
			return nil
		}
		if err := os.Remove(filepath.Join(j.path, segmentName(number))); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("release segment: %w", err)
		}
		// Synced one by one: were two removals to reach the disk in the other order,
		// a crash between them would leave a gap.
		if err := syncDirectory(j.path); err != nil {
			return fmt.Errorf("release segment: %w", err)
		}
		j.drop()
	}
}

// forget takes ids off the pending ones.
func (j *Journal) forget(ids []ID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	oldest := j.segments[0].number
	for _, id := range ids {
		held, found := j.pending[id]
		if !found {
			continue
		}
		delete(j.pending, id)
		if held&answered == 0 {
			j.running-- // its outcome found no room here and does not come any more
		}
		j.segments[held&^answered-oldest].pending-- // numbers have no gaps
	}
	for j.first < len(j.arrivals) {
		if _, found := j.pending[j.arrivals[j.first].id]; found {
			break
		}
		j.first++
	}
	switch {
	case len(j.pending) == 0 && cap(j.arrivals) > keptArrivals:
		// A long outage of the ledger is over: give its memory back.
		j.arrivals, j.first = nil, 0
		j.pending = make(map[ID]uint64)
	case j.first > len(j.arrivals)/2:
		// Moving at most as many as were dropped keeps this cheap on average.
		j.arrivals = append(j.arrivals[:0], j.arrivals[j.first:]...)
		j.first = 0
	}
}

// spent returns the oldest segment if it may be deleted; never the current one.
func (j *Journal) spent() (uint64, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || len(j.segments) < 2 || j.segments[0].pending > 0 {
		return 0, false
	}
	return j.segments[0].number, true
}

// drop forgets the oldest segment, which is deleted.
func (j *Journal) drop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.bytes -= j.segments[0].bytes
	j.segments = append(j.segments[:0], j.segments[1:]...)
}
