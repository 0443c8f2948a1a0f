package web_test

import (
	"archive/zip"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/secret"
	"tollbook/db"
)

// placed gives every record of both companies its place, and signs the first's head.
func (w *world) placed(t *testing.T) {
	t.Helper()
	audit := app.NewAudit(w.clone.DB, slog.New(slog.DiscardHandler))
	for _, c := range []*company{w.one, w.two} {
		_, err := audit.Sequence(t.Context(), c.tenant)
		require.NoError(t, err)
	}
	require.NoError(t, w.areas.Log.Sign(t.Context(), w.one.tenant))
}

// records are those of a company that fit, newest first.
func (w *world) records(t *testing.T, c *company, q app.LogQuery) []app.LogEntry {
	t.Helper()
	view, err := w.areas.Log.Read(t.Context(), w.who(t, c, app.RoleAuditor), q)
	require.NoError(t, err)
	return view.Entries
}

func TestLogPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.placed(t)
	var keyMade string // a change that was applied at once has one record alone
	for _, entry := range w.records(t, w.one, app.LogQuery{Action: "change.applied", Limit: app.MaxRows}) {
		if len(w.records(t, w.one, app.LogQuery{Subject: entry.Subject, Limit: app.MaxRows})) == 1 {
			keyMade = entry.Subject
		}
	}
	batch := w.records(t, w.one, app.LogQuery{Action: "usage.batch"})[0]
	member := w.one.members[app.RoleAnalyst].String()
	record := "/log/" + batch.Record.String()
	cases := []struct {
		name          string
		role          app.Role
		target        string
		status        int
		must, mustNot []string
	}{
		{
			name: "the log", role: app.RoleAuditor, target: "/log", status: 200,
			must: []string{"Audit log", "records, signed 23 Nov 2026 14:02 UTC", "signed within 15 minutes", "no witness is configured", "one is made each day", "Signed in", "Propulsion auditor", "waits", "/log.csv"},
		},
		{name: "changes", role: app.RoleTenantOwner, target: "/log?action=change.", status: 200, must: []string{"Change applied", "Change proposed", "virtual key", "The command line"}, mustNot: []string{">Signed in<"}},
		{name: "one kind", role: app.RoleController, target: "/log?action=usage.batch", status: 200, must: []string{"12 requests", "/requests/evt_", "2026-11", "$1.50"}},
		{name: "by actor", role: app.RoleFinanceAdmin, target: "/log?actor=command&action=change.applied", status: 200, must: []string{"Change applied", `value="command"`}, mustNot: []string{"/members/mem_", "/members/changes"}},
		{name: "about a thing", role: app.RoleAuditor, target: "/log?subject=" + keyMade, status: 200, must: []string{"1 record", "Change applied"}},
		{name: "before", role: app.RoleAuditor, target: "/log?to=2026-11-01", status: 200, must: []string{"No record matches", "Clear the filter"}},
		{name: "an action nobody knows", role: app.RoleAuditor, target: "/log?action=moon.landed", status: 200, must: []string{"No record matches", `value="moon.landed" selected`}},
		{name: "no action", role: app.RoleAuditor, target: "/log?action=typed-this", status: 422, must: []string{"typed-this", `role="alert"`, `aria-invalid="true"`, "Audit log"}},
		{name: "no actor", role: app.RoleAuditor, target: "/log?actor=Propulsion", status: 422, must: []string{`value="Propulsion"`, `role="alert"`, `aria-invalid="true"`}},
		{name: "no subject", role: app.RoleAuditor, target: "/log?subject=key_1", status: 422, must: []string{`value="key_1"`, `role="alert"`}},
		{name: "no day", role: app.RoleAuditor, target: "/log?from=yesterday", status: 422, must: []string{`value="yesterday"`, `role="alert"`}},
		{name: "no time between", role: app.RoleAuditor, target: "/log?from=2026-11-02&to=2026-11-01", status: 422, must: []string{`value="2026-11-02"`, "after the start"}},
		{name: "no cursor", role: app.RoleAuditor, target: "/log?cursor=x", status: 422, must: []string{"first page"}},
		{name: "a file with a bad filter", role: app.RoleAuditor, target: "/log.csv?actor=x", status: 422},
		{name: "a budget owner", role: app.RoleBudgetOwner, target: "/log", status: 403, must: []string{"Not permitted"}, mustNot: []string{`href="/log"`}},
		{name: "a developer", role: app.RoleDeveloper, target: record, status: 403, must: []string{"Not permitted"}, mustNot: []string{`href="/log"`}},
		{name: "an analyst", role: app.RoleAnalyst, target: "/log/export", status: 403},
		{
			name: "a record", role: app.RoleAuditor, target: record, status: 200,
			must: []string{"Requests recorded", "Its bytes, word for word", "amount_pico", "Leaf hash", auditlog.Leaf(batch.Canonical).String(), "What it does not", record + "/proof", record + "/record.json", "signed"},
		},
		{name: "no record", role: app.RoleAuditor, target: "/log/rec_zzz", status: 404},
		{name: "the other company’s record", role: app.RoleAuditor, target: "/log/" + w.records(t, w.two, app.LogQuery{})[0].Record.String(), status: 404},
		{name: "the other company’s proof", role: app.RoleAuditor, target: "/log/" + w.records(t, w.two, app.LogQuery{})[0].Record.String() + "/proof", status: 404},
		{name: "an export", role: app.RoleAuditor, target: "/log/export", status: 200, must: []string{"This month, November 2026", "Last month, October 2026", "tollbook verify tollbook-acme-log-2026-11-01-2026-12-01.zip --log-keys tollbook-acme-log-keys.txt", "/log/keys.txt", "tollbook/" + w.one.tenant.String()}},
		{name: "a member’s records", role: app.RoleAuditor, target: "/log?actor=" + member, status: 200, must: []string{"No record matches"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := w.see(t, w.one, c.role, c.target)
			require.Equal(t, c.status, got.status, got.body)
			for _, text := range c.must {
				require.Contains(t, got.body, text)
			}
			for _, text := range append(c.mustNot, w.two.words...) {
				require.NotContains(t, got.body, text)
			}
			wholesome(t, got)
		})
	}
}

