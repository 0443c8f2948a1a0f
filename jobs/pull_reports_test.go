package jobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/money"
	"tollbook/app/provider"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
	"tollbook/jobs/anthropicadmin"
	"tollbook/simulator"
)

// pageRows are those of a page here, so that a day of thirty rows has two.
const pageRows = 20

// vendor is a provider with books of its own, behind whatever a test puts before it.
type vendor struct {
	*simulator.Simulator
	url   string
	ahead atomic.Int64 // of its clock
	asked atomic.Int64 // questions
}

func newVendor(t *testing.T, before func(http.Handler) http.Handler) *vendor {
	t.Helper()
	v := &vendor{}
	var err error
	v.Simulator, err = simulator.Open(simulator.Config{Dir: t.TempDir(), DiscountBps: 777, Now: func() time.Time { return time.Now().Add(time.Duration(v.ahead.Load())) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, v.Close()) })
	handler := v.Handler()
	if before != nil {
		handler = before(handler)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/organizations") {
			v.asked.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

func (v *vendor) tell(t *testing.T, path, body string) []byte {
	t.Helper()
	rec := httptest.NewRecorder()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	v.Handler().ServeHTTP(rec, r)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	return rec.Body.Bytes()
}

// traffic books requests of every kind on a day, of keys of two workspaces and of nobody's.
func (v *vendor) traffic(t *testing.T, day time.Time, count, keys int) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(day.Unix()), 7))
	one := func(words ...string) string { return words[random.IntN(len(words))] }
	_, err := v.Import(func(yield func(simulator.Fact) bool) {
		for i := range count {
			key, space := "", ""
			if n := i % (keys + 1); n > 0 {
				key, space = fmt.Sprintf("apikey_%04d", n), []string{"", "wrkspc_2"}[n%2]
			}
			f := simulator.Fact{
				RequestID: fmt.Sprint(day.Unix(), "-", i), OccurredAt: day.Add(time.Duration(random.Int64N(int64(24 * time.Hour)))), KeyHint: key, WorkspaceID: space,
				Model: one("claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-4-6"), Speed: one("standard", "fast"), ServiceTier: one("standard", "batch"), InferenceGeo: one("global", "us"),
				Tokens:            simulator.Tokens{Input: random.Int64N(250_000), Output: random.Int64N(9000), CacheWrite5m: random.Int64N(9000), CacheWrite1h: random.Int64N(9000), CacheRead: random.Int64N(90_000)},
				WebSearchRequests: random.Int64N(3),
			}
			if !yield(f) {
				return
			}
		}
	})
	require.NoError(t, err)
}

// books are the truth of a day: its charges in pico-dollars, and its tokens by class.
func (v *vendor) books(t *testing.T, day time.Time) (amount string, counts map[string]int64) {
	t.Helper()
	var totals struct {
		Amount   string
		Requests int64
		Data     []struct {
			Tokens            map[string]int64
			WebSearchRequests int64 `json:"web_search_requests"`
		}
	}
	require.NoError(t, json.Unmarshal(v.tell(t, "/books/totals?from="+day.Format(time.DateOnly)+"&to="+day.AddDate(0, 0, 1).Format(time.DateOnly), ""), &totals))
	counts = map[string]int64{"requests": totals.Requests}
	for _, row := range totals.Data {
		for class, n := range row.Tokens {
			counts[class] += n
		}
		counts["web_search_requests"] += row.WebSearchRequests
	}
	return totals.Amount, counts
}

const adminKey = "sk-ant-admin01-test"

func ago(days int) time.Time { return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days) }

// from sets where a company's reports come from, by the clock of days from one on.
func (h *house) from(t *testing.T, tenant id.Tenant, url string, first time.Time) {
	t.Helper()
	require.NoError(t, h.reports.SetSource(t.Context(), app.Command(tenant), app.ReportSource{BaseURL: url, GatewayKeys: []string{"apikey_0001"}, FirstDay: first.Format(time.DateOnly)}, secret.NewText(adminKey), "fixture"))
}

// pulled waits until a pull of a report of a day is there that began after a number.
func (h *house) pulled(t *testing.T, tenant id.Tenant, report provider.Report, day time.Time, after int64) db.PullRow {
	t.Helper()
	var row db.PullRow
	require.Eventually(t, func() bool {
		var found bool
		require.NoError(t, h.clone.ReadTenant(t.Context(), tenant, func(tx *db.Tx) (err error) {
			row, found, err = tx.GoodPull(report, day)
			return err
		}))
		return found && row.Number > after
	}, 60*time.Second, 20*time.Millisecond)
	return row
}

