package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
)

func center(code, parent string) app.NewNode {
	return app.NewNode{Code: code, Name: code, Kind: "cost_center", ParentCode: parent, Capitalization: "expense"}
}

func codes(list []app.NodeView) string {
	var all []string
	for _, v := range list {
		all = append(all, v.Code)
	}
	return strings.Join(all, " ")
}

func (h *house) list(t *testing.T, who app.Actor, asOf time.Time) string {
	t.Helper()
	list, err := h.nodes.List(t.Context(), who, asOf)
	require.NoError(t, err)
	return codes(list)
}

func TestNodesAreListedParentsFirstWithTheirPath(t *testing.T) {
	t.Parallel()
	h := build(t)
	list, err := h.nodes.List(t.Context(), h.one.who, time.Time{})
	require.NoError(t, err)
	require.Equal(t, "BU-1 CC-1 P-1 CC-2 BU-2 CC-3 SUSPENSE", codes(list))
	require.Equal(t, "BU-1 / CC-1 / P-1", list[2].Path)
	require.Equal(t, "CC-1", list[2].ParentCode)
	require.Equal(t, 2, list[2].Depth)
	require.Equal(t, "", h.list(t, h.one.who, founded().Add(-time.Microsecond)))
	require.Equal(t, "BU-1 CC-1 P-1 CC-2 BU-2 CC-3 SUSPENSE", h.list(t, h.one.who, founded()))
}

func TestANodeIsRefusedWithoutAPlaceInTheTree(t *testing.T) {
	t.Parallel()
	h := build(t)
	before := h.contents(t)
	deep := []app.NewNode{center("D-0", "CC-1")}
	for i := range 32 {
		deep = append(deep, center(fmt.Sprintf("D-%d", i+1), fmt.Sprintf("D-%d", i)))
	}
	for name, c := range map[string]struct {
		code  string
		nodes []app.NewNode
	}{
		"none":                  {"nodes_count", nil},
		"too many":              {"nodes_count", make([]app.NewNode, 5001)},
		"taken":                 {"code_taken", []app.NewNode{center("CC-1", "")}},
		"twice at once":         {"code_taken", []app.NewNode{center("N", ""), center("N", "CC-1")}},
		"child before parent":   {"parent_absent", []app.NewNode{center("B", "A"), center("A", "")}},
		"its own parent":        {"parent_absent", []app.NewNode{center("A", "A")}},
		"a circle of new nodes": {"parent_absent", []app.NewNode{center("A", "B"), center("B", "A")}},
		"too deep":              {"tree_cycle", deep},
		"bad code":              {"code_syntax", []app.NewNode{center("a b", "")}},
		"NUL in the name":       {"row_refused", []app.NewNode{{Code: "A", Name: "a\x00b", Kind: "cost_center", Capitalization: "expense"}}},
		"bytes in the entity":   {"row_refused", []app.NewNode{{Code: "A", Name: "a", Entity: "\xff", Kind: "cost_center", Capitalization: "expense"}}},
		"bad kind":              {"kind_unknown", []app.NewNode{{Code: "A", Name: "a", Kind: "team", Capitalization: "expense"}}},
		"other tenant's parent": {"parent_absent", []app.NewNode{center("A", h.text(t, `select 'nod_' || replace(node_id::text, '-', '') from node where tenant_id = $1 limit 1`, h.two.tenant))}},
	} {
		err := h.nodes.Create(t.Context(), h.one.who, c.nodes, november(1), "x")
		require.Equal(t, c.code, fault.From(err).Code, name)
		require.Equal(t, fault.KindInvalid, fault.KindOf(err), name)
	}
	require.Equal(t, before, h.contents(t))
}

