package web

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

// visit is one signed-in request.
type visit struct {
	echo.Context
	web    *Web
	who    app.Actor
	tenant string // its name
	slug   string
	// profile is how the company shows time and months, branding what its papers carry.
	profile  app.Profile
	branding app.Branding
	closed   bool // the company is suspended, or was offboarded
}

const (
	sessionCookie = "tollbook"
	browserCookie = "tollbook-sign-in"
	browserLife   = 15 * time.Minute
)

// cookieName has the prefix that binds a cookie to this host over TLS; browsers refuse
// it on the plain http of a demo.
func (w *Web) cookieName(name string) string {
	if w.secure() {
		return "__Host-" + name
	}
	return name
}

func (w *Web) setCookie(c echo.Context, name, value string, life time.Duration) {
	cookie := &http.Cookie{ //nolint:gosec // Secure is off only where plain http is: on loopback
		Name: w.cookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: w.secure(), SameSite: http.SameSiteLaxMode,
		MaxAge: int(life / time.Second),
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	c.SetCookie(cookie)
}

func (w *Web) cookie(c echo.Context, name string) string {
	cookie, err := c.Cookie(w.cookieName(name))
	if err != nil {
		return ""
	}
	return cookie.Value
}

func (w *Web) signedIn(serve func(*visit) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		find := w.areas.SignIns.BySession
		if streams(c.Path()) || c.Request().Header.Get(liveHeader) != "" || asksByItself(c) {
			find = w.areas.SignIns.PeekSession
		}
		who, err := find(c.Request().Context(), secret.NewText(w.cookie(c, sessionCookie)))
		shut := err
		closed := errors.Is(err, app.ErrTenantSuspended) || errors.Is(err, app.ErrTenantOffboarded)
		if err != nil && !closed {
			return err
		}
		c.SetRequest(c.Request().WithContext(w.areas.Members.Under(c.Request().Context(), who, app.ViaPage, c.RealIP())))
		v := &visit{Context: c, web: w, who: who, closed: closed}
		here, err := w.areas.Tenants.Here(c.Request().Context(), who)
		if err != nil {
			return err
		}
		v.profile, v.slug, v.branding = here.Profile, here.Slug, here.Branding
		v.tenant = v.profile.Name
		if closed && c.Path() != "/sign-out" && c.Path() != "/switch" { // the ways out
			w.failAt(c, shut, v)
			return nil
		}
		if c.Request().Method != http.MethodGet {
			w.waits.forget(who.Session) // it may have decided
		}
		if err := serve(v); err != nil {
			w.failAt(c, err, v) // with the frame of who is signed in
		}
		return nil
	}
}

// may tells whether to show a link. Areas decide again when it is followed.
func (v *visit) may(object, action string) bool {
	return v.web.access.Check(v.who, object, action) == nil
}

