package retention

import (
	"time"

	"tollbook/app/fault"
	"tollbook/app/period"
)

// Class is what is kept under one term.
type Class string

// The classes. Exports are handed out and not kept, so that there is none of them.
const (
	Usage    Class = "usage"    // requests, their adjustments, and the batches of both
	Audit    Class = "audit"    // the bytes of audit records; leaves and proofs stay
	Notices  Class = "notices"  // messages, and what was done to deliver them
	Sessions Class = "sessions" // sign-ins at the pages
)

// Classes lists them as they are shown.
func Classes() []Class { return []Class{Usage, Audit, Notices, Sessions} }

// Years that a term may have.
const (
	DefaultYears = 7
	MaxYears     = 100
)

// Floor is the least number of years a class is kept.
func (c Class) Floor() int {
	if c.Closes() {
		return DefaultYears
	}
	return 1
}

// Closes tells whether a class is kept from the close of its month's books on, and not from
// the end of the month.
func (c Class) Closes() bool { return c == Usage || c == Audit }

// Parse reads a class.
func Parse(text string) (Class, error) {
	for _, c := range Classes() {
		if string(c) == text {
			return c, nil
		}
	}
	return "", fault.Invalid("class", "retention_class", "The class is usage, audit, notices or sessions.")
}

// Check refuses years that a class cannot have.
func (c Class) Check(years int) error {
	if years < c.Floor() || years > MaxYears {
		return fault.Invalid(string(c), "retention_years", "Whole years, from %d to %d.", c.Floor(), MaxYears)
	}
	return nil
}

// Term is how long a class is kept from an instant on, until a later term says otherwise.
type Term struct {
	Class         Class
	Years         int
	EffectiveFrom time.Time
	RecordedAt    time.Time
}

// InForce is the term of a class at an instant: the one with the latest effective date that
// has come; of those, the one recorded last. Without any it is DefaultYears.
func InForce(terms []Term, class Class, at time.Time) Term {
	best := Term{Class: class, Years: DefaultYears}
	for _, t := range terms {
		if t.Class != class || t.EffectiveFrom.After(at) {
			continue
		}
		if c := t.EffectiveFrom.Compare(best.EffectiveFrom); best.EffectiveFrom.IsZero() || c > 0 || c == 0 && t.RecordedAt.After(best.RecordedAt) {
			best = t
		}
	}
	return best
}

// Hold keeps months from being purged; without months, all of them.
type Hold struct {
	First, Last period.Month // both included; both zero: every month
	Ended       bool
}

// Covers tells whether the hold is on a month.
func (h Hold) Covers(m period.Month) bool {
	switch {
	case h.Ended:
		return false
	case h.First == (period.Month{}):
		return true
	}
	return !m.Start().Before(h.First.Start()) && !m.Start().After(h.Last.Start())
}

// Held counts the holds that are on a month.
func Held(holds []Hold, m period.Month) int {
	n := 0
	for _, h := range holds {
		if h.Covers(m) {
			n++
		}
	}
	return n
}

// Kept is a month that has rows of a class.
type Kept struct {
	Month period.Month
	// ClosedAt is when its books closed, or when the company was offboarded and nobody would
	// close them any more; zero: they are open.
	ClosedAt time.Time
}

// Ends is when a month has been kept for a term; found is false while its books are open and
// the class waits for them.
func Ends(t Term, k Kept) (ends time.Time, found bool) {
	from := k.Month
	if t.Class.Closes() {
		if k.ClosedAt.IsZero() {
			return time.Time{}, false
		}
		if closed := period.MonthOf(k.ClosedAt); closed.Start().After(from.Start()) {
			from = closed
		}
	}
	return from.End().AddDate(t.Years, 0, 0), true // the first of a month in every year
}

// Expired lists the months of a class that may be purged at an instant, in the order given.
func Expired(class Class, kept []Kept, terms []Term, holds []Hold, at time.Time) []period.Month {
	term := InForce(terms, class, at)
	var list []period.Month
	for _, k := range kept {
		if ends, found := Ends(term, k); found && !ends.After(at) && Held(holds, k.Month) == 0 {
			list = append(list, k.Month)
		}
	}
	return list
}
