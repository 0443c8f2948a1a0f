package db

import (
	"crypto/sha256"
	"strings"
	"time"

	"tollbook/app/allocation"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
)

// FreshInvoice is an invoice to store, with the bytes that its digest covers.
type FreshInvoice struct {
	ID        id.Invoice
	Revision  int
	Invoice   *invoice.Invoice
	Canonical []byte
	Change    id.Change
	Record    id.Record
}

// AddInvoice stores an invoice and its lines, whose audit record is in this transaction already.
func (t *Tx) AddInvoice(f *FreshInvoice) error {
	i := f.Invoice
	digest := sha256.Sum256(f.Canonical)
	if err := t.exec("add invoice", `insert into invoice (tenant_id, invoice_id, number, workspace, revision, issuer, issued_on, due_on, service_from, service_to, currency, reference, lines, total_cents,
			bills_usage, canonical, digest, change_id, record_id, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		t.Tenant, f.ID, i.Number, i.Workspace, f.Revision, i.Issuer, i.IssuedOn, i.DueOn, i.From, i.To, i.Currency, i.Reference, len(i.Lines), int64(i.Total),
		i.HasUsage(), f.Canonical, digest[:], f.Change, f.Record, t.Now); err != nil {
		return err
	}
	var places, cents []int64
	var kinds, descriptions, nodes []string
	for n := range i.Lines {
		l := &i.Lines[n]
		places, cents = append(places, int64(n)+1), append(cents, int64(l.Amount))
		kinds, descriptions, nodes = append(kinds, string(l.Kind)), append(descriptions, l.Description), append(nodes, l.Node)
	}
	return t.exec("add invoice's lines", `insert into invoice_line (tenant_id, invoice_id, place, kind, description, node_code, cents)
		select $1, $2, p, k, d, n, c from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[]) as u(p, k, d, n, c)`,
		t.Tenant, f.ID, places, kinds, descriptions, nodes, cents)
}

// InvoiceRow is an invoice without its lines, and what became of it.
type InvoiceRow struct {
	InvoiceID     id.Invoice
	Number        string
	Workspace     string
	Revision      int
	Issuer        string
	IssuedOn      time.Time
	DueOn         time.Time
	ServiceFrom   time.Time
	ServiceTo     time.Time
	Currency      string
	Reference     string
	Lines         int
	TotalCents    int64
	BillsUsage    bool
	Canonical     []byte
	Digest        []byte
	ChangeID      id.Change
	ChangeNumber  int64
	Maker         string
	RecordID      id.Record
	RecordedAt    time.Time
	Superseded    bool           // a later revision is there
	AllocationID  *id.Allocation // that stands: none whose entry was taken back
	AllocatedAt   *time.Time
	LedgerPico    string // what the cycle was charged when it was allocated
	EntryID       *id.Entry
	EntryNumber   int64
	ResidualCents int64
	PaperName     string // empty: none came with it
	PaperHash     []byte
	PaperBytes    int
}

// Invoice is the row as its noun has it, without lines.
func (r *InvoiceRow) Invoice() invoice.Invoice {
	return invoice.Invoice{
		Number: r.Number, Workspace: r.Workspace, Issuer: r.Issuer, IssuedOn: r.IssuedOn.UTC(), DueOn: r.DueOn.UTC(), From: r.ServiceFrom.UTC(), To: r.ServiceTo.UTC(),
		Currency: r.Currency, Reference: r.Reference, Total: money.Cents(r.TotalCents),
	}
}

const invoiceRows = `select i.invoice_id, i.number, i.workspace, i.revision, i.issuer, i.issued_on, i.due_on, i.service_from, i.service_to, i.currency, i.reference, i.lines, i.total_cents, i.bills_usage,
		i.canonical, i.digest, i.change_id, c.number as change_number, c.maker, i.record_id, i.recorded_at,
		exists (select from invoice n where n.tenant_id = i.tenant_id and n.workspace = i.workspace and n.number = i.number and n.revision > i.revision) as superseded,
		a.allocation_id, a.recorded_at as allocated_at, coalesce(a.ledger_pico, 0)::text as ledger_pico, a.entry_id, coalesce(e.number, 0) as entry_number, coalesce(a.residual_cents, 0) as residual_cents,
		coalesce(p.name, '') as paper_name, p.sha256 as paper_hash, coalesce(length(p.content), 0) as paper_bytes
	from invoice i join change c on c.tenant_id = i.tenant_id and c.change_id = i.change_id
	left join invoice_paper p on p.tenant_id = i.tenant_id and p.change_id = i.change_id
	left join lateral (select a.* from allocation a where a.tenant_id = i.tenant_id and a.invoice_id = i.invoice_id
		and not exists (select from journal_entry r where r.tenant_id = a.tenant_id and r.reverses = a.entry_id) order by a.recorded_at desc, a.allocation_id desc limit 1) a on true
	left join journal_entry e on e.tenant_id = a.tenant_id and e.entry_id = a.entry_id
	where i.tenant_id = ?`

// InvoiceFilter narrows a list of invoices.
type InvoiceFilter struct {
	From, To  time.Time // cycles with a day in between; zero: all
	Workspace string    // empty: all
	Number    string    // empty: all
	Change    id.Change // that entered them; zero: all
	Billing   bool      // those alone that bill requests, each in its latest revision
	Standing  bool      // those alone without a later revision
	Before    time.Time // issued before it, for the next page; zero: the newest
	BeforeID  id.Invoice
	Limit     int
}

// Invoices lists invoices, the one issued last first.
func (t *Tx) Invoices(f *InvoiceFilter) ([]InvoiceRow, error) {
	query, args := invoiceRows, []any{t.Tenant}
	narrow := func(clause string, values ...any) { query, args = query+clause, append(args, values...) }
	if !f.To.IsZero() {
		narrow(` and i.service_from < ? and i.service_to > ?`, f.To, f.From)
	}
	if f.Workspace != "" {
		narrow(` and i.workspace = ?`, f.Workspace)
	}
	if f.Number != "" {
		narrow(` and i.number = ?`, f.Number)
	}
	if f.Billing {
		narrow(` and i.bills_usage`)
	}
	if f.Billing || f.Standing {
		narrow(` and not exists (select from invoice n where n.tenant_id = i.tenant_id and n.workspace = i.workspace and n.number = i.number and n.revision > i.revision)`)
	}
	if !f.Change.IsZero() {
		narrow(` and i.change_id = ?`, f.Change)
	}
	if !f.Before.IsZero() {
		narrow(` and (i.issued_on, i.invoice_id) < (?, ?)`, f.Before, f.BeforeID)
	}
	var rows []InvoiceRow
	err := t.scan("list invoices", &rows, query+` order by i.issued_on desc, i.invoice_id desc limit ?`, append(args, f.Limit)...)
	return rows, err
}

// ErrInvoiceAbsent reports an invoice that is not there, or not the reader's.
var ErrInvoiceAbsent = fault.New(fault.KindNotFound, "invoice_absent", "There is no such invoice.")

// Invoice reads one invoice and its lines.
func (t *Tx) Invoice(of id.Invoice) (InvoiceRow, []invoice.Line, error) {
	var rows []InvoiceRow
	if err := t.scan("read invoice", &rows, invoiceRows+` and i.invoice_id = ?`, t.Tenant, of); err != nil || len(rows) == 0 {
		if err == nil {
			err = ErrInvoiceAbsent
		}
		return InvoiceRow{}, nil, err
	}
	var lines []struct {
		Kind, Description, NodeCode string
		Cents                       int64
	}
	err := t.scan("read invoice's lines", &lines, `select kind, description, node_code, cents from invoice_line where tenant_id = ? and invoice_id = ? order by place`, t.Tenant, of)
	list := make([]invoice.Line, 0, len(lines))
	for _, l := range lines {
		list = append(list, invoice.Line{Kind: invoice.Kind(l.Kind), Description: l.Description, Node: l.NodeCode, Amount: money.Cents(l.Cents)})
	}
	return rows[0], list, err
}

// Paper is the file that came with an invoice.
type Paper struct {
	Name      string
	MediaType string
	Content   []byte
}

// AddPaper keeps the file that comes with the invoices of a change.
func (t *Tx) AddPaper(change id.Change, p *Paper) error {
	digest := sha256.Sum256(p.Content)
	return t.exec("keep paper of invoice", `insert into invoice_paper (tenant_id, change_id, name, media_type, sha256, content, recorded_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, change, p.Name, p.MediaType, digest[:], p.Content, t.Now)
}

