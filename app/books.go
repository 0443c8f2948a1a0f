package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// Books is the area of the journal: charges as balanced entries, in cents.
type Books struct {
	db      *db.DB
	access  *Access
	changes *Changes
	log     *slog.Logger
}

// NewBooks makes the area.
func NewBooks(d *db.DB, access *Access, changes *Changes, log *slog.Logger) *Books {
	b := &Books{db: d, access: access, changes: changes, log: log}
	b.govern()
	return b
}

const (
	// accrueBatch is how many days one reading finds to post; each is a commit of its own.
	accrueBatch = 100
	// accrueWaits bounds how long a day is kept back for gateways whose journal may hold
	// requests of it: what comes later still is a correction.
	accrueWaits = 24 * time.Hour
	oneDay      = 24 * time.Hour
)

// Accrue posts every day whose charges are not what is posted of it: a day the first time
// as an accrual, and later what late usage and adjustments made of it as a correction.
// Each is a commit, so that it may be ended anywhere and begun again; who calls it twice
// posts nothing twice. It tells how many entries it posted.
func (b *Books) Accrue(ctx context.Context, tenant id.Tenant) (int, error) {
	through, err := flushedThrough(ctx, b.db)
	if err != nil {
		return 0, err
	}
	posted := 0
	for after := (db.DueDay{}); ; {
		var due []db.DueDay
		var now time.Time
		if err := b.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
			now = tx.Now
			due, err = tx.DueDays(tx.Now.Truncate(oneDay), after, accrueBatch)
			return err
		}); err != nil {
			return posted, err
		}
		for _, day := range due {
			if ends := day.Day.UTC().Add(oneDay); through.Before(ends) && now.Before(ends.Add(accrueWaits)) {
				continue
			}
			made, err := b.accrue(ctx, tenant, period.MonthOf(day.PostingPeriod), day.Day.UTC())
			if err != nil {
				return posted, err
			}
			if made {
				posted++
			}
		}
		if len(due) < accrueBatch {
			return posted, nil
		}
		after = due[len(due)-1]
	}
}

// accrue posts one day of a month of charges, where it has anything to post.
func (b *Books) accrue(ctx context.Context, tenant id.Tenant, month period.Month, at time.Time) (made bool, err error) {
	err = b.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		if err := tx.LockJournal(); err != nil {
			return err
		}
		cells, err := tx.Cells(month, at, at.Add(oneDay))
		if err != nil {
			return err
		}
		day, err := readDay(tx, month, at, cells)
		if err != nil {
			return err
		}
		lines, err := day.Lines()
		if err != nil || len(lines) == 0 {
			return err
		}
		made = true
		e := ledger.Entry{Kind: ledger.KindAccrual, Treatment: day.Terms.Treatment, Memo: lines[0].Memo, Lines: lines, Source: ledger.Source{Period: month, Day: at}}
		if len(day.Posted) > 0 {
			e.Kind = ledger.KindCorrection
		}
		if e.Source.UsageBatches, e.Source.AdjustmentBatches, err = tx.BatchCounts(month); err != nil {
			return err
		}
		for i := range cells {
			e.Source.Requests += cells[i].Requests
			e.Source.Charges.AddSum(&day.Cells[i].Charge)
		}
		return post(tx, &e, db.Fingerprint(cells))
	})
	return made, err
}

// readDay is all that a day's entry is made of, from its charges and what is posted.
func readDay(tx *db.Tx, month period.Month, at time.Time, cells []db.CellRow) (ledger.Day, error) {
	rows, err := tx.PostedOf(month, at, at.Add(oneDay))
	if err != nil {
		return ledger.Day{}, err
	}
	s, err := setUp(tx, at)
	if err != nil {
		return ledger.Day{}, err
	}
	day, err := s.day(month, at, cells, rows)
	if err != nil {
		return day, err
	}
	day.Month, err = tx.Booked(month)
	return day, err
}

// setting is what days since one are booked by: the hierarchy, and the terms.
type setting struct {
	trees    *forest
	versions []db.BooksRow
}

func setUp(tx *db.Tx, since time.Time) (*setting, error) {
	trees, err := forestSince(tx, since)
	if err != nil {
		return nil, err
	}
	versions, err := tx.Books(maxBooksVersions)
	return &setting{trees, versions}, err
}

// day is one day's charges and what is posted of it, as the ledger takes them.
func (s *setting) day(month period.Month, at time.Time, cells []db.CellRow, posted []db.JournalLineRow) (ledger.Day, error) {
	day := ledger.Day{Period: month, Day: at}
	for i := range posted {
		line, err := posted[i].Line()
		if err != nil {
			return day, err
		}
		day.Posted = append(day.Posted, line)
	}
	tree, err := s.trees.at(at.Add(oneDay - time.Microsecond))
	if err != nil {
		return day, err
	}
	day.Terms = termsOf(s.versions, tree, at)
	for i := range cells {
		cell, err := chargedCell(&cells[i], tree)
		if err != nil {
			return day, err
		}
		day.Cells = append(day.Cells, cell)
	}
	return day, nil
}

