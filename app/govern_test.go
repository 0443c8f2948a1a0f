package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/secret"
)

// TestAPolicyHoldsEveryKindItNames puts everything that can be applied at once under a
// policy: it waits, the direct way is closed, and a second person applies it.
func TestAPolicyHoldsEveryKindItNames(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer := h.issuer(t, h.one)
	fin, cfo, owner, eng := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo"), h.owner(t, h.one), h.person(t, h.one, app.RoleEngineeringAdmin, "eng")
	h.adopt(t, fin, cfo, `{"code":"all","kinds":["member_roles","group_mapping","group_mapping_end","upstream","plan"],`+oneStep+`}`)
	waiting := func(who app.Actor, ask app.Ask) app.ChangeView {
		t.Helper()
		made := h.propose(t, who, ask)
		require.True(t, made.Open(), ask.Kind)
		require.Equal(t, "all", made.Terms.Policy.Code)
		require.NotEmpty(t, made.Impact.Sentence)
		return made
	}
	done := func(change app.ChangeView) {
		t.Helper()
		applied, err := h.approveChange(t, cfo, change)
		require.NoError(t, err, change.Kind)
		require.Equal(t, approval.StateApplied, applied.State)
	}

	// A role.
	ana := h.person(t, h.one, app.RoleAnalyst, "ana")
	roles := waiting(owner, app.AskRoles(ana.Member, []app.RoleWish{{Role: app.RoleAnalyst}, {Role: app.RoleBudgetOwner, NodeCode: "CC-2"}}, "owns it now"))
	require.Len(t, h.session(t, h.one, "ana").Grants, 1)
	overtaken := waiting(owner, app.AskRoles(ana.Member, []app.RoleWish{{Role: app.RoleBudgetOwner, NodeCode: "CC-2"}}, "only that"))
	done(roles)
	require.Len(t, h.session(t, h.one, "ana").Grants, 2)
	_, err := h.approveChange(t, cfo, overtaken)
	require.Equal(t, "roles_moved", codeOf(err))
	_, err = h.approvals.Propose(t.Context(), owner, app.AskRoles(ana.Member, []app.RoleWish{{Role: app.RoleTenantOwner}, {Role: app.RoleController}}, "both"), "")
	require.Equal(t, "duty_conflict", codeOf(err))

	// A group's role, and its end.
	mapping := waiting(owner, app.AskMapping(app.NewMapping{Issuer: issuer.ID, Group: "auditors", Role: app.RoleAuditor}, "from the directory"))
	done(mapping)
	list, err := h.members.Mappings(t.Context(), owner)
	require.NoError(t, err)
	require.Len(t, list, 1)
	_, err = h.approvals.Propose(t.Context(), owner, app.AskMapping(app.NewMapping{Issuer: issuer.ID, Group: "auditors", Role: app.RoleAuditor}, "again"), "")
	require.Equal(t, "mapping_known", codeOf(err))
	done(waiting(owner, app.AskMappingEnd(list[0].ID, "no more")))

	// The provider: the credential works only once somebody approved it, and is nowhere to be read.
	require.ErrorIs(t, h.tenants.SetUpstream(t.Context(), eng, "https://api.anthropic.com", secret.NewText("sk-waits"), "x"), app.ErrMustPropose)
	upstream := waiting(eng, app.AskUpstream("https://api.anthropic.com", secret.NewText("sk-waits"), "the contract's key"))
	require.Nil(t, h.load(t, h.one.tenant).Tenants["one"].Upstream)
	for _, kept := range []string{string(upstream.Payload), h.text(t, `select string_agg(encode(canonical, 'escape'), '') from audit_record where tenant_id = $1`, h.one.tenant),
		h.text(t, `select encode(document_sealed, 'escape') from change_document where tenant_id = $1 and change_id = $2`, h.one.tenant, upstream.ID)} {
		require.NotContains(t, kept, "sk-waits")
	}
	done(upstream)
	require.Equal(t, "sk-waits", h.load(t, h.one.tenant).Tenants["one"].Credential.Reveal())

	// A plan.
	file := "code,2026-01\nCC-1,1000.00\n"
	_, err = h.plans.Propose(t.Context(), fin, app.PlanAsk{Year: year(t), File: []byte(file), Reason: "x"}, "")
	require.ErrorIs(t, err, app.ErrMustPropose)
	planned := waiting(fin, app.AskPlanVersion(app.PlanAsk{Year: year(t), File: []byte(file), Reason: "board"}))
	require.Equal(t, "1000.00", planned.Impact.PlanMovedCents.String())
	other := waiting(fin, app.AskPlanVersion(app.PlanAsk{Year: year(t), File: []byte("code,2026-01\nCC-2,5.00\n"), Reason: "another"}))
	_, found, err := h.plans.Made(t.Context(), fin, planned.ID)
	require.NoError(t, err)
	require.False(t, found)
	done(planned)
	version, found, err := h.plans.Made(t.Context(), fin, planned.ID)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, 1, version.Number)
	_, err = h.approveChange(t, cfo, other)
	require.Equal(t, "plan_moved", codeOf(err))
}

