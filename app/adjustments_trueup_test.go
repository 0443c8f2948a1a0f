package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/app/usage"
	"tollbook/simulator"
)

// broken seeds a day on which streams broke off: one of two nodes, one of which nobody saw the
// answer, and one that the provider counts just as we do.
func (h *house) broken(t *testing.T, v *vendor, day time.Time) {
	t.Helper()
	var l ledgers
	h.ordinary(&l, day)
	e, f := h.traffic(day.Add(12*time.Hour), "CC-2", opus, usage.Tokens{1000, 200})
	e.State, f.Tokens.Output = usage.StateIncomplete, 701
	l.add(e, f)
	e, f = h.traffic(day.Add(13*time.Hour), "CC-1", opus, usage.Tokens{3000, 100})
	e.State, f.Tokens.Output = usage.StateEstimated, 900
	e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 333_333}, {Placement: h.one.places["CC-3"], PPM: 666_667}}
	l.add(e, f)
	e, f = h.traffic(day.Add(14*time.Hour), "CC-3", haiku, usage.Tokens{})
	e.State, e.HTTPStatus, e.RequestID = usage.StateOpen, 0, ""
	f.Tokens = simulator.Tokens{Input: 2000, Output: 300}
	l.add(e, f)
	e, f = h.traffic(day.Add(15*time.Hour), "CC-3", "claude-sonnet-5", usage.Tokens{500, 50})
	e.State = usage.StateIncomplete
	l.add(e, f)
	l.tell(t, v)
}

// loose counts requests of a day that are not final.
func (h *house) loose(t *testing.T, c *company) int64 {
	t.Helper()
	return h.number(t, `select coalesce(sum(provisional), 0) from rollup_placement_day where tenant_id = $1`, c.tenant)
}

func TestStreamsThatBrokeOffAreTruedUpOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	day := november(3).Truncate(24 * time.Hour)
	v := h.vendor(t, day)
	h.broken(t, v, day)
	require.True(t, v.reconciled(t, day))
	w, said := h.difference(t, day)
	const extra = 501 + 800
	require.Equal(t, map[string]string{
		"aborted_stream " + opus + " gateway": dollars(extra, 25_000_000), "aborted_stream " + haiku + " gateway": dollars(1, 2000*1_000_000+300*5_000_000),
	}, said)
	require.EqualValues(t, 4, h.loose(t, h.one))
	before := h.text(t, `select sum(charge_pico)::text from rollup_placement_day where tenant_id = $1`, h.one.tenant)

	change := h.propose(t, fin, app.AskTrueUp(day, "as the provider counted"))
	require.Contains(t, change.Impact.Sentence, "4 requests of 2026-11-03 that broke off, trued up by $")
	_, err := h.approveChange(t, fin, change)
	require.Error(t, err, "a maker does not decide")
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	h.proved(t, h.one)
	require.Zero(t, h.loose(t, h.one), "what broke off is final")
	difference := w.Difference
	require.Equal(t, difference.Digits(), h.text(t, `select (sum(charge_pico) - $2::numeric)::text from rollup_placement_day where tenant_id = $1`, h.one.tenant, before))
	require.Equal(t, difference.Digits(), h.text(t, `select sum(delta_pico)::text from adjustment where tenant_id = $1 and kind = 'true_up'`, h.one.tenant))

	made, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
	require.NoError(t, err)
	require.True(t, made)
	w, said = h.difference(t, day)
	require.Empty(t, said, "nothing is left of it")
	require.Equal(t, reconcile.StateReconciled, w.State)
	require.Zero(t, w.Difference.Sign())
	require.Equal(t, w.TheirRequests, w.OurRequests)
	require.Equal(t, w.TheirTokens, w.OurTokens)

	_, err = h.approvals.Propose(t.Context(), fin, app.AskTrueUp(day, "again"), "")
	require.Equal(t, "true_up_none", fault.From(err).Code)
	require.Zero(t, h.number(t, `select count(*) from adjustment where tenant_id = $1`, h.two.tenant))
	h.whole(t, h.one)
}

