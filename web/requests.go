package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// requestsQuery is the state of the list: all of it is in the URL.
type requestsQuery struct {
	Node, Key, Developer, Model, Session, State, From, To, RequestID, Tag, Rule, Min, Max, Sort, Cursor string
}

func (v *visit) requestsQuery() requestsQuery {
	get := func(name string) string { return strings.TrimSpace(v.QueryParam(name)) }
	return requestsQuery{
		Node: get("node"), Key: get("key"), Developer: get("developer"), Model: get("model"), Session: get("session"), State: get("state"),
		From: get("from"), To: get("to"), RequestID: get("request_id"), Tag: get("tag"), Rule: get("rule"), Min: get("min"), Max: get("max"), Sort: get("sort"),
		Cursor: get("cursor"),
	}
}

func (q requestsQuery) values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{
		"node": q.Node, "key": q.Key, "developer": q.Developer, "model": q.Model, "session": q.Session, "state": q.State,
		"from": q.From, "to": q.To, "request_id": q.RequestID, "tag": q.Tag, "rule": q.Rule, "min": q.Min, "max": q.Max, "sort": q.Sort, "cursor": q.Cursor,
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

// narrowed tells whether anything but the page and its order was chosen.
func (q requestsQuery) narrowed() bool {
	q.Cursor, q.Sort = "", ""
	return len(q.values()) > 0
}

// folded tells whether anything is chosen among the fields that are folded away.
func (q requestsQuery) folded() bool {
	return q.Key != "" || q.Model != "" || q.RequestID != "" || q.Tag != "" || q.Min != "" || q.Max != ""
}

// filter reads the texts; the two bounds are half-open, as everywhere.
func (q requestsQuery) filter() (app.RequestFilter, error) {
	f := app.RequestFilter{
		NodeCode: q.Node, Developer: q.Developer, Model: q.Model, Session: q.Session, State: q.State, RequestID: q.RequestID, Rule: q.Rule, Order: q.Sort, Cursor: q.Cursor,
	}
	if q.Key != "" {
		key, err := id.ParseKey(q.Key)
		if err != nil {
			return f, fault.Invalid("key", "id_syntax", "%.60q is no virtual key's id.", q.Key)
		}
		f.Key = key
	}
	if event, err := id.ParseEvent(q.RequestID); err == nil && q.RequestID != "" {
		f.Event, f.RequestID = event, "" // ours, where the provider's was asked for
	}
	f.TagKey, f.TagValue, _ = strings.Cut(q.Tag, "=")
	var err error
	if f.Min, err = amount("min", q.Min); err != nil {
		return f, err
	}
	if f.Max, err = amount("max", q.Max); err != nil {
		return f, err
	}
	f.From, f.To, err = between(q.From, q.To)
	return f, err
}

// amount reads US dollars; nil when there are none.
func amount(field, text string) (*money.Pico, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no bound
	}
	pico, err := money.ParsePico(strings.TrimPrefix(text, "$"))
	if err != nil {
		return nil, fault.Invalid(field, "amount_syntax", "A charge is US dollars, such as 0.25; %.40q is not.", text)
	}
	return &pico, nil
}

// between reads the two bounds of a range; either may be open.
func between(from, to string) (start, end time.Time, err error) {
	for _, bound := range []struct {
		name, text string
		into       *time.Time
	}{{"from", from, &start}, {"to", to, &end}} {
		if bound.text == "" {
			continue
		}
		at, err := api.ParseInstant(bound.name, bound.text)
		if err != nil {
			return start, end, err
		}
		*bound.into = at.Time
	}
	if !start.IsZero() && !end.IsZero() && !start.Before(end) {
		return start, end, fault.Invalid("to", "range_empty", "The end must be after the start; the start is included, the end is not.")
	}
	return start, end, nil
}

