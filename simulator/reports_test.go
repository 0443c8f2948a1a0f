package simulator

import (
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type reportPage struct {
	Data []struct {
		StartingAt string         `json:"starting_at"`
		EndingAt   string         `json:"ending_at"`
		Group      map[string]any `json:"group"`
		Usage      struct {
			Input    int64 `json:"uncached_input_tokens"`
			Requests int64 `json:"requests"`
			Total    int64 `json:"total_tokens"`
		}
		Cost struct {
			Amount, Currency string
			ListAmount       string `json:"list_amount"`
			Requests         *int64
		}
	}
	HasMore         bool    `json:"has_more"`
	NextPage        *string `json:"next_page"`
	DataRefreshedAt string  `json:"data_refreshed_at"`
}

func admin() map[string]string {
	return map[string]string{"x-api-key": "sk-ant-admin01-x", "anthropic-beta": "x," + analyticsBeta}
}

func reportOf(t *testing.T, sim *Simulator, path string) reportPage {
	t.Helper()
	rec := call(t, sim, http.MethodGet, path, "", admin())
	require.Equal(t, 200, rec.Code, rec.Body.String())

	return decode[reportPage](t, rec.Body.Bytes())
}

func TestReports(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{DiscountBps: 1500, ReportDelay: time.Hour})
	_, err := sim.Import(history(2880)) // 2026-08-15 noon to 08-17 noon
	require.NoError(t, err)
	const span = "?starting_at=2026-08-15&ending_at=2026-08-20&time_bucket_width=1d"
	page := reportOf(t, sim, usageReportPath+span+"&group_by[]=api_key_id&group_by[]=model&order_by=time&order=asc")
	require.Len(t, page.Data, 3)
	require.Equal(t, "2026-08-15T00:00:00Z", page.Data[0].StartingAt)
	require.Equal(t, "2026-08-16T00:00:00Z", page.Data[0].EndingAt)
	require.Equal(t, "apikey_1", page.Data[0].Group["api_key_id"])
	require.Nil(t, page.Data[0].Group["workspace_id"])
	require.Len(t, page.Data[0].Group, 20)
	require.EqualValues(t, 720, page.Data[0].Usage.Requests)
	require.EqualValues(t, 720_000, page.Data[0].Usage.Input)
	require.Equal(t, "2026-11-23T11:00:00Z", page.DataRefreshedAt)

	// 2880 x $0.0075 = $21.60 = 2160 cents; less 15 % = 1836
	page = reportOf(t, sim, costReportPath+"?starting_at=2026-08-15&ending_at=2026-08-20T00:59:00Z")
	require.Equal(t, "2160.0000000000", page.Data[0].Cost.ListAmount)
	require.Equal(t, "1836.0000000000", page.Data[0].Cost.Amount)
	require.Equal(t, "2026-08-20T00:00:00Z", page.Data[0].EndingAt, "whole hours")
	require.EqualValues(t, 2880, *page.Data[0].Cost.Requests)

	var hours int64
	query := usageReportPath + "?starting_at=2026-08-15&ending_at=2026-08-20&time_bucket_width=1h&limit=20"
	for next := ""; ; {
		page = reportOf(t, sim, query+next)
		for _, row := range page.Data {
			hours += row.Usage.Requests
		}
		if !page.HasMore {
			break
		}
		next = "&page=" + *page.NextPage
	}
	require.EqualValues(t, 2880, hours)
}

