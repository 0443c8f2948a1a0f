package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/stretchr/testify/require"
)

// provider starts the stand-in by itself and returns its address.
func provider(t *testing.T, flags ...string) string {
	t.Helper()
	address, err := freePort()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "tollbook-provider-")
	require.NoError(t, err)
	p, err := start(append([]string{"simulate", "--listen", address, "--data", dir}, flags...))
	require.NoError(t, err)
	t.Cleanup(func() { p.interrupt(); _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, p.ready(ctx, "http://"+address+"/readyz"))
	return "http://" + address
}

func post(t *testing.T, address, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode, body)
}

// TestTheProvidersOwnClientReadsTheStandInsReports walks the reports and the
// organization's objects of the stand-in with Anthropic's client.
func TestTheProvidersOwnClientReadsTheStandInsReports(t *testing.T) {
	address := provider(t, "--discount-bps", "2000", "--report-delay", "1h")
	at := time.Now().UTC().Add(-3 * time.Hour).Truncate(time.Hour)
	var facts []string
	for i := range 12 {
		key, err := json.Marshal([]string{"apikey_a", "apikey_b", ""}[i%3])
		require.NoError(t, err)
		facts = append(facts, fmt.Sprintf(`{"occurred_at":%q,"key_hint":%s,"workspace_id":"wrkspc_1","model":"claude-opus-5-5","tokens":{"input":1000,"output":100}}`,
			at.Add(time.Duration(i)*5*time.Minute).Format(time.RFC3339), key))
	}
	post(t, address+"/books/facts", `{"facts":[`+strings.Join(facts, ",")+`]}`)
	post(t, address+"/books/plant", fmt.Sprintf(`{"class":"fee","occurred_at":%q,"cost_type":"code_execution","amount_pico":50000000000}`, at.Format(time.RFC3339)))

	client := anthropic.NewClient(option.WithBaseURL(address), option.WithAPIKey("sk-ant-admin01-x"), option.WithMaxRetries(0))
	usage := client.Beta.Organization.Analytics.Usage.ListAutoPaging(t.Context(), anthropic.BetaOrganizationAnalyticsUsageListParams{
		StartingAt: at, EndingAt: anthropic.Time(at.Add(time.Hour)), TimeBucketWidth: anthropic.BetaAnalyticsTimeBucketWidthMinute, Limit: anthropic.Int(5),
		GroupBy: []anthropic.BetaAnalyticsUsageGroupBy{anthropic.BetaAnalyticsUsageGroupByAPIKeyID, anthropic.BetaAnalyticsUsageGroupByActor},
	})
	requests, tokens := map[string]int64{}, int64(0)
	for usage.Next() {
		row := usage.Current()
		requests[row.Group.APIKeyID+" "+row.Group.Actor.Type] += row.Usage.Requests
		tokens += row.Usage.TotalTokens
	}
	require.NoError(t, usage.Err())
	require.Equal(t, map[string]int64{"apikey_a api_actor": 4, "apikey_b api_actor": 4, " user_actor": 4}, requests)
	require.EqualValues(t, 12*1100, tokens)

	costs, err := client.Beta.Organization.Analytics.Cost.List(t.Context(), anthropic.BetaOrganizationAnalyticsCostListParams{
		StartingAt: at, EndingAt: anthropic.Time(at.Add(time.Hour)), GroupBy: []anthropic.BetaAnalyticsCostGroupBy{anthropic.BetaAnalyticsCostGroupByCostType},
	})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(-time.Hour), costs.DataRefreshedAt, time.Minute)
	amounts := map[string]string{}
	for _, row := range costs.Data {
		amounts[string(row.Group.CostType)] = row.Cost.ListAmount + " " + row.Cost.Amount
	}
	// 12 x (1000 x 4 + 100 x 20) millionths of a dollar, and five cents
	require.Equal(t, map[string]string{"tokens": "7.2000000000 5.7600000000", "code_execution": "5.0000000000 4.0000000000"}, amounts)

	organization, err := client.Organization.Get(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, organization.ID)
	keys := client.Organization.APIKeys.ListAutoPaging(t.Context(), anthropic.OrganizationAPIKeyListParams{Limit: anthropic.Int(1)})
	names := map[string]string{}
	for keys.Next() {
		names[keys.Current().ID] = keys.Current().Scope.WorkspaceID
	}
	require.NoError(t, keys.Err())
	require.Equal(t, map[string]string{"apikey_a": "wrkspc_1", "apikey_b": "wrkspc_1"}, names)
	spaces, err := client.Organization.Workspaces.List(t.Context(), anthropic.OrganizationWorkspaceListParams{IncludeDefault: anthropic.Bool(true)})
	require.NoError(t, err)
	require.Len(t, spaces.Data, 2)
	require.Equal(t, "wrkspc_1", spaces.Data[0].ID)
	require.EqualValues(t, "global", spaces.Data[0].DataResidency.DefaultInferenceGeo)
}

// TestTheProvidersOwnClientReadsTheStandInsOddities: what the standard of events
// allows, and what is newer than the client, reads as the plain answer does.
func TestTheProvidersOwnClientReadsTheStandInsOddities(t *testing.T) {
	address := provider(t)
	client := anthropic.NewClient(option.WithBaseURL(address), option.WithAPIKey("sk-x"), option.WithMaxRetries(0))
	read := func(knobs string) *anthropic.BetaMessage {
		stream := client.Beta.Messages.NewStreaming(t.Context(), anthropic.BetaMessageNewParams{
			Model: "claude-opus-5-5", MaxTokens: 1000, Messages: []anthropic.BetaMessageParam{anthropic.NewBetaUserMessage(anthropic.NewBetaTextBlock("Say hello"))},
		}, option.WithHeader("x-sim-fault", "deltas=5,"+knobs))
		var message anthropic.BetaMessage
		for stream.Next() {
			require.NoError(t, message.Accumulate(stream.Current()), knobs)
		}
		require.NoError(t, stream.Err(), knobs)
		return &message
	}
	plain := read("output=50")
	for _, knobs := range []string{"crlf", "split-data", "crlf,split-data", "garble=comment", "garble=unknown-event", "repeat-delta=2", "stall-ms=50,stall-ping-ms=10"} {
		got := read("output=50," + knobs)
		require.Equal(t, plain.Content[0].Text, got.Content[0].Text, knobs)
		require.Equal(t, plain.Usage.OutputTokens, got.Usage.OutputTokens, knobs)
	}
	turns := read("fallback=claude-sonnet-5-5,advisor=100,fallback-credit=redeemed").Usage
	var kinds []string
	for _, turn := range turns.Iterations {
		kinds = append(kinds, turn.Type+" "+turn.Model)
	}
	require.Equal(t, []string{"message claude-opus-5-5", "fallback_message claude-sonnet-5-5", "advisor_message claude-fable-5-2"}, kinds)
	require.Equal(t, "redeemed", turns.FallbackCredit.Status.Type)
}
