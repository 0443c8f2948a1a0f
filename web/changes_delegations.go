package web

import (
	"net/http"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/web/api"
	"tollbook/web/ui"
)

type delegationsView struct {
	Frame  ui.Frame
	Mine   []delegationRow
	Others []delegationRow
	May    bool
	Form   delegationForm
}

type delegationRow struct {
	D        app.Delegation
	From, To link
	State    figureTag
	Days     string
	MayEnd   bool
	Path     string
}

// delegationForm is what was filled in, and what was wrong with it.
type delegationForm struct {
	trouble

	Email, From, Until, Reason string
}

func (w *Web) showDelegations(v *visit) error {
	return w.delegationsPage(v, http.StatusOK, delegationForm{})
}

func (w *Web) delegationsPage(v *visit, status int, form delegationForm) error {
	list, err := w.areas.Approvals.Delegations(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view := &delegationsView{Frame: v.frame("Delegations"), May: v.may("delegation", "propose"), Form: form}
	now := w.cfg.Now()
	for _, d := range list {
		row := delegationRow{D: d, From: v.hand(d.From), To: v.hand(d.To), State: delegationTag(&d, now), Days: ui.Minute(d.StartsAt) + " to " + ui.Minute(d.EndsAt), Path: "/changes/delegations/" + d.ID.String()}
		mine := d.Mine || d.To.Member == v.who.Member
		row.MayEnd = mine && view.May && d.EndedAt.IsZero() && now.Before(d.EndsAt)
		if mine {
			view.Mine = append(view.Mine, row)
		} else {
			view.Others = append(view.Others, row)
		}
	}
	return render(v, status, delegationsPage(view))
}

// delegationTag is where a delegation stands.
func delegationTag(d *app.Delegation, now time.Time) figureTag {
	switch {
	case !d.EndedAt.IsZero():
		return figureTag{ui.TonePlain, "×", "Ended " + ui.Minute(d.EndedAt)}
	case !now.Before(d.EndsAt):
		return figureTag{ui.TonePlain, "○", "Over"}
	case d.InForce:
		return figureTag{ui.ToneOK, "✓", "In force"}
	case now.Before(d.StartsAt):
		return figureTag{ui.ToneNext, "→", "To come"}
	}
	return figureTag{ui.ToneWarn, "!", "Not in force: one of them cannot sign in"}
}

func (w *Web) delegate(v *visit) error {
	if !v.may("delegation", "propose") {
		return app.ErrNotAllowed
	}
	form := delegationForm{Email: strings.TrimSpace(v.FormValue("email")), From: strings.TrimSpace(v.FormValue("from")), Until: strings.TrimSpace(v.FormValue("until")), Reason: v.FormValue("reason")}
	var from, until api.Instant
	var err error
	if form.From != "" {
		from, err = api.ParseInstant("from", form.From)
	}
	if err == nil {
		until, err = api.ParseInstant("until", form.Until)
	}
	if err == nil {
		_, err = w.areas.Approvals.Delegate(v.Request().Context(), v.who, form.Email, from.Time, until.Time, form.Reason)
	}
	if err == nil {
		return v.Redirect(http.StatusSeeOther, "/changes/delegations")
	}
	status, f := retold(err)
	if status == 0 {
		return err
	}
	form.trouble = trouble{f.Message, delegationField(f.Field)}
	return w.delegationsPage(v, status, form)
}

// delegationField is a field of the use case as the form calls it.
func delegationField(field string) string {
	if field == "to" {
		return "until"
	}
	return field
}

// endDelegation takes one back at once.
func (w *Web) endDelegation(v *visit) error {
	if !v.may("delegation", "propose") {
		return app.ErrNotAllowed
	}
	delegation, err := id.ParseDelegation(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	err = w.areas.Approvals.EndDelegation(v.Request().Context(), v.who, delegation, v.FormValue("reason"))
	if status, f := retold(err); status != 0 {
		return w.delegationsPage(v, status, delegationForm{trouble: trouble{f.Message, ""}})
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/changes/delegations")
}
