package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// pulseGrain is how exactly a mark takes times that always move: ages on a page are at
// most this much behind.
const pulseGrain = 15 * time.Second

// Pulse is a mark that changes when what an operator sees does, and says nothing of it. It
// is for operators, and for Tollbook itself, which asks once for all who watch.
func (o *Operators) Pulse(ctx context.Context, who Actor) (string, error) {
	if who.Kind != ActorSystem {
		if err := o.Allow(who); err != nil {
			return "", err
		}
	}
	p, err := o.platform(ctx, PlatformQuery{})
	if err != nil {
		return "", err
	}
	return p.mark()
}

// mark is a digest of a state without what moves by itself.
func (p *Platform) mark() (string, error) {
	p.At = time.Time{}
	for i := range p.Tenants {
		p.Tenants[i].LastBatchAt = p.Tenants[i].LastBatchAt.Truncate(pulseGrain)
	}
	for i := range p.Gateways {
		g := &p.Gateways[i]
		g.SeenAt, g.FlushedThrough = g.SeenAt.Truncate(pulseGrain), g.FlushedThrough.Truncate(pulseGrain)
	}
	for i := range p.Jobs {
		p.Jobs[i].OldestAt, p.Jobs[i].Late = p.Jobs[i].OldestAt.Truncate(pulseGrain), p.Jobs[i].Late.Truncate(pulseGrain)
	}
	h := &p.Health
	if h.Gateway != nil {
		gateway := *h.Gateway
		gateway.OldestPending, gateway.SnapshotAge = gateway.OldestPending.Truncate(pulseGrain), gateway.SnapshotAge.Truncate(pulseGrain)
		h.Gateway = &gateway
	}
	pools := make([]PoolHealth, 0, len(h.Pools))
	for _, pool := range h.Pools {
		pools = append(pools, PoolHealth{Role: pool.Role, Max: pool.Max, GaveUp: pool.GaveUp}) // the rest moves with every question, this one too
	}
	h.Pools = pools
	document, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(document)
	return hex.EncodeToString(digest[:]), nil
}
