package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/export/erp"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// ActualsHeads are the columns of a file of what the general ledger says; the last three
// may be missing.
func ActualsHeads() []string {
	return []string{"entity", "account", "period", "debit", "credit", "currency", "external_id", "erp_id"}
}

const (
	actualsNeeded = 5
	maxActuals    = 50_000
	maxImports    = 100
)

// ActualsAsk is what a general ledger says of a month: a CSV with a line for each account
// of an entity, or of each journal where it names them, and what its lines sum to.
type ActualsAsk struct {
	System        string
	Month         period.Month
	File          []byte
	Debit, Credit string // control totals of the report, such as 1234.50
}

var errActualsNothing = fault.New(fault.KindConflict, "actuals_nothing_exported", "Nothing but drafts was exported of that month to the system: there is nothing to compare its figures with.")

// ImportActuals keeps what a general ledger says, all of a file or none: where a line is
// wrong it says so by line and column, and nothing is kept.
func (x *Exports) ImportActuals(ctx context.Context, who Actor, ask ActualsAsk) ([]erp.Flaw, error) {
	_, flaws, err := x.importActuals(ctx, who, ask, "")
	return flaws, err
}

func (x *Exports) importActuals(ctx context.Context, who Actor, ask ActualsAsk, once string) (kept KeptFile, flaws []erp.Flaw, err error) {
	if err := x.changes.allowed(who, changeActuals); err != nil {
		return kept, nil, err
	}
	debit, err := money.ParseCents(ask.Debit)
	if err != nil {
		return kept, nil, fault.Invalid("debit_total", "actuals_total", "The report's debits are an amount such as 1234.50.")
	}
	credit, err := money.ParseCents(ask.Credit)
	if err != nil {
		return kept, nil, fault.Invalid("credit_total", "actuals_total", "The report's credits are an amount such as 1234.50.")
	}
	rows, flaws := erp.ReadTable(ActualsHeads(), actualsNeeded, ask.File, maxActuals)
	if len(flaws) > 0 {
		return kept, flaws, nil
	}
	err = x.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockExports(); err != nil {
			return err
		}
		var err error
		kept, err = doOnce(tx, x.ring, who, once, "export.actuals", ask, func() (KeptFile, error) {
			held, err := tx.ExportedEntries(ask.System, ask.Month)
			if err != nil {
				return KeptFile{}, err
			}
			if len(held) == 0 {
				return KeptFile{}, errActualsNothing
			}
			mapping, err := latestMapping(tx, ask.System)
			if err != nil {
				return KeptFile{}, err
			}
			read := readActuals(rows, &mapping, ask.Month)
			if wrong := slices.Concat(read.flaws, read.totals(debit, credit)); len(wrong) > 0 {
				return KeptFile{}, &flawedError{wrong}
			}
			return x.keepActuals(tx, who, ask, read)
		})
		return err
	})
	flaws, err = withoutFlaws(err)
	return kept, flaws, err
}

func (x *Exports) keepActuals(tx *db.Tx, who Actor, ask ActualsAsk, read *actualsRead) (KeptFile, error) {
	kept := KeptFile{Lines: len(read.lines)}
	earlier, err := tx.Actuals(ask.System, ask.Month, 1)
	if err != nil {
		return kept, err
	}
	place := 1
	digest := sha256.Sum256(ask.File)
	if len(earlier) > 0 {
		place = earlier[0].Place + 1
		if slices.Equal(earlier[0].Digest, digest[:]) {
			return kept, fault.Invalid("file", "actuals_same", "That very file was imported last.")
		}
	}
	payload := map[string]any{
		"system": ask.System, "period": ask.Month.String(), "file_sha256": hex.EncodeToString(digest[:]), "lines": len(read.lines), "debit": read.debit.String(), "credit": read.credit.String(),
	}
	_, err = x.changes.change(tx, who, proposal{kind: changeActuals, payload: payload, reason: "Actuals of " + ask.Month.String() + " from " + ask.System}, func(c approval.Change) error {
		kept.Change = c.ID
		return tx.AddActuals(&db.ActualsRow{
			System: ask.System, PostingPeriod: ask.Month.Start(), Place: place, Content: ask.File, DebitCents: int64(read.debit), CreditCents: int64(read.credit), ChangeID: c.ID,
		}, read.lines)
	})
	return kept, err
}

