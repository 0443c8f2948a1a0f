package app_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/plan"
)

func year(t *testing.T) plan.Year {
	t.Helper()
	y, err := plan.ParseYear("2026-01")
	require.NoError(t, err)
	return y
}

const planFile = "code,2026-10,2026-11\nCC-1,100.00,300.00\nP-1,,0.02\nCC-2,50,60\n"

// approve makes a version of a file on the latest one.
func (h *house) approve(t *testing.T, who app.Actor, file string, from time.Time) plan.Version {
	t.Helper()
	draft, err := h.plans.DryRun(t.Context(), who, year(t), []byte(file))
	require.NoError(t, err)
	require.Empty(t, draft.Problems)
	made, err := h.plans.Propose(t.Context(), who, app.PlanAsk{Year: year(t), File: []byte(file), Base: draft.Base, EffectiveFrom: from, Reason: "board, " + from.Format(time.DateOnly)}, "")
	require.NoError(t, err)
	return made
}

func (h *house) planView(t *testing.T, who app.Actor, q app.PlanQuery) app.PlanView {
	t.Helper()
	q.Year = year(t)
	view, err := h.plans.View(t.Context(), who, q)
	require.NoError(t, err)
	return view
}

func TestAPlanIsAddedInVersionsAndNeverEdited(t *testing.T) {
	t.Parallel()
	h := build(t)
	analyst := h.member(t, h.one, app.RoleAnalyst, "")
	other := h.member(t, h.two, app.RoleAnalyst, "")
	h.approve(t, other, "code,2026-11\nCC-1,7777\n", founded())

	before := h.contents(t)
	draft, err := h.plans.DryRun(t.Context(), analyst, year(t), []byte(planFile))
	require.NoError(t, err)
	require.Equal(t, "Original", draft.Next)
	require.Equal(t, 3, draft.Moves())
	require.Equal(t, "added", draft.Effects[0].Kind())
	require.Equal(t, "Center 1", draft.Effects[0].Name)
	require.Equal(t, money.Cents(51_002), draft.After.Total().Cents)
	require.Equal(t, before, h.contents(t), "a dry run writes nothing at all")

	original := h.approve(t, analyst, planFile, founded())
	require.Equal(t, []int{1, 0}, []int{original.Number, original.Ordinal})
	recorded := h.clock.now()
	reforecast := h.approve(t, analyst, "code,2026-11\nCC-1,350\n", november(20))
	require.Equal(t, []int{2, 1}, []int{reforecast.Number, reforecast.Ordinal})

	// The bytes that are stored are the ones the change's digest names; the rows are in them.
	for _, number := range []int{1, 2} {
		require.EqualValues(t, 1, h.number(t, `select count(*) from plan_version v join change c on c.tenant_id = v.tenant_id and c.change_id = v.change_id
			where v.tenant_id = $1 and v.version = $2 and sha256(v.document) = v.digest and c.kind = 'plan' and c.maker = $3
			and convert_from(c.payload, 'UTF8')::jsonb->>'document_sha256' = encode(v.digest, 'hex')`, h.one.tenant, number, analyst.ID()))
	}
	require.EqualValues(t, 2, h.number(t, `select count(*) from audit_record where tenant_id = $1 and action = 'change.applied' and convert_from(canonical, 'UTF8') like '%"kind":"plan"%' and convert_from(canonical, 'UTF8') like '%policy:none%'`, h.one.tenant))
	for _, refused := range []string{`update plan_amount set amount_cents = 1`, `delete from plan_amount`, `update plan_version set ordinal = 9`, `truncate plan_amount`} {
		_, err := h.admin.Exec(refused)
		require.Error(t, err, refused)
	}

	now := h.planView(t, analyst, app.PlanQuery{})
	require.Equal(t, 1, now.InForce, "the reforecast takes effect on the 20th")
	require.Len(t, now.Versions, 2)
	require.Equal(t, "Reforecast 1", now.Versions[0].Name())
	require.Equal(t, analyst.ID(), now.Versions[0].Maker)
	require.Equal(t, money.Cents(56_002), now.Versions[0].Total.Cents)
	later := h.planView(t, analyst, app.PlanQuery{AsOf: november(20)})
	require.Equal(t, 2, later.InForce)
	require.Equal(t, money.Cents(51_002), h.planView(t, analyst, app.PlanQuery{AsOf: november(20), Known: recorded}).Total.Total().Cents, "nobody knew of it then")
	require.Nil(t, h.planView(t, analyst, app.PlanQuery{AsOf: founded().Add(-time.Hour)}).Shown)
	require.Equal(t, money.Cents(56_002), h.planView(t, analyst, app.PlanQuery{Version: 2}).Total.Total().Cents)
	_, err = h.plans.View(t.Context(), analyst, app.PlanQuery{Year: year(t), Version: 3})
	require.ErrorIs(t, err, app.ErrPlanVersion)

	for _, n := range later.Nodes {
		switch n.Code {
		case "BU-1":
			require.Equal(t, []money.Cents{0, 41_002}, []money.Cents{n.Own.Total().Cents, n.Rolled[10].Cents})
		case "CC-1":
			require.Equal(t, []money.Cents{35_000, 35_002}, []money.Cents{n.Own[10].Cents, n.Rolled[10].Cents})
		case "BU-2", "CC-3":
			require.False(t, n.Rolled.Total().Set, "nothing is planned there")
		case "SUSPENSE":
			require.Fail(t, "nobody plans suspense")
		}
	}
	var levels plan.Row
	for _, l := range later.Levels {
		levels = levels.Plus(l.Row)
	}
	require.Equal(t, later.Total.Total(), levels.Total(), "levels sum to the total")
	require.Equal(t, money.Cents(777_700), h.planView(t, other, app.PlanQuery{}).Total.Total().Cents)
}