// Paper reads the file that came with an invoice; found is false where none did.
func (t *Tx) Paper(of id.Invoice) (p Paper, found bool, err error) {
	found, err = t.row("read paper of invoice", []any{&p.Name, &p.MediaType, &p.Content}, `select p.name, p.media_type, p.content from invoice i
		join invoice_paper p on p.tenant_id = i.tenant_id and p.change_id = i.change_id where i.tenant_id = $1 and i.invoice_id = $2`, t.Tenant, of)
	return p, found, err
}

// ChargedRow is what was charged over days to a placement, whatever month it was posted to.
type ChargedRow struct {
	NodeID         id.Node
	Path           string // codes from the root down, separated by the unit separator, 0x1f
	Entity         string
	Capitalization string
	ChargePico     string
}

// ChargedOver sums charges of UTC days, from one up to another, by node as it was.
func (t *Tx) ChargedOver(from, to time.Time) ([]ChargedRow, error) {
	var rows []ChargedRow
	err := t.scan("sum charges of a cycle", &rows, `select p.node_id, array_to_string(p.path, E'\x1f') as path, p.entity, p.capitalization, sum(r.charge_pico)::text as charge_pico
		from rollup_placement_day r join placement p on p.tenant_id = r.tenant_id and p.placement_id = r.placement_id
		where r.tenant_id = ? and r.posting_period >= ? and r.day >= ? and r.day < ? group by p.node_id, p.path, p.entity, p.capitalization
		having sum(r.charge_pico) <> 0 order by p.path, p.node_id, p.entity, p.capitalization`, t.Tenant, period.MonthOf(from).Start(), from, to)
	return rows, err
}

