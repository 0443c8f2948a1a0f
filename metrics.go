package main

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tollbook/app"
	"tollbook/db"
	"tollbook/gateway"
	"tollbook/gateway/span"
)

// observed is what /metrics reads of the parts that run here. docs/operations.md says
// what each number means. No label ever names a tenant, key, developer, session,
// request or model: their values come from closed lists.
type observed struct {
	db        *db.DB
	snapshots *app.Snapshots
	metering  *app.Metering
	records   *app.Log             // nil where no jobs run
	notices   *app.Notices         // the same
	packets   *app.Packets         // the same
	provider  *app.ProviderReports // the same
	days      *app.Reconciliations // the same
	gateway   *gateway.Gateway     // nil where none runs
	spans     *span.Exporter       // nil where none are sent

	mu     sync.Mutex
	jobs   []db.JobCount
	up     bool
	readAt time.Time
}

// Describe implements prometheus.Collector. It says nothing ahead: which metrics there
// are depends on the parts.
func (o *observed) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (o *observed) Collect(ch chan<- prometheus.Metric) {
	s := sink{ch: ch}
	s.gauge("build_info", "The program that runs, as labels.", 1, "version", version, "go_version", runtime.Version())
	o.database(s)
	if o.records != nil {
		checks, broken, refused := o.records.Checked()
		s.counter("log_checks_total", "Audit logs recomputed here from their stored bytes.", checks)
		s.counter("log_broken_total", "Of them, those that were not what was hashed and signed.", broken)
		s.counter("log_heads_refused_total", "Heads that were not signed because the log does not begin with what was signed before.", refused)
	}
	if o.records != nil {
		seen, failed, refused, behind := o.records.Witnessed()
		s.gauge("log_witnesses", "Witnesses of the audit logs' heads that are configured here; 0 is a control that fails.", float64(len(o.records.Witnesses())))
		s.counter("log_heads_witnessed_total", "Heads that a witness saw when it was asked here.", seen)
		s.counter("log_witness_failures_total", "Times a witness was asked here and did not see the head.", failed)
		s.counter("log_witness_refusals_total", "Of them, those where it said that it has seen another log of that name.", refused)
		s.gauge("log_witnesses_behind", "Logs that a witness was behind with when it was last asked here.", float64(behind))
	}
	if o.packets != nil {
		for _, c := range o.packets.Counts() {
			s.counter("packets_total", "Attempts made here to deliver a packet, by the kind of its recipient and how they ended.", c.Count, "kind", c.Kind, "outcome", string(c.Outcome))
		}
	}
	if o.provider != nil {
		for _, c := range o.provider.Counts() {
			s.counter("provider_pulls_total", "Pulls of provider reports that ended here, by how they did.", c.Count, "outcome", c.Outcome)
		}
	}
	if o.days != nil {
		runs, variances := o.days.Counts()
		for _, c := range runs {
			s.counter("reconciliations_total", "Reconciliations of a day made here, by the state they came to.", c.Count, "state", c.Outcome)
		}
		for _, c := range variances {
			s.counter("variances_total", "Exceptions above tolerance that reconciliations made here opened or resolved.", c.Count, "step", c.Outcome)
		}
	}
	if o.notices != nil {
		s.gauge("mail_configured", "1 when a mail server is configured here.", truth(o.notices.MailOn()))
		for _, c := range o.notices.Counts() {
			s.counter("notices_total", "Attempts made here to deliver a notice, by the kind of its channel and how they ended.", c.Count, "channel", string(c.Channel), "outcome", string(c.Outcome))
		}
	}
	if o.gateway == nil {
		return
	}
	s.gauge("ready", "1 when requests can be served.", truth(o.gateway.Ready() == nil))
	s.journal(o.gateway)
	r := o.gateway.Metrics()
	s.requests(&r)
	s.ledger(&r)
	s.adoption(&r)
	loads, tenants := o.snapshots.Failures()
	s.gauge("snapshot_age_seconds", "Since companies, keys and rules were last read; since the start if never.", max(o.gateway.SnapshotAge(), 0).Seconds())
	s.counter("snapshot_load_failures_total", "Loads of keys and rules that failed.", loads)
	s.counter("snapshot_tenants_left_out_total", "Times a company was left out of a load because its configuration is broken.", tenants)
	s.counter("ledger_unpriced_rows_total", "Rows written here whose price is provisional: the price book has no rate in force, or the meter does not know a usage field.", o.metering.Unpriced())
	if o.spans != nil {
		exported, dropped := o.spans.Counts()
		s.counter("spans_exported_total", "Spans that the trace collector took.", exported)
		s.counter("spans_dropped_total", "Spans that were dropped because the queue was full or the trace collector did not take them.", dropped)
	}
}

