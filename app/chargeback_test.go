package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

func (h *house) chargeback(t *testing.T, who app.Actor, month period.Month, by string) app.Chargeback {
	t.Helper()
	sum, err := h.reports.Chargeback(t.Context(), who, month, by, time.Time{})
	require.NoError(t, err)
	return sum
}

func equalSums(t *testing.T, want, got *money.Sum, what string) {
	t.Helper()
	require.Equal(t, want.String(), got.String(), what)
}

// sumsAgree compares a month at every level: requests, nodes, their own shares, each
// dimension asked for (all of them by default) and each day.
func (h *house) sumsAgree(t *testing.T, c *company, month period.Month, dimensions ...string) {
	t.Helper()
	var requests int64
	var pico string
	require.NoError(t, h.admin.QueryRow(`select count(*), coalesce(sum(charge_pico), 0)::text from usage_event where tenant_id = $1 and posting_period = $2`, c.tenant, month.Start()).Scan(&requests, &pico))
	total, err := money.SumOfPico(pico)
	require.NoError(t, err)
	if len(dimensions) == 0 {
		dimensions = []string{"node", "developer", "model", "key", "project"}
	}
	for _, by := range dimensions {
		sum := h.chargeback(t, c.who, month, by)
		equalSums(t, &total, &sum.Total, by)
		require.Equal(t, requests, sum.Requests, by)
		require.Zero(t, sum.Control.Difference.Sign(), by)
		require.Equal(t, requests, sum.Control.Requests, by)
		if by == "project" {
			continue // the rest is no project
		}
		var own, roots money.Sum
		var counted int64
		for i := range sum.Rows {
			own.AddSum(&sum.Rows[i].Own)
			if sum.Rows[i].Depth == 0 {
				roots.AddSum(&sum.Rows[i].Actual)
				counted += sum.Rows[i].Requests
			}
		}
		equalSums(t, &total, &own, "leaves by "+by)
		equalSums(t, &total, &roots, "roots by "+by)
		require.Equal(t, requests, counted, by)
	}
	days, err := h.reports.Days(t.Context(), c.who, month)
	require.NoError(t, err)
	var sum money.Sum
	for i := range days {
		sum.AddSum(&days[i].Amount)
	}
	equalSums(t, &total, &sum, "days")
}

func row(t *testing.T, sum app.Chargeback, key string) app.ChargebackRow {
	t.Helper()
	for _, r := range sum.Rows {
		if r.Key == key {
			return r
		}
	}
	require.Fail(t, "no row "+key)
	return app.ChargebackRow{}
}

// busy posts a small November for both companies, the second one's much dearer.
func busy(t *testing.T) *house {
	t.Helper()
	h := build(t)
	h.flush(t, h.one,
		h.one.event(november(1), "CC-1", h.declared(t, h.one, "ada@one.test")),
		h.one.event(november(1), "P-1", h.declared(t, h.one, "bob@one.test")),
		h.one.event(november(2), "CC-2", func(e *usage.Event) { e.Counts.Model = "claude-opus-5" }),
		h.one.event(november(3), "SUSPENSE"),
		h.one.event(november(4), "CC-3", func(e *usage.Event) {
			e.Shares = []usage.Share{{Placement: h.one.places["CC-3"], PPM: 750_000}, {Placement: h.one.places["CC-1"], PPM: 250_000}}
		}))
	h.flush(t, h.two, h.two.event(november(1), "CC-1", func(e *usage.Event) { e.Counts.Tokens[usage.ClassOutput] = 50_000 }))
	return h
}

func TestChargebackByNodeIncludesWhatIsBelow(t *testing.T) {
	t.Parallel()
	h := busy(t)
	sum := h.chargeback(t, h.one.who, period.MonthOf(november(1)), "node")
	want := map[string][2]string{
		"BU-1": {"0.049000000000", "0.000000000000"}, "CC-1": {"0.031500000000", "0.017500000000"}, "P-1": {"0.014000000000", "0.014000000000"},
		"CC-2": {"0.017500000000", "0.017500000000"}, "BU-2": {"0.010500000000", "0.000000000000"}, "CC-3": {"0.010500000000", "0.010500000000"},
		"SUSPENSE": {"0.014000000000", "0.014000000000"},
	}
	require.Len(t, sum.Rows, len(want))
	for code, amounts := range want {
		r := row(t, sum, code)
		require.Equal(t, amounts, [2]string{r.Actual.String(), r.Own.String()}, code)
	}
	require.Equal(t, "0.073500000000", sum.Total.String())
	require.Equal(t, "0.014000000000", sum.Suspense.String())
	require.Equal(t, period.StateOpen, sum.State)
	require.Equal(t, "capitalize", row(t, sum, "P-1").Treatment)
	h.sumsAgree(t, h.one, period.MonthOf(november(1)))
	h.sumsAgree(t, h.two, period.MonthOf(november(1)))
	nothing := h.chargeback(t, h.one.who, period.MonthOf(november(1)).Next(), "node")
	require.Zero(t, nothing.Total.Sign())
	h.lock(t, h.one, period.MonthOf(november(1)))
	locked := h.chargeback(t, h.one.who, period.MonthOf(november(1)), "node")
	require.Equal(t, period.StateLocked, locked.State)
}

