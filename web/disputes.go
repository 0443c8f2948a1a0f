package web

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/dispute"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/web/ui"
)

const disputesPath = "/disputes"

// disputeQuery is the state of the list: all of it is in the URL.
type disputeQuery struct{ State, Period, Cursor string }

func (v *visit) disputeQuery() disputeQuery {
	get := func(name string) string { return strings.TrimSpace(v.QueryParam(name)) }
	return disputeQuery{State: cmp.Or(get("state"), app.DisputeStanding), Period: get("period"), Cursor: get("cursor")}
}

func (q disputeQuery) url(path string) string {
	values := url.Values{}
	state := q.State
	if state == app.DisputeStanding {
		state = ""
	}
	for name, value := range map[string]string{"state": state, "period": q.Period, "cursor": q.Cursor} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

func (q disputeQuery) narrowed() bool { return q.State != app.DisputeStanding || q.Period != "" }

func (q disputeQuery) filter() (app.DisputeQuery, error) {
	f := app.DisputeQuery{State: q.State}
	if q.State == everyState {
		f.State = ""
	}
	var err error
	if q.Period != "" {
		if f.Month, err = period.ParseMonth(q.Period); err != nil {
			return f, err
		}
	}
	if q.Cursor != "" {
		if f.Before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || f.Before < 1 {
			return f, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
	}
	return f, nil
}

type disputesView struct {
	Frame         ui.Frame
	Query         disputeQuery
	Rows          []app.DisputeView
	States        []option
	Older, Newest string
	CSV           string
	CanRaise      bool
}

const disputesShown = 100

func (w *Web) showDisputes(v *visit) error {
	q := v.disputeQuery()
	filter, err := q.filter()
	if err != nil {
		return err
	}
	filter.Limit = disputesShown
	page, err := w.areas.Disputes.List(v.Request().Context(), v.who, filter)
	if err != nil {
		return err
	}
	view := &disputesView{Frame: v.frame("Disputes"), Query: q, Rows: page.Disputes, States: disputeChoices(q.State), CanRaise: page.CanRaise}
	file := q
	file.Cursor = ""
	view.CSV = file.url(disputesPath + ".csv")
	if page.Next != 0 {
		older := q
		older.Cursor = strconv.FormatInt(page.Next, 10)
		view.Older = older.url(disputesPath)
	}
	if q.Cursor != "" {
		view.Newest = file.url(disputesPath)
	}
	out := disputeSheet(q)
	addDisputes(out, page.Disputes)
	if err := out.paged(view.Older != "" || view.Newest != "").prints(v, &view.Frame, disputesPath+".csv", disputeFile(v)); err != nil {
		return err
	}
	return render(v, http.StatusOK, disputesPage(view))
}

func disputeChoices(chosen string) []option {
	list := []option{{Value: app.DisputeStanding, Label: "Standing", Selected: chosen == app.DisputeStanding}}
	for _, s := range dispute.States() {
		list = append(list, option{Value: string(s), Label: disputeTag(s).Word, Selected: string(s) == chosen})
	}
	return append(list, option{Value: everyState, Label: "Every state", Selected: chosen == everyState})
}

// disputeTag is where a dispute stands, as an icon and a word.
func disputeTag(s dispute.State) figureTag {
	switch s {
	case dispute.StateOpen:
		return figureTag{ui.ToneWarn, "?", "Open"}
	case dispute.StateAccepted:
		return figureTag{ui.ToneNext, "→", "Accepted"}
	case dispute.StateProposed:
		return figureTag{ui.ToneNext, "…", "Change proposed"}
	case dispute.StateMoved:
		return figureTag{ui.ToneOK, "✓", "Moved"}
	case dispute.StateDeclined:
		return figureTag{ui.TonePlain, "×", "Declined"}
	case dispute.StateWithdrawn:
		return figureTag{ui.TonePlain, "–", "Withdrawn"}
	case dispute.StateKept:
		return figureTag{ui.TonePlain, "=", "Stays"}
	}
	return figureTag{ui.TonePlain, "?", ui.Words(string(s))}
}

// waitsWords says for whom a dispute waits, and how long by now.
func waitsWords(d *app.DisputeView) string {
	who := ""
	switch d.Waits {
	case dispute.WaitsNobody:
		return "nobody"
	case dispute.WaitsOwner:
		who = cmp.Or(d.WaitsFor, "the owner of "+d.ToCode)
	case dispute.WaitsFinance:
		who = "finance"
	case dispute.WaitsApprover:
		who = "whoever decides about " + changeNumber(d.ResolutionNumber)
	}
	return who + ", " + daysWords(d.WaitDays)
}

// chargesWords says which charges of the node a dispute is about.
func chargesWords(d *app.DisputeView) string {
	if d.Listed {
		return ui.Plural(int64(d.Requests), "request") + ", chosen one by one"
	}
	words := "all of the month"
	var parts []string
	n := &d.Narrowed
	if !n.Key.IsZero() {
		parts = append(parts, "key "+ui.ShortID(n.Key.String()))
	}
	for _, part := range []struct{ name, value string }{{"model ", n.Model}, {"tag ", n.Tag}, {"session ", n.Session}} {
		if part.value != "" {
			parts = append(parts, part.name+part.value)
		}
	}
	if len(parts) > 0 {
		words = strings.Join(parts, ", ")
	}
	return words + ": " + ui.Plural(int64(d.Requests), "request")
}

func disputeFile(v *visit) string { return "disputes-" + v.slug + ".csv" }

func disputeSheet(q disputeQuery) *sheet {
	out := newSheet("number", "id", "period", "node", "proposed_node", "state", "waits_for", "amount_usd", "amount_now_usd", "requests", "charges", "reason", "raised_by", "raised_at", "age_days", "wait_days", "since", "change")
	out.filter("state", q.State)
	return out
}

func addDisputes(out *sheet, rows []app.DisputeView) {
	for i := range rows {
		r := &rows[i]
		change := ""
		if r.ResolutionNumber > 0 {
			change = number(r.ResolutionNumber)
		}
		_ = out.Write([]string{
			number(r.Number), r.ID.String(), r.Month.String(), cell(r.NodeCode), cell(r.ToCode), string(r.State), string(r.Waits), r.Amount.String(), r.AmountNow.String(), strconv.Itoa(r.Requests), cell(chargesWords(r)),
			cell(r.Reason), cell(r.Raiser.Name), instantText(r.RaisedAt), strconv.Itoa(r.AgeDays), strconv.Itoa(r.WaitDays), instantText(r.Since), change,
		})
		out.add("amount_usd", &r.Amount)
	}
}

func (w *Web) exportDisputes(v *visit) error {
	q := v.disputeQuery()
	filter, err := q.filter()
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	filter.Limit = disputesShown
	if !part {
		filter.Limit, filter.Before = app.MaxRows, 0
	}
	out := disputeSheet(q).paged(part)
	for range maxExport / app.MaxRows {
		page, err := w.areas.Disputes.List(v.Request().Context(), v.who, filter)
		if err != nil {
			return err
		}
		addDisputes(out, page.Disputes)
		if page.Next == 0 || part {
			return out.send(v, disputeFile(v))
		}
		filter.Before = page.Next
	}
	return fault.New(fault.KindInvalid, "export_too_large", "More than 50,000 disputes match: too many for one file. Narrow them by state or month.")
}

// disputeForm is a dispute while it is written: all of it travels with the form.
type disputeForm struct {
	trouble

	Period, Node, Key, Model, Tag, Session, Requests, To, Reason, Seen string
}

func typedDispute(get func(string) string) *disputeForm {
	text := func(name string) string { return strings.TrimSpace(get(name)) }
	return &disputeForm{
		Period: text("period"), Node: text("node"), Key: text("key"), Model: text("model"), Tag: text("tag"), Session: text("session"), Requests: text("requests"), To: text("to"), Reason: get("reason"), Seen: text("seen"),
	}
}

// disputeURL leads to the form for a node's charges of a month.
func disputeURL(m period.Month, code string) string {
	return disputesPath + "/new?" + url.Values{"period": {m.String()}, "node": {code}}.Encode()
}

// claim is what the form disputes.
func (f *disputeForm) claim() (app.NewDispute, error) {
	n := app.NewDispute{Node: f.Node, Model: f.Model, Tag: f.Tag, Session: f.Session, To: f.To, Reason: f.Reason, Seen: f.Seen}
	var err error
	if n.Month, err = period.ParseMonth(f.Period); err != nil {
		return n, err
	}
	if f.Key != "" {
		if n.Key, err = id.ParseKey(f.Key); err != nil {
			return n, fault.Invalid("key", "id_syntax", "%.60q is no virtual key.", f.Key)
		}
	}
	n.Requests, err = app.ParseRequests(f.Requests)
	return n, err
}

type newDisputeView struct {
	disputeForm

	Frame   ui.Frame
	Look    *app.DisputeLook // nil: nothing is chosen, or it cannot be disputed
	Figures []figure
	Nodes   []option
	Back    string
}

// askDispute shows which charges are disputed, and asks where they belong.
func (w *Web) askDispute(v *visit) error {
	if !v.may("dispute", "propose") {
		return app.ErrNotAllowed
	}
	form := typedDispute(v.QueryParam)
	form.Requests = strings.Join(append([]string{form.Requests}, v.QueryParams()["id"]...), "\n")
	form.Period = cmp.Or(form.Period, period.MonthOf(w.cfg.Now()).String())
	return w.newDisputePage(v, http.StatusOK, form)
}

func (w *Web) newDisputePage(v *visit, status int, form *disputeForm) error {
	form.Requests = strings.TrimSpace(form.Requests)
	view := &newDisputeView{disputeForm: *form, Frame: v.frame("Dispute charges"), Back: disputesPath}
	nodes, err := v.nodeChoices(form.Node)
	if err != nil {
		return err
	}
	for _, n := range nodes[1:] {
		if n.Value != hierarchy.SuspenseCode {
			view.Nodes = append(view.Nodes, n)
		}
	}
	if form.Node != "" {
		view.Back = nodeURL(form.Node)
		if err := w.disputeLook(v, view, &status); err != nil {
			return err
		}
	}
	return render(v, status, newDisputePage(view))
}

// disputeLook reads the charges as they lie, or says why they cannot be disputed.
func (w *Web) disputeLook(v *visit, view *newDisputeView, status *int) error {
	claim, err := view.claim()
	var look app.DisputeLook
	if err == nil {
		look, err = w.areas.Disputes.Look(v.Request().Context(), v.who, claim)
	}
	if code, f := retold(err); code != 0 {
		if view.Alert == "" {
			*status, view.trouble = code, trouble{f.Message, f.Field}
		}
		if view.To == "" {
			return nil
		}
		claim.To = "" // the charges can be looked at without the node
		if look, err = w.areas.Disputes.Look(v.Request().Context(), v.who, claim); err != nil {
			return nil //nolint:nilerr // the page says what is wrong with the form already
		}
	}
	if err != nil {
		return err
	}
	view.Look, view.Seen = &look, look.Digest
	amount := figure{Label: "Charges of " + view.Node, Value: ui.Dollars(&look.Amount), Notes: []link{{Label: "exactly " + look.Amount.String()}}}
	if view.To != "" && look.Moves > 0 {
		amount.Label = "Would move to " + view.To
	}
	asked := figure{Label: "Asked to answer", Value: "–", Notes: []link{{Label: "the owner of the node that you propose"}}}
	if look.Answers != "" {
		asked.Value, asked.Notes = look.Answers, []link{{Label: "answers for " + view.To}}
	} else if look.Moves > 0 {
		asked.Value, asked.Notes = "Finance", []link{{Label: "nobody who could answer owns " + view.To}}
	}
	view.Figures = []figure{
		amount, {Label: "Requests", Value: ui.Count(int64(look.Count)), Notes: []link{{Label: ui.Minute(look.First) + " to " + ui.Minute(look.Last)}}},
		{Label: "Period", Value: monthName(look.Periods[0]), Notes: []link{{Label: "open; charges of a closed one stay"}}}, asked,
	}
	return nil
}

// raiseDispute shows the form again with what it would do, or raises the dispute.
func (w *Web) raiseDispute(v *visit) error {
	if !v.may("dispute", "propose") {
		return app.ErrNotAllowed
	}
	form := typedDispute(v.FormValue)
	if form.Node == "" {
		form.trouble = trouble{"Say whose charges you dispute: the node that they were charged to.", "node"}
		return w.newDisputePage(v, http.StatusUnprocessableEntity, form)
	}
	if v.FormValue("step") != "raise" {
		form.Seen = ""
		return w.newDisputePage(v, http.StatusOK, form)
	}
	claim, err := form.claim()
	var made id.Dispute
	if err == nil {
		made, err = w.areas.Disputes.Raise(v.Request().Context(), v.who, claim)
	}
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.newDisputePage(v, status, form)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, disputesPath+"/"+made.String())
}

type disputeView struct {
	Frame      ui.Frame
	Case       *app.DisputeCase
	Title, Sub string
	Figures    []figure
	Form       disputeStepForm
	MayRead    bool // changes
}

// disputeStepForm is what was typed into a form of a dispute.
type disputeStepForm struct {
	trouble

	Step, Note string
}

func (v *visit) disputeID() (id.Dispute, error) {
	of, err := id.ParseDispute(v.Param("id"))
	if err != nil {
		return of, errPageAbsent
	}
	return of, nil
}

func (w *Web) showDispute(v *visit) error {
	return w.disputePage(v, http.StatusOK, disputeStepForm{})
}

func (w *Web) disputePage(v *visit, status int, form disputeStepForm) error {
	of, err := v.disputeID()
	if err != nil {
		return err
	}
	c, err := w.areas.Disputes.Dispute(v.Request().Context(), v.who, of)
	if err != nil {
		return err
	}
	title := "Dispute " + number(c.Number)
	view := &disputeView{Case: &c, Title: title, Sub: c.NodeCode + " was charged in " + monthName(c.Month) + " for what is said to be of " + c.ToCode + ".", Form: form, MayRead: v.may("change", "read")}
	view.Frame = v.frame(title)
	view.figures()
	return render(v, status, disputePage(view))
}

func (v *disputeView) figures() {
	c := v.Case
	amount := figure{Label: "Disputed", Value: ui.Dollars(&c.Amount), Notes: []link{{Label: "exactly " + c.Amount.String() + ", when it was raised"}}}
	if c.AmountNow.Cmp(&c.Amount) != 0 {
		amount.Notes = append(amount.Notes, link{Label: "; its change moves " + ui.Dollars(&c.AmountNow)})
	}
	tag := disputeTag(c.State)
	state := figure{Label: "State", Value: daysWords(c.AgeDays), Tag: &tag, Notes: []link{{Label: "since it was raised, " + ui.Day(c.RaisedAt)}}}
	waits := figure{Label: "Waits for", Value: "nobody", Notes: []link{{Label: "it ended " + ui.Day(c.Since)}}}
	if !c.State.Ended() {
		words, days, _ := strings.Cut(waitsWords(&c.DisputeView), ", ")
		waits.Value, waits.Notes = upper(words), []link{{Label: days + " in this state"}}
	}
	v.Figures = []figure{amount, {Label: "Requests", Value: ui.Count(int64(c.Requests)), URL: disputedRequests(&c.DisputeView), Notes: []link{{Label: chargesWords(&c.DisputeView)}}}, state, waits}
}

// disputedRequests leads to the requests behind a dispute, where a filter chose them.
func disputedRequests(d *app.DisputeView) string {
	if d.Listed {
		return ""
	}
	pairs := []string{"node", d.NodeCode}
	for _, p := range [][2]string{{"model", d.Narrowed.Model}, {"tag", d.Narrowed.Tag}, {"session", d.Narrowed.Session}} {
		if p[1] != "" {
			pairs = append(pairs, p[0], p[1])
		}
	}
	if !d.Narrowed.Key.IsZero() {
		pairs = append(pairs, "key", d.Narrowed.Key.String())
	}
	return requestsURL(d.Month, pairs...)
}

// answerDispute takes a step of one of the two parties.
func (w *Web) answerDispute(v *visit) error {
	if !v.may("dispute", "propose") {
		return app.ErrNotAllowed
	}
	of, err := v.disputeID()
	if err != nil {
		return err
	}
	form := disputeStepForm{Step: v.FormValue("step"), Note: v.FormValue("note")}
	err = w.areas.Disputes.Answer(v.Request().Context(), v.who, of, dispute.Kind(form.Step), form.Note)
	return w.disputeStepped(v, of, err, form)
}

// decideDispute takes a step of finance.
func (w *Web) decideDispute(v *visit) error {
	if !v.may("dispute_review", "propose") {
		return app.ErrNotAllowed
	}
	of, err := v.disputeID()
	if err != nil {
		return err
	}
	form := disputeStepForm{Step: v.FormValue("step"), Note: v.FormValue("note")}
	err = w.areas.Disputes.Decide(v.Request().Context(), v.who, of, dispute.Kind(form.Step), form.Note)
	return w.disputeStepped(v, of, err, form)
}

func (w *Web) disputeStepped(v *visit, of id.Dispute, err error, form disputeStepForm) error {
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.disputePage(v, status, form)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, disputesPath+"/"+of.String()+"#steps")
}

func disputeStepWords(s *app.DisputeStepView) string {
	switch s.Kind {
	case dispute.Raised:
		return "Raised, " + ui.Dollars(&s.Amount)
	case dispute.Accepted:
		return "Accepts the charges"
	case dispute.Declined:
		return "Declines them"
	case dispute.Withdrawn:
		return "Took it back"
	case dispute.Proposed:
		return "Proposed to move " + ui.Dollars(&s.Amount)
	case dispute.Kept:
		return "Decided: they stay"
	}
	return ui.Words(string(s.Kind))
}

// resolutionWords says what became of the change that would move the charges.
func resolutionWords(c *app.DisputeCase) figureTag {
	switch c.State {
	case dispute.StateMoved:
		return figureTag{ui.ToneOK, "✓", "Applied"}
	case dispute.StateProposed:
		return figureTag{ui.ToneNext, "…", "Waits for its decision"}
	case dispute.StateOpen, dispute.StateAccepted, dispute.StateDeclined, dispute.StateWithdrawn, dispute.StateKept:
	}
	return figureTag{ui.TonePlain, "×", "Not applied"}
}
