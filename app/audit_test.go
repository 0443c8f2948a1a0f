package app_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/auditlog"
	"tollbook/db"
)

// TestTheLogHasNoGapWhoeverWrites lets two sequencers and several writers work at
// once: every record has one place, places follow one another, leaves are of the
// stored bytes.
func TestTheLogHasNoGapWhoeverWrites(t *testing.T) {
	t.Parallel()
	h := build(t)
	var all sync.WaitGroup
	write := func(c *company, n int) {
		for range n {
			require.NoError(t, h.clone.InTenant(t.Context(), c.tenant, func(tx *db.Tx) error {
				return tx.AppendAudit(auditlog.Record{Action: "test", Actor: "test"})
			}))
		}
	}
	for range 3 {
		all.Go(func() { write(h.one, 30) })
	}
	for range 2 {
		all.Go(func() {
			for range 20 {
				_, err := h.audit.Sequence(t.Context(), h.one.tenant)
				require.NoError(t, err)
			}
		})
	}
	all.Go(func() { write(h.two, 10) })
	all.Wait()
	_, err := h.audit.Sequence(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.Zero(t, h.number(t, `select count(*) from audit_pending where tenant_id = $1`, h.one.tenant))
	records := h.number(t, `select count(*) from audit_record where tenant_id = $1`, h.one.tenant)
	require.EqualValues(t, 90, h.records(t, h.one.tenant, "test"))
	require.NoError(t, h.clone.ReadTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		rows, err := tx.Log(0, 1000)
		require.NoError(t, err)
		require.EqualValues(t, records, len(rows))
		for i, r := range rows {
			require.EqualValues(t, i, r.Sequence)
			leaf := auditlog.Leaf(r.Canonical)
			require.Equal(t, leaf[:], r.Leaf)
		}
		return nil
	}))
	require.Zero(t, h.number(t, `select count(*) from audit_leaf where tenant_id = $1`, h.two.tenant), "each tenant has a log of its own")
	again, err := h.audit.Sequence(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.Zero(t, again)
}

// TestASecondRecordHasAJobAfterTheFirstJobIsDone completes a tenant's job, as a worker
// does: what is written next must not wait for River to forget it.
func TestASecondRecordHasAJobAfterTheFirstJobIsDone(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant), "many records, one job")
	h.exec(t, `update river.river_job set state = 'completed', finalized_at = now()`)
	h.flush(t, h.one, h.one.event(november(1), "CC-1"))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant))
	h.exec(t, `update river.river_job set state = 'completed', finalized_at = now()`)
	require.NoError(t, h.audit.Tick(t.Context(), h.prices.VendorDigest()))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant), "the clock asks for what waits")
}

func TestSumsAreProvedAndRecorded(t *testing.T) {
	t.Parallel()
	h := busy(t)
	h.exec(t, `delete from river.river_job`)
	agree, err := h.audit.ProveSums(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, agree)
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "sums.proved"))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant))
	var record struct {
		Detail map[string]struct {
			Agree                   bool
			Events, Batches, Rollup int64
		}
	}
	require.NoError(t, json.Unmarshal([]byte(h.text(t, `select convert_from(canonical, 'UTF8') from audit_record where action = 'sums.proved'`)), &record))
	require.True(t, record.Detail["2026-11"].Agree && record.Detail["2026-10"].Agree)
	require.EqualValues(t, 5, record.Detail["2026-11"].Events)
}

// TestATamperedRollupIsFound changes stored sums as only an administrator of the
// server can, each time so that less of the totals gives it away.
func TestATamperedRollupIsFound(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"more charge":       `update rollup_placement_day set charge_pico = charge_pico + 1 where model = 'claude-opus-5'`,
		"fewer requests":    `update rollup_placement_day set requests = requests - 1 where model = 'claude-opus-5'`,
		"a row taken away":  `delete from rollup_placement_day where model = 'claude-opus-5'`,
		"another placement": `update rollup_placement_day set placement_id = (select placement_id from placement p where p.tenant_id = rollup_placement_day.tenant_id and path = array['BU-2']) where model = 'claude-opus-5'`,
		"one to another": `update rollup_placement_day set charge_pico = charge_pico + case day when '2026-11-01' then 1 else -1 end
			where day in ('2026-11-02', '2026-11-03') or (day = '2026-11-01' and placement_id in (select placement_id from placement where path[array_length(path, 1)] in ('CC-1', 'P-1')))`,
		"another day":       `update rollup_placement_day set day = '2026-11-20' where model = 'claude-opus-5'`,
		"another developer": `update rollup_developer_day set charge_pico = charge_pico * 2`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := busy(t)
			h.exec(t, `delete from rollup_placement_day where tenant_id = $1`, h.two.tenant) // only the first tenant is asked about
			h.exec(t, statement)
			agree, err := h.audit.ProveSums(t.Context(), h.one.tenant)
			require.NoError(t, err)
			require.False(t, agree)
			require.Contains(t, h.text(t, `select convert_from(canonical, 'UTF8') from audit_record where action = 'sums.proved'`), `"agree":false`)
		})
	}
}

// TestTheClockServesEveryTenantOnceADay ticks through a night.
func TestTheClockServesEveryTenantOnceADay(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.exec(t, `delete from river.river_job`)
	h.clock.add(14 * time.Hour) // 02:00 of the next day
	require.NoError(t, h.audit.Tick(t.Context(), h.prices.VendorDigest()))
	for _, c := range []*company{h.one, h.two} {
		require.Zero(t, h.jobs(t, "prove_sums", c.tenant))
		require.EqualValues(t, 1, h.jobs(t, "sequence_audit", c.tenant))
	}
	h.clock.add(90 * time.Minute) // no tick ran at 03:00 itself
	for range 3 {
		require.NoError(t, h.audit.Tick(t.Context(), h.prices.VendorDigest()))
		h.exec(t, `update river.river_job set state = 'completed', finalized_at = now() where kind = 'prove_sums'`)
	}
	require.EqualValues(t, 2, h.number(t, `select count(*) from river.river_job where kind = 'prove_sums'`), "once for each tenant")
	require.EqualValues(t, 2, h.number(t, `select count(*) from pg_class where relname in ('usage_event_2026_11', 'usage_event_2026_12')`))
}

// TestOneTenantsTroubleDoesNotStopTheClock locks what the first tenant's tick needs.
func TestOneTenantsTroubleDoesNotStopTheClock(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.exec(t, `delete from river.river_job`)
	h.exec(t, `create function break_one() returns trigger language plpgsql as $$ begin
		if new.args->>'tenant' = '`+h.one.tenant.String()+`' then raise exception 'broken'; end if; return new; end $$`)
	h.exec(t, `create trigger break_one before insert on river.river_job for each row execute function break_one()`)
	require.ErrorContains(t, h.audit.Tick(t.Context(), h.prices.VendorDigest()), h.one.tenant.String())
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.two.tenant))
}

// TestARecordLeavesTheQueueOnlyForTheLog tries to lose a record before it has a place.
func TestARecordLeavesTheQueueOnlyForTheLog(t *testing.T) {
	t.Parallel()
	h := build(t)
	err := h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		_, err := tx.SQL().Exec(`delete from audit_pending`)
		return err
	})
	require.ErrorContains(t, err, "TB003")
	placed, err := h.audit.Sequence(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.EqualValues(t, h.number(t, `select count(*) from audit_record where tenant_id = $1`, h.one.tenant), placed)
}
