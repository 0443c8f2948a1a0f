package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

// A link below /t/SLUG leads to the same page for whoever follows it: in the company it
// was copied from, and nowhere else.

type elsewhereView struct {
	Frame    ui.Frame
	Company  app.Company
	ReturnTo string
}

// goToCompany opens a page in a company. Who is signed in there goes on at once, who is
// a member there and signed in elsewhere is asked whether to switch, and everybody else
// is led to its door, which tells nobody more than they know.
func (w *Web) goToCompany(c echo.Context) error {
	slug, returnTo := c.Param("slug"), localPath("/"+c.Param("*")+querySuffix(c.QueryString()))
	who, err := w.areas.SignIns.BySession(c.Request().Context(), secret.NewText(w.cookie(c, sessionCookie)))
	if err != nil {
		return c.Redirect(http.StatusSeeOther, doorURL(slug, returnTo))
	}
	v := &visit{Context: c, web: w, who: who}
	if v.tenant, v.slug, err = w.areas.Tenants.Name(c.Request().Context(), who); err != nil {
		return err
	}
	if v.slug == slug {
		return c.Redirect(http.StatusSeeOther, returnTo)
	}
	others, err := w.areas.SignIns.Elsewhere(c.Request().Context(), who)
	if err != nil {
		return err
	}
	for _, one := range others {
		if one.Slug == slug {
			view := elsewhereView{Frame: v.frame("Switch to " + one.Name), Company: one, ReturnTo: returnTo}
			return render(c, http.StatusOK, elsewherePage(view))
		}
	}
	return c.Redirect(http.StatusSeeOther, doorURL(slug, returnTo))
}

func querySuffix(query string) string {
	if query == "" {
		return ""
	}
	return "?" + query
}
