package web

import (
	"sync"
	"time"

	"tollbook/app/id"
)

const (
	// waitsFor is how long a count of waiting changes is good: every page shows it, and
	// counting takes as long as a small page.
	waitsFor = 10 * time.Second
	// maxWaits bounds the sessions whose counts are kept.
	maxWaits = 10_000
)

// tally keeps how many changes wait for whom, by session.
type tally struct {
	mu        sync.Mutex
	bySession map[id.Session]counted
}

type counted struct {
	n  int
	at time.Time
}

func (w *tally) recall(session id.Session, now time.Time) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, known := w.bySession[session]
	return c.n, known && now.Sub(c.at) < waitsFor
}

func (w *tally) keep(session id.Session, n int, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.bySession) >= maxWaits {
		clear(w.bySession)
	}
	w.bySession[session] = counted{n, now}
}

func (w *tally) forget(session id.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.bySession, session)
}
