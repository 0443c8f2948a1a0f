package period_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/period"
)

func TestMonthIsUTC(t *testing.T) {
	t.Parallel()
	tokyo := time.FixedZone("JST", 9*3600)
	m := period.MonthOf(time.Date(2026, 12, 1, 8, 59, 59, 0, tokyo))
	require.Equal(t, "2026-11", m.String())
	require.Equal(t, 30, m.Days())
	require.Equal(t, "2027-01", m.Next().Next().String())
	_, err := period.ParseMonth("2026-13")
	require.Error(t, err)
}

func TestPostingSkipsLockedMonths(t *testing.T) {
	t.Parallel()
	october, err := period.ParseMonth("2026-10")
	require.NoError(t, err)
	locked := map[string]bool{"2026-10": true, "2026-11": true}
	state := func(m period.Month) period.State {
		if locked[m.String()] {
			return period.StateLocked
		}
		return period.StateOpen
	}
	got, err := period.Posting(october, state)
	require.NoError(t, err)
	require.Equal(t, "2026-12", got.String())
	_, err = period.Posting(october, func(period.Month) period.State { return period.StateLocked })
	require.Error(t, err)
}
