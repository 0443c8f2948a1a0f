package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// steady is a load whose requests leave at a rate whatever the answers do.
type steady struct {
	rate        int // a second
	connections int
	lead        int // requests that leave first, untimed: they warm what a run before left cold
	timed       int
	patience    time.Duration // a request this late to leave ends the load; 0: none is too late
}

type departure struct {
	due   time.Time
	timed bool
}

// pacer lets requests go. Its channel holds all of them, so that it never waits for
// whoever takes them.
type pacer struct {
	steady
	due  chan departure
	stop atomic.Bool
	left float64 // rate of the timed departures; to be read when due is closed
}

func newPacer(p steady) *pacer { return &pacer{steady: p, due: make(chan departure, p.lead+p.timed)} }

func (p *pacer) run(ctx context.Context) {
	defer close(p.due)
	start, every := time.Now(), time.Second/time.Duration(p.rate)
	var first, last time.Time
	for i := range p.lead + p.timed {
		time.Sleep(time.Until(start.Add(time.Duration(i) * every)))
		if p.stop.Load() || ctx.Err() != nil {
			return
		}
		d := departure{due: time.Now(), timed: i >= p.lead}
		if i == p.lead {
			first = d.due
		}
		last = d.due
		p.due <- d
	}
	p.left = float64(p.rate)
	if gone := last.Sub(first); p.timed > 1 && gone > 0 {
		p.left = float64(p.timed-1) / gone.Seconds()
	}
}

// openLoop sends a steady load. A request's time runs from the moment it was due to
// leave, not from when a connection was free.
func (t *target) openLoop(ctx context.Context, w workload, load steady) (timings, error) {
	list, p := t.shots(w), newPacer(load)
	var next atomic.Int64
	var start sync.Once
	got, err := t.together(ctx, load.connections, func(c *wire, into *timings) error {
		start.Do(func() { go p.run(ctx) }) // every connection stands by now
		for d := range p.due {
			if load.patience > 0 && time.Since(d.due) > load.patience {
				p.stop.Store(true)
			}
			if p.stop.Load() {
				continue
			}
			first, whole, err := c.fire(&list[next.Add(1)%int64(len(list))], d.due, into)
			if err != nil {
				p.stop.Store(true)
				return err
			}
			if d.timed {
				into.first, into.whole = append(into.first, first), append(into.whole, whole)
			}
		}
		return ctx.Err()
	})
	got.gaveUp = p.stop.Swap(true) && err == nil
	if err == nil {
		got.rate = p.left
	}
	return got, err
}
