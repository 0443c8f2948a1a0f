package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/money"
	"tollbook/app/period"
)

func keysOf(rows []app.ChargebackRow) (keys []string) {
	for i := range rows {
		keys = append(keys, rows[i].Key)
	}
	return keys
}

func TestANodeIsToldWithItsMonthAndItsPast(t *testing.T) {
	t.Parallel()
	h := busy(t)
	month := period.MonthOf(november(1))
	story, err := h.reports.Node(t.Context(), h.one.who, "CC-1", month, time.Time{})
	require.NoError(t, err)
	require.Equal(t, "0.031500000000 0.017500000000", story.Month.Total.String()+" "+story.Own.String())
	require.Equal(t, "BU-1", story.ParentCode)
	require.Equal(t, []string{"P-1"}, keysOf(story.Children))
	require.Equal(t, []string{"P-1"}, keysOf(story.Projects))
	require.Len(t, story.Trend, 12)
	require.Equal(t, month, story.Trend[11].Month)
	require.Equal(t, story.Month.Total.String(), story.Trend[11].Amount.String())
	require.Zero(t, story.Trend[10].Amount.Sign())
	for name, rows := range map[string][]app.ChargebackRow{"developers": story.Developers, "keys": story.Keys} {
		var sum money.Sum
		for i := range rows {
			sum.AddSum(&rows[i].Actual)
		}
		equalSums(t, &story.Month.Total, &sum, name)
	}
	require.Len(t, story.History, 1)
	require.NotZero(t, story.History[0].Number)
	require.NotEmpty(t, story.History[0].Reason)
	require.Equal(t, "BU-1", story.History[0].ParentCode)

	top, err := h.reports.Node(t.Context(), h.one.who, "BU-1", month, time.Time{})
	require.NoError(t, err)
	require.Equal(t, []string{"CC-1", "CC-2"}, keysOf(top.Children), "not what is below them")
	require.Equal(t, "0.049000000000 0.000000000000", top.Month.Total.String()+" "+top.Own.String())
}

func TestANodeThatIsNotYoursLooksAbsent(t *testing.T) {
	t.Parallel()
	h := busy(t)
	month := period.MonthOf(november(1))
	owner := h.member(t, h.one, app.RoleBudgetOwner, "CC-1")
	story, err := h.reports.Node(t.Context(), owner, "CC-1", month, time.Time{})
	require.NoError(t, err)
	require.Empty(t, story.Crumbs, "what is above is not theirs")
	require.Empty(t, story.ParentCode)
	require.Empty(t, story.History[0].ParentCode)
	require.Equal(t, "0.031500000000", story.Month.Total.String())
	for _, code := range []string{"BU-1", "CC-2", "SUSPENSE", "none", ""} {
		_, err := h.reports.Node(t.Context(), owner, code, month, time.Time{})
		require.ErrorIs(t, err, app.ErrNodeAbsent, code)
	}
	_, err = h.reports.Node(t.Context(), h.one.who, "CC-1", month, founded().Add(-time.Hour))
	require.ErrorIs(t, err, app.ErrNodeAbsent, "before it was")
	_, err = h.reports.Node(t.Context(), h.member(t, h.one, app.RoleDeveloper, ""), "CC-1", month, time.Time{})
	require.ErrorIs(t, err, app.ErrNotAllowed)
}
