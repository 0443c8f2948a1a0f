package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tollbook/app"
	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/web/ui"
)

// retagPath is the page that proposes to charge requests elsewhere.
const retagPath = "/requests/retag"

// retagForm is such a proposal while it is written: which requests, and where they go. All
// of it travels with the form.
type retagForm struct {
	trouble

	IDs    []string      // requests chosen one by one
	All    bool          // or else all that the filter keeps
	Filter requestsQuery // where All
	Seen   string        // the digest of what was looked at
	Parts  []retagLine
	Reason string
	Once   string
}

type retagLine struct{ Code, Percent string }

type retagView struct {
	retagForm

	Frame   ui.Frame
	Figures []figure
	Look    *app.RetagLook // nil: nothing is chosen
	Rows    []retagSource
	Hidden  []link // the filter's fields, by name and value
	Nodes   []option
	Effect  *nodeEffect // who would decide; nil before a node is named
	Impact  *impactView
	Back    string
	Narrow  string // what the filter keeps
}

type retagSource struct {
	app.RetagSource

	URL string
}

const (
	retagLines = 3 // for nodes, at first
	retagIDs   = app.MaxRows
)

// retagURL leads to the page with all that a filter keeps.
func (q requestsQuery) retagURL() string {
	q.Cursor, q.Sort = "", ""
	values := q.values()
	values.Set("all", "1")
	return retagPath + "?" + values.Encode()
}

func (w *Web) askRetag(v *visit) error {
	if !v.may("retag", "propose") {
		return app.ErrNotAllowed
	}
	sent := v.QueryParams()
	return w.retagPage(v, http.StatusOK, typedRetag(v, sent, v.requestsQuery()), false)
}

func typedRetag(v *visit, sent url.Values, q requestsQuery) *retagForm {
	f := &retagForm{All: sent.Get("all") != "", Seen: sent.Get("seen"), Reason: v.FormValue("reason"), Once: sent.Get("once")}
	if f.All {
		q.Cursor, q.Sort = "", ""
		f.Filter = q
	} else {
		f.IDs = sent["id"][:min(len(sent["id"]), retagIDs)]
	}
	codes, percents := sent["to_code"], sent["to_percent"]
	for i := range min(len(codes), attribution.MaxParts) {
		line := retagLine{Code: strings.TrimSpace(codes[i])}
		if i < len(percents) {
			line.Percent = strings.TrimSpace(percents[i])
		}
		if line != (retagLine{}) {
			f.Parts = append(f.Parts, line)
		}
	}
	return f
}

// writeRetag shows what a proposal does, or sends it to who decides.
func (w *Web) writeRetag(v *visit) error {
	if !v.may("retag", "propose") {
		return app.ErrNotAllowed
	}
	if err := v.Request().ParseForm(); err != nil {
		return errNodeForm
	}
	sent := v.Request().PostForm
	get := func(name string) string { return strings.TrimSpace(sent.Get(name)) }
	form := typedRetag(v, sent, requestsQuery{
		Node: get("node"), Key: get("key"), Developer: get("developer"), Model: get("model"), Session: get("session"), State: get("state"),
		From: get("from"), To: get("to"), RequestID: get("request_id"), Tag: get("tag"), Rule: get("rule"), Min: get("min"), Max: get("max"),
	})
	if !form.All && len(form.IDs) == 0 {
		form.trouble = trouble{"Choose the requests first.", "requests"}
		return w.retagPage(v, http.StatusUnprocessableEntity, form, false)
	}
	if sent.Get("step") != "propose" {
		return w.retagPage(v, http.StatusOK, form, true)
	}
	asked, err := form.retag()
	if err == nil {
		asked.To, err = form.parts()
	}
	var made app.ChangeView
	if err == nil {
		made, err = w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskRetag(&asked, form.Reason), form.Once)
	}
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.retagPage(v, status, form, false)
	}
	return v.proposed(made, err, "/requests")
}

// retag is which requests the form is about.
func (f *retagForm) retag() (app.Retag, error) {
	asked := app.Retag{Seen: f.Seen}
	if !f.All {
		for _, text := range f.IDs {
			event, err := id.ParseEvent(text)
			if err != nil {
				return asked, fault.Invalid("requests", "id_syntax", "%.60q is no request's id.", text)
			}
			asked.Requests = append(asked.Requests, event)
		}
		return asked, nil
	}
	filter, err := f.Filter.filter()
	if err != nil {
		return asked, err
	}
	if !filter.Event.IsZero() {
		asked.Requests = []id.Event{filter.Event}
		return asked, nil
	}
	if filter.RequestID != "" {
		return asked, fault.Invalid("request_id", "retag_request", "Choose a request by the provider's id on the list, with its box.")
	}
	said := app.RetagFilterOf(filter)
	asked.Filter = &said
	return asked, nil
}

