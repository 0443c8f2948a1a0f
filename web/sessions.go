package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/usage"
	"tollbook/web/chart"
	"tollbook/web/ui"
)

// sessionURL is the page of a Claude Code session.
func sessionURL(session string) string { return "/sessions/" + url.PathEscape(session) }

// sessionsQuery is the state of the list of sessions: what of a list of requests' makes
// sense for them.
func (v *visit) sessionsQuery() requestsQuery {
	q := v.requestsQuery()
	return requestsQuery{Node: q.Node, Key: q.Key, Developer: q.Developer, Model: q.Model, From: q.From, To: q.To, Cursor: q.Cursor}
}

type sessionsView struct {
	Frame  ui.Frame
	Query  requestsQuery
	Alert  string
	Field  string
	Nodes  []option
	Rows   []app.SessionView
	Older  string
	Newest string
	CSV    string
	Own    bool
}

const sessionsShown = 50

func (w *Web) showSessions(v *visit) error {
	q := v.sessionsQuery()
	view := &sessionsView{Query: q, CSV: q.url("/sessions.csv"), Own: !v.may("usage", "read")}
	view.Frame = v.frame("Sessions")
	filter, err := q.filter()
	var page app.SessionPage
	if err == nil {
		filter.Limit = sessionsShown
		page, err = w.areas.Reports.Sessions(v.Request().Context(), v.who, filter)
	}
	status := http.StatusOK
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		f := fault.From(err)
		status, view.Alert, view.Field, err = http.StatusUnprocessableEntity, f.Message, f.Field, nil
	}
	if err != nil {
		return err
	}
	view.Rows = page.Rows
	if view.Nodes, err = v.nodeChoices(q.Node); err != nil {
		return err
	}
	if page.Next != "" {
		older := q
		older.Cursor = page.Next
		view.Older = older.url("/sessions")
	}
	if q.Cursor != "" {
		newest := q
		newest.Cursor = ""
		view.Newest = newest.url("/sessions")
	}
	if status == http.StatusOK {
		out := sessionsSheet()
		addSessions(out, page.Rows)
		if err := out.paged(view.Older != "" || view.Newest != "").prints(v, &view.Frame, "/sessions.csv", sessionsFile(v)); err != nil {
			return err
		}
	}
	return render(v, status, sessionsPage(view))
}

// maxSessionsExport bounds one file of sessions.
const maxSessionsExport = 5000

var errSessionsLarge = fault.New(fault.KindInvalid, "export_too_large",
	"More than 5,000 sessions match: too many for one file. Narrow them by dates, cost center or developer, and export in parts.")

func (w *Web) exportSessions(v *visit) error {
	filter, err := v.sessionsQuery().filter()
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	filter.Limit = sessionsShown
	if !part {
		filter.Limit, filter.Cursor = app.MaxRows, ""
	}
	out := sessionsSheet().paged(part)
	for range maxSessionsExport / app.MaxRows {
		page, err := w.areas.Reports.Sessions(v.Request().Context(), v.who, filter)
		if err != nil {
			return err
		}
		addSessions(out, page.Rows)
		if page.Next == "" || part {
			return out.send(v, sessionsFile(v))
		}
		filter.Cursor = page.Next
	}
	return errSessionsLarge
}

func sessionsFile(v *visit) string { return "sessions-" + v.slug + ".csv" }

func sessionsSheet() *sheet {
	return newSheet("session_id", "first_at", "last_at", "requests", "agents", "errors", "provisional", "developer", "developers", "model", "models",
		"prompt_tokens", "cache_read_tokens", "output_tokens", "amount_usd")
}

