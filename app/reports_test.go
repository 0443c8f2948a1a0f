package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
)

func (h *house) requests(t *testing.T, who app.Actor, f app.RequestFilter) []app.Request {
	t.Helper()
	page, err := h.reports.Requests(t.Context(), who, f)
	require.NoError(t, err)
	return page.Rows
}

func TestARequestIsShownWithItsWholeStory(t *testing.T) {
	t.Parallel()
	h := build(t)
	e := h.one.event(november(2), "CC-1", h.declared(t, h.one, "ada@one.test"), func(e *usage.Event) {
		e.MessageID, e.AgentID, e.Rule, e.Snapshot, e.Tags, e.Flags = "msg_1", "agent", "project", 7, map[string]string{"team": "x"}, []string{"noted"}
		e.Counts.WebSearches = 2
		e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 1}, {Placement: h.one.places["P-1"], PPM: usage.Whole - 1}}
	})
	h.flush(t, h.one, e)
	one := h.requests(t, h.one.who, app.RequestFilter{})[0]
	require.Equal(t, e.ID, one.ID)
	require.Equal(t, november(2), one.OccurredAt)
	require.Equal(t, "complete ada@one.test laptop project", one.State+" "+one.Developer+" "+one.KeyLabel+" "+one.Rule)
	require.Equal(t, "0.034000000000", one.Amount.String())
	require.Equal(t, map[string]string{"team": "x"}, one.Tags)
	require.Equal(t, []string{"noted"}, one.Flags)
	require.Len(t, one.Allocations, 2)
	require.Equal(t, "BU-1 / CC-1 P-1", one.Allocations[0].Path+" "+one.Allocations[1].Code)
	require.Equal(t, money.Pico(34_000), one.Allocations[0].Amount)
	require.Equal(t, one.Amount, one.Allocations[0].Amount+one.Allocations[1].Amount)
	var charges money.Sum
	for _, c := range one.Charges {
		charges.Add(c.Amount)
	}
	require.Equal(t, one.Amount.String(), charges.String())
	require.Equal(t, app.ClassCharge{Class: "web_search", Quantity: 2, Rate: 10_000_000_000, Amount: 20_000_000_000}, one.Charges[len(one.Charges)-1])
}

