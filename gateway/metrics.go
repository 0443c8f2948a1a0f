package gateway

import (
	"sync/atomic"
	"time"

	"tollbook/app/usage"
)

// metrics are this replica's counts since its start. Every one is an atomic that
// exists before the first request, and what tells counts apart (a state, a class of
// statuses, a reason) comes from lists that are closed here: nothing a client, a
// tenant or the provider sends can make a new one, and counting allocates nothing.
type metrics struct {
	admitted        atomic.Int64 // intents written
	outcomes        [len(outcomeStates)][len(statusClasses)]atomic.Int64
	refusals        map[string]*atomic.Int64 // by reason; never written after newMetrics
	openStreams     atomic.Int64
	requestBytes    atomic.Int64
	answerBytes     atomic.Int64
	answersUnkept   atomic.Int64
	drainsRefused   atomic.Int64
	journalFailures atomic.Int64
	firstByte       histogram
	duration        histogram

	confirmed    atomic.Int64
	repeated     atomic.Int64
	stuck        atomic.Int64
	flushFailed  atomic.Int64
	flushLag     histogram
	orphans      atomic.Int64
	adopted      atomic.Int64
	adoptedRows  atomic.Int64
	adoptedOpen  atomic.Int64
	adoptionFail atomic.Int64
}

// The closed lists.
var (
	outcomeStates = [...]usage.State{usage.StateComplete, usage.StateIncomplete, usage.StateEstimated, usage.StateError} //nolint:gochecknoglobals // a table
	statusClasses = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}                                               //nolint:gochecknoglobals // a table
	refusalCodes  = [...]string{                                                                                         //nolint:gochecknoglobals // a table
		"key_not_accepted", "snapshot_stale", "upstream_missing", "upstream_loop", "upstream_unreachable", "path_unknown", "not_supported",
		"gateway_busy", "tenant_busy", "key_rate_limited", "model_denied", "base_url_wrong",
		"body_too_large", "body_unread", "body_syntax", "body_duplicate_model", "request_body_encoding_unsupported", "model_missing", "model_length",
		"tags_syntax", "tags_many", "tag_length", "label_length", "node_absent",
		"journal_full", "tenant_journal_full", "journal_no_space", "journal_failed", "internal", otherReason,
	}
)

// otherReason counts a refusal whose code is not in the list yet.
const otherReason = "other"

func newMetrics() *metrics {
	second := func(seconds ...float64) []time.Duration {
		bounds := make([]time.Duration, 0, len(seconds))
		for _, s := range seconds {
			bounds = append(bounds, time.Duration(s*float64(time.Second)))
		}
		return bounds
	}
	m := &metrics{
		refusals:  make(map[string]*atomic.Int64, len(refusalCodes)),
		firstByte: newHistogram(second(0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)),
		duration:  newHistogram(second(0.1, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640)),
		flushLag:  newHistogram(second(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600)),
	}
	for _, code := range refusalCodes {
		m.refusals[code] = new(atomic.Int64)
	}
	return m
}

func (m *metrics) admit(in *intent) {
	m.admitted.Add(1)
	m.requestBytes.Add(in.Bytes)
}

// settled counts an outcome on its way to the ledger.
func (m *metrics) settled(started time.Time, out *outcome) {
	m.outcomes[stateIndex(out.State)][classIndex(out.Status)].Add(1)
	m.duration.observe(out.EndedAt.Sub(started))
	if !out.FirstAt.IsZero() {
		m.firstByte.observe(out.FirstAt.Sub(out.SentAt))
	}
}

func (m *metrics) refused(code string) {
	counter, ok := m.refusals[code]
	if !ok {
		counter = m.refusals[otherReason]
	}
	counter.Add(1)
}

// committed counts a flush: what is in the ledger now, what of it was there already,
// what the ledger refuses, and how long each request waited.
func (m *metrics) committed(events []usage.Event, stuck, added int, now time.Time) {
	in := len(events) - stuck
	m.confirmed.Add(int64(in))
	m.repeated.Add(int64(in - added))
	m.stuck.Add(int64(stuck))
	for i := range events {
		m.flushLag.observe(now.Sub(events[i].EndedAt))
	}
}

// adoption counts a journal of another replica that is in the ledger now, or as much
// of a broken one as could be read.
func (m *metrics) adoption(done Adopted) {
	m.adoptedRows.Add(int64(done.Added))
	m.adoptedOpen.Add(int64(done.Open))
}

func stateIndex(state usage.State) int {
	switch state {
	case usage.StateComplete:
		return 0
	case usage.StateIncomplete:
		return 1
	case usage.StateEstimated:
		return 2
	case usage.StateError, usage.StateUnpriced, usage.StateOpen: // the latter two are the ledger's words, never an outcome's
	}
	return 3
}