func (h *house) figures(t *testing.T, tenant id.Tenant, day time.Time) []provider.Figure {
	t.Helper()
	var list []provider.Figure
	require.NoError(t, h.clone.ReadTenant(t.Context(), tenant, func(tx *db.Tx) (err error) {
		list, err = tx.FiguresOf(day)
		return err
	}))
	return list
}

// agree requires that figures sum to a vendor's books.
func agree(t *testing.T, v *vendor, figures []provider.Figure, day time.Time) {
	t.Helper()
	amount, counts := v.books(t, day)
	var list, cost money.Sum
	got := map[string]int64{}
	for _, f := range figures {
		if f.Report == provider.Usage {
			got[f.Class] += f.Quantity
			continue
		}
		list.Add(f.List)
		cost.Add(f.Amount)
	}
	require.Equal(t, counts, got)
	require.Equal(t, amount, list.String())
	require.Negative(t, cost.Cmp(&list))
}

func (h *house) ask(t *testing.T, tenant id.Tenant, days ...time.Time) {
	t.Helper()
	for _, day := range days {
		require.NoError(t, h.clone.EnqueueNow(t.Context(), job.PullReports{Tenant: tenant.String(), Day: day.Format(time.DateOnly)}))
	}
}

// TestReportsSumToTheProvidersBooks pulls days of two companies from two providers, by the
// clock: to the pico-dollar, each its own.
func TestReportsSumToTheProvidersBooks(t *testing.T) {
	t.Parallel()
	h := build(t)
	one, two := newVendor(t, nil), newVendor(t, nil)
	for n := 1; n <= 4; n++ {
		one.traffic(t, ago(n), 300, 3)
		two.traffic(t, ago(n), 20*n, 1)
	}
	h.from(t, h.one, one.url, ago(4))
	h.from(t, h.two, two.url, ago(4))
	h.work(t, true)
	for n := 1; n <= 4; n++ {
		for tenant, v := range map[id.Tenant]*vendor{h.one: one, h.two: two} {
			h.pulled(t, tenant, provider.Usage, ago(n), 0)
			h.pulled(t, tenant, provider.Cost, ago(n), 0)
			agree(t, v, h.figures(t, tenant, ago(n)), ago(n))
		}
	}
	spaces := map[string]string{}
	for _, f := range h.figures(t, h.one, ago(1)) {
		spaces[f.Key] = f.Workspace
	}
	require.Len(t, spaces, 4)
	require.Equal(t, "wrkspc_2", spaces["apikey_0001"])
	require.Empty(t, spaces[""])
	require.Contains(t, spaces["apikey_0002"], "wrkspc_")
	require.Equal(t, "0", h.text(t, `select count(*)::text from provider_page where encode(content, 'escape') like '%`+adminKey+`%' or request like '%sk-ant%'`))
	require.Equal(t, h.text(t, `select count(*)::text from provider_pull_end`), h.text(t, `select count(*)::text from audit_record where action = 'provider.pulled'`))
	// Today is not over, and a day before the first one is nobody's.
	require.Equal(t, "0", h.text(t, `select count(*)::text from provider_pull where report in ('usage', 'cost') and day not between '`+ago(4).Format(time.DateOnly)+`' and '`+ago(1).Format(time.DateOnly)+`'`))
}

