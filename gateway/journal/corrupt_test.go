package journal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sample is a small journal of four segments, as the bytes of its files, without the
// zeros behind their records.
type sample struct {
	cfg     Config
	replica uuid.UUID
	files   map[uint64][]byte
	records []Record
}

func makeSample(t testing.TB, records int) sample {
	t.Helper()
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes = 400
	j, err := Open(cfg)
	require.NoError(t, err)
	s := sample{cfg: cfg, replica: j.Replica(), files: map[uint64][]byte{}}
	for i := range records {
		payload := bytes.Repeat([]byte{byte(i + 1)}, 20+i*7%60)
		p, err := j.AppendIntent(numbered(i), payload)
		require.NoError(t, err)
		s.records = append(s.records, Record{Kind: Intent, ID: numbered(i), Payload: payload, Position: p})
	}
	require.NoError(t, j.Close())
	path := filepath.Join(cfg.Root, s.replica.String())
	numbers, err := segmentNumbers(path)
	require.NoError(t, err)
	for _, n := range numbers {
		whole, err := os.ReadFile(filepath.Join(path, segmentName(n)))
		require.NoError(t, err)
		s.files[n] = s.recorded(t, n, whole)
	}
	return s
}

// recorded cuts off the zeros behind a segment's records.
func (s sample) recorded(t testing.TB, number uint64, whole []byte) []byte {
	t.Helper()
	tr := trail{sealer: newSealer(s.cfg.MACKey), replica: s.replica, seen: func(string, Record) error { return nil }}
	require.NoError(t, tr.read(bytes.NewReader(whole), int64(len(whole)), number, true))
	require.True(t, zero(whole[tr.used:]))
	return whole[:tr.used]
}

func (s sample) clone() sample {
	c := s
	c.files = map[uint64][]byte{}
	for n, b := range s.files {
		c.files[n] = bytes.Clone(b)
	}
	return c
}

// replay reads the files as a replay does, from memory.
func (s sample) replay() (got []Record, torn int64, err error) {
	t := trail{sealer: newSealer(s.cfg.MACKey), replica: s.replica, seen: func(_ string, r Record) error {
		got = append(got, r)
		return nil
	}}
	numbers := slices.Sorted(maps.Keys(s.files))
	for i, n := range numbers {
		if err := t.read(bytes.NewReader(s.files[n]), int64(len(s.files[n])), n, i == len(numbers)-1); err != nil {
			return got, t.torn, err
		}
	}
	return got, t.torn, nil
}

// requirePrefix says that got is how the journal truly began.
func (s sample) requirePrefix(t require.TestingT, got []Record) {
	require.LessOrEqual(t, len(got), len(s.records))
	if len(got) > 0 {
		require.Equal(t, s.records[:len(got)], got)
	}
}

func TestATornTailEndsTheReplay(t *testing.T) {
	t.Parallel()
	s := makeSample(t, 12)
	last := slices.Max(slices.Collect(maps.Keys(s.files)))
	whole := s.files[last]
	require.Greater(t, len(whole), openingBytes+frameBytes, "the last segment holds a record")
	var ends []int // of whole frames
	for cut := range whole {
		s.files[last] = whole[:cut]
		got, torn, err := s.replay()
		if torn == 0 {
			ends = append(ends, cut)
		}
		require.NoError(t, err, "cut at %d", cut)
		s.requirePrefix(t, got)
		require.GreaterOrEqual(t, len(got), len(s.records)-4)
		require.LessOrEqual(t, torn, int64(cut))
		if cut > len(whole)-10 {
			require.Len(t, got, len(s.records)-1)
			require.Positive(t, torn)
		}
	}
	// What a power loss leaves: the size is there, the bytes are not.
	ends = append(ends, len(whole))
	for cut := range whole {
		s.files[last] = append(bytes.Clone(whole[:cut]), make([]byte, 5000)...)
		got, torn, err := s.replay()
		if slices.ContainsFunc(ends, func(end int) bool {
			if cut >= end || bytes.Equal(s.files[last][:end], whole[:end]) {
				return false // the frame is whole, be it that zeros replaced zeros
			}
			zeros := end - len(bytes.TrimRight(s.files[last][:end], "\x00")) // a chain value may end in some of its own
			return cut > end-tornBytes && zeros < tornBytes
		}) {
			require.Error(t, err, "too few zeros to tell them from damage: a person has to look")
			s.requirePrefix(t, got)
			continue
		}
		require.NoError(t, err, "zeros from %d", cut)
		s.requirePrefix(t, got)
		if torn > 0 {
			require.GreaterOrEqual(t, torn, int64(5000))
		} else {
			recorded := s.recorded(t, last, s.files[last])
			require.Equal(t, bytes.TrimRight(recorded, "\x00"), bytes.TrimRight(whole[:cut], "\x00"), "nothing is torn between records")
		}
	}
}

