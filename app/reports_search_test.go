package app_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/usage"
)

// words prints what was found.
func words(f *app.Found) string {
	var all []string
	for range f.Requests {
		all = append(all, "request")
	}
	if f.Session != "" {
		all = append(all, "session "+f.Session)
	}
	for _, n := range f.Nodes {
		all = append(all, n.Code)
	}
	for _, k := range f.Keys {
		all = append(all, "key "+k.Label)
	}
	for _, d := range f.Developers {
		all = append(all, d.Label)
	}
	return strings.Join(all, ", ")
}

func TestSearchFindsWhatIsTheirs(t *testing.T) {
	t.Parallel()
	h := build(t)
	e := h.one.event(november(1), "CC-1", h.declared(t, h.one, "Ada@one.test"), func(e *usage.Event) { e.SessionID, e.RequestID = "s-1", "req_1" })
	h.flush(t, h.one, e, h.one.event(november(2), "CC-3", h.declared(t, h.one, "bob@one.test"), func(e *usage.Event) { e.SessionID = "s-2" }))
	h.flush(t, h.two, h.two.event(november(1), "CC-1", h.declared(t, h.two, "cyd@two.test"), func(e *usage.Event) { e.SessionID, e.RequestID = "s-9", "req_9" }))
	owner, developer := h.member(t, h.one, app.RoleBudgetOwner, "CC-3"), h.member(t, h.one, app.RoleDeveloper, "")
	developer.Developer = h.developer(t, h.one, "bob@one.test")
	for _, c := range []struct{ who, text, want string }{
		{"all", " ", ""},
		{"all", e.ID.String(), "request"},
		{"all", "req_1", "request"},
		{"all", "s-1", "session s-1"},
		{"all", "center", "CC-1, CC-2, CC-3"},
		{"all", "p-1", "P-1"},
		{"all", "LAPT", "key laptop"},
		{"all", h.one.key.ID.String(), "key laptop"},
		{"all", "one.test", "Ada@one.test, bob@one.test"},
		{"all", h.developer(t, h.one, "ada@one.test").String(), "Ada@one.test"},
		{"all", "%", ""},
		{"all", "%%", ""},
		{"all", "a_t", ""},
		{"all", "' or true --", ""},
		{"all", "req_9", ""},
		{"all", "s-9", ""},
		{"all", "cyd", ""},
		{"all", h.two.key.ID.String(), ""},
		{"owner", "center", "CC-3"},
		{"owner", "one.test", "bob@one.test"},
		{"owner", "req_1", ""},
		{"owner", e.ID.String(), ""},
		{"owner", "s-2", "session s-2"},
		{"owner", "laptop", ""},
		{"developer", "one.test", "bob@one.test"},
		{"developer", "req_1", ""},
		{"developer", "s-1", ""},
		{"developer", "s-2", "session s-2"},
		{"developer", "laptop", ""},
	} {
		found, err := h.reports.Search(t.Context(), map[string]app.Actor{"all": h.one.who, "owner": owner, "developer": developer}[c.who], c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, words(&found), "%s as %s", c.text, c.who)
	}
	_, err := h.reports.Search(t.Context(), h.one.who, strings.Repeat("x", 201))
	require.Equal(t, "search_length", fault.From(err).Code)
	_, err = h.reports.Search(t.Context(), app.Actor{Tenant: h.one.tenant, Kind: app.ActorToken}, "center")
	require.ErrorIs(t, err, app.ErrNotAllowed)
}