// TestWhereTheLogLeads follows every link of the log's rows, as each role that may read it.
func TestWhereTheLogLeads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.placed(t)
	for _, role := range []app.Role{app.RoleFinanceAdmin, app.RoleController, app.RoleAuditor, app.RoleTenantOwner} {
		cookie, followed := w.session(t, w.one, role), map[string]bool{}
		open := func(target string) answer {
			r := request(http.MethodGet, target, "")
			r.AddCookie(cookie)
			return w.do(r)
		}
		for target := "/log"; target != ""; {
			page := open(target)
			require.Equal(t, 200, page.status)
			_, body, _ := strings.Cut(page.body, "<tbody>")
			body, pager, _ := strings.Cut(body, "</tbody>")
			for _, link := range attributes(body, "href") {
				if !followed[link] {
					followed[link] = true
					require.Equal(t, 200, open(link).status, "%s as %s", link, role)
				}
			}
			target = ""
			if next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(pager); next != nil {
				target = unescape(next[1])
			}
		}
		require.Greater(t, len(followed), 50, role)
	}
}

func TestADownloadedProofChecks(t *testing.T) {
	t.Parallel()
	w := unsealed(t)
	waiting := w.records(t, w.one, app.LogQuery{Action: "usage.batch"})[0]
	target := "/log/" + waiting.Record.String()
	page := w.see(t, w.one, app.RoleAuditor, target)
	require.Contains(t, page.body, "waits for its place")
	require.Contains(t, page.body, "signed within 15 minutes")
	require.NotContains(t, page.body, target+"/proof")
	require.Equal(t, 404, w.see(t, w.one, app.RoleAuditor, target+"/proof").status)
	require.Equal(t, 404, w.see(t, w.one, app.RoleAuditor, "/log/keys.txt").status)
	w.placed(t)

	file := w.see(t, w.one, app.RoleAuditor, target+"/proof")
	require.Equal(t, 200, file.status)
	require.Regexp(t, `^attachment; filename="tollbook-acme-record-\d+\.tlog-proof"$`, file.header.Get("Content-Disposition"))
	canonical := w.see(t, w.one, app.RoleAuditor, target+"/record.json")
	require.Equal(t, string(waiting.Canonical), canonical.body)
	require.Equal(t, `attachment; filename="tollbook-acme-`+waiting.Record.String()+`.json"`, canonical.header.Get("Content-Disposition"))
	keys := w.see(t, w.one, app.RoleController, "/log/keys.txt")
	require.Equal(t, `attachment; filename="tollbook-acme-log-keys.txt"`, keys.header.Get("Content-Disposition"))
	verifiers, err := auditlog.Verifiers(auditlog.Lines([]byte(keys.body)))
	require.NoError(t, err)
	proof, err := auditlog.ParseProof([]byte(file.body))
	require.NoError(t, err)
	head, err := proof.Check([]byte(canonical.body), verifiers)
	require.NoError(t, err)
	_, err = proof.Check([]byte(canonical.body+" "), verifiers)
	require.Error(t, err)

	page = w.see(t, w.one, app.RoleAuditor, target)
	require.Contains(t, page.body, head.Root.String(), "the path on the page leads to what is signed")
	require.Equal(t, len(proof.Hashes), strings.Count(page.body, ">before<")+strings.Count(page.body, ">after<"))
}

