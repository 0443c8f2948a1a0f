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

func TestASuspendedTenantIsClosedAndWhole(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.tenants.SetUpstream(t.Context(), h.one.who, "https://provider.test", secret.NewText("sk"), "x"))
	admit := func(c *company) secret.Text {
		member, err := h.members.Add(t.Context(), c.who, app.NewMember{Issuer: "https://idp.test", Subject: "ada", Name: "Ada", Email: "ada@x.test", Role: app.RoleAnalyst}, "x")
		require.NoError(t, err)
		token, err := h.members.AddToken(t.Context(), c.who, member, "script", time.Hour, "x")
		require.NoError(t, err)
		return token
	}
	mine, theirs := admit(h.one), admit(h.two)
	accept := func(c *company, subject string) (secret.Text, error) {
		return h.signIns.Accept(t.Context(), c.tenant, app.Claims{Issuer: "https://idp.test", Subject: subject, SignedInAt: h.clock.now()})
	}
	session, err := accept(h.one, "ada")
	require.NoError(t, err)
	events := h.number(t, `select count(*) from usage_event`)

	require.NoError(t, h.tenants.Suspend(t.Context(), h.one.who, "the contract ended"))
	who, err := h.signIns.BySession(t.Context(), session)
	require.ErrorIs(t, err, app.ErrTenantSuspended)
	require.Equal(t, "Ada", who.Name, "whoever it is may still leave")
	_, err = h.members.ByToken(t.Context(), mine)
	require.ErrorIs(t, err, app.ErrTenantSuspended)
	_, err = accept(h.one, "ada")
	require.ErrorIs(t, err, app.ErrTenantSuspended)
	_, err = accept(h.one, "stranger")
	require.ErrorIs(t, err, app.ErrNotMember, "who does not belong there is told nothing")
	_, err = h.signIns.BySession(t.Context(), secret.NewText(session.Reveal()+"x"))
	require.ErrorIs(t, err, app.ErrSession)
	require.NoError(t, h.signIns.End(t.Context(), who))
	require.EqualValues(t, 2, h.records(t, h.one.tenant, "sign_in.refused"))

	// The other company goes on.
	_, err = h.members.ByToken(t.Context(), theirs)
	require.NoError(t, err)
	elsewhere, err := accept(h.two, "ada")
	require.NoError(t, err)
	who, err = h.signIns.BySession(t.Context(), elsewhere)
	require.NoError(t, err)
	_, err = h.signIns.Switch(t.Context(), who, "one")
	require.Error(t, err)

	list, err := h.tenants.List(t.Context())
	require.NoError(t, err)
	require.False(t, list[0].SuspendedAt.IsZero())
	require.True(t, list[1].SuspendedAt.IsZero())
	all := h.load(t, id.Tenant{})
	require.True(t, all.Tenants["one"].Suspended)
	require.False(t, all.Tenants["two"].Suspended)
	_, ok := h.snapshots.Find(all.Tenants["one"], h.one.key.Secret.Reveal())
	require.True(t, ok, "its keys stay its keys")
	require.Equal(t, fault.KindConflict, fault.KindOf(h.tenants.Suspend(t.Context(), h.one.who, "again")))
	require.Equal(t, events, h.number(t, `select count(*) from usage_event`))

	require.NoError(t, h.tenants.Resume(t.Context(), h.one.who, "the contract goes on"))
	require.Equal(t, fault.KindConflict, fault.KindOf(h.tenants.Resume(t.Context(), h.one.who, "again")))
	_, err = h.members.ByToken(t.Context(), mine)
	require.NoError(t, err)
	_, err = accept(h.one, "ada")
	require.NoError(t, err)
	require.False(t, h.load(t, h.one.tenant).Tenants["one"].Suspended)
	require.Equal(t, "suspended the contract ended,active the contract goes on", h.text(t, `select string_agg(s.state || ' ' || c.reason, ',' order by s.place)
		from tenant_state s join change c using (tenant_id, change_id) where s.tenant_id = $1`, h.one.tenant))
}

func TestOnlyTheOperatorSuspends(t *testing.T) {
	t.Parallel()
	h := build(t)
	before := h.contents(t)
	require.Equal(t, "reason_missing", fault.From(h.tenants.Suspend(t.Context(), h.one.who, " ")).Code)
	require.Equal(t, fault.KindConflict, fault.KindOf(h.tenants.Resume(t.Context(), h.one.who, "x")))
	require.Equal(t, before, h.contents(t))
	for _, role := range app.Roles() {
		if role == app.RoleServiceAccount || role == app.RoleBudgetOwner {
			continue
		}
		who := h.member(t, h.one, role, "")
		require.ErrorIs(t, h.tenants.Suspend(t.Context(), who, "x"), app.ErrNotAllowed, role)
		require.ErrorIs(t, h.tenants.Resume(t.Context(), who, "x"), app.ErrNotAllowed, role)
	}
}

// TestAnInvitationWaitsForTheCompany refuses who follows one to a suspended company, and
// leaves it to be followed later.
func TestAnInvitationWaitsForTheCompany(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer, err := h.signIns.AddIssuer(t.Context(), h.one.who, app.Issuer{Name: "Login", URL: "https://idp.test", ClientID: "x", Secret: secret.NewText("s")}, "x")
	require.NoError(t, err)
	made, err := h.members.Invite(t.Context(), h.one.who, app.NewInvitation{Issuer: issuer, Name: "New", Email: "new@one.test", Role: app.RoleAnalyst, Life: 24 * time.Hour}, "x", "")
	require.NoError(t, err)
	follow := func() error {
		_, err := h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: "https://idp.test", Subject: "new", Email: "new@one.test", IssuerID: issuer, Invitation: made.ID, SignedInAt: h.clock.now()})
		return err
	}
	require.NoError(t, h.tenants.Suspend(t.Context(), h.one.who, "x"))
	require.ErrorIs(t, follow(), app.ErrTenantSuspended)
	require.Zero(t, h.number(t, `select count(*) from member`))
	require.NoError(t, h.tenants.Resume(t.Context(), h.one.who, "x"))
	require.NoError(t, follow())
}
