package app

import (
	"context"
	"encoding/hex"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/db"
)

// Offboardings is the area of a company's end here: what has to be so before it is let go,
// what that ends, and what is kept of it afterwards and until when.
type Offboardings struct {
	db      *db.DB
	access  *Access
	changes *Changes
}

// NewOffboardings makes the area.
func NewOffboardings(d *db.DB, access *Access, changes *Changes) *Offboardings {
	o := &Offboardings{db: d, access: access, changes: changes}
	changes.govern(changeOffboarding, offboardingKind(changes))
	return o
}

// ErrTenantOffboarded is the answer to who belongs to a company that was let go, at the
// pages, the API and the sign-in alike, and to whoever would change something of it.
var ErrTenantOffboarded = fault.New(fault.KindForbidden, "tenant_offboarded",
	"This company was offboarded: its keys, tokens and sign-ins ended for good, and an export of everything was made before. What is recorded is kept for its terms and then purged. "+
		"Ask whoever runs this installation; to come back, found a new company with another short name.")

// notGone refuses to change anything of a company that was offboarded, but for what is
// still kept of it.
func notGone(tx *db.Tx, kind string) error {
	switch kind {
	case changePurge, changeHold, changeHoldEnd:
		return nil
	}
	if err := tx.Changing(); err != nil { // what commits after the end would be ended by nobody
		return err
	}
	return notLetGo(tx)
}

// notLetGo refuses a company that was offboarded.
func notLetGo(tx *db.Tx) error {
	_, gone, err := tx.Offboarding()
	if err == nil && gone {
		err = ErrTenantOffboarded
	}
	return err
}

// ExportSeen is the newest export of everything that was finished.
type ExportSeen struct {
	SHA256 string // of its manifest
	AsOf   time.Time
	RunBy  string
	Rows   int64
	// What came after it: it does not hold everything any more where one is not zero.
	Batches, Adjustments, Entries, Invoices int64
}

// Whole tells whether nothing came after it.
func (e *ExportSeen) Whole() bool {
	return e.Batches == 0 && e.Adjustments == 0 && e.Entries == 0 && e.Invoices == 0
}

// Holdings counts what a company has that offboarding ends, and what it keeps.
type Holdings = db.HoldingsRow

// RemainingClass is what of a class is kept, and until when.
type RemainingClass struct {
	Class       retention.Class
	Years       int
	Months      int
	First, Last time.Time // when the first and the last of its months have been kept long enough
}

// Remains is what is kept of a company that was let go.
type Remains struct {
	Requests, Records int64
	Classes           []RemainingClass
	Until             time.Time // when the last of it has been kept long enough; zero: nothing is left
	Held              int       // legal holds in force: nothing goes while there is one
	PurgedAt          time.Time // when all that remained was purged; zero: it was not
}

// OffboardingView is how things stand with a company's end.
type OffboardingView struct {
	At         time.Time
	Name, Slug string
	Holdings   Holdings
	Export     *ExportSeen // nil: none was finished
	Holds      []LegalHold // in force
	Remains    Remains     // as if it were let go now
	// Waiting is the proposal that waits; zero: none.
	Waiting       id.Change
	WaitingNumber int64
}

// Ready tells whether it can be proposed.
func (v *OffboardingView) Ready() bool {
	return v.Waiting.IsZero() && len(v.Holds) == 0 && v.Export != nil && v.Export.Whole()
}

// Show tells how things stand with the end of the actor's company.
func (o *Offboardings) Show(ctx context.Context, who Actor) (OffboardingView, error) {
	var view OffboardingView
	if err := o.access.Check(who, "offboarding", "read"); err != nil {
		return view, err
	}
	err := o.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.TenantRow()
		if err != nil {
			return err
		}
		view = OffboardingView{At: tx.Now, Name: row.Name, Slug: row.Slug}
		if view.Holdings, err = tx.Holdings(); err != nil {
			return err
		}
		if view.Export, err = exportSeen(tx); err != nil {
			return err
		}
		if view.Holds, err = holdsInForce(tx); err != nil {
			return err
		}
		if view.Waiting, view.WaitingNumber, _, err = tx.OffboardingWaits(); err != nil {
			return err
		}
		view.Remains, err = remains(tx, tx.Now)
		view.Remains.Requests, view.Remains.Records = view.Holdings.Requests, view.Holdings.Records
		return err
	})
	return view, err
}

// exportSeen finds the newest export of everything, and counts what came after it.
func exportSeen(tx *db.Tx) (*ExportSeen, error) {
	row, found, err := tx.LastTenantExport()
	if err != nil || !found {
		return nil, err
	}
	return exportOf(tx, &row)
}

func exportOf(tx *db.Tx, row *db.TenantExportRow) (*ExportSeen, error) {
	held, err := tx.BooksHeld()
	return &ExportSeen{
		SHA256: hex.EncodeToString(row.ManifestSHA256), AsOf: row.AsOf.UTC(), RunBy: row.RunBy, Rows: row.RowCount,
		Batches: held.UsageBatches - row.UsageBatches, Adjustments: held.AdjustmentBatches - row.AdjustmentBatches, Entries: held.JournalEntries - row.JournalEntries,
		Invoices: held.Invoices - row.Invoices,
	}, err
}

func holdsInForce(tx *db.Tx) ([]LegalHold, error) {
	k, err := readTerms(tx)
	var list []LegalHold
	for i := range k.holds {
		if k.holds[i].EndedBy.IsZero() {
			list = append(list, k.holds[i])
		}
	}
	return list, err
}

// remains says what of a company is kept, and until when: of one that was let go at an
// instant, or would be.
func remains(tx *db.Tx, gone time.Time) (Remains, error) {
	var left Remains
	k, err := readTerms(tx)
	if err != nil {
		return left, err
	}
	for _, bar := range k.bars {
		if !bar.Ended {
			left.Held++
		}
	}
	for _, class := range retention.Classes() {
		list, err := monthsLeft(tx, class, gone)
		if err != nil {
			return left, err
		}
		term := retention.InForce(k.terms, class, tx.Now)
		one := RemainingClass{Class: class, Years: term.Years, Months: len(list)}
		for _, kept := range list {
			ends, _ := retention.Ends(term, kept)
			if one.First.IsZero() || ends.Before(one.First) {
				one.First = ends
			}
			one.Last = later(one.Last, ends)
		}
		left.Until = later(left.Until, one.Last)
		left.Classes = append(left.Classes, one)
	}
	left.PurgedAt, _, err = tx.PurgedWhole()
	return left, err
}

// monthsLeft are the months of a class of a company that is let go at an instant. What is
// recorded later, about its purges, stays with the log and is not waited for.
func monthsLeft(tx *db.Tx, class retention.Class, gone time.Time) ([]retention.Kept, error) {
	list, err := months(tx, class)
	last := period.MonthOf(gone)
	var left []retention.Kept
	for _, one := range list {
		if class == retention.Audit && one.Month.Start().After(last.Start()) {
			continue
		}
		if one.ClosedAt.IsZero() {
			one.ClosedAt = gone
		}
		left = append(left, one)
	}
	return left, err
}
