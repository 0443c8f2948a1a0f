package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

func TestExportPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	export := "/exports/" + w.one.things["/exports"]
	for _, c := range []struct {
		name    string
		role    app.Role
		target  string
		status  int
		must    []string
		mustNot []string
	}{
		{
			name: "a month", role: app.RoleFinanceAdmin, target: "/exports?period=2026-11", status: 200, must: []string{
				"Exports, November 2026", "nothing to post", "NetSuite", "ready", "TB-acme-202611-US01-DRAFT-1", "draft", "Make drafts for NetSuite", "Workday", "/exports/mapping/workday", "FOCUS 1.2", "exports-acme-2026-11.csv", "SHA-256",
			},
		},
		{name: "who only reads", role: app.RoleAuditor, target: "/exports?period=2026-11", status: 200, must: []string{"TB-acme-202611-US01-DRAFT-1"}, mustNot: []string{"Make drafts"}},
		{name: "an empty month", role: app.RoleController, target: "/exports?period=2025-01", status: 200, must: []string{"nothing posted", "Go to November 2026"}},
		{name: "no month", role: app.RoleAnalyst, target: "/exports?period=soon", status: 422, must: []string{"YYYY-MM"}},
		{name: "not a developer's", role: app.RoleDeveloper, target: "/exports", status: 403},
		{name: "not of a subtree", role: app.RoleBudgetOwner, target: "/exports", status: 403},
		{
			name: "an export", role: app.RoleAuditor, target: export, status: 200, must: []string{
				"TB-acme-202611-US01-DRAFT-1", "was not locked when this was made", "TB-acme-202611-US01-DRAFT-1-netsuite.csv", "debit_total", "Manifest", "Its record in the audit log", "Journal 1", "not acknowledged",
			}, mustNot: []string{"Keep the ids"},
		},
		{name: "a draft is not acknowledged", role: app.RoleFinanceAdmin, target: export, status: 200, mustNot: []string{"Keep the ids"}},
		{name: "its file", role: app.RoleAnalyst, target: export + "/files/1", status: 200, must: []string{"External ID,Date,Posting Period", "acme holding"}},
		{name: "its manifest", role: app.RoleAnalyst, target: export + "/files/1/manifest", status: 200, must: []string{`"report":"netsuite_journal"`, `"number":1`, `"DRAFT"`}},
		{name: "no second file", role: app.RoleAnalyst, target: export + "/files/2", status: 404},
		{name: "no such file", role: app.RoleAnalyst, target: export + "/files/x", status: 404},
		{name: "another's export", role: app.RoleAuditor, target: "/exports/" + w.two.things["/exports"], status: 404},
		{name: "no export", role: app.RoleAuditor, target: "/exports/nonsense", status: 404},
		{name: "a mapping", role: app.RoleFinanceAdmin, target: "/exports/mapping/netsuite?field=department&source=node&code=AC-77", status: 200, must: []string{"Mapping to NetSuite", "Add a rule", `value="AC-77"`, "acme holding", "acme accounts", "in force"}},
		{name: "a mapping to read", role: app.RoleAuditor, target: "/exports/mapping/netsuite", status: 200, must: []string{"subsidiary of entity US01 is acme holding"}, mustNot: []string{"Add a rule"}},
		{name: "the layout", role: app.RoleFinanceAdmin, target: "/exports/mapping/workday", status: 200, must: []string{"There is no mapping yet", "Layout of the EIB", `value="H_JournalKey"`, `value="L_Region"`}},
		{name: "the layout's file", role: app.RoleAuditor, target: "/exports/mapping/workday/columns", status: 200, must: []string{"header,source,argument,required"}},
		{name: "no layout", role: app.RoleAuditor, target: "/exports/mapping/netsuite/columns", status: 404},
		{name: "no system", role: app.RoleAuditor, target: "/exports/mapping/abacus", status: 404},
		{name: "nothing to tie", role: app.RoleController, target: "/exports/tie-out?period=2026-11", status: 200, must: []string{"Tie-out with NetSuite, November 2026", "nothing exported", "Nothing to compare yet"}, mustNot: []string{"Import and compare"}},
		{name: "no system to tie", role: app.RoleController, target: "/exports/tie-out?system=abacus", status: 404},
		{name: "focus", role: app.RoleAnalyst, target: "/exports/focus/csv?period=2026-11", status: 200, must: []string{"BilledCost,BillingAccountId", "Input Tokens"}},
		{name: "focus in parquet", role: app.RoleAnalyst, target: "/exports/focus/parquet?period=2026-11", status: 200, must: []string{"PAR1"}},
		{name: "focus of nothing", role: app.RoleAnalyst, target: "/exports/focus/csv?period=2025-01", status: 404},
	} {
		got := w.see(t, w.one, c.role, c.target)
		require.Equal(t, c.status, got.status, c.name+": "+got.body)
		for _, word := range c.must {
			require.Contains(t, got.body, word, c.name)
		}
		for _, word := range c.mustNot {
			require.NotContains(t, got.body, word, c.name)
		}
	}
}

