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
	// unknownOfDay is what the reconciliation of a day calls so.
	unknownOfDay Class = "unknown"
	// creditOfDay is what it calls an amount off the list.
	creditOfDay Class = "credit_or_discount"
)

// Item is one reason for a difference, and its amount.
type Item struct {
	Class  Class     `json:"class"`
	Amount money.Sum `json:"amount"`
	Why    string    `json:"why,omitempty"`  // in words; empty where the class says it
	Days   []Portion `json:"days,omitempty"` // where it comes from single days; together the amount
}

// Portion is what of an item lies on one day.
type Portion struct {
	Day    time.Time `json:"day"`
	Amount money.Sum `json:"amount"`
}

// Day is one day of a cycle by the ledger, by the provider's cost report, and by the
// reconciliation of the two.
type Day struct {
	Day      time.Time  `json:"day"`
	Ledger   money.Sum  `json:"ledger"`            // exact net charges, adjustments included
	Adjusted money.Sum  `json:"adjusted"`          // of them, what adjustments came to
	Report   *money.Sum `json:"report,omitempty"`  // nil: there is none
	Partial  bool       `json:"partial,omitempty"` // the report does not have all of the day yet
	State    string     `json:"state,omitempty"`   // of the reconciliation; empty: there is none
	Billed   money.Sum  `json:"compared"`          // the report that was reconciled
	Ours     money.Sum  `json:"ours"`              // the charges that were reconciled
	Items    []Item     `json:"items,omitempty"`   // together Billed - Ours, exactly
}

// Difference is what the report has above the ledger; nothing where there is no report.
func (d *Day) Difference() money.Sum {
	if d.Report == nil {
		return money.Sum{}
	}
	return minus(d.Report, &d.Ledger)
}

// Unexplained is what of the day's difference no class of the reconciliation holds.
func (d *Day) Unexplained() money.Sum {
	left := d.Difference()
	for n := range d.Items {
		if d.Items[n].Class != unknownOfDay {
			left.SubSum(&d.Items[n].Amount)
		}
	}
	return left
}

// Covered tells whether the report has all of the day.
func (d *Day) Covered() bool { return d.Report != nil && !d.Partial }

// Figures are what an invoice is held against.
type Figures struct {
	Ledger money.Sum // exact net charges of the cycle's days
	Days   []Day     // every day of the cycle, in order; none for an invoice that bills no requests
}

// Match is the three of them side by side.
type Match struct {
	Total     money.Cents `json:"total_cents"`
	Billed    money.Cents `json:"billed_cents"`     // of requests: without tax, seats and commitments
	Report    *money.Sum  `json:"report,omitempty"` // of the days that have one; nil: none has
	Ledger    money.Sum   `json:"ledger"`
	Adjusted  money.Sum   `json:"adjusted"`        // of the ledger, what adjustments came to
	Items     []Item      `json:"items"`           // together Total - Ledger, exactly
	Unknown   money.Sum   `json:"unexplained"`     // of them, what nothing explains
	Tolerance money.Cents `json:"tolerance_cents"` // what rounding to cents may come to, a cent for each line of requests
	Days      []Day       `json:"days,omitempty"`
}

// Difference is what the invoice has above the ledger.
func (m *Match) Difference() money.Sum {
	var d money.Sum
	d.AddCents(m.Total)
	d.SubSum(&m.Ledger)
	return d
}

// Before is what the invoice had above the ledger without any adjustment of its requests.
func (m *Match) Before() money.Sum {
	d := m.Difference()
	d.AddSum(&m.Adjusted)
	return d
}

// Coverage counts the days that the cost report covers, those it covers in part, and those it
// does not have.
func (m *Match) Coverage() (whole, partial, missing int) {
	for n := range m.Days {
		switch d := &m.Days[n]; {
		case d.Covered():
			whole++
		case d.Partial:
			partial++
		default:
			missing++
		}
	}
	return whole, partial, missing
}

// comparing is the work on one match: what is left of the difference.
type comparing struct {
	Match

	left money.Sum
}

func (c *comparing) take(item Item) {
	if item.Amount.Sign() == 0 {
		return
	}
	c.left.SubSum(&item.Amount)
	if item.Class == ClassUnknown {
		c.Unknown.AddSum(&item.Amount)
	}
	c.Items = append(c.Items, item)
}

// Compare holds an invoice against the provider's report and the ledger. Items come out in a
// fixed order and add up to the difference; what nothing explains comes last, where there is
// any: first what lies between ledger and report, by the days, and then what lies between
// report and invoice.
func Compare(i *Invoice, f *Figures) Match {
	c := &comparing{Match: Match{Total: i.Total, Billed: i.Billed(), Days: f.Days}}
	c.Ledger.AddSum(&f.Ledger)
	c.left = c.Difference()
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
		c.take(item)
	}
	known, unknown := c.ofDays()
	for _, item := range known {
		c.take(item)
	}
	c.explain(i, known)
	for n := range i.Lines {
		if i.Lines[n].Kind.OfRequests() && i.Lines[n].Amount != 0 {
			c.Tolerance++
		}
	}
	rest := minus(&c.left, &unknown.Amount)
	c.round(&rest)
	c.take(unknown)
	c.take(Item{Class: ClassUnknown, Amount: plus(&c.left, &money.Sum{}), Why: c.between()})
	return c.Match
}

