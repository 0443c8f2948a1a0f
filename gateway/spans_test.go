package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	values "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"tollbook/gateway"
	"tollbook/gateway/span"
)

// receiver is a trace collector.
type receiver struct {
	mu    sync.Mutex
	spans []*traces.Span
	raw   []byte
}

func (c *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var got collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &got); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = append(c.raw, body...)
	for _, resource := range got.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// trace makes the house's gateway anew, with spans sent to handler.
func (h *house) trace(t *testing.T, ratio float64, handler http.Handler) *span.Exporter {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	spans, err := span.New(t.Context(), span.Config{Endpoint: u, Ratio: ratio, Every: time.Millisecond, ClosesIn: time.Minute})
	require.NoError(t, err)
	h.server.Close()
	h.open(t, func(c *gateway.Config) { c.Spans = spans })
	return spans
}

// named returns a span's attributes as plain values.
func named(s *traces.Span) map[string]any {
	plain := map[string]any{}
	for _, a := range s.GetAttributes() {
		switch v := a.GetValue().GetValue().(type) {
		case *values.AnyValue_StringValue:
			plain[a.GetKey()] = v.StringValue
		case *values.AnyValue_IntValue:
			plain[a.GetKey()] = v.IntValue
		case *values.AnyValue_ArrayValue:
			var list []string
			for _, one := range v.ArrayValue.GetValues() {
				list = append(list, one.GetStringValue())
			}
			plain[a.GetKey()] = list
		}
	}
	return plain
}

const tracedAnswer = `{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5-5-20261001","content":[{"type":"text","text":"m4rk3d"}],"stop_reason":"end_turn",` +
	`"usage":{"input_tokens":1000,"cache_creation_input_tokens":30,"cache_read_input_tokens":200,"output_tokens":500,"service_tier":"standard"}}`

func TestASpanTellsExactlyWhatItMay(t *testing.T) {
	t.Parallel()
	a, upstreamURL := upstream(t, jsonAnswer(http.StatusOK, tracedAnswer))
	h := build(t, upstreamURL)
	c := &receiver{}
	spans := h.trace(t, 1, c)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00" // not sampled, says the client
	body := `{"model":"claude-opus-5-5","max_tokens":10,"messages":[{"role":"user","content":"m4rk3d"}]}`
	res := h.post(t, "one", body, func(r *http.Request) {
		for _, name := range []string{"X-Tollbook-Developer", "X-Claude-Code-Session-Id", "X-Claude-Code-Agent-Id", "Tracestate", "Baggage", "User-Agent"} {
			r.Header.Set(name, "m4rk3d=m4rk3d")
		}
		r.Header.Set("X-Tollbook-Tags", `{"m4rk3d":"m4rk3d"}`)
		r.Header.Set("X-Tollbook-Project", "P-1")
		r.Header.Set("Traceparent", parent)
	})
	_, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, parent, a.asked.Load().Header.Get("Traceparent"), "the header is the client's own")
	row := h.rows(t, "one", 1)[0]
	h.server.Close() // waits for the handler
	require.NoError(t, spans.Close(t.Context()))

	require.Len(t, c.spans, 1)
	s := c.spans[0]
	require.Equal(t, "chat claude-opus-5-5", s.GetName())
	require.Equal(t, traces.Span_SPAN_KIND_CLIENT, s.GetKind())
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", hexed(s.GetTraceId())+"-"+hexed(s.GetParentSpanId()))
	require.Empty(t, s.GetTraceState())
	require.Equal(t, traces.Status_STATUS_CODE_UNSET, s.GetStatus().GetCode())
	require.Equal(t, map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-opus-5-5",
		"gen_ai.response.model": "claude-opus-5-5-20261001", "gen_ai.response.id": "msg_1", "gen_ai.response.finish_reasons": []string{"end_turn"},
		"gen_ai.usage.input_tokens": int64(1230), "gen_ai.usage.output_tokens": int64(500),
		"gen_ai.usage.cache_read.input_tokens": int64(200), "gen_ai.usage.cache_creation.input_tokens": int64(30),
		"http.response.status_code": int64(200), "server.address": "127.0.0.1",
		"tollbook.request_id": row.ID.String(), "tollbook.upstream_request_id": "req_1", "tollbook.state": "complete",
	}, named(s))
	require.Len(t, s.GetEvents(), 1)
	require.Equal(t, "first_byte", s.GetEvents()[0].GetName())
	require.Empty(t, s.GetEvents()[0].GetAttributes())
	require.GreaterOrEqual(t, s.GetEvents()[0].GetTimeUnixNano(), s.GetStartTimeUnixNano())
	require.GreaterOrEqual(t, s.GetEndTimeUnixNano(), s.GetEvents()[0].GetTimeUnixNano())
	for _, secret := range []string{"m4rk3d", h.key["one"], "sk-upstream-one", h.tenant["one"].UUID(), h.tenant["one"].String(), h.keyID["one"].String(), "P-1", "CC-1"} {
		require.NotContains(t, string(c.raw), secret)
	}
}

