package gateway_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/usage"
	"tollbook/gateway"
	"tollbook/gateway/journal"
	"tollbook/simulator"
)

// What gateways in front of this API get wrong, and a test for each that this one
// does not.

// claudeBody holds everything a typed copy of the request would drop or refuse.
const claudeBody = `{ "model" : "claude-opus-5-5","max_tokens":128000,"messages":[{"role":"user","content":"hi"},` +
	`{"role":"system","content":"now","output_config":{"effort":"low"},"cache_control":{"type":"ephemeral"}}],` +
	`"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330.abc; cc_entrypoint=sdk-cli;"},{"type":"text","text":"\u00e9\ud83d\ude00","cache_control":{"type":"ephemeral"}}],` +
	`"tools":[{"name":"Bash","defer_loading":true}],"thinking":{"type":"adaptive","display":"omitted"},"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},` +
	`"safeguards":[{"type":"dangerous_tool_use","classifier_context":{"path":"/home/ada"}}],"metadata":{"user_id":"{\"device_id\":\"d-1\"}"},"number":1e2,"stream":true}` + "\n"

func read(t *testing.T, res *http.Response) string {
	t.Helper()
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(got)
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// swapped replaces the test house's gateway with one that is told something else.
func (h *house) swapped(t *testing.T, set func(*gateway.Config)) *house {
	t.Helper()
	h.server.Close()
	h.open(t, set)
	return h
}

func eventStream(body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, body)
	}
}

func TestTrap01NothingIsSerializedAnew(t *testing.T) {
	t.Parallel()
	answered := `{"model":"claude-opus-5-5", "id":"msg_1","type":"message","safeguard_results":[{"n":1.50}],"content":[],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1,"x":null}}` + "\n \n"
	a, base := upstream(t, jsonAnswer(http.StatusOK, answered))
	h := build(t, base)
	for _, chunked := range []bool{false, true} {
		res := h.post(t, "one", claudeBody, func(r *http.Request) {
			if chunked {
				r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader(claudeBody))
			}
		})
		require.Equal(t, answered, read(t, res))
		require.Equal(t, claudeBody, string(*a.body.Load()))
		require.EqualValues(t, len(claudeBody), a.asked.Load().ContentLength)
	}
}

func TestTrap02HeadersAreOpenListsAndErrorsPassAsTheyAre(t *testing.T) {
	t.Parallel()
	failure := `{"type":"error","error":{"type":"invalid_request_error","message":"safeguards: no","details":{"error_code":"x"}},"request_id":"req_9"}`
	a, base := upstream(t, jsonAnswer(http.StatusUnprocessableEntity, failure))
	h := build(t, base)
	res := h.post(t, "one", claudeBody, func(r *http.Request) {
		r.Header["Anthropic-Beta"] = []string{"afk-mode-2026-01-31,never-heard-of-2031-01-01", "second-line-2030-01-01"}
		r.Header.Set("Anthropic-Version", "2026-10-21")
		r.Header.Set("X-Stainless-Retry-Count", "0")
		r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		r.Header.Set("X-From-Next-Year", "kept")
		r.Header.Set("X-Only-Here", "dropped")
		r.Header.Set("Connection", "keep-alive, X-Only-Here")
		r.Header.Set("Te", "trailers")
	})
	require.Equal(t, failure, read(t, res))
	require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode)
	got := a.asked.Load().Header
	require.Equal(t, []string{"afk-mode-2026-01-31,never-heard-of-2031-01-01", "second-line-2030-01-01"}, got["Anthropic-Beta"])
	for name, want := range map[string]string{
		"Anthropic-Version": "2026-10-21", "X-Stainless-Retry-Count": "0", "X-From-Next-Year": "kept",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Only-Here": "", "Te": "",
	} {
		require.Equal(t, want, got.Get(name), name)
	}
}

func TestTrap03DeltasAreCumulative(t *testing.T) {
	t.Parallel()
	// 1000 input once, not 2000; 500 output, not 1 + 200 + 500; the hour's writes are in message_start alone.
	body := strings.Replace(stream(""), `"cache_creation_input_tokens":0,`, `"cache_creation_input_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},`, 1) +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null},\"usage\":{\"input_tokens\":1000,\"cache_creation_input_tokens\":300,\"cache_read_input_tokens\":0,\"output_tokens\":200}}\n\n" + streamEnd
	_, base := upstream(t, eventStream(body))
	h := build(t, base)
	require.Equal(t, body, read(t, h.post(t, "one", question)))
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, usage.Tokens{1000, 500, 100, 200, 0}, row.Tokens)
	// 1000 x $4 + 500 x $20 + 100 x $5 + 200 x $8 a million
	require.Equal(t, "0.016100000000", row.Amount.String())
}

