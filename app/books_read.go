package app

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// EntryView is one entry of the journal; its lines are there where it is shown alone.
type EntryView struct {
	ledger.Entry

	Total          money.Cents // of debits, and of credits
	LineCount      int
	ReversesNumber int64    // 0: it reverses none
	ReversedBy     id.Entry // zero: none reverses it
	ReversedNumber int64
	Digest         string // SHA-256 of the bytes that its record covers
	Record         id.Record
	Change         id.Change // that asked for it; zero: none did
	RecordedAt     time.Time
}

// Reversed tells whether a later entry takes this one back.
func (e *EntryView) Reversed() bool { return e.ReversedNumber != 0 }

// JournalQuery narrows the journal.
type JournalQuery struct {
	Month   period.Month // posted to; zero: all
	Kind    string       // empty: all
	Account string       // with a line there; empty: any
	Entity  *string      // with a line in its books; nil: any
	Before  int64        // numbers below it; 0: the newest
	Limit   int
}

// JournalPage is entries, the newest number first.
type JournalPage struct {
	Entries []EntryView
	Next    int64          // Before of the next page; 0: there is none
	Months  []period.Month // that have entries, the latest first
	State   period.State   // of the month asked for
	Terms   BooksTerms     // how charges are booked from tomorrow on
}

// mayRead refuses whoever may not see every node's lines.
func (b *Books) mayRead(who Actor) error {
	if err := b.access.Check(who, "journal", "read"); err != nil {
		return err
	}
	if b.access.Scope(who, "journal", "read") != nil {
		return ErrNotAllowed
	}
	return nil
}

const (
	maxEntryMonths = 120
	defaultEntries = 100
)

// Journal lists entries.
func (b *Books) Journal(ctx context.Context, who Actor, q JournalQuery) (JournalPage, error) {
	var page JournalPage
	if err := b.mayRead(who); err != nil {
		return page, err
	}
	switch {
	case q.Kind != "" && !slices.Contains(ledger.Kinds(), ledger.Kind(q.Kind)):
		return page, fault.Invalid("kind", "entry_kind_unknown", "An entry is an accrual, a correction, a reversal, a residual, intercompany or suspense; %.40q is none.", q.Kind)
	case q.Account != "" && !ledger.Account(q.Account).Known():
		return page, fault.Invalid("account", "account_unknown", "%.40q is no account of the chart.", q.Account)
	}
	if q.Limit <= 0 {
		q.Limit = defaultEntries
	}
	q.Limit = min(q.Limit, MaxRows)
	err := b.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Entries(&db.EntryFilter{Month: q.Month, Kind: q.Kind, Account: q.Account, Entity: q.Entity, Before: q.Before, Limit: q.Limit + 1})
		if err != nil {
			return err
		}
		if len(rows) > q.Limit {
			rows = rows[:q.Limit]
			page.Next = rows[q.Limit-1].Number
		}
		for i := range rows {
			view, err := entryView(&rows[i])
			if err != nil {
				return err
			}
			page.Entries = append(page.Entries, view)
		}
		months, err := tx.EntryMonths(maxEntryMonths)
		if err != nil {
			return err
		}
		for _, m := range months {
			page.Months = append(page.Months, period.MonthOf(m))
		}
		if q.Month != (period.Month{}) {
			if page.State, err = tx.PeriodState(q.Month); err != nil {
				return err
			}
		}
		page.Terms, err = b.latest(tx)
		return err
	})
	return page, err
}

func entryView(r *db.EntryRow) (EntryView, error) {
	view := EntryView{
		Entry: ledger.Entry{
			ID: r.EntryID, Number: r.Number, Kind: ledger.Kind(r.Kind), Treatment: ledger.Treatment(r.Treatment), Period: period.MonthOf(r.PostingPeriod), Date: r.EntryDate.UTC(), Memo: r.Memo,
		},
		Total: money.Cents(r.TotalCents), LineCount: r.Lines, ReversesNumber: r.ReversesNumber, ReversedNumber: r.ReversedNumber,
		Digest: hex.EncodeToString(r.Digest), Record: r.RecordID, RecordedAt: r.RecordedAt.UTC(),
	}
	if r.Reverses != nil {
		view.Reverses = *r.Reverses
	}
	if r.ChangeID != nil {
		view.Change = *r.ChangeID
	}
	if r.ReversedBy != nil {
		view.ReversedBy = *r.ReversedBy
	}
	if r.SourceDay == nil || r.SourcePeriod == nil {
		return view, nil
	}
	view.Source = ledger.Source{
		Period: period.MonthOf(*r.SourcePeriod), Day: r.SourceDay.UTC(), Requests: r.Requests, UsageBatches: r.UsageBatches, AdjustmentBatches: r.AdjustmentBatches,
	}
	var err error
	view.Source.Charges, err = money.SumOfPico(r.ChargesPico)
	return view, err
}

