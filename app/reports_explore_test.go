package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/usage"
)

// question is the first week of November by something, in dollars.
func question(by, and string, set ...func(*app.Exploration)) app.Exploration {
	e := app.Exploration{By: by, And: and, Measure: app.MeasureDollars, Level: 1, From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 8, 0, 0, 0, 0, time.UTC)}
	for _, s := range set {
		s(&e)
	}
	return e
}

func (h *house) explore(t *testing.T, who app.Actor, e app.Exploration) app.ExploreTable {
	t.Helper()
	table, err := h.reports.Explore(t.Context(), who, e)
	require.NoError(t, err)
	return table
}

// flat prints a table's cells that hold something.
func flat(table *app.ExploreTable) string {
	var out strings.Builder
	for i, row := range table.Rows {
		for j, column := range table.Columns {
			cell := &table.Cells[i][j]
			if cell.Charge.Sign() != 0 || cell.AllTokens != 0 || cell.Requests != 0 {
				fmt.Fprintf(&out, "%s|%s %s %d %d; ", row.Label, column.Label, strings.TrimRight(cell.Charge.String(), "0"), cell.AllTokens, cell.Requests)
			}
		}
	}
	return out.String()
}

// spend flushes a week with every kind of request there is to explore.
func (h *house) spend(t *testing.T) {
	t.Helper()
	require.NoError(t, h.views.DeclareTags(t.Context(), h.one.who, []string{"team", " ", "team"}, "to group by"))
	other, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "second", CostCenter: "CC-3"}, "x")
	require.NoError(t, err)
	ada := h.declared(t, h.one, "ada@one.test")
	h.flush(t, h.one,
		h.one.event(november(1), "CC-1", ada, func(e *usage.Event) { e.Tags = map[string]string{"team": "vision"} }),
		h.one.event(november(2), "P-1", ada, cached),
		h.one.event(november(2), "CC-3", func(e *usage.Event) { e.Key, e.Counts.Model = other.ID, "claude-haiku-4-5" }),
		h.one.event(november(3), "CC-3", func(e *usage.Event) { e.State, e.Counts = usage.StateError, usage.Counts{} }),
		h.one.event(november(4), "CC-2", ada, func(e *usage.Event) {
			e.Counts.WebSearches, e.Counts.Tokens = 1, usage.Tokens{1001, 333, 7}
			e.Shares = []usage.Share{{Placement: h.one.places["CC-2"], PPM: 333_333}, {Placement: h.one.places["CC-3"], PPM: 666_667}}
		}),
		h.one.event(november(9), "CC-1"), // after the week
	)
	h.flush(t, h.two, h.two.event(november(2), "CC-1", h.declared(t, h.two, "ada@one.test")))
}

