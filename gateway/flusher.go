package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/usage"
)

// flusher carries settled requests into the ledger, each tenant's by itself: one whose
// flushes fail or take long waits for its own next try, and the others do not wait for
// it. What it holds in memory is also in the journal, whose bound is therefore its bound.
type flusher struct {
	g       *Gateway
	mu      sync.Mutex
	tenants map[id.Tenant]*settled
	count   int // requests that wait
	some    int // tenants that have some
	slow    int // slow tenants that are being flushed
	saidAt  time.Time
	reached time.Time     // when a flush last succeeded
	wake    chan struct{} // a token: something waits
	full    chan struct{} // a token: a tenant has a flush full
	places  chan struct{} // one for each tenant that is being flushed
	running sync.WaitGroup
}

// settled are one tenant's requests that wait for the ledger, and how its flushes go.
type settled struct {
	events   []usage.Event
	since    time.Time // the first of them came
	flushing bool
	slow     bool          // the last flush failed or took long
	backoff  time.Duration // before the next try, after one that failed
	again    time.Time     // not before
	taken    []usage.Event // being flushed
	failing  time.Time     // since when every flush failed; zero if the last did not
	broken   bool          // it failed though the database answered
	most     int           // requests it may have in the journal while it stands apart, or 0
	saidAt   time.Time     // when the log last named it
}

func newFlusher(g *Gateway) *flusher {
	return &flusher{
		g: g, tenants: map[id.Tenant]*settled{}, wake: make(chan struct{}, 1), full: make(chan struct{}, 1), places: make(chan struct{}, flushTogether),
	}
}

func (f *flusher) add(tenant id.Tenant, events ...usage.Event) {
	f.mu.Lock()
	one := f.keep(tenant, events)
	full := one.full() && !one.flushing && one.backoff == 0
	if one.most > 0 && len(one.events) > one.most {
		f.g.loadOf(tenant).barred.Store(true) // with the lock: a flush that succeeds takes it back
	}
	f.mu.Unlock()
	signal(f.wake)
	if full {
		signal(f.full)
	}
}

// keep puts requests to those that wait. Call it with the lock.
func (f *flusher) keep(tenant id.Tenant, events []usage.Event) *settled {
	one := f.tenants[tenant]
	if one == nil {
		one = &settled{}
		f.tenants[tenant] = one
	}
	if len(events) > 0 && len(one.events) == 0 {
		one.since = time.Now()
		f.some++
	}
	one.events = append(one.events, events...)
	f.count += len(events)
	return one
}

func (s *settled) full() bool { return len(s.events) >= flushFull }

// signal leaves a token where there is none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

const (
	maxBackoff = 5 * time.Second

	// flushFull is how many requests of a tenant are flushed without waiting for more:
	// a flush costs about as much as the rows of this many, and many small ones disturb
	// the requests beside them less than a large one.
	flushFull = 256
	// With more tenants than flushFew waiting, each waits flushApart times as long, so
	// that a thousand quiet ones do not cost a transaction each several times a second.
	flushFew   = 8
	flushApart = 3
	// flushTogether is how many tenants are flushed at once: the database is some way off.
	flushTogether = 4
	// flushSlow is how many of these places slow tenants may have: the others' are free
	// for those that are done in a moment.
	flushSlow = flushTogether / 2
	// slowFrom is how long a flush takes that makes a tenant a slow one.
	slowFrom = 5 * time.Second
	// sayAwayEvery is between two lines of the log about flushes that fail.
	sayAwayEvery = 5 * time.Second
)

// run flushes a moment after something settled. While the database does not answer,
// requests go on, and the journal grows.
func (f *flusher) run(ctx context.Context) {
	defer f.running.Wait()
	for f.await(ctx) {
		for _, tenant := range f.due(time.Now()) {
			select {
			case <-ctx.Done():
				return
			case f.places <- struct{}{}:
			}
			f.running.Go(func() {
				defer func() { <-f.places }()
				_ = f.flush(ctx, tenant) // said and counted there, and tried again
			})
		}
	}
}

// await returns when there may be something to flush; false when ctx has ended.
func (f *flusher) await(ctx context.Context) bool {
	if f.size() == 0 {
		select {
		case <-ctx.Done():
			return false
		case <-f.wake:
		}
	}
	timer := time.NewTimer(f.g.cfg.FlushEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-f.full:
	}
	return true
}

