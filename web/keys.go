package web

import (
	"net/http"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/web/api"
	"tollbook/web/ui"
)

type keysView struct {
	Frame   ui.Frame
	Rows    []app.KeyView
	Now     time.Time
	Older   string
	Newest  bool
	MayMake bool
	Form    keyForm
	Nodes   []option
}

// keyForm is what was filled in, and what was wrong with it.
type keyForm struct {
	Label, CostCenter, ExpiresAt, Reason, Once string
	Alert, Field                               string
}

func (w *Web) showKeys(v *visit) error { return w.listKeys(v, http.StatusOK, keyForm{}) }

const keysShown = 100

func (w *Web) listKeys(v *visit, status int, form keyForm) error {
	var after id.Key
	if text := v.QueryParam("cursor"); text != "" {
		var err error
		if after, err = id.ParseKey(text); err != nil {
			return err
		}
	}
	page, err := w.areas.Keys.List(v.Request().Context(), v.who, after, keysShown)
	if err != nil {
		return err
	}
	view := &keysView{Frame: v.frame("Virtual keys"), Rows: page.Rows, Now: w.cfg.Now(), Newest: !after.IsZero(), MayMake: v.may("key", "propose"), Form: form}
	if !page.Next.IsZero() {
		view.Older = "/keys?cursor=" + page.Next.String()
	}
	if view.MayMake {
		// The form carries its own idempotency key: sent twice, it makes one key.
		view.Form.Once = secret.Mint("form_").Reveal()
		nodes, err := w.areas.Nodes.List(v.Request().Context(), v.who, time.Time{})
		if err != nil {
			return err
		}
		view.Nodes = append(view.Nodes, option{Label: "Choose"})
		for _, n := range nodes {
			if n.Kind == hierarchy.KindBusinessUnit || n.Code == hierarchy.SuspenseCode {
				continue
			}
			view.Nodes = append(view.Nodes, option{Value: n.Code, Label: n.Code + " " + n.Name, Selected: n.Code == form.CostCenter})
		}
	}
	return render(v, status, keysPage(view))
}

type madeKeyView struct {
	Frame      ui.Frame
	Key        app.MadeKey
	GatewayURL string
}

func (w *Web) createKey(v *visit) error {
	form := keyForm{
		Label: v.FormValue("label"), CostCenter: v.FormValue("cost_center"), ExpiresAt: strings.TrimSpace(v.FormValue("expires_at")),
		Reason: v.FormValue("reason"), Once: v.FormValue("once"),
	}
	want := app.NewKey{Label: form.Label, CostCenter: form.CostCenter}
	var err error
	if form.ExpiresAt != "" {
		var at api.Instant
		at, err = api.ParseInstant("expires_at", form.ExpiresAt)
		want.ExpiresAt = at.Time
	}
	var made app.MadeKey
	if err == nil {
		made, err = w.areas.Keys.CreateOnce(v.Request().Context(), v.who, want, form.Reason, form.Once)
	}
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		f := fault.From(err)
		form.Alert, form.Field = f.Message, f.Field
		return w.listKeys(v, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	// The answer to the form is the page itself: a redirect would have to carry the secret.
	return render(v, http.StatusCreated, madeKeyPage(&madeKeyView{
		Frame: v.frame("Virtual key made"), Key: made, GatewayURL: w.cfg.PublicURL.JoinPath("gw", v.slug).String(),
	}))
}

type revokeView struct {
	Frame  ui.Frame
	Key    app.KeyView
	State  string
	Reason string
	Alert  string
}

func (w *Web) findKey(v *visit) (app.KeyView, error) {
	key, err := id.ParseKey(v.Param("id"))
	if err != nil {
		return app.KeyView{}, errPageAbsent
	}
	return w.areas.Keys.Find(v.Request().Context(), v.who, key)
}

// confirmRevoke restates what will end before it does.
func (w *Web) confirmRevoke(v *visit) error {
	if !v.may("key", "propose") {
		return app.ErrNotAllowed
	}
	key, err := w.findKey(v)
	if err != nil {
		return err
	}
	return render(v, http.StatusOK, revokePage(&revokeView{Frame: v.frame("Revoke a virtual key"), Key: key, State: key.State(w.cfg.Now())}))
}

func (w *Web) revokeKey(v *visit) error {
	id, err := id.ParseKey(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	reason := v.FormValue("reason")
	err = w.areas.Keys.Revoke(v.Request().Context(), v.who, id, reason)
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		key, findErr := w.findKey(v)
		if findErr != nil {
			return findErr
		}
		return render(v, http.StatusUnprocessableEntity, revokePage(&revokeView{
			Frame: v.frame("Revoke a virtual key"), Key: key, State: key.State(w.cfg.Now()), Reason: reason, Alert: fault.From(err).Message,
		}))
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/keys")
}