// Entry is one entry with its lines.
func (b *Books) Entry(ctx context.Context, who Actor, entry id.Entry) (EntryView, error) {
	var view EntryView
	if err := b.mayRead(who); err != nil {
		return view, err
	}
	err := b.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		view, err = readEntry(tx, entry)
		return err
	})
	return view, err
}

// readEntry reads an entry with its lines.
func readEntry(tx *db.Tx, entry id.Entry) (EntryView, error) {
	row, found, err := tx.Entry(entry)
	if err != nil {
		return EntryView{}, err
	}
	if !found {
		return EntryView{}, ErrEntryAbsent
	}
	view, err := entryView(&row)
	if err != nil {
		return view, err
	}
	lines, err := tx.EntryLines(entry)
	if err != nil {
		return view, err
	}
	for i := range lines {
		line, err := lines[i].Line()
		if err != nil {
			return view, err
		}
		view.Lines = append(view.Lines, line)
	}
	return view, nil
}

// TrialQuery names a month of the books, and what was recorded of it by an instant.
type TrialQuery struct {
	Month period.Month
	AsOf  time.Time // zero: now
}

// TrialRow is one account of one entity: before the month, in it, and after it. Debits are
// above zero in Opening and Closing, credits below.
type TrialRow struct {
	Entity   string
	Account  ledger.Account
	Currency string
	Opening  money.Cents
	Debits   money.Cents
	Credits  money.Cents
	Closing  money.Cents
	Entries  int64 // of the month, with a line here
}

// add takes another row into a total.
func (t *TrialRow) add(r *TrialRow) {
	t.Opening += r.Opening
	t.Debits += r.Debits
	t.Credits += r.Credits
	t.Closing += r.Closing
}

// TrialBalance is the accounts of every entity.
type TrialBalance struct {
	Month    period.Month
	State    period.State
	AsOf     time.Time
	Entities []TrialEntity
	Total    TrialRow // the control: opening and closing are zero, debits are credits
	Months   []period.Month
}

// Balances tells whether debits are credits in every entity.
func (t *TrialBalance) Balances() bool {
	for i := range t.Entities {
		if e := &t.Entities[i].Total; e.Opening != 0 || e.Closing != 0 || e.Debits != e.Credits {
			return false
		}
	}
	return true
}

// TrialEntity is one entity's accounts, in the chart's order.
type TrialEntity struct {
	Entity string
	Rows   []TrialRow
	Total  TrialRow
}

// TrialBalance sums the journal by entity and account.
func (b *Books) TrialBalance(ctx context.Context, who Actor, q TrialQuery) (TrialBalance, error) {
	trial := TrialBalance{Month: q.Month, AsOf: q.AsOf}
	if err := b.mayRead(who); err != nil {
		return trial, err
	}
	err := b.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Balances(q.Month, q.AsOf)
		if err != nil {
			return err
		}
		if trial.State, err = tx.PeriodState(q.Month); err != nil {
			return err
		}
		months, err := tx.EntryMonths(maxEntryMonths)
		if err != nil {
			return err
		}
		for _, m := range months {
			trial.Months = append(trial.Months, period.MonthOf(m))
		}
		for i := range rows {
			row, err := trialRow(&rows[i])
			if err != nil {
				return err
			}
			last := len(trial.Entities) - 1
			if last < 0 || trial.Entities[last].Entity != row.Entity {
				trial.Entities = append(trial.Entities, TrialEntity{Entity: row.Entity})
				last++
			}
			e := &trial.Entities[last]
			e.Rows = append(e.Rows, row)
			e.Total.add(&row)
			trial.Total.add(&row)
		}
		return nil
	})
	for i := range trial.Entities {
		slices.SortFunc(trial.Entities[i].Rows, func(a, b TrialRow) int {
			return slices.Index(ledger.Accounts(), a.Account) - slices.Index(ledger.Accounts(), b.Account)
		})
	}
	return trial, err
}

func trialRow(r *db.BalanceRow) (TrialRow, error) {
	row := TrialRow{Entity: r.Entity, Account: ledger.Account(r.Account), Currency: r.Currency, Entries: r.Entries}
	for _, one := range []struct {
		text string
		into *money.Cents
	}{{r.Opening, &row.Opening}, {r.Debits, &row.Debits}, {r.Credits, &row.Credits}} {
		n, err := strconv.ParseInt(one.text, 10, 64)
		if err != nil {
			return row, money.ErrOverflow
		}
		*one.into = money.Cents(n)
	}
	row.Closing = row.Opening + row.Debits - row.Credits
	return row, nil
}