func TestTrap04InputTokensAreTheUncachedOnesAlone(t *testing.T) {
	t.Parallel()
	body := strings.Replace(plainAnswer, `"input_tokens":1000,"cache_creation_input_tokens":0,"cache_read_input_tokens":0`,
		`"input_tokens":10,"cache_creation_input_tokens":20,"cache_read_input_tokens":99980`, 1)
	body = strings.Replace(body, "claude-opus-5-5", "claude-haiku-5-5", 1)
	_, base := upstream(t, jsonAnswer(http.StatusOK, body))
	h := build(t, base)
	read(t, h.post(t, "one", question))
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, usage.Tokens{10, 500, 20, 0, 99980}, row.Tokens)
	// The prompt is 10 + 20 + 99,980 = 100,010 tokens: the dearer tier, for every token.
	// 10 x $0.50 + 500 x $2.50 + 20 x $0.625 + 99,980 x $0.05 a million
	require.Equal(t, "0.006266500000", row.Amount.String())
}

func TestTrap05CacheWritesHaveTwoRatesAndReadsTheirOwn(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]string{
		// 1M each of 5m writes, 1h writes, reads: the read is 0.05 and 0.1 of the input rate
		"claude-opus-5-5": "13.200000000000", // 5 + 8 + 0.20
		"claude-opus-5":   "16.750000000000", // 6.25 + 10 + 0.50
	} {
		body := fmt.Sprintf(`{"id":"m","type":"message","model":%q,"content":[],"stop_reason":"end_turn","usage":{"input_tokens":0,"cache_creation_input_tokens":2000000,`+
			`"cache_creation":{"ephemeral_5m_input_tokens":1000000,"ephemeral_1h_input_tokens":1000000},"cache_read_input_tokens":1000000,"output_tokens":0}}`, model)
		_, base := upstream(t, jsonAnswer(http.StatusOK, body))
		h := build(t, base)
		read(t, h.post(t, "one", question))
		require.Equal(t, want, h.rows(t, "one", 1)[0].Amount.String(), model)
	}
}

func TestTrap06TheResponseDecidesThePrice(t *testing.T) {
	t.Parallel()
	usageOf := func(model, extra string) string {
		return fmt.Sprintf(`{"id":"m","type":"message","model":%q,"content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":1000000,"output_tokens":0%s}}`, model, extra)
	}
	for name, c := range map[string]struct{ answer, want string }{
		"another model served":   {usageOf("claude-haiku-4-5-20251001", ""), "1.000000000000"},
		"fast asked, not served": {usageOf("claude-opus-5-5", `,"speed":"standard"`), "4.000000000000"},
		"fast served":            {usageOf("claude-opus-5-5", `,"speed":"fast"`), "8.000000000000"},
		"served in the US":       {usageOf("claude-opus-5-5", `,"inference_geo":"us"`), "4.400000000000"},
		"served as batch":        {usageOf("claude-opus-5-5", `,"service_tier":"batch"`), "2.000000000000"},
		"a compaction beside": {usageOf("claude-opus-5-5", `,"iterations":[{"type":"compaction","input_tokens":1000000,"output_tokens":0},{"type":"message","input_tokens":1000000,"output_tokens":0}]`),
			"8.000000000000"},
		"an advisor beside": {usageOf("claude-opus-5-5", `,"iterations":[{"type":"advisor_message","model":"claude-fable-5-2","input_tokens":1000000,"output_tokens":0},{"type":"message","input_tokens":1000000,"output_tokens":0}]`),
			"12.000000000000"},
		"refused before any output": {`{"id":"m","type":"message","model":"claude-opus-5-5","content":[],"stop_reason":"refusal","usage":{"input_tokens":1000000,"output_tokens":0}}`, "0.000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, base := upstream(t, jsonAnswer(http.StatusOK, c.answer))
			h := build(t, base)
			read(t, h.post(t, "one", `{"model":"claude-opus-5-5","speed":"fast","inference_geo":"global","service_tier":"auto","messages":[]}`))
			row := h.rows(t, "one", 1)[0]
			require.Equal(t, c.want, row.Amount.String())
			require.Equal(t, "complete", row.State)
		})
	}
}