const (
	jobsEvery  = 10 * time.Second
	jobsWithin = time.Second
)

// database reports connections and, at most every ten seconds, asks for the jobs: a
// scrape that comes more often must not become the database's load, and one that comes
// while the database is away must not wait.
func (o *observed) database(s sink) {
	o.mu.Lock()
	if time.Since(o.readAt) > jobsEvery {
		limited, cancel := context.WithTimeout(context.Background(), jobsWithin)
		jobs, err := o.db.JobCounts(limited)
		cancel()
		o.jobs, o.up, o.readAt = jobs, err == nil, time.Now()
	}
	jobs, up := o.jobs, o.up
	o.mu.Unlock()
	s.gauge("database_up", "1 if the database answered within a second, at most ten seconds ago.", truth(up))
	for _, j := range jobs {
		s.gauge("jobs", "Jobs that are not done, or were given up (discarded). The same at every replica.", float64(j.Count), "kind", j.Kind, "state", j.State)
		if j.State == "available" {
			s.gauge("jobs_late_seconds", "How long the oldest job that could run has been waiting. The same at every replica.", j.Late.Seconds(), "kind", j.Kind)
		}
	}
	for _, p := range o.db.Pools() {
		s.gauge("database_connections_max", "Bound of a pool.", float64(p.Max), "role", p.Role)
		s.gauge("database_connections_open", "Connections of a pool.", float64(p.Open), "role", p.Role)
		s.gauge("database_connections_in_use", "Connections of a pool in use.", float64(p.InUse), "role", p.Role)
		s.counter("database_connection_waits_total", "Times somebody waited for a connection.", p.Waited, "role", p.Role)
		s.sum("database_connection_wait_seconds_total", "Time waited for connections.", p.WaitedFor.Seconds(), "role", p.Role)
		s.counter("database_connection_wait_canceled_total", "Times somebody gave up waiting for a connection.", p.Canceled, "role", p.Role)
	}
}

// sink makes metrics of numbers.
type sink struct{ ch chan<- prometheus.Metric }

func (s sink) journal(g *gateway.Gateway) {
	stats := g.Stats()
	s.gauge("journal_pending", "Requests in the journal that are not in the ledger yet.", float64(stats.Pending))
	s.gauge("journal_bytes", "Bytes of the journal's retained segments.", float64(stats.Bytes))
	s.gauge("journal_bytes_max", "Bound of the journal's retained segments; at it, requests are refused.", float64(g.JournalBound()))
	s.gauge("journal_segments", "The journal's retained segments.", float64(stats.Segments))
	s.gauge("journal_last_position", "The last record written.", float64(stats.LastPosition))
	s.gauge("journal_synced_position", "The last record that is on the disk.", float64(stats.SyncedPosition))
	var oldest time.Duration
	if !stats.OldestPendingAt.IsZero() {
		oldest = max(time.Since(stats.OldestPendingAt), 0)
	}
	s.gauge("journal_failed", "1 when the journal cannot be written any more; restart on a healthy volume.", truth(g.Failed()))
	s.gauge("journal_broken", "Journals of dead gateways that need a person; the log names them.", float64(g.Broken()))
	s.gauge("journal_refused", "Requests that the ledger refuses; they wait in the journal, and the log names them.", float64(g.Stuck()))
	s.gauge("journal_oldest_pending_seconds", "Age of the oldest request that is not in the ledger yet.", oldest.Seconds())
}

