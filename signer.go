package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/signer"
)

// minSignerToken bounds from below the secret that guards a port.
const minSignerToken = 24

// commandSigner holds the seed of the audit logs' keys, and signs for who may reach it.
func commandSigner(ctx context.Context, args []string) error {
	var address, dir string
	if _, err := parse("signer", args, func(f *flag.FlagSet) {
		f.StringVar(&address, "listen", "", "")
		f.StringVar(&dir, "data", "", "")
	}, false); err != nil {
		return err
	}
	if address == "" || dir == "" {
		return misuse("signer needs --listen and --data: where it is asked, and where it keeps what it signed last")
	}
	e := &environment{lookup: os.LookupEnv}
	authority, token := e.signing(address)
	limits := e.limits()
	if err := e.err(); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	keeper, err := signer.OpenKeeper(dir, authority, log)
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	l, err := listenSigner(address)
	if err != nil {
		return errors.Join(err, keeper.Close())
	}
	log.InfoContext(ctx, "signing", "listen", address, "version", version)
	return errors.Join(serveUntil(ctx, l, signerHandler(keeper, token), settings{Limits: limits}, log), keeper.Close())
}

// signing reads what a signer needs. A port is guarded by a token, and is on loopback; a
// socket by the file system.
func (e *environment) signing(address string) (*auditlog.Authority, secret.Text) {
	e.need("TOLLBOOK_LOG_KEY", "32 random bytes in base64, for example from: openssl rand -base64 32")
	authority, err := app.ParseLogKeys(e.logKey())
	if err != nil {
		e.fail("TOLLBOOK_LOG_KEY", "cannot be used: "+fault.From(err).Message)
	}
	token := secret.NewText(e.text("TOLLBOOK_SIGNER_TOKEN"))
	if strings.HasPrefix(address, "unix:") {
		return authority, token
	}
	if host, _, err := net.SplitHostPort(address); err != nil || !loopback(host) {
		e.fail("--listen", "should be unix: and a path, or an address of loopback like 127.0.0.1:8091; beyond this machine, put a proxy that ends TLS in front")
	}
	if len(token.Reveal()) < minSignerToken {
		e.fail("TOLLBOOK_SIGNER_TOKEN", "should be a secret of at least 24 characters that only the signer and those who ask it have, for example from: openssl rand -hex 24")
	}
	return authority, token
}

// listenSigner opens the socket, which only its user may use, or the port. A socket that a
// dead signer left is in the way; that it is dead follows from the directory's lock.
func listenSigner(address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return listen(address)
	}
	if at, err := os.Lstat(path); err == nil && at.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("--listen: %w", err)
		}
	}
	before := syscall.Umask(0o177)
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", path)
	syscall.Umask(before)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	return l, nil
}

// signerHandler adds numbers, which name no log, to what the keeper answers.
func signerHandler(keeper *signer.Keeper, token secret.Text) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), signerCounts{keeper})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: scrapeLimit, MaxRequestsInFlight: scrapesAtOnce}))
	mux.Handle("/", keeper.Handler(token))
	return mux
}

// signerCounts is what /metrics of a signer reads.
type signerCounts struct{ keeper *signer.Keeper }

// Describe implements prometheus.Collector.
func (signerCounts) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c signerCounts) Collect(ch chan<- prometheus.Metric) {
	s, n := sink{ch: ch}, c.keeper.Counts()
	s.gauge("signer_logs", "Logs whose last head is kept here.", float64(n.Logs))
	s.counter("signer_heads_total", "Heads signed.", n.Heads)
	s.counter("signer_first_heads_total", "Of them, first heads of logs that were not known: trusted, being the first.", n.Firsts)
	s.counter("signer_decisions_total", "Decisions signed.", n.Decisions)
	s.counter("signer_stale_total", "Asks after another head than the one signed last; they are asked again.", n.Stale)
	s.counter("signer_forks_refused_total", "Heads refused because the log is not the one whose head was signed before.", n.Forks)
	s.counter("signer_failures_total", "Heads and decisions that were not signed for another reason: a disk, a file that cannot be read, an ask that means nothing.", n.Failures)
}
