package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/usage"
	"tollbook/web/chart"
	"tollbook/web/ui"
)

// exploreQuery is the state of the spend explorer: all of it is in the URL.
type exploreQuery struct {
	By, And, Measure, From, To string
	Level                      string
	requestsQuery              // what narrows: node, key, developer, model, tag
}

const (
	noDimension  = "none"
	defaultBy    = app.DimensionNode
	defaultAnd   = app.DimensionModel
	defaultLevel = "1"
)

func exploreQueryOf(values url.Values) exploreQuery {
	get := func(name, otherwise string) string {
		if text := strings.TrimSpace(values.Get(name)); text != "" {
			return text
		}
		return otherwise
	}
	q := exploreQuery{
		By: get("by", defaultBy), And: get("and", defaultAnd), Measure: get("measure", app.MeasureDollars), Level: get("level", defaultLevel),
		From: get("from", ""), To: get("to", ""),
	}
	q.requestsQuery = requestsQuery{Node: get("node", ""), Key: get("key", ""), Developer: get("developer", ""), Model: get("model", ""), Tag: get("tag", "")}
	return q
}

// values is the query without what is the default.
func (q exploreQuery) values() url.Values {
	values := q.requestsQuery.values()
	for name, pair := range map[string][2]string{
		"by": {q.By, defaultBy}, "and": {q.And, defaultAnd}, "measure": {q.Measure, app.MeasureDollars}, "level": {q.Level, defaultLevel}, "from": {q.From, ""}, "to": {q.To, ""},
	} {
		if pair[0] != pair[1] {
			values.Set(name, pair[0])
		}
	}
	return values
}

func (q exploreQuery) url(path string) string {
	if values := q.values(); len(values) > 0 {
		return path + "?" + values.Encode()
	}
	return path
}

// question reads the texts; without dates it asks for the current month so far.
func (q exploreQuery) question(now time.Time) (app.Exploration, error) {
	today := now.UTC().Truncate(24 * time.Hour)
	e := app.Exploration{
		By: q.By, And: q.And, Measure: q.Measure, NodeCode: q.Node, Developer: q.Developer, Model: q.Model,
		From: today.AddDate(0, 0, 1-today.Day()), To: today.AddDate(0, 0, 1),
	}
	if e.And == noDimension {
		e.And = app.DimensionNone
	}
	var err error
	if e.Level, err = strconv.Atoi(q.Level); err != nil {
		return e, fault.Invalid("level", "level_range", "A level of the tree is a number: 1 for the top, 0 for each node itself.")
	}
	for _, bound := range []struct {
		name, text string
		into       *time.Time
	}{{"from", q.From, &e.From}, {"to", q.To, &e.To}} {
		if bound.text == "" {
			continue
		}
		if *bound.into, err = time.Parse(time.DateOnly, bound.text); err != nil {
			return e, fault.Invalid(bound.name, "day_syntax", "A day is written as 2026-11-03, UTC; %.40q is not.", bound.text)
		}
	}
	narrow, err := q.filter()
	e.Key, e.TagKey, e.TagValue = narrow.Key, narrow.TagKey, narrow.TagValue
	if !app.DimensionIsTime(e.By) && app.DimensionIsTime(e.And) {
		e.By, e.And = e.And, e.By // time goes down the rows, where there is room
	}
	return e, err
}

type exploreView struct {
	Frame    ui.Frame
	Query    exploreQuery
	Question app.Exploration
	Own      bool
	Alert    string
	Field    string
	Words    string // what is shown, and where it comes from
	Reading  int64  // requests that will be read one by one; the page goes on by itself

	Bys, Ands, Measures, Levels, Nodes []option

	Table   *app.ExploreTable
	Rows    []exploreRow
	Heads   []exploreHead
	Total   exploreRow
	Columns []chart.Column // over time
	Chart   string         // it in words
	Tallest string
	CSV     string

	Views   []app.SavedView
	MaySave bool
	Name    string
	Tags    []string
	MayTag  bool
	TagForm tagForm
}

type tagForm struct{ Keys, Reason, Alert string }

type exploreHead struct {
	Label  string
	Series int
}

type exploreRow struct {
	Label string
	URL   string
	Cells []link // value and what it is made of
	Total link
	Bar   chart.Column
}

// readQuietly is how many requests are read without a word about it first.
const readQuietly = 50_000

func (w *Web) showExplore(v *visit) error {
	return w.explorePage(v, http.StatusOK, exploreQueryOf(v.QueryParams()), func(*exploreView) {})
}

