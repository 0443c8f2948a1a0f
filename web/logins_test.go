package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

const (
	loginState    = "a-state-of-a-command-line"
	loginVerifier = "a-verifier-of-at-least-forty-three-characters-0"
)

// loopback is what a command line on this machine asks with, but for what is given.
func loopback(more url.Values) url.Values {
	sum := sha256.Sum256([]byte(loginVerifier))
	query := url.Values{"port": {"45678"}, "state": {loginState}, "challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "client": {"<laptop>"}}
	maps.Copy(query, more)
	return query
}

// machine asks as a command line does.
func (w *world) machine(t *testing.T, path, refresh string, form url.Values) (int, map[string]any) {
	t.Helper()
	r := request(http.MethodPost, "/oauth/"+path, form.Encode())
	r.Header.Del("Sec-Fetch-Site")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if refresh != "" {
		r.Header.Set("Authorization", "Bearer "+refresh)
	}
	got := w.do(r)
	require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	var document map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.body), &document), got.body)
	return got.status, document
}

// redeem turns where the browser was sent into what the command line gets.
func (w *world) redeem(t *testing.T, location string) (int, map[string]any) {
	t.Helper()
	back, err := url.Parse(location)
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:45678/callback", back.Scheme+"://"+back.Host+back.Path)
	require.Equal(t, loginState, back.Query().Get("state"))
	return w.machine(t, "token", "", url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "code_verifier": {loginVerifier}})
}

func TestACommandLineIsAllowedAtABrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.see(t, w.one, app.RoleDeveloper, "/login/acme?"+loopback(url.Values{"cost_center": {"AC-P1"}}).Encode())
	require.Equal(t, 200, page.status, page.body)
	for _, text := range []string{"Let this command line work as you?", "Propulsion developer, at Acme Rockets", "&lt;laptop&gt;", "23 Nov 2026 22:02", `<option value="AC-P1" selected`, "AC-11", "AC-20"} {
		require.Contains(t, page.body, text)
	}
	require.Contains(t, page.header.Get("Content-Security-Policy"), "form-action 'self' http://127.0.0.1:45678;")
	require.NotContains(t, w.see(t, w.one, app.RoleDeveloper, "/connect").header.Get("Content-Security-Policy"), "45678", "on that page alone")

	allowed := w.post(t, w.one, app.RoleDeveloper, "/login/acme", loopback(url.Values{"cost_center": {"AC-11"}, "decision": {"allow"}}))
	require.Equal(t, 303, allowed.status, allowed.body)
	status, got := w.redeem(t, allowed.header.Get("Location"))
	require.Equal(t, 200, status, got)
	require.Regexp(t, `^tbk_[a-z0-9]{32}$`, got["access_token"])
	require.EqualValues(t, 3600, got["expires_in"])
	refresh, _ := got["refresh_token"].(string)
	require.NotEmpty(t, refresh)
	status, got = w.redeem(t, allowed.header.Get("Location"))
	require.Equal(t, 400, status)
	require.Equal(t, "invalid_grant", got["error"])

	status, got = w.machine(t, "token", "", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	require.Equal(t, 200, status, got)
	require.Nil(t, got["refresh_token"], "it stays what it is")
	status, got = w.machine(t, "switch", refresh, url.Values{"cost_center": {"AC-20"}})
	require.Equal(t, 200, status, got)
	require.Equal(t, []any{"AC-11", "AC-20"}, []any{got["before"], got["cost_center"]})
	status, got = w.machine(t, "switch", refresh, url.Values{"cost_center": {"ZE-11"}})
	require.Equal(t, 400, status)
	require.Equal(t, "cost_center_absent", got["error"])
	status, got = w.machine(t, "status", refresh, nil)
	require.Equal(t, 200, status)
	require.Len(t, got["may_charge"], 3)
	for _, role := range []app.Role{app.RoleDeveloper, app.RoleEngineeringAdmin} {
		list := w.see(t, w.one, role, "/connect/logins")
		require.Contains(t, list.body, "&lt;laptop&gt;")
		require.Contains(t, list.body, "AC-20")
	}
	require.NotContains(t, w.see(t, w.two, app.RoleEngineeringAdmin, "/connect/logins").body, "laptop")
	for _, want := range []int{200, 401} {
		status, got = w.machine(t, "end", refresh, nil)
		require.Equal(t, want, status, got)
	}
	status, got = w.machine(t, "status", refresh, nil)
	require.Equal(t, 401, status)
	require.Equal(t, "login_expired", got["error"])
	require.NotContains(t, w.log.String(), refresh)
}

func TestALoginAskedForWronglyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name, target string
		role         app.Role
		status       int
		must         string
	}{
		{"a port that is another's", "/login/acme?" + loopback(url.Values{"port": {"80"}}).Encode(), app.RoleDeveloper, 422, "Run it again"},
		{"no port", "/login/acme?" + loopback(url.Values{"port": {"evil.test"}}).Encode(), app.RoleDeveloper, 422, "Run it again"},
		{"no state", "/login/acme?" + loopback(url.Values{"state": {"x\r\ny"}}).Encode(), app.RoleDeveloper, 422, "Run it again"},
		{"another company", "/login/zenith?" + loopback(nil).Encode(), app.RoleDeveloper, 403, "another company"},
		{"a role that changes nothing", "/login/acme?" + loopback(nil).Encode(), app.RoleAuditor, 403, "Not permitted"},
		{"a code nobody waits with", "/device?code=BCDF-GHJK", app.RoleDeveloper, 422, "No command line waits"},
		{"no code", "/device?code=1", app.RoleDeveloper, 422, "No command line waits"},
		{"a place for a code", "/device", app.RoleDeveloper, 200, "Eight letters"},
		{"nobody signed in", "/connect/logins", app.RoleDeveloper, 200, "Nobody is signed in from a command line"},
	} {
		got := w.see(t, w.one, c.role, c.target)
		require.Equal(t, c.status, got.status, c.name)
		require.Contains(t, got.body, c.must, c.name)
		wholesome(t, got)
		require.NotContains(t, got.body, "Zenith", c.name)
	}
	none := w.do(request(http.MethodGet, "/login/acme?"+loopback(nil).Encode(), ""))
	require.Equal(t, 303, none.status)
	require.True(t, strings.HasPrefix(none.header.Get("Location"), "/sign-in/acme?return_to=%2Flogin%2Facme%3F"), none.header.Get("Location"))

	bad := w.post(t, w.one, app.RoleDeveloper, "/login/acme", loopback(url.Values{"cost_center": {"ZE-11"}}))
	require.Equal(t, 422, bad.status)
	require.Contains(t, bad.body, `aria-invalid="true"`)
	require.Contains(t, bad.body, loginState, "what came stays")
	require.Equal(t, 422, w.post(t, w.one, app.RoleDeveloper, "/login/acme", loopback(url.Values{"cost_center": {"AC-11"}, "challenge": {"x"}})).status)
	denied := w.post(t, w.one, app.RoleDeveloper, "/login/acme", loopback(url.Values{"decision": {"deny"}}))
	require.Equal(t, "http://127.0.0.1:45678/callback?error=access_denied&state="+loginState, denied.header.Get("Location"))

	for path, form := range map[string]url.Values{
		"token": {"grant_type": {"password"}}, "status": nil, "switch": {"cost_center": {"AC-11"}}, "end": nil, "device_authorization": {"tenant": {"nobody"}},
	} {
		status, got := w.machine(t, path, "not-a-secret", form)
		require.GreaterOrEqual(t, status, 400, path)
		require.Less(t, status, 500, path)
		require.NotEmpty(t, got["error"], path)
		require.NotEmpty(t, got["error_description"], path)
	}
}

func TestADeviceIsAllowedByItsCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	status, asked := w.machine(t, "device_authorization", "", url.Values{"tenant": {"acme"}, "client": {"build box"}, "cost_center": {"AC-11"}})
	require.Equal(t, 200, status, asked)
	code, _ := asked["user_code"].(string)
	require.Equal(t, "http://127.0.0.1:8080/device", asked["verification_uri"])
	device, _ := asked["device_code"].(string)
	poll := func() (int, any) {
		status, got := w.machine(t, "token", "", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {device}})
		return status, got["error"]
	}
	status, reason := poll()
	require.Equal(t, 400, status)
	require.Equal(t, "authorization_pending", reason)
	require.Equal(t, 422, w.see(t, w.two, app.RoleDeveloper, "/device?code="+code).status, "another company's people see no such code")
	page := w.see(t, w.one, app.RoleDeveloper, "/device?code="+strings.ToLower(code))
	require.Equal(t, 200, page.status, page.body)
	for _, text := range []string{"build box", "it must be the one in your terminal", `<option value="AC-11" selected`} {
		require.Contains(t, page.body, text)
	}
	wrong := w.post(t, w.one, app.RoleDeveloper, "/device", url.Values{"code": {code}, "cost_center": {"AC-10"}})
	require.Equal(t, 422, wrong.status)
	require.Contains(t, wrong.body, "No cost center that you may charge")
	allow := url.Values{"code": {code}, "cost_center": {"AC-11"}}
	allowed := w.post(t, w.one, app.RoleDeveloper, "/device", allow)
	require.Equal(t, 200, allowed.status, allowed.body)
	require.Contains(t, allowed.body, "Go back to your terminal")
	require.Equal(t, 422, w.post(t, w.one, app.RoleDeveloper, "/device", allow).status, "once")
	status, _ = poll()
	require.Equal(t, 200, status)
}

func TestRightsToChargeAreGivenAndEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.see(t, w.one, app.RoleEngineeringAdmin, "/keys/rights")
	for _, text := range []string{"Propulsion developer", "everybody", "AC-10 / AC-11", "Give it"} {
		require.Contains(t, page.body, text)
	}
	require.NotContains(t, w.see(t, w.one, app.RoleAuditor, "/keys/rights").body, "Give it")
	give := func(role app.Role, email, node, reason string) answer {
		return w.post(t, w.one, role, "/keys/rights", url.Values{"email": {email}, "node": {node}, "reason": {reason}})
	}
	bad := give(app.RoleEngineeringAdmin, "developer@zenith.test", "AC-11", "x")
	require.Equal(t, 422, bad.status)
	require.Regexp(t, `value="developer@zenith.test"[^>]*aria-invalid="true"`, bad.body)
	require.Equal(t, 422, give(app.RoleEngineeringAdmin, app.Everybody, "ZE-11", "x").status)
	require.Equal(t, 422, give(app.RoleEngineeringAdmin, app.Everybody, "AC-P1", "").status, "a reason is asked for")
	require.Equal(t, 303, give(app.RoleEngineeringAdmin, "analyst@acme.test", "AC-P1", "x").status)
	require.Equal(t, 403, give(app.RoleAuditor, app.Everybody, "AC-11", "x").status)

	rights, err := w.areas.Rights.List(t.Context(), app.Command(w.one.tenant))
	require.NoError(t, err)
	theirs, err := w.areas.Rights.List(t.Context(), app.Command(w.two.tenant))
	require.NoError(t, err)
	why := url.Values{"reason": {"over"}}
	path, other := "/keys/rights/"+rights[0].ID.String()+"/end", "/keys/rights/"+theirs[0].ID.String()+"/end"
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, path).body, "Within a second every gateway refuses")
	require.Equal(t, 404, w.see(t, w.one, app.RoleFinanceAdmin, other).status)
	require.Equal(t, 404, w.post(t, w.one, app.RoleFinanceAdmin, other, why).status)
	require.Equal(t, 422, w.post(t, w.one, app.RoleFinanceAdmin, path, nil).status)
	require.Equal(t, 303, w.post(t, w.one, app.RoleFinanceAdmin, path, why).status)
	require.Equal(t, 404, w.see(t, w.one, app.RoleFinanceAdmin, path).status)
}

// TestAKeyThatStandsForSignInsIsShownAsThat is made by the first login that charges a
// cost center.
func TestAKeyThatStandsForSignInsIsShownAsThat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	back := w.post(t, w.one, app.RoleDeveloper, "/login/acme", loopback(url.Values{"cost_center": {"AC-11"}})).header.Get("Location")
	status, got := w.redeem(t, back)
	require.Equal(t, 200, status, got)
	book, err := w.areas.Keys.Browse(t.Context(), app.Command(w.one.tenant), app.KeyFilter{Text: "signed-in"})
	require.NoError(t, err)
	require.Len(t, book.Rows, 1)
	path := "/keys/" + book.Rows[0].ID.String()
	page := w.see(t, w.one, app.RoleEngineeringAdmin, path)
	require.Contains(t, page.body, "Nobody holds it")
	require.NotContains(t, page.body, "/revoke")
	require.Equal(t, 409, w.post(t, w.one, app.RoleEngineeringAdmin, path+"/revoke", url.Values{"reason": {"x"}}).status)
}
