package web

import (
	"net/http"
	"strings"

	"tollbook/app"
	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

const materialityPath = closePath + "/materiality"

type materialityForm struct {
	trouble

	Frame                ui.Frame
	Now                  string // what is in force
	Month, Node, Reason  string
	DaysSigned, Answered bool
	Once                 string
}

func (w *Web) askMateriality(v *visit) error {
	if !v.may("materiality", "propose") {
		return app.ErrNotAllowed
	}
	now, err := w.areas.Closing.Materiality(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	return w.materialityPage(v, http.StatusOK, &materialityForm{Month: now.Month.String(), Node: now.Node.String(), DaysSigned: now.DaysSigned, Answered: now.Answered})
}

func (w *Web) materialityPage(v *visit, status int, f *materialityForm) error {
	now, err := w.areas.Closing.Materiality(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	f.Frame, f.Once = v.frame("Materiality"), secret.Mint("form_").Reveal()
	f.Now = "A month may be locked with unexplained at most " + app.MaterialityWords(now.Materiality) + "."
	return render(v, status, materialityPage(f))
}

func (w *Web) proposeMateriality(v *visit) error {
	if !v.may("materiality", "propose") {
		return app.ErrNotAllowed
	}
	f := &materialityForm{
		Month: strings.TrimSpace(v.FormValue("month")), Node: strings.TrimSpace(v.FormValue("node")), Reason: v.FormValue("reason"), DaysSigned: v.FormValue("days_signed") == "1",
		Answered: v.FormValue("answered") == "1",
	}
	want := closing.Materiality{DaysSigned: f.DaysSigned, Answered: f.Answered}
	var err error
	if want.Month, err = money.ParseCents(f.Month); err != nil {
		err = fault.Invalid("month", "materiality_month", "The amount for a month is in dollars, such as 50.00.")
	} else if want.Node, err = money.ParseCents(f.Node); err != nil {
		err = fault.Invalid("node", "materiality_node", "The amount for a cost center is in dollars, such as 10.00.")
	}
	var made app.ChangeView
	if err == nil {
		made, err = w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskMateriality(want, f.Reason), v.FormValue("once"))
	}
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		said := fault.From(err)
		f.Alert, f.Field = said.Message, said.Field
		return w.materialityPage(v, http.StatusUnprocessableEntity, f)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/changes/"+made.ID.String())
}
