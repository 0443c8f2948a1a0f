package hierarchy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
)

func at(day int) time.Time { return time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC) }

func version(node, parent id.Node, code string, from time.Time) hierarchy.Version {
	return hierarchy.Version{
		ID: id.NewVersion(from), Node: node, Parent: parent, Code: code, Name: code, Kind: hierarchy.KindCostCenter,
		Capitalization: hierarchy.Expense, EffectiveFrom: from, RecordedAt: from,
	}
}

func TestTreeAsOfAndAsKnown(t *testing.T) {
	t.Parallel()
	a, b, p := id.NewNode(at(1)), id.NewNode(at(1)), id.NewNode(at(1))
	under := version(p, a, "P-1", at(1))
	under.EffectiveTo, under.ClosedAt = at(10), at(8)
	moved := version(p, b, "P-1", at(10))
	moved.RecordedAt = at(8)
	versions := []hierarchy.Version{version(a, id.Node{}, "A", at(1)), version(b, id.Node{}, "B", at(1)), under, moved}

	for _, c := range []struct {
		asOf, known time.Time
		want        string
	}{
		{at(5), at(20), "A / P-1"}, {at(10), at(20), "B / P-1"},
		{at(12), at(7), "A / P-1"}, // on the 7th nobody knew of the move
		{at(12), at(8), "B / P-1"},
	} {
		tree, err := hierarchy.Build(versions, c.asOf, c.known)
		require.NoError(t, err)
		require.Equal(t, c.want, tree.Path(p))
	}
	require.Equal(t, []time.Time{at(5), at(10)}, hierarchy.Instants(versions, at(5)))
}

func TestALaterRecordCorrectsAnEarlierOne(t *testing.T) {
	t.Parallel()
	n := id.NewNode(at(1))
	wrong, right := version(n, id.Node{}, "OLD", at(1)), version(n, id.Node{}, "NEW", at(1))
	right.RecordedAt = at(3)
	tree, err := hierarchy.Build([]hierarchy.Version{wrong, right}, at(2), at(4))
	require.NoError(t, err)
	_, ok := tree.Code("NEW")
	require.True(t, ok)
	_, ok = tree.Code("OLD")
	require.False(t, ok)
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	a, b := id.NewNode(at(1)), id.NewNode(at(1))
	for name, versions := range map[string][]hierarchy.Version{
		"cycle":         {version(a, b, "A", at(1)), version(b, a, "B", at(1))},
		"self":          {version(a, a, "A", at(1))},
		"absent parent": {version(a, b, "A", at(1))},
		"code twice":    {version(a, id.Node{}, "A", at(1)), version(b, id.Node{}, "A", at(1))},
	} {
		_, err := hierarchy.Build(versions, at(2), at(2))
		require.Error(t, err, name)
	}
}

func TestPlacementIsInterned(t *testing.T) {
	t.Parallel()
	a, b := id.NewNode(at(1)), id.NewNode(at(1))
	versions := []hierarchy.Version{version(a, id.Node{}, "A", at(1)), version(b, a, "B", at(1))}
	versions[0].Entity = "US01"
	one, err := hierarchy.Build(versions, at(2), at(2))
	require.NoError(t, err)
	versions[1].Name = "renamed"
	two, err := hierarchy.Build(versions, at(9), at(9))
	require.NoError(t, err)
	p1, err := one.Place(b)
	require.NoError(t, err)
	p2, err := two.Place(b)
	require.NoError(t, err)
	require.Equal(t, p1, p2, "a name is no part of a placement")
	require.Equal(t, "US01", p1.Entity)
	versions[1].Capitalization = hierarchy.Capitalize
	three, err := hierarchy.Build(versions, at(9), at(9))
	require.NoError(t, err)
	p3, err := three.Place(b)
	require.NoError(t, err)
	require.NotEqual(t, p1.ID, p3.ID)
}

func TestEveryNodeIsWithinItsAncestors(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "n")
		nodes := make([]id.Node, n)
		versions := make([]hierarchy.Version, n)
		for i := range nodes {
			nodes[i] = id.NewNode(at(1))
			var parent id.Node
			if i > 0 {
				parent = nodes[rapid.IntRange(0, i-1).Draw(t, "parent")]
			}
			versions[i] = version(nodes[i], parent, "N"+string(rune('a'+i)), at(1))
		}
		tree, err := hierarchy.Build(versions, at(2), at(2))
		require.NoError(t, err)
		require.Len(t, tree.All(), n)
		for _, v := range tree.All() {
			require.True(t, tree.Within(v.Node, nodes[0]))
			require.Equal(t, tree.Depth(v.Node)+1, len(tree.PathCodes(v.Node)))
		}
	})
}
