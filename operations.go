package main

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tollbook/gateway"
)

// operations adds what machines ask: alive, ready, numbers. None names a tenant.
func (p *parts) operations(g *gateway.Gateway) {
	p.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	p.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		for _, ready := range p.ready {
			if err := ready(); err != nil {
				http.Error(w, "not ready", http.StatusServiceUnavailable)
				return
			}
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if g != nil {
		gauge := func(name, help string, value func() float64) {
			registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "tollbook", Name: name, Help: help}, value))
		}
		gauge("journal_pending", "Requests in the journal that are not in the ledger yet.", func() float64 { return float64(g.Stats().Pending) })
		gauge("journal_bytes", "Bytes of the journal's retained segments.", func() float64 { return float64(g.Stats().Bytes) })
		flag := func(yes bool) float64 {
			if yes {
				return 1
			}
			return 0
		}
		gauge("ready", "1 when requests can be served.", func() float64 { return flag(g.Ready() == nil) })
		gauge("journal_failed", "1 when the journal cannot be written any more; restart on a healthy volume.", func() float64 { return flag(g.Failed()) })
		gauge("journal_broken", "Journals of dead gateways that need a person; the log names them.", func() float64 { return float64(g.Broken()) })
		gauge("snapshot_age_seconds", "Age of what is known of tenants and keys.", func() float64 { return g.SnapshotAge().Seconds() })
		gauge("requests_running", "Billed requests under way.", func() float64 { n, _, _ := g.Load(); return float64(n) })
		gauge("lookups_running", "count_tokens and models requests under way.", func() float64 { _, n, _ := g.Load(); return float64(n) })
		gauge("body_bytes", "Bytes of request bodies in memory.", func() float64 { _, _, n := g.Load(); return float64(n) })
		gauge("journal_oldest_pending_seconds", "Age of the oldest request that is not in the ledger yet.", func() float64 {
			oldest := g.Stats().OldestPendingAt
			if oldest.IsZero() {
				return 0
			}
			return time.Since(oldest).Seconds()
		})
	}
	p.mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
}
