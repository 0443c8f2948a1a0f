package db

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"riverqueue.com/riverui"

	"tollbook/app/id"
)

// TenantStateRow is a tenant as who runs the installation sees it: times and counts.
type TenantStateRow struct {
	ID         id.Tenant `gorm:"column:tenant_id"`
	Slug, Name string
	RecordedAt time.Time
	Suspended  bool
	// OffboardedAt is when it was let go for good; nil: it was not.
	OffboardedAt *time.Time
	LastBatchAt  *time.Time // when a request last reached the ledger
	Keys         int64      // that are accepted now
	Upstream     bool       // one is in force
	Waiting      int64      // audit records without a place in the log, at most WaitingBound
}

// WaitingBound bounds what is counted of waiting records; there it means "or more".
const WaitingBound = 10_000

// TenantStates lists tenants by slug.
func (t *SystemTx) TenantStates(limit int) ([]TenantStateRow, error) {
	var rows []TenantStateRow
	err := t.scan("list tenants' states", &rows, `select t.tenant_id, t.slug, coalesce(p.name, t.name) as name, t.recorded_at,
		coalesce((select s.state = 'suspended' from tenant_state s where s.tenant_id = t.tenant_id order by s.place desc limit 1), false) as suspended,
		(select o.offboarded_at from offboarding o where o.tenant_id = t.tenant_id) as offboarded_at,
		(select b.recorded_at from usage_batch b where b.tenant_id = t.tenant_id order by b.batch_id desc limit 1) as last_batch_at,
		(select count(*) from virtual_key k where k.tenant_id = t.tenant_id and (k.expires_at is null or k.expires_at > @now)
			and not exists (select from key_revocation r where r.tenant_id = k.tenant_id and r.key_id = k.key_id)) as keys,
		exists (select from upstream u where u.tenant_id = t.tenant_id and u.effective_from <= @now and (u.effective_to is null or u.effective_to > @now)) as upstream,
		(select count(*) from (select from audit_pending p where p.tenant_id = t.tenant_id limit @bound) w) as waiting
		from tenant t left join tenant_profile p on p.tenant_id = t.tenant_id and p.effective_to is null order by t.slug limit @limit`, map[string]any{"now": t.Now, "bound": WaitingBound, "limit": limit})
	return rows, err
}

// JobGroupRow counts jobs of one queue, kind and state.
type JobGroupRow struct {
	Queue, Kind, State string
	Count              int64
	OldestAt           time.Time // when the oldest of them was due
	PausedAt           *time.Time
}

// JobGroups counts the jobs that are not done, and those that were given up. It reads
// River's own tables, which hold no tenant's content.
func (d *DB) JobGroups(ctx context.Context, limit int) ([]JobGroupRow, error) {
	var rows []JobGroupRow
	err := d.app.WithContext(ctx).Raw(`select j.queue, j.kind, j.state::text as state, count(*) as count, min(j.scheduled_at) as oldest_at, min(q.paused_at) as paused_at
		from river.river_job j left join river.river_queue q on q.name = j.queue
		where j.state in ('available', 'pending', 'retryable', 'running', 'scheduled', 'discarded', 'cancelled')
		group by 1, 2, 3 order by 1, 2, 3 limit ?`, limit).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("group jobs: %w", translate(err))
	}
	return rows, nil
}

// FailedJobRow is a job that did not do its work, with what it said last.
type FailedJobRow struct {
	ID                   int64
	Queue, Kind, State   string
	Tenant               string // as its arguments name it; empty if they name none
	Attempt, MaxAttempts int
	AttemptedAt          *time.Time
	NextAt               *time.Time // if it will be tried again
	LastError            string
}

// FailedJobs lists the latest jobs that wait to be tried again or were given up.
func (d *DB) FailedJobs(ctx context.Context, limit int) ([]FailedJobRow, error) {
	var rows []FailedJobRow
	err := d.app.WithContext(ctx).Raw(`select id, queue, kind, state::text as state, coalesce(args->>'tenant', '') as tenant, attempt, max_attempts, attempted_at,
		case when state = 'retryable' then scheduled_at end as next_at, coalesce(errors[array_upper(errors, 1)]->>'error', '') as last_error
		from river.river_job where state in ('retryable', 'discarded', 'cancelled') order by id desc limit ?`, limit).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", translate(err))
	}
	return rows, nil
}

// JobRow names a job and the tenant it works for.
type JobRow struct {
	ID           int64
	Kind, Tenant string
}

// JobsByID finds jobs.
func (d *DB) JobsByID(ctx context.Context, ids []int64) ([]JobRow, error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("find jobs: %w", err)
	}
	var rows []JobRow
	err = d.app.WithContext(ctx).Raw(`select id, kind, coalesce(args->>'tenant', '') as tenant from river.river_job
		where id in (select i::bigint from jsonb_array_elements_text(?::jsonb) i) order by id`, string(list)).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find jobs: %w", translate(err))
	}
	return rows, nil
}

// JobPages are River's own pages of its jobs, below a prefix, and their interface for
// programs. They ask nobody who they are: whoever mounts them does. Counts for them are
// read every ten seconds until ctx ends.
func (d *DB) JobPages(ctx context.Context, prefix string) (http.Handler, error) {
	pages, err := riverui.NewHandler(&riverui.HandlerOpts{
		Endpoints: riverui.NewEndpoints(d.insert, nil), JobListHideArgsByDefault: true, Logger: d.log, Prefix: prefix,
	})
	if err != nil {
		return nil, fmt.Errorf("open the job pages: %w", err)
	}
	if err := pages.Start(ctx); err != nil {
		return nil, fmt.Errorf("start the job pages: %w", err)
	}
	return pages, nil
}
