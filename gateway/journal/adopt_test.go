package journal

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be another process: a gateway to be killed, or
// one whose disk is full.
func TestMain(m *testing.M) {
	var err error
	switch root := os.Getenv("JOURNAL_TEST_ROOT"); os.Getenv("JOURNAL_TEST_AS") {
	case "":
		os.Exit(m.Run())
	case "writer":
		err = beWriter(root)
	case "full":
		err = beFull(root)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// beWriter records requests for ever, and says each one that is synced.
func beWriter(root string) error {
	cfg := testConfig(root)
	cfg.SegmentBytes = 8 << 10
	j, err := Open(cfg)
	if err != nil {
		return err
	}
	for {
		id := ID(uuid.New())
		if _, err := j.AppendIntent(id, append([]byte("in:"), id[:]...)); err != nil {
			return err
		}
		p, err := j.AppendOutcome(id, append([]byte("out:"), id[:]...))
		if err != nil {
			return err
		}
		if err := syncAndSay(j, p, id); err != nil {
			return err
		}
	}
}

func syncAndSay(j *Journal, p Position, id ID) error {
	done := make(chan error, 1)
	go func() { done <- j.Sync(timeless{}, p) }()
	if err := <-done; err != nil {
		return err
	}
	_, err := fmt.Println(hex.EncodeToString(id[:]))
	return err
}

// timeless is a context that never ends.
type timeless struct{}

func (timeless) Deadline() (time.Time, bool) { return time.Time{}, false }
func (timeless) Done() <-chan struct{}       { return nil }
func (timeless) Err() error                  { return nil }
func (timeless) Value(any) any               { return nil }

// beFull writes until the kernel refuses, and checks that nothing succeeds after.
func beFull(root string) error {
	signal.Ignore(syscall.SIGXFSZ)
	j, err := Open(testConfig(root))
	if err != nil {
		return err
	}
	j.fill = func(*os.File, []byte, int64) error { return nil } // there is no room, and nothing says so in time
	if err := os.Truncate(filepath.Join(root, j.replica.String(), segmentName(1)), j.bytes); err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: 50_001, Max: 50_001} // in the middle of a frame
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	var synced Position
	count := 0
	for ; err == nil; count++ {
		if count == 100 {
			if err := j.Sync(timeless{}, synced); err != nil {
				return err
			}
		}
		var p Position
		if p, err = j.AppendIntent(numbered(count), make([]byte, 100)); count < 100 {
			synced = p
		}
	}
	if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("the write that failed said %w", err)
	}
	_, intent := j.AppendIntent(numbered(9999), nil)
	_, outcome := j.AppendOutcome(numbered(1), nil)
	late := j.Sync(timeless{}, synced+1)
	for _, err := range []error{intent, outcome, late, j.Close()} {
		if !errors.Is(err, ErrFailed) {
			return fmt.Errorf("after the failure: %w", err)
		}
	}
	if err := j.Sync(timeless{}, synced); err != nil {
		return fmt.Errorf("what was synced before: %w", err)
	}
	_, err = fmt.Println(count - 1)
	return err
}

func child(t *testing.T, as, root string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_AS="+as, "JOURNAL_TEST_ROOT="+root)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestAKilledReplicaLosesNothingItSynced(t *testing.T) {
	t.Parallel()
	for _, after := range []int{1, 7, 60, 300} {
		t.Run(strconv.Itoa(after), func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t.TempDir())
			cmd := child(t, "writer", cfg.Root)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(out)
			var said []string
			for len(said) < after && lines.Scan() {
				said = append(said, lines.Text())
			}
			names := replicas(t, cfg.Root)
			_, err = Adopt(cfg, names[0])
			require.ErrorIs(t, err, ErrLocked, "its owner lives")
			orphans, err := Orphans(cfg.Root)
			require.NoError(t, err)
			require.Empty(t, orphans)
			live, err := Inspect(filepath.Join(cfg.Root, names[0]), [][]byte{cfg.MACKey}, nil)
			require.NoError(t, err)
			require.True(t, live.Live)

			require.NoError(t, cmd.Process.Kill())
			for lines.Scan() { // said after we stopped counting, but said
				said = append(said, lines.Text())
			}
			_ = cmd.Wait() // it was killed
			orphans, err = Orphans(cfg.Root)
			require.NoError(t, err)
			require.Equal(t, names, orphans)
			got, o, err := replay(t, cfg, names[0])
			require.NoError(t, err)
			_, err = Adopt(cfg, names[0])
			require.ErrorIs(t, err, ErrLocked, "adopted once")
			kinds := map[string]Kind{}
			for _, r := range got {
				prefix := map[Kind]string{Intent: "in:", Outcome: "out:"}[r.Kind]
				require.Equal(t, prefix+string(r.ID[:]), string(r.Payload))
				kinds[hex.EncodeToString(r.ID[:])] |= r.Kind
			}
			for _, id := range said {
				if len(id) == 32 { // the last line may be cut
					require.Equal(t, Intent|Outcome, kinds[id])
				}
			}
			require.NoError(t, o.Remove())
			require.Empty(t, replicas(t, cfg.Root))
		})
	}
}

func replicas(t *testing.T, root string) []string {
	t.Helper()
	names, err := list(root)
	require.NoError(t, err)
	return names
}

