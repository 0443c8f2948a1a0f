package web_test

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// stepUp is a door whose company approves prices with a fresh sign-in.
type stepUp struct {
	*door
	change app.ChangeView
}

func newStepUp(t *testing.T) *stepUp {
	t.Helper()
	d := &stepUp{door: newDoor(t)}
	ctx, owner := t.Context(), d.who(t, d.one, app.RoleController)
	asked, err := d.areas.Approvals.Propose(ctx, d.who(t, d.one, app.RoleFinanceAdmin), app.Ask{Kind: "policies", Reason: "prices are signed", Payload: []byte(
		`{"policies":[{"code":"signed","kinds":["prices"],"fresh_sign_in":true,"expire_days":10,"steps":[{"name":"Finance","quorum":1,"who":[{"role":"finance_admin"}]}]}]}`)}, "")
	require.NoError(t, err)
	_, err = d.areas.Approvals.Decide(ctx, owner, asked.ID, approval.VerdictApprove, asked.Digest, "agreed")
	require.NoError(t, err)
	d.change = d.proposed(t, 2500)
	return d
}

func (d *stepUp) proposed(t *testing.T, bps int64) app.ChangeView {
	t.Helper()
	who, err := d.areas.Members.ByToken(t.Context(), secret.NewText(d.one.tokens[app.RoleServiceAccount]))
	require.NoError(t, err)
	made, err := d.areas.Approvals.Propose(t.Context(), who, app.AskDiscount(bps, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), "order form 9"), "")
	require.NoError(t, err)
	require.True(t, made.Terms.Policy.FreshSignIn)
	return made
}

// signedIn is Ada's browser, which stays wherever a form sends it to.
func (d *stepUp) signedIn(t *testing.T) *http.Client {
	t.Helper()
	client := browser(t, nil)
	res, body := open(t, client, d.start("u-ada", ""))
	require.Equal(t, 200, res.StatusCode, body)
	return client
}

func (d *stepUp) send(t *testing.T, client *http.Client, target string, form url.Values) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := client.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

func (d *stepUp) approve(t *testing.T, client *http.Client, change app.ChangeView) (*http.Response, string) {
	t.Helper()
	return d.send(t, client, d.site+"/changes/"+change.ID.String()+"/confirm", url.Values{"digest": {change.DigestText()}, "reason": {"as the order form says"}})
}

var onwards = regexp.MustCompile(`http-equiv="refresh" content="0; url=([^"]+)"`)

// atIssuer is where an approval leads: the issuer's address, and the decision's page.
func (d *stepUp) atIssuer(t *testing.T, client *http.Client, change app.ChangeView) (away, page string) {
	t.Helper()
	res, body := d.approve(t, client, change)
	require.Equal(t, 200, res.StatusCode, body)
	require.True(t, strings.HasPrefix(res.Request.URL.Path, "/decisions/"), res.Request.URL.Path)
	found := onwards.FindStringSubmatch(body)
	require.Len(t, found, 2, body)
	return strings.ReplaceAll(found[1], "&amp;", "&"), d.site + res.Request.URL.Path
}

// press presses a person's button on the issuer's page.
func (d *stepUp) press(t *testing.T, client *http.Client, away, person string) (*http.Response, string) {
	t.Helper()
	res, body := open(t, client, away)
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, body, "Sign in again", "the issuer asks, whoever was signed in")
	address, err := url.Parse(away)
	require.NoError(t, err)
	form := address.Query()
	form.Set("person", person)
	return d.send(t, client, d.idp+"/authorize", form)
}

func (d *stepUp) state(t *testing.T, change app.ChangeView) approval.State {
	t.Helper()
	found, err := d.areas.Approvals.Case(t.Context(), d.who(t, d.one, app.RoleController), change.ID)
	require.NoError(t, err)
	return found.State
}