func TestAPlanIsRefusedWhole(t *testing.T) {
	t.Parallel()
	h := build(t)
	finance := h.member(t, h.one, app.RoleFinanceAdmin, "")
	h.lock(t, h.one, period.MonthOf(november(1)).Previous())
	before := h.contents(t)
	for _, c := range []struct {
		ask  app.PlanAsk
		code string
	}{
		{app.PlanAsk{File: []byte("code,2026-11\nCC-1,5\nNOPE,5\n"), Reason: "x"}, "plan_file"},
		{app.PlanAsk{File: []byte("code,2026-11\nSUSPENSE,5\n"), Reason: "x"}, "plan_file"},
		{app.PlanAsk{File: []byte(planFile), Reason: "x"}, "plan_file"}, // October is locked
		{app.PlanAsk{File: []byte("code,2026-11\nCC-1,\n"), Reason: "x"}, "plan_same"},
		{app.PlanAsk{File: []byte("code,2026-11\nCC-1,5\n")}, "reason_missing"},
		{app.PlanAsk{File: []byte("code,2026-11\nCC-1,5\n"), Base: 1, Reason: "x"}, "plan_moved"},
		{app.PlanAsk{File: []byte("code,2026-11\nCC-1,5\n"), EffectiveFrom: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Reason: "x"}, "plan_effective"},
	} {
		c.ask.Year = year(t)
		_, err := h.plans.Propose(t.Context(), finance, c.ask, "")
		require.Equal(t, c.code, fault.From(err).Code)
	}
	draft, err := h.plans.DryRun(t.Context(), finance, year(t), []byte(planFile))
	require.NoError(t, err)
	require.Len(t, draft.Problems, 2)
	require.Contains(t, draft.Problems[0].Message, "2026-10 are locked")
	require.Equal(t, []int{2, 2}, []int{draft.Problems[0].Line, draft.Problems[0].Column})
	require.Equal(t, before, h.contents(t))
}

