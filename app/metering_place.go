package app

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/db"
)

// A batch's record gets its place in the audit log from a job. A gateway flushes several
// times a second, and asking for that job costs as much as a hundred rows do; so that
// who flushes steadily asks once for all that was flushed in a while.
const (
	placeEvery  = time.Second
	placeWithin = 10 * time.Second
)

// owed are the tenants whose batches wait for somebody to ask for their places. What a
// crash loses of it the clock finds within a minute (Audit.Tick).
type owed struct {
	taking  atomic.Int64 // how many ask
	mu      sync.Mutex
	tenants map[id.Tenant]bool
}

func (o *owed) add(tenants ...id.Tenant) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tenants == nil {
		o.tenants = map[id.Tenant]bool{}
	}
	for _, tenant := range tenants {
		o.tenants[tenant] = true
	}
}

func (o *owed) take() []id.Tenant {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]id.Tenant, 0, len(o.tenants))
	for tenant := range o.tenants {
		list = append(list, tenant)
	}
	o.tenants = nil
	return list
}

// PlaceForever asks, once a second until ctx ends and once more then, for the places of
// what Flush committed meanwhile. While it does, Flush itself does not. failed is told
// of each try that the database did not take; what it was for is tried again.
func (m *Metering) PlaceForever(ctx context.Context, failed func(error)) {
	m.owed.taking.Add(1)
	every := time.NewTicker(placeEvery)
	defer every.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			m.owed.taking.Add(-1)
		case <-every.C:
		}
		if err := m.place(context.WithoutCancel(ctx)); err != nil {
			failed(err)
		}
	}
}

// place asks for the places of all that is owed, in one transaction.
func (m *Metering) place(ctx context.Context) error {
	tenants := m.owed.take()
	if len(tenants) == 0 {
		return nil
	}
	jobs := make([]db.Job, 0, len(tenants))
	for _, tenant := range tenants {
		jobs = append(jobs, job.SequenceAudit{Tenant: tenant.String()})
	}
	limited, cancel := context.WithTimeout(ctx, placeWithin)
	defer cancel()
	if err := m.db.EnqueueNow(limited, jobs...); err != nil {
		m.owed.add(tenants...)
		return fmt.Errorf("ask for places in the log: %w", err)
	}
	return nil
}

// maxSeenDevelopers bounds the developers remembered; beyond it all are asked for again.
const maxSeenDevelopers = 100_000

// seenDevelopers remembers which developers the database has, so that a flush does not offer it
// the same ones several times a second. Developers are never removed.
type seenDevelopers struct {
	mu   sync.RWMutex
	list map[seenDeveloper]bool
}

type seenDeveloper struct {
	tenant    id.Tenant
	developer id.Developer
	verified  bool
}

// has says whether the database has a developer, and knows them verified where they are.
func (k *seenDevelopers) has(one seenDeveloper) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.list[one] || (!one.verified && k.list[seenDeveloper{one.tenant, one.developer, true}])
}

func (k *seenDevelopers) remember(developers []seenDeveloper) {
	if len(developers) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.list == nil || len(k.list)+len(developers) > maxSeenDevelopers {
		k.list = map[seenDeveloper]bool{}
	}
	for _, one := range developers {
		k.list[one] = true
	}
}

func (k *seenDevelopers) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = nil
}
