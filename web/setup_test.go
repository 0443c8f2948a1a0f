package web_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/usage"
)

// fresh is a company as the command line makes it: a name, an issuer and members, and
// nothing that could be charged.
func (w *world) fresh(t *testing.T) *company {
	t.Helper()
	tenant, err := w.areas.Tenants.Create(t.Context(), "harbor", "Harbor Works", now().AddDate(0, -1, 0))
	require.NoError(t, err)
	c := &company{tenant: tenant, slug: "harbor", members: map[app.Role]id.Member{}}
	for _, role := range everybody() {
		if role == app.RoleBudgetOwner {
			continue // there is no part of the company yet
		}
		member, err := w.areas.Members.Add(t.Context(), app.Command(tenant), app.NewMember{Issuer: issuerURL, Subject: "harbor-" + string(role), Name: "Harbor " + string(role), Role: role}, "the people")
		require.NoError(t, err)
		c.members[role] = member
	}
	return c
}

// states are the words of a set-up's steps, in order.
func states(page string) []string {
	var list []string
	_, steps, _ := strings.Cut(page, `<ol class="panel setup"`)
	steps, _, _ = strings.Cut(steps, `</ol>`)
	for _, m := range regexp.MustCompile(`(?s)<h2>[^<]*</h2>\s*<span class="tag[^"]*">.*?</span>\s*([A-Z][a-z]+)`).FindAllStringSubmatch(steps, -1) {
		list = append(list, m[1])
	}
	return list
}

