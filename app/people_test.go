package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// owner is a signed-in tenant owner of a company.
func (h *house) owner(t *testing.T, c *company) app.Actor {
	t.Helper()
	return h.person(t, c, app.RoleTenantOwner, "owner-"+c.slug)
}

// cookie signs a member in by subject.
func (h *house) cookie(t *testing.T, c *company, subject string) secret.Text {
	t.Helper()
	cookie, err := h.signIns.Accept(t.Context(), c.tenant, app.Claims{Issuer: "https://idp.test", Subject: subject, SignedInAt: h.clock.now()})
	require.NoError(t, err)
	return cookie
}

// TestASuspendedPersonIsOutAtOnce suspends somebody with two accounts, sessions, a token
// and a proposal that waits: all of it ends in one commit, and nothing of the other
// company's namesake.
func TestASuspendedPersonIsOutAtOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.owner(t, h.one)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	second := h.person(t, h.one, app.RoleController, "fin-2")
	require.NoError(t, h.members.LinkAccounts(t.Context(), owner, fin.Member, second.Member, "one person"))
	theirs := h.person(t, h.two, app.RoleFinanceAdmin, "fin")
	cookies := []secret.Text{h.cookie(t, h.one, "fin"), h.cookie(t, h.one, "fin"), h.cookie(t, h.one, "fin-2")}
	token, err := h.members.AddToken(t.Context(), owner, fin.Member, "script", time.Hour, "x")
	require.NoError(t, err)
	bot, err := h.members.ByToken(t.Context(), token)
	require.NoError(t, err)
	ask := app.AskDiscount(1000, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "order form")
	byToken, err := h.approvals.Propose(t.Context(), bot, ask, "")
	require.NoError(t, err)
	other, err := h.approvals.Propose(t.Context(), theirs, ask, "")
	require.NoError(t, err)

	for name, c := range map[string]struct {
		who    app.Actor
		member id.Member
		want   error
	}{
		"without the right":  {fin, owner.Member, app.ErrNotAllowed},
		"another company's":  {owner, theirs.Member, db.ErrMemberAbsent},
		"nobody":             {owner, id.NewMember(founded()), db.ErrMemberAbsent},
		"by a token's right": {bot, fin.Member, app.ErrNotAllowed},
	} {
		_, err := h.members.Suspend(t.Context(), c.who, c.member, "x")
		require.ErrorIs(t, err, c.want, name)
	}
	_, err = h.members.Suspend(t.Context(), owner, owner.Member, "x")
	require.Equal(t, "own_suspension", fault.From(err).Code)
	_, err = h.members.Suspend(t.Context(), owner, fin.Member, " ")
	require.Equal(t, "reason_missing", fault.From(err).Code)

	done, err := h.members.Suspend(t.Context(), owner, fin.Member, "left the company")
	require.NoError(t, err)
	require.Equal(t, 2, done.Accounts)
	require.EqualValues(t, 1, done.Tokens)
	require.Equal(t, 1, done.Proposals)
	for _, cookie := range cookies {
		_, err := h.signIns.BySession(t.Context(), cookie)
		require.ErrorIs(t, err, app.ErrSession)
	}
	_, err = h.members.ByToken(t.Context(), token)
	require.ErrorIs(t, err, app.ErrToken)
	_, err = h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: "https://idp.test", Subject: "fin-2", SignedInAt: h.clock.now()})
	require.ErrorIs(t, err, app.ErrNotMember)
	state := `select state || ' ' || coalesce(basis, '') from change_move where change_id = $1 order by place desc limit 1`
	require.Equal(t, "rejected withdrawn", h.text(t, state, byToken.ID))
	require.Equal(t, "proposed ", h.text(t, state, other.ID))
	require.EqualValues(t, 1, h.number(t, `select count(*) from change where tenant_id = $1 and kind = 'member_suspension' and maker = $2`, h.one.tenant, owner.ID()))
	require.Zero(t, h.number(t, `select count(*) from session where tenant_id = $1 and revoked_at is null and member_id in (select member_id from member where suspended_at is not null)`, h.one.tenant))
	require.Zero(t, h.number(t, `select count(*) from member where tenant_id = $1 and suspended_at is not null`, h.two.tenant))
	_, err = h.members.Suspend(t.Context(), owner, second.Member, "again")
	require.Equal(t, "member_state", fault.From(err).Code)

	require.NoError(t, h.members.Resume(t.Context(), owner, second.Member, "came back"))
	back, err := h.signIns.BySession(t.Context(), h.cookie(t, h.one, "fin"))
	require.NoError(t, err)
	require.Equal(t, []app.Grant{{Role: app.RoleFinanceAdmin}}, back.Grants)
	_, err = h.signIns.BySession(t.Context(), cookies[0])
	require.ErrorIs(t, err, app.ErrSession, "sessions from before stay ended")
	_, err = h.members.ByToken(t.Context(), token)
	require.ErrorIs(t, err, app.ErrToken)
	story, err := h.members.Story(t.Context(), owner, fin.Member)
	require.NoError(t, err)
	var steps []string
	for _, s := range story.Steps {
		steps = append(steps, s.What)
	}
	require.Equal(t, []string{"active", "suspended", "token_ended", "token_made", "role_given"}, steps)
	require.Equal(t, "owner-one", story.Steps[0].By.Name)
	require.Len(t, story.Accounts, 1)
}