func TestExploringByAnyTwoThings(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.spend(t)
	for name, c := range map[string]struct {
		question app.Exploration
		want     string
		requests bool
	}{
		"node": {question(app.DimensionNode, ""), "BU-1 Unit 1| 0.064899659767 105447 3; BU-2 Unit 2| 0.017299340233 2394 2; ", false},
		"node at the second level": {
			question(app.DimensionNode, "", func(e *app.Exploration) { e.Level = 2 }),
			"CC-1 Center 1| 0.058 105000 2; CC-3 Center 3| 0.017299340233 2394 2; CC-2 Center 2| 0.006899659767 447 1; ", false,
		},
		"each node itself": {
			question(app.DimensionNode, "", func(e *app.Exploration) { e.Level = 0 }),
			"P-1 Project 1| 0.044 103500 1; CC-3 Center 3| 0.017299340233 2394 2; CC-1 Center 1, itself| 0.014 1500 1; CC-2 Center 2| 0.006899659767 447 1; ", false,
		},
		"day and model": {
			question(app.DimensionDay, app.DimensionModel),
			"1 Nov 2026|claude-opus-5-5 0.014 1500 1; 2 Nov 2026|claude-opus-5-5 0.044 103500 1; 2 Nov 2026|claude-haiku-4-5 0.0035 1500 1; 3 Nov 2026|claude-opus-5-5 0. 0 1; 4 Nov 2026|claude-opus-5-5 0.020699 1341 1; ", false,
		},
		"week":            {question(app.DimensionWeek, ""), "Week of 26 Oct 2026| 0.014 1500 1; Week of 2 Nov 2026| 0.068199 106341 4; ", false},
		"month":           {question(app.DimensionMonth, ""), "November 2026| 0.082199 107841 5; ", false},
		"project":         {question(app.DimensionProject, ""), "P-1 Project 1| 0.044 103500 1; On no project| 0.038199 4341 4; ", false},
		"developer":       {question(app.DimensionDeveloper, ""), "ada@one.test| 0.078699 106341 3; Undeclared| 0.0035 1500 2; ", false},
		"developer, node": {question(app.DimensionDeveloper, app.DimensionNode), "ada@one.test|BU-1 Unit 1 0.064899659767 105447 3; ada@one.test|BU-2 Unit 2 0.013799340233 894 0; Undeclared|BU-2 Unit 2 0.0035 1500 2; ", false},
		"developer, key":  {question(app.DimensionDeveloper, app.DimensionKey), "ada@one.test|laptop 0.078699 106341 3; Undeclared|laptop 0. 0 1; Undeclared|second 0.0035 1500 1; ", true},
		"tag":             {question("tag:team", ""), "Without this tag| 0.068199 106341 4; vision| 0.014 1500 1; ", true},
		"tag by node":     {question("tag:team", app.DimensionNode), "Without this tag|BU-1 Unit 1 0.050899659767 103947 2; Without this tag|BU-2 Unit 2 0.017299340233 2394 2; vision|BU-1 Unit 1 0.014 1500 1; ", true},
		"class": {
			question(app.DimensionClass, ""),
			"output| 0.02916 1833 0; cache_read| 0.02 100000 0; input| 0.013004 4001 0; cache_write_5m| 0.010035 2007 0; Server tools and inner steps| 0.01 0 0; ", true,
		},
		"tokens by class": {
			question(app.DimensionClass, app.DimensionKey, func(e *app.Exploration) { e.Measure = app.MeasureTokens }),
			"", false,
		},
		"one node's top": {question(app.DimensionNode, "", func(e *app.Exploration) { e.NodeCode = "CC-1" }), "CC-1 Center 1| 0.058 105000 2; ", false},
		"one node":       {question(app.DimensionKey, "", func(e *app.Exploration) { e.NodeCode = "CC-3" }), "laptop| 0.013799340233 894 1; second| 0.0035 1500 1; ", false},
		"one developer":  {question(app.DimensionModel, "", func(e *app.Exploration) { e.Developer = "ada@one.test" }), "claude-opus-5-5| 0.078699 106341 3; ", true},
		"undeclared":     {question(app.DimensionModel, "", func(e *app.Exploration) { e.Developer = app.Undeclared }), "claude-haiku-4-5| 0.0035 1500 1; claude-opus-5-5| 0. 0 1; ", true},
		"one tag":        {question(app.DimensionModel, "", func(e *app.Exploration) { e.TagKey, e.TagValue = "team", "vision" }), "claude-opus-5-5| 0.014 1500 1; ", true},
	} {
		table := h.explore(t, h.one.who, c.question)
		require.Equal(t, c.requests, table.FromRequests, name)
		if c.want != "" {
			require.Equal(t, c.want, flat(&table), name)
		}
		var sum app.ExploreCell
		for i := range table.Rows {
			sum.Requests += table.RowTotals[i].Requests
			sum.Charge.AddSum(&table.RowTotals[i].Charge)
		}
		require.Equal(t, table.Total.Charge.String(), sum.Charge.String(), name)
		size, err := h.reports.ExploreSize(t.Context(), h.one.who, c.question)
		require.NoError(t, err)
		require.Equal(t, c.requests, size > 0, name)
	}
}

// TestBothWaysOfExploringAgree asks the same of the rollups and of every request: a
// filter that keeps all sends the question to the requests.
func TestBothWaysOfExploringAgree(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.spend(t)
	h.flush(t, h.one, h.one.event(november(5), "CC-1", h.declared(t, h.one, "bob@one.test"), func(e *usage.Event) { e.Tags = map[string]string{"all": "x"} }))
	for _, and := range []string{app.DimensionNode, app.DimensionModel, app.DimensionKey, app.DimensionProject, app.DimensionNone} {
		rollups := h.explore(t, h.one.who, question(app.DimensionDay, and, func(e *app.Exploration) { e.Measure = app.MeasureTokens }))
		require.False(t, rollups.FromRequests)
		classes := h.explore(t, h.one.who, question(app.DimensionDay, app.DimensionClass))
		require.True(t, classes.FromRequests)
		require.Equal(t, rollups.Total.Charge.String(), classes.Total.Charge.String())
		require.Equal(t, rollups.Total.AllTokens, classes.Total.AllTokens)
	}
	// By placement, both take split requests apart alike.
	rollups := h.explore(t, h.one.who, question(app.DimensionNode, app.DimensionDeveloper, func(e *app.Exploration) { e.Level = 0 }))
	requests := h.explore(t, h.one.who, question(app.DimensionNode, app.DimensionDeveloper, func(e *app.Exploration) { e.Level, e.Measure = 0, app.MeasureErrors }))
	require.False(t, rollups.FromRequests)
	require.True(t, requests.FromRequests)
	amounts := func(table *app.ExploreTable) map[string]string {
		all := map[string]string{}
		for i, row := range table.Rows {
			for j, column := range table.Columns {
				all[row.Label+"/"+column.Label] = fmt.Sprint(table.Cells[i][j].Charge.String(), table.Cells[i][j].AllTokens, table.Cells[i][j].Requests)
			}
		}
		return all
	}
	require.Equal(t, amounts(&rollups), amounts(&requests))
}

