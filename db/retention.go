package db

import (
	"time"

	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/retention"
)

// LockRetention makes the transaction the only one of its tenant that purges, or sets or
// ends a hold, until it ends.
func (t *Tx) LockRetention() error {
	return t.exec("lock retention", `select pg_advisory_xact_lock(hashtextextended('retention:' || $1::uuid::text, 0))`, t.Tenant)
}

// TermRow is one class's term, as one change set it.
type TermRow struct {
	Class         string
	Years         int
	ChangeID      id.Change
	Number        int64
	EffectiveFrom time.Time
	RecordedAt    time.Time
}

// RetentionTerms lists every term there was or will be, the latest first.
func (t *Tx) RetentionTerms(limit int) ([]TermRow, error) {
	var rows []TermRow
	err := t.scan("list retention terms", &rows, `select r.class, r.years, r.change_id, c.number, r.effective_from, r.recorded_at
		from retention_term r join change c on c.tenant_id = r.tenant_id and c.change_id = r.change_id
		where r.tenant_id = ? order by r.effective_from desc, r.recorded_at desc, r.change_id desc, r.class limit ?`, t.Tenant, limit)
	return rows, err
}

// AddRetentionTerm sets a class's term from an instant on; the change has to be approved and
// of that kind.
func (t *Tx) AddRetentionTerm(class retention.Class, years int, from time.Time, change id.Change) error {
	return t.exec("add retention term", `insert into retention_term (tenant_id, class, change_id, years, effective_from, recorded_at) values ($1, $2, $3, $4, $5, $6)`,
		t.Tenant, string(class), change, years, from, t.Now)
}

// HoldRow is a legal hold, with the change that ended it, if one did.
type HoldRow struct {
	ChangeID   id.Change
	Number     int64
	Reason     string
	FirstMonth *time.Time // nil: every month
	LastMonth  *time.Time
	RecordedAt time.Time
	EndID      id.Change
	EndedAt    *time.Time
}

// LegalHolds lists holds, those in force first and then the latest.
func (t *Tx) LegalHolds(limit int) ([]HoldRow, error) {
	var rows []HoldRow
	err := t.scan("list legal holds", &rows, `select h.change_id, c.number, c.reason, h.first_month, h.last_month, h.recorded_at, e.change_id as end_id, e.recorded_at as ended_at
		from legal_hold h join change c on c.tenant_id = h.tenant_id and c.change_id = h.change_id
		left join legal_hold_end e on e.tenant_id = h.tenant_id and e.hold_id = h.change_id
		where h.tenant_id = ? order by (e.hold_id is null) desc, h.recorded_at desc, h.change_id limit ?`, t.Tenant, limit)
	return rows, err
}

// AddLegalHold holds months, both included; two zero months hold all.
func (t *Tx) AddLegalHold(first, last period.Month, change id.Change) error {
	var from, to any
	if first != (period.Month{}) {
		from, to = first.Start(), last.Start()
	}
	return t.exec("add legal hold", `insert into legal_hold (tenant_id, change_id, first_month, last_month, recorded_at) values ($1, $2, $3, $4, $5)`, t.Tenant, change, from, to, t.Now)
}

// EndLegalHold ends a hold, once.
func (t *Tx) EndLegalHold(hold, change id.Change) error {
	return t.exec("end legal hold", `insert into legal_hold_end (tenant_id, hold_id, change_id, recorded_at) values ($1, $2, $3, $4)`, t.Tenant, hold, change, t.Now)
}

// KeptRow is a month that has rows of a class which were not purged.
type KeptRow struct {
	Month    time.Time
	ClosedAt *time.Time // nil: its books are open; of those that nobody will close, when the company was offboarded
}

// keptMonths finds the months of a class. Between the first and the last, each is looked up
// by itself: there are far more rows than months.
func keptMonths(class retention.Class) string {
	span := func(table, at string) string {
		return `select m::date as month from (select min(` + at + `) as first, max(` + at + `) as last from ` + table + ` where tenant_id = @t) s,
			generate_series(date_trunc('month', s.first at time zone 'UTC'), s.last at time zone 'UTC', interval '1 month') m
			where exists (select from ` + table + ` r where r.tenant_id = @t and r.` + at + ` >= m at time zone 'UTC' and r.` + at + ` < (m + interval '1 month') at time zone 'UTC')`
	}
	switch class {
	case retention.Audit:
		return span("audit_record", "recorded_at")
	case retention.Notices:
		return span("notice_delivery", "recorded_at")
	case retention.Sessions:
		return span("session", "recorded_at")
	case retention.Usage:
	}
	return `select posting_period as month from usage_batch where tenant_id = @t union select posting_period from adjustment_batch where tenant_id = @t`
}