func TestZerosBehindTheRecordsAreRoom(t *testing.T) {
	t.Parallel()
	s := makeSample(t, 12)
	for n := range s.files {
		s.files[n] = append(s.files[n], make([]byte, 3000)...)
	}
	got, torn, err := s.replay()
	require.NoError(t, err)
	require.Zero(t, torn)
	require.Equal(t, s.records, got)
	for _, at := range []int{1, 40, 2999} {
		c := s.clone()
		c.files[2][len(c.files[2])-at] = 1
		_, _, err = c.replay()
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt, "a byte that nobody wrote, %d before the end", at)
	}
}

func TestATornSegmentInTheMiddleIsCorrupt(t *testing.T) {
	t.Parallel()
	s := makeSample(t, 12)
	first := s.files[1]
	for cut := range first {
		s.files[1] = first[:cut]
		got, _, err := s.replay()
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt, "cut at %d", cut)
		s.requirePrefix(t, got)
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	s := makeSample(t, 12)
	require.GreaterOrEqual(t, len(s.files), 3)
	for n, file := range s.files {
		for i := range file {
			for bit := range 8 {
				file[i] ^= 1 << bit
				got, torn, err := s.replay()
				file[i] ^= 1 << bit
				var corrupt *CorruptError
				require.ErrorAs(t, err, &corrupt, "segment %d byte %d bit %d", n, i, bit)
				require.Zero(t, torn)
				s.requirePrefix(t, got)
				require.NotEmpty(t, corrupt.Reason)
			}
		}
	}
}

func TestDamageBeforeAnUnwrittenTailIsNotTaken(t *testing.T) {
	t.Parallel()
	s := makeSample(t, 12)
	last := slices.Max(slices.Collect(maps.Keys(s.files)))
	s.files[last][60] ^= 1 // in the segment header's payload
	s.files[last] = append(s.files[last], make([]byte, 100)...)
	_, _, err := s.replay()
	require.Error(t, err)
}

func TestAnyMutationGivesAPrefixOrAnError(t *testing.T) {
	t.Parallel()
	s := makeSample(t, 12)
	rapid.Check(t, func(t *rapid.T) {
		c := s.clone()
		for range rapid.IntRange(1, 4).Draw(t, "mutations") {
			n := rapid.SampledFrom(slices.Sorted(maps.Keys(c.files))).Draw(t, "segment")
			b := c.files[n]
			at := rapid.IntRange(0, len(b)).Draw(t, "at")
			switch rapid.SampledFrom([]string{"insert", "remove", "set", "copy"}).Draw(t, "how") {
			case "insert":
				c.files[n] = slices.Insert(b, at, rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "bytes")...)
			case "remove":
				c.files[n] = slices.Delete(b, at, min(len(b), at+rapid.IntRange(1, 200).Draw(t, "count")))
			case "set":
				if at < len(b) {
					b[at] = rapid.Byte().Draw(t, "byte")
				}
			case "copy":
				other := s.files[rapid.SampledFrom(slices.Sorted(maps.Keys(s.files))).Draw(t, "from")]
				c.files[n] = append(b[:at:at], other...)
			}
		}
		got, _, _ := c.replay() // whatever it says, it must not deliver what never was
		s.requirePrefix(t, got)
	})
}

func TestSegmentsOutOfPlace(t *testing.T) {
	t.Parallel()
	s := makeSample(t, 16)
	require.GreaterOrEqual(t, len(s.files), 4)
	other := makeSample(t, 16)
	for name, change := range map[string]func(f map[uint64][]byte){
		"removed":    func(f map[uint64][]byte) { delete(f, 2) },
		"swapped":    func(f map[uint64][]byte) { f[2], f[3] = f[3], f[2] },
		"duplicated": func(f map[uint64][]byte) { f[3] = f[2] },
		"appended":   func(f map[uint64][]byte) { f[uint64(len(f)+1)] = f[2] },
		"prepended":  func(f map[uint64][]byte) { f[0] = f[1] },
		"foreign":    func(f map[uint64][]byte) { f[2] = other.files[2] },
		"emptied":    func(f map[uint64][]byte) { f[2] = nil },
		"joined":     func(f map[uint64][]byte) { f[1] = append(f[1], f[2]...); delete(f, 2) },
		"shifted": func(f map[uint64][]byte) {
			for n := uint64(1); n < uint64(len(s.files)); n++ {
				f[n] = f[n+1]
			}
		},
	} {
		c := s.clone()
		change(c.files)
		got, _, err := c.replay()
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt, name)
		s.requirePrefix(t, got)
	}
	for keep := uint64(2); keep <= uint64(len(s.files)); keep++ {
		c := s.clone()
		for n := uint64(1); n < keep; n++ {
			delete(c.files, n)
		}
		got, _, err := c.replay()
		require.NoError(t, err, "a released prefix is no damage")
		require.Equal(t, s.records[len(s.records)-len(got):], got)
	}
}

