package attribution_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/attribution"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/usage"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	nodes := map[string]id.Node{}
	var versions []hierarchy.Version
	add := func(code, parent string) {
		nodes[code] = id.NewNode(now)
		versions = append(versions, hierarchy.Version{
			Node: nodes[code], Parent: nodes[parent], Code: code, Name: code, Kind: hierarchy.KindProject,
			Capitalization: hierarchy.Expense, EffectiveFrom: now, RecordedAt: now,
		})
	}
	add("CC-1", "")
	add("P-1", "CC-1")
	add("CC-2", "")
	add("P-2", "CC-2")
	add("P-3", "CC-2")
	add(hierarchy.SuspenseCode, "")
	tree, err := hierarchy.Build(versions, now, now)
	require.NoError(t, err)

	for _, c := range []struct {
		project, code string
		rule          attribution.Basis
	}{
		{"", "CC-1", attribution.RuleKey},
		{"P-1", "P-1", attribution.RuleProject},
		{"P-3", "P-3", attribution.RuleProject},
		{"P-2", "CC-1", attribution.RuleProjectNotYours},
		{"P-9", "CC-1", attribution.RuleProjectUnknown},
	} {
		got, err := attribution.Decide(tree, attribution.Facts{CostCenter: nodes["CC-1"], Projects: []id.Node{nodes["P-3"]}, Request: attribution.Request{Project: c.project}})
		require.NoError(t, err)
		require.Equal(t, c.rule, got.Rule)
		require.Equal(t, c.code, got.Code)
		require.Equal(t, int64(usage.Whole), got.Shares[0].PPM)
	}
	got, err := attribution.Decide(tree, attribution.Facts{CostCenter: id.NewNode(now)})
	require.NoError(t, err)
	require.Equal(t, attribution.RuleSuspense, got.Rule)
}