// chargedCell is a placement's charges as the ledger takes them; the general ledger account is
// the node's, or the nearest above it that states one.
func chargedCell(row *db.CellRow, tree *hierarchy.Tree) (ledger.Cell, error) {
	path := strings.Split(row.Path, "\x1f")
	cell := ledger.Cell{
		Node: row.NodeID, NodeCode: path[len(path)-1], NodePath: strings.Join(path, hierarchy.PathSeparator), Entity: row.Entity, Capitalization: row.Capitalization,
	}
	cell.Suspense = cell.NodeCode == hierarchy.SuspenseCode
	for _, above := range tree.Above(row.NodeID) {
		if v, _ := tree.Node(above); v.GLAccount != "" {
			cell.GLAccount = v.GLAccount
		}
	}
	var err error
	cell.Charge, err = money.SumOfPico(row.ChargePico)
	return cell, err
}

const (
	maxBooksVersions = 500
	defaultWorkspace = "default"
)

// termsOf are those a day is booked under: what was decided before it began.
func termsOf(versions []db.BooksRow, tree *hierarchy.Tree, at time.Time) ledger.Terms {
	terms := ledger.Terms{Treatment: ledger.Chargeback, Workspace: defaultWorkspace}
	for i := range versions {
		if v := &versions[i]; !v.EffectiveFrom.After(at) {
			terms = ledger.Terms{Treatment: ledger.Treatment(v.Treatment), Payer: v.Payer, Workspace: v.Workspace}
			break
		}
	}
	if terms.Payer == "" {
		terms.Payer = firstEntity(tree)
	}
	return terms
}

// firstEntity is the one that pays where nobody said which: the first of the hierarchy.
func firstEntity(tree *hierarchy.Tree) string {
	for _, v := range tree.All() {
		if v.Entity != "" {
			return v.Entity
		}
	}
	return ""
}

// post gives an entry its id, number, month and date, and stores it with its record, in
// the caller's transaction, which holds the journal. Where the month of its charges is
// closed it posts to the next that is open; its source names the original.
func post(tx *db.Tx, e *ledger.Entry, fingerprint string) error {
	if err := ledger.Balance(e.Lines); err != nil {
		return err
	}
	posting, err := postingMonth(tx, e.Source.Period)
	if err != nil {
		return err
	}
	e.ID, e.Period, e.Date = id.NewEntry(tx.Now), posting, e.Source.Day
	if period.MonthOf(e.Date) != posting {
		e.Date = posting.Start()
	}
	if e.Number, err = tx.Counter("journal_entry"); err != nil {
		return err
	}
	return store(tx, e, fingerprint, id.Change{})
}

// postingMonth is a month, or the next that is open where it is closed; the caller holds it.
func postingMonth(tx *db.Tx, of period.Month) (period.Month, error) {
	var failed error
	posting, err := period.Posting(of, func(month period.Month) period.State {
		state, err := tx.PostingState(month)
		failed = errors.Join(failed, err)
		return state
	})
	return posting, errors.Join(failed, err)
}

// store writes an entry and its record in the log. The change is what asked for it, if one did.
func store(tx *db.Tx, e *ledger.Entry, fingerprint string, change id.Change) error {
	canonical, err := e.Canonical()
	if err != nil {
		return err
	}
	fresh := db.FreshEntry{Entry: e, Fingerprint: fingerprint, Canonical: canonical, Change: change, Record: id.NewRecord(tx.Now)}
	detail := map[string]any{
		"number": e.Number, "kind": string(e.Kind), "period": e.Period.String(), "date": e.Date.Format(time.DateOnly), "lines": len(e.Lines),
		"total_cents": int64(e.Total()), "digest": ledger.Digest(canonical),
	}
	if !e.Source.IsZero() {
		detail["source_day"], detail["source_period"] = e.Source.Day.Format(time.DateOnly), e.Source.Period.String()
	}
	if !change.IsZero() {
		detail["change"] = change.String()
	}
	if !e.Reverses.IsZero() {
		detail["reverses"] = e.Reverses.String()
	}
	if err := tx.AppendAudit(auditlog.Record{ID: fresh.Record, Action: "journal.posted", Actor: string(ActorSystem), Subject: e.ID.String(), Detail: detail}); err != nil {
		return err
	}
	return tx.AddEntry(&fresh)
}

// ErrEntryAbsent reports an entry that is not there, or not the reader's.
var ErrEntryAbsent = fault.New(fault.KindNotFound, "journal_entry_absent", "There is no such journal entry.")
