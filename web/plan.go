package web

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/plan"
	"tollbook/app/secret"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// planQuery is the state of the page of a plan: all of it is in the URL.
type planQuery struct {
	Year        plan.Year
	Version     int
	AsOf, Known time.Time
}

func (v *visit) planQuery() (planQuery, error) {
	var q planQuery
	var err error
	if text := v.QueryParam("year"); text != "" {
		if q.Year, err = plan.ParseYear(text); err != nil {
			return q, err
		}
	}
	if text := v.QueryParam("version"); text != "" {
		if q.Version, err = strconv.Atoi(text); err != nil || q.Version < 1 {
			return q, app.ErrPlanVersion
		}
	}
	q.AsOf, q.Known, err = v.instants()
	return q, err
}

// instants reads as_of and known_at; zero is now.
func (v *visit) instants() (asOf, known time.Time, err error) {
	for name, into := range map[string]*time.Time{"as_of": &asOf, "known_at": &known} {
		if text := v.QueryParam(name); text != "" {
			at, err := api.ParseInstant(name, text)
			if err != nil {
				return asOf, known, err
			}
			*into = at.Time
		}
	}
	return asOf, known, nil
}

func (q planQuery) url(path string) string {
	values := url.Values{}
	if !q.Year.IsZero() {
		values.Set("year", q.Year.String())
	}
	if q.Version > 0 {
		values.Set("version", strconv.Itoa(q.Version))
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

func (q planQuery) of(year plan.Year) planQuery {
	return planQuery{Year: year, AsOf: q.AsOf, Known: q.Known}
}

func (q planQuery) app() app.PlanQuery {
	return app.PlanQuery{Year: q.Year, Version: q.Version, AsOf: q.AsOf, Known: q.Known}
}

// planView is the page of a year's plan.
type planView struct {
	Frame          ui.Frame
	Query          planQuery
	Plan           app.PlanView
	Title, Sub     string
	Previous, Next link
	Years          []option
	Months         [plan.Months]period.Month
	Rows           []planRow
	Foot           []planRow
	CSV            string
	MayPlan        bool
	Cents          bool // some amount has cents
}

// planRow is a line of the table: a node with what is below it, or its own part.
type planRow struct {
	Label, Code string
	Depth       int
	Own         bool // the node's own part of the line above
	Total       bool
	Row         plan.Row
	Form        [plan.Months]planField
}

// planField is one amount in the editor.
type planField struct {
	Name, Label, Value string
	Bad, Locked        bool
}

func (w *Web) showPlan(v *visit) error {
	q, err := v.planQuery()
	if err != nil {
		return err
	}
	shown, err := w.areas.Plans.View(v.Request().Context(), v.who, q.app())
	if err != nil {
		return err
	}
	q.Year = shown.Year
	view := planViewOf(v, q, shown)
	view.MayPlan = v.may("plan", "propose")
	if err := planSheet(&shown).prints(v, &view.Frame, "/plan.csv", planFileName(v, shown.Year)); err != nil {
		return err
	}
	return render(v, http.StatusOK, planPage(view))
}

func planViewOf(v *visit, q planQuery, shown app.PlanView) *planView {
	view := &planView{
		Frame: v.frame("Plan, " + shown.Year.Name()), Query: q, Plan: shown, Title: "Plan, " + shown.Year.Name(), Months: shown.Year.Each(), CSV: q.url("/plan.csv"),
		Previous: link{Label: shown.Year.Previous().Name(), URL: q.of(shown.Year.Previous()).url("/plan")},
		Next:     link{Label: shown.Year.Next().Name(), URL: q.of(shown.Year.Next()).url("/plan")},
	}
	view.Sub = planWords(&shown)
	for _, n := range shown.Nodes {
		if n.Rolled.Total().Set {
			view.row(&n)
		}
	}
	if shown.Gone.Total().Set {
		view.Rows = append(view.Rows, planRow{Label: "Nodes that are retired", Row: shown.Gone})
	}
	for _, l := range shown.Levels {
		if l.Row.Total().Set {
			view.Foot = append(view.Foot, planRow{Label: "Planned at " + lower(ui.Words(string(l.Kind))) + " level", Row: l.Row})
		}
	}
	view.Foot = append(view.Foot, planRow{Label: "Total", Row: shown.Total, Total: true})
	for _, r := range view.Rows {
		for _, a := range r.Row {
			view.Cents = view.Cents || a.Cents%100 != 0
		}
	}
	years := shown.Years
	if !slices.Contains(years, shown.Year) {
		years = append(years, shown.Year)
	}
	for _, y := range years {
		view.Years = append(view.Years, option{Value: y.String(), Label: y.Name(), Selected: y == shown.Year})
	}
	return view
}

// row adds a node, and its own part where there is more below it.
func (p *planView) row(n *app.PlanNode) {
	p.Rows = append(p.Rows, planRow{Label: n.Name, Code: n.Code, Depth: min(n.Depth, maxIndent), Row: n.Rolled})
	if n.Own.Total().Set && n.Own != n.Rolled {
		p.Rows = append(p.Rows, planRow{Label: n.Code + " itself", Depth: min(n.Depth+1, maxIndent), Row: n.Own, Own: true})
	}
}

// planWords says which version is shown.
func planWords(shown *app.PlanView) string {
	switch {
	case shown.Shown == nil && len(shown.Versions) > 0:
		return "No version was in force then."
	case shown.Shown == nil:
		return "No plan was approved for this year."
	}
	words := shown.Shown.Name() + ", in force from " + ui.Day(shown.Shown.EffectiveFrom)
	if shown.Shown.Number != shown.InForce {
		words = shown.Shown.Name() + ", not the one in force"
	}
	return words + "; approved " + ui.Day(shown.Shown.RecordedAt) + "."
}

// amount prints an approved amount; a blank where there is none.
func (p *planView) amount(a plan.Amount) string {
	if !a.Set {
		return ""
	}
	return amountText(a.Cents, p.Cents)
}

func amountText(c money.Cents, cents bool) string {
	var sum money.Sum
	sum.AddCents(c)
	text := ui.Money(&sum)
	if !cents {
		text, _, _ = strings.Cut(text, ".")
	}
	return text
}

func (w *Web) exportPlan(v *visit) error {
	q, err := v.planQuery()
	if err != nil {
		return err
	}
	shown, err := w.areas.Plans.View(v.Request().Context(), v.who, q.app())
	if err != nil {
		return err
	}
	return planSheet(&shown).send(v, planFileName(v, shown.Year))
}

func planFileName(v *visit, year plan.Year) string {
	return "plan-" + v.slug + "-" + year.String() + ".csv"
}

// planSheet is a year's own amounts, in the form an import takes; every node has a line,
// so that it is a template, too.
func planSheet(shown *app.PlanView) *sheet {
	head := []string{"code", "name", "path", "kind"}
	for _, m := range shown.Year.Each() {
		head = append(head, m.String())
	}
	out := newSheet(append(head, "year_usd")...)
	out.filter("year", shown.Year.String())
	for _, n := range shown.Nodes {
		line := []string{n.Code, cell(n.Name), cell(n.Path), string(n.Kind)}
		for _, a := range append(n.Own[:], n.Own.Total()) {
			text := ""
			if a.Set {
				text = a.Cents.String()
			}
			line = append(line, text)
		}
		_ = out.Write(line)
	}
	out.control("year_usd", shown.Total.Total().Cents.String())
	if shown.Shown != nil {
		out.control("plan_version", strconv.Itoa(shown.Shown.Number))
		out.control("plan_sha256", shown.Shown.Digest)
	}
	return out
}

// planForm is the editor and what was wrong with it.
type planForm struct {
	Frame    ui.Frame
	Year     plan.Year
	Next     string // the name of the version it makes
	Base     string
	Months   [plan.Months]period.Month
	Locked   [plan.Months]bool
	Rows     []planRow
	Alert    string
	Problems []plan.Problem
	Years    []option
	Text     string // of the import
	Cancel   string
}

func (w *Web) editPlan(v *visit) error {
	if !v.may("plan", "propose") {
		return app.ErrNotAllowed
	}
	return w.planEditor(v, http.StatusOK, nil)
}

// planBase reads the latest version of the year that is asked for: what an edit begins with.
func (w *Web) planBase(v *visit) (app.PlanView, error) {
	year, err := plan.ParseYear(strings.TrimSpace(v.FormValue("year")))
	if err != nil && v.FormValue("year") != "" {
		return app.PlanView{}, err
	}
	shown, err := w.areas.Plans.View(v.Request().Context(), v.who, app.PlanQuery{Year: year})
	if err == nil && len(shown.Versions) > 0 {
		shown, err = w.areas.Plans.View(v.Request().Context(), v.who, app.PlanQuery{Year: shown.Year, Version: shown.Versions[0].Number})
	}
	return shown, err
}

func (w *Web) planFormOf(v *visit, shown *app.PlanView) *planForm {
	form := &planForm{Year: shown.Year, Months: shown.Year.Each(), Locked: shown.Locked, Next: "Original", Base: "nothing", Cancel: planQuery{Year: shown.Year}.url("/plan")}
	if len(shown.Versions) > 0 {
		latest := shown.Versions[0]
		form.Base, latest.Ordinal = latest.Name(), latest.Ordinal+1
		form.Next = latest.Name()
	}
	form.Frame = v.frame("Plan, " + shown.Year.Name())
	return form
}

// planEditor shows the grid: the latest version, or what was typed over it.
func (w *Web) planEditor(v *visit, status int, typed *planForm) error {
	shown, err := w.planBase(v)
	if err != nil {
		return err
	}
	form := w.planFormOf(v, &shown)
	if typed != nil {
		form.Alert, form.Problems = typed.Alert, typed.Problems
	}
	for _, n := range shown.Nodes {
		row := planRow{Label: n.Name, Code: n.Code, Depth: min(n.Depth, maxIndent)}
		for i, m := range form.Months {
			field := planField{Name: fieldName(n.Code, m), Label: n.Code + " " + m.Start().Format("Jan 2006"), Locked: form.Locked[i]}
			if a := n.Own[i]; a.Set {
				field.Value = strings.TrimSuffix(a.Cents.String(), ".00")
			}
			if typed != nil && v.Request().PostForm.Has(field.Name) {
				field.Value = v.FormValue(field.Name)
				_, err := plan.ParseAmount(field.Value)
				field.Bad = err != nil
			}
			row.Form[i] = field
		}
		form.Rows = append(form.Rows, row)
	}
	return render(v, status, planEditPage(form))
}

func fieldName(code string, m period.Month) string { return code + ":" + m.String() }

func (w *Web) importPlan(v *visit) error {
	if !v.may("plan", "propose") {
		return app.ErrNotAllowed
	}
	return w.planImport(v, http.StatusOK, &planForm{})
}

func (w *Web) planImport(v *visit, status int, sent *planForm) error {
	shown, err := w.planBase(v)
	if err != nil {
		return err
	}
	form := w.planFormOf(v, &shown)
	form.Alert, form.Problems, form.Text = sent.Alert, sent.Problems, sent.Text
	return render(v, status, planImportPage(form))
}

// planFile is what was sent: the grid's fields, an uploaded file, or pasted text.
func (w *Web) planFile(v *visit) (file []byte, grid bool, err error) {
	if upload, err := v.FormFile("upload"); err == nil && upload.Size > 0 {
		opened, err := upload.Open()
		if err != nil {
			return nil, false, err
		}
		defer opened.Close()
		file, err = io.ReadAll(io.LimitReader(opened, plan.MaxFile+1))
		return file, false, err
	} else if err != nil && !errors.Is(err, http.ErrMissingFile) && !errors.Is(err, http.ErrNotMultipart) {
		return nil, false, errUpload.Because(err)
	}
	if v.FormValue("grid") == "" {
		return []byte(v.FormValue("file")), false, nil
	}
	shown, err := w.planBase(v)
	if err != nil {
		return nil, true, err
	}
	var out bytes.Buffer
	lines := csv.NewWriter(&out)
	head := []string{"code"}
	for _, m := range shown.Year.Each() {
		head = append(head, m.String())
	}
	_ = lines.Write(head) // into memory
	for _, n := range shown.Nodes {
		line, sent := []string{n.Code}, false
		for _, m := range shown.Year.Each() {
			sent = sent || v.Request().PostForm.Has(fieldName(n.Code, m))
			line = append(line, v.FormValue(fieldName(n.Code, m)))
		}
		if sent {
			_ = lines.Write(line)
		}
	}
	lines.Flush()
	return out.Bytes(), true, nil
}

var errUpload = fault.Invalid("upload", "plan_upload", "The file did not arrive whole. A plan's file has at most 2 megabytes.")

// planCheckView shows what a file would do, before anything is written.
type planCheckView struct {
	Frame  ui.Frame
	Draft  app.PlanDraft
	File   string
	Form   planApproval
	Cents  bool
	Months [plan.Months]period.Month
	Cancel string
}

// planApproval is the form that approves.
type planApproval struct{ EffectiveFrom, Reason, Once, Alert, Field string }

// checkPlan is the dry run.
func (w *Web) checkPlan(v *visit) error {
	if !v.may("plan", "propose") {
		return app.ErrNotAllowed
	}
	file, grid, err := w.planFile(v)
	var year plan.Year
	if err == nil {
		year, err = plan.ParseYear(strings.TrimSpace(v.FormValue("year")))
	}
	if err != nil {
		return err
	}
	draft, err := w.areas.Plans.DryRun(v.Request().Context(), v.who, year, file)
	if err != nil {
		return err
	}
	sent := &planForm{Problems: draft.Problems, Text: string(file)}
	switch {
	case len(draft.Problems) > 0:
		sent.Alert = ui.Plural(int64(len(draft.Problems)), "error") + ": nothing was taken. Correct them and check again."
	case draft.Moves() == 0:
		sent.Alert = "No amount would change: the latest version says the same."
	default:
		form := planApproval{EffectiveFrom: ui.Date(w.cfg.Now())}
		if draft.Base == 0 {
			form.EffectiveFrom = ui.Date(year.First().Start())
		}
		return w.planCheck(v, http.StatusOK, draft, file, form)
	}
	if grid {
		return w.planEditor(v, http.StatusUnprocessableEntity, sent)
	}
	return w.planImport(v, http.StatusUnprocessableEntity, sent)
}

func (w *Web) planCheck(v *visit, status int, draft app.PlanDraft, file []byte, form planApproval) error {
	if form.Once == "" {
		form.Once = secret.Mint("form_").Reveal() // sent twice, it makes one version
	}
	view := &planCheckView{
		Frame: v.frame("Plan, " + draft.Year.Name()), Draft: draft, File: string(file), Form: form, Months: draft.Year.Each(), Cancel: planQuery{Year: draft.Year}.url("/plan"),
	}
	for i := range draft.Effects {
		for m := range plan.Months {
			view.Cents = view.Cents || draft.Effects[i].Before[m].Cents%100 != 0 || draft.Effects[i].After[m].Cents%100 != 0
		}
	}
	return render(v, status, planCheckPage(view))
}

// approvePlan writes the version that was checked.
func (w *Web) approvePlan(v *visit) error {
	if !v.may("plan", "propose") {
		return app.ErrNotAllowed
	}
	form := planApproval{EffectiveFrom: strings.TrimSpace(v.FormValue("effective_from")), Reason: v.FormValue("reason"), Once: v.FormValue("once")}
	file := []byte(v.FormValue("file"))
	year, err := plan.ParseYear(strings.TrimSpace(v.FormValue("year")))
	if err != nil {
		return err
	}
	base, err := strconv.Atoi(v.FormValue("base"))
	if err != nil {
		return fault.Invalid("base", "plan_base", "The form is not whole. Check the file again.")
	}
	ask := app.PlanAsk{Year: year, File: file, Base: base, Reason: form.Reason}
	from, err := api.ParseInstant("effective_from", form.EffectiveFrom)
	if err == nil {
		ask.EffectiveFrom = from.Time
		var made app.ChangeView
		if made, err = w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskPlanVersion(ask), form.Once); err == nil {
			version, _, err := w.areas.Plans.Made(v.Request().Context(), v.who, made.ID)
			return v.proposed(made, err, planQuery{Year: year, Version: version.Number}.url("/plan"))
		}
	}
	kind := fault.KindOf(err)
	if kind != fault.KindInvalid && kind != fault.KindConflict {
		return err
	}
	f := fault.From(err)
	form.Alert, form.Field = f.Message, f.Field
	draft, err := w.areas.Plans.DryRun(v.Request().Context(), v.who, year, file)
	switch {
	case err != nil:
		return err
	case len(draft.Problems) > 0 || draft.Moves() == 0:
		return w.planImport(v, http.StatusUnprocessableEntity, &planForm{Alert: form.Alert, Problems: draft.Problems, Text: string(file)})
	case kind == fault.KindConflict:
		return w.planCheck(v, http.StatusConflict, draft, file, form)
	}
	return w.planCheck(v, http.StatusUnprocessableEntity, draft, file, form)
}

// movedWords says month by month what an effect changes.
func (c *planCheckView) movedWords(e *plan.Effect) string {
	var words []string
	for _, i := range e.Moved() {
		words = append(words, fmt.Sprintf("%s %s to %s", c.Months[i].Start().Format("Jan"), c.was(e.Before[i]), c.was(e.After[i])))
	}
	return strings.Join(words, "; ")
}

func (c *planCheckView) was(a plan.Amount) string {
	if !a.Set {
		return "none"
	}
	return amountText(a.Cents, c.Cents)
}

// change is a difference of two totals.
func change(before, after plan.Row) *money.Sum {
	return centsBetween(before.Total().Cents, after.Total().Cents)
}

func centsBetween(before, after money.Cents) *money.Sum {
	var sum money.Sum
	sum.AddCents(after - before)
	return &sum
}

// monthHeads are the heads of the months' columns.
func monthHeads(months [plan.Months]period.Month) (heads [plan.Months]string) {
	for i, m := range months {
		heads[i] = m.Start().Format("Jan 06")
	}
	return heads
}
