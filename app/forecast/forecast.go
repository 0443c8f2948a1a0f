package forecast

import (
	"math/big"
	"time"

	"tollbook/app/money"
	"tollbook/app/period"
)

// Bounds of the method.
const (
	maxWeeks = 4 // the run rate is a mean over at most these
	maxTests = 8 // weeks the method is tried at
	minTests = 3 // fewer say nothing about its error
	week     = 7
)

// HistoryDays is how many days before today the method can use.
const HistoryDays = week*(maxWeeks+maxTests) + 31

// Day is what one UTC day cost.
type Day struct {
	Day    time.Time // its first instant
	Amount money.Sum
}

// Month is a forecast of one month.
type Month struct {
	Expected  money.Sum
	Low, High money.Sum // equal to Expected where HasRange is false
	HasRange  bool
	DaysLeft  int // whole days to come, today not among them
	Weeks     int // whole weeks the run rate is a mean of
	Tests     int // earlier weeks the range comes from
}

// ToEnd forecasts a month at an instant inside it, from what it came to so far and from
// the days before. It is false where there is no whole week to go by.
func ToEnd(month period.Month, spent money.Sum, days []Day, at time.Time) (Month, bool) {
	today := at.UTC().Truncate(24 * time.Hour)
	if today.Before(month.Start()) || !today.Before(month.End()) {
		return Month{}, false
	}
	h := historyOf(days, today)
	out := Month{DaysLeft: int(month.End().Sub(today)/(24*time.Hour)) - 1}
	var ok bool
	if out.Weeks, ok = h.weeksBefore(0); !ok {
		return Month{}, false
	}
	left := h.expect(0, 0, out.DaysLeft+1, out.Weeks)
	mean, sofar := h.expect(0, 0, 1, out.Weeks), h.on(0)
	if sofar.Cmp(&mean) > 0 { // today is dearer than its like: it will not be less
		left.SubSum(&mean)
	} else {
		left.SubSum(&sofar)
	}
	out.Expected.AddSum(&spent)
	out.Expected.AddSum(&left)
	out.spread(h, spent, left)
	return out, true
}

// spread puts the method's worst misses on what is to come.
func (m *Month) spread(h history, spent, left money.Sum) {
	low, high := left, left
	for test := 1; test <= maxTests; test++ {
		length := m.DaysLeft + 1
		cut := -(length + week*(test-1))
		weeks, ok := h.weeksBefore(cut)
		if !ok {
			break
		}
		expected := h.expect(cut, cut, cut+length, weeks)
		if expected.Sign() <= 0 {
			continue
		}
		var came money.Sum
		for n := range length {
			one := h.on(cut + n)
			came.AddSum(&one)
		}
		m.Tests++
		missed := left.Share(&came, &expected)
		if missed.Cmp(&low) < 0 {
			low = missed
		}
		if missed.Cmp(&high) > 0 {
			high = missed
		}
	}
	if m.HasRange = m.Tests >= minTests; !m.HasRange {
		low, high = left, left
	}
	m.Low.AddSum(&spent)
	m.Low.AddSum(&low)
	m.High.AddSum(&spent)
	m.High.AddSum(&high)
}

// history is days by their distance from today: -1 is yesterday.
type history struct {
	amounts map[int]money.Sum
	first   int // of the earliest day that cost anything
}

func historyOf(days []Day, today time.Time) history {
	h := history{amounts: map[int]money.Sum{}}
	for i := range days {
		at := int(days[i].Day.Sub(today) / (24 * time.Hour))
		if at > 0 || at < -HistoryDays {
			continue
		}
		sum := h.amounts[at]
		sum = plus(&sum, &days[i].Amount)
		h.amounts[at] = sum
		h.first = min(h.first, at)
	}
	return h
}

func plus(a, b *money.Sum) money.Sum {
	var sum money.Sum
	sum.AddSum(a)
	sum.AddSum(b)
	return sum
}

func (h history) on(at int) money.Sum {
	var sum money.Sum
	known := h.amounts[at]
	sum.AddSum(&known)
	return sum
}

// weeksBefore counts the whole weeks that end before a day, at most maxWeeks.
func (h history) weeksBefore(cut int) (int, bool) {
	weeks := min((cut-h.first)/week, maxWeeks)
	return weeks, weeks > 0
}

// expect is what the days [from, to) cost by the means of their weekdays in the weeks
// before cut; rounded once.
func (h history) expect(cut, from, to, weeks int) money.Sum {
	var sum money.Sum
	for at := from; at < to; at++ {
		// The last day before cut with the same weekday, then one in each week before.
		back := cut - week + ((at-cut)%week+week)%week
		for n := range weeks {
			one := h.on(back - week*n)
			sum.AddSum(&one)
		}
	}
	return sum.Scaled(big.NewInt(1), big.NewInt(int64(weeks)))
}
