package journal

import (
	"fmt"
	"os"
	"path/filepath"
)

// AppendIntent records what is about to be sent. When it returns, the record is
// written but not synced; payload may be reused. ErrFull means nothing was
// written and nothing is wrong: the bound is reached.
func (j *Journal) AppendIntent(id ID, payload []byte) (Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.admit(payload, j.cfg.MaxBytes); err != nil {
		return 0, err
	}
	if _, found := j.pending[id]; found {
		return 0, ErrRepeated
	}
	if err := j.write(Intent, id, payload); err != nil {
		return 0, err
	}
	current := &j.segments[len(j.segments)-1]
	current.pending++
	j.pending[id] = current.number
	j.arrivals = append(j.arrivals, arrival{id: id, at: j.cfg.Now().UnixMilli()})
	return j.last, nil
}

// AppendOutcome records what came of an intent that is not released yet, with
// the same promise as AppendIntent. It may use a reserve beyond MaxBytes, an
// eighth of it; ErrFull means that is gone too.
func (j *Journal) AppendOutcome(id ID, payload []byte) (Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.admit(payload, j.cfg.MaxBytes+j.cfg.MaxBytes/reservePart); err != nil {
		return 0, err
	}
	if _, found := j.pending[id]; !found {
		// Its segment may be gone: a replay would drop this record without a word.
		return 0, ErrNoIntent
	}
	if err := j.write(Outcome, id, payload); err != nil {
		return 0, err
	}
	return j.last, nil
}

// admit says whether a record may be written at all.
func (j *Journal) admit(payload []byte, bound int64) error {
	switch {
	case j.failed != nil:
		return j.failed
	case j.closed:
		return ErrClosed
	case len(payload) > MaxPayload:
		return ErrTooLong
	case j.bytes+int64(frameBytes+len(payload)) > bound:
		return ErrFull
	}
	return nil
}

// write puts one frame at the end of the current segment, or of a new one if
// that is full.
func (j *Journal) write(kind Kind, id ID, payload []byte) error {
	if j.segments[len(j.segments)-1].bytes >= j.cfg.SegmentBytes {
		if err := j.rotate(); err != nil {
			return j.fail(fmt.Errorf("begin segment: %w", err))
		}
	}
	frame, next := j.sealer.append(j.scratch[:0], j.chain, kind, j.last+1, id, payload)
	j.scratch = frame[:0]
	if _, err := j.file.Write(frame); err != nil {
		// Part of the frame may be in the file: whatever followed it could not be
		// read back, so nothing may follow it.
		return j.fail(fmt.Errorf("write record: %w", err))
	}
	j.chain = next
	j.last++
	j.grow(len(frame))
	return nil
}

// rotate closes the current segment and begins the next. The old one is synced
// here, under the lock, although that stalls appends once per segment: were it
// left for later, a crash could leave a torn segment in the middle, which no
// reader can tell from one that was cut on purpose.
func (j *Journal) rotate() error {
	if err := j.datasync(j.file); err != nil {
		return err
	}
	j.retired = append(j.retired, j.file)
	if !j.newEntry {
		j.publish(j.last)
	}
	return j.begin(j.segments[len(j.segments)-1].number + 1)
}

// begin creates a segment and writes its header frame.
func (j *Journal) begin(number uint64) error {
	path := filepath.Join(j.path, segmentName(number))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	header := opening{replica: j.replica, number: number, previous: j.chain}
	frame, next := j.sealer.append(nil, j.chain, kindSegment, j.last+1, ID{}, header.bytes())
	j.file, j.chain, j.newEntry = f, next, true
	j.segments = append(j.segments, segment{number: number})
	if _, err := f.Write(frame); err != nil {
		return err
	}
	j.grow(len(frame))
	return nil
}

func (j *Journal) grow(n int) {
	j.segments[len(j.segments)-1].bytes += int64(n)
	j.bytes += int64(n)
}

// fail makes the journal refuse everything from now on, and tells who waits.
func (j *Journal) fail(cause error) error {
	if j.failed == nil {
		j.failed = fmt.Errorf("%w: %w", ErrFailed, cause)
		j.publish(j.synced)
	}
	return j.failed
}
