package web_test

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"io/fs"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/export"
	"tollbook/app/money"
	"tollbook/app/provider"
)

const providerAt = "/settings/provider"

func TestProviderPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pull := providerAt + "/pulls/" + w.one.things["/settings/provider/pulls"]
	for _, c := range []struct {
		name    string
		role    app.Role
		target  string
		status  int
		must    []string
		mustNot []string
	}{
		{name: "the source and its pulls", role: app.RoleFinanceAdmin, target: providerAt, status: 200, must: []string{
			"Provider reports", app.ProviderURL, "Stored", "apikey_acme", "acme gateway", "from 2026-11-15 on", "2026-11-20", "Not pulled", "Pull 2", "Finished", "Propose the source", "Pull it again", "pulls-acme.csv", "SHA-256",
		}, mustNot: []string{"sk-ant"}},
		{name: "who may not change it", role: app.RoleAuditor, target: providerAt, status: 200, must: []string{"Pull 2"}, mustNot: []string{"Propose the source", "Pull it again", "sk-ant"}},
		{name: "narrowed", role: app.RoleController, target: providerAt + "?report=cost&state=finished&day=2026-11-20", status: 200, must: []string{"Pull 2", "Clear"}, mustNot: []string{"Pull 1<"}},
		{name: "filtered out", role: app.RoleController, target: providerAt + "?state=failed", status: 200, must: []string{"No pull fits this filter."}},
		{name: "no such report", role: app.RoleController, target: providerAt + "?report=tea", status: 422},
		{name: "no such state", role: app.RoleController, target: providerAt + "?state=sad", status: 422},
		{name: "no day", role: app.RoleController, target: providerAt + "?day=soon", status: 422},
		{name: "no cursor", role: app.RoleController, target: providerAt + "?cursor=x", status: 422},
		{name: "a pull", role: app.RoleAuditor, target: pull, status: 200, must: []string{
			"Pull 2: cost of 2026-11-20", "What it reports is what counts now.", "485.645000000000", "412.800000000001", "provider:teleport", "unknown class", "cost.shipping", "/pages/1", "/v1/organizations/acme", "23 Nov 2026 09:00:00 UTC",
		}, mustNot: []string{"Pull the day again"}},
		{name: "days of no archive", role: app.RoleAuditor, target: providerAt + "/reports.zip?from=2026-11-20&through=2026-11-01", status: 422, must: []string{"An archive is of 1 to 92 days"}},
		{name: "no day of an archive", role: app.RoleAuditor, target: providerAt + "/reports.zip?from=soon", status: 422},
		{name: "not an analyst’s archive", role: app.RoleAnalyst, target: providerAt + "/reports.zip", status: 403},
		{name: "another’s pull", role: app.RoleAuditor, target: providerAt + "/pulls/" + w.two.things["/settings/provider/pulls"], status: 404},
		{name: "no pull", role: app.RoleAuditor, target: providerAt + "/pulls/x", status: 404},
		{name: "another’s page", role: app.RoleAuditor, target: providerAt + "/pulls/" + w.two.things["/settings/provider/pulls"] + "/pages/1", status: 404},
		{name: "no page", role: app.RoleAuditor, target: pull + "/pages/2", status: 404},
		{name: "no number of a page", role: app.RoleAuditor, target: pull + "/pages/one", status: 404},
		{name: "not an analyst’s", role: app.RoleAnalyst, target: providerAt, status: 403},
		{name: "not a developer’s", role: app.RoleDeveloper, target: pull, status: 403},
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

// TestAPageIsHandedOutAsItCame compares the bytes with the digest that goes with them.
func TestAPageIsHandedOutAsItCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pull := providerAt + "/pulls/" + w.one.things["/settings/provider/pulls"]
	got := w.see(t, w.one, app.RoleAuditor, pull+"/pages/1")
	require.Equal(t, 200, got.status)
	sum := sha256.Sum256([]byte(got.body))
	require.Equal(t, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":", got.header.Get("Repr-Digest"))
	require.Equal(t, "Mon, 23 Nov 2026 14:02:00 GMT", got.header.Get("Last-Modified"))
	require.Contains(t, got.body, `"amount":"41280.0000000001"`)
	lines, err := csv.NewReader(strings.NewReader(w.see(t, w.one, app.RoleAuditor, pull+"/figures.csv").body)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"cost", "2026-11-20", "", "apikey_acme", "claude-opus-5-5", "", "", "", "output", "0", "485.645000000000", "412.800000000001"}, lines[2])
	lines, err = csv.NewReader(strings.NewReader(w.see(t, w.one, app.RoleAuditor, providerAt+".csv?report=keys").body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 2)
}