// whole has the log of a company checked to its last byte.
func (h *house) whole(t *testing.T, c *company) {
	t.Helper()
	check, err := h.log.Verify(t.Context(), c.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
}

// TestATrueUpOfAClosedMonthIsPostedToTheNext and names the one it is of; it is posted once, and
// neither month's sums are off.
func TestATrueUpOfAClosedMonthIsPostedToTheNext(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	day := time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)
	v := h.vendor(t, day)
	h.broken(t, v, day)
	require.True(t, v.reconciled(t, day))
	h.accrue(t, h.one)
	change := h.propose(t, fin, app.AskTrueUp(day, "before the close"))
	h.lock(t, h.one, period.MonthOf(day))
	_, err := h.approveChange(t, cfo, change)
	require.Equal(t, "true_up_moved", fault.From(err).Code, "its month was shut meanwhile")
	was := h.text(t, `select sum(charge_pico)::text from rollup_placement_day where tenant_id = $1 and posting_period = '2026-10-01'`, h.one.tenant)

	w, _ := h.difference(t, day)
	change = h.propose(t, fin, app.AskTrueUp(day, "what came after the close"))
	require.Contains(t, change.Impact.Sentence, "2026-10 is closed: its part is posted to 2026-11, and names it.")
	require.Equal(t, "2026-11", change.Impact.Month)
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	require.Equal(t, was, h.text(t, `select sum(charge_pico)::text from rollup_placement_day where tenant_id = $1 and posting_period = '2026-10-01'`, h.one.tenant))
	require.Equal(t, w.Difference.Digits(), h.text(t, `select sum(charge_pico)::text from rollup_placement_day where tenant_id = $1 and posting_period = '2026-11-01' and day = '2026-10-20'`, h.one.tenant))
	require.Zero(t, h.number(t, `select sum(provisional) from rollup_placement_day where tenant_id = $1 and posting_period = '2026-11-01'`, h.one.tenant))
	h.accrue(t, h.one)
	require.Equal(t, "2026-10-20", h.text(t, `select source_day::text from journal_entry where tenant_id = $1 and posting_period = '2026-11-01' order by number desc limit 1`, h.one.tenant))
	h.proved(t, h.one)
	h.whole(t, h.one)

	made, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
	require.NoError(t, err)
	require.True(t, made)
	w, said := h.difference(t, day)
	require.Empty(t, said)
	require.Zero(t, w.Difference.Sign())
	_, err = h.approvals.Propose(t.Context(), fin, app.AskTrueUp(day, "again"), "")
	require.Equal(t, "true_up_none", fault.From(err).Code)
}

// TestATrueUpIsHeldToWhatItsApproverSaw: another reconciliation, or a request moved meanwhile,
// is another true-up; and the database takes no more than the evidence.
func TestATrueUpIsHeldToWhatItsApproverSaw(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	day := november(3).Truncate(24 * time.Hour)
	v := h.vendor(t, day)
	h.broken(t, v, day)
	_, err := h.approvals.Propose(t.Context(), fin, app.AskTrueUp(day, "too early"), "")
	require.Equal(t, "day_unreconciled", fault.From(err).Code)
	require.True(t, v.reconciled(t, day))
	change := h.propose(t, fin, app.AskTrueUp(day, "as the provider counted"))
	v.plant(t, map[string]any{"class": "fee", "occurred_at": day.Add(time.Hour), "cost_type": "code_execution", "amount_pico": 1})
	require.True(t, v.reconciled(t, day))
	_, err = h.approveChange(t, cfo, change)
	require.Equal(t, "true_up_moved", fault.From(err).Code)

	// Nobody but finance proposes it, and nobody of another company sees the day.
	_, err = h.approvals.Propose(t.Context(), h.person(t, h.one, app.RoleDeveloper, "dev"), app.AskTrueUp(day, "mine"), "")
	require.ErrorIs(t, err, app.ErrNotAllowed)
	_, err = h.approvals.Propose(t.Context(), h.person(t, h.two, app.RoleFinanceAdmin, "fin2"), app.AskTrueUp(day, "theirs"), "")
	require.Equal(t, "day_unreconciled", fault.From(err).Code)

	change = h.propose(t, fin, app.AskTrueUp(day, "as the provider counted"))
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	tx, err := h.admin.Begin()
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.Exec(`insert into adjustment_batch select tenant_id, gen_random_uuid(), change_id, kind, posting_period, adjustments, delta_pico, root, canonical, record_id, recorded_at from adjustment_batch where tenant_id = $1`, h.one.tenant)
	require.NoError(t, err)
	_, err = tx.Exec(`insert into adjustment select tenant_id, occurred_at, event_id, sequence + 1, (select b.batch_id from adjustment_batch b where b.tenant_id = a.tenant_id and b.batch_id <> a.batch_id), kind, posting_period, day, key_id, developer_id,
		model, state, placement_id, split, input_charge_pico, output_charge_pico, cache_write_5m_charge_pico, cache_write_1h_charge_pico, cache_read_charge_pico, charge_pico, delta_pico, recorded_at, true_up
		from adjustment a where tenant_id = $1`, h.one.tenant)
	require.NoError(t, err)
	require.ErrorContains(t, tx.Commit(), "a true-up is not what its reconciliation found, once")
}
