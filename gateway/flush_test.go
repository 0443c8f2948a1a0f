package gateway

import (
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
	require.Empty(t, f.take(start, false), "a request waits a moment for others")
	f.add(busy, make([]usage.Event, flushFull)...)
	require.Len(t, f.full, 1)
	taken := f.take(start, false)
	require.Len(t, taken, 1)
	require.Len(t, taken[busy].events, flushFull, "a flush full does not wait")
	require.Equal(t, 1, f.size())
	taken = f.take(time.Now().Add(every), false)
	require.Len(t, taken[quiet].events, 1)
	require.Zero(t, f.size())

	for range flushFew + 1 {
		f.add(id.NewTenant(start), usage.Event{})
	}
	require.Empty(t, f.take(time.Now().Add(every), false), "with many tenants each waits longer")
	require.Len(t, f.take(time.Now().Add(flushApart*every), false), flushFew+1)
	f.add(quiet, usage.Event{})
	require.Len(t, f.take(start, true), 1, "at the end everything is due")
}
