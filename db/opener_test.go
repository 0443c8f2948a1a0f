package db_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/period"
	"tollbook/db"
	"tollbook/db/dbtest"
)

func jobs(t *testing.T, clone *dbtest.Clone, kind string) int64 {
	t.Helper()
	var n int64
	require.NoError(t, clone.Admin(t).QueryRow(`select count(*) from river.river_job where kind = $1`, kind).Scan(&n))
	return n
}

// TestAJobExistsIfAndWhenItsTransactionCommits enqueues into transactions that end
// either way.
func TestAJobExistsIfAndWhenItsTransactionCommits(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	tenant := newTenant(t, clone, "one")
	enqueue := func(end error) error {
		return clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error {
			require.NoError(t, tx.Enqueue(job.ProveSums{Tenant: tenant.String()}))
			require.NoError(t, tx.Enqueue(job.SequenceAudit{Tenant: tenant.String()}))
			require.NoError(t, tx.Enqueue(job.SequenceAudit{Tenant: tenant.String()}))
			return end
		})
	}
	require.ErrorIs(t, enqueue(errRollBack), errRollBack)
	require.Zero(t, jobs(t, clone, "prove_sums")+jobs(t, clone, "sequence_audit"))
	require.NoError(t, enqueue(nil))
	require.NoError(t, enqueue(nil))
	require.EqualValues(t, 1, jobs(t, clone, "prove_sums"))
	require.EqualValues(t, 1, jobs(t, clone, "sequence_audit"), "unfinished work exists once")
	other := newTenant(t, clone, "two")
	require.NoError(t, clone.InTenant(t.Context(), other, func(tx *db.Tx) error { return tx.Enqueue(job.SequenceAudit{Tenant: other.String()}) }))
	require.EqualValues(t, 2, jobs(t, clone, "sequence_audit"))
	var queue string
	require.NoError(t, clone.Admin(t).QueryRow(`select distinct queue from river.river_job where kind = 'sequence_audit'`).Scan(&queue))
	require.Equal(t, "audit", queue)
	require.Panics(t, func() {
		_ = clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error {
			require.NoError(t, tx.AppendAudit(auditlog.Record{Action: "x", Actor: "x"}))
			panic("a bug")
		})
	})
	var records int64
	require.NoError(t, clone.Admin(t).QueryRow(`select count(*) from audit_record`).Scan(&records))
	require.Zero(t, records, "a panic rolls back")
	require.NoError(t, clone.EnqueueNow(t.Context(), job.Tick{}))
	require.NoError(t, clone.EnqueueNow(t.Context(), job.Tick{}))
	require.EqualValues(t, 1, jobs(t, clone, "tick"))
}

// TestWritersOfATenantDoNotWaitForEachOthersJobs keeps one writer's transaction open
// after its record while another's commits.
func TestWritersOfATenantDoNotWaitForEachOthersJobs(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	tenant := newTenant(t, clone, "one")
	write := func(inside func()) error {
		return clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error {
			err := tx.AppendAudit(auditlog.Record{Action: "x", Actor: "x"})
			inside()
			return err
		})
	}
	require.NoError(t, write(func() { require.NoError(t, write(func() {})) }))
	require.EqualValues(t, 1, jobs(t, clone, "sequence_audit"))
}

func TestNoticesAreSentAfterCommitAlone(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	one, two := newTenant(t, clone, "one"), newTenant(t, clone, "two")
	heard, connected := make(chan id.Tenant, 10), make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var listening sync.WaitGroup
	listening.Go(func() {
		err := clone.Listen(ctx, func() { close(connected) }, func(tenant id.Tenant) { heard <- tenant })
		require.Error(t, err, "it ends only with the context or the line")
	})
	t.Cleanup(func() { cancel(); listening.Wait() })
	<-connected
	require.ErrorIs(t, clone.InTenant(t.Context(), one, func(tx *db.Tx) error { tx.Notify(); return errRollBack }), errRollBack)
	require.NoError(t, clone.InTenant(t.Context(), two, func(tx *db.Tx) error {
		tx.Notify()
		tx.Notify()
		// A whole round trip of another transaction lies between the call and the commit.
		require.NoError(t, clone.InTenant(t.Context(), one, func(*db.Tx) error { return nil }))
		require.Empty(t, heard)
		return nil
	}))
	require.Equal(t, two, <-heard, "the rolled back one was never sent")
	require.NoError(t, clone.InTenant(t.Context(), one, func(tx *db.Tx) error { tx.Notify(); return nil }))
	require.Equal(t, one, <-heard, "and two's only once")
	_, err := clone.Admin(t).Exec(`select pg_notify('tollbook_snapshot', 'garbage')`)
	require.NoError(t, err)
	require.NoError(t, clone.InTenant(t.Context(), one, func(tx *db.Tx) error { tx.Notify(); return nil }))
	require.Equal(t, one, <-heard, "what is no tenant's id is passed over")
}

