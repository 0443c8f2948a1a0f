package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/usage"
)

const vouching = "https://vouch.test"

func signUpRules() *app.SignUpRules {
	return &app.SignUpRules{
		Issuer:    app.Issuer{Name: "Vouch", URL: vouching, ClientID: "tollbook", Secret: secret.NewText("sign-up-secret")},
		Upstreams: []string{app.ProviderURL, "https://mirror.test"}, PerPerson: 2, PerDay: 4,
	}
}

// allow lets people found companies by rules, nil lets nobody.
func (h *house) allow(rules *app.SignUpRules) {
	h.signUps = app.NewSignUps(h.clone.DB, h.changes, h.tenants, h.members, h.signIns, h.ring, rules)
}

func lin() app.Vouched {
	return app.Vouched{Subject: "u-lin", Name: "Lin Nakamura", Email: "Lin@Harbor.test", EmailVerified: true, SignedInAt: founded()}
}

// vouch takes somebody to the form.
func (h *house) vouch(t *testing.T, who app.Vouched) (secret.Text, error) {
	t.Helper()
	var state string
	require.NoError(t, h.signUps.Begin(t.Context(), func(s string) ([]byte, error) { state = s; return []byte("verifier"), nil }))
	signUp, ticket, err := h.signUps.Take(t.Context(), state)
	require.NoError(t, err)
	require.Equal(t, "verifier", string(ticket))
	_, _, err = h.signUps.Take(t.Context(), state)
	require.ErrorIs(t, err, app.ErrSignUp, "a state is used once")
	return h.signUps.Vouch(t.Context(), signUp, who)
}

func (h *house) found(t *testing.T, who app.Vouched, want app.NewCompany) (app.Actor, error) {
	t.Helper()
	token, err := h.vouch(t, who)
	require.NoError(t, err)
	cookie, err := h.signUps.Found(t.Context(), token, want)
	if err != nil {
		return app.Actor{}, err
	}
	founder, err := h.signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)
	return founder, nil
}

func TestACompanyIsFoundedInOneCommitWithItsOrigin(t *testing.T) {
	t.Parallel()
	h := build(t)
	founder, err := h.found(t, lin(), app.NewCompany{Name: " Harbor Works ", Slug: "harbor", TimeZone: "Asia/Tokyo"})
	require.NoError(t, err)
	require.Equal(t, "Lin Nakamura", founder.Name)
	require.Equal(t, []app.Grant{{Role: app.RoleEngineeringAdmin}, {Role: app.RoleTenantOwner}}, founder.Grants)
	profile, slug, err := h.tenants.Profile(t.Context(), founder)
	require.NoError(t, err)
	require.Equal(t, []any{"harbor", app.Profile{Name: "Harbor Works", TimeZone: "Asia/Tokyo", FiscalMonth: time.January}}, []any{slug, profile})

	// The origin: which member, at what issuer, let through by which rule.
	tenant := founder.Tenant
	for _, kind := range []string{"tenant", "issuer", "member"} {
		require.Equal(t, "policy:sign_up", h.text(t, `select m.actor from change c join change_move m on m.tenant_id = c.tenant_id and m.change_id = c.change_id and m.state = 'approved'
			where c.tenant_id = $1 and c.kind = $2`, tenant, kind), kind)
	}
	origin := h.text(t, `select convert_from(payload, 'UTF8') from change where tenant_id = $1 and kind = 'tenant'`, tenant)
	for _, word := range []string{`"slug":"harbor"`, founder.Member.String(), vouching} {
		require.Contains(t, origin, word)
	}
	require.Equal(t, founder.Member.UUID(), h.text(t, `select member_id::text from founding where tenant_id = $1 and issuer = $2 and subject = 'u-lin'`, tenant, vouching))
	require.EqualValues(t, h.number(t, `select count(*) from change where tenant_id = $1`, tenant), h.number(t, `select count(*) from audit_record where tenant_id = $1 and action = 'change.applied'`, tenant))
	for _, table := range h.tables(t) {
		all := h.text(t, `select string_agg(r::text, '') from `+table+` r`)
		for _, plain := range []string{"sign-up-secret", "Lin Nakamura", "Lin@Harbor.test"} {
			require.NotContains(t, all, plain, table)
		}
	}
	// The founder signs in again, as everybody does.
	issuers, err := h.signIns.Issuers(t.Context(), tenant)
	require.NoError(t, err)
	require.Len(t, issuers, 1)
	require.Equal(t, []any{vouching, "tollbook", "sign-up-secret"}, []any{issuers[0].URL, issuers[0].ClientID, issuers[0].Secret.Reveal()})
	require.Empty(t, issuers[0].Domains, "it leads nobody here by address")
	_, err = h.signIns.Accept(t.Context(), tenant, app.Claims{Issuer: vouching, Subject: "u-lin", SignedInAt: founded()})
	require.NoError(t, err)
	_, err = h.signIns.Accept(t.Context(), tenant, app.Claims{Issuer: vouching, Subject: "u-eve", SignedInAt: founded()})
	require.ErrorIs(t, err, app.ErrNotMember, "whom the issuer knows is not for that a member")
	_, err = h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: vouching, Subject: "u-lin", SignedInAt: founded()})
	require.ErrorIs(t, err, app.ErrNotMember)
}