// ChargedDays sums the charges of UTC days, from one up to another, by day.
func (t *Tx) ChargedDays(from, to time.Time) (map[time.Time]money.Sum, error) {
	var rows []struct {
		Day        time.Time
		ChargePico string
	}
	if err := t.scan("sum charges by day", &rows, `select day, sum(charge_pico)::text as charge_pico from rollup_placement_day
		where tenant_id = ? and posting_period >= ? and day >= ? and day < ? group by day`, t.Tenant, period.MonthOf(from).Start(), from, to); err != nil {
		return nil, err
	}
	days := make(map[time.Time]money.Sum, len(rows))
	for _, r := range rows {
		sum, err := money.SumOfPico(r.ChargePico)
		if err != nil {
			return nil, err
		}
		days[r.Day.UTC()] = sum
	}
	return days, nil
}

// stands tells of entry e that nothing took it back, or what did was taken back itself.
const stands = `(with recursive back as (select r.entry_id from journal_entry r where r.tenant_id = e.tenant_id and r.reverses = e.entry_id
	union all select r.entry_id from back b join journal_entry r on r.tenant_id = e.tenant_id and r.reverses = b.entry_id) select count(*) % 2 = 0 from back)`

// AccruedOver is what accruals and corrections booked for UTC days, from one up to another, by
// what tells lines apart; without entries that are taken back, and of those before an entry's
// number alone (0: all).
func (t *Tx) AccruedOver(from, to time.Time, before int64) ([]ledger.Line, error) {
	var rows []JournalLineRow
	if err := t.scan("sum what is accrued for a cycle", &rows, `select l.account, l.entity, l.counterparty, l.node_id, l.node_code, max(l.node_path) as node_path, max(l.gl_account) as gl_account,
			l.capitalization, l.workspace, l.currency, sum(l.cents)::bigint as cents, '0' as basis_pico
		from journal_entry e join journal_line l on l.tenant_id = e.tenant_id and l.entry_id = e.entry_id
		where e.tenant_id = ? and e.source_day >= ? and e.source_day < ? and (? = 0 or e.number < ?) and `+stands+`
		group by l.account, l.entity, l.counterparty, l.node_id, l.node_code, l.capitalization, l.workspace, l.currency
		order by l.entity, l.account, l.node_code, l.counterparty, l.capitalization, l.workspace`, t.Tenant, from, to, before, before); err != nil {
		return nil, err
	}
	lines := make([]ledger.Line, 0, len(rows))
	for i := range rows {
		line, err := rows[i].Line()
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// FreshAllocation is a run to store, with the bytes that its digest covers.
type FreshAllocation struct {
	ID        id.Allocation
	Invoice   id.Invoice
	Entry     id.Entry // zero: nothing differed from what was booked
	Run       *allocation.Run
	Ledger    money.Sum
	Canonical []byte
	Match     []byte // how the invoice compared with report and ledger
	Change    id.Change
	Record    id.Record
}

// AddAllocation stores a run. The database refuses one that does not bear its invoice when
// the transaction commits.
func (t *Tx) AddAllocation(f *FreshAllocation) error {
	digest := sha256.Sum256(f.Canonical)
	var entry any
	if !f.Entry.IsZero() {
		entry = f.Entry
	}
	if err := t.exec("add allocation", `insert into allocation (tenant_id, allocation_id, invoice_id, entry_id, total_cents, residual_cents, ledger_pico, shares, canonical, digest, match_document, change_id, record_id, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7::numeric, $8, $9, $10, $11, $12, $13, $14)`,
		t.Tenant, f.ID, f.Invoice, entry, int64(f.Run.Total()), int64(f.Run.Residual), f.Ledger.Digits(), len(f.Run.Shares), f.Canonical, digest[:], f.Match, f.Change, f.Record, t.Now); err != nil {
		return err
	}
	var places, of, cents []int64
	var texts [7][]string
	for n := range f.Run.Shares {
		s := &f.Run.Shares[n]
		l := &f.Run.Leaves[s.Leaf]
		places, of, cents = append(places, int64(n)+1), append(of, int64(s.Line)+1), append(cents, int64(s.Amount))
		for k, text := range [...]string{l.Node.UUID(), l.Code, strings.Join(l.Path, " / "), l.Entity, l.GLAccount, l.Capitalization, s.Weight.Digits()} {
			texts[k] = append(texts[k], text)
		}
	}
	return t.exec("add allocation's shares", `insert into allocation_share (tenant_id, allocation_id, place, invoice_place, cents, node_id, node_code, node_path, entity, gl_account, capitalization, weight)
		select $1, $2, p, i, c, n::uuid, d, h, e, g, z, w::numeric
		from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[]) as u(p, i, c, n, d, h, e, g, z, w)`,
		t.Tenant, f.ID, places, of, cents, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6])
}

// ShareRow is what a node bears of a line of an invoice.
type ShareRow struct {
	InvoicePlace   int
	NodeID         id.Node
	NodeCode       string
	NodePath       string
	Entity         string
	GLAccount      string `gorm:"column:gl_account"`
	Capitalization string
	Weight         string
	Cents          int64
}

// Shares lists those of an allocation, by line, at most so many.
func (t *Tx) Shares(of id.Allocation, limit int) ([]ShareRow, error) {
	var rows []ShareRow
	err := t.scan("list shares", &rows, `select invoice_place, node_id, node_code, node_path, entity, gl_account, capitalization, weight::text as weight, cents
		from allocation_share where tenant_id = ? and allocation_id = ? order by place limit ?`, t.Tenant, of, limit)
	return rows, err
}

// SharingRow is a version of who bears fixed and shared cost.
type SharingRow struct {
	Version       int
	Rules         []byte
	EffectiveFrom time.Time
	RecordedAt    time.Time
	ChangeID      id.Change
	Number        int64 // of the change
	Maker         string
}

// Sharing lists versions, the latest first, at most so many.
func (t *Tx) Sharing(limit int) ([]SharingRow, error) {
	var rows []SharingRow
	err := t.scan("list sharing rules", &rows, `select s.version, s.rules, s.effective_from, s.recorded_at, s.change_id, c.number, c.maker
		from sharing_version s join change c on c.tenant_id = s.tenant_id and c.change_id = s.change_id where s.tenant_id = ? order by s.version desc limit ?`, t.Tenant, limit)
	return rows, err
}

// SharingAt is the version that was in force at an instant, if one was.
func (t *Tx) SharingAt(at time.Time) ([]SharingRow, error) {
	var rows []SharingRow
	err := t.scan("read sharing rules", &rows, `select s.version, s.rules, s.effective_from, s.recorded_at, s.change_id, c.number, c.maker
		from sharing_version s join change c on c.tenant_id = s.tenant_id and c.change_id = s.change_id where s.tenant_id = ? and s.recorded_at <= ? order by s.version desc limit 1`, t.Tenant, at)
	return rows, err
}

// AddSharing stores the next version.
func (t *Tx) AddSharing(rules []byte, change id.Change) error {
	return t.exec("add sharing rules", `insert into sharing_version (tenant_id, version, rules, effective_from, recorded_at, change_id)
		select $1, coalesce(max(version), 0) + 1, $2, $3, $3, $4 from sharing_version where tenant_id = $1`, t.Tenant, rules, t.Now, change)
}

// LockInvoices makes the transaction the only one that adds invoices or rules of sharing for
// the tenant, until it ends.
func (t *Tx) LockInvoices() error {
	return t.exec("lock invoices", `select pg_advisory_xact_lock(hashtextextended('invoices:' || $1, 0))`, t.Tenant.UUID())
}
