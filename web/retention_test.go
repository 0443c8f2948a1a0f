package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/retention"
)

// decides approves a proposal that a page led to, as the controller.
func (w *world) decides(t *testing.T, location string) {
	t.Helper()
	change, err := id.ParseChange(strings.TrimPrefix(location, "/changes/"))
	require.NoError(t, err)
	who := w.who(t, w.one, app.RoleController)
	view, err := w.areas.Approvals.Case(t.Context(), who, change)
	require.NoError(t, err)
	_, err = w.areas.Approvals.Decide(t.Context(), who, change, "approve", view.Digest, "yes")
	require.NoError(t, err)
}

// TestRetentionIsProposedOnItsPage goes over terms, a hold, its end and a purge of sign-ins
// that are eight years old, and asks for it from elsewhere.
func TestRetentionIsProposedOnItsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/settings/retention"
	fin := w.session(t, w.one, app.RoleFinanceAdmin)
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/settings").body, path)
	page := w.see(t, w.one, app.RoleFinanceAdmin, path)
	wholesome(t, page)
	for _, words := range []string{"No legal hold was ever set", "Nothing was ever purged", "7 years after the end of the month in which its books closed", "Nothing has expired", "open books never expire"} {
		require.Contains(t, page.body, words)
	}
	reader := w.see(t, w.one, app.RoleAuditor, path)
	wholesome(t, reader)
	require.NotContains(t, reader.body, "<form class=\"form")
	require.NotEqual(t, 200, w.see(t, w.one, app.RoleDeveloper, path).status)
	require.Equal(t, 403, w.send(w.session(t, w.one, app.RoleAuditor), path+"/holds", url.Values{"reason": {"x"}}).status)

	// Terms: what is wrong is told at its field, with what was typed.
	terms := url.Values{"usage": {"6"}, "audit": {"7"}, "notices": {"7"}, "sessions": {"2"}, "reason": {"shorter"}}
	bad := w.send(fin, path+"/terms", terms)
	require.Equal(t, 422, bad.status)
	require.Contains(t, bad.body, "Whole years, from 7 to 100.")
	require.Contains(t, bad.body, `value="6"`)
	terms.Set("usage", "7")
	terms.Set("from", "soon")
	require.Contains(t, w.send(fin, path+"/terms", terms).body, "A date is YYYY-MM-DD")
	terms.Del("from")
	sent := w.send(fin, path+"/terms", terms)
	require.Equal(t, 303, sent.status)
	require.Contains(t, w.see(t, w.one, app.RoleController, sent.header.Get("Location")).body, "sign-ins at the pages 2 years instead of 7")
	w.decides(t, sent.header.Get("Location"))
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, path).body, "2 years after the end of the month")

	admin := w.clone.Admin(t)
	w.session(t, w.one, app.RoleAnalyst)
	_, err := admin.Exec(`update session set recorded_at = '2018-11-10' where tenant_id = $1 and member_id = $2`, w.one.tenant, w.one.members[app.RoleAnalyst])
	require.NoError(t, err)
	page = w.see(t, w.one, app.RoleFinanceAdmin, path)
	wholesome(t, page)
	require.Contains(t, page.body, "Sign-ins: November 2018")

	require.Equal(t, 422, w.send(fin, path+"/holds", url.Values{"first": {"2018-12"}, "last": {"2018-11"}, "reason": {"x"}}).status)
	hold := w.send(fin, path+"/holds", url.Values{"first": {"2018-10"}, "last": {"2018-12"}, "reason": {"a lawsuit"}})
	require.Equal(t, []any{303, path}, []any{hold.status, hold.header.Get("Location")}, "it holds at once")
	page = w.see(t, w.one, app.RoleFinanceAdmin, path)
	wholesome(t, page)
	require.Contains(t, page.body, "October 2018 to December 2018")
	require.Contains(t, page.body, "In force")
	require.Equal(t, 409, w.send(fin, path+"/purges", url.Values{"class": {"sessions"}, "reason": {"old"}}).status)
	view, err := w.areas.Retentions.Show(t.Context(), w.who(t, w.one, app.RoleFinanceAdmin))
	require.NoError(t, err)
	end := path + "/holds/" + view.Holds[0].Change.String() + "/end"
	require.Equal(t, 404, w.send(w.session(t, w.two, app.RoleFinanceAdmin), end, url.Values{"reason": {"x"}}).status, "not theirs")
	require.Equal(t, 404, w.send(fin, path+"/holds/x/end", url.Values{"reason": {"x"}}).status)
	ended := w.send(fin, end, url.Values{"reason": {"settled"}})
	require.Equal(t, 303, ended.status)
	w.decides(t, ended.header.Get("Location"))

	require.Equal(t, 422, w.send(fin, path+"/purges", url.Values{"class": {"sessions"}}).status, "without a reason")
	purge := w.send(fin, path+"/purges", url.Values{"class": {"sessions"}, "reason": {"old"}})
	require.Equal(t, 303, purge.status)
	require.Contains(t, w.see(t, w.one, app.RoleController, purge.header.Get("Location")).body, "All sign-ins at the pages of 2018-11 are deleted for good.")
	w.decides(t, purge.header.Get("Location"))
	page = w.see(t, w.one, app.RoleAuditor, path)
	wholesome(t, page)
	require.Contains(t, page.body, "1 tombstone, the newest first")
	file := w.see(t, w.one, app.RoleAuditor, path+".csv")
	require.Equal(t, 200, file.status)
	require.Contains(t, file.body, "sessions,2018-11,")
	require.NotContains(t, w.see(t, w.two, app.RoleAuditor, path+".csv").body, "2018-11")
	require.NotContains(t, w.see(t, w.two, app.RoleAuditor, path).body, "1 tombstone")
	log := w.see(t, w.one, app.RoleAuditor, "/log?action=retention.purged")
	wholesome(t, log)
	require.Contains(t, log.body, "sessions of 2018-11, 1 rows, by Change")
	// A record whose bytes are gone still has a page, its hash and its proof, and no file.
	gone := w.records(t, w.one, app.LogQuery{Action: "change.applied"})[0]
	conn, err := admin.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for _, statement := range []string{`set session_replication_role = replica`, `update audit_record set canonical = '' where record_id = '` + gone.Record.UUID() + `'`} {
		_, err = conn.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	record := w.see(t, w.one, app.RoleAuditor, "/log/"+gone.Record.String())
	require.Equal(t, 200, record.status)
	wholesome(t, record)
	require.Contains(t, record.body, "when their term was over")
	require.NotContains(t, record.body, "record.json")
	require.Equal(t, 404, w.see(t, w.one, app.RoleAuditor, "/log/"+gone.Record.String()+"/record.json").status)
	view, err = w.areas.Retentions.Show(t.Context(), w.who(t, w.one, app.RoleFinanceAdmin))
	require.NoError(t, err)
	require.Equal(t, retention.Sessions, view.Tombstones[0].Class)
}