func TestTrap07EveryEventComesAtOncePingsIncluded(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	pieces := strings.SplitAfter(stream(streamEnd), "\n\n")
	pieces = slices.Insert(pieces[:len(pieces)-1], 2, ": a comment\n\n", "event: ping\ndata: {\"type\": \"ping\"}\n\n", "event: from_next_year\ndata: {\"type\":\"from_next_year\"}\n\n")
	a, base := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, piece := range pieces {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
			<-next // the next event waits until the client has this one
		}
	})
	// A client may be silent between events for longer than any of the gateway's own bounds.
	h := build(t, base).swapped(t, func(c *gateway.Config) {
		c.ReadWithin, c.BodyWithin, c.DrainFor = 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	})
	res := h.post(t, "one", question, header("Accept-Encoding", "gzip, deflate, br, zstd"))
	require.Equal(t, "identity", a.asked.Load().Header.Get("Accept-Encoding"))
	require.Empty(t, res.Header.Get("Content-Encoding"))
	for i, piece := range pieces {
		got := make([]byte, len(piece))
		_, err := io.ReadFull(res.Body, got)
		require.NoError(t, err, "event %d", i)
		require.Equal(t, piece, string(got))
		if i == 3 {
			<-time.After(60 * time.Millisecond) // the silence that must not end the stream
		}
		next <- struct{}{}
	}
	require.Empty(t, read(t, res))
	require.Equal(t, "complete", h.rows(t, "one", 1)[0].State)
}

func TestTrap07ACompressedStreamAgainstTheWishIsPassedAndMarked(t *testing.T) {
	t.Parallel()
	var squeezed bytes.Buffer
	zip := gzip.NewWriter(&squeezed)
	_, err := io.WriteString(zip, stream(streamEnd))
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	_, base := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(squeezed.Bytes())
	})
	h := build(t, base)
	res := h.post(t, "one", question, header("Accept-Encoding", "gzip"))
	require.Equal(t, squeezed.String(), read(t, res), "a client that accepts gzip can read it")
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "incomplete", row.State, "what could not be read is no complete row")
}

func TestTrap08NothingIsSentTwice(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(http.ResponseWriter, *http.Request){
		"overloaded":      jsonAnswer(529, `{"type":"error","error":{"type":"overloaded_error","message":"busy"}}`),
		"server error":    jsonAnswer(http.StatusInternalServerError, `{}`),
		"rate limited":    jsonAnswer(http.StatusTooManyRequests, `{}`),
		"dropped at once": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"dropped in the middle": func(w http.ResponseWriter, _ *http.Request) {
			eventStream(stream(""))(w, nil)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"redirected": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, base := upstream(t, serve)
			h := build(t, base)
			for i := range 3 { // over a connection that was used before, too
				res := h.post(t, "one", question)
				_, _ = io.ReadAll(res.Body) // a broken stream is the point
				require.EqualValues(t, i+1, a.count.Load())
			}
			h.rows(t, "one", 3)
		})
	}
}