func (w *Web) explorePage(v *visit, status int, q exploreQuery, set func(*exploreView)) error {
	view := &exploreView{Query: q, Own: !v.may("usage", "read"), CSV: q.url("/explore.csv"), MaySave: v.may("view", "propose"), MayTag: v.may("tag", "propose")}
	view.Frame = v.frame("Spend explorer")
	set(view)
	ctx := v.Request().Context()
	var err error
	if view.Question, err = q.question(w.cfg.Now()); err == nil && v.QueryParam("run") == "" {
		var size int64
		if size, err = w.areas.Reports.ExploreSize(ctx, v.who, view.Question); size > readQuietly {
			values := q.values()
			values.Set("run", "1")
			view.Reading, view.Frame.Refresh = size, "/explore?"+values.Encode()
		}
	}
	if err == nil && view.Reading == 0 {
		var table app.ExploreTable
		if table, err = w.areas.Reports.Explore(ctx, v.who, view.Question); err == nil {
			view.show(&table)
			err = exploreSheet(&table).prints(v, &view.Frame, "/explore.csv", exploreFile(v))
		}
	}
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		f := fault.From(err)
		status, view.Alert, view.Field, err = http.StatusUnprocessableEntity, f.Message, f.Field, nil
	}
	if err != nil {
		return err
	}
	if err := view.choices(v); err != nil {
		return err
	}
	return render(v, status, explorePage(view))
}

// dimensionWords names what one can group by.
func dimensionWords(d string) string {
	switch d {
	case app.DimensionNone:
		return "Nothing more"
	case app.DimensionNode:
		return "Cost center"
	case app.DimensionKey:
		return "Virtual key"
	case app.DimensionClass:
		return "Token class"
	}
	if key, tag := strings.CutPrefix(d, app.DimensionTag); tag {
		return "Tag " + key
	}
	return ui.Words(d)
}

func measureWords(m string) string {
	switch m {
	case app.MeasureDollars:
		return "US dollars"
	case app.MeasureCache:
		return "Cache hit rate"
	}
	return ui.Words(m)
}

func (e *exploreView) choices(v *visit) error {
	ctx := v.Request().Context()
	var err error
	if e.Tags, err = v.web.areas.Views.Tags(ctx, v.who); err != nil {
		return err
	}
	if e.TagForm.Alert == "" {
		e.TagForm.Keys = strings.Join(e.Tags, ", ")
	}
	if e.MaySave {
		if e.Views, err = v.web.areas.Views.List(ctx, v.who); err != nil {
			return err
		}
	}
	dimensions := []string{app.DimensionNode, app.DimensionProject, app.DimensionDeveloper, app.DimensionKey, app.DimensionModel, app.DimensionClass, app.DimensionDay, app.DimensionWeek, app.DimensionMonth}
	for _, key := range e.Tags {
		dimensions = append(dimensions, app.DimensionTag+key)
	}
	e.Ands = []option{{Value: noDimension, Label: dimensionWords(app.DimensionNone), Selected: e.Query.And == noDimension}}
	for _, d := range dimensions {
		e.Bys = append(e.Bys, option{Value: d, Label: dimensionWords(d), Selected: d == e.Query.By})
		e.Ands = append(e.Ands, option{Value: d, Label: dimensionWords(d), Selected: d == e.Query.And})
	}
	for _, m := range []string{app.MeasureDollars, app.MeasureTokens, app.MeasureRequests, app.MeasureCache, app.MeasureErrors} {
		e.Measures = append(e.Measures, option{Value: m, Label: measureWords(m), Selected: m == e.Query.Measure})
	}
	nodes, err := v.web.areas.Nodes.List(ctx, v.who, time.Time{})
	if err != nil {
		return err
	}
	deepest := 0
	for _, n := range nodes {
		deepest = max(deepest, n.Depth)
	}
	for level := 1; level <= deepest+1; level++ {
		label := "Level " + strconv.Itoa(level)
		if level == 1 {
			label = "Top level"
		}
		e.Levels = append(e.Levels, option{Value: strconv.Itoa(level), Label: label, Selected: strconv.Itoa(level) == e.Query.Level})
	}
	e.Levels = append(e.Levels, option{Value: "0", Label: "Each node itself", Selected: e.Query.Level == "0"})
	e.Nodes, err = v.nodeChoices(e.Query.Node)
	return err
}

