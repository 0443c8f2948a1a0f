package app

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// facts are what every step of a month's checklist rests on, from rollups and entries.
func (c *Closing) facts(tx *db.Tx, m period.Month, through time.Time) (map[closing.Step]closing.Facts, error) {
	usage, err := monthUsage(tx, m, through)
	if err != nil {
		return nil, err
	}
	charged, err := tx.ChargedIn(m)
	if err != nil {
		return nil, err
	}
	suspense, capital, err := weighCharges(tx, m, charged)
	if err != nil {
		return nil, err
	}
	accrual, err := monthAccrual(tx, m)
	if err != nil {
		return nil, err
	}
	journal, err := monthJournal(tx, m)
	if err != nil {
		return nil, err
	}
	billed, err := monthInvoices(tx, m)
	if err != nil {
		return nil, err
	}
	list := []closing.Facts{
		closing.UsageFacts(usage), closing.PriceFacts(usage), closing.InvoiceFacts(billed), suspense, closing.AllocationFacts(billed), closing.CapitalFacts(capital), closing.AccrualFacts(accrual),
		closing.JournalFacts(closing.StepJournal, journal), closing.JournalFacts(closing.StepApproved, journal),
	}
	held, err := heldFacts(tx, m, billed)
	if err != nil {
		return nil, err
	}
	found := map[closing.Step]closing.Facts{}
	for _, f := range append(list, held...) {
		found[f.Step] = f
	}
	return found, nil
}

// heldFacts are those of the steps that hold a month against what others say of it.
func heldFacts(tx *db.Tx, m period.Month, billed *closing.Invoices) ([]closing.Facts, error) {
	terms, _, err := materialityInForce(tx)
	if err != nil {
		return nil, err
	}
	days, err := monthDays(tx, m, &terms)
	if err != nil {
		return nil, err
	}
	unexplained, err := monthUnexplained(tx, m, &terms, billed)
	if err != nil {
		return nil, err
	}
	said, err := saidFacts(tx, m, &terms)
	if err != nil {
		return nil, err
	}
	return append(said, closing.DayFacts(days), closing.UnexplainedFacts(unexplained)), nil
}

// saidFacts are those of the steps about what owners of nodes say of a month.
func saidFacts(tx *db.Tx, m period.Month, terms *closing.Materiality) ([]closing.Facts, error) {
	disputes, err := disputesStand(tx, m)
	if err != nil {
		return nil, err
	}
	disputed := &closing.Disputed{Raised: disputes.Raised, Numbers: disputes.Numbers, Digest: disputes.Digest}
	disputed.Amount.AddSum(&disputes.Amount)
	notes, err := commentaryStands(tx, m)
	if err != nil {
		return nil, err
	}
	commented := &closing.Commented{
		Asked: notes.Asked, Accepted: notes.Accepted, Owing: notes.Owing, Stale: notes.Stale, Unasked: len(notes.Unasked), Digest: notes.Digest, MustAnswer: terms.Answered,
	}
	return []closing.Facts{closing.DisputeFacts(disputed), closing.CommentaryFacts(commented)}, nil
}

func monthUsage(tx *db.Tx, m period.Month, through time.Time) (*closing.Usage, error) {
	row, err := tx.MonthUsage(m)
	if err != nil {
		return nil, err
	}
	u := &closing.Usage{Days: row.Days, Requests: row.Requests, Provisional: row.Provisional, Flushed: !through.Before(m.End())}
	var broken error
	if u.Charges, err = money.SumOfPico(row.ChargePico); err != nil {
		broken = err
	}
	if u.Repriced, err = money.SumOfPico(row.RepricedPico); err != nil {
		broken = errors.Join(broken, err)
	}
	if broken == nil && row.Provisional > 0 {
		u.Unpriced, broken = tx.MonthUnpriced(m)
	}
	if broken == nil {
		u.Reaching, broken = reaching(tx, m)
	}
	return u, broken
}

// maxReaching bounds the changes that reach back into a month.
const maxReaching = 200

// reaching are the changes that reach back into a month, or before it, and whose charges have
// not moved along yet.
func reaching(tx *db.Tx, m period.Month) ([]closing.Reach, error) {
	rows, err := tx.Following(m.End(), maxReaching)
	if err != nil {
		return nil, err
	}
	var list []closing.Reach
	for i := range rows {
		moves, err := follows(tx, rows[i].ChangeID)
		if err != nil {
			return nil, err
		}
		if moves {
			list = append(list, closing.Reach{Change: rows[i].ChangeID.String(), Number: rows[i].Number})
		}
	}
	return list, nil
}

