package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/markbates/goth"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/web/oidc"
)

const callbackPath = "/sign-in/callback"

var (
	errLimited        = fault.New(fault.KindLimited, "sign_in_limited", "Too many attempts to sign in from your address. Wait a minute and try again.")
	errAccountLimited = fault.New(fault.KindLimited, "sign_in_limited", "This account signed in too often within a minute. Wait a minute and try again.")
	errIssuerGone     = fault.New(fault.KindNotFound, "issuer_absent", "That way to sign in does not exist any more. Choose another.")
	errIssuer         = fault.New(fault.KindUnavailable, "issuer_unavailable", "Your identity provider does not answer. Try again in a moment.")
	errNoCompany      = fault.Invalid("tenant", "tenant_absent", "No company here has that name.")
	errNoAddress      = fault.Invalid("tenant", "domain_absent", "No company here signs in with addresses of that domain. Try its short name.")
	errRefused        = fault.New(fault.KindUnauthenticated, "issuer_refused", "Your identity provider did not sign you in.")
	errElsewhere      = errors.New("the answer arrived where another issuer's do")
	errToken          = fault.New(fault.KindUnauthenticated, "identity_unverified", "What your identity provider sent could not be verified, so nobody was signed in. Try again; if it happens twice, tell a tenant owner.")
)

// showDoors asks which company; a demo lists them.
func (w *Web) showDoors(c echo.Context) error {
	returnTo := localPath(c.QueryParam("return_to"))
	view := doorsView{Frame: w.doorFrame("Sign in"), ReturnTo: returnTo, Slug: strings.TrimSpace(c.QueryParam("tenant")), MaySignUp: w.areas.SignUps.Allowed()}
	if view.Slug != "" {
		if !w.doors.allow(c.RealIP()) {
			return errLimited
		}
		found, err := w.findDoors(c, view.Slug)
		switch {
		case fault.KindOf(err) == fault.KindInvalid && err != nil:
			view.Alert = fault.From(err).Message
		case err != nil:
			return err
		case len(found) == 1:
			return c.Redirect(http.StatusSeeOther, doorFor(found[0].Slug, returnTo, view.Slug))
		}
		for _, company := range found {
			view.Found = append(view.Found, link{Label: company.Name, URL: doorFor(company.Slug, returnTo, view.Slug)})
		}
	}
	if w.cfg.Development {
		tenants, err := w.areas.Tenants.List(c.Request().Context())
		if err != nil {
			return err
		}
		for _, t := range tenants {
			view.Tenants = append(view.Tenants, link{Label: t.Name, URL: doorURL(t.Slug, returnTo)})
		}
	}
	status := http.StatusOK
	if view.Alert != "" {
		status = http.StatusUnprocessableEntity
	}
	return render(c, status, doorsPage(view))
}

// findDoors finds the companies that a short name or an e-mail address leads to.
func (w *Web) findDoors(c echo.Context, text string) ([]app.Company, error) {
	ctx := c.Request().Context()
	if strings.Contains(text, "@") {
		found, err := w.areas.SignIns.ByEmail(ctx, text)
		if err == nil && len(found) == 0 {
			err = errNoAddress
		}
		return found, err
	}
	_, name, err := w.areas.Tenants.BySlug(ctx, text)
	if fault.KindOf(err) == fault.KindNotFound && err != nil {
		return nil, errNoCompany
	}
	return []app.Company{{Slug: text, Name: name}}, err
}

// doorFor is a company's door, which is told the address that led to it.
func doorFor(slug, returnTo, typed string) string {
	if !strings.Contains(typed, "@") {
		return doorURL(slug, returnTo)
	}
	query := url.Values{"login_hint": {typed}}
	if returnTo != "/" {
		query.Set("return_to", returnTo)
	}
	return "/sign-in/" + slug + "?" + query.Encode()
}

func doorURL(slug, returnTo string) string {
	return "/sign-in/" + slug + returnQuery(returnTo)
}

func returnQuery(returnTo string) string {
	if returnTo == "/" {
		return ""
	}
	return "?return_to=" + url.QueryEscape(returnTo)
}

// showDoor lists a tenant's issuers.
func (w *Web) showDoor(c echo.Context) error {
	tenant, name, err := w.areas.Tenants.BySlug(c.Request().Context(), c.Param("slug"))
	if err != nil {
		return err
	}
	issuers, err := w.areas.SignIns.Issuers(c.Request().Context(), tenant)
	if err != nil {
		return err
	}
	view := doorView{Frame: w.doorFrame("Sign in to " + name), Tenant: name}
	for _, i := range issuers {
		start := doorFor(c.Param("slug")+"/"+i.ID.String(), localPath(c.QueryParam("return_to")), c.QueryParam("login_hint"))
		view.Issuers = append(view.Issuers, link{Label: i.Name, URL: start})
	}
	return render(c, http.StatusOK, doorPage(view))
}

