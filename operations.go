package main

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Scrapes are few and short; more, or longer ones, are a mistake somewhere.
const (
	scrapeLimit   = 5 * time.Second
	scrapesAtOnce = 4
)

// operations adds what machines ask: alive, ready, numbers. None names a tenant.
func (p *parts) operations(o *observed) {
	p.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	p.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		for _, ready := range p.ready {
			if err := ready(); err != nil {
				http.Error(w, "not ready", http.StatusServiceUnavailable)
				return
			}
		}
		_, _ = w.Write([]byte("ready\n"))
		if o.gateway != nil {
			if ailing := o.gateway.Ailing(); ailing != "" {
				_, _ = w.Write([]byte(ailing + "\n"))
			}
		}
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), o)
	p.mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: scrapeLimit, MaxRequestsInFlight: scrapesAtOnce}))
}
