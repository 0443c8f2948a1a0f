package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/db/dbtest"
	"tollbook/gateway"
	"tollbook/gateway/journal"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// house is a whole gateway on a real database, with two tenants.
type house struct {
	clone     *dbtest.Clone // nil on a server of the test's own
	master    secret.Text
	ring      *secret.Keyring
	access    *app.Access
	changes   *app.Changes
	tenants   *app.Tenants
	nodes     *app.Nodes
	keys      *app.Keys
	reports   *app.Reports
	metering  *app.Metering
	snapshots *app.Snapshots
	gateway   *gateway.Gateway
	server    *httptest.Server
	dir       string
	tenant    map[string]id.Tenant
	key       map[string]string // by slug
	keyID     map[string]id.Key
}

func build(t *testing.T, upstream string) *house {
	t.Helper()
	clone := dbtest.New(t)
	h := furnish(t, clone.DB, upstream)
	h.clone = clone
	return h
}

func furnish(t *testing.T, d *db.DB, upstream string) *house {
	t.Helper()
	master := secret.NewMaster()
	ring, err := secret.NewKeyring(master)
	require.NoError(t, err)
	access, err := app.NewAccess()
	require.NoError(t, err)
	h := &house{master: master, ring: ring, access: access, dir: t.TempDir(), tenant: map[string]id.Tenant{}, key: map[string]string{}, keyID: map[string]id.Key{}}
	h.changes = app.NewChanges(access)
	h.nodes = app.NewNodes(d, access, h.changes)
	h.tenants = app.NewTenants(d, h.changes, h.nodes, ring, time.Now)
	h.keys = app.NewKeys(d, access, h.changes, ring)
	h.reports = app.NewReports(d, access, ring)
	h.metering, err = app.NewMetering(d)
	require.NoError(t, err)
	h.snapshots = app.NewSnapshots(d, ring, slog.New(slog.DiscardHandler), time.Now)
	for _, slug := range []string{"one", "two"} {
		from := time.Now().Add(-24 * time.Hour)
		tenant, err := h.tenants.Create(t.Context(), slug, slug, from)
		require.NoError(t, err)
		who := app.Command(tenant)
		require.NoError(t, h.nodes.Create(t.Context(), who, []app.NewNode{
			{Code: "BU-1", Name: "Unit", Kind: "business_unit", Capitalization: "expense"},
			{Code: "CC-1", Name: "Center", Kind: "cost_center", ParentCode: "BU-1", Capitalization: "expense"},
			{Code: "P-1", Name: "Project", Kind: "project", ParentCode: "CC-1", Capitalization: "capitalize"},
		}, from, "test"))
		require.NoError(t, h.tenants.SetUpstream(t.Context(), who, upstream, secret.NewText("sk-upstream-"+slug), "test"))
		made, err := h.keys.Create(t.Context(), who, app.NewKey{Label: "key", CostCenter: "CC-1"}, "test")
		require.NoError(t, err)
		h.tenant[slug], h.key[slug], h.keyID[slug] = tenant, made.Secret.Reveal(), made.ID
	}
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	h.open(t)
	return h
}

func (h *house) open(t *testing.T, set ...func(*gateway.Config)) {
	t.Helper()
	keys := h.ring.DeriveEach("journal-mac")
	cfg := gateway.Config{JournalDir: h.dir, JournalKey: keys[0], OldKeys: keys[1:], FlushEvery: 5 * time.Millisecond}
	for _, s := range set {
		s(&cfg)
	}
	g, err := gateway.New(cfg, h.snapshots, h.metering, app.NewLabels(h.ring))
	require.NoError(t, err)
	h.gateway = g
	h.server = httptest.NewServer(g.Handler())
	t.Cleanup(func() {
		h.server.Close()
		_ = g.Close(context.WithoutCancel(t.Context()))
	})
}

