package reconcile

import (
	"math/big"
	"slices"
	"time"

	"tollbook/app/money"
)

// Day is both sides of one day, and what else is known of it.
type Day struct {
	Day    time.Time // UTC
	Facts  []Fact
	Loose  []Loose
	Counts []Count
	Costs  []Cost
	// Before and After are what the provider counts more than we do on the days beside it: a
	// request at midnight may be on either.
	Before, After []Count
	// Earlier are the days before Before, the nearest first, for as far as AsksEarlier asks.
	Earlier [][]Count `json:",omitempty"`
	// CoversUsage and CoversCost say that the provider's report has all of the day, and Complete
	// that our ledger has.
	CoversUsage, CoversCost, Complete bool
	DiscountBps                       int64 // contracted that day
}

// Result is a day's differences.
type Result struct {
	Items []Item
	// Ours is what the ledger charged, net; Listed the same at list price. Billed is what the
	// provider reports to be paid, ListPrice the same before discounts.
	Ours, Listed, Billed, ListPrice money.Sum
	// Difference is Billed less Ours; the items' amounts come to it.
	Difference money.Sum
	// Unexplained is the amount of what is unknown, Gross the same without signs.
	Unexplained, Gross         money.Sum
	OurRequests, TheirRequests int64
	OurTokens, TheirTokens     int64
	Coverage                   []Coverage
	nodes                      []Charged // what each was charged that day
	settled                    bool      // both sides have all of the day
}

// part is what one class takes of a cell's quantity.
type part struct {
	class    Class
	quantity int64
	why      string
	loose    bool // it is of requests that ended early
}

// both is one cell with its two sides.
type both struct {
	Cell

	fact         Fact
	counted      int64
	list, amount money.Sum
	rows         int64
	left         int64 // quantity that no class took yet: the provider's less ours
	parts        []part
}

// take gives a class some of what is left, in the direction of what is left.
func (b *both) take(class Class, most int64, why string, loose bool) {
	n := b.left
	if most >= 0 {
		n = max(-most, min(most, n))
	}
	if n == 0 {
		return
	}
	b.left -= n
	b.parts = append(b.parts, part{class: class, quantity: n, why: why, loose: loose})
}

const all = -1 // take's bound where a class may take everything

// match is the work on one day.
type match struct {
	day      *Day
	cells    []*both
	loose    map[string]*Loose // by model
	result   Result
	rounding money.Sum // of all cells
}

// Match names every difference of the day.
func (d *Day) Match() Result {
	m := &match{day: d, cells: laidOut(d), loose: map[string]*Loose{}}
	for i := range d.Loose {
		l := d.Loose[i]
		m.loose[l.Model] = &l
	}
	m.quantities()
	for _, c := range m.cells {
		m.money(c)
	}
	m.round()
	slices.SortStableFunc(m.result.Items, func(a, b Item) int { return a.compare(&b) })
	m.sum()
	return m.result
}

// laidOut puts both sides beside one another, in one order.
func laidOut(d *Day) []*both {
	at := map[Cell]*both{}
	find := func(c Cell) *both {
		c.Group = c.Plain()
		if at[c] == nil {
			at[c] = &both{Cell: c, fact: Fact{Cell: c, DiscountBps: d.DiscountBps}}
		}
		return at[c]
	}
	for i := range d.Facts {
		b, f := find(d.Facts[i].Cell), d.Facts[i]
		f.Cell = b.Cell
		f.add(&b.fact)
		b.fact = f
	}
	for i := range d.Counts {
		find(d.Counts[i].Cell).counted += d.Counts[i].Quantity
	}
	for i := range d.Costs {
		b := find(d.Costs[i].Cell)
		b.list.AddSum(&d.Costs[i].List)
		b.amount.AddSum(&d.Costs[i].Amount)
		b.rows += d.Costs[i].Rows
	}
	cells := make([]*both, 0, len(at))
	for _, b := range at {
		b.left = b.counted - b.fact.Quantity
		cells = append(cells, b)
	}
	slices.SortFunc(cells, func(a, b *both) int { return a.compare(b.Cell) })
	return cells
}

// add takes what was there of the same cell before.
func (f *Fact) add(was *Fact) {
	if was.Requests == 0 && was.Quantity == 0 && was.List.Sign() == 0 && was.Net.Sign() == 0 {
		return
	}
	f.MixedDiscount = f.MixedDiscount || was.MixedDiscount || f.DiscountBps != was.DiscountBps
	f.Quantity += was.Quantity
	f.List, f.Net, f.Unpriced = plus(&f.List, &was.List), plus(&f.Net, &was.Net), plus(&f.Unpriced, &was.Unpriced)
	f.Requests += was.Requests
	f.Largest = max(f.Largest, was.Largest)
	f.Held += was.Held
	f.RateLow, f.RateHigh = min(f.RateLow, was.RateLow), max(f.RateHigh, was.RateHigh)
	f.Derived += was.Derived
	f.Nodes = slices.Concat(was.Nodes, f.Nodes)
}

// Differing is what the provider counts more than we do, cell by cell: what the days beside
// need to know of this one. What the bill settles is no request that one of them could lack.
func (d *Day) Differing() []Count {
	m := &match{day: d, cells: laidOut(d)}
	for _, g := range m.groups() {
		m.disagree(g)
	}
	var list []Count
	for _, b := range m.cells {
		if b.left != 0 {
			list = append(list, Count{Cell: b.Cell, Quantity: b.left})
		}
	}
	return list
}

// expected is what a list amount comes to under the discount of a cell.
func (b *both) expected(list *money.Sum) money.Sum {
	if b.fact.MixedDiscount {
		return list.Share(&b.fact.Net, &b.fact.List)
	}
	return list.Scaled(big.NewInt(10_000-b.fact.DiscountBps), big.NewInt(10_000))
}
