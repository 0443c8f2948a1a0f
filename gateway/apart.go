package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/usage"
)

// A tenant stands apart when its flushes fail though the ledger takes others', or for
// another reason than that the database does not answer. Its requests wait in the journal
// that all share: that is counted and said, what it holds is carried to the journal's end,
// where it holds up nobody's segments, and beyond its part it is refused.

const (
	// apartPart is the part of the journal that all tenants apart may fill together.
	apartPart = 4
	// apartEach is what one request takes of it, about, in bytes: most are half of that.
	apartEach = 2 << 10
	// sayApartEvery is between two lines of the log about one tenant.
	sayApartEvery = time.Minute
	// carryTogether is how many requests are carried at once: they share a sync.
	carryTogether = 64
)

// errTenantJournal refuses what could not be recorded for long. Nothing was sent.
var errTenantJournal = fault.New(fault.KindUnavailable, "tenant_journal_full",
	"Your company's requests cannot be brought into its ledger right now, and the gateway keeps as many as it may. Whoever runs Tollbook finds the reason in its log.")

// fails notes a failed flush of a tenant, sets its next try and tells whether it is time
// to say that it stands apart, or that the ledger is away. Call it with the lock.
func (f *flusher) fails(tenant id.Tenant, one *settled, err error) (sayApart, sayAway bool) {
	now := time.Now()
	one.backoff = min(max(2*one.backoff, f.g.cfg.FlushEvery), maxBackoff)
	one.again = now.Add(one.backoff)
	if one.failing.IsZero() {
		one.failing = now
	}
	one.broken = fault.KindOf(err) != fault.KindUnavailable
	if f.alone(one) {
		one.most = f.mayHold()
		f.g.loadOf(tenant).barred.Store(len(one.events) > one.most)
	}
	if f.apart(one) {
		if sayApart = now.Sub(one.saidAt) > sayApartEvery; sayApart {
			one.saidAt = now
		}
		return sayApart, false
	}
	if sayAway = now.Sub(f.saidAt) > sayAwayEvery; sayAway {
		f.saidAt = now
	}
	return false, sayAway
}

func (f *flusher) apart(one *settled) bool {
	return !one.failing.IsZero() && one.broken || f.alone(one)
}

// alone tells whether the ledger takes others' requests meanwhile. What fails for all, and
// for whatever reason, may have all of the journal.
func (f *flusher) alone(one *settled) bool {
	return !one.failing.IsZero() && f.reached.After(one.failing)
}

// mayHold is how many requests one of the tenants that fail alone may have in the journal. Call it
// with the lock.
func (f *flusher) mayHold() int {
	count := 0
	for _, one := range f.tenants {
		if f.alone(one) {
			count++
		}
	}
	return max(1, int(f.g.JournalBound()/apartPart/apartEach/int64(max(count, 1))))
}

// failing counts the tenants apart and their requests.
func (f *flusher) failing() (tenants, requests int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.tenants {
		if f.apart(one) {
			tenants++
			requests += len(one.events) + len(one.taken)
		}
	}
	return tenants, requests
}

// Ailing says in words what an operator should look at though requests are served; empty
// when there is nothing. It names nobody.
func (g *Gateway) Ailing() string {
	tenants, requests := g.flusher.failing()
	switch tenants {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("requests of 1 company do not reach the ledger (%d wait); the log says why", requests)
	}
	return fmt.Sprintf("requests of %d companies do not reach the ledger (%d wait); the log says why", tenants, requests)
}

// apartRequest is one that a tenant apart has in the journal.
type apartRequest struct {
	tenant id.Tenant
	event  *usage.Event
}

// heldApart are the requests of all tenants that fail alone, the oldest first.
func (f *flusher) heldApart() []apartRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	var held []apartRequest
	for tenant, one := range f.tenants {
		if !f.alone(one) {
			continue
		}
		for _, events := range [][]usage.Event{one.taken, one.events} {
			for i := range events {
				held = append(held, apartRequest{tenant: tenant, event: &events[i]})
			}
		}
	}
	slices.SortFunc(held, func(a, b apartRequest) int {
		x, y := a.event.ID.Bytes(), b.event.ID.Bytes()
		return bytes.Compare(x[:], y[:])
	})
	return held
}

// carryApart carries them to the journal's end, a few at a time, and deletes what they
// held.
func (g *Gateway) carryApart(ctx context.Context) error {
	for some := range slices.Chunk(g.flusher.heldApart(), carryTogether) {
		failed := make([]error, len(some))
		var all sync.WaitGroup
		for i, one := range some {
			all.Go(func() {
				var kept [2][]byte
				if kept, failed[i] = encodeBoth(one.tenant, one.event); failed[i] == nil {
					failed[i] = g.journal.Carry(ctx, one.event.ID.Bytes(), kept[0], kept[1])
				}
			})
		}
		all.Wait()
		if err := errors.Join(errors.Join(failed...), g.journal.Release(nil)); err != nil {
			return err
		}
	}
	return nil
}
