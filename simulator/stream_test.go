package simulator

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func serve(t *testing.T, sim *Simulator) string {
	t.Helper()
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)

	return server.URL
}

// streamOf asks over a real connection and returns the events and how it ended.
func streamOf(t *testing.T, url, b string, extra map[string]string) ([]sseEvent, *http.Response, error) {
	t.Helper()
	res, err := http.DefaultClient.Do(newCall(t, http.MethodPost, url+"/v1/messages", b, extra))
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	events, err := readEvents(t, res.Body)

	return events, res, err
}

func member(t *testing.T, value any, path ...string) any {
	t.Helper()
	for _, key := range path {
		object, ok := value.(map[string]any)
		require.True(t, ok, "no object before %s", key)
		value = object[key]
	}

	return value
}

func TestFrameOrder(t *testing.T) {
	t.Parallel()
	const start, one = "message_start ping ", "content_block_start content_block_delta content_block_stop "
	const end = "message_delta message_stop"
	for name, tc := range map[string]struct{ prompt, more, want string }{
		"text":     {"hi", "", start + one + end},
		"thinking": {"hi", `,"thinking":{"type":"enabled","budget_tokens":9}`, start + one + one + end},
		"omitted":  {"hi", `,"thinking":{"type":"adaptive","display":"omitted"}`, start + one + one + end},
		"tool":     {"run echo hi", bashTool, start + one + end},
		"search": {
			"search cats", `,"tools":[{"type":"web_search_20250305","name":"web_search"}]`,
			start + one + "content_block_start content_block_stop " + one + end,
		},
		"refusal": {"[[refuse]]", "", start + end},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := open(t, Config{})
			b := body("claude-opus-5-5", tc.prompt, tc.more+`,"stream":true`)
			events, res, err := streamOf(t, serve(t, sim), b, nil)
			require.NoError(t, err)
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, "text/event-stream; charset=utf-8", res.Header.Get("Content-Type"))
			require.NotEmpty(t, res.Header.Get("anthropic-ratelimit-requests-remaining"))
			require.NotEmpty(t, res.Header.Get("anthropic-organization-id"))
			require.Equal(t, tc.want, names(events))
			first, last := events[0].data, events[len(events)-2].data
			require.Equal(t, []any{}, member(t, first, "message", "content"))
			require.Nil(t, member(t, first, "message", "stop_reason"))
			require.Contains(t, member(t, first, "message", "usage"), "cache_creation")
			require.Equal(t, member(t, first, "message", "usage", "input_tokens"), member(t, last, "usage", "input_tokens"), "cumulative")
			row := booksOf(t, sim, "request_id="+res.Header.Get("request-id"))[0]
			require.True(t, row.Complete)
			require.EqualValues(t, row.Tokens.Output, member(t, last, "usage", "output_tokens"))
			require.Equal(t, row.MessageID, member(t, first, "message", "id"))
		})
	}
}

