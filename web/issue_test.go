package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
)

// TestAKeyUnderAPolicyIsShownAndWaits makes a key on its page and by the API where a policy
// has somebody decide about keys.
func TestAKeyUnderAPolicyIsShownAndWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inForce(t, w.one, policies(`{"code":"keys","kinds":["key"],"steps":[{"name":"Finance","quorum":1,"who":[{"role":"controller"}]}],"expire_days":9}`))
	r := request(http.MethodPost, "/keys", url.Values{"label": {"Held"}, "cost_center": {"AC-11"}, "reason": {"to test"}, "once": {"form_w"}}.Encode())
	r.AddCookie(w.session(t, w.one, app.RoleEngineeringAdmin))
	made := w.do(r)
	require.Equal(t, http.StatusCreated, made.status, made.body)
	wholesome(t, made)
	require.Contains(t, made.body, "Held waits for a decision")
	require.Regexp(t, `tbk_[a-z0-9]{32}`, made.body)
	require.NotContains(t, made.body, "Gateways accept it within a second")
	link := regexp.MustCompile(`/changes/(chg_[0-9a-f]+)`).FindStringSubmatch(made.body)
	require.NotNil(t, link)
	page := w.see(t, w.one, app.RoleController, link[0])
	require.Equal(t, http.StatusOK, page.status)
	require.Contains(t, page.body, "its maker holds the secret already")

	asked := w.call(w.one, app.RoleServiceAccount, "/keys", `{"label":"by program","cost_center":"AC-11"}`, "Idempotency-Key", "issue").json(t)
	require.Equal(t, "proposed", asked["state"])
	change, err := id.ParseChange(asked["change"].(string))
	require.NoError(t, err)
	open, err := w.areas.Approvals.Case(t.Context(), w.who(t, w.one, app.RoleController), change)
	require.NoError(t, err)
	_, err = w.areas.Approvals.Decide(t.Context(), w.who(t, w.one, app.RoleController), change, approval.VerdictApprove, open.Digest, "seen")
	require.NoError(t, err)
	got := w.see(t, w.one, app.RoleEngineeringAdmin, "/keys/"+asked["id"].(string))
	require.Equal(t, http.StatusOK, got.status)
}
