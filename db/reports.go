package db

import (
	"time"

	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/retention"
)

// PlacementRow is a placement as reports show it.
type PlacementRow struct {
	PlacementID    id.Placement
	NodeID         id.Node
	Ancestors      string // node ids from the root down, separated by commas
	Path           string // codes, separated by " / "
	Capitalization string
}

// Placements reads every placement of the tenant: a few per node and year.
func (t *Tx) Placements() ([]PlacementRow, error) {
	var rows []PlacementRow
	err := t.scan("read placements", &rows, `select placement_id, node_id, array_to_string(ancestor_ids, ',') as ancestors, array_to_string(path, ' / ') as path, capitalization
		from placement where tenant_id = ?`, t.Tenant)
	return rows, err
}

// SumRow is one group of a month's rollup.
type SumRow struct {
	Group       string
	Requests    int64
	Errors      int64
	Provisional int64
	Tokens      int64
	ChargePico  string // a whole number of pico-dollars
}

// groupings are the columns a month can be summed by.
func grouping(by string) (column, table string) {
	switch by {
	case "model":
		return "model", "rollup_placement_day"
	case "key":
		return "key_id::text", "rollup_placement_day"
	case "developer":
		return "developer_id::text", "rollup_developer_day"
	case "day":
		return "day::text", "rollup_placement_day"
	}
	return "placement_id::text", "rollup_placement_day"
}

// MonthBy sums a posting period by placement, model, key, developer or day.
func (t *Tx) MonthBy(m period.Month, by string, within []id.Node) ([]SumRow, error) {
	column, table := grouping(by)
	counts := `sum(errors)::bigint as errors, sum(provisional)::bigint as provisional,
		sum(input_tokens + output_tokens + cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens)::bigint as tokens`
	if table == "rollup_developer_day" {
		counts = `sum(tokens)::bigint as tokens`
	}
	query := `select ` + column + ` as "group", sum(requests)::bigint as requests, ` + counts + `, sum(charge_pico)::text as charge_pico
		from ` + table + ` r where r.tenant_id = ? and r.posting_period = ?`
	args := []any{t.Tenant, m.Start()}
	if within != nil {
		query += ` and r.placement_id in (select placement_id from placement where tenant_id = ? and ancestor_ids && string_to_array(?, ',')::uuid[])`
		args = append(args, t.Tenant, nodeList(within))
	}
	var rows []SumRow
	err := t.scan("sum month", &rows, query+` group by 1 order by 1`, args...)
	return rows, err
}

// DeveloperMonth sums one developer's posting period by UTC day.
func (t *Tx) DeveloperMonth(m period.Month, developer id.Developer) ([]SumRow, error) {
	var rows []SumRow
	err := t.scan("sum developer's month", &rows, `select day::text as "group", sum(requests)::bigint as requests, sum(tokens)::bigint as tokens, sum(charge_pico)::text as charge_pico
		from rollup_developer_day where tenant_id = ? and posting_period = ? and developer_id = ? group by 1 order by 1`, t.Tenant, m.Start(), developer)
	return rows, err
}

// Control is a month summed three independent ways.
type Control struct {
	EventRequests, BatchRequests, RollupRequests int64
	EventPico, BatchPico, RollupPico             string
	// Misplaced counts rollup rows that are not what their events sum to.
	Misplaced int64
}

// BatchControl sums what was flushed into a month and what adjustments made of it: an
// independent total that costs two index scans. Of a month that was purged it is what the
// roots that are left say.
func (t *Tx) BatchControl(m period.Month) (requests int64, pico string, err error) {
	_, err = t.row("sum batches", []any{&requests, &pico}, `select (coalesce(sum(requests), 0) + (select coalesce(sum(requests), 0) from tombstone where tenant_id = $1 and class = 'usage' and month = $2))::bigint,
			(coalesce(sum(amount_pico), 0) + (select coalesce(sum(delta_pico), 0) from adjustment_batch where tenant_id = $1 and posting_period = $2)
			+ (select coalesce(sum(charge_pico), 0) from tombstone_batch where tenant_id = $1 and class = 'usage' and month = $2))::text
		from usage_batch where tenant_id = $1 and posting_period = $2`, t.Tenant, m.Start())
	return requests, pico, err
}