func TestSystemCannotWrite(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	newTenant(t, clone, "one")
	system, err := openAs(clone, "tollbook_system")
	require.NoError(t, err)
	defer system.Close()
	for _, statement := range []string{
		`insert into tenant (tenant_id, slug, name, recorded_at) values (gen_random_uuid(), 'x1', 'x', now())`, `update tenant set name = 'x'`, `delete from tenant`,
		`select * from usage_event`, `select * from person`, `select * from session`, `select * from audit_record`, `select * from river.river_job`,
		`select ensure_usage_month('2026-11-01')`, `select close_version('upstream', gen_random_uuid(), now(), now())`, `create table x (y int)`,
		`set role tollbook_app`, `set role tollbook_owner`, `select make_append_only('tenant', false)`,
	} {
		_, err := system.Exec(statement)
		require.ErrorContains(t, err, "42501", statement) // insufficient_privilege
	}
	require.NoError(t, clone.InSystem(t.Context(), "a test", func(tx *db.SystemTx) error {
		rows, err := tx.Tenants()
		require.Len(t, rows, 1)
		return err
	}))
	err = clone.InSystem(t.Context(), "a test", func(*db.SystemTx) error { return errRollBack })
	require.ErrorIs(t, err, errRollBack)
}

func TestATransactionNeedsATenantAndFreezesItsInstant(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t, func(c *db.Config) {
		c.Now = func() time.Time { return time.Date(2026, 11, 1, 1, 0, 0, 123_456_789, time.FixedZone("", 3600)) }
	})
	never := func(*db.Tx) error { panic("not reached") }
	require.ErrorContains(t, clone.InTenant(t.Context(), id.Tenant{}, never), "no tenant")
	require.ErrorContains(t, clone.ReadTenant(t.Context(), id.Tenant{}, never), "no tenant")
	tenant := id.NewTenant(time.Now())
	require.NoError(t, clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error {
		require.Equal(t, time.Date(2026, 11, 1, 0, 0, 0, 123_456_000, time.UTC), tx.Now)
		return nil
	}))
	require.NoError(t, clone.ReadTenant(t.Context(), tenant, func(tx *db.Tx) error {
		var isolation, readOnly string
		require.NoError(t, tx.SQL().QueryRow(`select current_setting('transaction_isolation'), current_setting('transaction_read_only')`).Scan(&isolation, &readOnly))
		require.Equal(t, "repeatable read on", isolation+" "+readOnly)
		return nil
	}))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, clone.InTenant(cancelled, tenant, never), context.Canceled)
}

// TestStatementsAreBounded looks at what every connection is told.
func TestStatementsAreBounded(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	tenant := newTenant(t, clone, "one")
	require.NoError(t, clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error {
		var statement, idle, zone string
		require.NoError(t, tx.SQL().QueryRow(`select current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'), current_setting('timezone')`).Scan(&statement, &idle, &zone))
		require.Equal(t, "1min 1min UTC", statement+" "+idle+" "+zone)
		return nil
	}))
}

func TestNumbersHaveNoGapAndNoTwin(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	one, two := newTenant(t, clone, "one"), newTenant(t, clone, "two")
	seen := make(chan int64, 100)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			for i := range 10 {
				_ = clone.InTenant(t.Context(), one, func(tx *db.Tx) error {
					n, err := tx.Counter("change")
					if err == nil && i%2 == 1 {
						err = errRollBack
					}
					if err == nil {
						seen <- n
					}
					return err
				})
			}
		})
	}
	all.Wait()
	close(seen)
	taken := map[int64]bool{}
	for n := range seen {
		require.False(t, taken[n])
		taken[n] = true
	}
	for n := range int64(25) {
		require.True(t, taken[n+1], "a rolled back number is taken by the next")
	}
	require.NoError(t, clone.InTenant(t.Context(), two, func(tx *db.Tx) error {
		n, err := tx.Counter("change")
		require.EqualValues(t, 1, n)
		return err
	}))
}

