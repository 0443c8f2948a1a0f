package web_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/secret"
)

// pass lets the issuer answer, and a test change its ID tokens.
func (d *door) pass(idp http.Handler, w http.ResponseWriter, r *http.Request) {
	if d.forge == nil || r.URL.Path != "/token" {
		idp.ServeHTTP(w, r)
		return
	}
	recorder := httptest.NewRecorder()
	idp.ServeHTTP(recorder, r)
	document := map[string]any{}
	_ = json.Unmarshal(recorder.Body.Bytes(), &document)
	if token, ok := document["id_token"].(string); ok {
		document["id_token"] = d.forge(token)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(recorder.Code)
	_ = json.NewEncoder(w).Encode(document)
}

// resigned changes a claim and signs with a key; nil is the issuer's own.
func (d *door) resigned(t *testing.T, key *rsa.PrivateKey, claim string, value any) func(string) string {
	t.Helper()
	if key == nil {
		raw, err := os.ReadFile(filepath.Join(d.keyDir, "issuer-key.pem"))
		require.NoError(t, err)
		block, _ := pem.Decode(raw)
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		require.NoError(t, err)
		key = parsed.(*rsa.PrivateKey)
	}
	return func(token string) string {
		parts := strings.Split(token, ".")
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		require.NoError(t, err)
		claims := map[string]any{}
		require.NoError(t, json.Unmarshal(raw, &claims))
		if claims[claim] = value; value == nil {
			delete(claims, claim)
		}
		changed, err := json.Marshal(claims)
		require.NoError(t, err)
		signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(changed)
		sum := sha256.Sum256([]byte(signed))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		require.NoError(t, err)
		return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
}

func (d *door) signUp(person string) string {
	return d.site + "/sign-up/start?" + url.Values{"login_hint": {person}}.Encode()
}

// vouching goes to the issuer and stays before coming back.
func (d *door) vouching(t *testing.T, client *http.Client, person string) string {
	t.Helper()
	client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/sign-in/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	res, body := open(t, client, d.signUp(person))
	require.Equal(t, http.StatusSeeOther, res.StatusCode, body)
	client.CheckRedirect = nil
	return res.Header.Get("Location")
}

// send posts a form as a browser does from the page itself, or from another site.
func send(t *testing.T, client *http.Client, target string, form url.Values, site string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", site)
	res, err := client.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

func companyFields(name, slug, zone string) url.Values {
	return url.Values{"name": {name}, "slug": {slug}, "time_zone": {zone}}
}

func TestAPersonFoundsACompanyAndComesBack(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	client := browser(t, nil)
	_, body := open(t, client, d.site+"/sign-in")
	require.Contains(t, body, `href="/sign-up"`)
	_, body = open(t, client, d.site+"/sign-up")
	require.Contains(t, body, "Continue with Vouch")
	res, body := open(t, client, d.signUp("u-noor"))
	require.Equal(t, "/sign-up/company", res.Request.URL.Path, body)
	require.Contains(t, body, "You are Noor, noor@acme.test.")
	require.Contains(t, body, d.site+"/gw/")
	require.Contains(t, body, "tenant owner and engineering admin")

	post := func(form url.Values) (*http.Response, string) {
		return send(t, client, d.site+"/sign-up/company", form, "same-origin")
	}
	for _, bad := range []struct {
		form url.Values
		must []string
	}{
		{companyFields("", "harbor", "UTC"), []string{"A name has 1 to 200 bytes", `value="harbor"`}},
		{companyFields("Harbor & Sons", "Not a slug", "UTC"), []string{"2 to 40 lower-case letters", `value="Harbor &amp; Sons"`, `value="not a slug"`}},
		{companyFields("Harbor", "acme", "UTC"), []string{"is taken. Choose another", `value="acme"`}},
		{companyFields("Harbor", "callback", "UTC"), []string{"is taken. Choose another"}},
		{companyFields("Harbor", "harbor", "Mars/Olympus"), []string{"is no time zone", `value="Mars/Olympus"`}},
		{companyFields("Acme", "", "UTC"), []string{"This short name is free", `value="acme-2"`}},
	} {
		res, body := post(bad.form)
		require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode, body)
		for _, word := range append(bad.must, `aria-invalid="true"`, `role="alert"`) {
			require.Contains(t, body, word)
		}
	}
	for i, bad := range junk(d.two) {
		for j, field := range []string{"name", "slug", "time_zone"} {
			if !turn(i, j) {
				continue
			}
			form := companyFields("Harbor", "acme", "Mars/Olympus") // refused, whatever one field holds
			form.Set(field, bad)
			res, body := post(form)
			require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode, "%s is %.40q: %s", field, bad, body)
		}
	}
	site, err := url.Parse(d.site)
	require.NoError(t, err)
	before := client.Jar.Cookies(site)
	res, body = post(companyFields("Harbor Works", "harbor", "Europe/Oslo"))
	require.Equal(t, []any{200, "/setup"}, []any{res.StatusCode, res.Request.URL.Path}, body)
	for _, word := range []string{"First set-up", "1 of 6", "Engineering admin, Tenant owner", "Harbor Works", "Europe/Oslo"} {
		require.Contains(t, body, word)
	}
	res, body = post(companyFields("Harbor Two", "harbor-two", "UTC"))
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "the form founds once: %s", body)
	for _, cookie := range before {
		if cookie.Name == "tollbook-sign-up" {
			client.Jar.SetCookies(site, []*http.Cookie{cookie})
		}
	}
	res, body = post(companyFields("Harbor Two", "harbor-two", "UTC"))
	require.Equal(t, "/setup", res.Request.URL.Path, "sent twice, it leads to the company it founded")
	require.Contains(t, body, "Harbor Works")

	// Signed out, the founder comes back by the door of the company, and nobody else does.
	_, _ = send(t, client, d.site+"/sign-out", nil, "same-origin")
	_, body = open(t, client, d.site+"/sign-in/harbor")
	issuer := attributes(body, "href")
	door := ""
	for _, link := range issuer {
		if strings.HasPrefix(link, "/sign-in/harbor/iss_") {
			door = link
		}
	}
	require.NotEmpty(t, door, body)
	res, body = open(t, client, d.site+door+"?login_hint=u-noor")
	require.Equal(t, 200, res.StatusCode, body)
	require.Contains(t, body, "First set-up")
	res, body = open(t, browser(t, nil), d.site+door+"?login_hint=u-eve")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.Contains(t, body, "Not a member")

	// A second company of the same person: they are in it, and may switch back.
	_, _ = open(t, client, d.signUp("u-noor"))
	res, body = post(companyFields("Harbor Two", "harbor-two", "UTC"))
	require.Equal(t, "/setup", res.Request.URL.Path, body)
	require.Contains(t, body, `value="harbor"`)
	res, body = send(t, client, d.site+"/switch", url.Values{"tenant": {"harbor"}}, "same-origin")
	require.Equal(t, 200, res.StatusCode, body)
	require.Contains(t, body, "Harbor Works")
}

func TestSignUpIsRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	admin := d.clone.Admin(t)
	count := func(table string) (n int) {
		require.NoError(t, admin.QueryRowContext(t.Context(), `select count(*) from `+table).Scan(&n))
		return n
	}
	tenants, members := count("tenant"), count("member")
	refused := func(t *testing.T, client *http.Client, target string, status int, word string) {
		t.Helper()
		res, body := open(t, client, target)
		require.Equal(t, status, res.StatusCode, body)
		require.Contains(t, body, word)
		require.Contains(t, body, `href="/sign-up"`, "and says where to begin again")
	}
	t.Run("a callback used twice", func(t *testing.T) {
		client := browser(t, nil)
		back := d.vouching(t, client, "u-noor")
		res, _ := open(t, client, back)
		require.Equal(t, "/sign-up/company", res.Request.URL.Path)
		refused(t, client, back, 401, "expired or was used already")
	})
	t.Run("another browser", func(t *testing.T) {
		refused(t, browser(t, nil), d.vouching(t, browser(t, nil), "u-noor"), 401, "Start again")
	})
	t.Run("another's code with one's own state", func(t *testing.T) {
		victim, attacker := browser(t, nil), browser(t, nil)
		theirs, err := url.Parse(d.vouching(t, victim, "u-noor"))
		require.NoError(t, err)
		mine, err := url.Parse(d.vouching(t, attacker, "u-eve"))
		require.NoError(t, err)
		query := mine.Query()
		query.Set("code", theirs.Query().Get("code"))
		mine.RawQuery = query.Encode()
		refused(t, attacker, mine.String(), 401, "could not be verified")
	})
	t.Run("a sign-in's state", func(t *testing.T) {
		client := browser(t, nil)
		back := d.callback(t, client, "u-ada", "")
		client.CheckRedirect = nil
		refused(t, client, strings.Replace(back, "state=sig_", "state=sup_", 1), 401, "expired or was used already")
		back = strings.Replace(d.vouching(t, client, "u-ada"), "state=sup_", "state=sig_", 1)
		res, body := open(t, client, back)
		require.Equal(t, 401, res.StatusCode, body)
	})
	t.Run("the issuer refuses", func(t *testing.T) {
		client := browser(t, nil)
		refused(t, client, strings.Replace(d.vouching(t, client, "u-noor"), "code=", "error=access_denied&x=", 1), 401, "did not sign you in")
	})
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, c := range []struct {
		name, claim string
		key         *rsa.PrivateKey
		value       any
		status      int
		word        string
	}{
		{"another issuer's token", "iss", nil, "https://evil.test", 401, "could not be verified"},
		{"a token for another client", "aud", nil, "somebody", 401, "could not be verified"},
		{"a token of before", "exp", nil, now().Add(-time.Hour).Unix(), 401, "could not be verified"},
		{"another sign-up's nonce", "nonce", nil, "another", 401, "could not be verified"},
		{"a stranger's signature", "name", stranger, "Noor", 401, "could not be verified"},
		{"an address that is not verified", "email_verified", nil, false, 403, "does not say that your e-mail address is verified"},
		{"an address nobody says is verified", "email_verified", nil, nil, 403, "does not say that your e-mail address is verified"},
		{"a word for it", "email_verified", nil, "true", 403, "does not say that your e-mail address is verified"},
		{"no address", "email", nil, nil, 403, "does not say that your e-mail address is verified"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := browser(t, nil)
			back := d.vouching(t, client, "u-noor")
			d.forge = d.resigned(t, c.key, c.claim, c.value)
			defer func() { d.forge = nil }()
			refused(t, client, back, c.status, c.word)
			res, _ := open(t, client, d.site+"/sign-up/company")
			require.Equal(t, 401, res.StatusCode, "and there is no form")
		})
	}
	t.Run("the form from another site, and without anybody", func(t *testing.T) {
		client := browser(t, nil)
		_, _ = open(t, client, d.signUp("u-noor"))
		res, _ := send(t, client, d.site+"/sign-up/company", companyFields("Forged", "forged", "UTC"), "cross-site")
		require.Equal(t, 403, res.StatusCode)
		res, _ = send(t, browser(t, nil), d.site+"/sign-up/company", companyFields("Forged", "forged", "UTC"), "same-origin")
		require.Equal(t, 401, res.StatusCode)
	})
	t.Run("a company that is there", func(t *testing.T) {
		client := browser(t, nil)
		_, _ = open(t, client, d.signUp("u-eve"))
		for _, slug := range []string{"acme", "ACME", " acme "} {
			res, body := send(t, client, d.site+"/sign-up/company", companyFields("Acme Rockets", slug, "UTC"), "same-origin")
			require.Equal(t, 422, res.StatusCode, body)
		}
		res, _ := open(t, client, d.site+"/setup")
		require.Equal(t, "/sign-in", res.Request.URL.Path, "nobody is signed in")
	})
	require.Equal(t, []int{tenants, members}, []int{count("tenant"), count("member")})
	d.down = true
	d.rebuild(t) // it has asked nobody yet
	got := d.do(request(http.MethodGet, "/sign-up/start", ""))
	require.Equal(t, 503, got.status)
	require.Contains(t, got.body, "does not answer")
}