// TestAPullSurvivesWhatAProviderDoes pulls a day of two pages under each fault: in the end it
// has the day's figures, once, and what went wrong is on record.
func TestAPullSurvivesWhatAProviderDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		faults string
		skip   int
		reason string // of the pull that failed before; empty: none did
	}{
		{"status=429,retry-after=2", 0, ""}, {"status=529", 1, ""}, {"status=502,html", 0, ""}, {"drop-head", 1, ""}, {"drop-after=1", 1, ""}, {"empty-page", 0, ""}, {"empty-page", 1, ""},
		{"repeat-page", 1, "row_repeated"}, {"repeat-page", 0, ""}, {"stuck-page", 1, "cursor_loop"}, {"stuck-page", 0, "row_repeated"}, {"refuse-cursor", 1, "question_refused"}, {"status=400", 0, "question_refused"},
	} {
		t.Run(fmt.Sprint(c.faults, " after ", c.skip), func(t *testing.T) {
			t.Parallel()
			h := build(t)
			v := newVendor(t, nil)
			v.traffic(t, ago(2), 30, 29)
			for _, report := range []string{"usage", "cost"} {
				v.tell(t, "/books/report-faults", fmt.Sprintf(`{"faults":%q,"path":"/v1/organizations/analytics/%s","skip":%d}`, c.faults, report, c.skip))
			}
			h.from(t, h.one, v.url, ago(0))
			h.ask(t, h.one, ago(2))
			h.work(t, false)
			usageEnd, costEnd := h.pulled(t, h.one, provider.Usage, ago(2), 0), h.pulled(t, h.one, provider.Cost, ago(2), 0)
			agree(t, v, h.figures(t, h.one, ago(2)), ago(2))
			require.Equal(t, []int{2, 2}, []int{usageEnd.Pages, costEnd.Pages})
			require.Equal(t, c.reason, h.text(t, `select coalesce(string_agg(distinct reason, ' '), '') from provider_pull_end where state = 'failed'`))
			require.Equal(t, "0", h.text(t, `select count(*)::text from provider_figure join provider_pull_end using (tenant_id, pull_id) where state <> 'finished'`))
		})
	}
}

// TestALateRevisionMakesAnotherPull pulls a day thrice: as it was, unchanged, and revised.
func TestALateRevisionMakesAnotherPull(t *testing.T) {
	t.Parallel()
	h := build(t)
	v := newVendor(t, nil)
	v.traffic(t, ago(2), 50, 1)
	v.tell(t, "/books/plant", fmt.Sprintf(`{"class":"tokens","day":%q,"api_key_id":"apikey_0001","token_class":"input","delta":9,"since":%q}`, ago(2).Format(time.DateOnly), time.Now().Add(time.Hour).Format(time.RFC3339)))
	h.from(t, h.one, v.url, ago(0))
	h.work(t, false)
	h.ask(t, h.one, ago(2))
	first := h.pulled(t, h.one, provider.Cost, ago(2), 0)
	agree(t, v, h.figures(t, h.one, ago(2)), ago(2))
	h.idle(t)
	h.ask(t, h.one, ago(2))
	second := h.pulled(t, h.one, provider.Cost, ago(2), first.Number)
	require.Equal(t, app.PullUnchanged, second.State)
	require.Equal(t, first.PullID, second.Holder())
	require.Equal(t, first.Digest, second.Digest)
	require.NotEqual(t, first.PagesDigest, []byte{})
	h.idle(t)
	v.ahead.Store(int64(2 * time.Hour))
	h.ask(t, h.one, ago(2))
	third := h.pulled(t, h.one, provider.Cost, ago(2), second.Number)
	require.Equal(t, app.PullFinished, third.State)
	require.NotEqual(t, first.Digest, third.Digest)
	_, counts := v.books(t, ago(2))
	var input int64
	for _, f := range h.figures(t, h.one, ago(2)) {
		if f.Class == usage.ClassInput.String() && f.Report == provider.Usage {
			input += f.Quantity
		}
	}
	require.Equal(t, counts["input"]+9, input)
}

// idle waits until no pull is under way: the next job of the same day would be the same one.
func (h *house) idle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		return h.text(t, `select count(*)::text from river.river_job where kind = 'pull_reports' and state not in ('completed', 'cancelled', 'discarded')`) == "0"
	}, 60*time.Second, 20*time.Millisecond)
}

