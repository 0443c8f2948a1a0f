package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/db"
)

func TestAKeyIsRotatedAsOneChangeAndTellsItsStory(t *testing.T) {
	t.Parallel()
	h := build(t)
	who := h.member(t, h.one, app.RoleEngineeringAdmin, "")
	records := h.records(t, h.one.tenant, "change.applied")
	want := app.Rotation{Key: h.one.key.ID}
	made, err := h.keys.RotateOnce(t.Context(), who, want, "yearly", "once")
	require.NoError(t, err)
	again, err := h.keys.RotateOnce(t.Context(), who, want, "yearly", "once")
	require.NoError(t, err)
	plain := made.Secret.Reveal()
	require.Equal(t, plain, again.Secret.Reveal(), "asked twice, rotated once")
	require.NotEqual(t, h.one.key.Secret.Reveal(), plain)
	require.Equal(t, records+1, h.records(t, h.one.tenant, "change.applied"))
	for _, table := range h.tables(t) {
		require.NotContains(t, h.text(t, `select string_agg(r::text, '') from `+table+` r`), plain, table)
	}

	story, err := h.keys.Story(t.Context(), who, h.one.key.ID)
	require.NoError(t, err)
	require.Equal(t, plain[len(plain)-4:], story.Hint, "a key is known by its newest secret")
	require.Len(t, story.Secrets, 2)
	require.True(t, story.Secrets[0].EndsAt.IsZero())
	require.Equal(t, made.Change.EffectiveFrom.Add(app.OverlapUsual), story.Secrets[1].EndsAt)
	require.True(t, story.Secrets[1].Accepted(h.clock.now()))
	require.Equal(t, []string{"key_secret", "key"}, []string{story.History[0].Kind, story.History[1].Kind})
	require.Equal(t, "BU-1 / CC-1", story.Path)

	// A second rotation shortens what the first allowed, and never lengthens it.
	sooner := h.clock.now().Add(time.Hour)
	_, err = h.keys.RotateOnce(t.Context(), who, app.Rotation{Key: h.one.key.ID, EarlierUntil: sooner}, "leaked", "")
	require.NoError(t, err)
	_, err = h.keys.RotateOnce(t.Context(), who, app.Rotation{Key: h.one.key.ID, EarlierUntil: sooner.Add(48 * time.Hour)}, "again", "")
	require.NoError(t, err)
	story, err = h.keys.Story(t.Context(), who, h.one.key.ID)
	require.NoError(t, err)
	require.Equal(t, []int{4, 3, 2, 1}, []int{story.Secrets[0].Place, story.Secrets[1].Place, story.Secrets[2].Place, story.Secrets[3].Place})
	require.Equal(t, sooner.Truncate(time.Microsecond), story.Secrets[3].EndsAt)
	require.Equal(t, sooner.Truncate(time.Microsecond), story.Secrets[2].EndsAt)
	require.Equal(t, sooner.Add(48*time.Hour).Truncate(time.Microsecond), story.Secrets[1].EndsAt)

	require.NoError(t, h.keys.Revoke(t.Context(), who, h.one.key.ID, "gone"))
	_, err = h.keys.RotateOnce(t.Context(), who, want, "late", "")
	require.Equal(t, "key_revoked", fault.From(err).Code)
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	for _, text := range []string{plain, h.one.key.Secret.Reveal()} {
		_, ok := h.snapshots.Find(h.snapshots.Current().Tenants["one"], text)
		require.False(t, ok, "revoking ends every secret")
	}
}

func TestARotationIsRefused(t *testing.T) {
	t.Parallel()
	h := build(t)
	before := h.contents(t)
	refuse := func(who app.Actor, want app.Rotation, code string) {
		t.Helper()
		_, err := h.keys.RotateOnce(t.Context(), who, want, "x", "")
		require.Equal(t, code, fault.From(err).Code)
	}
	refuse(h.one.who, app.Rotation{Key: h.two.key.ID}, db.ErrKeyAbsent.Code)
	refuse(h.one.who, app.Rotation{Key: h.one.key.ID, EarlierUntil: november(1)}, "earlier_until_past")
	refuse(h.one.who, app.Rotation{Key: h.one.key.ID, EarlierUntil: november(1).AddDate(1, 0, 0)}, "earlier_until_late")
	require.Equal(t, before, h.contents(t))
	refuse(h.member(t, h.one, app.RoleAuditor, ""), app.Rotation{Key: h.one.key.ID}, app.ErrNotAllowed.Code)
	for range 4 {
		_, err := h.keys.RotateOnce(t.Context(), h.one.who, app.Rotation{Key: h.one.key.ID}, "x", "")
		require.NoError(t, err)
	}
	refuse(h.one.who, app.Rotation{Key: h.one.key.ID}, "key_secrets_many")
	short, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "short", CostCenter: "CC-1", ExpiresAt: november(11)}, "x")
	require.NoError(t, err)
	h.clock.add(48 * time.Hour)
	refuse(h.one.who, app.Rotation{Key: short.ID}, "key_expired")
}

