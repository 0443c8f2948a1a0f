package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// TestSuspensionLeavesNoWayBack suspends a tenant owner who made sure of one: a link for an
// address of their own, and one that another owner made for an address they have here.
func TestSuspensionLeavesNoWayBack(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer, theirs := h.issuer(t, h.one), h.issuer(t, h.two)
	owner := h.owner(t, h.one)
	_, err := h.members.Add(t.Context(), h.one.who, app.NewMember{Issuer: "https://idp.test", Subject: "mal", Name: "Mal", Email: "Mal@one.test", Role: app.RoleTenantOwner}, "fixture")
	require.NoError(t, err)
	mal := h.session(t, h.one, "mal")
	invite := func(c *company, who app.Actor, i app.Issuer, email string) secret.Text {
		made, err := h.members.Invite(t.Context(), who, app.NewInvitation{Issuer: i.ID, Name: "Some One", Email: email, Role: app.RoleTenantOwner, Life: 24 * time.Hour}, "x", "")
		require.NoError(t, err, c.slug)
		return made.Code
	}
	byMal, forMal := invite(h.one, mal, issuer, "mal.private@one.test"), invite(h.one, owner, issuer, "mal@ONE.test")
	unrelated, elsewhere := invite(h.one, owner, issuer, "noor@one.test"), invite(h.two, h.owner(t, h.two), theirs, "mal@one.test")

	done, err := h.members.Suspend(t.Context(), owner, mal.Member, "left the company")
	require.NoError(t, err)
	require.Equal(t, 2, done.Invitations)
	for name, code := range map[string]secret.Text{"made by": byMal, "made for": forMal} {
		_, err := h.members.ByInvitation(t.Context(), code)
		require.ErrorIs(t, err, app.ErrInvitation, name)
	}
	for _, code := range []secret.Text{unrelated, elsewhere} {
		_, err := h.members.ByInvitation(t.Context(), code)
		require.NoError(t, err)
	}
	require.EqualValues(t, 2, h.number(t, `select count(*) from invitation i join change c on c.tenant_id = i.tenant_id and c.change_id = i.end_change_id where c.kind = 'member_suspension'`))
}

// TestSuspensionTellsWhatThePersonKnows names the keys and others' tokens whose secrets a
// person saw: they go on, because others work with them, until somebody replaces them.
func TestSuspensionTellsWhatThePersonKnows(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.owner(t, h.one)
	eng := h.person(t, h.one, app.RoleEngineeringAdmin, "eng")
	ana := h.person(t, h.one, app.RoleAnalyst, "ana")
	second := h.person(t, h.one, app.RoleTenantOwner, "second")
	known := func(who app.Actor) (names []string) {
		story, err := h.members.Story(t.Context(), owner, who.Member)
		require.NoError(t, err)
		for _, k := range story.Known {
			names = append(names, k.Label)
		}
		return names
	}
	require.Empty(t, known(eng))
	made, err := h.keys.Create(t.Context(), eng, app.NewKey{Label: "ci runner", CostCenter: "CC-1"}, "x")
	require.NoError(t, err)
	over, err := h.keys.Create(t.Context(), eng, app.NewKey{Label: "old", CostCenter: "CC-1"}, "x")
	require.NoError(t, err)
	require.NoError(t, h.keys.Revoke(t.Context(), eng, over.ID, "over"))
	require.Equal(t, []string{"ci runner"}, known(eng))
	_, err = h.keys.RotateOnce(t.Context(), h.person(t, h.one, app.RoleEngineeringAdmin, "other"), app.Rotation{Key: made.ID, EarlierUntil: h.clock.now()}, "x", "")
	require.NoError(t, err)
	h.clock.add(time.Minute)
	require.Empty(t, known(eng), "rotated by somebody else, what they saw is worth nothing")
	for label, member := range map[string]id.Member{"another's": ana.Member, "own": second.Member} {
		_, err := h.members.AddToken(t.Context(), second, member, label, time.Hour, "x")
		require.NoError(t, err)
	}
	require.Equal(t, []string{"another's"}, known(second), "one's own ends with the suspension")
	h.clock.add(2 * time.Hour)
	require.Empty(t, known(second))
}