// ofDays adds up the days: the report, and the items by class in the order they first stand.
func (c *comparing) ofDays() (known []Item, unknown Item) {
	at := map[Class]int{}
	unknown = Item{Class: ClassUnknown, Why: "between ledger and cost report, of days that their reconciliation does not explain"}
	for n := range c.Days {
		d := &c.Days[n]
		c.Adjusted.AddSum(&d.Adjusted)
		if d.Report == nil {
			continue
		}
		if c.Report == nil {
			c.Report = &money.Sum{}
		}
		c.Report.AddSum(d.Report)
		for k := range d.Items {
			class := d.Items[k].Class
			if class == unknownOfDay {
				continue
			}
			if class == creditOfDay {
				class = ClassCredit
			}
			place, there := at[class]
			if !there {
				place = len(known)
				at[class] = place
				known = append(known, Item{Class: class, Why: "named by the reconciliation of its days"})
			}
			known[place].on(d.Day, &d.Items[k].Amount)
		}
		if left := d.Unexplained(); left.Sign() != 0 {
			unknown.on(d.Day, &left)
		}
	}
	return known, unknown
}

// on adds what of an item lies on a day.
func (i *Item) on(day time.Time, amount *money.Sum) {
	i.Amount.AddSum(amount)
	if n := len(i.Days); n > 0 && i.Days[n-1].Day.Equal(day) {
		i.Days[n-1].Amount.AddSum(amount)
		return
	}
	i.Days = append(i.Days, Portion{Day: day, Amount: plus(amount, &money.Sum{})})
}

// between says what lies on both sides of what is left.
func (c *comparing) between() string {
	switch whole, partial, missing := c.Coverage(); {
	case whole+partial+missing == 0:
		return ""
	case missing == len(c.Days):
		return "between ledger and invoice: the provider reports none of its days"
	case partial+missing > 0:
		return "between cost report and invoice, and on days that the report does not cover"
	}
	return "between cost report and invoice"
}

// explain takes what the invoice itself names and no request was charged for: fees and
// credits, less what the reconciliation of single days named before.
func (c *comparing) explain(i *Invoice, days []Item) {
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
		for n := range days {
			if days[n].Class == one.class {
				named := within(&days[n].Amount, &item.Amount)
				item.Amount.SubSum(&named)
			}
		}
		c.take(item)
	}
}

// within is an amount as far as another one goes the same way.
func within(amount, bound *money.Sum) money.Sum {
	switch {
	case amount.Sign()*bound.Sign() <= 0:
		return money.Sum{}
	case amount.Cmp(bound)*bound.Sign() > 0:
		return plus(bound, &money.Sum{})
	}
	return plus(amount, &money.Sum{})
}

// round takes what is left for rounding where that much can be.
func (c *comparing) round(rest *money.Sum) {
	var most, least money.Sum
	most.AddCents(c.Tolerance)
	least.AddCents(-c.Tolerance)
	if rest.Cmp(&most) <= 0 && rest.Cmp(&least) >= 0 {
		c.take(Item{Class: ClassRounding, Why: "invoices are in cents, charges are not", Amount: *rest})
	}
}

// minus is a less b, in no memory of theirs.
func minus(a, b *money.Sum) money.Sum {
	var d money.Sum
	d.AddSum(a)
	d.SubSum(b)
	return d
}

// plus is a and b, in no memory of theirs.
func plus(a, b *money.Sum) money.Sum {
	var d money.Sum
	d.AddSum(a)
	d.AddSum(b)
	return d
}

// Part is a cycle's days within one month.
type Part struct {
	Month    period.Month
	From, To time.Time // half-open
	Charges  money.Sum
	Billed   money.Cents // of the invoice's total, by the exact charges
	Report   *money.Sum  // of those of its days that have one; nil: none has
	// Whole, Partial and Missing count its days by what the cost report covers of them.
	Whole, Partial, Missing int
}

// Cover says of each part what the cost report has of its days.
func (m *Match) Cover(parts []Part) {
	for n := range parts {
		p := &parts[n]
		one := Match{}
		for k := range m.Days {
			if d := &m.Days[k]; !d.Day.Before(p.From) && d.Day.Before(p.To) {
				one.Days = append(one.Days, *d)
			}
		}
		p.Whole, p.Partial, p.Missing = one.Coverage()
		c := comparing{Match: one}
		c.ofDays()
		p.Report = c.Report
	}
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
