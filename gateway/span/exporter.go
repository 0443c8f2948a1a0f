package span

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config says where spans go and how many.
type Config struct {
	Endpoint *url.URL      // of the collector, OTLP over HTTP; without a path /v1/traces is meant
	Ratio    float64       // of requests that are sampled, 0 to 1
	Version  string        // of the program
	Instance string        // this process among its replicas
	Every    time.Duration // longest wait from a span's end to its export; 0 means 2 s
	ClosesIn time.Duration // how long Close may take; 0 means 3 s
	Log      *slog.Logger
}

// Bounds. A span is about a kilobyte.
const (
	maxWaiting   = 2048
	maxBatch     = 256
	exportWithin = 10 * time.Second
	everyDefault = 2 * time.Second
	closeDefault = 3 * time.Second
	maxErrorText = 300
)

// Validate fills in defaults and says what is wrong.
func (c *Config) Validate() error {
	if c.Endpoint == nil || c.Endpoint.Host == "" || (c.Endpoint.Scheme != "http" && c.Endpoint.Scheme != "https") || c.Endpoint.User != nil || c.Endpoint.RawQuery != "" {
		return errors.New("the collector's address must be http or https, without user or query")
	}
	if !(c.Ratio >= 0 && c.Ratio <= 1) { // so written, it refuses NaN too
		return errors.New("the sampled part of requests must be between 0 and 1")
	}
	if c.Every == 0 {
		c.Every = everyDefault
	}
	if c.ClosesIn == 0 {
		c.ClosesIn = closeDefault
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Exporter sends spans. A nil Exporter samples nothing.
type Exporter struct {
	threshold uint64
	closesIn  time.Duration
	provider  *sdktrace.TracerProvider
	tracer    trace.Tracer
	waiting   atomic.Int64
	exported  atomic.Int64
	dropped   atomic.Int64
	away      atomic.Bool
	log       *slog.Logger
}

// New makes an exporter. The collector need not be there.
func New(ctx context.Context, cfg Config) (*Exporter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	target := *cfg.Endpoint
	if target.Path == "" || target.Path == "/" {
		target.Path = "/v1/traces"
	}
	client, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target.String()), otlptracehttp.WithTimeout(exportWithin),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: exportWithin}))
	if err != nil {
		return nil, fmt.Errorf("open trace exporter: %w", err)
	}
	e := &Exporter{threshold: threshold(cfg.Ratio), closesIn: cfg.ClosesIn, log: cfg.Log}
	e.provider = sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // Sampled has decided; a parent's flag has no say
		sdktrace.WithResource(resource.NewSchemaless(serviceName.String("tollbook"), serviceVersion.String(cfg.Version), serviceInstance.String(cfg.Instance))),
		sdktrace.WithBatcher(&counted{SpanExporter: client, e: e}, sdktrace.WithMaxQueueSize(maxWaiting), sdktrace.WithMaxExportBatchSize(maxBatch),
			sdktrace.WithBatchTimeout(cfg.Every), sdktrace.WithExportTimeout(exportWithin)),
	)
	e.tracer = e.provider.Tracer("tollbook/gateway")
	return e, nil
}

// randomBits are the last 56 of an event's id, which come from the system's random
// source.
const randomBits = 56

func threshold(ratio float64) uint64 { return uint64(math.Ldexp(ratio, randomBits)) }

// Sampled decides about a request by the random bits of its event id. It says the same
// for the same id, costs a comparison, and no client has any influence on it.
func (e *Exporter) Sampled(event [16]byte) bool {
	return e != nil && binary.BigEndian.Uint64(event[8:])&(1<<randomBits-1) < e.threshold
}

// Counts tells how many spans the collector took and how many were dropped.
func (e *Exporter) Counts() (exported, dropped int64) { return e.exported.Load(), e.dropped.Load() }

// Close exports what waits, within its bound and ctx; what is left then is dropped.
func (e *Exporter) Close(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, e.closesIn)
	defer cancel()
	if err := e.provider.Shutdown(limited); err != nil {
		left := e.waiting.Swap(0)
		e.dropped.Add(left)
		e.log.WarnContext(ctx, "spans dropped at the end", "spans", left)
	}
	return nil
}

// counted keeps count of what becomes of spans, and keeps export errors from the
// library's global handler.
type counted struct {
	sdktrace.SpanExporter
	e *Exporter
}

// ExportSpans implements sdktrace.SpanExporter.
func (c *counted) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	n := int64(len(spans))
	err := c.SpanExporter.ExportSpans(ctx, spans)
	c.e.waiting.Add(-n)
	if err == nil {
		c.e.exported.Add(n)
		if c.e.away.Swap(false) {
			c.e.log.InfoContext(ctx, "the trace collector answers again")
		}
		return nil
	}
	c.e.dropped.Add(n)
	if !c.e.away.Swap(true) { // once per outage
		text := err.Error()
		c.e.log.WarnContext(ctx, "the trace collector does not take spans; they are dropped until it does", "error", text[:min(len(text), maxErrorText)])
	}
	return nil
}