// addSessions writes rows and adds what they sum to.
func addSessions(out *sheet, rows []app.SessionView) {
	var total money.Sum
	for i := range rows {
		s := &rows[i]
		total.AddSum(&s.Amount)
		_ = out.Write([]string{
			cell(s.ID), s.FirstAt.Format(time.RFC3339Nano), s.LastAt.Format(time.RFC3339Nano), number(s.Requests), number(s.Agents), number(s.Errors), number(s.Provisional),
			cell(s.Developer), number(s.Developers), cell(s.Model), number(s.Models), number(s.Prompt), number(s.CacheRead), number(s.Output), s.Amount.String(),
		})
	}
	out.add("amount_usd", &total)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

type sessionView struct {
	Frame    ui.Frame
	Session  *app.Session
	Figures  []figure
	Agents   []agentRow
	Turns    []turnRow
	Page     string // "1–200 of 431"
	Earlier  string
	Later    string
	Periods  []periodRow
	Columns  []chart.Column
	Words    string
	Tallest  string
	Width    string // of a column, in words
	CSV      string
	Requests string // the list of its requests
	Classes  []classRow
	Mixed    bool // sub-agents take part
}

type agentRow struct {
	Label, Class string
	Depth        int
	First, Last  time.Time
	Spend        *app.Spend
}

type turnRow struct {
	Number int
	Turn   *app.Turn
	Agent  string
}

type periodRow struct {
	At                time.Time
	Turns             int64
	Main, Subs, Total money.Sum
	Running           money.Sum
}

type classRow struct {
	Label  string
	Tokens int64
	Amount money.Sum
}

const turnsShown = 200

func (w *Web) showSession(v *visit) error {
	session, found, err := w.areas.Reports.Session(v.Request().Context(), v.who, v.Param("id"))
	if err != nil {
		return err
	}
	if !found {
		return errPageAbsent
	}
	from, to, err := turnsOf(v, &session)
	if err != nil {
		return err
	}
	view := sessionOf(v, &session, from, to)
	if err := turnsSheet(&session, from, to).prints(v, &view.Frame, "/sessions/:id/turns.csv", turnsFile(v)); err != nil {
		return err
	}
	return render(v, http.StatusOK, sessionPage(view))
}

// turnsOf is which turns a page shows, from the one its address names.
func turnsOf(v *visit, s *app.Session) (from, to int, err error) {
	if text := v.QueryParam("turn"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > len(s.Turns) {
			return 0, 0, fault.Invalid("turn", "turn_absent", "The session's turns are numbered 1 to %d.", len(s.Turns))
		}
		from = n - 1
	}
	return from, min(from+turnsShown, len(s.Turns)), nil
}

// sessionOf shapes a session for the screen, with some of its turns.
func sessionOf(v *visit, s *app.Session, from, to int) *sessionView {
	view := &sessionView{
		Frame: v.frame("Session " + ui.ShortID(s.ID)), Session: s, CSV: sessionURL(s.ID) + "/turns.csv", Mixed: len(s.Agents) > 1,
		Requests: requestsQuery{Session: s.ID}.url("/requests"), Figures: sessionFigures(s),
	}
	labels := map[string]string{"": "Main"}
	for i := range s.Agents {
		a := &s.Agents[i]
		row := agentRow{Label: "Main", Depth: min(a.Depth, maxIndent), Class: a.Class, First: a.First, Last: a.Last, Spend: &a.Spend}
		if a.ID != "" {
			row.Label = ui.ShortID(a.ID)
			labels[a.ID] = row.Label
		}
		view.Agents = append(view.Agents, row)
	}
	for i := from; i < to; i++ {
		view.Turns = append(view.Turns, turnRow{Number: i + 1, Turn: &s.Turns[i], Agent: labels[s.Turns[i].AgentID]})
	}
	view.Page = fmt.Sprintf("Turns %s to %s of %s", ui.Count(int64(from+1)), ui.Count(int64(to)), ui.Count(int64(len(s.Turns))))
	at := func(n int) string { return sessionURL(s.ID) + "?turn=" + strconv.Itoa(n) + "#turns" }
	if from > 0 {
		view.Earlier = at(max(from-turnsShown, 0) + 1)
	}
	if to < len(s.Turns) {
		view.Later = at(to + 1)
	}
	for class := range usage.ClassCount {
		view.Classes = append(view.Classes, classRow{Label: ui.Words(class.String()), Tokens: s.Spend.Tokens[class], Amount: s.Spend.Classes[class]})
	}
	view.overTime()
	return view
}

// sessionFigures are the numbers a session is read by, each with its basis.
func sessionFigures(s *app.Session) []figure {
	spend := &s.Spend
	requests := requestsQuery{Session: s.ID}
	cost := figure{Label: "Cost", Value: ui.Dollars(&spend.Cost), URL: requests.url("/requests"), Notes: []link{{Label: ui.Plural(spend.Turns, "request") + ","}}}
	failed := requests
	failed.State = "error"
	if spend.Errors > 0 {
		cost.Notes = append(cost.Notes, link{Label: ui.Plural(spend.Errors, "error") + ", not charged", URL: failed.url("/requests")})
	} else {
		cost.Notes = append(cost.Notes, link{Label: "no errors"})
	}
	var saved money.Sum
	saved.AddSum(&spend.Uncached)
	saved.SubSum(&spend.Cost)
	without := figure{
		Label: "Without the prompt cache", Value: ui.Dollars(&spend.Uncached), URL: "#turns",
		Notes: []link{{Label: "every prompt token at its request's own rate of input, after factors and discount; output, server tools and inner steps as they were"}},
	}
	difference := figure{Label: "The cache saved", Value: ui.Dollars(&saved), URL: "#agents", Tone: "under", Sign: "▼", Notes: []link{{Label: ui.Percent(&saved, &spend.Uncached, 1) + " of what it would have cost"}}}
	if saved.Sign() < 0 {
		var more money.Sum
		more.SubSum(&saved)
		difference = figure{Label: "The cache cost more", Value: ui.Dollars(&more), URL: "#agents", Tone: "over", Sign: "▲", Notes: []link{{Label: "writes cost more than input, and few were read again"}}}
	}
	read, written := spend.Tokens[usage.ClassCacheRead], spend.Tokens[usage.ClassCacheWrite5m]+spend.Tokens[usage.ClassCacheWrite1h]
	cache := figure{Label: "Read from the cache", Value: rate(read, spend.Tokens.Prompt()), URL: "#classes"}
	cache.Notes = []link{{Label: fmt.Sprintf("of %s prompt tokens: %s read, %s written", ui.Count(spend.Tokens.Prompt()), ui.Count(read), ui.Count(written))}}
	return []figure{cost, without, difference, cache}
}

// rate prints part of whole in per cent with a decimal; "–" when there is no whole.
func rate(part, whole int64) string {
	var a, b money.Sum
	a.Add(money.Pico(part))
	b.Add(money.Pico(whole))
	return ui.Percent(&a, &b, 1)
}

// overTime shapes cost by equal stretches of the session, at most some sixty of them.
func (v *sessionView) overTime() {
	turns := v.Session.Turns
	first, last := turns[0].OccurredAt, turns[len(turns)-1].OccurredAt
	width := stretch(last.Sub(first))
	v.Width = widthWords(width)
	start := first.Truncate(width)
	v.Periods = make([]periodRow, last.Sub(start)/width+1)
	for i := range turns {
		row := &v.Periods[turns[i].OccurredAt.Sub(start)/width]
		row.Turns++
		row.Total.Add(turns[i].Cost)
		if turns[i].AgentID == "" {
			row.Main.Add(turns[i].Cost)
		} else {
			row.Subs.Add(turns[i].Cost)
		}
	}
	var tallest, running money.Sum
	for i := range v.Periods {
		row := &v.Periods[i]
		row.At = start.Add(time.Duration(i) * width)
		running.AddSum(&row.Total)
		row.Running.AddSum(&running)
		if row.Total.Cmp(&tallest) > 0 {
			tallest = row.Total
		}
	}
	for i := range v.Periods {
		row := &v.Periods[i]
		v.Columns = append(v.Columns, chart.Column{
			Parts: []chart.Part{{Permille: ui.Permille(&row.Main, &tallest), Series: 1}, {Permille: ui.Permille(&row.Subs, &tallest), Series: 2}},
			Words: ui.Minute(row.At) + ": " + ui.Dollars(&row.Total),
		})
	}
	v.Tallest = ui.Dollars(&tallest)
	v.Words = fmt.Sprintf("Cost of the session by %s, from %s to %s; the tallest column is %s. The table below holds the same numbers.", v.Width, ui.Minute(first), ui.Minute(last), v.Tallest)
}

// stretch is the width of a column for a session of that length.
func stretch(length time.Duration) time.Duration {
	for _, width := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour} {
		if length <= 60*width {
			return width
		}
	}
	width := 24 * time.Hour
	for length > 60*width {
		width *= 2
	}
	return width
}