// export asks for an export of a company's log.
func (w *world) export(t *testing.T, c *company, role app.Role, form url.Values) answer {
	t.Helper()
	return w.send(w.session(t, c, role), "/log/export", form)
}

func TestADownloadedExportChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.placed(t)
	keys := auditlog.Lines([]byte(w.see(t, w.one, app.RoleAuditor, "/log/keys.txt").body))
	for name, c := range map[string]struct {
		form     url.Values
		requests bool
	}{
		"tollbook-acme-log-2026-11-01-2026-12-01.zip": {url.Values{"period": {"this_month"}, "usage": {"yes"}}, true},
		"tollbook-acme-log-2026-11-23-2026-11-24.zip": {url.Values{"period": {"days"}, "from": {"2026-11-23"}, "to": {"2026-11-24"}}, false},
	} {
		file := w.export(t, w.one, app.RoleAuditor, c.form)
		require.Equal(t, 200, file.status, file.body)
		require.Equal(t, "application/zip", file.header.Get("Content-Type"))
		require.Equal(t, `attachment; filename="`+name+`"`, file.header.Get("Content-Disposition"))
		bundle, err := zip.NewReader(strings.NewReader(file.body), int64(len(file.body)))
		require.NoError(t, err)
		checked, err := auditlog.Check(bundle, keys)
		require.NoError(t, err)
		require.True(t, checked.Trusted)
		require.Greater(t, checked.Records, int64(20))
		require.Equal(t, c.requests, checked.Requests == 12)
	}
	require.Len(t, w.records(t, w.one, app.LogQuery{Action: "log.exported"}), 2)
	require.Empty(t, w.records(t, w.two, app.LogQuery{Action: "log.exported"}))
	none := w.export(t, w.one, app.RoleAuditor, url.Values{"period": {"last_month"}})
	require.Equal(t, 200, none.status, "a month without records")
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/log?action=log.").body, "records of 2026-10-01 to before 2026-11-01")
}