func (h *house) post(t *testing.T, slug, body string, set ...func(*http.Request)) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+"/gw/"+slug+"/v1/messages?beta=true", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("X-Api-Key", h.key[slug])
	r.Header.Set("Anthropic-Version", "2023-06-01")
	r.Header.Set("Content-Type", "application/json")
	for _, s := range set {
		s(r)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// rows waits until the tenant's ledger holds n requests.
func (h *house) rows(t *testing.T, slug string, n int) []app.Request {
	t.Helper()
	var rows []app.Request
	require.Eventually(t, func() bool {
		page, err := h.reports.Requests(t.Context(), app.System(h.tenant[slug]), app.RequestFilter{Limit: 500})
		require.NoError(t, err)
		rows = page.Rows
		return len(rows) >= n
	}, 10*time.Second, 5*time.Millisecond)
	require.Len(t, rows, n)
	return rows
}

const plainAnswer = `{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn",` +
	`"usage":{"input_tokens":1000,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":500,"service_tier":"standard"}}`

const question = `{"model":"claude-opus-5-5","max_tokens":10,"messages":[{"role":"user","content":"hi"}],"unknown":{"kept":true}}`

func stream(tail string) string {
	return `event: message_start
data: {"type":"message_start","message":{"id":"msg_2","model":"claude-opus-5-5","content":[],"stop_reason":null,"usage":{"input_tokens":1000,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello \"message_stop\" there"}}

` + tail
}

const streamEnd = `event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":500}}

event: message_stop
data: {"type":"message_stop"}

`

// answer serves one fixed answer and remembers what it was asked.
type answer struct {
	serve func(http.ResponseWriter, *http.Request)
	asked atomic.Pointer[http.Request]
	body  atomic.Pointer[[]byte]
	count atomic.Int64
}

func (a *answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.asked.Store(r)
	a.body.Store(&body)
	w.Header().Set("Request-Id", fmt.Sprintf("req_%d", a.count.Add(1)))
	w.Header().Set("Anthropic-Ratelimit-Requests-Limit", "50")
	w.Header().Set("X-Something-New", "kept")
	a.serve(w, r)
}

func upstream(t *testing.T, serve func(http.ResponseWriter, *http.Request)) (*answer, string) {
	t.Helper()
	a := &answer{serve: serve}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return a, server.URL
}

func jsonAnswer(status int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAPlainRequestIsPassedUntouchedPricedAndStored(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	res := h.post(t, "one", question, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+h.key["one"])
		r.Header["Anthropic-Beta"] = []string{"unlisted-2030-01-01", "two"}
		r.Header.Set("X-Tollbook-Project", "P-1")
		r.Header.Set("X-Tollbook-Developer", "ada@example.com")
		r.Header.Set("X-Tollbook-Tags", `{"team":"x"}`)
		r.Header.Set("X-Claude-Code-Session-Id", "s-1")
		r.Header.Set("Cookie", "tollbook=1")
	})
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, plainAnswer, string(got))
	require.Equal(t, "req_1", res.Header.Get("Request-Id"))
	require.Equal(t, "P-1", res.Header.Get("X-Tollbook-Cost-Center"))
	require.Equal(t, "kept", res.Header.Get("X-Something-New"))
	require.Empty(t, res.Header.Get("Anthropic-Ratelimit-Requests-Limit"))

	asked := a.asked.Load()
	require.Equal(t, question, string(*a.body.Load()))
	require.Equal(t, "/v1/messages?beta=true", asked.URL.String())
	require.Equal(t, []string{"unlisted-2030-01-01", "two"}, asked.Header["Anthropic-Beta"])
	require.Equal(t, "sk-upstream-one", asked.Header.Get("X-Api-Key"))
	require.Equal(t, "identity", asked.Header.Get("Accept-Encoding"))
	require.Equal(t, "s-1", asked.Header.Get("X-Claude-Code-Session-Id"))
	for name := range asked.Header {
		require.False(t, strings.HasPrefix(name, "X-Tollbook-") || name == "Authorization" || name == "Cookie" || name == "X-Forwarded-For", name)
	}

	row := h.rows(t, "one", 1)[0]
	require.Equal(t, res.Header.Get("X-Tollbook-Request-Id"), row.ID.String())
	require.Equal(t, "complete", row.State)
	require.Equal(t, "req_1", row.RequestID)
	require.Equal(t, "0.014000000000", row.Amount.String()) // 1000 x $4/M + 500 x $20/M
	require.Equal(t, "BU-1 / CC-1 / P-1", row.Allocations[0].Path)
	require.Equal(t, "project", row.Rule)
	require.Equal(t, "ada@example.com", row.Developer)
	require.Equal(t, map[string]string{"team": "x"}, row.Tags)
	require.Empty(t, h.rows(t, "two", 0))
}

