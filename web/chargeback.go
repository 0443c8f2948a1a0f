package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/web/chart"
	"tollbook/web/ui"
)

// groupBy is how a month can be looked at, in the order of the tabs.
type groupBy struct{ Key, Tab, Head string }

func groupings() []groupBy {
	return []groupBy{
		{"node", "Cost center", "Cost center"},
		{"project", "Project", "Project"},
		{"developer", "Developer", "Developer"},
		{"model", "Model", "Model"},
		{"key", "Virtual key", "Virtual key"},
	}
}

// monthQuery is the state of the chargeback page: all of it is in the URL.
type monthQuery struct {
	Month   period.Month
	Current period.Month
	Group   groupBy
	AsOf    time.Time
	Known   time.Time
}

func (q monthQuery) app() app.MonthQuery {
	return app.MonthQuery{Month: q.Month, GroupBy: q.Group.Key, AsOf: q.AsOf, Known: q.Known}
}

func (v *visit) monthQuery() (monthQuery, error) {
	q := monthQuery{Current: period.MonthOf(v.web.cfg.Now()), Group: groupings()[0]}
	q.Month = q.Current
	if text := v.QueryParam("period"); text != "" {
		var err error
		if q.Month, err = period.ParseMonth(text); err != nil {
			return q, err
		}
	}
	if text := v.QueryParam("group_by"); text != "" {
		at := slices.IndexFunc(groupings(), func(g groupBy) bool { return g.Key == text })
		if at < 0 {
			return q, fault.Invalid("group_by", "group_by_unknown", "A month is shown by node, project, developer, model or key.")
		}
		q.Group = groupings()[at]
	}
	var err error
	q.AsOf, q.Known, err = v.instants()
	return q, err
}

