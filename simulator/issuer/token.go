package issuer

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func (i *Issuer) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                i.cfg.URL,
		"authorization_endpoint":                i.cfg.URL + "/authorize",
		"token_endpoint":                        i.cfg.URL + "/token",
		"userinfo_endpoint":                     i.cfg.URL + "/userinfo",
		"jwks_uri":                              i.cfg.URL + "/jwks",
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"grant_types_supported":                 []string{"authorization_code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "profile", "email", "groups"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":      []string{"S256"},
		"prompt_values_supported":               []string{"none", "login", "select_account"},
		"claims_supported": []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name", "email", "email_verified", "groups",
		},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	key := publicJWK(&i.key.PublicKey)
	key.Alg, key.Kid, key.Use = "RS256", i.keyID, "sig"
	writeJSON(w, http.StatusOK, map[string][]jwk{"keys": {key}})
}

// serveToken exchanges a code. The code is spent by the first client that presents
// it with the right secret, whether or not the rest of its request is right.
func (i *Issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormSize)
	if err := r.ParseForm(); err != nil {
		writeOAuthError(w, http.StatusBadRequest, "invalid_request", "the form could not be read")

		return
	}
	if !i.clientKnown(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="issuer"`)
		writeOAuthError(w, http.StatusUnauthorized, "invalid_client", "unknown client or wrong secret")

		return
	}
	form := r.PostForm
	if form.Get("grant_type") != "authorization_code" {
		writeOAuthError(w, http.StatusBadRequest, "unsupported_grant_type", "grant_type must be authorization_code")

		return
	}
	now := i.cfg.Now()
	g, found := i.codes.take(form.Get("code"), now)
	if !found {
		writeOAuthError(w, http.StatusBadRequest, "invalid_grant", "the code is unknown, expired or used")

		return
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if g.redirect != form.Get("redirect_uri") || !equal(base64URL(sum[:]), g.challenge) {
		writeOAuthError(w, http.StatusBadRequest, "invalid_grant", "redirect_uri or code_verifier does not belong to the code")

		return
	}
	idToken, err := i.sign(i.idClaims(g, now))
	if err != nil {
		writeOAuthError(w, http.StatusInternalServerError, "server_error", "the token could not be signed")

		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": i.tokens.put(g.person, now), "token_type": "Bearer", "expires_in": int(tokenLife / time.Second),
		"id_token": idToken, "scope": g.scope,
	})
}

// clientKnown accepts the secret in the form or as Basic, whose halves are form
// encoded (RFC 6749, 2.3.1).
func (i *Issuer) clientKnown(r *http.Request) bool {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, basic := r.BasicAuth(); basic {
		var err error
		if id, err = url.QueryUnescape(user); err != nil {
			return false
		}
		if secret, err = url.QueryUnescape(password); err != nil {
			return false
		}
	}

	return equal(id, i.cfg.ClientID) && equal(secret, i.cfg.ClientSecret)
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (i *Issuer) idClaims(g grant, now time.Time) map[string]any {
	claims := personClaims(g.person)
	claims["iss"] = i.cfg.URL
	claims["aud"] = i.cfg.ClientID
	claims["iat"] = now.Unix()
	claims["exp"] = now.Add(tokenLife).Unix()
	claims["auth_time"] = g.signedIn.Unix()
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}

	return claims
}

func personClaims(p Person) map[string]any {
	groups := p.Groups
	if groups == nil {
		groups = []string{}
	}

	return map[string]any{
		"sub": p.Subject, "name": p.Name, "email": p.Email, "email_verified": p.Email != "", "groups": groups,
	}
}

func (i *Issuer) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	who, found := i.tokens.get(token, i.cfg.Now())
	if !bearer || !found {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		writeOAuthError(w, http.StatusUnauthorized, "invalid_token", "the access token is unknown or expired")

		return
	}
	writeJSON(w, http.StatusOK, personClaims(who))
}

func writeOAuthError(w http.ResponseWriter, status int, code, reason string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": reason})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) //nolint:errchkjson // a client that left is the only way it fails
}