type requestsView struct {
	Frame      ui.Frame
	Query      requestsQuery
	Alert      string
	Field      string // the one at fault
	Nodes      []option
	States     []option
	Keys       []option // none where the reader may not list keys
	Sorts      []tab
	Rows       []app.Request
	Older      string
	Newest     string
	CSV        string
	Clear      string
	Own        bool // a developer's own
	Nobody     bool // signed in with an address no request declares
	GatewayURL string
	Figures    []figure // of one's own month
	Retag      string   // leads to re-tagging all that match; empty for who may not
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
	if v.may("retag", "propose") {
		view.Retag = q.retagURL()
	}
	filter, err := q.filter()
	var page app.RequestPage
	if err == nil {
		filter.Limit = requestsShown
		page, err = w.areas.Reports.Requests(v.Request().Context(), v.who, filter)
	}
	status := http.StatusOK
	if fault.KindOf(err) == fault.KindInvalid {
		f := fault.From(err)
		status, view.Alert, view.Field, err = http.StatusUnprocessableEntity, f.Message, f.Field, nil
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
	if status == http.StatusOK {
		out := requestsSheet()
		addRequests(out, page.Rows)
		if err := out.paged(view.Older != "" || view.Newest != "").prints(v, &view.Frame, "/requests.csv", requestsFile(v)); err != nil {
			return err
		}
	}
	return render(v, status, requestsPage(view))
}

// choices fills the fields of the filter.
func (r *requestsView) choices(v *visit) error {
	var err error
	if r.Nodes, err = v.nodeChoices(r.Query.Node); err != nil {
		return err
	}
	r.States = []option{{Label: "All states"}}
	for _, s := range []string{"complete", app.Provisional, "incomplete", "estimated", "unpriced", "open", "error"} {
		r.States = append(r.States, option{Value: s, Label: ui.Words(s), Selected: s == r.Query.State})
	}
	for _, o := range []struct{ sort, label string }{{"", "Newest"}, {app.Dearest, "Dearest"}} {
		sorted := r.Query
		sorted.Sort, sorted.Cursor = o.sort, ""
		r.Sorts = append(r.Sorts, tab{Label: o.label, URL: sorted.url("/requests"), Current: o.sort == r.Query.Sort})
	}
	if r.Query.Rule != "" {
		without := r.Query
		without.Rule, without.Cursor = "", ""
		r.Chips = append(r.Chips, link{Label: "Placed by " + lower(ruleLabel(r.Query.Rule)), URL: without.url("/requests")})
	}
	return r.keyChoices(v)
}

// nodeChoices offers the nodes a reader may see, the chosen one by code or id.
func (v *visit) nodeChoices(chosen string) ([]option, error) {
	nodes, err := v.web.areas.Nodes.List(v.Request().Context(), v.who, time.Time{})
	if err != nil {
		return nil, err
	}
	list := []option{{Label: "All cost centers"}}
	for _, n := range nodes {
		list = append(list, option{
			Value: n.Code, Label: strings.Repeat("\u2003", n.Depth) + n.Code + " " + n.Name, Selected: n.Code == chosen || n.Node.String() == chosen,
		})
	}
	return list, nil
}

// keyChoices offers the keys there are, and the chosen one even where they may not be
// listed.
func (r *requestsView) keyChoices(v *visit) error {
	if !v.may("key", "read") {
		if r.Query.Key != "" {
			without := r.Query
			without.Key, without.Cursor = "", ""
			r.Chips = append(r.Chips, link{Label: "Virtual key " + ui.ShortID(r.Query.Key), URL: without.url("/requests")})
		}
		return nil
	}
	page, err := v.web.areas.Keys.List(v.Request().Context(), v.who, id.Key{}, app.MaxRows)
	if err != nil {
		return err
	}
	r.Keys = []option{{Label: "All keys"}}
	known := r.Query.Key == ""
	for _, k := range page.Rows {
		o := option{Value: k.ID.String(), Label: k.Label, Selected: k.ID.String() == r.Query.Key}
		known = known || o.Selected
		r.Keys = append(r.Keys, o)
	}
	if !known {
		r.Keys = append(r.Keys, option{Value: r.Query.Key, Label: ui.ShortID(r.Query.Key), Selected: true})
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