func TestAnExportThatCannotBeIsAPage(t *testing.T) {
	t.Parallel()
	w := unsealed(t)
	for name, c := range map[string]struct {
		form   url.Values
		status int
		must   []string
	}{
		"no time":           {url.Values{}, 422, []string{"Choose this month", `aria-invalid="true"`}},
		"an unknown time":   {url.Values{"period": {"always"}}, 422, []string{"Choose this month"}},
		"no first day":      {url.Values{"period": {"days"}, "from": {"typed-this"}, "to": {"2026-11-02"}}, 422, []string{`value="typed-this"`, `value="2026-11-02"`, "A day, UTC"}},
		"no last day":       {url.Values{"period": {"days"}, "from": {"2026-11-02"}}, 422, []string{`value="2026-11-02"`, "A day, UTC"}},
		"the end first":     {url.Values{"period": {"days"}, "from": {"2026-11-02"}, "to": {"2026-11-01"}}, 422, []string{"after the start", `value="2026-11-01"`}},
		"too long":          {url.Values{"period": {"days"}, "from": {"2025-01-01"}, "to": {"2026-11-01"}}, 422, []string{"366 days"}},
		"nothing is signed": {url.Values{"period": {"this_month"}}, 409, []string{"Nothing of the log is signed yet", "TOLLBOOK_LOG_KEY"}},
	} {
		got := w.export(t, w.one, app.RoleAuditor, c.form)
		require.Equal(t, c.status, got.status, "%s: %s", name, got.body)
		require.Contains(t, got.header.Get("Content-Type"), "text/html", name)
		for _, text := range append(c.must, `role="alert"`, "Make an export") {
			require.Contains(t, got.body, text, name)
		}
		wholesome(t, got)
	}
	for _, role := range []app.Role{app.RoleBudgetOwner, app.RoleDeveloper, app.RoleAnalyst, app.RoleEngineeringAdmin} {
		require.Equal(t, 403, w.export(t, w.one, role, url.Values{"period": {"this_month"}}).status, role)
	}
	require.Empty(t, w.records(t, w.one, app.LogQuery{Action: "log.exported"}))
}

// TestAnExportThatBreaksOffIsNoWholeFile loses a usage batch behind the product's back: the
// export fails when most of it has left.
func TestAnExportThatBreaksOffIsNoWholeFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.placed(t)
	w.superuser(t, `delete from usage_batch where tenant_id = $1`, w.one.tenant.UUID())
	site := httptest.NewServer(w.web.Handler())
	t.Cleanup(site.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, site.URL+"/log/export", strings.NewReader(url.Values{"period": {"this_month"}, "usage": {"yes"}}.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(w.session(t, w.one, app.RoleAuditor))
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 200, res.StatusCode)
	content, err := io.ReadAll(res.Body)
	require.Error(t, err, "whoever reads sees that it is not whole")
	require.NotEmpty(t, content)
	require.Contains(t, w.log.String(), "export of the log broke off")
}

// superuser runs a statement as somebody whom no trigger, policy or constraint stops.
func (w *world) superuser(t *testing.T, query string, args ...any) {
	t.Helper()
	admin := w.clone.Admin(t)
	tx, err := admin.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), `set local session_replication_role = replica`)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
}

func TestTheLogIsAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.placed(t)
	got := w.see(t, w.one, app.RoleAuditor, "/log.csv?action=usage.")
	require.Equal(t, 200, got.status)
	rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, "sequence,record,recorded_at,action,action_words,actor,actor_name,subject,about,detail,leaf_sha256", strings.Join(rows[0], ","))
	batch := w.records(t, w.one, app.LogQuery{Action: "usage.batch"})[0]
	require.Equal(t, []string{batch.Record.String(), "usage.batch", "system", "Tollbook", "First of 12 requests"}, []string{rows[1][1], rows[1][3], rows[1][5], rows[1][6], rows[1][8]})
	leaf := auditlog.Leaf(batch.Canonical)
	require.Equal(t, base64.StdEncoding.EncodeToString(leaf[:]), strings.TrimPrefix(rows[1][10], "'"))
	all := w.see(t, w.one, app.RoleAuditor, "/log.csv")
	rows, err = csv.NewReader(strings.NewReader(all.body)).ReadAll()
	require.NoError(t, err)
	require.Greater(t, len(rows), 40)
	for _, word := range w.two.words {
		require.NotContains(t, all.body, word)
	}
}