func hexed(b []byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	for _, x := range b {
		out = append(out, digits[x>>4], digits[x&15])
	}
	return string(out)
}

func TestASpanTellsHowARequestFailed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve  func(http.ResponseWriter, *http.Request)
		failed string
		state  string
		status any
	}{
		"the provider is overloaded": {jsonAnswer(529, `{}`), "529", "error", int64(529)},
		"its stream breaks": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, stream(""))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "upstream_dropped", "incomplete", int64(200)},
		"it hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "upstream_dropped", "incomplete", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, upstreamURL := upstream(t, c.serve)
			h := build(t, upstreamURL)
			got := &receiver{}
			spans := h.trace(t, 1, got)
			_, _ = io.ReadAll(h.post(t, "one", question).Body) // broken, in two of the cases
			h.rows(t, "one", 1)
			h.server.Close()
			require.NoError(t, spans.Close(t.Context()))
			require.Len(t, got.spans, 1)
			require.Equal(t, traces.Status_STATUS_CODE_ERROR, got.spans[0].GetStatus().GetCode())
			require.Empty(t, got.spans[0].GetStatus().GetMessage())
			attributes := named(got.spans[0])
			require.Equal(t, c.failed, attributes["error.type"])
			require.Equal(t, c.state, attributes["tollbook.state"])
			require.Equal(t, c.status, attributes["http.response.status_code"])
		})
	}
}

// TestAClientCannotAskForSpans samples nothing, whatever a traceparent's flag says.
func TestAClientCannotAskForSpans(t *testing.T) {
	t.Parallel()
	_, upstreamURL := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, upstreamURL)
	c := &receiver{}
	spans := h.trace(t, 0, c)
	for range 20 {
		_, err := io.ReadAll(h.post(t, "one", question, func(r *http.Request) {
			r.Header.Set("Traceparent", "00-00000000000000000000000000000001-b7ad6b7169203331-01")
		}).Body)
		require.NoError(t, err)
	}
	h.rows(t, "one", 20)
	h.server.Close()
	require.NoError(t, spans.Close(t.Context()))
	require.Empty(t, c.spans)
}

// TestACollectorThatHangsTouchesNoRequest serves while the collector holds the first
// batch: every request is answered before the collector answers anything.
func TestACollectorThatHangsTouchesNoRequest(t *testing.T) {
	t.Parallel()
	_, upstreamURL := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, upstreamURL)
	release, held := make(chan struct{}), make(chan struct{}, 100)
	c := &receiver{}
	spans := h.trace(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held <- struct{}{}
		<-release
		c.ServeHTTP(w, r)
	}))
	ask := func() {
		got, err := io.ReadAll(h.post(t, "one", question).Body)
		require.NoError(t, err)
		require.Equal(t, plainAnswer, string(got))
	}
	ask()
	<-held
	for range 30 {
		ask()
	}
	h.rows(t, "one", 31)
	exported, _ := spans.Counts()
	require.Zero(t, exported)
	close(release)
	h.server.Close()
	require.NoError(t, spans.Close(t.Context()))
	require.Len(t, c.spans, 31)
}

func TestACollectorThatIsAwayCostsSpansAlone(t *testing.T) {
	t.Parallel()
	_, upstreamURL := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, upstreamURL)
	spans := h.trace(t, 1, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	for range 10 {
		got, err := io.ReadAll(h.post(t, "one", question).Body)
		require.NoError(t, err)
		require.Equal(t, plainAnswer, string(got))
	}
	h.rows(t, "one", 10)
	h.server.Close()
	require.NoError(t, spans.Close(t.Context()))
	exported, dropped := spans.Counts()
	require.Zero(t, exported)
	require.EqualValues(t, 10, dropped)
}