func TestRolesChangeWithAReasonAndWithoutConflict(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.owner(t, h.one)
	ana := h.person(t, h.one, app.RoleAnalyst, "ana")
	theirs := h.person(t, h.two, app.RoleAnalyst, "ana")
	set := func(who app.Actor, member id.Member, reason string, wishes ...app.RoleWish) error {
		return h.carries(t, who, app.AskRoles(member, wishes, reason))
	}
	before := h.contents(t)
	require.ErrorIs(t, set(ana, ana.Member, "x", app.RoleWish{Role: app.RoleTenantOwner}), app.ErrNotAllowed)
	require.ErrorIs(t, set(owner, theirs.Member, "x", app.RoleWish{Role: app.RoleAuditor}), db.ErrMemberAbsent)
	for code, err := range map[string]error{
		"roles_same":     set(owner, ana.Member, "x", app.RoleWish{Role: app.RoleAnalyst}),
		"role_unknown":   set(owner, ana.Member, "x", app.RoleWish{Role: "king"}),
		"role_kind":      set(owner, ana.Member, "x", app.RoleWish{Role: app.RoleServiceAccount}),
		"role_scope":     set(owner, ana.Member, "x", app.RoleWish{Role: app.RoleBudgetOwner}),
		"node_absent":    set(owner, ana.Member, "x", app.RoleWish{Role: app.RoleBudgetOwner, NodeCode: "nope"}),
		"reason_missing": set(owner, ana.Member, "", app.RoleWish{Role: app.RoleAuditor}),
		"duty_conflict":  set(owner, ana.Member, "x", app.RoleWish{Role: app.RoleTenantOwner}, app.RoleWish{Role: app.RoleFinanceAdmin}),
		"last_owner":     set(owner, owner.Member, "x", app.RoleWish{Role: app.RoleAuditor}),
	} {
		require.Equal(t, code, fault.From(err).Code, "%v", err)
	}
	require.Equal(t, before, h.contents(t))

	from := h.clock.now()
	h.clock.add(time.Hour)
	require.NoError(t, set(owner, ana.Member, "moved", app.RoleWish{Role: app.RoleBudgetOwner, NodeCode: "CC-1"}, app.RoleWish{Role: app.RoleAuditor}))
	page, err := h.members.List(t.Context(), owner, app.MemberFilter{Text: "ANA"})
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	require.Len(t, page.Rows[0].Grants, 2)
	require.Equal(t, "owner-one", page.Rows[0].Grants[0].By.Name)
	require.Equal(t, "moved", page.Rows[0].Grants[0].Reason)
	past, err := h.members.List(t.Context(), owner, app.MemberFilter{Text: "ANA", AsOf: from})
	require.NoError(t, err)
	require.Equal(t, app.RoleAnalyst, past.Rows[0].Grants[0].Role)
	require.Len(t, past.Rows[0].Grants, 1)
	nobody, err := h.members.List(t.Context(), owner, app.MemberFilter{AsOf: founded()})
	require.NoError(t, err)
	require.Empty(t, nobody.Rows)
	story, err := h.members.Story(t.Context(), owner, ana.Member)
	require.NoError(t, err)
	require.Equal(t, "role_taken", story.Steps[2].What)
	require.Equal(t, story.Steps[0].Change, story.Steps[2].Change)
	change, err := h.members.Change(t.Context(), owner, story.Steps[0].Change)
	require.NoError(t, err)
	require.Equal(t, "owner-one", change.Made.Name)
	_, err = h.members.Change(t.Context(), h.owner(t, h.two), story.Steps[0].Change)
	require.ErrorIs(t, err, db.ErrChangeAbsent)
}

