package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

const (
	reconciliationPath = "/reconciliation"
	variancesPath      = "/variances"
)

// reconciliationPages are the pages of days that are reconciled, and of what is above tolerance.
func (w *Web) reconciliationPages() []Route {
	return []Route{
		w.page(http.MethodGet, reconciliationPath, w.showCalendar, "reconciliation", "read"),
		w.page(http.MethodGet, "/reconciliation.csv", w.exportCalendar, "reconciliation", "read"),
		w.page(http.MethodGet, "/reconciliation/tolerance", w.askTolerance, "tolerance", "propose"),
		w.page(http.MethodPost, "/reconciliation/tolerance", w.proposeTolerance, "tolerance", "propose"),
		w.page(http.MethodGet, elsewherePath, w.showElsewhere, "reconciliation", "read"),
		w.page(http.MethodGet, "/reconciliation/elsewhere.csv", w.exportElsewhere, "reconciliation", "read"),
		w.page(http.MethodPost, elsewherePath, w.proposeElsewhere, "elsewhere", "propose"),
		w.page(http.MethodGet, "/reconciliation/:day", w.showDay, "reconciliation", "read"),
		w.page(http.MethodGet, "/reconciliation/:day/items.csv", w.exportDay, "reconciliation", "read"),
		w.page(http.MethodPost, "/reconciliation/:day/sign", w.signDay, "reconciliation", "propose"),
		w.page(http.MethodPost, "/reconciliation/:day/true-up", w.proposeTrueUp, "reconciliation", "propose"),
		w.page(http.MethodGet, variancesPath, w.showVariances, "reconciliation", "read"),
		w.page(http.MethodGet, "/variances.csv", w.exportVariances, "reconciliation", "read"),
		w.page(http.MethodGet, "/variances/:id", w.showVariance, "reconciliation", "read"),
		w.page(http.MethodPost, "/variances/:id/steps", w.stepVariance, "reconciliation", "propose"),
		w.page(http.MethodGet, "/variances/:id/files/:file", w.sendVarianceFile, "reconciliation", "read"),
	}
}

// dayURL is the workbench of a day.
func dayURL(day time.Time) string { return reconciliationPath + "/" + ui.Date(day) }

// dayStateTag is a day's state as an icon and a word.
func dayStateTag(s reconcile.State, open int) figureTag {
	switch s {
	case reconcile.StateNoReport:
		return figureTag{ui.TonePlain, "–", "No report"}
	case reconcile.StateProvisional:
		return figureTag{ui.ToneNext, "…", "Provisional"}
	case reconcile.StateReconciled:
		return figureTag{ui.ToneOK, "✓", "Reconciled"}
	case reconcile.StateWithinTolerance:
		return figureTag{ui.ToneOK, "≈", "Within tolerance"}
	case reconcile.StateException:
		if open == 0 {
			return figureTag{ui.ToneOK, "✓", "Exception, resolved"}
		}
		return figureTag{ui.ToneWarn, "!", "Exception"}
	}
	return figureTag{ui.TonePlain, "?", ui.Words(string(s))}
}

// dayStateWords says what a state of a day means.
func dayStateWords(s reconcile.State) string {
	switch s {
	case reconcile.StateNoReport:
		return "The provider’s reports of this day were not pulled yet."
	case reconcile.StateProvisional:
		return "One side does not have all of the day yet: what is missing counts as late, and nothing is an exception."
	case reconcile.StateReconciled:
		return "Every difference has a class, and none is above tolerance."
	case reconcile.StateWithinTolerance:
		return "Something is unknown, within tolerance."
	case reconcile.StateException:
		return "Something is above tolerance: each is a variance, with somebody who answers for it."
	}
	return ""
}

// reasonWords is a class of differences as people call it.
func reasonWords(c reconcile.Class) string {
	switch c {
	case reconcile.ClassLate:
		return "Late"
	case reconcile.ClassAborted:
		return "Aborted stream"
	case reconcile.ClassBypass:
		return "Past the gateway"
	case reconcile.ClassUnknownPrice:
		return "Provisional price"
	case reconcile.ClassTier:
		return "Another tier"
	case reconcile.ClassMeter:
		return "Another token class"
	case reconcile.ClassPrice:
		return "Another price"
	case reconcile.ClassFee:
		return "Fee"
	case reconcile.ClassCredit:
		return "Credit or discount"
	case reconcile.ClassRounding:
		return "Rounding"
	case reconcile.ClassMissingAtProvider:
		return "Missing at the provider"
	case reconcile.ClassMissingWithUs:
		return "Missing with us"
	case reconcile.ClassReports:
		return "Reports disagree"
	case reconcile.ClassUnknown:
		return "Unknown"
	case reconcile.ClassSeveral:
		return "Several classes"
	}
	return ui.Words(string(c))
}

