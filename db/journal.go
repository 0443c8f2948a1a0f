package db

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
)

// LockJournal makes the transaction the only one that posts entries for the tenant, until
// it ends: each says what was posted before.
func (t *Tx) LockJournal() error {
	return t.exec("lock journal", `select pg_advisory_xact_lock(hashtextextended('journal:' || $1, 0))`, t.Tenant.UUID())
}

// DueDay is a day whose charges are not what was last posted of it.
type DueDay struct {
	PostingPeriod time.Time // that the charges are in
	Day           time.Time
	Fingerprint   string
}

// dueDays reads days of months of charges whose fingerprint by placement is not that of
// their latest entry: months that are open, and those that ended lately.
const dueDays = `with charged as (
		select posting_period, day, placement_id, sum(charge_pico) as pico from rollup_placement_day r
		where tenant_id = ? and posting_period >= ? and day < ? and (posting_period >= ?
			or not exists (select from period p where p.tenant_id = r.tenant_id and p.month = r.posting_period and p.state = 'locked'))
		group by 1, 2, 3
	), printed as (
		select posting_period, day, encode(sha256(convert_to(string_agg(placement_id || ' ' || pico, ',' order by placement_id), 'UTF8')), 'hex') as fingerprint, bool_or(pico <> 0) as any_charge
		from charged group by 1, 2
	)
	select p.posting_period, p.day, p.fingerprint from printed p
	left join lateral (select e.fingerprint from journal_entry e where e.tenant_id = ? and e.source_period = p.posting_period and e.source_day = p.day
		order by e.number desc limit 1) l on true
	where ((l.fingerprint is null and p.any_charge) or l.fingerprint <> p.fingerprint) and (p.posting_period, p.day) > (?, ?)
	order by p.posting_period, p.day`

const (
	// dueMonths bounds how far back charges are looked at that nobody closed.
	dueMonths = 26
	// dueLocked is how many months back charges of a locked month are still looked at: what
	// was not posted when it was locked posts to the next open one.
	dueLocked = 2
	maxDue    = 1000
)

// DueDays lists days before one whose charges are not what is posted of them, oldest first
// and behind one of them, at most so many.
func (t *Tx) DueDays(before time.Time, after DueDay, limit int) ([]DueDay, error) {
	month := period.MonthOf(t.Now).Start()
	var rows []DueDay
	err := t.scan("list days to post", &rows, dueDays+` limit ?`,
		t.Tenant, month.AddDate(0, -dueMonths, 0), before, month.AddDate(0, -dueLocked, 0), t.Tenant, after.PostingPeriod, after.Day, min(limit, maxDue))
	return rows, err
}

// CellRow is what was charged on a day to a placement.
type CellRow struct {
	Day            time.Time
	PlacementID    id.Placement
	NodeID         id.Node
	Path           string // codes from the root down, separated by the unit separator, 0x1f
	Entity         string
	Capitalization string
	ChargePico     string
	Requests       int64
}

// Cells sums the charges of days of a month, from one up to another, by placement.
func (t *Tx) Cells(m period.Month, from, to time.Time) ([]CellRow, error) {
	var rows []CellRow
	err := t.scan("sum charges of days", &rows, `select r.day, p.placement_id, p.node_id, array_to_string(p.path, E'\x1f') as path, p.entity, p.capitalization, sum(r.charge_pico)::text as charge_pico, sum(r.requests)::bigint as requests
		from rollup_placement_day r join placement p on p.tenant_id = r.tenant_id and p.placement_id = r.placement_id
		where r.tenant_id = ? and r.posting_period = ? and r.day >= ? and r.day < ? group by r.day, p.placement_id, p.node_id, p.path, p.entity, p.capitalization
		order by r.day, p.placement_id`, t.Tenant, m.Start(), from, to)
	return rows, err
}

// Fingerprint names the charges of one day by placement, exactly, as DueDays does.
func Fingerprint(cells []CellRow) string {
	parts := make([]string, 0, len(cells))
	for i := range cells {
		parts = append(parts, cells[i].PlacementID.UUID()+" "+cells[i].ChargePico)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ",")))
	return hex.EncodeToString(sum[:])
}