func TestLinkedAccountsHoldNoConflict(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.owner(t, h.one)
	second := h.person(t, h.one, app.RoleTenantOwner, "own")
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	err := h.members.LinkAccounts(t.Context(), owner, second.Member, fin.Member, "one person")
	require.Equal(t, "duty_conflict", fault.From(err).Code)
	mailed := h.member(t, h.one, app.RoleAnalyst, "")
	for _, text := range []string{"Analyst@ONE.test", mailed.Member.String()} {
		found, err := h.members.AccountOf(t.Context(), owner, second.Member, text)
		require.NoError(t, err)
		require.Equal(t, mailed.Member, found)
	}
	_, err = h.members.AccountOf(t.Context(), owner, mailed.Member, "analyst@one.test")
	require.Equal(t, "account_absent", fault.From(err).Code, "one's own")
	theirs := h.person(t, h.two, app.RoleAnalyst, "x")
	require.Equal(t, "account_absent", fault.From(h.members.LinkAccounts(t.Context(), owner, second.Member, theirs.Member, "x")).Code)

	// A maker does not decide through another account that was linked later.
	change, err := h.approvals.Propose(t.Context(), fin, app.AskDiscount(1000, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "order form"), "")
	require.NoError(t, err)
	cfo := h.person(t, h.one, app.RoleController, "cfo")
	h.person(t, h.one, app.RoleController, "cfo-2")
	require.NoError(t, h.members.LinkAccounts(t.Context(), owner, fin.Member, cfo.Member, "the same"))
	_, err = h.approvals.Decide(t.Context(), h.session(t, h.one, "cfo"), change.ID, approval.VerdictApprove, change.Digest, "x")
	require.ErrorIs(t, err, approval.ErrSelfApproval)
}

func TestAnInvitationIsForOneAddressOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer, other := h.issuer(t, h.one), h.issuer(t, h.two)
	owner := h.owner(t, h.one)
	want := app.NewInvitation{Issuer: issuer.ID, Name: "Noor Haddad", Email: "Noor@one.test", Role: app.RoleBudgetOwner, NodeCode: "CC-1", Life: 24 * time.Hour}
	for field, set := range map[string]func(*app.NewInvitation){
		"name": func(n *app.NewInvitation) { n.Name = " " }, "email": func(n *app.NewInvitation) { n.Email = "noor" }, "days": func(n *app.NewInvitation) { n.Life = 31 * 24 * time.Hour },
		"role": func(n *app.NewInvitation) { n.Role = "king" }, "node": func(n *app.NewInvitation) { n.NodeCode = "nope" }, "issuer": func(n *app.NewInvitation) { n.Issuer = other.ID },
	} {
		bad := want
		set(&bad)
		_, err := h.members.Invite(t.Context(), owner, bad, "x", "")
		require.Equal(t, field, fault.From(err).Field, "%v", err)
	}
	made, err := h.members.Invite(t.Context(), owner, want, "a new colleague", "once")
	require.NoError(t, err)
	same, err := h.members.Invite(t.Context(), owner, want, "a new colleague", "once")
	require.NoError(t, err)
	require.Equal(t, made.Code.Reveal(), same.Code.Reveal())
	for _, table := range h.tables(t) {
		require.NotContains(t, h.text(t, `select coalesce(string_agg(r::text, ' '), '') from `+table+` r`), "Noor", table)
	}
	_, err = h.members.ByInvitation(t.Context(), secret.NewText(made.Code.Reveal()+"x"))
	require.ErrorIs(t, err, app.ErrInvitation)
	invited, err := h.members.ByInvitation(t.Context(), made.Code)
	require.NoError(t, err)
	require.Equal(t, "Company one", invited.Company)

	claims := app.Claims{Issuer: issuer.URL, Subject: "u-noor", IssuerID: issuer.ID, Invitation: invited.ID, Email: "noor@ONE.test", SignedInAt: h.clock.now()}
	accept := func(set func(*app.Claims)) error {
		c := claims
		set(&c)
		_, err := h.signIns.Accept(t.Context(), h.one.tenant, c)
		return err
	}
	require.Equal(t, "invitation_other", fault.From(accept(func(c *app.Claims) { c.Email = "eve@one.test" })).Code)
	require.Equal(t, "invitation_other", fault.From(accept(func(c *app.Claims) { c.EmailRefused = true })).Code)
	require.ErrorIs(t, accept(func(c *app.Claims) { c.IssuerID = other.ID }), app.ErrInvitation)
	_, err = h.signIns.Accept(t.Context(), h.two.tenant, claims)
	require.ErrorIs(t, err, app.ErrInvitation, "another company's")
	require.NoError(t, accept(func(*app.Claims) {}))
	require.ErrorIs(t, accept(func(c *app.Claims) { c.Subject = "u-second" }), app.ErrInvitation)
	_, err = h.members.ByInvitation(t.Context(), made.Code)
	require.ErrorIs(t, err, app.ErrInvitation)
	page, err := h.members.List(t.Context(), owner, app.MemberFilter{Text: "noor"})
	require.NoError(t, err)
	require.Equal(t, "CC-1", page.Rows[0].Grants[0].NodeCode)
	require.Equal(t, "owner-one", page.Rows[0].Grants[0].By.Name, "who invited gave the role")
	require.False(t, page.Rows[0].LastSignInAt.IsZero())

	late, err := h.members.Invite(t.Context(), owner, want, "again", "")
	require.NoError(t, err)
	require.NoError(t, h.members.WithdrawInvitation(t.Context(), owner, late.ID, "a mistake"))
	_, err = h.members.ByInvitation(t.Context(), late.Code)
	require.ErrorIs(t, err, app.ErrInvitation)
	late, err = h.members.Invite(t.Context(), owner, want, "again", "")
	require.NoError(t, err)
	h.clock.add(25 * time.Hour)
	require.ErrorIs(t, accept(func(c *app.Claims) { c.Subject, c.Invitation = "u-late", late.ID }), app.ErrInvitation)
}