// TestAStreamCutAnywhere cuts one stream at offsets over its whole length: the client
// always gets exactly the provider's bytes, and the row says whether it ended.
func TestAStreamCutAnywhere(t *testing.T) {
	t.Parallel()
	whole := stream(streamEnd)
	var cut atomic.Int64
	_, url := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		rc := http.NewResponseController(w)
		_, _ = io.WriteString(w, whole[:cut.Load()])
		_ = rc.Flush()
		_, _ = io.WriteString(w, whole[cut.Load():])
	})
	h := build(t, url)
	n := 0
	for at := 1; at < len(whole); at += 7 {
		cut.Store(int64(at))
		res := h.post(t, "one", question)
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, whole, string(got), "cut at %d", at)
		n++
	}
	for _, row := range h.rows(t, "one", n) {
		require.Equal(t, "complete", row.State)
		require.Equal(t, "0.014000000000", row.Amount.String())
	}
}

func TestABrokenStreamIsIncompleteAndItsEndIsNotFaked(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream(""))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	h := build(t, url)
	res := h.post(t, "one", question)
	got, err := io.ReadAll(res.Body)
	require.Error(t, err, "the client must see that the stream broke")
	require.Equal(t, stream(""), string(got))
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "incomplete", row.State)
	require.Contains(t, row.Flags, "no_final_usage")
	require.Positive(t, int64(row.Amount), "the input was billed")
}

func TestTheEndIsHeldUntilTheOutcomeIsDurable(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream(streamEnd))
	})
	h := build(t, url)
	res := h.post(t, "one", question)
	scanner := bufio.NewScanner(res.Body)
	for scanner.Scan() {
		if !strings.Contains(scanner.Text(), `{"type":"message_stop"}`) {
			continue
		}
		outcomes := 0
		_, err := journal.Inspect(h.journalPath(t), [][]byte{h.ring.Derive("journal-mac")}, func(r journal.Record) error {
			if r.Kind == journal.Outcome {
				outcomes++
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 1, outcomes, "the client saw the end before the outcome was written")
		return
	}
	t.Fatal("no message_stop came")
}

// journalPath is the journal of the house's only gateway.
func (h *house) journalPath(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(h.dir)
	require.NoError(t, err)
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return uuid.Validate(e.Name()) != nil })
	require.Len(t, entries, 1)
	return filepath.Join(h.dir, entries[0].Name())
}

func TestErrorsOfTheProviderPassUnchangedAndCostNothing(t *testing.T) {
	t.Parallel()
	body := `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 1 tokens > 0 maximum"},"request_id":"req_x"}`
	_, url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		jsonAnswer(http.StatusBadRequest, body)(w, r)
	})
	h := build(t, url)
	res := h.post(t, "one", question)
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	require.Equal(t, "7", res.Header.Get("Retry-After"))
	require.Equal(t, body, string(got))
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "error", row.State)
	require.Equal(t, "0.000000000000", row.Amount.String())
}

