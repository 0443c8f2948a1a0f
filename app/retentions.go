package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/db"
)

// Retentions is the area of how long what is recorded is kept: terms, legal holds, purges of
// what was kept long enough, and the tombstones that stand in its place.
type Retentions struct {
	db      *db.DB
	access  *Access
	changes *Changes
}

// NewRetentions makes the area.
func NewRetentions(d *db.DB, access *Access, changes *Changes) *Retentions {
	r := &Retentions{db: d, access: access, changes: changes}
	r.govern()
	return r
}

const (
	maxMonthsKept = 1200 // of one class: a hundred years
	maxHolds      = 200  // that are in force at once
	maxPurge      = 12   // months of one purge
)

// RetainedClass is a class as it is kept now.
type RetainedClass struct {
	Class   retention.Class
	Years   int
	Set     id.Change // zero: nobody has set it
	Number  int64
	Next    []NextTerm // what was decided for later, the next first
	Months  int        // that have rows
	Oldest  period.Month
	Waiting int            // months whose books are open, so that no term runs
	Held    []period.Month // whose term is over, but for a hold
	Expired []period.Month // that may be purged now
	// EndsAt is when the next month's term is over, of those that have not expired; zero: none
	// runs.
	EndsAt time.Time
	Ends   period.Month
}

// NextTerm is a term that is still to come.
type NextTerm struct {
	Years         int
	EffectiveFrom time.Time
	Set           id.Change
	Number        int64
}

// LegalHold is a hold on a range of months, or on all of them.
type LegalHold struct {
	Change      id.Change
	Number      int64
	Reason      string
	First, Last period.Month // zero: every month
	Since       time.Time
	EndedBy     id.Change // zero: it is in force
	EndedAt     time.Time
}

// Everything tells whether it holds every month.
func (h *LegalHold) Everything() bool { return h.First == (period.Month{}) }

// Tombstone is what stands where a month's rows of a class were.
type Tombstone struct {
	Class       retention.Class
	Month       period.Month
	Change      id.Change
	Number      int64
	Rows        int64
	Requests    int64
	Charge      money.Sum
	First, Last int64 // of the records that prove what it was; -1: it has none
	Digest      string
	PurgedAt    time.Time
}

// RetentionView is how everything is kept, at one instant.
type RetentionView struct {
	At         time.Time
	Classes    []RetainedClass
	Holds      []LegalHold
	Tombstones []Tombstone
	Truncated  bool // there are more tombstones
}

// Show tells how everything is kept.
func (r *Retentions) Show(ctx context.Context, who Actor) (RetentionView, error) {
	var view RetentionView
	if err := r.access.Check(who, "retention", "read"); err != nil {
		return view, err
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		terms, err := readTerms(tx)
		if err != nil {
			return err
		}
		for _, class := range retention.Classes() {
			one, err := terms.class(tx, class)
			if err != nil {
				return err
			}
			view.Classes = append(view.Classes, one)
		}
		view.At, view.Holds = tx.Now, terms.holds
		rows, err := tx.Tombstones(id.Change{}, MaxRows+1)
		if err != nil {
			return err
		}
		if view.Truncated = len(rows) > MaxRows; view.Truncated {
			rows = rows[:MaxRows]
		}
		view.Tombstones, err = tombstones(rows)
		return err
	})
	return view, err
}

// kept is the terms and holds of a company, read once.
type kept struct {
	rows  []db.TermRow
	terms []retention.Term
	holds []LegalHold
	bars  []retention.Hold // the same, as they keep from purging
}