// TestTheGroupsKeepTheLastOwner signs the only tenant owner in without the group that made
// them one: somebody has to remain who gives roles.
func TestTheGroupsKeepTheLastOwner(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer := h.issuer(t, h.one)
	owner := h.owner(t, h.one)
	h.person(t, h.one, app.RoleAnalyst, "ana")
	require.NoError(t, h.carries(t, owner, app.AskMapping(app.NewMapping{Issuer: issuer.ID, Group: "admins", Role: app.RoleTenantOwner}, "x")))
	require.NoError(t, h.carries(t, owner, app.AskMapping(app.NewMapping{Issuer: issuer.ID, Group: "finance", Role: app.RoleFinanceAdmin}, "x")))
	signIn := func(groups ...string) app.Actor {
		cookie, err := h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: "https://idp.test", Subject: "ana", IssuerID: issuer.ID, Groups: groups, SignedInAt: h.clock.now()})
		require.NoError(t, err)
		who, err := h.signIns.BySession(t.Context(), cookie)
		require.NoError(t, err)
		return who
	}
	analyst, own, finance := app.Grant{Role: app.RoleAnalyst}, app.Grant{Role: app.RoleTenantOwner}, app.Grant{Role: app.RoleFinanceAdmin}
	require.ElementsMatch(t, []app.Grant{analyst, finance}, signIn("finance").Grants)
	ana := signIn("admins")
	require.ElementsMatch(t, []app.Grant{analyst, own}, ana.Grants, "one group for another is no conflict of duty")
	require.NoError(t, h.carries(t, ana, app.AskRoles(owner.Member, []app.RoleWish{{Role: app.RoleAnalyst}}, "moved on")))
	require.ElementsMatch(t, []app.Grant{analyst, own}, signIn().Grants)
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "role.last_owner_kept"))
	require.ElementsMatch(t, []app.Grant{analyst, own}, signIn("finance").Grants, "and what conflicts with it is left out")
	require.NoError(t, h.carries(t, ana, app.AskRoles(owner.Member, []app.RoleWish{{Role: app.RoleTenantOwner}}, "is back")))
	require.ElementsMatch(t, []app.Grant{analyst, finance}, signIn("finance").Grants)
}

// TestOwnersKeepAWayIn retires the issuer that every owner signs in at.
func TestOwnersKeepAWayIn(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer := h.issuer(t, h.one)
	owner := h.owner(t, h.one)
	other, err := h.addIssuer(t, owner, app.Issuer{Name: "Other", URL: "https://other.test", ClientID: "c", Secret: secret.NewText("s")})
	require.NoError(t, err)
	require.Equal(t, "last_owner", fault.From(h.carries(t, owner, app.AskIssuerEnd(issuer.ID, "x"))).Code)
	_, err = h.members.Add(t.Context(), h.one.who, app.NewMember{Issuer: "https://other.test", Subject: "two", Name: "Two", Role: app.RoleTenantOwner}, "fixture")
	require.NoError(t, err)
	require.NoError(t, h.carries(t, owner, app.AskIssuerEnd(issuer.ID, "moved")))
	require.Equal(t, "last_issuer", fault.From(h.carries(t, owner, app.AskIssuerEnd(other, "x"))).Code)
}

// TestASignInThatMeetsASuspensionWaits holds people as a suspension does while somebody
// signs in and a token is made: neither outlives it.
func TestASignInThatMeetsASuspensionWaits(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.owner(t, h.one)
	ana := h.person(t, h.one, app.RoleAnalyst, "ana")
	suspending, err := h.admin.Begin()
	require.NoError(t, err)
	defer suspending.Rollback() //nolint:errcheck // committed below
	_, err = suspending.Exec(`select pg_advisory_xact_lock(hashtextextended('people:' || $1, 0))`, h.one.tenant.UUID())
	require.NoError(t, err)
	signedIn, made := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: "https://idp.test", Subject: "ana", SignedInAt: h.clock.now()})
		signedIn <- err
	}()
	go func() {
		_, err := h.members.AddToken(t.Context(), owner, ana.Member, "late", time.Hour, "x")
		made <- err
	}()
	require.Eventually(t, func() bool {
		return h.number(t, `select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory' and query like '%people:%'`) == 2
	}, 10*time.Second, time.Millisecond)
	_, err = suspending.Exec(`update member set suspended_at = now() where tenant_id = $1 and member_id = $2`, h.one.tenant, ana.Member)
	require.NoError(t, err)
	require.NoError(t, suspending.Commit())
	require.ErrorIs(t, <-signedIn, app.ErrNotMember)
	require.Equal(t, "member_suspended", fault.From(<-made).Code)
}
