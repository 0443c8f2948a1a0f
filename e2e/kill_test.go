package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// crash is one installation that is killed under load, and a provider that lives on:
// its books tell what really reached it.
type crash struct {
	in       *installation
	provider *process
	books    string
	session  string
	seen     sync.Map // request id -> true: its last byte reached the client
	sent     atomic.Int64
	ended    atomic.Int64
}

func newCrash(t *testing.T) *crash {
	t.Helper()
	dir, err := os.MkdirTemp("", "tollbook-kill-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address, err := freePort()
	require.NoError(t, err)
	c := &crash{books: "http://" + address, session: uuid.NewString()}
	c.provider, err = start([]string{"simulate", "--listen", address, "--data", dir + "-provider"})
	require.NoError(t, err)
	t.Cleanup(func() { c.provider.kill(); _ = os.RemoveAll(dir + "-provider") })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, c.provider.ready(ctx, c.books+"/readyz"))
	c.in, err = openDemo(dir, "--upstream", c.books)
	require.NoError(t, err)
	t.Cleanup(func() { c.in.kill() })
	return c
}

const crashClients = 16

// load sends requests until ctx ends; some are plain, most are streams that take a
// while, so that a kill finds them at every stage.
func (c *crash) load(ctx context.Context) {
	var clients sync.WaitGroup
	for n := range crashClients {
		clients.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				c.one(ctx, n, i)
			}
		})
	}
	clients.Wait()
}

func (c *crash) one(ctx context.Context, n, i int) {
	streamed := (n+i)%4 != 0
	body := fmt.Sprintf(`{"model":"claude-opus-5-5","max_tokens":500,"stream":%t,"messages":[{"role":"user","content":"client %d request %d %s"}]}`,
		streamed, n, i, strings.Repeat("x", rand.IntN(3000)))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.in.card.GatewayURL+"/v1/messages", strings.NewReader(body))
	if err != nil {
		return
	}
	r.Header.Set("X-Api-Key", c.in.card.VirtualKeys["CC-4200"])
	r.Header.Set("Anthropic-Version", "2023-06-01")
	r.Header.Set("X-Claude-Code-Session-Id", c.session)
	r.Header.Set("X-Sim-Fault", fmt.Sprintf("deltas=%d,delta-ms=%d,first-byte-ms=%d", 1+rand.IntN(12), rand.IntN(6), rand.IntN(10)))
	c.sent.Add(1)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return
	}
	if !streamed {
		if _, err := io.ReadAll(res.Body); err == nil {
			c.finished(res.Header.Get("Request-Id"))
		}
		return
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if lines.Text() == `data: {"type":"message_stop"}` {
			c.finished(res.Header.Get("Request-Id"))
		}
	}
}

func (c *crash) finished(requestID string) {
	c.seen.Store(requestID, true)
	c.ended.Add(1)
}

// round loads, kills at a moment nobody chose, starts again and compares.
func (c *crash) round(t *testing.T, number int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	loading := make(chan struct{})
	before := c.ended.Load()
	go func() { defer close(loading); c.load(ctx) }()
	want := before + int64(200+rand.IntN(200))
	require.Eventually(t, func() bool { return c.ended.Load() >= want }, time.Minute, time.Millisecond, "the load must run")
	c.in.kill()
	cancel()
	<-loading
	require.NoError(t, c.in.again(), "round %d", number)
	c.settled(t)
}

// settled waits until every orphaned journal is in the ledger and checks promise 1.
func (c *crash) settled(t *testing.T) {
	t.Helper()
	finished := map[string]bool{}
	c.seen.Range(func(id, _ any) bool { finished[id.(string)] = true; return true })
	var rows []usageRow
	provider := map[string]booked{}
	enough := func() bool {
		rows = c.in.usage(t, url.Values{"session": {c.session}})
		clear(provider)
		for _, b := range books(t, c.books, url.Values{"session": {c.session}}) {
			provider[b.RequestID] = b
		}
		return len(rows) >= len(provider)
	}
	require.Eventually(t, enough, time.Minute, 100*time.Millisecond, "every request the provider saw has a row")

	byRequest, unnamed := map[string]usageRow{}, 0
	for _, row := range rows {
		if row.RequestID == "" {
			unnamed++
			require.Contains(t, []string{"open", "incomplete", "estimated", "error"}, row.State)
			continue
		}
		_, twice := byRequest[row.RequestID]
		require.False(t, twice, "%s is in the ledger twice", row.RequestID)
		byRequest[row.RequestID] = row
	}
	for id := range finished {
		row, ok := byRequest[id]
		require.True(t, ok, "the client has all of %s, the ledger has nothing", id)
		require.Equal(t, "complete", row.State, id)
		require.Equal(t, provider[id].Amount, row.Amount, id)
	}
	missing := 0
	for id, b := range provider {
		row, ok := byRequest[id]
		if !ok {
			missing++ // it reached the provider and nobody lived to see the answer: an open row stands for it
			continue
		}
		if row.State == "complete" {
			require.Equal(t, b.Amount, row.Amount, id)
		}
	}
	require.LessOrEqual(t, missing, unnamed, "a request reached the provider and left no row")
	t.Logf("%d finished at the client, %d at the provider, %d rows, %d of them open or unanswered", len(finished), len(provider), len(rows), unnamed)
}

// TestKillNineLosesNothing is promise 1: kill the program at any point under load;
// what the client has whole is in the ledger exactly once, whatever else reached the
// provider is a row that says so.
func TestKillNineLosesNothing(t *testing.T) {
	c := newCrash(t)
	for round := range 3 {
		c.round(t, round)
	}
}
