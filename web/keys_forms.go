package web

import (
	"net/http"
	"strconv"
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

// keyForm is what was filled in, and what was wrong with it.
type keyForm struct {
	Label, CostCenter, Projects, Models, PerMinute, ExpiresAt, Reason, Once string
	Alert, Field                                                            string
}

type newKeyView struct {
	Frame ui.Frame
	Form  keyForm
	Nodes []option
}

// askKey is the form of a key to be made.
func (w *Web) askKey(v *visit) error {
	if !v.may("key", "propose") {
		return app.ErrNotAllowed
	}
	return w.showKeyForm(v, http.StatusOK, keyForm{CostCenter: v.QueryParam("cost_center")})
}

func (w *Web) showKeyForm(v *visit, status int, form keyForm) error {
	// The form carries its own idempotency key: sent twice, it makes one key.
	form.Once = secret.Mint("form_").Reveal()
	view := &newKeyView{Frame: v.frame("Make a virtual key"), Form: form}
	var err error
	if view.Nodes, err = w.chargedOptions(v, form.CostCenter); err != nil {
		return err
	}
	return render(v, status, newKeyPage(view))
}

// chargedOptions lists the nodes a key can charge.
func (w *Web) chargedOptions(v *visit, selected string) ([]option, error) {
	list := []option{{Label: "Choose"}}
	nodes, err := w.areas.Nodes.List(v.Request().Context(), v.who, time.Time{})
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if n.Kind != hierarchy.KindBusinessUnit && n.Code != hierarchy.SuspenseCode {
			list = append(list, option{Value: n.Code, Label: n.Code + " " + n.Name, Selected: n.Code == selected})
		}
	}
	return list, nil
}

type madeKeyView struct {
	Frame      ui.Frame
	Key        app.MadeKey
	Rotated    bool
	Until      time.Time // a rotated key's secret before is accepted until then
	GatewayURL string
	SetUp      bool // made in the first set-up, which goes on from here
}

func (w *Web) createKey(v *visit) error {
	form := keyForm{
		Label: v.FormValue("label"), CostCenter: v.FormValue("cost_center"), Projects: v.FormValue("projects"), Models: v.FormValue("models"),
		PerMinute: strings.TrimSpace(v.FormValue("requests_per_minute")), ExpiresAt: strings.TrimSpace(v.FormValue("expires_at")),
		Reason: v.FormValue("reason"), Once: v.FormValue("once"),
	}
	want, err := form.read()
	var made app.MadeKey
	if err == nil {
		made, err = w.areas.Keys.CreateOnce(v.Request().Context(), v.who, want, form.Reason, form.Once)
	}
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		if !v.may("key", "propose") {
			return app.ErrNotAllowed
		}
		f := fault.From(err)
		form.Alert, form.Field = f.Message, f.Field
		return w.showKeyForm(v, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	// The answer to the form is the page itself: a redirect would have to carry the secret.
	return render(v, http.StatusCreated, madeKeyPage(&madeKeyView{Frame: v.frame("Virtual key made"), Key: made, GatewayURL: w.gatewayURL(v)}))
}

// gatewayURL is what ANTHROPIC_BASE_URL is for this company.
func (w *Web) gatewayURL(v *visit) string { return w.cfg.PublicURL.JoinPath("gw", v.slug).String() }

func (f *keyForm) read() (app.NewKey, error) {
	want := app.NewKey{Label: f.Label, CostCenter: f.CostCenter, Projects: listed(f.Projects), Models: listed(f.Models)}
	if f.PerMinute != "" {
		n, err := strconv.ParseInt(f.PerMinute, 10, 64)
		if err != nil || n < 1 {
			return want, fault.Invalid("requests_per_minute", "requests_per_minute_syntax", "A limit is a whole number of requests a minute; leave it empty for none.")
		}
		want.RequestsPerMinute = n
	}
	if f.ExpiresAt == "" {
		return want, nil
	}
	at, err := api.ParseInstant("expires_at", f.ExpiresAt)
	want.ExpiresAt = at.Time
	return want, err
}

// listed reads words separated by commas or blanks.
func listed(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
}

func keyParam(v *visit) (id.Key, error) {
	key, err := id.ParseKey(v.Param("id"))
	if err != nil {
		return key, errPageAbsent
	}
	return key, nil
}

type rotateView struct {
	Frame ui.Frame
	Key   app.KeyView
	State string
	Form  rotateForm
}

// rotateForm is what was filled in, and what was wrong with it.
type rotateForm struct {
	Until, Reason, Once, Alert, Field string
}

// askRotate restates what a rotation does before it does it.
func (w *Web) askRotate(v *visit) error {
	return w.showRotate(v, http.StatusOK, rotateForm{Until: w.cfg.Now().Add(app.OverlapUsual).UTC().Truncate(time.Minute).Format(time.RFC3339)})
}

func (w *Web) showRotate(v *visit, status int, form rotateForm) error {
	if !v.may("key", "propose") {
		return app.ErrNotAllowed
	}
	key, err := w.findKey(v)
	if err != nil {
		return err
	}
	form.Once = secret.Mint("form_").Reveal()
	return render(v, status, rotatePage(&rotateView{Frame: v.frame("Rotate a virtual key"), Key: key, State: key.State(w.cfg.Now()), Form: form}))
}

func (w *Web) rotateKey(v *visit) error {
	key, err := keyParam(v)
	if err != nil {
		return err
	}
	form := rotateForm{Until: strings.TrimSpace(v.FormValue("earlier_until")), Reason: v.FormValue("reason"), Once: v.FormValue("once")}
	want := app.Rotation{Key: key}
	switch form.Until {
	case "":
	case "now":
		want.EarlierUntil = w.cfg.Now().UTC().Truncate(time.Minute)
	default:
		var at api.Instant
		at, err = api.ParseInstant("earlier_until", form.Until)
		want.EarlierUntil = at.Time
	}
	var made app.MadeKey
	if err == nil {
		made, err = w.areas.Keys.RotateOnce(v.Request().Context(), v.who, want, form.Reason, form.Once)
	}
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		f := fault.From(err)
		form.Alert, form.Field = f.Message, f.Field
		return w.showRotate(v, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	until := want.EarlierUntil
	if until.IsZero() {
		until = made.Change.EffectiveFrom.Add(app.OverlapUsual)
	}
	return render(v, http.StatusCreated, madeKeyPage(&madeKeyView{Frame: v.frame("Virtual key rotated"), Key: made, Rotated: true, Until: until, GatewayURL: w.gatewayURL(v)}))
}

type revokeView struct {
	Frame  ui.Frame
	Key    app.KeyView
	State  string
	Reason string
	Alert  string
}

func (w *Web) findKey(v *visit) (app.KeyView, error) {
	key, err := keyParam(v)
	if err != nil {
		return app.KeyView{}, err
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
	id, err := keyParam(v)
	if err != nil {
		return err
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
	return v.Redirect(http.StatusSeeOther, "/keys/"+id.String())
}
