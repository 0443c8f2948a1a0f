package gateway

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/app/usage"
)

func TestTakeWhatIsDue(t *testing.T) {
	t.Parallel()
	const every = 100 * time.Millisecond
	f := newFlusher(&Gateway{cfg: Config{FlushEvery: every}})
	start := time.Now()
	quiet, busy := id.NewTenant(start), id.NewTenant(start)
	f.add(quiet, usage.Event{})
	require.Empty(t, f.due(start), "a request waits a moment for others")
	f.add(busy, make([]usage.Event, flushFull)...)
	require.Len(t, f.full, 1)
	require.Equal(t, []id.Tenant{busy}, f.due(start), "a flush full does not wait")
	require.Len(t, f.begin(busy), flushFull)
	require.Equal(t, 1, f.size())
	require.Equal(t, []id.Tenant{quiet}, f.due(time.Now().Add(every)))
	require.Empty(t, f.due(time.Now().Add(every)), "what is claimed is not claimed again")
	require.Len(t, f.begin(quiet), 1)
	require.Zero(t, f.size())
	f.add(busy, make([]usage.Event, flushFull)...)
	require.Empty(t, f.due(time.Now().Add(every)), "one flush of a tenant at a time")
	<-f.full
	f.end(t.Context(), busy, nil, 0, nil)
	require.Len(t, f.full, 1, "what came meanwhile is a flush full")
	require.Equal(t, []id.Tenant{busy}, f.due(start))
	f.begin(busy)
	f.end(t.Context(), busy, nil, 0, nil)
	f.end(t.Context(), quiet, nil, 0, nil)
	require.Empty(t, f.tenants)

	for range flushFew + 1 {
		f.add(id.NewTenant(start), usage.Event{})
	}
	require.Empty(t, f.due(time.Now().Add(every)), "with many tenants each waits longer")
	require.Len(t, f.due(time.Now().Add(flushApart*every)), flushFew+1)
	f.add(quiet, usage.Event{})
	require.Contains(t, f.all(), quiet, "at the end everything is due")
}

// TestSlowTenantsLeavePlaces has more tenants fail than are flushed at once: they wait for
// their own next try, and then for one of the places that are theirs.
func TestSlowTenantsLeavePlaces(t *testing.T) {
	t.Parallel()
	const every = 100 * time.Millisecond
	f := newFlusher(&Gateway{cfg: Config{FlushEvery: every, Log: slog.New(slog.DiscardHandler)}, metrics: newMetrics()})
	for range flushTogether {
		f.add(id.NewTenant(time.Now()), usage.Event{})
	}
	failing := f.due(time.Now().Add(every))
	require.Len(t, failing, flushTogether)
	for _, tenant := range failing {
		f.end(t.Context(), tenant, f.begin(tenant), 0, errors.New("no"))
	}
	require.Equal(t, flushTogether, f.size())
	require.EqualValues(t, flushTogether, f.g.metrics.flushFailed.Load())
	require.Empty(t, f.due(time.Now()), "each waits")
	later := time.Now().Add(maxBackoff)
	fast := id.NewTenant(time.Now())
	f.add(fast, usage.Event{})
	claimed := f.due(later)
	require.Len(t, claimed, 1+flushSlow)
	require.Equal(t, fast, claimed[0], "who is done in a moment comes first")
	for _, tenant := range claimed[1:] {
		f.end(t.Context(), tenant, f.begin(tenant), 0, errors.New("no"))
		require.Equal(t, 2*every, f.tenants[tenant].backoff)
	}
	later = later.Add(maxBackoff)
	claimed = f.due(later)
	require.Len(t, claimed, flushSlow, "and who waits longest next")
	f.begin(claimed[0])
	f.end(t.Context(), claimed[0], nil, 0, nil)
	require.NotContains(t, f.tenants, claimed[0], "who reaches the ledger is as any other")
	require.Len(t, f.due(later), 1, "its place is free")
	f.begin(claimed[1])
	f.end(t.Context(), claimed[1], nil, 2*slowFrom, nil)
	require.True(t, f.tenants[claimed[1]].slow, "to take long is enough")
}
