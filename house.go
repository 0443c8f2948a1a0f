package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"tollbook/app"
	"tollbook/app/pricing"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/gateway"
	"tollbook/gateway/span"
	"tollbook/jobs"
	"tollbook/jobs/anthropicadmin"
	"tollbook/jobs/deliver"
	"tollbook/web"
)

// house is one process, wired by hand: nothing else in the program knows more than
// its own part.
type house struct {
	settings  settings
	log       *slog.Logger
	ring      *secret.Keyring
	db        *db.DB
	access    *app.Access
	changes   *app.Changes
	nodes     *app.Nodes
	tenants   *app.Tenants
	keys      *app.Keys
	members   *app.Members
	signIns   *app.SignIns
	reports   *app.Reports
	snapshots *app.Snapshots
	metering  *app.Metering
	audit     *app.Audit
	records   *app.Log
	approvals *app.Approvals
	notices   *app.Notices
	prices    *app.Prices
	rights    *app.Rights
	logins    *app.Logins
	rules     *app.Rules
	plans     *app.Plans
	views     *app.Views
	settled   *app.Settings
	signUps   *app.SignUps
	adjusts   *app.Adjustments
	keeps     *app.Retentions
	ends      *app.Offboardings
	books     *app.Books
	provider  *app.ProviderReports
	exports   *app.Exports
	invoices  *app.Invoices
	days      *app.Reconciliations
	closing   *app.Closing
	packets   *app.Packets
	notes     *app.Commentaries
	disputes  *app.Disputes
}

// assemble opens the database and makes every area.
func assemble(ctx context.Context, s settings, log *slog.Logger) (*house, error) {
	h := &house{settings: s, log: log}
	var err error
	if h.ring, err = secret.NewKeyring(s.MasterKeys...); err != nil {
		return nil, fmt.Errorf("TOLLBOOK_MASTER_KEY: %w", err)
	}
	if h.access, err = app.NewAccess(); err != nil {
		return nil, err
	}
	if h.db, err = db.Open(ctx, db.Config{URL: s.DatabaseURL, SystemURL: s.SystemDatabaseURL, Later: s.runs("gateway"), Log: log, Release: version}); err != nil {
		return nil, fmt.Errorf("open the database (TOLLBOOK_DATABASE_URL, TOLLBOOK_SYSTEM_DATABASE_URL): %w", err)
	}
	h.changes = app.NewChanges(h.access)
	h.nodes = app.NewNodes(h.db, h.access, h.changes)
	h.tenants = app.NewTenants(h.db, h.changes, h.nodes, h.ring, time.Now)
	h.keys = app.NewKeys(h.db, h.access, h.changes, h.ring)
	h.members = app.NewMembers(h.db, h.changes, h.ring)
	h.signIns = app.NewSignIns(h.db, h.changes, h.members, h.ring)
	h.signUps = app.NewSignUps(h.db, h.changes, h.tenants, h.members, h.signIns, h.ring, s.SignUp)
	h.rights = app.NewRights(h.db, h.access, h.changes, h.ring)
	h.logins = app.NewLogins(h.db, h.access, h.changes, h.members, h.ring)
	h.reports = app.NewReports(h.db, h.access, h.ring)
	h.snapshots = app.NewSnapshots(h.db, h.ring, log, time.Now)
	h.audit = app.NewAudit(h.db, log)
	if h.records, err = app.NewLog(h.db, h.access, h.members, s.LogKey, log); err != nil {
		h.db.Close()
		return nil, fmt.Errorf("TOLLBOOK_LOG_KEY: %w", err)
	}
	if s.Signer != nil {
		h.records.SignBy(s.Signer)
	}
	if len(s.Witnesses) > 0 {
		h.records.WitnessBy(s.WitnessWithin, s.Witnesses...)
		h.audit.WitnessBy(h.records.Witnesses())
	}
	h.approvals = app.NewApprovals(h.db, h.access, h.changes, h.members, h.ring)
	h.notices = app.NewNotices(h.db, h.changes, h.approvals, h.members, h.ring, app.NoticeRules{
		Mail: s.SMTP != nil, PublicURL: s.PublicURL.String(), Development: s.Development, Words: web.ChangeWords,
	})
	h.approvals.SignBy(h.records)
	h.prices = app.NewPrices(h.db, h.access, h.changes, pricing.VendorList())
	h.rules = app.NewRules(h.db, h.access, h.changes, h.ring)
	h.keeps = app.NewRetentions(h.db, h.access, h.changes)
	h.ends = app.NewOffboardings(h.db, h.access, h.changes)
	h.plans = app.NewPlans(h.db, h.access, h.changes, h.ring)
	h.views = app.NewViews(h.db, h.access, h.changes)
	h.settled = app.NewSettings(h.db, h.changes, h.members, h.ring, askProvider()) //nolint:bodyclose // whoever asks closes
	h.books = app.NewBooks(h.db, h.access, h.changes, log)
	h.provider = app.NewProviderReports(h.db, h.changes, h.members, h.tenants, h.ring)
	h.exports = app.NewExports(h.db, h.access, h.changes, h.ring, version)
	h.invoices = app.NewInvoices(h.db, h.access, h.changes)
	h.days = app.NewReconciliations(h.db, h.access, h.changes, h.members)
	h.closing = app.NewClosing(h.db, h.access, h.changes, h.members)
	h.packets = app.NewPackets(h.db, h.access, h.changes, h.approvals, h.members, h.records, h.ring, app.PacketRules{
		Mail: s.SMTP != nil, PublicURL: s.PublicURL.String(), Development: s.Development, Version: version, Words: web.ChangeWords,
	})
	if h.metering, err = app.NewMetering(h.db); err != nil {
		h.db.Close()
		return nil, err
	}
	if h.adjusts, err = app.NewAdjustments(h.db, h.access, h.changes, h.reports); err != nil {
		h.db.Close()
		return nil, err
	}
	h.notes = app.NewCommentaries(h.db, h.access, h.changes, h.members)
	h.disputes = app.NewDisputes(h.db, h.access, h.changes, h.approvals, h.adjusts, h.members)
	return h, nil
}