func TestGroupsBecomeRolesAtSignIn(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer, other := h.issuer(t, h.one), h.issuer(t, h.two)
	owner := h.owner(t, h.one)
	h.person(t, h.one, app.RoleAnalyst, "ana")
	mapGroup := func(group string, role app.Role, node string) error {
		return h.carries(t, owner, app.AskMapping(app.NewMapping{Issuer: issuer.ID, Group: group, Role: role, NodeCode: node}, "x"))
	}
	require.NoError(t, mapGroup("leads", app.RoleBudgetOwner, "CC-1"))
	require.NoError(t, mapGroup("finance", app.RoleFinanceAdmin, ""))
	require.NoError(t, mapGroup("admins", app.RoleTenantOwner, ""))
	require.Equal(t, "mapping_known", fault.From(mapGroup("finance", app.RoleFinanceAdmin, "")).Code)
	require.Equal(t, "duty_conflict", fault.From(mapGroup("finance", app.RoleTenantOwner, "")).Code)
	require.Equal(t, "issuer_absent", fault.From(h.carries(t, owner, app.AskMapping(app.NewMapping{Issuer: other.ID, Group: "x", Role: app.RoleAuditor}, "x"))).Code)

	signIn := func(groups ...string) []app.Grant {
		cookie, err := h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: "https://idp.test", Subject: "ana", IssuerID: issuer.ID, Groups: groups, SignedInAt: h.clock.now()})
		require.NoError(t, err)
		who, err := h.signIns.BySession(t.Context(), cookie)
		require.NoError(t, err)
		return who.Grants
	}
	roles := func(grants []app.Grant) (list []app.Role) {
		for _, g := range grants {
			list = append(list, g.Role)
		}
		return list
	}
	require.Equal(t, []app.Role{app.RoleAnalyst, app.RoleBudgetOwner, app.RoleFinanceAdmin}, roles(signIn("leads", "finance", "unmapped")))
	changes := h.number(t, `select count(*) from change where kind = 'mapped_roles'`)
	require.Len(t, signIn("finance", "leads"), 3)
	require.Equal(t, changes, h.number(t, `select count(*) from change where kind = 'mapped_roles'`), "the same groups change nothing")
	require.Equal(t, []app.Role{app.RoleAnalyst, app.RoleFinanceAdmin}, roles(signIn("finance", "admins")), "a conflict of duty is left out")
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "role.mapping_refused"))
	mappings, err := h.members.Mappings(t.Context(), owner)
	require.NoError(t, err)
	require.Len(t, mappings, 3)
	for _, m := range mappings {
		require.NoError(t, h.carries(t, owner, app.AskMappingEnd(m.ID, "over")))
	}
	require.EqualValues(t, 1, h.number(t, `select count(*) from member_role r join member m using (tenant_id, member_id) where m.subject = 'ana' and r.effective_to is null`), "ending a mapping takes its roles at once")
	require.ErrorIs(t, h.carries(t, h.owner(t, h.two), app.AskMappingEnd(mappings[0].ID, "x")), db.ErrMappingAbsent)
	require.Equal(t, []app.Role{app.RoleAnalyst}, roles(signIn()))
}

