package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func testConfig(root string) Config {
	return Config{Root: root, MACKey: bytes.Repeat([]byte{7}, KeyBytes), SegmentBytes: 1 << 20, MaxBytes: 1 << 23}
}

func numbered(n int) ID {
	var id ID
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func open(t *testing.T, cfg Config) *Journal {
	t.Helper()
	j, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func replay(t *testing.T, cfg Config, name string) ([]Record, *Orphan, error) {
	t.Helper()
	o, err := Adopt(cfg, name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = o.Close() })
	var got []Record
	err = o.Replay(func(r Record) error { got = append(got, r); return nil })
	return got, o, err
}

func TestWhatIsAppendedIsReplayed(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	j := open(t, cfg)
	var want []Record
	for i := range 100 {
		payload := bytes.Repeat([]byte{byte(i)}, i*37)
		p, err := j.AppendIntent(numbered(i), payload)
		require.NoError(t, err)
		want = append(want, Record{Kind: Intent, ID: numbered(i), Payload: payload, Position: p})
		if i%3 != 0 {
			p, err := j.AppendOutcome(numbered(i), nil)
			require.NoError(t, err)
			want = append(want, Record{Kind: Outcome, ID: numbered(i), Payload: []byte{}, Position: p})
		}
	}
	require.NoError(t, j.Sync(t.Context(), want[len(want)-1].Position))
	require.Equal(t, j.Stats().LastPosition, j.Stats().SyncedPosition)
	require.NoError(t, j.Close())
	require.NoError(t, j.Close(), "closing again does nothing")
	_, err := j.AppendIntent(numbered(1000), nil)
	require.ErrorIs(t, err, ErrClosed)

	names, err := Orphans(cfg.Root)
	require.NoError(t, err)
	require.Equal(t, []string{j.Replica().String()}, names)
	got, o, err := replay(t, cfg, names[0])
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Zero(t, o.Torn())
	for i, r := range got {
		require.Equal(t, Position(i+1), r.Position, "positions are dense")
	}
	require.NoError(t, o.Remove())
	entries, err := os.ReadDir(cfg.Root)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestOutcomesShareAWrite looks into the file: an intent is there when its append
// returns, outcomes come with the next intent, the next sync, or when they are many.
func TestOutcomesShareAWrite(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	j := open(t, cfg)
	inFile := func() (n int) {
		_, err := Inspect(filepath.Join(cfg.Root, j.Replica().String()), [][]byte{cfg.MACKey}, func(Record) error { n++; return nil })
		require.NoError(t, err)
		return n
	}
	for i := range 4 {
		_, err := j.AppendIntent(numbered(i), nil)
		require.NoError(t, err)
		require.Equal(t, i+1, inFile())
	}
	_, err := j.AppendOutcome(numbered(0), nil)
	require.NoError(t, err)
	last, err := j.AppendOutcome(numbered(1), nil)
	require.NoError(t, err)
	require.Equal(t, 4, inFile())
	require.NoError(t, j.Sync(t.Context(), last))
	require.Equal(t, 6, inFile())
	_, err = j.AppendOutcome(numbered(2), nil)
	require.NoError(t, err)
	require.Equal(t, 6, inFile())
	_, err = j.AppendIntent(numbered(4), nil)
	require.NoError(t, err)
	require.Equal(t, 8, inFile())
	_, err = j.AppendOutcome(numbered(3), make([]byte, maxUnwritten))
	require.NoError(t, err)
	require.Equal(t, 9, inFile())
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	j := open(t, cfg)
	_, err := j.AppendIntent(numbered(1), make([]byte, MaxPayload+1))
	require.ErrorIs(t, err, ErrTooLong)
	_, err = j.AppendIntent(numbered(1), make([]byte, MaxPayload))
	require.NoError(t, err)
	_, err = j.AppendIntent(numbered(1), nil)
	require.ErrorIs(t, err, ErrRepeated)
	_, err = j.AppendOutcome(numbered(2), nil)
	require.ErrorIs(t, err, ErrNoIntent)
	require.ErrorIs(t, j.Sync(t.Context(), 2), ErrFuture)
	require.NoError(t, j.Sync(t.Context(), 0))
	require.Equal(t, Position(1), j.Stats().LastPosition, "what was refused took no position")
	for name, bad := range map[string]Config{
		"no root":       {MACKey: cfg.MACKey},
		"short key":     {Root: cfg.Root, MACKey: []byte("short")},
		"one segment":   {Root: cfg.Root, MACKey: cfg.MACKey, SegmentBytes: 100, MaxBytes: 150},
		"negative":      {Root: cfg.Root, MACKey: cfg.MACKey, SegmentBytes: -1},
		"many segments": {Root: cfg.Root, MACKey: cfg.MACKey, SegmentBytes: 1},
	} {
		_, err := Open(bad)
		require.Error(t, err, name)
		_, err = Adopt(bad, j.Replica().String())
		require.Error(t, err, name)
	}
	for _, name := range []string{"", ".", "..", "../" + j.Replica().String(), "lock", "{" + j.Replica().String() + "}"} {
		_, err := Adopt(cfg, name)
		require.Error(t, err, name)
	}
}

func TestSegmentsAreReleasedFromTheFrontOnly(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes = 1000
	at := time.UnixMilli(1_000_000)
	cfg.Now = func() time.Time { return at }
	j := open(t, cfg)
	count := func() int {
		numbers, err := segmentNumbers(filepath.Join(cfg.Root, j.Replica().String()))
		require.NoError(t, err)
		require.Len(t, numbers, j.Stats().Segments)
		return len(numbers)
	}
	for i := range 40 {
		at = at.Add(time.Second)
		_, err := j.AppendIntent(numbered(i), make([]byte, 200))
		require.NoError(t, err)
		_, err = j.AppendOutcome(numbered(i), make([]byte, 200))
		require.NoError(t, err)
	}
	all := count()
	require.Greater(t, all, 10)
	var late []ID
	for i := 1; i < 40; i++ {
		late = append(late, numbered(i))
	}
	require.NoError(t, j.Release(late))
	require.Equal(t, all, count(), "the first segment holds an intent, so all stay")
	require.Equal(t, 1, j.Stats().Pending)
	require.Equal(t, time.UnixMilli(1_001_000).UTC(), j.Stats().OldestPendingAt)
	require.NoError(t, j.Release([]ID{numbered(0), numbered(0), numbered(99)}))
	require.Equal(t, 1, count(), "the current segment stays")
	require.Zero(t, j.Stats().Pending)
	require.Zero(t, j.Stats().OldestPendingAt)
	require.Less(t, j.Stats().Bytes, int64(2000))

	_, err := j.AppendIntent(numbered(50), nil)
	require.NoError(t, err)
	require.NoError(t, j.Close())
	got, _, err := replay(t, cfg, j.Replica().String())
	require.NoError(t, err, "the suffix that stayed verifies by itself")
	require.Equal(t, numbered(50), got[len(got)-1].ID)
	require.Equal(t, Position(81), got[len(got)-1].Position)
}

func TestOldestPendingFollowsReleasesInAnyOrder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		cfg := testConfig(root)
		cfg.SegmentBytes, cfg.MaxBytes = 600, 1<<20
		var clock int64
		cfg.Now = func() time.Time { return time.UnixMilli(clock) }
		j, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = j.Close() }()
		held := map[int]int64{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			clock++
			if rapid.Bool().Draw(t, "append") {
				n := int(clock)
				if _, err := j.AppendIntent(numbered(n), make([]byte, rapid.IntRange(0, 300).Draw(t, "size"))); err != nil {
					t.Fatal(err)
				}
				held[n] = clock
				continue
			}
			n := rapid.IntRange(1, int(clock)).Draw(t, "release")
			if err := j.Release([]ID{numbered(n)}); err != nil {
				t.Fatal(err)
			}
			delete(held, n)
		}
		oldest := time.Time{}
		for _, at := range held {
			if u := time.UnixMilli(at).UTC(); oldest.IsZero() || u.Before(oldest) {
				oldest = u
			}
		}
		s := j.Stats()
		if s.Pending != len(held) || !s.OldestPendingAt.Equal(oldest) {
			t.Fatalf("stats %+v, want %d pending since %v", s, len(held), oldest)
		}
	})
}

