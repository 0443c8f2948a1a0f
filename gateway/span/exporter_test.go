package span_test

import (
	"context"
	"crypto/rand"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"tollbook/gateway/span"
)

// receiver is a collector that keeps what it gets.
type receiver struct {
	mu    sync.Mutex
	spans []*traces.Span
	paths []string
	about map[string]string // of the resource
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
	c.paths, c.about = append(c.paths, r.URL.Path), map[string]string{}
	for _, resource := range got.GetResourceSpans() {
		for _, a := range resource.GetResource().GetAttributes() {
			c.about[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// got is what came so far.
func (c *receiver) got() []*traces.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

func open(t *testing.T, handler http.Handler, set ...func(*span.Config)) *span.Exporter {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	cfg := span.Config{Endpoint: u, Ratio: 1, Version: "v1", Instance: "here", Every: time.Millisecond, ClosesIn: time.Minute}
	for _, f := range set {
		f(&cfg)
	}
	e, err := span.New(t.Context(), cfg)
	require.NoError(t, err)
	return e
}

func one() *span.Request {
	now := time.Now()
	return &span.Request{ID: "evt_1", ModelRequested: "claude-opus-5-5", State: "complete", Status: 200, Server: "api.example.com", SentAt: now, FirstAt: now, EndedAt: now}
}

func TestClosingSendsWhatWaits(t *testing.T) {
	t.Parallel()
	c := &receiver{}
	e := open(t, c, func(c *span.Config) { c.Every = time.Hour })
	for range 300 {
		e.Record(one())
	}
	require.NoError(t, e.Close(t.Context()))
	require.Len(t, c.got(), 300)
	require.Subset(t, []string{"/v1/traces"}, c.paths)
	require.Equal(t, map[string]string{"service.name": "tollbook", "service.version": "v1", "service.instance.id": "here"}, c.about)
	exported, dropped := e.Counts()
	require.EqualValues(t, 300, exported)
	require.Zero(t, dropped)
}

func TestAGivenPathIsKept(t *testing.T) {
	t.Parallel()
	c := &receiver{}
	e := open(t, c, func(c *span.Config) { c.Endpoint = c.Endpoint.JoinPath("otlp", "traces") })
	e.Record(one())
	require.NoError(t, e.Close(t.Context()))
	require.Equal(t, []string{"/otlp/traces"}, c.paths)
}

// TestAFullQueueDropsAndNeverWaits records more than the queue holds while the
// collector keeps the first batch to itself.
func TestAFullQueueDropsAndNeverWaits(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	c := &receiver{}
	e := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release; c.ServeHTTP(w, r) }))
	for range 3000 {
		e.Record(one()) // returns, or this test does not end
	}
	_, dropped := e.Counts()
	require.EqualValues(t, 3000-2048, dropped)
	close(release)
	require.NoError(t, e.Close(t.Context()))
	require.Len(t, c.got(), 2048)
	exported, dropped := e.Counts()
	require.EqualValues(t, 2048, exported)
	require.EqualValues(t, 3000-2048, dropped)
}

func TestSpansACollectorRefusesAreCounted(t *testing.T) {
	t.Parallel()
	e := open(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	for range 10 {
		e.Record(one())
	}
	require.NoError(t, e.Close(t.Context()))
	exported, dropped := e.Counts()
	require.Zero(t, exported)
	require.EqualValues(t, 10, dropped)
}

// TestClosingIsBoundedWhenTheCollectorHangs ends although nothing is ever answered.
func TestClosingIsBoundedWhenTheCollectorHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	e := open(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() { close(release) }) // before the server's own end
	e.Record(one())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, e.Close(ctx))
	_, dropped := e.Counts()
	require.EqualValues(t, 1, dropped)
}

func TestSamplingFollowsTheRatioAndNothingElse(t *testing.T) {
	t.Parallel()
	var event [16]byte
	none := (*span.Exporter)(nil)
	for _, ratio := range []float64{0, 0.01, 0.5, 1} {
		e := open(t, &receiver{}, func(c *span.Config) { c.Ratio = ratio })
		sampled := 0
		const asked = 100_000
		for range asked {
			_, _ = rand.Read(event[8:])
			if e.Sampled(event) {
				sampled++
				require.True(t, e.Sampled(event), "the same event, the same answer")
			}
			require.False(t, none.Sampled(event))
		}
		// Six standard deviations: one run in a billion is farther off.
		require.InDelta(t, ratio*asked, sampled, 6*math.Sqrt(asked*ratio*(1-ratio)), ratio)
		require.NoError(t, e.Close(t.Context()))
	}
}

func TestOddConfigurationsAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []span.Config{
		{Ratio: 1},
		{Endpoint: &url.URL{Scheme: "grpc", Host: "x"}, Ratio: 1},
		{Endpoint: &url.URL{Scheme: "http", Host: "x", User: url.User("x")}, Ratio: 1},
		{Endpoint: &url.URL{Scheme: "http", Host: "x"}, Ratio: math.NaN()},
		{Endpoint: &url.URL{Scheme: "http", Host: "x"}, Ratio: 1.01},
	} {
		_, err := span.New(t.Context(), c)
		require.Error(t, err)
	}
}

func BenchmarkNotSampled(b *testing.B) {
	e, err := span.New(b.Context(), span.Config{Endpoint: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Ratio: 0.01})
	require.NoError(b, err)
	event := [16]byte{8: 0xbf, 9: 0xff}
	b.ReportAllocs()
	for b.Loop() {
		if e.Sampled(event) {
			b.Fatal("sampled")
		}
	}
}
