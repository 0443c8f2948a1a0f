package web_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

func TestReconciliationPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	variance := "/variances/" + w.one.things["/variances"]
	for _, c := range []struct {
		name    string
		role    app.Role
		target  string
		status  int
		must    []string
		mustNot []string
	}{
		{
			name: "a month", role: app.RoleFinanceAdmin, target: "/reconciliation?period=2026-11", status: 200, must: []string{
				"Reconciliation, November 2026", "Sat 21 Nov", "Exception", "No report", "Per cost report", "$1.00, or 0.05 % of the day’s charges", "/reconciliation/tolerance", "reconciliation-acme-2026-11.csv",
			}, mustNot: []string{"simulator"},
		},
		{name: "who may not propose", role: app.RoleAuditor, target: "/reconciliation", status: 200, must: []string{"November 2026"}, mustNot: []string{"/reconciliation/tolerance"}},
		{name: "no month", role: app.RoleAuditor, target: "/reconciliation?period=soon", status: 422, must: []string{"YYYY-MM"}},
		{name: "not a developer's", role: app.RoleDeveloper, target: "/reconciliation", status: 403},
		{name: "not of a subtree", role: app.RoleBudgetOwner, target: "/reconciliation", status: 403},
		{
			name: "a day", role: app.RoleFinanceAdmin, target: "/reconciliation/2026-11-21", status: 200, must: []string{
				"Reconciliation of 21 Nov 2026", "Missing at the provider", "Per usage report", "Per ledger", "not signed", "A variance of this day is open", "Not in the provider’s report, though we have the whole answer: 1 request.", "The gateway’s keys", "Reconciliation 1", "AC-1",
			},
		},
		{name: "a day without a report", role: app.RoleAuditor, target: "/reconciliation/2026-11-12", status: 200, must: []string{"Not reconciled yet"}},
		{name: "no day", role: app.RoleAuditor, target: "/reconciliation/2026-13-12", status: 404},
		{name: "a day to come", role: app.RoleAuditor, target: "/reconciliation/2027-01-12", status: 404},
		{name: "variances", role: app.RoleAnalyst, target: "/variances", status: 200, must: []string{"Variance 1", "Missing at the provider", "Open", "nobody", "2026-11-21"}},
		{name: "filtered out", role: app.RoleAnalyst, target: "/variances?state=resolved&class=fee", status: 200, must: []string{"No variance matches", "Clear the filter"}},
		{name: "mine", role: app.RoleFinanceAdmin, target: "/variances?owner=me", status: 200, must: []string{"No variance matches"}},
		{name: "no such state", role: app.RoleAnalyst, target: "/variances?state=lost", status: 422, must: []string{"lost"}},
		{name: "no such class", role: app.RoleAnalyst, target: "/variances?class=magic", status: 422},
		{name: "a variance", role: app.RoleFinanceAdmin, target: variance, status: 200, must: []string{"Explain it", "Assign it", "Found, ", "Who answers for it", "1 day since its day ended"}, mustNot: []string{"Review it"}},
		{name: "for who only reads", role: app.RoleAuditor, target: variance, status: 200, must: []string{"What happened"}, mustNot: []string{"Explain it"}},
		{name: "another's variance", role: app.RoleAuditor, target: "/variances/" + w.two.things["/variances"], status: 404},
		{name: "no variance", role: app.RoleAuditor, target: "/variances/nonsense", status: 404},
		{name: "the tolerance", role: app.RoleController, target: "/reconciliation/tolerance", status: 200, must: []string{`value="1.00"`, `value="0.05"`}},
		{name: "who may not ask for it", role: app.RoleAnalyst, target: "/reconciliation/tolerance", status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := w.see(t, w.one, c.role, c.target)
			require.Equal(t, c.status, got.status, got.body)
			for _, text := range c.must {
				require.Contains(t, got.body, text)
			}
			for _, text := range c.mustNot {
				require.NotContains(t, got.body, text)
			}
		})
	}
}

// TestWhatBrokeOffIsTruedUpAtItsDay: who may not propose it, and a day with nothing to true up.
func TestWhatBrokeOffIsTruedUpAtItsDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	day := "/reconciliation/" + reconciledDay
	require.NotContains(t, w.see(t, w.one, app.RoleFinanceAdmin, day).body, "Requests that broke off", "there are none")
	require.Equal(t, 403, w.post(t, w.one, app.RoleAnalyst, day+"/true-up", url.Values{"reason": {"x"}}).status)
	got := w.post(t, w.one, app.RoleFinanceAdmin, day+"/true-up", url.Values{"reason": {"as the provider counted"}})
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, "Nothing of this day waits for a true-up")
	require.Contains(t, got.body, "No request of this day waits for a true-up.")
	require.Equal(t, 404, w.post(t, w.one, app.RoleFinanceAdmin, "/reconciliation/soon/true-up", url.Values{"reason": {"x"}}).status)
}