// actualsRead is a file as far as it was read.
type actualsRead struct {
	lines         []db.ActualLineRow
	flaws         []erp.Flaw
	debit, credit money.Cents
}

// totals holds the file to what its report says that it sums to.
func (r *actualsRead) totals(debit, credit money.Cents) []erp.Flaw {
	switch {
	case len(r.flaws) > 0:
		return nil
	case len(r.lines) == 0:
		return []erp.Flaw{{Line: 1, Message: "The file has no line below its heads."}}
	case r.debit != debit:
		return []erp.Flaw{{Line: 1, Message: fmt.Sprintf("Debits sum to %s; the report says %s. The file may be cut off.", r.debit, debit)}}
	case r.credit != credit:
		return []erp.Flaw{{Line: 1, Message: fmt.Sprintf("Credits sum to %s; the report says %s. The file may be cut off.", r.credit, credit)}}
	}
	return nil
}

// readActuals takes the lines of a file. A month goes by our name, or by the system's own.
func readActuals(rows []erp.TableRow, mapping *SystemMapping, month period.Month) *actualsRead {
	names := []string{month.String()}
	for _, r := range mapping.Mapping.Rules {
		if r.Source == erp.SourcePeriod && r.Code == month.String() {
			names = append(names, r.Value)
		}
	}
	read := &actualsRead{}
	seen := map[[4]string]int{}
	for i := range rows {
		row := &rows[i]
		line, flaws := actualLine(row, names)
		key := [4]string{line.Entity, line.Account, line.ExternalID, line.ErpID}
		if before := seen[key]; before > 0 && len(flaws) == 0 {
			flaws = flawAt(row, 1, "Line %d has that account of the same entity and journal already: one line for each.", before)
		}
		seen[key] = row.Line
		read.lines, read.flaws = append(read.lines, line), append(read.flaws, flaws...)
		read.debit, read.credit = read.debit+money.Cents(line.DebitCents), read.credit+money.Cents(line.CreditCents)
	}
	return read
}

// maxActual bounds an amount: no sum of a file's lines overflows.
const maxActual = money.Cents(10_000_000_000_000)

func actualLine(row *erp.TableRow, names []string) (db.ActualLineRow, []erp.Flaw) {
	c := row.Cells
	line := db.ActualLineRow{Line: row.Line, Entity: c[0], Account: c[1], ExternalID: c[6], ErpID: c[7]}
	var flaws []erp.Flaw
	if line.Account == "" {
		flaws = append(flaws, flawAt(row, 1, "A line names an account.")...)
	}
	if !slices.Contains(names, c[2]) {
		flaws = append(flaws, flawAt(row, 2, "This import is of %s; %.40q is another period.", strings.Join(names, " or "), c[2])...)
	}
	if c[5] != "" && c[5] != ledger.USD {
		flaws = append(flaws, flawAt(row, 5, "The books are in USD; this line says %.20q.", c[5])...)
	}
	for cell, into := range map[int]*int64{3: &line.DebitCents, 4: &line.CreditCents} {
		if c[cell] == "" {
			continue
		}
		amount, err := money.ParseCents(c[cell])
		if err != nil || amount < 0 || amount > maxActual {
			flaws = append(flaws, flawAt(row, cell, "%.40q is no amount: 0.00 or more, with at most two decimals.", c[cell])...)
			continue
		}
		*into = int64(amount)
	}
	return line, flaws
}

// TieAccount is an account of an entity, as it was exported and as the general ledger has it.
type TieAccount struct {
	Entity, Account               string
	ExportedDebit, ExportedCredit money.Cents
	PostedDebit, PostedCredit     money.Cents
}

// Difference is the posted balance less the exported one, a debit above zero.
func (t *TieAccount) Difference() money.Cents {
	return t.PostedDebit - t.PostedCredit - t.ExportedDebit + t.ExportedCredit
}

// Ties tells whether both sides agree.
func (t *TieAccount) Ties() bool {
	return t.ExportedDebit == t.PostedDebit && t.ExportedCredit == t.PostedCredit
}

// The kinds of what does not tie.
const (
	TieUnposted = "unposted" // exported, and the general ledger has nothing of it
	TieAltered  = "altered"  // the general ledger has other amounts or accounts
	TieUnknown  = "unknown"  // the general ledger has a journal that bears an id of ours and was not to be imported
	TieOtherID  = "other_id" // it has another id than was acknowledged
	TieAccounts = "account"  // an account differs, of figures that name no journal
)