// TestAMissingMappingIsMendedAndTheFileImported is the way of a finance admin: see what is
// missing, add the rule, have it approved, make the file, keep its id, tie the month out.
func TestAMissingMappingIsMendedAndTheFileImported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rules := "field,source,code,value\naccount,kind,*,*\nsubsidiary,entity,US01,Holding\nsubsidiary,entity,US02,West\n"
	check := func(status int, form url.Values) answer {
		t.Helper()
		got := w.post(t, w.one, app.RoleFinanceAdmin, "/exports/mapping/netsuite", form)
		require.Equal(t, status, got.status, got.body)
		return got
	}
	propose := func(base, rules string) {
		t.Helper()
		got := w.post(t, w.one, app.RoleFinanceAdmin, "/exports/mapping/netsuite/propose", url.Values{"base": {base}, "in_use": {"1"}, "rules": {rules}, "reason": {"our accounts"}})
		require.Equal(t, http.StatusSeeOther, got.status, got.body)
		w.decides(t, got.header.Get("Location"))
	}
	got := check(http.StatusUnprocessableEntity, url.Values{"base": {"1"}, "in_use": {"1"}, "rules": {rules + "colour,node,X,red\n"}})
	require.Contains(t, got.body, "is no field of netsuite")
	require.Contains(t, got.body, "colour,node,X,red", "what was typed is still there")
	got = check(http.StatusOK, url.Values{"base": {"1"}, "in_use": {"1"}, "rules": {rules}, "period": {"2026-11"}})
	require.Contains(t, got.body, "The mapping of netsuite has no period for period 2026-11")
	propose("1", rules)

	got = w.see(t, w.one, app.RoleFinanceAdmin, "/exports?period=2026-11")
	mend := attributes(got.body, "href")
	at := -1
	for i, link := range mend {
		if strings.HasPrefix(link, "/exports/mapping/netsuite?") {
			at = i
		}
	}
	require.GreaterOrEqual(t, at, 0, "a link leads to where it is mended")
	require.Equal(t, "/exports/mapping/netsuite?code=2026-11&field=period&source=period#add", mend[at])
	require.NotContains(t, got.body, "Make drafts for NetSuite")
	made := w.post(t, w.one, app.RoleFinanceAdmin, "/exports", url.Values{"period": {"2026-11"}, "system": {"netsuite"}})
	require.Equal(t, http.StatusConflict, made.status)
	require.Contains(t, made.body, "nothing was written")
	got = check(http.StatusOK, url.Values{"base": {"2"}, "in_use": {"1"}, "rules": {rules}, "add_field": {"period"}, "add_source": {"period"}, "add_code": {"2026-11"}, "add_value": {"Nov 2026"}})
	require.Contains(t, got.body, "period of period 2026-11 is Nov 2026")
	propose("2", rules+"period,period,2026-11,Nov 2026\n")

	w.superuser(t, `update period set state = 'locked' where tenant_id = $1`, w.one.tenant)
	made = w.post(t, w.one, app.RoleFinanceAdmin, "/exports", url.Values{"period": {"2026-11"}, "system": {"netsuite"}})
	require.Equal(t, http.StatusSeeOther, made.status, made.body)
	got = w.see(t, w.one, app.RoleFinanceAdmin, "/exports?period=2026-11")
	require.Contains(t, got.body, "TB-acme-202611-US01-1<")
	export := pattern(`/exports/exp_[0-9a-f]+`).FindString(got.body)
	page := w.see(t, w.one, app.RoleFinanceAdmin, export)
	require.Contains(t, page.body, "Keep the ids")
	bad := w.post(t, w.one, app.RoleFinanceAdmin, export+"/acknowledge", url.Values{"erp_id_0": {"JE-1"}, "posted_on_0": {"yesterday"}})
	require.Equal(t, http.StatusUnprocessableEntity, bad.status)
	require.Contains(t, bad.body, "is no day")
	require.Contains(t, bad.body, `value="JE-1"`)
	kept := w.post(t, w.one, app.RoleFinanceAdmin, export+"/acknowledge", url.Values{"erp_id_0": {"JE-1"}, "posted_on_0": {"2026-11-20"}})
	require.Equal(t, http.StatusSeeOther, kept.status, kept.body)
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, export).body, "JE-1")

	w.acknowledgedByAPI(t, "TB-acme-202611-US01-1")

	tie := url.Values{"period": {"2026-11"}, "system": {"netsuite"}, "debit_total": {"1.00"}, "credit_total": {"0.00"}, "file": {"entity,account,period,debit,credit\nHolding,expense,2026-11,2.00,\n"}}
	refused := w.post(t, w.one, app.RoleFinanceAdmin, "/exports/tie-out", tie)
	require.Equal(t, http.StatusUnprocessableEntity, refused.status, refused.body)
	require.Contains(t, refused.body, "Debits sum to 2.00; the report says 1.00")
	tie.Set("debit_total", "2.00")
	require.Equal(t, http.StatusSeeOther, w.post(t, w.one, app.RoleFinanceAdmin, "/exports/tie-out", tie).status)
	got = w.see(t, w.one, app.RoleAuditor, "/exports/tie-out?period=2026-11&system=netsuite")
	require.Contains(t, got.body, "Exceptions")
	require.Contains(t, got.body, "the account differs from what was exported")
}