// startSignIn sends the browser to an issuer. The attempt is bound to this browser by a
// cookie of its own, so that nobody can finish it somewhere else.
func (w *Web) startSignIn(c echo.Context) error {
	if !w.doors.allow(c.RealIP()) {
		return errLimited
	}
	ctx := c.Request().Context()
	tenant, _, err := w.areas.Tenants.BySlug(ctx, c.Param("slug"))
	if err != nil {
		return err
	}
	issuer, err := w.issuer(ctx, tenant, c.Param("issuer"))
	if err != nil {
		return err
	}
	provider, err := w.provider(ctx, issuer, c.QueryParam("login_hint"))
	if err != nil {
		return err
	}
	browser := w.browser(c)
	var away string
	invitation, err := w.invitation(ctx, c.QueryParam("invitation"), tenant, issuer)
	if err != nil {
		return err
	}
	err = w.areas.SignIns.BeginInvited(ctx, tenant, issuer.ID, invitation, leave(provider, browser, &away), localPath(c.QueryParam("return_to")))
	if err != nil {
		return err
	}
	w.setCookie(c, browserCookie, browser, browserLife)
	return c.Redirect(http.StatusSeeOther, away)
}

// browser is what binds an attempt to this browser: what its cookie holds, or a fresh one.
func (w *Web) browser(c echo.Context) string {
	browser := w.cookie(c, browserCookie)
	if len(browser) < 26 || len(browser) > 64 {
		return rand.Text()
	}
	return browser
}

// leave makes the ticket of an attempt with a fresh verifier and nonce, and says where the
// browser goes with it.
func leave(provider *oidc.Provider, browser string, away *string) func(state string) ([]byte, error) {
	return func(state string) ([]byte, error) {
		session, err := provider.Begin(state)
		if err != nil {
			return nil, err
		}
		session.Browser, *away = digest(browser), session.AuthURL
		return []byte(session.Marshal()), nil
	}
}