func TestFullIsNotTheEnd(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes, cfg.MaxBytes = 4000, 16000
	j := open(t, cfg)
	var ids []ID
	for {
		id := numbered(len(ids))
		_, err := j.AppendIntent(id, make([]byte, 100))
		if err != nil {
			require.ErrorIs(t, err, ErrFull)
			break
		}
		ids = append(ids, id)
	}
	require.LessOrEqual(t, j.Stats().Bytes, cfg.MaxBytes)
	landed := 0
	for _, id := range ids {
		if _, err := j.AppendOutcome(id, make([]byte, 10)); err != nil {
			require.ErrorIs(t, err, ErrFull)
			break
		}
		landed++
	}
	require.Greater(t, landed, 20, "outcomes go into the reserve")
	require.Less(t, landed, len(ids), "which has an end too")
	require.NoError(t, j.Release(ids))
	_, err := j.AppendIntent(numbered(1000), make([]byte, 100))
	require.NoError(t, err, "room came back")
}

// TestAFullJournalIsCarriedEmpty fills a journal behind its first request, which nobody
// releases: carried to the end, it lets go of all the others.
func TestAFullJournalIsCarriedEmpty(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes, cfg.MaxBytes = 4000, 16000
	j := open(t, cfg)
	intent, outcome := make([]byte, 100), make([]byte, 200)
	var ids []ID
	for n := 0; ; n++ {
		if _, err := j.AppendIntent(numbered(n), intent); err != nil {
			require.ErrorIs(t, err, ErrFull)
			break
		}
		_, err := j.AppendOutcome(numbered(n), outcome)
		require.NoError(t, err)
		ids = append(ids, numbered(n))
	}
	require.NoError(t, j.Release(ids[1:]))
	_, err := j.AppendIntent(numbered(1000), intent)
	require.ErrorIs(t, err, ErrFull, "the first one holds every segment")
	require.NoError(t, j.Carry(t.Context(), ids[0], intent, outcome))
	require.NoError(t, j.Release(nil))
	require.Less(t, j.Stats().Bytes, cfg.MaxBytes/2)
	_, err = j.AppendIntent(numbered(1000), intent)
	require.NoError(t, err)
}