// acknowledgedByAPI corrects an id that was kept, once, and ties the month out by the API.
func (w *world) acknowledgedByAPI(t *testing.T, journal string) {
	t.Helper()
	ids := func(period, id, corrects, once string) answer {
		body := `{"system":"netsuite","corrects":` + corrects + `,"acknowledgments":[{"external_id":"` + journal + `","erp_id":"` + id + `","posted_on":"2026-11-20"}]}`
		return w.call(w.one, app.RoleServiceAccount, "/periods/"+period+"/acknowledgments", body, "Idempotency-Key", once)
	}
	again := ids("2026-11", "JE-2", "false", "a")
	require.Equal(t, 400, again.status, again.body)
	require.Equal(t, "finance_file", again.json(t)["code"])
	require.Contains(t, again.body, "is acknowledged already, as JE-1")
	require.Contains(t, ids("2026-10", "JE-2", "true", "b").body, "is of 2026-11, not of 2026-10")
	first := ids("2026-11", "JE-2", "true", "c")
	require.Equal(t, 201, first.status, first.body)
	second := ids("2026-11", "JE-2", "true", "c")
	require.Equal(t, first.json(t)["change"], second.json(t)["change"], "once")
	require.Equal(t, "idempotency_mismatch", ids("2026-11", "JE-3", "true", "c").json(t)["code"])
	require.Equal(t, 403, w.call(w.one, app.RoleAuditor, "/periods/2026-11/acknowledgments", `{"system":"netsuite","acknowledgments":[]}`).status)

	actuals := func(debit, once string) answer {
		return w.call(w.one, app.RoleServiceAccount, "/periods/2026-11/actuals", `{"system":"netsuite","debit_total":"`+debit+`","credit_total":"0.00","file":"entity,account,period,debit,credit\nHolding,expense,2026-11,3.00,\n"}`, "Idempotency-Key", once)
	}
	require.Contains(t, actuals("1.00", "d").body, "Debits sum to 3.00; the report says 1.00")
	kept := actuals("3.00", "e")
	require.Equal(t, 201, kept.status, kept.body)
	require.EqualValues(t, 1, kept.json(t)["lines"])
	require.Equal(t, kept.body, actuals("3.00", "e").body)
	require.Equal(t, "actuals_same", actuals("3.00", "f").json(t)["code"])
	require.Equal(t, "actuals_nothing_exported", w.call(w.two, app.RoleServiceAccount, "/periods/2026-11/actuals", `{"system":"netsuite","debit_total":"0.00","credit_total":"0.00","file":"entity,account,period,debit,credit\nHolding,expense,2026-11,3.00,\n"}`).json(t)["code"])
}

