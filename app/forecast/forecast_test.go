package forecast_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/forecast"
	"tollbook/app/money"
	"tollbook/app/period"
)

// at is a Monday of November 2026, the 23rd, early in the afternoon.
func at() time.Time { return time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC) }

func midnight(back int) time.Time { return at().Truncate(24*time.Hour).AddDate(0, 0, -back) }

func dollars(n int64) money.Sum {
	var s money.Sum
	s.AddCents(money.Cents(n * 100))
	return s
}

// history is n days before today, each priced by its weekday.
func history(n int, price func(back int, wd time.Weekday) int64) []forecast.Day {
	var days []forecast.Day
	for back := 1; back <= n; back++ {
		day := midnight(back)
		days = append(days, forecast.Day{Day: day, Amount: dollars(price(back, day.Weekday()))})
	}
	return days
}

func workweek(_ int, wd time.Weekday) int64 {
	if wd == time.Saturday || wd == time.Sunday {
		return 10
	}
	return 100
}

func TestAWeekLikeTheLastOnesIsExpectedAgain(t *testing.T) {
	t.Parallel()
	month := period.MonthOf(at())
	days := append(history(90, workweek), forecast.Day{Day: midnight(0), Amount: dollars(40)})
	spent := dollars(2000)
	got, ok := forecast.ToEnd(month, spent, days, at())
	require.True(t, ok)
	// Today goes on to 100: 60 more. Then Tue 24 to Fri 27: 400, a weekend: 20, Mon 30: 100.
	require.Equal(t, "2580.000000000000", got.Expected.String())
	require.Equal(t, []int{7, 4, 8}, []int{got.DaysLeft, got.Weeks, got.Tests})
	require.True(t, got.HasRange)
	require.Equal(t, got.Expected.String(), got.Low.String(), "it has never missed")
	require.Equal(t, got.Expected.String(), got.High.String())

	// A day that is dearer than its like already is not expected to be cheaper.
	days[len(days)-1].Amount = dollars(150)
	got, ok = forecast.ToEnd(month, spent, days, at())
	require.True(t, ok)
	require.Equal(t, "2520.000000000000", got.Expected.String())
}

func TestPastMissesMakeTheRange(t *testing.T) {
	t.Parallel()
	// Each week was a tenth of the first dearer than the one before it: the method, which
	// looks back, was always low.
	growing := func(back int, wd time.Weekday) int64 { return workweek(back, wd) * int64(30-(back-1)/7) }
	got, ok := forecast.ToEnd(period.MonthOf(at()), dollars(10_000), history(110, growing), at())
	require.True(t, ok)
	require.True(t, got.HasRange)
	require.Equal(t, got.Low.String(), got.Expected.String())
	require.Positive(t, got.High.Cmp(&got.Expected))
}

func TestWhereThereIsNothingToGoBy(t *testing.T) {
	t.Parallel()
	month := period.MonthOf(at())
	_, ok := forecast.ToEnd(month, dollars(1), history(6, workweek), at())
	require.False(t, ok, "not a whole week")
	one, ok := forecast.ToEnd(month, dollars(1), history(7, workweek), at())
	require.True(t, ok)
	require.Equal(t, 1, one.Weeks)
	require.False(t, one.HasRange, "nothing to try the method at")
	require.Equal(t, one.Expected.String(), one.High.String())
	_, ok = forecast.ToEnd(month.Previous(), dollars(1), history(60, workweek), at())
	require.False(t, ok, "a month that is over")
	_, ok = forecast.ToEnd(month.Next(), dollars(1), history(60, workweek), at())
	require.False(t, ok, "a month to come")
}

func TestForecastProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 28).Draw(t, "day"), 9, 0, 0, 0, time.UTC)
		month := period.MonthOf(now)
		var days []forecast.Day
		var spent money.Sum
		for back := range rapid.IntRange(8, 120).Draw(t, "history") {
			d := forecast.Day{Day: now.Truncate(24*time.Hour).AddDate(0, 0, -back)}
			d.Amount.Add(money.Pico(rapid.Int64Range(0, 1e15).Draw(t, "pico")))
			days = append(days, d)
			if !d.Day.Before(month.Start()) {
				spent.AddSum(&d.Amount)
			}
		}
		got, ok := forecast.ToEnd(month, spent, days, now)
		if !ok {
			return
		}
		require.LessOrEqual(t, got.Low.Cmp(&got.Expected), 0)
		require.LessOrEqual(t, got.Expected.Cmp(&got.High), 0)
		require.GreaterOrEqual(t, got.Low.Cmp(&spent), 0, "what was spent stays spent")
		again, _ := forecast.ToEnd(month, spent, days, now)
		require.Equal(t, got.Expected.String(), again.Expected.String())
		// What is added to what was spent, is added to the forecast.
		more := spent
		var extra, difference money.Sum
		extra.AddCents(12_345)
		more = sum(more, extra)
		shifted, _ := forecast.ToEnd(month, more, days, now)
		difference.AddSum(&shifted.Expected)
		difference.SubSum(&got.Expected)
		require.Zero(t, difference.Cmp(&extra))
	})
}

func sum(a, b money.Sum) money.Sum {
	var s money.Sum
	s.AddSum(&a)
	s.AddSum(&b)
	return s
}
