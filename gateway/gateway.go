package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/gateway/journal"
	"tollbook/gateway/span"
)

// Config is what a gateway is told from outside; zero values mean the defaults
// that Validate states.
type Config struct {
	JournalDir   string
	JournalKey   []byte        // 32 bytes, the same for every replica
	OldKeys      [][]byte      // of master keys being replaced: journals chained with them are adopted too
	JournalBytes int64         // bound of one replica's journal
	MaxBodyBytes int64         // of a request; the provider's own bound is 32 MB
	DrainFor     time.Duration // how long to read on after a client left
	MaxDrains    int           // how many at once
	StaleAfter   time.Duration // a snapshot older than this is not served from
	FlushEvery   time.Duration // from an outcome to its flush; longer while very many tenants have some
	BodyWithin   time.Duration // how long a client may take to send its request
	ReadWithin   time.Duration // how long a client may leave an answer unread before it counts as gone

	MaxRequests          int           // under way at once
	MaxTenantRequests    int           // of one tenant; half of MaxRequests unless set
	MaxLookups           int           // count_tokens and models at once; a tenant may have half
	MaxBodiesBytes       int64         // of all request bodies in memory; a tenant may have half
	MaxAnswersBytes      int64         // of all answers kept to be metered, beyond the first 32 KiB of each; a tenant may have half
	MaxAnswerHeaderBytes int64         // of the head of a provider's answer
	ConnectWithin        time.Duration // how long a connection to a provider may take
	SilenceWithin        time.Duration // how long a provider may be silent in a request, at least; at most a quarter more
	Log                  *slog.Logger
	Now                  func() time.Time

	Spans *span.Exporter // of sampled requests; nil sends none
}

// Validate fills in defaults and says what is wrong.
func (c *Config) Validate() error {
	if c.JournalDir == "" || len(c.JournalKey) != journal.KeyBytes {
		return errors.New("the gateway needs a journal directory and a journal key of 32 bytes")
	}
	c.MaxBodyBytes = orDefault(c.MaxBodyBytes, 32<<20)
	c.DrainFor = orDefault(c.DrainFor, 10*time.Second)
	c.MaxDrains = orDefault(c.MaxDrains, 500)
	c.StaleAfter = orDefault(c.StaleAfter, 30*time.Minute)
	c.FlushEvery = orDefault(c.FlushEvery, 250*time.Millisecond)
	c.BodyWithin = orDefault(c.BodyWithin, 2*time.Minute)
	c.ReadWithin = orDefault(c.ReadWithin, 2*time.Minute)
	c.MaxRequests = orDefault(c.MaxRequests, 20_000)
	c.MaxTenantRequests = orDefault(c.MaxTenantRequests, (c.MaxRequests+1)/2)
	c.MaxLookups = orDefault(c.MaxLookups, 4096)
	c.MaxBodiesBytes = orDefault(c.MaxBodiesBytes, 1<<30)
	c.MaxAnswersBytes = orDefault(c.MaxAnswersBytes, 1<<30)
	c.MaxAnswerHeaderBytes = orDefault(c.MaxAnswerHeaderBytes, 256<<10)
	c.ConnectWithin = orDefault(c.ConnectWithin, 10*time.Second)
	c.SilenceWithin = orDefault(c.SilenceWithin, 15*time.Minute)
	if c.MaxBodyBytes > c.MaxBodiesBytes/2 {
		return errors.New("one request body may be larger than a tenant's half of all bodies")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

func orDefault[T int | int64 | time.Duration](value, standard T) T {
	if value == 0 {
		return standard
	}
	return value
}

// Gateway is one replica.
type Gateway struct {
	cfg       Config
	snapshots *app.Snapshots
	metering  *app.Metering
	labels    *labelCache
	journal   *journal.Journal
	replica   id.Replica
	upstream  *http.Transport
	flusher   *flusher
	metrics   *metrics
	drains    chan struct{}
	unsynced  chan struct{} // one token: intents were written
	sequences sync.Map      // id.Tenant -> *sequence
	bodies    sync.Pool
	reads     sync.Pool
	taps      sync.Pool
	answers   sync.Pool
	started   time.Time
	failed    atomic.Bool  // the journal, for ever
	broken    atomic.Int64 // journals of others that need a person
	saidFull  atomic.Int64 // Unix second at which the log last said that the journal is full
	load      load
	stuck     stuck
	loads     sync.Map // id.Tenant -> *load
	paces     paces
	leaving   chan struct{} // closed: nobody waits for clients that left
	left      sync.Once     // closes it
	stop      context.CancelFunc
	running   sync.WaitGroup
}

// sequence numbers one tenant's requests at this replica, without gaps: what a lost
// disk takes shows as missing numbers.
type sequence struct {
	sync.Mutex
	last int64
}

// New opens a journal of its own and starts flushing. The snapshots must have been
// loaded, or requests are refused until they are.
func New(cfg Config, snapshots *app.Snapshots, metering *app.Metering, labels *app.Labels) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	record, err := journal.Open(journal.Config{Root: cfg.JournalDir, MACKey: cfg.JournalKey, MaxBytes: cfg.JournalBytes, SegmentBytes: segmentBytes(cfg.JournalBytes), Now: cfg.Now})
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	g := &Gateway{
		cfg: cfg, snapshots: snapshots, metering: metering, labels: newLabelCache(labels), journal: record,
		metrics: newMetrics(), replica: id.ReplicaFromBytes(record.Replica()), upstream: newTransport(cfg), drains: make(chan struct{}, cfg.MaxDrains),
		unsynced: make(chan struct{}, 1), leaving: make(chan struct{}),
		started: cfg.Now().UTC(),
	}
	g.pools()
	g.flusher = newFlusher(g)
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = cancel
	g.running.Go(func() { g.flusher.run(ctx) })
	g.running.Go(func() { g.syncIntents(ctx) })
	g.running.Go(func() { g.adoptForever(ctx) })
	g.running.Go(func() { g.carryForever(ctx) })
	g.running.Go(func() { g.publishForever(ctx) })
	g.running.Go(func() {
		g.metering.PlaceForever(ctx, func(err error) {
			g.cfg.Log.WarnContext(ctx, "places in the audit log not asked for yet; it is tried again", "error", err)
		})
	})
	return g, nil
}

// segmentBytes keeps a small journal in enough segments for room to come back a piece
// at a time.
func segmentBytes(bound int64) int64 {
	const segments = 16
	if bound == 0 {
		return 0 // the journal's own
	}
	return min(journal.DefaultSegmentBytes, bound/segments)
}

// newTransport is the way to providers: no compression (usage must be readable), no
// timeout on the answer (minutes of silence are normal), many idle connections.
func newTransport(cfg Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer(cfg.ConnectWithin, cfg.SilenceWithin),
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           4096,
		MaxIdleConnsPerHost:    2048,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    cfg.ConnectWithin,
		MaxResponseHeaderBytes: cfg.MaxAnswerHeaderBytes,
		ExpectContinueTimeout:  0,
		ReadBufferSize:         4 << 10,
		WriteBufferSize:        writeBuffer,
	}
}

