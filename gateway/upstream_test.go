package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/gateway"
	"tollbook/simulator"
)

const streamed = `{"model":"claude-opus-5-5","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"tell me"}]}`

// TestWhatTheProviderDoesIsRecordedAsItWas goes through the provider's faults, with a
// provider that keeps books of its own.
func TestWhatTheProviderDoesIsRecordedAsItWas(t *testing.T) {
	t.Parallel()
	sim, err := simulator.Open(simulator.Config{Dir: t.TempDir(), Seed: 1})
	require.NoError(t, err)
	provider := httptest.NewServer(sim.Handler())
	t.Cleanup(provider.Close)
	h := build(t, provider.URL)
	for n, c := range []struct {
		fault  string
		status int
		cut    bool // the client sees that the answer broke
		state  string
		flags  string
		input  int64
		output bool // some is charged
	}{
		{fault: "deltas=3", status: 200, state: "complete", input: 11, output: true},
		{fault: "drop-head", status: 529, state: "incomplete", flags: "upstream_dropped"},
		{fault: "drop-after=3", status: 200, cut: true, state: "incomplete", flags: "no_final_usage upstream_dropped output_estimated", input: 11, output: true},
		{fault: "sse-error-after=0", status: 200, state: "incomplete", flags: "stream_error no_message_start no_final_usage"},
		{fault: "sse-error-after=2", status: 200, state: "incomplete", flags: "stream_error no_final_usage output_estimated", input: 11, output: true},
		{fault: "no-usage", status: 200, state: "incomplete", flags: "no_final_usage output_estimated", input: 11, output: true},
		{fault: "status=529", status: 529, state: "error"},
		{fault: "status=429,retry-after=7", status: 429, state: "error"},
		{fault: "status=500", status: 500, state: "error"},
	} {
		res := h.post(t, "one", streamed, func(r *http.Request) { r.Header.Set("X-Sim-Fault", c.fault) })
		_, err := io.ReadAll(res.Body)
		require.Equal(t, c.cut, err != nil, "%s: %v", c.fault, err)
		require.Equal(t, c.status, res.StatusCode, c.fault)
		row := h.rows(t, "one", n+1)[0]
		require.Equal(t, c.state, row.State, c.fault)
		require.Equal(t, c.flags, strings.Join(row.Flags, " "), c.fault)
		require.Equal(t, c.input, row.Tokens[0], c.fault)
		require.Equal(t, c.output, row.Tokens[1] > 0, c.fault)
		require.Equal(t, c.input > 0, row.Amount > 0, c.fault)
		if c.state == "error" {
			require.Equal(t, c.status, row.HTTPStatus, c.fault)
		}
	}
}

// TestAStreamThatBreaksAfterItsUsageIsComplete has all that is billed: only its last
// event is missing, and the client sees that it is.
func TestAStreamThatBreaksAfterItsUsageIsComplete(t *testing.T) {
	t.Parallel()
	before, _, _ := strings.Cut(stream(streamEnd), "event: message_stop")
	_, url := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, before)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	h := build(t, url)
	got, err := io.ReadAll(h.post(t, "one", question).Body)
	require.Error(t, err)
	require.Equal(t, before, string(got))
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "complete", row.State)
	require.Equal(t, "0.014000000000", row.Amount.String())
}

// TestGarbageFromTheProviderIsPassedAndRecorded sends what is no stream in a stream's
// clothes; the bytes pass, and nothing is invented.
func TestGarbageFromTheProviderIsPassedAndRecorded(t *testing.T) {
	t.Parallel()
	var next atomic.Pointer[string]
	_, url := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, *next.Load())
	})
	h := build(t, url)
	for n, garbage := range []string{
		"", "\x00\x01\x02", strings.Repeat("data: ", 10_000), "event: message_start\ndata: {\"type\":\"message_start\"\n\n",
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":99999999999999999999}}}\n\n" + streamEnd,
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":-5,\"output_tokens\":-5}}}\n\n" + streamEnd,
		streamEnd + stream(streamEnd), strings.Repeat("\n", 100_000),
	} {
		next.Store(&garbage)
		got, err := io.ReadAll(h.post(t, "one", question).Body)
		require.NoError(t, err)
		require.Equal(t, garbage, string(got))
		row := h.rows(t, "one", n+1)[0]
		require.GreaterOrEqual(t, int64(row.Amount), int64(0), "%.60q", garbage)
		if n < 4 {
			require.Equal(t, "incomplete", row.State, "%.60q", garbage)
			require.Zero(t, row.Amount)
		}
	}
	require.NoError(t, h.gateway.Ready())
}