// frame is what is around a signed-in page.
func (v *visit) frame(title string) ui.Frame {
	f := ui.Frame{Title: title, Asset: v.web.assets.URL, Tenant: v.tenant, Person: v.who.Name, Role: ui.RoleWords(v.who.Grants)}
	if v.closed {
		f.Companies = v.companies()
		return f
	}
	f.Paper = v.paper()
	add := func(label, url string) {
		path := v.Request().URL.Path
		f.Nav = append(f.Nav, ui.NavItem{Label: label, URL: url, Current: path == url || (url != "/" && strings.HasPrefix(path, url+"/"))})
	}
	if v.may("chargeback", "read") {
		add("Chargeback", "/")
	}
	if v.may("usage", "read") || v.may("usage", "read_own") {
		f.Searchable = true
		add("Requests", "/requests")
		add("Sessions", "/sessions")
		add("Spend explorer", "/explore")
	}
	for _, p := range [...]struct{ object, label, url string }{
		{"plan", "Plan", "/plan"}, {"journal", "Journal", "/journal"}, {"reconciliation", "Reconciliation", reconciliationPath},
		{"reconciliation", "Variances", variancesPath}, {"invoice", "Invoices", invoicesPath}, {"export", "Exports", "/exports"}, {"period", "Close", closePath},
		{"commentary", "Commentary", commentaryPath}, {"dispute", "Disputes", disputesPath},
	} {
		if v.may(p.object, "read") {
			add(p.label, p.url)
		}
	}
	if v.may("packet", "read") {
		add("Packets", packetsPath)
	}
	if v.may("change", "read") {
		add("Changes", "/changes")
		f.Nav[len(f.Nav)-1].Count = v.waiting()
	}
	if v.may("node", "read") {
		add("Hierarchy", "/nodes")
	}
	if v.may("key", "read") {
		add("Virtual keys", "/keys")
	}
	if v.may("rule", "read") {
		add("Attribution rules", "/rules")
	}
	add("Connect Claude Code", "/connect")
	for _, p := range [...]struct{ object, label, url string }{
		{"price", "Prices", "/prices"}, {"member", "Members", "/members"}, {"token", "API tokens", "/tokens"}, {"audit", "Audit log", "/log"}, {"setting", "Settings", "/settings"},
	} {
		if v.may(p.object, "read") {
			add(p.label, p.url)
		}
	}
	if v.web.areas.Operators.Is(v.who) {
		add("Operator", "/operator")
	}
	f.Companies = v.companies()
	f.SetUp = v.strip()
	if r := v.Request(); r.Method == http.MethodGet {
		f.Link = v.web.cfg.PublicURL.JoinPath("t", v.slug).String() + r.URL.RequestURI()
		if v.QueryParam("cursor") == "" {
			f.Live = livePages[v.Path()]
		}
	}
	return f
}

// waiting counts the changes that the person may decide now: counted anew after a while, and
// after whatever the session sends. Without the count a page is whole: a failure is logged
// and it is left out.
func (v *visit) waiting() int {
	w := v.web
	if n, known := w.waits.recall(v.who.Session, w.cfg.Now()); known && v.Request().Method == http.MethodGet {
		return n
	}
	n, err := w.areas.Approvals.Waiting(v.Request().Context(), v.who)
	if err != nil {
		w.cfg.Log.WarnContext(v.Request().Context(), "waiting changes not counted", "error", err)
		return 0
	}
	w.waits.keep(v.who.Session, n, w.cfg.Now())
	return n
}

// livePages show what changes while one looks, each with the stream that says so.
var livePages = map[string]string{ //nolint:gochecknoglobals // a table
	"/": livePath, "/requests": livePath, "/requests/:id": livePath, "/sessions": livePath, "/sessions/:id": livePath, "/nodes/:node": livePath, "/keys": livePath, "/keys/:id": livePath,
	"/operator": statePath,
	"/log":      logLivePath, "/log/keys": logLivePath,
	setUpPath: livePath, // whose last step is a request
}

// companies are the others the same identity may switch to. Without them a page is whole:
// a failure is logged and the switch left out.
func (v *visit) companies() []ui.Company {
	others, err := v.web.areas.SignIns.Elsewhere(v.Request().Context(), v.who)
	if err != nil {
		v.web.cfg.Log.WarnContext(v.Request().Context(), "other companies not listed", "error", err)
	}
	list := make([]ui.Company, 0, len(others))
	for _, c := range others {
		list = append(list, ui.Company(c))
	}
	return list
}

// doorFrame is what is around a page before sign-in.
func (w *Web) doorFrame(title string) ui.Frame { return ui.Frame{Title: title, Asset: w.assets.URL} }

// render writes a page only when all of it was made.
func render(c echo.Context, status int, page templ.Component) error {
	var out bytes.Buffer
	if err := page.Render(c.Request().Context(), &out); err != nil {
		return err
	}
	return c.HTMLBlob(status, out.Bytes())
}

// localPath keeps a path on this site: anything that a browser could read as another
// site becomes the front page.
func localPath(text string) string {
	if !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || len(text) > 2000 ||
		strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }) {
		return "/"
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return text
}