// variety books one request of each kind that a report can tell apart.
func variety(t *testing.T, sim *Simulator) {
	t.Helper()
	at := noon().Add(-2 * time.Hour)
	tokens := Tokens{Input: 1000, Output: 100, CacheWrite5m: 10, CacheWrite1h: 20, CacheRead: 10_000} // opus 5.5: 0.821 cents
	facts := []Fact{
		{RequestID: "plain", Model: "claude-opus-5-5", KeyHint: "apikey_1", Tokens: tokens},
		{RequestID: "search", Model: "claude-opus-5-5", KeyHint: "apikey_1", Tokens: tokens, WebSearchRequests: 3, WorkspaceID: "wrkspc_2"},
		{RequestID: "us", Model: "claude-opus-5-5", KeyHint: "apikey_2", Tokens: tokens, InferenceGeo: "us"},
		{RequestID: "fast", Model: "claude-opus-5-5", KeyHint: "apikey_2", Tokens: tokens, Speed: "fast"},
		{RequestID: "batch", Model: "claude-opus-5-5", KeyHint: "apikey_2", Tokens: tokens, ServiceTier: "batch"},
		{RequestID: "priority", Model: "claude-opus-5-5", KeyHint: "apikey_2", Tokens: tokens, ServiceTier: "priority"},
		{RequestID: "console", Model: "claude-opus-5-5", Tokens: tokens},
		{RequestID: "long", Model: "claude-sonnet-5-5", KeyHint: "apikey_1", Tokens: Tokens{Input: 200_001}},
		{
			RequestID: "advised", Model: "claude-sonnet-5-5", KeyHint: "apikey_1", Tokens: Tokens{Input: 1000},
			Iterations: []Iteration{{Kind: "advisor_message", Model: "claude-fable-5-2", Tokens: Tokens{Input: 10}}, {Kind: "message", Model: "claude-opus-5", Tokens: Tokens{Input: 999}, Free: true}},
		},
		{RequestID: "refused", Model: "claude-opus-5-5", KeyHint: "apikey_1", Tokens: tokens, Refused: true},
		{RequestID: "error", Model: "claude-opus-5-5", KeyHint: "apikey_1", Tokens: tokens, Status: 529},
		{RequestID: "redirect", Model: "claude-opus-5-5", KeyHint: "apikey_1", Status: 307},
	}
	for i := range facts {
		facts[i].OccurredAt = at
	}
	n, err := sim.Import(slices.Values(facts))
	require.NoError(t, err)
	require.Equal(t, len(facts), n)
}

func TestReportFiltersAndDimensions(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	variety(t, sim)
	base := usageReportPath + "?starting_at=2026-11-23&ending_at=2026-11-24&time_bucket_width=1d"
	for query, requests := range map[string]int64{
		"": 9, "&api_key_ids[]=apikey_1": 4, "&api_key_ids[]=apikey_1&api_key_ids[]=": 5, "&api_key_ids[]=": 1, "&api_key_ids[]=other": 0,
		"&models[]=claude-sonnet-5-5": 2, "&models[]=claude-fable-5-2": 0, "&service_tiers[]=batch": 1, "&service_tiers[]=flex": 0, "&speeds[]=fast": 1,
		"&inference_geos[]=us": 1, "&inference_geos[]=not_available": 0, "&context_windows[]=200k-1M": 1, "&workspace_ids[]=wrkspc_2": 1,
		"&workspace_ids[]=" + sim.workspace: 8, "&actor_types[]=user_actor": 1, "&actor_types[]=api_actor": 8, "&actor_ids[]=apikey_2": 4,
		"&products[]=claude_code": 0, "&organization_ids[]=" + sim.organ: 9, "&session_ids[]=x": 0, "&speeds[]=fast&inference_geos[]=us": 0,
	} {
		var sum int64
		for _, row := range reportOf(t, sim, base+query).Data {
			sum += row.Usage.Requests
		}
		require.Equal(t, requests, sum, query)
		sim.desk.recent = nil // more than a minute's worth of questions
	}
	page := reportOf(t, sim, base+"&group_by[]=actor&group_by[]=actor_type&group_by[]=workspace_id&group_by[]=context_window&group_by[]=session_id&limit=1000")
	require.Len(t, page.Data, 5)
	kinds := map[any]int{}
	for _, row := range page.Data {
		kinds[row.Group["actor_type"]]++
		require.Equal(t, row.Group["actor_type"], member(t, row.Group["actor"], "type"))
		require.NotNil(t, row.Group["workspace_id"])
		require.Nil(t, row.Group["session_id"], "Claude Code's sessions are not managed ones")
	}
	require.Equal(t, map[any]int{"api_actor": 4, "user_actor": 1}, kinds)
	page = reportOf(t, sim, base+"&group_by[]=model")
	totals := map[any]int64{}
	for _, row := range page.Data {
		totals[row.Group["model"]] = row.Usage.Total
	}
	require.Equal(t, map[any]int64{"claude-opus-5-5": 7 * 11_130, "claude-sonnet-5-5": 201_001, "claude-fable-5-2": 10}, totals, "each turn under its own model")
}

