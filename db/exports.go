package db

import (
	"crypto/sha256"
	"time"

	"tollbook/app/export/erp"
	"tollbook/app/id"
	"tollbook/app/period"
)

// LockExports makes the transaction the only one that exports journals for the tenant, or
// changes a mapping, until it ends.
func (t *Tx) LockExports() error {
	return t.exec("lock exports", `select pg_advisory_xact_lock(hashtextextended('exports:' || $1, 0))`, t.Tenant.UUID())
}

// AccountMappingRow is one version of what a system calls our accounts, nodes, entities and months.
type AccountMappingRow struct {
	System        string
	Version       int
	InUse         bool
	Document      []byte
	Digest        []byte
	Rules         int
	EffectiveFrom time.Time
	RecordedAt    time.Time
	ChangeID      id.Change
	Number        int64 // of the change
	Maker         string
	Reason        string
}

// AddAccountMapping stores the next version of a system's mapping.
func (t *Tx) AddAccountMapping(r *AccountMappingRow) error {
	digest := sha256.Sum256(r.Document)
	return t.exec("add account mapping", `insert into account_mapping (tenant_id, system, version, in_use, document, digest, rules, effective_from, recorded_at, change_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, t.Tenant, r.System, r.Version, r.InUse, r.Document, digest[:], r.Rules, r.EffectiveFrom, t.Now, r.ChangeID)
}

const mappingColumns = `m.system, m.version, m.in_use, m.document, m.digest, m.rules, m.effective_from, m.recorded_at, m.change_id, c.number, c.maker, c.reason
	from account_mapping m join change c on c.tenant_id = m.tenant_id and c.change_id = m.change_id where m.tenant_id = ?`

// AccountMappings lists the latest version of every system's mapping, by system.
func (t *Tx) AccountMappings() ([]AccountMappingRow, error) {
	var rows []AccountMappingRow
	err := t.scan("list account mappings", &rows, `select distinct on (m.system) `+mappingColumns+` order by m.system, m.version desc`, t.Tenant)
	return rows, err
}

// AccountMappingVersions lists versions of one system's mapping, the latest first.
func (t *Tx) AccountMappingVersions(system string, limit int) ([]AccountMappingRow, error) {
	var rows []AccountMappingRow
	err := t.scan("list account mapping's versions", &rows, `select `+mappingColumns+` and m.system = ? order by m.version desc limit ?`, t.Tenant, system, limit)
	return rows, err
}

// PostedLineRow is a line of a month of the books with what its entry says.
type PostedLineRow struct {
	JournalLineRow

	Number     int64
	EntryDate  time.Time
	Treatment  string
	ChangeID   *id.Change
	RecordedAt time.Time
}

// PostedLines lists the lines posted to a month, by entity and entry.
func (t *Tx) PostedLines(m period.Month, limit int) ([]PostedLineRow, error) {
	var rows []PostedLineRow
	err := t.scan("read what is posted to a month", &rows, `select `+lineColumns+`, e.number, e.entry_date, e.treatment, e.change_id, e.recorded_at
		from journal_entry e join journal_line l on l.tenant_id = e.tenant_id and l.entry_id = e.entry_id
		where e.tenant_id = ? and e.posting_period = ? order by l.entity, e.number, l.place limit ?`, t.Tenant, m.Start(), limit)
	return rows, err
}

// ExportRow is a journal as it was exported to a system.
type ExportRow struct {
	ExportID       id.Export
	Number         int64
	System         string
	PostingPeriod  time.Time
	Entity         string
	Draft          bool
	Revision       int
	ExternalID     string
	MappingVersion int
	Supersedes     *id.Export
	SupersededBy   *id.Export
	Entries        int
	Lines          int
	TotalCents     int64
	Digest         []byte
	Files          int
	Documents      int
	Acknowledged   int // documents that have an id there
	RecordID       id.Record
	RecordedAt     time.Time
}

const exportColumns = `x.export_id, x.number, x.system, x.posting_period, x.entity, x.draft, x.revision, x.external_id, x.mapping_version, x.supersedes, s.export_id as superseded_by,
	x.entries, x.lines, x.total_cents, x.digest, x.record_id, x.recorded_at,
	(select count(*) from journal_export_file f where f.tenant_id = x.tenant_id and f.export_id = x.export_id) as files,
	(select count(distinct p.document) from journal_export_posting p where p.tenant_id = x.tenant_id and p.export_id = x.export_id) as documents,
	(select count(distinct a.document) from export_acknowledgment a where a.tenant_id = x.tenant_id and a.export_id = x.export_id) as acknowledged
	from journal_export x left join journal_export s on s.tenant_id = x.tenant_id and s.supersedes = x.export_id where x.tenant_id = ?`

// Exports lists what was exported of a month: what is no draft, then drafts, each the newest first.
func (t *Tx) Exports(m period.Month, limit int) ([]ExportRow, error) {
	var rows []ExportRow
	err := t.scan("list exports", &rows, `select `+exportColumns+` and x.posting_period = ? order by x.draft, x.number desc limit ?`, t.Tenant, m.Start(), limit)
	return rows, err
}

// Export reads one export; found is false when there is none.
func (t *Tx) Export(export id.Export) (ExportRow, bool, error) {
	var rows []ExportRow
	err := t.scan("read export", &rows, `select `+exportColumns+` and x.export_id = ?`, t.Tenant, export)
	if err != nil || len(rows) == 0 {
		return ExportRow{}, false, err
	}
	return rows[0], true, nil
}

// ExportedEntryRow is an entry that is in an export.
type ExportedEntryRow struct {
	ExportID id.Export
	EntryID  id.Entry
	Number   int64
}

// ExportedEntries lists the entries in exports of a month to a system that stand: drafts
// and what was superseded do not.
func (t *Tx) ExportedEntries(system string, m period.Month) ([]ExportedEntryRow, error) {
	var rows []ExportedEntryRow
	err := t.scan("list exported entries", &rows, `select x.export_id, e.entry_id, j.number from journal_export x join journal_export_entry e on e.tenant_id = x.tenant_id and e.export_id = x.export_id
		join journal_entry j on j.tenant_id = e.tenant_id and j.entry_id = e.entry_id
		where x.tenant_id = ? and x.system = ? and x.posting_period = ? and not x.draft
			and not exists (select from journal_export s where s.tenant_id = x.tenant_id and s.supersedes = x.export_id) order by j.number`, t.Tenant, system, m.Start())
	return rows, err
}

// Unexported counts the entries of a month that a system should have and no export that stands
// holds, an entry once for each entity that it has lines of.
func (t *Tx) Unexported(system string, m period.Month) (int, error) {
	var n int
	_, err := t.row("count unexported entries", []any{&n}, `select count(*) from (select distinct e.entry_id, l.entity from journal_entry e
			join journal_line l on l.tenant_id = e.tenant_id and l.entry_id = e.entry_id and l.cents <> 0
			where e.tenant_id = $1 and e.posting_period = $3 and e.treatment <> 'showback') own
		where not exists (select from journal_export x join journal_export_entry i on i.tenant_id = x.tenant_id and i.export_id = x.export_id
			where x.tenant_id = $1 and x.system = $2 and x.posting_period = $3 and x.entity = own.entity and not x.draft and i.entry_id = own.entry_id
				and not exists (select from journal_export s where s.tenant_id = x.tenant_id and s.supersedes = x.export_id))`, t.Tenant, system, m.Start())
	return n, err
}

// ExportEntries lists the entries of one export by number.
func (t *Tx) ExportEntries(export id.Export) ([]ExportedEntryRow, error) {
	var rows []ExportedEntryRow
	err := t.scan("list entries of an export", &rows, `select e.export_id, e.entry_id, j.number from journal_export_entry e join journal_entry j on j.tenant_id = e.tenant_id and j.entry_id = e.entry_id
		where e.tenant_id = ? and e.export_id = ? order by j.number`, t.Tenant, export)
	return rows, err
}

// ExportFileRow is one file of an export. Content and manifest are there where it is read alone.
type ExportFileRow struct {
	Place    int
	Name     string
	Bytes    int
	Digest   []byte
	Content  []byte
	Manifest []byte
}

// ExportFiles lists an export's files with their manifests, without their content.
func (t *Tx) ExportFiles(export id.Export) ([]ExportFileRow, error) {
	var rows []ExportFileRow
	err := t.scan("list files of an export", &rows, `select place, name, length(content) as bytes, digest, manifest from journal_export_file where tenant_id = ? and export_id = ? order by place`, t.Tenant, export)
	return rows, err
}

// ExportFile reads one file; found is false when there is none.
func (t *Tx) ExportFile(export id.Export, place int) (ExportFileRow, bool, error) {
	var rows []ExportFileRow
	err := t.scan("read file of an export", &rows, `select place, name, length(content) as bytes, digest, content, manifest from journal_export_file where tenant_id = ? and export_id = ? and place = ?`, t.Tenant, export, place)
	if err != nil || len(rows) == 0 {
		return ExportFileRow{}, false, err
	}
	return rows[0], true, nil
}

// FreshExport is an export to store, whose audit record is in this transaction already.
type FreshExport struct {
	ExportRow

	EntryIDs []id.Entry
	Contents []ExportFileRow
	Postings []erp.Posting
}

// AddExport stores an export with its files, entries and postings.
func (t *Tx) AddExport(f *FreshExport) error {
	var supersedes any
	if f.Supersedes != nil {
		supersedes = *f.Supersedes
	}
	if err := t.exec("add export", `insert into journal_export (tenant_id, export_id, number, system, posting_period, entity, draft, revision, external_id, mapping_version, supersedes, entries, lines,
			total_cents, digest, record_id, recorded_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		t.Tenant, f.ExportID, f.Number, f.System, f.PostingPeriod, f.Entity, f.Draft, f.Revision, f.ExternalID, f.MappingVersion, supersedes, len(f.EntryIDs), f.Lines,
		f.TotalCents, f.Digest, f.RecordID, t.Now); err != nil {
		return err
	}
	entries := make([]string, 0, len(f.EntryIDs))
	for _, e := range f.EntryIDs {
		entries = append(entries, e.UUID())
	}
	if err := t.exec("add entries of export", `insert into journal_export_entry (tenant_id, export_id, entry_id) select $1, $2, unnest($3::uuid[])`, t.Tenant, f.ExportID, entries); err != nil {
		return err
	}
	for i := range f.Contents {
		c := &f.Contents[i]
		digest := sha256.Sum256(c.Content)
		if err := t.exec("add file of export", `insert into journal_export_file (tenant_id, export_id, place, name, content, digest, manifest) values ($1, $2, $3, $4, $5, $6, $7)`,
			t.Tenant, f.ExportID, i+1, c.Name, c.Content, digest[:], c.Manifest); err != nil {
			return err
		}
	}
	var texts [3][]string
	var debits, credits []int64
	for i := range f.Postings {
		p := &f.Postings[i]
		texts[0], texts[1], texts[2] = append(texts[0], p.Document), append(texts[1], p.Entity), append(texts[2], p.Account)
		debits, credits = append(debits, int64(p.Debit)), append(credits, int64(p.Credit))
	}
	return t.exec("add postings of export", `insert into journal_export_posting (tenant_id, export_id, document, entity, account, debit_cents, credit_cents)
		select $1, $2, d, e, a, b, c from unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) as s(d, e, a, b, c)`, t.Tenant, f.ExportID, texts[0], texts[1], texts[2], debits, credits)
}

// ExportPostingRow is what a document of an export posts to an account, in the system's words.
type ExportPostingRow struct {
	ExportID    id.Export
	Document    string
	Entity      string
	Account     string
	DebitCents  int64
	CreditCents int64
}

// ExportPostings lists what the exports of a month to a system post that stand.
func (t *Tx) ExportPostings(system string, m period.Month) ([]ExportPostingRow, error) {
	var rows []ExportPostingRow
	err := t.scan("list postings of exports", &rows, `select p.export_id, p.document, p.entity, p.account, p.debit_cents, p.credit_cents
		from journal_export x join journal_export_posting p on p.tenant_id = x.tenant_id and p.export_id = x.export_id
		where x.tenant_id = ? and x.system = ? and x.posting_period = ? and not x.draft
			and not exists (select from journal_export s where s.tenant_id = x.tenant_id and s.supersedes = x.export_id) order by p.document, p.entity, p.account`, t.Tenant, system, m.Start())
	return rows, err
}

// AcknowledgmentRow is what a system made of a document.
type AcknowledgmentRow struct {
	ExportID   id.Export
	Document   string
	Place      int
	ErpID      string
	PostedOn   time.Time
	ChangeID   id.Change
	RecordedAt time.Time
}

// AddAcknowledgments stores what a system made of documents.
func (t *Tx) AddAcknowledgments(rows []AcknowledgmentRow) error {
	for i := range rows {
		r := &rows[i]
		if err := t.exec("add acknowledgment", `insert into export_acknowledgment (tenant_id, export_id, document, place, erp_id, posted_on, change_id, recorded_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
			t.Tenant, r.ExportID, r.Document, r.Place, r.ErpID, r.PostedOn, r.ChangeID, t.Now); err != nil {
			return err
		}
	}
	return nil
}

// Acknowledgments lists what a system made of documents, in a month or (zero) in all, the
// latest of each.
func (t *Tx) Acknowledgments(system string, m period.Month) ([]AcknowledgmentRow, error) {
	s := &statement{text: `select distinct on (a.export_id, a.document) a.export_id, a.document, a.place, a.erp_id, a.posted_on, a.change_id, a.recorded_at
		from journal_export x join export_acknowledgment a on a.tenant_id = x.tenant_id and a.export_id = x.export_id where x.tenant_id = ? and x.system = ?`, args: []any{t.Tenant, system}}
	if m != (period.Month{}) {
		s.and("x.posting_period = ?", m.Start())
	}
	s.add(" order by a.export_id, a.document, a.place desc")
	var rows []AcknowledgmentRow
	err := t.scan("list acknowledgments", &rows, s.text, s.args...)
	return rows, err
}

// ActualsRow is one import of what the general ledger says of a month.
type ActualsRow struct {
	System        string
	PostingPeriod time.Time
	Place         int
	Content       []byte
	Digest        []byte
	Lines         int
	DebitCents    int64
	CreditCents   int64
	ChangeID      id.Change
	RecordedAt    time.Time
}

// ActualLineRow is one line of it.
type ActualLineRow struct {
	Line        int
	Entity      string
	Account     string
	DebitCents  int64
	CreditCents int64
	ExternalID  string
	ErpID       string
}

// AddActuals stores an import with its lines.
func (t *Tx) AddActuals(r *ActualsRow, lines []ActualLineRow) error {
	digest := sha256.Sum256(r.Content)
	if err := t.exec("add actuals", `insert into gl_actuals (tenant_id, system, posting_period, place, content, digest, lines, debit_cents, credit_cents, change_id, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, t.Tenant, r.System, r.PostingPeriod, r.Place, r.Content, digest[:], len(lines), r.DebitCents, r.CreditCents, r.ChangeID, t.Now); err != nil {
		return err
	}
	var texts [4][]string
	var numbers, debits, credits []int64
	for i := range lines {
		l := &lines[i]
		numbers, debits, credits = append(numbers, int64(l.Line)), append(debits, l.DebitCents), append(credits, l.CreditCents)
		for k, text := range [...]string{l.Entity, l.Account, l.ExternalID, l.ErpID} {
			texts[k] = append(texts[k], text)
		}
	}
	return t.exec("add lines of actuals", `insert into gl_actual_line (tenant_id, system, posting_period, place, line, entity, account, debit_cents, credit_cents, external_id, erp_id)
		select $1, $2, $3, $4, n, e, a, d, c, x, i from unnest($5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::text[]) as s(n, e, a, d, c, x, i)`,
		t.Tenant, r.System, r.PostingPeriod, r.Place, numbers, texts[0], texts[1], debits, credits, texts[2], texts[3])
}

// Actuals lists the imports of a month from a system, the latest first, without their files.
func (t *Tx) Actuals(system string, m period.Month, limit int) ([]ActualsRow, error) {
	var rows []ActualsRow
	err := t.scan("list actuals", &rows, `select system, posting_period, place, digest, lines, debit_cents, credit_cents, change_id, recorded_at from gl_actuals
		where tenant_id = ? and system = ? and posting_period = ? order by place desc limit ?`, t.Tenant, system, m.Start(), limit)
	return rows, err
}

// ActualLines lists the lines of one import.
func (t *Tx) ActualLines(system string, m period.Month, place int) ([]ActualLineRow, error) {
	var rows []ActualLineRow
	err := t.scan("list lines of actuals", &rows, `select line, entity, account, debit_cents, credit_cents, external_id, erp_id from gl_actual_line
		where tenant_id = ? and system = ? and posting_period = ? and place = ? order by line`, t.Tenant, system, m.Start(), place)
	return rows, err
}

// ExportDocumentRow is a document of an export.
type ExportDocumentRow struct {
	Document      string
	ExportID      id.Export
	PostingPeriod time.Time
	Draft         bool
	Superseded    bool
}

// ExportDocuments lists the documents of all exports to a system, the newest first.
func (t *Tx) ExportDocuments(system string, limit int) ([]ExportDocumentRow, error) {
	var rows []ExportDocumentRow
	err := t.scan("list documents of exports", &rows, `select d.document, x.export_id, x.posting_period, x.draft,
			exists (select from journal_export s where s.tenant_id = x.tenant_id and s.supersedes = x.export_id) as superseded
		from journal_export x cross join lateral (select distinct p.document from journal_export_posting p where p.tenant_id = x.tenant_id and p.export_id = x.export_id) d
		where x.tenant_id = ? and x.system = ? order by x.number desc, d.document limit ?`, t.Tenant, system, limit)
	return rows, err
}
