package invoice

import (
	"time"

	"tollbook/app/money"
	"tollbook/app/period"
)

// Class is why an invoice and the ledger differ.
type Class string

// The classes an invoice adds to those of a day's reconciliation.
const (
	ClassRounding Class = "rounding"
	ClassTax      Class = "tax"
	ClassSeats    Class = "seats"
	ClassPaid     Class = "commitment"
	ClassFee      Class = "fee"
	ClassCredit   Class = "credit"
	// ClassDiscount is of an invoice that bills no requests: else it is within what they came to.
	ClassDiscount Class = "discount"
	// ClassUnknown is what nothing explains.
	ClassUnknown Class = "unexplained"
)

// Item is one reason for a difference, and its amount.
type Item struct {
	Class  Class
	Amount money.Sum
	Why    string // in words; empty where the class says it
}

// Figures are what an invoice is held against.
type Figures struct {
	Ledger   money.Sum  // exact net charges of the cycle's days
	Report   *money.Sum // the provider's cost report for the same days; nil: there is none
	Complete bool       // the report covers every day of the cycle
	Items    []Item     // that the reconciliation of those days explains, together Report - Ledger at most
}

// Match is the three of them side by side.
type Match struct {
	Total     money.Cents
	Billed    money.Cents // of requests: without tax, seats and commitments
	Report    *money.Sum
	Ledger    money.Sum
	Items     []Item    // together Total - Ledger, exactly
	Unknown   money.Sum // of them, what nothing explains
	Rounding  money.Cents
	Tolerance money.Cents // what rounding to cents may come to, a cent for each line of requests
}

// Difference is what the invoice has above the ledger.
func (m *Match) Difference() money.Sum {
	var d money.Sum
	d.AddCents(m.Total)
	d.SubSum(&m.Ledger)
	return d
}

// Compare holds an invoice against the ledger and the provider's report. Items come out in
// a fixed order and add up to the difference; the last is what nothing explains, where
// there is any.
func Compare(i *Invoice, f *Figures) Match {
	m := Match{Total: i.Total, Billed: i.Billed(), Report: f.Report}
	m.Ledger.AddSum(&f.Ledger)
	left := m.Difference()
	take := func(item Item) {
		if item.Amount.Sign() != 0 {
			left.SubSum(&item.Amount)
			m.Items = append(m.Items, item)
		}
	}
	for _, one := range []struct {
		kind  Kind
		class Class
		why   string
	}{
		{Tax, ClassTax, "tax on the invoice, which the ledger does not charge"},
		{Seats, ClassSeats, "seats on the invoice, which no request is for"},
		{Commitment, ClassPaid, "a commitment on the invoice, which no request is for"},
	} {
		item := Item{Class: one.class, Why: one.why}
		item.Amount.AddCents(i.Sum(one.kind))
		take(item)
	}
	for _, item := range f.Items {
		take(item)
	}
	explain(i, f, take)
	for n := range i.Lines {
		if i.Lines[n].Kind.OfRequests() && i.Lines[n].Amount != 0 {
			m.Tolerance++
		}
	}
	m.round(&left, take)
	if left.Sign() != 0 {
		m.Unknown.AddSum(&left)
		m.Items = append(m.Items, Item{Class: ClassUnknown, Amount: m.Unknown})
	}
	return m
}

// explain takes what the invoice itself names and no request was charged for: fees and
// credits, less what the reconciliation of single days named before.
func explain(i *Invoice, f *Figures, take func(Item)) {
	type named struct {
		kind  Kind
		class Class
		why   string
	}
	list := []named{{Fee, ClassFee, "billed beside requests"}, {Credit, ClassCredit, "given back by the provider"}}
	if !i.HasUsage() {
		list = append(list, named{Discount, ClassDiscount, "taken off something that this invoice does not bill"})
	}
	for _, one := range list {
		item := Item{Class: one.class, Why: one.why}
		item.Amount.AddCents(i.Sum(one.kind))
		for n := range f.Items {
			if f.Items[n].Class == one.class {
				item.Amount.SubSum(&f.Items[n].Amount)
			}
		}
		take(item)
	}
}

// round takes what is left for rounding where that much can be.
func (m *Match) round(left *money.Sum, take func(Item)) {
	var most, least money.Sum
	most.AddCents(m.Tolerance)
	least.AddCents(-m.Tolerance)
	if left.Cmp(&most) <= 0 && left.Cmp(&least) >= 0 {
		item := Item{Class: ClassRounding, Why: "invoices are in cents, charges are not"}
		item.Amount.AddSum(left)
		take(item)
	}
}

// Part is a cycle's days within one month.
type Part struct {
	Month    period.Month
	From, To time.Time // half-open
	Charges  money.Sum
	Billed   money.Cents // of the invoice's total, by the exact charges
}

// Bridge cuts a cycle at the ends of months: by what each month's days were charged, or by
// days where nothing was. The parts add up to the invoice.
func Bridge(i *Invoice, charges func(from, to time.Time) money.Sum) ([]Part, error) {
	var parts []Part
	var weights []money.Sum
	charged := false
	for from := i.From; from.Before(i.To); {
		month := period.MonthOf(from)
		to := month.End()
		if to.After(i.To) {
			to = i.To
		}
		one := Part{Month: month, From: from, To: to}
		one.Charges = charges(from, to)
		charged = charged || one.Charges.Sign() > 0
		parts, weights = append(parts, one), append(weights, one.Charges)
		from = to
	}
	for n := range weights {
		if !charged {
			weights[n] = money.Sum{}
			weights[n].AddCents(money.Cents(parts[n].To.Sub(parts[n].From) / (24 * time.Hour)))
		} else if weights[n].Sign() < 0 {
			weights[n] = money.Sum{}
		}
	}
	billed, err := money.SplitSums(i.Total, weights)
	if err != nil {
		return nil, err
	}
	for n := range parts {
		parts[n].Billed = billed[n]
	}
	return parts, nil
}