// BatchCounts is how many batches of usage and of adjustments a month has.
func (t *Tx) BatchCounts(m period.Month) (usage, adjustments int64, err error) {
	_, err = t.row("count batches", []any{&usage, &adjustments}, `select (select count(*) from usage_batch where tenant_id = $1 and posting_period = $2),
		(select count(*) from adjustment_batch where tenant_id = $1 and posting_period = $2)`, t.Tenant, m.Start())
	return usage, adjustments, err
}

// JournalLineRow is one line as it is stored.
type JournalLineRow struct {
	EntryID        id.Entry
	SourceDay      time.Time // of its entry; zero where it has none
	Place          int
	Account        string
	Entity         string
	Counterparty   string
	NodeID         *id.Node
	NodeCode       string
	NodePath       string
	GLAccount      string `gorm:"column:gl_account"`
	Capitalization string
	Workspace      string
	Currency       string
	Cents          int64
	BasisPico      string
	Memo           string
}

// Line is the row as the ledger has it.
func (r *JournalLineRow) Line() (ledger.Line, error) {
	basis, err := money.SumOfPico(r.BasisPico)
	l := ledger.Line{
		Account: ledger.Account(r.Account), Entity: r.Entity, Counterparty: r.Counterparty, NodeCode: r.NodeCode, NodePath: r.NodePath, GLAccount: r.GLAccount,
		Capitalization: r.Capitalization, Workspace: r.Workspace, Currency: r.Currency, Cents: money.Cents(r.Cents), Basis: basis, Memo: r.Memo,
	}
	if r.NodeID != nil {
		l.Node = *r.NodeID
	}
	return l, err
}

const lineColumns = `l.entry_id, coalesce(e.source_day, date '0001-01-01') as source_day, l.place, l.account, l.entity, l.counterparty, l.node_id, l.node_code, l.node_path, l.gl_account,
	l.capitalization, l.workspace, l.currency, l.cents, l.basis_pico::text as basis_pico, l.memo`

// PostedOf lists the lines that accruals and corrections have for days of a month of
// charges, from one up to another.
func (t *Tx) PostedOf(m period.Month, from, to time.Time) ([]JournalLineRow, error) {
	var rows []JournalLineRow
	err := t.scan("read what is posted of days", &rows, `select `+lineColumns+` from journal_entry e join journal_line l on l.tenant_id = e.tenant_id and l.entry_id = e.entry_id
		where e.tenant_id = ? and e.source_period = ? and e.source_day >= ? and e.source_day < ? order by e.number, l.place`, t.Tenant, m.Start(), from, to)
	return rows, err
}

// Booked is what accruals and corrections have for a month of charges in all: the exact
// charges, and what is owed for them.
func (t *Tx) Booked(m period.Month) (ledger.Booked, error) {
	var b ledger.Booked
	var basis string
	var owed int64
	_, err := t.row("sum what is posted of a month", []any{&basis, &owed}, `select coalesce(sum(l.basis_pico), 0)::text, coalesce(-sum(l.cents) filter (where l.account = 'accrued_liability'), 0)::bigint
		from journal_entry e join journal_line l on l.tenant_id = e.tenant_id and l.entry_id = e.entry_id where e.tenant_id = $1 and e.source_period = $2`, t.Tenant, m.Start())
	if err != nil {
		return b, err
	}
	b.Owed = money.Cents(owed)
	b.Charges, err = money.SumOfPico(basis)
	return b, err
}

// LastFingerprints are those of the latest entry of each day of a month of charges, by day.
func (t *Tx) LastFingerprints(m period.Month) (map[time.Time]string, error) {
	var rows []struct {
		SourceDay   time.Time
		Fingerprint string
	}
	err := t.scan("read fingerprints", &rows, `select distinct on (source_day) source_day, fingerprint from journal_entry
		where tenant_id = ? and source_period = ? order by source_day, number desc`, t.Tenant, m.Start())
	days := map[time.Time]string{}
	for _, r := range rows {
		days[r.SourceDay.UTC()] = r.Fingerprint
	}
	return days, err
}

