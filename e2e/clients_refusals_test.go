//go:build clients

package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// refusals shows each refusal of the gateway to Claude Code: it asks once, tells its
// user what the gateway says, and nothing reaches a provider or the ledger.
func (h *house) refusals(t *testing.T) {
	large := document(t, 33<<20)
	for name, c := range map[string]struct {
		key, base, headers string
		input              []byte
		status             int
		says               []string
	}{
		"wrong key":        {key: "tbk_wrong", status: 401, says: []string{"401", "This key is not accepted here"}},
		"revoked key":      {key: h.revokedKey(t), status: 401, says: []string{"401", "ask whoever gave it to you for a new one"}},
		"unknown company":  {base: strings.Replace(h.card.GatewayURL, "/meridian", "/nobody", 1), status: 401, says: []string{"401", "ANTHROPIC_BASE_URL"}},
		"wrong base URL":   {base: h.card.GatewayURL + "/v1", status: 421, says: []string{"API Error: 421", "ANTHROPIC_BASE_URL"}},
		"malformed tags":   {headers: "x-tollbook-tags: team=perception", status: 431, says: []string{"API Error: 431", "must be a JSON object of strings"}},
		"overlong project": {headers: "x-tollbook-project: " + strings.Repeat("p", 400), status: 431, says: []string{"API Error: 431", "x-tollbook-project"}},
		"oversized body":   {input: large, status: 413, says: []string{"Request too large"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := claude{patient: true, environment: []string{"ANTHROPIC_CUSTOM_HEADERS=" + c.headers, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"}}
			front := newStation(t, orElse(c.base, h.card.GatewayURL))
			session := uuid.NewString()
			args := []string{"-p", "--output-format", "stream-json", "--verbose"}
			if c.input != nil {
				args = append(args, "--input-format", "stream-json")
			} else {
				args = append(args, "say hello to the ledger")
			}
			command := run.command(t, filepath.Join(t.TempDir(), "claude"), front.listen(t), orElse(c.key, h.card.VirtualKeys["CC-4200"]), session, args...)
			if c.input != nil {
				command.Stdin = bytes.NewReader(c.input)
			}
			out, err := command.Output()
			require.Error(t, err, "it tells by its exit that it failed")
			b := both{through: transcript(t, out)}
			require.True(t, b.result(t).IsError)
			for _, text := range c.says {
				require.Contains(t, b.result(t).Result, text)
			}
			seen := front.all()
			require.Len(t, seen, 1, "it asks once")
			require.Equal(t, c.status, seen[0].status)
			require.Equal(t, "false", seen[0].answer.Get("X-Should-Retry"))
			require.Empty(t, h.ledger(t, session))
		})
	}
	t.Run("spend limit", h.spendLimit)
	t.Run("provider gone", h.providerGone)
}

// providerGone: an answer that never comes is tried a few times, not eleven, and each
// time is a row that says that nobody knows.
func (h *house) providerGone(t *testing.T) {
	t.Parallel()
	closed, err := freePort()
	require.NoError(t, err)
	session := uuid.NewString()
	h.lines.Store(session, newStation(t, "http://"+closed))
	front := newStation(t, h.card.GatewayURL)
	b := both{through: claude{args: []string{"say hello to the ledger"}, patient: true}.print(t)(t, front.listen(t), h.card.VirtualKeys["CC-4200"], session)}
	require.True(t, b.result(t).IsError)
	require.Contains(t, b.result(t).Result, "529")
	require.Len(t, front.all(), 3)
	var rows []ledgerRow
	require.Eventually(t, func() bool { rows = h.ledger(t, session); return len(rows) == 3 }, 10*time.Second, 50*time.Millisecond)
	for _, row := range rows {
		require.Equal(t, "incomplete", row.State)
		require.Contains(t, row.Flags, "upstream_dropped")
		require.Empty(t, row.RequestID)
	}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// document is a message of about n bytes, larger than the client reads from a pipe as
// plain text.
func document(t *testing.T, n int) []byte {
	t.Helper()
	type block map[string]any
	content, err := json.Marshal(map[string]any{"type": "user", "message": map[string]any{"role": "user", "content": []block{
		{"type": "text", "text": "read this"},
		{"type": "document", "source": block{"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK" + strings.Repeat("AAAA", n/4)}},
	}}})
	require.NoError(t, err)
	return append(content, '\n')
}

// revokedKey makes a key by the API, uses it once, and takes it back.
func (h *house) revokedKey(t *testing.T) string {
	t.Helper()
	var made struct{ ID, Secret string }
	h.send(t, "/api/v1/keys", map[string]any{"label": "for a day", "cost_center": "CC-4200"}, &made)
	session := uuid.NewString()
	h.lines.Store(session, newStation(t, fresh(t)))
	try := func() int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.card.GatewayURL+"/v1/messages", strings.NewReader(`{"model":"claude-haiku-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`))
		require.NoError(t, err)
		r.Header = http.Header{"X-Api-Key": {made.Secret}, "Anthropic-Version": {"2023-06-01"}, "X-Claude-Code-Session-Id": {session}}
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		return res.StatusCode
	}
	require.Eventually(t, func() bool { return try() == http.StatusOK }, 10*time.Second, 20*time.Millisecond, "usable within a second")
	h.send(t, "/api/v1/keys/"+made.ID+"/revoke", map[string]any{"reason": "the day is over"}, nil)
	require.Eventually(t, func() bool { return try() == http.StatusUnauthorized }, 10*time.Second, 20*time.Millisecond, "refused within a second")
	return made.Secret
}

// send changes something by the API.
func (h *house) send(t *testing.T, path string, what, into any) {
	t.Helper()
	content, err := json.Marshal(what)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.card.WebURL+path, bytes.NewReader(content))
	require.NoError(t, err)
	r.Header = http.Header{"Authorization": {"Bearer " + h.card.APITokens["engineering_admin"]}, "Content-Type": {"application/json"}, "Idempotency-Key": {uuid.NewString()}}
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Less(t, res.StatusCode, 300, string(body))
	if into != nil {
		require.NoError(t, json.Unmarshal(body, into))
	}
}