func TestAnApprovalIsConfirmedAtTheIssuer(t *testing.T) {
	t.Parallel()
	d := newStepUp(t)
	client := d.signedIn(t)
	res, body := open(t, client, d.site+"/changes/"+d.change.ID.String()+"/confirm")
	require.Equal(t, 200, res.StatusCode)
	for _, text := range []string{"Approve and confirm with Test issuer", d.change.DigestText(), "The issuer approves nothing", "No witness is configured"} {
		require.Contains(t, body, text)
	}
	// The pages that decide without a sign-in do not.
	res, _ = d.send(t, client, d.site+"/changes/"+d.change.ID.String()+"/decision", url.Values{"digest": {d.change.DigestText()}, "verdict": {"approve"}, "reason": {"x"}})
	require.Equal(t, 409, res.StatusCode)
	require.Equal(t, approval.StateProposed, d.state(t, d.change))

	_, body = open(t, client, d.site+"/changes/"+d.change.ID.String())
	require.Regexp(t, `formaction="/changes/chg_[0-9a-f]+/confirm">Approve[^<]* and confirm with Test issuer<`, body)
	require.Contains(t, body, "nothing while it is away")

	away, page := d.atIssuer(t, client, d.change)
	address, err := url.Parse(away)
	require.NoError(t, err)
	asked := address.Query()
	require.Equal(t, "0", asked.Get("max_age"))
	require.Equal(t, "login", asked.Get("prompt"))
	require.Equal(t, "S256", asked.Get("code_challenge_method"))
	require.Len(t, asked.Get("nonce"), 43)
	require.Equal(t, d.site+"/sign-in/callback", asked.Get("redirect_uri"), "no other address has to be registered")
	_, body = open(t, client, page)
	require.Contains(t, body, "Continue to Test issuer")
	require.NotContains(t, body, "http-equiv", "whoever comes back is not sent away again")

	res, body = d.press(t, client, away, "u-ada")
	require.Equal(t, 200, res.StatusCode, body)
	require.Equal(t, page, d.site+res.Request.URL.Path)
	for _, text := range []string{"Decision confirmed", "confirmed <strong>Ada</strong>", asked.Get("nonce"), "Download the evidence", "It saw the person", "tollbook decision v1"} {
		require.Contains(t, body, text)
	}
	require.Equal(t, approval.StateApplied, d.state(t, d.change))
	_, body = open(t, client, d.site+"/changes/"+d.change.ID.String())
	require.Contains(t, body, "confirmed by the issuer")
	require.Contains(t, body, strings.TrimPrefix(page, d.site), "its history leads to the evidence")

	res, body = open(t, client, page+"/evidence.zip")
	require.Equal(t, 200, res.StatusCode)
	archive, err := zip.NewReader(strings.NewReader(body), int64(len(body)))
	require.NoError(t, err)
	parts := map[string][]byte{}
	for _, f := range archive.File {
		file, err := f.Open()
		require.NoError(t, err)
		parts[f.Name], err = io.ReadAll(file)
		require.NoError(t, err)
	}
	digest := sha256.Sum256(parts["document.json"])
	require.Equal(t, asked.Get("nonce"), base64.RawURLEncoding.EncodeToString(digest[:]))
	var claims struct{ Nonce, Sub string }
	require.NoError(t, json.Unmarshal(parts["claims.json"], &claims))
	require.Equal(t, asked.Get("nonce"), claims.Nonce)
	require.Equal(t, "u-ada", claims.Sub)
	require.Contains(t, string(parts["README.txt"]), "the issuer confirmed this person, then, for this digest")

	// An analyst may read the change, and neither the token nor where to continue.
	analyst := d.see(t, d.one, app.RoleAnalyst, strings.TrimPrefix(page, d.site))
	require.Equal(t, 200, analyst.status)
	require.NotContains(t, analyst.body, "Download the evidence")
	require.Equal(t, 404, d.see(t, d.one, app.RoleAnalyst, strings.TrimPrefix(page, d.site)+"/evidence.zip").status)
	require.Equal(t, 200, d.see(t, d.one, app.RoleAuditor, strings.TrimPrefix(page, d.site)+"/evidence.zip").status)
	require.Equal(t, 404, d.see(t, d.two, app.RoleAuditor, strings.TrimPrefix(page, d.site)).status)
}