// TestASetUpEndsWithThePricedRequest walks through it as two people who share the work,
// each of whom has forms for what is theirs and names for the rest.
func TestASetUpEndsWithThePricedRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.fresh(t)
	see := func(role app.Role, must ...string) string {
		got := w.see(t, c, role, "/setup")
		require.Equal(t, 200, got.status, got.body)
		wholesome(t, got)
		for _, word := range must {
			require.Contains(t, got.body, word)
		}
		return got.body
	}
	post := func(role app.Role, target string, pairs ...string) answer {
		form := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return w.post(t, c, role, target, form)
	}
	body := see(app.RoleTenantOwner, "1 of 6", `action="/setup/upstream"`, `value="https://api.anthropic.com"`, "Who can: finance admin or engineering admin.", "Who can: finance admin or analyst.", "See the members")
	require.Equal(t, []string{"Done", "Next", "Later", "Later", "Later", "Later"}, states(body))
	require.NotContains(t, body, `action="/setup/cost-center"`)
	body = see(app.RoleFinanceAdmin, `action="/setup/cost-center"`, "Who can: engineering admin or tenant owner.", "Import a CSV file")
	require.NotContains(t, body, `action="/setup/upstream"`)
	body = see(app.RoleAuditor, "1 of 6", "Who can:")
	require.NotContains(t, body, `<form method="post" action="/setup`)
	require.NotContains(t, body, `<form class="form"`)
	for _, role := range []app.Role{app.RoleAnalyst, app.RoleDeveloper} {
		require.Equal(t, 403, w.see(t, c, role, "/setup").status, role)
	}

	// The upstream: refused, stored and found wanting, stored and working.
	got := post(app.RoleTenantOwner, "/setup/upstream", "base_url", "ftp://x", "credential", "sk-1")
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, `value="ftp://x"`)
	require.NotContains(t, got.body, "sk-1")
	got = post(app.RoleTenantOwner, "/setup/upstream", "base_url", app.ProviderURL, "credential", "a b")
	require.Equal(t, 422, got.status)
	require.Equal(t, 409, post(app.RoleTenantOwner, "/setup/upstream/test").status, "there is none yet")
	w.provider = says(401, `{"type":"error","error":{"type":"authentication_error"}}`)
	require.Equal(t, 303, post(app.RoleTenantOwner, "/setup/upstream", "base_url", app.ProviderURL, "credential", "sk-1").status)
	body = see(app.RoleTenantOwner, "Credential refused", "Test it again", `action="/setup/upstream"`)
	require.Equal(t, "Next", states(body)[1])
	w.provider = says(200, `{"data":[{"type":"model","id":"claude-opus-5-5"}]}`)
	require.Equal(t, 303, post(app.RoleEngineeringAdmin, "/setup/upstream/test").status)
	require.Equal(t, []string{"Done", "Done", "Next", "Later", "Later", "Later"}, states(see(app.RoleTenantOwner, "2 of 6", "Works")))

	// Cost center and key.
	got = post(app.RoleFinanceAdmin, "/setup/cost-center", "code", "", "name", "Platform", "capitalization", "expense")
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, `value="Platform"`)
	require.Equal(t, 403, post(app.RoleTenantOwner, "/setup/cost-center", "code", "HW-1", "name", "Platform", "capitalization", "expense").status)
	require.Equal(t, 422, post(app.RoleAnalyst, "/setup/cost-center", "code", "").status, "who may not look at the set-up is told alone")
	require.Equal(t, 303, post(app.RoleFinanceAdmin, "/setup/cost-center", "code", "HW-1", "name", "Platform", "capitalization", "expense").status)
	see(app.RoleEngineeringAdmin, "3 of 6", "HW-1 Platform", `action="/setup/key"`)
	got = post(app.RoleEngineeringAdmin, "/setup/key", "label", "", "cost_center", "HW-1")
	require.Equal(t, 422, got.status)
	got = post(app.RoleEngineeringAdmin, "/setup/key", "label", "laptops", "cost_center", "AC-11")
	require.Equal(t, 422, got.status, "another company's")
	require.Contains(t, got.body, `value="laptops"`)
	got = post(app.RoleEngineeringAdmin, "/setup/key", "label", "laptops", "cost_center", "HW-1", "once", "form_1")
	require.Equal(t, 201, got.status)
	require.Contains(t, got.body, "go on with the set-up")
	secretText := regexp.MustCompile(`tbk_[0-9A-Za-z]+`).FindString(got.body)
	require.NotEmpty(t, secretText)
	require.Equal(t, secretText, regexp.MustCompile(`tbk_[0-9A-Za-z]+`).FindString(post(app.RoleEngineeringAdmin, "/setup/key", "label", "laptops", "cost_center", "HW-1", "once", "form_1").body), "sent twice, one key")
	body = see(app.RoleTenantOwner, "4 of 6", "ANTHROPIC_BASE_URL=http://127.0.0.1:8080/gw/harbor", "Waiting for your first request", "from=setup")
	require.Equal(t, []string{"Done", "Done", "Done", "Done", "Next", "Waiting"}, states(body))
	require.NotContains(t, body, secretText)

	// Requests: one that failed, then the one that is priced.
	w.arrive(t, c, secretText, now().Add(-time.Hour), func(e *usage.Event) { e.State, e.HTTPStatus, e.Counts = usage.StateError, 401, usage.Counts{} })
	body = see(app.RoleTenantOwner, "5 of 6", "Error 401", "The latest request")
	require.Equal(t, []string{"Done", "Done", "Done", "Done", "Done", "Waiting"}, states(body))
	require.Contains(t, w.see(t, c, app.RoleTenantOwner, "/").body, "5 of 6", "the strip is on other pages")
	first := w.arrive(t, c, secretText, now().Add(-time.Minute), nil)
	body = see(app.RoleTenantOwner, "6 of 6", "is set up", "$0.014000", "claude-opus-5-5", "/requests/"+first.String(), "charged to HW-1 by laptops")
	require.Equal(t, []string{"Done", "Done", "Done", "Done", "Done", "Done"}, states(body))
	require.NotContains(t, w.see(t, c, app.RoleTenantOwner, "/").body, "First set-up</strong>", "the strip has nothing to say any more")
	for _, word := range append(append([]string{}, w.one.words...), w.two.words...) {
		require.NotContains(t, body, word)
	}
}

// arrive flushes one request made with a key.
func (w *world) arrive(t *testing.T, c *company, secretText string, at time.Time, set func(*usage.Event)) id.Event {
	t.Helper()
	require.NoError(t, w.snapshots.Load(t.Context(), id.Tenant{}))
	key, ok := w.snapshots.Find(w.snapshots.Current().Tenants[c.slug], secretText)
	require.True(t, ok)
	e := usage.Event{
		ID: id.NewEvent(at), State: usage.StateComplete, HTTPStatus: 200, RequestID: "req_" + id.NewEvent(at).UUID(), Key: key.ID, ModelRequested: "claude-opus-5-5",
		Counts: usage.Counts{Model: "claude-opus-5-5", Tokens: usage.Tokens{1000, 500}}, Shares: key.Answer.Shares, Rule: string(key.Answer.Rule), Snapshot: 1, ReplicaSequence: 1,
	}
	e.Replica = id.ReplicaFromBytes(e.ID.Bytes())
	if set != nil {
		set(&e)
	}
	_, err := w.metering.Flush(t.Context(), c.tenant, []usage.Event{e})
	require.NoError(t, err)
	return e.ID
}

