package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/web/ui"
)

const retentionPath = "/settings/retention"

// retentionPages are the pages of how long what is recorded is kept.
func (w *Web) retentionPages() []Route {
	return []Route{
		w.page(http.MethodGet, retentionPath, w.showRetention, "retention", "read"),
		w.page(http.MethodGet, retentionPath+".csv", w.exportRetention, "retention", "read"),
		w.page(http.MethodPost, retentionPath+"/terms", w.proposeTerms, "retention", "propose"),
		w.page(http.MethodPost, retentionPath+"/holds", w.proposeHold, "retention", "propose"),
		w.page(http.MethodPost, retentionPath+"/holds/:id/end", w.proposeHoldEnd, "retention", "propose"),
		w.page(http.MethodPost, retentionPath+"/purges", w.proposePurge, "retention", "propose"),
	}
}

type retentionView struct {
	Frame     ui.Frame
	Kept      app.RetentionView
	MayChange bool
	Terms     termsForm
	Hold      holdForm
	Purge     purgeForm
	Ending    trouble // of the end of a hold
}

// termsForm is what was filled in of terms, and what was wrong with it.
type termsForm struct {
	trouble
	Years        map[retention.Class]string
	From, Reason string
}

// holdForm is the same of a legal hold.
type holdForm struct {
	trouble
	First, Last, Reason string
}

// purgeForm is the same of a purge.
type purgeForm struct {
	trouble
	Class, Reason string
	Classes       []option // that have something to purge
}

// retentionForms are the forms as they were sent; nil ones were not.
type retentionForms struct {
	terms *termsForm
	hold  *holdForm
	purge *purgeForm
	end   trouble
}

func (w *Web) showRetention(v *visit) error {
	return w.retentionPage(v, http.StatusOK, retentionForms{})
}

func (w *Web) retentionPage(v *visit, status int, sent retentionForms) error {
	kept, err := w.areas.Retentions.Show(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view := &retentionView{Frame: v.frame("Retention"), Kept: kept, MayChange: v.may("retention", "propose"), Ending: sent.end}
	view.Terms.Years = map[retention.Class]string{}
	for i := range kept.Classes {
		view.Terms.Years[kept.Classes[i].Class] = strconv.Itoa(kept.Classes[i].Years)
	}
	if sent.terms != nil {
		view.Terms = *sent.terms
	}
	if sent.hold != nil {
		view.Hold = *sent.hold
	}
	if sent.purge != nil {
		view.Purge = *sent.purge
	}
	for i := range kept.Classes {
		if c := &kept.Classes[i]; len(c.Expired) > 0 {
			view.Purge.Classes = append(view.Purge.Classes, option{Value: string(c.Class), Label: className(c.Class) + ": " + monthRange(c.Expired), Selected: string(c.Class) == view.Purge.Class})
		}
	}
	if err := retentionSheet(&kept).prints(v, &view.Frame, retentionPath+".csv", retentionFile(v)); err != nil {
		return err
	}
	return render(v, status, retentionPage(view))
}

func retentionFile(v *visit) string { return "tombstones-" + v.slug + ".csv" }

func (w *Web) exportRetention(v *visit) error {
	kept, err := w.areas.Retentions.Show(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	return retentionSheet(&kept).send(v, retentionFile(v))
}

// retentionSheet is the tombstones as a file.
func retentionSheet(kept *app.RetentionView) *sheet {
	out := newSheet("class", "month", "change", "purged_at", "rows", "requests", "charge_usd", "first_sequence", "last_sequence", "digest_sha256")
	for i := range kept.Tombstones {
		d := &kept.Tombstones[i]
		first, last := "", ""
		if d.First >= 0 {
			first, last = strconv.FormatInt(d.First, 10), strconv.FormatInt(d.Last, 10)
		}
		out.add("charge_usd", &d.Charge)
		_ = out.Write([]string{
			string(d.Class), d.Month.String(), strconv.FormatInt(d.Number, 10), instantText(d.PurgedAt), strconv.FormatInt(d.Rows, 10), strconv.FormatInt(d.Requests, 10),
			d.Charge.String(), first, last, d.Digest,
		})
	}
	return out
}

// className names a class where it stands alone.
func className(class retention.Class) string {
	switch class {
	case retention.Usage:
		return "Requests"
	case retention.Audit:
		return "Audit records"
	case retention.Notices:
		return "Notices"
	case retention.Sessions:
		return "Sign-ins"
	}
	return string(class)
}

// classHolds says what belongs to a class, and what stays when it goes.
func classHolds(class retention.Class) string {
	switch class {
	case retention.Usage:
		return "with their adjustments and batches; sums by day and the roots that prove the rest stay"
	case retention.Audit:
		return "their bytes; who did what when, their hashes and every proof stay"
	case retention.Notices:
		return "messages and what was done to deliver them"
	case retention.Sessions:
		return "sessions at the pages; who signed in stays in the log as long as its records"
	}
	return ""
}

// termWords say how long a class is kept, and from when on.
func termWords(c *app.RetainedClass) string {
	from := "after the end of the month"
	if c.Class.Closes() {
		from = "after the end of the month in which its books closed"
	}
	return ui.Plural(int64(c.Years), "year") + " " + from
}

// monthRange names months that are in order.
func monthRange(list []period.Month) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return monthName(list[0])
	}
	return ui.Plural(int64(len(list)), "month") + ", " + monthName(list[0]) + " to " + monthName(list[len(list)-1])
}