func TestWhatComesBackWrongDecidesNothing(t *testing.T) {
	t.Parallel()
	d := newStepUp(t)
	client := d.signedIn(t)
	refused := func(code string, res *http.Response, body string) {
		t.Helper()
		require.True(t, strings.HasPrefix(res.Request.URL.Path, "/decisions/"), body)
		require.Contains(t, body, "Decision refused")
		require.Contains(t, body, "<code>"+code+"</code>")
		require.Equal(t, approval.StateProposed, d.state(t, d.change))
	}
	key := d.issuerKey(t)
	now := func(seconds int64) int64 { return now().Unix() + seconds }
	for _, c := range []struct {
		code   string
		change map[string]any
	}{
		{"decision_stale", map[string]any{"auth_time": now(-60)}}, {"auth_time_missing", map[string]any{"auth_time": nil}}, {"decision_nonce", map[string]any{"nonce": "another"}},
		{"decision_issuer", map[string]any{"iss": "https://evil.test"}}, {"decision_audience", map[string]any{"aud": "other"}}, {"decision_token_expired", map[string]any{"exp": now(-1)}},
		{"decision_subject", map[string]any{"sub": "u-eve"}},
	} {
		away, _ := d.atIssuer(t, client, d.change)
		d.forge = func(token string) string { return forged(t, token, key, c.change) }
		res, body := d.press(t, client, away, "u-ada")
		d.forge = nil
		refused(c.code, res, body)
	}
	away, _ := d.atIssuer(t, client, d.change)
	res, body := d.press(t, client, away, "u-noor")
	refused("decision_subject", res, body)

	// The same answer again, and another browser's.
	away, _ = d.atIssuer(t, client, d.change)
	stay := *client
	stay.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/sign-in/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	res, _ = d.press(t, &stay, away, "u-ada")
	back := res.Header.Get("Location")
	other := d.signedIn(t)
	res, body = open(t, other, back)
	refused("decision_browser", res, body)
	res, body = open(t, client, back)
	require.Contains(t, body, "decision_browser", "what was refused stays refused")
	require.Equal(t, 200, res.StatusCode)

	// Nobody signed in, and a made-up state.
	res, body = open(t, browser(t, nil), back)
	require.Equal(t, 401, res.StatusCode)
	require.Contains(t, body, "Your session ended")
	res, _ = open(t, client, d.site+"/sign-in/callback?state="+id.NewDecision(time.Now()).String()+"."+d.one.tenant.String()+".x&code=y")
	require.Equal(t, 404, res.StatusCode)

	// The issuer says no, and then nothing at all.
	away, _ = d.atIssuer(t, client, d.change)
	address, err := url.Parse(away)
	require.NoError(t, err)
	res, body = open(t, client, d.site+"/sign-in/callback?error=access_denied&state="+url.QueryEscape(address.Query().Get("state")))
	refused("decision_declined", res, body)
	away, _ = d.atIssuer(t, client, d.change)
	address, err = url.Parse(away)
	require.NoError(t, err)
	d.down = true
	res, body = d.approve(t, client, d.change)
	require.Equal(t, 503, res.StatusCode)
	require.Contains(t, body, "Your issuer does not answer")
	require.Contains(t, body, "as the order form says", "what was typed stays")
	res, body = open(t, client, d.site+"/sign-in/callback?code=x&state="+url.QueryEscape(address.Query().Get("state")))
	refused("decision_exchange", res, body)

	var records int
	require.NoError(t, d.clone.Admin(t).QueryRowContext(t.Context(), `select count(*) from audit_record where action = 'change.decision_refused' and subject = $1`, d.change.ID.String()).Scan(&records))
	require.Equal(t, 12, records, "each is a record")
}

func TestTheFormToConfirmSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	d := newStepUp(t)
	client := d.signedIn(t)
	target := d.site + "/changes/" + d.change.ID.String() + "/confirm"
	res, body := d.send(t, client, target, url.Values{"digest": {d.change.DigestText()}})
	require.Equal(t, 422, res.StatusCode)
	require.Contains(t, body, `aria-invalid="true"`)
	res, body = d.send(t, client, target, url.Values{"digest": {strings.Repeat("0", 64)}, "reason": {"x"}})
	require.Equal(t, 409, res.StatusCode)
	require.Contains(t, body, d.change.DigestText(), "what it is now is shown")
	res, _ = d.send(t, client, target, url.Values{"digest": {d.change.DigestText()}, "reason": {"x"}, "for": {d.one.members[app.RoleController].String()}})
	require.Equal(t, 403, res.StatusCode)
	require.Equal(t, 403, d.post(t, d.one, app.RoleDeveloper, "/changes/"+d.change.ID.String()+"/confirm", url.Values{"reason": {"x"}}).status)
	require.Equal(t, 404, d.see(t, d.two, app.RoleFinanceAdmin, "/changes/"+d.change.ID.String()+"/confirm").status)
	require.Equal(t, 404, d.see(t, d.one, app.RoleFinanceAdmin, "/decisions/x").status)
	// A change whose policy does not ask, and one that is over.
	plain := d.see(t, d.one, app.RoleFinanceAdmin, "/changes/"+d.one.change.ID.String()+"/confirm")
	require.Contains(t, plain.body, "does not ask to sign in again")
	who := d.who(t, d.one, app.RoleFinanceAdmin)
	_, err := d.areas.Approvals.Decide(t.Context(), who, d.change.ID, approval.VerdictReject, d.change.Digest, "no")
	require.NoError(t, err, "a rejection needs no sign-in")
	require.Contains(t, d.see(t, d.one, app.RoleFinanceAdmin, "/changes/"+d.change.ID.String()+"/confirm").body, "rejected already")
	// Without a key of the log.
	next := d.proposed(t, 3000)
	d.areas.Approvals.SignBy(nil)
	unsigned := d.see(t, d.one, app.RoleFinanceAdmin, "/changes/"+next.ID.String()+"/confirm")
	require.Contains(t, unsigned.body, "TOLLBOOK_LOG_KEY")
	require.NotContains(t, unsigned.body, "Approve and confirm with")
}

func (d *stepUp) issuerKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(d.keyDir, "issuer-key.pem"))
	require.NoError(t, err)
	block, _ := pem.Decode(raw)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	return key.(*rsa.PrivateKey)
}

// forged is a token with other claims, signed by the issuer's own key.
func forged(t *testing.T, token string, key *rsa.PrivateKey, change map[string]any) string {
	t.Helper()
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	claims := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&claims))
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	raw, err = json.Marshal(claims)
	require.NoError(t, err)
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}
