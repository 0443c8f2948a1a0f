package closing

import (
	"fmt"
	"time"

	"tollbook/app/money"
)

// Day is how a day of a month was held against what the provider reports.
type Day struct {
	Day    time.Time
	State  string // no_report, provisional, reconciled, within_tolerance or exception
	Open   int    // variances that are not resolved
	Signed bool   // by a preparer and a reviewer, of the figures that count
}

// Days are a month's, in their order.
type Days struct {
	// Sourced tells that the provider's reports are pulled, FirstDay from when on.
	Sourced  bool
	FirstDay time.Time
	List     []Day

	Difference money.Sum // what the provider reports less what was charged
	Coverage   int64     // hundredths of a percent of all traffic that passed the gateway; -1: none is known
	TwoSign    bool      // each day has to be signed by two
}

// DayFacts are those of the step reconciliation.
func DayFacts(d *Days) Facts {
	f := Facts{Step: StepReconciled}
	states := map[string]int64{}
	var early, open, signed int64
	for i := range d.List {
		day := &d.List[i]
		if day.State == dayNoReport && (!d.Sourced || day.Day.Before(d.FirstDay)) {
			early++
			continue
		}
		states[day.State]++
		open += int64(day.Open)
		if day.Signed {
			signed++
		}
	}
	f.count("days_reconciled", states["reconciled"]+states["within_tolerance"]+states["exception"])
	f.count("days_without_report", early+states[dayNoReport])
	f.count("variances_open", open)
	f.count("days_within_tolerance", states["within_tolerance"])
	f.count("days_with_exceptions", states["exception"])
	f.count("days_provisional", states[dayProvisional])
	f.count("days_signed", signed)
	f.dollars("difference_usd", &d.Difference)
	if d.Coverage >= 0 {
		f.text("coverage", fmt.Sprintf("%d.%02d %%", d.Coverage/100, d.Coverage%100))
	}
	d.blocks(&f)
	switch {
	case !d.Sourced:
		f.Asks = "The provider’s reports are not pulled: say how the month’s charges were held against what the provider counts."
	case early > 0:
		f.Asks = fmt.Sprintf("%s before the provider’s reports were pulled: say how their charges were held against what the provider counts.", countWords(early, "day lies", "days lie"))
	}
	return f
}

// The states of a day in which it is not final.
const (
	dayNoReport    = "no_report"
	dayProvisional = "provisional"
)

// DayBlock begins the code of what is in the way about one day; the day follows.
const DayBlock = "day:"

// blocks names each day that is in the way, the first few of each kind; the rest are counted.
func (d *Days) blocks(f *Facts) {
	for _, kind := range []struct {
		is        func(*Day) bool
		one, many string
	}{
		{func(a *Day) bool { return a.State == dayNoReport && d.Sourced && !a.Day.Before(d.FirstDay) }, "The provider has not reported %s.", "The provider has not reported %s more."},
		{func(a *Day) bool { return a.State == dayProvisional }, "%s is provisional: one side does not have all of it yet.", "%s more are provisional."},
		{func(a *Day) bool { return a.Open > 0 }, "%s has a variance that is not resolved.", "%s more have variances that are not resolved."},
		{func(a *Day) bool { return d.TwoSign && a.State != dayNoReport && !a.Signed }, "%s is not signed by a preparer and a reviewer.", "%s more are not signed by two."},
	} {
		found := 0
		for i := range d.List {
			day := &d.List[i]
			if !kind.is(day) {
				continue
			}
			if found++; found <= listed {
				f.blockf(DayBlock+day.Day.Format(time.DateOnly), kind.one, day.Day.Format("2 January"))
			}
		}
		if found > listed {
			f.blockf("days", kind.many, countWords(int64(found-listed), "day", "days"))
		}
	}
}