func (s sink) requests(r *gateway.Reading) {
	s.counter("journal_failures_total", "Records that the journal did not take, for want of room or because it failed.", r.JournalFailures)
	s.counter("requests_admitted_total", "Requests whose intent was written: each becomes one row of the ledger.", r.Admitted)
	for _, o := range r.Outcomes {
		s.counter("requests_total", "Requests that ended, by their outcome's state and the class of their HTTP status.", o.Count, "state", o.State, "class", o.Class)
	}
	for _, f := range r.Refusals {
		s.counter("refusals_total", "Answers that are the gateway's own, by reason.", f.Count, "reason", f.Reason)
	}
	s.gauge("requests_running", "Billed requests under way.", float64(r.Running))
	s.gauge("lookups_running", "count_tokens and models requests under way.", float64(r.Lookups))
	s.gauge("body_bytes", "Bytes of request bodies in memory.", float64(r.BodyBytes))
	s.gauge("answers_kept_bytes", "Bytes kept of answers to be metered, beyond the first 32 KiB of each.", float64(r.AnswersBytes))
	s.counter("answers_unkept_total", "Answers that were too large to be kept, or had no room: they passed untouched and unmetered.", r.AnswersUnkept)
	s.gauge("streams_open", "Streams being relayed.", float64(r.OpenStreams))
	s.gauge("drains", "Answers being read on after their client left.", float64(r.Drains))
	s.gauge("drains_max", "Bound of those.", float64(r.DrainsBound))
	s.counter("drains_refused_total", "Answers cut when their client left because the bound was reached.", r.DrainsRefused)
	s.counter("request_bytes_total", "Bytes of admitted requests' bodies.", r.RequestBytes)
	s.counter("answer_bytes_total", "Bytes of the provider's answers that ended.", r.AnswerBytes)
	s.histogram("upstream_first_byte_seconds", "From sending a request to the head of the provider's answer.", r.FirstByte)
	s.histogram("request_duration_seconds", "From a request's arrival to its durable outcome.", r.Duration)
}

func (s sink) ledger(r *gateway.Reading) {
	s.counter("requests_in_ledger_total", "Admitted requests that the ledger has. What is missing from the admitted ones is pending or stuck.", r.Confirmed)
	s.counter("requests_flushed_again_total", "Of these, requests that were in the ledger already when they were flushed.", r.Repeated)
	s.counter("requests_stuck_total", "Requests that the ledger refuses. They stay in the journal until a person looks.", r.Stuck)
	s.counter("flush_failures_total", "Flushes that did not reach the ledger, wholly or in part.", r.FlushFailures)
	s.gauge("flush_waiting", "Requests with an outcome that wait for a flush.", float64(r.FlushWaiting))
	s.gauge("flush_tenants_failing", "Companies whose requests do not reach the ledger though others' do, or the database answers; the log names them.", float64(r.FlushFailing))
	s.gauge("flush_failing_waiting", "Requests of these companies that wait in the journal.", float64(r.FlushFailingWaiting))
	s.histogram("flush_lag_seconds", "From a request's outcome to its row's commit.", r.FlushLag)
}

func (s sink) adoption(r *gateway.Reading) {
	s.counter("journals_adopted_total", "Journals of dead replicas brought into the ledger.", r.Adopted)
	s.counter("adopted_rows_total", "Rows that were new to the ledger, of adopted journals.", r.AdoptedRows)
	s.counter("adopted_open_total", "Requests without an outcome in adopted journals: open until reconciliation settles them.", r.AdoptedOpen)
	s.counter("adoption_failures_total", "Adoptions that failed and will be tried again.", r.AdoptionFailures)
	s.gauge("journals_orphaned", "Journals of dead gateways on this volume that are not in the ledger, at the last look; broken ones too.", float64(r.Orphans))
}

// send makes one metric; labels are pairs of name and value.
func (s sink) send(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	desc, values := describe(name, help, labels)
	s.ch <- prometheus.MustNewConstMetric(desc, kind, value, values...)
}

func describe(name, help string, labels []string) (*prometheus.Desc, []string) {
	var names, values []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return prometheus.NewDesc("tollbook_"+name, help, names, nil), values
}

func (s sink) gauge(name, help string, value float64, labels ...string) {
	s.send(prometheus.GaugeValue, name, help, value, labels)
}

func (s sink) counter(name, help string, value int64, labels ...string) {
	s.send(prometheus.CounterValue, name, help, float64(value), labels)
}

func (s sink) sum(name, help string, value float64, labels ...string) {
	s.send(prometheus.CounterValue, name, help, value, labels)
}

func (s sink) histogram(name, help string, d gateway.Distribution) {
	buckets := make(map[float64]uint64, len(d.Bounds))
	var total uint64
	for i, n := range d.Counts {
		total += uint64(n)
		if i < len(d.Bounds) {
			buckets[d.Bounds[i].Seconds()] = total
		}
	}
	desc, _ := describe(name, help, nil)
	s.ch <- prometheus.MustNewConstHistogram(desc, total, d.Sum.Seconds(), buckets)
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
