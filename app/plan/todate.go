package plan

import (
	"time"

	"tollbook/app/money"
	"tollbook/app/period"
)

// Elapsed is how many days of a month count as gone at an instant: all of a month that
// is over, none of one to come, and of the current one today too, whole, because what
// was spent today counts as well.
func Elapsed(month period.Month, at time.Time) int {
	switch at = at.UTC(); {
	case at.Before(month.Start()):
		return 0
	case !at.Before(month.End()):
		return month.Days()
	}
	return at.Day()
}

// ToDate is what a month's amount comes to by a day: the amount times days elapsed over
// days in the month, split so that it and the rest of the month sum to the amount.
func ToDate(amount money.Cents, elapsed, days int) money.Cents {
	elapsed = min(max(elapsed, 0), days)
	parts, err := money.Split(amount, []int64{int64(elapsed), int64(days - elapsed)})
	if err != nil {
		return 0 // a month without days
	}
	return parts[0]
}
