package main

import (
	"context"
	"fmt"
	"time"
)

// A rate holds when the load leaves at nearly the rate that was asked for and nearly
// every answer is here in time.
const (
	inTime      = 50 * time.Millisecond
	nearlyRate  = 0.98
	nearlyEvery = 0.99
)

// The search for the highest rate.
const (
	searchFrom        = 500 // a second, in the first round
	searchFactor      = 2.0
	againFrom         = 0.75 // of what the round before found
	againFactor       = 1.25
	lowestRate        = 5
	searchConnections = 256
	leadPart          = 5 // of a trial's length, as untimed lead
)

// rate searches, per target, the highest steady rate that holds.
func (s *stage) rate(ctx context.Context) ([]*figure, error) {
	w := s.workloads["plain-100kb"]
	rate := newFigure(fmt.Sprintf("highest rate with p99 < %d ms, %s", inTime.Milliseconds(), w.about), "/s", 0)
	late := newFigure("99th percentile at that rate", "ms", 1)
	late.part = true
	before := map[string]int{}
	err := s.each(ctx, targetNames(), func(t *target) error {
		from, factor := searchFrom, searchFactor
		if before[t.name] > 0 {
			from, factor = max(lowestRate, int(againFrom*float64(before[t.name]))), againFactor
		}
		at := map[int]time.Duration{}
		found, err := highest(from, factor, func(rate int) (bool, error) {
			ok, seen, err := s.holds(ctx, t, w, rate)
			at[rate] = seen
			return ok, err
		})
		before[t.name] = found
		rate.add(t.name, float64(found))
		if found > 0 {
			late.add(t.name, milliseconds(at[found]))
		}
		return err
	})
	return []*figure{rate, late}, err
}

// highest searches the highest rate that holds, to a twentieth: by a factor up, or
// down while even the first does not hold, then halfway between what holds and what
// does not. It is 0 when nothing holds.
func highest(from int, factor float64, holds func(rate int) (bool, error)) (int, error) {
	low, high, rate := 0, maxRate+1, from
	for {
		ok, err := holds(rate)
		if err != nil {
			return low, err
		}
		if ok {
			low = rate
		} else {
			high = rate
		}
		switch {
		case low > 0 && high-low <= max(1, low/20):
			return low, nil
		case low > 0 && high <= maxRate:
			rate = low + (high-low)/2
		case low == maxRate:
			return low, nil
		case low > 0:
			rate = min(maxRate, int(float64(rate)*factor))
		case high <= lowestRate:
			return 0, nil
		default:
			rate = max(lowestRate, int(float64(rate)/factor))
		}
	}
}

// holds tries a rate for a moment and, since any machine stumbles, once more if it
// does not hold. It returns the 99th percentile of the last trial.
func (s *stage) holds(ctx context.Context, t *target, w workload, rate int) (ok bool, late time.Duration, err error) {
	count := func(d time.Duration) int { return max(1, int(int64(rate)*int64(d)/int64(time.Second))) }
	load := steady{rate: rate, lead: count(s.o.trial / leadPart), timed: count(s.o.trial), patience: 10 * inTime}
	load.connections = min(searchConnections, load.lead+load.timed)
	for trials := 2; trials > 0 && !ok; trials-- {
		got, err := t.openLoop(ctx, w, load)
		if err != nil {
			return false, 0, err
		}
		if err := s.settle(ctx, t); err != nil {
			return false, 0, err
		}
		late = quantile(got.whole, nearlyEvery)
		ok = !got.gaveUp && got.rate >= nearlyRate*float64(rate) && late < inTime
	}
	return ok, late, nil
}
