package web

import (
	"net/http"
	"net/url"
	"strconv"

	"tollbook/app"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/app/variance"
	"tollbook/web/ui"
)

// movementView is the page that says why a month differs from the one before.
type movementView struct {
	Frame      ui.Frame
	Movement   app.Movement
	Title, Sub string
	Back       string
	CSV        string
}

func movementURL(path string, month period.Month) string {
	return path + "?" + url.Values{"period": {month.String()}}.Encode()
}

func (w *Web) showMovement(v *visit) error {
	q, err := v.monthQuery()
	if err != nil {
		return err
	}
	moved, err := w.areas.Reports.Movement(v.Request().Context(), v.who, q.Month)
	if err != nil {
		return err
	}
	title := "Why " + monthName(moved.Month) + " differs from " + monthName(moved.Earlier)
	view := &movementView{
		Frame: v.frame(title), Movement: moved, Title: title, Sub: spanWords(&moved), Back: q.url("/"), CSV: movementURL("/chargeback/movement.csv", q.Month),
	}
	if err := movementSheet(&moved).prints(v, &view.Frame, "/chargeback/movement.csv", movementFile(v, &moved)); err != nil {
		return err
	}
	return render(v, http.StatusOK, movementPage(view))
}

func (w *Web) exportMovement(v *visit) error {
	q, err := v.monthQuery()
	if err != nil {
		return err
	}
	moved, err := w.areas.Reports.Movement(v.Request().Context(), v.who, q.Month)
	if err != nil {
		return err
	}
	return movementSheet(&moved).send(v, movementFile(v, &moved))
}

func movementFile(v *visit, m *app.Movement) string {
	return "movement-" + v.slug + "-" + m.Month.String() + ".csv"
}

func movementSheet(m *app.Movement) *sheet {
	out := newSheet("period", "through_day", "earlier", "earlier_through_day", "model", "class", "tokens_before", "tokens_after", "before_usd", "after_usd", "difference_usd",
		"price_usd", "volume_usd", "mix_usd", "tools_usd")
	out.filter("period", m.Month.String())
	for i := range m.Split.Parts {
		p := &m.Split.Parts[i]
		_ = out.Write([]string{
			m.Month.String(), strconv.Itoa(m.Through), m.Earlier.String(), strconv.Itoa(m.Before), cell(p.Model), p.Class, strconv.FormatInt(p.TokensBefore, 10), strconv.FormatInt(p.TokensAfter, 10),
			p.Before.String(), p.After.String(), p.Difference.String(), p.Price.String(), p.Volume.String(), p.Mix.String(), p.Tools.String(),
		})
	}
	total := &m.Split.Total
	out.control("before_usd", total.Before.String())
	out.control("after_usd", total.After.String())
	out.control("difference_usd", total.Difference.String())
	return out
}

// spanWords says which days are compared.
func spanWords(m *app.Movement) string {
	switch {
	case m.Through == 0:
		return "The first day of the month is not over: there is nothing to compare yet."
	case m.Whole():
		return "Whole months, UTC."
	}
	return "Whole UTC days: 1 to " + strconv.Itoa(m.Through) + " " + m.Month.Start().Format("Jan") + " against 1 to " + strconv.Itoa(m.Before) + " " + m.Earlier.Start().Format("Jan") + "."
}

// classWords names a token class for people.
func classWords(class string) string {
	switch class {
	case usage.ClassCacheWrite5m.String():
		return "Cache write, 5 min"
	case usage.ClassCacheWrite1h.String():
		return "Cache write, 1 h"
	case variance.Other:
		return "Server tools and rest"
	}
	return ui.Words(class)
}
