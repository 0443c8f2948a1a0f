package gateway

import (
	"sync"

	"tollbook/app"
	"tollbook/app/id"
)

// labelCache remembers declared developers, so that a label is hashed and sealed
// once and not for every request. It is bounded: when full it starts anew, which
// costs a few microseconds per developer.
type labelCache struct {
	labels *app.Labels
	mu     sync.RWMutex
	known  map[labelKey]knownLabel
}

type labelKey struct {
	tenant id.Tenant
	label  string
}

type knownLabel struct {
	developer id.Developer
	sealed    []byte
}

const maxKnownLabels = 20_000

func newLabelCache(labels *app.Labels) *labelCache {
	return &labelCache{labels: labels, known: map[labelKey]knownLabel{}}
}

func (c *labelCache) find(tenant *app.TenantSnapshot, label string) (id.Developer, []byte) {
	key := labelKey{tenant: tenant.ID, label: label}
	c.mu.RLock()
	known, ok := c.known[key]
	c.mu.RUnlock()
	if ok {
		return known.developer, known.sealed
	}
	developer := tenant.Pseudonyms.Developer(label)
	known = knownLabel{developer: developer, sealed: c.labels.Seal(developer, label)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnownLabels {
		clear(c.known)
	}
	c.known[key] = known
	return known.developer, known.sealed
}