// url is the page for a state, without what is the default.
func (q monthQuery) url(path string) string {
	values := url.Values{}
	if q.Month != q.Current {
		values.Set("period", q.Month.String())
	}
	if q.Group.Key != "node" {
		values.Set("group_by", q.Group.Key)
	}
	for name, at := range map[string]time.Time{"as_of": q.AsOf, "known_at": q.Known} {
		if !at.IsZero() {
			values.Set(name, at.Format(time.RFC3339))
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

func (q monthQuery) with(month period.Month) monthQuery { q.Month = month; return q }

func (q monthQuery) by(g groupBy) monthQuery { q.Group = g; return q }

// requestsURL is the list of requests a figure of a month is made of.
func requestsURL(month period.Month, pairs ...string) string {
	values := url.Values{"from": {ui.Date(month.Start())}, "to": {ui.Date(month.End())}}
	for pair := range slices.Chunk(pairs, 2) {
		values.Set(pair[0], pair[1])
	}
	return "/requests?" + values.Encode()
}

// chargebackView is the page as it is shown.
type chargebackView struct {
	Frame          ui.Frame
	Query          monthQuery
	Title, Sub     string
	Previous, Next *link
	Tabs           []tab
	CSV            string
	Figures        []figure
	Counts         []link // of requests, below the title
	Periods        []option
	Rows           []chargebackRow
	Rest           *chargebackRow // what the rows leave out of the total
	Total          chargebackRow
	Caption        string
	Days           []dayRow
	Columns        []chart.Day
	DaysWords      string
	Tallest        string
	Latest         []app.Request
	LatestURL      string
	Seal           *app.Seal
	Empty          bool   // the month holds nothing
	Never          bool   // nor does any other
	LatestMonth    *link  // where there is something
	GatewayURL     string // what Claude Code is pointed at
	MayMakeKeys    bool
	MaySetUp       bool
	ShowTreatment  bool
	ShowCode       bool
	ShowPlan       bool
	PlanURL        string
	Forecast       *forecastView
	Booked         []bookedRow
	Trend          []trendRow
	TrendColumns   []chart.Day
	TrendTallest   string
	TrendWords     string
}

// bookedRow is one treatment's part of the month.
type bookedRow struct {
	Label, Share string
	Permille     int
	Amount       money.Sum
}

// trendRow is one month of the trend.
type trendRow struct {
	Month    period.Month
	URL      string
	Actual   money.Sum
	Plan     *app.Planned
	Variance money.Sum
	Partial  bool
}

type tab struct {
	Label, URL string
	Current    bool
}

type chargebackRow struct {
	Label, Code, Path string
	Depth             int
	Treatment         string
	Suspense          bool
	Actual            money.Sum
	Share             string
	Permille          int
	Requests, Tokens  int64
	URL               string
	Plan              *app.Planned // nil: nothing is planned
	Variance          money.Sum
	Used              *usedBar
}

// usedBar is how much of the month's plan is used, against how much of the month is gone.
type usedBar struct {
	Permille, Pace int
	Over           bool
	Words          string
}

type dayRow struct {
	Day            time.Time
	Amount, Before money.Sum
	HasBefore      bool
	Partial        bool
	URL            string
}

func (w *Web) showChargeback(v *visit) error {
	if !v.may("chargeback", "read") && v.may("usage", "read_own") {
		return v.Redirect(http.StatusSeeOther, "/requests") // a developer's front page is the own requests
	}
	q, err := v.monthQuery()
	if err != nil {
		return err
	}
	sum, trend, latest, err := w.readMonth(v, q)
	if err != nil {
		return err
	}
	seal, sealed, err := w.areas.Reports.Latest(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view := chargebackOf(&sum, q, w.cfg.Now())
	view.days(q, trend.Days, trend.Before, w.cfg.Now())
	view.trend(&trend, q, w.cfg.Now())
	view.Figures = figures(&sum, q, &trend)
	view.Counts = requestCounts(&sum, q)
	view.Forecast = forecastOf(&sum, &trend)
	view.Frame = v.frame(view.Title)
	if err := monthSheet(&sum, q).prints(v, &view.Frame, "/chargeback.csv", monthFile(v, q)); err != nil {
		return err
	}
	view.Sub = v.profile.Fiscal().Quarter(q.Month) + ". " + view.Sub
	view.Latest, view.LatestURL = latest.Rows, requestsURL(q.Month)
	view.GatewayURL = w.cfg.PublicURL.JoinPath("gw", v.slug).String()
	view.MayMakeKeys, view.MaySetUp = v.may("key", "propose"), v.may("setting", "read")
	view.Never = view.Empty && !sealed
	if sealed {
		view.Seal = &seal
		if month := period.MonthOf(seal.At); view.Empty && month != q.Month {
			view.LatestMonth = &link{Label: monthName(month), URL: q.with(month).url("/")}
		}
	}
	return render(v, http.StatusOK, chargebackPage(view))
}

const latestShown = 6

// readMonth reads the month's sums, its trend and its latest requests at the same time:
// each of the first two reads the same few ten thousand rows of a large company.
func (w *Web) readMonth(v *visit, q monthQuery) (sum app.Chargeback, trend app.Trend, latest app.RequestPage, err error) {
	all, ctx := errgroup.WithContext(v.Request().Context())
	all.Go(func() (err error) {
		sum, err = w.areas.Reports.Month(ctx, v.who, q.app())
		return err
	})
	all.Go(func() (err error) {
		trend, err = w.areas.Reports.Trend(ctx, v.who, q.app())
		return err
	})
	all.Go(func() (err error) {
		latest, err = w.areas.Reports.Requests(ctx, v.who, app.RequestFilter{From: q.Month.Start(), To: q.Month.End(), Limit: latestShown})
		return err
	})
	err = all.Wait() // before what it waits for is returned
	return sum, trend, latest, err
}

func monthName(m period.Month) string { return m.Start().Format("January 2006") }

// chargebackOf shapes a month for the screen.
func chargebackOf(sum *app.Chargeback, q monthQuery, now time.Time) *chargebackView {
	view := &chargebackView{
		Query: q, Title: "Chargeback, " + monthName(q.Month), Sub: closedWords(sum) + periodWords(sum.State, q.Month, now), CSV: q.url("/chargeback.csv"),
		Previous:      &link{Label: q.Month.Previous().Start().Format("Jan 2006"), URL: q.with(q.Month.Previous()).url("/")},
		Empty:         sum.Requests == 0,
		ShowTreatment: q.Group.Key == "node" || q.Group.Key == "project", ShowCode: q.Group.Key == "node" || q.Group.Key == "project",
		Caption: captionOf(sum, q), ShowPlan: sum.Plan != nil && (q.Group.Key == "node" || q.Group.Key == "project"),
	}
	if q.Month.Start().Before(q.Current.Start()) {
		view.Next = &link{Label: q.Month.Next().Start().Format("Jan 2006"), URL: q.with(q.Month.Next()).url("/")}
	}
	for _, g := range groupings() {
		view.Tabs = append(view.Tabs, tab{Label: g.Tab, URL: q.by(g).url("/"), Current: g == q.Group})
	}
	shallowest := 0
	for i := range sum.Rows {
		if i == 0 || sum.Rows[i].Depth < shallowest {
			shallowest = sum.Rows[i].Depth
		}
	}
	for i := range sum.Rows {
		view.Rows = append(view.Rows, rowOf(sum, &sum.Rows[i], q, shallowest))
	}
	view.Rest = restOf(sum, q)
	view.Total = chargebackRow{Actual: sum.Total, Requests: sum.Requests, Tokens: sum.Tokens, URL: requestsURL(q.Month)}
	if sum.Plan != nil {
		view.Total.compare(&sum.Plan.Planned, sum.Plan)
		view.PlanURL = planQuery{Year: sum.Plan.Version.Year, Version: sum.Plan.Version.Number}.url("/plan")
	}
	view.booked(sum)
	return view
}

func captionOf(sum *app.Chargeback, q monthQuery) string {
	text := "US dollars, list less contract discount, UTC days."
	if q.Group.Key == "node" {
		text += " A row includes what is below it."
	}
	if sum.Plan != nil && (q.Group.Key == "node" || q.Group.Key == "project") {
		text += " " + planBasis(sum.Plan)
	}
	if !q.AsOf.IsZero() {
		text += " Names, places and plan as of " + ui.Instant(q.AsOf) + "."
	}
	if !q.Known.IsZero() {
		text += " As known at " + ui.Instant(q.Known) + "; charges are all that are posted."
	}
	return text
}

// planBasis says what plan to date is.
func planBasis(p *app.MonthPlan) string {
	if p.Elapsed == p.Days {
		return "Plan: " + p.Version.Name() + ", the whole month."
	}
	return fmt.Sprintf("Plan to date: %d of %d days of %s, today counted whole.", p.Elapsed, p.Days, lower(p.Version.Name()))
}

// compare sets a row against its plan.
func (r *chargebackRow) compare(p *app.Planned, month *app.MonthPlan) {
	r.Plan, r.Variance = p, p.Variance(&r.Actual)
	if p.Month == 0 {
		return // there is no part of nothing
	}
	var whole money.Sum
	whole.AddCents(p.Month)
	r.Used = &usedBar{Permille: ui.Permille(&r.Actual, &whole), Pace: month.Elapsed * 1000 / month.Days, Over: r.Variance.Sign() > 0}
	r.Used.Words = fmt.Sprintf("%s of the month's plan used, %d%% of days gone", ui.Percent(&r.Actual, &whole, 0), month.Elapsed*100/month.Days)
}

// booked splits the month by how it is booked.
func (v *chargebackView) booked(sum *app.Chargeback) {
	var expensed money.Sum
	expensed.AddSum(&sum.Total)
	expensed.SubSum(&sum.Capitalized)
	for _, b := range []bookedRow{{Label: "Capitalized", Amount: sum.Capitalized}, {Label: "Expensed", Amount: expensed}} {
		b.Share, b.Permille = ui.Percent(&b.Amount, &sum.Total, 1), ui.Permille(&b.Amount, &sum.Total)
		v.Booked = append(v.Booked, b)
	}
}

// trend shapes the months before, with their plans as marks, and the choice of months.
func (v *chargebackView) trend(t *app.Trend, q monthQuery, now time.Time) {
	var tallest money.Sum
	for i := range t.Months {
		m := &t.Months[i]
		row := trendRow{Month: m.Month, URL: q.with(m.Month).url("/"), Actual: m.Actual, Plan: m.Plan, Partial: m.Month == period.MonthOf(now)}
		if m.Actual.Cmp(&tallest) > 0 {
			tallest = m.Actual
		}
		if m.Plan != nil {
			row.Variance = m.Plan.Variance(&m.Actual)
			if whole := planned(m.Plan.Month); whole.Cmp(&tallest) > 0 {
				tallest = whole
			}
		}
		v.Trend = append(v.Trend, row)
	}
	for i := range v.Trend {
		r := &v.Trend[i]
		column := chart.Day{Height: ui.Permille(&r.Actual, &tallest), Before: -1, Partial: r.Partial, Words: monthName(r.Month) + ": " + ui.Dollars(&r.Actual)}
		if r.Plan != nil {
			whole := planned(r.Plan.Month)
			column.Before = ui.Permille(&whole, &tallest)
			column.Words += "; plan " + ui.Dollars(&whole)
		}
		v.TrendColumns = append(v.TrendColumns, column)
	}
	v.TrendTallest = ui.Dollars(&tallest)
	v.TrendWords = fmt.Sprintf("Spend by month with the month's plan as a line; the axis ends at %s. The table below holds the same numbers.", v.TrendTallest)
	choices := t.Choices
	for _, m := range []period.Month{q.Current, q.Month} {
		if !slices.Contains(choices, m) {
			choices = append(choices, m)
		}
	}
	slices.SortFunc(choices, func(a, b period.Month) int { return b.Start().Compare(a.Start()) })
	for _, m := range choices {
		v.Periods = append(v.Periods, option{Value: m.String(), Label: monthName(m), Selected: m == q.Month})
	}
}

func planned(c money.Cents) money.Sum {
	var sum money.Sum
	sum.AddCents(c)
	return sum
}

func rowOf(sum *app.Chargeback, r *app.ChargebackRow, q monthQuery, shallowest int) chargebackRow {
	row := chargebackRow{
		Label: r.Label, Code: r.Key, Path: r.Path, Treatment: r.Treatment, Actual: r.Actual, Requests: r.Requests, Tokens: r.Tokens,
		Share: ui.Percent(&r.Actual, &sum.Total, 1), Permille: ui.Permille(&r.Actual, &sum.Total), Suspense: r.Key == hierarchy.SuspenseCode,
	}
	parameter := q.Group.Key
	switch q.Group.Key {
	case "node":
		row.Depth = min(r.Depth-shallowest, maxIndent)
	case "project":
		parameter = "node"
	}
	row.URL = requestsURL(q.Month, parameter, r.Key)
	if r.Plan != nil && sum.Plan != nil {
		row.compare(r.Plan, sum.Plan)
	}
	row.Treatment = treatmentOf(r)
	return row
}

// treatmentOf is how a row is booked: as its charges were, where there are any.
func treatmentOf(r *app.ChargebackRow) string {
	switch {
	case r.Actual.Sign() == 0:
		return r.Treatment
	case r.Capitalized.Sign() == 0:
		return "expense"
	case r.Capitalized.Cmp(&r.Actual) == 0:
		return "capitalize"
	}
	return "mixed"
}

// maxIndent is how deep the style sheet indents.
const maxIndent = 8

// restOf is what projects leave out: work that belongs to none.
func restOf(sum *app.Chargeback, q monthQuery) *chargebackRow {
	if q.Group.Key != "project" {
		return nil
	}
	rest := chargebackRow{Label: "On no project", Requests: sum.Requests, Tokens: sum.Tokens}
	rest.Actual.AddSum(&sum.Total)
	var left app.Planned
	if sum.Plan != nil {
		left = sum.Plan.Planned
	}
	for i := range sum.Rows {
		r := &sum.Rows[i]
		inside := slices.ContainsFunc(sum.Rows, func(o app.ChargebackRow) bool { return strings.HasPrefix(r.Path, o.Path+hierarchy.PathSeparator) })
		if !inside {
			rest.Actual.SubSum(&r.Actual)
			rest.Requests -= r.Requests
			rest.Tokens -= r.Tokens
			if r.Plan != nil {
				left.Month -= r.Plan.Month
				left.ToDate -= r.Plan.ToDate
			}
		}
	}
	if sum.Plan != nil {
		rest.compare(&left, sum.Plan)
	}
	rest.Share, rest.Permille = ui.Percent(&rest.Actual, &sum.Total, 1), ui.Permille(&rest.Actual, &sum.Total)
	return &rest
}

func periodWords(state period.State, month period.Month, now time.Time) string {
	return periodState(state, month, now) + " Every figure links to the requests behind it."
}

// closedWords say of which close a month's figures are.
func closedWords(sum *app.Chargeback) string {
	if sum.Revision == 0 {
		return ""
	}
	return fmt.Sprintf("As closed, revision %d. ", sum.Revision)
}

// periodState says where a month stands, and how much of it is over.
func periodState(state period.State, month period.Month, now time.Time) string {
	words := map[period.State]string{period.StateOpen: "Open period", period.StateClosing: "Closing", period.StateLocked: "Locked", period.StateClosed: "Closed"}[state]
	switch current := period.MonthOf(now); {
	case month == current:
		words += fmt.Sprintf(", day %d of %d", now.UTC().Day(), month.Days())
	case month.Start().After(now):
		words += ", not begun"
	default:
		words += fmt.Sprintf(", all %d days", month.Days())
	}
	return words + "."
}

// days shapes the month by day, with the month before as marks.
func (v *chargebackView) days(q monthQuery, days, before []app.DayTotal, now time.Time) {
	amounts, earlier := byDay(days), byDay(before)
	var tallest money.Sum
	for _, list := range []map[int]money.Sum{amounts, earlier} {
		for _, sum := range list {
			if sum.Cmp(&tallest) > 0 {
				tallest = sum
			}
		}
	}
	today := now.UTC().Truncate(24 * time.Hour)
	for n := 1; n <= q.Month.Days(); n++ {
		day := q.Month.Start().AddDate(0, 0, n-1)
		row := dayRow{Day: day, Amount: amounts[n], Before: earlier[n], HasBefore: n <= q.Month.Previous().Days(), Partial: day.Equal(today)}
		row.URL = "/requests?" + url.Values{"from": {ui.Date(day)}, "to": {ui.Date(day.AddDate(0, 0, 1))}}.Encode()
		column := chart.Day{
			Height: ui.Permille(&row.Amount, &tallest), Before: -1, Partial: row.Partial, Upcoming: day.After(today),
			Words: day.Format("2 Jan") + ": " + ui.Dollars(&row.Amount),
		}
		if row.HasBefore && len(before) > 0 {
			column.Before = ui.Permille(&row.Before, &tallest)
			column.Words += "; a month before " + ui.Dollars(&row.Before)
		}
		v.Columns = append(v.Columns, column)
		if !column.Upcoming {
			v.Days = append(v.Days, row)
		}
	}
	v.Tallest = ui.Dollars(&tallest)
	v.DaysWords = fmt.Sprintf("Spend by UTC day in %s; the tallest day is %s. The table below holds the same numbers.", monthName(q.Month), v.Tallest)
}

func byDay(days []app.DayTotal) map[int]money.Sum {
	list := map[int]money.Sum{}
	for i := range days {
		list[days[i].Day.Day()] = days[i].Amount
	}
	return list
}
