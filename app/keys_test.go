package app_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

func TestAKeyIsMadeAsOneChangeAndStoredAsAHash(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.exec(t, `delete from river.river_job`)
	records := h.records(t, h.one.tenant, "change.applied")
	made, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "  ci ", CostCenter: "CC-1", Projects: []string{"CC-3"}, ExpiresAt: november(20)}, "ci")
	require.NoError(t, err)
	plain := made.Secret.Reveal()
	require.True(t, strings.HasPrefix(plain, "tbk_") && len(plain) == 36, plain)
	require.Equal(t, "ci", made.Label)
	hash := h.ring.Hasher("virtual-key").Current(plain)
	require.EqualValues(t, 1, h.number(t, `select count(*) from virtual_key where tenant_id = $1 and key_id = $2 and key_hash = $3 and hint = $4 and label = 'ci'`,
		h.one.tenant, made.ID, hash[:], plain[len(plain)-4:]))
	require.EqualValues(t, 1, h.number(t, `select count(*) from key_assignment a join node_version v using (tenant_id, node_id) join node_version p on p.node_id = a.project_ids[1]
		where a.key_id = $1 and v.code = 'CC-1' and p.code = 'CC-3' and array_length(a.project_ids, 1) = 1`, made.ID))
	require.Equal(t, records+1, h.records(t, h.one.tenant, "change.applied"))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant))
	for _, table := range h.tables(t) {
		require.NotContains(t, h.text(t, `select string_agg(r::text, '') from `+table+` r`), plain, table)
	}

	h.exec(t, `delete from river.river_job`)
	require.NoError(t, h.keys.Revoke(t.Context(), h.one.who, made.ID, "leaked"))
	require.Equal(t, "leaked", h.text(t, `select reason from key_revocation where tenant_id = $1 and key_id = $2`, h.one.tenant, made.ID))
	require.Equal(t, "key_revocation", h.text(t, `select kind from change where tenant_id = $1 order by number desc limit 1`, h.one.tenant))
	require.Equal(t, records+2, h.records(t, h.one.tenant, "change.applied"))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant))
	before := h.contents(t)
	err = h.keys.Revoke(t.Context(), h.one.who, made.ID, "again")
	require.Equal(t, "key_revoked", fault.From(err).Code)
	require.Equal(t, fault.KindConflict, fault.KindOf(err))
	require.Equal(t, before, h.contents(t))
}

func TestAKeyIsRefusedWithoutLabelPlaceOrFuture(t *testing.T) {
	t.Parallel()
	h := build(t)
	before := h.contents(t)
	for code, want := range map[string]app.NewKey{
		"label_length":       {Label: " ", CostCenter: "CC-1"},
		"cost_center_absent": {Label: "k", CostCenter: "nobody"},
		"project_absent":     {Label: "k", CostCenter: "CC-1", Projects: []string{"nobody"}},
		"projects_many":      {Label: "k", CostCenter: "CC-1", Projects: make([]string, 51)},
		"expires_past":       {Label: "k", CostCenter: "CC-1", ExpiresAt: november(1)},
	} {
		_, err := h.keys.Create(t.Context(), h.one.who, want, "x")
		require.Equal(t, code, fault.From(err).Code)
	}
	for _, label := range []string{strings.Repeat("x", 201), "a\x00b", "a\xffb"} {
		_, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: label, CostCenter: "CC-1"}, "x")
		require.Equal(t, fault.KindInvalid, fault.KindOf(err), "%q", label)
	}
	require.Equal(t, before, h.contents(t))
}

func TestAnotherTenantsKeyLooksAbsent(t *testing.T) {
	t.Parallel()
	h := build(t)
	before := h.contents(t)
	theirs, nobodys := h.keys.Revoke(t.Context(), h.one.who, h.two.key.ID, "x"), h.keys.Revoke(t.Context(), h.one.who, id.NewKey(founded()), "x")
	require.ErrorIs(t, theirs, db.ErrKeyAbsent)
	require.Equal(t, nobodys.Error(), theirs.Error())
	_, err := h.keys.Find(t.Context(), h.one.who, h.two.key.ID)
	require.ErrorIs(t, err, db.ErrKeyAbsent)
	page, err := h.keys.List(t.Context(), h.one.who, id.Key{}, 0)
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	require.Equal(t, h.one.key.ID, page.Rows[0].ID)
	page, err = h.keys.List(t.Context(), h.one.who, h.two.key.ID, 0) // a cursor from elsewhere is only a position
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	require.Equal(t, before, h.contents(t))
}

func TestKeysAreListedOnceEachNewestFirst(t *testing.T) {
	t.Parallel()
	h := build(t)
	want := []id.Key{h.one.key.ID}
	for range 7 {
		made, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "k", CostCenter: "CC-2"}, "x")
		require.NoError(t, err)
		want = append([]id.Key{made.ID}, want...)
	}
	var got []id.Key
	cursor := id.Key{}
	for {
		page, err := h.keys.List(t.Context(), h.one.who, cursor, 3)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Rows), 3)
		for _, k := range page.Rows {
			got = append(got, k.ID)
		}
		if page.Next.IsZero() {
			break
		}
		cursor = page.Next
	}
	require.Equal(t, want, got)
	for _, limit := range []int{-1, 0, 1 << 30} {
		_, err := h.keys.List(t.Context(), h.one.who, id.Key{}, limit)
		require.NoError(t, err)
	}
}

