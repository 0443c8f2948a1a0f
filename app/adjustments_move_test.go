package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/usage"
)

// movedAlong does what the job does until it is done, and says how many batches that took.
func (h *house) movedAlong(t *testing.T, change id.Change) int {
	t.Helper()
	for n := 1; ; n++ {
		state, err := h.adjusts.MoveCharges(t.Context(), h.one.tenant, change)
		require.NoError(t, err)
		if state != app.MoveGoesOn {
			require.Equal(t, app.MoveEnded, state)
			return n
		}
		require.Less(t, n, 100)
	}
}

// TestABackdatedMoveTakesItsChargesAlong moves a project from a day in the open month: what
// was charged since then follows by adjustments, what was before and what is closed stays.
func TestABackdatedMoveTakesItsChargesAlong(t *testing.T) {
	t.Parallel()
	h := build(t)
	before, after, split := h.one.event(november(2), "P-1"), h.one.event(november(6), "P-1"), h.one.event(november(7), "P-1", func(e *usage.Event) {
		e.Shares = []usage.Share{{Placement: h.one.places["P-1"], PPM: 333_333}, {Placement: h.one.places["CC-2"], PPM: 666_667}}
	})
	other := h.one.event(november(6), "CC-1")
	h.flush(t, h.one, before, after, split, other)
	h.lock(t, h.one, months("2026-10"))
	_, err := h.approvals.Propose(t.Context(), h.person(t, h.one, app.RoleEngineeringAdmin, "eng"), operations(october(20), movesP1), "")
	require.Equal(t, "period_closed invalid", h.code(t, err))

	applied := h.reorganize(t, november(5), movesP1, `{"op":"capitalization","code":"P-1","capitalization":"expense"}`)
	require.Contains(t, applied.Impact.Sentence, "What was charged since 2026-11-05 09:30 UTC moves along")
	require.EqualValues(t, 1, h.jobs(t, "move_charges", h.one.tenant))
	posted, err := h.adjusts.Posted(t.Context(), h.one.who, applied.ID)
	require.NoError(t, err)
	require.True(t, posted.Follows && posted.EndedAt.IsZero())
	rows := h.text(t, `select string_agg(e::text, '' order by e::text) from usage_event e where tenant_id = $1`, h.one.tenant)
	h.movedAlong(t, applied.ID)
	h.proved(t, h.one)
	h.sumsAgree(t, h.one, period.MonthOf(november(1)))
	require.Equal(t, rows, h.text(t, `select string_agg(e::text, '' order by e::text) from usage_event e where tenant_id = $1`, h.one.tenant))
	path := func(event id.Event) string {
		story, _, err := h.reports.Request(t.Context(), h.one.who, event)
		require.NoError(t, err)
		return story.Allocations[0].Path
	}
	require.Equal(t, "BU-1 / CC-1 / P-1", path(before.ID))
	require.Equal(t, "BU-2 / CC-3 / P-1", path(after.ID))
	require.Equal(t, "BU-2 / CC-3 / P-1", path(split.ID))
	require.Equal(t, "BU-1 / CC-1", path(other.ID))
	sum := h.chargeback(t, h.one.who, period.MonthOf(november(1)), "node")
	cc3, p1 := row(t, sum, "CC-3"), row(t, sum, "P-1")
	require.Equal(t, "0.018666662000", cc3.Actual.String())
	require.Equal(t, "0.014000000000", p1.Capitalized.String(), "what was before is capitalized as it was")
	posted, err = h.adjusts.Posted(t.Context(), h.one.who, applied.ID)
	require.NoError(t, err)
	require.EqualValues(t, 2, posted.Count)
	require.False(t, posted.EndedAt.IsZero())
	require.Equal(t, 1, h.movedAlong(t, applied.ID), "what is done is not done again")
	require.EqualValues(t, 2, h.number(t, `select count(*) from adjustment`))

	undated := h.reorganize(t, time.Time{}, `{"op":"move","code":"P-1","parent_code":"CC-2"}`)
	require.EqualValues(t, 1, h.jobs(t, "move_charges", h.one.tenant), "nothing follows what takes effect when it is decided")
	posted, err = h.adjusts.Posted(t.Context(), h.one.who, undated.ID)
	require.NoError(t, err)
	require.False(t, posted.Follows)
}

// TestADateThatPassedWhileItWaitedHolds applies a change as of its date all the same.
func TestADateThatPassedWhileItWaitedHolds(t *testing.T) {
	t.Parallel()
	h := build(t)
	soon := h.propose(t, h.person(t, h.one, app.RoleEngineeringAdmin, "eng"), operations(h.clock.now().Add(time.Hour), movesP1))
	h.clock.add(2 * time.Hour)
	charged := h.one.event(h.clock.now(), "P-1")
	h.flush(t, h.one, charged)
	_, err := h.approveChange(t, h.person(t, h.one, app.RoleFinanceAdmin, "fin"), soon)
	require.NoError(t, err)
	h.movedAlong(t, soon.ID)
	h.proved(t, h.one)
	require.Equal(t, "CC-3", h.parent(t, "P-1", soon.EffectiveFrom))
	require.Equal(t, "CC-1", h.parent(t, "P-1", soon.EffectiveFrom.Add(-time.Minute)))
	require.EqualValues(t, 1, h.number(t, `select count(*) from adjustment where kind = 'move'`))
}

func TestNodesDoNotRetireInThePast(t *testing.T) {
	t.Parallel()
	h := build(t)
	_, err := h.approvals.Propose(t.Context(), h.person(t, h.one, app.RoleEngineeringAdmin, "eng"), operations(november(5), `{"op":"retire","code":"P-1"}`), "")
	require.Equal(t, "retire_backdated conflict", h.code(t, err))
	require.ErrorContains(t, err, "re-tagging")
}

