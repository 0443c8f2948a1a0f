package web

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

const elsewherePath = "/reconciliation/elsewhere"

// spentView is what a month spent without passing the gateway, and the form that states it anew.
type spentView struct {
	trouble

	Frame      ui.Frame
	Spent      *app.Elsewhere
	Title      string
	Sub        string
	CSV        string
	Wrong      []reconcile.Wrong
	Text       string
	Reason     string
	Once       string
	Change     string // that stated it
	Columns    string
	MayPropose bool
}

func (w *Web) elsewhereMonth(text string) (period.Month, error) {
	if text == "" {
		return period.MonthOf(w.cfg.Now().AddDate(0, 0, -1)), nil
	}
	return period.ParseMonth(text)
}

func (w *Web) showElsewhere(v *visit) error {
	month, err := w.elsewhereMonth(v.QueryParam("period"))
	if err != nil {
		return err
	}
	return w.spentPage(v, http.StatusOK, month, &spentView{})
}

func (w *Web) spentPage(v *visit, status int, month period.Month, view *spentView) error {
	e, err := w.areas.Reconciliations.Elsewhere(v.Request().Context(), v.who, month)
	if err != nil {
		return err
	}
	view.Spent, view.Title, view.CSV, view.Once = &e, "Spent elsewhere, "+monthName(month), calendarURL("/reconciliation/elsewhere.csv", month), secret.Mint("form_").Reveal()
	view.Sub = periodState(e.State, month, w.cfg.Now())
	view.MayPropose = v.may("elsewhere", "propose") && !e.State.Shut()
	view.Columns = strings.Join(reconcile.SpendColumns(), ",")
	if view.Text == "" {
		view.Text = view.Columns + "\n"
		for i := range e.Lines {
			l := &e.Lines[i]
			view.Text += strings.Join([]string{csvField(l.Code), csvField(l.Source), csvField(l.Memo), l.Cents.String()}, ",") + "\n"
		}
	}
	if !e.Change.IsZero() && v.may("change", "read") {
		view.Change = "/changes/" + e.Change.String()
	}
	view.Frame = v.frame(view.Title)
	if err := elsewhereSheet(&e).prints(v, &view.Frame, "/reconciliation/elsewhere.csv", elsewhereFile(v, &e)); err != nil {
		return err
	}
	return render(v, status, spentPage(view))
}

// csvField is a text as a field of CSV.
func csvField(text string) string {
	if strings.ContainsAny(text, ",\"\n") {
		return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text
}

func elsewhereFile(v *visit, e *app.Elsewhere) string {
	return "spent-elsewhere-" + v.slug + "-" + e.Month.String() + ".csv"
}

// elsewhereSheet has the columns that the form takes.
func elsewhereSheet(e *app.Elsewhere) *sheet {
	out := newSheet(reconcile.SpendColumns()...)
	out.filter("period", e.Month.String())
	out.control("version", strconv.Itoa(e.Version))
	for i := range e.Lines {
		l := &e.Lines[i]
		_ = out.Write([]string{cell(l.Code), cell(l.Source), cell(l.Memo), l.Cents.String()})
		var amount money.Sum
		amount.AddCents(l.Cents)
		out.add("amount_usd", &amount)
	}
	return out
}

func (w *Web) exportElsewhere(v *visit) error {
	month, err := w.elsewhereMonth(v.QueryParam("period"))
	if err != nil {
		return err
	}
	e, err := w.areas.Reconciliations.Elsewhere(v.Request().Context(), v.who, month)
	if err != nil {
		return err
	}
	return elsewhereSheet(&e).send(v, elsewhereFile(v, &e))
}

// wrongWords says what a file is refused for, and where.
func wrongWords(w *reconcile.Wrong) string {
	at := "Line " + strconv.Itoa(w.Line)
	if w.Column != "" {
		at += ", " + w.Column
	}
	return at + ": " + w.Reason
}

// spendFile is what was sent: a file, else what was typed.
func (v *visit) spendFile() ([]byte, error) {
	sent, err := v.FormFile("file")
	if err != nil || sent.Size == 0 {
		return []byte(strings.ReplaceAll(v.FormValue("text"), "\r\n", "\n")), nil
	}
	opened, err := sent.Open()
	if err != nil {
		return nil, errFile.Because(err)
	}
	defer opened.Close()
	content, err := io.ReadAll(io.LimitReader(opened, reconcile.MaxSpendFile+1))
	if err != nil {
		return nil, errFile.Because(err)
	}
	return content, nil
}

// proposeElsewhere proposes what a month's spend elsewhere is: a file is taken whole, or every
// error in it is named.
func (w *Web) proposeElsewhere(v *visit) error {
	if !v.may("elsewhere", "propose") {
		return app.ErrNotAllowed
	}
	month, err := w.elsewhereMonth(v.FormValue("period"))
	if err != nil {
		return err
	}
	file, err := v.spendFile()
	if err != nil {
		return err
	}
	ctx := v.Request().Context()
	view := &spentView{Text: string(file[:min(len(file), reconcile.MaxSpendFile)]), Reason: v.FormValue("reason")}
	lines, wrong, err := w.areas.Reconciliations.ReadSpend(ctx, v.who, month, file)
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		view.Wrong, view.Field = wrong, "text"
		view.Alert = ui.Plural(int64(len(wrong)), "error") + ": nothing was taken. Correct them and send it again."
		return w.spentPage(v, http.StatusUnprocessableEntity, month, view)
	}
	made, err := w.areas.Approvals.Propose(ctx, v.who, app.AskElsewhere(month, lines, view.Reason), v.FormValue("once"))
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		said := fault.From(err)
		view.Alert, view.Field = said.Message, said.Field
		return w.spentPage(v, http.StatusUnprocessableEntity, month, view)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/changes/"+made.ID.String())
}
