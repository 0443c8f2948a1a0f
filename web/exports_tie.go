package web

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tollbook/app"
	"tollbook/app/export/erp"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/web/ui"
)

type tieView struct {
	Frame         ui.Frame
	Tie           *app.TieOut
	Name          string
	Sub           string
	Tag           figureTag
	Figures       []figure
	Systems       []option
	Periods       []option
	CSV           string
	Back          string
	May           bool
	Alert         string
	Flaws         []flawRow
	Text          string
	Debit, Credit string
}

// tieAsked is the month and system of an address.
func (v *visit) tieAsked() (string, period.Month, error) {
	month, err := v.monthAsked()
	system := v.FormValue("system")
	if system == "" {
		system = "netsuite"
	}
	if _, unknown := erp.ByName(system); err == nil {
		err = unknown
	}
	return system, month, err
}

func (w *Web) showTieOut(v *visit) error { return w.tiePage(v, http.StatusOK, &tieView{}) }

func (w *Web) tiePage(v *visit, status int, view *tieView) error {
	system, month, err := v.tieAsked()
	if err != nil {
		return err
	}
	ctx := v.Request().Context()
	t, err := w.areas.Exports.TieOut(ctx, v.who, system, month)
	if err != nil {
		return err
	}
	all, err := w.areas.Exports.Month(ctx, v.who, month)
	if err != nil {
		return err
	}
	view.Frame, view.Tie, view.Name, view.May = v.frame("Tie-out, "+monthName(month)), &t, systemWords(system), v.may("export", "propose")
	view.Sub, view.Back = periodState(t.State, month, w.cfg.Now()), exportsURL("/exports", month)
	view.CSV = "/exports/tie-out.csv?" + url.Values{"period": {month.String()}, "system": {system}}.Encode()
	view.Periods = monthChoices(all.Months, month)
	for _, name := range erp.Names() {
		view.Systems = append(view.Systems, option{Value: name, Label: systemWords(name), Selected: name == system})
	}
	view.Tag, view.Figures = tieTag(&t), tieFigures(&t)
	if err := tieSheet(&t).prints(v, &view.Frame, "/exports/tie-out.csv", tieFile(v, &t)); err != nil {
		return err
	}
	return render(v, status, tiePage(view))
}

func tieTag(t *app.TieOut) figureTag {
	switch {
	case t.Exports == 0:
		return figureTag{ui.TonePlain, "○", "nothing exported"}
	case len(t.Imports) == 0:
		return figureTag{ui.ToneWarn, "○", "no figures yet"}
	case t.Tied():
		return figureTag{ui.ToneOK, "✓", "ties"}
	}
	return figureTag{ui.ToneStop, "×", ui.Plural(int64(len(t.Findings)), "exception")}
}

func tieFigures(t *app.TieOut) []figure {
	tag := tieTag(t)
	difference := t.Posted - t.Exported
	return []figure{
		{Label: "Exported", Value: dollarCents(t.Exported), Notes: []link{{Label: "debits of " + ui.Plural(int64(t.Exports), "journal") + " that stand"}}},
		{Label: "Posted", Value: dollarCents(t.Posted), Notes: []link{{Label: "debits of the same accounts in the general ledger"}}},
		{Label: "Difference", Value: dollarCents(difference), Tag: &tag},
	}
}

func tieFile(v *visit, t *app.TieOut) string {
	return "tie-out-" + v.slug + "-" + t.Month.String() + "-" + t.System + ".csv"
}

func (w *Web) exportTieOut(v *visit) error {
	system, month, err := v.tieAsked()
	if err != nil {
		return err
	}
	t, err := w.areas.Exports.TieOut(v.Request().Context(), v.who, system, month)
	if err != nil {
		return err
	}
	return tieSheet(&t).send(v, tieFile(v, &t))
}

// tieSheet is the accounts, and behind them what does not tie.
func tieSheet(t *app.TieOut) *sheet {
	out := newSheet("kind", "external_id", "entity", "account", "exported_debit", "exported_credit", "posted_debit", "posted_credit", "difference", "erp_id", "acknowledged_as")
	out.filter("period", t.Month.String())
	out.filter("system", t.System)
	for i := range t.Accounts {
		a := &t.Accounts[i]
		_ = out.Write([]string{
			"account", "", cell(a.Entity), cell(a.Account), a.ExportedDebit.String(), a.ExportedCredit.String(), a.PostedDebit.String(), a.PostedCredit.String(), a.Difference().String(), "", "",
		})
	}
	for i := range t.Findings {
		f := &t.Findings[i]
		_ = out.Write([]string{"exception_" + f.Kind, f.Document, cell(f.Entity), cell(f.Account), f.Exported.String(), "", f.Posted.String(), "", (f.Posted - f.Exported).String(), cell(f.ERPID), cell(f.Acknowledged)})
	}
	out.control("exported_debits_usd", t.Exported.String())
	out.control("posted_debits_usd", t.Posted.String())
	out.control("exceptions", strconv.Itoa(len(t.Findings)))
	return out
}

// importActuals keeps what a general ledger says of a month.
func (w *Web) importActuals(v *visit) error {
	if !v.may("export", "propose") {
		return app.ErrNotAllowed
	}
	system, month, err := v.tieAsked()
	if err != nil {
		return err
	}
	view := &tieView{Text: v.FormValue("file"), Debit: v.FormValue("debit_total"), Credit: v.FormValue("credit_total")}
	file, err := v.sentFile("upload")
	if err != nil {
		return err
	}
	if len(file) == 0 {
		file = []byte(view.Text)
	}
	flaws, err := w.areas.Exports.ImportActuals(v.Request().Context(), v.who, app.ActualsAsk{System: system, Month: month, File: file, Debit: view.Debit, Credit: view.Credit})
	if status, said := retold(err); status != 0 {
		view.Alert = said.Message
		return w.tiePage(v, status, view)
	}
	if err != nil {
		return err
	}
	if len(flaws) > 0 {
		for _, f := range flaws {
			view.Flaws = append(view.Flaws, flawRow{f.Line, f.Column, f.Head, "", f.Message})
		}
		view.Alert = ui.Plural(int64(len(flaws)), "error") + ": nothing was taken from the file. Correct it and send it again."
		return w.tiePage(v, http.StatusUnprocessableEntity, view)
	}
	return v.Redirect(http.StatusSeeOther, "/exports/tie-out?"+url.Values{"period": {month.String()}, "system": {system}}.Encode())
}

// findingWords says what does not tie.
func findingWords(f *app.TieFinding) string {
	switch f.Kind {
	case app.TieUnposted:
		return "exported, and the general ledger has nothing of it"
	case app.TieAltered:
		return "altered: the general ledger has another amount there"
	case app.TieUnknown:
		return "bears an id of ours, and was a draft, was replaced or never exported"
	case app.TieOtherID:
		return "the general ledger calls it " + f.ERPID + "; it was acknowledged as " + f.Acknowledged
	}
	return "the account differs from what was exported"
}

func centsOrNone(c money.Cents) string {
	if c == 0 {
		return "0.00"
	}
	return ui.Cents(c)
}

func importedWords(a *app.ActualsView) string {
	return "Import " + strconv.Itoa(a.Place) + ", " + a.RecordedAt.Format(time.DateOnly)
}