// TestTheStripIsThereUntilItIsDismissed looks at who is led to the set-up, and back.
func TestTheStripIsThereUntilItIsDismissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.fresh(t)
	const strip = `<section class="strip"`
	for _, role := range []app.Role{app.RoleTenantOwner, app.RoleEngineeringAdmin, app.RoleFinanceAdmin} {
		got := w.see(t, c, role, "/")
		require.Contains(t, got.body, strip, role)
		require.Contains(t, got.body, "Next: Claude upstream")
		require.Contains(t, got.body, "Set it up step by step")
		require.NotContains(t, w.see(t, c, role, "/setup").body, strip, "not on itself")
	}
	for _, role := range []app.Role{app.RoleAuditor, app.RoleController, app.RoleAnalyst, app.RoleDeveloper} {
		require.NotContains(t, w.see(t, c, role, "/connect").body, strip, role)
	}
	require.NotContains(t, w.see(t, c, app.RoleAnalyst, "/").body, "Set it up step by step", "nor where it may not be looked at")
	require.NotContains(t, w.see(t, w.one, app.RoleTenantOwner, "/").body, strip, "nothing is left to do there")
	for target, role := range map[string]app.Role{"/settings?from=setup": app.RoleTenantOwner, "/plan/import?from=setup": app.RoleFinanceAdmin, "/connect?from=setup": app.RoleAuditor} {
		require.Contains(t, w.see(t, w.one, role, target).body, "Back to the set-up", "also when it is finished")
	}
	require.NotContains(t, w.see(t, w.one, app.RoleDeveloper, "/connect?from=setup").body, "Back to the set-up")

	got := w.post(t, c, app.RoleTenantOwner, "/setup/dismiss", nil)
	require.Equal(t, 303, got.status)
	cookie := (&http.Response{Header: got.header}).Cookies()[0]
	require.Equal(t, []any{"tollbook-setup", "harbor", true}, []any{cookie.Name, cookie.Value, cookie.HttpOnly})
	look := func(value string) string {
		r := request(http.MethodGet, "/connect", "")
		r.AddCookie(w.session(t, c, app.RoleTenantOwner))
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: value})
		return w.do(r).body
	}
	require.NotContains(t, look("harbor"), strip)
	require.NotContains(t, look("acme.harbor"), strip)
	for _, other := range []string{"", "acme", "harbor-2", strings.Repeat("x", 3000)} {
		require.Contains(t, look(other), strip, other)
	}
	require.Equal(t, 200, w.see(t, c, app.RoleTenantOwner, "/setup").status)
	require.Equal(t, 403, w.post(t, c, app.RoleDeveloper, "/setup/dismiss", nil).status)
}

// TestGarbageInASetUp sends what nobody means to the forms that a finished company's page
// does not show any more.
func TestGarbageInASetUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.fresh(t)
	for target, one := range map[string]struct {
		role app.Role
		form url.Values
	}{
		"/setup/upstream":    {app.RoleTenantOwner, url.Values{"base_url": {app.ProviderURL}, "credential": {"not a credential"}}},
		"/setup/cost-center": {app.RoleEngineeringAdmin, url.Values{"code": {"HW-1"}, "name": {"Platform"}, "capitalization": {"neither"}}},
		"/setup/key":         {app.RoleEngineeringAdmin, url.Values{"label": {"laptops"}, "cost_center": {"NOWHERE"}, "once": {"form_x"}}},
	} {
		before := w.rows(t)
		for _, bad := range junk(w.two) {
			for field := range one.form {
				form := maps.Clone(one.form)
				form.Set(field, bad)
				if field == "capitalization" && bad == "" || field == "credential" {
					continue // any word may be a credential
				}
				got := w.post(t, c, one.role, target, form)
				require.Equal(t, 422, got.status, "%s %s %.40q: %.300s", target, field, bad, got.body)
			}
		}
		after := w.rows(t)
		delete(before, "session")
		delete(after, "session")
		for table, n := range after {
			if !strings.HasPrefix(table, "audit_") && table != "session" { // each attempt signed in
				require.Equal(t, before[table], n, "%s wrote to %s", target, table)
			}
		}
	}
}