// coverageWords is a share in basis points.
func coverageWords(bps int64) string {
	if bps < 0 {
		return "–"
	}
	return fmt.Sprintf("%d.%02d %%", bps/100, bps%100)
}

// signedCost is an amount with its sign, to the hundredth of a cent.
func signedCost(s *money.Sum) string {
	text := ui.Cost(s)
	if s.Sign() > 0 {
		return "+" + text
	}
	return strings.Replace(text, "-", "−", 1)
}

// exactly is an amount with all twelve decimals.
func exactly(s *money.Sum) string {
	text := s.String()
	if s.Sign() > 0 {
		return "+" + text
	}
	return strings.Replace(text, "-", "−", 1)
}

type calendarView struct {
	Frame      ui.Frame
	Calendar   *app.Calendar
	Title      string
	Figures    []figure
	Earlier    string
	Later      string // empty: the month is the present one
	CSV        string
	Tolerance  string
	MayPropose bool
}

func calendarURL(path string, m period.Month) string {
	return path + "?" + url.Values{"period": {m.String()}}.Encode()
}

// calendar reads the month of an address; where it says none, the one yesterday is in.
func (w *Web) calendar(v *visit) (app.Calendar, error) {
	month := period.MonthOf(w.cfg.Now().AddDate(0, 0, -1))
	if text := v.QueryParam("period"); text != "" {
		var err error
		if month, err = period.ParseMonth(text); err != nil {
			return app.Calendar{}, err
		}
	}
	return w.areas.Reconciliations.Calendar(v.Request().Context(), v.who, month)
}

func (w *Web) showCalendar(v *visit) error {
	c, err := w.calendar(v)
	if err != nil {
		return err
	}
	view := &calendarView{
		Calendar: &c, Title: "Reconciliation, " + monthName(c.Month), Figures: calendarFigures(&c), CSV: calendarURL("/reconciliation.csv", c.Month),
		Earlier: calendarURL(reconciliationPath, c.Month.Previous()), Tolerance: app.ToleranceWords(c.Tolerance), MayPropose: v.may("tolerance", "propose"),
	}
	if next := c.Month.Next(); !next.Start().After(w.cfg.Now()) {
		view.Later = calendarURL(reconciliationPath, next)
	}
	view.Frame = v.frame(view.Title)
	if err := calendarSheet(&c).prints(v, &view.Frame, "/reconciliation.csv", calendarFile(v, &c)); err != nil {
		return err
	}
	return render(v, http.StatusOK, calendarPage(view))
}

// calendarFigures are what a month of days comes to.
func calendarFigures(c *app.Calendar) []figure {
	t := &c.Total
	return []figure{
		{Label: "Per cost report", Value: ui.Dollars(&t.Billed), Notes: []link{{Label: "what the provider reports to be paid for " + monthName(c.Month) + ", days reconciled so far"}}},
		{Label: "Per ledger", Value: ui.Dollars(&t.Ours), URL: "/?period=" + c.Month.String(), Notes: []link{{Label: "what the same days were charged"}}},
		{Label: "Unexplained", Value: signedCost(&t.Unexplained), Notes: []link{{Label: "of a difference of " + signedCost(&t.Difference)}}, Tag: unexplainedTag(&t.Gross)},
		{Label: "Passed the gateway", Value: coverageWords(t.Bps), Notes: []link{
			{Label: "of what the provider charged for requests"}, {Label: elsewhereWords(c), URL: calendarURL(elsewherePath, c.Month)},
			{Label: varianceCount(t.Open), URL: varianceQuery{State: app.Unresolved, Period: c.Month.String()}.url(variancesPath)},
		}},
	}
}

// elsewhereWords says what of a month is not in its coverage, because nothing meters it.
func elsewhereWords(c *app.Calendar) string {
	if c.Elsewhere == 0 {
		return "nothing stated that is not metered here"
	}
	return dollarCents(c.Elsewhere) + " more is not metered here"
}

func unexplainedTag(gross *money.Sum) *figureTag {
	if gross.Sign() == 0 {
		return &figureTag{ui.ToneOK, "✓", "nothing"}
	}
	return &figureTag{ui.ToneWarn, "!", "something is unknown"}
}

func varianceCount(n int) string {
	if n == 0 {
		return "no variance unresolved"
	}
	if n == 1 {
		return "1 variance unresolved"
	}
	return strconv.Itoa(n) + " variances unresolved"
}

func calendarFile(v *visit, c *app.Calendar) string {
	return "reconciliation-" + v.slug + "-" + c.Month.String() + ".csv"
}

