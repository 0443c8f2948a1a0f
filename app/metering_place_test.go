package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/usage"
)

// TestPlacesAreAskedForOnceForManyFlushes lets somebody ask for the places of batches,
// as a gateway does: flushes leave that to it, and its end leaves nothing behind.
func TestPlacesAreAskedForOnceForManyFlushes(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.exec(t, `delete from river.river_job`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.metering.PlaceForever(ctx, func(err error) { t.Error(err) })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	pending := func() int64 {
		return h.number(t, `select count(*) from audit_pending p join audit_record r using (tenant_id, record_id) where p.tenant_id = $1 and r.action = 'usage.batch'`, h.one.tenant)
	}
	require.Eventually(t, func() bool {
		require.Equal(t, 1, h.flush(t, h.one, h.one.event(november(2), "CC-1")))
		return h.jobs(t, "sequence_audit", h.one.tenant) == 1
	}, 10*time.Second, time.Millisecond)
	require.GreaterOrEqual(t, pending(), int64(1))
	require.Zero(t, h.jobs(t, "sequence_audit", h.two.tenant))

	h.exec(t, `update river.river_job set state = 'completed', finalized_at = now()`)
	require.Equal(t, 1, h.flush(t, h.two, h.two.event(november(2), "CC-1")))
	cancel()
	<-ended
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.two.tenant), "the last ones too")

	h.exec(t, `delete from river.river_job`)
	require.Equal(t, 1, h.flush(t, h.one, h.one.event(november(2), "CC-1")))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant), "nobody asks any more but the flush")
}

// TestPlacesAreAskedForAgain takes the queue away while places are asked for.
func TestPlacesAreAskedForAgain(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.exec(t, `delete from river.river_job`)
	h.exec(t, `alter table river.river_job rename to away`)
	ctx, cancel := context.WithCancel(t.Context())
	failed, ended := make(chan error, 100), make(chan struct{})
	go func() {
		defer close(ended)
		h.metering.PlaceForever(ctx, func(err error) { failed <- err })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	var seen error
	taken := false
	require.Eventually(t, func() bool {
		_, err := h.metering.Flush(t.Context(), h.one.tenant, []usage.Event{h.one.event(november(2), "CC-1")})
		taken = taken || err == nil // before somebody asks, the flush itself fails
		select {
		case seen = <-failed:
			return true
		default:
			return false
		}
	}, 10*time.Second, time.Millisecond)
	require.True(t, taken)
	require.ErrorContains(t, seen, "places in the log")
	h.exec(t, `alter table river.away rename to river_job`)
	require.Eventually(t, func() bool { return h.jobs(t, "sequence_audit", h.one.tenant) == 1 }, 10*time.Second, time.Millisecond)
}

// TestADeclaredDeveloperIsVerifiedOnceTheySignIn remembers a developer as declared first,
// and lets one flush hold both kinds of requests.
func TestADeclaredDeveloperIsVerifiedOnceTheySignIn(t *testing.T) {
	t.Parallel()
	h := build(t)
	signedIn := func(e *usage.Event) { e.DeveloperVerified = true }
	is := func(label string) bool {
		return h.number(t, `select count(*) from developer where developer_id = $1 and verified`, h.developer(t, h.one, label)) == 1
	}
	ada, bo := h.declared(t, h.one, "ada@one.test"), h.declared(t, h.one, "bo@one.test")
	h.flush(t, h.one, h.one.event(november(2), "CC-1", ada))
	require.False(t, is("ada@one.test"))
	h.flush(t, h.one, h.one.event(november(2), "CC-1", ada, signedIn))
	require.True(t, is("ada@one.test"))
	h.flush(t, h.one, h.one.event(november(2), "CC-1", bo), h.one.event(november(2), "CC-1", bo, signedIn))
	require.True(t, is("bo@one.test"))
	h.flush(t, h.one, h.one.event(november(3), "CC-1", ada), h.one.event(november(3), "CC-1", bo))
	require.True(t, is("ada@one.test") && is("bo@one.test"), "what somebody declares later takes nothing back")
}