// TestAFounderSetsUpAloneAndApprovesNothing takes the whole set-up alone, and finds every
// decision closed.
func TestAFounderSetsUpAloneAndApprovesNothing(t *testing.T) {
	t.Parallel()
	h := build(t)
	founder, err := h.found(t, lin(), app.NewCompany{Name: "Harbor", Slug: "harbor", TimeZone: "UTC"})
	require.NoError(t, err)
	step := func() app.SetUp {
		setUp, err := h.settings.SetUp(t.Context(), founder)
		require.NoError(t, err)
		return setUp
	}
	at := func(next app.SetUpStep, want int) {
		setUp := step()
		done, of := setUp.Progress()
		require.Equal(t, []any{next, want, 6}, []any{setUp.Next(), done, of})
	}
	at(app.StepUpstream, 1)
	require.NoError(t, h.tenants.SetUpstream(t.Context(), founder, app.ProviderURL, secret.NewText("sk-1"), "first set-up"))
	at(app.StepUpstream, 1)
	h.exec(t, `insert into upstream_test (tenant_id, number, version_id, outcome, detail, http_status, models, took_ms, actor, tested_at)
		select tenant_id, 1, version_id, 'works', '', 200, 3, 5, 'test', now() from upstream where tenant_id = $1`, founder.Tenant)
	at(app.StepCostCenter, 2)
	require.NoError(t, h.nodes.Create(t.Context(), founder, []app.NewNode{{Code: "CC-1", Name: "Platform", Kind: "cost_center", Capitalization: "expense"}}, time.Time{}, "first set-up"))
	at(app.StepKey, 3)
	c := &company{slug: "harbor", tenant: founder.Tenant}
	c.key, err = h.keys.Create(t.Context(), founder, app.NewKey{Label: "laptop", CostCenter: "CC-1"}, "first set-up")
	require.NoError(t, err)
	at(app.StepConnect, 4)
	c.places = h.placements(t, founder.Tenant)
	h.flush(t, c, c.event(november(9), "CC-1", func(e *usage.Event) { e.State, e.HTTPStatus, e.Counts = usage.StateError, 401, usage.Counts{} }))
	at(app.StepPriced, 5)
	require.True(t, step().First.IsZero())
	finished, err := h.settings.Finished(t.Context(), founder)
	require.NoError(t, err)
	require.False(t, finished)
	first := c.event(november(10), "CC-1")
	h.flush(t, c, first, c.event(november(11), "CC-1"))
	at("", 6)
	require.Equal(t, first.ID, step().First)
	finished, err = h.settings.Finished(t.Context(), founder)
	require.NoError(t, err)
	require.True(t, finished)
	require.Equal(t, 1, step().People)
	issuers, err := h.signIns.Issuers(t.Context(), founder.Tenant)
	require.NoError(t, err)
	_, err = h.members.Invite(t.Context(), founder, app.NewInvitation{Issuer: issuers[0].ID, Name: "Ada", Email: "ada@harbor.test", Role: app.RoleFinanceAdmin, Life: 24 * time.Hour}, "to approve", "")
	require.NoError(t, err)
	require.Equal(t, 1, step().Invitations)

	// Maker is not checker: founding gives no approval, and none can be had beside these roles.
	for _, object := range []string{"finance", "close"} {
		require.ErrorIs(t, h.access.Check(founder, object, "approve"), app.ErrNotAllowed)
	}
	require.Empty(t, h.access.Conflicts(app.FounderRoles()))
	for _, approver := range []app.Role{app.RoleFinanceAdmin, app.RoleController} {
		err := h.carries(t, founder, app.AskRoles(founder.Member, []app.RoleWish{{Role: app.RoleTenantOwner}, {Role: approver}}, "to approve for myself"))
		require.Equal(t, "duty_conflict", fault.From(err).Code, approver)
	}
	// Other companies have set-ups of their own.
	setUp, err := h.settings.SetUp(t.Context(), h.owner(t, h.two))
	require.NoError(t, err)
	require.Equal(t, "two", setUp.Slug)
	require.True(t, setUp.Latest.IsZero() && setUp.First.IsZero() && setUp.Upstream == nil)
	_, err = h.settings.SetUp(t.Context(), h.member(t, h.one, app.RoleDeveloper, ""))
	require.ErrorIs(t, err, app.ErrNotAllowed)
}

