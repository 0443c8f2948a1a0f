package main

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// modeHeader says which answer is wanted. It travels like any header a proxy does
// not know.
const modeHeader = "X-Bench-Mode"

// The modes.
const (
	modePlain  = "plain"
	modeStream = "stream" // all deltas at once
	modePaced  = "paced"  // a pause between deltas, as a model makes it
	modeHold   = "hold"   // the first delta, and the rest when released
)

const (
	pace = 5 * time.Millisecond
	// think is how long the provider takes to begin. Real ones take a hundred times
	// as long; with no pause at all an answer would overtake its own request's last
	// lines of code in the proxy, which no provider does.
	think = 5 * time.Millisecond
)

// provider stands in for the provider and costs as little as an HTTP server can.
type provider struct {
	count atomic.Int64
	mu    sync.Mutex
	held  chan struct{}
}

func newUpstream() *service {
	p := &provider{held: make(chan struct{})}
	return &service{handler: p, release: p.release}
}

// release lets every held stream run to its end.
func (p *provider) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.held)
	p.held = make(chan struct{})
}

func (p *provider) hold() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// ServeHTTP takes the whole body before it answers, as the provider does.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Api-Key") != upstreamCredential {
		http.Error(w, "the key was not swapped", http.StatusUnauthorized)
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	time.Sleep(think)
	h := w.Header()
	h["Request-Id"] = []string{"req_bench" + strconv.FormatInt(p.count.Add(1), 10)}
	mode := r.Header.Get(modeHeader)
	if mode == modePlain {
		h["Content-Type"] = []string{"application/json"}
		h["Content-Length"] = []string{strconv.Itoa(len(plainAnswer))}
		_, _ = io.WriteString(w, plainAnswer) // the client's loss
		return
	}
	h["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
	h["Cache-Control"] = []string{"no-cache"}
	p.stream(w, r, mode)
}

func (p *provider) stream(w http.ResponseWriter, r *http.Request, mode string) {
	connection := http.NewResponseController(w)
	released := p.hold()
	for i, event := range streamEvents() {
		switch {
		case i <= firstDelta:
		case mode == modePaced:
			time.Sleep(pace)
		case mode == modeHold && i == firstDelta+1:
			select {
			case <-released:
			case <-r.Context().Done():
				return
			}
		}
		if _, err := io.WriteString(w, event); err != nil || connection.Flush() != nil {
			return
		}
	}
}
