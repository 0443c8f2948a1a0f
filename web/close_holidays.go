package web

import (
	"net/http"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/app/table"
	"tollbook/web/ui"
)

const holidaysPath = closePath + "/holidays"

// holidaysView is the days on which nobody works, and the form that states them anew.
type holidaysView struct {
	trouble

	Frame      ui.Frame
	List       *app.HolidayView
	Wrong      []table.Flaw
	Text       string
	Reason     string
	Once       string
	Change     string // that stated them
	Columns    string
	MayPropose bool
}

func (w *Web) showHolidays(v *visit) error {
	return w.holidaysPage(v, http.StatusOK, &holidaysView{})
}

func (w *Web) holidaysPage(v *visit, status int, view *holidaysView) error {
	list, err := w.areas.Closing.Holidays(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view.List, view.Once, view.MayPropose, view.Columns = &list, secret.Mint("form_").Reveal(), v.may("holiday", "propose"), strings.Join(closing.HolidayColumns(), ",")
	if view.Text == "" {
		view.Text = view.Columns + "\n"
		for _, h := range list.Days {
			view.Text += h.Day + "," + csvField(h.Name) + "\n"
		}
	}
	if !list.Change.IsZero() && v.may("change", "read") {
		view.Change = "/changes/" + list.Change.String()
	}
	view.Frame = v.frame("Holidays")
	if err := holidaysSheet(&list).prints(v, &view.Frame, holidaysPath+".csv", holidaysFile(v)); err != nil {
		return err
	}
	return render(v, status, holidaysPage(view))
}

func holidaysFile(v *visit) string { return "holidays-" + v.slug + ".csv" }

// holidaysSheet has the columns that the form takes.
func holidaysSheet(list *app.HolidayView) *sheet {
	out := newSheet(closing.HolidayColumns()...)
	out.control("version", strconv.Itoa(list.Version))
	for _, h := range list.Days {
		_ = out.Write([]string{h.Day, cell(h.Name)})
	}
	return out
}

func (w *Web) exportHolidays(v *visit) error {
	list, err := w.areas.Closing.Holidays(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	return holidaysSheet(&list).send(v, holidaysFile(v))
}

// proposeHolidays proposes a list: it is taken whole, or every error in it is named.
func (w *Web) proposeHolidays(v *visit) error {
	if !v.may("holiday", "propose") {
		return app.ErrNotAllowed
	}
	file, err := v.spendFile()
	if err != nil {
		return err
	}
	view := &holidaysView{Text: string(file), Reason: v.FormValue("reason")}
	days, wrong := closing.ReadHolidays(file)
	if len(wrong) > 0 {
		view.Wrong, view.Field = wrong, "text"
		view.Alert = ui.Plural(int64(len(wrong)), "error") + ": nothing was taken. Correct them and send it again."
		return w.holidaysPage(v, http.StatusUnprocessableEntity, view)
	}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskHolidays(days, view.Reason), v.FormValue("once"))
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		said := fault.From(err)
		view.Alert, view.Field = said.Message, said.Field
		return w.holidaysPage(v, http.StatusUnprocessableEntity, view)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/changes/"+made.ID.String())
}
