package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/gateway/journal"
)

// Adopted is what a dead replica's journal held.
type Adopted struct {
	Requests int   // intents found
	Open     int   // of these, without an outcome
	Added    int   // rows that were new to the ledger
	Torn     int64 // bytes a crash cut short, never promised
}

// Adopt takes over one dead replica's journal, brings all of it into the ledger and
// removes it. A request without outcome becomes an open row: it may have reached
// the provider, and reconciliation will tell.
func Adopt(ctx context.Context, cfg journal.Config, name string, metering *app.Metering) (Adopted, error) {
	orphan, err := journal.Adopt(cfg, name)
	if err != nil {
		return Adopted{}, fmt.Errorf("adopt journal %s: %w", name, err)
	}
	defer orphan.Close()
	replica := id.ReplicaFromBytes(orphan.Replica())
	a := newAdoption(replica, func(tenant id.Tenant, events []usage.Event) (int, map[id.Event]error, error) {
		return flushPiece(ctx, metering, tenant, events)
	})
	broken := orphan.Replay(a.read)
	a.done.Torn = orphan.Torn()
	if err := a.finish(); err != nil {
		// A break is not reported with it: it is found again, when what came before it is in.
		return a.done, fmt.Errorf("flush journal %s: %w", name, err)
	}
	if left := errors.Join(broken, a.stuck()); left != nil {
		return a.done, fmt.Errorf("read journal %s: %w", name, left)
	}
	// Its replica is gone and owes nothing any more: a day need not wait for it. Said
	// before the journal goes, since nobody would come back to say it afterwards.
	now := time.Now().UTC()
	if err := metering.Publish(ctx, app.ReplicaState{ReplicaID: replica, StartedAt: now, SeenAt: now, FlushedThrough: now, EndedAt: &now}); err != nil {
		return a.done, fmt.Errorf("end replica %s: %w", name, err)
	}
	if err := orphan.Remove(); err != nil {
		return a.done, fmt.Errorf("remove journal %s: %w", name, err)
	}
	return a.done, nil
}

// adoptBytes bounds what is held of a journal's ended requests, in bytes of its records,
// besides FlushLimit for each tenant. What runs at once is held too; a gateway bounds that.
const adoptBytes = 32 << 20

// adoption brings a journal into the ledger as it is read: a request when its outcome
// comes, a flush full at a time, those without an outcome at the end.
type adoption struct {
	replica id.Replica
	flush   func(tenant id.Tenant, events []usage.Event) (added int, refused map[id.Event]error, err error)
	limit   int // requests in a flush
	most    int // bytes of records held in whole

	open    map[journal.ID][]byte // intents that wait for their outcome
	whole   map[id.Tenant]*ended  // ended requests that wait for their flush
	waiting map[journal.ID]bool   // of these
	bytes   int                   // of their records
	refused map[journal.ID]error  // what the ledger does not take, at most maxStuck
	unnamed int                   // what it does not take beyond that
	failed  error                 // of a flush: nothing is read on
	done    Adopted
}

// ended are one tenant's requests that wait for their flush, and the bytes of their
// records.
type ended struct {
	events []usage.Event
	bytes  int
}

func newAdoption(replica id.Replica, flush func(id.Tenant, []usage.Event) (int, map[id.Event]error, error)) *adoption {
	return &adoption{
		replica: replica, flush: flush, limit: app.FlushLimit, most: adoptBytes,
		open: map[journal.ID][]byte{}, whole: map[id.Tenant]*ended{}, waiting: map[journal.ID]bool{}, refused: map[journal.ID]error{},
	}
}

// read takes the next record. An outcome without its intent is in the ledger already;
// a request that was carried comes twice, the same both times. A record that cannot be
// decoded counts as a break.
func (a *adoption) read(r journal.Record) error {
	if _, refused := a.refused[r.ID]; refused || a.waiting[r.ID] {
		return nil // carried
	}
	in, running := a.open[r.ID]
	switch {
	case r.Kind == journal.Intent:
		if !running {
			a.done.Requests++
		}
		a.open[r.ID] = r.Payload
		return nil
	case r.Kind != journal.Outcome || !running:
		return nil
	}
	out, err := decodeOutcome(r.Payload)
	if err != nil {
		return err
	}
	return a.end(r.ID, in, out, len(r.Payload))
}

// end joins a request's records and flushes what is due.
func (a *adoption) end(at journal.ID, intent []byte, out *outcome, outBytes int) error {
	delete(a.open, at)
	in, err := decodeIntent(intent)
	if err != nil {
		return err
	}
	one := a.whole[in.Tenant]
	if one == nil {
		one = &ended{}
		a.whole[in.Tenant] = one
	}
	one.events = append(one.events, event(id.EventFromBytes(at), a.replica, in, out))
	one.bytes += len(intent) + outBytes
	a.bytes += len(intent) + outBytes
	a.waiting[at] = true
	if len(one.events) >= a.limit {
		return a.bring(in.Tenant)
	}
	if a.bytes >= a.most {
		return a.bringAll()
	}
	return nil
}

// finish brings in what is left. The requests without an outcome are open.
func (a *adoption) finish() error {
	if a.failed != nil {
		return a.failed
	}
	for _, at := range slices.SortedFunc(maps.Keys(a.open), func(x, y journal.ID) int { return bytes.Compare(x[:], y[:]) }) {
		a.done.Open++
		if err := a.end(at, a.open[at], openOutcome(), 0); a.failed != nil {
			return a.failed
		} else if err != nil {
			a.refuse(at, err)
		}
	}
	return a.bringAll()
}

func (a *adoption) bringAll() error {
	for tenant := range a.whole {
		if err := a.bring(tenant); err != nil {
			return err
		}
	}
	return nil
}

// bring flushes what is held of one tenant.
func (a *adoption) bring(tenant id.Tenant) error {
	one := a.whole[tenant]
	added, refused, err := a.flush(tenant, one.events)
	if err != nil {
		a.failed = err
		return err
	}
	a.done.Added += added
	for at, cause := range refused {
		a.refuse(at.Bytes(), cause)
	}
	for i := range one.events {
		delete(a.waiting, one.events[i].ID.Bytes())
	}
	a.bytes -= one.bytes
	delete(a.whole, tenant)
	return nil
}

func (a *adoption) refuse(at journal.ID, cause error) {
	if len(a.refused) < maxStuck {
		a.refused[at] = cause
		return
	}
	a.unnamed++
}

// stuck names what the ledger refuses; nil if there is nothing.
func (a *adoption) stuck() error {
	var all []error
	for at, cause := range a.refused {
		all = append(all, fmt.Errorf("request %s: %w", id.EventFromBytes(at), cause))
	}
	if a.unnamed > 0 {
		all = append(all, fmt.Errorf("and %d more", a.unnamed))
	}
	return errors.Join(all...)
}
