package plan

import (
	"strconv"
	"time"

	"tollbook/app/id"
	"tollbook/app/period"
)

// Version is one approved plan of one year.
type Version struct {
	Number        int // counts all of a tenant's plans
	Year          Year
	Ordinal       int // 0 is the year's original, n its reforecast n
	EffectiveFrom time.Time
	RecordedAt    time.Time
	Change        id.Change
}

// Name is what people call it.
func (v Version) Name() string {
	if v.Ordinal == 0 {
		return "Original"
	}
	return "Reforecast " + strconv.Itoa(v.Ordinal)
}

// InForce finds the version that says what a month may cost: of those that cover it, had
// taken effect as of one instant and were recorded by another (zero: all there are), the
// last that was approved.
func InForce(versions []Version, month period.Month, asOf, known time.Time) (Version, bool) {
	var found Version
	for _, v := range versions {
		_, covers := v.Year.Place(month)
		late := v.EffectiveFrom.After(asOf) || (!known.IsZero() && v.RecordedAt.After(known))
		if covers && !late && v.Number > found.Number {
			found = v
		}
	}
	return found, found.Number > 0
}

// Latest is the last version of a year, in force or not yet: what a reforecast starts from.
func Latest(versions []Version, year Year) (Version, bool) {
	var found Version
	for _, v := range versions {
		if v.Year == year && v.Number > found.Number {
			found = v
		}
	}
	return found, found.Number > 0
}
