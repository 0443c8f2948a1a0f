package app_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
)

func TestAViewIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	h := build(t)
	one, two := h.member(t, h.one, app.RoleAnalyst, ""), h.member(t, h.one, app.RoleDeveloper, "")
	before := h.records(t, h.one.tenant, "change.applied")
	view, err := h.views.Save(t.Context(), one, " By day ", "by=day&measure=tokens")
	require.NoError(t, err)
	require.Equal(t, before+1, h.records(t, h.one.tenant, "change.applied"), "saving leaves a record")
	list, err := h.views.List(t.Context(), one)
	require.NoError(t, err)
	require.Equal(t, []app.SavedView{{ID: view.ID, Name: "By day", Query: "by=day&measure=tokens"}}, list)
	list, err = h.views.List(t.Context(), two)
	require.NoError(t, err)
	require.Empty(t, list)
	require.Equal(t, "view_absent", fault.From(h.views.Remove(t.Context(), two, view.ID)).Code)
	require.Equal(t, "view_absent", fault.From(h.views.Remove(t.Context(), h.member(t, h.two, app.RoleAnalyst, ""), view.ID)).Code)
	for code, c := range map[string][2]string{
		"view_name": {" ", ""}, "view_taken": {"BY DAY", ""}, "view_query": {"x", strings.Repeat("x", 2001)},
	} {
		_, err := h.views.Save(t.Context(), one, c[0], c[1])
		require.Equal(t, code, fault.From(err).Code)
	}
	require.NoError(t, h.views.Remove(t.Context(), one, view.ID))
	require.Equal(t, "view_absent", fault.From(h.views.Remove(t.Context(), one, view.ID)).Code)
	list, err = h.views.List(t.Context(), one)
	require.NoError(t, err)
	require.Empty(t, list)
	for n := range 50 {
		_, err = h.views.Save(t.Context(), one, strconv.Itoa(n), "")
		require.NoError(t, err)
	}
	_, err = h.views.Save(t.Context(), one, "one more", "")
	require.Equal(t, "views_many", fault.From(err).Code)
	auditor := h.member(t, h.one, app.RoleAuditor, "")
	_, err = h.views.Save(t.Context(), auditor, "x", "")
	require.ErrorIs(t, err, app.ErrNotAllowed)
	require.ErrorIs(t, h.views.Remove(t.Context(), auditor, id.NewView(h.clock.now())), app.ErrNotAllowed)
	_, err = h.views.List(t.Context(), auditor)
	require.ErrorIs(t, err, app.ErrNotAllowed)
}

func TestTagKeysAreDeclared(t *testing.T) {
	t.Parallel()
	h := build(t)
	tags := func(who app.Actor) []string {
		keys, err := h.views.Tags(t.Context(), who)
		require.NoError(t, err)
		return keys
	}
	require.Empty(t, tags(h.one.who))
	require.NoError(t, h.views.DeclareTags(t.Context(), h.one.who, []string{"team", "", "ticket", "team"}, "to group by"))
	require.Equal(t, []string{"team", "ticket"}, tags(h.member(t, h.one, app.RoleDeveloper, "")))
	require.Empty(t, tags(h.two.who))
	for code, keys := range map[string][]string{"tag_keys_many": {"a", "b", "c", "d", "e", "f"}, "tag_key": {strings.Repeat("x", 65)}} {
		require.Equal(t, code, fault.From(h.views.DeclareTags(t.Context(), h.one.who, keys, "x")).Code)
	}
	require.Equal(t, "tag_key", fault.From(h.views.DeclareTags(t.Context(), h.one.who, []string{"a=b"}, "x")).Code)
	require.Equal(t, "reason_missing", fault.From(h.views.DeclareTags(t.Context(), h.one.who, []string{"a"}, " ")).Code)
	require.ErrorIs(t, h.views.DeclareTags(t.Context(), h.member(t, h.one, app.RoleAnalyst, ""), []string{"a"}, "x"), app.ErrNotAllowed)
	require.NoError(t, h.views.DeclareTags(t.Context(), h.one.who, nil, "not any more"))
	require.Empty(t, tags(h.one.who))
}
