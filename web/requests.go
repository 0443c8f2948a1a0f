package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// requestsQuery is the state of the list: all of it is in the URL.
type requestsQuery struct {
	Node, Key, Developer, Model, Session, State, From, To, RequestID, Cursor string
}

func (v *visit) requestsQuery() requestsQuery {
	get := func(name string) string { return strings.TrimSpace(v.QueryParam(name)) }
	return requestsQuery{
		Node: get("node"), Key: get("key"), Developer: get("developer"), Model: get("model"), Session: get("session"), State: get("state"),
		From: get("from"), To: get("to"), RequestID: get("request_id"), Cursor: get("cursor"),
	}
}

func (q requestsQuery) values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{
		"node": q.Node, "key": q.Key, "developer": q.Developer, "model": q.Model, "session": q.Session, "state": q.State,
		"from": q.From, "to": q.To, "request_id": q.RequestID, "cursor": q.Cursor,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

func (q requestsQuery) url(path string) string {
	if values := q.values(); len(values) > 0 {
		return path + "?" + values.Encode()
	}
	return path
}

// narrowed tells whether anything but the page was chosen.
func (q requestsQuery) narrowed() bool {
	q.Cursor = ""
	return len(q.values()) > 0
}

// filter reads the texts; the two bounds are half-open, as everywhere.
func (q requestsQuery) filter() (app.RequestFilter, error) {
	f := app.RequestFilter{
		NodeCode: q.Node, Developer: q.Developer, Model: q.Model, Session: q.Session, State: q.State, RequestID: q.RequestID, Cursor: q.Cursor,
	}
	if q.Key != "" {
		key, err := id.ParseKey(q.Key)
		if err != nil {
			return f, fault.Invalid("key", "id_syntax", "%.60q is no virtual key's id.", q.Key)
		}
		f.Key = key
	}
	for _, bound := range []struct {
		name, text string
		set        func(api.Instant)
	}{
		{"from", q.From, func(at api.Instant) { f.From = at.Time }},
		{"to", q.To, func(at api.Instant) { f.To = at.Time }},
	} {
		if bound.text == "" {
			continue
		}
		at, err := api.ParseInstant(bound.name, bound.text)
		if err != nil {
			return f, err
		}
		bound.set(at)
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return f, fault.Invalid("to", "range_empty", "The end must be after the start; the start is included, the end is not.")
	}
	return f, nil
}

type requestsView struct {
	Frame      ui.Frame
	Query      requestsQuery
	Alert      string
	Nodes      []option
	States     []option
	Rows       []app.Request
	Older      string
	Newest     string
	CSV        string
	Clear      string
	Own        bool // a developer's own
	Nobody     bool // signed in with an address no request declares
	GatewayURL string
	Figures    []figure // of one's own month
	Chips      []link   // what is chosen and has no field: leads to the list without it
}

type option struct {
	Value, Label string
	Selected     bool
}

const requestsShown = 50

func (w *Web) showRequests(v *visit) error {
	q := v.requestsQuery()
	view := &requestsView{
		Query: q, CSV: q.url("/requests.csv"), Clear: "/requests", Own: !v.may("usage", "read"),
		GatewayURL: w.cfg.PublicURL.JoinPath("gw", v.slug).String(),
	}
	title := "Requests"
	if view.Own {
		title = "My requests"
		view.Nobody = v.who.Developer.IsZero()
	}
	view.Frame = v.frame(title)
	filter, err := q.filter()
	var page app.RequestPage
	if err == nil {
		filter.Limit = requestsShown
		page, err = w.areas.Reports.Requests(v.Request().Context(), v.who, filter)
	}
	status := http.StatusOK
	if fault.KindOf(err) == fault.KindInvalid {
		status, view.Alert, err = http.StatusUnprocessableEntity, fault.From(err).Message, nil
	}
	if err != nil {
		return err
	}
	view.Rows = page.Rows
	if view.Own && !view.Nobody {
		if view.Figures, err = w.ownFigures(v); err != nil {
			return err
		}
	}
	if err := view.choices(v); err != nil {
		return err
	}
	if page.Next != "" {
		older := q
		older.Cursor = page.Next
		view.Older = older.url("/requests")
	}
	if q.Cursor != "" {
		newest := q
		newest.Cursor = ""
		view.Newest = newest.url("/requests")
	}
	return render(v, status, requestsPage(view))
}

// choices fills the fields of the filter.
func (r *requestsView) choices(v *visit) error {
	nodes, err := v.web.areas.Nodes.List(v.Request().Context(), v.who, time.Time{})
	if err != nil {
		return err
	}
	r.Nodes = []option{{Label: "All cost centers"}}
	for _, n := range nodes {
		r.Nodes = append(r.Nodes, option{
			Value: n.Code, Label: strings.Repeat("\u2003", n.Depth) + n.Code + " " + n.Name, Selected: n.Code == r.Query.Node || n.Node.String() == r.Query.Node,
		})
	}
	r.States = []option{{Label: "All states"}}
	for _, s := range []string{"complete", app.Provisional, "incomplete", "estimated", "unpriced", "open", "error"} {
		r.States = append(r.States, option{Value: s, Label: ui.Words(s), Selected: s == r.Query.State})
	}
	for _, chip := range []struct {
		label string
		value *string
	}{{"Virtual key", &r.Query.Key}, {"Model", &r.Query.Model}, {"Request", &r.Query.RequestID}} {
		if *chip.value == "" {
			continue
		}
		kept := *chip.value
		*chip.value = ""
		without := r.Query
		without.Cursor = ""
		*chip.value = kept
		r.Chips = append(r.Chips, link{Label: chip.label + " " + ui.ShortID(kept), URL: without.url("/requests")})
	}
	return nil
}

// allocatedTo says where a request is charged.
func allocatedTo(r *app.Request) string {
	switch len(r.Allocations) {
	case 0:
		return "nowhere"
	case 1:
		return r.Allocations[0].Code
	}
	return "split among " + ui.Count(int64(len(r.Allocations)))
}

type requestView struct {
	Frame   ui.Frame
	Request *app.Request
	Total   int64 // tokens
}

func (w *Web) showRequest(v *visit) error {
	event, err := id.ParseEvent(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	page, err := w.areas.Reports.Requests(v.Request().Context(), v.who, app.RequestFilter{Event: event, Limit: 1})
	if err != nil {
		return err
	}
	if len(page.Rows) == 0 {
		return errPageAbsent
	}
	r := &page.Rows[0]
	view := &requestView{Frame: v.frame("Request " + ui.ShortID(r.ID.String())), Request: r}
	for _, n := range r.Tokens {
		view.Total += n
	}
	return render(v, http.StatusOK, requestPage(view))
}

// charged are the lines of a request's charge that say something.
func charged(r *app.Request) []app.ClassCharge {
	var lines []app.ClassCharge
	for _, l := range r.Charges {
		if l.Quantity != 0 || l.Amount != 0 {
			lines = append(lines, l)
		}
	}
	return lines
}

// ruleWords says in words what decided where a request is charged.
func ruleWords(rule string) string {
	switch rule {
	case "key":
		return "The virtual key's cost center."
	case "project":
		return "The project the request declared, which the key may charge."
	case "key:project_unknown":
		return "The virtual key's cost center: the request declared a project no node has as its code."
	case "key:project_outside":
		return "The virtual key's cost center: the request declared a project this key may not charge."
	case "suspense":
		return "Suspense: the key's cost center did not exist at that time."
	}
	return "Rule " + rule + "."
}
