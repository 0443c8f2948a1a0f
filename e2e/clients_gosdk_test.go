//go:build clients

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	old "github.com/anthropics/anthropic-sdk-go"
	oldoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// sdkTurns is what each SDK is put through: a plain answer, a stream, a tool's turn, a
// model nobody has, an overload that passes, a stream that is cut.
func sdkTurns() scenario {
	return scenario{
		faults: []string{"", "", "", "", "", "status=529", "", "deltas=10,delta-ms=40,drop-inside=4"},
		states: []string{"complete", "complete", "complete", "complete", "error", "error", "complete", "incomplete"},
	}
}

// retries are the counts of attempts that the SDK declares, turn by turn.
func retries(p *station) string {
	var counts []string
	for _, one := range p.messages() {
		counts = append(counts, one.header.Get("X-Stainless-Retry-Count"))
	}
	return strings.Join(counts, " ")
}

// goSDKs drives both majors of Anthropic's client for Go.
func (h *house) goSDKs(t *testing.T) {
	t.Run("v2", func(t *testing.T) {
		t.Parallel()
		b := h.twice(t, sdkTurns(), currentSDK)
		require.Equal(t, "2026-10-21", b.client.all()[0].header.Get("Anthropic-Version"))
		require.NotEmpty(t, b.client.all()[0].header.Get("Authorization"), "it sends the key as a bearer token")
		require.Equal(t, "0 0 0 0 0 0 1 0", retries(b.client))
	})
	t.Run("v1", func(t *testing.T) {
		t.Parallel()
		b := h.twice(t, sdkTurns(), formerSDK)
		require.Equal(t, "2023-06-01", b.client.all()[0].header.Get("Anthropic-Version"))
		require.NotEmpty(t, b.client.all()[0].header.Get("X-Api-Key"))
		require.Equal(t, "0 0 0 0 0 0 1 0", retries(b.client))
	})
	t.Run("batches", h.goSDKBatches)
}

// told is a transcript of what an SDK returned.
type told struct {
	t     *testing.T
	lines []string
}

func (o *told) say(what string, value any) {
	o.t.Helper()
	content, err := json.Marshal(value)
	require.NoError(o.t, err)
	o.lines = append(o.lines, what+": "+string(content))
}

func currentSDK(t *testing.T, base, key, session string) string {
	t.Helper()
	heard := told{t: t}
	client := anthropic.NewClient(option.WithBaseURL(base), option.WithAPIKey(key), option.WithHeader("X-Claude-Code-Session-Id", session))
	ask := anthropic.MessageNewParams{
		Model: "claude-opus-5-5", MaxTokens: 1000,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Say hello to the ledger"))},
	}
	plain := func(what string) *anthropic.Message {
		message, err := client.Messages.New(t.Context(), ask)
		require.NoError(t, err)
		heard.say(what, json.RawMessage(message.RawJSON()))
		return message
	}
	stream := func(what string) {
		events := client.Messages.NewStreaming(t.Context(), ask)
		for events.Next() {
			heard.say(what, json.RawMessage(events.Current().RawJSON()))
		}
		heard.say(what+" ended", fmt.Sprint(events.Err()))
	}
	plain("plain")
	stream("stream")
	ask.Messages[0] = anthropic.NewUserMessage(anthropic.NewTextBlock("run echo hi"))
	ask.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
		Name: "Bash", InputSchema: anthropic.ToolInputSchemaParam{Properties: map[string]any{"command": map[string]any{"type": "string"}}},
	}}}
	use := plain("tool")
	require.Equal(t, anthropic.StopReasonToolUse, use.StopReason)
	ask.Messages = append(ask.Messages, use.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(use.Content[0].ID, "hi", false)))
	require.Contains(t, plain("result").Content[0].Text, "The command printed: hi")
	ask.Model = "gpt-1"
	_, err := client.Messages.New(t.Context(), ask)
	var problem *anthropic.Error
	require.ErrorAs(t, err, &problem)
	heard.say("error", []any{problem.StatusCode, problem.RequestID, json.RawMessage(problem.RawJSON())})
	ask.Model = "claude-opus-5-5"
	plain("after an overload")
	stream("cut")
	counted, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: ask.Model, Messages: ask.Messages})
	require.NoError(t, err)
	heard.say("counted", json.RawMessage(counted.RawJSON()))
	models, err := client.Models.List(t.Context(), anthropic.ModelListParams{})
	require.NoError(t, err)
	heard.say("models", json.RawMessage(models.RawJSON()))
	return strings.Join(heard.lines, "\n")
}

