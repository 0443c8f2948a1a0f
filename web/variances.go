package web

import (
	"cmp"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/web/ui"
)

// varianceQuery is the state of the list of variances: all of it is in the URL.
type varianceQuery struct{ State, Class, Period, Owner, Cursor string }

func (v *visit) varianceQuery() varianceQuery {
	get := func(name string) string { return strings.TrimSpace(v.QueryParam(name)) }
	return varianceQuery{State: cmp.Or(get("state"), app.Unresolved), Class: get("class"), Period: get("period"), Owner: get("owner"), Cursor: get("cursor")}
}

func (q varianceQuery) url(path string) string {
	values := url.Values{}
	state := q.State
	if state == app.Unresolved {
		state = ""
	}
	for name, value := range map[string]string{"state": state, "class": q.Class, "period": q.Period, "owner": q.Owner, "cursor": q.Cursor} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

func (q varianceQuery) narrowed() bool {
	return q.State != app.Unresolved || q.Class != "" || q.Period != "" || q.Owner != ""
}

// everyState asks for variances whatever their state.
const everyState = "all"

func (q varianceQuery) filter() (app.VarianceQuery, error) {
	f := app.VarianceQuery{State: q.State, Class: q.Class}
	if q.State == everyState {
		f.State = ""
	}
	var err error
	if q.Period != "" {
		if f.Month, err = period.ParseMonth(q.Period); err != nil {
			return f, err
		}
	}
	switch q.Owner {
	case "":
	case "me":
		f.Mine = true
	default:
		if f.Owner, err = id.ParseMember(q.Owner); err != nil {
			return f, fault.Invalid("owner", "id_syntax", "%.60q is no member.", q.Owner)
		}
	}
	if q.Cursor != "" {
		if f.Before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || f.Before < 1 {
			return f, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
	}
	return f, nil
}

type variancesView struct {
	Frame         ui.Frame
	Query         varianceQuery
	Rows          []app.VarianceView
	States        []option
	Classes       []option
	Owners        []option
	Older, Newest string
	CSV           string
}

const variancesShown = 100

func (w *Web) showVariances(v *visit) error {
	q := v.varianceQuery()
	filter, err := q.filter()
	if err != nil {
		return err
	}
	filter.Limit = variancesShown
	page, err := w.areas.Reconciliations.Variances(v.Request().Context(), v.who, filter)
	if err != nil {
		return err
	}
	view := &variancesView{Frame: v.frame("Variances"), Query: q, Rows: page.Variances, States: standingChoices(q.State), Classes: classChoices(q.Class), Owners: ownerChoices(page.Owners, q.Owner)}
	file := q
	file.Cursor = ""
	view.CSV = file.url("/variances.csv")
	if page.Next != 0 {
		older := q
		older.Cursor = strconv.FormatInt(page.Next, 10)
		view.Older = older.url(variancesPath)
	}
	if q.Cursor != "" {
		view.Newest = file.url(variancesPath)
	}
	out := varianceSheet(q)
	addVariances(out, page.Variances)
	if err := out.paged(view.Older != "" || view.Newest != "").prints(v, &view.Frame, "/variances.csv", varianceFile(v)); err != nil {
		return err
	}
	return render(v, http.StatusOK, variancesPage(view))
}

func standingChoices(chosen string) []option {
	list := []option{{Value: app.Unresolved, Label: "Unresolved", Selected: chosen == app.Unresolved}}
	for _, s := range reconcile.Standings() {
		list = append(list, option{Value: string(s), Label: standingTag(s).Word, Selected: string(s) == chosen})
	}
	return append(list, option{Value: everyState, Label: "Every state", Selected: chosen == everyState})
}

func classChoices(chosen string) []option {
	list := []option{{Label: "Every class"}}
	for _, c := range reconcile.Classes() {
		if !c.Waits() {
			list = append(list, option{Value: string(c), Label: reasonWords(c), Selected: string(c) == chosen})
		}
	}
	return list
}

func ownerChoices(owners []app.Candidate, chosen string) []option {
	list := []option{{Label: "Anybody’s"}, {Value: "me", Label: "Mine", Selected: chosen == "me"}}
	for _, o := range owners {
		list = append(list, option{Value: o.Member.String(), Label: o.Name, Selected: o.Member.String() == chosen})
	}
	return list
}

// standingTag is a variance's standing as an icon and a word.
func standingTag(s reconcile.Standing) figureTag {
	switch s {
	case reconcile.StandingOpen:
		return figureTag{ui.ToneWarn, "!", "Open"}
	case reconcile.StandingExplained:
		return figureTag{ui.ToneNext, "“", "Explained"}
	case reconcile.StandingWaiting:
		return figureTag{ui.ToneNext, "…", "Waiting"}
	case reconcile.StandingAdjusted:
		return figureTag{ui.ToneNext, "±", "Adjusted"}
	case reconcile.StandingResolved:
		return figureTag{ui.ToneOK, "✓", "Resolved"}
	}
	return figureTag{ui.TonePlain, "?", ui.Words(string(s))}
}

func varianceFile(v *visit) string { return "variances-" + v.slug + ".csv" }

func varianceSheet(q varianceQuery) *sheet {
	out := newSheet("number", "id", "day", "class", "surface", "api_key_id", "model", "node", "state", "amount_usd", "quantity", "owner", "wait_until", "age_days", "opened_at", "changed_at")
	out.filter("state", q.State)
	return out
}

func addVariances(out *sheet, rows []app.VarianceView) {
	for i := range rows {
		r := &rows[i]
		until := ""
		if !r.WaitUntil.IsZero() {
			until = ui.Date(r.WaitUntil)
		}
		_ = out.Write([]string{
			number(r.Number), r.ID.String(), ui.Date(r.Day), string(r.Class), string(r.Surface), cell(r.Key), cell(r.Model), cell(r.NodeCode), string(r.Standing), r.Amount.String(), number(r.Quantity), cell(r.OwnerName),
			until, strconv.Itoa(r.AgeDays), r.OpenedAt.Format(time.RFC3339Nano), r.SteppedAt.Format(time.RFC3339Nano),
		})
		out.add("amount_usd", &r.Amount)
	}
}

func (w *Web) exportVariances(v *visit) error {
	q := v.varianceQuery()
	filter, err := q.filter()
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	filter.Limit = variancesShown
	if !part {
		filter.Limit, filter.Before = app.MaxRows, 0
	}
	out := varianceSheet(q).paged(part)
	for range maxExport / app.MaxRows {
		page, err := w.areas.Reconciliations.Variances(v.Request().Context(), v.who, filter)
		if err != nil {
			return err
		}
		addVariances(out, page.Variances)
		if page.Next == 0 || part {
			return out.send(v, varianceFile(v))
		}
		filter.Before = page.Next
	}
	return fault.New(fault.KindInvalid, "export_too_large", "More than 50,000 variances match: too many for one file. Narrow them by class or state.")
}

type varianceView struct {
	Frame    ui.Frame
	Case     *app.VarianceCase
	Title    string
	Sub      string
	Steps    []varianceStepLine
	Form     varianceForm
	Owners   []option
	Requests string // of the day
}

// varianceStepLine is one step in words.
type varianceStepLine struct {
	At     time.Time
	By     string
	What   string
	Note   string
	Change string // where it is recorded
	Files  []app.AttachmentView
}

// varianceForm is what was typed into one of the forms.
type varianceForm struct {
	trouble

	Step, Note, Owner, Until, Change string
	Place, Amount                    string // of what was shown
}

// note is what was typed as the note of one form.
func (f *varianceForm) note(step reconcile.StepKind) string {
	if f.Step == string(step) {
		return f.Note
	}
	return ""
}

// wrong says whether a field of one form is at fault.
func (f *varianceForm) wrong(step reconcile.StepKind, field string) bool {
	return f.Step == string(step) && f.at(field)
}

func (v *visit) varianceID() (id.Variance, error) {
	variance, err := id.ParseVariance(v.Param("id"))
	if err != nil {
		return variance, errPageAbsent
	}
	return variance, nil
}

func (w *Web) showVariance(v *visit) error { return w.variancePage(v, http.StatusOK, varianceForm{}) }

func (w *Web) variancePage(v *visit, status int, form varianceForm) error {
	variance, err := v.varianceID()
	if err != nil {
		return err
	}
	c, err := w.areas.Reconciliations.Variance(v.Request().Context(), v.who, variance)
	if err != nil {
		return err
	}
	view := &varianceView{Case: &c, Title: "Variance " + number(c.Number), Sub: reasonWords(c.Class) + " on " + ui.Day(c.Day) + ", " + varianceSubject(&c.VarianceView) + ".", Form: form, Requests: dayRequests(c.Day, c.NodeCode)}
	for i := range c.Owners {
		view.Owners = append(view.Owners, option{Value: c.Owners[i].Member.String(), Label: c.Owners[i].Name, Selected: c.Owners[i].Member.String() == cmp.Or(form.Owner, c.Owner.String())})
	}
	for i := range c.Steps {
		s := &c.Steps[i]
		one := varianceStepLine{At: s.At, By: s.Hand.Name, What: varianceStepWords(s), Note: s.Note, Files: s.Files}
		if !s.Change.IsZero() && v.may("change", "read") {
			one.Change = "/changes/" + s.Change.String()
		}
		view.Steps = append(view.Steps, one)
	}
	view.Frame = v.frame(view.Title)
	return render(v, status, variancePage(view))
}

// varianceSubject says what a variance is about.
func varianceSubject(v *app.VarianceView) string {
	switch {
	case v.NodeCode != "":
		return "at " + v.NodeCode
	case v.Surface == "":
		return "many that are small, together"
	case v.Surface == reconcile.SurfaceKey:
		return strings.TrimSpace("with key " + v.Key + " " + v.Model)
	case v.Surface == reconcile.SurfaceConsole:
		return strings.TrimSpace("without a key " + v.Model)
	case v.Model == "":
		return "of no model"
	}
	return v.Model
}

func varianceStepWords(s *app.VarianceStepView) string {
	switch s.Kind {
	case reconcile.StepFound:
		return "Found, " + exactly(&s.Amount) + " (reconciliation " + number(s.Run) + ")"
	case reconcile.StepGone:
		return "Not found any more (reconciliation " + number(s.Run) + ")"
	case reconcile.StepAssigned:
		return "Assigned to " + s.OwnerName
	case reconcile.StepExplained:
		return "Explained"
	case reconcile.StepWaiting:
		return "Waits until " + ui.Day(s.WaitUntil)
	case reconcile.StepAdjusted:
		return "Adjusted by Change " + number(s.AdjustmentNumber)
	case reconcile.StepAccepted:
		return "Review: accepted"
	case reconcile.StepReturned:
		return "Review: sent back"
	}
	return ui.Words(string(s.Kind))
}

// stepVariance takes a step that a person asked for.
func (w *Web) stepVariance(v *visit) error {
	if !v.may("reconciliation", "propose") {
		return app.ErrNotAllowed
	}
	variance, err := v.varianceID()
	if err != nil {
		return err
	}
	f := varianceForm{Step: v.FormValue("step"), Note: v.FormValue("note"), Owner: v.FormValue("owner"), Until: v.FormValue("until"), Change: strings.TrimSpace(v.FormValue("change")), Place: v.FormValue("place"), Amount: v.FormValue("amount")}
	step, err := f.read(v)
	if err == nil {
		err = w.areas.Reconciliations.Step(v.Request().Context(), v.who, variance, step)
	}
	if err == nil {
		return v.Redirect(http.StatusSeeOther, variancesPath+"/"+variance.String()+"#steps")
	}
	kind := fault.KindOf(err)
	if kind != fault.KindInvalid && kind != fault.KindConflict {
		return err
	}
	said := fault.From(err)
	f.Alert, f.Field = said.Message, said.Field
	if f.Field == "reason" {
		f.Field = "note"
	}
	return w.variancePage(v, statusOf(kind), f)
}

var errVarianceUnseen = fault.Invalid("amount", "variance_unseen", "The form does not say which amount this is about. Load the page again.")

// read reads a form as the step it asks for.
func (f *varianceForm) read(v *visit) (*app.VarianceStep, error) {
	s := &app.VarianceStep{Kind: reconcile.StepKind(f.Step), Note: f.Note}
	var err error
	if f.Place != "" || f.Amount != "" {
		s.Seen = &app.VarianceSeen{}
		if s.Seen.Place, err = strconv.Atoi(f.Place); err != nil {
			return s, errVarianceUnseen
		}
		if s.Seen.Amount, err = money.ParseSum(f.Amount); err != nil {
			return s, errVarianceUnseen
		}
	}
	switch s.Kind {
	case reconcile.StepAssigned:
		if s.Owner, err = id.ParseMember(f.Owner); err != nil {
			return s, fault.Invalid("owner", "variance_owner", "Choose who answers for this variance.")
		}
	case reconcile.StepWaiting:
		if s.WaitUntil, err = time.Parse(time.DateOnly, f.Until); err != nil {
			return s, fault.Invalid("until", "variance_until", "Say until which day it waits, YYYY-MM-DD.")
		}
	case reconcile.StepAdjusted:
		if s.Adjustment, err = strconv.ParseInt(f.Change, 10, 64); err != nil || s.Adjustment < 1 {
			return s, fault.Invalid("change", "variance_change", "Name the change by its number, as in 214.")
		}
	case reconcile.StepExplained:
		if sent, none := v.FormFile("file"); none == nil && sent.Size > 0 {
			file, err := v.attachment()
			if err != nil {
				return s, err
			}
			s.Evidence = &file
		}
	case reconcile.StepFound, reconcile.StepGone, reconcile.StepAccepted, reconcile.StepReturned:
	}
	return s, nil
}

// sendVarianceFile sends a file that came with a step to keep: no browser shows it in a page of ours.
func (w *Web) sendVarianceFile(v *visit) error {
	variance, err := v.varianceID()
	if err != nil {
		return err
	}
	attachment, err := id.ParseAttachment(v.Param("file"))
	if err != nil {
		return errPageAbsent
	}
	file, content, err := w.areas.Reconciliations.Evidence(v.Request().Context(), v.who, variance, attachment)
	if err != nil {
		return err
	}
	v.Response().Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	return v.Blob(http.StatusOK, file.MediaType, content)
}
