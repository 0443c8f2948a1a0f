package period_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/period"
)

func TestAFiscalYearIsNamedByTheYearItEndsIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first time.Month
		month string
		want  string
	}{
		{0, "2026-11", "Q4 FY2026"},
		{time.January, "2026-01", "Q1 FY2026"},
		{time.January, "2026-12", "Q4 FY2026"},
		{time.February, "2026-01", "Q4 FY2026"},
		{time.February, "2026-02", "Q1 FY2027"},
		{time.April, "2026-03", "Q4 FY2026"},
		{time.April, "2026-04", "Q1 FY2027"},
		{time.October, "2026-11", "Q1 FY2027"},
		{time.December, "2026-11", "Q4 FY2026"},
		{time.December, "2026-12", "Q1 FY2027"},
	} {
		month, err := period.ParseMonth(c.month)
		require.NoError(t, err)
		require.Equal(t, c.want, period.Fiscal{First: c.first}.Quarter(month), "%s from %s", c.month, c.first)
	}
}

// TestAFiscalYearHasFourQuartersOfThreeMonths walks a year of any calendar.
func TestAFiscalYearHasFourQuartersOfThreeMonths(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		first := time.Month(rapid.IntRange(1, 12).Draw(r, "first"))
		month := period.MonthOf(time.Date(rapid.IntRange(2000, 2100).Draw(r, "year"), first, 1, 0, 0, 0, 0, time.UTC))
		count := map[string]int{}
		for range 12 {
			count[period.Fiscal{First: first}.Quarter(month)]++
			month = month.Next()
		}
		require.Len(r, count, 4)
		for quarter, months := range count {
			require.Equal(r, 3, months, quarter)
		}
		require.Zero(r, count[period.Fiscal{First: first}.Quarter(month)], "the next year is another one")
	})
}