func formerSDK(t *testing.T, base, key, session string) string {
	t.Helper()
	heard := told{t: t}
	client := old.NewClient(oldoption.WithBaseURL(base), oldoption.WithAPIKey(key), oldoption.WithHeader("X-Claude-Code-Session-Id", session))
	ask := old.MessageNewParams{
		Model: "claude-opus-5-5", MaxTokens: 1000, Temperature: old.Float(0.5), // refused by the version of the API that the next major asks for
		Messages: []old.MessageParam{old.NewUserMessage(old.NewTextBlock("Say hello to the ledger"))},
	}
	plain := func(what string) *old.Message {
		message, err := client.Messages.New(t.Context(), ask)
		require.NoError(t, err)
		heard.say(what, json.RawMessage(message.RawJSON()))
		return message
	}
	stream := func(what string) {
		events := client.Messages.NewStreaming(t.Context(), ask)
		for events.Next() {
			heard.say(what, json.RawMessage(events.Current().RawJSON()))
		}
		heard.say(what+" ended", fmt.Sprint(events.Err()))
	}
	plain("plain")
	stream("stream")
	ask.Messages[0] = old.NewUserMessage(old.NewTextBlock("run echo hi"))
	ask.Tools = []old.ToolUnionParam{{OfTool: &old.ToolParam{
		Name: "Bash", InputSchema: old.ToolInputSchemaParam{Properties: map[string]any{"command": map[string]any{"type": "string"}}},
	}}}
	use := plain("tool")
	require.Equal(t, old.StopReasonToolUse, use.StopReason)
	ask.Messages = append(ask.Messages, use.ToParam(), old.NewUserMessage(old.NewToolResultBlock(use.Content[0].ID, "hi", false)))
	require.Contains(t, plain("result").Content[0].Text, "The command printed: hi")
	ask.Model = "gpt-1"
	_, err := client.Messages.New(t.Context(), ask)
	var problem *old.Error
	require.ErrorAs(t, err, &problem)
	heard.say("error", []any{problem.StatusCode, problem.RequestID, json.RawMessage(problem.RawJSON())})
	ask.Model = "claude-opus-5-5"
	plain("after an overload")
	stream("cut")
	counted, err := client.Messages.CountTokens(t.Context(), old.MessageCountTokensParams{Model: ask.Model, Messages: ask.Messages})
	require.NoError(t, err)
	heard.say("counted", json.RawMessage(counted.RawJSON()))
	return strings.Join(heard.lines, "\n")
}

// goSDKBatches asks for what the gateway does not meter: one clear refusal, no retry.
func (h *house) goSDKBatches(t *testing.T) {
	t.Parallel()
	front := newStation(t, h.card.GatewayURL)
	client := anthropic.NewClient(option.WithBaseURL(front.listen(t)), option.WithAPIKey(h.card.VirtualKeys["CC-4200"]), option.WithHeader("X-Claude-Code-Session-Id", uuid.NewString()))
	_, err := client.Messages.Batches.List(t.Context(), anthropic.MessageBatchListParams{})
	var problem *anthropic.Error
	require.ErrorAs(t, err, &problem)
	require.Equal(t, http.StatusNotImplemented, problem.StatusCode)
	require.Contains(t, problem.RawJSON(), "send them as single messages")
	require.Len(t, front.all(), 1, "it asks once")
}