// invitation is the one whose link led here, of this tenant and issuer; zero without one.
func (w *Web) invitation(ctx context.Context, code string, tenant id.Tenant, issuer app.Issuer) (id.Invitation, error) {
	if code == "" {
		return id.Invitation{}, nil
	}
	invited, err := w.areas.Members.ByInvitation(ctx, secret.NewText(code))
	if err != nil {
		return id.Invitation{}, err
	}
	if invited.Tenant != tenant || invited.Issuer != issuer.ID {
		return id.Invitation{}, app.ErrInvitation
	}
	return invited.ID, nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (w *Web) issuer(ctx context.Context, tenant id.Tenant, text string) (app.Issuer, error) {
	wanted, err := id.ParseIssuer(text)
	if err != nil {
		return app.Issuer{}, errIssuerGone
	}
	issuers, err := w.areas.SignIns.Issuers(ctx, tenant)
	if err != nil {
		return app.Issuer{}, err
	}
	at := slices.IndexFunc(issuers, func(i app.Issuer) bool { return i.ID == wanted })
	if at < 0 {
		return app.Issuer{}, errIssuerGone
	}
	return issuers[at], nil
}

func (w *Web) provider(ctx context.Context, issuer app.Issuer, hint string) (*oidc.Provider, error) {
	provider, err := w.issuers.Provider(ctx, oidc.Client{
		Name: issuer.Name, Issuer: issuer.URL, ID: issuer.ClientID, Secret: issuer.Secret.Reveal(),
		RedirectURL: w.cfg.PublicURL.JoinPath(callbackPath, issuer.Callback).String(), LoginHint: hint,
	})
	if err != nil {
		return nil, errIssuer.Because(err)
	}
	return provider, nil
}

// finishSignIn takes the browser back. Whatever goes wrong ends on a page that says so
// and offers to try again: a second tab or an old link is no reason to be stuck.
func (w *Web) finishSignIn(c echo.Context) error {
	if !w.doors.allow(c.RealIP()) {
		return errLimited
	}
	ctx := c.Request().Context()
	if w.areas.SignUps.Allowed() && app.IsSignUp(c.QueryParam("state")) && c.Param("company") == "" {
		return w.finishVouching(c)
	}
	if app.IsDecision(c.QueryParam("state")) {
		return w.finishDecision(c)
	}
	attempt, err := w.areas.SignIns.Take(ctx, c.QueryParam("state"))
	if err != nil {
		return w.refuse(c, id.Tenant{}, err)
	}
	if c.Param("company") != attempt.Issuer.Callback { // another issuer's answer, whatever it holds
		return w.refuse(c, attempt.Tenant, app.ErrSignIn.Because(errElsewhere))
	}
	claims, err := w.identify(c, attempt)
	if err != nil {
		return w.refuse(c, attempt.Tenant, err)
	}
	if !w.accounts.allow(claims.Issuer + " " + claims.Subject) {
		return w.refuse(c, attempt.Tenant, errAccountLimited)
	}
	cookie, err := w.areas.SignIns.Accept(ctx, attempt.Tenant, claims)
	if err != nil {
		return w.refuse(c, attempt.Tenant, err)
	}
	w.setCookie(c, browserCookie, "", 0)
	return w.enter(c, cookie, localPath(attempt.ReturnTo))
}

// enter gives the browser a new session in the place of the one it had.
func (w *Web) enter(c echo.Context, cookie secret.Text, to string) error {
	if old := w.cookie(c, sessionCookie); old != "" {
		if err := w.areas.SignIns.Replace(c.Request().Context(), secret.NewText(old)); err != nil {
			return err
		}
	}
	w.setCookie(c, sessionCookie, cookie.Reveal(), sessionCookieLife)
	return c.Redirect(http.StatusSeeOther, to)
}

// sessionCookieLife is how long a browser keeps the cookie; the session itself ends
// where it is kept.
const sessionCookieLife = 8 * time.Hour

// identify turns what the issuer sent into claims that were verified.
func (w *Web) identify(c echo.Context, attempt app.Attempt) (app.Claims, error) {
	user, err := w.verified(c, attempt.Ticket, attempt.Issuer)
	if err != nil {
		return app.Claims{}, err
	}
	verified, said := user.RawData["email_verified"].(bool)
	return app.Claims{
		Issuer: attempt.Issuer.URL, Subject: user.UserID, IssuerID: attempt.Issuer.ID, Invitation: attempt.Invitation, Email: user.Email, EmailRefused: said && !verified,
		Groups: groups(user.RawData), SignedInAt: signedInAt(user.RawData, w.cfg.Now()), Raw: user.IDToken,
	}, nil
}

// verified is who came back from an issuer, by the ticket of their attempt: in the browser
// that began it, with a code that the issuer takes, by a token that it signed.
func (w *Web) verified(c echo.Context, ticket []byte, issuer app.Issuer) (goth.User, error) {
	session, provider, err := w.exchange(c, ticket, issuer)
	if err != nil {
		return goth.User{}, err
	}
	user, err := provider.FetchUser(session)
	if err != nil {
		return goth.User{}, errToken.Because(err)
	}
	return user, nil
}

// exchange takes the code that the browser brought back for a token, which it does not
// verify: in the browser that began it, at the issuer it was sent to.
func (w *Web) exchange(c echo.Context, ticket []byte, issuer app.Issuer) (*oidc.Session, *oidc.Provider, error) {
	session, err := oidc.ReadSession(ticket)
	if err != nil {
		return nil, nil, err
	}
	if subtle.ConstantTimeCompare([]byte(session.Browser), []byte(digest(w.cookie(c, browserCookie)))) != 1 {
		return nil, nil, app.ErrSignIn.Because(errors.New("another browser began this sign-in"))
	}
	if refusal := c.QueryParam("error"); refusal != "" {
		return nil, nil, errRefused.Because(errors.New("the issuer answered " + refusal))
	}
	provider, err := w.provider(c.Request().Context(), issuer, "")
	if err != nil {
		return nil, nil, err
	}
	if _, err := session.Authorize(provider, c.QueryParams()); err != nil {
		return nil, nil, errToken.Because(err)
	}
	return session, provider, nil
}

// maxGroups bounds how many groups of a token are looked at.
const maxGroups = 1000

// groups reads the groups claim: a list of names, or one name.
func groups(claims map[string]any) []string {
	switch claim := claims["groups"].(type) {
	case string:
		return []string{claim}
	case []any:
		var list []string
		for _, one := range claim[:min(len(claim), maxGroups)] {
			if name, ok := one.(string); ok {
				list = append(list, name)
			}
		}
		return list
	}
	return nil
}

// signedInAt is when the issuer saw the person, else when it made the token.
func signedInAt(claims map[string]any, now time.Time) time.Time {
	for _, name := range []string{"auth_time", "iat"} {
		if seconds, ok := claims[name].(float64); ok {
			return time.Unix(int64(seconds), 0).UTC()
		}
	}
	return now.UTC()
}

// refuse shows why nobody was signed in and where to begin again.
func (w *Web) refuse(c echo.Context, tenant id.Tenant, err error) error {
	f := fault.From(err)
	if f.Kind == fault.KindInternal {
		return err
	}
	again := "/sign-in"
	if !tenant.IsZero() {
		if _, slug, err := w.areas.Tenants.Name(c.Request().Context(), app.System(tenant)); err == nil {
			again = doorURL(slug, "/")
		}
	}
	w.cfg.Log.LogAttrs(c.Request().Context(), slog.LevelWarn, "sign-in refused", slog.String("tenant", tenant.String()), slog.Any("error", err))
	return render(c, statusOf(f.Kind), refusedPage(refusedView{Frame: w.doorFrame(refusedTitle(f)), Fault: f, Again: again}))
}

func refusedTitle(f *fault.Fault) string {
	if errors.Is(f, app.ErrNotMember) {
		return "Not a member"
	}
	return "Not signed in"
}

// signOut ends the session here; the issuer's own is the issuer's.
func (w *Web) signOut(v *visit) error {
	if err := w.areas.SignIns.End(v.Request().Context(), v.who); err != nil {
		return err
	}
	w.setCookie(v, sessionCookie, "", 0)
	return v.Redirect(http.StatusSeeOther, "/sign-in")
}
