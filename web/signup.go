package web

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

const (
	signUpCookie = "tollbook-sign-up"
	signUpLife   = 30 * time.Minute // as long as the attempt behind it
)

// signUpPages are there where people may found companies, and nowhere else.
func (w *Web) signUpPages() []Route {
	if !w.areas.SignUps.Allowed() {
		return nil
	}
	return []Route{
		door("/sign-up", w.showSignUp),
		door("/sign-up/start", w.startSignUp),
		door("/sign-up/company", w.askCompany),
		{Method: http.MethodPost, Path: "/sign-up/company", serve: w.foundCompany},
	}
}

type signUpView struct {
	Frame   ui.Frame
	Issuer  string
	Domains string // of the addresses that may; empty: any
}

func (w *Web) showSignUp(c echo.Context) error {
	return render(c, http.StatusOK, signUpPage(signUpView{
		Frame: w.doorFrame("Sign up"), Issuer: w.areas.SignUps.Issuer().Name, Domains: strings.Join(w.areas.SignUps.Domains(), ", "),
	}))
}

// startSignUp sends the browser to the issuer that vouches, as a sign-in does.
func (w *Web) startSignUp(c echo.Context) error {
	if !w.doors.allow(c.RealIP()) {
		return errLimited
	}
	provider, err := w.provider(c.Request().Context(), w.areas.SignUps.Issuer(), c.QueryParam("login_hint"))
	if err != nil {
		return err
	}
	browser, away := w.browser(c), ""
	if err := w.areas.SignUps.Begin(c.Request().Context(), leave(provider, browser, &away)); err != nil {
		return err
	}
	w.setCookie(c, browserCookie, browser, browserLife)
	return c.Redirect(http.StatusSeeOther, away)
}

// finishVouching takes the browser back from the issuer that vouches.
func (w *Web) finishVouching(c echo.Context) error {
	ctx := c.Request().Context()
	signUp, ticket, err := w.areas.SignUps.Take(ctx, c.QueryParam("state"))
	if err != nil {
		return w.refuseSignUp(c, err)
	}
	user, err := w.verified(c, ticket, w.areas.SignUps.Issuer())
	if err != nil {
		return w.refuseSignUp(c, err)
	}
	if !w.accounts.allow(w.areas.SignUps.Issuer().URL + " " + user.UserID) {
		return w.refuseSignUp(c, errAccountLimited)
	}
	verified, _ := user.RawData["email_verified"].(bool) // a word for it is not the claim
	token, err := w.areas.SignUps.Vouch(ctx, signUp, app.Vouched{
		Subject: user.UserID, Name: user.Name, Email: user.Email, EmailVerified: verified, SignedInAt: signedInAt(user.RawData, w.cfg.Now()), Raw: user.IDToken,
	})
	if err != nil {
		return w.refuseSignUp(c, err)
	}
	w.setCookie(c, browserCookie, "", 0)
	w.setCookie(c, signUpCookie, token.Reveal(), signUpLife)
	return c.Redirect(http.StatusSeeOther, "/sign-up/company")
}

// refuseSignUp shows why nobody signs up and where to begin again.
func (w *Web) refuseSignUp(c echo.Context, err error) error {
	if errors.Is(err, app.ErrFounded) { // the form was sent twice: its founder is signed in
		return c.Redirect(http.StatusSeeOther, setUpPath)
	}
	f := fault.From(err)
	if f.Kind == fault.KindInternal {
		return err
	}
	w.cfg.Log.LogAttrs(c.Request().Context(), slog.LevelWarn, "sign-up refused", slog.Any("error", err))
	return render(c, statusOf(f.Kind), refusedPage(refusedView{Frame: w.doorFrame("Not signed up"), Fault: f, Again: "/sign-up"}))
}

type companyView struct {
	Frame      ui.Frame
	Name       string // of who founds
	Email      string
	Form       companyForm
	GatewayURL string // up to the short name
	Roles      string
}

// companyForm is what was filled in, and what was wrong with it.
type companyForm struct {
	trouble
	Name, Slug, TimeZone string
}

func (w *Web) askCompany(c echo.Context) error {
	return w.showCompany(c, http.StatusOK, companyForm{TimeZone: "UTC"})
}

func (w *Web) showCompany(c echo.Context, status int, form companyForm) error {
	who, err := w.areas.SignUps.Founder(c.Request().Context(), w.signUpToken(c))
	if err != nil {
		return w.refuseSignUp(c, err)
	}
	view := companyView{
		Frame: w.doorFrame("Found your company"), Name: who.Name, Email: who.Email, Form: form, GatewayURL: w.cfg.PublicURL.JoinPath("gw").String() + "/", Roles: roleList(app.FounderRoles(), "and"),
	}
	return render(c, status, companyPage(&view))
}

func (w *Web) signUpToken(c echo.Context) secret.Text {
	return secret.NewText(w.cookie(c, signUpCookie))
}

// foundCompany makes the company and signs its founder in. A short name that was left out
// is suggested, and sent again by who agrees.
func (w *Web) foundCompany(c echo.Context) error {
	if !w.doors.allow(c.RealIP()) {
		return errLimited
	}
	ctx, token := c.Request().Context(), w.signUpToken(c)
	if _, err := w.areas.SignUps.Founder(ctx, token); err != nil {
		return w.refuseSignUp(c, err)
	}
	form := companyForm{Name: strings.TrimSpace(c.FormValue("name")), Slug: strings.ToLower(strings.TrimSpace(c.FormValue("slug"))), TimeZone: strings.TrimSpace(c.FormValue("time_zone"))}
	if form.Slug == "" && form.Name != "" {
		suggested, err := w.areas.SignUps.Suggest(ctx, form.Name)
		if err != nil {
			return err
		}
		if suggested != "" {
			form.Slug, form.trouble = suggested, trouble{"This short name is free. It never changes: look at it, then send the form again.", "slug"}
			return w.showCompany(c, http.StatusUnprocessableEntity, form)
		}
	}
	cookie, err := w.areas.SignUps.Found(ctx, token, app.NewCompany{Name: form.Name, Slug: form.Slug, TimeZone: form.TimeZone})
	switch kind := fault.KindOf(err); {
	case err == nil:
	case kind == fault.KindInvalid:
		f := fault.From(err)
		form.trouble = trouble{f.Message, f.Field}
		return w.showCompany(c, http.StatusUnprocessableEntity, form)
	case kind == fault.KindLimited:
		form.Alert = fault.From(err).Message
		return w.showCompany(c, http.StatusTooManyRequests, form)
	default:
		return w.refuseSignUp(c, err)
	}
	w.setCookie(c, signUpCookie, "", 0)
	return w.enter(c, cookie, setUpPath)
}

// roleList names roles in a sentence.
func roleList(list []app.Role, last string) string {
	words := make([]string, 0, len(list))
	for _, r := range list {
		words = append(words, lower(ui.Words(string(r))))
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}
