package app_test

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/signer"
)

func seedOf(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, auditlog.SeedBytes))
}

// apart makes the house's log signed by a keeper of its own.
func (h *house) apart(t *testing.T, dir, seeds string) *signer.Keeper {
	t.Helper()
	authority, err := app.ParseLogKeys(secret.NewText(seeds))
	require.NoError(t, err)
	k, err := signer.OpenKeeper(dir, authority, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = k.Close() })
	h.log.SignBy(k)
	return k
}

// TestASignerApartSignsNoOtherLogWhateverTheDatabaseSays rewrites everything that the
// database holds of what was signed, as a superuser can, and asks again.
func TestASignerApartSignsNoOtherLogWhateverTheDatabaseSays(t *testing.T) {
	t.Parallel()
	for name, rewrite := range map[string]func(t *testing.T, h *house){
		"the end cut off, with its heads": func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `delete from audit_leaf where sequence >= 5 and tenant_id = $1`, h.one.tenant)
			h.superuser(t, `delete from audit_checkpoint where tenant_id = $1`, h.one.tenant)
		},
		"a leaf and all above it, without heads": func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `update audit_leaf set leaf = sha256('other') where sequence = 3 and tenant_id = $1`, h.one.tenant)
			h.superuser(t, `update audit_node set hash = sha256('other') where tenant_id = $1`, h.one.tenant)
			h.superuser(t, `delete from audit_checkpoint where tenant_id = $1`, h.one.tenant)
		},
		"all of it": func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `delete from audit_leaf where tenant_id = $1`, h.one.tenant)
			h.superuser(t, `delete from audit_node where tenant_id = $1`, h.one.tenant)
			h.superuser(t, `delete from audit_checkpoint where tenant_id = $1`, h.one.tenant)
			h.note(t, h.one, 1)
			h.place(t, h.one)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := busy(t)
			k := h.apart(t, t.TempDir(), seedOf(1))
			h.place(t, h.one)
			require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
			view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Limit: 1})
			require.NoError(t, err)
			require.True(t, view.State.Apart)
			rewrite(t, h)
			err = h.log.Sign(t.Context(), h.one.tenant)
			require.Equal(t, "log_forked", fault.From(err).Code)
			_, _, refused := h.log.Checked()
			require.EqualValues(t, 1, refused)
			require.EqualValues(t, 1, k.Counts().Heads)
		})
	}
}

// TestAHeadThatWasSignedAndNotKeptIsNoFork loses what the signer answered, as a process
// that dies does.
func TestAHeadThatWasSignedAndNotKeptIsNoFork(t *testing.T) {
	t.Parallel()
	h := busy(t)
	h.apart(t, t.TempDir(), seedOf(1))
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	h.superuser(t, `delete from audit_checkpoint where tenant_id = $1`, h.one.tenant)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant), "the same head again")
	h.superuser(t, `delete from audit_checkpoint where tenant_id = $1`, h.one.tenant)
	h.note(t, h.one, 2)
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant), "it says after which head, and the log grew from that")
	require.EqualValues(t, 1, h.number(t, `select count(*) from audit_checkpoint where tenant_id = $1`, h.one.tenant))
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
}

// TestAKeyThatNamesItselfIsABreak has who took over by itself write into the database that
// its own key named it.
func TestAKeyThatNamesItselfIsABreak(t *testing.T) {
	t.Parallel()
	h := busy(t)
	dir := t.TempDir()
	for _, seeds := range []string{seedOf(1), seedOf(3)} {
		k := h.apart(t, dir, seeds)
		h.note(t, h.one, 2)
		h.place(t, h.one)
		require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
		require.NoError(t, k.Close())
	}
	signer, key, err := auditlog.NewSigner(bytes.Repeat([]byte{3}, auditlog.SeedBytes), h.one.tenant)
	require.NoError(t, err)
	named, err := note.Sign(&note.Note{Text: "tollbook key succession v1\n" + auditlog.Origin(h.one.tenant) + "\n" + key + "\n"}, signer)
	require.NoError(t, err)
	h.superuser(t, `update audit_key set endorsed = $1 where verifier = $2`, named, key)
	keys, err := h.log.Keys(t.Context(), h.one.who)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.Equal(t, key, keys[1].Verifier)
	require.True(t, keys[1].Broken(), keys[1].EndorsedBy)
}

// TestKeysFollowOneAnotherInTheOpen changes the seed with an overlap, and then without.
func TestKeysFollowOneAnotherInTheOpen(t *testing.T) {
	t.Parallel()
	h := busy(t)
	dir := t.TempDir()
	for i, seeds := range []string{seedOf(1), seedOf(2) + "," + seedOf(1), seedOf(2), seedOf(3)} {
		k := h.apart(t, dir, seeds)
		h.note(t, h.one, 2)
		h.place(t, h.one)
		require.NoError(t, h.log.Sign(t.Context(), h.one.tenant), i)
		require.NoError(t, k.Close())
	}
	keys, err := h.log.Keys(t.Context(), h.one.who)
	require.NoError(t, err)
	require.Len(t, keys, 3)
	require.Empty(t, keys[0].EndorsedBy)
	require.True(t, keys[0].First, "the first key follows none")
	require.Equal(t, keys[0].Verifier, keys[1].EndorsedBy)
	require.False(t, keys[1].First)
	require.Empty(t, keys[2].EndorsedBy, "nobody vouches for a key that took over by itself")
	require.False(t, keys[2].First)
	require.False(t, keys[0].EndedAt.IsZero())
	require.False(t, keys[1].EndedAt.IsZero())
	require.True(t, keys[2].EndedAt.IsZero(), "it signs now")
	h.place(t, h.one)
	for action, n := range map[string]int{"log.key_used": 3, "log.key_ended": 2} {
		view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Action: action})
		require.NoError(t, err)
		require.Len(t, view.Entries, n, action)
	}
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
}