func TestUnknownModelAndFieldArePricedProvisionally(t *testing.T) {
	t.Parallel()
	answers := []string{
		strings.Replace(plainAnswer, "claude-opus-5-5", "claude-opus-9", 1),
		strings.Replace(plainAnswer, `"input_tokens":1000`, `"input_tokens":1000,"quantum_tokens":7`, 1),
	}
	var next atomic.Int64
	_, url := upstream(t, func(w http.ResponseWriter, r *http.Request) { jsonAnswer(http.StatusOK, answers[next.Load()])(w, r) })
	h := build(t, url)
	for i, flag := range []string{"model_unknown", "field_unknown:quantum_tokens"} {
		next.Store(int64(i))
		_, err := io.ReadAll(h.post(t, "one", question).Body)
		require.NoError(t, err)
		row := h.rows(t, "one", i+1)[0]
		require.Equal(t, "unpriced", row.State)
		require.Contains(t, row.Flags, flag)
		require.Positive(t, int64(row.Amount))
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	long := strings.Repeat("x", 300)
	for name, c := range map[string]struct {
		slug, path, method, body string
		header                   map[string]string
		status                   int
		typ                      string
		retryFalse               bool
	}{
		"wrong key":          {header: map[string]string{"X-Api-Key": "tbk_wrong"}, status: 401, typ: "authentication_error", retryFalse: true},
		"no key":             {header: map[string]string{"X-Api-Key": ""}, status: 401, typ: "authentication_error", retryFalse: true},
		"unknown tenant":     {slug: "three", status: 401, typ: "authentication_error", retryFalse: true},
		"other tenant's key": {header: map[string]string{"X-Api-Key": h.key["two"]}, status: 401, typ: "authentication_error", retryFalse: true},
		"not json":           {body: "hello", status: 400, typ: "invalid_request_error", retryFalse: true},
		"no model":           {body: `{"messages":[]}`, status: 400, typ: "invalid_request_error", retryFalse: true},
		"two models":         {body: `{"model":"a","model":"b"}`, status: 400, typ: "invalid_request_error", retryFalse: true},
		"absurd tags":        {header: map[string]string{"X-Tollbook-Tags": "[1]"}, status: 431, typ: "invalid_request_error", retryFalse: true},
		"absurd project":     {header: map[string]string{"X-Tollbook-Project": long}, status: 431, typ: "invalid_request_error", retryFalse: true},
		"compressed":         {header: map[string]string{"Content-Encoding": "gzip"}, status: 400, typ: "invalid_request_error", retryFalse: true},
		"batches":            {path: "/v1/messages/batches", status: 501, typ: "not_supported", retryFalse: true},
		"files":              {path: "/v1/files/x/content", method: http.MethodGet, status: 501, typ: "not_supported", retryFalse: true},
		"wrong base URL":     {path: "/v1/v1/messages", status: 421, typ: "invalid_request_error", retryFalse: true},
		"unknown path":       {path: "/v1/complete", status: 404, typ: "not_found_error", retryFalse: true},
		"wrong method":       {method: http.MethodDelete, status: 404, typ: "not_found_error", retryFalse: true},
	} {
		t.Run(name, func(t *testing.T) {
			slug, path, method, body := orText(c.slug, "one"), orText(c.path, "/v1/messages"), orText(c.method, http.MethodPost), orText(c.body, question)
			r, err := http.NewRequestWithContext(t.Context(), method, h.server.URL+"/gw/"+slug+path, strings.NewReader(body))
			require.NoError(t, err)
			r.Header.Set("X-Api-Key", h.key["one"])
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			res, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, c.status, res.StatusCode, string(got))
			var shape struct {
				Type  string
				Error struct{ Type, Message string }
			}
			require.NoError(t, json.Unmarshal(got, &shape), string(got))
			require.Equal(t, "error", shape.Type)
			require.Equal(t, c.typ, shape.Error.Type)
			require.NotEmpty(t, shape.Error.Message)
			require.Equal(t, c.retryFalse, res.Header.Get("X-Should-Retry") == "false")
			require.NotContains(t, string(got), h.key["one"])
		})
	}
	require.Zero(t, a.count.Load(), "a refusal never reaches the provider")
	h.rows(t, "one", 0)
}

func orText(text, standard string) string {
	if text == "" {
		return standard
	}
	return text
}