func calendarSheet(c *app.Calendar) *sheet {
	out := newSheet("day", "state", "run", "per_ledger_usd", "per_ledger_list_usd", "per_cost_report_usd", "per_cost_report_list_usd", "difference_usd", "unexplained_usd", "coverage_bps", "our_requests", "their_requests",
		"our_tokens", "their_tokens", "variances_unresolved", "tolerance_version", "preparer", "reviewer", "sha256", "recorded_at")
	out.filter("period", c.Month.String())
	if c.Simulated {
		out.control("basis", basisSimulated)
	}
	for i := range c.Days {
		d := &c.Days[i]
		at := ""
		if !d.At.IsZero() {
			at = d.At.Format(time.RFC3339Nano)
		}
		_ = out.Write([]string{
			ui.Date(d.Day), string(d.State), numberOrNothing(d.Number), d.Ours.String(), d.Listed.String(), d.Billed.String(), d.ListPrice.String(), d.Difference.String(), d.Unexplained.String(), strconv.FormatInt(d.Bps, 10),
			number(d.OurRequests), number(d.TheirRequests), number(d.OurTokens), number(d.TheirTokens), strconv.Itoa(d.Open), strconv.Itoa(d.ToleranceVersion), cell(signer(d.Preparer)), cell(signer(d.Reviewer)), d.Digest, at,
		})
		out.add("per_ledger_usd", &d.Ours)
		out.add("per_cost_report_usd", &d.Billed)
		out.add("difference_usd", &d.Difference)
		out.add("unexplained_usd", &d.Unexplained)
	}
	return out
}

// basisSimulated stands wherever figures come from an address that is not the provider's own.
const basisSimulated = "tested against a simulator"

func signer(s *app.SignedOff) string {
	if s == nil {
		return ""
	}
	return s.Hand.Name
}

func (w *Web) exportCalendar(v *visit) error {
	c, err := w.calendar(v)
	if err != nil {
		return err
	}
	return calendarSheet(&c).send(v, calendarFile(v, &c))
}

type toleranceForm struct {
	trouble

	Frame                      ui.Frame
	Now                        string
	Absolute, Relative, Reason string
	Once                       string
}

func (w *Web) askTolerance(v *visit) error {
	if !v.may("tolerance", "propose") {
		return app.ErrNotAllowed
	}
	return w.tolerancePage(v, http.StatusOK, &toleranceForm{})
}

func (w *Web) tolerancePage(v *visit, status int, f *toleranceForm) error {
	c, err := w.areas.Reconciliations.Calendar(v.Request().Context(), v.who, period.MonthOf(w.cfg.Now()))
	if err != nil {
		return err
	}
	f.Frame, f.Once = v.frame("Tolerance"), secret.Mint("form_").Reveal()
	f.Now = "A difference is an exception above " + app.ToleranceWords(c.Tolerance) + "."
	if f.Absolute == "" && f.Relative == "" {
		f.Absolute, f.Relative = c.Tolerance.Absolute.String(), percentOf(c.Tolerance.RelativeBps)
	}
	return render(v, status, tolerancePage(f))
}

func percentOf(bps int64) string { return fmt.Sprintf("%d.%02d", bps/100, bps%100) }

func (w *Web) proposeTolerance(v *visit) error {
	if !v.may("tolerance", "propose") {
		return app.ErrNotAllowed
	}
	f := &toleranceForm{Absolute: strings.TrimSpace(v.FormValue("absolute")), Relative: strings.TrimSpace(v.FormValue("relative")), Reason: v.FormValue("reason")}
	want := reconcile.Tolerance{}
	var err error
	if want.Absolute, err = money.ParseCents(f.Absolute); err != nil {
		err = fault.Invalid("absolute", "tolerance_absolute", "The absolute limit is an amount in dollars, such as 1.00.")
	} else if bps, wrong := money.ParseCents(f.Relative); wrong != nil {
		err = fault.Invalid("relative", "tolerance_relative", "The relative limit is percent with at most two decimals, such as 0.05.")
	} else {
		want.RelativeBps = int64(bps)
	}
	var made app.ChangeView
	if err == nil {
		made, err = w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskTolerance(want, f.Reason), v.FormValue("once"))
	}
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		said := fault.From(err)
		f.Alert, f.Field = said.Message, said.Field
		return w.tolerancePage(v, http.StatusUnprocessableEntity, f)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/changes/"+made.ID.String())
}

// trueUpWords says what of a day broke off, and what the provider counted of it.
func trueUpWords(o *app.TrueUpOffer) string {
	words := ui.Plural(int64(o.Requests), "request") + " of this day ended without final usage"
	if o.Requests == 0 {
		return "No request of this day waits for a true-up."
	}
	switch o.Amount.Sign() {
	case 0:
		return words + ", and the provider counts just what was recorded."
	case 1:
		return words + ". The provider counted " + exactly(&o.Amount) + " more than was recorded of them."
	}
	return words + ". The provider counted less than was recorded of them: " + exactly(&o.Amount) + "."
}