func TestWhoMayPlan(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.approve(t, h.one.who, planFile, founded())
	ask := app.PlanAsk{Year: year(t), File: []byte("code,2026-11\nCC-2,61\n"), Base: 1, Reason: "x"}
	for _, role := range app.Roles() {
		if role == app.RoleFinanceAdmin || role == app.RoleAnalyst || role == app.RoleServiceAccount {
			continue // two may; a program's turn comes below
		}
		node := ""
		if role == app.RoleBudgetOwner {
			node = "CC-1"
		}
		who := h.member(t, h.one, role, node)
		_, err := h.plans.Propose(t.Context(), who, ask, "")
		require.ErrorIs(t, err, app.ErrNotAllowed, role)
		_, err = h.plans.DryRun(t.Context(), who, ask.Year, ask.File)
		require.ErrorIs(t, err, app.ErrNotAllowed, role)
	}
	service := h.member(t, h.one, app.RoleAnalyst, "")
	service.Grants = []app.Grant{{Role: app.RoleServiceAccount}}
	_, err := h.plans.Propose(t.Context(), service, ask, "")
	require.ErrorIs(t, err, app.ErrNotAllowed, "a program reads plans and makes none")
	developer := h.member(t, h.one, app.RoleDeveloper, "")
	_, err = h.plans.View(t.Context(), developer, app.PlanQuery{Year: year(t)})
	require.ErrorIs(t, err, app.ErrNotAllowed)

	owner := h.member(t, h.one, app.RoleBudgetOwner, "CC-1")
	view := h.planView(t, owner, app.PlanQuery{})
	require.Equal(t, []string{"CC-1", "P-1"}, []string{view.Nodes[0].Code, view.Nodes[1].Code})
	require.Len(t, view.Nodes, 2)
	require.Equal(t, money.Cents(40_002), view.Total.Total().Cents, "the rest is not theirs to see")
	require.Equal(t, money.Cents(40_002), view.Versions[0].Total.Cents)

	// An analyst of a subtree plans it and nothing else; what is not theirs looks absent.
	part := h.member(t, h.one, app.RoleAnalyst, "")
	for _, n := range h.planView(t, part, app.PlanQuery{}).Nodes {
		if n.Code == "CC-2" {
			part.Grants = []app.Grant{{Role: app.RoleAnalyst, Node: n.Node}}
		}
	}
	draft, err := h.plans.DryRun(t.Context(), part, year(t), []byte("code,2026-11\nCC-1,1\nNOPE,1\n"))
	require.NoError(t, err)
	require.Len(t, draft.Problems, 2)
	require.Equal(t, strings.Replace(draft.Problems[1].Message, "NOPE", "CC-1", 1), draft.Problems[0].Message)
	made, err := h.plans.Propose(t.Context(), part, ask, "")
	require.NoError(t, err)
	require.Equal(t, 2, made.Number)
	require.Equal(t, money.Cents(51_102), h.planView(t, h.one.who, app.PlanQuery{}).Total.Total().Cents, "others' amounts are carried over")
}

func TestAPlanIsMadeOnceHoweverOftenItIsSent(t *testing.T) {
	t.Parallel()
	h := build(t)
	finance := h.member(t, h.one, app.RoleFinanceAdmin, "")
	ask := app.PlanAsk{Year: year(t), File: []byte(planFile), Reason: "board"}
	var group sync.WaitGroup
	made := make([]plan.Version, 6)
	errs := make([]error, len(made))
	for i := range made {
		group.Go(func() { made[i], errs[i] = h.plans.Propose(t.Context(), finance, ask, "form_1") })
	}
	group.Wait()
	done := 0
	for i, err := range errs {
		if err == nil {
			require.Equal(t, 1, made[i].Number)
			done++
		}
	}
	require.Positive(t, done)
	require.EqualValues(t, 1, h.number(t, `select count(*) from plan_version where tenant_id = $1`, h.one.tenant))
	again, err := h.plans.Propose(t.Context(), finance, ask, "form_1")
	require.NoError(t, err)
	require.Equal(t, 1, again.Number)
}