func TestAFullDiskIsNotTheEnd(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes = 16 << 10
	j := open(t, cfg)
	var full atomic.Bool
	j.fill = func(f *os.File, b []byte, at int64) error {
		if full.Load() {
			return &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
		}
		return fill(f, b, at)
	}
	full.Store(true)
	count := 0
	for {
		_, err := j.AppendIntent(numbered(count), make([]byte, 100))
		if err != nil {
			require.ErrorIs(t, err, ErrNoSpace)
			require.NotErrorIs(t, err, ErrFailed)
			break
		}
		count++
	}
	require.Positive(t, count)
	for i := range count {
		p, err := j.AppendOutcome(numbered(i), make([]byte, 600))
		require.NoError(t, err, "what is running has room for its outcome")
		require.NoError(t, j.Sync(t.Context(), p))
	}
	full.Store(false)
	var err error
	for i := range 400 { // into the next segments
		_, err = j.AppendIntent(numbered(count+i), make([]byte, 100))
		require.NoError(t, err)
	}
	require.Greater(t, j.Stats().Segments, 1)
	full.Store(true)
	for i := 0; err != nil || i == 0; i++ { // the last place of this segment, then rotation fails
		if _, err = j.AppendIntent(numbered(10_000+i), make([]byte, 100)); err != nil {
			require.ErrorIs(t, err, ErrNoSpace)
			break
		}
	}
	full.Store(false)
	p, err := j.AppendIntent(numbered(20_000), nil)
	require.NoError(t, err)
	require.NoError(t, j.Sync(t.Context(), p))
	require.NoError(t, j.Close())
	got, o, err := replay(t, cfg, j.Replica().String())
	require.NoError(t, err)
	require.Zero(t, o.Torn())
	require.Equal(t, p, got[len(got)-1].Position)
	require.Len(t, got, int(p), "every append that returned, and none that did not")
}

