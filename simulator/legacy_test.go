package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type legacyPage struct {
	Data []struct {
		StartingAt string           `json:"starting_at"`
		EndingAt   string           `json:"ending_at"`
		Results    []map[string]any `json:"results"`
	}
	HasMore  bool    `json:"has_more"`
	NextPage *string `json:"next_page"`
}

func legacyOf(t *testing.T, sim *Simulator, path string) legacyPage {
	t.Helper()
	rec := call(t, sim, http.MethodGet, path, "", map[string]string{"x-api-key": "sk-ant-admin01-x", "anthropic-beta": legacyFastBeta})
	require.Equal(t, 200, rec.Code, rec.Body.String())

	return decode[legacyPage](t, rec.Body.Bytes())
}

// Buckets come oldest first, empty ones too, and pages of them join.
func TestLegacyBuckets(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	_, err := sim.Import(history(2880)) // 2026-08-15 noon to 08-17 noon
	require.NoError(t, err)
	page := legacyOf(t, sim, legacyUsagePath+"?starting_at=2026-08-13&ending_at=2026-08-19")
	require.Len(t, page.Data, 6)
	var requests []float64
	for i, b := range page.Data {
		require.Equal(t, fmt.Sprintf("2026-08-%dT00:00:00Z", 13+i), b.StartingAt)
		require.Equal(t, fmt.Sprintf("2026-08-%dT00:00:00Z", 14+i), b.EndingAt)
		sum := 0.0
		for _, r := range b.Results {
			sum += r["uncached_input_tokens"].(float64)
		}
		requests = append(requests, sum)
	}
	require.Equal(t, []float64{0, 0, 720_000, 1_440_000, 720_000, 0}, requests)
	require.Empty(t, page.Data[0].Results)
	for _, tc := range []struct {
		width string
		usual int
		total int
	}{{"1d", 7, 10}, {"1h", 24, 240}, {"1m", 60, 14_400}} {
		path := legacyUsagePath + "?starting_at=2026-08-11&ending_at=2026-08-21&bucket_width=" + tc.width
		require.Len(t, legacyOf(t, sim, path).Data, tc.usual, tc.width)
		most := map[string]string{"1d": "31", "1h": "168", "1m": "1440"}[tc.width]
		buckets, input, last := 0, 0.0, ""
		for next := ""; ; {
			page := legacyOf(t, sim, path+"&limit="+most+next)
			for _, b := range page.Data {
				require.Less(t, last, b.StartingAt)
				last = b.StartingAt
				buckets++
				for _, r := range b.Results {
					input += r["uncached_input_tokens"].(float64)
				}
			}
			if !page.HasMore {
				break
			}
			next = "&page=" + *page.NextPage
		}
		require.Equal(t, tc.total, buckets)
		require.InDelta(t, 2_880_000, input, 0)
	}
}

func TestLegacyUsageDimensions(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	variety(t, sim)
	base := legacyUsagePath + "?starting_at=2026-11-23&ending_at=2026-11-24"
	page := legacyOf(t, sim, base)
	require.Len(t, page.Data[0].Results, 1)
	require.EqualValues(t, 3, member(t, page.Data[0].Results[0], "server_tool_use", "web_search_requests"))
	require.EqualValues(t, 7*20, member(t, page.Data[0].Results[0], "cache_creation", "ephemeral_1h_input_tokens"))
	groups := "&group_by[]=" + strings.Join([]string{
		"account_id", "api_key_id", "context_window", "inference_geo", "model", "service_account_id", "service_tier", "speed", "workspace_id",
	}, "&group_by[]=")
	page = legacyOf(t, sim, base+groups)
	require.Len(t, page.Data[0].Results, 10) // the nine requests and what one was advised
	for _, r := range page.Data[0].Results {
		if r["workspace_id"] != nil {
			require.Equal(t, "wrkspc_2", r["workspace_id"], "the default workspace has no id here")
		}
		require.Equal(t, r["api_key_id"] == nil, r["account_id"] != nil)
	}
	page = legacyOf(t, sim, base+"&service_tiers[]=batch&models[]=claude-opus-5-5")
	require.EqualValues(t, 1000, page.Data[0].Results[0]["uncached_input_tokens"])
	require.Empty(t, legacyOf(t, sim, base+"&workspace_ids[]=nobody").Data[0].Results)
}

