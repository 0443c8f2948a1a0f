package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// AppendIntent records what is about to be sent. When it returns, the record is
// written but not synced; payload may be reused. ErrFull means nothing was
// written and nothing is wrong: the bound is reached. ErrNoSpace says the same of
// the disk.
func (j *Journal) AppendIntent(id ID, payload []byte) (Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.admit(payload, j.cfg.MaxBytes); err != nil {
		return 0, err
	}
	if _, found := j.pending[id]; found {
		return 0, ErrRepeated
	}
	// Running requests must find room for their outcomes on a disk that is full by
	// then; most outcomes are well below a kilobyte.
	if err := j.write(Intent, id, payload, j.step()/8+int64(j.running)<<10); err != nil {
		return 0, err
	}
	j.running++
	current := &j.segments[len(j.segments)-1]
	current.pending++
	j.pending[id] = current.number
	j.arrivals = append(j.arrivals, arrival{id: id, at: j.cfg.Now().UnixMilli()})
	return j.last, nil
}

// AppendOutcome records what came of an intent that is not released yet. When it
// returns, the record has its place and its room, and is written by the next sync or
// intent at the latest: nobody is told of an outcome before it is synced, and one
// write for many is cheaper. It may use a reserve beyond MaxBytes, an
// eighth of it; ErrFull means that is gone too. On a full disk there is room for a
// kilobyte per running request and a little more; ErrNoSpace means that is gone.
func (j *Journal) AppendOutcome(id ID, payload []byte) (Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.admit(payload, j.cfg.MaxBytes+j.cfg.MaxBytes/reservePart); err != nil {
		return 0, err
	}
	held, found := j.pending[id]
	if !found {
		// Its segment may be gone: a replay would drop this record without a word.
		return 0, ErrNoIntent
	}
	if err := j.write(Outcome, id, payload, 0); err != nil {
		return 0, err
	}
	if held&answered == 0 {
		j.pending[id] = held | answered
		j.running--
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

// write gives one frame its place at the end of the current segment, or of a new one if
// that is full, and leaves spare bytes of room behind it. A disk without that much room is no
// failure: nothing is written then.
func (j *Journal) write(kind Kind, id ID, payload []byte, spare int64) error {
	if j.segments[len(j.segments)-1].bytes >= j.cfg.SegmentBytes {
		err := j.rotate()
		switch {
		case errors.Is(err, ErrNoSpace) && kind == Outcome: // what room there is, is for these
		case errors.Is(err, ErrNoSpace):
			return err
		case err != nil:
			return j.fail(fmt.Errorf("begin segment: %w", err))
		}
	}
	at := j.segments[len(j.segments)-1].bytes
	if err := j.reserve(at + int64(frameBytes+len(payload)) + spare); err != nil {
		if errors.Is(err, ErrNoSpace) {
			return err
		}
		return j.fail(err)
	}
	before := len(j.unwritten)
	frames, next := j.sealer.append(j.unwritten, j.chain, kind, j.last+1, id, payload)
	j.unwritten, j.chain = frames, next
	j.last++
	j.grow(len(frames) - before)
	if kind == Outcome && len(frames) < maxUnwritten {
		return nil
	}
	return j.put()
}

// maxUnwritten bounds the outcomes that wait to be written, in bytes.
const maxUnwritten = 64 << 10

// put writes the frames that wait, which are the current segment's last.
func (j *Journal) put() error {
	if len(j.unwritten) == 0 || j.failed != nil {
		return j.failed
	}
	at := j.segments[len(j.segments)-1].bytes - int64(len(j.unwritten))
	if _, err := j.file.WriteAt(j.unwritten, at); err != nil {
		// Part of a frame may be in the file: whatever followed it could not be
		// read back, so nothing may follow it.
		return j.fail(fmt.Errorf("write record: %w", err))
	}
	j.unwritten = j.unwritten[:0]
	return nil
}

// step is how many bytes of room are made at a time.
func (j *Journal) step() int64 { return int64(len(j.zeros)) }

// reserve makes room in the current segment's file up to an offset.
func (j *Journal) reserve(upTo int64) error {
	for j.room < upTo {
		if err := j.fill(j.file, j.zeros, j.room); err != nil {
			return noSpace(fmt.Errorf("make room: %w", err))
		}
		j.room += j.step()
	}
	return nil
}

func fill(f *os.File, b []byte, at int64) error {
	_, err := f.WriteAt(b, at)
	return err
}

// noSpace tells a disk that is full for now from one that is broken.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return ErrNoSpace.Because(err)
	}
	return err
}

// rotate begins the next segment. The one before it is synced first, under the
// lock, although that stalls appends once per segment: were it left for later, a
// crash could leave a torn segment in the middle, which no reader can tell from one
// that was cut on purpose.
func (j *Journal) rotate() error {
	if err := j.put(); err != nil {
		return err
	}
	if j.newEntry || j.synced < j.last {
		if err := j.datasync(j.file); err != nil {
			return err
		}
	}
	if !j.newEntry {
		j.publish(j.last)
	}
	previous := j.file
	if err := j.begin(j.segments[len(j.segments)-1].number + 1); err != nil {
		return err
	}
	j.retired = append(j.retired, previous)
	return nil
}

// begin creates a segment and writes its header frame. Without room on the disk the
// journal stays as it was.
func (j *Journal) begin(number uint64) error {
	path := filepath.Join(j.path, segmentName(number))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return noSpace(err)
	}
	if err := j.fill(f, j.zeros, 0); err != nil {
		_ = f.Close() // it never became a segment
		return errors.Join(noSpace(err), os.Remove(path))
	}
	header := opening{replica: j.replica, number: number, previous: j.chain}
	frame, next := j.sealer.append(nil, j.chain, kindSegment, j.last+1, ID{}, header.bytes())
	if _, err := f.WriteAt(frame, 0); err != nil {
		_ = f.Close()
		return err
	}
	j.file, j.chain, j.room, j.newEntry = f, next, j.step(), true
	j.segments = append(j.segments, segment{number: number})
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