func TestOversizedBodiesAreRefusedAndNothingIsSent(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	h.server.Close()
	h.open(t, func(c *gateway.Config) { c.MaxBodyBytes = 1000 })
	big := `{"model":"claude-opus-5-5","x":"` + strings.Repeat("a", 2000) + `"}`
	require.Equal(t, http.StatusRequestEntityTooLarge, h.post(t, "one", big).StatusCode)
	chunked := h.post(t, "one", big, func(r *http.Request) { r.ContentLength, r.Body = -1, io.NopCloser(bytes.NewReader([]byte(big))) })
	require.Equal(t, http.StatusRequestEntityTooLarge, chunked.StatusCode)
	require.Zero(t, a.count.Load())
}

func TestAnUnreachableProviderIs529AndRecorded(t *testing.T) {
	t.Parallel()
	h := build(t, "http://127.0.0.1:1")
	res := h.post(t, "one", question)
	require.Equal(t, 529, res.StatusCode)
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "error", row.State)
	require.Equal(t, []string{"upstream_unreachable"}, row.Flags)
}

func TestAClientThatLeavesIsStillMetered(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	_, url := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream(""))
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, streamEnd)
	})
	h := build(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	res := h.post(t, "one", question, func(r *http.Request) { *r = *r.WithContext(ctx) })
	_, err := res.Body.Read(make([]byte, 10))
	require.NoError(t, err)
	cancel()
	close(release)
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "complete", row.State, "the provider finished within the drain")
	require.Equal(t, "0.014000000000", row.Amount.String())
}

func TestAClientThatLeavesForGoodIsEstimated(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	_, url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream(""))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(done)
	})
	h := build(t, url)
	h.server.Close()
	h.open(t, func(c *gateway.Config) { c.DrainFor = 20 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	res := h.post(t, "one", question, func(r *http.Request) { *r = *r.WithContext(ctx) })
	_, err := res.Body.Read(make([]byte, 10))
	require.NoError(t, err)
	cancel()
	<-done // the provider's work was cancelled after the drain
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "estimated", row.State)
	require.Contains(t, row.Flags, "client_gone")
	require.Positive(t, int64(row.Amount))
}

func TestADeadReplicasJournalIsAdopted(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	_, err := io.ReadAll(h.post(t, "one", question).Body)
	require.NoError(t, err)
	have := h.rows(t, "one", 1)[0]

	// A journal as a killed gateway leaves it: one request with outcome, one that is
	// in the ledger already, one without outcome.
	orphan, err := journal.Open(journal.Config{Root: h.dir + "-dead", MACKey: h.ring.Derive("journal-mac")})
	require.NoError(t, err)
	in := fmt.Sprintf(`{"t":%q,"k":%q,"m":"claude-opus-5-5","s":[{"placement":%q,"ppm":1000000}],"r":"key","n":1,"q":1}`,
		h.tenant["one"], h.keyID["one"], have.Allocations[0].Placement)
	out := `{"st":"complete","h":200,"i":"req_lost","u":{"Model":"claude-opus-5-5","Tokens":[1000,500,0,0,0]}}`
	for _, at := range []id.Event{id.NewEvent(time.Now()), have.ID, id.NewEvent(time.Now())} {
		_, err = orphan.AppendIntent(at.Bytes(), []byte(in))
		require.NoError(t, err)
		_, err = orphan.AppendOutcome(at.Bytes(), []byte(out))
		require.NoError(t, err)
	}
	last := id.NewEvent(time.Now())
	_, err = orphan.AppendIntent(last.Bytes(), []byte(in))
	require.NoError(t, err)
	require.NoError(t, orphan.Close()) // pending intents: the directory stays

	cfg := journal.Config{Root: h.dir + "-dead", MACKey: h.ring.Derive("journal-mac")}
	names, err := journal.Orphans(cfg.Root)
	require.NoError(t, err)
	require.Len(t, names, 1)
	done, err := gateway.Adopt(t.Context(), cfg, names[0], h.metering)
	require.NoError(t, err)
	require.Equal(t, gateway.Adopted{Requests: 4, Open: 1, Added: 3}, done)
	rows := h.rows(t, "one", 4)
	states := map[string]int{}
	for _, r := range rows {
		states[r.State]++
		if r.State == "open" {
			require.Equal(t, last, r.ID)
			require.Empty(t, r.RequestID)
			require.Zero(t, r.Amount)
		}
	}
	require.Equal(t, map[string]int{"complete": 3, "open": 1}, states)
	names, err = journal.Orphans(cfg.Root)
	require.NoError(t, err)
	require.Empty(t, names)
	live, err := h.metering.Replicas(t.Context())
	require.NoError(t, err)
	for _, r := range live {
		require.NotEqual(t, orphan.Replica().String(), r.ReplicaID.UUID(), "a dead replica without debts holds no day up")
	}
}

