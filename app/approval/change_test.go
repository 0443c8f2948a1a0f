package approval_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/approval"
)

func proposed(t *testing.T) approval.Change {
	t.Helper()
	c, err := approval.Propose(approval.Change{
		Kind: "node", Reason: "reorganization", EffectiveFrom: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
	}, []byte(`{"b":1,"a":2}`))
	require.NoError(t, err)
	return c
}

func TestAnyEditBreaksTheDigest(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*approval.Change){
		"payload":   func(c *approval.Change) { c.Payload = []byte(`{"a":2,"b":2}`) },
		"kind":      func(c *approval.Change) { c.Kind = "key" },
		"effective": func(c *approval.Change) { c.EffectiveFrom = c.EffectiveFrom.Add(time.Nanosecond) },
		"reason":    func(c *approval.Change) { c.Reason += " " },
	} {
		c := proposed(t)
		edit(&c)
		_, err := c.Move(approval.StateApproved)
		require.ErrorIs(t, err, approval.ErrDigest, name)
	}
}

func TestOnlyMovesThatExist(t *testing.T) {
	t.Parallel()
	c := proposed(t)
	_, err := c.Move(approval.StateApplied)
	require.Error(t, err)
	approved, err := c.Move(approval.StateApproved)
	require.NoError(t, err)
	_, err = approved.Move(approval.StateRejected)
	require.Error(t, err)
	applied, err := approved.Move(approval.StateApplied)
	require.NoError(t, err)
	_, err = applied.Move(approval.StateApproved)
	require.Error(t, err)
}

func TestProposeNeedsAReason(t *testing.T) {
	t.Parallel()
	_, err := approval.Propose(approval.Change{Kind: "node", Reason: "  "}, []byte(`{}`))
	require.Error(t, err)
}