func TestATokenIsLimitedUsedAndRevoked(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.owner(t, h.one)
	ana := h.person(t, h.one, app.RoleAnalyst, "ana")
	require.NoError(t, h.carries(t, owner, app.AskRoles(ana.Member, []app.RoleWish{{Role: app.RoleAnalyst}, {Role: app.RoleController}}, "both")))
	_, err := h.members.MakeToken(t.Context(), owner, app.NewToken{Member: ana.Member, Label: "x", Roles: []app.Role{app.RoleFinanceAdmin}, Life: time.Hour}, "x", "")
	require.Equal(t, "token_scope", fault.From(err).Code)
	made, err := h.members.MakeToken(t.Context(), owner, app.NewToken{Member: ana.Member, Label: "x", Roles: []app.Role{app.RoleAnalyst}, Life: time.Hour}, "x", "")
	require.NoError(t, err)
	bot, err := h.members.ByToken(t.Context(), made.Secret)
	require.NoError(t, err)
	require.Equal(t, []app.Grant{{Role: app.RoleAnalyst}}, bot.Grants)
	list, err := h.members.Tokens(t.Context(), owner, id.Member{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.False(t, list[0].LastUsedAt.IsZero())
	require.Equal(t, "ana", list[0].Owner)
	_, err = h.members.Tokens(t.Context(), ana, id.Member{})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	require.ErrorIs(t, h.members.RevokeToken(t.Context(), h.owner(t, h.two), made.ID, "x"), db.ErrTokenAbsent)
	require.NoError(t, h.members.RevokeToken(t.Context(), owner, made.ID, "done"))
	require.Equal(t, fault.KindConflict, fault.KindOf(h.members.RevokeToken(t.Context(), owner, made.ID, "done")))
	_, err = h.members.ByToken(t.Context(), made.Secret)
	require.ErrorIs(t, err, app.ErrToken)
}

func TestSeveralIssuersStandSideBySide(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.owner(t, h.one)
	add := func(set func(*app.Issuer)) (id.Issuer, error) {
		want := app.Issuer{Name: "Login", URL: "https://a.test", ClientID: "c", Secret: secret.NewText("s"), Domains: []string{"One.test"}}
		set(&want)
		return h.addIssuer(t, owner, want)
	}
	for field, set := range map[string]func(*app.Issuer){
		"url": func(i *app.Issuer) { i.URL = "http://a.test" }, "name": func(i *app.Issuer) { i.Name = "" }, "client_id": func(i *app.Issuer) { i.ClientID = "" },
		"client_secret": func(i *app.Issuer) { i.Secret = secret.Text{} }, "domains": func(i *app.Issuer) { i.Domains = []string{"one"} },
	} {
		_, err := add(set)
		require.Equal(t, field, fault.From(err).Field, "%v", err)
	}
	first, err := add(func(*app.Issuer) {})
	require.NoError(t, err)
	_, err = add(func(*app.Issuer) {})
	require.Equal(t, "issuer_known", fault.From(err).Code)
	require.Equal(t, "last_issuer", fault.From(h.carries(t, owner, app.AskIssuerEnd(first, "x"))).Code)
	_, err = add(func(i *app.Issuer) { i.URL = "https://b.test" })
	require.NoError(t, err)
	list, err := h.signIns.Issuers(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.Len(t, list, 2)
	for address, want := range map[string][]app.Company{"x@ONE.test": {{Slug: "one", Name: "Company one"}}, "x@two.test": {}} {
		found, err := h.signIns.ByEmail(t.Context(), address)
		require.NoError(t, err)
		require.Equal(t, want, found)
	}
	_, err = h.signIns.ByEmail(t.Context(), "@")
	require.Equal(t, fault.KindInvalid, fault.KindOf(err))
	require.NoError(t, h.carries(t, owner, app.AskIssuerEnd(first, "moved")))
	require.Equal(t, fault.KindNotFound, fault.KindOf(h.carries(t, h.owner(t, h.two), app.AskIssuerEnd(first, "x"))))
}

func TestAMemberOfTwoCompaniesSwitches(t *testing.T) {
	t.Parallel()
	h := build(t)
	one, two := h.issuer(t, h.one), h.issuer(t, h.two)
	require.Equal(t, one.URL, two.URL)
	h.person(t, h.one, app.RoleAnalyst, "ada")
	there := h.person(t, h.two, app.RoleController, "ada")
	cookie, err := h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: one.URL, Subject: "ada", IssuerID: one.ID, SignedInAt: h.clock.now(), Raw: "token"})
	require.NoError(t, err)
	who, err := h.signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)
	others, err := h.signIns.Elsewhere(t.Context(), who)
	require.NoError(t, err)
	require.Equal(t, []app.Company{{Slug: "two", Name: "Company two"}}, others)
	for _, slug := range []string{"one", "nobody", ""} {
		_, err := h.signIns.Switch(t.Context(), who, slug)
		require.ErrorIs(t, err, app.ErrNowhere)
	}
	h.clock.add(30 * time.Minute)
	next, err := h.signIns.Switch(t.Context(), who, "two")
	require.NoError(t, err)
	in, err := h.signIns.BySession(t.Context(), next)
	require.NoError(t, err)
	require.Equal(t, there.Member, in.Member)
	require.Equal(t, []app.Grant{{Role: app.RoleController}}, in.Grants)
	_, err = h.signIns.BySession(t.Context(), cookie)
	require.ErrorIs(t, err, app.ErrSession, "the one it left is over")
	require.EqualValues(t, 1, h.records(t, h.two.tenant, "sign_in.switched"))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "session.left"))
	require.Equal(t, "1", h.text(t, `select count(distinct expires_at)::text from session where signed_in_at = $1`, in.SignedInAt), "switching prolongs nothing")

	// Another client may ask other questions: it wants its own sign-in.
	require.NoError(t, h.signIns.SetIssuer(t.Context(), h.one.who, app.Issuer{Name: "x", URL: one.URL, ClientID: "other", Secret: secret.NewText("s")}, "x"))
	_, err = h.signIns.Switch(t.Context(), in, "one")
	require.ErrorIs(t, err, app.ErrSwitch)
	h.exec(t, `update member set suspended_at = now() where tenant_id = $1`, h.one.tenant)
	_, err = h.signIns.Switch(t.Context(), in, "one")
	require.ErrorIs(t, err, app.ErrNowhere)
}

func TestOwnSessionsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.person(t, h.one, app.RoleAnalyst, "ana")
	h.person(t, h.one, app.RoleAuditor, "eve")
	h.person(t, h.two, app.RoleAnalyst, "ana")
	first, second, eve, theirs := h.cookie(t, h.one, "ana"), h.cookie(t, h.one, "ana"), h.cookie(t, h.one, "eve"), h.cookie(t, h.two, "ana")
	by := func(cookie secret.Text) app.Actor {
		who, err := h.signIns.BySession(t.Context(), cookie)
		require.NoError(t, err)
		return who
	}
	who := by(first)
	list, err := h.signIns.Sessions(t.Context(), who)
	require.NoError(t, err)
	live := 0
	for _, s := range list {
		if s.Live {
			live++
		}
	}
	require.Equal(t, 3, live, "the two, and the one the fixture made")
	for _, foreign := range []secret.Text{eve, theirs} {
		require.Equal(t, fault.KindNotFound, fault.KindOf(h.signIns.EndSession(t.Context(), who, by(foreign).Session)))
		by(foreign)
	}
	require.NoError(t, h.signIns.EndSession(t.Context(), who, by(second).Session))
	_, err = h.signIns.BySession(t.Context(), second)
	require.ErrorIs(t, err, app.ErrSession)
	third := h.cookie(t, h.one, "ana")
	require.NoError(t, h.signIns.EndOthers(t.Context(), who))
	_, err = h.signIns.BySession(t.Context(), third)
	require.ErrorIs(t, err, app.ErrSession)
	by(first)
	by(eve)
	require.NoError(t, h.signIns.Replace(t.Context(), first))
	_, err = h.signIns.BySession(t.Context(), first)
	require.ErrorIs(t, err, app.ErrSession)
	require.NoError(t, h.signIns.Replace(t.Context(), secret.NewText("nothing")))
}
