package gateway

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// errPace is the answer to a key that asks more often than it may. Claude Code waits
// as long as it is told to and tries again.
var errPace = fault.New(fault.KindLimited, "key_rate_limited", "This key has made as many requests in a minute as it may. Wait as long as retry-after says.")

// waitError is how many whole seconds to wait before another try.
type waitError int64

// Error implements error.
func (w waitError) Error() string { return fmt.Sprintf("wait %d seconds", int64(w)) }

const (
	paceWindow = time.Minute
	// maxPaces bounds the keys remembered; beyond it those that are at rest are forgotten,
	// which changes nothing for them.
	maxPaces = 50_000
)

// paces is a token bucket for each key with a limit that was used lately. A bucket
// holds a minute's requests and fills steadily. What is kept of it is one instant: when
// it will be full again (the generic cell rate algorithm), so that taking from it is one
// lookup and one exchange, without a lock. Each gateway replica counts by itself.
type paces struct {
	full  sync.Map // id.Key -> *atomic.Int64, Unix nanoseconds
	count atomic.Int64
}

// take takes one of perMinute requests, or says how long to wait for it.
func (p *paces) take(key id.Key, perMinute int64, now time.Time) (wait time.Duration) {
	at, each := now.UnixNano(), int64(paceWindow)/perMinute
	bucket := p.of(key, at)
	for {
		known := bucket.Load()
		full := max(known, at)
		if full-at > int64(paceWindow) {
			full = at // the clock was set back: what it knew was of another time
		}
		full += each
		if over := full - at - int64(paceWindow); over > 0 {
			return time.Duration(over)
		}
		if bucket.CompareAndSwap(known, full) {
			return 0
		}
	}
}

func (p *paces) of(key id.Key, now int64) *atomic.Int64 {
	found, known := p.full.Load(key)
	if !known {
		if p.count.Load() >= maxPaces {
			p.forget(now)
		}
		if found, known = p.full.LoadOrStore(key, &atomic.Int64{}); !known {
			p.count.Add(1)
		}
	}
	bucket, ok := found.(*atomic.Int64)
	if !ok {
		panic("a pace is something else")
	}
	return bucket
}

// forget drops the buckets that are full: a new one is no different.
func (p *paces) forget(now int64) {
	p.full.Range(func(key, value any) bool {
		if bucket, ok := value.(*atomic.Int64); ok && bucket.Load() <= now {
			if _, dropped := p.full.LoadAndDelete(key); dropped {
				p.count.Add(-1)
			}
		}
		return true
	})
}

// pace refuses a request beyond the key's limit. Only billed requests count.
func (x *exchange) pace() error {
	if x.key.RequestsPerMinute <= 0 {
		return nil
	}
	wait := x.g.paces.take(x.key.ID, x.key.RequestsPerMinute, x.g.cfg.Now())
	if wait <= 0 {
		return nil
	}
	return errPace.Because(waitError((wait + time.Second - 1) / time.Second))
}