func TestTheSyncerRestsOnlyWhenRecordsAreMany(t *testing.T) {
	t.Parallel()
	rest := func(perSecond int) time.Duration {
		var p pace
		now := time.Unix(1, 0)
		for i := range 1000 {
			now = now.Add(time.Millisecond)
			p.begin(now, Position(i*perSecond/1000))
		}
		return p.rest(now)
	}
	require.Zero(t, rest(100))
	require.Zero(t, rest(quietRate))
	require.Greater(t, rest(6000), rest(4000))
	require.LessOrEqual(t, rest(1_000_000), restApart)
	require.Negative(t, (&pace{rate: busyRate, began: time.Unix(0, 0)}).rest(time.Unix(1, 0)), "a sync that is due is not put off")
}

func TestCloseLeavesOnlyWhatIsPending(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	j := open(t, cfg)
	_, err := j.AppendIntent(numbered(1), nil)
	require.NoError(t, err)
	require.NoError(t, j.Release([]ID{numbered(1)}))
	require.NoError(t, j.Close())
	entries, err := os.ReadDir(cfg.Root)
	require.NoError(t, err)
	require.Empty(t, entries)
	orphans, err := Orphans(filepath.Join(cfg.Root, "missing"))
	require.NoError(t, err)
	require.Empty(t, orphans)
}

func TestAFailedSyncIsForEver(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	j := open(t, cfg)
	first, err := j.AppendIntent(numbered(1), nil)
	require.NoError(t, err)
	require.NoError(t, j.Sync(t.Context(), first))

	broken := errors.New("disk gone")
	j.mu.Lock()
	j.datasync = func(*os.File) error { return broken }
	j.mu.Unlock()
	second, err := j.AppendOutcome(numbered(1), nil)
	require.NoError(t, err)
	require.ErrorIs(t, j.Sync(t.Context(), second), broken)
	j.mu.Lock()
	j.datasync = datasync
	j.mu.Unlock()
	for range 3 {
		require.ErrorIs(t, j.Sync(t.Context(), second), ErrFailed)
		_, err = j.AppendIntent(numbered(2), nil)
		require.ErrorIs(t, err, ErrFailed)
		_, err = j.AppendOutcome(numbered(1), nil)
		require.ErrorIs(t, err, ErrFailed)
	}
	require.NoError(t, j.Sync(t.Context(), first), "what was synced before stays synced")
	require.ErrorIs(t, j.Close(), broken)
	names, err := Orphans(cfg.Root)
	require.NoError(t, err)
	require.Len(t, names, 1, "a failed journal is left to be adopted")
}

func TestAFailedRotationIsForEver(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes = 300
	j := open(t, cfg)
	// The next segment's name is taken: creating it fails.
	blocker := filepath.Join(cfg.Root, j.Replica().String(), segmentName(2))
	require.NoError(t, os.WriteFile(blocker, nil, 0o600))
	var err error
	for i := 0; err == nil; i++ {
		_, err = j.AppendIntent(numbered(i), make([]byte, 50))
	}
	require.ErrorIs(t, err, os.ErrExist)
	_, again := j.AppendIntent(numbered(100), nil)
	require.Equal(t, err, again)
	require.ErrorIs(t, j.Close(), os.ErrExist)
}

func TestSyncEndsWithItsContext(t *testing.T) {
	t.Parallel()
	j := open(t, testConfig(t.TempDir()))
	entered, leave := make(chan struct{}), make(chan struct{})
	j.datasync = func(*os.File) error { entered <- struct{}{}; <-leave; return nil }
	p, err := j.AppendIntent(numbered(1), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- j.Sync(ctx, p) }()
	<-entered
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	close(leave)
	require.NoError(t, j.Sync(t.Context(), p))
}