// weighCharges sums what lies in suspense, and what is capitalized.
func weighCharges(tx *db.Tx, m period.Month, charged []db.NodeMonthRow) (closing.Facts, *closing.Capital, error) {
	tree, err := treeAt(tx, m.End().Add(-time.Microsecond))
	if err != nil {
		return closing.Facts{}, nil, err
	}
	var requests int64
	var suspense money.Sum
	capital := &closing.Capital{}
	seen := map[id.Node]bool{}
	for i := range charged {
		row := &charged[i]
		charge, err := money.SumOfPico(row.ChargePico)
		if err != nil {
			return closing.Facts{}, nil, err
		}
		code := row.Path[strings.LastIndexByte(row.Path, 0x1f)+1:]
		switch {
		case code == hierarchy.SuspenseCode:
			requests += row.Requests
			suspense.AddSum(&charge)
		case row.Capitalization != string(hierarchy.Capitalize):
			capital.Expensed.AddSum(&charge)
		default:
			capital.Capitalized.AddSum(&charge)
			if !seen[row.NodeID] {
				seen[row.NodeID] = true
				capital.Nodes++
				if v, _ := tree.Node(row.NodeID); v.Evidence.AuthorizationDocument == "" {
					capital.Unevidenced = append(capital.Unevidenced, code)
				}
			}
		}
	}
	return closing.SuspenseFacts(requests, &suspense), capital, nil
}

func monthAccrual(tx *db.Tx, m period.Month) (*closing.Accrual, error) {
	proof, err := proveJournal(tx, m)
	if err != nil {
		return nil, err
	}
	a := &closing.Accrual{Days: proof.days, Wrong: proof.wrong, Waiting: proof.waiting, Owed: proof.owed, Rounded: proof.rounded}
	a.Charges.AddSum(&proof.charges)
	a.Basis.AddSum(&proof.basis)
	return a, nil
}

// maxMonthInvoices bounds the invoices of one month.
const maxMonthInvoices = 500

var errInvoicesMany = fault.New(fault.KindConflict, "invoices_many", "The month has more than 500 invoices: what is left out could not be told from what is not there.")

// invoicesOf are the invoices with a day in a month, each in its latest revision.
func invoicesOf(tx *db.Tx, m period.Month) ([]db.InvoiceRow, error) {
	rows, err := tx.Invoices(&db.InvoiceFilter{From: m.Start(), To: m.End(), Standing: true, Limit: maxMonthInvoices + 1})
	if err == nil && len(rows) > maxMonthInvoices {
		err = errInvoicesMany
	}
	return rows, err
}

// monthInvoices are the invoices of usage with a day in a month, as they stand.
func monthInvoices(tx *db.Tx, m period.Month) (*closing.Invoices, error) {
	rows, err := invoicesOf(tx, m)
	if err != nil {
		return nil, err
	}
	v := &closing.Invoices{}
	billed := map[time.Time]bool{}
	h := sha256.New()
	for i := range rows {
		r := &rows[i]
		for day := r.ServiceFrom.UTC(); r.BillsUsage && day.Before(r.ServiceTo); day = day.AddDate(0, 0, 1) {
			billed[day] = true
		}
		if period.MonthOf(r.ServiceTo.UTC().AddDate(0, 0, -1)) != m {
			continue // it is of the month that its cycle ends in
		}
		v.Entered++
		v.Total += money.Cents(r.TotalCents)
		_, _ = h.Write(r.Digest)
		if r.AllocationID == nil {
			v.Waiting = append(v.Waiting, r.Number)
			continue
		}
		v.Allocated++
		v.Residual += money.Cents(r.ResidualCents)
		v.Gross += max(money.Cents(r.ResidualCents), -money.Cents(r.ResidualCents))
		allocation := r.AllocationID.Bytes()
		_, _ = h.Write(allocation[:])
	}
	v.Digest = hex.EncodeToString(h.Sum(nil))
	for day := m.Start(); day.Before(m.End()); day = day.AddDate(0, 0, 1) {
		if !billed[day] {
			v.Unbilled++
		}
	}
	return v, nil
}

func monthJournal(tx *db.Tx, m period.Month) (*closing.Journal, error) {
	sum, err := tx.JournalSum(m)
	if err != nil {
		return nil, err
	}
	j := &closing.Journal{Entries: sum.Entries, Digest: sum.Digest, Balanced: true}
	rows, err := tx.Balances(m, time.Time{})
	if err != nil {
		return nil, err
	}
	off := map[string]money.Cents{}
	for i := range rows {
		row, err := trialRow(&rows[i])
		if err != nil {
			return nil, err
		}
		j.Debits += row.Debits
		j.Credits += row.Credits
		off[row.Entity+"\x1f"+row.Currency] += row.Closing
	}
	for _, cents := range off {
		j.Balanced = j.Balanced && cents == 0
	}
	return j, nil
}
