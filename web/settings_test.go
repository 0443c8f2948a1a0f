package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

func TestSettingsPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cases := []struct {
		name          string
		role          app.Role
		status        int
		must, mustNot []string
	}{
		{
			name: "to change", role: app.RoleTenantOwner, status: 200,
			must: []string{
				"Acme Rockets", "http://127.0.0.1:8080/gw/acme", "http://127.0.0.1:8080/sign-in/acme", "November 2026 is in Q4 FY2026", "US dollars", "https://acme.provider.test", "Stored",
				"not tested", "Change the company", "Replace the credential", "Send requests to another address", "Test the connection", "acme contract", "The command line",
				`href="/members/issuers"`, `href="/members/groups"`, `href="/plan"`, `aria-current="page"`,
			},
			mustNot: []string{`href="/prices"`},
		},
		{name: "upstream alone", role: app.RoleEngineeringAdmin, status: 200, must: []string{"Test the connection", "Replace the credential"}, mustNot: []string{"Change the company"}},
		{name: "to look at", role: app.RoleAuditor, status: 200, must: []string{"acme contract", `href="/prices"`}, mustNot: []string{`action="/settings/`}},
		{
			name: "finance", role: app.RoleFinanceAdmin, status: 200, must: []string{"Change what is printed", "Print without a logo"},
			mustNot: []string{`action="/settings/profile`, `action="/settings/upstream`, `href="/members"`},
		},
		{name: "controller", role: app.RoleController, status: 200, mustNot: []string{`action="/settings/`}},
		{name: "not permitted", role: app.RoleDeveloper, status: 403, must: []string{"Not permitted"}, mustNot: []string{`href="/settings"`, "provider.test"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := w.see(t, w.one, c.role, "/settings")
			require.Equal(t, c.status, got.status, got.body)
			for _, text := range c.must {
				require.Contains(t, got.body, text)
			}
			for _, text := range append(append(c.mustNot, "sk-acme"), w.two.words...) {
				require.NotContains(t, got.body, text)
			}
			wholesome(t, got)
		})
	}
}

func TestTheCompanyIsChangedOnAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.session(t, w.one, app.RoleTenantOwner)
	form := url.Values{"name": {"Acme Spaceships"}, "time_zone": {"America/New_York"}, "fiscal_month": {"2"}, "reason": {"renamed"}}
	got := w.send(cookie, "/settings/profile", form)
	require.Equal(t, 303, got.status, got.body)
	page := w.see(t, w.one, app.RoleAuditor, "/settings").body
	for _, text := range []string{
		`<span class="tenant">Acme Spaceships</span>`, "It is 23 Nov 2026 09:02 EST in America/New_York", "begins in February", "November 2026 is in Q4 FY2027",
		"Called Acme Spaceships, before: Acme Rockets. Time zone America/New_York, before: UTC. Fiscal year from February, before: January", "renamed", "Propulsion tenant_owner",
	} {
		require.Contains(t, page, text)
	}
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/").body, "Q4 FY2027. Open period, day 23 of 30")
	require.Contains(t, w.see(t, w.two, app.RoleFinanceAdmin, "/").body, "Q4 FY2026. Open period, day 23 of 30")
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/requests/"+w.one.events[0].ID.String()).body, "Started 23 Nov 2026 09:02 EST in America/New_York")
	require.Contains(t, w.do(request(http.MethodGet, "/sign-in/acme", "")).body, "Acme Spaceships")
	file := w.see(t, w.one, app.RoleAuditor, "/settings.csv").body
	require.Contains(t, file, ",2026-11-23T14:02:00Z,Propulsion tenant_owner,renamed")
	require.Equal(t, 4, strings.Count(file, "\n"), "a head and three changes: %s", file)
	require.NotContains(t, w.see(t, w.two, app.RoleAuditor, "/settings").body, "Spaceships")
	require.Equal(t, 403, w.send(w.session(t, w.one, app.RoleFinanceAdmin), "/settings/profile", form).status)
}

