package main

import (
	"context"
	"net/http"
	"time"

	"tollbook/app"
	"tollbook/gateway"
	"tollbook/web"
)

// health is what /readyz and /metrics say, as the operator's page shows it.
func (h *house) health(p *parts, served *gateway.Gateway) app.Health {
	now := app.Health{Ready: true}
	for _, ready := range p.ready {
		if ready() != nil {
			now.Ready = false
		}
	}
	for _, pool := range h.db.Pools() {
		now.Pools = append(now.Pools, app.PoolHealth{Role: pool.Role, Max: pool.Max, Open: pool.Open, InUse: pool.InUse, Waited: pool.Waited, GaveUp: pool.Canceled})
	}
	if served == nil {
		return now
	}
	stats, r := served.Stats(), served.Metrics()
	failures, leftOut := h.snapshots.Failures()
	now.Ailing = served.Ailing()
	now.Gateway = &app.GatewayHealth{
		Pending: int64(stats.Pending), Bytes: stats.Bytes, Bound: served.JournalBound(), Segments: stats.Segments, Failed: served.Failed(),
		Refused: int64(served.Stuck()), Adopted: r.Adopted, Orphans: r.Orphans, Broken: served.Broken(),
		FlushWaiting: int64(r.FlushWaiting), FailingTenants: int64(r.FlushFailing), FailingWaiting: int64(r.FlushFailingWaiting), FlushFailures: r.FlushFailures,
		SnapshotAge: max(served.SnapshotAge(), 0), SnapshotFailures: failures, LeftOut: leftOut,
	}
	now.Gateway.FlushLag, now.Gateway.Flushed = within95(r.FlushLag)
	if !stats.OldestPendingAt.IsZero() {
		now.Gateway.OldestPending = max(time.Since(stats.OldestPendingAt), 0)
	}
	return now
}

// within95 is the bound of the bucket within which 95 % of what was counted lies, and how
// much was counted; negative when that is beyond the last bound.
func within95(d gateway.Distribution) (time.Duration, int64) {
	var total, below int64
	for _, n := range d.Counts {
		total += n
	}
	for i, bound := range d.Bounds {
		below += d.Counts[i]
		if below*100 >= total*95 {
			return bound, total
		}
	}
	return -1, total
}

// jobPages opens the job queue's own pages where there is somebody to open them.
func (h *house) jobPages(ctx context.Context) (http.Handler, error) {
	if len(h.settings.Operators) == 0 {
		return nil, nil
	}
	return h.db.JobPages(ctx, web.JobsPrefix)
}
