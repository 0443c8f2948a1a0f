package web

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/web/ui"
)

// A command line's sign-in, seen from the browser: a page that restates what would be
// allowed, and lists of who may charge what and who is signed in.

var (
	errOtherCompany = fault.New(fault.KindForbidden, "other_company", "You are signed in to another company than your command line asks for. Sign out, and open the address in your terminal again.")
	errLoopback     = fault.Invalid("port", "loopback_syntax", "This address is not one that tollbook login opens. Run it again.")
)

// allowView is what somebody is asked to allow.
type allowView struct {
	Frame  ui.Frame
	Ask    app.AskView
	Nodes  []option
	Device bool
	Form   allowForm
}

// allowForm is what came with the address or the form, and what was wrong with it.
type allowForm struct {
	Code, Port, State, Challenge, Client, CostCenter string
	Alert, Field                                     string
}

// callback is where the command line listens: on this machine, at a port it chose.
func (f allowForm) callback(values url.Values) string {
	values.Set("state", f.State)
	return "http://127.0.0.1:" + f.Port + "/callback?" + values.Encode()
}

func (v *visit) allowForm() (allowForm, error) {
	get := func(name string) string {
		if v.Request().Method == http.MethodPost {
			return strings.TrimSpace(v.FormValue(name))
		}
		return strings.TrimSpace(v.QueryParam(name))
	}
	form := allowForm{
		Code: get("code"), Port: get("port"), State: get("state"), Challenge: get("challenge"), Client: get("client"), CostCenter: get("cost_center"),
	}
	port, err := strconv.Atoi(form.Port)
	if err != nil || port < 1024 || port > 65535 || !regexp.MustCompile(`^[A-Za-z0-9_-]{16,128}$`).MatchString(form.State) {
		return form, errLoopback
	}
	form.Port = strconv.Itoa(port)
	return form, nil
}

// askLogin restates what a command line on this machine would get.
func (w *Web) askLogin(v *visit) error {
	offer, err := w.areas.Logins.Offer(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	form, err := v.allowForm()
	switch {
	case v.slug != v.Param("slug"):
		return errOtherCompany
	case err != nil:
		return err
	}
	offer.Client, offer.CostCenter = form.Client, form.CostCenter
	return w.showAllow(v, http.StatusOK, &allowView{Ask: offer, Form: form})
}

func (w *Web) showAllow(v *visit, status int, view *allowView) error {
	view.Frame = v.frame("Sign in a command line")
	chosen := view.Ask.CostCenter
	if view.Form.CostCenter != "" {
		chosen = view.Form.CostCenter
	}
	known := false
	for _, c := range view.Ask.Choices {
		known = known || c.Code == chosen
	}
	for _, c := range view.Ask.Choices {
		selected := c.Code == chosen || (!known && c.Last)
		view.Nodes = append(view.Nodes, option{Value: c.Code, Label: c.Code + " " + c.Name, Selected: selected})
	}
	if !view.Device {
		// Browsers hold a form to form-action also where its answer leads on.
		v.Response().Header().Set("Content-Security-Policy", strings.Replace(policy, "form-action 'self'", "form-action 'self' http://127.0.0.1:"+view.Form.Port, 1))
	}
	return render(v, status, allowPage(view))
}

// allowLogin sends the command line on this machine a code, or that there is none.
func (w *Web) allowLogin(v *visit) error {
	offer, err := w.areas.Logins.Offer(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	form, err := v.allowForm()
	switch {
	case v.slug != v.Param("slug"):
		return errOtherCompany
	case err != nil:
		return err
	case v.FormValue("decision") == "deny":
		return v.Redirect(http.StatusSeeOther, form.callback(url.Values{"error": {"access_denied"}}))
	}
	code, err := w.areas.Logins.Allow(v.Request().Context(), v.who, app.Loopback{Challenge: form.Challenge, Client: form.Client, CostCenter: form.CostCenter})
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		f := fault.From(err)
		form.Alert, form.Field, offer.Client = f.Message, f.Field, form.Client
		return w.showAllow(v, http.StatusUnprocessableEntity, &allowView{Ask: offer, Form: form})
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, form.callback(url.Values{"code": {code.Reveal()}}))
}

type deviceView struct {
	Frame   ui.Frame
	Code    string
	Alert   string
	Allowed bool
	Denied  bool
}

// askDevice takes the code a command line shows, then restates what it would get.
func (w *Web) askDevice(v *visit) error {
	if !v.may("login", "begin") {
		return app.ErrNotAllowed
	}
	code := strings.TrimSpace(v.QueryParam("code"))
	if code == "" {
		return render(v, http.StatusOK, devicePage(&deviceView{Frame: v.frame("Sign in a command line")}))
	}
	if !w.doors.allow(v.RealIP()) {
		return errLimited
	}
	ask, err := w.areas.Logins.FindAsk(v.Request().Context(), v.who, code)
	if err != nil {
		return w.showDevice(v, code, err)
	}
	return w.showAllow(v, http.StatusOK, &allowView{Ask: ask, Device: true, Form: allowForm{Code: code}})
}

func (w *Web) showDevice(v *visit, code string, err error) error {
	f := fault.From(err)
	if f.Code != app.ErrUserCode.Code {
		return err
	}
	return render(v, http.StatusUnprocessableEntity, devicePage(&deviceView{Frame: v.frame("Sign in a command line"), Code: code, Alert: f.Message}))
}

func (w *Web) decideDevice(v *visit) error {
	if !v.may("login", "begin") {
		return app.ErrNotAllowed
	}
	if !w.doors.allow(v.RealIP()) {
		return errLimited
	}
	ctx, form := v.Request().Context(), allowForm{Code: strings.TrimSpace(v.FormValue("code")), CostCenter: v.FormValue("cost_center")}
	if v.FormValue("decision") == "deny" {
		if err := w.areas.Logins.DenyDevice(ctx, v.who, form.Code); err != nil {
			return w.showDevice(v, form.Code, err)
		}
		return render(v, http.StatusOK, devicePage(&deviceView{Frame: v.frame("Sign in a command line"), Denied: true}))
	}
	err := w.areas.Logins.AllowDevice(ctx, v.who, form.Code, form.CostCenter)
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		f := fault.From(err)
		form.Alert, form.Field = f.Message, f.Field
		ask, err := w.areas.Logins.FindAsk(ctx, v.who, form.Code)
		if err != nil {
			return w.showDevice(v, form.Code, err)
		}
		return w.showAllow(v, http.StatusUnprocessableEntity, &allowView{Ask: ask, Device: true, Form: form})
	}
	if err != nil {
		return w.showDevice(v, form.Code, err)
	}
	return render(v, http.StatusOK, devicePage(&deviceView{Frame: v.frame("Sign in a command line"), Allowed: true}))
}

