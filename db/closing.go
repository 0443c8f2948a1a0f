package db

import (
	"crypto/sha256"
	"time"

	"tollbook/app/id"
	"tollbook/app/period"
)

// LockClosing makes the transaction the only one of its tenant that moves months of the
// books, or signs steps of their checklists, until it ends.
func (t *Tx) LockClosing() error {
	return t.exec("lock closing", `select pg_advisory_xact_lock(hashtextextended('closing:' || $1::uuid::text, 0))`, t.Tenant)
}

// PeriodRow is how a month stands.
type PeriodRow struct {
	Month     time.Time
	State     string
	Revision  int
	Moves     int
	ChangedAt time.Time
}

// Standing is the row as the calendar has it.
func (r *PeriodRow) Standing() period.Standing {
	return period.Standing{State: period.State(r.State), Revision: r.Revision}
}

// Periods lists the months the books know, the latest first: those that somebody touched.
func (t *Tx) Periods(limit int) ([]PeriodRow, error) {
	var rows []PeriodRow
	err := t.scan("list periods", &rows, `select month, state, revision, moves, changed_at from period where tenant_id = ? order by month desc limit ?`, t.Tenant, limit)
	return rows, err
}

// AnyClosing tells whether a month is being closed.
func (t *Tx) AnyClosing() (bool, error) {
	var closing bool
	_, err := t.row("look for a month that is closing", []any{&closing}, `select exists (select from period where tenant_id = $1 and state = 'closing')`, t.Tenant)
	return closing, err
}

// HoldPeriod locks a month against every flush, posting and adjustment until the transaction
// ends, and tells how it stands then.
func (t *Tx) HoldPeriod(m period.Month) (PeriodRow, error) {
	r := PeriodRow{Month: m.Start()}
	if err := t.exec("open period", `insert into period (tenant_id, month, state, changed_at) values ($1, $2, 'open', $3) on conflict do nothing`, t.Tenant, m.Start(), t.Now); err != nil {
		return r, err
	}
	_, err := t.row("hold period", []any{&r.State, &r.Revision, &r.Moves, &r.ChangedAt},
		`select state, revision, moves, changed_at from period where tenant_id = $1 and month = $2 for update`, t.Tenant, m.Start())
	return r, err
}

// PeriodStanding is how a month stands.
func (t *Tx) PeriodStanding(m period.Month) (period.Standing, error) {
	r := PeriodRow{State: string(period.StateOpen), Revision: 1}
	_, err := t.row("read period", []any{&r.State, &r.Revision}, `select state, revision from period where tenant_id = $1 and month = $2`, t.Tenant, m.Start())
	return r.Standing(), err
}

// PeriodMoveRow is one move of a month.
type PeriodMoveRow struct {
	Month     time.Time
	Place     int
	FromState string
	ToState   string
	Revision  int
	Actor     string
	Reason    string
	ChangeID  id.Change
	MovedAt   time.Time
}