// show shapes a table for the screen.
func (e *exploreView) show(t *app.ExploreTable) {
	e.Table, e.Question = t, t.Question
	e.Words = fmt.Sprintf("%s by %s", measureWords(e.Question.Measure), lower(dimensionWords(e.Question.By)))
	if e.Question.And != app.DimensionNone {
		e.Words += " and " + lower(dimensionWords(e.Question.And))
	}
	e.Words += fmt.Sprintf(", %s to %s", ui.Day(e.Question.From), ui.Day(e.Question.To.AddDate(0, 0, -1)))
	if len(t.Rows) == 0 {
		return
	}
	for j, c := range t.Columns {
		e.Heads = append(e.Heads, exploreHead{Label: groupWords(e.Question.And, c), Series: series(j)})
	}
	var tallest money.Sum
	for i := range t.RowTotals {
		if value := t.RowTotals[i].Value(e.Question.Measure); value.Cmp(&tallest) > 0 {
			tallest = value
		}
	}
	for i, group := range t.Rows {
		row := exploreRow{Label: groupWords(e.Question.By, group), URL: e.requests(group, app.ExploreGroup{})}
		for j := range t.Columns {
			row.Cells = append(row.Cells, link{Label: e.value(&t.Cells[i][j]), URL: e.requests(group, t.Columns[j])})
		}
		row.Total = link{Label: e.value(&t.RowTotals[i]), URL: row.URL}
		row.Bar = e.bar(t, i, &tallest)
		row.Bar.Words = row.Label + ": " + row.Total.Label
		e.Rows = append(e.Rows, row)
	}
	e.Total = exploreRow{Label: "Total", Total: link{Label: e.value(&t.Total), URL: e.requests(app.ExploreGroup{}, app.ExploreGroup{})}}
	for j := range t.Columns {
		e.Total.Cells = append(e.Total.Cells, link{Label: e.value(&t.Totals[j]), URL: e.requests(app.ExploreGroup{}, t.Columns[j])})
	}
	if app.DimensionIsTime(e.Question.By) {
		for i := range e.Rows {
			e.Columns = append(e.Columns, e.Rows[i].Bar)
		}
		e.Tallest = e.tallest(t, &tallest)
		e.Chart = fmt.Sprintf("%s; the tallest column is %s. The table below holds the same numbers.", e.Words, e.Tallest)
	}
}

// series is a column's color: the first six have their own.
func series(column int) int { return min(column+1, 7) }

// groupWords is a group as people read it.
func groupWords(dimension string, g app.ExploreGroup) string {
	if dimension == app.DimensionClass && !g.Rest {
		return ui.Words(g.Label)
	}
	return g.Label
}

// bar is a row as parts of the longest; a rate is itself, of a hundred per cent.
func (e *exploreView) bar(t *app.ExploreTable, i int, tallest *money.Sum) chart.Column {
	if e.Question.Measure == app.MeasureCache {
		tokens := t.RowTotals[i].Tokens
		return chart.Column{Parts: []chart.Part{{Permille: permille(tokens[usage.ClassCacheRead], tokens.Prompt()), Series: 1}}}
	}
	var bar chart.Column
	for j := range t.Columns {
		value := t.Cells[i][j].Value(e.Question.Measure)
		bar.Parts = append(bar.Parts, chart.Part{Permille: ui.Permille(&value, tallest), Series: series(j)})
	}
	return bar
}

func permille(part, whole int64) int {
	var a, b money.Sum
	a.Add(money.Pico(part))
	b.Add(money.Pico(whole))
	return ui.Permille(&a, &b)
}

func (e *exploreView) tallest(t *app.ExploreTable, tallest *money.Sum) string {
	if e.Question.Measure == app.MeasureCache {
		return "100%"
	}
	for i := range t.RowTotals {
		if value := t.RowTotals[i].Value(e.Question.Measure); value.Cmp(tallest) == 0 {
			return e.value(&t.RowTotals[i])
		}
	}
	return e.value(&app.ExploreCell{})
}

// value prints a cell's measure.
func (e *exploreView) value(c *app.ExploreCell) string {
	switch e.Question.Measure {
	case app.MeasureTokens:
		return ui.Count(c.AllTokens)
	case app.MeasureRequests:
		return ui.Count(c.Requests)
	case app.MeasureErrors:
		return ui.Count(c.Errors)
	case app.MeasureCache:
		return rate(c.Tokens[usage.ClassCacheRead], c.Tokens.Prompt())
	}
	return ui.Money(&c.Charge)
}

// requests is the list of requests a cell is made of; empty where no filter says it.
func (e *exploreView) requests(row, column app.ExploreGroup) string {
	q := e.Query.requestsQuery
	q.From, q.To = ui.Date(e.Question.From), ui.Date(e.Question.To)
	if e.Question.Measure == app.MeasureErrors {
		q.State = "error"
	}
	for _, part := range []struct {
		dimension string
		group     app.ExploreGroup
	}{{e.Question.By, row}, {e.Question.And, column}} {
		if part.group == (app.ExploreGroup{}) {
			continue
		}
		if part.group.Rest || part.group.Apart || part.group.Key == "" || !narrowed(&q, part.dimension, part.group.Key) {
			return ""
		}
	}
	return q.url("/requests")
}