func TestAMonthIsComparedWithThePlanInForce(t *testing.T) {
	t.Parallel()
	h := busy(t)
	month := period.MonthOf(november(1))
	require.Nil(t, h.chargeback(t, h.one.who, month, "node").Plan)
	h.approve(t, h.one.who, planFile, founded())
	h.approve(t, h.two.who, "code,2026-11\nCC-1,9999\n", founded())

	sum := h.chargeback(t, h.one.who, month, "node")
	require.Equal(t, []int{10, 30}, []int{sum.Plan.Elapsed, sum.Plan.Days})
	require.Equal(t, []money.Cents{36_002, 12_001}, []money.Cents{sum.Plan.Month, sum.Plan.ToDate})
	for code, want := range map[string][2]money.Cents{"BU-1": {36_002, 12_001}, "CC-1": {30_002, 10_001}, "P-1": {2, 1}, "CC-2": {6_000, 2_000}, "SUSPENSE": {0, 0}} {
		r := row(t, sum, code)
		require.NotNil(t, r.Plan, code)
		require.Equal(t, want, [2]money.Cents{r.Plan.Month, r.Plan.ToDate}, code)
	}
	require.Nil(t, row(t, sum, "CC-3").Plan)
	require.Nil(t, row(t, sum, "BU-2").Plan)
	r := row(t, sum, "CC-1")
	over := r.Plan.Variance(&r.Actual)
	require.Equal(t, "-99.978500000000", over.String()) // 0.0315 - 100.01
	suspense := row(t, sum, "SUSPENSE")
	over = suspense.Plan.Variance(&suspense.Actual)
	require.Equal(t, "0.014000000000", over.String())

	// Parts sum to the whole to the cent, though each is rounded.
	require.Equal(t, "0.014000000000", sum.Capitalized.String())
	mine := row(t, sum, "BU-1").Capitalized
	require.Equal(t, "0.014000000000", mine.String())
	last := h.chargeback(t, h.one.who, month.Previous(), "node")
	require.Equal(t, []money.Cents{15_000, 15_000}, []money.Cents{last.Plan.Month, last.Plan.ToDate}, "a month that is over is planned in full")
	next := h.chargeback(t, h.one.who, month.Next(), "node")
	require.Equal(t, []money.Cents{0, 0}, []money.Cents{next.Plan.Month, next.Plan.ToDate})
	for _, by := range []string{"developer", "model", "key"} {
		other := h.chargeback(t, h.one.who, month, by)
		require.Equal(t, sum.Plan.ToDate, other.Plan.ToDate)
		for _, r := range other.Rows {
			require.Nil(t, r.Plan, by)
		}
	}
	owner := h.member(t, h.one, app.RoleBudgetOwner, "CC-1")
	require.Equal(t, money.Cents(10_001), h.chargeback(t, owner, month, "node").Plan.ToDate)

	known := h.clock.now()
	h.approve(t, h.one.who, "code,2026-11\nCC-1,600\n", founded())
	require.Equal(t, money.Cents(22_001), h.chargeback(t, h.one.who, month, "node").Plan.ToDate)
	before, err := h.reports.Month(t.Context(), h.one.who, app.MonthQuery{Month: month, GroupBy: "node", Known: known})
	require.NoError(t, err)
	require.Equal(t, money.Cents(12_001), before.Plan.ToDate, "as it was known")
	// Through a tree without the planned nodes, what was planned for them stays visible.
	gone, err := h.reports.Month(t.Context(), h.one.who, app.MonthQuery{Month: month, GroupBy: "node", AsOf: founded()})
	require.NoError(t, err)
	require.Equal(t, money.Cents(22_001), gone.Plan.ToDate)
}