func TestLegacyCost(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{DiscountBps: 5000})
	variety(t, sim)
	base := legacyCostPath + "?starting_at=2026-11-23&ending_at=2026-11-24"
	page := legacyOf(t, sim, base)
	require.Len(t, page.Data[0].Results, 1)
	// plain, search, console 3 x 0.821; us 0.9031; fast 1.642; batch 0.4105; no priority; searches 3;
	// long 40.0002; advised 0.2 and 0.008: at list
	require.Equal(t, "48.6268000000", page.Data[0].Results[0]["amount"])
	require.Nil(t, page.Data[0].Results[0]["model"])
	page = legacyOf(t, sim, base+"&group_by[]=workspace_id")
	require.Len(t, page.Data[0].Results, 2)
	page = legacyOf(t, sim, base+"&group_by[]=description")
	texts := map[any]any{}
	for _, r := range page.Data[0].Results {
		require.Contains(t, r, "context_window")
		require.NotContains(t, r, "api_key_id")
		if r["model"] == "claude-opus-5-5" && r["inference_geo"] == "global" && r["token_type"] == "output_tokens" {
			texts[r["description"]] = r["amount"]
		}
		if r["cost_type"] == "web_search" {
			texts[r["description"]] = r["amount"]
		}
	}
	require.Equal(t, map[any]any{
		"Claude Opus 5.5 Usage - Output Tokens": "1.0000000000", "Claude Opus 5.5 Usage - Output Tokens, Batch": "0.1000000000", "Web Search Usage": "3.0000000000",
	}, texts)
}

func TestLegacyRefusals(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	require.Equal(t, 403, call(t, sim, http.MethodGet, legacyCostPath+"?starting_at=2026-11-01", "", nil).Code)
	for _, path := range []string{
		legacyUsagePath, legacyUsagePath + "?starting_at=x", legacyUsagePath + "?starting_at=2026-11-01&bucket_width=2d",
		legacyUsagePath + "?starting_at=2026-11-01&limit=32", legacyUsagePath + "?starting_at=2026-11-01&bucket_width=1h&limit=169",
		legacyUsagePath + "?starting_at=2026-11-01&group_by[]=cost_type", legacyUsagePath + "?starting_at=2026-11-01&page=page_7_x",
		legacyUsagePath + "?starting_at=2026-11-01&ending_at=2026-10-01", legacyUsagePath + "?starting_at=2026-11-01&group_by[]=speed",
		legacyCostPath + "?starting_at=2026-11-01&bucket_width=1h", legacyCostPath + "?starting_at=2026-11-01&group_by[]=api_key_id",
		legacyCodePath, legacyCodePath + "?starting_at=2026-11-01T00:00:00Z", legacyCodePath + "?starting_at=2026-11-01&limit=0",
	} {
		require.Equal(t, 400, call(t, sim, http.MethodGet, path, "", map[string]string{"x-api-key": "sk-ant-admin01-x"}).Code, path)
	}
}

// The legacy reports lag by five minutes at most.
func TestLegacyLag(t *testing.T) {
	t.Parallel()
	now := noon()
	sim := open(t, Config{ReportDelay: 4 * time.Hour, Now: func() time.Time { return now }})
	ask(t, sim, body("claude-opus-5-5", "hi", ""), nil)
	path := legacyUsagePath + "?starting_at=2026-11-23"
	now = now.Add(4 * time.Minute)
	require.Empty(t, legacyOf(t, sim, path).Data[0].Results)
	now = now.Add(2 * time.Minute)
	require.Len(t, legacyOf(t, sim, path).Data[0].Results, 1)
}

func TestClaudeCodeReport(t *testing.T) {
	t.Parallel()
	now := noon()
	sim := open(t, Config{Now: func() time.Time { return now }})
	for i, session := range []string{"a", "a", "b", ""} {
		ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{
			"X-Claude-Code-Session-Id": session, "x-api-key": fmt.Sprint("sk-", i/2), "x-sim-fault": "input=1000,output=100,read=30,write-5m=0,write-1h=0",
		})
	}
	now = now.Add(time.Second)
	rec := call(t, sim, http.MethodGet, legacyCodePath+"?starting_at=2026-11-23&limit=1", "", admin())
	require.Equal(t, 200, rec.Code, rec.Body.String())
	page := decode[struct {
		Data     []map[string]any
		NextPage string `json:"next_page"`
	}](t, rec.Body.Bytes())
	require.Len(t, page.Data, 1)
	rest := call(t, sim, http.MethodGet, legacyCodePath+"?starting_at=2026-11-23&limit=1&page="+page.NextPage, "", admin())
	page.Data = append(page.Data, decode[struct{ Data []map[string]any }](t, rest.Body.Bytes()).Data...)
	require.Len(t, page.Data, 2)
	amounts := map[any]any{}
	for _, row := range page.Data {
		require.True(t, strings.HasPrefix(member(t, row, "actor", "api_key_name").(string), "Key "))
		require.EqualValues(t, 1, member(t, row, "core_metrics", "num_sessions"))
		model := row["model_breakdown"].([]any)[0]
		require.Equal(t, "claude-opus-5-5", member(t, model, "model"))
		amounts[member(t, model, "estimated_cost", "amount")] = member(t, model, "tokens", "input")
	}
	// 1000 x 4 + 100 x 20 + 30 x 0.20 = 6006 millionths of a dollar each
	require.Equal(t, map[any]any{1.2012: 2000.0, 0.6006: 1000.0}, amounts)
}
