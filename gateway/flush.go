package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/gateway/journal"
)

// flusher carries settled requests into the ledger. What it holds in memory is also
// in the journal, whose bound is therefore its bound.
type flusher struct {
	g       *Gateway
	mu      sync.Mutex
	waiting map[id.Tenant]*settled
	count   int
	wake    chan struct{} // a token: something waits
	full    chan struct{} // a token: a tenant has a flush full
}

// settled are one tenant's requests that wait for the ledger.
type settled struct {
	events []usage.Event
	since  time.Time // the first of them came
}

func newFlusher(g *Gateway) *flusher {
	return &flusher{g: g, waiting: map[id.Tenant]*settled{}, wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

func (f *flusher) add(tenant id.Tenant, events ...usage.Event) {
	f.mu.Lock()
	one := f.waiting[tenant]
	if one == nil {
		one = &settled{since: time.Now()}
		f.waiting[tenant] = one
	}
	one.events = append(one.events, events...)
	f.count += len(events)
	full := len(one.events) >= flushFull
	f.mu.Unlock()
	signal(f.wake)
	if full {
		signal(f.full)
	}
}

// signal leaves a token where there is none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

const (
	maxBackoff    = 5 * time.Second
	flushDeadline = 30 * time.Second

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
)

// run flushes a moment after something settled, and backs off while the database
// does not answer: requests go on, the journal grows.
func (f *flusher) run(ctx context.Context) {
	backoff := time.Duration(0)
	for f.await(ctx, backoff) {
		if err := f.flush(ctx, f.take(time.Now(), false)); err != nil && ctx.Err() == nil {
			f.g.metrics.flushFailed.Add(1)
			backoff = min(max(2*backoff, f.g.cfg.FlushEvery), maxBackoff)
			f.g.cfg.Log.WarnContext(ctx, "ledger not reached; requests stay in the journal", "waiting", f.size(), "error", err)
			continue
		}
		backoff = 0
	}
}

// await returns when there may be something to flush; false when ctx has ended.
func (f *flusher) await(ctx context.Context, backoff time.Duration) bool {
	if backoff == 0 && f.size() == 0 {
		select {
		case <-ctx.Done():
			return false
		case <-f.wake:
		}
	}
	full := f.full
	if backoff > 0 {
		full = nil
	}
	timer := time.NewTimer(max(f.g.cfg.FlushEvery, backoff))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-full:
	}
	return true
}

func (f *flusher) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// drain flushes until nothing waits or ctx ends.
func (f *flusher) drain(ctx context.Context) error {
	for f.size() > 0 {
		if err := f.flush(ctx, f.take(time.Now(), true)); err != nil {
			return err
		}
	}
	return nil
}

// take removes what is due, or everything.
func (f *flusher) take(now time.Time, all bool) map[id.Tenant]*settled {
	f.mu.Lock()
	defer f.mu.Unlock()
	patience := f.g.cfg.FlushEvery
	if len(f.waiting) > flushFew {
		patience *= flushApart
	}
	due := map[id.Tenant]*settled{}
	for tenant, one := range f.waiting {
		if all || len(one.events) >= flushFull || now.Sub(one.since) >= patience {
			due[tenant] = one
			f.count -= len(one.events)
			delete(f.waiting, tenant)
		}
	}
	return due
}

// flush commits what was taken, a few tenants at a time and a bounded piece of each.
// What fails is put back.
func (f *flusher) flush(ctx context.Context, due map[id.Tenant]*settled) error {
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	places := make(chan struct{}, flushTogether)
	for tenant, one := range due {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			for piece := range slices.Chunk(one.events, app.FlushLimit) {
				if err := f.g.commit(ctx, tenant, piece); err != nil {
					f.add(tenant, piece...)
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return failed
}

// commit flushes one piece and releases it from the journal. What the schema refuses
// stays in the journal, named in the log, for a person to look at.
func (g *Gateway) commit(ctx context.Context, tenant id.Tenant, events []usage.Event) error {
	added, stuck, err := flushPiece(ctx, g.metering, tenant, events)
	if err != nil {
		return err
	}
	g.metrics.committed(events, len(stuck), added, g.cfg.Now())
	ids := make([]journal.ID, 0, len(events))
	for i := range events {
		if cause := stuck[events[i].ID]; cause != nil {
			g.cfg.Log.ErrorContext(ctx, "the ledger refuses a request; it stays in the journal", "tenant", tenant.String(), "request_id", events[i].ID.String(), "error", cause)
			if err := g.keepStuck(tenant, &events[i]); err != nil {
				return err
			}
			continue
		}
		ids = append(ids, events[i].ID.Bytes())
	}
	if err := g.journal.Release(ids); err != nil {
		g.cfg.Log.WarnContext(ctx, "journal segment not deleted yet", "error", err)
	}
	return nil
}

// flushPiece writes events to the ledger. One that the schema refuses must not hold
// the others up: the piece is halved until the refused ones stand alone; they are
// returned with the reason.
func flushPiece(ctx context.Context, metering *app.Metering, tenant id.Tenant, events []usage.Event) (added int, stuck map[id.Event]error, err error) {
	limited, cancel := context.WithTimeout(ctx, flushDeadline)
	defer cancel()
	added, err = metering.Flush(limited, tenant, events)
	switch {
	case !app.Refused(err):
		return added, nil, err
	case len(events) == 1:
		return 0, map[id.Event]error{events[0].ID: err}, nil
	}
	stuck = map[id.Event]error{}
	added = 0
	for _, half := range [][]usage.Event{events[:len(events)/2], events[len(events)/2:]} {
		n, refused, err := flushPiece(ctx, metering, tenant, half)
		if err != nil {
			return added, nil, err
		}
		added += n
		maps.Copy(stuck, refused)
	}
	return added, stuck, nil
}

const (
	adoptEvery   = 30 * time.Second
	adoptAgain   = 3 * time.Second // while one waits for the database
	publishEvery = 5 * time.Second

	// mintWithin is how long an event's id may be older than its intent in the journal:
	// an append waits for others, and once per segment for the disk.
	mintWithin = 2 * time.Second
)

func (g *Gateway) adoptForever(ctx context.Context) {
	broken := map[string]bool{}
	for {
		wait := adoptEvery
		if !g.adoptAll(ctx, broken) {
			wait = adoptAgain
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// adoptAll adopts what dead gateways left, and says whether none has to wait.
func (g *Gateway) adoptAll(ctx context.Context, broken map[string]bool) (all bool) {
	all = true
	names, err := journal.Orphans(g.cfg.JournalDir)
	if err != nil {
		g.cfg.Log.WarnContext(ctx, "journals of other replicas not listed", "error", err)
		return false
	}
	waiting := len(names)
	defer func() {
		left := 0
		for _, name := range names {
			if broken[name] {
				left++ // one that a person removed is not listed any more
			}
		}
		g.broken.Store(int64(left))
		g.metrics.orphans.Store(int64(waiting))
	}()
	for _, name := range names {
		if broken[name] || ctx.Err() != nil {
			continue
		}
		done, err := Adopt(ctx, g.journalConfig(), name, g.metering)
		var corrupt *journal.CorruptError
		switch {
		case errors.As(err, &corrupt):
			broken[name] = true
			g.metrics.adoption(done)
			g.cfg.Log.ErrorContext(ctx, "a journal is broken; what came before the break is in the ledger, the rest needs a person", "journal", name, "error", err)
		case err != nil && !errors.Is(err, journal.ErrLocked) && ctx.Err() == nil:
			g.metrics.adoptionFail.Add(1)
			all = false
			g.cfg.Log.WarnContext(ctx, "journal not adopted yet", "journal", name, "error", err)
		case err == nil:
			waiting--
			g.metrics.adopted.Add(1)
			g.metrics.adoption(done)
			g.cfg.Log.InfoContext(ctx, "adopted a journal", "journal", name, "requests", done.Requests, "open", done.Open, "new", done.Added)
		}
	}
	return all
}

func (g *Gateway) journalConfig() journal.Config {
	return journal.Config{Root: g.cfg.JournalDir, MACKey: g.cfg.JournalKey, OldKeys: g.cfg.OldKeys, Now: g.cfg.Now}
}

func (g *Gateway) publishForever(ctx context.Context) {
	every := time.NewTicker(publishEvery)
	defer every.Stop()
	for {
		g.publish(ctx, false)
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// publish tells the database how far this journal has reached the ledger.
func (g *Gateway) publish(ctx context.Context, ended bool) {
	now := g.cfg.Now().UTC() // first: what is minted after it began after it
	stats := g.journal.Stats()
	state := app.ReplicaState{
		ReplicaID: g.replica, StartedAt: g.started, SeenAt: now, FlushedThrough: now.Add(-mintWithin), Pending: int64(stats.Pending), JournalBytes: stats.Bytes,
	}
	if !stats.OldestPendingAt.IsZero() {
		state.FlushedThrough = stats.OldestPendingAt.UTC().Add(-mintWithin)
	}
	if ended && stats.Pending == 0 {
		state.EndedAt = &now
	}
	limited, cancel := context.WithTimeout(ctx, publishEvery)
	defer cancel()
	if err := g.metering.Publish(limited, state); err != nil && ctx.Err() == nil {
		g.cfg.Log.DebugContext(ctx, "replica state not published", "error", err)
	}
}
