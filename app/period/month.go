package period

import (
	"time"

	"tollbook/app/fault"
)

// Month is a UTC calendar month, held as its first day.
type Month struct{ first time.Time }

// MonthOf is the month an instant falls in.
func MonthOf(at time.Time) Month {
	at = at.UTC()
	return Month{first: time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)}
}

// MarshalText implements encoding.TextMarshaler; the zero month is empty text.
func (m Month) MarshalText() ([]byte, error) {
	if m.first.IsZero() {
		return nil, nil
	}
	return []byte(m.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Month) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*m = Month{}
		return nil
	}
	*m, err = ParseMonth(string(text))
	return err
}

// ParseMonth reads YYYY-MM.
func ParseMonth(text string) (Month, error) {
	at, err := time.Parse("2006-01", text)
	if err != nil {
		return Month{}, fault.Invalid("period", "period_syntax", "A period is YYYY-MM, as in 2026-11; %.20q is not.", text)
	}
	return Month{first: at}, nil
}

// ParseMonths reads several.
func ParseMonths(texts []string) ([]Month, error) {
	list := make([]Month, 0, len(texts))
	for _, text := range texts {
		m, err := ParseMonth(text)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// String prints YYYY-MM.
func (m Month) String() string { return m.first.Format("2006-01") }

// Start is the first instant, End the first instant after; UTC.
func (m Month) Start() time.Time { return m.first }

// End is the first instant after the month.
func (m Month) End() time.Time { return m.first.AddDate(0, 1, 0) }

// Days is how many days the month has.
func (m Month) Days() int { return m.End().AddDate(0, 0, -1).Day() }

// Next is the month after, Previous the month before.
func (m Month) Next() Month { return Month{first: m.first.AddDate(0, 1, 0)} }

// Previous is the month before.
func (m Month) Previous() Month { return Month{first: m.first.AddDate(0, -1, 0)} }

// maxSkip bounds the search for an open month: two years locked ahead is an error
// in the books, not a state to post around.
const maxSkip = 24

// Posting is the month a charge of that month posts to, given which months are
// shut; a month nobody has touched is open.
func Posting(of Month, state func(Month) State) (Month, error) {
	for range maxSkip {
		if !state(of).Shut() {
			return of, nil
		}
		of = of.Next()
	}
	return Month{}, fault.New(fault.KindConflict, "period_none_open", "No open period follows that day.")
}
