package simulator

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a Simulator.
type Config struct {
	Dir    string           // where the books are kept; one simulator at a time
	Seed   uint64           // same seed, same answers
	Faults string           // standing faults, as --faults: "429=0.01,drop=0.01"; "" = none
	Now    func() time.Time // nil = time.Now
	Delay  time.Duration    // pause between stream deltas; 0 = none

	// The contract until POST /books/terms states another one; the books stay at list.
	DiscountBps  int64         // discount in the cost report, basis points off list
	DiscountFrom string        // from this UTC day on, YYYY-MM-DD; "" = always
	ReportDelay  time.Duration // how far the analytics reports lag behind, whole seconds; 0 = not at all
}

func (c Config) validate() error {
	if c.Dir == "" {
		return errors.New("simulator: Dir is required")
	}
	if c.DiscountBps < 0 || c.DiscountBps > 10_000 {
		return fmt.Errorf("simulator: DiscountBps %d is outside 0..10000", c.DiscountBps)
	}
	if c.Delay < 0 || c.ReportDelay < 0 {
		return errors.New("simulator: Delay and ReportDelay cannot be negative")
	}
	if err := c.terms().validate(); err != nil {
		return fmt.Errorf("simulator: DiscountFrom, ReportDelay: %w", err)
	}

	return nil
}

func (c Config) terms() *Terms {
	t := &Terms{ReportDelaySec: int64(c.ReportDelay / time.Second), Discounts: []Discount{}}
	if c.DiscountBps > 0 {
		t.Discounts = append(t.Discounts, Discount{From: c.DiscountFrom, Bps: c.DiscountBps})
	}

	return t
}

// Simulator answers as the provider would and keeps the provider's books.
type Simulator struct {
	seed      uint64
	now       func() time.Time
	delay     time.Duration
	books     *books
	cache     *promptCache
	prices    *priceList
	author    *author
	rates     rates
	organ     string
	workspace string // the default one's id
	models    []listedModel

	terms *Terms // of Config
	desk  reportDesk

	buffers sync.Pool // *[]byte: request bodies
	bench   benchCounters
	times   timesCounter
}

// benchCounters is all that the knob bench leaves behind.
type benchCounters struct{ requests, input, output atomic.Int64 }

// timesCounter counts the uses of a limited knob; when full it starts afresh.
type timesCounter struct {
	mu   sync.Mutex
	seen map[[32]byte]int
}

// next returns how often key was seen before.
func (c *timesCounter) next(key [32]byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil || len(c.seen) >= maxTimesKeys {
		c.seen = map[[32]byte]int{}
	}
	c.seen[key]++

	return c.seen[key] - 1
}

// Open opens or creates the books in cfg.Dir and replays them.
func Open(cfg Config) (*Simulator, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	standing, err := parseRates(cfg.Faults)
	if err != nil {
		return nil, err
	}
	prices, err := newPriceList()
	if err != nil {
		return nil, err
	}
	opened, err := openBooks(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Simulator{
		seed: cfg.Seed, now: cfg.Now, delay: cfg.Delay, books: opened, cache: newPromptCache(maxCacheEntries),
		prices: prices, author: newAuthor(cfg.Seed), rates: standing, organ: organizationID(cfg.Seed),
		workspace: defaultWorkspaceOf(cfg.Seed), models: currentModels(),
		terms: cfg.terms(),
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.buffers.New = func() any { return new([]byte) }

	return s, nil
}

// Close makes the books durable and releases them. Requests in progress fail.
func (s *Simulator) Close() error { return s.books.close() }

// Import prices each fact with the simulator's own prices and adds those to the
// books whose request id is new; it returns how many were. They are durable when it
// returns. On an error a part may be in; importing the same facts again is safe.
func (s *Simulator) Import(facts iter.Seq[Fact]) (int, error) {
	const batch = 4096
	pending := make([]Fact, 0, batch)
	added := 0
	flush := func() error {
		n, err := s.books.appendNew(pending)
		added += n
		pending = pending[:0]

		return err
	}
	for f := range facts {
		if err := s.complete(&f); err != nil {
			return added, fmt.Errorf("import: %w", err)
		}
		pending = append(pending, f)
		if len(pending) == batch {
			if err := flush(); err != nil {
				return added, fmt.Errorf("import: %w", err)
			}
		}
	}
	if err := flush(); err != nil {
		return added, fmt.Errorf("import: %w", err)
	}
	if err := s.books.sync(); err != nil {
		return added, fmt.Errorf("import: %w", err)
	}

	return added, nil
}

// complete fills defaults, checks and prices a fact.
func (s *Simulator) complete(f *Fact) (err error) {
	f.fillDefaults()
	f.Iterations = slices.Clone(f.Iterations) // they are priced in place, and may be the caller's
	if err := f.validate(); err != nil {
		return err
	}
	f.BilledPico, err = s.prices.charge(f)

	return err
}

// Handler serves the provider's API and the books; paths are relative to its mount.
func (s *Simulator) Handler() http.Handler { return http.HandlerFunc(s.route) }

func (s *Simulator) route(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	write := r.Method == http.MethodPost
	switch {
	case path == "/v1/messages" && write:
		s.serveMessages(w, r)
	case path == "/v1/messages/count_tokens" && write:
		s.serveCount(w, r)
	case (path == "/v1/models" || strings.HasPrefix(path, "/v1/models/")) && read:
		s.serveModels(w, r)
	case path == "/api/hello" && read:
		w.WriteHeader(http.StatusOK)
	case strings.HasPrefix(path, organizationPath) && (read || write):
		s.routeOrganization(w, r, read)
	case strings.HasPrefix(path, "/books") && (read || write):
		s.routeBooks(w, r, path, read)
	default:
		s.answerError(w, errorOfStatus(http.StatusNotFound))
	}
}

func (s *Simulator) routeOrganization(w http.ResponseWriter, r *http.Request, read bool) {
	path := r.URL.Path
	switch {
	case (path == usageReportPath || path == costReportPath) && read:
		s.serveReport(w, r)
	case (path == legacyUsagePath || path == legacyCostPath) && read:
		s.serveLegacy(w, r)
	case path == legacyCodePath && read:
		s.serveCodeReport(w, r)
	default:
		s.serveOrganization(w, r)
	}
}

// routeBooks serves what the provider does not have: the truth, and the controls that
// make its reports depart from it.
func (s *Simulator) routeBooks(w http.ResponseWriter, r *http.Request, path string, read bool) {
	switch {
	case path == "/books" && read:
		s.serveBooks(w, r)
	case path == "/books/totals" && read:
		s.serveTotals(w, r)
	case path == "/books/bench" && read:
		s.serveBenchCounters(w)
	case path == "/books/facts" && !read:
		s.serveFacts(w, r)
	case path == "/books/plant" && !read:
		s.servePlant(w, r)
	case path == "/books/plants" && read:
		s.servePlants(w)
	case path == "/books/terms":
		s.serveTerms(w, r)
	case path == "/books/report-faults":
		s.serveReportFaults(w, r)
	default:
		s.answerError(w, errorOfStatus(http.StatusNotFound))
	}
}
