package jobs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/job"
)

// TestJobsOfAdjustmentsRun has a company's hierarchy changed as of a day that is over: the
// worker takes its job, notes that all is posted, and a settling of prices ends, too. Jobs
// that name nothing are canceled.
func TestJobsOfAdjustmentsRun(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada, ben := h.session(t, h.one, "ada"), h.session(t, h.one, "ben")
	made, err := h.approval.Propose(t.Context(), ada, app.AskNodes([]app.NewNode{{Code: "CC-1", Name: "Center", Kind: "cost_center", Capitalization: "expense"}}, time.Now().Add(-time.Minute), "as it was"), "")
	require.NoError(t, err)
	_, err = h.approval.Decide(t.Context(), ben, made.ID, approval.VerdictApprove, made.Digest, "yes")
	require.NoError(t, err)
	require.NoError(t, h.clone.EnqueueNow(t.Context(), job.SettlePrices{Tenant: h.one.String()}, job.SettlePrices{Tenant: "nonsense"},
		job.MoveCharges{Tenant: "nonsense", Change: "x"}, job.MoveCharges{Tenant: h.one.String(), Change: "x"}, job.MoveCharges{Tenant: h.two.String(), Change: id.NewChange(time.Now()).String()}))
	h.work(t, true)
	require.Eventually(t, func() bool {
		return h.text(t, `select count(*) filter (where state = 'cancelled') || ' ' || count(*) filter (where state = 'completed') from river.river_job
			where kind in ('move_charges', 'settle_prices')`) == "4 2"
	}, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, made.ID.UUID(), h.text(t, `select change_id::text from adjustment_end`))
}

// TestJobsOfTheJournalRun posts what is due, once for each day they are asked for.
func TestJobsOfTheJournalRun(t *testing.T) {
	t.Parallel()
	h := build(t)
	for range 2 {
		require.NoError(t, h.clone.EnqueueNow(t.Context(), job.PostAccruals{Tenant: h.one.String(), Day: "2026-11-09"}, job.PostAccruals{Tenant: "nonsense"}))
	}
	h.work(t, true)
	require.Eventually(t, func() bool {
		return h.text(t, `select count(*) filter (where state = 'cancelled') || ' ' || count(*) filter (where state = 'completed') from river.river_job
			where kind = 'post_accruals' and args->>'tenant' in ('nonsense', '`+h.one.String()+`') and coalesce(args->>'day', '') in ('', '2026-11-09')`) == "1 1"
	}, 30*time.Second, 20*time.Millisecond)
}
