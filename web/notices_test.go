package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/notice"
)

// TestALinkInAMailChangesNothing opens and posts to the link as a scanner does, with and
// without a session, and as who may decide.
func TestALinkInAMailChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := "/t/acme/changes/" + w.one.change.ID.String()
	decider := w.session(t, w.one, app.RoleFinanceAdmin)
	stranger := w.session(t, w.two, app.RoleFinanceAdmin)
	count := func() string {
		var text string
		require.NoError(t, w.clone.Admin(t).QueryRow(`select (select count(*) from change_move) || ' ' || (select count(*) from change_vote) || ' ' || (select count(*) from audit_record)`).Scan(&text))
		return text
	}
	before := count()
	for _, target := range []string{link, link + "?verdict=approve", link + "/decision?verdict=approve", link + "?decide=1&reason=x"} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
			for _, cookie := range []*http.Cookie{nil, decider, stranger} {
				r := request(method, target, "verdict=approve&reason=x&digest="+w.one.change.DigestText())
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				if cookie != nil {
					r.AddCookie(cookie)
				}
				got := w.do(r)
				require.NotContains(t, got.body, "acme order form", "%s %s", method, target)
				require.NotEqual(t, http.StatusOK, got.status*boolInt(method == http.MethodPost), "%s %s", method, target)
			}
		}
	}
	require.Equal(t, before, count())
	r := request(http.MethodGet, link, "")
	r.AddCookie(decider)
	got := w.do(r)
	require.Equal(t, http.StatusSeeOther, got.status)
	require.Equal(t, "/changes/"+w.one.change.ID.String(), got.header.Get("Location"))
}

func boolInt(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func TestChannelsAreAddedTestedAndEndedOnTheirPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.see(t, w.one, app.RoleTenantOwner, "/settings/channels")
	require.Equal(t, 200, page.status)
	for _, must := range []string{"acme systems", "acme.hooks.test", "Live", "Add a channel", "Test", "End", "told by mail"} {
		require.Contains(t, page.body, must)
	}
	require.NotContains(t, page.body, "secret-path")
	require.NotContains(t, page.body, "whsec_")
	seen := w.see(t, w.one, app.RoleAuditor, "/settings/channels")
	require.Contains(t, seen.body, "acme systems")
	require.NotContains(t, seen.body, "Add a channel")

	send := func(target string, form url.Values) answer {
		r := request(http.MethodPost, target, form.Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(w.session(t, w.one, app.RoleTenantOwner))
		return w.do(r)
	}
	bad := send("/settings/channels", url.Values{"kind": {"slack"}, "label": {"Room <b>"}, "url": {"http://10.0.0.1/x"}, "reason": {"so"}})
	require.Equal(t, 422, bad.status)
	require.Contains(t, bad.body, "Room &lt;b&gt;", "what was typed stays")
	require.NotContains(t, bad.body, "10.0.0.1", "but for the address, which is a secret")
	made := send("/settings/channels", url.Values{"kind": {"webhook"}, "label": {"Ours"}, "url": {"https://hooks.test/x"}, "reason": {"so"}})
	require.Equal(t, 201, made.status)
	require.Contains(t, made.body, "whsec_")
	slack := send("/settings/channels", url.Values{"kind": {"slack"}, "label": {"Room"}, "url": {"https://hooks.test/y"}, "reason": {"so"}})
	require.Equal(t, 303, slack.status)
	require.Equal(t, 303, send("/settings/channels/"+w.one.things["/settings/channels"]+"/test", nil).status)
	require.Equal(t, 303, send("/settings/channels/"+w.one.things["/settings/channels"]+"/end", nil).status)
	require.Contains(t, w.see(t, w.one, app.RoleTenantOwner, "/settings/channels").body, "Ended")
	require.Equal(t, 404, send("/settings/channels/"+w.two.things["/settings/channels"]+"/test", nil).status)
}

func TestDeliveriesAreListedFilteredAndSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.see(t, w.one, app.RoleFinanceAdmin, "/settings/deliveries")
	for _, must := range []string{"acme systems is tested", "Waits", "0 attempts", "/settings/deliveries.csv"} {
		require.Contains(t, page.body, must)
	}
	require.NotContains(t, page.body, "Send again", "it is on its way")
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/settings/deliveries?state=accepted").body, "No delivery is like that.")
	for _, bad := range []string{"state=landed", "channel=pigeon", "change=x", "change=0", "cursor=x"} {
		require.Equal(t, 422, w.see(t, w.one, app.RoleFinanceAdmin, "/settings/deliveries?"+bad).status, bad)
		require.Equal(t, 422, w.see(t, w.one, app.RoleFinanceAdmin, "/settings/deliveries.csv?"+bad).status, bad)
	}
	require.Equal(t, 403, w.see(t, w.one, app.RoleDeveloper, "/settings/deliveries").status)

	owner := w.who(t, w.one, app.RoleTenantOwner)
	list, err := w.areas.Notices.Deliveries(t.Context(), owner, app.DeliveryAsk{Limit: 1})
	require.NoError(t, err)
	made, err := w.areas.Notices.Begin(t.Context(), w.one.tenant, list.Rows[0].ID, 1)
	require.NoError(t, err)
	_, err = w.areas.Notices.Finish(t.Context(), made, notice.Outcome{Permanent: true, Answer: "410 Gone =1+1"})
	require.NoError(t, err)
	page = w.see(t, w.one, app.RoleFinanceAdmin, "/settings/deliveries?state=refused")
	for _, must := range []string{"Refused", "410 Gone", "1 attempt", "Send again"} {
		require.Contains(t, page.body, must)
	}
	require.NotContains(t, w.see(t, w.one, app.RoleAuditor, "/settings/deliveries").body, "Send again")
	file := w.see(t, w.one, app.RoleAuditor, "/settings/deliveries.csv")
	require.Len(t, strings.Split(strings.TrimSpace(file.body), "\n"), 2)
	require.Contains(t, file.body, ",refused,")
	r := request(http.MethodPost, "/settings/deliveries/"+list.Rows[0].ID.String()+"/resend", "")
	r.AddCookie(w.session(t, w.one, app.RoleFinanceAdmin))
	require.Equal(t, 303, w.do(r).status)
	r = request(http.MethodPost, "/settings/deliveries/"+list.Rows[0].ID.String()+"/resend", "")
	r.AddCookie(w.session(t, w.one, app.RoleFinanceAdmin))
	again := w.do(r)
	require.Equal(t, 409, again.status)
	require.Contains(t, again.body, "It is on its way")
}

func TestAPersonChoosesTheirMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.session(t, w.one, app.RoleController)
	see := func() string {
		r := request(http.MethodGet, "/account", "")
		r.AddCookie(session)
		return w.do(r).body
	}
	require.Equal(t, 4, strings.Count(see(), `name="topic"`))
	require.Equal(t, 4, len(regexp.MustCompile(`name="topic"[^>]* checked`).FindAllString(see(), -1)))
	r := request(http.MethodPost, "/account/mail", "topic=asked&topic=outcomes")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(session)
	require.Equal(t, 303, w.do(r).status)
	require.Equal(t, 2, len(regexp.MustCompile(`name="topic"[^>]* checked`).FindAllString(see(), -1)))
	require.Contains(t, see(), "is always sent")
}