// TestTheLogSaysWhatIsWrong breaks a log, and takes its key away.
func TestTheLogSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := unsealed(t)
	w.placed(t)
	check, err := w.areas.Log.Verify(t.Context(), w.two.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	good := w.see(t, w.two, app.RoleAuditor, "/log")
	require.Contains(t, good.body, "compared with every signed head")
	require.Contains(t, good.body, "Log checked")
	require.NotContains(t, good.body, "BROKEN")

	w.superuser(t, `update audit_record set actor = 'somebody' where tenant_id = $1 and record_id = (select record_id from audit_leaf where tenant_id = $1 and sequence = 7)`, w.one.tenant.UUID())
	_, err = w.areas.Log.Verify(t.Context(), w.one.tenant)
	require.NoError(t, err)
	bad := w.see(t, w.one, app.RoleTenantOwner, "/log")
	require.Contains(t, bad.body, "BROKEN")
	require.Contains(t, bad.body, "the first bad record is 7: the columns beside its bytes say something else")
	require.Contains(t, bad.body, "Log found broken")
	require.NotContains(t, w.see(t, w.two, app.RoleAuditor, "/log").body, "BROKEN", "the other company’s is whole")

	access, err := app.NewAccess()
	require.NoError(t, err)
	w.areas.Log, err = app.NewLog(w.clone.DB, access, w.areas.Members, secret.Text{}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	w.rebuild(t)
	unsigned := w.see(t, w.two, app.RoleAuditor, "/log")
	require.Contains(t, unsigned.body, "or TOLLBOOK_LOG_KEY to 32 random bytes")
	require.Contains(t, unsigned.body, "there is no log key")
	record := w.records(t, w.two, app.LogQuery{})[0]
	require.Contains(t, w.see(t, w.two, app.RoleAuditor, "/log/"+record.Record.String()).body, "no key")
	require.Contains(t, w.see(t, w.two, app.RoleAuditor, "/log/export").body, "No key has signed this log yet")
}

// TestARecordOfManyFieldsHasAPage opens one that is larger than a page lays out.
func TestARecordOfManyFieldsHasAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys := map[string]any{}
	for i := range 5000 {
		keys[fmt.Sprintf("field_%04d", i)] = "<b>bold</b>"
	}
	require.NoError(t, w.clone.InTenant(t.Context(), w.one.tenant, func(tx *db.Tx) error {
		return tx.AppendAudit(auditlog.Record{Action: "moon.landed", Actor: "system", Detail: keys})
	}))
	record := w.records(t, w.one, app.LogQuery{Action: "moon.landed"})[0].Record
	page := w.see(t, w.one, app.RoleAuditor, "/log/"+record.String())
	require.Equal(t, 200, page.status)
	require.Contains(t, page.body, "moon.landed")
	require.Contains(t, page.body, "more fields than are laid out")
	require.Contains(t, page.body, "too many for a page")
	require.NotContains(t, page.body, "<b>bold")
	require.Less(t, len(page.body), 200_000)
	file := w.see(t, w.one, app.RoleAuditor, "/log/"+record.String()+"/record.json")
	require.Greater(t, len(file.body), 100_000)
	require.Equal(t, 200, w.see(t, w.one, app.RoleAuditor, "/log").status)
}

// TestWhatIsDoneOnAPageOrByTheAPISaysSo reads the records that a form and a token leave.
func TestWhatIsDoneOnAPageOrByTheAPISaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.clone.Admin(t)
	last := func(via string) string {
		t.Helper()
		var canonical string
		require.NoError(t, admin.QueryRow(`select convert_from(canonical, 'UTF8') from audit_record where tenant_id = $1 and convert_from(canonical, 'UTF8') like '%"via":"' || $2 || '"%' order by recorded_at desc limit 1`,
			w.one.tenant, via).Scan(&canonical))
		return canonical
	}
	made := w.post(t, w.one, app.RoleFinanceAdmin, "/prices/discount", url.Values{"percent": {"3"}, "from": {"2026-12-01"}, "reason": {"by the form"}})
	require.Equal(t, 303, made.status, made.body)
	require.Contains(t, last("page"), `"session":"ses_`)
	require.Contains(t, last("page"), `"roles":["finance_admin"]`)
	called := w.call(w.one, app.RoleServiceAccount, "/changes", `{"kind":"prices","payload":{"discount_bps":500},"effective_from":"2026-12-01","reason":"by the token"}`)
	require.Equal(t, 201, called.status, called.body)
	require.Contains(t, last("api"), `"token":"tok_`)
	require.NotContains(t, last("api"), "127.0.0.1", "an address is a keyed hash")
	require.Contains(t, last("api"), `"source":"`)
}
