package web_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/secret"
	"tollbook/simulator/issuer"
	"tollbook/web"
)

// door is a world served over HTTP with a real issuer.
type door struct {
	*world
	site, idp string
	issuerID  string
	down      bool // the issuer does not answer
	keyDir    string
	// forge changes ID tokens on their way; nil: none.
	forge func(idToken string) string
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{}
	var site, idp http.Handler
	siteServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { site.ServeHTTP(w, r) }))
	idpServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		d.pass(idp, w, r)
	}))
	t.Cleanup(siteServer.Close)
	t.Cleanup(idpServer.Close)
	d.site, d.idp, d.keyDir = siteServer.URL, idpServer.URL, t.TempDir()
	address, err := url.Parse(d.site)
	require.NoError(t, err)
	d.world = newWorld(t, func(c *web.Config) { c.PublicURL = address })
	d.areas.SignUps = d.signUps(signUpRules(d.idp))
	d.rebuild(t)
	site = d.web.Handler()
	made, err := issuer.New(issuer.Config{
		URL: d.idp, Dir: d.keyDir, ClientID: "tollbook", ClientSecret: "s", RedirectURIs: []string{d.site + "/sign-in/callback"}, Now: now,
		People: []issuer.Person{
			{Subject: "u-ada", Name: "Ada", Email: "ada@acme.test", Groups: []string{"reviewers"}}, {Subject: "u-eve", Name: "Eve", Email: "eve@acme.test"},
			{Subject: "u-noor", Name: "Noor", Email: "noor@acme.test"},
		},
	})
	require.NoError(t, err)
	idp = made.Handler()
	for _, c := range []*company{d.one, d.two} {
		who := app.Command(c.tenant)
		require.NoError(t, d.areas.SignIns.SetIssuer(t.Context(), who, app.Issuer{Name: "Test issuer", URL: d.idp, ClientID: "tollbook", Secret: secret.NewText("s")}, "to test"))
		_, err := d.areas.Members.Add(t.Context(), who, app.NewMember{Issuer: d.idp, Subject: "u-ada", Name: "Ada", Email: "ada@acme.test", Role: app.RoleFinanceAdmin}, "to test")
		require.NoError(t, err)
	}
	issuers, err := d.areas.SignIns.Issuers(t.Context(), d.one.tenant)
	require.NoError(t, err)
	d.issuerID = issuers[0].ID.String()
	return d
}

func (d *door) start(person, returnTo string) string {
	query := url.Values{"login_hint": {person}}
	if returnTo != "" {
		query.Set("return_to", returnTo)
	}
	return d.site + "/sign-in/acme/" + d.issuerID + "?" + query.Encode()
}

// browser follows redirects and keeps cookies; stop makes it stay where told.
func browser(t *testing.T, stop func(*http.Request) bool) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if (stop != nil && stop(r)) || len(via) > 10 {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

func open(t *testing.T, client *http.Client, target string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	require.NoError(t, err)
	res, err := client.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

// callback goes to the issuer and stays before coming back.
func (d *door) callback(t *testing.T, client *http.Client, person, returnTo string) string {
	t.Helper()
	client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/sign-in/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	res, body := open(t, client, d.start(person, returnTo))
	require.Equal(t, http.StatusSeeOther, res.StatusCode, body)
	back := res.Header.Get("Location")
	require.Contains(t, back, "/sign-in/callback?")
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return back
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	client := browser(t, nil)
	res, body := open(t, client, d.start("u-ada", "/requests?state=error"))
	require.Equal(t, 200, res.StatusCode, body)
	require.Equal(t, "/requests?state=error", res.Request.URL.RequestURI())
	require.Contains(t, body, "Finance admin")
	require.Contains(t, body, "Acme Rockets")

	out, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.site+"/sign-out", nil)
	require.NoError(t, err)
	site, err := url.Parse(d.site)
	require.NoError(t, err)
	cookies := client.Jar.Cookies(site)
	res2, err := client.Do(out)
	require.NoError(t, err)
	require.NoError(t, res2.Body.Close())
	require.Equal(t, "/sign-in", res2.Request.URL.Path)

	// The cookie is worth nothing any more, even where it was kept.
	again, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.site+"/", nil)
	require.NoError(t, err)
	for _, c := range cookies {
		again.AddCookie(c)
	}
	stay := browser(t, func(*http.Request) bool { return true })
	res3, err := stay.Do(again)
	require.NoError(t, err)
	require.NoError(t, res3.Body.Close())
	require.Equal(t, http.StatusSeeOther, res3.StatusCode)
}