func TestChargebackByEveryOtherDimension(t *testing.T) {
	t.Parallel()
	h := busy(t)
	month := period.MonthOf(november(1))
	developers := h.chargeback(t, h.one.who, month, "developer")
	require.Len(t, developers.Rows, 3)
	ada := row(t, developers, h.developer(t, h.one, "ada@one.test").String())
	require.Equal(t, "ada@one.test 0.014000000000", ada.Label+" "+ada.Actual.String())
	rest := row(t, developers, app.Undeclared)
	require.Equal(t, "0.045500000000", rest.Actual.String())
	models := h.chargeback(t, h.one.who, month, "model")
	require.Equal(t, []string{"claude-opus-5-5", "claude-opus-5"}, []string{models.Rows[0].Key, models.Rows[1].Key}, "dearest first")
	keys := h.chargeback(t, h.one.who, month, "key")
	require.Len(t, keys.Rows, 1)
	require.Equal(t, h.one.key.ID.String()+" laptop", keys.Rows[0].Key+" "+keys.Rows[0].Label)
	projects := h.chargeback(t, h.one.who, month, "project")
	require.Len(t, projects.Rows, 1)
	require.Equal(t, "P-1", projects.Rows[0].Key)
	_, err := h.reports.Chargeback(t.Context(), h.one.who, month, "owner", time.Time{})
	require.Equal(t, "group_by_unknown", fault.From(err).Code)
}

func TestABudgetOwnerSeesTheirSubtreeOnly(t *testing.T) {
	t.Parallel()
	h := busy(t)
	owner := h.member(t, h.one, app.RoleBudgetOwner, "CC-1")
	month := period.MonthOf(november(1))
	for _, by := range []string{"node", "developer", "model", "key", "project"} {
		sum := h.chargeback(t, owner, month, by)
		require.Equal(t, "0.031500000000", sum.Total.String(), by)
		require.Zero(t, sum.Suspense.Sign(), by)
		require.Nil(t, sum.Control, "the whole is not theirs to see")
	}
	sum := h.chargeback(t, owner, month, "node")
	require.Len(t, sum.Rows, 2)
	require.Equal(t, "CC-1 P-1", sum.Rows[0].Key+" "+sum.Rows[1].Key)
	days, err := h.reports.Days(t.Context(), owner, month)
	require.NoError(t, err)
	require.Len(t, days, 2, "the first and, for its share, the fourth")
	nobody := owner
	nobody.Grants = []app.Grant{{Role: app.RoleBudgetOwner}}
	nothing := h.chargeback(t, nobody, month, "node")
	require.Zero(t, nothing.Total.Sign())
	require.Empty(t, nothing.Rows)
	developer := h.member(t, h.one, app.RoleDeveloper, "")
	_, err = h.reports.Chargeback(t.Context(), developer, month, "node", time.Time{})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	_, err = h.reports.Days(t.Context(), developer, month)
	require.ErrorIs(t, err, app.ErrNotAllowed)
}

// TestChargesOfRetiredNodesStayVisible looks at a month through a tree in which the
// charged nodes do not exist yet.
func TestChargesOfRetiredNodesStayVisible(t *testing.T) {
	t.Parallel()
	h := busy(t)
	sum, err := h.reports.Chargeback(t.Context(), h.one.who, period.MonthOf(november(1)), "node", founded().Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, "0.073500000000", sum.Total.String())
	var own money.Sum
	for i := range sum.Rows {
		require.Contains(t, sum.Rows[i].Label, "(retired)")
		own.AddSum(&sum.Rows[i].Own)
	}
	equalSums(t, &sum.Total, &own, "retired")
}

// TestAMonthIsReadAtOneInstant flushes between the two sums that are compared: a
// report must not call that a difference.
func TestAMonthIsReadAtOneInstant(t *testing.T) {
	t.Parallel()
	h := busy(t)
	month := period.MonthOf(november(1))
	require.NoError(t, h.clone.ReadTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		before, _, err := tx.BatchControl(month)
		require.NoError(t, err)
		h.flush(t, h.one, h.one.event(november(5), "CC-1"))
		control, err := tx.ProveMonth(month)
		require.NoError(t, err)
		require.Equal(t, []int64{before, before, before}, []int64{control.BatchRequests, control.RollupRequests, control.EventRequests})
		return nil
	}))
	err := h.clone.ReadTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error { return tx.AppendAudit(auditlog.Record{Action: "x", Actor: "x"}) })
	require.ErrorContains(t, err, "25006", "a reader cannot write")
}
