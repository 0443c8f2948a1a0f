package web_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/export"
	"tollbook/web/ui"
)

func TestPlanPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name, target  string
		role          app.Role
		status        int
		must, mustNot []string
	}{
		{
			name: "the year's plan", role: app.RoleAnalyst, target: "/plan", status: 200,
			must:    []string{"Plan, 2026", "Original, in force from 1 Oct 2026", "Propulsion unit", "AC-11", "0.90", "3.00", "Planned at cost center level", "6.40", "acme board", "In force", "Edit as a new version", "manifest=zip", "/?period=2026-11"},
			mustNot: []string{"Propulsion project", "SUSPENSE"},
		},
		{name: "a subtree's plan", role: app.RoleBudgetOwner, target: "/plan", status: 200, must: []string{"Propulsion team", "3.00"}, mustNot: []string{"AC-20", "6.40", "Edit as a new version"}},
		{name: "before it was known", role: app.RoleAuditor, target: "/plan?known_at=2026-10-15", status: 200, must: []string{"No version was in force then", "Original"}, mustNot: []string{"Import CSV"}},
		{name: "another year", role: app.RoleFinanceAdmin, target: "/plan?year=2027-07", status: 200, must: []string{"Jul 2027 to Jun 2028", "No plan was approved", "Write the plan of"}},
		{name: "a version by number", role: app.RoleController, target: "/plan?year=2026-01&version=1", status: 200, must: []string{"Original"}},
		{name: "no such version", role: app.RoleController, target: "/plan?version=9", status: 404},
		{name: "no such year", role: app.RoleController, target: "/plan?year=2026", status: 422, must: []string{"first month"}},
		{name: "no such instant", role: app.RoleController, target: "/plan?as_of=then", status: 422},
		{name: "not a developer's", role: app.RoleDeveloper, target: "/plan", status: 403, mustNot: []string{`href="/plan"`}},
		{name: "the editor", role: app.RoleFinanceAdmin, target: "/plan/edit", status: 200, must: []string{"Reforecast 1 of 2026", `name="AC-11:2026-11" value="0.90"`, `aria-label="AC-11 Nov 2026"`, `name="AC-P1:2026-01" value=""`}},
		{name: "the editor of a new year", role: app.RoleFinanceAdmin, target: "/plan/edit?year=2027-07", status: 200, must: []string{"Original of Jul 2027", `name="AC-11:2028-06"`}},
		{name: "no editor for whoever only looks", role: app.RoleController, target: "/plan/edit", status: 403},
		{name: "the import", role: app.RoleAnalyst, target: "/plan/import", status: 200, must: []string{"Import reforecast 1 of 2026", `type="file"`}},
	} {
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

func hidden(t *testing.T, page, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?s)name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
	require.Len(t, found, 2, name)
	return strings.NewReplacer("&#34;", `"`, "&amp;", "&").Replace(found[1])
}

