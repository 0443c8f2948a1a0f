package web

import (
	"sync"
	"time"
)

const (
	doorsPerMinute = 120
	maxAddresses   = 10_000
)

// limiter counts attempts to sign in per address and minute. Its memory is bounded: the
// counts of a minute are forgotten with it, and beyond the bound new addresses share
// one count.
type limiter struct {
	now    func() time.Time
	mu     sync.Mutex
	minute int64
	counts map[string]int
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, counts: map[string]int{}}
}

func (l *limiter) allow(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := l.now().Unix() / 60; minute != l.minute {
		l.minute = minute
		clear(l.counts)
	}
	if _, known := l.counts[address]; !known && len(l.counts) >= maxAddresses {
		address = ""
	}
	l.counts[address]++
	return l.counts[address] <= doorsPerMinute
}