func widthWords(width time.Duration) string {
	switch {
	case width < time.Hour:
		return ui.Plural(int64(width/time.Minute), "minute")
	case width < 24*time.Hour:
		return ui.Plural(int64(width/time.Hour), "hour")
	}
	return ui.Plural(int64(width/(24*time.Hour)), "day")
}

func (w *Web) exportSession(v *visit) error {
	session, found, err := w.areas.Reports.Session(v.Request().Context(), v.who, v.Param("id"))
	if err != nil {
		return err
	}
	if !found {
		return errPageAbsent
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	from, to := 0, len(session.Turns)
	if part {
		if from, to, err = turnsOf(v, &session); err != nil {
			return err
		}
	}
	return turnsSheet(&session, from, to).paged(part).send(v, turnsFile(v))
}

func turnsFile(v *visit) string { return "session-" + v.slug + ".csv" }

func turnsSheet(session *app.Session, from, to int) *sheet {
	out := newSheet("turn", "id", "request_id", "occurred_at", "agent_id", "parent_agent_id", "request_class", "state", "model", "input_tokens", "output_tokens",
		"cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens", "amount_usd", "without_cache_usd")
	var cost, uncached money.Sum
	for i := from; i < to; i++ {
		t := &session.Turns[i]
		cost.Add(t.Cost)
		uncached.Add(t.Uncached)
		line := []string{
			strconv.Itoa(i + 1), t.ID.String(), cell(t.RequestID), t.OccurredAt.Format(time.RFC3339Nano), cell(t.AgentID), cell(t.ParentAgentID), cell(t.Class), t.State,
			cell(t.ModelServedOrAsked()),
		}
		for _, n := range t.Tokens {
			line = append(line, number(n))
		}
		_ = out.Write(append(line, t.Cost.String(), t.Uncached.String()))
	}
	whole := to-from == len(session.Turns)
	if whole {
		cost, uncached = session.Spend.Cost, session.Spend.Uncached
	}
	out.filter("session", session.ID)
	out.add("amount_usd", &cost)
	out.add("without_cache_usd", &uncached)
	return out.paged(!whole)
}
