package web

import (
	"sync"
	"time"
)

const (
	doorsPerMinute    = 120 // per address
	accountsPerMinute = 20  // per identity
	maxAddresses      = 10_000
)

// limiter counts attempts to sign in per minute, by address or by identity. Its memory
// is bounded: the counts of a minute are forgotten with it, and beyond the bound new
// ones share one count.
type limiter struct {
	most   int
	now    func() time.Time
	mu     sync.Mutex
	minute int64
	counts map[string]int
}

func newLimiter(most int, now func() time.Time) *limiter {
	return &limiter{most: most, now: now, counts: map[string]int{}}
}

func (l *limiter) allow(whose string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := l.now().Unix() / 60; minute != l.minute {
		l.minute = minute
		clear(l.counts)
	}
	if _, known := l.counts[whose]; !known && len(l.counts) >= maxAddresses {
		whose = ""
	}
	l.counts[whose]++
	return l.counts[whose] <= l.most
}