// TestSettingsFormsTellWhatIsWrong sends each form with something wrong: the same page,
// what was typed but the secret, the field at fault.
func TestSettingsFormsTellWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.session(t, w.one, app.RoleTenantOwner)
	fine := func(name, value string) url.Values {
		v := url.Values{"name": {"Typed name"}, "time_zone": {"UTC"}, "fiscal_month": {"4"}, "reason": {"typed reason"}}
		v.Set(name, value)
		return v
	}
	upstream := func(address, credential, reason string) url.Values {
		return url.Values{"base_url": {address}, "credential": {credential}, "reason": {reason}}
	}
	for name, c := range map[string]struct {
		target string
		form   url.Values
		must   []string
	}{
		"no name":                    {"/settings/profile", fine("name", " "), []string{"typed reason", "A name has"}},
		"no zone":                    {"/settings/profile", fine("time_zone", "Mars/Olympus"), []string{`value="Mars/Olympus"`, "no time zone", "Typed name"}},
		"the machine's zone":         {"/settings/profile", fine("time_zone", "Local"), []string{"no time zone"}},
		"a month too many":           {"/settings/profile", fine("fiscal_month", "13"), []string{"twelve months", "Typed name"}},
		"no reason":                  {"/settings/profile", fine("reason", ""), []string{"Say why", "Typed name"}},
		"nothing new":                {"/settings/profile", url.Values{"name": {"Acme Rockets"}, "time_zone": {"UTC"}, "fiscal_month": {"1"}, "reason": {"x"}}, []string{"in force already"}},
		"no address":                 {"/settings/upstream", upstream("typed.address", "hidden-one", "typed reason"), []string{`value="typed.address"`, "typed reason", "An upstream is a base URL"}},
		"no credential":              {"/settings/upstream", upstream("https://typed.address", "", "x"), []string{`value="https://typed.address"`, "A credential is"}},
		"a key of our own":           {"/settings/upstream", upstream("https://typed.address", w.one.key.Secret.Reveal(), "x"), []string{"round in circles"}},
		"an address without why":     {"/settings/upstream", upstream("https://typed.address", "hidden-one", ""), []string{"Say why"}},
		"the credential in use":      {"/settings/upstream/credential", upstream("", "sk-acme", "typed reason"), []string{"typed reason", "the credential in use"}},
		"a credential of two words":  {"/settings/upstream/credential", upstream("", "hidden-one two", "x"), []string{"A credential is"}},
		"a credential without a why": {"/settings/upstream/credential", upstream("", "hidden-one", " "), []string{"Say why"}},
	} {
		got := w.send(cookie, c.target, c.form)
		require.Equal(t, 422, got.status, "%s: %s", name, got.body)
		for _, text := range append(c.must, `role="alert"`, `aria-invalid="true"`) {
			require.Contains(t, got.body, text, name)
		}
		for _, secret := range []string{"hidden-one", "sk-acme", w.one.key.Secret.Reveal()} {
			require.NotContains(t, got.body, secret, name)
		}
		wholesome(t, got)
	}
}

func TestAnUpstreamIsReplacedAndTestedOnAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.session(t, w.one, app.RoleEngineeringAdmin)
	var asked []string
	answering := func(answer func(*http.Request) (*http.Response, error)) {
		w.provider = func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("X-Api-Key"))
			return answer(r)
		}
	}
	for _, c := range []struct {
		answer func(*http.Request) (*http.Response, error)
		want   []string
	}{
		{says(200, `{"data":[{"type":"model","id":"a"},{"type":"model","id":"b"}]}`), []string{"Works", "It works: the provider took the credential and listed 2 models."}},
		{says(401, `{"type":"error","error":{"type":"authentication_error","message":"secret detail"}}`), []string{"Credential refused", "refused the credential (401)"}},
		{says(529, `{"type":"error","error":{"type":"overloaded_error"}}`), []string{"Cannot serve now", "(529, overloaded_error)"}},
		{says(200, `<html>secret detail</html>`), []string{"No Anthropic API", "What answered (200) is no Anthropic API"}},
		{func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded }, []string{"Not reached", "no answer came in ten seconds"}},
	} {
		answering(c.answer)
		got := w.send(cookie, "/settings/upstream/test", nil)
		require.Equal(t, 303, got.status, got.body)
		require.Equal(t, "/settings#upstream", got.header.Get("Location"))
		page := w.see(t, w.one, app.RoleAuditor, "/settings").body
		for _, text := range append(c.want, "Propulsion engineering_admin") {
			require.Contains(t, page, text)
		}
		require.NotContains(t, page, "secret detail")
	}
	require.Equal(t, "GET https://acme.provider.test/v1/models sk-acme", asked[0])
	require.Contains(t, w.see(t, w.two, app.RoleAuditor, "/settings").body, "not tested")

	require.Equal(t, 303, w.send(cookie, "/settings/upstream/credential", url.Values{"credential": {" sk-fresh\n"}, "reason": {"yearly"}}).status)
	page := w.see(t, w.one, app.RoleAuditor, "/settings").body
	require.Contains(t, page, "Upstream credential replaced")
	require.Contains(t, page, "not tested", "the test was of another credential")
	require.Equal(t, 303, w.send(cookie, "/settings/upstream", url.Values{"base_url": {"https://other.test/api"}, "credential": {"sk-other"}, "reason": {"moved"}}).status)
	require.Equal(t, 303, w.send(cookie, "/settings/upstream/test", nil).status)
	require.Equal(t, "GET https://other.test/api/v1/models sk-other", asked[len(asked)-1])
	for range 4 {
		require.Equal(t, 303, w.send(cookie, "/settings/upstream/test", nil).status)
	}
	require.Equal(t, 429, w.send(cookie, "/settings/upstream/test", nil).status, "an eleventh within a minute")
	require.Equal(t, 403, w.send(w.session(t, w.one, app.RoleAuditor), "/settings/upstream/test", nil).status)

	tenant, err := w.areas.Tenants.Create(t.Context(), "fresh", "Fresh Start", now())
	require.NoError(t, err)
	_, err = w.areas.Members.Add(t.Context(), app.Command(tenant), app.NewMember{Issuer: issuerURL, Subject: "fresh-tenant_owner", Name: "F", Email: "f@fresh.test", Role: app.RoleTenantOwner}, "x")
	require.NoError(t, err)
	c := &company{tenant: tenant, slug: "fresh"}
	got := w.send(w.session(t, c, app.RoleTenantOwner), "/settings/upstream/test", nil)
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, "nothing to test")
	require.Contains(t, got.body, "the gateway refuses every request")
	require.Contains(t, got.body, "Nothing was changed since")
}

