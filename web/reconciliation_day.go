package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

// dayView is a day's workbench.
type dayView struct {
	Frame           ui.Frame
	Bench           *app.Workbench
	Title           string
	Sub             string
	Figures         []figure
	Earlier, Later  string // days beside it; Later is empty for today
	CSV             string
	Record          string
	Usage, Cost     string // where each report was pulled; empty: not this person's
	Sign            signForm
	TrueUp          trueUpForm
	CanPrepare      bool
	CanReview       bool
	Explained       bool // no variance of the day is open
	Reviewed        bool // none waits for its review
	ItemsShown      []app.ItemView
	ItemsLeft       int // more than are shown
	ShowsAllClasses bool
}

type signForm struct {
	trouble

	Part, Note string
}

// trueUpForm is the proposal to true up what broke off, while it is written.
type trueUpForm struct {
	trouble

	Reason, Once string
}

// itemsShown bounds the items on a page: the file has all of them.
const itemsShown = 200

// theDay reads the day of an address.
func (v *visit) theDay() (time.Time, error) {
	day, err := time.Parse(time.DateOnly, v.Param("day"))
	if err != nil || day.Year() < 2000 || day.After(v.web.cfg.Now()) {
		return day, errPageAbsent
	}
	return day, nil
}

func (w *Web) showDay(v *visit) error { return w.dayPage(v, http.StatusOK, signForm{}, trueUpForm{}) }

func (w *Web) dayPage(v *visit, status int, sign signForm, up trueUpForm) error {
	day, err := v.theDay()
	if err != nil {
		return err
	}
	b, err := w.areas.Reconciliations.Day(v.Request().Context(), v.who, day)
	if err != nil {
		return err
	}
	view := &dayView{Bench: &b, Title: "Reconciliation of " + ui.Day(day), Sub: dayStateWords(b.State), Figures: dayFigures(&b), Earlier: dayURL(day.AddDate(0, 0, -1)), CSV: dayURL(day) + "/items.csv", Sign: sign, TrueUp: up}
	if view.TrueUp.Once == "" {
		view.TrueUp.Once = secret.Mint("form_").Reveal()
	}
	if later := day.AddDate(0, 0, 1); !later.After(w.cfg.Now()) {
		view.Later = dayURL(later)
	}
	if v.may("audit", "read") && !b.Record.IsZero() {
		view.Record = "/log/" + b.Record.String()
	}
	if v.may("source", "read") {
		view.Usage, view.Cost = reportURL(b.Usage), reportURL(b.Cost)
	}
	view.Explained = !slices.ContainsFunc(b.Variances, func(one app.VarianceView) bool { return one.Due })
	settled := b.Number != 0 && b.State != reconcile.StateProvisional && view.Explained && !b.Moved
	view.CanPrepare = settled && b.CanAct && b.Preparer == nil
	view.Reviewed = !slices.ContainsFunc(b.Variances, func(one app.VarianceView) bool {
		return one.Standing == reconcile.StandingExplained || one.Standing == reconcile.StandingAdjusted
	})
	view.CanReview = settled && view.Reviewed && b.CanReview && b.Preparer != nil && b.Reviewer == nil && b.Preparer.Hand.Member != v.who.Member
	view.ItemsShown = b.Items[:min(len(b.Items), itemsShown)]
	view.ItemsLeft = len(b.Items) - len(view.ItemsShown)
	view.Frame = v.frame(view.Title)
	if err := daySheet(&b).prints(v, &view.Frame, "/reconciliation/:day/items.csv", dayFile(v, &b)); err != nil {
		return err
	}
	return render(v, status, dayPage(view))
}

// reportURL is the pull that counts for a report; empty where it was never pulled.
func reportURL(p *app.PullFacts) string {
	if p == nil {
		return ""
	}
	return pullURL(p.Pull)
}

// dayFigures are the numbers a day is read by.
func dayFigures(b *app.Workbench) []figure {
	tag := dayStateTag(b.State, b.Open)
	return []figure{
		{Label: "Difference", Value: signedCost(&b.Difference), Tag: &tag, Notes: []link{{Label: "the provider’s amount less ours", URL: "#sides"}}},
		{Label: "Unexplained", Value: signedCost(&b.Unexplained), Tag: unexplainedTag(&b.Gross), Notes: []link{{Label: "tolerance " + app.ToleranceWords(b.Tolerance)}}},
		{Label: "Passed the gateway", Value: coverageWords(b.Bps), Notes: []link{{Label: "by key and surface", URL: "#coverage"}}},
		{Label: "Variances", Value: strconv.Itoa(b.Open), URL: "#variances", Notes: []link{{Label: "unresolved, of " + strconv.Itoa(len(b.Variances)) + " of this day"}}},
	}
}

func dayFile(v *visit, b *app.Workbench) string {
	return "reconciliation-" + v.slug + "-" + ui.Date(b.Day) + ".csv"
}

