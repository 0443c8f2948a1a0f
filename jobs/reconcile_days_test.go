package jobs_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/job"
)

// TestEveryPullIsReconciled: the clock pulls days, and each is held against the ledger, once,
// by however many workers; what the provider revises is compared again.
func TestEveryPullIsReconciled(t *testing.T) {
	t.Parallel()
	h := build(t)
	v := newVendor(t, nil)
	for n := 1; n <= 3; n++ {
		v.traffic(t, ago(n), 30, 1)
	}
	h.from(t, h.one, v.url, ago(3))
	h.work(t, true)
	h.work(t, true)
	states := func(want string) {
		t.Helper()
		var got string
		require.Eventually(t, func() bool {
			got = h.text(t, `select coalesce(string_agg(day || ' ' || state, ', ' order by day), '') from (select distinct on (day) day, state from reconciliation where tenant_id = '`+h.one.UUID()+`' order by day, number desc) r`)
			return got == want
		}, 60*time.Second, 20*time.Millisecond, "%s", &got)
	}
	day := func(n int) string { return ago(n).Format(time.DateOnly) }
	// No gateway of ours was asked: all of it was sent with the gateway’s key, or past it; and our price book has no discount.
	states(fmt.Sprintf("%s exception, %s exception, %s provisional", day(3), day(2), day(1)))
	require.Equal(t, "missing_with_us, credit_or_discount, bypass", h.text(t, `select string_agg(distinct class, ', ' order by class desc) from variance`))
	runs := func() string { return h.text(t, `select count(*)::text from reconciliation where day = '`+day(3)+`'`) }
	require.Eventually(t, func() bool { // each after the days beside it, too
		return h.text(t, `select count(*)::text from river.river_job where kind in ('reconcile_day', 'pull_reports') and state not in ('completed', 'cancelled', 'discarded')`) == "0"
	}, 60*time.Second, 20*time.Millisecond)
	before := runs()
	require.NoError(t, h.clone.EnqueueNow(t.Context(), job.ReconcileDay{Tenant: h.one.String(), Day: day(3)}, job.ReconcileDays{Tenant: h.one.String(), Day: day(0)}, job.ReconcileDay{Tenant: h.one.String(), Day: "someday"}))
	require.Eventually(t, func() bool {
		return h.text(t, `select string_agg(state::text, ' ' order by state::text) from river.river_job where kind in ('reconcile_day', 'reconcile_days') and args->>'day' in ('someday', '`+day(0)+`')`) == "cancelled completed"
	}, 60*time.Second, 20*time.Millisecond)
	require.Equal(t, before, runs(), "the same sides are not compared twice")

	plant, err := json.Marshal(map[string]any{"class": "credit", "occurred_at": ago(3).Add(time.Hour), "amount_pico": 5})
	require.NoError(t, err)
	v.tell(t, "/books/plant", string(plant))
	h.ask(t, h.one, ago(3))
	require.Eventually(t, func() bool { return runs() != before }, 60*time.Second, 20*time.Millisecond)
	require.Equal(t, "-5", h.text(t, `select i.amount_pico::text from reconciliation_item i join reconciliation r using (tenant_id, run_id) where i.meter = 'credit' and r.day = '`+day(3)+`' order by r.number desc limit 1`))
}