func TestUnmeteredPathsAreNeitherBilledNorRecorded(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, `{"input_tokens":3}`))
	h := build(t, url)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+"/gw/one/v1/messages/count_tokens?beta=true", strings.NewReader(question))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+h.key["one"])
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "/v1/messages/count_tokens?beta=true", a.asked.Load().URL.String())
	res, err = http.Head(h.server.URL + "/gw/one/api/hello")
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	h.rows(t, "one", 0)
}

func TestTwoTenantsSideBySide(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	for _, slug := range []string{"one", "two"} {
		_, err := io.ReadAll(h.post(t, slug, question).Body)
		require.NoError(t, err)
		require.Equal(t, "sk-upstream-"+slug, a.asked.Load().Header.Get("X-Api-Key"))
	}
	one, two := h.rows(t, "one", 1), h.rows(t, "two", 1)
	require.NotEqual(t, one[0].ID, two[0].ID)
	page, err := h.reports.Requests(t.Context(), app.System(h.tenant["two"]), app.RequestFilter{RequestID: one[0].RequestID})
	require.NoError(t, err)
	require.Empty(t, page.Rows)
}

func TestARevokedKeyIsRefusedByNotice(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	following := make(chan struct{})
	go func() { h.snapshots.Follow(ctx); close(following) }()
	made, err := h.keys.Create(t.Context(), app.Command(h.tenant["one"]), app.NewKey{Label: "fresh", CostCenter: "CC-1"}, "test")
	require.NoError(t, err)
	status := func() int {
		return h.post(t, "one", question, func(r *http.Request) { r.Header.Set("X-Api-Key", made.Secret.Reveal()) }).StatusCode
	}
	require.Eventually(t, func() bool { return status() == http.StatusOK }, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, h.keys.Revoke(t.Context(), app.Command(h.tenant["one"]), made.ID, "lost"))
	require.Eventually(t, func() bool { return status() == http.StatusUnauthorized }, 5*time.Second, 10*time.Millisecond)
	cancel()
	<-following
}

func TestAClientThatStopsReadingDoesNotHoldTheUpstream(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	_, url := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(ended)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream(""))
		filler := ": " + strings.Repeat("x", 64<<10) + "\n\n"
		for range 400 { // more than every buffer on the way holds
			if _, err := io.WriteString(w, filler); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, streamEnd)
	})
	h := build(t, url)
	h.server.Close()
	h.open(t, func(c *gateway.Config) { c.ReadWithin = 50 * time.Millisecond })
	h.post(t, "one", question) // its body is never read
	<-ended
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "complete", row.State)
	require.Equal(t, "0.014000000000", row.Amount.String())
}

func TestAConnectionOutlivesTheDeadlinesOfItsRequests(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	h.server.Close()
	h.open(t, func(c *gateway.Config) { c.ReadWithin, c.BodyWithin = 300*time.Millisecond, 300*time.Millisecond })
	until := time.Now().Add(700 * time.Millisecond)
	for n := 0; time.Now().Before(until); n++ {
		got, err := io.ReadAll(h.post(t, "one", question).Body)
		require.NoError(t, err, n)
		require.Equal(t, plainAnswer, string(got))
	}
}