// parts are what a house serves and how to end it.
type parts struct {
	mux   *http.ServeMux
	ready []func() error
	close []func(context.Context) error
}

// start begins everything the settings ask for; the mux is complete when it returns.
func (h *house) start(ctx context.Context) (*parts, error) {
	p := &parts{mux: http.NewServeMux()}
	if err := h.whenReachable(ctx, p, "renew tenants", h.tenants.Renew); err != nil {
		return p, err
	}
	if !h.settings.runs("gateway") {
		// With a gateway here, it is the gateway that has to be ready: it serves while the
		// database is away, and taking it out of service then would fail every request.
		p.ready = append(p.ready, func() error {
			limited, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return h.db.Ping(limited)
		})
	}
	var served *gateway.Gateway
	var spans *span.Exporter
	if h.settings.runs("gateway") {
		var err error
		if spans, err = h.openSpans(ctx); err != nil {
			return p, err
		}
		if served, err = h.startGateway(ctx, p, spans); err != nil {
			return p, err
		}
	}
	if h.settings.runs("jobs") {
		if err := h.startJobs(ctx, p); err != nil {
			return p, err
		}
	}
	if h.settings.runs("web") {
		operators := app.NewOperators(h.db, h.settings.Operators, func() app.Health { return h.health(p, served) }, h.log)
		jobPages, err := h.jobPages(ctx)
		if err != nil {
			return p, err
		}
		pages, err := web.New(web.Config{
			PublicURL: h.settings.PublicURL, Development: h.settings.Development, Log: h.log, Now: time.Now, Version: version,
			HTTPClient: &http.Client{Timeout: 10 * time.Second}, Leaving: ctx.Done(), JobPages: jobPages,
		}, web.Areas{
			Tenants: h.tenants, SignIns: h.signIns, Members: h.members, Nodes: h.nodes, Keys: h.keys, Reports: h.reports,
			Approvals: h.approvals, Prices: h.prices, Rules: h.rules, Plans: h.plans, Views: h.views, Rights: h.rights, Logins: h.logins, Settings: h.settled,
			Operators: operators, SignUps: h.signUps, Log: h.records, Notices: h.notices, Adjustments: h.adjusts, Retentions: h.keeps, Offboardings: h.ends, Books: h.books, Packets: h.packets, Invoices: h.invoices,
			Provider: h.provider, Exports: h.exports,
			Reconciliations: h.days, Closing: h.closing,
			Commentaries: h.notes, Disputes: h.disputes,
		})
		if err != nil {
			return p, err
		}
		p.mux.Handle("/", pages.Handler())
	}
	o := &observed{db: h.db, snapshots: h.snapshots, metering: h.metering, gateway: served, spans: spans}
	if h.settings.runs("jobs") {
		o.records, o.notices, o.provider, o.packets = h.records, h.notices, h.provider, h.packets
	}
	p.operations(o)
	return p, nil
}