const (
	keepAliveEvery = 30 * time.Second
	sayFullEvery   = 10 // seconds between two lines of the log about a full journal
)

// Handler serves everything below /gw.
func (g *Gateway) Handler() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = g.answerError
	e.POST("/gw/:tenant/v1/messages", g.messages)
	e.POST("/gw/:tenant/v1/messages/count_tokens", g.passUnmetered)
	e.GET("/gw/:tenant/v1/models", g.passUnmetered)
	e.GET("/gw/:tenant/v1/models/:model", g.passUnmetered)
	e.Match([]string{http.MethodHead, http.MethodGet}, "/gw/:tenant/api/hello", g.probe)
	e.Match([]string{http.MethodHead, http.MethodGet}, "/gw/:tenant", g.probe)
	e.Match([]string{http.MethodHead, http.MethodGet}, "/gw/:tenant/", g.probe)
	for _, unmetered := range []string{"/gw/:tenant/v1/messages/batches", "/gw/:tenant/v1/messages/batches/*", "/gw/:tenant/v1/files", "/gw/:tenant/v1/files/*"} {
		e.Any(unmetered, g.notMetered)
	}
	e.RouteNotFound("/*", g.unknownPath)
	return e
}

// Ready tells whether requests can be served now.
func (g *Gateway) Ready() error {
	if g.failed.Load() {
		return errors.New("the journal cannot be written; restart the gateway on a healthy volume")
	}
	loaded := g.snapshots.Current().LoadedAt
	if loaded.IsZero() {
		return errors.New("no snapshot of tenants and keys is loaded yet")
	}
	if g.cfg.Now().Sub(loaded) > g.cfg.StaleAfter {
		return errors.New("the snapshot of tenants and keys is too old; the database has not answered")
	}
	return nil
}

// Broken is how many journals of other gateways this one found broken: they are left
// where they are, and named in the log.
func (g *Gateway) Broken() int64 { return g.broken.Load() }

// Failed tells whether the journal has failed for good.
func (g *Gateway) Failed() bool { return g.failed.Load() }

// SnapshotAge is how long ago tenants and keys were last read.
func (g *Gateway) SnapshotAge() time.Duration {
	loaded := g.snapshots.Current().LoadedAt
	if loaded.IsZero() {
		return g.cfg.Now().Sub(g.started) // never: since this gateway began, at least
	}
	return g.cfg.Now().Sub(loaded)
}

// Stats is the journal's state for metrics and pages.
func (g *Gateway) Stats() journal.Stats { return g.journal.Stats() }

// JournalBound is how many bytes the journal may hold.
func (g *Gateway) JournalBound() int64 { return orDefault(g.cfg.JournalBytes, journal.DefaultMaxBytes) }

// Close ends what is left of requests, flushes, within ctx, and lets go of the
// journal. Serve no new request when calling it.
func (g *Gateway) Close(ctx context.Context) error {
	hanging, cancel := context.WithTimeout(ctx, hangUpWithin)
	g.hangUp(hanging)
	cancel()
	g.stop()
	g.running.Wait()
	flushed := g.flusher.drain(ctx)
	g.upstream.CloseIdleConnections()
	g.publish(ctx, true)
	return errors.Join(flushed, g.journal.Close())
}
