package oidc_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/simulator/issuer"
	"tollbook/web/oidc"
)

const (
	clientID     = "tollbook"
	clientSecret = "a client's secret"
	redirectURL  = "http://127.0.0.1:9/sign-in/callback"
)

// idp is a real issuer whose ID tokens a test may exchange for others.
type idp struct {
	url    string
	dir    string
	forge  func(idToken string) string
	client *http.Client
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	p := &idp{dir: t.TempDir(), client: &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	var serve http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(serve, w, r) }))
	t.Cleanup(server.Close)
	p.url = server.URL
	made, err := issuer.New(issuer.Config{
		URL: p.url, Dir: p.dir, ClientID: clientID, ClientSecret: clientSecret, RedirectURIs: []string{redirectURL},
		People: []issuer.Person{{Subject: "u-1", Name: "Ada", Email: "ada@acme.test"}},
	})
	require.NoError(t, err)
	serve = made.Handler()
	return p
}

func (p *idp) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/token" || p.forge == nil {
		next.ServeHTTP(w, r)
		return
	}
	recorder := httptest.NewRecorder()
	next.ServeHTTP(recorder, r)
	var document map[string]any
	_ = json.Unmarshal(recorder.Body.Bytes(), &document)
	if token, ok := document["id_token"].(string); ok {
		document["id_token"] = p.forge(token)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(recorder.Code)
	_ = json.NewEncoder(w).Encode(document)
}

// begin goes to the issuer and comes back with a code.
func (p *idp) begin(t *testing.T, provider *oidc.Provider) (*oidc.Session, url.Values) {
	t.Helper()
	session, err := provider.Begin("state-1")
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, session.AuthURL, nil)
	require.NoError(t, err)
	res, err := p.client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	back, err := url.Parse(res.Header.Get("Location"))
	require.NoError(t, err)
	return session, back.Query()
}

func (p *idp) provider(t *testing.T) *oidc.Provider {
	t.Helper()
	discovery := oidc.NewDiscovery(&http.Client{Timeout: 10 * time.Second}, time.Now)
	provider, err := discovery.Provider(t.Context(), oidc.Client{Name: "test", Issuer: p.url, ID: clientID, Secret: clientSecret, RedirectURL: redirectURL, LoginHint: "u-1"})
	require.NoError(t, err)
	return provider
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	provider := p.provider(t)
	session, answer := p.begin(t, provider)

	away, err := url.Parse(session.AuthURL)
	require.NoError(t, err)
	require.Equal(t, "S256", away.Query().Get("code_challenge_method"))
	require.Equal(t, "openid profile email", away.Query().Get("scope"))
	require.Equal(t, "state-1", answer.Get("state"))

	stored, err := provider.UnmarshalSession(session.Marshal()) // as it comes back from its ticket
	require.NoError(t, err)
	_, err = provider.FetchUser(stored)
	require.Error(t, err, "nobody before the code was exchanged")
	_, err = stored.Authorize(provider, answer)
	require.NoError(t, err)
	user, err := provider.FetchUser(stored)
	require.NoError(t, err)
	require.Equal(t, "u-1", user.UserID)
	require.Equal(t, "Ada", user.Name)
	require.NotEmpty(t, user.IDToken)
	require.Contains(t, user.RawData, "auth_time")

	_, err = stored.Authorize(provider, answer)
	require.Error(t, err, "a code works once")
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		forge func(t *testing.T, p *idp) func(string) string
	}{
		{"a signature that is none", func(*testing.T, *idp) func(string) string {
			return func(token string) string { return token[:strings.LastIndex(token, ".")+1] + "AAAA" }
		}},
		{"no signature at all", func(t *testing.T, _ *idp) func(string) string {
			return func(token string) string { return resign(t, token, nil, "none", nil) }
		}},
		{"our own secret as the key", func(t *testing.T, _ *idp) func(string) string {
			return func(token string) string { return resign(t, token, nil, "HS256", nil) }
		}},
		{"a stranger's key", func(t *testing.T, _ *idp) func(string) string {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			require.NoError(t, err)
			return func(token string) string { return resign(t, token, key, "RS256", nil) }
		}},
		{"another sign-in's nonce", with("nonce", "another")},
		{"no nonce", with("nonce", "")},
		{"another client", with("aud", "somebody-else")},
		{"another issuer", with("iss", "https://evil.example")},
		{"expired", with("exp", time.Now().Add(-time.Hour).Unix())},
		{"no token", func(*testing.T, *idp) func(string) string { return func(string) string { return "" } }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newIDP(t)
			provider := p.provider(t)
			session, answer := p.begin(t, provider)
			p.forge = c.forge(t, p)
			if _, err := session.Authorize(provider, answer); err != nil {
				return
			}
			_, err := provider.FetchUser(session)
			require.Error(t, err)
		})
	}
}

