package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/gateway"
	"tollbook/gateway/journal"
)

// client is one that sends requests for as long as it is told to, and remembers those
// it has whole.
type client struct {
	mu     sync.Mutex
	whole  map[string]bool // the upstream's ids
	failed []string
}

// ask sends one request and reads its answer.
func (c *client) ask(ctx context.Context, h *house, slug string) {
	answered := func() (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.server.URL+"/gw/"+slug+"/v1/messages", nil)
		if err != nil {
			return "", err
		}
		r.Body, r.ContentLength = io.NopCloser(reading(question)), int64(len(question))
		r.Header.Set("X-Api-Key", h.key[slug])
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err == nil && (res.StatusCode != http.StatusOK || string(got) != stream(streamEnd)) {
			err = fmt.Errorf("%d %s", res.StatusCode, got)
		}
		return res.Header.Get("Request-Id"), err
	}
	at, err := answered()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err.Error())
		return
	}
	c.whole[at] = true
}

func (c *client) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.whole) + len(c.failed)
}

// load sends requests from some clients until stopped.
func (c *client) load(t *testing.T, h *house, slug string) (stop func()) {
	t.Helper()
	var stopped atomic.Bool
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for !stopped.Load() {
				c.ask(t.Context(), h, slug)
			}
		})
	}
	stop = func() { stopped.Store(true); all.Wait() }
	t.Cleanup(stop)
	return stop
}

func streaming(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, stream(streamEnd))
}

// ledger reads a tenant's rows over all pages and checks that they are the client's
// requests, each once.
func (h *house) ledger(t *testing.T, slug string, c *client) {
	t.Helper()
	read := func() map[string]int {
		rows, cursor := map[string]int{}, ""
		for {
			page, err := h.reports.Requests(t.Context(), app.System(h.tenant[slug]), app.RequestFilter{Limit: 500, Cursor: cursor})
			require.NoError(t, err)
			for _, row := range page.Rows {
				require.Equal(t, "complete", row.State)
				require.Equal(t, "0.014000000000", row.Amount.String())
				rows[row.RequestID]++
			}
			if cursor = page.Next; cursor == "" {
				return rows
			}
		}
	}
	var rows map[string]int
	require.Eventually(t, func() bool { rows = read(); return len(rows) >= len(c.whole) }, 60*time.Second, 20*time.Millisecond)
	require.Len(t, rows, len(c.whole))
	for at := range c.whole {
		require.Equal(t, 1, rows[at], at)
	}
}

// TestTheDatabaseGoesAwayUnderLoad kills it, stops it in order, and starts it again,
// while requests go on: no client sees any of it, and the ledger has each request once.
func TestTheDatabaseGoesAwayUnderLoad(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, streaming)
	s := newServer(t)
	h := furnish(t, s.open(t), url)
	follow(t, h.snapshots)
	c := &client{whole: map[string]bool{}}
	stop := c.load(t, h, "one")
	sent := func(n int) {
		want := c.count() + n
		require.Eventually(t, func() bool { return c.count() >= want }, time.Minute, time.Millisecond)
	}
	sent(50)
	s.kill(t)
	sent(300)
	require.GreaterOrEqual(t, h.gateway.Stats().Pending, 300-50)
	require.NoError(t, h.gateway.Ready())
	s.start(t)
	sent(50)
	require.NoError(t, s.Stop())
	sent(200)
	s.start(t)
	sent(50)
	stop()
	require.Empty(t, c.failed, "no client saw that the database was away")
	h.ledger(t, "one", c)
	require.Eventually(t, func() bool { return h.gateway.Stats().Pending == 0 }, 20*time.Second, time.Millisecond)
}

