package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// SegmentView is one segment as an operator sees it.
type SegmentView struct {
	Name        string
	Bytes       int64    // of its records
	First, Last Position // of its records; both 0 when it has none
	Intents     int
	Outcomes    int
}

// Inspection is a journal as it was found, without taking it over.
type Inspection struct {
	Replica  uuid.UUID
	Live     bool // a process owns it
	Verified bool // the chain was checked, not the checksums alone
	Torn     int64
	Segments []SegmentView
}

// Inspect reads the journal in the directory path, also while its owner writes:
// then it sees what was there at about the moment it began. It changes nothing.
// Without keys only checksums are verified; of several, the writer's is found. fn, if not nil, is given every
// record. With a *CorruptError the inspection holds what came before it.
func Inspect(path string, keys [][]byte, fn func(Record) error) (Inspection, error) {
	name := filepath.Base(path)
	if !replicaName(name) {
		return Inspection{}, fmt.Errorf("inspect journal: %q is not a replica's directory", name)
	}
	in := Inspection{Replica: uuid.MustParse(name), Verified: len(keys) > 0}
	for _, key := range keys {
		if len(key) != KeyBytes {
			return in, fmt.Errorf("journal key must be %d bytes, not %d", KeyBytes, len(key))
		}
	}
	var err error
	if in.Live, err = locked(path); err != nil {
		return in, fmt.Errorf("inspect journal: %w", err)
	}
	numbers, err := steadyNumbers(path)
	if err != nil {
		return in, fmt.Errorf("inspect journal: %w", err)
	}
	t := newTrail(in.Replica, keys, func(_ string, r Record) error {
		in.Segments[len(in.Segments)-1].count(r)
		if fn == nil {
			return nil
		}
		return fn(r)
	})
	t.live = in.Live
	for i, number := range numbers {
		view := SegmentView{Name: segmentName(number)}
		_, err := os.Stat(filepath.Join(path, view.Name))
		if err == nil {
			in.Segments = append(in.Segments, view)
			err = t.segment(path, number, i == len(numbers)-1)
			in.Segments[len(in.Segments)-1].Bytes = t.used
		}
		if errors.Is(err, os.ErrNotExist) {
			// The owner released it, and all before it, since we listed. What comes
			// after verifies by itself.
			in.Segments, t.begun = in.Segments[:0], false
			continue
		}
		if err != nil {
			return in, err
		}
	}
	in.Torn = t.torn
	return in, nil
}

// steadyNumbers lists segments of a directory that may be changing. A listing
// can miss a name while others come and go, which would look like a gap; a true
// gap is there the third time too.
func steadyNumbers(path string) (numbers []uint64, err error) {
	for range 3 {
		numbers, err = segmentNumbers(path)
		if err != nil || len(numbers) == 0 || numbers[len(numbers)-1]-numbers[0] == uint64(len(numbers)-1) {
			break
		}
	}
	return numbers, err
}

func (v *SegmentView) count(r Record) {
	if v.First == 0 {
		v.First = r.Position
	}
	v.Last = r.Position
	if r.Kind == Intent {
		v.Intents++
	} else {
		v.Outcomes++
	}
}