// MonthsKept lists the months that have rows of a class, the oldest first.
func (t *Tx) MonthsKept(class retention.Class, limit int) ([]KeptRow, error) {
	var rows []KeptRow
	err := t.scan("list months kept", &rows, `select k.month, coalesce((select p.changed_at from period p where p.tenant_id = @t and p.month = k.month and shut(p.state)),
			(select o.offboarded_at from offboarding o where o.tenant_id = @t)) as closed_at
		from (`+keptMonths(class)+`) k where not exists (select from tombstone d where d.tenant_id = @t and d.class = @c and d.month = k.month) order by 1 limit @n`,
		map[string]any{"t": t.Tenant, "c": string(class), "n": limit})
	return rows, err
}

// RetentionEnds is when the database, which purge asks, has a month kept for its term; nil: never
// while its books are open. Held counts the holds that it sees on the month.
func (t *Tx) RetentionEnds(class retention.Class, m period.Month) (ends *time.Time, held int64, err error) {
	_, err = t.row("read retention", []any{&ends, &held}, `select retention_ends($1, $2, $3, $4), holds_of($1, $3)`, t.Tenant, string(class), m.Start(), t.Now)
	return ends, held, err
}

// Purge takes the months that an approved change names, once.
func (t *Tx) Purge(change id.Change) error {
	return t.exec("purge", `select purge($1)`, change)
}

// TombstoneRow is what stands where a month's rows of a class were.
type TombstoneRow struct {
	Class         string
	Month         time.Time
	ChangeID      id.Change
	Number        int64
	RowCount      int64
	Requests      int64
	ChargePico    string
	FirstSequence *int64
	LastSequence  *int64
	Digest        []byte
	PurgedAt      time.Time
}

const tombstones = `select d.class, d.month, d.change_id, c.number, d.row_count, d.requests, d.charge_pico::text, d.first_sequence, d.last_sequence, d.digest, d.purged_at
	from tombstone d join change c on c.tenant_id = d.tenant_id and c.change_id = d.change_id where d.tenant_id = ?`

// Tombstones lists what was purged, the latest first; by one change, or by all (zero).
func (t *Tx) Tombstones(change id.Change, limit int) ([]TombstoneRow, error) {
	var rows []TombstoneRow
	err := t.scan("list tombstones", &rows, tombstones+` and (?::uuid is null or d.change_id = ?::uuid) order by d.purged_at desc, d.class, d.month limit ?`, t.Tenant, change, change, limit)
	return rows, err
}

// TombstoneOf finds the tombstone of a class's month.
func (t *Tx) TombstoneOf(class retention.Class, m period.Month) (TombstoneRow, bool, error) {
	var rows []TombstoneRow
	err := t.scan("read tombstone", &rows, tombstones+` and d.class = ? and d.month = ?`, t.Tenant, string(class), m.Start())
	if err != nil || len(rows) == 0 {
		return TombstoneRow{}, false, err
	}
	return rows[0], true, nil
}

// ClearedLeaves lists the leaves of a month's records whose bytes are gone, in the order of
// the log, from a sequence on.
func (t *Tx) ClearedLeaves(m period.Month, from int64, limit int) ([]LogRow, error) {
	var rows []LogRow
	err := t.scan("list cleared leaves", &rows, `select l.sequence, r.record_id, l.leaf from audit_record r join audit_leaf l on l.tenant_id = r.tenant_id and l.record_id = r.record_id
		where r.tenant_id = ? and r.recorded_at >= ? and r.recorded_at < ? and r.canonical = '' and l.sequence >= ? order by l.sequence limit ?`, t.Tenant, m.Start(), m.End(), from, limit)
	return rows, err
}

// PurgedMonths lists the months of a class that were purged.
func (t *Tx) PurgedMonths(class retention.Class, limit int) ([]period.Month, error) {
	var rows []time.Time
	err := t.scan("list purged months", &rows, `select month from tombstone where tenant_id = ? and class = ? order by 1 limit ?`, t.Tenant, string(class), limit)
	months := make([]period.Month, 0, len(rows))
	for _, row := range rows {
		months = append(months, period.MonthOf(row))
	}
	return months, err
}

// PurgedBatch is a batch whose rows a purge took.
type PurgedBatch struct {
	BatchID  id.Batch
	Class    string
	Month    time.Time
	Root     []byte
	RowCount int64
	Sequence int64
}

// PurgedBatch finds the tombstone of a batch.
func (t *Tx) PurgedBatch(batch id.Batch) (PurgedBatch, bool, error) {
	var b PurgedBatch
	found, err := t.row("read tombstone", []any{&b.BatchID, &b.Class, &b.Month, &b.Root, &b.RowCount, &b.Sequence},
		`select batch_id, class, month, root, row_count, sequence from tombstone_batch where tenant_id = $1 and batch_id = $2`, t.Tenant, batch)
	return b, found, err
}

// PurgedBatches lists the batches under one tombstone in the order of the log, behind one of them.
func (t *Tx) PurgedBatches(class retention.Class, m period.Month, after int64, limit int) ([]PurgedBatch, error) {
	var rows []PurgedBatch
	err := t.scan("list tombstones of batches", &rows, `select batch_id, class, month, root, row_count, sequence from tombstone_batch
		where tenant_id = ? and class = ? and month = ? and sequence > ? order by sequence limit ?`, t.Tenant, string(class), m.Start(), after, limit)
	return rows, err
}