// with signs with the issuer's own key, so that only the claim is wrong.
func with(name string, value any) func(*testing.T, *idp) func(string) string {
	return func(t *testing.T, p *idp) func(string) string {
		return func(token string) string { return resign(t, token, p.key(t), "RS256", map[string]any{name: value}) }
	}
}

func (p *idp) key(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.dir, "issuer-key.pem"))
	require.NoError(t, err)
	block, _ := pem.Decode(raw)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	return key.(*rsa.PrivateKey)
}

func resign(t *testing.T, token string, key *rsa.PrivateKey, algorithm string, change map[string]any) string {
	t.Helper()
	parts := strings.Split(token, ".")
	header, claims := map[string]any{}, map[string]any{}
	decode(t, parts[0], &header)
	decode(t, parts[1], &claims)
	header["alg"] = algorithm
	maps.Copy(claims, change)
	signed := encode(t, header) + "." + encode(t, claims)
	var signature []byte
	switch algorithm {
	case "RS256":
		sum := sha256.Sum256([]byte(signed))
		var err error
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		require.NoError(t, err)
	case "HS256":
		mac := hmac.New(sha256.New, []byte(clientSecret))
		mac.Write([]byte(signed))
		signature = mac.Sum(nil)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func decode(t *testing.T, part string, into any) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, into))
}

func encode(t *testing.T, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestAnswersFromElsewhere(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	provider := p.provider(t)
	session, answer := p.begin(t, provider)
	session.Verifier = strings.Repeat("x", 43)
	_, err := session.Authorize(provider, answer)
	require.Error(t, err, "a code is worth nothing without its verifier")

	session, answer = p.begin(t, provider)
	answer.Set("iss", "https://evil.example")
	_, err = session.Authorize(provider, answer)
	require.Error(t, err)
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	asked := 0
	clock := time.Now()
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": server.URL, "authorization_endpoint": server.URL + "/a", "token_endpoint": server.URL + "/t", "jwks_uri": server.URL + "/j"})
	}))
	t.Cleanup(server.Close)
	discovery := oidc.NewDiscovery(&http.Client{Timeout: 10 * time.Second}, func() time.Time { return clock })
	for range 3 {
		_, err := discovery.Provider(t.Context(), oidc.Client{Issuer: server.URL, ID: clientID})
		require.NoError(t, err)
	}
	require.Equal(t, 1, asked, "kept")
	clock = clock.Add(6 * time.Minute)
	_, err := discovery.Provider(t.Context(), oidc.Client{Issuer: server.URL, ID: clientID})
	require.NoError(t, err)
	require.Equal(t, 2, asked, "asked again after minutes")
	_, err = discovery.Provider(t.Context(), oidc.Client{Issuer: server.URL + "/other", ID: clientID})
	require.Error(t, err, "an issuer that calls itself something else")

	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 64 {
			_, _ = w.Write([]byte(strings.Repeat(" ", 1<<16)))
		}
	}))
	t.Cleanup(endless.Close)
	_, err = discovery.Provider(t.Context(), oidc.Client{Issuer: endless.URL, ID: clientID})
	require.Error(t, err, "answers are read to a bound")
}