// TestAJobThatIsKilledLosesAndDoublesNothing ends the process of the job within every one of
// its batches, and begins it again.
func TestAJobThatIsKilledLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	h := build(t)
	const requests = 1203 // three batches
	var events []usage.Event
	for i := range requests {
		events = append(events, h.one.event(november(6).Add(time.Duration(i)*time.Second), "P-1"))
	}
	h.flush(t, h.one, events...)
	applied := h.reorganize(t, november(5), movesP1)
	for killed := 0; ; killed++ {
		ctx, kill := context.WithCancel(t.Context())
		done := make(chan error, 1)
		locked := h.number(t, `select count(*) from adjustment`)
		h.exec(t, `create or replace function slow() returns trigger language plpgsql as $f$ begin perform pg_advisory_xact_lock(42); return new; end $f$`)
		h.exec(t, `create or replace trigger slow before insert on adjustment_batch for each row execute function slow()`)
		hold, err := h.admin.Conn(t.Context())
		require.NoError(t, err)
		_, err = hold.ExecContext(t.Context(), `select pg_advisory_lock(42)`)
		require.NoError(t, err)
		go func() { // it gets as far as its first row
			_, err := h.adjusts.MoveCharges(ctx, h.one.tenant, applied.ID)
			done <- err
		}()
		require.Eventually(t, func() bool {
			return len(done) > 0 || h.number(t, `select count(*) from pg_locks where locktype = 'advisory' and objid = 42 and not granted`) > 0
		}, time.Minute, time.Millisecond)
		kill()
		_, err = hold.ExecContext(t.Context(), `select pg_advisory_unlock(42)`)
		require.NoError(t, err)
		require.NoError(t, hold.Close())
		if err := <-done; err == nil {
			break // nothing is left to post
		}
		require.Equal(t, locked, h.number(t, `select count(*) from adjustment`), "what was under way is as if it had not begun")
		h.exec(t, `drop trigger slow on adjustment_batch`)
		h.proved(t, h.one)
		state, err := h.adjusts.MoveCharges(t.Context(), h.one.tenant, applied.ID)
		require.NoError(t, err)
		h.proved(t, h.one)
		if state == app.MoveEnded {
			break
		}
		require.Less(t, killed, 10)
	}
	require.EqualValues(t, requests, h.number(t, `select count(*) from adjustment`))
	require.EqualValues(t, requests, h.number(t, `select count(distinct event_id) from adjustment`))
	h.sumsAgree(t, h.one, period.MonthOf(november(1)), "node")
}

// TestTheJobWaitsForJournals does not end while a gateway may hold requests of that time.
func TestTheJobWaitsForJournals(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.flush(t, h.one, h.one.event(november(6), "P-1"))
	applied := h.reorganize(t, november(5), movesP1)
	gateway := app.ReplicaState{ReplicaID: id.ReplicaFromBytes([16]byte{9}), StartedAt: november(1), SeenAt: h.clock.now(), FlushedThrough: november(9)}
	require.NoError(t, h.metering.Publish(t.Context(), gateway))
	state, err := h.adjusts.MoveCharges(t.Context(), h.one.tenant, applied.ID)
	require.NoError(t, err)
	require.Equal(t, app.MoveWaits, state)
	h.flush(t, h.one, h.one.event(november(7), "P-1")) // from its journal
	gateway.FlushedThrough = h.clock.now()
	require.NoError(t, h.metering.Publish(t.Context(), gateway))
	h.movedAlong(t, applied.ID)
	require.EqualValues(t, 2, h.number(t, `select count(*) from adjustment`))
	h.proved(t, h.one)
}

// TestWhereNothingWasChargedTheJobEndsAtOnce leaves a record all the same.
func TestWhereNothingWasChargedTheJobEndsAtOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	applied := h.reorganize(t, november(5), movesP1)
	require.Equal(t, 1, h.movedAlong(t, applied.ID))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "adjustment.ended"))
	posted, err := h.adjusts.Posted(t.Context(), h.one.who, applied.ID)
	require.NoError(t, err)
	require.True(t, posted.Follows && !posted.EndedAt.IsZero())
	shown, err := h.nodes.Preview(t.Context(), h.person(t, h.one, app.RoleEngineeringAdmin, "eng"), operations(november(6), `{"op":"rename","code":"P-1","name":"Other"}`).Payload, november(6))
	require.NoError(t, err, "a preview writes nothing")
	require.Len(t, shown.Operations, 1)
}

// TestARetaggedRequestFollowsItsNewNode moves the node that a request was re-tagged to.
func TestARetaggedRequestFollowsItsNewNode(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	event := h.one.event(november(6), "CC-2")
	h.flush(t, h.one, event)
	require.NoError(t, h.carries(t, fin, retagTo([]id.Event{event.ID}, "P-1")))
	waiting := h.propose(t, fin, retagTo([]id.Event{event.ID}, "CC-1"))
	applied := h.reorganize(t, november(5), movesP1)
	h.movedAlong(t, applied.ID)
	h.proved(t, h.one)
	story, _, err := h.reports.Request(t.Context(), h.one.who, event.ID)
	require.NoError(t, err)
	require.Equal(t, "BU-2 / CC-3 / P-1", story.Allocations[0].Path)
	require.Len(t, story.History, 2)
	_, err = h.ruleFor(t, h.person(t, h.one, app.RoleController, "cfo"), waiting, approval.VerdictApprove, id.Member{})
	require.Equal(t, "requests_moved conflict", h.code(t, err))
}
