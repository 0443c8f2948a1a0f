package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// An intent is brought to the disk while the upstream works. Each request's own sync
// would be the dearest thing the gateway does, so that intents wait a moment for
// one another; whoever needs an intent sooner (the first byte of a stream) syncs at
// once, and takes the others along.
const intentSyncWithin = 2 * time.Millisecond

// syncSoon asks for what is written to be synced within a moment.
func (g *Gateway) syncSoon() {
	select {
	case g.unsynced <- struct{}{}:
	default:
	}
}

// syncIntents serves syncSoon. What it leaves at its end, the journal's own end syncs.
func (g *Gateway) syncIntents(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.unsynced:
		}
		// What came by now: an outcome's sync takes it along more often than not, and then
		// there is nothing to do. What comes meanwhile has left another token.
		written := g.journal.Stats().LastPosition
		select {
		case <-ctx.Done():
			return
		case <-time.After(intentSyncWithin):
		}
		if err := g.journal.Sync(ctx, written); err != nil && ctx.Err() == nil {
			_ = g.journalFailed(fmt.Errorf("sync intents: %w", err)) // logged; every request finds out by itself
		}
	}
}

// awaitIntent returns when the intent is on the disk: before that the client sees
// nothing. If the journal fails, the client's connection is cut.
func (x *exchange) awaitIntent() {
	if err := x.g.journal.Sync(context.WithoutCancel(x.r.Context()), x.written); err != nil {
		_ = x.g.journalFailed(fmt.Errorf("sync intent of %s: %w", x.event, err)) // logged; there is nobody to tell but by cutting
		panic(http.ErrAbortHandler)
	}
}
