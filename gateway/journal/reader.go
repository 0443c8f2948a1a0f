package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// Record is one intent or outcome read back.
type Record struct {
	Kind     Kind
	ID       ID
	Payload  []byte // the receiver's to keep
	Position Position
}

// CorruptError says what is broken and where. Records before it are good.
type CorruptError struct {
	Segment string // file name
	Offset  int64  // of the frame that is broken, in bytes
	Reason  string // what is wrong with it; never content
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal segment %s is corrupt at byte %d: %s", e.Segment, e.Offset, e.Reason)
}

// trail is what reading a directory's segments one after the other has seen.
type trail struct {
	sealer  *sealer
	others  []*sealer // with older keys: the first frame tells which key its writer had
	replica uuid.UUID
	begun   bool
	number  uint64   // of the last segment opened
	chain   chain    // after the last frame
	next    Position // of the next record
	torn    int64    // bytes of the last segment that were cut short
	used    int64    // bytes of the last segment read, without the zeros behind its records
	live    bool     // its owner may be writing: what is half there is read again
	seen    func(segment string, r Record) error
}

// newTrail expects the newest key first; without one, checksums alone are checked.
func newTrail(replica uuid.UUID, keys [][]byte, seen func(string, Record) error) trail {
	t := trail{sealer: newSealer(nil), replica: replica, seen: seen}
	for i, key := range keys {
		if i == 0 {
			t.sealer = newSealer(key)
			continue
		}
		t.others = append(t.others, newSealer(key))
	}
	return t
}

// follow reads the numbered segments of a directory in order.
func (t *trail) follow(path string, numbers []uint64) error {
	for i, number := range numbers {
		if err := t.segment(path, number, i == len(numbers)-1); err != nil {
			return err
		}
	}
	return nil
}