// ProveMonth sums a month from its events and their adjustments, from the batches of both
// and from its rollup, and compares every row of the rollups with the events and
// adjustments behind it, and the classes with those.
func (t *Tx) ProveMonth(m period.Month) (Control, error) {
	var c Control
	var err error
	if c.BatchRequests, c.BatchPico, err = t.BatchControl(m); err != nil {
		return c, err
	}
	if _, err = t.row("sum rollup", []any{&c.RollupRequests, &c.RollupPico}, `select coalesce(sum(requests), 0)::bigint, coalesce(sum(charge_pico), 0)::text
		from rollup_placement_day where tenant_id = $1 and posting_period = $2`, t.Tenant, m.Start()); err != nil {
		return c, err
	}
	if _, err = t.row("sum events", []any{&c.EventRequests, &c.EventPico}, `select count(*) + (select coalesce(sum(requests), 0) from tombstone where tenant_id = $1 and class = 'usage' and month = $2)::bigint,
			(coalesce(sum(charge_pico), 0) + (select coalesce(sum(delta_pico), 0) from adjustment where tenant_id = $1 and posting_period = $2)
			+ (select coalesce(sum(charge_pico), 0) from tombstone where tenant_id = $1 and class = 'usage' and month = $2))::text
		from usage_event where tenant_id = $1 and posting_period = $2 and occurred_at < $3`, t.Tenant, m.Start(), m.End()); err != nil {
		return c, err
	}
	if _, gone, err := t.TombstoneOf(retention.Usage, m); err != nil || gone {
		return c, err // its rows are beyond comparing: the sums above are what is left to prove
	}
	_, err = t.row("compare rollups", []any{&c.Misplaced}, compareRollups, t.Tenant, m.Start(), m.End())
	return c, err
}

// compareRollups counts rows of the rollups that differ from their events and adjustments in
// charge or in requests, or that only one side has, and parts of adjusted requests that are
// not what their lines add up to. A split request counts at its first part. The classes of a
// day, placement and model must sum to what the placements' rollup has. Rules are credited
// with what they placed when it came, whatever was moved later. Tokens and errors, which
// adjustments only move between placements, are compared by day, key and model: a true-up that
// is posted to a month without the request leaves a row with neither.
const compareRollups = `with recorded as (
		select u.occurred_at, u.event_id, (u.occurred_at at time zone 'UTC')::date as day, coalesce(u.placement_id, right(s.part->>'placement', 32)::uuid) as placement_id,
			u.key_id, coalesce(u.model_served, u.model_requested) as model, u.developer_id,
			coalesce((s.part->>'amount_pico')::numeric, u.charge_pico) as pico, case when coalesce(s.place, 1) = 1 then 1 else 0 end as counts
		from usage_event u left join lateral jsonb_array_elements(u.split) with ordinality as s(part, place) on true
		where u.tenant_id = $1 and u.posting_period = $2 and u.occurred_at < $3
	), line as (
		select a.occurred_at, a.event_id, a.day, l.placement_id, a.key_id, a.model, a.developer_id, l.charge_pico::numeric as pico, l.requests::integer as counts
		from adjustment a join adjustment_line l using (tenant_id, occurred_at, event_id, sequence) where a.tenant_id = $1 and a.posting_period = $2
	), part as (
		select * from recorded union all select * from line
	), placed as (
		select day, placement_id, key_id, model, sum(pico) as pico, sum(counts) as counts from part group by 1, 2, 3, 4
	), ruled as (
		select (occurred_at at time zone 'UTC')::date as day, attribution_rule as rule, rule_version, sum(charge_pico) as pico, count(*) as counts
		from usage_event where tenant_id = $1 and posting_period = $2 and occurred_at < $3 and attribution_rule like 'rule:%' group by 1, 2, 3
	), declared as (
		select day, placement_id, developer_id, sum(pico) as pico, sum(counts) as counts from part where developer_id is not null group by 1, 2, 3
	), counted as (
		select (occurred_at at time zone 'UTC')::date as day, key_id, coalesce(model_served, model_requested) as model, sum(case when state = 'error' then 1 else 0 end) as errors,
			sum(input_tokens) as input, sum(output_tokens) as output, sum(cache_write_5m_tokens) as write_5m, sum(cache_write_1h_tokens) as write_1h, sum(cache_read_tokens) as read
		from usage_event where tenant_id = $1 and posting_period = $2 and occurred_at < $3 group by 1, 2, 3
	), latest as (
		select distinct on (a.occurred_at, a.event_id) a.* from (select distinct occurred_at, event_id from adjustment where tenant_id = $1 and posting_period = $2) n
		join adjustment a on a.tenant_id = $1 and a.occurred_at = n.occurred_at and a.event_id = n.event_id
		join usage_event u on u.tenant_id = $1 and u.occurred_at = n.occurred_at and u.event_id = n.event_id order by a.occurred_at, a.event_id, a.sequence desc
	), everywhere as (
		select u.occurred_at, u.event_id, coalesce(u.placement_id, right(s.part->>'placement', 32)::uuid) as placement_id, coalesce((s.part->>'amount_pico')::numeric, u.charge_pico) as pico
		from latest n join usage_event u on u.tenant_id = $1 and u.occurred_at = n.occurred_at and u.event_id = n.event_id left join lateral jsonb_array_elements(u.split) as s(part) on true
		union all
		select l.occurred_at, l.event_id, l.placement_id, l.charge_pico::numeric from latest n join adjustment_line l on l.tenant_id = $1 and l.occurred_at = n.occurred_at and l.event_id = n.event_id
	), lying as (
		select a.occurred_at, a.event_id, coalesce(a.placement_id, right(s.part->>'placement', 32)::uuid) as placement_id, sum(coalesce((s.part->>'amount_pico')::numeric, a.charge_pico)) as pico
		from latest a left join lateral jsonb_array_elements(a.split) as s(part) on true group by 1, 2, 3
	), summed as (
		select occurred_at, event_id, placement_id, sum(pico) as pico from everywhere group by 1, 2, 3
	)
	select (select count(*) from placed p full join (select * from rollup_placement_day where tenant_id = $1 and posting_period = $2) r
			using (day, placement_id, key_id, model) where p.pico is distinct from r.charge_pico or p.counts is distinct from r.requests)
		+ (select count(*) from declared d full join (select * from rollup_developer_day where tenant_id = $1 and posting_period = $2) r
			using (day, placement_id, developer_id) where d.pico is distinct from r.charge_pico or d.counts is distinct from r.requests)
		+ (select count(*) from ruled d full join (select * from rollup_rule_day where tenant_id = $1 and posting_period = $2) r
			using (day, rule, rule_version) where d.pico is distinct from r.charge_pico or d.counts is distinct from r.requests)
		+ (select count(*) from lying l full join summed s using (occurred_at, event_id, placement_id) where coalesce(l.pico, 0) <> coalesce(s.pico, 0))
		+ (select count(*) from (select day, placement_id, model, sum(charge_pico) as pico from rollup_placement_day where tenant_id = $1 and posting_period = $2 group by 1, 2, 3) p
			full join (select day, placement_id, model, sum(charge_pico) as pico from rollup_class_day where tenant_id = $1 and posting_period = $2 group by 1, 2, 3) c
			using (day, placement_id, model) where coalesce(p.pico, 0) <> coalesce(c.pico, 0))
		+ (select count(*) from counted e full join (select day, key_id, model, sum(errors) as errors, sum(input_tokens) as input, sum(output_tokens) as output,
				sum(cache_write_5m_tokens) as write_5m, sum(cache_write_1h_tokens) as write_1h, sum(cache_read_tokens) as read
				from rollup_placement_day where tenant_id = $1 and posting_period = $2 group by 1, 2, 3) r using (day, key_id, model)
			where (coalesce(e.errors, 0), coalesce(e.input, 0), coalesce(e.output, 0), coalesce(e.write_5m, 0), coalesce(e.write_1h, 0), coalesce(e.read, 0))
				is distinct from (coalesce(r.errors, 0), coalesce(r.input, 0), coalesce(r.output, 0), coalesce(r.write_5m, 0), coalesce(r.write_1h, 0), coalesce(r.read, 0)))`