func TestNobodyFoundsWhoIsNotVouchedFor(t *testing.T) {
	t.Parallel()
	h := build(t)
	rules := signUpRules()
	rules.Domains = []string{"harbor.test"}
	h.allow(rules)
	for name, c := range map[string]struct {
		set  func(*app.Vouched)
		code string
	}{
		"an address that is not verified": {func(v *app.Vouched) { v.EmailVerified = false }, "email_unverified"},
		"no address":                      {func(v *app.Vouched) { v.Email = "" }, "email_unverified"},
		"an address without a domain":     {func(v *app.Vouched) { v.Email = "lin@" }, "email_unverified"},
		"a domain that is not allowed":    {func(v *app.Vouched) { v.Email = "lin@evil.test" }, "email_domain"},
		"a domain below it":               {func(v *app.Vouched) { v.Email = "lin@evil.harbor.test" }, "email_domain"},
		"a domain that ends alike":        {func(v *app.Vouched) { v.Email = "lin@eharbor.test" }, "email_domain"},
		"two domains":                     {func(v *app.Vouched) { v.Email = "lin@harbor.test@evil.test" }, "email_domain"},
		"no subject":                      {func(v *app.Vouched) { v.Subject = "" }, "sign_up_expired"},
		"a subject that is none":          {func(v *app.Vouched) { v.Subject = "u\x00lin" }, "sign_up_expired"},
	} {
		who := lin()
		c.set(&who)
		_, err := h.vouch(t, who)
		require.Equal(t, c.code, fault.From(err).Code, name)
	}
	before := h.contents(t)
	token, err := h.vouch(t, lin())
	require.NoError(t, err)
	parts := strings.Split(token.Reveal(), ".")
	other, err := h.vouch(t, lin())
	require.NoError(t, err)
	for name, forged := range map[string]string{
		"nothing":          "",
		"no secret":        parts[0],
		"another secret":   parts[0] + "." + secret.Mint("").Reveal(),
		"another's secret": strings.Split(other.Reveal(), ".")[0] + "." + parts[1],
		"nobody's":         id.NewSignUp(founded()).String() + "." + parts[1],
		"another kind":     id.NewSignIn(founded()).String() + "." + parts[1],
		"too long":         strings.Repeat(token.Reveal(), 500),
	} {
		_, err := h.signUps.Found(t.Context(), secret.NewText(forged), app.NewCompany{Name: "X", Slug: "xx", TimeZone: "UTC"})
		require.ErrorIs(t, err, app.ErrSignUp, name)
		_, err = h.signUps.Founder(t.Context(), secret.NewText(forged))
		require.ErrorIs(t, err, app.ErrSignUp, name)
	}
	h.clock.add(31 * time.Minute)
	_, err = h.signUps.Found(t.Context(), token, app.NewCompany{Name: "X", Slug: "xx", TimeZone: "UTC"})
	require.ErrorIs(t, err, app.ErrSignUp, "too late")
	after := h.contents(t)
	delete(before, "public.sign_up")
	delete(after, "public.sign_up")
	require.Equal(t, before, after)
	h.allow(nil)
	require.False(t, h.signUps.Allowed())
}