func (f *flusher) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// due claims the tenants whose requests have waited long enough: first those that were
// fast, of these first who waits longest.
func (f *flusher) due(now time.Time) []id.Tenant {
	f.mu.Lock()
	defer f.mu.Unlock()
	patience := f.g.cfg.FlushEvery
	if f.some > flushFew {
		patience *= flushApart
	}
	var fast, slow []id.Tenant
	for tenant, one := range f.tenants {
		switch {
		case len(one.events) == 0, one.flushing, now.Before(one.again), !one.full() && now.Sub(one.since) < patience:
		case one.slow:
			slow = append(slow, tenant)
		default:
			fast = append(fast, tenant)
		}
	}
	first := func(a, b id.Tenant) int { return f.tenants[a].since.Compare(f.tenants[b].since) }
	slices.SortFunc(fast, first)
	slices.SortFunc(slow, first)
	slow = slow[:min(len(slow), flushSlow-f.slow)]
	f.slow += len(slow)
	claimed := slices.Concat(fast, slow)
	for _, tenant := range claimed {
		f.tenants[tenant].flushing = true
	}
	return claimed
}

// drain flushes, once run has ended, until nothing waits, something fails or ctx ends.
func (f *flusher) drain(ctx context.Context) error {
	var mu sync.Mutex
	var failed error
	for f.size() > 0 && failed == nil {
		for _, tenant := range f.all() {
			f.places <- struct{}{}
			f.running.Go(func() {
				defer func() { <-f.places }()
				if err := f.flush(ctx, tenant); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = errors.Join(failed, err)
				}
			})
		}
		f.running.Wait()
	}
	return failed
}

// all are the tenants whose requests wait, due or not.
func (f *flusher) all() []id.Tenant {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []id.Tenant
	for tenant, one := range f.tenants {
		if len(one.events) > 0 {
			found = append(found, tenant)
		}
	}
	return found
}

// flush commits what waits of one tenant, a bounded piece at a time. The first piece
// that fails is put back behind the others, which may be better.
func (f *flusher) flush(ctx context.Context, tenant id.Tenant) error {
	events, began := f.begin(tenant), time.Now()
	var failed error
	for len(events) > 0 && failed == nil {
		piece := events[:min(len(events), app.FlushLimit)]
		events = events[len(piece):]
		if failed = f.g.commit(ctx, tenant, piece); failed != nil {
			events = append(slices.Clip(events), piece...)
		}
	}
	f.end(ctx, tenant, events, time.Since(began), failed)
	return failed
}

// begin takes what waits of a tenant.
func (f *flusher) begin(tenant id.Tenant) []usage.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.tenants[tenant]
	events := one.events
	one.events, one.taken = nil, events
	f.count -= len(events)
	f.some--
	return events
}

// end puts back what is left after a flush and sets the next.
func (f *flusher) end(ctx context.Context, tenant id.Tenant, left []usage.Event, took time.Duration, failed error) {
	sayApart, sayAway := false, false
	f.mu.Lock()
	one := f.keep(tenant, left)
	one.taken = nil
	if one.flushing && one.slow {
		f.slow--
	}
	one.flushing, one.slow = false, failed != nil || took > slowFrom
	switch {
	case failed != nil && ctx.Err() == nil:
		sayApart, sayAway = f.fails(tenant, one, failed)
	case failed == nil:
		f.reached = time.Now()
		if !one.failing.IsZero() {
			f.g.loadOf(tenant).barred.Store(false)
		}
		one.backoff, one.again, one.failing, one.saidAt, one.most = 0, time.Time{}, time.Time{}, time.Time{}, 0
	}
	waiting, full := len(one.events), one.full() && one.backoff == 0
	if waiting == 0 && !one.slow {
		delete(f.tenants, tenant)
	}
	f.mu.Unlock()
	if waiting > 0 {
		signal(f.wake)
	}
	if full {
		signal(f.full)
	}
	if failed != nil && ctx.Err() == nil {
		f.g.metrics.flushFailed.Add(1)
	}
	if sayApart {
		f.g.cfg.Log.ErrorContext(ctx, "requests of one company do not reach the ledger; they stay in the journal and fill its part", "tenant", tenant.String(), "waiting", waiting, "error", failed)
	}
	if sayAway {
		f.g.cfg.Log.WarnContext(ctx, "ledger not reached; requests stay in the journal", "tenant", tenant.String(), "waiting", f.size(), "error", failed)
	}
}