// TestAVarianceIsWorkedAtItsPage walks it as two people do.
func TestAVarianceIsWorkedAtItsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	variance := "/variances/" + w.one.things["/variances"]
	steps := variance + "/steps"
	send := func(role app.Role, target string, form url.Values) answer {
		return w.post(t, w.one, role, target, form)
	}
	got := send(app.RoleFinanceAdmin, steps, url.Values{"step": {"assigned"}, "note": {"who knows"}, "owner": {"nobody"}})
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "Choose who answers")
	require.Contains(t, got.body, `value="who knows"`)
	got = send(app.RoleFinanceAdmin, steps, url.Values{"step": {"waiting"}, "note": {"soon"}, "until": {"2026-11-20"}})
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "from today to 60 days")
	require.Equal(t, 422, send(app.RoleFinanceAdmin, steps, url.Values{"step": {"adjusted"}, "note": {"by that"}, "change": {"99999"}}).status)
	require.Equal(t, 422, send(app.RoleFinanceAdmin, steps, url.Values{"step": {"found"}, "note": {"x"}}).status)
	require.Equal(t, 422, send(app.RoleFinanceAdmin, steps, url.Values{"step": {"explained"}}).status)
	require.Equal(t, 403, send(app.RoleAnalyst, steps, url.Values{"step": {"explained"}, "note": {"x"}}).status)
	require.Equal(t, 404, send(app.RoleFinanceAdmin, "/variances/"+w.two.things["/variances"]+"/steps", url.Values{"step": {"explained"}, "note": {"x"}}).status)
	require.Equal(t, 303, send(app.RoleFinanceAdmin, steps, url.Values{"step": {"assigned"}, "note": {"mine"}, "owner": {w.one.members[app.RoleFinanceAdmin].String()}}).status)
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/variances?owner=me").body, "Variance 1")

	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(t, form.WriteField("step", "explained"))
	require.NoError(t, form.WriteField("note", "The admin key was of another organization."))
	file, err := form.CreateFormFile("file", "mail.pdf")
	require.NoError(t, err)
	_, err = file.Write([]byte("%PDF-1.7"))
	require.NoError(t, err)
	require.NoError(t, form.Close())
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:8080"+steps, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.AddCookie(w.session(t, w.one, app.RoleFinanceAdmin))
	require.Equal(t, 303, w.do(r).status)

	page := w.see(t, w.one, app.RoleController, variance).body
	require.Contains(t, page, "Review it")
	require.Contains(t, page, "mail.pdf")
	_, rest, there := strings.Cut(page, variance+"/files/")
	require.True(t, there)
	name, _, _ := strings.Cut(rest, `"`)
	got = w.see(t, w.one, app.RoleController, variance+"/files/"+name)
	require.Equal(t, 200, got.status)
	require.Equal(t, "%PDF-1.7", got.body)
	require.NotContains(t, w.see(t, w.one, app.RoleFinanceAdmin, variance).body, "Review it")
	shown := regexp.MustCompile(`name="place" value="(\d+)"/?>\s*<input type="hidden" name="amount" value="([-0-9.]+)"`).FindStringSubmatch(page)
	require.Len(t, shown, 3)
	accept := func(place, amount string) answer {
		return send(app.RoleController, steps, url.Values{"step": {"accepted"}, "note": {"seen"}, "place": {place}, "amount": {amount}})
	}
	require.Equal(t, 409, accept("", "").status, "of no stated amount")
	require.Equal(t, 422, accept("two", shown[2]).status)
	got = accept(shown[1], shown[2]+"1")
	require.NotEqual(t, 303, got.status)
	require.Contains(t, accept("1", shown[2]).body, "The variance is another than the one this is about")
	require.Equal(t, 303, accept(shown[1], shown[2]).status)
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, variance).body, "Review: accepted")

	day := "/reconciliation/2026-11-21"
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, day).body, "Sign as preparer")
	require.Equal(t, 422, send(app.RoleFinanceAdmin, day+"/sign", url.Values{"part": {"king"}, "run": {"1"}, "note": {"x"}}).status)
	got = send(app.RoleFinanceAdmin, day+"/sign", url.Values{"part": {"preparer"}, "run": {"7"}, "note": {"x"}})
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, "reconciled again meanwhile")
	require.Equal(t, 422, send(app.RoleFinanceAdmin, day+"/sign", url.Values{"part": {"preparer"}, "run": {"1"}}).status)
	require.Equal(t, 303, send(app.RoleFinanceAdmin, day+"/sign", url.Values{"part": {"preparer"}, "run": {"1"}, "note": {"as shown"}}).status)
	require.Contains(t, w.see(t, w.one, app.RoleController, day).body, "Sign as reviewer")
	require.NotContains(t, w.see(t, w.one, app.RoleFinanceAdmin, day).body, "Sign as reviewer")
	require.Equal(t, 303, send(app.RoleController, day+"/sign", url.Values{"part": {"reviewer"}, "run": {"1"}, "note": {"as shown"}}).status)
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/reconciliation?period=2026-11").body, "Exception, resolved")

	got = send(app.RoleFinanceAdmin, "/reconciliation/tolerance", url.Values{"absolute": {"five"}, "relative": {"0.05"}, "reason": {"x"}})
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, `value="five"`)
	require.Equal(t, 422, send(app.RoleFinanceAdmin, "/reconciliation/tolerance", url.Values{"absolute": {"1.00"}, "relative": {"0.05"}, "reason": {"x"}}).status, "the same")
	require.Equal(t, 303, send(app.RoleFinanceAdmin, "/reconciliation/tolerance", url.Values{"absolute": {"2.00"}, "relative": {"0.10"}, "reason": {"x"}}).status)
}

func TestReconciliationsOfTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var list struct{ Data []map[string]any }
	read := func(target string, status int) {
		got := w.call(w.one, app.RoleServiceAccount, target, "")
		require.Equal(t, status, got.status, got.body)
		list.Data = nil
		require.NoError(t, json.Unmarshal([]byte(got.body), &list))
	}
	read("/reconciliations?day=2026-11-21", 200)
	require.Len(t, list.Data, 1)
	require.Equal(t, "exception", list.Data[0]["state"])
	require.Equal(t, "provider", list.Data[0]["basis"])
	require.NotEmpty(t, list.Data[0]["items"])
	read("/reconciliations?period=2026-11", 200)
	require.Len(t, list.Data, 23)
	read("/variances?state=open", 200)
	require.NotEmpty(t, list.Data)
	require.Equal(t, "missing_at_provider", list.Data[0]["class"])
	read("/variances?state=resolved", 200)
	require.Empty(t, list.Data)
	read("/variances?class=magic", 400)
}

// TestSpendElsewhereIsStatedByTwo: a file is taken whole or refused whole, and shows beside
// coverage once somebody else approved it.
func TestSpendElsewhereIsStatedByTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const page = "/reconciliation/elsewhere"
	require.Contains(t, w.see(t, w.one, app.RoleAnalyst, page+"?period=2026-11").body, "Nothing is stated for this month")
	require.NotContains(t, w.see(t, w.one, app.RoleAnalyst, page).body, "State it anew")
	send := func(text string) answer {
		return w.post(t, w.one, app.RoleFinanceAdmin, page, url.Values{"period": {"2026-11"}, "text": {text}, "reason": {"the seats’ invoice"}})
	}
	const head = "node,source,description,amount_usd\r\n"
	got := send(head + "AC-10,Claude seats,Team,100.00\r\nZE-1,Claude seats,,x\r\n")
	require.Equal(t, 422, got.status)
	for _, text := range []string{"2 errors", "Line 3, node", "Line 3, amount_usd", "AC-10,Claude seats,Team,100.00"} {
		require.Contains(t, got.body, text)
	}
	require.Equal(t, 403, w.post(t, w.one, app.RoleAnalyst, page, url.Values{"period": {"2026-11"}, "text": {head}}).status)
	require.Equal(t, 422, w.post(t, w.one, app.RoleFinanceAdmin, page, url.Values{"period": {"2027-11"}, "text": {head + "AC-10,x,,1\n"}, "reason": {"x"}}).status, "a month to come")
	got = send(head + "AC-10,Claude seats,\"Team, November\",100.00\r\nAC-10,Bedrock,,25.50\r\n")
	require.Equal(t, 303, got.status, got.body)
	change := got.header.Get("Location")
	require.Contains(t, w.see(t, w.one, app.RoleController, change).body, "$125.50 in 2 lines")
	w.decides(t, change)
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, page+"?period=2026-11").body, "Team, November")
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/reconciliation?period=2026-11").body, "$125.50 more is not metered here")
	require.Equal(t, "node,source,description,amount_usd\nAC-10,Claude seats,\"Team, November\",100.00\nAC-10,Bedrock,,25.50\n", w.see(t, w.one, app.RoleAuditor, page+".csv?period=2026-11").body)
	require.NotContains(t, w.see(t, w.two, app.RoleAuditor, page+"?period=2026-11").body, "Bedrock")
}