func TestAPlanGoesFromTheGridToAVersionWithoutAScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := w.post(t, w.one, app.RoleAnalyst, "/plan/check", url.Values{"year": {"2026-01"}, "grid": {"1"}, "AC-11:2026-11": {"lots"}, "AC-11:2026-12": {"7,000.50"}})
	require.Equal(t, 422, bad.status)
	require.Contains(t, bad.body, "1 error: nothing was taken")
	require.Contains(t, bad.body, `name="AC-11:2026-11" value="lots"`)
	require.Contains(t, bad.body, `name="AC-11:2026-12" value="7,000.50"`, "what was typed stays")
	require.Equal(t, 1, strings.Count(bad.body, `aria-invalid="true"`))

	typed := url.Values{"year": {"2026-01"}, "grid": {"1"}, "AC-11:2026-10": {"1"}, "AC-11:2026-11": {"2.50"}, "AC-11:2026-12": {"1.10"}, "AC-P1:2026-12": {"$1,000"}}
	same := w.post(t, w.one, app.RoleAnalyst, "/plan/check", url.Values{"year": {"2026-01"}, "grid": {"1"}, "AC-11:2026-10": {"1"}, "AC-11:2026-11": {"0.9"}, "AC-11:2026-12": {"1.1"}})
	require.Equal(t, 422, same.status)
	require.Contains(t, same.body, "No amount would change")
	checked := w.post(t, w.one, app.RoleAnalyst, "/plan/check", typed)
	require.Equal(t, 200, checked.status, checked.body)
	for _, text := range []string{"Reforecast 1 of 2026: what would change", "Nov 0.90 to 2.50", "Dec none to 1,000.00", "Added", "Changed", "6.40", "1,008.00", "Nothing is written yet"} {
		require.Contains(t, checked.body, text)
	}
	require.Contains(t, w.see(t, w.one, app.RoleAnalyst, "/plan").body, "6.40", "nothing is written")

	form := url.Values{}
	for _, name := range []string{"year", "base", "file", "once", "effective_from"} {
		form.Set(name, hidden(t, checked.body, name))
	}
	silent := w.post(t, w.one, app.RoleAnalyst, "/plan", form)
	require.Equal(t, 422, silent.status)
	require.Contains(t, silent.body, "Say why")
	form.Set("reason", "more work")
	form.Set("effective_from", "soon")
	require.Equal(t, 422, w.post(t, w.one, app.RoleAnalyst, "/plan", form).status)
	form.Set("effective_from", "2026-11-01")
	require.Equal(t, 403, w.post(t, w.one, app.RoleController, "/plan", form).status)
	made := w.post(t, w.one, app.RoleAnalyst, "/plan", form)
	require.Equal(t, 303, made.status, made.body)
	require.Equal(t, "/plan?version=2&year=2026-01", made.header.Get("Location"))
	require.Equal(t, 303, w.post(t, w.one, app.RoleAnalyst, "/plan", form).status, "sent twice, it is one version")
	shown := w.see(t, w.one, app.RoleAuditor, made.header.Get("Location"))
	require.Contains(t, shown.body, "Reforecast 1, in force from 1 Nov 2026")
	require.Contains(t, shown.body, "more work")
	require.NotContains(t, shown.body, "Reforecast 2")
	form.Set("once", "form_other")
	moved := w.post(t, w.one, app.RoleFinanceAdmin, "/plan", form)
	require.Equal(t, 422, moved.status, "nothing is left to change")
	require.Contains(t, w.see(t, w.two, app.RoleAnalyst, "/plan").body, "6.40", "the other company's stays")
}

// upload sends a file as a form does.
func (w *world) upload(t *testing.T, c *company, role app.Role, year, file string) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(t, form.WriteField("year", year))
	part, err := form.CreateFormFile("upload", "plan.csv")
	require.NoError(t, err)
	_, err = part.Write([]byte(file))
	require.NoError(t, err)
	require.NoError(t, form.Close())
	r := request(http.MethodPost, "/plan/check", body.String())
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.AddCookie(w.session(t, c, role))
	return w.do(r)
}

func TestAnExportedPlanCanBeSentBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	exported := w.see(t, w.one, app.RoleAnalyst, "/plan.csv")
	require.Equal(t, 200, exported.status)
	golden(t, "plan.csv", exported.body)
	require.Contains(t, w.upload(t, w.one, app.RoleAnalyst, "2026-01", exported.body).body, "No amount would change")
	changed := w.upload(t, w.one, app.RoleAnalyst, "2026-01", strings.Replace(exported.body, "0.90", "90000", 1))
	require.Equal(t, 200, changed.status)
	require.Contains(t, changed.body, "Nov 0.90 to 90,000.00")

	for _, bad := range []struct{ year, file, must string }{
		{"2026-01", "code,2026-11\nAC-11,x\nNOPE,1\n", "No node has the code"},
		{"2026-01", "code,2026-11\nZE-11,1\n", "No node has the code &#34;ZE-11&#34;"},
		{"2027-01", exported.body, "is not in 2027"},
		{"2026-01", "code;2026-11\n", "not separated by commas"},
	} {
		got := w.upload(t, w.one, app.RoleAnalyst, bad.year, bad.file)
		require.Equal(t, 422, got.status)
		require.Contains(t, got.body, bad.must)
	}
	require.Equal(t, 422, w.upload(t, w.one, app.RoleAnalyst, "soon", "code").status)
	require.Equal(t, 422, w.upload(t, w.one, app.RoleAnalyst, "2026-01", strings.Repeat("x", 9<<20)).status)
	require.Equal(t, 403, w.upload(t, w.one, app.RoleAuditor, "2026-01", "code").status)
}