func TestAFailedWriteIsForEver(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	out, err := child(t, "full", cfg.Root).Output()
	require.NoError(t, err)
	var count int
	_, err = fmt.Sscan(string(out), &count)
	require.NoError(t, err)
	got, o, err := replay(t, cfg, replicas(t, cfg.Root)[0])
	require.NoError(t, err)
	require.Len(t, got, count, "every append that returned, and none that did not")
	require.Positive(t, o.Torn())
}

func TestHalfMadeDirectories(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	old := time.Now().Add(-2 * halfMadeAge)
	made := func(prefix string, at time.Time) string {
		path := filepath.Join(cfg.Root, prefix+uuid.NewString())
		require.NoError(t, os.MkdirAll(path, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(path, segmentName(1)), []byte("x"), 0o600))
		require.NoError(t, os.Chtimes(path, at, at))
		return path
	}
	young, stale, gone, foreign := made(newPrefix, time.Now()), made(newPrefix, old), made(gonePrefix, old), made(".other-", old)
	held := made(gonePrefix, old)
	lock, err := lockDirectory(held)
	require.NoError(t, err)
	defer lock.Close()
	require.NoError(t, os.Chtimes(held, old, old))
	unlocked := made("", old) // a replica's name without a lock file was never a journal
	orphans, err := Orphans(cfg.Root)
	require.NoError(t, err)
	require.Empty(t, orphans)
	open(t, cfg)
	for _, path := range []string{young, foreign, held, unlocked} {
		require.DirExists(t, path)
	}
	require.NoDirExists(t, stale)
	require.NoDirExists(t, gone)
}

func TestInspectSeesALiveJournal(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes = 500
	j := open(t, cfg)
	for i := range 20 {
		_, err := j.AppendIntent(numbered(i), bytes.Repeat([]byte("x"), 100))
		require.NoError(t, err)
	}
	p, err := j.AppendOutcome(numbered(3), nil)
	require.NoError(t, err)
	require.NoError(t, j.Sync(t.Context(), p))
	path := filepath.Join(cfg.Root, j.Replica().String())
	var records int
	in, err := Inspect(path, [][]byte{cfg.MACKey}, func(Record) error { records++; return nil })
	require.NoError(t, err)
	require.Equal(t, 21, records)
	require.True(t, in.Live)
	require.True(t, in.Verified)
	require.Equal(t, j.Replica(), in.Replica)
	require.Len(t, in.Segments, j.Stats().Segments)
	require.Equal(t, Position(21), in.Segments[len(in.Segments)-1].Last)
	var intents, outcomes int
	for _, s := range in.Segments {
		intents, outcomes = intents+s.Intents, outcomes+s.Outcomes
	}
	require.Equal(t, []int{20, 1}, []int{intents, outcomes})

	in, err = Inspect(path, nil, nil)
	require.NoError(t, err)
	require.False(t, in.Verified)
	_, err = Inspect(path, [][]byte{bytes.Repeat([]byte{8}, KeyBytes)}, nil)
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt)
	_, err = Inspect(path, [][]byte{[]byte("short")}, nil)
	require.Error(t, err)
	_, err = Inspect(strings.TrimSuffix(path, "a")+"z", nil, nil)
	require.Error(t, err)
}

func TestInspectWhileItsOwnerWritesAndReleases(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes = 600
	j := open(t, cfg)
	path := filepath.Join(cfg.Root, j.Replica().String())
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 400 && err == nil; i++ {
			if _, err = j.AppendIntent(numbered(i), make([]byte, 100)); err == nil && i >= 20 {
				err = j.Release([]ID{numbered(i - 20)})
			}
		}
		done <- err
	}()
	for {
		_, err := Inspect(path, [][]byte{cfg.MACKey}, nil)
		require.NoError(t, err)
		select {
		case err := <-done:
			require.NoError(t, err)
			return
		default:
		}
	}
}

// TestAJournalOfTheKeyBeforeIsAdopted replaces the key between two lives.
func TestAJournalOfTheKeyBeforeIsAdopted(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes = 500
	j := open(t, cfg)
	for i := range 20 {
		_, err := j.AppendIntent(numbered(i), make([]byte, 100))
		require.NoError(t, err)
	}
	require.NoError(t, j.Release([]ID{numbered(0), numbered(1), numbered(2), numbered(3)}))
	require.NoError(t, j.Close())
	name, before := j.Replica().String(), cfg.MACKey
	cfg.MACKey = bytes.Repeat([]byte{8}, KeyBytes)
	_, o, err := replay(t, cfg, name)
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt, "not with the new key alone")
	require.NoError(t, o.Close())
	_, err = Inspect(filepath.Join(cfg.Root, name), [][]byte{cfg.MACKey}, nil)
	require.ErrorAs(t, err, &corrupt)

	cfg.OldKeys = [][]byte{before}
	in, err := Inspect(filepath.Join(cfg.Root, name), [][]byte{cfg.MACKey, before}, nil)
	require.NoError(t, err)
	require.True(t, in.Verified)
	got, o, err := replay(t, cfg, name)
	require.NoError(t, err)
	require.Equal(t, numbered(19), got[len(got)-1].ID)
	require.NoError(t, o.Remove())

	cfg.OldKeys = [][]byte{before[:5]}
	_, err = Open(cfg)
	require.Error(t, err)
}
