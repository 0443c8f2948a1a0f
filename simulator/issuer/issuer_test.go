package issuer

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	verifier = "a-verifier-that-is-long-enough-to-be-taken-seriously"
	back     = "http://127.0.0.1:9999/callback?keep=1"
)

// provider is a running issuer with a clock that tests move.
type provider struct {
	issuer *Issuer
	url    string
	client *http.Client
	clock  atomic.Int64
}

func start(t *testing.T, redirects ...string) *provider {
	t.Helper()
	p := &provider{}
	p.clock.Store(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Unix())
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.url = server.URL + "/idp"
	var err error
	p.issuer, err = New(Config{
		URL: p.url, Dir: t.TempDir(), ClientID: "tollbook", ClientSecret: "s:e%c ret", RedirectURIs: redirects,
		People: []Person{
			{Subject: "ada", Name: "Ada <Controller>", Email: "Ada@meridian.test", Groups: []string{"controller", "finance"}},
			{Subject: "bob", Name: "Bob", Email: "bob@meridian.test"},
		},
		Now: func() time.Time { return time.Unix(p.clock.Load(), 0) },
	})
	require.NoError(t, err)
	mux.Handle("/idp/", http.StripPrefix("/idp", p.issuer.Handler()))
	p.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

	return p
}

func (p *provider) do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := p.client.Do(r.WithContext(t.Context()))
	require.NoError(t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())

	return res, string(raw)
}

func request(extra url.Values) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"tollbook"}, "redirect_uri": {back}, "scope": {"openid email groups"},
		"state": {"st&1"}, "nonce": {"n-1"}, "code_challenge": {base64URL(sum[:])}, "code_challenge_method": {"S256"},
	}
	for name, values := range extra {
		if values[0] == "" {
			q.Del(name)
		} else {
			q[name] = values
		}
	}

	return q
}

func (p *provider) authorize(t *testing.T, q url.Values) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, p.url+"/authorize?"+q.Encode(), nil)
	require.NoError(t, err)

	return p.do(t, r)
}

func (p *provider) post(t *testing.T, path string, form url.Values, basic ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, p.url+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if len(basic) == 2 {
		r.SetBasicAuth(url.QueryEscape(basic[0]), url.QueryEscape(basic[1]))
	}

	return p.do(t, r)
}

// signIn returns a code for ada.
func (p *provider) signIn(t *testing.T, extra url.Values) string {
	t.Helper()
	q := request(extra)
	q.Set("login_hint", "ada")
	res, text := p.authorize(t, q)
	require.Equal(t, http.StatusSeeOther, res.StatusCode, text)
	to, err := res.Location()
	require.NoError(t, err)
	require.Equal(t, "st&1", to.Query().Get("state"))
	require.Equal(t, "1", to.Query().Get("keep"))
	require.Equal(t, p.url, to.Query().Get("iss"))
	require.NotEmpty(t, to.Query().Get("code"))

	return to.Query().Get("code")
}

func tokenForm(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}, "code_verifier": {verifier},
		"client_id": {"tollbook"}, "client_secret": {"s:e%c ret"},
	}
}

// verify checks an ID token against the published keys, as a client would.
func (p *provider) verify(t *testing.T, token string) map[string]any {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, p.url+"/jwks", nil)
	require.NoError(t, err)
	_, raw := p.do(t, r)
	var set struct{ Keys []jwk }
	require.NoError(t, json.Unmarshal([]byte(raw), &set))
	require.Len(t, set.Keys, 1)
	modulus, err := base64.RawURLEncoding.DecodeString(set.Keys[0].N)
	require.NoError(t, err)
	exponent, err := base64.RawURLEncoding.DecodeString(set.Keys[0].E)
	require.NoError(t, err)
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	require.NoError(t, rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature))
	var header, claims map[string]any
	for i, into := range []*map[string]any{&header, &claims} {
		decoded, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(decoded, into))
	}
	require.Equal(t, "RS256", header["alg"])
	require.Equal(t, set.Keys[0].Kid, header["kid"])

	return claims
}