func TestEveryFilterNarrows(t *testing.T) {
	t.Parallel()
	h := build(t)
	second, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "second", CostCenter: "CC-3"}, "x")
	require.NoError(t, err)
	events := []usage.Event{
		h.one.event(november(1), "CC-1", h.declared(t, h.one, "ada@one.test"), func(e *usage.Event) { e.SessionID, e.Tags = "s-1", map[string]string{"team": "vision"} }),
		h.one.event(november(2), "P-1", func(e *usage.Event) { e.Counts.Model, e.Tags = "claude-opus-5", map[string]string{"team": "sound"} }),
		h.one.event(november(3), "CC-3", func(e *usage.Event) { e.Key, e.State, e.Counts = second.ID, usage.StateError, usage.Counts{} }),
		h.one.event(november(4), "CC-3", func(e *usage.Event) {
			e.State = usage.StateEstimated
			e.Shares = []usage.Share{{Placement: h.one.places["CC-3"], PPM: 1}, {Placement: h.one.places["CC-2"], PPM: usage.Whole - 1}}
		}),
	}
	h.flush(t, h.one, events...)
	h.flush(t, h.two, h.two.event(november(1), "CC-1", h.declared(t, h.two, "ada@one.test"), func(e *usage.Event) { e.SessionID, e.RequestID = "s-1", events[0].RequestID }))
	ada := h.developer(t, h.one, "ada@one.test")
	center := h.text(t, `select 'nod_' || replace(node_id::text, '-', '') from node_version where tenant_id = $1 and code = 'CC-1'`, h.one.tenant)
	for name, c := range map[string]struct {
		filter app.RequestFilter
		want   []int // of events, newest first
	}{
		"none":                {app.RequestFilter{}, []int{3, 2, 1, 0}},
		"from is inclusive":   {app.RequestFilter{From: november(3)}, []int{3, 2}},
		"to is exclusive":     {app.RequestFilter{To: november(3)}, []int{1, 0}},
		"between":             {app.RequestFilter{From: november(2), To: november(2).Add(time.Millisecond)}, []int{1}},
		"node and below":      {app.RequestFilter{NodeCode: "CC-1"}, []int{1, 0}},
		"node by id":          {app.RequestFilter{NodeCode: center}, []int{1, 0}},
		"unit":                {app.RequestFilter{NodeCode: "BU-1"}, []int{3, 1, 0}},
		"a node of a split":   {app.RequestFilter{NodeCode: "CC-2"}, []int{3}},
		"key":                 {app.RequestFilter{Key: second.ID}, []int{2}},
		"another's key":       {app.RequestFilter{Key: h.two.key.ID}, nil},
		"developer's label":   {app.RequestFilter{Developer: "ADA@one.test"}, []int{0}},
		"developer's id":      {app.RequestFilter{Developer: ada.String()}, []int{0}},
		"undeclared":          {app.RequestFilter{Developer: app.Undeclared}, []int{3, 2, 1}},
		"nobody's label":      {app.RequestFilter{Developer: "x"}, nil},
		"model":               {app.RequestFilter{Model: "claude-opus-5"}, []int{1}},
		"requested model":     {app.RequestFilter{Model: "claude-opus-5-5"}, []int{3, 2, 0}},
		"session":             {app.RequestFilter{Session: "s-1"}, []int{0}},
		"request id":          {app.RequestFilter{RequestID: events[2].RequestID}, []int{2}},
		"event":               {app.RequestFilter{Event: events[1].ID}, []int{1}},
		"state":               {app.RequestFilter{State: "error"}, []int{2}},
		"provisional":         {app.RequestFilter{State: app.Provisional}, []int{3}},
		"all of them":         {app.RequestFilter{From: november(1), To: november(2), NodeCode: "CC-1", Key: h.one.key.ID, Developer: "ada@one.test", Session: "s-1", State: "complete"}, []int{0}},
		"a tag":               {app.RequestFilter{TagKey: "team"}, []int{1, 0}},
		"a tag's value":       {app.RequestFilter{TagKey: "team", TagValue: "vision"}, []int{0}},
		"a tag nobody has":    {app.RequestFilter{TagKey: "team' or true --"}, nil},
		"at least":            {app.RequestFilter{Min: pico("0.014000000001")}, []int{1}},
		"at most":             {app.RequestFilter{Max: pico("0")}, []int{2}},
		"dearest":             {app.RequestFilter{Order: app.Dearest}, []int{1, 3, 0}},
		"dearest of a node":   {app.RequestFilter{Order: app.Dearest, NodeCode: "CC-1"}, []int{1, 0}},
		"key and model":       {app.RequestFilter{Key: h.one.key.ID, Model: "claude-opus-5"}, []int{1}},
		"developer and model": {app.RequestFilter{Developer: "ada@one.test", Model: "claude-opus-5"}, nil},
		"failed below a node": {app.RequestFilter{State: "error", NodeCode: "BU-2"}, []int{2}},
		"a quote in the text": {app.RequestFilter{Session: "' or true --"}, nil},
	} {
		var got, want []id.Event
		for _, r := range h.requests(t, h.one.who, c.filter) {
			got = append(got, r.ID)
		}
		for _, i := range c.want {
			want = append(want, events[i].ID)
		}
		require.Equal(t, want, got, name)
	}
}

func pico(text string) *money.Pico {
	p, err := money.ParsePico(text)
	if err != nil {
		panic(err)
	}
	return &p
}

func TestAFilterThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.flush(t, h.one, h.one.event(november(1), "CC-1"))
	e := id.NewEvent(november(1)).String()
	for code, filters := range map[string][]app.RequestFilter{
		"node_absent":   {{NodeCode: "nobody"}, {NodeCode: "nod_00000000000000000000000000000000"}, {NodeCode: "a\x00b"}},
		"state_unknown": {{State: "done"}, {State: "complete,error"}},
		"cursor_syntax": {
			{Order: app.Dearest, Cursor: "2026-11-01T00:00:00Z_" + e}, {Order: app.Dearest, Cursor: "x_2026-11-01T00:00:00Z_" + e}, {Order: app.Dearest, Cursor: "1"},
			{Cursor: "x"}, {Cursor: "_"}, {Cursor: e}, {Cursor: "2026-11-01T00:00:00Z"}, {Cursor: "2026-11-01T00:00:00Z_"}, {Cursor: "yesterday_" + e},
			{Cursor: "2026-11-01T00:00:00Z_evt_x"}, {Cursor: "2026-11-01T00:00:00Z_evt_00000000000000000000000000000000"}, {Cursor: "2026-11-01T00:00:00Z_" + e + "_x"},
		},
		"order_unknown": {{Order: "cheapest"}},
		"range_empty":   {{Min: pico("2"), Max: pico("1")}},
		"row_refused":   {{Session: "a\x00b"}, {RequestID: "\xff"}},
	} {
		for _, f := range filters {
			_, err := h.reports.Requests(t.Context(), h.one.who, f)
			require.Equal(t, code, fault.From(err).Code, "%+v", f)
			require.Equal(t, fault.KindInvalid, fault.KindOf(err))
		}
	}
	for _, limit := range []int{-5, 0, 1 << 40} {
		require.Len(t, h.requests(t, h.one.who, app.RequestFilter{Limit: limit}), 1)
	}
}

// TestPagingVisitsEveryRowOnce pages through many requests of the same millisecond
// while others arrive in front.
func TestPagingVisitsEveryRowOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	var events []usage.Event
	for i := range 45 {
		events = append(events, h.one.event(november(1).Add(time.Duration(i/9)*time.Millisecond), "CC-1"))
	}
	h.flush(t, h.one, events...)
	for _, size := range []int{1, 7, 9, 44, 45, 46} {
		seen := map[id.Event]int{}
		cursor, pages := "", 0
		for {
			page, err := h.reports.Requests(t.Context(), h.one.who, app.RequestFilter{Limit: size, Cursor: cursor, To: november(2)})
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Rows), size)
			for _, r := range page.Rows {
				seen[r.ID]++
			}
			pages++
			if cursor = page.Next; cursor == "" {
				break
			}
			h.flush(t, h.one, h.one.event(november(3), "CC-1"))
		}
		require.Equal(t, (len(events)+size-1)/size, pages, "no empty last page")
		require.Len(t, seen, len(events))
		for _, e := range events {
			require.Equal(t, 1, seen[e.ID])
		}
	}
}