// TestThePullOfAnEndedWorkerIsTakenUp has a worker end after the first of two pages, and
// another take the pull up there; two that carry it at once do not double a page.
func TestThePullOfAnEndedWorkerIsTakenUp(t *testing.T) {
	t.Parallel()
	h := build(t)
	v := newVendor(t, nil)
	v.traffic(t, ago(2), 30, 29)
	h.from(t, h.one, v.url, ago(0))
	client := anthropicadmin.New(anthropicadmin.Config{Ask: http.DefaultTransport.RoundTrip, Now: time.Now, Version: "test", Rows: pageRows})
	page := func(p *app.Pull) error {
		cursor, _ := p.Next()
		got, err := client.Page(t.Context(), &anthropicadmin.Question{BaseURL: p.BaseURL, Credential: p.Credential, API: p.API, Report: p.Report, Day: p.Day, Cursor: cursor})
		require.NoError(t, err)
		return h.reports.KeepPage(context.WithoutCancel(t.Context()), p, app.Received(got))
	}
	begin := func() *app.Pull {
		p, err := h.reports.Begin(t.Context(), h.one, provider.Usage, ago(2))
		require.NoError(t, err)
		return p
	}
	killed := begin()
	require.NoError(t, page(killed))
	rival := begin()
	require.Equal(t, killed.ID, rival.ID)
	require.NoError(t, page(rival))
	require.ErrorContains(t, page(killed), "pull_taken")
	_, err := h.reports.Finish(t.Context(), killed)
	require.Error(t, err)
	asked := v.asked.Load()
	h.ask(t, h.one, ago(2))
	h.work(t, false)
	row := h.pulled(t, h.one, provider.Usage, ago(2), 0)
	h.pulled(t, h.one, provider.Cost, ago(2), 0)
	require.Equal(t, killed.ID, row.PullID)
	require.Equal(t, 2, row.Pages)
	require.Equal(t, asked+5, v.asked.Load(), "two pages of keys, one of workspaces and two of cost alone were asked for")
	agree(t, v, h.figures(t, h.one, ago(2)), ago(2))
	for _, p := range []*app.Pull{rival, killed} { // who comes too late changes nothing
		require.NoError(t, h.reports.Fail(t.Context(), p, "late", "late"))
	}
	state, err := h.reports.Finish(t.Context(), rival)
	require.NoError(t, err)
	require.Equal(t, app.PullFinished, state)
}

// TestWithoutAnalyticsTheLegacyReportsAreRead has a provider that answers analytics with 404.
func TestWithoutAnalyticsTheLegacyReportsAreRead(t *testing.T) {
	t.Parallel()
	h := build(t)
	v := newVendor(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v1/organizations/analytics/") {
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(`{"type":"error","error":{"type":"not_found_error","message":"Not found"}}`))
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	v.traffic(t, ago(2), 200, 3)
	h.from(t, h.one, v.url, ago(0))
	h.ask(t, h.one, ago(2))
	h.work(t, false)
	row := h.pulled(t, h.one, provider.Usage, ago(2), 0)
	cost := h.pulled(t, h.one, provider.Cost, ago(2), 0)
	require.Equal(t, []string{"legacy", "legacy"}, []string{row.API, cost.API})
	require.Nil(t, row.RefreshedAt)
	require.True(t, row.AsOf.Before(time.Now().Add(-50*time.Minute)))
	_, counts := v.books(t, ago(2))
	delete(counts, "requests") // the legacy report has none
	var list money.Sum
	got := map[string]int64{}
	for _, f := range h.figures(t, h.one, ago(2)) {
		if f.Report == provider.Usage {
			got[f.Class] += f.Quantity
		} else {
			list.Add(f.List)
		}
	}
	require.Equal(t, counts, got)
	amount, _ := v.books(t, ago(2))
	require.Equal(t, amount, list.String())
}

// TestACredentialThatIsRefusedIsSaidSo ends at once, and asks no more than once each.
func TestACredentialThatIsRefusedIsSaidSo(t *testing.T) {
	t.Parallel()
	h := build(t)
	v := newVendor(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write(bytes.Repeat([]byte(" "), 10))
		})
	})
	h.from(t, h.one, v.url, ago(0))
	h.ask(t, h.one, ago(2))
	require.NoError(t, h.clone.EnqueueNow(t.Context(), job.PullReports{Tenant: "nonsense", Day: "2026-11-01"}, job.PullReports{Tenant: h.one.String(), Day: "monday"}, job.PullReports{Tenant: h.two.String(), Day: "2026-11-01"}))
	h.work(t, false)
	require.Eventually(t, func() bool {
		return h.text(t, `select count(*)::text from river.river_job where kind = 'pull_reports' and state = 'cancelled'`) == "4"
	}, 60*time.Second, 20*time.Millisecond)
	require.Equal(t, "4 credential_refused", h.text(t, `select count(*) || ' ' || string_agg(distinct reason, ' ') from provider_pull_end where state = 'failed'`))
	require.EqualValues(t, 4, v.asked.Load())
}