// TestASuspendedCompanyTellsItsMembers opens pages and API of a company that the operator
// suspended, and of another one.
func TestASuspendedCompanyTellsItsMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.session(t, w.one, app.RoleFinanceAdmin)
	owner := w.session(t, w.one, app.RoleTenantOwner)
	require.NoError(t, w.areas.Tenants.Suspend(t.Context(), app.Command(w.one.tenant), "the contract ended"))
	const words = "This company is suspended by whoever runs this installation"
	open := func(cookie *http.Cookie, method, target string) answer {
		r := request(method, target, "")
		r.AddCookie(cookie)
		return w.do(r)
	}
	for _, target := range []string{"/", "/requests", "/settings", "/settings.csv", "/account", "/members", "/requests/" + w.one.events[0].ID.String()} {
		got := open(cookie, http.MethodGet, target)
		require.Equal(t, 403, got.status, target)
		require.Contains(t, got.body, words, target)
		require.Contains(t, got.body, "<h1>Suspended</h1>")
		require.Contains(t, got.body, "Propulsion finance_admin")
		require.NotContains(t, got.body, `href="/requests"`, "no way to what is closed")
		wholesome(t, got)
	}
	changes := w.rows(t)
	got := w.send(owner, "/settings/profile", url.Values{"name": {"Other"}, "time_zone": {"UTC"}, "fiscal_month": {"2"}, "reason": {"x"}})
	require.Equal(t, 403, got.status)
	require.Contains(t, got.body, words)
	require.Equal(t, changes, w.rows(t), "its data stays as it is")

	called := w.call(w.one, app.RoleFinanceAdmin, "/nodes", "")
	require.Equal(t, 403, called.status)
	require.Contains(t, called.body, "/problems/tenant_suspended")
	require.Equal(t, 200, w.call(w.two, app.RoleFinanceAdmin, "/nodes", "").status)
	require.Equal(t, 200, w.see(t, w.two, app.RoleFinanceAdmin, "/").status)

	require.Equal(t, 303, open(cookie, http.MethodPost, "/sign-out").status)
	require.Equal(t, 303, open(cookie, http.MethodGet, "/").status, "signed out")
	_, err := w.areas.SignIns.Accept(t.Context(), w.one.tenant, app.Claims{Issuer: issuerURL, Subject: "acme-auditor", SignedInAt: now()})
	require.ErrorIs(t, err, app.ErrTenantSuspended)

	require.NoError(t, w.areas.Tenants.Resume(t.Context(), app.Command(w.one.tenant), "it goes on"))
	require.Equal(t, 200, open(owner, http.MethodGet, "/settings").status, "a session goes on, too")
	require.Equal(t, 200, w.call(w.one, app.RoleFinanceAdmin, "/nodes", "").status)
}