func readTerms(tx *db.Tx) (kept, error) {
	var k kept
	var err error
	if k.rows, err = tx.RetentionTerms(MaxRows); err != nil {
		return k, err
	}
	for i := range k.rows {
		row := &k.rows[i]
		k.terms = append(k.terms, retention.Term{Class: retention.Class(row.Class), Years: row.Years, EffectiveFrom: row.EffectiveFrom, RecordedAt: row.RecordedAt})
	}
	holds, err := tx.LegalHolds(MaxRows)
	for i := range holds {
		row := &holds[i]
		h := LegalHold{Change: row.ChangeID, Number: row.Number, Reason: row.Reason, Since: row.RecordedAt.UTC(), EndedBy: row.EndID}
		if row.FirstMonth != nil && row.LastMonth != nil {
			h.First, h.Last = period.MonthOf(*row.FirstMonth), period.MonthOf(*row.LastMonth)
		}
		if row.EndedAt != nil {
			h.EndedAt = row.EndedAt.UTC()
		}
		k.holds = append(k.holds, h)
		k.bars = append(k.bars, retention.Hold{First: h.First, Last: h.Last, Ended: row.EndedAt != nil})
	}
	return k, err
}

// months reads which months have rows of a class, and when their books closed.
func months(tx *db.Tx, class retention.Class) ([]retention.Kept, error) {
	rows, err := tx.MonthsKept(class, maxMonthsKept)
	list := make([]retention.Kept, 0, len(rows))
	for i := range rows {
		one := retention.Kept{Month: period.MonthOf(rows[i].Month)}
		if rows[i].ClosedAt != nil {
			one.ClosedAt = rows[i].ClosedAt.UTC()
		}
		list = append(list, one)
	}
	return list, err
}

func (k *kept) class(tx *db.Tx, class retention.Class) (RetainedClass, error) {
	term := retention.InForce(k.terms, class, tx.Now)
	out := RetainedClass{Class: class, Years: term.Years}
	for i := range k.rows { // the latest first
		row := &k.rows[i]
		switch {
		case row.Class != string(class):
		case row.EffectiveFrom.After(tx.Now):
			out.Next = append([]NextTerm{{Years: row.Years, EffectiveFrom: row.EffectiveFrom.UTC(), Set: row.ChangeID, Number: row.Number}}, out.Next...)
		case out.Set.IsZero():
			out.Set, out.Number = row.ChangeID, row.Number
		}
	}
	list, err := months(tx, class)
	if err != nil || len(list) == 0 {
		return out, err
	}
	out.Months, out.Oldest = len(list), list[0].Month
	out.Expired = retention.Expired(class, list, k.terms, k.bars, tx.Now)
	for _, one := range list {
		ends, runs := retention.Ends(term, one)
		switch {
		case !runs:
			out.Waiting++
		case !ends.After(tx.Now):
			if retention.Held(k.bars, one.Month) > 0 {
				out.Held = append(out.Held, one.Month)
			}
		case out.EndsAt.IsZero() || ends.Before(out.EndsAt):
			out.EndsAt, out.Ends = ends, one.Month
		}
	}
	return out, nil
}

func tombstones(rows []db.TombstoneRow) ([]Tombstone, error) {
	list := make([]Tombstone, 0, len(rows))
	for i := range rows {
		row := &rows[i]
		var charge money.Sum
		if err := charge.UnmarshalText([]byte(row.ChargePico)); err != nil {
			return nil, err
		}
		one := Tombstone{
			Class: retention.Class(row.Class), Month: period.MonthOf(row.Month), Change: row.ChangeID, Number: row.Number, Rows: row.RowCount, Requests: row.Requests,
			Charge: charge, First: -1, Last: -1, Digest: hex.EncodeToString(row.Digest), PurgedAt: row.PurgedAt.UTC(),
		}
		if row.FirstSequence != nil && row.LastSequence != nil {
			one.First, one.Last = *row.FirstSequence, *row.LastSequence
		}
		list = append(list, one)
	}
	return list, nil
}

// controlOf sums what whole months hold, from their batches.
func controlOf(tx *db.Tx, list []string) (requests int64, dollars string, err error) {
	var sum money.Sum
	for _, text := range list {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return 0, "", fmt.Errorf("read month: %w", err)
		}
		n, pico, err := tx.BatchControl(period.MonthOf(at))
		if err != nil {
			return 0, "", err
		}
		var one money.Sum
		if err := one.UnmarshalText([]byte(pico)); err != nil {
			return 0, "", err
		}
		requests += n
		sum.AddSum(&one)
	}
	return requests, sum.Display().String(), nil
}