func TestWhoExploresWhat(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.spend(t)
	owner, developer := h.member(t, h.one, app.RoleBudgetOwner, "CC-3"), h.member(t, h.one, app.RoleDeveloper, "")
	developer.Developer = h.developer(t, h.one, "ada@one.test")
	for _, and := range []string{app.DimensionNone, "tag:team"} {
		table := h.explore(t, owner, question(app.DimensionNode, and))
		require.Len(t, table.Rows, 1)
		require.Equal(t, "CC-3 Center 3", table.Rows[0].Label, "nothing above one's own is named")
		require.Equal(t, "0.017299340233", table.Total.Charge.String(), "%s", and)
	}
	table := h.explore(t, developer, question(app.DimensionModel, ""))
	require.Equal(t, "claude-opus-5-5| 0.078699 106341 3; ", flat(&table))
	table = h.explore(t, developer, question(app.DimensionDeveloper, ""))
	require.Equal(t, "ada@one.test| 0.078699 106341 3; ", flat(&table), "nobody else's, and nothing undeclared")
	_, err := h.reports.Explore(t.Context(), developer, question(app.DimensionModel, "", func(e *app.Exploration) { e.Developer = "bob@one.test" }))
	require.ErrorIs(t, err, app.ErrNotAllowed)
	developer.Developer = id.Developer{}
	table = h.explore(t, developer, question(app.DimensionNode, ""))
	require.Empty(t, table.Rows)
	_, err = h.reports.Explore(t.Context(), app.Actor{Tenant: h.one.tenant, Kind: app.ActorToken}, question(app.DimensionNode, ""))
	require.ErrorIs(t, err, app.ErrNotAllowed)
	table = h.explore(t, h.two.who, question(app.DimensionDeveloper, ""))
	require.Equal(t, "ada@one.test| 0.014 1500 1; ", flat(&table))
}

func TestAQuestionThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.spend(t)
	for code, list := range map[string][]app.Exploration{
		"dimension_unknown": {question("mood", ""), question("", ""), question(app.DimensionNode, "mood"), question("tag:color", ""), question("tag:", "")},
		"dimension_twice":   {question(app.DimensionNode, app.DimensionNode), question(app.DimensionDay, app.DimensionWeek), question("tag:team", "tag:team")},
		"measure_unknown":   {question(app.DimensionNode, "", func(e *app.Exploration) { e.Measure = "joy" })},
		"measure_by_class":  {question(app.DimensionClass, "", func(e *app.Exploration) { e.Measure = app.MeasureErrors })},
		"level_range":       {question(app.DimensionNode, "", func(e *app.Exploration) { e.Level = -1 }), question(app.DimensionNode, "", func(e *app.Exploration) { e.Level = 99 })},
		"explore_range": {
			question(app.DimensionNode, "", func(e *app.Exploration) { e.To = e.From }), question(app.DimensionNode, "", func(e *app.Exploration) { e.To = e.From.AddDate(2, 0, 0) }),
		},
		"node_absent": {question(app.DimensionNode, "", func(e *app.Exploration) { e.NodeCode = "nobody" })},
	} {
		for _, e := range list {
			_, err := h.reports.Explore(t.Context(), h.one.who, e)
			require.Equal(t, code, fault.From(err).Code, "%+v", e)
		}
	}
}

// TestSmallGroupsAreJoined explores more models than a table shows.
func TestSmallGroupsAreJoined(t *testing.T) {
	t.Parallel()
	h := build(t)
	var events []usage.Event
	for i := range 60 {
		events = append(events, h.one.event(november(1), "CC-1", func(e *usage.Event) {
			e.Counts.Model, e.Counts.Tokens = fmt.Sprintf("model-%02d", i), usage.Tokens{int64(1000 - i)}
		}))
	}
	h.flush(t, h.one, events...)
	rows := h.explore(t, h.one.who, question(app.DimensionModel, "", func(e *app.Exploration) { e.Measure = app.MeasureTokens }))
	require.Len(t, rows.Rows, 51)
	require.Equal(t, "model-00", rows.Rows[0].Label)
	require.True(t, rows.Rows[50].Rest)
	require.EqualValues(t, 10, rows.RowTotals[50].Requests)
	columns := h.explore(t, h.one.who, question(app.DimensionDay, app.DimensionModel, func(e *app.Exploration) { e.Measure = app.MeasureTokens }))
	require.Len(t, columns.Columns, 7)
	require.EqualValues(t, 54, columns.Totals[6].Requests)
	require.EqualValues(t, 60, columns.Total.Requests)
}
