package simulator

import (
	"container/list"
	"sync"
	"time"
)

// prefixKey is the digest of a prompt up to the end of one block, together with the
// workspace and the model, because caches are shared across neither.
type prefixKey [32]byte

// segment is one block of the prompt in the order in which prefixes are cached:
// tools, system, messages.
type segment struct {
	key    prefixKey     // of everything up to and including this block
	tokens int64         // likewise
	ttl    time.Duration // a breakpoint stands at this block's end; 0 = none
}

type cached struct {
	key       prefixKey
	ttl       time.Duration
	expiresAt time.Time
}

// promptCache remembers prefixes, at most maxCacheEntries of them.
type promptCache struct {
	mu     sync.Mutex
	byKey  map[prefixKey]*list.Element
	recent *list.List // front = used last
	limit  int
}

func newPromptCache(limit int) *promptCache {
	return &promptCache{byKey: map[prefixKey]*list.Element{}, recent: list.New(), limit: limit}
}

// use applies the provider's rule to one prompt. With A the longest prefix that hits,
// B the last 1h breakpoint after A and C the last breakpoint after it: A is read,
// B-A written for an hour, C-B written for five minutes, the rest is plain input.
// Prefixes shorter than minimum are silently not cached. A hit renews its entry free.
func (c *promptCache) use(segments []segment, totalTokens, minimum int64, now time.Time) Tokens {
	c.mu.Lock()
	defer c.mu.Unlock()
	var hit, hour, last int64
	for i := range segments {
		if segments[i].ttl == 0 || segments[i].tokens < minimum {
			continue
		}
		for j := i; j >= 0 && j > i-cacheLookback; j-- {
			if c.renew(segments[j].key, now) {
				hit = max(hit, segments[j].tokens)

				break
			}
		}
	}
	hour, last = hit, hit
	for i := range segments {
		s := &segments[i]
		if s.ttl == 0 || s.tokens < minimum || s.tokens <= hit {
			continue
		}
		if s.ttl >= time.Hour {
			hour = s.tokens
		}
		last = s.tokens
		c.put(s.key, s.ttl, now)
	}

	return Tokens{Input: totalTokens - last, CacheRead: hit, CacheWrite1h: hour - hit, CacheWrite5m: last - hour}
}

func (c *promptCache) renew(key prefixKey, now time.Time) bool {
	element, found := c.byKey[key]
	if !found {
		return false
	}
	entry, _ := element.Value.(*cached)
	if !now.Before(entry.expiresAt) {
		c.recent.Remove(element)
		delete(c.byKey, key)

		return false
	}
	entry.expiresAt = now.Add(entry.ttl)
	c.recent.MoveToFront(element)

	return true
}

func (c *promptCache) put(key prefixKey, ttl time.Duration, now time.Time) {
	if element, found := c.byKey[key]; found {
		c.recent.Remove(element)
	}
	c.byKey[key] = c.recent.PushFront(&cached{key: key, ttl: ttl, expiresAt: now.Add(ttl)})
	for c.recent.Len() > c.limit {
		oldest := c.recent.Back()
		entry, _ := oldest.Value.(*cached)
		c.recent.Remove(oldest)
		delete(c.byKey, entry.key)
	}
}
