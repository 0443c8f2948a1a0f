package web

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// Pages that show money say when more of it arrived: a stream of server-sent events
// tells the browser, which fetches the page again (assets/js). The stream carries no
// figure, so that there is one way figures reach a page, with one set of rules.
const (
	pulseEvery = 2 * time.Second  // the ledger is asked, once for all who watch a company
	checkEvery = 20 * time.Second // the session is looked at again, and a comment keeps proxies awake
	watchFor   = time.Hour        // then the browser connects again by itself
	writeLimit = 10 * time.Second
	// Bounds of streams, for the process and for one session.
	maxWatchers        = 2000
	maxSessionWatchers = 8
)

const (
	livePath   = "/live"
	liveHeader = "X-Tollbook-Live" // on the page's own fetches
)

var errWatchers = fault.New(fault.KindUnavailable, "live_busy", "Too many pages are live at once. Reload to see what is new.")

// pulses tells watchers of companies that requests arrived.
type pulses struct {
	ask      func(context.Context, app.Actor) (string, error)
	leaving  <-chan struct{} // closed when the process is about to end; nil: never
	mu       sync.Mutex
	tenants  map[id.Tenant]*pulse
	sessions map[id.Session]int
	count    int
}

// pulse is one company that is watched.
type pulse struct {
	watchers map[chan struct{}]bool // each holds at most one token: something arrived
	stop     context.CancelFunc
}

func newPulses(ask func(context.Context, app.Actor) (string, error), leaving <-chan struct{}) *pulses {
	return &pulses{ask: ask, leaving: leaving, tenants: map[id.Tenant]*pulse{}, sessions: map[id.Session]int{}}
}

// watch returns where tokens come and how to stop. The first watcher of a company
// begins to ask for all that follow, from the mark it knows.
func (p *pulses) watch(who app.Actor, mark string) (arrived chan struct{}, stop func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count >= maxWatchers || p.sessions[who.Session] >= maxSessionWatchers {
		return nil, nil, errWatchers
	}
	one := p.tenants[who.Tenant]
	if one == nil {
		ctx, cancel := context.WithCancel(context.Background())
		one = &pulse{watchers: map[chan struct{}]bool{}, stop: cancel}
		p.tenants[who.Tenant] = one
		go p.follow(ctx, who.Tenant, one, mark)
	}
	arrived = make(chan struct{}, 1)
	one.watchers[arrived] = true
	p.count++
	p.sessions[who.Session]++
	return arrived, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(one.watchers, arrived)
		p.count--
		if p.sessions[who.Session]--; p.sessions[who.Session] <= 0 {
			delete(p.sessions, who.Session)
		}
		if len(one.watchers) == 0 && p.tenants[who.Tenant] == one {
			one.stop()
			delete(p.tenants, who.Tenant)
		}
	}, nil
}

// follow asks for a company's mark until nobody watches it. A database that does not
// answer is asked again.
func (p *pulses) follow(ctx context.Context, tenant id.Tenant, one *pulse, mark string) {
	every := time.NewTicker(pulseEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		next, err := p.ask(ctx, app.System(tenant))
		if err != nil || next == mark {
			continue
		}
		mark = next
		p.mu.Lock()
		for arrived := range one.watchers {
			select {
			case arrived <- struct{}{}:
			default:
			}
		}
		p.mu.Unlock()
	}
}

// live serves one stream.
func (w *Web) live(v *visit) error {
	ctx := v.Request().Context()
	mark, err := w.areas.Reports.Pulse(ctx, v.who)
	if err != nil {
		return err
	}
	arrived, stop, err := w.pulses.watch(v.who, mark)
	if err != nil {
		return err
	}
	defer stop()
	h := v.Response().Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	v.Response().WriteHeader(http.StatusOK)
	connection := http.NewResponseController(v.Response())
	say := func(text string) bool {
		_ = connection.SetWriteDeadline(time.Now().Add(writeLimit)) // not every writer has deadlines
		_, err := io.WriteString(v.Response(), text)
		return err == nil && connection.Flush() == nil
	}
	cookie := secret.NewText(w.cookie(v, sessionCookie))
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	enough := time.NewTimer(watchFor)
	defer enough.Stop()
	for going := say(": watching\n\n"); going; {
		select {
		case <-ctx.Done():
			return nil
		case <-w.pulses.leaving:
			return nil
		case <-enough.C:
			return nil
		case <-arrived:
			going = say("event: usage\ndata:\n\n")
		case <-check.C:
			if _, err := w.areas.SignIns.PeekSession(ctx, cookie); err != nil {
				return nil // signed out meanwhile: the browser finds out when it connects again
			}
			going = say(": still there\n\n")
		}
	}
	return nil
}
