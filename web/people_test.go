package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/secret"
)

// send sends a form as somebody.
func (w *world) send(cookie *http.Cookie, target string, form url.Values) answer {
	r := request(http.MethodPost, target, form.Encode())
	r.AddCookie(cookie)
	return w.do(r)
}

func TestPeoplePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	auditor := "/members/" + w.one.members[app.RoleAuditor].String()
	cases := []struct {
		name          string
		role          app.Role
		target        string
		status        int
		must, mustNot []string
	}{
		{
			name: "members to change", role: app.RoleTenantOwner, target: "/members", status: 200,
			must: []string{"Propulsion budget_owner", "Budget owner of AC-10", "never", "Active", "acme Newcomer", "Invite somebody", "approves nothing", "/members.csv", auditor},
		},
		{name: "members to look at", role: app.RoleAuditor, target: "/members", status: 200, must: []string{"Propulsion analyst"}, mustNot: []string{"Invite somebody", "Withdraw"}},
		{name: "members by name and role", role: app.RoleAuditor, target: "/members?q=ANALYST&role=analyst", status: 200, must: []string{"1 account", "analyst@acme.test"}, mustNot: []string{"controller@acme.test"}},
		{name: "no member matches", role: app.RoleAuditor, target: "/members?q=nobody", status: 200, must: []string{"No member matches", "Clear the filter"}},
		{name: "before anybody was a member", role: app.RoleAuditor, target: "/members?as_of=2026-01-01", status: 200, must: []string{"No member matches"}},
		{name: "no such role", role: app.RoleAuditor, target: "/members?role=king", status: 422, must: []string{"There is no role", `role="alert"`}},
		{name: "no such instant", role: app.RoleAuditor, target: "/members?as_of=yesterday", status: 422, must: []string{`value="yesterday"`, `role="alert"`}},
		{name: "members not permitted", role: app.RoleFinanceAdmin, target: "/members", status: 403, must: []string{"Not permitted"}, mustNot: []string{`href="/members"`}},
		{
			name: "a member", role: app.RoleTenantOwner, target: auditor, status: 200,
			must: []string{"auditor@acme.test", "Given Auditor", "The command line", "the people", "Change roles", "Suspend…", "acme script", "Link another account"},
		},
		{name: "a member to look at", role: app.RoleAuditor, target: auditor, status: 200, must: []string{"History"}, mustNot: []string{"Change roles", "Suspend…"}},
		{name: "no member", role: app.RoleTenantOwner, target: "/members/mem_zzz", status: 404},
		{name: "what a suspension ends", role: app.RoleTenantOwner, target: auditor + "/suspend", status: 200, must: []string{"Suspend Propulsion auditor?", "2 API tokens", "Every session ends"}},
		{name: "a change of people", role: app.RoleAuditor, target: "/members/changes/" + w.one.things["/members/changes"], status: 200, must: []string{"Api token", "Digest", "The command line"}},
		{name: "a change of another kind", role: app.RoleAuditor, target: "/members/changes/" + w.one.change.ID.String(), status: 404},
		{name: "groups", role: app.RoleTenantOwner, target: "/members/groups", status: 200, must: []string{"acme auditors", "Map a group", "acme login"}},
		{name: "issuers", role: app.RoleTenantOwner, target: "/members/issuers", status: 200, must: []string{issuerURL, "acme.test", "Add an issuer", "http://127.0.0.1:8080/sign-in/callback"}},
		{name: "tokens", role: app.RoleTenantOwner, target: "/tokens", status: 200, must: []string{"acme script", "Auditor", "never used", "Make an API token", "Revoke"}, mustNot: []string{"tbt_"}},
		{name: "tokens to look at", role: app.RoleAuditor, target: "/tokens", status: 200, must: []string{"acme script"}, mustNot: []string{"Make an API token", "/revoke"}},
		{name: "no token in a state", role: app.RoleAuditor, target: "/tokens?state=revoked", status: 200, must: []string{"No token is in this state"}},
		{name: "no such state", role: app.RoleAuditor, target: "/tokens?state=lost", status: 422},
		{name: "own sessions", role: app.RoleDeveloper, target: "/account", status: 200, must: []string{"Your sessions", "This one"}},
		{name: "an invitation", role: app.RoleDeveloper, target: "/join/" + w.one.invited.Code.Reveal(), status: 200, must: []string{"Welcome, acme Newcomer", "Acme Rockets", "Continue to sign in"}},
		{name: "no invitation", role: app.RoleDeveloper, target: "/join/x", status: 404},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := w.see(t, w.one, c.role, c.target)
			require.Equal(t, c.status, got.status, got.body)
			for _, text := range c.must {
				require.Contains(t, got.body, text)
			}
			for _, text := range append(c.mustNot, w.two.words...) {
				require.NotContains(t, got.body, text)
			}
			wholesome(t, got)
		})
	}
}

func TestAccessReviewIsAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.see(t, w.one, app.RoleAuditor, "/members.csv?role=budget_owner")
	require.Equal(t, 200, got.status)
	lines := strings.Split(strings.TrimSpace(got.body), "\n")
	require.Len(t, lines, 2)
	require.Equal(t, "as_of,member,person,name,email,kind,issuer,state,suspended_since,last_sign_in,role,subtree,subtree_name,since,granted_by,change,change_reason,group,conflicts_of_duty", lines[0])
	require.Regexp(t, `^2026-11-23T14:02:00Z,mem_[0-9a-f]{32},per_[0-9a-f]{32},Propulsion budget_owner,budget_owner@acme\.test,person,https://issuer\.test,active,,2026-11-23T14:02:00Z,budget_owner,AC-10,Propulsion unit,2026-11-23T14:02:00Z,The command line,\d+,the people,,$`, lines[1])
	require.Equal(t, 422, w.see(t, w.one, app.RoleAuditor, "/members.csv?as_of=x").status)
	tokens := w.see(t, w.one, app.RoleAuditor, "/tokens.csv?state=active")
	require.Contains(t, tokens.body, "acme script")
	require.NotContains(t, tokens.body, "tbt_")
}

// TestPeopleFormsTellWhatIsWrong sends each form with something wrong: the same page, what
// was typed, the field at fault.
func TestPeopleFormsTellWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.session(t, w.one, app.RoleTenantOwner)
	analyst := "/members/" + w.one.members[app.RoleAnalyst].String()
	for name, c := range map[string]struct {
		target string
		form   url.Values
		status int
		must   []string
	}{
		"an invitation without an address": {"/members/invitations", url.Values{"name": {"Noor"}, "email": {"typed-this"}, "days": {"7"}, "role": {"analyst"}, "issuer": {w.one.issuer.String()}, "reason": {"x"}}, 422, []string{"typed-this", "one e-mail address"}},
		"an invitation for too long":       {"/members/invitations", url.Values{"name": {"Noor"}, "days": {"900"}}, 422, []string{`value="900"`, "1 to 30"}},
		"roles in conflict":                {analyst + "/roles", url.Values{"role": {"tenant_owner", "controller"}, "reason": {"typed-this"}}, 422, []string{"must not meet", "typed-this"}},
		"roles without a reason":           {analyst + "/roles", url.Values{"role": {"auditor"}}, 422, []string{"Say why"}},
		"nobody to link":                   {analyst + "/link", url.Values{"account": {"typed@this"}, "reason": {"x"}}, 422, []string{"typed@this", "No other person"}},
		"a suspension without a reason":    {analyst + "/suspend", url.Values{}, 422, []string{"Say why", "Suspend Propulsion analyst?"}},
		"one's own suspension":             {"/members/" + w.one.members[app.RoleTenantOwner].String() + "/suspend", url.Values{"reason": {"x"}}, 409, []string{"cannot suspend yourself"}},
		"a group without a name":           {"/members/groups", url.Values{"issuer": {w.one.issuer.String()}, "role": {"auditor"}, "reason": {"typed-this"}}, 422, []string{"typed-this", "A group has"}},
		"an issuer without TLS":            {"/members/issuers", url.Values{"url": {"http://typed.this"}, "name": {"x"}, "client_id": {"x"}, "client_secret": {"hidden-one"}, "reason": {"x"}}, 422, []string{"http://typed.this", "https URL"}},
		"the last issuer":                  {"/members/issuers/" + w.one.issuer.String() + "/retire", url.Values{}, 409, []string{"only way to sign in"}},
		"a token of nobody":                {"/tokens", url.Values{"label": {"typed-this"}, "days": {"30"}, "reason": {"x"}}, 422, []string{"typed-this", "whose token"}},
		"a token for longer than a year":   {"/tokens", url.Values{"member": {w.one.members[app.RoleAnalyst].String()}, "label": {"x"}, "days": {"366"}, "reason": {"x"}}, 422, []string{"1 to 365"}},
		"a token beyond its member":        {"/tokens", url.Values{"member": {w.one.members[app.RoleAnalyst].String()}, "label": {"x"}, "days": {"1"}, "role": {"controller"}, "reason": {"x"}}, 422, []string{"has not the role"}},
	} {
		got := w.send(cookie, c.target, c.form)
		require.Equal(t, c.status, got.status, "%s: %s", name, got.body)
		for _, text := range append(c.must, `role="alert"`) {
			require.Contains(t, got.body, text, name)
		}
		require.NotContains(t, got.body, "hidden-one")
		wholesome(t, got)
	}
}

func TestATokenIsShownOnceAndRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.session(t, w.one, app.RoleTenantOwner)
	form := url.Values{"member": {w.one.members[app.RoleAnalyst].String()}, "label": {"reporting"}, "days": {"30"}, "role": {"analyst"}, "reason": {"to report"}, "once": {"form_1"}}
	made := w.send(cookie, "/tokens", form)
	require.Equal(t, 201, made.status, made.body)
	plain := regexp.MustCompile(`tbt_[a-z0-9]{32}`).FindString(made.body)
	require.NotEmpty(t, plain)
	require.Contains(t, w.send(cookie, "/tokens", form).body, plain, "a form sent twice makes one token")
	use := func() int {
		r := request(http.MethodGet, "/api/v1/nodes", "")
		r.Header.Set("Authorization", "Bearer "+plain)
		return w.do(r).status
	}
	require.Equal(t, 200, use())
	list := w.see(t, w.one, app.RoleTenantOwner, "/tokens")
	require.NotContains(t, list.body, plain)
	require.Contains(t, list.body, "<td>23 Nov 2026</td>", "last used")
	path := regexp.MustCompile(`(/tokens/tok_[0-9a-f]{32}/revoke)">Revoke<span class="visually-hidden"> reporting<`).FindStringSubmatch(list.body)[1]
	require.Equal(t, 303, w.send(cookie, path, url.Values{"reason": {"over"}}).status)
	require.Equal(t, 401, use())
	require.NotContains(t, w.log.String(), plain)
}

// TestInvitedSignsInAndIsSuspended goes the whole way with a real issuer: refused as a
// stranger, invited, in with the role, suspended and out at the next click.
func TestInvitedSignsInAndIsSuspended(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	owner := d.session(t, d.one, app.RoleTenantOwner)
	res, _ := open(t, browser(t, nil), d.start("u-eve", ""))
	require.Equal(t, 403, res.StatusCode)
	made := d.send(owner, "/members/invitations", url.Values{"name": {"Eve"}, "email": {"eve@acme.test"}, "issuer": {d.issuerID}, "role": {"analyst"}, "days": {"7"}, "reason": {"joins"}})
	require.Equal(t, 201, made.status, made.body)
	link := regexp.MustCompile(`/join/[a-z0-9_.]+`).FindString(made.body)
	client := browser(t, nil)
	_, body := open(t, client, d.site+link)
	next := strings.ReplaceAll(regexp.MustCompile(`href="(/sign-in/acme/[^"]+)"`).FindStringSubmatch(body)[1], "&amp;", "&")

	// Another person cannot use the link.
	res, body = open(t, browser(t, nil), d.site+next+"&login_hint=u-noor")
	require.Equal(t, 403, res.StatusCode, body)
	require.Contains(t, body, "another address")
	res, body = open(t, client, d.site+next+"&login_hint=u-eve")
	require.Equal(t, 200, res.StatusCode, body)
	require.Contains(t, body, "Analyst")
	res, _ = open(t, browser(t, nil), d.site+link)
	require.Equal(t, 404, res.StatusCode, "a link works once")

	list := d.see(t, d.one, app.RoleTenantOwner, "/members?q=eve%40")
	member := regexp.MustCompile(`/members/mem_[0-9a-f]{32}`).FindString(list.body)
	require.Equal(t, 303, d.send(owner, member+"/suspend", url.Values{"reason": {"left"}}).status)
	res, _ = open(t, client, d.site+"/")
	require.Equal(t, "/sign-in", res.Request.URL.Path, "the next click is at the door")
	res, body = open(t, client, d.start("u-eve", ""))
	require.Equal(t, 403, res.StatusCode, body)
}