func TestWhatACompanyMayBeCalled(t *testing.T) {
	t.Parallel()
	h := build(t)
	token, err := h.vouch(t, lin())
	require.NoError(t, err)
	fine := app.NewCompany{Name: "Harbor", Slug: "harbor", TimeZone: "UTC"}
	for name, c := range map[string]struct {
		set   func(*app.NewCompany)
		field string
	}{
		"no name":                    {func(n *app.NewCompany) { n.Name = " " }, "name"},
		"a name that does not print": {func(n *app.NewCompany) { n.Name = "a\x00b" }, "name"},
		"a long name":                {func(n *app.NewCompany) { n.Name = strings.Repeat("x", 201) }, "name"},
		"no slug":                    {func(n *app.NewCompany) { n.Slug = "" }, "slug"},
		"a slug with a dot":          {func(n *app.NewCompany) { n.Slug = "../one" }, "slug"},
		"a long slug":                {func(n *app.NewCompany) { n.Slug = strings.Repeat("x", 41) }, "slug"},
		"another company's slug":     {func(n *app.NewCompany) { n.Slug = "one" }, "slug"},
		"a page's own word":          {func(n *app.NewCompany) { n.Slug = "callback" }, "slug"},
		"no time zone":               {func(n *app.NewCompany) { n.TimeZone = "Mars/Olympus" }, "time_zone"},
	} {
		before := h.contents(t)
		want := fine
		c.set(&want)
		_, err := h.signUps.Found(t.Context(), token, want)
		require.Equal(t, []any{fault.KindInvalid, c.field}, []any{fault.KindOf(err), fault.From(err).Field}, name)
		require.Equal(t, before, h.contents(t), name)
	}
	for name, want := range map[string]string{"Harbor Works, Inc.": "harbor-works-inc", "one": "one-2", "Tollbook": "tollbook-2", "ΑΒΓ": "", "9 Lives": "lives", strings.Repeat("ab ", 30): strings.Repeat("ab-", 13) + "a", "": ""} {
		slug, err := h.signUps.Suggest(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, want, slug, name)
	}
	_, err = h.signUps.Found(t.Context(), token, fine)
	require.NoError(t, err)
	_, err = h.signUps.Found(t.Context(), token, app.NewCompany{Name: "Again", Slug: "again", TimeZone: "UTC"})
	require.ErrorIs(t, err, app.ErrFounded, "a token founds once")
}