func (t *trail) segment(path string, number uint64, last bool) error {
	name := segmentName(number)
	f, err := os.Open(filepath.Join(path, name))
	if err != nil {
		return err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	// A live segment may grow while it is read: what came later is not looked at.
	return t.read(f, stat.Size(), number, last)
}

// read verifies one segment of size bytes and delivers its records. Zeros to the end
// may follow them: what was missing there would show at the head of the next
// segment. Only the last segment may end in the middle of a frame.
func (t *trail) read(src interface {
	io.Reader
	io.ReaderAt
}, size int64, number uint64, last bool,
) error {
	name := segmentName(number)
	t.torn, t.used = 0, 0
	in := bufio.NewReaderSize(src, 1<<16)
	frame := make([]byte, headBytes, 4<<10)
	again := 0
	for offset := int64(0); offset < size; {
		left := size - offset
		h, reason, short, err := t.frame(in, left, &frame)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if reason != "" && offset > 0 && zero(frame[:headBytes]) && unwritten(src, offset, size) {
			return nil
		}
		written := int64(headBytes) // no more of a frame than this may be there if it was cut
		if short {
			reason = "cut short, but not the last segment"
		} else if reason == "" {
			reason = t.accept(h, frame, number, offset == 0)
			written = min(int64(len(frame)), left) - tornBytes
		}
		if last && t.moving(short, reason) && again < maxAgain {
			again++
			in.Reset(io.NewSectionReader(src, offset, left))
			continue
		}
		if reason != "" {
			if last && (short || unwritten(src, offset+written, size)) {
				t.torn = left
				return nil
			}
			return &CorruptError{Segment: name, Offset: offset, Reason: reason}
		}
		if err := t.deliver(name, h, frame); err != nil {
			return err
		}
		offset += int64(len(frame))
		t.used, again = offset, 0
	}
	if size == 0 && !last {
		return &CorruptError{Segment: name, Reason: "empty, but not the last segment"}
	}
	return nil
}

// moving says that a frame may be one that its owner wrote while it was read.
func (t *trail) moving(short bool, reason string) bool { return t.live && !short && reason != "" }

// deliver hands on what a whole frame holds.
func (t *trail) deliver(name string, h head, frame []byte) error {
	if h.kind == kindSegment {
		return nil
	}
	record := Record{Kind: h.kind, ID: h.id, Position: h.position, Payload: make([]byte, h.payload)}
	copy(record.Payload, frame[headBytes:])
	return t.seen(name, record)
}

// maxAgain bounds how often a frame is read again that its owner is writing.
const maxAgain = 100

// frame reads the next frame into *buffer. Short means that the file ends before
// the frame does; a reason, that its head is broken.
func (t *trail) frame(in io.Reader, left int64, buffer *[]byte) (h head, reason string, short bool, err error) {
	if left < headBytes {
		return head{}, "", true, nil
	}
	*buffer = (*buffer)[:headBytes]
	b := *buffer
	if _, err := io.ReadFull(in, b); err != nil {
		return head{}, "", false, unexpected(err)
	}
	if h, reason = t.sealer.open(b); reason != "" {
		return head{}, reason, false, nil
	}
	n := frameBytes + h.payload
	if left < int64(n) {
		return head{}, "", true, nil
	}
	if cap(b) < n {
		b = append(make([]byte, 0, n), b...)
	}
	b = b[:n]
	*buffer = b
	if _, err := io.ReadFull(in, b[headBytes:]); err != nil {
		return head{}, "", false, unexpected(err)
	}
	return h, "", false, nil
}

// unexpected names an end of file that the size did not foretell.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// accept checks a whole frame against all that came before it.
func (t *trail) accept(h head, frame []byte, number uint64, first bool) string {
	if first != (h.kind == kindSegment) {
		return "segment header missing or in the wrong place"
	}
	previous := t.chain
	if first {
		o, reason := parseOpening(frame[headBytes : headBytes+h.payload])
		if reason == "" {
			reason = t.enter(o, h, number)
		}
		if reason != "" {
			return reason
		}
		previous = o.previous
	} else if h.position != t.next {
		return fmt.Sprintf("position %d where %d belongs", h.position, t.next)
	}
	next, reason := t.sealer.check(frame, previous)
	for i := 0; reason == reasonChain && !t.begun && i < len(t.others); i++ {
		if next, reason = t.others[i].check(frame, previous); reason == "" {
			t.sealer = t.others[i] // a process has one key for life
		}
	}
	if reason != "" {
		return reason
	}
	t.chain = next
	t.next = h.position
	if !first {
		t.next++
	} else {
		t.begun, t.number = true, number
	}
	return ""
}

// enter checks that a segment is the one that belongs here.
func (t *trail) enter(o opening, h head, number uint64) string {
	switch {
	case o.replica != t.replica:
		return "segment of another replica"
	case o.number != number:
		return fmt.Sprintf("segment %d under the name of %d", o.number, number)
	case h.position == 0 || h.id != ID{}:
		return "segment header"
	case number == 1 && (h.position != 1 || o.previous != chain{}):
		return "segment header"
	case !t.begun:
		return "" // earlier segments were released
	case number != t.number+1:
		return fmt.Sprintf("segments between %d and %d are missing", t.number, number)
	case h.position != t.next || o.previous != t.chain:
		return "does not continue the segment before it"
	}
	return ""
}

// tornBytes is how many zeros at its end make a broken frame one that was never
// written whole: a whole frame ends in the chain value, which has as many by chance
// once in four thousand million.
const tornBytes = 4

// unwritten says that a file was never written from one offset on, to its end: it is
// filled with zeros ahead of its records. The zeros must begin inside the broken
// frame, so that damage further up cannot pass for a torn tail.
func unwritten(src io.ReaderAt, from, size int64) bool {
	b := make([]byte, 4<<10)
	for ; from < size; from += int64(len(b)) {
		b = b[:min(int64(len(b)), size-from)]
		if _, err := src.ReadAt(b, from); err != nil || !zero(b) {
			return false
		}
	}
	return true
}