// A stream and a whole answer to the same request say and count the same.
func TestStreamEqualsWhole(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ prompt, more string }{
		"text":   {"z\u00fcrich", `,"thinking":{"type":"adaptive"}`},
		"tool":   {"run `printf 'z\u00fcrich <\U0001F600> & more than one delta of it'`", bashTool},
		"schema": {"x", `,"output_config":{"format":{"type":"json_schema","schema":{"properties":{"title":{"type":"string"}}}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocks, m := answerOf(t, open(t, Config{}), body("claude-opus-5-5", tc.prompt, tc.more))
			events, _, err := streamOf(t, serve(t, open(t, Config{})), body("claude-opus-5-5", tc.prompt, tc.more+`,"stream":true`), nil)
			require.NoError(t, err)
			joined := make([]strings.Builder, len(blocks))
			for _, e := range events {
				if e.name != "content_block_delta" {
					continue
				}
				for _, key := range []string{"text", "thinking", "partial_json"} {
					if piece, ok := member(t, e.data, "delta", key).(string); ok {
						joined[int(e.data["index"].(float64))].WriteString(piece)
					}
				}
			}
			for i, block := range blocks {
				switch block["type"] {
				case "tool_use":
					require.Equal(t, block["input"], decode[any](t, []byte(joined[i].String())))
				default:
					require.Equal(t, block[block["type"].(string)], joined[i].String())
				}
			}
			require.EqualValues(t, m.Usage.OutputTokens, member(t, events[len(events)-2].data, "usage", "output_tokens"))
			require.Equal(t, *m.StopReason, member(t, events[len(events)-2].data, "delta", "stop_reason"))
		})
	}
}

func TestStreamKnobs(t *testing.T) {
	t.Parallel()
	b := body("claude-opus-5-5", "hi", `,"stream":true`)
	knob := func(words string) map[string]string { return map[string]string{"x-sim-fault": words} }
	url := serve(t, open(t, Config{}))

	events, _, err := streamOf(t, url, b, knob("deltas=50"))
	require.NoError(t, err)
	require.Equal(t, 50, count(events, "content_block_delta"))

	events, _, err = streamOf(t, url, b, knob("deltas=7,text-bytes=1000"))
	require.NoError(t, err)
	text := 0
	for _, e := range events {
		if e.name == "content_block_delta" {
			text += len(member(t, e.data, "delta", "text").(string))
		}
	}
	require.Equal(t, 1000, text)
	require.Equal(t, 7, count(events, "content_block_delta"))

	events, _, err = streamOf(t, url, b, knob("no-usage"))
	require.NoError(t, err)
	require.NotContains(t, events[len(events)-2].data, "usage")

	events, _, err = streamOf(t, url, b, knob("unknown-field,unknown-model"))
	require.NoError(t, err)
	require.EqualValues(t, 7, member(t, events[0].data, "message", "usage", "quantum_tokens"))
	require.Equal(t, "claude-unknown-9", member(t, events[0].data, "message", "model"))
}

func TestCuts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		knob   string
		deltas int
		last   string
		free   bool
		cut    bool
	}{
		"drop at once":       {"drop-after=0", 0, "message_start", false, true},
		"drop":               {"drop-after=3,deltas=10", 3, "content_block_delta", false, true},
		"drop at the latest": {"drop-after=99,deltas=10", 10, "content_block_stop", false, true},
		"error at once":      {"sse-error-after=0", 0, "error", true, false},
		"error":              {"sse-error-after=2,deltas=10", 2, "error", false, false},
		"error at the end":   {"sse-error-after=99,deltas=10", 10, "error", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := open(t, Config{})
			b := body("claude-opus-5-5", "hi [[sim:"+tc.knob+"]]", `,"stream":true`)
			events, res, err := streamOf(t, serve(t, sim), b, nil)
			require.Equal(t, tc.cut, err != nil, err)
			require.Equal(t, tc.deltas, count(events, "content_block_delta"))
			require.Equal(t, tc.last, events[len(events)-1].name)
			row := booksOf(t, sim, "request_id="+res.Header.Get("request-id"))[0]
			require.False(t, row.Complete)
			require.Equal(t, tc.free, row.Amount == "0.000000000000", row.Amount)
			require.Equal(t, tc.deltas > 0, row.Tokens.Output > 0)
			require.Equal(t, tc.free, row.Tokens.Input == 0)
		})
	}
}

func TestCutsWithoutStream(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	url := serve(t, sim)
	for _, words := range []string{"drop-head", "drop-after=0", "drop-after=1"} {
		res, err := http.DefaultClient.Do(newCall(t, http.MethodPost, url+"/v1/messages", body("claude-opus-5-5", "hi", ""), map[string]string{"x-sim-fault": words}))
		if err == nil {
			_, err = io.ReadAll(res.Body)
			require.NoError(t, res.Body.Close())
		}
		require.Error(t, err, words)
	}
	rows := booksOf(t, sim, "")
	require.Len(t, rows, 3)
	for _, row := range rows {
		require.False(t, row.Complete)
		require.NotEqual(t, "0.000000000000", row.Amount)
	}
}

// A client that leaves is booked with what it could have seen, and the handler ends.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		sim.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	ctx, leave := context.WithCancel(t.Context())
	r := newCall(t, http.MethodPost, server.URL+"/v1/messages", body("claude-opus-5-5", "hi", `,"stream":true`), map[string]string{"x-sim-fault": "deltas=1000,delta-ms=20"})
	res, err := http.DefaultClient.Do(r.WithContext(ctx))
	require.NoError(t, err)
	first := make([]byte, 16)
	_, err = io.ReadFull(res.Body, first)
	require.NoError(t, err)
	leave()
	require.NoError(t, res.Body.Close())
	<-done
	row := booksOf(t, sim, "")[0]
	require.False(t, row.Complete)
	require.Less(t, row.Tokens.Output, int64(1000))
	require.NotEqual(t, "0.000000000000", row.Amount)
}

// The fact is in the books before the client sees the last frame.
func TestBookedBeforeLastByte(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	for _, stream := range []string{"false", "true"} {
		w := &watcher{header: http.Header{}, sim: sim, t: t}
		sim.Handler().ServeHTTP(w, newCall(t, http.MethodPost, "/v1/messages", body("claude-opus-5-5", "hi", `,"stream":`+stream), nil))
		require.True(t, w.sawEnd)
	}
}

type watcher struct {
	t      *testing.T
	sim    *Simulator
	header http.Header
	sawEnd bool
}

func (w *watcher) Header() http.Header { return w.header }
func (w *watcher) WriteHeader(int)     {}
func (w *watcher) Write(p []byte) (int, error) {
	text := string(p)
	end := strings.Contains(text, `"stop_reason":"end_turn"`) && !strings.Contains(text, "event:") || strings.Contains(text, "event: message_stop")
	rows := booksOf(w.t, w.sim, "request_id="+w.header.Get("request-id"))
	require.Len(w.t, rows, map[bool]int{true: 1, false: 0}[end])
	w.sawEnd = w.sawEnd || end

	return len(p), nil
}

// Pauses happen between deltas only, and obey the configured and the asked delay.
func TestPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := open(t, Config{Delay: time.Second})
		began := time.Now()
		ask(t, sim, body("claude-opus-5-5", "hi", `,"stream":true`), map[string]string{"x-sim-fault": "deltas=5,first-byte-ms=300"})
		require.Equal(t, 4*time.Second+300*time.Millisecond, time.Since(began))
		began = time.Now()
		ask(t, sim, body("claude-opus-5-5", "hi", `,"stream":true`), map[string]string{"x-sim-fault": "deltas=5,delta-ms=20"})
		require.Equal(t, 80*time.Millisecond, time.Since(began))
	})
}

func TestManyStreams(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	url := serve(t, sim)
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			events, _, err := streamOf(t, url, body("claude-opus-5-5", "hi", `,"stream":true`), map[string]string{"x-sim-fault": "deltas=5,delta-ms=1"})
			if err != nil || count(events, "message_stop") != 1 {
				t.Errorf("stream ended with %v after %d events", err, len(events))
			}
		})
	}
	all.Wait()
	rows := booksOf(t, sim, "limit=1000")
	require.Len(t, rows, 200)
	ids := map[string]bool{}
	for _, row := range rows {
		ids[row.RequestID] = true
		require.True(t, row.Complete)
	}
	require.Len(t, ids, 200)
}

func TestBench(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	knob := map[string]string{"x-sim-fault": "bench,deltas=50"}
	events, _, err := streamOf(t, serve(t, sim), body("claude-opus-5-5", "hi", `,"stream":true`), knob)
	require.NoError(t, err)
	require.Equal(t, 50, count(events, "content_block_delta"))
	require.Equal(t, "message_start content_block_start ping content_block_delta content_block_stop message_delta message_stop", names(events))
	m := decode[wireMessage](t, ask(t, sim, body("claude-sonnet-5-5", "hi", ""), knob).Body.Bytes())
	require.Equal(t, "claude-sonnet-5-5", m.Model)
	require.EqualValues(t, 100, m.Usage.OutputTokens)
	require.Empty(t, booksOf(t, sim, ""))
	counters := decode[map[string]int](t, call(t, sim, "GET", "/books/bench", "", nil).Body.Bytes())
	require.Equal(t, 2, counters["requests"])
	require.Equal(t, 200, counters["output_tokens"])
}

func BenchmarkBenchKnob(b *testing.B) {
	sim, err := Open(Config{Dir: b.TempDir()})
	require.NoError(b, err)
	text := body("claude-opus-5-5", strings.Repeat("x", 1000), "")
	handler := sim.Handler()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(text))
		r.Header["X-Sim-Fault"] = []string{"bench"}
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	require.NoError(b, sim.Close())
}