// askProvider is the way to a provider for a single question. It follows no redirect.
func askProvider() func(*http.Request) (*http.Response, error) {
	return (&http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}).RoundTrip
}

func (h *house) startJobs(ctx context.Context, p *parts) error {
	var started atomic.Pointer[func(context.Context) error]
	office := deliver.NewOffice(h.settings.SMTP, deliver.NewHooks(h.settings.PrivateHooks || h.settings.Development, deliver.HookWithin, time.Now))
	admin := anthropicadmin.New(anthropicadmin.Config{Ask: askProvider(), Now: time.Now, Version: version}) //nolint:bodyclose // whoever asks closes
	err := h.whenReachable(ctx, p, "start jobs", func(ctx context.Context) error {
		stop, err := h.db.Work(context.WithoutCancel(ctx), jobs.Workers(h.audit, h.records, h.prices, h.approvals, h.notices, h.adjusts, h.books, h.closing, h.keeps, h.packets, office, h.provider, admin, h.days))
		if err == nil {
			started.Store(&stop)
		}
		return err
	})
	p.close = append(p.close, func(ctx context.Context) error {
		if stop := started.Load(); stop != nil {
			return (*stop)(ctx)
		}
		return nil
	})
	return err
}

// openSpans makes the way to the trace collector, if there is one.
func (h *house) openSpans(ctx context.Context) (*span.Exporter, error) {
	if h.settings.OTLPEndpoint == nil || h.settings.TraceSample == 0 {
		return nil, nil
	}
	return span.New(ctx, span.Config{Endpoint: h.settings.OTLPEndpoint, Ratio: h.settings.TraceSample, Version: version, Instance: uuid.NewString(), Log: h.log})
}

// snapshotName is the file beside the journals that a gateway can start from.
const snapshotName = "snapshot"

func (h *house) startGateway(ctx context.Context, p *parts, spans *span.Exporter) (*gateway.Gateway, error) {
	if err := os.MkdirAll(h.settings.JournalDir, 0o700); err != nil {
		return nil, fmt.Errorf("TOLLBOOK_JOURNAL_DIR: %w", err)
	}
	h.snapshots.KeepIn(filepath.Join(h.settings.JournalDir, snapshotName))
	if err := h.loadSnapshot(ctx); err != nil {
		return nil, err
	}
	cfg := gateway.Config{JournalDir: h.settings.JournalDir, JournalKey: h.journalKeys()[0], OldKeys: h.journalKeys()[1:], Log: h.log, Spans: spans}
	h.settings.Limits.apply(&cfg)
	g, err := gateway.New(cfg, h.snapshots, h.metering, app.NewLabels(h.ring))
	if err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() { defer close(ended); h.snapshots.Follow(following) }()
	p.close = append(p.close, g.Close, func(context.Context) error { stop(); <-ended; return nil })
	if spans != nil {
		p.close = append(p.close, spans.Close)
	}
	p.ready = append(p.ready, g.Ready)
	handler := g.Handler()
	p.mux.Handle("/gw/", handler)
	p.mux.Handle("/v1/", handler) // a base URL without /gw/<company>: the gateway says so in words that Claude Code shows
	return g, nil
}

func (h *house) journalKeys() [][]byte { return h.ring.DeriveEach(journalPurpose) }

// journalPurpose names the key that chains journal records.
const journalPurpose = "journal-mac"

// shutdown ends the parts in the order they depend on one another.
func (p *parts) shutdown(ctx context.Context) error {
	var errs error
	for _, f := range p.close {
		errs = errors.Join(errs, f(ctx))
	}
	return errs
}