func classIndex(status int) int {
	if class := status / 100; class > 0 && class < len(statusClasses) {
		return class
	}
	return 0
}

// histogram counts durations up to each bound, and beyond the last.
type histogram struct {
	bounds []time.Duration
	counts []atomic.Int64
	sum    atomic.Int64 // nanoseconds
}

func newHistogram(bounds []time.Duration) histogram {
	return histogram{bounds: bounds, counts: make([]atomic.Int64, len(bounds)+1)}
}

func (h *histogram) observe(d time.Duration) {
	d = max(d, 0) // a clock that stepped back
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Reading is what a gateway has counted since its start, and its gauges now.
type Reading struct {
	Admitted        int64 // requests whose intent was written
	Outcomes        []OutcomeCount
	Refusals        []RefusalCount
	Running         int64 // billed requests
	Lookups         int64 // count_tokens and models
	BodyBytes       int64 // of request bodies in memory
	AnswersBytes    int64 // kept of answers to be metered, beyond the first 32 KiB of each
	AnswersUnkept   int64 // answers that had no room to be kept
	OpenStreams     int64
	RequestBytes    int64 // of admitted requests' bodies
	AnswerBytes     int64 // read from the provider, of answers that ended
	Drains          int
	DrainsBound     int
	DrainsRefused   int64
	JournalFailures int64
	FirstByte       Distribution
	Duration        Distribution

	Confirmed           int64 // requests of this replica that the ledger has
	Repeated            int64 // of these, already there when flushed
	Stuck               int64 // requests that the ledger refuses; they stay in the journal
	FlushFailures       int64
	FlushWaiting        int
	FlushFailing        int          // tenants whose requests do not reach the ledger though others' do, or the database answers
	FlushFailingWaiting int          // requests of these
	FlushLag            Distribution // from outcome to commit

	Orphans          int64 // journals of dead replicas found and not adopted, at the last look
	Adopted          int64 // journals
	AdoptedRows      int64 // new to the ledger
	AdoptedOpen      int64 // requests without an outcome
	AdoptionFailures int64
}

// OutcomeCount counts outcomes of one state and class of HTTP statuses.
type OutcomeCount struct {
	State, Class string
	Count        int64
}

// RefusalCount counts the refusals of one reason.
type RefusalCount struct {
	Reason string
	Count  int64
}

// Distribution is a histogram: Counts holds one more than Bounds, for what is beyond.
type Distribution struct {
	Bounds []time.Duration
	Counts []int64
	Sum    time.Duration
}

func (h *histogram) read() Distribution {
	d := Distribution{Bounds: h.bounds, Counts: make([]int64, len(h.counts)), Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		d.Counts[i] = h.counts[i].Load()
	}
	return d
}

// Metrics reads what this gateway has counted. Flushed counts are read before
// admitted ones, so that a reading never shows more rows than requests.
func (g *Gateway) Metrics() Reading {
	m := g.metrics
	r := Reading{
		Confirmed: m.confirmed.Load(), Repeated: m.repeated.Load(), Stuck: m.stuck.Load(), FlushFailures: m.flushFailed.Load(),
		FlushWaiting: g.flusher.size(), FlushLag: m.flushLag.read(),
		Orphans: m.orphans.Load(), Adopted: m.adopted.Load(), AdoptedRows: m.adoptedRows.Load(),
		AdoptedOpen: m.adoptedOpen.Load(), AdoptionFailures: m.adoptionFail.Load(),
		OpenStreams: m.openStreams.Load(), RequestBytes: m.requestBytes.Load(), AnswerBytes: m.answerBytes.Load(),
		AnswersBytes: g.load.answers.Load(), AnswersUnkept: m.answersUnkept.Load(),
		Drains: len(g.drains), DrainsBound: cap(g.drains), DrainsRefused: m.drainsRefused.Load(),
		JournalFailures: m.journalFailures.Load(), FirstByte: m.firstByte.read(), Duration: m.duration.read(),
	}
	for s, state := range outcomeStates {
		for c, class := range statusClasses {
			r.Outcomes = append(r.Outcomes, OutcomeCount{State: string(state), Class: class, Count: m.outcomes[s][c].Load()})
		}
	}
	for _, code := range refusalCodes {
		r.Refusals = append(r.Refusals, RefusalCount{Reason: code, Count: m.refusals[code].Load()})
	}
	r.FlushFailing, r.FlushFailingWaiting = g.flusher.failing()
	r.Running, r.Lookups, r.BodyBytes = g.Load()
	r.Admitted = m.admitted.Load()
	return r
}