func TestGroupsOfTheTokenAndARotatedSession(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	owner := d.session(t, d.one, app.RoleTenantOwner)
	require.Equal(t, 303, d.send(owner, "/members/groups", url.Values{"issuer": {d.issuerID}, "group": {"reviewers"}, "role": {"auditor"}, "reason": {"x"}}).status)
	client := browser(t, nil)
	_, body := open(t, client, d.start("u-ada", "/members"))
	require.Contains(t, body, "Auditor, Finance admin")
	site, err := url.Parse(d.site)
	require.NoError(t, err)
	before := client.Jar.Cookies(site)[0]
	_, _ = open(t, client, d.start("u-ada", "/"))
	r := request(http.MethodGet, "/account", "")
	r.AddCookie(&http.Cookie{Name: before.Name, Value: before.Value})
	require.Equal(t, 303, d.do(r).status, "the cookie from before the sign-in is worth nothing")
}

func TestSwitchingCompanies(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	client := browser(t, nil)
	_, body := open(t, client, d.start("u-ada", "/"))
	require.Contains(t, body, `name="tenant" value="zenith"`)
	move := func(slug string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.site+"/switch", strings.NewReader("tenant="+slug))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return client.Do(r)
	}
	res, err := move("nobody")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 404, res.StatusCode)
	res, err = move("zenith")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 200, res.StatusCode)
	_, body = open(t, client, d.site+"/")
	require.Contains(t, body, "Zenith Optics")
	require.Contains(t, body, `name="tenant" value="acme"`)
	require.NotContains(t, body, "Propulsion")
	require.NotContains(t, d.see(t, d.one, app.RoleAnalyst, "/").body, "Zenith", "who is in one company sees no other")
}

func TestAnAddressLeadsToItsCompany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.do(request(http.MethodGet, "/sign-in?tenant=Ada%40ACME.test&return_to=%2Fkeys", ""))
	require.Equal(t, 303, got.status)
	require.Equal(t, "/sign-in/acme?login_hint=Ada%40ACME.test&return_to=%2Fkeys", got.header.Get("Location"))
	door := w.do(request(http.MethodGet, got.header.Get("Location"), ""))
	require.Contains(t, door.body, "login_hint=Ada%40ACME.test")
	for _, text := range []string{"ada@nobody.test", "@", "a@b@"} {
		got = w.do(request(http.MethodGet, "/sign-in?tenant="+url.QueryEscape(text), ""))
		require.Equal(t, 422, got.status, text)
		require.Contains(t, got.body, `role="alert"`)
	}
	// Two companies with one domain are both offered.
	_, err := w.areas.SignIns.AddIssuer(t.Context(), app.Command(w.two.tenant), app.Issuer{Name: "x", URL: "https://x.test", ClientID: "x", Secret: secret.NewText("s"), Domains: []string{"acme.test"}}, "x")
	require.NoError(t, err)
	got = w.do(request(http.MethodGet, "/sign-in?tenant=ada%40acme.test", ""))
	require.Equal(t, 200, got.status)
	require.Contains(t, got.body, "/sign-in/zenith?login_hint=ada%40acme.test")
}

// TestASuspensionTellsWhatGoesOn shows, before and after, the key that its maker was shown.
func TestASuspensionTellsWhatGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	eng, err := w.areas.SignIns.BySession(t.Context(), secret.NewText(w.session(t, w.one, app.RoleEngineeringAdmin).Value))
	require.NoError(t, err)
	_, err = w.areas.Keys.Create(t.Context(), eng, app.NewKey{Label: "night build", CostCenter: "AC-11"}, "x")
	require.NoError(t, err)
	owner, member := w.session(t, w.one, app.RoleTenantOwner), "/members/"+w.one.members[app.RoleEngineeringAdmin].String()
	require.NotContains(t, w.see(t, w.one, app.RoleTenantOwner, member).body, "night build", "nothing is asked of anybody yet")
	got := w.see(t, w.one, app.RoleTenantOwner, member+"/suspend")
	require.Contains(t, got.body, "night build")
	wholesome(t, got)
	require.Equal(t, 303, w.send(owner, member+"/suspend", url.Values{"reason": {"left"}}).status)
	got = w.see(t, w.one, app.RoleTenantOwner, member)
	require.Contains(t, got.body, "night build")
	wholesome(t, got)
}
