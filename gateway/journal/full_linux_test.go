package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// disk is one that can be filled and be given room again.
type disk interface {
	under(j *Journal)
	grow(t *testing.T)
}

// mounted is a small file system in memory: a disk that is really full.
type mounted struct {
	dir  string
	size int64
}

func (*mounted) under(*Journal) {}

func (m *mounted) grow(t *testing.T) {
	t.Helper()
	m.size += 300 << 10
	require.NoError(t, syscall.Mount("tmpfs", m.dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", m.size)))
}

// pretended is one that says so after writing half of what it was given, as a real
// one may.
type pretended struct {
	err  error
	left atomic.Int64
}

func (p *pretended) under(j *Journal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fill = func(f *os.File, b []byte, at int64) error {
		if p.left.Add(-int64(len(b))) < 0 {
			return &os.PathError{Op: "write", Path: f.Name(), Err: p.err}
		}
		return fill(f, b, at)
	}
}

func (p *pretended) grow(*testing.T) { p.left.Store(300 << 10) }

// TestADiskIsFilledAndGivenRoomAgain fills a disk under a journal, settles what was
// running, makes room and goes on; a reader finds every record that was promised.
func TestADiskIsFilledAndGivenRoomAgain(t *testing.T) {
	t.Parallel()
	disks := map[string]disk{
		filepath.Join(t.TempDir(), "quota"): &pretended{err: syscall.EDQUOT},
		filepath.Join(t.TempDir(), "disk"):  &pretended{err: syscall.ENOSPC},
	}
	small := &mounted{dir: t.TempDir(), size: 512 << 10}
	if err := syscall.Mount("tmpfs", small.dir, "tmpfs", 0, fmt.Sprintf("size=%d", small.size)); err == nil {
		t.Cleanup(func() {
			require.Eventually(t, func() bool { return syscall.Unmount(small.dir, 0) == nil }, 10*time.Second, time.Millisecond)
		})
		disks[filepath.Join(small.dir, "real")] = small
	} else {
		t.Logf("no real disk can be mounted here: %v", err)
	}
	for root, d := range disks {
		t.Run(filepath.Base(root), func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(root)
			cfg.SegmentBytes, cfg.MaxBytes = 64<<10, 1<<22
			j := open(t, cfg)
			d.under(j)
			next := 0
			for round := range 4 {
				var running []ID
				for {
					_, err := j.AppendIntent(numbered(next), make([]byte, 100))
					if err != nil {
						require.ErrorIs(t, err, ErrNoSpace)
						break
					}
					running = append(running, numbered(next))
					next++
				}
				require.NotEmpty(t, running, "round %d", round)
				for _, id := range running {
					p, err := j.AppendOutcome(id, make([]byte, 500))
					require.NoError(t, err, "an outcome of a running request has room")
					require.NoError(t, j.Sync(t.Context(), p))
				}
				if round == 1 {
					require.NoError(t, j.Release(running), "released segments give room back")
				}
				d.grow(t)
			}
			p, err := j.AppendIntent(numbered(next), nil)
			require.NoError(t, err)
			require.NoError(t, j.Sync(t.Context(), p))
			require.NoError(t, j.Close())
			got, o, err := replay(t, cfg, j.Replica().String())
			require.NoError(t, err)
			require.Zero(t, o.Torn())
			require.Equal(t, p, got[len(got)-1].Position)
			kinds := map[ID]int{}
			for i, r := range got {
				require.Equal(t, got[0].Position+Position(i), r.Position)
				kinds[r.ID] |= 1 << r.Kind
			}
			require.Equal(t, 1<<Intent, kinds[numbered(next)])
			require.Equal(t, 1<<Intent|1<<Outcome, kinds[numbered(next-1)])
		})
	}
}