// AddPeriodMove moves a month: the database refuses one that does not begin where it stands.
func (t *Tx) AddPeriodMove(r *PeriodMoveRow) error {
	return t.exec("move period", `insert into period_move (tenant_id, month, place, from_state, to_state, revision, actor, reason, change_id, moved_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		t.Tenant, r.Month, r.Place, r.FromState, r.ToState, r.Revision, r.Actor, r.Reason, r.ChangeID, t.Now)
}

// PeriodMoves lists a month's moves, the latest first.
func (t *Tx) PeriodMoves(m period.Month, limit int) ([]PeriodMoveRow, error) {
	var rows []PeriodMoveRow
	err := t.scan("list moves of a period", &rows, `select month, place, from_state, to_state, revision, actor, reason, change_id, moved_at from period_move
		where tenant_id = ? and month = ? order by place desc limit ?`, t.Tenant, m.Start(), limit)
	return rows, err
}

// MonthRow is what a month's requests are, from its rollups.
type MonthRow struct {
	Days         int
	Requests     int64
	Provisional  int64
	ChargePico   string
	RepricedPico string // what adjustments of prices came to
}

// MonthUsage sums a month of the books.
func (t *Tx) MonthUsage(m period.Month) (MonthRow, error) {
	var r MonthRow
	_, err := t.row("sum a month", []any{&r.Days, &r.Requests, &r.Provisional, &r.ChargePico, &r.RepricedPico}, `select count(distinct day), coalesce(sum(requests), 0)::bigint,
			coalesce(sum(provisional), 0)::bigint, coalesce(sum(charge_pico), 0)::text,
			(select coalesce(sum(delta_pico), 0)::text from adjustment_batch where tenant_id = $1 and posting_period = $2 and kind = 'price')
		from rollup_placement_day where tenant_id = $1 and posting_period = $2`, t.Tenant, m.Start())
	return r, err
}

// MonthUnpriced counts the requests in the books of a month whose price is provisional. It is
// asked only where the rollups say that anything is.
func (t *Tx) MonthUnpriced(m period.Month) (int64, error) {
	var n int64
	_, err := t.row("count unpriced requests", []any{&n}, `select count(*) from usage_event u `+latestAdjustment+`
		where u.tenant_id = $1 and u.posting_period = $2 and u.occurred_at < $3 and u.state = 'unpriced' and u.state <> 'complete' and coalesce(a.state, u.state) = 'unpriced'`, t.Tenant, m.Start(), m.End())
	return n, err
}

// NodeMonthRow is what one node was charged in a month, as it lay.
type NodeMonthRow struct {
	NodeID         id.Node
	Path           string // codes from the root down, separated by the unit separator, 0x1f
	Entity         string
	Capitalization string
	Requests       int64
	ChargePico     string
}

// ChargedIn sums the charges of a month by node, entity and capitalization.
func (t *Tx) ChargedIn(m period.Month) ([]NodeMonthRow, error) {
	var rows []NodeMonthRow
	err := t.scan("sum a month by node", &rows, `select p.node_id, array_to_string(p.path, E'\x1f') as path, p.entity, p.capitalization, sum(r.requests)::bigint as requests, sum(r.charge_pico)::text as charge_pico
		from rollup_placement_day r join placement p on p.tenant_id = r.tenant_id and p.placement_id = r.placement_id
		where r.tenant_id = ? and r.posting_period = ? group by p.node_id, p.path, p.entity, p.capitalization order by p.path, p.entity, p.capitalization, p.node_id`, t.Tenant, m.Start())
	return rows, err
}

// JournalSumRow is what a month's entries come to.
type JournalSumRow struct {
	Entries    int64
	TotalCents int64
	Digest     string // over the entries' own, in their order
}

// JournalSum sums the entries posted to a month.
func (t *Tx) JournalSum(m period.Month) (JournalSumRow, error) {
	var r JournalSumRow
	_, err := t.row("sum a month's journal", []any{&r.Entries, &r.TotalCents, &r.Digest}, `select count(*), coalesce(sum(total_cents), 0)::bigint,
		encode(sha256(coalesce(string_agg(digest, ''::bytea order by number), ''::bytea)), 'hex') from journal_entry where tenant_id = $1 and posting_period = $2`, t.Tenant, m.Start())
	return r, err
}

// SignOffRow is one signature of a step.
type SignOffRow struct {
	Place    int
	Revision int
	Step     string
	Part     string
	MemberID id.Member
	PersonID id.Person
	OfPlace  int // 0: it is a preparation
	OfPerson id.Person
	Facts    []byte
	Digest   []byte
	Note     string
	RecordID id.Record
	SignedAt time.Time
	FellAt   *time.Time
	Cause    string // of its fall
}

// AddSignOff stores a signature, whose audit record is in this transaction already, and says
// which of the month it is.
func (t *Tx) AddSignOff(m period.Month, r *SignOffRow) error {
	var of, person any
	if r.OfPlace > 0 {
		of, person = r.OfPlace, r.OfPerson
	}
	digest := sha256.Sum256(r.Facts)
	return t.exec("sign a step", `insert into close_sign_off (tenant_id, month, place, revision, step, part, member_id, person_id, of_place, of_person, facts, digest, note, record_id, signed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		t.Tenant, m.Start(), r.Place, r.Revision, r.Step, r.Part, r.MemberID, r.PersonID, of, person, r.Facts, digest[:], r.Note, r.RecordID, t.Now)
}

// SignOffs lists a month's signatures, of all revisions, the earliest first.
func (t *Tx) SignOffs(m period.Month, limit int) ([]SignOffRow, error) {
	var rows []SignOffRow
	err := t.scan("list signatures", &rows, `select s.place, s.revision, s.step, s.part, s.member_id, s.person_id, coalesce(s.of_place, 0) as of_place, s.of_person, s.facts, s.digest, s.note, s.record_id, s.signed_at,
			f.fell_at, coalesce(f.cause, '') as cause
		from close_sign_off s left join close_fall f on f.tenant_id = s.tenant_id and f.month = s.month and f.place = s.place
		where s.tenant_id = ? and s.month = ? order by s.place limit ?`, t.Tenant, m.Start(), limit)
	return rows, err
}

// AddFall notes that a signature counts no more.
func (t *Tx) AddFall(m period.Month, place int, cause string, facts []byte, record id.Record) error {
	return t.exec("note a fallen signature", `insert into close_fall (tenant_id, month, place, cause, facts, record_id, fell_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, m.Start(), place, cause, facts, record, t.Now)
}

// WaiverRow is a step that does not apply.
type WaiverRow struct {
	Step     string
	ChangeID id.Change
	Number   int64
	Reason   string
}

// AddWaiver stores that a step does not apply to a revision of a month.
func (t *Tx) AddWaiver(m period.Month, revision int, step string, change id.Change) error {
	return t.exec("waive a step", `insert into close_waiver (tenant_id, month, revision, step, change_id, recorded_at) values ($1, $2, $3, $4, $5, $6)`,
		t.Tenant, m.Start(), revision, step, change, t.Now)
}

// Waivers lists the steps that do not apply to a revision of a month.
func (t *Tx) Waivers(m period.Month, revision int) ([]WaiverRow, error) {
	var rows []WaiverRow
	err := t.scan("list waived steps", &rows, `select w.step, w.change_id, c.number, c.reason from close_waiver w join change c on c.tenant_id = w.tenant_id and c.change_id = w.change_id
		where w.tenant_id = ? and w.month = ? and w.revision = ? order by w.step`, t.Tenant, m.Start(), revision)
	return rows, err
}

// FreezeRow is the figures of a month as they were when it was locked.
type FreezeRow struct {
	Revision   int
	Figures    int
	Requests   int64
	ChargePico string
	Cents      int64
	Digest     []byte
	ChangeID   id.Change
	FrozenAt   time.Time
}

// FrozenRow is one figure of them.
type FrozenRow struct {
	Kind           string // node, or account
	Entity         string
	NodeID         *id.Node
	Code           string
	Path           string
	Capitalization string
	Requests       int64
	ChargePico     string
	DebitCents     int64
	CreditCents    int64
}

// AddFreeze keeps a month's figures, and the bytes that their digest is of.
func (t *Tx) AddFreeze(m period.Month, f *FreezeRow, canonical []byte, figures []FrozenRow) error {
	digest := sha256.Sum256(canonical)
	f.Digest = digest[:]
	if err := t.exec("freeze a month", `insert into close_freeze (tenant_id, month, revision, figures, requests, charge_pico, cents, canonical, digest, change_id, frozen_at)
		values ($1, $2, $3, $4, $5, $6::numeric, $7, $8, $9, $10, $11)`,
		t.Tenant, m.Start(), f.Revision, len(figures), f.Requests, f.ChargePico, f.Cents, canonical, digest[:], f.ChangeID, t.Now); err != nil {
		return err
	}
	var texts [7][]string
	var numbers [3][]int64
	for i := range figures {
		r := &figures[i]
		node := ""
		if r.NodeID != nil {
			node = r.NodeID.UUID()
		}
		for k, text := range [...]string{r.Kind, r.Entity, node, r.Code, r.Path, r.Capitalization, r.ChargePico} {
			texts[k] = append(texts[k], text)
		}
		for k, n := range [...]int64{r.Requests, r.DebitCents, r.CreditCents} {
			numbers[k] = append(numbers[k], n)
		}
	}
	return t.exec("freeze figures", `insert into close_figure (tenant_id, month, revision, place, kind, entity, node_id, code, path, capitalization, charge_pico, requests, debit_cents, credit_cents)
		select $1, $2, $3, o, k, e, nullif(n, '')::uuid, c, p, z, g::numeric, r, d, h
		from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[]) with ordinality as s(k, e, n, c, p, z, g, r, d, h, o)`,
		t.Tenant, m.Start(), f.Revision, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6], numbers[0], numbers[1], numbers[2])
}

// Freezes lists what was frozen of a month, the latest revision first.
func (t *Tx) Freezes(m period.Month, limit int) ([]FreezeRow, error) {
	var rows []FreezeRow
	err := t.scan("list frozen months", &rows, `select revision, figures, requests, charge_pico::text as charge_pico, cents, digest, change_id, frozen_at from close_freeze
		where tenant_id = ? and month = ? order by revision desc limit ?`, t.Tenant, m.Start(), limit)
	return rows, err
}

// Frozen lists the figures of a revision of a month, in their order.
func (t *Tx) Frozen(m period.Month, revision, limit int) ([]FrozenRow, error) {
	var rows []FrozenRow
	err := t.scan("list frozen figures", &rows, `select kind, entity, node_id, code, path, capitalization, requests, charge_pico::text as charge_pico, debit_cents, credit_cents from close_figure
		where tenant_id = ? and month = ? and revision = ? order by place limit ?`, t.Tenant, m.Start(), revision, limit)
	return rows, err
}

// FrozenBytes reads the bytes that a revision's digest is of; found is false when there are none.
func (t *Tx) FrozenBytes(m period.Month, revision int) ([]byte, bool, error) {
	var canonical []byte
	found, err := t.row("read frozen month", []any{&canonical}, `select canonical from close_freeze where tenant_id = $1 and month = $2 and revision = $3`, t.Tenant, m.Start(), revision)
	return canonical, found, err
}

// Outside tells whether a witness has seen a head that covers the record of a change's
// being applied.
func (t *Tx) Outside(change id.Change) (bool, error) {
	var seen bool
	_, err := t.row("look for a witness", []any{&seen}, `select exists (select from audit_record r
		join audit_leaf l on l.tenant_id = r.tenant_id and l.record_id = r.record_id
		join audit_witness w on w.tenant_id = r.tenant_id and w.size > l.sequence and w.seen
		where r.tenant_id = $1 and r.subject = $2 and r.action = 'change.applied')`, t.Tenant, change.String())
	return seen, err
}
