package reconcile

import (
	"cmp"
	"slices"
	"time"

	"tollbook/app/money"
)

// Class is why two sides differ.
type Class string

// The classes.
const (
	ClassLate              Class = "late"                // one side does not have all of the day yet, or has a request on the next
	ClassAborted           Class = "aborted_stream"      // a stream broke off, and the provider counted what we did not see
	ClassBypass            Class = "bypass"              // requests that never passed the gateway
	ClassUnknownPrice      Class = "unknown_price"       // we charged a provisional price
	ClassTier              Class = "tier_mismatch"       // the same requests in another tier, speed, geography or model
	ClassMeter             Class = "class_mismatch"      // the same tokens in another class
	ClassPrice             Class = "price_mismatch"      // the same quantity at another list price
	ClassFee               Class = "fee"                 // a charge that no request explains
	ClassCredit            Class = "credit_or_discount"  // an amount off the list beyond, or short of, the contracted discount
	ClassRounding          Class = "rounding"            // at most half a pico-dollar for each rounded value
	ClassMissingAtProvider Class = "missing_at_provider" // requests that we have and the provider does not
	ClassMissingWithUs     Class = "missing_with_us"     // requests with the gateway's key that we do not have
	ClassReports           Class = "reports_disagree"    // the provider's usage report differs, and its cost report agrees with us
	ClassUnknown           Class = "unknown"
	// ClassSeveral is no item's: it is a variance's that is made of several classes, each of them
	// small.
	ClassSeveral Class = "several"
)

// Classes lists them in the order of every table.
func Classes() []Class {
	return []Class{
		ClassLate, ClassAborted, ClassBypass, ClassUnknownPrice, ClassTier, ClassMeter, ClassPrice, ClassFee, ClassCredit, ClassMissingAtProvider, ClassMissingWithUs, ClassReports,
		ClassRounding, ClassUnknown, ClassSeveral,
	}
}

// Known tells whether a class is one.
func (c Class) Known() bool { return slices.Contains(Classes(), c) }

// Waits tells whether a class needs nobody: it goes away by itself, or is too small to be
// anything.
func (c Class) Waits() bool { return c == ClassLate || c == ClassRounding }

// Item is one difference: the provider's side less ours.
type Item struct {
	Class       Class     `json:"class"`
	Cell        Cell      `json:"cell"`
	Quantity    int64     `json:"quantity"`
	List        money.Sum `json:"list"`
	Amount      money.Sum `json:"amount"` // net
	Explanation string    `json:"explanation"`
	Nodes       []Charged `json:"nodes,omitempty"` // of the amount, exactly; empty where no node of ours has part in it
}

// AgeDays is how many whole days ago a day ended.
func AgeDays(day, now time.Time) int {
	return max(0, int(now.UTC().Sub(day.UTC().AddDate(0, 0, 1))/(24*time.Hour)))
}

func (i *Item) compare(j *Item) int {
	return cmp.Or(cmp.Compare(slices.Index(Classes(), i.Class), slices.Index(Classes(), j.Class)), i.Cell.compare(j.Cell))
}

// Subject is what items of one class are counted together for.
type Subject struct {
	Class   Class   `json:"class"`
	Surface Surface `json:"surface"`
	Key     string  `json:"key,omitempty"`
	Model   string  `json:"model"`
}

// Subject is what the item is counted together with.
func (i *Item) Subject() Subject {
	return Subject{Class: i.Class, Surface: i.Cell.Surface, Key: i.Cell.Key, Model: i.Cell.Model}
}

func (s Subject) compare(t Subject) int {
	return cmp.Or(cmp.Compare(slices.Index(Classes(), s.Class), slices.Index(Classes(), t.Class)), cmp.Compare(s.Surface, t.Surface), cmp.Compare(s.Key, t.Key), cmp.Compare(s.Model, t.Model))
}

// minus is a less b.
func minus(a, b *money.Sum) money.Sum {
	var d money.Sum
	d.AddSum(a)
	d.SubSum(b)
	return d
}

// plus is a and b, in no memory of theirs: what is copied must not be added to.
func plus(a, b *money.Sum) money.Sum {
	var d money.Sum
	d.AddSum(a)
	d.AddSum(b)
	return d
}

// Magnitude is a sum without its sign.
func Magnitude(s *money.Sum) money.Sum {
	var m money.Sum
	if s.Sign() < 0 {
		m.SubSum(s)
	} else {
		m.AddSum(s)
	}
	return m
}

// pico is a whole number of pico-dollars as a sum.
func pico(n int64) money.Sum {
	var s money.Sum
	s.Add(money.Pico(n))
	return s
}