func TestAPersonFoundsAtMostSoMany(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	rules := signUpRules(d.idp)
	rules.PerPerson = 1
	d.areas.SignUps = d.signUps(rules)
	d.rebuild(t)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.web.Handler().ServeHTTP(w, r) }))
	t.Cleanup(site.Close)
	early, late := browser(t, nil), browser(t, nil)
	for _, client := range []*http.Client{early, late} {
		back := strings.Replace(d.vouching(t, client, "u-noor"), d.site, site.URL, 1)
		res, body := open(t, client, back)
		require.Equal(t, 200, res.StatusCode, body)
	}
	res, _ := send(t, early, site.URL+"/sign-up/company", companyFields("First", "first-one", "UTC"), "same-origin")
	require.Equal(t, "/setup", res.Request.URL.Path)
	res, body := send(t, late, site.URL+"/sign-up/company", companyFields("Second", "second-one", "UTC"), "same-origin")
	require.Equal(t, 429, res.StatusCode, body)
	require.Contains(t, body, "as many companies here as one person may (1)")
	require.Contains(t, body, `value="second-one"`)
	client := browser(t, nil)
	res, body = open(t, client, strings.Replace(d.vouching(t, client, "u-noor"), d.site, site.URL, 1))
	require.Equal(t, 429, res.StatusCode, body)
	require.Contains(t, body, "ask whoever runs this installation")
}

