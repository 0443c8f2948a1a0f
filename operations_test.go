package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db/dbtest"
	"tollbook/gateway/journal"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// lines is a log that a test reads while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// watched is the program as serve starts it, with a log at debug level.
type watched struct {
	*house
	parts  *parts
	server *httptest.Server
	log    *lines
	key    map[string]string // by slug
}

func openHouse(t *testing.T, set func(*settings)) *watched {
	t.Helper()
	clone := dbtest.New(t)
	s := settings{
		DatabaseURL: clone.URL("tollbook_app"), SystemDatabaseURL: clone.URL("tollbook_system"), MasterKeys: []secret.Text{secret.NewMaster()},
		JournalDir: t.TempDir(), PublicURL: &url.URL{Scheme: "http", Host: "127.0.0.1"}, Limits: standardLimits(),
	}
	if set != nil {
		set(&s)
	}
	log := &lines{}
	h, err := assemble(t.Context(), s, slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	require.NoError(t, err)
	t.Cleanup(h.db.Close)
	return &watched{house: h, log: log, key: map[string]string{}}
}

// tenant makes a company with one key.
func (s *watched) tenant(t *testing.T, slug, upstream, credential string) {
	t.Helper()
	from := time.Now().Add(-24 * time.Hour)
	tenant, err := s.tenants.Create(t.Context(), slug, slug, from)
	require.NoError(t, err)
	who := app.Command(tenant)
	require.NoError(t, s.nodes.Create(t.Context(), who, []app.NewNode{{Code: "CC-1", Name: "Center", Kind: "cost_center", Capitalization: "expense"}}, from, "test"))
	require.NoError(t, s.tenants.SetUpstream(t.Context(), who, upstream, secret.NewText(credential), "test"))
	made, err := s.keys.Create(t.Context(), who, app.NewKey{Label: "key", CostCenter: "CC-1"}, "test")
	require.NoError(t, err)
	s.key[slug] = made.Secret.Reveal()
}

func (s *watched) begin(t *testing.T) {
	t.Helper()
	p, err := s.start(t.Context())
	require.NoError(t, err)
	s.parts, s.server = p, httptest.NewServer(p.mux)
	t.Cleanup(func() {
		s.server.Close()
		limited, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Second)
		defer cancel()
		_ = p.shutdown(limited)
	})
}

func TestABaseURLWithoutACompanyIsNamedAsSuch(t *testing.T) {
	t.Parallel()
	s := openHouse(t, nil)
	s.begin(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/v1/messages?beta=true", strings.NewReader(`{"model":"claude-opus-5-5"}`))
	require.NoError(t, err)
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusMisdirectedRequest, res.StatusCode)
	require.Equal(t, "false", res.Header.Get("X-Should-Retry"))
	require.Contains(t, string(body), "ANTHROPIC_BASE_URL")
}

func (s *watched) post(t *testing.T, slug, key, path, body string, set ...func(http.Header)) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/gw/"+slug+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("X-Api-Key", key)
	for _, f := range set {
		f(r.Header)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer res.Body.Close()
	got, _ := io.ReadAll(res.Body) // a broken answer is one of the cases
	return string(got)
}

func (s *watched) get(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.server.URL+path, nil)
	require.NoError(t, err)
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(got)
}

// numbers reads /metrics: name and labels as printed, to value.
func (s *watched) numbers(t *testing.T) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for line := range strings.SplitSeq(s.get(t, "/metrics"), "\n") {
		name, value, ok := strings.Cut(line, " ")
		if at := strings.LastIndexByte(line, '}'); at > 0 {
			name, value, ok = line[:at+1], strings.TrimSpace(line[at+1:]), true
		}
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		require.NoError(t, err, line)
		values[name] = number
	}
	return values
}

const (
	operationsQuestion = `{"model":"claude-opus-5-5","messages":[]}`
	operationsAnswer   = `{"id":"msg_1","type":"message","model":"claude-opus-5-5","content":[],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":5}}`
	operationsStream   = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_2\",\"model\":\"claude-opus-5-5\",\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n"
	operationsEnd      = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
)

// providerServer answers as the request's header X-Wanted says.
func providerServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.Header.Get("X-Wanted") {
		case "stream":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, operationsStream+operationsEnd)
		case "broken":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, operationsStream)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "overloaded":
			w.WriteHeader(529)
			_, _ = io.WriteString(w, `{}`)
		case "unknown":
			_, _ = io.WriteString(w, strings.Replace(operationsAnswer, "opus-5-5", "opus-99", 1))
		default:
			_, _ = io.WriteString(w, operationsAnswer)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func wanted(what string) func(http.Header) {
	return func(h http.Header) { h.Set("X-Wanted", what) }
}