// FreshEntry is an entry to store, with the bytes that its record in the log covers.
type FreshEntry struct {
	Entry       *ledger.Entry
	Fingerprint string // of the day's charges; empty where it is about no day
	Canonical   []byte
	Change      id.Change // that asked for it; zero: none did
	Record      id.Record
}

// AddEntry stores an entry, whose audit record is in this transaction already. The database
// refuses one that does not balance when the transaction commits.
func (t *Tx) AddEntry(f *FreshEntry) error {
	e := f.Entry
	var source, day, reverses, change any
	if !f.Change.IsZero() {
		change = f.Change
	}
	if !e.Source.IsZero() {
		source, day = e.Source.Period.Start(), e.Source.Day
	}
	if !e.Reverses.IsZero() {
		reverses = e.Reverses
	}
	digest := sha256.Sum256(f.Canonical)
	if err := t.exec("add journal entry", `insert into journal_entry (tenant_id, entry_id, number, kind, treatment, posting_period, entry_date, source_period, source_day, requests, usage_batches,
			adjustment_batches, charges_pico, fingerprint, reverses, memo, lines, total_cents, canonical, digest, change_id, record_id, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::numeric, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`,
		t.Tenant, e.ID, e.Number, string(e.Kind), string(e.Treatment), e.Period.Start(), e.Date, source, day, e.Source.Requests, e.Source.UsageBatches,
		e.Source.AdjustmentBatches, e.Source.Charges.Digits(), f.Fingerprint, reverses, e.Memo, len(e.Lines), int64(e.Total()), f.Canonical, digest[:], change, f.Record, t.Now); err != nil {
		return err
	}
	var places, cents []int64
	var texts [11][]string
	var bases []string
	for i := range e.Lines {
		l := &e.Lines[i]
		node := ""
		if !l.Node.IsZero() {
			node = l.Node.UUID()
		}
		places, cents, bases = append(places, int64(i)+1), append(cents, int64(l.Cents)), append(bases, l.Basis.Digits())
		for k, text := range [...]string{string(l.Account), l.Entity, l.Counterparty, node, l.NodeCode, l.NodePath, l.GLAccount, l.Capitalization, l.Workspace, l.Currency, l.Memo} {
			texts[k] = append(texts[k], text)
		}
	}
	return t.exec("add journal lines", `insert into journal_line (tenant_id, entry_id, place, cents, basis_pico, account, entity, counterparty, node_id, node_code, node_path, gl_account, capitalization, workspace, currency, memo)
		select $1, $2, p, c, b::numeric, a, e, x, nullif(n, '')::uuid, d, h, g, z, w, u, m
		from unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[])
			as s(p, c, b, a, e, x, n, d, h, g, z, w, u, m)`,
		t.Tenant, e.ID, places, cents, bases, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6], texts[7], texts[8], texts[9], texts[10])
}

// EntryRow is one entry in a list.
type EntryRow struct {
	EntryID           id.Entry
	Number            int64
	Kind              string
	Treatment         string
	PostingPeriod     time.Time
	EntryDate         time.Time
	SourcePeriod      *time.Time
	SourceDay         *time.Time
	Requests          int64
	UsageBatches      int64
	AdjustmentBatches int64
	ChargesPico       string
	Reverses          *id.Entry
	ReversesNumber    int64 // 0: it reverses none
	ReversedBy        *id.Entry
	ReversedNumber    int64 // 0: none reverses it
	Memo              string
	Lines             int
	TotalCents        int64
	Digest            []byte
	ChangeID          *id.Change
	RecordID          id.Record
	RecordedAt        time.Time
}

const entryColumns = `e.entry_id, e.number, e.kind, e.treatment, e.posting_period, e.entry_date, e.source_period, e.source_day, e.requests, e.usage_batches, e.adjustment_batches,
	e.charges_pico::text as charges_pico, e.reverses, coalesce(o.number, 0) as reverses_number, r.entry_id as reversed_by, coalesce(r.number, 0) as reversed_number,
	e.memo, e.lines, e.total_cents, e.digest, e.change_id, e.record_id, e.recorded_at
	from journal_entry e left join journal_entry r on r.tenant_id = e.tenant_id and r.reverses = e.entry_id
	left join journal_entry o on o.tenant_id = e.tenant_id and o.entry_id = e.reverses`

