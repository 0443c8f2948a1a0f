package app_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/app/variance"
	"tollbook/db"
)

// october and november of company one: other amounts, another model, a split request and
// a server tool.
func twoMonths(t *testing.T) *house {
	t.Helper()
	h := busy(t)
	h.flush(t, h.one,
		h.one.event(november(1).AddDate(0, -1, 0), "CC-1"),
		h.one.event(november(5).AddDate(0, -1, 0), "CC-2", func(e *usage.Event) { e.Counts.Model = "claude-opus-5" }),
		h.one.event(november(20).AddDate(0, -1, 0), "CC-1"),
		h.one.event(november(6), "CC-1", func(e *usage.Event) { e.Counts.WebSearches = 3 }),
		h.one.event(november(7), "CC-1", func(e *usage.Event) {
			e.Counts.Tokens = usage.Tokens{1, 1, 1, 1, 1}
			e.Shares = []usage.Share{{Placement: h.one.places["CC-3"], PPM: 333_333}, {Placement: h.one.places["P-1"], PPM: 333_333}, {Placement: h.one.places["CC-2"], PPM: 333_334}}
		}))
	return h
}

func TestATrendAddsUpToItsMonths(t *testing.T) {
	t.Parallel()
	h := twoMonths(t)
	month := period.MonthOf(november(1))
	h.approve(t, h.one.who, planFile, founded())
	owner := h.member(t, h.one, app.RoleBudgetOwner, "CC-1")
	for _, who := range []app.Actor{h.one.who, owner} {
		trend, err := h.reports.Trend(t.Context(), who, app.MonthQuery{Month: month})
		require.NoError(t, err)
		require.Len(t, trend.Months, 6)
		for _, m := range trend.Months {
			sum := h.chargeback(t, who, m.Month, "node")
			equalSums(t, &sum.Total, &m.Actual, m.Month.String())
			require.Equal(t, sum.Requests, m.Requests, m.Month)
			require.Equal(t, sum.Plan.ToDate, m.Plan.ToDate, m.Month)
		}
		var days money.Sum
		for i := range trend.Days {
			days.AddSum(&trend.Days[i].Amount)
		}
		equalSums(t, &trend.Months[5].Actual, &days, "days")
		require.Equal(t, []period.Month{month, month.Previous()}, trend.Choices)
	}
	developer := h.member(t, h.one, app.RoleDeveloper, "")
	_, err := h.reports.Trend(t.Context(), developer, app.MonthQuery{Month: month})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	_, err = h.reports.Movement(t.Context(), developer, month)
	require.ErrorIs(t, err, app.ErrNotAllowed)
}

// TestWhyAMonthDiffers compares the same whole days: the 10th is not over.
func TestWhyAMonthDiffers(t *testing.T) {
	t.Parallel()
	h := twoMonths(t)
	month := period.MonthOf(november(1))
	got, err := h.reports.Movement(t.Context(), h.one.who, month)
	require.NoError(t, err)
	require.Equal(t, []int{9, 9}, []int{got.Through, got.Before})
	require.False(t, got.Whole())
	total := h.chargeback(t, h.one.who, month, "node").Total
	equalSums(t, &total, &got.Split.Total.After, "all of November lies before the 10th")
	require.Equal(t, "0.031500000000", got.Split.Total.Before.String(), "the 20th of October does not")
	tools := money.Sum{}
	for _, p := range got.Split.Parts {
		tools.AddSum(&p.Tools)
		require.Equal(t, p.Class == variance.Other, p.Tools.Sign() != 0, "%+v", p)
	}
	require.Equal(t, "0.030000", tools.String()[:8], "three searches, a cent each")

	over, err := h.reports.Movement(t.Context(), h.one.who, month.Previous())
	require.NoError(t, err)
	require.True(t, over.Whole())
	require.Equal(t, []int{31, 30}, []int{over.Through, over.Before})
	require.Equal(t, "0.045500000000", over.Split.Total.After.String())

	coming, err := h.reports.Movement(t.Context(), h.one.who, month.Next())
	require.NoError(t, err)
	require.Zero(t, coming.Through)
	require.Empty(t, coming.Split.Parts)

	owner := h.member(t, h.one, app.RoleBudgetOwner, "P-1")
	part, err := h.reports.Movement(t.Context(), owner, month)
	require.NoError(t, err)
	mine := h.chargeback(t, owner, month, "node").Total
	equalSums(t, &mine, &part.Split.Total.After, "a share of a split request, too")
}

func (h *house) misplaced(t *testing.T, c *company, month period.Month) int64 {
	t.Helper()
	var control db.Control
	require.NoError(t, h.clone.ReadTenant(t.Context(), c.tenant, func(tx *db.Tx) error {
		var err error
		control, err = tx.ProveMonth(month)
		return err
	}))
	return control.Misplaced
}

// TestClassesSumToWhatWasPosted holds the rollup by class to the one by placement, as it
// is kept and as the migration made it for what was there before.
func TestClassesSumToWhatWasPosted(t *testing.T) {
	t.Parallel()
	h := twoMonths(t)
	month := period.MonthOf(november(1))
	require.Zero(t, h.misplaced(t, h.one, month))
	byClass := `select string_agg(class || ' ' || tokens || ' ' || pico, ', ' order by class) from (select class, sum(tokens) as tokens, sum(charge_pico) as pico
		from rollup_class_day where tenant_id = $1 and posting_period = $2 group by class) c`
	october := h.text(t, byClass, h.one.tenant, month.Previous().Start())
	require.Equal(t, "input 3000 13000000000, output 1500 32500000000", october)
	h.exec(t, `update rollup_class_day set charge_pico = charge_pico + 1 where tenant_id = $1 and posting_period = $2 and class = 'output' and model = 'claude-opus-5'`, h.one.tenant, month.Start())
	require.EqualValues(t, 1, h.misplaced(t, h.one, month), "and a wrong one is found")

	migration, err := os.ReadFile("../db/migrations/00012_class_rollup.sql")
	require.NoError(t, err)
	_, fill, _ := strings.Cut(string(migration), "set local role tollbook_owner;")
	fill, _, _ = strings.Cut(fill, "reset role;")
	h.exec(t, `truncate rollup_class_day`)
	require.Positive(t, h.misplaced(t, h.one, month))
	h.exec(t, fill)
	require.Zero(t, h.misplaced(t, h.one, month))
	require.Zero(t, h.misplaced(t, h.two, month))
	require.Equal(t, october, h.text(t, byClass, h.one.tenant, month.Previous().Start()), "whole requests by class, as if they came now")
}
