package web_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

// post sends a form as somebody.
func (w *world) post(t *testing.T, c *company, role app.Role, target string, form url.Values) answer {
	t.Helper()
	r := request(http.MethodPost, target, form.Encode())
	r.AddCookie(w.session(t, c, role))
	got := w.do(r)
	wholesome(t, got)
	return got
}

func TestADiscountGoesFromFormToDecisionWithoutAScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, bad := range []struct{ percent, from, reason, must string }{
		{"lots", "2026-12-01", "x", "percentage from 0 to 100"},
		{"12.345", "2026-12-01", "x", "percentage from 0 to 100"},
		{"100.01", "2026-12-01", "x", "percentage from 0 to 100"},
		{"12", "soon", "x", "RFC 3339"},
		{"12", "2026-12-01T08:00:00Z", "x", "begins with a UTC day"},
		{"12", "2026-12-01", " ", "Say why"},
	} {
		got := w.post(t, w.one, app.RoleFinanceAdmin, "/prices/discount", url.Values{"percent": {bad.percent}, "from": {bad.from}, "reason": {bad.reason}})
		require.Equal(t, 422, got.status, bad.percent)
		require.Contains(t, got.body, bad.must)
		require.Contains(t, got.body, `value="`+bad.percent+`"`, "what was filled in stays")
	}
	form := url.Values{"percent": {"7.5"}, "from": {"2026-12-01"}, "reason": {"renewal"}, "once": {"form_1"}}
	made := w.post(t, w.one, app.RoleFinanceAdmin, "/prices/discount", form)
	require.Equal(t, 303, made.status, made.body)
	page := made.header.Get("Location")
	require.Equal(t, page, w.post(t, w.one, app.RoleFinanceAdmin, "/prices/discount", form).header.Get("Location"), "sent twice, it is one proposal")
	shown := w.see(t, w.one, app.RoleFinanceAdmin, page)
	require.Contains(t, shown.body, "You proposed this")
	require.Contains(t, shown.body, `href="/prices/changes/`+strings.TrimPrefix(page, "/changes/"))
	require.Contains(t, shown.body, "7.50% off list")
	digest := regexp.MustCompile(`name="digest" value="([0-9a-f]{64})"`).FindStringSubmatch(shown.body)
	require.Len(t, digest, 2)

	decision := url.Values{"digest": {digest[1]}, "verdict": {"approve"}, "reason": {"as signed"}}
	require.Equal(t, 403, w.post(t, w.one, app.RoleFinanceAdmin, page+"/decision", decision).status, "maker is not checker")
	require.Equal(t, 403, w.post(t, w.one, app.RoleAnalyst, page+"/decision", decision).status)
	require.Equal(t, 404, w.post(t, w.two, app.RoleController, page+"/decision", decision).status)
	other := url.Values{"digest": {strings.Repeat("0", 64)}, "verdict": {"approve"}, "reason": {"as signed"}}
	require.Equal(t, 409, w.post(t, w.one, app.RoleController, page+"/decision", other).status)
	silent := w.post(t, w.one, app.RoleController, page+"/decision", url.Values{"digest": {digest[1]}, "verdict": {"approve"}})
	require.Equal(t, 422, silent.status)
	require.Contains(t, silent.body, "Say why")
	done := w.post(t, w.one, app.RoleController, page+"/decision", decision)
	require.Equal(t, 303, done.status, done.body)
	after := w.see(t, w.one, app.RoleAuditor, page)
	require.Contains(t, after.body, "Applied")
	require.Contains(t, after.body, "Applied")
	require.NotContains(t, after.body, `value="approve"`)
	book := w.see(t, w.one, app.RoleAuditor, "/prices")
	require.Contains(t, book.body, "Price book 2")
	require.Contains(t, book.body, "7.50% off list")
	require.NotContains(t, book.body, "Waiting for a decision", "the other proposal was overtaken")
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/prices/changes/"+w.one.change.ID.String()).body, "price book 2 was applied")
	require.Contains(t, w.see(t, w.two, app.RoleAuditor, "/prices").body, "Price book 1")
}

func TestPricesExportWhatThePageShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.see(t, w.one, app.RoleAuditor, "/prices.csv?model=claude-haiku-5-5")
	require.Equal(t, 200, got.status)
	rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 3)
	require.Equal(t, []string{"1", "rate", "claude-haiku-5-5", "standard", "100000", "2026-10-07", "", "0.50", "2.50", "0.625", "1.00", "0.05", "", "geography:us tier:batch"}, rows[2][:14])
	all, err := csv.NewReader(strings.NewReader(w.see(t, w.one, app.RoleAuditor, "/prices.csv?era=all").body)).ReadAll()
	require.NoError(t, err)
	require.Greater(t, len(all), 40)
	for _, row := range all[1:] {
		require.NotEmpty(t, row[len(row)-1], "a source")
	}
}

func TestAPIProposesAndNeverDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := `{"kind":"prices","payload":{"discount_bps":500},"effective_from":"2026-12-01","reason":"from the contract system"}`
	made := w.call(w.one, app.RoleServiceAccount, "/changes", body, "Idempotency-Key", "a")
	require.Equal(t, 201, made.status, made.body)
	require.Equal(t, made.body, w.call(w.one, app.RoleServiceAccount, "/changes", body, "Idempotency-Key", "a").body)
	change := made.json(t)
	require.Equal(t, "proposed", change["state"])
	require.Len(t, change["digest"], 64)
	require.Contains(t, change["impact"], "1 line of price book 1 changes")
	require.Equal(t, "2026-12-01T00:00:00Z", change["effective_from"])
	require.EqualValues(t, 500, change["payload"].(map[string]any)["discount_bps"])

	list := w.call(w.one, app.RoleAuditor, "/changes?state=proposed&limit=1", "").json(t)
	require.Equal(t, change["id"], list["data"].([]any)[0].(map[string]any)["id"])
	next := w.call(w.one, app.RoleAuditor, "/changes?state=proposed&cursor="+list["next_cursor"].(string), "").json(t)
	require.Equal(t, w.one.edited.ID.String(), next["data"].([]any)[0].(map[string]any)["id"])
	require.Nil(t, next["next_cursor"])
	older := w.call(w.one, app.RoleAuditor, "/changes?kind=prices&state=proposed&cursor="+list["next_cursor"].(string), "").json(t)
	require.Equal(t, w.one.change.ID.String(), older["data"].([]any)[0].(map[string]any)["id"])
	applied := w.call(w.one, app.RoleAuditor, "/changes?state=applied", "").json(t)["data"].([]any)
	require.NotEmpty(t, applied)
	for _, one := range applied {
		require.NotContains(t, []any{"saved_view", "member", "tenant_profile"}, one.(map[string]any)["kind"], "kinds nobody decides about are not listed")
	}

	for _, c := range []struct {
		body   string
		role   app.Role
		status int
		code   string
	}{
		{`{"kind":"saved_view","payload":{},"reason":"x"}`, app.RoleFinanceAdmin, 400, "kind_unknown"},
		{`{"kind":"node","payload":{},"reason":"x"}`, app.RoleFinanceAdmin, 400, "operations_count"},
		{`{"kind":"prices","payload":{"discount_bps":1},"reason":"x"}`, app.RoleFinanceAdmin, 400, "discount_day"},
		{`{"kind":"prices","payload":{"discount_bps":1},"effective_from":"2026-12-01"}`, app.RoleFinanceAdmin, 400, "reason_missing"},
		{`{"kind":"prices","reason":"x"}`, app.RoleFinanceAdmin, 400, "prices_payload"},
		{body, app.RoleEngineeringAdmin, 403, "not_allowed"},
	} {
		got := w.call(w.one, c.role, "/changes", c.body)
		require.Equal(t, c.status, got.status, got.body)
		require.Equal(t, c.code, got.json(t)["code"])
	}
	require.Equal(t, 400, w.call(w.one, app.RoleAuditor, "/changes?state=open", "").status)
	require.Equal(t, 400, w.call(w.one, app.RoleAuditor, "/changes?cursor=x", "").status)
	require.Contains(t, []int{404, 405}, w.call(w.one, app.RoleFinanceAdmin, "/changes/"+w.one.change.ID.String()+"/decision", `{"verdict":"approve"}`).status)
}