func TestAScopedAdminKeepsToTheirSubtree(t *testing.T) {
	t.Parallel()
	h := build(t)
	admin := h.member(t, h.one, app.RoleEngineeringAdmin, "")
	tree, err := h.nodes.List(t.Context(), h.one.who, time.Time{})
	require.NoError(t, err)
	for _, v := range tree {
		if v.Code == "BU-2" {
			admin.Grants = []app.Grant{{Role: app.RoleEngineeringAdmin, Node: v.Node}}
		}
	}
	require.ErrorIs(t, h.keys.Revoke(t.Context(), admin, h.one.key.ID, "not mine"), db.ErrKeyAbsent)
	_, err = h.keys.Create(t.Context(), admin, app.NewKey{Label: "k", CostCenter: "CC-1"}, "not mine")
	require.Equal(t, "cost_center_absent", fault.From(err).Code)
	_, err = h.keys.Create(t.Context(), admin, app.NewKey{Label: "k", CostCenter: "CC-3", Projects: []string{"P-1"}}, "not mine")
	require.Equal(t, "project_absent", fault.From(err).Code)
	made, err := h.keys.Create(t.Context(), admin, app.NewKey{Label: "k", CostCenter: "CC-3"}, "mine")
	require.NoError(t, err)
	page, err := h.keys.List(t.Context(), admin, id.Key{}, 0)
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	require.NoError(t, h.keys.Revoke(t.Context(), admin, made.ID, "mine"))
}

// TestARepeatedWriteIsDoneOnce repeats requests under one idempotency key, at once
// and after the day it is remembered for.
func TestARepeatedWriteIsDoneOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	want := app.NewKey{Label: "once", CostCenter: "CC-1"}
	var all sync.WaitGroup
	made := make([]app.MadeKey, 5)
	for i := range made {
		all.Go(func() {
			var err error
			made[i], err = h.keys.CreateOnce(t.Context(), h.one.who, want, "once", "abc")
			require.NoError(t, err)
		})
	}
	all.Wait()
	for _, m := range made {
		require.Equal(t, made[0].ID, m.ID)
		require.Equal(t, made[0].Secret.Reveal(), m.Secret.Reveal())
		require.Equal(t, made[0].Change.ID, m.Change.ID)
	}
	require.EqualValues(t, 1, h.number(t, `select count(*) from virtual_key where label = 'once'`))
	require.NotContains(t, h.text(t, `select string_agg(r::text, '') from idempotency r`), made[0].Secret.Reveal())

	_, err := h.keys.CreateOnce(t.Context(), h.one.who, app.NewKey{Label: "other", CostCenter: "CC-1"}, "once", "abc")
	require.ErrorIs(t, err, app.ErrMismatch)
	_, err = h.keys.RevokeOnce(t.Context(), h.one.who, made[0].ID, "once", "abc")
	require.ErrorIs(t, err, app.ErrMismatch)
	_, err = h.keys.CreateOnce(t.Context(), h.one.who, want, "once", strings.Repeat("k", 201))
	require.Equal(t, "idempotency_key_length", fault.From(err).Code)
	// Another actor's and another tenant's key of that name is another key.
	admin := h.member(t, h.one, app.RoleEngineeringAdmin, "")
	for _, who := range []app.Actor{admin, h.two.who} {
		other, err := h.keys.CreateOnce(t.Context(), who, want, "once", "abc")
		require.NoError(t, err)
		require.NotEqual(t, made[0].ID, other.ID)
	}
	// A failed request is not remembered.
	_, err = h.keys.CreateOnce(t.Context(), h.one.who, app.NewKey{Label: "x", CostCenter: "nobody"}, "x", "def")
	require.Error(t, err)
	_, err = h.keys.CreateOnce(t.Context(), h.one.who, app.NewKey{Label: "x", CostCenter: "CC-1"}, "x", "def")
	require.NoError(t, err)

	h.clock.add(24 * time.Hour)
	late, err := h.keys.CreateOnce(t.Context(), h.one.who, want, "once", "abc")
	require.NoError(t, err)
	require.NotEqual(t, made[0].ID, late.ID)
	require.EqualValues(t, 1, h.number(t, `select count(*) from idempotency where tenant_id = $1`, h.one.tenant), "what is too old is forgotten")
	ended, err := h.keys.RevokeOnce(t.Context(), h.one.who, late.ID, "done", "ghi")
	require.NoError(t, err)
	again, err := h.keys.RevokeOnce(t.Context(), h.one.who, late.ID, "done", "ghi")
	require.NoError(t, err)
	require.Equal(t, ended, again)
}
