package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

type accountView struct {
	Frame    ui.Frame
	Sessions []app.OwnSession
	Others   int // live ones but this
	Mail     []mailChoice
	MailOn   bool
}

func (w *Web) showAccount(v *visit) error {
	sessions, err := w.areas.SignIns.Sessions(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view := &accountView{Frame: v.frame("Your sessions"), Sessions: sessions}
	for _, s := range sessions {
		if s.Live && !s.Current {
			view.Others++
		}
	}
	if view.MailOn = w.areas.Notices.MailOn(); v.may("mute", "propose") {
		if view.Mail, err = w.mailChoices(v); err != nil {
			return err
		}
	}
	return render(v, http.StatusOK, accountPage(view))
}

func (w *Web) endSession(v *visit) error {
	session, err := id.ParseSession(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	if err := w.areas.SignIns.EndSession(v.Request().Context(), v.who, session); err != nil {
		return err
	}
	if session == v.who.Session {
		w.setCookie(v, sessionCookie, "", 0)
		return v.Redirect(http.StatusSeeOther, "/sign-in")
	}
	return v.Redirect(http.StatusSeeOther, "/account")
}

func (w *Web) endOtherSessions(v *visit) error {
	if err := w.areas.SignIns.EndOthers(v.Request().Context(), v.who); err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/account")
}

// switchCompany moves the browser to another company of the same identity.
func (w *Web) switchCompany(v *visit) error {
	slug, returnTo := v.FormValue("tenant"), localPath(v.FormValue("return_to"))
	cookie, err := w.areas.SignIns.Switch(v.Request().Context(), v.who, slug)
	if errors.Is(err, app.ErrSwitch) {
		return v.Redirect(http.StatusSeeOther, doorURL(slug, returnTo))
	}
	if err != nil {
		return err
	}
	w.setCookie(v, sessionCookie, cookie.Reveal(), sessionCookieLife)
	return v.Redirect(http.StatusSeeOther, returnTo)
}

type joinView struct {
	Frame   ui.Frame
	Invited app.Invited
	URL     string
	Ends    string
}

// showInvitation is where an invitation's link leads; opening it decides nothing.
func (w *Web) showInvitation(c echo.Context) error {
	if !w.doors.allow(c.RealIP()) {
		return errLimited
	}
	code := c.Param("code")
	invited, err := w.areas.Members.ByInvitation(c.Request().Context(), secret.NewText(code))
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, joinPage(joinView{
		Frame: w.doorFrame("You are invited"), Invited: invited, Ends: ui.Minute(invited.ExpiresAt),
		URL: withQuery("/sign-in/"+invited.Slug+"/"+invited.Issuer.String(), "invitation", code),
	}))
}