// TestAFutureNodeIsInternedForItsInstant creates a node ahead of time: it is not in
// the tree before, and its placement waits for the first charge after.
func TestAFutureNodeIsInternedForItsInstant(t *testing.T) {
	t.Parallel()
	h := build(t)
	december := november(31)
	require.NoError(t, h.nodes.Create(t.Context(), h.one.who, []app.NewNode{center("CC-F", "BU-1")}, december, "next month"))
	require.NotContains(t, h.list(t, h.one.who, time.Time{}), "CC-F")
	require.NotContains(t, h.list(t, h.one.who, december.Add(-time.Microsecond)), "CC-F")
	require.Contains(t, h.list(t, h.one.who, december), "CC-F")
	require.NotContains(t, h.list(t, h.two.who, december), "CC-F")
	place := h.placements(t, h.one.tenant)["CC-F"]
	require.False(t, place.IsZero())
	h.one.places["CC-F"] = place
	require.Equal(t, 1, h.flush(t, h.one, h.one.event(december.Add(time.Hour), "CC-F")))
	// A child can be created for a future parent only from when the parent is.
	err := h.nodes.Create(t.Context(), h.one.who, []app.NewNode{center("CC-G", "CC-F")}, december.Add(-time.Hour), "too early")
	require.Equal(t, "parent_absent", fault.From(err).Code)
	// The code is taken from then on, so it cannot begin earlier and stay open.
	err = h.nodes.Create(t.Context(), h.one.who, []app.NewNode{center("CC-F", "BU-2")}, november(1), "same code, earlier")
	require.Equal(t, "code_taken", fault.From(err).Code)
}

// TestAClockThatStepsBackCannotBreakTheTree creates the same code from a process
// whose clock is behind: what is recorded already counts, whatever the clock says.
func TestAClockThatStepsBackCannotBreakTheTree(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.nodes.Create(t.Context(), h.one.who, []app.NewNode{center("CC-9", "BU-1")}, november(1), "first"))
	h.clock.add(-time.Hour)
	err := h.nodes.Create(t.Context(), h.one.who, []app.NewNode{center("CC-9", "BU-2")}, november(1), "again")
	require.Equal(t, "code_taken", fault.From(err).Code)
	require.NoError(t, h.nodes.Create(t.Context(), h.one.who, []app.NewNode{center("CC-10", "CC-9")}, november(1), "below it"))
	_, err = h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "k", CostCenter: "CC-9"}, "a key on it")
	require.NoError(t, err)
	require.Contains(t, h.list(t, h.one.who, november(2)), "BU-1 CC-1 P-1 CC-2 CC-9 CC-10 BU-2")
}

func TestOneCodeCreatedByManyAtOnceExistsOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	var all sync.WaitGroup
	results := make([]error, 6)
	for i := range results {
		all.Go(func() {
			results[i] = h.nodes.Create(t.Context(), h.one.who, []app.NewNode{center("CC-9", "BU-1")}, november(1), "race")
		})
	}
	all.Wait()
	made := 0
	for _, err := range results {
		if err == nil {
			made++
			continue
		}
		require.Equal(t, "code_taken", fault.From(err).Code)
	}
	require.Equal(t, 1, made)
	require.EqualValues(t, 1, h.number(t, `select count(*) from node_version where code = 'CC-9'`))
}

func TestABudgetOwnerReadsAndCreatesOnlyBelowTheirNode(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.member(t, h.one, app.RoleBudgetOwner, "CC-1")
	require.Equal(t, "CC-1 P-1", h.list(t, owner, time.Time{}))
	create := func(nodes ...app.NewNode) error {
		return h.carries(t, owner, app.AskNodes(nodes, time.Time{}, "mine"))
	}
	require.ErrorIs(t, h.nodes.Create(t.Context(), owner, []app.NewNode{center("CC-1a", "CC-1")}, time.Time{}, "alone"), app.ErrMustPropose)
	require.NoError(t, create(center("CC-1a", "CC-1"), center("CC-1b", "CC-1a")))
	before := h.contents(t)
	for _, nodes := range [][]app.NewNode{{center("X", "BU-1")}, {center("X", "CC-2")}, {center("X", "")}, {center("Y", "P-1"), center("X", "BU-2")}} {
		require.Equal(t, "parent_absent", codeOf(create(nodes...)), "what is not theirs looks absent")
	}
	require.Equal(t, before, h.contents(t))
	stranger := owner
	stranger.Grants = []app.Grant{{Role: app.RoleBudgetOwner, Node: id.NewNode(founded())}}
	require.Equal(t, "", h.list(t, stranger, time.Time{}))
}