func TestAKeysTermsAreKeptAndRefused(t *testing.T) {
	t.Parallel()
	h := build(t)
	made, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{
		Label: "terms", CostCenter: "CC-1", Projects: []string{"CC-3"}, Models: []string{" claude-opus-5-5", "claude-haiku-*", "claude-opus-5-5"}, RequestsPerMinute: 30,
	}, "x")
	require.NoError(t, err)
	view, err := h.keys.Find(t.Context(), h.one.who, made.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"claude-haiku-*", "claude-opus-5-5"}, view.Models)
	require.EqualValues(t, 30, view.RequestsPerMinute)
	require.Equal(t, []string{"CC-3"}, view.Projects)
	require.Contains(t, string(made.Change.Payload), `"requests_per_minute":30`)
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	key, ok := h.snapshots.Find(h.snapshots.Current().Tenants["one"], made.Secret.Reveal())
	require.True(t, ok)
	require.EqualValues(t, 30, key.RequestsPerMinute)
	require.True(t, key.Models.Allow("claude-haiku-5-5"))
	require.False(t, key.Models.Allow("claude-sonnet-5-5"))
	plain, ok := h.snapshots.Find(h.snapshots.Current().Tenants["one"], h.one.key.Secret.Reveal())
	require.True(t, ok)
	require.True(t, plain.Models.Allow("anything"))

	before := h.contents(t)
	for code, want := range map[string]app.NewKey{
		"model_name":                {Models: []string{"*"}},
		"models_many":               {Models: slices.Repeat([]string{"a"}, 51)},
		"requests_per_minute_range": {RequestsPerMinute: -1},
	} {
		want.Label, want.CostCenter = "k", "CC-1"
		_, err := h.keys.Create(t.Context(), h.one.who, want, "x")
		require.Equal(t, code, fault.From(err).Code)
	}
	for _, name := range []string{"", "a b", "a,b", "ä", "a*b", strings.Repeat("a", 101)} {
		_, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "k", CostCenter: "CC-1", Models: []string{name}}, "x")
		require.Equal(t, "model_name", fault.From(err).Code, "%q", name)
	}
	require.Equal(t, before, h.contents(t))
}

func TestKeysAreBrowsedByUseWithinOnesOwnTenant(t *testing.T) {
	t.Parallel()
	h := build(t)
	idle, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "Idle", CostCenter: "CC-3"}, "x")
	require.NoError(t, err)
	busy, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "busy", CostCenter: "CC-2"}, "x")
	require.NoError(t, err)
	with := func(key app.MadeKey) func(*usage.Event) { return func(e *usage.Event) { e.Key = key.ID } }
	h.flush(t, h.one, h.one.event(november(3), "CC-1"), h.one.event(november(4), "CC-2", with(busy)), h.one.event(november(9), "CC-2", with(busy)),
		h.one.event(november(2).AddDate(0, -1, 0), "CC-3", with(idle)))
	h.flush(t, h.two, h.two.event(november(5), "CC-1"))

	browse := func(f app.KeyFilter) (app.KeyBook, []string) {
		t.Helper()
		book, err := h.keys.Browse(t.Context(), h.one.who, f)
		require.NoError(t, err)
		var labels []string
		for _, k := range book.Rows {
			labels = append(labels, k.Label)
		}
		return book, labels
	}
	book, labels := browse(app.KeyFilter{})
	require.Equal(t, []string{"busy", "Idle", "laptop"}, labels, "newest first")
	require.Equal(t, 3, book.All)
	require.Equal(t, "0.042000000000", book.Spend.String(), "this month's, and this company's")
	require.Equal(t, "0.028000000000", book.Rows[0].Spend.String())
	require.EqualValues(t, 2, book.Rows[0].Requests)
	require.Equal(t, time.Date(2026, 11, 9, 0, 0, 0, 0, time.UTC), book.Rows[0].LastDay)
	require.Zero(t, book.Rows[1].Requests)
	require.Equal(t, time.Date(2026, 10, 2, 0, 0, 0, 0, time.UTC), book.Rows[1].LastDay)

	for order, want := range map[string][]string{
		"label": {"busy", "Idle", "laptop"}, "-label": {"laptop", "Idle", "busy"}, "-spend": {"busy", "laptop", "Idle"}, "last_used": {"Idle", "laptop", "busy"},
		"cost_center": {"laptop", "busy", "Idle"}, "made": {"laptop", "Idle", "busy"}, "ends": {"busy", "Idle", "laptop"},
	} {
		_, labels = browse(app.KeyFilter{Sort: order})
		require.Equal(t, want, labels, order)
	}
	_, labels = browse(app.KeyFilter{NodeCode: "BU-1"})
	require.Equal(t, []string{"busy", "laptop"}, labels)
	_, labels = browse(app.KeyFilter{Text: "IDL"})
	require.Equal(t, []string{"Idle"}, labels)
	require.NoError(t, h.keys.Revoke(t.Context(), h.one.who, idle.ID, "x"))
	_, labels = browse(app.KeyFilter{State: app.KeyRevoked})
	require.Equal(t, []string{"Idle"}, labels)
	for _, f := range []app.KeyFilter{{State: "x"}, {Sort: "mood"}, {NodeCode: "nobody"}} {
		_, err := h.keys.Browse(t.Context(), h.one.who, f)
		require.Equal(t, fault.KindInvalid, fault.KindOf(err))
	}
	_, err = h.keys.Browse(t.Context(), h.member(t, h.one, app.RoleDeveloper, ""), app.KeyFilter{})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	_, err = h.keys.Story(t.Context(), h.one.who, h.two.key.ID)
	require.ErrorIs(t, err, db.ErrKeyAbsent)
}