// TestWhereSignUpIsOffThereIsNoSuchPage compares with a page that never was.
func TestWhereSignUpIsOffThereIsNoSuchPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.areas.SignUps = w.signUps(nil)
	w.rebuild(t)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		nowhere := w.do(request(method, "/nowhere", ""))
		require.Equal(t, http.StatusNotFound, nowhere.status)
		for _, path := range []string{"/sign-up", "/sign-up/start", "/sign-up/company"} {
			got := w.do(request(method, path, ""))
			require.Equal(t, []any{nowhere.status, nowhere.body}, []any{got.status, got.body}, "%s %s", method, path)
		}
	}
	require.NotContains(t, w.do(request(http.MethodGet, "/sign-in", "")).body, "sign-up")
	made := w.do(request(http.MethodGet, "/sign-in/callback?code=c&state=x.y.z", ""))
	require.Equal(t, made, w.do(request(http.MethodGet, "/sign-in/callback?code=c&state=sup_0123456789abcdef0123456789abcdef.z", "")))
	for _, route := range w.web.Routes() {
		require.NotContains(t, route.Path, "sign-up")
	}
	require.Equal(t, 200, w.see(t, w.one, app.RoleTenantOwner, "/setup").status, "the set-up is for every company")
}

func TestSignUpIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	last := answer{}
	for range 130 {
		last = w.do(request(http.MethodPost, "/sign-up/company", "name=x"))
	}
	require.Equal(t, http.StatusTooManyRequests, last.status)
	require.Equal(t, http.StatusTooManyRequests, w.do(request(http.MethodGet, "/sign-up/start", "")).status)
}

// TestAnotherIssuersAnswerTellsAFoundedCompanyNothing has a company, which anybody may
// found, send who signs in there on to another company's issuer, with an attempt of its
// own: the code that comes back must not get to where the company names.
func TestAnotherIssuersAnswerTellsAFoundedCompanyNothing(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	var got string
	var theirs *httptest.Server
	theirs = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			got = r.FormValue("code")
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": theirs.URL, "authorization_endpoint": theirs.URL + "/authorize", "token_endpoint": theirs.URL + "/token", "jwks_uri": theirs.URL + "/keys"})
	}))
	t.Cleanup(theirs.Close)
	founder := browser(t, nil)
	_, _ = open(t, founder, d.signUp("u-noor"))
	res, body := send(t, founder, d.site+"/sign-up/company", companyFields("Mallory", "mallory", "UTC"), "same-origin")
	require.Equal(t, 200, res.StatusCode, body)
	tenant, _, err := d.areas.Tenants.BySlug(t.Context(), "mallory")
	require.NoError(t, err)
	// The command line, because a test's issuer has no certificate.
	made, err := d.areas.SignIns.AddIssuer(t.Context(), app.Command(tenant), app.Issuer{Name: "Theirs", URL: theirs.URL, ClientID: "c", Secret: secret.NewText("s")}, "to mix up")
	require.NoError(t, err)
	_, body = open(t, founder, d.site+"/members/issuers")
	require.Contains(t, body, d.site+"/sign-in/callback/"+tenant.String(), "what to register")

	away := func(client *http.Client, target string) url.Values {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		res, body := open(t, client, target)
		require.Equal(t, http.StatusSeeOther, res.StatusCode, body)
		to, err := url.Parse(res.Header.Get("Location"))
		require.NoError(t, err)
		return to.Query()
	}
	attacker, victim := browser(t, nil), browser(t, nil)
	asked := away(attacker, d.start("u-ada", ""))
	mixed := away(victim, d.site+"/sign-in/mallory/"+made.String())
	require.Equal(t, d.site+"/sign-in/callback/"+tenant.String(), mixed.Get("redirect_uri"))
	state := asked.Get("state")
	asked.Set("state", mixed.Get("state"))
	back := away(victim, d.idp+"/authorize?"+asked.Encode())
	back.Del("iss") // many issuers do not say who they are
	require.NotEmpty(t, back.Get("code"))
	res, _ = open(t, victim, d.site+"/sign-in/callback?"+back.Encode())
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	require.Empty(t, got, "the code went to who must not have it")
	res, _ = open(t, attacker, d.site+"/sign-in/callback?"+url.Values{"state": {state}, "code": {got}}.Encode())
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "and nobody signs in with it")

	// An answer that arrives where its issuer's do is taken to that issuer.
	mixed = away(victim, d.site+"/sign-in/mallory/"+made.String())
	_, _ = open(t, victim, mixed.Get("redirect_uri")+"?"+url.Values{"state": {mixed.Get("state")}, "code": {"theirs"}}.Encode())
	require.Equal(t, "theirs", got)
}
