package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/usage"
)

// Refusals for want of room: nothing was sent, and room comes back.
var (
	errBusy = fault.New(fault.KindUnavailable, "gateway_busy", "The gateway is serving as many requests as it can. Try again in a moment.")
	// One company's share, so that it cannot take the others': Claude Code waits and tries again.
	errTenantBusy = fault.New(fault.KindLimited, "tenant_busy", "Your company has as many requests under way as it may. Try again in a moment.")
)

// load is what requests under way take of the gateway, or of one tenant's share of it.
type load struct {
	requests atomic.Int64 // billed ones
	lookups  atomic.Int64 // count_tokens and models
	bodies   atomic.Int64 // bytes of request bodies in memory
	barred   atomic.Bool  // a tenant's: what it asks for could not be recorded (apart.go)
	answers  atomic.Int64 // bytes kept of answers, beyond answerRoom of each
}

// take adds n to a counter unless that would pass the bound.
func take(counter *atomic.Int64, n, bound int64) bool {
	if counter.Add(n) > bound {
		counter.Add(-n)
		return false
	}
	return true
}

// loadOf is a tenant's share; tenants come from the snapshot, which bounds them.
func (g *Gateway) loadOf(tenant id.Tenant) *load {
	if found, ok := g.loads.Load(tenant); ok {
		if l, ok := found.(*load); ok {
			return l
		}
	}
	made, _ := g.loads.LoadOrStore(tenant, &load{})
	l, ok := made.(*load)
	if !ok {
		panic("a load is something else")
	}
	return l
}

// place is what one request holds of the gateway's and its tenant's room.
type place struct {
	whole, share *load
	counter      func(*load) *atomic.Int64
}

// enter takes a place for a request of the tenant; leave gives it back.
func (x *exchange) enter(counter func(*load) *atomic.Int64, bound, tenantBound int) error {
	p := place{whole: &x.g.load, share: x.g.loadOf(x.tenant.ID), counter: counter}
	if !take(counter(p.whole), 1, int64(bound)) {
		return errBusy
	}
	if !take(counter(p.share), 1, int64(tenantBound)) {
		counter(p.whole).Add(-1)
		return errTenantBusy
	}
	x.place = p
	return nil
}

func billed(l *load) *atomic.Int64 { return &l.requests }

func lookup(l *load) *atomic.Int64 { return &l.lookups }

// enterBilled takes a place for a request that is billed.
func (x *exchange) enterBilled() error {
	if err := x.enter(billed, x.g.cfg.MaxRequests, x.g.cfg.MaxTenantRequests); err != nil {
		return err
	}
	if x.place.share.barred.Load() {
		x.leave()
		return errTenantJournal
	}
	return nil
}

// enterLookup takes a place for one that is not: many at once are normal.
func (x *exchange) enterLookup() error {
	return x.enter(lookup, x.g.cfg.MaxLookups, (x.g.cfg.MaxLookups+1)/2)
}

func (x *exchange) leave() {
	x.forgetBody()
	x.forgetAnswer()
	x.place.counter(x.place.whole).Add(-1)
	x.place.counter(x.place.share).Add(-1)
}

// holdBody takes memory for a body before it is read. One of unstated length may be
// as long as any.
func (x *exchange) holdBody() error {
	n := x.r.ContentLength
	if n < 0 {
		n = x.g.cfg.MaxBodyBytes
	}
	p := &x.place
	if !take(&p.whole.bodies, n, x.g.cfg.MaxBodiesBytes) {
		return errBusy
	}
	if !take(&p.share.bodies, n, x.g.cfg.MaxBodiesBytes/2) {
		p.whole.bodies.Add(-n)
		return errTenantBusy
	}
	x.bodies.Store(n)
	return nil
}

// sizeBody gives back what a body turned out not to take.
func (x *exchange) sizeBody(n int64) {
	over := x.bodies.Load() - n
	x.bodies.Store(n)
	x.place.whole.bodies.Add(-over)
	x.place.share.bodies.Add(-over)
}

// forgetBody gives the memory back, once.
func (x *exchange) forgetBody() {
	n := x.bodies.Swap(0)
	x.place.whole.bodies.Add(-n)
	x.place.share.bodies.Add(-n)
}

// sent is the body's way out of memory; the transport calls it when all of it is
// written, or will not be.
func (x *exchange) sent(info httptrace.WroteRequestInfo) {
	x.body.written(info)
	if info.Err == nil {
		x.passed()
	}
}

// passed is called when the body is sent and when the provider has answered, in
// either order: a provider may answer without having read it, and then it is in
// memory for as long as the transport tries to send it.
func (x *exchange) passed() {
	if x.steps.Add(1) == 2 {
		x.forgetBody()
	}
}

// takeBody reads the body whole: within its bound, the room there is, and the time a
// client may take.
func (x *exchange) takeBody() (*body, error) {
	if x.r.ContentLength > x.g.cfg.MaxBodyBytes {
		x.discardBody()
		return nil, errBodyTooLarge
	}
	if err := x.holdBody(); err != nil {
		x.discardBody()
		return nil, err
	}
	connection := http.NewResponseController(x.w)
	// Not every writer has deadlines (a test's recorder); without one the read is bounded by size alone.
	_ = connection.SetReadDeadline(time.Now().Add(x.g.cfg.BodyWithin))
	taken, err := x.g.readBody(x.r)
	if err != nil {
		return nil, err
	}
	_ = connection.SetReadDeadline(time.Time{})
	x.sizeBody(int64(len(taken.bytes())))
	return taken, nil
}

// Load is what is under way, for metrics.
func (g *Gateway) Load() (requests, lookups, bodyBytes int64) {
	return g.load.requests.Load(), g.load.lookups.Load(), g.load.bodies.Load()
}

const (
	// discardBound is how much of a refused request is read, so that the client gets to
	// see the refusal instead of a broken pipe, and discardWithin for how long.
	discardBound  = 1 << 20
	discardWithin = 5 * time.Second
)

// discard reads some of a body nobody wants.
func discard(w http.ResponseWriter, r *http.Request) {
	// Not every writer has deadlines (a test's recorder); without one the read is bounded by size alone.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(discardWithin))
	_, _ = io.CopyN(io.Discard, r.Body, discardBound)
}

func (x *exchange) discardBody() { discard(x.w, x.r) }

// settleLost is the end of a request that nothing else has settled: whatever stopped
// it, it may have reached the provider, and an intent without outcome would hold its
// segment of the journal until the next start.
func (x *exchange) settleLost() {
	if x.settled {
		return
	}
	x.outcome.State = usage.StateIncomplete
	x.outcome.Flags = append(x.outcome.Flags, "gateway_fault")
	_ = x.settle() // logged; the client is cut already
}

// unrecorded is a request whose outcome did not get into the journal. The client does
// not see its end; the ledger gets it from memory all the same, and if this process
// dies before that, its intent becomes an open row.
func (x *exchange) unrecorded(err error) error {
	x.g.metrics.settled(x.event.Time(), &x.outcome)
	x.g.flusher.add(x.tenant.ID, event(x.event, x.g.replica, x.intent, &x.outcome))
	return x.g.journalFailed(err)
}

// hangUp ends the drains of clients that left and waits for requests to end, until
// ctx does: what still runs then finds the journal closed and becomes an open row.
func (g *Gateway) hangUp(ctx context.Context) {
	g.left.Do(func() { close(g.leaving) })
	tick := time.NewTicker(hangUpTick)
	defer tick.Stop()
	for g.load.requests.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

const (
	hangUpTick   = 5 * time.Millisecond
	hangUpWithin = 10 * time.Second
)