// TestAFullJournalRefusesAndEmptiesItself lets the journal grow to its bound while the
// database is away. What runs then still ends whole.
func TestAFullJournalRefusesAndEmptiesItself(t *testing.T) {
	t.Parallel()
	release, open := gate(t)
	a := &answer{serve: func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Hold") == "" {
			streaming(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream(""))
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, streamEnd)
	}}
	provider := httptest.NewServer(a)
	t.Cleanup(func() { open(); provider.Close() })
	s := newServer(t)
	h := furnish(t, s.open(t), provider.URL)
	h.restart(t, func(c *gateway.Config) { c.JournalBytes = 256 << 10 })
	follow(t, h.snapshots)
	s.kill(t)
	c := &client{whole: map[string]bool{}}
	const running = 20
	held := make([]*http.Response, 0, running)
	for range running {
		held = append(held, h.post(t, "one", question, func(r *http.Request) { r.Header.Set("X-Hold", "1") }))
	}
	for len(c.failed) == 0 {
		c.ask(t.Context(), h, "one")
	}
	asked := a.count.Load()
	require.EqualValues(t, running+len(c.whole), asked)
	refusedWith(t, h.post(t, "one", question), 529, "overloaded_error")
	refusedWith(t, h.post(t, "two", question), 529, "overloaded_error")
	require.Equal(t, asked, a.count.Load(), "refused before the provider is reached")
	require.LessOrEqual(t, h.gateway.Stats().Bytes, int64(256<<10)*9/8, "with the reserve for outcomes")
	require.NoError(t, h.gateway.Ready(), "full is not broken")
	open()
	for _, res := range held {
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, stream(streamEnd), string(got), "a running answer ends whole")
		c.whole[res.Header.Get("Request-Id")] = true
	}
	s.start(t)
	require.Eventually(t, func() bool { return h.post(t, "two", question).StatusCode == http.StatusOK }, 30*time.Second, 5*time.Millisecond, "service resumes by itself")
	h.ledger(t, "one", c)
}

// TestOutcomesWithoutRoomStillReachTheLedger makes the reserve too small for what
// runs: those answers are cut, their rows are there, and nothing is stuck.
func TestOutcomesWithoutRoomStillReachTheLedger(t *testing.T) {
	t.Parallel()
	release, open := gate(t)
	a := &answer{serve: func(w http.ResponseWriter, r *http.Request) {
		<-release
		streaming(w, r)
	}}
	provider := httptest.NewServer(a)
	t.Cleanup(func() { open(); provider.Close() })
	s := newServer(t)
	h := furnish(t, s.open(t), provider.URL)
	h.restart(t, func(c *gateway.Config) { c.JournalBytes = 64 << 10 })
	s.kill(t)
	type ended struct {
		whole bool
		err   error
	}
	results := make(chan ended, 1000)
	var sent, refused atomic.Int64
	var all sync.WaitGroup
	const clients = 400
	for range clients {
		all.Go(func() {
			r, _ := http.NewRequest(http.MethodPost, h.server.URL+"/gw/one/v1/messages", reading(question))
			r.Header.Set("X-Api-Key", h.key["one"])
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				sent.Add(1)
				results <- ended{err: err}
				return
			}
			defer res.Body.Close()
			if res.StatusCode == 529 {
				refused.Add(1)
				return
			}
			sent.Add(1)
			got, err := io.ReadAll(res.Body)
			results <- ended{whole: err == nil && string(got) == stream(streamEnd), err: err}
		})
	}
	require.Eventually(t, func() bool { return a.count.Load()+refused.Load() == clients }, time.Minute, time.Millisecond)
	open()
	all.Wait()
	close(results)
	whole, cut := 0, 0
	for e := range results {
		if e.whole {
			whole++
		} else {
			require.Error(t, e.err, "an answer that is not recorded does not look whole")
			cut++
		}
	}
	require.Positive(t, refused.Load())
	require.Positive(t, whole)
	require.Positive(t, cut, "the reserve was too small for all of them")
	require.EqualValues(t, sent.Load(), a.count.Load())
	s.start(t)
	for _, row := range h.rows(t, "one", int(sent.Load())) {
		require.Equal(t, "complete", row.State, "the provider has billed it, and we know how much")
	}
	require.Eventually(t, func() bool { return h.gateway.Stats().Pending == 0 }, 20*time.Second, time.Millisecond, "no segment is held by a request without outcome")
	require.NoError(t, h.gateway.Ready())
}

// TestTwoGatewaysShareADatabaseAndTheJournalsOfTheDead starts two at once beside what
// dead ones left; each journal is adopted by one of them, and every request is there once.
func TestTwoGatewaysShareADatabaseAndTheJournalsOfTheDead(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	_, err := io.ReadAll(h.post(t, "one", question).Body)
	require.NoError(t, err)
	like := h.rows(t, "one", 1)[0]
	var left []string
	for range 8 {
		left = append(left, h.orphan(t, h.dir, h.ring.Derive("journal-mac"), like, "complete", "open", "complete"))
	}
	var starting sync.WaitGroup
	replicas := make([]*house, 2)
	for i := range replicas {
		starting.Go(func() { replicas[i] = h.replica(t, time.Now) })
	}
	starting.Wait()
	states := map[string]int{}
	for _, row := range h.rows(t, "one", 1+8*3) {
		states[row.State]++
	}
	require.Equal(t, map[string]int{"complete": 1 + 8*2, "open": 8}, states)
	for _, dir := range left {
		require.Eventually(t, func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) }, 10*time.Second, time.Millisecond)
	}
	for i, r := range replicas {
		require.Equal(t, http.StatusOK, r.post(t, "one", question).StatusCode, i)
	}
	h.rows(t, "one", 1+8*3+2)
}

