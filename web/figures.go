package web

import (
	"fmt"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/forecast"
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
func figures(sum *app.Chargeback, q monthQuery, trend *app.Trend) []figure {
	return []figure{attributed(sum, q), againstPlan(sum, q, trend), moved(&trend.Movement), controlled(sum)}
}

// againstPlan sets the month against the plan to date, and the month's end against the
// whole of it where a trend says what is expected.
func againstPlan(sum *app.Chargeback, q monthQuery, trend *app.Trend) figure {
	f := figure{Label: "Against plan", Value: "–"}
	var expected *forecastView
	if trend != nil {
		expected = forecastOf(sum, trend)
	}
	if sum.Plan == nil {
		f.Notes = []link{{Label: "No plan is in force for this month", URL: "/plan"}}
		if expected != nil {
			f.Notes[0].Label += ";"
			f.Notes = append(f.Notes, link{Label: "month forecast"}, link{Label: expected.Short, URL: "#forecast"})
		}
		return f
	}
	p := sum.Plan
	difference, toDate, whole := p.Variance(&sum.Total), planned(p.ToDate), planned(p.Month)
	f.Label = "Against plan, " + q.Month.Start().Format("January 2006")
	if p.Elapsed < p.Days {
		f.Label = fmt.Sprintf("Against plan, 1–%d %s", p.Elapsed, q.Month.Start().Format("Jan"))
	}
	f.Value, f.URL = ui.Signed(&difference), planQuery{Year: p.Version.Year, Version: p.Version.Number}.url("/plan")
	f.tone(&difference)
	word := map[int]string{1: "over", 0: "apart from", -1: "under"}[difference.Sign()]
	f.Notes = []link{{Label: fmt.Sprintf("%s %s %s", unsigned(ui.Percent(&difference, &toDate, 1)), word, ui.Dollars(&toDate))}}
	switch {
	case expected != nil:
		f.Notes[0].Label += ";"
		f.Notes = append(f.Notes, link{Label: "month forecast"}, link{Label: expected.Short, URL: "#forecast"}, link{Label: "of " + ui.Dollars(&whole)})
	case trend != nil && q.Month == q.Current:
		f.Notes[0].Label += "; no whole week to forecast from yet"
	}
	return f
}

// tone says in color and shape which way a difference goes.
func (f *figure) tone(difference *money.Sum) {
	switch difference.Sign() {
	case 1:
		f.Tone, f.Sign = "over", "▲"
	case -1:
		f.Tone, f.Sign = "under", "▼"
	}
}

// unsigned takes the sign off a percentage that a word states.
func unsigned(percent string) string { return strings.TrimPrefix(percent, "\u2212") }

// moved sets the month against the one before over the same whole days, with the reasons.
func moved(m *app.Movement) figure {
	name := m.Earlier.Start().Format("Jan")
	f := figure{Label: fmt.Sprintf("Against 1–%d %s", m.Before, name), Value: "–"}
	if m.Whole() {
		f.Label = "Against " + monthName(m.Earlier)
	}
	total := &m.Split.Total
	switch {
	case m.Through == 0:
		f.Label, f.Notes = "Against "+name, []link{{Label: "The first day of the month is not over"}}
		return f
	case total.Before.Sign() == 0:
		f.Notes = []link{{Label: "Nothing was spent then"}}
		return f
	}
	f.Value, f.URL = ui.Signed(&total.Difference), movementURL("/chargeback/movement", m.Month)
	f.tone(&total.Difference)
	reasons := fmt.Sprintf("price %s, volume %s, mix %s", points(&total.Price, &total.Before), points(&total.Volume, &total.Before), points(&total.Mix, &total.Before))
	if total.Tools.Sign() != 0 {
		reasons += ", tools " + points(&total.Tools, &total.Before)
	}
	f.Notes = []link{
		{Label: unsigned(ui.Percent(&total.Difference, &total.Before, 1)) + ":"},
		{Label: reasons + " points", URL: f.URL},
		{Label: fmt.Sprintf("of %s, whole days", ui.Dollars(&total.Before))},
	}
	return f
}

// points is a part of a difference in per cent of what it was, with its sign.
func points(part, whole *money.Sum) string {
	text := strings.TrimSuffix(ui.Percent(part, whole, 1), "%")
	if part.Sign() > 0 {
		return "+" + text
	}
	return text
}

// forecastView is what the month may come to, and how that is known.
type forecastView struct {
	Short    string // for the figure
	Month    *forecast.Month
	Spent    money.Sum
	Plan     *money.Sum // the whole month's
	Variance money.Sum
	Method   string
	Range    string
}

func forecastOf(sum *app.Chargeback, trend *app.Trend) *forecastView {
	m := trend.Forecast
	if m == nil {
		return nil
	}
	view := &forecastView{Month: m, Spent: sum.Total, Short: whole(&m.Expected)}
	if m.HasRange {
		view.Short += fmt.Sprintf(", range %s–%s", strings.TrimPrefix(whole(&m.Low), "$"), strings.TrimPrefix(whole(&m.High), "$"))
	}
	if sum.Plan != nil {
		month := planned(sum.Plan.Month)
		view.Plan = &month
		view.Variance.AddSum(&m.Expected)
		view.Variance.SubSum(&month)
	}
	view.Method = fmt.Sprintf("What is spent, and for today's rest and %s to come the mean of the same weekday in the last %s.",
		ui.Plural(int64(m.DaysLeft), "day"), ui.Plural(int64(m.Weeks), "whole week"))
	view.Range = fmt.Sprintf("The same method, tried at %s: its widest misses either way, put on what is to come.", ui.Plural(int64(m.Tests), "earlier week"))
	if !m.HasRange {
		view.Range = "None: there are too few earlier weeks to try the method at."
	}
	return view
}

// whole prints dollars without cents: a forecast has none.
func whole(s *money.Sum) string {
	text, _, _ := strings.Cut(ui.Dollars(s), ".")
	return text
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

// requestCounts are the requests behind a month, and those that may still change.
func requestCounts(sum *app.Chargeback, q monthQuery) []link {
	counts := []link{{Label: ui.Plural(sum.Requests, "request"), URL: requestsURL(q.Month)}, {Label: tokenWords(sum.Tokens)}}
	if sum.Errors > 0 {
		counts = append(counts, link{Label: ui.Plural(sum.Errors, "error") + ", not charged", URL: requestsURL(q.Month, "state", "error")})
	}
	if sum.Provisional > 0 {
		counts = append(counts, link{Label: ui.Count(sum.Provisional) + " provisional", URL: requestsURL(q.Month, "state", app.Provisional)})
	}
	return counts
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
