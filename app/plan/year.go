package plan

import (
	"tollbook/app/fault"
	"tollbook/app/period"
)

// Months is how many months a plan covers.
const Months = 12

// Year is the twelve months one plan covers: a calendar year or a fiscal one.
type Year struct{ first period.Month }

// YearFrom is the year that begins with a month.
func YearFrom(first period.Month) Year { return Year{first: first} }

// CalendarYear is the calendar year a month is in.
func CalendarYear(of period.Month) Year {
	for of.Start().Month() != 1 {
		of = of.Previous()
	}
	return Year{first: of}
}

// ParseYear reads the first month of a year, YYYY-MM.
func ParseYear(text string) (Year, error) {
	first, err := period.ParseMonth(text)
	if err != nil {
		return Year{}, fault.Invalid("year", "plan_year", "A plan's year is its first month, as in 2026-01; %.20q is not.", text)
	}
	return Year{first: first}, nil
}

// String prints the first month, YYYY-MM.
func (y Year) String() string { return y.first.String() }

// First is the year's first month.
func (y Year) First() period.Month { return y.first }

// IsZero tells whether it is no year.
func (y Year) IsZero() bool { return y.first == (period.Month{}) }

// Name is the year in words: a calendar year by its number, another by its ends.
func (y Year) Name() string {
	if y.first.Start().Month() == 1 {
		return y.first.Start().Format("2006")
	}
	last := y.Month(Months - 1)
	return y.first.Start().Format("Jan 2006") + " to " + last.Start().Format("Jan 2006")
}

// Month is the year's month at a place from 0 to 11.
func (y Year) Month(at int) period.Month {
	m := y.first
	for range at {
		m = m.Next()
	}
	return m
}

// Each lists the twelve months.
func (y Year) Each() [Months]period.Month {
	var list [Months]period.Month
	for i, m := 0, y.first; i < Months; i, m = i+1, m.Next() {
		list[i] = m
	}
	return list
}

// Place is where a month stands in the year; false when it is not in it.
func (y Year) Place(m period.Month) (int, bool) {
	for i, at := range y.Each() {
		if at == m {
			return i, true
		}
	}
	return 0, false
}

// Previous and Next are the years beside.
func (y Year) Previous() Year {
	m := y.first
	for range Months {
		m = m.Previous()
	}
	return Year{first: m}
}

// Next is the year after.
func (y Year) Next() Year { return Year{first: y.Month(Months)} }