func TestTrap09RefusalsAreTheOnesClaudeCodeUnderstands(t *testing.T) {
	t.Parallel()
	a, base := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, base)
	small := build(t, base).swapped(t, func(c *gateway.Config) { c.MaxBodyBytes = 16 })
	stale := build(t, base).swapped(t, func(c *gateway.Config) { c.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } })
	for name, c := range map[string]struct {
		res    *http.Response
		status int
		typ    string
		stop   bool // x-should-retry: false; without it Claude Code tries for three minutes
	}{
		"revoked or wrong key": {h.post(t, "one", question, header("X-Api-Key", "tbk_revoked")), 401, "authentication_error", true},
		"too large":            {small.post(t, "one", question), 413, "request_too_large", true},
		"cannot vouch":         {stale.post(t, "one", question), 529, "overloaded_error", false},
	} {
		var shape struct {
			Type      string
			Error     struct{ Type, Message string }
			RequestID string `json:"request_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(read(t, c.res)), &shape), name)
		require.Equal(t, c.status, c.res.StatusCode, name)
		require.Equal(t, "error", shape.Type, name)
		require.Equal(t, c.typ, shape.Error.Type, name)
		require.Equal(t, c.stop, c.res.Header.Get("X-Should-Retry") == "false", name)
		require.Equal(t, c.res.Header.Get("X-Tollbook-Request-Id"), shape.RequestID, name)
		if after := c.res.Header.Get("Retry-After"); after != "" {
			seconds, err := strconv.Atoi(after)
			require.NoError(t, err, "only whole seconds are understood")
			require.LessOrEqual(t, seconds, 60, "more ends the turn at once")
		}
	}
	require.Zero(t, a.count.Load())
}

func TestTrap10LimitsAndKeysStayOnTheirSide(t *testing.T) {
	t.Parallel()
	a, base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Requests-Remaining", "Unified-Status", "Input-Tokens-Reset"} {
			w.Header().Set("Anthropic-Ratelimit-"+name, "1")
		}
		w.Header().Set("Retry-After", "3")
		jsonAnswer(http.StatusTooManyRequests, `{"type":"error"}`)(w, r)
	})
	h := build(t, base)
	for _, path := range []string{"/v1/messages", "/v1/messages/count_tokens"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+"/gw/one"+path, strings.NewReader(question))
		require.NoError(t, err)
		r.Header.Set("X-Api-Key", h.key["one"])
		r.Header.Set("Authorization", "Bearer "+h.key["one"])
		res, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		read(t, res)
		require.NoError(t, res.Body.Close())
		require.Equal(t, "3", res.Header.Get("Retry-After"), "how long to wait is the client's business")
		for name := range res.Header {
			require.False(t, strings.HasPrefix(name, "Anthropic-Ratelimit-"), name)
		}
		var seen bytes.Buffer
		require.NoError(t, a.asked.Load().Header.Write(&seen))
		require.NotContains(t, seen.String(), h.key["one"], "the virtual key ends here")
		require.Contains(t, seen.String(), "sk-upstream-one")
	}
}

func TestTrap11NoModelIsChangedOnTheWay(t *testing.T) {
	t.Parallel()
	a, base := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, base)
	for _, model := range []string{"claude-opus-5-5", "claude-haiku-5-5", "claude-unheard-of-7"} {
		for range 2 {
			body := strings.Replace(claudeBody, "claude-opus-5-5", model, 1)
			read(t, h.post(t, "one", body, header("X-Claude-Code-Session-Id", "s-1")))
			require.Equal(t, body, string(*a.body.Load()))
		}
	}
	for _, row := range h.rows(t, "one", 6) {
		require.Equal(t, "claude-opus-5-5", row.ModelServed)
	}
}

func TestTrap12BackgroundCallsArePricedAtTheModelThatServedThem(t *testing.T) {
	t.Parallel()
	_, base := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, base)
	title := `{"model":"claude-opus-5-5","max_tokens":512,"messages":[],"output_config":{"format":{"type":"json_schema"}},"stream":true}`
	read(t, h.post(t, "one", title, header("X-Claude-Code-Request-Class", "auxiliary")))
	require.Equal(t, "0.014000000000", h.rows(t, "one", 1)[0].Amount.String())
}

func TestTrap13CountsAndProbesAreFreeAndUnlimited(t *testing.T) {
	t.Parallel()
	a, base := upstream(t, jsonAnswer(http.StatusOK, `{"input_tokens":3}`))
	h := build(t, base)
	var burst sync.WaitGroup
	for range 26 { // what /context sends at once
		burst.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+"/gw/one/v1/messages/count_tokens?beta=true", strings.NewReader(question))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("X-Api-Key", h.key["one"])
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("a count was answered with %d", res.StatusCode)
			}
		})
	}
	burst.Wait()
	require.EqualValues(t, 26, a.count.Load())
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		r, err := http.NewRequestWithContext(t.Context(), method, h.server.URL+"/gw/one/api/hello", nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	require.EqualValues(t, 26, a.count.Load(), "a probe needs no provider")
	h.rows(t, "one", 0)
}

func TestTrap14APlainAnswerMayTakeItsTime(t *testing.T) {
	t.Parallel()
	_, base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		<-time.After(150 * time.Millisecond)
		jsonAnswer(http.StatusOK, plainAnswer)(w, r)
	})
	h := build(t, base).swapped(t, func(c *gateway.Config) {
		c.ReadWithin, c.BodyWithin, c.DrainFor = 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	})
	res := h.post(t, "one", strings.Replace(question, `"max_tokens":10`, `"stream":false,"max_tokens":64000`, 1))
	require.Equal(t, plainAnswer, read(t, res))
	require.Equal(t, "complete", h.rows(t, "one", 1)[0].State)
}

func TestTrap15EveryRequestIsWrittenDownBeforeItIsSent(t *testing.T) {
	t.Parallel()
	const parallel = 12 // subagents of one session
	arrived, release := make(chan struct{}, parallel), make(chan struct{})
	_, base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		jsonAnswer(http.StatusOK, plainAnswer)(w, r)
	})
	h := build(t, base)
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() { _, _ = io.ReadAll(h.post(t, "one", claudeBody).Body) })
	}
	for range parallel {
		<-arrived
	}
	// All are with the provider and none is answered: each is in the journal with what a
	// reservation needs, which is the size of its prompt and not its 128,000 tokens of room.
	seen := 0
	_, err := journal.Inspect(h.journalPath(t), [][]byte{h.ring.Derive("journal-mac")}, func(r journal.Record) error {
		var in struct {
			Bytes int64 `json:"by"`
			Room  int64 `json:"mt"`
		}
		seen++
		require.NoError(t, json.Unmarshal(r.Payload, &in))
		require.EqualValues(t, len(claudeBody), in.Bytes)
		require.EqualValues(t, 128000, in.Room)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, parallel, seen)
	close(release)
	all.Wait()
	h.rows(t, "one", parallel)
}

func TestTrap16TheProvidersReportIsInCents(t *testing.T) {
	t.Parallel()
	provider, err := simulator.Open(simulator.Config{Dir: t.TempDir(), Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { _ = provider.Close() })
	server := httptest.NewServer(provider.Handler())
	t.Cleanup(server.Close)
	h := build(t, server.URL)
	read(t, h.post(t, "one", `{"model":"claude-opus-5-5","max_tokens":100,"messages":[{"role":"user","content":"hello [[sim:deltas=3]]"}]}`))
	row := h.rows(t, "one", 1)[0]
	require.Positive(t, int64(row.Amount))

	day := row.OccurredAt.UTC().Truncate(24 * time.Hour)
	query := url.Values{"starting_at": {day.Format(time.RFC3339)}, "ending_at": {day.Add(48 * time.Hour).Format(time.RFC3339)}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/organizations/analytics/cost?"+query.Encode(), nil)
	require.NoError(t, err)
	r.Header.Set("X-Api-Key", "sk-ant-admin01-test")
	r.Header.Set("Anthropic-Version", "2023-06-01")
	r.Header.Set("Anthropic-Beta", "analytics-usage-cost-2026-08-24")
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	var report struct {
		Data []struct{ Cost struct{ Amount string } }
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&report))
	require.Len(t, report.Data, 1)
	cents, ok := new(big.Rat).SetString(report.Data[0].Cost.Amount)
	require.True(t, ok)
	dollars, ok := new(big.Rat).SetString(row.Amount.String())
	require.True(t, ok)
	require.Zero(t, cents.Cmp(new(big.Rat).Mul(dollars, big.NewRat(100, 1))), "%s cents against %s dollars", cents, dollars)
}

func TestTrap17NothingPrivateIsLogged(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	var broken atomic.Bool
	_, base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
		jsonAnswer(http.StatusOK, plainAnswer)(w, r)
	})
	h := build(t, base).swapped(t, func(c *gateway.Config) {
		c.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	marked := func(r *http.Request) {
		r.Header.Set("X-Tollbook-Developer", "secret-developer@example.com")
		r.Header.Set("X-Tollbook-Tags", `{"secret-tag":"secret-value"}`)
		r.Header.Set("X-Claude-Code-Managed-Settings-Checksum", "secret-checksum")
		r.Header.Set("X-Claude-Code-Session-Id", "secret-session")
	}
	secretBody := strings.NewReplacer("hi", "secret-prompt", "/home/ada", "/secret-path", "d-1", "secret-device").Replace(claudeBody)
	read(t, h.post(t, "one", secretBody, marked))
	broken.Store(true)
	_, _ = io.ReadAll(h.post(t, "one", secretBody, marked).Body)
	_, _ = io.ReadAll(h.post(t, "one", secretBody[:len(secretBody)-3], marked).Body)
	_, _ = io.ReadAll(h.post(t, "one", secretBody, marked, header("X-Api-Key", "tbk_secret-wrong-key")).Body)
	h.rows(t, "one", 2)
	require.NotEmpty(t, log.String(), "a failure is logged")
	for _, private := range []string{"secret", h.key["one"], "sk-upstream"} {
		require.NotContains(t, log.String(), private)
	}
}

type lockedBuffer struct {
	sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.String()
}

func TestTrap18OnlyACredentialOrADeclarationNamesADeveloper(t *testing.T) {
	t.Parallel()
	_, base := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, base)
	read(t, h.post(t, "one", claudeBody, header("X-Claude-Code-Session-Id", "s-1"), header("X-Claude-Code-Agent-Id", "a-1")))
	row := h.rows(t, "one", 1)[0]
	require.Empty(t, row.Developer)
	require.True(t, row.DeveloperID.IsZero())
	read(t, h.post(t, "one", claudeBody, header("X-Tollbook-Developer", "ada@example.com")))
	row = h.rows(t, "one", 2)[0]
	require.Equal(t, "ada@example.com", row.Developer)
	require.False(t, row.DeveloperVerified, "declared is not verified")
}
