package web

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/assets"
	"tollbook/web/api"
	"tollbook/web/oidc"
)

// Config is what the web edge is told.
type Config struct {
	PublicURL   *url.URL
	Development bool // lists tenants at the door and shows the gallery
	Log         *slog.Logger
	Now         func() time.Time
	Version     string
	HTTPClient  *http.Client // for issuers; it must have a timeout
	// Leaving is closed when the process is about to end: streams of events end then,
	// so that nothing waits for them. nil: never.
	Leaving <-chan struct{}
	// JobPages are the job queue's own pages, below JobsPrefix, for operators. nil: there
	// are none.
	JobPages http.Handler
}

// Areas are the use cases the web edge offers.
type Areas struct {
	Tenants   *app.Tenants
	SignIns   *app.SignIns
	Members   *app.Members
	Nodes     *app.Nodes
	Keys      *app.Keys
	Reports   *app.Reports
	Approvals *app.Approvals
	Prices    *app.Prices
	Rules     *app.Rules
	Plans     *app.Plans
	Views     *app.Views
	Rights    *app.Rights
	Logins    *app.Logins
	Settings  *app.Settings
	Operators *app.Operators
	SignUps   *app.SignUps
	Log       *app.Log
	Notices   *app.Notices

	Adjustments  *app.Adjustments
	Retentions   *app.Retentions
	Offboardings *app.Offboardings
	Books        *app.Books
	Packets      *app.Packets
	Invoices     *app.Invoices
	Provider     *app.ProviderReports
	Exports      *app.Exports

	Reconciliations *app.Reconciliations
	Closing         *app.Closing
	Commentaries    *app.Commentaries
	Disputes        *app.Disputes
}

// Web serves people and programs.
type Web struct {
	cfg     Config
	areas   Areas
	access  *app.Access // only to leave out links that would be refused
	assets  *assets.Set
	api     *api.API
	issuers *oidc.Discovery
	pulses  *pulses
	states  *pulses
	logs    *pulses // of audit logs
	doors   *limiter

	accounts *limiter
	// waits are the numbers beside “Changes”, for a while.
	waits *tally
	// complete are companies whose first set-up came to its end.
	complete *completed
	// exports are those of audit logs that are being made.
	exports chan struct{}
	handler http.Handler
}

// New makes the web edge.
func New(cfg Config, areas Areas) (*Web, error) {
	if cfg.PublicURL == nil || cfg.PublicURL.Host == "" || cfg.HTTPClient == nil || cfg.HTTPClient.Timeout == 0 {
		return nil, errors.New("web needs a public URL and an HTTP client with a timeout")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &Web{cfg: cfg, areas: areas, issuers: oidc.NewDiscovery(cfg.HTTPClient, cfg.Now), doors: newLimiter(doorsPerMinute, cfg.Now), accounts: newLimiter(accountsPerMinute, cfg.Now), complete: &completed{}}
	w.waits = &tally{bySession: map[id.Session]counted{}}
	w.exports = make(chan struct{}, maxLogExports)
	var err error
	if w.access, err = app.NewAccess(); err != nil {
		return nil, err
	}
	if w.assets, err = assets.Load(); err != nil {
		return nil, err
	}
	w.api, err = api.New(api.Config{PublicURL: cfg.PublicURL, Log: cfg.Log, Now: cfg.Now, Version: cfg.Version},
		api.Areas{Tenants: areas.Tenants, Members: areas.Members, Nodes: areas.Nodes, Keys: areas.Keys, Reports: areas.Reports, Approvals: areas.Approvals, Rules: areas.Rules, Books: areas.Books, Invoices: areas.Invoices,
			Exports: areas.Exports, Reconciliations: areas.Reconciliations, Closing: areas.Closing, Commentaries: areas.Commentaries, Disputes: areas.Disputes})
	if err != nil {
		return nil, err
	}
	w.pulses = newPulses("usage", pulseEvery, maxWatchers, areas.Reports.Pulse, cfg.Leaving)
	w.logs = newPulses("log", stateEvery, maxWatchers, areas.Log.Pulse, cfg.Leaving)
	w.states = newPulses("installation", stateEvery, maxStateWatchers, areas.Operators.Pulse, cfg.Leaving)
	w.handler = w.router()
	return w, nil
}

// Handler serves everything.
func (w *Web) Handler() http.Handler { return w.handler }

func (w *Web) router() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = w.fail
	e.IPExtractor = echo.ExtractIPDirect() // headers name whoever a client likes
	e.Use(w.guardPanic, w.headers)
	w.api.Mount(e)
	e.GET(assets.Prefix+"*", echo.WrapHandler(w.assets), zipped())
	for _, r := range w.pages() {
		e.Add(r.Method, r.Path, r.serve, w.sameOrigin, zipped())
	}
	return e
}