// BookMonth is a month that something was posted to.
type BookMonth struct {
	Month    time.Time
	Adjusted bool // since an instant
}

// BookMonths lists the months that something was posted to, the earliest first, and whether
// adjustments were since an instant.
func (t *Tx) BookMonths(since time.Time) ([]BookMonth, error) {
	var rows []BookMonth
	err := t.scan("list months of the books", &rows, `with recursive posted(month) as (
			select (select min(posting_period) from usage_batch where tenant_id = ?)
			union all select (select min(posting_period) from usage_batch where tenant_id = ? and posting_period > posted.month) from posted where posted.month is not null
		) select m.month, exists (select from adjustment_batch a where a.tenant_id = ? and a.posting_period = m.month and a.recorded_at >= ?) as adjusted
		from posted m where m.month is not null order by m.month`, t.Tenant, t.Tenant, t.Tenant, since)
	return rows, err
}

// PeriodState reads a month's state; a month nobody has touched is open.
func (t *Tx) PeriodState(m period.Month) (period.State, error) {
	state := string(period.StateOpen)
	_, err := t.row("read period", []any{&state}, `select state from period where tenant_id = $1 and month = $2`, t.Tenant, m.Start())
	return period.State(state), err
}

// LastBatch is the latest flush.
type LastBatch struct {
	BatchID    id.Batch
	RecordedAt time.Time
	Sequence   *int64
}

// recentBatches is how many flushes may commit in another order than they began in and
// still each change BatchMark.
const recentBatches = 20

// BatchMark changes when a flush commits: it names the latest ones without their ids.
func (t *Tx) BatchMark() (string, error) {
	var mark string
	_, err := t.row("read batch mark", []any{&mark}, `select coalesce(md5(string_agg(batch_id::text, ',')), '') from
		(select batch_id from usage_batch where tenant_id = $1 order by batch_id desc limit $2) b`, t.Tenant, recentBatches)
	return mark, err
}

// LatestBatch reads the tenant's latest flush and, if it has one, its record's
// place in the log.
func (t *Tx) LatestBatch() (LastBatch, bool, error) {
	var b LastBatch
	found, err := t.row("read latest batch", []any{&b.BatchID, &b.RecordedAt, &b.Sequence}, `select b.batch_id, b.recorded_at, l.sequence from usage_batch b
		left join audit_leaf l on l.tenant_id = b.tenant_id and l.record_id = b.record_id
		where b.tenant_id = $1 order by b.batch_id desc limit 1`, t.Tenant)
	return b, found, err
}