func TestTheLayoutOfWorkdayIsEdited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := url.Values{"base": {"0"}, "in_use": {"1"}, "grid": {"1"}, "rules": {"field,source,code,value\naccount,kind,*,*\ncompany,entity,*,*\njournal_source,always,,EIB\n"}}
	for i, column := range [][4]string{{"2", "Debit", "debit", ""}, {"1", "Key", "journal_key", ""}, {"3", "Credit", "credit", ""}, {"4", "Account", "field", "account"}, {"5", "", "empty", ""}} {
		prefix := "c" + string(rune('0'+i)) + "_"
		for k, name := range []string{"place", "head", "source", "argument"} {
			form.Set(prefix+name, column[k])
		}
	}
	got := w.post(t, w.one, app.RoleFinanceAdmin, "/exports/mapping/workday", form)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, "Key,journal_key,,N\nDebit,debit,,N\nCredit,credit,,N\nAccount,field,account,N")
	form.Set("c0_source", "nothing")
	got = w.post(t, w.one, app.RoleFinanceAdmin, "/exports/mapping/workday", form)
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	require.Contains(t, got.body, "of the layout")
	require.Contains(t, got.body, `value="Key"`)
}

func TestPeriodsAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var month struct {
		State   string
		Final   bool
		Debits  string
		Credits string
		Systems []struct {
			System  string
			Ready   bool
			Exports []struct{ State string }
		}
	}
	got := w.call(w.one, app.RoleAuditor, "/periods/2026-11", "")
	require.Equal(t, 200, got.status, got.body)
	require.NoError(t, json.Unmarshal([]byte(got.body), &month))
	require.Equal(t, "open", month.State)
	require.False(t, month.Final)
	require.Equal(t, month.Debits, month.Credits)
	require.Equal(t, "draft", month.Systems[0].Exports[0].State)
	require.True(t, month.Systems[0].Ready)

	file := w.call(w.one, app.RoleServiceAccount, "/periods/2026-11/exports/netsuite", "")
	require.Equal(t, 200, file.status, file.body)
	require.Contains(t, file.header.Get("Content-Disposition"), "TB-acme-202611-US01-DRAFT-1-netsuite.csv")
	require.NotEmpty(t, file.header.Get("X-Tollbook-SHA256"))
	require.Equal(t, file.body, w.call(w.one, app.RoleServiceAccount, "/periods/2026-11/exports/netsuite", "").body)
	require.Equal(t, file.body, w.call(w.one, app.RoleAuditor, "/periods/2026-11/exports/netsuite?entity=US01", "").body)
	require.Equal(t, "PK", w.call(w.one, app.RoleAuditor, "/periods/2026-11/exports/netsuite?manifest=zip", "").body[:2])
	for target, want := range map[string]string{
		"/periods/2026-11/exports/ap": "ap_invoice_absent", "/periods/2026-11/exports/xero": "export_system_unused", "/periods/2026-11/exports/abacus": "export_format",
		"/periods/2025-01/exports/netsuite": "export_empty", "/periods/2026-11/exports/netsuite?entity=US99": "export_empty", "/periods/soon": "period_syntax", "/periods/2026-11/exports/focus?format=xml": "export_format_unknown",
	} {
		refused := w.call(w.one, app.RoleServiceAccount, target, "")
		require.Contains(t, refused.body, want, target)
		require.GreaterOrEqual(t, refused.status, 400, target)
	}
	for _, target := range []string{"/periods/2026-11/exports/focus", "/periods/2026-11/exports/focus?format=parquet", "/periods/2026-11/exports/focus?manifest=zip"} {
		require.Equal(t, 200, w.call(w.one, app.RoleAnalyst, target, "").status, target)
	}
	require.Equal(t, http.StatusForbidden, w.call(w.one, app.RoleDeveloper, "/periods/2026-11", "").status)
}