// TieFinding is one thing that does not tie.
type TieFinding struct {
	Kind                string
	Document            string // external id; empty: of an account
	Export              id.Export
	Entity, Account     string      // of what differs; empty: the whole journal
	Exported, Posted    money.Cents // net, a debit above zero; of a whole journal its debits
	ERPID, Acknowledged string
}

// ActualsView is one import.
type ActualsView struct {
	Place         int
	Lines         int
	Debit, Credit money.Cents
	SHA256        string
	Change        id.Change
	RecordedAt    time.Time
}

// TieOut is how a month as it was exported compares with what the general ledger says.
type TieOut struct {
	System   string
	Month    period.Month
	State    period.State
	Exports  int           // documents that stand
	Imports  []ActualsView // the latest first, which is the one that is compared
	Accounts []TieAccount
	Findings []TieFinding
	Journals bool        // the figures name journals, so that those of others were left out
	LeftOut  int         // lines of journals that are not ours
	Exported money.Cents // debits
	Posted   money.Cents // debits, of the accounts that are compared
}

// Tied tells whether there are figures, and all agree.
func (t *TieOut) Tied() bool { return len(t.Imports) > 0 && len(t.Findings) == 0 }

// TieOut compares a month with the latest figures of the general ledger.
func (x *Exports) TieOut(ctx context.Context, who Actor, system string, month period.Month) (TieOut, error) {
	out := TieOut{System: system, Month: month}
	if err := x.access.Check(who, "export", "read"); err != nil {
		return out, err
	}
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) (err error) {
		out, err = tieOut(tx, system, month)
		return err
	})
	return out, err
}

func tieOut(tx *db.Tx, system string, month period.Month) (TieOut, error) {
	out := TieOut{System: system, Month: month}
	if _, err := erp.ByName(system); err != nil {
		return out, err
	}
	var err error
	if out.State, err = tx.PeriodState(month); err != nil {
		return out, err
	}
	postings, err := tx.ExportPostings(system, month)
	if err != nil {
		return out, err
	}
	imports, err := tx.Actuals(system, month, maxImports)
	if err != nil {
		return out, err
	}
	for i := range imports {
		r := &imports[i]
		out.Imports = append(out.Imports, ActualsView{
			Place: r.Place, Lines: r.Lines, Debit: money.Cents(r.DebitCents), Credit: money.Cents(r.CreditCents), SHA256: hex.EncodeToString(r.Digest), Change: r.ChangeID, RecordedAt: r.RecordedAt.UTC(),
		})
	}
	t := &tying{out: &out, slug: "", documents: map[string]db.ExportDocumentRow{}, said: map[string]string{}}
	if err := t.read(tx, system, month); err != nil {
		return out, err
	}
	var lines []db.ActualLineRow
	if len(imports) > 0 {
		if lines, err = tx.ActualLines(system, month, imports[0].Place); err != nil {
			return out, err
		}
	}
	t.compare(postings, lines)
	return out, nil
}

// tying compares exported with posted figures.
type tying struct {
	out       *TieOut
	slug      string
	documents map[string]db.ExportDocumentRow // by every id they go by
	said      map[string]string               // the acknowledged id by document
}

func (t *tying) read(tx *db.Tx, system string, month period.Month) error {
	row, err := tx.TenantRow()
	if err != nil {
		return err
	}
	t.slug = row.Slug
	documents, err := tx.ExportDocuments(system, maxExportDocuments)
	if err != nil {
		return err
	}
	for _, d := range documents {
		for _, reference := range erp.References(d.Document) {
			t.documents[reference] = d
		}
	}
	rows, err := tx.Acknowledgments(system, month)
	for _, r := range rows {
		t.said[r.Document] = r.ErpID
	}
	return err
}

// tied is the two sides of an account, of all or of one document.
type tied map[[3]string]*TieAccount // document, entity, account

func (s tied) at(document, entity, account string) *TieAccount {
	key := [3]string{document, entity, account}
	if s[key] == nil {
		s[key] = &TieAccount{Entity: entity, Account: account}
	}
	return s[key]
}