func TestWholeFlow(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, basic := range []bool{false, true} {
		code := p.signIn(t, nil)
		signedIn := p.clock.Load()
		p.clock.Add(30)
		form := tokenForm(code)
		var credentials []string
		if basic {
			form.Del("client_id")
			form.Del("client_secret")
			credentials = []string{"tollbook", "s:e%c ret"}
		}
		res, raw := p.post(t, "/token", form, credentials...)
		require.Equal(t, 200, res.StatusCode, raw)
		require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
		var tokens struct {
			AccessToken string `json:"access_token"`
			IDToken     string `json:"id_token"`
			TokenType   string `json:"token_type"`
		}
		require.NoError(t, json.Unmarshal([]byte(raw), &tokens))
		require.Equal(t, "Bearer", tokens.TokenType)
		claims := p.verify(t, tokens.IDToken)
		require.EqualValues(t, signedIn, claims["auth_time"])
		require.EqualValues(t, p.clock.Load(), claims["iat"])
		require.EqualValues(t, p.clock.Load()+600, claims["exp"])
		for name, want := range map[string]any{
			"iss": p.url, "aud": "tollbook", "sub": "ada", "nonce": "n-1", "name": "Ada <Controller>", "email": "Ada@meridian.test",
			"email_verified": true, "groups": []any{"controller", "finance"},
		} {
			require.Equal(t, want, claims[name], name)
		}
		r, err := http.NewRequest(http.MethodGet, p.url+"/userinfo", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
		res, raw = p.do(t, r)
		require.Equal(t, 200, res.StatusCode)
		require.Contains(t, raw, `"sub":"ada"`)
	}
}

// TestAFreshSignInAsksThePerson is for a client that wants to know that somebody is there.
func TestAFreshSignInAsksThePerson(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, fresh := range []url.Values{{"max_age": {"0"}}, {"prompt": {"login"}}, {"max_age": {"0"}, "prompt": {"login"}}, {"prompt": {"select_account"}}} {
		q := request(fresh)
		q.Set("login_hint", "bob")
		res, html := p.authorize(t, q)
		require.Equal(t, 200, res.StatusCode, "a hint signs nobody in")
		require.Contains(t, html, "Sign in again")
		require.Less(t, strings.Index(html, `value="bob"`), strings.Index(html, `value="ada"`), "whom the hint names comes first")
		require.NotContains(t, html, "Nobody here is known")
		for name, values := range fresh {
			require.Contains(t, html, `name="`+name+`" value="`+values[0]+`"`, "it is asked for again with the button")
		}

		p.clock.Add(45)
		pressed := p.clock.Load()
		q.Set("person", "bob")
		res, _ = p.post(t, "/authorize", q)
		require.Equal(t, http.StatusSeeOther, res.StatusCode)
		to, err := res.Location()
		require.NoError(t, err)
		p.clock.Add(20)
		_, raw := p.post(t, "/token", tokenForm(to.Query().Get("code")))
		var tokens struct {
			IDToken string `json:"id_token"`
		}
		require.NoError(t, json.Unmarshal([]byte(raw), &tokens))
		claims := p.verify(t, tokens.IDToken)
		require.EqualValues(t, pressed, claims["auth_time"], "when the button was pressed")
		require.Equal(t, "n-1", claims["nonce"])
		require.Equal(t, "bob", claims["sub"])
	}
	q := request(url.Values{"prompt": {"none"}, "max_age": {"0"}})
	q.Set("login_hint", "ada")
	res, _ := p.authorize(t, q)
	to, err := res.Location()
	require.NoError(t, err)
	require.Equal(t, "login_required", to.Query().Get("error"))
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	p := start(t)
	r, err := http.NewRequest(http.MethodGet, p.url+"/.well-known/openid-configuration", nil)
	require.NoError(t, err)
	_, raw := p.do(t, r)
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(raw), &doc))
	require.Equal(t, p.url, doc["issuer"])
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"} {
		require.True(t, strings.HasPrefix(doc[name].(string), p.url+"/"), name)
	}
	require.Equal(t, []any{"S256"}, doc["code_challenge_methods_supported"])
}

func TestPage(t *testing.T) {
	t.Parallel()
	p := start(t)
	res, html := p.authorize(t, request(nil))
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "default-src 'none'; style-src 'self'; form-action 'self' http://127.0.0.1:9999; base-uri 'none'; frame-ancestors 'none'",
		res.Header.Get("Content-Security-Policy"))
	require.Contains(t, html, `name="person" value="ada"`)
	require.Contains(t, html, "Ada &lt;Controller&gt;")
	require.Contains(t, html, `value="st&amp;1"`)
	require.Contains(t, html, `href="/idp/style.css"`)
	require.NotContains(t, html, "<script")
	require.NotContains(t, html, "style=")
	_, html = p.authorize(t, request(url.Values{"login_hint": {"nobody"}}))
	require.Contains(t, html, "Nobody here is known as nobody.")

	form := request(nil)
	form.Set("person", "bob")
	res, _ = p.post(t, "/authorize", form)
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	to, err := res.Location()
	require.NoError(t, err)
	res, raw := p.post(t, "/token", tokenForm(to.Query().Get("code")))
	require.Equal(t, 200, res.StatusCode, raw)
	require.Contains(t, raw, "id_token")

	r, err := http.NewRequest(http.MethodGet, p.url+"/style.css", nil)
	require.NoError(t, err)
	res, _ = p.do(t, r)
	require.Equal(t, "text/css; charset=utf-8", res.Header.Get("Content-Type"))
}

func TestAuthorizeFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change url.Values
		want   string // OAuth error; "" = a page, never a redirect
	}{
		"client":         {url.Values{"client_id": {"x"}}, ""},
		"redirect":       {url.Values{"redirect_uri": {"https://evil.test/cb"}}, ""},
		"no redirect":    {url.Values{"redirect_uri": {""}}, ""},
		"user in it":     {url.Values{"redirect_uri": {"http://a@127.0.0.1/cb"}}, ""},
		"twice":          {url.Values{"state": {"a", "b"}}, ""},
		"response type":  {url.Values{"response_type": {"token"}}, "unsupported_response_type"},
		"scope":          {url.Values{"scope": {"email"}}, "invalid_scope"},
		"no PKCE":        {url.Values{"code_challenge": {""}}, "invalid_request"},
		"plain PKCE":     {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		"max_age":        {url.Values{"max_age": {"-1"}}, "invalid_request"},
		"prompt none":    {url.Values{"prompt": {"none"}}, "login_required"},
		"prompt mixture": {url.Values{"prompt": {"none login"}}, "invalid_request"},
		"response mode":  {url.Values{"response_mode": {"fragment"}}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			res, html := p.authorize(t, request(tc.change))
			if tc.want == "" {
				require.Equal(t, http.StatusBadRequest, res.StatusCode)
				require.Contains(t, html, "cannot be answered")

				return
			}
			to, err := res.Location()
			require.NoError(t, err)
			require.Equal(t, tc.want, to.Query().Get("error"))
			require.Equal(t, "st&1", to.Query().Get("state"))
			require.Empty(t, to.Query().Get("code"))
		})
	}
}

func TestExactRedirects(t *testing.T) {
	t.Parallel()
	p := start(t, "https://tollbook.test/callback")
	res, _ := p.authorize(t, request(url.Values{"login_hint": {"ada"}}))
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	res, _ = p.authorize(t, request(url.Values{"login_hint": {"ADA@meridian.test"}, "redirect_uri": {"https://tollbook.test/callback"}}))
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
}

func TestTokenFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change url.Values
		wait   int64
		status int
		want   string
	}{
		"secret":   {url.Values{"client_secret": {"x"}}, 0, 401, "invalid_client"},
		"client":   {url.Values{"client_id": {"x"}}, 0, 401, "invalid_client"},
		"grant":    {url.Values{"grant_type": {"password"}}, 0, 400, "unsupported_grant_type"},
		"code":     {url.Values{"code": {"x"}}, 0, 400, "invalid_grant"},
		"verifier": {url.Values{"code_verifier": {"x"}}, 0, 400, "invalid_grant"},
		"redirect": {url.Values{"redirect_uri": {"http://127.0.0.1:1/"}}, 0, 400, "invalid_grant"},
		"too late": {nil, 60, 400, "invalid_grant"},
		"in time":  {nil, 59, 200, "id_token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			form := tokenForm(p.signIn(t, nil))
			maps.Copy(form, tc.change)
			p.clock.Add(tc.wait)
			res, raw := p.post(t, "/token", form)
			require.Equal(t, tc.status, res.StatusCode)
			require.Contains(t, raw, tc.want)
		})
	}
}

func TestCodeWorksOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	form := tokenForm(p.signIn(t, nil))
	res, _ := p.post(t, "/token", form)
	require.Equal(t, 200, res.StatusCode)
	res, raw := p.post(t, "/token", form)
	require.Equal(t, 400, res.StatusCode)
	require.Contains(t, raw, "invalid_grant")
}

func TestUserInfoNeedsAToken(t *testing.T) {
	t.Parallel()
	p := start(t)
	r, err := http.NewRequest(http.MethodGet, p.url+"/userinfo", nil)
	require.NoError(t, err)
	res, _ := p.do(t, r)
	require.Equal(t, 401, res.StatusCode)
	require.Contains(t, res.Header.Get("WWW-Authenticate"), "invalid_token")
}

func TestVaultIsBounded(t *testing.T) {
	t.Parallel()
	v, now := newVault[int](3, time.Minute), time.Unix(0, 0)
	var kept []string
	for i := range 5 {
		kept = append(kept, v.put(i, now))
	}
	require.LessOrEqual(t, len(v.items), 3)
	_, found := v.get(kept[0], now)
	require.False(t, found)
	got, found := v.take(kept[4], now)
	require.True(t, found)
	require.Equal(t, 4, got)
	_, found = v.take(kept[4], now)
	require.False(t, found)
	v.put(9, now.Add(time.Hour))
	require.Len(t, v.items, 1)
	require.Len(t, v.queue, 1)
}

func TestKeyIsKept(t *testing.T) {
	t.Parallel()
	cfg := Config{URL: "http://127.0.0.1:1/idp", Dir: t.TempDir(), ClientID: "c", ClientSecret: "s"}
	first, err := New(cfg)
	require.NoError(t, err)
	second, err := New(cfg)
	require.NoError(t, err)
	require.Equal(t, first.keyID, second.keyID)
	stat, err := os.Stat(filepath.Join(cfg.Dir, "issuer-key.pem"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), stat.Mode().Perm())
	require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, "issuer-key.pem"), []byte("x"), 0o600))
	_, err = New(cfg)
	require.ErrorContains(t, err, "no PEM block")
}

func TestConfigReportsEverything(t *testing.T) {
	t.Parallel()
	_, err := New(Config{URL: "http://example.com/idp/", People: []Person{{Subject: "a"}, {Subject: "a"}}})
	for _, want := range []string{"URL", "Dir", "ClientID", "used twice"} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(Config{URL: "http://example.com/idp", Dir: t.TempDir(), ClientID: "c", ClientSecret: "s"})
	require.ErrorContains(t, err, "http on loopback")
}
