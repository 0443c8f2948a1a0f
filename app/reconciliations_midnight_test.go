package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/usage"
)

// TestARequestTooManyIsOfOneDayBesideIt: we have a request on each of two days, and the
// provider one of that size on the day between them. The other is missing.
func TestARequestTooManyIsOfOneDayBesideIt(t *testing.T) {
	t.Parallel()
	h := build(t)
	first := november(3).Truncate(24 * time.Hour)
	v := h.vendor(t, first)
	var l ledgers
	days := []time.Time{first, first.AddDate(0, 0, 1), first.AddDate(0, 0, 2)}
	tokens := usage.Tokens{400_000, 40_000}
	for i, day := range days {
		h.ordinary(&l, day)
		e, f := h.traffic(day.Add(time.Hour), "CC-1", opus, tokens)
		if i == 1 {
			l.facts = append(l.facts, f)
		} else {
			l.events = append(l.events, e)
		}
	}
	l.tell(t, v)
	for _, day := range days {
		v.pull(t, day)
	}
	said := map[string]string{}
	for i, day := range days {
		_, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
		require.NoError(t, err)
		_, one := h.difference(t, day)
		for what, amount := range one {
			said[[...]string{"first ", "second ", "third "}[i]+what] = amount
		}
	}
	whole := dollars(1, 400_000*5_000_000+40_000*25_000_000)
	require.Equal(t, map[string]string{
		"first late " + opus + " gateway": "-" + whole, "second late " + opus + " gateway": whole, "third missing_at_provider " + opus + " gateway": "-" + whole,
	}, said)
}

// TestBothSidesOfADayAreReadAtOneInstant: a request of a model that nobody used before arrives
// between what was measured and where it is charged.
func TestBothSidesOfADayAreReadAtOneInstant(t *testing.T) {
	t.Parallel()
	h := build(t)
	day := november(3).Truncate(24 * time.Hour)
	v := h.vendor(t, day)
	var l ledgers
	h.ordinary(&l, day)
	l.tell(t, v)
	v.pull(t, day)
	ours := h.text(t, `select sum(charge_pico)::text from usage_event where tenant_id = $1`, h.one.tenant)
	batches := h.text(t, `select count(*)::text from usage_batch where tenant_id = $1`, h.one.tenant)

	tx, err := h.admin.Begin()
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.Exec(`lock table placement in access exclusive mode`)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
		ended <- err
	}()
	require.Eventually(t, func() bool {
		return h.number(t, `select count(*) from pg_locks where database = (select oid from pg_database where datname = current_database()) and relation = 'placement'::regclass and not granted`) == 1
	}, 30*time.Second, 10*time.Millisecond)
	done, err := tx.Exec(`insert into usage_event select (r).* from (select jsonb_populate_record(null::usage_event, to_jsonb(u)
			|| jsonb_build_object('event_id', gen_random_uuid(), 'model_served', 'claude-new', 'model_requested', 'claude-new')) as r
		from (select * from usage_event where tenant_id = $1 and charge_pico > 0 and placement_id is not null limit 1) u) x`, h.one.tenant)
	require.NoError(t, err)
	added, err := done.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, added)
	_, err = tx.Exec(`insert into usage_batch select (r).* from (select jsonb_populate_record(null::usage_batch, to_jsonb(b) || jsonb_build_object('batch_id', gen_random_uuid())) as r
		from (select * from usage_batch where tenant_id = $1 limit 1) b) x`, h.one.tenant)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.NoError(t, <-ended)
	require.Equal(t, batches, h.text(t, `select usage_batches::text from reconciliation where tenant_id = $1`, h.one.tenant), "of the same instant")
	require.Equal(t, ours, h.text(t, `select ours_pico::text from reconciliation where tenant_id = $1`, h.one.tenant))
	require.Empty(t, h.text(t, `select string_agg(class, ' ') from reconciliation_item where tenant_id = $1`, h.one.tenant))

	made, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
	require.NoError(t, err)
	require.True(t, made, "and the next one has it")
}
