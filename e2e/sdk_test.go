package e2e_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestGoSDK drives the gateway with Anthropic's own client: plain, streamed, with a
// tool, an error and a token count. Every billed request is one row, priced as the
// provider prices it.
func TestGoSDK(t *testing.T) {
	in := demo(t)
	session := uuid.NewString()
	client := anthropic.NewClient(
		option.WithBaseURL(in.card.GatewayURL), option.WithAPIKey(in.card.VirtualKeys["CC-4100"]),
		option.WithHeader("X-Claude-Code-Session-Id", session), option.WithHeader("X-Tollbook-Project", "P-4100-07"), option.WithMaxRetries(0),
	)
	ask := anthropic.MessageNewParams{
		Model: "claude-opus-5-5", MaxTokens: 1000,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Say hello to the ledger"))},
	}
	message, err := client.Messages.New(t.Context(), ask)
	require.NoError(t, err)
	require.NotEmpty(t, message.Content)

	ask.Messages[0] = anthropic.NewUserMessage(anthropic.NewTextBlock("Now as a stream"))
	stream := client.Messages.NewStreaming(t.Context(), ask)
	events := 0
	for stream.Next() {
		events++
	}
	require.NoError(t, stream.Err())
	require.Greater(t, events, 5)

	ask.Messages[0] = anthropic.NewUserMessage(anthropic.NewTextBlock("run echo hi"))
	ask.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
		Name: "Bash", InputSchema: anthropic.ToolInputSchemaParam{Properties: map[string]any{"command": map[string]any{"type": "string"}}},
	}}}
	message, err = client.Messages.New(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, anthropic.StopReasonToolUse, message.StopReason)

	ask.Model = "gpt-1"
	_, err = client.Messages.New(t.Context(), ask)
	require.ErrorContains(t, err, "404")
	counted, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: "claude-opus-5-5", Messages: ask.Messages})
	require.NoError(t, err)
	require.Positive(t, counted.InputTokens)

	rows := in.sameBooks(t, session, 4)
	states := map[string]int{}
	for _, row := range rows {
		states[row.State]++
		require.Equal(t, "P-4100-07", row.Node.Code)
		require.Equal(t, "project", row.Attribution.Rule)
	}
	require.Equal(t, map[string]int{"complete": 3, "error": 1}, states)
}

// TestTheWholeLedgerEqualsTheProvidersBooks compares every month of the example
// company: two price tables, written apart, agree to the last pico-dollar.
func TestTheWholeLedgerEqualsTheProvidersBooks(t *testing.T) {
	in := demo(t)
	var page struct {
		Total   string `json:"total"`
		Control struct {
			Difference string `json:"difference"`
		} `json:"control"`
	}
	now := time.Now().UTC()
	for back := 1; back <= 3; back++ {
		month := time.Date(now.Year(), now.Month()-time.Month(back), 1, 0, 0, 0, 0, time.UTC)
		require.Equal(t, http.StatusOK, in.get(t, in.card.APITokens["analyst"], "/api/v1/chargeback?period="+month.Format("2006-01")+"&group_by=node", &page))
		require.Equal(t, "0.000000000000", page.Control.Difference)
		require.Equal(t, providerTotal(t, in, month.Format(time.DateOnly), month.AddDate(0, 1, 0).Format(time.DateOnly)), page.Total)
		require.NotEqual(t, "0.000000000000", page.Total)
	}
}

func providerTotal(t *testing.T, in *installation, from, to string) string {
	t.Helper()
	var totals struct {
		Data []struct {
			Amount string `json:"amount"`
		} `json:"data"`
	}
	require.Equal(t, http.StatusOK, in.get(t, "", "/sim/books/totals?"+url.Values{"from": {from}, "to": {to}}.Encode(), &totals))
	var amounts []string
	for _, d := range totals.Data {
		amounts = append(amounts, d.Amount)
	}
	return sum(t, amounts)
}
