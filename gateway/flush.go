package gateway

import (
	"context"
	"errors"
	"maps"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/gateway/journal"
)

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

// flushDeadline bounds one commit.
const flushDeadline = 30 * time.Second

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
