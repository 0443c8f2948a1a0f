// Package span sends one span for each sampled request to an OpenTelemetry collector.
//
// It owns which requests are sampled, the attributes a span has (names of the
// generative-AI conventions, in semconv.go), the bounded queue and the way to the
// collector. It does not own what a request is (gateway), nor metrics and logs.
//
// Invariants: whether a request is sampled is decided by Tollbook's own random bits,
// whatever the client says; a request that is not sampled allocates nothing here; no
// request waits for the collector; a span that does not reach the collector is counted;
// a span carries no content, key, tenant, developer, session or tag.
//
// Words: ratio (the part of requests that is sampled), endpoint (where the collector
// takes traces), waiting (ended and not exported yet), dropped.
package span
