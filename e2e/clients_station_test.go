//go:build clients

package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// passed is one request as it went by, and what came back.
type passed struct {
	method string
	uri    string // path below the station's base, and query
	header http.Header
	body   []byte
	status int // 0: cut before the head
	answer http.Header
	bytes  []byte
	cut    bool // by the other end
	left   bool // the client did not wait for the end
	ended  bool
	open   int // how many were on their way when this one came, itself included
}

// billed tells the requests that count: what the faults are numbered by.
func (p *passed) billed() bool {
	path, _, _ := strings.Cut(p.uri, "?")
	return p.method == http.MethodPost && path == "/v1/messages"
}

// begun tells that the answer's head went by; whole, that all of it did.
func (p *passed) begun() bool { return p.status != 0 }
func (p *passed) whole() bool { return p.ended && !p.cut && !p.left }

// station is a place on the wire: it passes on what it gets, byte by byte, and keeps a
// note of it. One stands before each client, another before each provider.
type station struct {
	target *url.URL
	faults []string // x-sim-fault of the nth billed request; "" or beyond: none
	client *http.Transport

	mu     sync.Mutex
	seen   []*passed
	billed int
	open   int
}

func newStation(t *testing.T, target string, faults ...string) *station {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	p := &station{target: u, faults: faults, client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
	t.Cleanup(p.client.CloseIdleConnections)
	return p
}

// listen gives the station an address of its own.
func (p *station) listen(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return server.URL
}

// all is what went by so far, in the order in which it came.
func (p *station) all() []*passed {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := make([]*passed, 0, len(p.seen))
	for _, one := range p.seen {
		now := *one
		seen = append(seen, &now)
	}
	return seen
}

// messages are the billed ones among them.
func (p *station) messages() []*passed {
	return slices.DeleteFunc(p.all(), func(one *passed) bool { return !one.billed() })
}

// note takes a request down and says which fault the provider is asked for.
func (p *station) note(r *http.Request, body []byte) (*passed, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open++
	one := &passed{method: r.Method, uri: r.URL.RequestURI(), header: r.Header.Clone(), body: body, open: p.open}
	p.seen = append(p.seen, one)
	if !one.billed() {
		return one, ""
	}
	p.billed++
	if p.billed > len(p.faults) {
		return one, ""
	}
	return one, p.faults[p.billed-1]
}

func (p *station) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
}

// ServeHTTP passes one request on.
func (p *station) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	one, fault := p.note(r, body)
	defer p.done()
	target := *p.target
	target.Path += r.URL.Path
	target.RawQuery = r.URL.RawQuery
	out, err := http.NewRequestWithContext(r.Context(), r.Method, target.String(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header = r.Header.Clone()
	out.Header.Del("Connection")
	if out.Header.Get("User-Agent") == "" {
		out.Header["User-Agent"] = []string{""}
	}
	if fault != "" {
		out.Header.Set("X-Sim-Fault", fault)
	}
	response, err := p.client.RoundTrip(out)
	if err != nil {
		p.finish(r, one, nil, true)
		panic(http.ErrAbortHandler)
	}
	defer response.Body.Close()
	p.begin(one, response)
	p.relay(one, w, r, response)
}

func (p *station) begin(one *passed, response *http.Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one.status, one.answer = response.StatusCode, response.Header.Clone()
}

func (p *station) finish(r *http.Request, one *passed, content []byte, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one.ended = true
	one.bytes, one.left = content, cut && r.Context().Err() != nil
	one.cut = cut && !one.left
}

// relay passes the answer on read by read; a cut stays a cut.
func (p *station) relay(one *passed, w http.ResponseWriter, r *http.Request, response *http.Response) {
	for name, values := range response.Header {
		if name != "Connection" && name != "Transfer-Encoding" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(response.StatusCode)
	flusher := http.NewResponseController(w)
	var content bytes.Buffer
	chunk := make([]byte, 32<<10)
	for {
		n, err := response.Body.Read(chunk)
		content.Write(chunk[:n])
		if n > 0 {
			_, wrote := w.Write(chunk[:n])
			if wrote != nil || flusher.Flush() != nil {
				p.finish(r, one, content.Bytes(), true)
				return
			}
		}
		if err == io.EOF {
			p.finish(r, one, content.Bytes(), false)
			return
		}
		if err != nil {
			p.finish(r, one, content.Bytes(), true)
			panic(http.ErrAbortHandler)
		}
	}
}
