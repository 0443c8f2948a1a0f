package span

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Request is what a span tells of one request that was sent to the provider.
type Request struct {
	ID                string // of the event
	UpstreamID        string
	Traceparent       string // W3C, as the client sent it; its sampling flag is ignored
	Server            string // host of the provider
	ModelRequested    string
	ModelServed       string
	MessageID         string
	StopReason        string
	State             string
	Failure           string // a word of a closed list; empty if it went well
	Status            int    // the provider's; 0 if there was no answer
	InputTokens       int64  // of every class, cached ones included
	OutputTokens      int64
	CacheReadTokens   int64
	CacheCreateTokens int64
	SentAt            time.Time
	FirstAt           time.Time // zero if there was no answer
	EndedAt           time.Time
}

// Record ends a sampled request's span and queues it. It never waits: when the queue
// is full the span is dropped and counted.
func (e *Exporter) Record(r *Request) {
	if e.waiting.Add(1) > maxWaiting {
		e.waiting.Add(-1)
		e.dropped.Add(1)
		return
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": r.Traceparent})
	_, s := e.tracer.Start(ctx, operationChat+" "+r.ModelRequested,
		trace.WithTimestamp(r.SentAt), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes(r)...))
	if !r.FirstAt.IsZero() {
		s.AddEvent(firstByteEvent, trace.WithTimestamp(r.FirstAt))
	}
	if r.failure() != "" {
		s.SetStatus(codes.Error, "")
	}
	s.End(trace.WithTimestamp(r.EndedAt))
}

// failure is the kind of error, in words of a closed list or as a status.
func (r *Request) failure() string {
	if r.Failure == "" && r.Status >= 400 {
		return strconv.Itoa(r.Status)
	}
	return r.Failure
}

// attributes are all that a span has; what is not known is left out.
func attributes(r *Request) []attribute.KeyValue {
	list := []attribute.KeyValue{
		genAIOperationName.String(operationChat), genAIProviderName.String(providerAnthropic), genAIRequestModel.String(r.ModelRequested),
		serverAddress.String(r.Server), tollbookRequest.String(r.ID), tollbookState.String(r.State),
	}
	for _, known := range []struct {
		key   attribute.Key
		value string
	}{
		{genAIResponseModel, r.ModelServed},
		{genAIResponseID, r.MessageID},
		{tollbookUpstreamRequest, r.UpstreamID},
		{errorType, r.failure()},
	} {
		if known.value != "" {
			list = append(list, known.key.String(known.value))
		}
	}
	if r.StopReason != "" {
		list = append(list, genAIFinishReasons.StringSlice([]string{r.StopReason}))
	}
	if r.Status != 0 {
		list = append(list, httpStatusCode.Int(r.Status))
	}
	if r.MessageID != "" { // an answer with counts
		list = append(list, genAIInputTokens.Int64(r.InputTokens), genAIOutputTokens.Int64(r.OutputTokens),
			genAICacheReadTokens.Int64(r.CacheReadTokens), genAICacheCreateTokens.Int64(r.CacheCreateTokens))
	}
	return list
}