func daySheet(b *app.Workbench) *sheet {
	out := newSheet("day", "run", "class", "surface", "api_key_id", "model", "tier", "speed", "geography", "meter", "quantity", "list_usd", "amount_usd", "age_days", "nodes", "explanation")
	out.filter("day", ui.Date(b.Day))
	if b.Simulated {
		out.control("basis", basisSimulated)
	}
	for i := range b.Items {
		it := &b.Items[i]
		var nodes []string
		for k := range it.Shares {
			nodes = append(nodes, it.Shares[k].Code+" "+it.Shares[k].Amount.String())
		}
		c := &it.Cell
		_ = out.Write([]string{
			ui.Date(b.Day), number(b.Number), string(it.Class), string(c.Surface), cell(c.Key), cell(c.Model), cell(c.Tier), cell(c.Speed), cell(c.Geography), cell(string(c.Meter)), number(it.Quantity), it.List.String(),
			it.Amount.String(), strconv.Itoa(it.AgeDays), cell(strings.Join(nodes, "; ")), cell(it.Explanation),
		})
		out.add("amount_usd", &it.Amount)
	}
	out.control("difference_usd", b.Difference.String())
	out.control("per_ledger_usd", b.Ours.String())
	out.control("per_cost_report_usd", b.Billed.String())
	out.control("sha256", b.Digest)
	return out
}

func (w *Web) exportDay(v *visit) error {
	day, err := v.theDay()
	if err != nil {
		return err
	}
	b, err := w.areas.Reconciliations.Day(v.Request().Context(), v.who, day)
	if err != nil {
		return err
	}
	return daySheet(&b).send(v, dayFile(v, &b))
}

var errSignPart = fault.Invalid("part", "sign_part", "A day is signed by its preparer or its reviewer.")

// signDay signs a day as it is shown.
func (w *Web) signDay(v *visit) error {
	if !v.may("reconciliation", "propose") {
		return app.ErrNotAllowed
	}
	day, err := v.theDay()
	if err != nil {
		return err
	}
	f := signForm{Part: v.FormValue("part"), Note: v.FormValue("note")}
	run, err := strconv.ParseInt(v.FormValue("run"), 10, 64)
	if err != nil || (f.Part != app.PartPreparer && f.Part != app.PartReviewer) {
		err = errSignPart
	} else {
		err = w.areas.Reconciliations.SignOff(v.Request().Context(), v.who, day, run, f.Part, f.Note)
	}
	if err == nil {
		return v.Redirect(http.StatusSeeOther, dayURL(day)+"#sign")
	}
	kind := fault.KindOf(err)
	if kind != fault.KindInvalid && kind != fault.KindConflict {
		return err
	}
	said := fault.From(err)
	f.Alert, f.Field = said.Message, said.Field
	return w.dayPage(v, statusOf(kind), f, trueUpForm{})
}

// proposeTrueUp asks to charge what the provider counted of a day's requests that broke off.
func (w *Web) proposeTrueUp(v *visit) error {
	if !v.may("reconciliation", "propose") {
		return app.ErrNotAllowed
	}
	day, err := v.theDay()
	if err != nil {
		return err
	}
	f := trueUpForm{Reason: v.FormValue("reason"), Once: v.FormValue("once")}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskTrueUp(day, f.Reason), f.Once)
	if status, said := retold(err); status != 0 {
		f.trouble = trouble{said.Message, said.Field}
		return w.dayPage(v, status, signForm{}, f)
	}
	return v.proposed(made, err, dayURL(day))
}

// cellWords says which cell an item is of, but for its meter.
func cellWords(c *reconcile.Cell) string {
	var parts []string
	for _, one := range []string{c.Tier, c.Speed, c.Geography} {
		if one != "" && one != "standard" && one != "global" {
			parts = append(parts, one)
		}
	}
	return strings.Join(parts, ", ")
}

func meterWords(m reconcile.Meter) string {
	switch m {
	case reconcile.MeterInput:
		return "Input"
	case reconcile.MeterOutput:
		return "Output"
	case reconcile.MeterCacheWrite5m:
		return "Cache write, 5 min"
	case reconcile.MeterCacheWrite1h:
		return "Cache write, 1 h"
	case reconcile.MeterCacheRead:
		return "Cache read"
	case reconcile.MeterWebSearch:
		return "Web searches"
	case reconcile.MeterRequests:
		return "Requests"
	case reconcile.MeterCodeExecution:
		return "Code execution"
	case reconcile.MeterSession:
		return "Managed sessions"
	case reconcile.MeterCredit:
		return "Credit"
	}
	return string(m)
}

// signedCount is a quantity with its sign; nothing where there is none.
func signedCount(n int64) string {
	switch {
	case n > 0:
		return "+" + ui.Count(n)
	case n < 0:
		return strings.Replace(ui.Count(n), "-", "−", 1)
	}
	return ""
}

// pullWords says when a report was pulled, and up to when it is complete.
func pullWords(p *app.PullFacts) string {
	if p == nil {
		return "never pulled"
	}
	return fmt.Sprintf("Pull %d at %s, complete up to %s", p.Number, ui.Minute(p.FetchedAt), ui.Minute(p.AsOf))
}

// daysWords is how long ago a day ended.
func daysWords(days int) string {
	if days == 1 {
		return "1 day"
	}
	return strconv.Itoa(days) + " days"
}

// calendarURLOf is the month a day is in.
func calendarURLOf(b *app.Workbench) string {
	return calendarURL(reconciliationPath, period.MonthOf(b.Day))
}
