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

// Pages that show money say when more of it arrived, the operator's when the installation
// changed: a stream of server-sent events
// tells the browser, which fetches the page again (assets/js). The stream carries no
// figure, so that there is one way figures reach a page, with one set of rules.
const (
	pulseEvery = 2 * time.Second  // the ledger is asked, once for all who watch a company
	stateEvery = 4 * time.Second  // the installation is asked, once for all who watch it
	checkEvery = 20 * time.Second // the session is looked at again, and a comment keeps proxies awake
	watchFor   = time.Hour        // then the browser connects again by itself
	writeLimit = 10 * time.Second
	// Bounds of streams, for the process and for one session.
	maxWatchers        = 2000
	maxStateWatchers   = 100
	maxSessionWatchers = 8
)

const (
	livePath    = "/live"
	statePath   = "/operator/live"  // of the installation, for operators
	logLivePath = "/log/live"       // of the audit log
	liveHeader  = "X-Tollbook-Live" // on the page's own fetches
)

func streams(path string) bool { return path == livePath || path == statePath || path == logLivePath }

var errWatchers = fault.New(fault.KindUnavailable, "live_busy", "Too many pages are live at once. Reload to see what is new.")

// pulses tells watchers of companies that something is new there.
type pulses struct {
	ask      func(context.Context, app.Actor) (string, error)
	event    string          // what a watcher is told
	every    time.Duration   // between two questions
	most     int             // watchers
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

func newPulses(event string, every time.Duration, most int, ask func(context.Context, app.Actor) (string, error), leaving <-chan struct{}) *pulses {
	return &pulses{event: event, every: every, most: most, ask: ask, leaving: leaving, tenants: map[id.Tenant]*pulse{}, sessions: map[id.Session]int{}}
}

// watch returns where tokens come and how to stop. The first watcher of a company
// begins to ask for all that follow, from the mark it knows. The installation is watched
// as no company.
func (p *pulses) watch(who app.Actor, tenant id.Tenant, mark string) (arrived chan struct{}, stop func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count >= p.most || p.sessions[who.Session] >= maxSessionWatchers {
		return nil, nil, errWatchers
	}
	one := p.tenants[tenant]
	if one == nil {
		ctx, cancel := context.WithCancel(context.Background())
		one = &pulse{watchers: map[chan struct{}]bool{}, stop: cancel}
		p.tenants[tenant] = one
		go p.follow(ctx, tenant, one, mark)
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
		if len(one.watchers) == 0 && p.tenants[tenant] == one {
			one.stop()
			delete(p.tenants, tenant)
		}
	}, nil
}

// follow asks for a company's mark until nobody watches it. A database that does not
// answer is asked again.
func (p *pulses) follow(ctx context.Context, tenant id.Tenant, one *pulse, mark string) {
	every := time.NewTicker(p.every)
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

// live serves a stream of the visitor's company.
func (w *Web) live(v *visit) error { return w.stream(v, w.pulses, v.who.Tenant) }

// liveState serves a stream of the installation.
func (w *Web) liveState(v *visit) error { return w.stream(v, w.states, id.Tenant{}) }

// stream serves one stream for as long as its reader may ask the same again.
func (w *Web) stream(v *visit, p *pulses, tenant id.Tenant) error {
	ctx := v.Request().Context()
	mark, err := p.ask(ctx, v.who)
	if err != nil {
		return err
	}
	arrived, stop, err := p.watch(v.who, tenant, mark)
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
		case <-p.leaving:
			return nil
		case <-enough.C:
			return nil
		case <-arrived:
			going = say("event: " + p.event + "\ndata:\n\n")
		case <-check.C:
			who, err := w.areas.SignIns.PeekSession(ctx, cookie)
			if err == nil {
				_, err = p.ask(ctx, who)
			}
			if err != nil {
				return nil // signed out or without the right meanwhile: the browser finds out when it connects again
			}
			going = say(": still there\n\n")
		}
	}
	return nil
}