func TestCostByType(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	variety(t, sim)
	base := costReportPath + "?starting_at=2026-11-23&ending_at=2026-11-24&time_bucket_width=1d&api_key_ids[]=apikey_1&models[]=claude-opus-5-5&limit=1"
	show := func(query string) []string {
		var shown []string
		page := reportOf(t, sim, base+query)
		require.False(t, page.HasMore, "broken out rows do not count")
		for _, row := range page.Data {
			require.Nil(t, row.Cost.Requests)
			shown = append(shown, fmt.Sprint(row.Group["cost_type"], " ", row.Group["token_type"], " ", row.Cost.ListAmount))
		}

		return shown
	}
	tokens := []string{ // two requests of 1000 x 4, 100 x 20, 10 000 x 0.20, 10 x 5 and 20 x 8 millionths of a dollar
		"tokens uncached_input_tokens 0.8000000000", "tokens output_tokens 0.4000000000", "tokens cache_read_input_tokens 0.4000000000",
		"tokens cache_creation.ephemeral_5m_input_tokens 0.0100000000", "tokens cache_creation.ephemeral_1h_input_tokens 0.0320000000",
	}
	require.Equal(t, tokens, show("&group_by[]=token_type"))
	require.Equal(t, append(tokens, "web_search <nil> 3.0000000000"), show("&group_by[]=token_type&group_by[]=cost_type"))
	require.Equal(t, []string{"tokens <nil> 1.6420000000", "web_search <nil> 3.0000000000"}, show("&group_by[]=cost_type"))
	seven := base + "&group_by[]=" + strings.Join([]string{"api_key_id", "model", "service_tier", "speed", "inference_geo", "cost_type", "token_type"}, "&group_by[]=")
	require.NotEmpty(t, reportOf(t, sim, seven).Data, "five dimensions and the two that do not count")
}

func TestReportOrder(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	_, err := sim.Import(func(yield func(Fact) bool) {
		for i, tokens := range []Tokens{{Input: 100, Output: 1}, {Input: 5, Output: 50}, {CacheRead: 1000}} {
			for n := range i + 1 {
				yield(Fact{
					RequestID: fmt.Sprint(i, n), Model: "claude-opus-5-5", KeyHint: fmt.Sprint("k", i), Tokens: tokens,
					OccurredAt: noon().Add(time.Duration(i-10) * time.Hour),
				})
			}
		}
	})
	require.NoError(t, err)
	keys := func(path, query string) string {
		var all []string
		for _, row := range reportOf(t, sim, path+"?starting_at=2026-11-23&ending_at=2026-11-24&time_bucket_width=1h&group_by[]=api_key_id"+query).Data {
			all = append(all, row.Group["api_key_id"].(string))
		}

		return strings.Join(all, " ")
	}
	// tokens: 101, 110, 3000; output 1, 100, 0; requests 1, 2, 3; amounts 420, 2040, 600
	for query, want := range map[string]string{
		"": "k2 k1 k0", "&order=asc": "k0 k1 k2", "&order_by=output_tokens": "k1 k0 k2", "&order_by=requests": "k2 k1 k0",
		"&order_by=uncached_input_tokens": "k0 k1 k2", "&order_by=time": "k2 k1 k0", "&order_by=time&order=asc": "k0 k1 k2",
	} {
		require.Equal(t, want, keys(usageReportPath, query), query)
	}
	for query, want := range map[string]string{"": "k1 k2 k0", "&order_by=list_amount&order=asc": "k0 k2 k1", "&order_by=time": "k2 k1 k0"} {
		require.Equal(t, want, keys(costReportPath, query), query)
	}
}

// What is younger than the delay is not reported yet; errors and refusals never are.
func TestReportLags(t *testing.T) {
	t.Parallel()
	now := noon()
	sim := open(t, Config{ReportDelay: time.Hour, Now: func() time.Time { return now }})
	ask(t, sim, body("claude-opus-5-5", "hi", ""), nil)
	ask(t, sim, body("claude-opus-5-5", "[[refuse]]", ""), nil)
	ask(t, sim, body("claude-opus-5-5", "[[sim:status=529]]", ""), nil)
	const path = usageReportPath + "?starting_at=2026-11-23"
	require.Empty(t, reportOf(t, sim, path).Data)
	now = now.Add(time.Hour + time.Second)
	page := reportOf(t, sim, path)
	require.Len(t, page.Data, 1)
	require.EqualValues(t, 1, page.Data[0].Usage.Requests)
}