// TestDearestPagesVisitEveryChargedRowOnce pages through requests of few different
// charges, some of which cost nothing.
func TestDearestPagesVisitEveryChargedRowOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	var events []usage.Event
	for i := range 45 {
		events = append(events, h.one.event(november(1+i%5).Add(time.Duration(i/9)*time.Millisecond), "CC-1", func(e *usage.Event) { e.Counts.Tokens = usage.Tokens{int64(i % 4)} }))
	}
	h.flush(t, h.one, events...)
	var seen []app.Request
	cursor := ""
	for {
		page, err := h.reports.Requests(t.Context(), h.one.who, app.RequestFilter{Limit: 7, Cursor: cursor, Order: app.Dearest})
		require.NoError(t, err)
		seen = append(seen, page.Rows...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	charged := 0
	for i := range events {
		if events[i].Counts.Tokens[0] > 0 {
			charged++
		}
	}
	require.Len(t, seen, charged)
	known := map[id.Event]bool{}
	for i := range seen {
		known[seen[i].ID] = true
		require.True(t, i == 0 || seen[i-1].Amount >= seen[i].Amount)
	}
	require.Len(t, known, charged)
}

// TestAListReadsOnlyTheDaysThatHoldIt asks for what is scattered over many days, for
// pages larger and smaller than a day.
func TestAListReadsOnlyTheDaysThatHoldIt(t *testing.T) {
	t.Parallel()
	h := build(t)
	var events, want []usage.Event
	for i := range 60 {
		at := time.Date(2026, 9, 1, 23, 59, 59, 0, time.UTC).AddDate(0, 0, i)
		e := h.one.event(at, "CC-2")
		if i%7 == 0 || i == 29 {
			e = h.one.event(at, "CC-3", h.declared(t, h.one, "ada@one.test"))
			want = append(want, e)
		}
		events = append(events, e)
	}
	h.flush(t, h.one, events...)
	owner, developer := h.member(t, h.one, app.RoleBudgetOwner, "CC-3"), h.member(t, h.one, app.RoleDeveloper, "")
	developer.Developer = h.developer(t, h.one, "ada@one.test")
	for name, c := range map[string]struct {
		who    app.Actor
		filter app.RequestFilter
	}{
		"a node": {h.one.who, app.RequestFilter{NodeCode: "CC-3"}}, "a subtree": {owner, app.RequestFilter{}}, "one's own": {developer, app.RequestFilter{}},
		"a developer of a node": {h.one.who, app.RequestFilter{NodeCode: "BU-2", Developer: "ada@one.test"}},
	} {
		for _, size := range []int{1, 3, 9, 10, 11} {
			var got []id.Event
			f := c.filter
			f.Limit = size
			for {
				page, err := h.reports.Requests(t.Context(), c.who, f)
				require.NoError(t, err)
				for _, r := range page.Rows {
					got = append(got, r.ID)
				}
				if f.Cursor = page.Next; f.Cursor == "" {
					break
				}
			}
			require.Len(t, got, len(want), name)
			for i, e := range got {
				require.Equal(t, want[len(want)-1-i].ID, e, name)
			}
		}
	}
}

func TestTheStoryOfARequest(t *testing.T) {
	t.Parallel()
	h := build(t)
	at := november(3)
	e := h.one.event(at, "P-1", h.declared(t, h.one, "ada@one.test"), func(e *usage.Event) {
		e.AgentID, e.ParentAgentID, e.RequestClass, e.StopReason, e.Project = "a-2", "a-1", "subagent", "end_turn", "P-1"
		e.Counts.Speed, e.Counts.Geography, e.Counts.Tier = "standard", "global", "standard"
		e.RawUsage = []byte(`{"input_tokens":1000,"output_tokens":500}`)
		e.UpstreamStartedAt, e.FirstByteAt, e.EndedAt = at.Add(time.Millisecond), at.Add(2*time.Millisecond), at.Add(time.Second)
	})
	h.flush(t, h.one, e)
	story, found, err := h.reports.Request(t.Context(), h.one.who, e.ID)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, [9]string{"a-2", "a-1", "subagent", "end_turn", "P-1", "standard", "global", "standard", string(e.RawUsage)},
		[9]string{story.AgentID, story.ParentAgentID, story.Class, story.StopReason, story.Project, story.Speed, story.Geography, story.Tier, string(story.RawUsage)})
	require.Equal(t, [3]time.Time{e.UpstreamStartedAt, e.FirstByteAt, e.EndedAt}, [3]time.Time{story.SentAt, story.FirstByte, story.EndedAt})
	require.False(t, story.Placed)
	placed, err := h.audit.Sequence(t.Context(), h.one.tenant)
	require.NoError(t, err)
	story, _, err = h.reports.Request(t.Context(), h.one.who, e.ID)
	require.NoError(t, err)
	require.True(t, story.Placed)
	require.EqualValues(t, placed-1, story.Sequence)
	require.False(t, story.Record.IsZero())
	require.False(t, story.Batch.IsZero())
	for _, who := range []app.Actor{h.two.who, h.member(t, h.one, app.RoleBudgetOwner, "CC-3"), h.member(t, h.one, app.RoleDeveloper, "")} {
		_, found, err = h.reports.Request(t.Context(), who, e.ID)
		require.NoError(t, err)
		require.False(t, found)
	}
}