type loginsView struct {
	Frame ui.Frame
	Rows  []app.LoginView
	Now   time.Time
	All   bool // everybody's
}

func (w *Web) showLogins(v *visit) error {
	rows, err := w.areas.Logins.List(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	return render(v, http.StatusOK, loginsPage(&loginsView{Frame: v.frame("Signed-in command lines"), Rows: rows, Now: w.cfg.Now(), All: v.may("key", "propose")}))
}

func (w *Web) endLogin(v *visit) error {
	if !v.may("login", "begin") {
		return app.ErrNotAllowed
	}
	login, err := id.ParseLogin(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	if err := w.areas.Logins.EndOne(v.Request().Context(), v.who, login); err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/connect/logins")
}

type rightsView struct {
	Frame   ui.Frame
	Rows    []app.RightView
	MayGive bool
	Nodes   []option
	Form    rightForm
}

// rightForm is what was filled in, and what was wrong with it.
type rightForm struct{ Email, Node, Reason, Alert, Field string }

func (w *Web) showRights(v *visit) error { return w.listRights(v, http.StatusOK, rightForm{}) }

func (w *Web) listRights(v *visit, status int, form rightForm) error {
	rows, err := w.areas.Rights.List(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view := &rightsView{Frame: v.frame("Who may charge"), Rows: rows, MayGive: v.may("key", "propose"), Form: form}
	if view.MayGive {
		if view.Nodes, err = w.nodeChoices(v, "Choose", form.Node); err != nil {
			return err
		}
	}
	return render(v, status, rightsPage(view))
}

func (w *Web) giveRight(v *visit) error {
	form := rightForm{Email: v.FormValue("email"), Node: v.FormValue("node"), Reason: v.FormValue("reason")}
	_, err := w.areas.Rights.Grant(v.Request().Context(), v.who, app.NewRight{Email: form.Email, Node: form.Node}, form.Reason)
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		f := fault.From(err)
		form.Alert, form.Field = f.Message, f.Field
		return w.listRights(v, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/keys/rights")
}

type endRightView struct {
	Frame         ui.Frame
	Right         app.RightView
	Reason, Alert string
}

// findRight is one of those in the list; it is short, and the list knows what is whose.
func (w *Web) findRight(v *visit) (app.RightView, error) {
	if !v.may("key", "propose") {
		return app.RightView{}, app.ErrNotAllowed
	}
	right, err := id.ParseRight(v.Param("id"))
	if err != nil {
		return app.RightView{}, errPageAbsent
	}
	rows, err := w.areas.Rights.List(v.Request().Context(), v.who)
	for _, r := range rows {
		if r.ID == right {
			return r, nil
		}
	}
	if err == nil {
		err = errPageAbsent
	}
	return app.RightView{}, err
}

func (w *Web) confirmEndRight(v *visit) error {
	right, err := w.findRight(v)
	if err != nil {
		return err
	}
	return render(v, http.StatusOK, endRightPage(&endRightView{Frame: v.frame("End a right"), Right: right}))
}

func (w *Web) endRight(v *visit) error {
	right, err := w.findRight(v)
	if err != nil {
		return err
	}
	reason := v.FormValue("reason")
	err = w.areas.Rights.End(v.Request().Context(), v.who, right.ID, reason)
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		return render(v, http.StatusUnprocessableEntity, endRightPage(&endRightView{Frame: v.frame("End a right"), Right: right, Reason: reason, Alert: fault.From(err).Message}))
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/keys/rights")
}

// rightWords says whose a right is.
func rightWords(r app.RightView) string {
	if r.Everybody {
		return "everybody"
	}
	return r.Name
}