func (t *tying) compare(postings []db.ExportPostingRow, lines []db.ActualLineRow) {
	accounts, journals := tied{}, tied{}
	exports, posted := map[string]db.ExportPostingRow{}, map[string]string{}
	for _, p := range postings {
		for _, one := range []*TieAccount{accounts.at("", p.Entity, p.Account), journals.at(p.Document, p.Entity, p.Account)} {
			one.ExportedDebit, one.ExportedCredit = one.ExportedDebit+money.Cents(p.DebitCents), one.ExportedCredit+money.Cents(p.CreditCents)
		}
		exports[p.Document] = p
		t.out.Exported += money.Cents(p.DebitCents)
	}
	t.out.Exports = len(exports)
	t.out.Journals = slices.ContainsFunc(lines, func(l db.ActualLineRow) bool { return l.ExternalID != "" })
	for i := range lines {
		l := &lines[i]
		d, known := t.documents[l.ExternalID]
		_, stands := exports[d.Document]
		switch {
		case !t.out.Journals: // all of an account
		case known && stands:
			one := journals.at(d.Document, l.Entity, l.Account)
			one.PostedDebit, one.PostedCredit = one.PostedDebit+money.Cents(l.DebitCents), one.PostedCredit+money.Cents(l.CreditCents)
			posted[d.Document] = l.ErpID
		case known || strings.HasPrefix(l.ExternalID, "TB-"+t.slug+"-"):
			t.out.Findings = append(t.out.Findings, TieFinding{
				Kind: TieUnknown, Document: l.ExternalID, Export: d.ExportID, Entity: l.Entity, Account: l.Account, Posted: money.Cents(l.DebitCents - l.CreditCents), ERPID: l.ErpID,
			})
		default:
			t.out.LeftOut++
			continue
		}
		one := accounts.at("", l.Entity, l.Account)
		one.PostedDebit, one.PostedCredit = one.PostedDebit+money.Cents(l.DebitCents), one.PostedCredit+money.Cents(l.CreditCents)
	}
	for _, key := range slices.SortedFunc(maps.Keys(accounts), compareTies) {
		t.out.Accounts = append(t.out.Accounts, *accounts[key])
		t.out.Posted += accounts[key].PostedDebit
	}
	switch {
	case len(t.out.Imports) == 0:
	case t.out.Journals:
		t.journals(journals, exports, posted)
	default:
		t.accounts()
	}
}

func compareTies(a, b [3]string) int {
	return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]), strings.Compare(a[2], b[2]))
}

// journals tells of documents that are not there, or are there otherwise.
func (t *tying) journals(sides tied, exports map[string]db.ExportPostingRow, posted map[string]string) {
	debits := map[string]money.Cents{}
	for key, one := range sides {
		debits[key[0]] += one.ExportedDebit
	}
	for _, document := range slices.Sorted(maps.Keys(exports)) {
		if _, there := posted[document]; !there {
			t.out.Findings = append(t.out.Findings, TieFinding{Kind: TieUnposted, Document: document, Export: exports[document].ExportID, Exported: debits[document], Acknowledged: t.said[document]})
			continue
		}
		if erpID, said := posted[document], t.said[document]; erpID != "" && said != "" && erpID != said {
			t.out.Findings = append(t.out.Findings, TieFinding{Kind: TieOtherID, Document: document, Export: exports[document].ExportID, ERPID: erpID, Acknowledged: said})
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(sides), compareTies) {
		one := sides[key]
		if _, there := posted[key[0]]; there && !one.Ties() {
			t.out.Findings = append(t.out.Findings, TieFinding{
				Kind: TieAltered, Document: key[0], Export: exports[key[0]].ExportID, Entity: key[1], Account: key[2],
				Exported: one.ExportedDebit - one.ExportedCredit, Posted: one.PostedDebit - one.PostedCredit, ERPID: posted[key[0]], Acknowledged: t.said[key[0]],
			})
		}
	}
}

// accounts tells of accounts whose figures differ. Those that we posted nothing to are
// others' business.
func (t *tying) accounts() {
	t.out.Accounts = slices.DeleteFunc(t.out.Accounts, func(a TieAccount) bool { return a.ExportedDebit == 0 && a.ExportedCredit == 0 })
	t.out.Posted = 0
	for i := range t.out.Accounts {
		one := &t.out.Accounts[i]
		t.out.Posted += one.PostedDebit
		if !one.Ties() {
			t.out.Findings = append(t.out.Findings, TieFinding{
				Kind: TieAccounts, Entity: one.Entity, Account: one.Account, Exported: one.ExportedDebit - one.ExportedCredit, Posted: one.PostedDebit - one.PostedCredit,
			})
		}
	}
}