// leave puts a dead replica's journal beside the gateway's: a whole request and one
// without outcome. If broken, a byte of it is flipped.
func (s *watched) leave(t *testing.T, slug string, broken bool) {
	t.Helper()
	require.NoError(t, s.snapshots.Load(t.Context(), id.Tenant{}))
	tenant := s.snapshots.Current().Tenants[slug]
	dead, err := journal.Open(journal.Config{Root: s.settings.JournalDir, MACKey: s.journalKeys()[0]})
	require.NoError(t, err)
	for _, key := range tenant.Keys {
		in := fmt.Sprintf(`{"t":%q,"k":%q,"m":"claude-opus-5-5","s":[{"placement":%q,"ppm":1000000}],"r":"key","n":1,"q":1}`, tenant.ID, key.ID, key.Answer.Shares[0].Placement)
		whole, open := id.NewEvent(time.Now()), id.NewEvent(time.Now())
		for _, at := range []id.Event{whole, open} {
			_, err = dead.AppendIntent(at.Bytes(), []byte(in))
			require.NoError(t, err)
		}
		_, err = dead.AppendOutcome(whole.Bytes(), []byte(`{"st":"complete","h":200,"u":{"Model":"claude-opus-5-5","Tokens":[10,5,0,0,0]}}`))
		require.NoError(t, err)
	}
	require.NoError(t, dead.Close())
	if !broken {
		return
	}
	files, err := filepath.Glob(filepath.Join(s.settings.JournalDir, dead.Replica().String(), "*.*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	content, err := os.ReadFile(files[0])
	require.NoError(t, err)
	at := bytes.Index(content, []byte(`claude-opus`)) // in its first record, with whole ones behind it
	require.Positive(t, at)
	content[at] ^= 1
	require.NoError(t, os.WriteFile(files[0], content, 0o600))
}

func TestMetricsCountExactlyWhatHappened(t *testing.T) {
	t.Parallel()
	traces := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(traces.Close)
	collector, err := url.Parse(traces.URL)
	require.NoError(t, err)
	s := openHouse(t, func(s *settings) { s.OTLPEndpoint, s.TraceSample = collector, 1 })
	s.tenant(t, "one", providerServer(t), "sk-one")
	s.tenant(t, "two", "http://127.0.0.1:1", "sk-two")
	s.leave(t, "one", false)
	s.leave(t, "one", true)
	s.begin(t)
	const path = "/v1/messages"
	for _, what := range []string{"plain", "plain", "plain", "stream", "stream", "broken", "overloaded", "unknown"} {
		s.post(t, "one", s.key["one"], path, operationsQuestion, wanted(what))
	}
	s.post(t, "two", s.key["two"], path, operationsQuestion)
	s.post(t, "one", "tbk_wrong", path, operationsQuestion)
	s.post(t, "two", s.key["one"], path, operationsQuestion)
	s.post(t, "one", s.key["one"], path, `{`)
	s.post(t, "one", s.key["one"], "/v1/complete", operationsQuestion)
	s.post(t, "one", s.key["one"], path+"/count_tokens", operationsQuestion)

	var got map[string]float64
	require.Eventually(t, func() bool {
		got = s.numbers(t)
		return got["tollbook_requests_in_ledger_total"] == 9 && got["tollbook_requests_running"] == 0 && got["tollbook_journal_pending"] == 0 &&
			got["tollbook_journal_broken"] == 1 && got["tollbook_journal_synced_position"] == 18 && got["tollbook_spans_exported_total"] == 9
	}, 20*time.Second, 10*time.Millisecond, "%v", s.log)
	plain, streamed := float64(len(operationsAnswer)), float64(len(operationsStream+operationsEnd))
	want := map[string]float64{
		"tollbook_requests_admitted_total": 9, "tollbook_requests_in_ledger_total": 9, "tollbook_requests_flushed_again_total": 0, "tollbook_requests_stuck_total": 0,
		`tollbook_requests_total{class="2xx",state="complete"}`: 6, `tollbook_requests_total{class="2xx",state="incomplete"}`: 1,
		`tollbook_requests_total{class="5xx",state="error"}`: 2,
		`tollbook_refusals_total{reason="key_not_accepted"}`: 2, `tollbook_refusals_total{reason="body_syntax"}`: 1,
		`tollbook_refusals_total{reason="path_unknown"}`: 1, `tollbook_refusals_total{reason="upstream_unreachable"}`: 1,
		"tollbook_ledger_unpriced_rows_total": 1, "tollbook_request_bytes_total": float64(9 * len(operationsQuestion)),
		"tollbook_answer_bytes_total":                4*plain - 1 + 2*streamed + float64(len(operationsStream)+len(`{}`)),
		"tollbook_upstream_first_byte_seconds_count": 8, "tollbook_request_duration_seconds_count": 9, "tollbook_flush_lag_seconds_count": 9,
		"tollbook_requests_running": 0, "tollbook_lookups_running": 0, "tollbook_body_bytes": 0, "tollbook_ready": 1, "tollbook_streams_open": 0, "tollbook_drains": 0, "tollbook_drains_max": 500, "tollbook_drains_refused_total": 0,
		"tollbook_journal_pending": 0, "tollbook_journal_segments": 1, "tollbook_journal_last_position": 18, "tollbook_journal_synced_position": 18,
		"tollbook_journal_oldest_pending_seconds": 0, "tollbook_journal_bytes_max": journal.DefaultMaxBytes, "tollbook_journal_failures_total": 0, "tollbook_journal_failed": 0,
		"tollbook_journals_adopted_total": 1, "tollbook_adopted_rows_total": 2, "tollbook_adopted_open_total": 1, "tollbook_journal_broken": 1, "tollbook_journals_orphaned": 1,
		"tollbook_snapshot_load_failures_total": 0, "tollbook_snapshot_tenants_left_out_total": 0, "tollbook_flush_failures_total": 0, "tollbook_spans_exported_total": 9, "tollbook_spans_dropped_total": 0, "tollbook_flush_waiting": 0,
		"tollbook_database_up": 1, `tollbook_database_connections_max{role="app"}`: 16, `tollbook_database_connections_max{role="system"}`: 4,
	}
	for name, value := range want {
		require.Contains(t, got, name)
		require.InDelta(t, value, got[name], 0, name)
	}
	for name, value := range got {
		if strings.HasPrefix(name, "tollbook_requests_total{") || strings.HasPrefix(name, "tollbook_refusals_total{") {
			require.InDelta(t, want[name], value, 0, name)
		}
	}
	require.Less(t, got["tollbook_snapshot_age_seconds"], float64(60*60))
	require.Positive(t, got["tollbook_journal_bytes"])
	var built bool
	for name := range got {
		built = built || strings.HasPrefix(name, `tollbook_build_info{`) && strings.Contains(name, `version="development"`)
	}
	require.True(t, built)
	requireExplained(t, got)
}

// requireExplained compares the numbers there are with the page that explains them.
func requireExplained(t *testing.T, got map[string]float64) {
	t.Helper()
	page, err := os.ReadFile("docs/operations.md")
	require.NoError(t, err)
	explained := map[string]bool{"tollbook_jobs": true, "tollbook_jobs_late_seconds": true} // there may be none at this moment
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| `tollbook_") {
			continue
		}
		names, _, _ := strings.Cut(line[2:], " |")
		for _, name := range regexp.MustCompile("`(tollbook_[a-z_]+)").FindAllStringSubmatch(names, -1) {
			explained[name[1]] = true
		}
	}
	told := map[string]bool{"tollbook_jobs": true, "tollbook_jobs_late_seconds": true}
	for name := range got {
		name, _, _ = strings.Cut(name, "{")
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, end)
		}
		if strings.HasPrefix(name, "tollbook_") {
			told[name] = true
		}
	}
	require.Equal(t, told, explained)
	for _, name := range regexp.MustCompile(`tollbook_[a-z_]+`).FindAllString(string(page), -1) { // the alert rules' too
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, end)
		}
		require.True(t, told[name] || strings.HasPrefix(name, "tollbook_signer_"), name) // those are another process' (TestASignerIsAProcessOfItsOwn)
	}
}

func TestJobsThatWaitAreCounted(t *testing.T) {
	t.Parallel()
	s := openHouse(t, func(s *settings) { s.Only = []string{"web"} })
	s.tenant(t, "one", "http://127.0.0.1:1", "sk-one") // its changes wait for a place in the audit log, and nobody works here
	s.begin(t)
	got := s.numbers(t)
	require.InDelta(t, 1, got[`tollbook_jobs{kind="sequence_audit",state="available"}`], 0)
	require.Contains(t, got, `tollbook_jobs_late_seconds{kind="sequence_audit"}`)
	require.NotContains(t, got, "tollbook_requests_admitted_total", "no gateway runs here")
	s.db.Close()
	require.Contains(t, s.get(t, "/metrics"), "tollbook_build_info", "a database that is away does not take the numbers away")
}