// TestEverySheetHasItsManifest asks every CSV there is for its manifest, beside it and in
// an archive.
func TestEverySheetHasItsManifest(t *testing.T) {
	t.Parallel()
	w := unsealed(t)
	w.erased(t, w.one)
	access, err := app.NewAccess()
	require.NoError(t, err)
	sheets := 0
	for _, route := range w.web.Routes() {
		if !strings.HasSuffix(route.Path, ".csv") {
			continue
		}
		sheets++
		path, role := w.one.path(t, strings.Replace(route.Path, ":node", "AC-10", 1)), app.Role(operator)
		as := ui.Words(string(app.RoleDeveloper)) // an operator's
		if !route.Operator {
			role = allowedRole(t, access, route)
			as = ui.Words(string(role))
		}
		session := w.session(t, w.one, role) // one: signing in leaves a record, which a sheet may count
		see := func(target string) answer {
			r := request(http.MethodGet, target, "")
			r.AddCookie(session)
			return w.do(r)
		}
		got := see(path + "?as_of=2026-11-20&node=AC-10")
		require.Equal(t, 200, got.status, route.Path)
		document, err := base64.StdEncoding.DecodeString(got.header.Get("X-Tollbook-Manifest"))
		require.NoError(t, err)
		m, err := export.Verify(document, []byte(got.body))
		require.NoError(t, err, route.Path)
		rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows[1:], m.Rows, route.Path)
		require.Equal(t, rows[0], m.Columns)
		require.Equal(t, strings.Trim(strings.TrimSuffix(route.Path, ".csv"), "/"), m.Report)
		require.Equal(t, []string{"test", "acme", "Propulsion " + string(role), as}, []string{m.CodeVersion, m.Tenant, m.RunBy.Name, m.RunBy.Roles})
		require.Contains(t, m.Filters, export.Pair{Name: "as_of", Value: "2026-11-20"})
		require.Contains(t, m.Filters, export.Pair{Name: "node", Value: "AC-10"})
		require.Equal(t, "2026-11-20T00:00:00Z", m.AsOf.Format("2006-01-02T15:04:05Z07:00"))
		require.Equal(t, got.header.Get("X-Tollbook-SHA256"), m.SHA256)
		require.EqualValues(t, -1, m.AuditSequence.Last, "nothing is sequenced in this world")
		require.Positive(t, m.AuditSequence.Waiting)

		archive := see(path + "?as_of=2026-11-20&node=AC-10&manifest=zip")
		require.Equal(t, "application/zip", archive.header.Get("Content-Type"))
		r, err := zip.NewReader(strings.NewReader(archive.body), int64(len(archive.body)))
		require.NoError(t, err)
		require.Len(t, r.File, 2)
		parts := make([][]byte, 2)
		for i, f := range r.File {
			opened, err := f.Open()
			require.NoError(t, err)
			parts[i], err = io.ReadAll(opened)
			require.NoError(t, err)
		}
		require.Equal(t, got.body, string(parts[0]))
		again, err := export.Verify(parts[1], parts[0])
		require.NoError(t, err)
		require.Equal(t, m, again)
		require.Equal(t, 422, see(path+"?manifest=inside").status)
	}
	require.GreaterOrEqual(t, sheets, 4)
	var query strings.Builder
	for i := range 40 {
		query.WriteString("x" + strconv.Itoa(i) + "=" + strings.Repeat("y", 400) + "&")
	}
	long := w.see(t, w.one, app.RoleFinanceAdmin, "/chargeback.csv?"+query.String())
	require.Equal(t, 200, long.status)
	require.Empty(t, long.header.Get("X-Tollbook-Manifest"), "no header larger than proxies pass on")
	require.Len(t, long.header.Get("X-Tollbook-SHA256"), 64)
	var totals struct {
		ControlTotals []export.Pair `json:"control_totals"`
		Filters       []export.Pair `json:"filters"`
	}
	month := w.see(t, w.one, app.RoleFinanceAdmin, "/chargeback.csv")
	document, err := base64.StdEncoding.DecodeString(month.header.Get("X-Tollbook-Manifest"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(document, &totals))
	require.Contains(t, totals.Filters, export.Pair{Name: "period", Value: "2026-11"}, "chosen by default")
	require.Contains(t, totals.ControlTotals, export.Pair{Name: "total_usd", Value: "1.502262000000"})
	require.Contains(t, totals.ControlTotals, export.Pair{Name: "difference_usd", Value: "0.000000000000"})
}
