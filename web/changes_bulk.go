package web

import (
	"net/http"
	"slices"
	"strings"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

// bulkView is the page that restates several changes before they are decided, and says
// afterwards what became of each.
type bulkView struct {
	trouble

	Frame   ui.Frame
	Rows    []bulkRow
	Left    []string // what was chosen and cannot be decided here, in words
	Verdict approval.Verdict
	Reason  string
	Once    string
	Done    bool
	Moves   string // all of them together
}

type bulkRow struct {
	changeRow

	Tag     figureTag // of the result
	Outcome string    // why it did not work, or what is left
}

// BulkTitle says what the page is for.
func (b *bulkView) Title() string {
	count := ui.Plural(int64(len(b.Rows)), "change")
	switch {
	case b.Done:
		return "What became of " + count
	case b.Verdict == approval.VerdictReject:
		return "Reject " + count + "?"
	}
	return "Approve " + count + "?"
}

var errNoChoice = fault.Invalid("change", "changes_none", "Choose the changes to decide about.")

// bulk reads the choices of a form or an address, and the rows of the inbox they are of.
func (w *Web) bulk(v *visit, values []string) (*bulkView, []app.Choice, error) {
	box, err := w.areas.Approvals.Inbox(v.Request().Context(), v.who)
	if err != nil {
		return nil, nil, err
	}
	view := &bulkView{Frame: v.frame("Changes"), Verdict: approval.Verdict(v.FormValue("verdict")), Reason: v.FormValue("reason"), Once: v.FormValue("once")}
	if view.Verdict != approval.VerdictReject {
		view.Verdict = approval.VerdictApprove
	}
	if view.Once == "" {
		view.Once = secret.Mint("form_").Reveal()
	}
	var choices []app.Choice
	var moved money.Sum
	for _, value := range values[:min(len(values), app.MaxAtOnce+1)] {
		text, digest, _ := strings.Cut(value, ":")
		change, err := id.ParseChange(text)
		if err != nil {
			return nil, nil, errPageAbsent
		}
		choice := app.Choice{Change: change, Seen: v.digestForm(digest), Once: view.Once + ":" + change.String()}
		at := slices.IndexFunc(box.Mine, func(r app.InboxRow) bool { return r.ID == change })
		if at < 0 {
			view.Left = append(view.Left, "A change that was chosen does not wait for you any more.")
			choices = append(choices, choice) // a form that was sent before has its answer
			continue
		}
		row := w.inboxRow(v, &box.Mine[at])
		if row.Choice != value {
			view.Left = append(view.Left, changeNumber(row.Change.Number)+" is left out: "+leftOut(&row)+".")
			continue
		}
		choices = append(choices, choice)
		moved.AddSum(&row.Change.Impact.Moved)
		view.Rows = append(view.Rows, bulkRow{changeRow: row})
	}
	if moved.Sign() > 0 {
		view.Moves = ui.Dollars(&moved) + " a month"
	}
	return view, choices, nil
}

func leftOut(row *changeRow) string {
	if row.NotBulk != "" {
		return row.NotBulk + ", so that it is decided on its own page"
	}
	return "it was edited since it was chosen"
}

// askBulk restates what was chosen; it decides nothing.
func (w *Web) askBulk(v *visit) error {
	if !v.may("change", "read") {
		return app.ErrNotAllowed
	}
	values := v.QueryParams()["change"]
	view, _, err := w.bulk(v, values)
	if err != nil {
		return err
	}
	if len(view.Rows) == 0 {
		view.Alert = errNoChoice.Message
	}
	return render(v, http.StatusOK, bulkPage(view))
}

// decideBulk decides about each of several changes for itself.
func (w *Web) decideBulk(v *visit) error {
	if !v.may("change", "read") {
		return app.ErrNotAllowed
	}
	_ = v.FormValue("change") // reads the form
	view, choices, err := w.bulk(v, v.Request().PostForm["change"])
	if err != nil {
		return err
	}
	switch {
	case len(choices) == 0:
		view.trouble = trouble{errNoChoice.Message, "change"}
	case strings.TrimSpace(view.Reason) == "":
		view.trouble = trouble{"Say why, in 1 to 1000 bytes.", "reason"}
	}
	if view.Alert != "" {
		return render(v, http.StatusUnprocessableEntity, bulkPage(view))
	}
	decided, err := w.areas.Approvals.RuleAll(v.Request().Context(), v.who, choices, view.Verdict, view.Reason)
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		view.trouble = trouble{fault.From(err).Message, fault.From(err).Field}
		return render(v, http.StatusUnprocessableEntity, bulkPage(view))
	}
	if err != nil {
		return err
	}
	view.Done, view.Rows, view.Left = true, nil, nil
	for i := range decided {
		row, err := w.bulkResult(v, &decided[i])
		if err != nil {
			return err
		}
		view.Rows = append(view.Rows, row)
	}
	return render(v, http.StatusOK, bulkPage(view))
}

// bulkResult says what became of one of several changes.
func (w *Web) bulkResult(v *visit, d *app.Decided) (bulkRow, error) {
	kind := fault.KindOf(d.Err)
	if d.Err != nil && kind != fault.KindInvalid && kind != fault.KindConflict && kind != fault.KindForbidden && kind != fault.KindNotFound {
		return bulkRow{}, d.Err
	}
	shown, err := w.areas.Approvals.Case(v.Request().Context(), v.who, d.Change)
	if err != nil {
		return bulkRow{}, err
	}
	row := bulkRow{changeRow: w.changeRow(v, &shown.ChangeView), Tag: changeStateTag(&shown.ChangeView, w.cfg.Now())}
	switch {
	case d.Err != nil:
		row.Tag, row.Outcome = figureTag{ui.ToneStop, "×", "Not decided"}, fault.From(d.Err).Message
	case shown.Open():
		row.Tag, row.Outcome = figureTag{ui.ToneOK, "✓", "Your approval is counted"}, "It needs "+ui.Plural(int64(openSteps(shown.Steps)), "more approval")+"."
	}
	return row, nil
}
