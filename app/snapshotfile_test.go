package app_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// elsewhere is a gateway that starts without ever reaching the database.
func (h *house) elsewhere(ring *secret.Keyring, file string) *app.Snapshots {
	s := app.NewSnapshots(nil, ring, discard(), h.clock.now)
	s.KeepIn(file)
	return s
}

// kept loads everything, writes the file and returns its path.
func (h *house) kept(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "snapshot")
	h.snapshots.KeepIn(file)
	h.load(t, id.Tenant{})
	require.NoError(t, h.snapshots.Keep())
	return file
}

func TestASnapshotSurvivesInItsFile(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.tenants.SetUpstream(t.Context(), h.one.who, "https://api.anthropic.com", secret.NewText("sk-one"), "x"))
	file := h.kept(t)
	want := h.snapshots.Current()
	h.clock.add(time.Hour)
	s := h.elsewhere(h.ring, file)
	require.NoError(t, s.Restore(t.Context()))
	got := s.Current()
	require.WithinDuration(t, want.LoadedAt, got.LoadedAt, time.Second, "it is as old as it was")
	require.Len(t, got.Tenants, len(want.Tenants))
	one := got.Tenants["one"]
	require.Equal(t, want.Tenants["one"].Number, one.Number)
	require.Equal(t, "https://api.anthropic.com sk-one", one.Upstream.String()+" "+one.Credential.Reveal())
	require.Equal(t, want.Tenants["one"].Keys, one.Keys)
	require.Equal(t, want.Tenants["one"].Tree.All(), one.Tree.All())
	require.Equal(t, h.developer(t, h.one, "ada@one.test"), one.Pseudonyms.Developer("ada@one.test"))
	_, ok := s.Find(one, h.one.key.Secret.Reveal())
	require.True(t, ok)
	_, ok = s.Find(one, h.two.key.Secret.Reveal())
	require.False(t, ok)

	content, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, word := range []string{"one", "anthropic.com", "CC-1", "sk-one"} {
		require.False(t, bytes.Contains(content, []byte(word)), word)
	}
	stat, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), stat.Mode().Perm())
}

func TestASnapshotFileOpensWhileTheMasterKeyIsReplaced(t *testing.T) {
	t.Parallel()
	h := empty(t)
	old, fresh := secret.NewMaster(), secret.NewMaster()
	before, err := secret.NewKeyring(old)
	require.NoError(t, err)
	h.wire(t, before)
	h.one = h.company(t, "one")
	file := h.kept(t)
	s := h.elsewhere(rotated(t, old, fresh), file)
	require.NoError(t, s.Restore(t.Context()))
	_, ok := s.Find(s.Current().Tenants["one"], h.one.key.Secret.Reveal())
	require.True(t, ok)
	stranger, err := secret.NewKeyring(secret.NewMaster())
	require.NoError(t, err)
	s = h.elsewhere(stranger, file)
	require.ErrorIs(t, s.Restore(t.Context()), secret.ErrSealed)
	require.Empty(t, s.Current().Tenants)
}

func TestABrokenSnapshotFileIsRefused(t *testing.T) {
	t.Parallel()
	h := build(t)
	file := h.kept(t)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.ErrorIs(t, h.elsewhere(h.ring, file+"-absent").Restore(t.Context()), app.ErrNoSnapshotFile)
	for at := 0; at < len(whole); at += 1 + len(whole)/50 {
		bad := bytes.Clone(whole)
		bad[at] ^= 1
		for _, content := range [][]byte{bad, whole[:at]} {
			require.NoError(t, os.WriteFile(file, content, 0o600))
			s := h.elsewhere(h.ring, file)
			require.Error(t, s.Restore(t.Context()), "byte %d", at)
			require.True(t, s.Current().LoadedAt.IsZero())
		}
	}
	require.NoError(t, os.WriteFile(file, whole, 0o600))
	h.clock.add(-time.Hour)
	require.Error(t, h.elsewhere(h.ring, file).Restore(t.Context()), "how old is a file from the future?")
}

func TestOneTenantsLoadIsNoSnapshotToStartFrom(t *testing.T) {
	t.Parallel()
	h := build(t)
	file := filepath.Join(t.TempDir(), "snapshot")
	h.snapshots.KeepIn(file)
	h.load(t, h.one.tenant)
	require.NoError(t, h.snapshots.Keep())
	require.NoFileExists(t, file)
}

// TestTheFileFollowsChanges leaves everything to Follow: a revocation reaches the
// file, and half-written files of a crash are swept.
func TestTheFileFollowsChanges(t *testing.T) {
	t.Parallel()
	h := build(t)
	file := h.kept(t)
	left := filepath.Join(filepath.Dir(file), ".snapshot-crashed")
	require.NoError(t, os.WriteFile(left, []byte("x"), 0o600))
	long := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(left, long, long))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var following sync.WaitGroup
	following.Go(func() { h.snapshots.Follow(ctx) })
	t.Cleanup(func() { cancel(); following.Wait() })
	require.NoError(t, h.keys.Revoke(t.Context(), h.one.who, h.one.key.ID, "lost"))
	require.Eventually(t, func() bool {
		s := h.elsewhere(h.ring, file)
		if s.Restore(t.Context()) != nil {
			return false
		}
		_, accepted := s.Find(s.Current().Tenants["one"], h.one.key.Secret.Reveal())
		return !accepted
	}, 20*time.Second, 10*time.Millisecond)
	require.NoFileExists(t, left)
}
