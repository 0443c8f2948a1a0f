package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/usage"
)

// inSession makes an event part of a session, asked by an agent.
func inSession(session, agent, parent string) func(*usage.Event) {
	return func(e *usage.Event) { e.SessionID, e.AgentID, e.ParentAgentID = session, agent, parent }
}

func cached(e *usage.Event) { e.Counts.Tokens = usage.Tokens{1000, 500, 2000, 0, 100_000} }

func TestASessionIsOneThing(t *testing.T) {
	t.Parallel()
	h := build(t)
	at := november(3)
	events := []usage.Event{
		h.one.event(at, "CC-1", inSession("s", "", ""), cached),
		h.one.event(at.Add(time.Minute), "CC-1", inSession("s", "a", ""), cached, func(e *usage.Event) { e.RequestClass = "subagent" }),
		h.one.event(at.Add(2*time.Minute), "CC-1", inSession("s", "b", "a")),
		h.one.event(at.Add(3*time.Minute), "CC-1", inSession("s", "", ""), func(e *usage.Event) { e.State, e.Counts = usage.StateError, usage.Counts{} }),
		h.one.event(at.Add(4*time.Minute), "CC-3", inSession("s", "", ""), cached, func(e *usage.Event) { e.Counts.WebSearches = 3 }),
		h.one.event(at, "CC-1", inSession("other", "", "")),
	}
	h.flush(t, h.one, events...)
	h.flush(t, h.two, h.two.event(at, "CC-1", inSession("s", "", "")))
	session, found, err := h.reports.Session(t.Context(), h.one.who, "s")
	require.NoError(t, err)
	require.True(t, found)
	require.Len(t, session.Turns, 5)
	for i := range session.Turns {
		require.Equal(t, events[i].ID, session.Turns[i].ID, "turns are in order")
	}
	// $4 a million in, $20 out, $5 written, $0.20 read: 0.004 + 0.01 + 0.01 + 0.02.
	require.Equal(t, "0.044000000000", session.Turns[0].Cost.String())
	require.Equal(t, "0.422000000000", session.Turns[0].Uncached.String(), "103,000 tokens at $4 a million and the output")
	require.Equal(t, session.Turns[2].Cost, session.Turns[2].Uncached, "nothing of it was cached")
	require.Zero(t, session.Turns[3].Uncached, "an error costs nothing either way")
	require.Equal(t, "0.452000000000", session.Turns[4].Uncached.String(), "searches stay as they were")
	require.Equal(t, "0.176000000000", session.Spend.Cost.String())
	require.Equal(t, "1.310000000000", session.Spend.Uncached.String())
	require.EqualValues(t, 1, session.Spend.Errors)
	require.EqualValues(t, 300_000, session.Spend.Tokens[usage.ClassCacheRead])
	require.Equal(t, "0.060000000000", session.Spend.Classes[usage.ClassCacheRead].String())
	var tree strings.Builder
	for _, a := range session.Agents {
		fmt.Fprintf(&tree, "%d%s:%d ", a.Depth, a.ID, a.Spend.Turns)
	}
	require.Equal(t, "0:3 1a:1 2b:1 ", tree.String())
	require.Equal(t, "subagent", session.Agents[1].Class)

	// Who sees a subtree sees its part; a developer the own; others nothing.
	owner := h.member(t, h.one, app.RoleBudgetOwner, "CC-3")
	session, found, err = h.reports.Session(t.Context(), owner, "s")
	require.NoError(t, err)
	require.True(t, found)
	require.Len(t, session.Turns, 1)
	require.Equal(t, "0.074000000000", session.Spend.Cost.String())
	for _, who := range []app.Actor{h.member(t, h.one, app.RoleDeveloper, ""), h.member(t, h.one, app.RoleBudgetOwner, "CC-2")} {
		_, found, err = h.reports.Session(t.Context(), who, "s")
		require.NoError(t, err)
		require.False(t, found)
	}
	for _, name := range []string{"", "none", "' or true --"} {
		_, found, err = h.reports.Session(t.Context(), h.one.who, name)
		require.NoError(t, err)
		require.False(t, found, name)
	}
	_, _, err = h.reports.Session(t.Context(), app.Actor{Tenant: h.one.tenant, Kind: app.ActorToken}, "s")
	require.ErrorIs(t, err, app.ErrNotAllowed)
}

func TestASplitTurnCountsForItsShare(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.flush(t, h.one, h.one.event(november(3), "CC-1", inSession("s", "", ""), cached, func(e *usage.Event) {
		e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 250_000}, {Placement: h.one.places["CC-3"], PPM: 750_000}}
	}))
	owner := h.member(t, h.one, app.RoleBudgetOwner, "CC-3")
	session, _, err := h.reports.Session(t.Context(), owner, "s")
	require.NoError(t, err)
	require.Equal(t, [2]string{"0.033000000000", "0.316500000000"}, [2]string{session.Spend.Cost.String(), session.Spend.Uncached.String()})
	page, err := h.reports.Sessions(t.Context(), owner, app.RequestFilter{})
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	require.Equal(t, "0.033000000000", page.Rows[0].Amount.String())
	page, err = h.reports.Sessions(t.Context(), h.one.who, app.RequestFilter{})
	require.NoError(t, err)
	require.Equal(t, "0.044000000000", page.Rows[0].Amount.String())
}

// TestPagingSessionsListsEachOnce pages through sessions whose requests are interleaved,
// so that each is met again on later pages.
func TestPagingSessionsListsEachOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	var events []usage.Event
	for i := range 120 {
		code := "CC-1"
		if i%3 == 0 {
			code = "CC-3"
		}
		events = append(events, h.one.event(november(1).Add(time.Duration(i)*time.Hour), code, inSession(fmt.Sprintf("s-%02d", i*7%20), "", ""), h.declared(t, h.one, "ada@one.test")))
	}
	events = append(events, h.one.event(november(9), "CC-1", inSession("", "", ""))) // belongs to none
	h.flush(t, h.one, events...)
	for name, c := range map[string]struct {
		filter app.RequestFilter
		want   int
	}{
		"all": {app.RequestFilter{}, 20}, "of a node": {app.RequestFilter{NodeCode: "BU-2"}, 20}, "of a developer": {app.RequestFilter{Developer: "ada@one.test"}, 20},
		"of nobody": {app.RequestFilter{Developer: app.Undeclared}, 0}, "of a day": {app.RequestFilter{From: november(1), To: november(1).Add(5 * time.Hour)}, 5},
	} {
		for _, size := range []int{1, 6, 19, 20, 21} {
			seen := map[string]bool{}
			var last time.Time
			f := c.filter
			f.Limit = size
			for {
				page, err := h.reports.Sessions(t.Context(), h.one.who, f)
				require.NoError(t, err)
				require.LessOrEqual(t, len(page.Rows), size)
				for i := range page.Rows {
					s := &page.Rows[i]
					require.False(t, seen[s.ID], "%s: %s is listed twice", name, s.ID)
					seen[s.ID] = true
					require.EqualValues(t, 6, s.Requests, "the figures are the session's, not the filter's")
					require.Equal(t, "ada@one.test", s.Developer)
					require.True(t, name != "all" || last.IsZero() || s.LastAt.Before(last), "latest first")
					last = s.LastAt
				}
				if f.Cursor = page.Next; f.Cursor == "" {
					break
				}
			}
			require.Len(t, seen, c.want, "%s by %d", name, size)
		}
	}
}
