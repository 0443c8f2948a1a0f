package gateway

import (
	"context"
	"errors"
	"fmt"
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
	found, broken := replay(orphan)
	done := Adopted{Requests: len(found.order), Torn: orphan.Torn()}
	var stuck error
	byTenant := map[id.Tenant][]usage.Event{}
	for _, at := range found.order {
		in, out := found.intents[at], found.outcomes[at]
		if out == nil {
			out = openOutcome()
			done.Open++
		}
		byTenant[in.Tenant] = append(byTenant[in.Tenant], event(id.EventFromBytes(at), replica, in, out))
	}
	for tenant, events := range byTenant {
		for piece := range slices.Chunk(events, app.FlushLimit) {
			added, refused, err := flushPiece(ctx, metering, tenant, piece)
			if err != nil {
				return done, fmt.Errorf("flush journal %s: %w", name, errors.Join(err, broken))
			}
			done.Added += added
			for at, cause := range refused {
				stuck = errors.Join(stuck, fmt.Errorf("request %s: %w", at, cause))
			}
		}
	}
	if broken != nil || stuck != nil {
		return done, fmt.Errorf("read journal %s: %w", name, errors.Join(broken, stuck))
	}
	// Its replica is gone and owes nothing any more: a day need not wait for it. Said
	// before the journal goes, since nobody would come back to say it afterwards.
	now := time.Now().UTC()
	if err := metering.Publish(ctx, app.ReplicaState{ReplicaID: replica, StartedAt: now, SeenAt: now, FlushedThrough: now, EndedAt: &now}); err != nil {
		return done, fmt.Errorf("end replica %s: %w", name, err)
	}
	if err := orphan.Remove(); err != nil {
		return done, fmt.Errorf("remove journal %s: %w", name, err)
	}
	return done, nil
}

type replayed struct {
	order    []journal.ID
	intents  map[journal.ID]*intent
	outcomes map[journal.ID]*outcome
}

// replay reads a journal whole. An outcome without its intent is in the ledger
// already; a record that cannot be decoded counts as a break.
func replay(orphan *journal.Orphan) (replayed, error) {
	found := replayed{intents: map[journal.ID]*intent{}, outcomes: map[journal.ID]*outcome{}}
	err := orphan.Replay(func(r journal.Record) error {
		switch r.Kind {
		case journal.Intent:
			in, err := decodeIntent(r.Payload)
			if err != nil {
				return err
			}
			if found.intents[r.ID] == nil { // one that was carried comes twice
				found.order = append(found.order, r.ID)
			}
			found.intents[r.ID] = in
		case journal.Outcome:
			if found.intents[r.ID] == nil {
				return nil
			}
			out, err := decodeOutcome(r.Payload)
			if err != nil {
				return err
			}
			found.outcomes[r.ID] = out
		}
		return nil
	})
	return found, err
}