// EntryFilter narrows a list of entries.
type EntryFilter struct {
	Month   period.Month // posted to; zero: any
	Kind    string
	Account string
	Entity  *string // nil: any
	Before  int64   // numbers below it; 0: all
	Limit   int
}

// Entries lists entries, the newest number first.
func (t *Tx) Entries(f *EntryFilter) ([]EntryRow, error) {
	s := &statement{text: `select ` + entryColumns + ` where e.tenant_id = ?`, args: []any{t.Tenant}}
	if f.Month != (period.Month{}) {
		s.and("e.posting_period = ?", f.Month.Start())
	}
	if f.Kind != "" {
		s.and("e.kind = ?", f.Kind)
	}
	if f.Account != "" || f.Entity != nil {
		on := []string{"l.tenant_id = e.tenant_id and l.entry_id = e.entry_id and l.cents <> 0"}
		var args []any
		if f.Account != "" {
			on, args = append(on, "l.account = ?"), append(args, f.Account)
		}
		if f.Entity != nil {
			on, args = append(on, "l.entity = ?"), append(args, *f.Entity)
		}
		s.and("exists (select from journal_line l where "+strings.Join(on, " and ")+")", args...)
	}
	if f.Before > 0 {
		s.and("e.number < ?", f.Before)
	}
	s.add(" order by e.number desc limit ?", f.Limit)
	var rows []EntryRow
	err := t.scan("list journal entries", &rows, s.text, s.args...)
	return rows, err
}

// Entry reads one entry; found is false when there is none.
func (t *Tx) Entry(entry id.Entry) (EntryRow, bool, error) {
	var rows []EntryRow
	err := t.scan("read journal entry", &rows, `select `+entryColumns+` where e.tenant_id = ? and e.entry_id = ?`, t.Tenant, entry)
	if err != nil || len(rows) == 0 {
		return EntryRow{}, false, err
	}
	return rows[0], true, nil
}

// OriginRow is the entry that a chain of reversals began with, and the invoice that was booked
// in its place and stands.
type OriginRow struct {
	Kind         string
	Number       int64
	Invoice      string // its number; empty: none
	InvoiceEntry int64
}

// EntryOrigin finds the entry that an entry takes back, and that one, to the first; of an entry
// that takes none back, itself.
func (t *Tx) EntryOrigin(entry id.Entry) (OriginRow, error) {
	var rows []OriginRow
	err := t.scan("find origin of entry", &rows, `with recursive chain as (
			select e.entry_id, e.kind, e.number, e.source_day, e.reverses from journal_entry e where e.tenant_id = @t and e.entry_id = @e
			union all select o.entry_id, o.kind, o.number, o.source_day, o.reverses from chain c join journal_entry o on o.tenant_id = @t and o.entry_id = c.reverses)
		select f.kind, f.number, coalesce(b.invoice, '') as invoice, coalesce(b.number, 0) as invoice_entry from chain f left join lateral (
			select i.number as invoice, j.number from invoice i join allocation a on a.tenant_id = i.tenant_id and a.invoice_id = i.invoice_id
				join journal_entry j on j.tenant_id = a.tenant_id and j.entry_id = a.entry_id
			where i.tenant_id = @t and i.bills_usage and i.service_from <= f.source_day and i.service_to > f.source_day and j.number > f.number
				and not exists (select from journal_entry r where r.tenant_id = a.tenant_id and r.reverses = a.entry_id) limit 1) b on true
		where f.reverses is null`, map[string]any{"t": t.Tenant, "e": entry})
	if err != nil || len(rows) == 0 {
		return OriginRow{}, err
	}
	return rows[0], nil
}

// EntryBytes reads an entry's canonical bytes; found is false when there is none.
func (t *Tx) EntryBytes(entry id.Entry) ([]byte, bool, error) {
	var canonical []byte
	found, err := t.row("read journal entry", []any{&canonical}, `select canonical from journal_entry where tenant_id = $1 and entry_id = $2`, t.Tenant, entry)
	return canonical, found, err
}