// TestAnOpenEndIsClosedOnce closes effective-dated rows at and around their bounds.
func TestAnOpenEndIsClosedOnce(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	s := newScene("one").furnish(t, clone)
	at := func(ends time.Time) (closed bool, err error) {
		err = clone.InTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
			var err error
			closed, err = tx.CloseVersion("node_version", s.version, ends)
			return err
		})
		return closed, err
	}
	_, err := at(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	require.ErrorIs(t, err, db.ErrRowRefused, "before it began")
	closed, err := at(time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.True(t, closed)
	closed, err = at(time.Now())
	require.NoError(t, err)
	require.False(t, closed, "a second time")
	_, err = clone.Admin(t).Exec(`update node_version set effective_to = effective_to + interval '1 day', closed_at = now()`)
	require.ErrorContains(t, err, "TB001", "not even by a superuser")
	for _, table := range []string{"tenant", "usage_event", "node_version; drop table tenant", ""} {
		err := clone.InTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
			_, err := tx.CloseVersion(table, s.version, time.Now())
			return err
		})
		require.ErrorContains(t, err, "knows no table", table)
	}
}

// TestManyMakeAMonthAtOnce asks for the same months from many connections.
func TestManyMakeAMonthAtOnce(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	tenant := newTenant(t, clone, "one")
	start := period.MonthOf(time.Now()).Previous()
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() {
			errs[i] = clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error {
				for n := range 4 {
					month := start
					for range (n + i) % 4 {
						month = month.Next()
					}
					if err := tx.EnsureUsageMonth(month); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	var parts int
	require.NoError(t, clone.Admin(t).QueryRow(`select count(*) from pg_inherits where inhparent = 'usage_event'::regclass`).Scan(&parts))
	require.Equal(t, 4, parts)
	for _, day := range []time.Time{time.Date(2023, 12, 31, 0, 0, 0, 0, time.UTC), time.Now().AddDate(3, 0, 0), time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		err := clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error { return tx.EnsureUsageMonth(period.MonthOf(day)) })
		require.ErrorIs(t, err, db.ErrRowRefused)
	}
}

// TestMakingAMonthStopsNobody holds a new month's transaction open while the others
// are read and written.
func TestMakingAMonthStopsNobody(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	s := newScene("one").furnish(t, clone)
	require.NoError(t, clone.InTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
		require.NoError(t, tx.EnsureUsageMonth(s.month.Next()))
		return clone.InTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
			_, err := tx.SQL().Exec(`set local lock_timeout = '5s'`)
			require.NoError(t, err)
			s.usage(t, tx2(tx, s))
			rows, err := tx.Usage(db.UsageFilter{Limit: 10})
			require.Len(t, rows, 2)
			return err
		})
	}))
}

// tx2 gives the scene ids for a second batch.
func tx2(tx *db.Tx, s *scene) *db.Tx {
	s.batch.ID, s.batch.Record = id.NewBatch(tx.Now), id.NewRecord(tx.Now)
	return tx
}

func TestABadURLIsNotRepeated(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	const password = "hunter2"
	for _, url := range []string{"postgres://app:" + password + "@host:notaport/db", "host=x password=" + password + " port=y", "postgres://app:" + password + "@127.0.0.1:1/db?connect_timeout=1"} {
		_, err := db.Open(t.Context(), db.Config{URL: url, SystemURL: url})
		require.Error(t, err)
		require.NotContains(t, err.Error(), password)
		_, err = db.Migrate(t.Context(), url)
		require.Error(t, err)
		require.NotContains(t, err.Error(), password)
		_, err = db.MigrationStatus(t.Context(), url)
		require.Error(t, err)
		require.NotContains(t, err.Error(), password)
	}
	require.NoError(t, clone.Ping(t.Context()))
	clone.Close()
	err := clone.InTenant(t.Context(), id.NewTenant(time.Now()), func(*db.Tx) error { return nil })
	require.Error(t, err)
	require.NotEqual(t, fault.KindInvalid, fault.KindOf(err))
}