// holdWords say what a hold is on.
func holdWords(h *app.LegalHold) string {
	switch {
	case h.Everything():
		return "Every month"
	case h.First == h.Last:
		return monthName(h.First)
	}
	return monthName(h.First) + " to " + monthName(h.Last)
}

func (w *Web) proposeTerms(v *visit) error {
	if !v.may("retention", "propose") {
		return app.ErrNotAllowed
	}
	form := termsForm{Years: map[retention.Class]string{}, From: v.FormValue("from"), Reason: v.FormValue("reason")}
	var years app.RetentionYears
	var problem error
	for _, one := range []struct {
		class retention.Class
		into  *int
	}{{retention.Usage, &years.Usage}, {retention.Audit, &years.Audit}, {retention.Notices, &years.Notices}, {retention.Sessions, &years.Sessions}} {
		text := strings.TrimSpace(v.FormValue(string(one.class)))
		form.Years[one.class] = text
		n, err := strconv.Atoi(text)
		if err != nil && problem == nil {
			problem = one.class.Check(0)
		}
		*one.into = n
		if err == nil && problem == nil {
			problem = one.class.Check(n)
		}
	}
	var from time.Time
	if text := strings.TrimSpace(form.From); text != "" && problem == nil {
		if from, problem = time.Parse(time.DateOnly, text); problem != nil {
			problem = fault.Invalid("from", "instant_syntax", "A date is YYYY-MM-DD, as in 2026-12-01. Leave it empty for: when it is decided.")
		}
	}
	var made app.ChangeView
	if problem == nil {
		made, problem = w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskRetention(years, from, form.Reason), "")
	}
	if status, f := retold(problem); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.retentionPage(v, status, retentionForms{terms: &form})
	}
	return v.proposed(made, problem, retentionPath)
}

func (w *Web) proposeHold(v *visit) error {
	if !v.may("retention", "propose") {
		return app.ErrNotAllowed
	}
	form := holdForm{First: strings.TrimSpace(v.FormValue("first")), Last: strings.TrimSpace(v.FormValue("last")), Reason: v.FormValue("reason")}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskHold(form.First, form.Last, form.Reason), "")
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.retentionPage(v, status, retentionForms{hold: &form})
	}
	return v.proposed(made, err, retentionPath)
}

func (w *Web) proposeHoldEnd(v *visit) error {
	if !v.may("retention", "propose") {
		return app.ErrNotAllowed
	}
	hold, err := id.ParseChange(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskHoldEnd(hold, v.FormValue("reason")), "")
	if status, f := retold(err); status != 0 {
		return w.retentionPage(v, status, retentionForms{end: trouble{f.Message, f.Field}})
	}
	return v.proposed(made, err, retentionPath)
}

func (w *Web) proposePurge(v *visit) error {
	if !v.may("retention", "propose") {
		return app.ErrNotAllowed
	}
	form := purgeForm{Class: v.FormValue("class"), Reason: v.FormValue("reason")}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskPurge(form.Class, nil, form.Reason), "")
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.retentionPage(v, status, retentionForms{purge: &form})
	}
	return v.proposed(made, err, retentionPath)
}