// spendLimit shows the refusal of a spent budget, as it is to be, to Claude Code: it
// asks once and shows the sentence. Where the sentence's day is the day of the reset
// header in UTC, the client puts the instant on its user's clock in the day's place.
// From a provider it says the same, but what it tells about the shared key's limits
// stops at the gateway.
func (h *house) spendLimit(t *testing.T) {
	t.Parallel()
	reset := time.Now().UTC().AddDate(0, 0, 5)
	says := "spend limit reached · resets " + reset.Format("Jan 2") + " · ask the owner of CC-4200"
	spent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		limit := func(name, value string) { w.Header().Set("Anthropic-Ratelimit-Unified-"+name, value) }
		w.Header().Set("Retry-After", strconv.Itoa(int(time.Until(reset).Seconds())))
		w.Header().Set("X-Should-Retry", "false")
		w.Header().Set("Request-Id", "req_spent")
		w.Header().Set("Content-Type", "application/json")
		limit("Status", "rejected")
		limit("Reset", strconv.FormatInt(reset.Unix(), 10))
		limit("Overage-Reset", strconv.FormatInt(reset.Unix(), 10))
		limit("Overage-Utilization", "1")
		limit("Overage-Surpassed-Threshold", "1")
		limit("Overage-Period", "monthly")
		limit("Overage-Disabled-Reason", "org_spend_cap_reached")
		limit("Overage-Scope", "group_pool")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"type":"error","error":{"type":"billing_error","message":"`+says+`"},"request_id":"req_spent"}`)
	}))
	t.Cleanup(spent.Close)
	run := claude{args: []string{"say hello to the ledger"}, patient: true, environment: []string{"TZ=UTC"}}.print(t)
	session := uuid.NewString()
	asRefusal, asProvider := newStation(t, spent.URL), newStation(t, h.card.GatewayURL)
	first := both{through: run(t, asRefusal.listen(t), "tbk_any", session)}
	h.lines.Store(session, newStation(t, spent.URL))
	second := both{through: run(t, asProvider.listen(t), h.card.VirtualKeys["CC-4200"], session)}
	require.True(t, first.result(t).IsError)
	require.Contains(t, first.result(t).Result, "spend limit reached · resets "+reset.Format("Jan 2")+", ", "the instant instead of the day")
	require.Contains(t, first.result(t).Result, " (UTC) · ask the owner of CC-4200")
	require.True(t, second.result(t).IsError)
	require.Contains(t, second.result(t).Result, says, "without the header, the day")
	require.Len(t, asRefusal.all(), 1)
	require.Len(t, asProvider.all(), 1)
	require.Equal(t, "rejected", asRefusal.all()[0].answer.Get("Anthropic-Ratelimit-Unified-Status"))
	for name := range asProvider.all()[0].answer {
		require.False(t, strings.HasPrefix(name, "Anthropic-Ratelimit-"), name)
	}
	require.Equal(t, string(asRefusal.all()[0].bytes), string(asProvider.all()[0].bytes))
	var rows []ledgerRow
	require.Eventually(t, func() bool { rows = h.ledger(t, session); return len(rows) == 1 }, 10*time.Second, 50*time.Millisecond)
	require.Equal(t, "error", rows[0].State)
	require.Equal(t, "0.000000000000", rows[0].Amount)
}