func TestDoors(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	client := browser(t, nil)
	res, body := open(t, client, d.site+"/requests?node=AC-11")
	require.Equal(t, "/sign-in", res.Request.URL.Path, "who is not signed in is led to the door")
	require.Contains(t, body, "%2Frequests%3Fnode%3DAC-11")
	require.Contains(t, body, "Acme Rockets", "a demo lists its companies")
	_, body = open(t, client, d.site+"/sign-in?tenant=acme&return_to=%2Frequests")
	require.Contains(t, body, "Continue with Test issuer")
	require.Contains(t, body, "return_to=%2Frequests")
	res, body = open(t, client, d.site+"/sign-in?tenant=nobody")
	require.Equal(t, 422, res.StatusCode)
	require.Contains(t, body, "No company here")
	for _, path := range []string{"/sign-in/nobody", "/sign-in/acme/iss_00000000000000000000000000000001", "/sign-in/acme/x"} {
		res, _ = open(t, client, d.site+path)
		require.Equal(t, 404, res.StatusCode, path)
	}
	w := newWorld(t, func(c *web.Config) { c.Development = false })
	got := w.do(request(http.MethodGet, "/sign-in", ""))
	require.NotContains(t, got.body, "Acme", "elsewhere companies are not listed")
	require.Equal(t, 404, w.do(request(http.MethodGet, "/_gallery", "")).status)
}

func TestReturnToStaysHere(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for given, want := range map[string]string{
		"/keys": "/keys", "": "/", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", `\\evil.example`: "/", "/\tevil": "/",
		"javascript:alert(1)": "/", "/%2f%2fevil.example": "/", "/requests?x=//evil.example": "/requests?x=//evil.example", "evil": "/",
		"/" + strings.Repeat("x", 3000): "/",
	} {
		client := browser(t, nil)
		res, _ := open(t, client, d.callback(t, client, "u-ada", given))
		require.Equal(t, http.StatusSeeOther, res.StatusCode, given)
		require.Equal(t, want, res.Header.Get("Location"), given)
	}
}

func TestSignInIsRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	t.Run("a second use", func(t *testing.T) {
		client := browser(t, nil)
		back := d.callback(t, client, "u-ada", "")
		res, _ := open(t, client, back)
		require.Equal(t, http.StatusSeeOther, res.StatusCode)
		res, body := open(t, client, back)
		require.Equal(t, 401, res.StatusCode)
		require.Contains(t, body, "Try again")
	})
	t.Run("another browser", func(t *testing.T) {
		back := d.callback(t, browser(t, nil), "u-ada", "")
		res, body := open(t, browser(t, func(*http.Request) bool { return true }), back)
		require.Equal(t, 401, res.StatusCode)
		require.Contains(t, body, "Try again")
		require.Empty(t, res.Cookies())
	})
	t.Run("another company's state", func(t *testing.T) {
		client := browser(t, nil)
		back := strings.Replace(d.callback(t, client, "u-ada", ""), d.one.tenant.String(), d.two.tenant.String(), 1)
		res, _ := open(t, client, back)
		require.Equal(t, 401, res.StatusCode)
	})
	t.Run("a made-up state", func(t *testing.T) {
		res, _ := open(t, browser(t, nil), d.site+"/sign-in/callback?state=x.y.z&code=c")
		require.Equal(t, 401, res.StatusCode)
		res, _ = open(t, browser(t, nil), d.site+"/sign-in/callback")
		require.Equal(t, 401, res.StatusCode)
	})
	t.Run("the issuer refuses", func(t *testing.T) {
		client := browser(t, nil)
		back, err := url.Parse(d.callback(t, client, "u-ada", ""))
		require.NoError(t, err)
		query := back.Query()
		query.Set("error", "access_denied")
		query.Del("code")
		back.RawQuery = query.Encode()
		res, body := open(t, client, back.String())
		require.Equal(t, 401, res.StatusCode)
		require.Contains(t, body, "/sign-in/acme")
	})
	t.Run("a wrong code", func(t *testing.T) {
		client := browser(t, nil)
		back, err := url.Parse(d.callback(t, client, "u-ada", ""))
		require.NoError(t, err)
		query := back.Query()
		query.Set("code", "guessed")
		back.RawQuery = query.Encode()
		res, body := open(t, client, back.String())
		require.Equal(t, 401, res.StatusCode)
		require.Contains(t, body, "could not be verified")
	})
	t.Run("nobody we know", func(t *testing.T) {
		client := browser(t, nil)
		res, body := open(t, client, d.callback(t, client, "u-eve", ""))
		require.Equal(t, 403, res.StatusCode)
		require.Contains(t, body, "Not a member")
		var refusals int
		require.NoError(t, d.clone.Admin(t).QueryRowContext(t.Context(), `select count(*) from audit_record where action = 'sign_in.refused'`).Scan(&refusals))
		require.Equal(t, 1, refusals, "a refusal is recorded")
	})
	d.down = true
	fresh := newWorldLike(t, d)
	res, body := open(t, browser(t, nil), fresh+"/sign-in/acme/"+d.issuerID)
	require.Equal(t, 503, res.StatusCode)
	require.Contains(t, body, "does not answer")
}

// newWorldLike serves the same world by a process that knows no issuer yet.
func newWorldLike(t *testing.T, d *door) string {
	t.Helper()
	again, err := web.New(d.cfg, d.areas)
	require.NoError(t, err)
	server := httptest.NewServer(again.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

func TestCookiesOverTLS(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	cfg := d.cfg
	cfg.PublicURL = &url.URL{Scheme: "https", Host: "tollbook.example"}
	again, err := web.New(cfg, d.areas)
	require.NoError(t, err)
	recorder := httptest.NewRecorder()
	again.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/sign-in/acme/"+d.issuerID, nil))
	require.Equal(t, http.StatusSeeOther, recorder.Code)
	require.Contains(t, recorder.Header().Get("Location"), url.QueryEscape("https://tollbook.example/sign-in/callback"))
	cookie := recorder.Result().Cookies()[0]
	require.Equal(t, "__Host-tollbook-sign-in", cookie.Name)
	require.True(t, cookie.Secure && cookie.HttpOnly && cookie.Path == "/" && cookie.SameSite == http.SameSiteLaxMode)
	require.NotEmpty(t, recorder.Header().Get("Strict-Transport-Security"))

	// A session from plain http does not count over TLS, and the other way round.
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(d.session(t, d.one, app.RoleAnalyst))
	recorder = httptest.NewRecorder()
	again.Handler().ServeHTTP(recorder, r)
	require.Equal(t, http.StatusSeeOther, recorder.Code)
}

func TestDoorsAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	last := 0
	for range 130 {
		last = w.do(request(http.MethodGet, "/sign-in/callback?state=x", "")).status
	}
	require.Equal(t, http.StatusTooManyRequests, last)
	r := request(http.MethodGet, "/sign-in/callback?state=x", "")
	r.RemoteAddr = "203.0.113.9:1"
	require.Equal(t, 401, w.do(r).status, "others are not held back")
}
