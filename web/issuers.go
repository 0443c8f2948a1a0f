package web

import (
	"net/http"
	"strings"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

type issuersView struct {
	Frame     ui.Frame
	Rows      []app.Issuer
	Callback  string
	DoorURL   string
	MayChange bool
	Founded   bool // by a person: it may claim no domain
	Form      issuerForm
	Alert     string
}

// issuerForm is what was filled in, and what was wrong with it; never the secret.
type issuerForm struct {
	trouble
	Name, URL, ClientID, Domains, Reason string
}

func (w *Web) showIssuers(v *visit) error { return w.listIssuers(v, http.StatusOK, issuerForm{}, "") }

func (w *Web) listIssuers(v *visit, status int, form issuerForm, alert string) error {
	rows, err := w.areas.SignIns.IssuerList(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	reach, err := w.areas.Tenants.Reach(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	callback := ""
	if reach != nil {
		callback = app.CallbackOf(v.who.Tenant)
	}
	return render(v, status, issuersPage(&issuersView{
		Frame: v.frame("Issuers"), Rows: rows, Founded: reach != nil, Callback: w.cfg.PublicURL.JoinPath(callbackPath, callback).String(), DoorURL: w.cfg.PublicURL.JoinPath("sign-in", v.slug).String(),
		MayChange: v.may("issuer", "propose"), Form: form, Alert: alert,
	}))
}

func (w *Web) addIssuer(v *visit) error {
	if !v.may("issuer", "propose") {
		return app.ErrNotAllowed
	}
	form := issuerForm{
		Name: strings.TrimSpace(v.FormValue("name")), URL: strings.TrimSpace(v.FormValue("url")), ClientID: strings.TrimSpace(v.FormValue("client_id")),
		Domains: v.FormValue("domains"), Reason: v.FormValue("reason"),
	}
	want := app.Issuer{
		Name: form.Name, URL: form.URL, ClientID: form.ClientID, Secret: secret.NewText(v.FormValue("client_secret")),
		Domains: strings.Fields(strings.ReplaceAll(form.Domains, ",", " ")),
	}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskIssuer(want, form.Reason), "")
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		f := fault.From(err)
		form.trouble = trouble{f.Message, f.Field}
		return w.listIssuers(v, http.StatusUnprocessableEntity, form, "")
	}
	return v.proposed(made, err, "/members/issuers")
}

func (w *Web) retireIssuer(v *visit) error {
	if !v.may("issuer", "propose") {
		return app.ErrNotAllowed
	}
	issuer, err := id.ParseIssuer(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskIssuerEnd(issuer, "retired on the page of issuers"), "")
	if status, f := retold(err); status != 0 {
		return w.listIssuers(v, status, issuerForm{}, f.Message)
	}
	return v.proposed(made, err, "/members/issuers")
}