func TestAnotherKeyReadsNothing(t *testing.T) {
	t.Parallel()
	s := makeSample(t, 3)
	cfg := s.cfg
	cfg.MACKey = bytes.Repeat([]byte{9}, KeyBytes)
	got, _, err := replay(t, cfg, s.replica.String())
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Contains(t, corrupt.Error(), "another key")
	require.Equal(t, "00000001.seg", corrupt.Segment)
	require.Empty(t, got)
}

func TestReplayStopsWhenToldTo(t *testing.T) {
	t.Parallel()
	s := makeSample(t, 5)
	stop := errors.New("stop")
	o, err := Adopt(s.cfg, s.replica.String())
	require.NoError(t, err)
	defer o.Close()
	seen := 0
	require.ErrorIs(t, o.Replay(func(Record) error {
		if seen++; seen == 2 {
			return stop
		}
		return nil
	}), stop)
	require.Equal(t, 2, seen)
	seen = 0
	require.NoError(t, o.Replay(func(Record) error { seen++; return nil }), "and can be asked again")
	require.Equal(t, 5, seen)
}

// FuzzReplay reads arbitrary bytes as a last segment: it must end, deliver only
// records that the key sealed, and never panic.
func FuzzReplay(f *testing.F) {
	s := makeSample(f, 12)
	for _, file := range s.files {
		f.Add(file)
		f.Add(file[:len(file)-5])
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for n := range s.files {
			c := sample{cfg: s.cfg, replica: s.replica, files: map[uint64][]byte{n: file}}
			got, torn, _ := c.replay()
			require.LessOrEqual(t, torn, int64(len(file)))
			for _, r := range got {
				require.Equal(t, s.records[r.Position-1], r)
			}
			c.files[n] = file[:len(file)/2]
			half, _, _ := c.replay()
			require.LessOrEqual(t, len(half), len(got), "a part of a file has no more than the whole")
			if len(half) > 0 {
				require.Equal(t, got[:len(half)], half)
			}
		}
	})
}

func TestCorruptErrorNamesThePlace(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("drain: %w", &CorruptError{Segment: "00000002.seg", Offset: 96, Reason: "payload checksum"})
	require.EqualError(t, err, "drain: journal segment 00000002.seg is corrupt at byte 96: payload checksum")
}

// FuzzDamage puts any bytes over any part of a journal: what is replayed is how it
// truly began, or the damage is named, and reading it without the key ends as well.
func FuzzDamage(f *testing.F) {
	s := makeSample(f, 12)
	f.Add(uint8(0), uint16(0), []byte{0})
	f.Add(uint8(1), uint16(40), []byte{255, 255, 255, 255})
	f.Add(uint8(3), uint16(8), make([]byte, 400))
	f.Fuzz(func(t *testing.T, which uint8, at uint16, over []byte) {
		numbers := slices.Sorted(maps.Keys(s.files))
		number := numbers[int(which)%len(numbers)]
		damaged := slices.Clone(s.files[number])
		from := int(at) % (len(damaged) + 1)
		damaged = append(damaged[:from], append(slices.Clone(over), damaged[min(len(damaged), from+len(over)):]...)...)
		c := sample{cfg: s.cfg, replica: s.replica, files: maps.Clone(s.files)}
		c.files[number] = damaged
		got, torn, err := c.replay()
		s.requirePrefix(t, got)
		if !bytes.Equal(damaged, s.files[number]) && len(got) < len(s.records) {
			require.True(t, err != nil || torn > 0 || zero(damaged[min(len(damaged), from):]) && number == numbers[len(numbers)-1], "%d of %d records, and nothing is said", len(got), len(s.records))
		}
		c.cfg.MACKey = nil
		blind := trail{sealer: newSealer(nil), replica: c.replica, seen: func(string, Record) error { return nil }}
		_ = blind.read(bytes.NewReader(damaged), int64(len(damaged)), number, true) // whatever it says, it ends
	})
}