func TestFoundingIsBounded(t *testing.T) {
	t.Parallel()
	h := build(t)
	// One person's forms, all sent at once: two may pass, whatever the order.
	var tokens []secret.Text
	for range 4 {
		token, err := h.vouch(t, lin())
		require.NoError(t, err)
		tokens = append(tokens, token)
	}
	var all sync.WaitGroup
	answers := make([]error, len(tokens))
	for i, token := range tokens {
		all.Go(func() {
			_, answers[i] = h.signUps.Found(t.Context(), token, app.NewCompany{Name: "Many", Slug: fmt.Sprintf("many-%d", i), TimeZone: "UTC"})
		})
	}
	all.Wait()
	made := 0
	for _, err := range answers {
		if err == nil {
			made++
			continue
		}
		require.Equal(t, "sign_up_person_limit", fault.From(err).Code)
	}
	require.Equal(t, 2, made)
	_, err := h.vouch(t, lin())
	require.Equal(t, []any{fault.KindLimited, "sign_up_person_limit"}, []any{fault.KindOf(err), fault.From(err).Code}, "and is told before the form")
	for i := range 2 {
		other := lin()
		other.Subject = fmt.Sprintf("u-%d", i)
		_, err := h.found(t, other, app.NewCompany{Name: "Other", Slug: fmt.Sprintf("other-%d", i), TimeZone: "UTC"})
		require.NoError(t, err)
	}
	other := lin()
	other.Subject = "u-late"
	_, err = h.vouch(t, other)
	require.Equal(t, "sign_up_day_limit", fault.From(err).Code)
	h.clock.add(24 * time.Hour)
	_, err = h.found(t, other, app.NewCompany{Name: "Next day", Slug: "next-day", TimeZone: "UTC"})
	require.NoError(t, err)
	// One form sent twice at once founds one company.
	twice := lin()
	twice.Subject = "u-twice"
	token, err := h.vouch(t, twice)
	require.NoError(t, err)
	for i := range 4 {
		all.Go(func() {
			_, answers[i] = h.signUps.Found(t.Context(), token, app.NewCompany{Name: "Twice", Slug: fmt.Sprintf("twice-%d", i), TimeZone: "UTC"})
		})
	}
	all.Wait()
	require.EqualValues(t, 1, h.number(t, `select count(*) from tenant where name = 'Twice'`))
	refused := 0
	for _, err := range answers {
		if err != nil {
			require.ErrorIs(t, err, app.ErrFounded)
			refused++
		}
	}
	require.Equal(t, 3, refused)
}

// TestAFoundedCompanyReachesNowhereItShouldNot tries what a stranger would: others'
// addresses, the installation's own network, and the company they came from.
func TestAFoundedCompanyReachesNowhereItShouldNot(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.owner(t, h.one)
	_, err := h.addIssuer(t, owner, app.Issuer{Name: "One", URL: "https://one.test", ClientID: "c", Secret: secret.NewText("s"), Domains: []string{"one.test"}})
	require.NoError(t, err)
	founder, err := h.found(t, lin(), app.NewCompany{Name: "Company one", Slug: "one-impostor", TimeZone: "UTC"})
	require.NoError(t, err)
	add := func(url string, domains ...string) error {
		_, err := h.addIssuer(t, founder, app.Issuer{Name: "Mine", URL: url, ClientID: "c", Secret: secret.NewText("s"), Domains: domains})
		return err
	}
	require.Equal(t, "issuer_domains_unvouched", fault.From(add("https://evil.test", "one.test")).Code)
	require.Equal(t, "issuer_domains_unvouched", fault.From(add("https://evil.test", "harbor.test")).Code, "not even one's own")
	require.Equal(t, "issuer_url", fault.From(add("http://127.0.0.1:5432")).Code)
	require.NoError(t, add("https://login.harbor.test"))
	found, err := h.signIns.ByEmail(t.Context(), "cfo@one.test")
	require.NoError(t, err)
	require.Equal(t, []app.Company{{Slug: "one", Name: "Company one"}}, found)

	for _, url := range []string{"http://169.254.169.254/latest", "http://127.0.0.1:5432", "https://api.anthropic.com.evil.test", app.ProviderURL + "/"} {
		err := h.tenants.SetUpstream(t.Context(), founder, url, secret.NewText("sk"), "elsewhere")
		require.Equal(t, "upstream_reach", fault.From(err).Code, url)
	}
	require.NoError(t, h.tenants.SetUpstream(t.Context(), founder, "https://mirror.test", secret.NewText("sk"), "allowed"))
	require.NoError(t, h.tenants.SetUpstream(t.Context(), app.Command(founder.Tenant), "http://10.0.0.7", secret.NewText("sk"), "by the operator"))
	reach, err := h.tenants.Reach(t.Context(), founder)
	require.NoError(t, err)
	require.Equal(t, signUpRules().Upstreams, reach)
	reach, err = h.tenants.Reach(t.Context(), h.one.who)
	require.NoError(t, err)
	require.Nil(t, reach)
	require.NoError(t, h.tenants.SetUpstream(t.Context(), owner, "http://gateway.inside.test", secret.NewText("sk"), "the operator made this company"))
	_, err = h.signIns.Switch(t.Context(), founder, "one")
	require.ErrorIs(t, err, app.ErrNowhere)
}