func TestWhoSeesWhichRequests(t *testing.T) {
	t.Parallel()
	h := build(t)
	developer, owner := h.member(t, h.one, app.RoleDeveloper, ""), h.member(t, h.one, app.RoleBudgetOwner, "CC-3")
	mine := h.one.event(november(1), "CC-1", h.declared(t, h.one, "Developer@one.test"))
	split := h.one.event(november(2), "CC-1", func(e *usage.Event) {
		e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 400_000}, {Placement: h.one.places["CC-3"], PPM: 600_000}}
	})
	h.flush(t, h.one, mine, h.one.event(november(1), "CC-1", h.declared(t, h.one, "bob@one.test")), split, h.one.event(november(4), "CC-2"))

	rows := h.requests(t, developer, app.RequestFilter{})
	require.Len(t, rows, 1)
	require.Equal(t, mine.ID, rows[0].ID)
	require.Len(t, h.requests(t, developer, app.RequestFilter{Developer: "developer@one.test"}), 1)
	require.Empty(t, h.requests(t, developer, app.RequestFilter{Developer: app.Undeclared}))
	for _, other := range []string{"bob@one.test", h.developer(t, h.one, "bob@one.test").String(), "nobody@one.test"} {
		_, err := h.reports.Requests(t.Context(), developer, app.RequestFilter{Developer: other})
		require.ErrorIs(t, err, app.ErrNotAllowed)
	}
	anonymous := developer
	anonymous.Developer = id.Developer{}
	require.Empty(t, h.requests(t, anonymous, app.RequestFilter{}), "who is nobody's developer has no requests")
	require.Empty(t, h.requests(t, anonymous, app.RequestFilter{Developer: "bob@one.test"}))

	rows = h.requests(t, owner, app.RequestFilter{})
	require.Len(t, rows, 1)
	require.Equal(t, split.ID, rows[0].ID)
	require.Len(t, rows[0].Allocations, 1, "another center's share is not theirs to see")
	require.Equal(t, "CC-3", rows[0].Allocations[0].Code)
	require.Empty(t, h.requests(t, owner, app.RequestFilter{Event: mine.ID}))
	_, err := h.reports.Requests(t.Context(), owner, app.RequestFilter{NodeCode: "CC-1"})
	require.Equal(t, "node_absent", fault.From(err).Code, "what is not theirs looks absent")

	two := owner
	center := h.text(t, `select 'nod_' || replace(node_id::text, '-', '') from node_version where tenant_id = $1 and code = 'CC-2'`, h.one.tenant)
	node, err := id.ParseNode(center)
	require.NoError(t, err)
	two.Grants = append([]app.Grant{{Role: app.RoleBudgetOwner, Node: node}}, owner.Grants...)
	require.Len(t, h.requests(t, two, app.RequestFilter{}), 2, "who has two subtrees sees both")
	sum, err := h.reports.Chargeback(t.Context(), two, period.MonthOf(november(1)), "node", time.Time{})
	require.NoError(t, err)
	require.EqualValues(t, 2, sum.Requests+1, "the split request counts at its first node, which is not theirs")

	_, err = h.reports.Requests(t.Context(), app.Actor{Tenant: h.one.tenant, Kind: app.ActorToken}, app.RequestFilter{})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	require.Empty(t, h.requests(t, h.two.who, app.RequestFilter{}))
}

func TestTheLatestFlushIsToldWithItsPlace(t *testing.T) {
	t.Parallel()
	h := build(t)
	_, found, err := h.reports.Latest(t.Context(), h.one.who)
	require.NoError(t, err)
	require.False(t, found)
	h.flush(t, h.one, h.one.event(november(1), "CC-1"))
	seal, found, err := h.reports.Latest(t.Context(), h.one.who)
	require.NoError(t, err)
	require.True(t, found && !seal.Placed)
	placed, err := h.audit.Sequence(t.Context(), h.one.tenant)
	require.NoError(t, err)
	seal, _, err = h.reports.Latest(t.Context(), h.one.who)
	require.NoError(t, err)
	require.True(t, seal.Placed)
	require.EqualValues(t, placed-1, seal.Sequence)
	_, found, err = h.reports.Latest(t.Context(), h.two.who)
	require.NoError(t, err)
	require.False(t, found)
}
