package period_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/fault"
	"tollbook/app/period"
)

func codeOf(err error) string { return fault.From(err).Code }

func TestAMonthMovesForwardInOrder(t *testing.T) {
	t.Parallel()
	september, err := period.ParseMonth("2026-09")
	require.NoError(t, err)
	october, now := september.Next(), time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		before, state, after period.State
		to                   period.State
		want                 string // the state, or what refuses
	}{
		{period.StateOpen, period.StateOpen, period.StateOpen, period.StateClosing, "closing"},
		{period.StateOpen, period.StateOpen, period.StateOpen, period.StateLocked, "period_move"},
		{period.StateOpen, period.StateOpen, period.StateOpen, period.StateClosed, "period_move"},
		{period.StateOpen, period.StateClosing, period.StateOpen, period.StateLocked, "period_order"},
		{period.StateClosing, period.StateClosing, period.StateOpen, period.StateLocked, "period_order"},
		{period.StateLocked, period.StateClosing, period.StateOpen, period.StateLocked, "locked"},
		{period.StateLocked, period.StateLocked, period.StateOpen, period.StateClosed, "period_order"},
		{period.StateClosed, period.StateLocked, period.StateOpen, period.StateClosed, "closed"},
		{period.StateClosed, period.StateClosed, period.StateOpen, period.StateClosing, "closing 2"},
		{period.StateClosed, period.StateLocked, period.StateClosing, period.StateClosing, "closing 2"},
		{period.StateClosed, period.StateClosed, period.StateLocked, period.StateClosing, "period_order"},
		{period.StateClosed, period.StateClosed, period.StateOpen, period.StateOpen, "period_move"},
		{period.StateClosed, period.StateClosing, period.StateOpen, period.StateClosing, "period_move"},
	} {
		stands := map[period.Month]period.State{september: c.before, october: c.state, october.Next(): c.after}
		got, err := period.Move(october, c.to, september, func(m period.Month) period.Standing { return period.Standing{State: stands[m], Revision: 1} }, now)
		said := string(got.State)
		if err != nil {
			said = codeOf(err)
		} else if got.Revision > 1 {
			said += " 2"
		}
		require.Equal(t, c.want, said, "%s %s %s to %s", c.before, c.state, c.after, c.to)
	}
	_, err = period.Move(october, period.StateClosing, september, func(period.Month) period.Standing { return period.Begun() }, october.End().Add(-1))
	require.Equal(t, "period_not_over", codeOf(err))
}

// TestShutMonthsHaveNoGap tries any moves of any months: those that are shut, and those that
// are closed, are always the first ones, and a month's revision counts its reopenings.
func TestShutMonthsHaveNoGap(t *testing.T) {
	t.Parallel()
	first, err := period.ParseMonth("2026-01")
	require.NoError(t, err)
	rapid.Check(t, func(r *rapid.T) {
		const months = 5
		list := []period.Month{first}
		for len(list) < months {
			list = append(list, list[len(list)-1].Next())
		}
		stands, reopened := map[period.Month]period.Standing{}, map[period.Month]int{}
		at := func(m period.Month) period.Standing {
			if s, there := stands[m]; there {
				return s
			}
			return period.Begun()
		}
		for range rapid.IntRange(1, 60).Draw(r, "moves") {
			m, to := rapid.SampledFrom(list).Draw(r, "month"), rapid.SampledFrom(period.States()).Draw(r, "to")
			was := at(m)
			after, err := period.Move(m, to, first, at, list[months-1].End())
			if err != nil {
				require.Equal(r, was, after)
				continue
			}
			if was.State.Shut() && !after.State.Shut() {
				reopened[m]++
			}
			stands[m] = after
			require.Equal(r, 1+reopened[m], after.Revision)
			for i := 1; i < months; i++ {
				before, this := at(list[i-1]).State, at(list[i]).State
				require.True(r, before.Shut() || !this.Shut(), "%s is %s behind %s", list[i], this, before)
				require.True(r, before == period.StateClosed || this != period.StateClosed)
			}
		}
	})
}