func TestAnIssuerAlwaysNeedsTwoPersons(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.issuer(t, h.one)
	owner := h.owner(t, h.one)
	want := app.Issuer{Name: "Other", URL: "https://other.test", ClientID: "c", Secret: secret.NewText("s")}
	_, err := h.signIns.AddIssuer(t.Context(), owner, want, "alone")
	require.ErrorIs(t, err, app.ErrMustPropose)
	made := h.propose(t, owner, app.AskIssuer(want, "the new directory"))
	require.True(t, made.Open())
	require.NotContains(t, string(made.Payload), `"s"`)
	_, err = h.approveChange(t, owner, made)
	require.Error(t, err)
	list, err := h.signIns.Issuers(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.Len(t, list, 1)
	_, err = h.approveChange(t, h.person(t, h.one, app.RoleController, "cfo"), made)
	require.NoError(t, err)
	list, err = h.signIns.Issuers(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.Len(t, list, 2)
}

func TestAVirtualKeyMovesToAnotherCostCenter(t *testing.T) {
	t.Parallel()
	h := build(t)
	eng, cfo := h.person(t, h.one, app.RoleEngineeringAdmin, "eng"), h.person(t, h.one, app.RoleController, "cfo")
	october := time.Date(2026, 10, 7, 9, 0, 0, 0, time.UTC)
	h.flush(t, h.one, h.one.event(october, "CC-1"), h.one.event(october.Add(time.Hour), "P-1"))
	code := func() string {
		t.Helper()
		found, ok := h.snapshots.Find(h.load(t, h.one.tenant).Tenants["one"], h.one.key.Secret.Reveal())
		require.True(t, ok)
		return found.Answer.Code
	}
	for _, bad := range []struct {
		ask  app.Ask
		code string
	}{
		{app.AskKeyMove(h.one.key.ID, "CC-1", nil, time.Time{}, "x"), "move_same"},
		{app.AskKeyMove(h.one.key.ID, "CC-9", nil, time.Time{}, "x"), "cost_center_absent"},
		{app.AskKeyMove(h.one.key.ID, "CC-2", []string{"P-9"}, time.Time{}, "x"), "project_absent"},
		{app.AskKeyMove(h.one.key.ID, "CC-2", nil, october, "x"), "move_backdated"},
		{app.AskKeyMove(h.two.key.ID, "CC-2", nil, time.Time{}, "x"), "key_absent"},
	} {
		_, err := h.approvals.Propose(t.Context(), eng, bad.ask, "")
		require.Equal(t, bad.code, codeOf(err))
	}
	change := h.propose(t, eng, app.AskKeyMove(h.one.key.ID, "CC-2", []string{"P-1"}, time.Time{}, "the team moved"))
	require.Equal(t, period.MonthOf(october).String(), change.Impact.Month)
	require.Equal(t, "0.014000000000", change.Impact.Moved.String(), "what it charged CC-1 itself")
	require.Len(t, change.Impact.Nodes, 2)
	require.Equal(t, "CC-1", change.Impact.Nodes[0].Code)
	require.Equal(t, "CC-1", code())
	_, err := h.approveChange(t, eng, change)
	require.ErrorIs(t, err, approval.ErrSelfApproval)
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	require.Equal(t, "CC-2", code())

	later := h.clock.now().AddDate(0, 0, 3)
	_, err = h.approveChange(t, cfo, h.propose(t, eng, app.AskKeyMove(h.one.key.ID, "CC-3", nil, later, "again, soon")))
	require.NoError(t, err)
	require.Equal(t, "CC-2", code(), "not before its day")
	before := h.propose(t, eng, app.AskKeyMove(h.one.key.ID, "CC-1", nil, time.Time{}, "before that"))
	_, err = h.approveChange(t, cfo, before)
	require.Equal(t, "move_planned", codeOf(err))
	h.load(t, h.one.tenant)
	require.Equal(t, []time.Time{later}, h.snapshots.Current().Tenants["one"].Upcoming)
	h.clock.add(3 * 24 * time.Hour)
	h.snapshots.Turn(t.Context())
	turned, ok := h.snapshots.Find(h.snapshots.Current().Tenants["one"], h.one.key.Secret.Reveal())
	require.True(t, ok)
	require.Equal(t, "CC-3", turned.Answer.Code, "a gateway turns at the instant, not at its next reload")
	h.clock.add(24 * time.Hour)
	require.Equal(t, "CC-3", code())
	require.EqualValues(t, 3, h.number(t, `select count(*) from key_assignment where tenant_id = $1 and key_id = $2`, h.one.tenant, h.one.key.ID))
	_, err = h.approvals.Case(t.Context(), h.person(t, h.two, app.RoleController, "x"), id.NewChange(later))
	require.Equal(t, "change_absent", codeOf(err))
}