// EntryLines lists an entry's lines in their order.
func (t *Tx) EntryLines(entry id.Entry) ([]JournalLineRow, error) {
	var rows []JournalLineRow
	err := t.scan("read journal lines", &rows, `select `+lineColumns+` from journal_entry e join journal_line l on l.tenant_id = e.tenant_id and l.entry_id = e.entry_id
		where e.tenant_id = ? and e.entry_id = ? order by l.place limit ?`, t.Tenant, entry, ledger.MaxLines)
	return rows, err
}

// BalanceRow is what one account of an entity has: before a month, and in it.
type BalanceRow struct {
	Entity   string
	Account  string
	Currency string
	Opening  string // cents: debit above zero
	Debits   string // cents, in the month
	Credits  string // cents, in the month, above zero
	Entries  int64  // in the month
}

// Balances sums the lines posted up to the end of a month, as they were known at an
// instant (zero: now), by entity and account.
func (t *Tx) Balances(m period.Month, known time.Time) ([]BalanceRow, error) {
	s := &statement{text: `select l.entity, l.account, l.currency, coalesce(sum(l.cents) filter (where e.posting_period < ?), 0)::text as opening,
			coalesce(sum(l.cents) filter (where e.posting_period = ? and l.cents > 0), 0)::text as debits, coalesce(-sum(l.cents) filter (where e.posting_period = ? and l.cents < 0), 0)::text as credits,
			count(distinct e.entry_id) filter (where e.posting_period = ? and l.cents <> 0) as entries
		from journal_entry e join journal_line l on l.tenant_id = e.tenant_id and l.entry_id = e.entry_id where e.tenant_id = ?`, args: []any{m.Start(), m.Start(), m.Start(), m.Start(), t.Tenant}}
	s.and("e.posting_period <= ?", m.Start())
	if !known.IsZero() {
		s.and("e.recorded_at <= ?", known)
	}
	s.add(" group by l.entity, l.account, l.currency order by l.entity, l.account, l.currency")
	var rows []BalanceRow
	err := t.scan("sum accounts", &rows, s.text, s.args...)
	return rows, err
}

// EntryMonths lists the months that have entries, the latest first.
func (t *Tx) EntryMonths(limit int) ([]time.Time, error) {
	var rows []struct{ PostingPeriod time.Time }
	err := t.scan("list months of entries", &rows, `select distinct posting_period from journal_entry where tenant_id = ? order by posting_period desc limit ?`, t.Tenant, limit)
	months := make([]time.Time, 0, len(rows))
	for _, r := range rows {
		months = append(months, r.PostingPeriod)
	}
	return months, err
}

// BooksRow is how charges are booked from an instant on.
type BooksRow struct {
	Version       int
	Treatment     string
	Payer         string // empty: the first entity of the hierarchy
	Workspace     string
	EffectiveFrom time.Time
	ChangeID      id.Change
}

// LockBooks makes the transaction the only one that changes how charges are booked.
func (t *Tx) LockBooks() error {
	return t.exec("lock books", `select pg_advisory_xact_lock(hashtextextended('books:' || $1, 0))`, t.Tenant.UUID())
}

// AddBooks stores the next version of how charges are booked.
func (t *Tx) AddBooks(r *BooksRow) error {
	return t.exec("add books", `insert into books_version (tenant_id, version, treatment, payer, workspace, effective_from, recorded_at, change_id)
		select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7 from books_version where tenant_id = $1`,
		t.Tenant, r.Treatment, r.Payer, r.Workspace, r.EffectiveFrom, t.Now, r.ChangeID)
}

// Books lists how charges were booked, the latest version first.
func (t *Tx) Books(limit int) ([]BooksRow, error) {
	var rows []BooksRow
	err := t.scan("list books", &rows, `select version, treatment, payer, workspace, effective_from, change_id from books_version where tenant_id = ? order by version desc limit ?`, t.Tenant, limit)
	return rows, err
}
