package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/gateway/journal"
)

// stuck are requests that the ledger refuses: they stay in the journal for a person.
// They are carried to its end from time to time, or they would hold all that came
// after them. Beyond the bound they do: something is wrong with every request then.
type stuck struct {
	mu    sync.Mutex
	known map[journal.ID][2][]byte // intent and outcome as the journal has them
}

const (
	maxStuck   = 1000
	carryEvery = 5 * time.Second
	carryFrom  = 3 // segments
)

// keepStuck remembers a refused request. It is tried again by whoever adopts the
// journal.
func (g *Gateway) keepStuck(tenant id.Tenant, e *usage.Event) error {
	kept, err := encodeBoth(tenant, e)
	if err != nil {
		return err
	}
	g.stuck.mu.Lock()
	defer g.stuck.mu.Unlock()
	if g.stuck.known == nil {
		g.stuck.known = map[journal.ID][2][]byte{}
	}
	if len(g.stuck.known) < maxStuck {
		g.stuck.known[e.ID.Bytes()] = kept
	}
	return nil
}

// Stuck is how many requests the ledger refuses.
func (g *Gateway) Stuck() int {
	g.stuck.mu.Lock()
	defer g.stuck.mu.Unlock()
	return len(g.stuck.known)
}

func (g *Gateway) carryForever(ctx context.Context) {
	every := time.NewTicker(carryEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		stats := g.journal.Stats()
		if stats.Segments < carryFrom {
			continue
		}
		var err error
		if g.Stuck() > 0 {
			err = g.carry(ctx)
		}
		if stats.Bytes > g.JournalBound()/2 {
			err = errors.Join(err, g.carryApart(ctx))
		}
		if err != nil && ctx.Err() == nil {
			g.cfg.Log.WarnContext(ctx, "refused requests not carried to the journal's end", "error", err)
		}
	}
}

func (g *Gateway) carry(ctx context.Context) error {
	g.stuck.mu.Lock()
	defer g.stuck.mu.Unlock()
	for at, kept := range g.stuck.known {
		if err := g.journal.Carry(ctx, at, kept[0], kept[1]); err != nil {
			return err
		}
	}
	return g.journal.Release(nil) // deletes what nothing holds any more
}

// encodeBoth encodes an event as the journal has it.
func encodeBoth(tenant id.Tenant, e *usage.Event) (kept [2][]byte, err error) {
	in, out := records(tenant, e)
	if kept[0], err = encodeIntent(in); err != nil {
		return kept, err
	}
	kept[1], err = encodeOutcome(out)
	return kept, err
}

// records takes an event apart again into what the journal has of it.
func records(tenant id.Tenant, e *usage.Event) (*intent, *outcome) {
	in := &intent{
		Tenant: tenant, Key: e.Key, Developer: e.Developer, Label: e.DeveloperLabel, Verified: e.DeveloperVerified, Model: e.ModelRequested, Shares: e.Shares, Rule: e.Rule,
		Version: e.RuleVersion, Change: e.Change, Snapshot: e.Snapshot, Project: e.Project, Tags: e.Tags, Session: e.SessionID, Agent: e.AgentID, Parent: e.ParentAgentID,
		Class: e.RequestClass, Sequence: e.ReplicaSequence,
	}
	out := &outcome{
		State: e.State, Status: e.HTTPStatus, RequestID: e.RequestID, MessageID: e.MessageID, Stop: e.StopReason, Counts: e.Counts,
		Flags: e.Flags, Raw: e.RawUsage, SentAt: e.UpstreamStartedAt, FirstAt: e.FirstByteAt, EndedAt: e.EndedAt,
	}
	return in, out
}