// TestWhoHasACompanyFoundsAnotherAndSwitches founds a second one with the same identity.
func TestWhoHasACompanyFoundsAnotherAndSwitches(t *testing.T) {
	t.Parallel()
	h := build(t)
	first, err := h.found(t, lin(), app.NewCompany{Name: "First", Slug: "first", TimeZone: "UTC"})
	require.NoError(t, err)
	second, err := h.found(t, lin(), app.NewCompany{Name: "Second", Slug: "second", TimeZone: "UTC"})
	require.NoError(t, err)
	elsewhere, err := h.signIns.Elsewhere(t.Context(), second)
	require.NoError(t, err)
	require.Equal(t, []app.Company{{Slug: "first", Name: "First"}}, elsewhere)
	cookie, err := h.signIns.Switch(t.Context(), second, "first")
	require.NoError(t, err)
	back, err := h.signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)
	require.Equal(t, []any{first.Tenant, first.Member}, []any{back.Tenant, back.Member})
}

// TestAClosedCompanyKeepsNobodyFromAnother founds one while the browser has a session in a
// company that was suspended meanwhile.
func TestAClosedCompanyKeepsNobodyFromAnother(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.person(t, h.one, app.RoleAnalyst, "ana")
	old := h.cookie(t, h.one, "ana")
	require.NoError(t, h.tenants.Suspend(t.Context(), h.one.who, "for a while"))
	require.NoError(t, h.signIns.Replace(t.Context(), old))
	require.NoError(t, h.tenants.Resume(t.Context(), h.one.who, "again"))
	_, err := h.signIns.BySession(t.Context(), old)
	require.ErrorIs(t, err, app.ErrSession)
}

// TestASecretThatWasReplacedReachesFoundedCompanies replaces the client's secret in the
// configuration, and turns sign-up off.
func TestASecretThatWasReplacedReachesFoundedCompanies(t *testing.T) {
	t.Parallel()
	h := build(t)
	founder, err := h.found(t, lin(), app.NewCompany{Name: "Harbor", Slug: "harbor", TimeZone: "UTC"})
	require.NoError(t, err)
	// An issuer that looks alike and that the owner of another company set up gets nothing of it.
	_, err = h.addIssuer(t, h.owner(t, h.two), app.Issuer{Name: "Alike", URL: vouching, ClientID: "tollbook", Secret: secret.NewText("guessed")})
	require.NoError(t, err)
	known := func(tenant id.Tenant) string {
		issuers, err := h.signIns.Issuers(t.Context(), tenant)
		require.NoError(t, err)
		require.Len(t, issuers, 1)
		return issuers[0].Secret.Reveal()
	}
	h.wire(t, h.ring)
	rules := signUpRules()
	rules.Issuer.Secret = secret.NewText("the next secret")
	h.allow(rules)
	require.Equal(t, "the next secret", known(founder.Tenant))
	require.Equal(t, "guessed", known(h.two.tenant))
	rules.Issuer.ClientID = "another client"
	h.allow(rules)
	require.Equal(t, "sign-up-secret", known(founder.Tenant), "another client's secret is not this one's")
}