func TestWaitersShareOneSync(t *testing.T) {
	t.Parallel()
	j := open(t, testConfig(t.TempDir()))
	var syncs atomic.Int32
	entered, leave := make(chan struct{}, 1000), make(chan struct{})
	j.datasync = func(f *os.File) error {
		syncs.Add(1)
		entered <- struct{}{}
		<-leave
		return datasync(f)
	}
	const waiters = 200
	done := make(chan error, waiters+1)
	wait := func(i int) {
		p, err := j.AppendIntent(numbered(i), nil)
		if err == nil {
			go func() { done <- j.Sync(t.Context(), p) }()
			return
		}
		done <- err
	}
	wait(0)
	<-entered // the disk works on the first; appends go on meanwhile
	for i := range waiters {
		wait(i + 1)
	}
	require.Equal(t, Position(waiters+1), j.Stats().LastPosition)
	require.Zero(t, j.Stats().SyncedPosition)
	close(leave)
	for range waiters + 1 {
		require.NoError(t, <-done)
	}
	require.Equal(t, int32(2), syncs.Load())
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes = 4 << 10 // rotates often, while others sync and release
	j := open(t, cfg)
	const workers, each = 8, 150
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range each {
				id := numbered(w*each + i)
				p, err := j.AppendIntent(id, make([]byte, 64))
				if err == nil && i%4 == 0 {
					err = j.Sync(t.Context(), p)
				}
				if err == nil {
					p, err = j.AppendOutcome(id, make([]byte, 32))
				}
				if err == nil {
					err = j.Sync(t.Context(), p)
				}
				if synced := j.Stats().SyncedPosition; err == nil && synced < p {
					err = fmt.Errorf("sync of %d returned at %d", p, synced)
				}
				if err == nil && i%5 != 0 {
					err = j.Release([]ID{id})
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, Position(2*workers*each), j.Stats().LastPosition)
	require.Equal(t, workers*each/5, j.Stats().Pending)
	require.NoError(t, j.Close())
	got, _, err := replay(t, cfg, j.Replica().String())
	require.NoError(t, err)
	outcomes := map[ID]bool{}
	for _, r := range got {
		outcomes[r.ID] = outcomes[r.ID] || r.Kind == Outcome
	}
	for i := range workers * each {
		if i%each%5 == 0 {
			require.True(t, outcomes[numbered(i)], "record %d", i)
		}
	}
}

//nolint:paralleltest // AllocsPerRun counts the whole process
func TestAppendDoesNotAllocate(t *testing.T) {
	// Not parallel: AllocsPerRun counts the whole process.
	j := open(t, testConfig(t.TempDir()))
	payload := make([]byte, 300)
	_, err := j.AppendIntent(numbered(0), payload)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := j.AppendOutcome(numbered(0), payload); err != nil {
			t.Error(err)
		}
	}))
}

// TestAReleasedRequestNeedsNoRoomForItsOutcome settles requests that found no room for
// their outcomes from memory, as a gateway does: nothing is kept free for them after.
func TestAReleasedRequestNeedsNoRoomForItsOutcome(t *testing.T) {
	t.Parallel()
	j := open(t, testConfig(t.TempDir()))
	for i := range 4 {
		_, err := j.AppendIntent(numbered(i), nil)
		require.NoError(t, err)
	}
	for range 2 { // said twice counts once
		_, err := j.AppendOutcome(numbered(0), nil)
		require.NoError(t, err)
	}
	running := func() int { j.mu.Lock(); defer j.mu.Unlock(); return j.running }
	require.Equal(t, 3, running())
	require.NoError(t, j.Release([]ID{numbered(0), numbered(1), numbered(2)}))
	require.Equal(t, 1, running())
	require.NoError(t, j.Release([]ID{numbered(1), numbered(3)}))
	require.Zero(t, running())
}
