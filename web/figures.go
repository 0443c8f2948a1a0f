package web

import (
	"fmt"
	"time"

	"tollbook/app"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/web/ui"
)

// figure is a number with its basis in words.
type figure struct {
	Label string
	Value string
	URL   string // what it is made of
	Tone  string // over, under or none
	Sign  string // the tone in shape
	Tag   *figureTag
	Notes []link // words; some lead somewhere
}

type figureTag struct {
	Tone       ui.Tone
	Icon, Word string
}

// figures are the four numbers a month is read by.
func figures(sum *app.Chargeback, q monthQuery, days, before []app.DayTotal, now time.Time) []figure {
	return []figure{attributed(sum, q), requests(sum, q), compared(q, days, before, now), controlled(sum)}
}

func attributed(sum *app.Chargeback, q monthQuery) figure {
	var placed money.Sum
	placed.AddSum(&sum.Total)
	placed.SubSum(&sum.Suspense)
	f := figure{Label: "Attributed to cost centers", Value: ui.Dollars(&placed), URL: requestsURL(q.Month)}
	if sum.Suspense.Sign() == 0 {
		f.Notes = []link{{Label: "All of " + ui.Dollars(&sum.Total) + "; nothing in suspense"}}
		return f
	}
	f.Notes = []link{
		{Label: ui.Percent(&placed, &sum.Total, 2) + " of " + ui.Dollars(&sum.Total) + ";"},
		{Label: ui.Dollars(&sum.Suspense) + " in suspense", URL: requestsURL(q.Month, "node", "SUSPENSE")},
	}
	return f
}

func requests(sum *app.Chargeback, q monthQuery) figure {
	f := figure{Label: "Requests", Value: ui.Count(sum.Requests), URL: requestsURL(q.Month), Notes: []link{{Label: tokenWords(sum.Tokens) + ";"}}}
	if sum.Errors > 0 {
		f.Notes = append(f.Notes, link{Label: ui.Plural(sum.Errors, "error") + ", not charged", URL: requestsURL(q.Month, "state", "error")})
	} else {
		f.Notes = append(f.Notes, link{Label: "no errors"})
	}
	if sum.Provisional > 0 {
		f.Notes = append(f.Notes, link{Label: ui.Count(sum.Provisional) + " provisional", URL: requestsURL(q.Month, "state", app.Provisional)})
	}
	return f
}

// tokenWords rounds down to three places: the exact count is in the table.
func tokenWords(n int64) string {
	for _, unit := range []struct {
		size int64
		word string
	}{{1_000_000_000, "billion"}, {1_000_000, "million"}} {
		if n >= unit.size {
			return fmt.Sprintf("%s.%d %s tokens", ui.Count(n/unit.size), n%unit.size*10/unit.size, unit.word)
		}
	}
	return ui.Plural(n, "token")
}

// compared sets a month against the one before, over the same whole days.
func compared(q monthQuery, days, before []app.DayTotal, now time.Time) figure {
	through := q.Month.Days()
	if q.Month == q.Current {
		through = now.UTC().Day() - 1 // today is not over
	}
	earlier := q.Month.Previous()
	last := min(through, earlier.Days())
	name := earlier.Start().Format("Jan")
	f := figure{Label: fmt.Sprintf("Against 1–%d %s", last, name), Value: "–"}
	if through == q.Month.Days() {
		f.Label, last = "Against "+monthName(earlier), earlier.Days()
	}
	if through == 0 {
		f.Label, f.Notes = "Against "+name, []link{{Label: "The first day of the month is not over"}}
		return f
	}
	current, then := upTo(days, through), upTo(before, last)
	if then.Sign() == 0 {
		f.Notes = []link{{Label: "Nothing was spent then"}}
		return f
	}
	var difference money.Sum
	difference.AddSum(&current)
	difference.SubSum(&then)
	f.Value = ui.Signed(&difference)
	f.URL = q.with(earlier).url("/")
	f.Notes = []link{{Label: fmt.Sprintf("%s: %s now, %s then, whole days", ui.Percent(&difference, &then, 1), ui.Dollars(&current), ui.Dollars(&then))}}
	switch difference.Sign() {
	case 1:
		f.Tone, f.Sign = "over", "▲"
	case -1:
		f.Tone, f.Sign = "under", "▼"
	}
	return f
}

// ownFigures are a developer's own month: what it came to, and against the one before.
func (w *Web) ownFigures(v *visit) ([]figure, error) {
	q := monthQuery{Current: period.MonthOf(w.cfg.Now())}
	q.Month = q.Current
	days, err := w.areas.Reports.OwnDays(v.Request().Context(), v.who, q.Month)
	if err != nil {
		return nil, err
	}
	before, err := w.areas.Reports.OwnDays(v.Request().Context(), v.who, q.Month.Previous())
	if err != nil {
		return nil, err
	}
	total, count := upTo(days, q.Month.Days()), int64(0)
	for _, d := range days {
		count += d.Requests
	}
	against := compared(q, days, before, w.cfg.Now())
	against.URL = requestsURL(q.Month.Previous())
	return []figure{
		{
			Label: "My spend, " + monthName(q.Month), Value: ui.Dollars(&total), URL: requestsURL(q.Month),
			Notes: []link{{Label: "US dollars, UTC days, all cost centers; today so far"}},
		},
		{
			Label: "My requests", Value: ui.Count(count), URL: requestsURL(q.Month),
			Notes: []link{{Label: "that declared the address I signed in with"}},
		},
		against,
	}, nil
}

func upTo(days []app.DayTotal, last int) money.Sum {
	var total money.Sum
	for i := range days {
		if days[i].Day.Day() <= last {
			total.AddSum(&days[i].Amount)
		}
	}
	return total
}

// controlled tells whether two independent sums of the month agree.
func controlled(sum *app.Chargeback) figure {
	f := figure{Label: "Ledger control difference", Value: "–"}
	if sum.Control == nil {
		f.Notes = []link{{Label: "Shown to whoever sees the whole company"}}
		return f
	}
	f.Value = ui.Dollars(&sum.Control.Difference)
	if sum.Control.Difference.Sign() == 0 && sum.Control.Requests == sum.Requests {
		f.Tag = &figureTag{Tone: ui.ToneOK, Icon: "✓", Word: "agrees"}
		f.Notes = []link{{Label: "this page against " + ui.Plural(sum.Control.Requests, "request") + " as flushed"}}
		return f
	}
	f.Tag = &figureTag{Tone: ui.ToneStop, Icon: "!", Word: "does not agree"}
	f.Notes = []link{{Label: fmt.Sprintf("%s on this page, %s in %s as flushed", ui.Dollars(&sum.Total), ui.Dollars(&sum.Control.Total), ui.Plural(sum.Control.Requests, "request"))}}
	return f
}