// TestAClockThatStepsKeepsIdsAndMonths sets the gateway's clock back and into the next
// month: no id comes twice, each request has its own clock's millisecond, and posts to
// the month of it.
func TestAClockThatStepsKeepsIdsAndMonths(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, streaming)
	h := build(t, url)
	var clock atomic.Int64
	base := time.Now().Truncate(time.Hour)
	now := func() time.Time { return time.Unix(0, clock.Load()) }
	clock.Store(base.UnixNano())
	moved := h.replica(t, now, func(c *gateway.Config) { c.Now = now })
	ids := map[id.Event]time.Time{}
	for _, at := range []time.Time{base, base.Add(-3 * time.Hour), base, base, base.AddDate(0, 0, 40), base.Add(time.Millisecond), base.AddDate(0, 1, 0)} {
		clock.Store(at.UnixNano())
		require.NoError(t, moved.snapshots.Load(t.Context(), id.Tenant{}))
		for range 5 { // within one millisecond of a clock that stands
			res := moved.post(t, "one", question)
			_, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			event, err := id.ParseEvent(res.Header.Get("X-Tollbook-Request-Id"))
			require.NoError(t, err)
			require.NotContains(t, ids, event)
			ids[event] = at.Truncate(time.Millisecond)
		}
	}
	for _, row := range moved.rows(t, "one", len(ids)) {
		require.True(t, ids[row.ID].Equal(row.OccurredAt), "%s at %s", row.ID, row.OccurredAt)
		require.Equal(t, "complete", row.State)
	}
	var wrong, months int
	require.NoError(t, h.clone.Admin(t).QueryRow(`select count(*) filter (where posting_period <> date_trunc('month', occurred_at at time zone 'UTC')::date),
		count(distinct posting_period) from usage_event`).Scan(&wrong, &months))
	require.Zero(t, wrong, "each posts to its own month")
	require.Greater(t, months, 1)
	require.NoError(t, h.clone.Admin(t).QueryRow(`select count(*) from (select replica_sequence from usage_event group by 1 having count(*) > 1) as twice`).Scan(&wrong))
	require.Zero(t, wrong, "numbers go on without a twin")
}

// TestAHostileCompanyDoesNotReachTheOthers does what one company can to be a burden:
// a developer of a new name with each request, the largest tags, odd bytes in every
// header that is kept. The other's requests pass and its ledger is exact.
func TestAHostileCompanyDoesNotReachTheOthers(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, streaming)
	h := build(t, url)
	tags := make([]string, 0, 10)
	for i := range 10 {
		tags = append(tags, fmt.Sprintf("%q:%q", strings.Repeat("k", 63)+strconv.Itoa(i), strings.Repeat("é", 128)))
	}
	var accepted int
	for i := range 200 {
		res := h.post(t, "one", question, func(r *http.Request) {
			r.Header.Set("X-Tollbook-Developer", fmt.Sprintf("nobody-%d@%s.example", i, strings.Repeat("x", 80)))
			r.Header.Set("X-Tollbook-Tags", "{"+strings.Join(tags, ",")+"}")
			for _, kept := range []string{"X-Claude-Code-Session-Id", "X-Claude-Code-Agent-Id", "X-Claude-Code-Parent-Agent-Id", "X-Claude-Code-Request-Class"} {
				r.Header[kept] = []string{"\xff\xfe' ; drop table tenant; -- \u202e" + strings.Repeat("y", 5000)}
			}
		})
		if res.StatusCode == http.StatusOK {
			accepted++
		}
		_, _ = io.ReadAll(res.Body)
		if i%20 == 0 {
			_, err := io.ReadAll(h.post(t, "two", question).Body)
			require.NoError(t, err)
		}
	}
	require.Equal(t, 200, accepted)
	for _, row := range h.rows(t, "two", 10) {
		require.Equal(t, "complete", row.State)
		require.Equal(t, "0.014000000000", row.Amount.String())
	}
	require.Eventually(t, func() bool { return h.gateway.Stats().Pending == 0 }, 20*time.Second, time.Millisecond, "nothing of it is stuck in the journal")
	page, err := h.reports.Requests(t.Context(), app.System(h.tenant["one"]), app.RequestFilter{Limit: 500})
	require.NoError(t, err)
	require.Len(t, page.Rows, 200)
}

// TestATermLetsStreamsEndAndTheLedgerHasThem is a gateway's own part of a shutdown:
// what runs ends whole and is flushed before Close returns.
func TestATermLetsStreamsEndAndTheLedgerHasThem(t *testing.T) {
	t.Parallel()
	release, open := gate(t)
	var begun atomic.Int64
	_, url := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream(""))
		_ = http.NewResponseController(w).Flush()
		begun.Add(1)
		<-release
		_, _ = io.WriteString(w, streamEnd)
	})
	h := build(t, url)
	var answers []*http.Response
	for range 10 {
		answers = append(answers, h.post(t, "one", question))
	}
	require.EqualValues(t, 10, begun.Load())
	ended := make(chan error, 1)
	go func() {
		err := h.server.Config.Shutdown(context.WithoutCancel(t.Context()))
		if err == nil {
			err = h.gateway.Close(context.WithoutCancel(t.Context()))
		}
		ended <- err
	}()
	require.Eventually(t, func() bool {
		res, err := http.Get(h.server.URL + "/gw/one/api/hello")
		if err == nil {
			_ = res.Body.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond, "nobody new comes in")
	open()
	for _, res := range answers {
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, stream(streamEnd), string(got))
	}
	require.NoError(t, <-ended)
	page, err := h.reports.Requests(t.Context(), app.System(h.tenant["one"]), app.RequestFilter{})
	require.NoError(t, err)
	require.Len(t, page.Rows, 10, "they are in the ledger before it is gone")
	entries, err := http.Dir(h.dir).Open("/")
	require.NoError(t, err)
	defer entries.Close()
	left, err := entries.Readdir(-1)
	require.NoError(t, err)
	for _, e := range left {
		require.False(t, e.IsDir(), "%s: nothing is left to adopt", e.Name())
	}
}
