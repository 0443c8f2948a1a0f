package issuer

import (
	"crypto/rand"
	"sync"
	"time"
)

// vault keeps values under random names for a while. All live equally long, so the
// queue is in order of expiry; a full vault forgets its oldest.
type vault[T any] struct {
	mu    sync.Mutex
	limit int
	life  time.Duration
	items map[string]kept[T]
	queue []string
}

type kept[T any] struct {
	value     T
	expiresAt time.Time
}

func newVault[T any](limit int, life time.Duration) *vault[T] {
	return &vault[T]{limit: limit, life: life, items: map[string]kept[T]{}}
}

// put stores a value and returns its name, which nobody can guess.
func (v *vault[T]) put(value T, now time.Time) string {
	name := rand.Text() + rand.Text()
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(v.queue) > 0 {
		oldest := v.queue[0]
		item, live := v.items[oldest]
		if live && len(v.queue) < v.limit && now.Before(item.expiresAt) {
			break
		}
		delete(v.items, oldest)
		v.queue = v.queue[1:]
	}
	v.items[name] = kept[T]{value, now.Add(v.life)}
	v.queue = append(v.queue, name)

	return name
}

// get returns a value that is still good.
func (v *vault[T]) get(name string, now time.Time) (T, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()

	return v.live(name, now)
}

// take is get, once.
func (v *vault[T]) take(name string, now time.Time) (T, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	value, found := v.live(name, now)
	delete(v.items, name)

	return value, found
}

// live needs the lock.
func (v *vault[T]) live(name string, now time.Time) (T, bool) {
	item, found := v.items[name]
	if !found || !now.Before(item.expiresAt) {
		var none T

		return none, false
	}

	return item.value, true
}