func TestReportRefusals(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	require.Equal(t, 403, call(t, sim, http.MethodGet, costReportPath+"?starting_at=2026-11-01", "", map[string]string{"anthropic-beta": analyticsBeta}).Code)
	require.Equal(t, 400, call(t, sim, http.MethodGet, costReportPath+"?starting_at=2026-11-01", "", map[string]string{"x-api-key": "sk-ant-admin01-x"}).Code)
	for _, query := range []string{
		"", "starting_at=x", "starting_at=2026-11-01&time_bucket_width=1d", "starting_at=2026-11-01&ending_at=2026-11-02&time_bucket_width=2d",
		"starting_at=2026-09-01&ending_at=2026-11-01", "starting_at=2025-12-31", "starting_at=2025-11-22", "starting_at=2026-11-20&limit=0", "starting_at=2026-11-20&limit=1001",
		"starting_at=2026-11-20&group_by[]=color", "starting_at=2026-11-20&page=page_20_0", "starting_at=2026-11-20&ending_at=2026-11-19",
		"starting_at=2026-11-20&ending_at=2026-11-22&time_bucket_width=1m", "starting_at=2026-11-20&order_by=requests", "starting_at=2026-11-20&order=up",
		"starting_at=2026-11-20&speeds[]=slow",
		"starting_at=2026-11-20&group_by[]=model&group_by[]=speed&group_by[]=actor&group_by[]=product&group_by[]=session_id&group_by[]=api_key_id",
	} {
		rec := call(t, sim, http.MethodGet, costReportPath+"?"+query, "", admin())
		require.Equal(t, 400, rec.Code, query)
	}
	rec := call(t, sim, http.MethodGet, usageReportPath+"?starting_at=2026-11-20&group_by[]=cost_type", "", admin())
	require.Equal(t, 400, rec.Code, "usage has no cost type")
}

// A cursor belongs to its query, and a minute has sixty questions.
func TestReportCursorAndLimit(t *testing.T) {
	t.Parallel()
	now := noon()
	sim := open(t, Config{Now: func() time.Time { return now }})
	_, err := sim.Import(history(300))
	require.NoError(t, err)
	path := usageReportPath + "?starting_at=2026-08-15&ending_at=2026-08-17&time_bucket_width=1h&limit=2"
	page := reportOf(t, sim, path)
	require.True(t, page.HasMore)
	require.Len(t, reportOf(t, sim, path+"&page="+*page.NextPage).Data, 2)
	changed := strings.Replace(path, "limit=2", "limit=3", 1) + "&page=" + *page.NextPage
	require.Equal(t, 400, call(t, sim, http.MethodGet, changed, "", admin()).Code)
	require.Equal(t, 400, call(t, sim, http.MethodGet, strings.Replace(path, "usage", "cost", 1)+"&page="+*page.NextPage, "", admin()).Code)
	for range 56 {
		reportOf(t, sim, path)
	}
	now = now.Add(10 * time.Second)
	rec := call(t, sim, http.MethodGet, path, "", admin())
	require.Equal(t, 429, rec.Code)
	require.Equal(t, "50", rec.Header().Get("retry-after"))
	now = now.Add(50 * time.Second)
	reportOf(t, sim, path)
}

func TestCents(t *testing.T) {
	t.Parallel()
	require.Equal(t, "0.0000000055", cents(big.NewInt(55)))
	require.Equal(t, "123.4567890123", cents(big.NewInt(1_234_567_890_123)))
	require.Equal(t, "-0.0000000055", cents(big.NewInt(-55)))
	require.Equal(t, "-1.000000000000", dollars(big.NewInt(-1_000_000_000_000)))
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"Dir": {}, "DiscountBps": {Dir: "x", DiscountBps: 10_001}, "negative": {Dir: "x", Delay: -1},
		"DiscountFrom": {Dir: "x", DiscountBps: 1, DiscountFrom: "soon"},
	} {
		_, err := Open(cfg)
		require.ErrorContains(t, err, want)
	}
}

// A month's report of a busy company: what one page costs.
func BenchmarkReportOf50k(b *testing.B) {
	sim, err := Open(Config{Dir: b.TempDir(), Now: noon})
	require.NoError(b, err)
	_, err = sim.Import(history(44_000)) // thirty days
	require.NoError(b, err)
	for b.Loop() {
		q := &reportQuery{cost: true, from: noon().AddDate(0, 0, -100), to: noon().AddDate(0, 0, -69), group: []string{"api_key_id", "model"}, byCost: true, byToken: true, metric: "amount"}
		_, problem := sim.report(q, &Terms{}, noon())
		require.Nil(b, problem)
	}
	require.NoError(b, sim.Close())
}