// parts reads the nodes and their shares; one node alone takes all.
func (f *retagForm) parts() ([]attribution.Part, error) {
	var parts []attribution.Part
	for _, line := range f.Parts {
		part := attribution.Part{Code: line.Code, PPM: usage.Whole}
		if line.Percent != "" || len(f.Parts) > 1 {
			ppm, ok := percentPPM(line.Percent)
			if !ok {
				return nil, fault.Invalid("to", "parts_percent", "A share is a percentage such as 33.3333, above 0 and at most 100; %.20q is not.", line.Percent)
			}
			part.PPM = ppm
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return nil, fault.Invalid("to", "parts_count", "Say which node they are charged to.")
	}
	return parts, nil
}

// retagPage restates the requests, and what the proposal would do if asked to.
func (w *Web) retagPage(v *visit, status int, form *retagForm, effect bool) error {
	view := &retagView{retagForm: *form, Frame: v.frame("Re-tag requests"), Back: "/requests"}
	if form.All {
		view.Back = form.Filter.url("/requests")
		values := form.Filter.values()
		for _, name := range slices.Sorted(maps.Keys(values)) {
			view.Hidden = append(view.Hidden, link{name, values.Get(name)})
		}
	}
	if form.All || len(form.IDs) > 0 {
		if err := w.retagLook(v, view, &status); err != nil {
			return err
		}
	}
	if view.Look != nil && effect {
		if err := w.retagEffect(v, view); err != nil {
			code, f := retold(err)
			if code == 0 {
				return err
			}
			status, view.trouble = code, trouble{f.Message, f.Field}
		}
	}
	for len(view.Parts) < retagLines {
		view.Parts = append(view.Parts, retagLine{})
	}
	if view.Once == "" {
		view.Once = secret.Mint("form_").Reveal()
	}
	nodes, err := v.nodeChoices("")
	if err != nil {
		return err
	}
	for _, n := range nodes[1:] {
		if n.Value != hierarchy.SuspenseCode {
			view.Nodes = append(view.Nodes, option{Value: n.Value, Label: strings.TrimSpace(n.Label)})
		}
	}
	return render(v, status, retagPage(view))
}

// retagLook reads the requests as they lie, or says why they cannot be re-tagged.
func (w *Web) retagLook(v *visit, view *retagView, status *int) error {
	asked, err := view.retag()
	asked.Seen = ""
	var look app.RetagLook
	if err == nil {
		look, err = w.areas.Adjustments.Look(v.Request().Context(), v.who, asked)
	}
	if code, f := retold(err); code != 0 {
		*status, view.trouble = code, trouble{f.Message, f.Field}
		return nil
	}
	if err != nil {
		return err
	}
	view.Look, view.Seen = &look, look.Digest
	months := make([]string, 0, len(look.Periods))
	for _, m := range look.Periods {
		months = append(months, m.Start().Format("January 2006"))
	}
	view.Figures = []figure{
		{Label: "Charge that is re-tagged", Value: ui.Dollars(&look.Charge), Notes: []link{{Label: "as it lies now, exactly " + look.Charge.String()}}},
		{Label: "Requests", Value: ui.Count(int64(look.Count)), Notes: []link{{Label: ui.Minute(look.First) + " to " + ui.Minute(look.Last)}}},
		{Label: "Period", Value: strings.Join(months, ", "), Notes: []link{{Label: "open; a closed one would refuse them"}}},
	}
	if look.Moved > 0 {
		view.Figures[1].Notes = append(view.Figures[1].Notes, link{Label: "(" + ui.Count(int64(look.Moved)) + " of them moved before)"})
	}
	for _, s := range look.From {
		row := retagSource{RetagSource: s}
		list := requestsQuery{Node: s.Code, From: look.First.Format("2006-01-02"), To: look.Last.AddDate(0, 0, 1).Format("2006-01-02")}
		row.URL = list.url("/requests")
		view.Rows = append(view.Rows, row)
	}
	return nil
}

// retagEffect works out what the proposal would move and who would decide.
func (w *Web) retagEffect(v *visit, view *retagView) error {
	asked, err := view.retag()
	if err != nil {
		return err
	}
	if asked.To, err = view.parts(); err != nil {
		return err
	}
	would, err := w.areas.Approvals.Preview(v.Request().Context(), v.who, app.AskRetag(&asked, ""))
	if err != nil {
		return err
	}
	view.Effect = &nodeEffect{From: "when it is decided"}
	view.Effect.steps(&would)
	impact := impactOf(&would.Impact)
	view.Impact = &impact
	return nil
}

// adjustedWords says what changed where a request is charged.
func adjustedWords(kind string) string {
	switch kind {
	case "retag":
		return "Re-tagged"
	case "move":
		return "Moved with the hierarchy"
	case "price":
		return "Price settled"
	case "true_up":
		return "Trued up"
	}
	return ui.Words(kind)
}