// TestAJournalThatIsReadWhileItIsFlushedCountsOnce delivers the same requests twice,
// by two ways, at once and in another order: the living gateway's flush and a copy of
// its journal that somebody else adopts.
func TestAJournalThatIsReadWhileItIsFlushedCountsOnce(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, streaming)
	h := build(t, url)
	c := &client{whole: map[string]bool{}}
	stop := c.load(t, h, "one")
	owned, err := filepath.Glob(filepath.Join(h.dir, "*", "lock"))
	require.NoError(t, err)
	require.Len(t, owned, 1)
	source := filepath.Dir(owned[0])
	for round := range 5 {
		want := c.count() + 40
		require.Eventually(t, func() bool { return c.count() >= want }, time.Minute, time.Millisecond)
		copied := filepath.Join(h.dir+"-copies", strconv.Itoa(round))
		target := filepath.Join(copied, filepath.Base(source))
		require.NoError(t, os.MkdirAll(target, 0o700))
		entries, err := os.ReadDir(source)
		require.NoError(t, err)
		for _, e := range entries {
			content, err := os.ReadFile(filepath.Join(source, e.Name()))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(target, e.Name()), content, 0o600))
		}
		done, err := gateway.Adopt(t.Context(), journal.Config{Root: copied, MACKey: h.ring.Derive("journal-mac")}, filepath.Base(target), h.metering)
		require.NoError(t, err)
		t.Logf("round %d: %d requests delivered again, %d of them faster than their own gateway, %d open", round, done.Requests, done.Added, done.Open)
	}
	stop()
	require.Empty(t, c.failed)
	h.onceEach(t, "one", c)
}

// onceEach is ledger for a journal that was copied in the middle of requests: a copy
// shows a request as open that the living gateway ends. First come, first recorded.
func (h *house) onceEach(t *testing.T, slug string, c *client) {
	t.Helper()
	require.Eventually(t, func() bool { return h.gateway.Stats().Pending == 0 }, 60*time.Second, 10*time.Millisecond)
	named, open, cursor := map[string]int{}, 0, ""
	for {
		page, err := h.reports.Requests(t.Context(), app.System(h.tenant[slug]), app.RequestFilter{Limit: 500, Cursor: cursor})
		require.NoError(t, err)
		for _, row := range page.Rows {
			if row.State == "open" {
				open++
				continue
			}
			named[row.RequestID]++
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	require.Equal(t, len(c.whole), len(named)+open)
	for at, n := range named {
		require.Equal(t, 1, n, at)
		require.True(t, c.whole[at])
	}
}

// TestABrokenJournalIsLeftForAPerson damages one in the middle: what came before the
// break is in the ledger, the directory stays, and the gateway says so.
func TestABrokenJournalIsLeftForAPerson(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	_, err := io.ReadAll(h.post(t, "one", question).Body)
	require.NoError(t, err)
	like := h.rows(t, "one", 1)[0]
	dir := h.orphan(t, h.dir, h.ring.Derive("journal-mac"), like, "complete", "complete", "complete")
	segment := filepath.Join(dir, "00000001.seg")
	content, err := os.ReadFile(segment)
	require.NoError(t, err)
	in, err := journal.Inspect(dir, [][]byte{h.ring.Derive("journal-mac")}, nil)
	require.NoError(t, err)
	content[in.Segments[0].Bytes/2] ^= 1
	require.NoError(t, os.WriteFile(segment, content, 0o600))
	log := &words{}
	h.restart(t, log.set)
	require.Eventually(t, func() bool { return h.gateway.Broken() == 1 }, 10*time.Second, time.Millisecond)
	require.DirExists(t, dir)
	require.Contains(t, log.String(), filepath.Base(dir))
	require.Contains(t, log.String(), "needs a person")
	rows := h.rows(t, "one", 2)
	require.Contains(t, []string{rows[0].RequestID, rows[1].RequestID}, "req_orphan")
	require.Equal(t, http.StatusOK, h.post(t, "one", question).StatusCode, "requests go on")
}
