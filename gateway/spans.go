package gateway

import (
	"net/http"
	"slices"

	"tollbook/app/usage"
	"tollbook/gateway/span"
)

// record sends the span of a request that is sampled and was sent, when all of it is
// known; the others cost a comparison. It is deferred, so that an answer that was cut
// has its span too.
func (x *exchange) record() {
	if !x.g.cfg.Spans.Sampled(x.event.Bytes()) || x.outcome.SentAt.IsZero() {
		return
	}
	out, tokens := &x.outcome, &x.outcome.Counts.Tokens
	r := &span.Request{
		ID: x.event.String(), UpstreamID: out.RequestID, Traceparent: x.r.Header.Get("Traceparent"), Server: x.tenant.Upstream.Hostname(),
		ModelRequested: x.intent.Model, ModelServed: out.Counts.Model, MessageID: out.MessageID, StopReason: out.Stop,
		State: string(out.State), Failure: failure(out), Status: out.Status,
		OutputTokens: tokens[usage.ClassOutput], CacheReadTokens: tokens[usage.ClassCacheRead],
		CacheCreateTokens: tokens[usage.ClassCacheWrite5m] + tokens[usage.ClassCacheWrite1h],
		SentAt:            out.SentAt, FirstAt: out.FirstAt, EndedAt: out.EndedAt,
	}
	r.InputTokens = tokens.Prompt()
	if out.FirstAt.IsZero() {
		r.Status = 0 // what the row says is ours, not the provider's
	}
	if out.EndedAt.IsZero() { // never settled: the handler broke off
		r.EndedAt = x.g.cfg.Now().UTC()
	}
	x.g.cfg.Spans.Record(r)
}

// failure names what went wrong beyond an error status, in a closed list of words.
func failure(out *outcome) string {
	if out.Status >= http.StatusBadRequest && !out.FirstAt.IsZero() {
		return "" // the status says it
	}
	for _, known := range []string{"gateway_fault", "upstream_unreachable", "client_gone", "upstream_dropped"} {
		if slices.Contains(out.Flags, known) {
			return known
		}
	}
	switch out.State {
	case usage.StateComplete:
		return ""
	case usage.StateIncomplete, usage.StateEstimated, usage.StateUnpriced, usage.StateError, usage.StateOpen:
		return string(out.State)
	}
	return "unsettled"
}