// TestAnAuditorTakesTheReportsAlong downloads what was received and checks it as the command does.
func TestAnAuditorTakesTheReportsAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.see(t, w.one, app.RoleAuditor, providerAt+"/reports.zip?from=2026-11-19&through=2026-11-21")
	require.Equal(t, 200, got.status, got.body)
	require.Contains(t, got.header.Get("Content-Disposition"), "tollbook-acme-reports-2026-11-19-2026-11-21.zip")
	files, err := zip.NewReader(strings.NewReader(got.body), int64(len(got.body)))
	require.NoError(t, err)
	contents, pulls, err := provider.CheckArchive(files)
	require.NoError(t, err)
	require.Equal(t, []provider.MissingReport{{Report: provider.Usage, Day: "2026-11-19"}, {Report: provider.Cost, Day: "2026-11-19"}, {Report: provider.Usage, Day: "2026-11-20"}}, contents.Missing)
	require.Len(t, pulls, 3)
	require.Equal(t, "/v1/organizations/acme", pulls[0].Pages[0].Request)
	require.Equal(t, money.Pico(412_800_000_000_001), pulls[0].Figures[1].Amount)
	document, err := fs.ReadFile(files, provider.ContentsFile)
	require.NoError(t, err)
	about, err := fs.ReadFile(files, provider.ContentsAbout)
	require.NoError(t, err)
	manifest, err := export.Verify(about, document)
	require.NoError(t, err)
	require.Equal(t, "acme", manifest.Tenant)
	for _, word := range w.two.words {
		require.NotContains(t, string(document), word)
	}
}

func TestTheFormsOfProviderReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fin := w.session(t, w.one, app.RoleFinanceAdmin)
	form := url.Values{"base_url": {app.ProviderURL}, "gateway_keys": {"apikey_a\r\napikey_b"}, "first_day": {"2026-11-15"}, "settle_hours": {"48"}, "repull_days": {"many"}, "reason": {"two keys"}}
	bad := w.send(fin, providerAt, form)
	require.Equal(t, 422, bad.status)
	require.Contains(t, bad.body, "is no whole number")
	require.Contains(t, bad.body, `value="many"`)
	require.Contains(t, bad.body, "apikey_b</textarea>")
	form.Set("repull_days", "30")
	form.Set("gateway_keys", "sk-ant-api03-oops")
	require.Contains(t, w.send(fin, providerAt, form).body, "never by the key itself")
	form.Set("gateway_keys", "apikey_a\r\napikey_b")
	form.Set("credential", "sk-ant-admin01-other")
	sent := w.send(fin, providerAt, form)
	require.Equal(t, 303, sent.status)
	change := w.see(t, w.one, app.RoleController, sent.header.Get("Location"))
	require.Contains(t, change.body, "Added: apikey_a, apikey_b. Taken off: apikey_acme.")
	require.NotContains(t, change.body, "sk-ant")
	w.decides(t, sent.header.Get("Location"))
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, providerAt).body, "said the same for 48 hours")
	require.Equal(t, 403, w.send(w.session(t, w.one, app.RoleController), providerAt, form).status)

	again := func(day string) answer { return w.send(fin, providerAt+"/pulls", url.Values{"day": {day}}) }
	require.Contains(t, again("monday").body, "A day is YYYY-MM-DD")
	require.Contains(t, again("2026-11-23").body, "A day that is over")
	require.Equal(t, 422, again("2024-11-23").status)
	asked := again("2026-11-20")
	require.Equal(t, []any{303, providerAt + "?day=2026-11-20#pulls"}, []any{asked.status, asked.header.Get("Location")})
	require.Equal(t, 403, w.send(w.session(t, w.one, app.RoleAuditor), providerAt+"/pulls", url.Values{"day": {"2026-11-20"}}).status)
	var jobs int
	require.NoError(t, w.clone.Admin(t).QueryRow(`select count(*) from river.river_job where kind = 'pull_reports' and args->>'day' = '2026-11-20' and args->>'tenant' = $1`, w.one.tenant.String()).Scan(&jobs))
	require.Equal(t, 1, jobs)
	log := w.see(t, w.one, app.RoleAuditor, "/log?action=provider.pulled")
	require.Contains(t, log.body, "cost, 2026-11-20, finished")
	require.Contains(t, log.body, "Pull 2")
	wholesome(t, w.see(t, w.one, app.RoleFinanceAdmin, providerAt))
}