// narrowed adds one group to a list's filter; false where there is no such filter.
func narrowed(q *requestsQuery, dimension, key string) bool {
	switch dimension {
	case app.DimensionNode, app.DimensionProject:
		q.Node = key
	case app.DimensionDeveloper:
		q.Developer = key
	case app.DimensionKey:
		q.Key = key
	case app.DimensionModel:
		q.Model = key
	case app.DimensionDay, app.DimensionWeek, app.DimensionMonth:
		from, err := time.Parse(time.DateOnly, key)
		if err != nil {
			return false
		}
		to := map[string]time.Time{app.DimensionDay: from.AddDate(0, 0, 1), app.DimensionWeek: from.AddDate(0, 0, 7), app.DimensionMonth: from.AddDate(0, 1, 0)}[dimension]
		q.From, q.To = max(q.From, ui.Date(from)), min(q.To, ui.Date(to))
	case app.DimensionClass, app.DimensionNone:
		return false
	default:
		q.Tag = strings.TrimPrefix(dimension, app.DimensionTag) + "=" + key
	}
	return true
}

func (w *Web) exportExplore(v *visit) error {
	question, err := exploreQueryOf(v.QueryParams()).question(w.cfg.Now())
	if err != nil {
		return err
	}
	t, err := w.areas.Reports.Explore(v.Request().Context(), v.who, question)
	if err != nil {
		return err
	}
	return exploreSheet(&t).send(v, exploreFile(v))
}

func exploreFile(v *visit) string { return "spend-" + v.slug + ".csv" }

func exploreSheet(t *app.ExploreTable) *sheet {
	head := []string{"from", "to", "by", "by_key", "by_label", "and", "and_key", "and_label", "amount_usd", "requests", "errors", "tokens"}
	for class := range usage.ClassCount {
		head = append(head, class.String()+"_tokens")
	}
	out := newSheet(head...)
	for i, row := range t.Rows {
		for j, column := range t.Columns {
			c := &t.Cells[i][j]
			if c.Requests == 0 && c.AllTokens == 0 && c.Charge.Sign() == 0 {
				continue
			}
			line := []string{
				ui.Date(t.Question.From), ui.Date(t.Question.To), cell(t.Question.By), cell(row.Key), cell(row.Label), cell(t.Question.And), cell(column.Key), cell(column.Label),
				c.Charge.String(), number(c.Requests), number(c.Errors), number(c.AllTokens),
			}
			for _, n := range c.Tokens {
				line = append(line, number(n))
			}
			_ = out.Write(line)
		}
	}
	out.filter("by", t.Question.By)
	out.filter("and", t.Question.And)
	out.filter("from", ui.Date(t.Question.From))
	out.filter("to", ui.Date(t.Question.To))
	out.control("amount_usd", t.Total.Charge.String())
	out.control("requests", number(t.Total.Requests))
	out.control("tokens", number(t.Total.AllTokens))
	return out
}

// formQuery is the view a form was sent from.
func formQuery(v *visit) exploreQuery {
	values, err := url.ParseQuery(v.FormValue("query"))
	if err != nil {
		values = url.Values{}
	}
	return exploreQueryOf(values)
}

func (w *Web) saveView(v *visit) error {
	q, name := formQuery(v), v.FormValue("name")
	_, err := w.areas.Views.Save(v.Request().Context(), v.who, name, q.values().Encode())
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		f := fault.From(err)
		return w.explorePage(v, http.StatusUnprocessableEntity, q, func(e *exploreView) { e.Alert, e.Field, e.Name = f.Message, f.Field, name })
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, q.url("/explore"))
}

func (w *Web) removeView(v *visit) error {
	if !v.may("view", "propose") {
		return app.ErrNotAllowed
	}
	view, err := id.ParseView(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	if err := w.areas.Views.Remove(v.Request().Context(), v.who, view); err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, formQuery(v).url("/explore"))
}

func (w *Web) declareTags(v *visit) error {
	form := tagForm{Keys: v.FormValue("keys"), Reason: v.FormValue("reason")}
	keys := slices.Collect(strings.SplitSeq(form.Keys, ","))
	err := w.areas.Views.DeclareTags(v.Request().Context(), v.who, keys, form.Reason)
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		form.Alert = fault.From(err).Message
		return w.explorePage(v, http.StatusUnprocessableEntity, formQuery(v), func(e *exploreView) { e.TagForm = form })
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, formQuery(v).url("/explore"))
}
