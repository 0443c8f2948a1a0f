package journal

import (
	"context"
	"slices"
)

// Carry writes a request's records again at the journal's end and lets go of the
// first ones. A request that the ledger refuses waits for a person; without this it
// would hold its segment, and all that follow it, until the journal is full. A reader
// meets such a request twice, the same both times.
func (j *Journal) Carry(ctx context.Context, id ID, intent, outcome []byte) error {
	from, to, last, err := j.repeat(id, intent, outcome)
	if err != nil || from == to {
		return err
	}
	if err := j.Sync(ctx, last); err != nil {
		return err // the first ones are kept; what was written again does no harm
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	held := j.pending[id]
	if held&^answered != from {
		return nil // released meanwhile
	}
	oldest := j.segments[0].number
	j.segments[from-oldest].pending--
	j.segments[to-oldest].pending++
	j.pending[id] = to | held&answered
	return nil
}

// repeat appends both records unless they are in the current segment already, and
// says from where to where they went.
func (j *Journal) repeat(id ID, intent, outcome []byte) (from, to uint64, last Position, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	held, found := j.pending[id]
	from = held &^ answered
	if !found || from == j.segments[len(j.segments)-1].number {
		return from, from, 0, nil
	}
	// Half of the outcomes' reserve may be used: what is carried out of the oldest segment
	// of a full journal is what makes room in it.
	if err := j.admit(slices.Concat(intent, outcome), j.cfg.MaxBytes+j.cfg.MaxBytes/reservePart/2); err != nil {
		return 0, 0, 0, err
	}
	spare := j.step()/8 + int64(j.running)<<10 // as for any intent
	if err := j.write(Intent, id, intent, spare); err != nil {
		return 0, 0, 0, err
	}
	to = j.segments[len(j.segments)-1].number
	if err := j.write(Outcome, id, outcome, 0); err != nil {
		return 0, 0, 0, err
	}
	return from, to, j.last, nil
}
