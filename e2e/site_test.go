package e2e_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the ledger is read as it is stored
	"github.com/stretchr/testify/require"

	"tollbook/db/postgres"
)

// site is an installation as it runs for real: PostgreSQL, a provider, gateways and
// workers, each a process of its own that can be killed and started again.
type site struct {
	dir         string
	database    *postgres.Server
	ledger      *sql.DB
	provider    *process
	books       string
	environment []string
	key         string
	parts       map[string]*part
}

// part is one tollbook process of a site.
type part struct {
	*process
	only    string
	address string
}

const siteCompany = "acme"

func newSite(t *testing.T, parts map[string]string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tollbook-site-") // a socket's path is short
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	s := &site{dir: dir, parts: map[string]*part{}}
	t.Cleanup(func() { s.close() })
	s.startDatabase(t)
	admin, err := sql.Open("pgx", s.database.DSN("postgres", postgres.Superuser))
	require.NoError(t, err)
	defer admin.Close()
	_, err = admin.Exec("create database tollbook")
	require.NoError(t, err)
	s.ledger, err = sql.Open("pgx", s.dsn(postgres.Superuser))
	require.NoError(t, err)
	address, err := freePort()
	require.NoError(t, err)
	s.books = "http://" + address
	s.provider, err = start([]string{"simulate", "--listen", address, "--data", filepath.Join(dir, "provider")})
	require.NoError(t, err)
	s.await(t, s.provider, s.books+"/books/totals")
	master := make([]byte, 32)
	for i := range master {
		master[i] = byte(rand.IntN(256))
	}
	s.environment = append(without(os.Environ(), "TOLLBOOK_DATABASE_URL"),
		"TOLLBOOK_DATABASE_URL="+s.dsn("tollbook_app"), "TOLLBOOK_SYSTEM_DATABASE_URL="+s.dsn("tollbook_system"),
		"TOLLBOOK_MIGRATE_DATABASE_URL="+s.dsn(postgres.Superuser), "TOLLBOOK_MASTER_KEY="+base64.StdEncoding.EncodeToString(master),
		"TOLLBOOK_JOURNAL_DIR="+filepath.Join(dir, "journal"), "TOLLBOOK_PUBLIC_URL=http://127.0.0.1:1", "TOLLBOOK_UPSTREAM_KEY=sk-site")
	s.run(t, "migrate")
	s.run(t, "tenant", "create", siteCompany, "Acme")
	s.run(t, "node", "create", siteCompany, "CC-1", "Platform")
	s.run(t, "tenant", "upstream", siteCompany, s.books)
	s.key = regexp.MustCompile(`tbk_\w+`).FindString(s.run(t, "key", "create", siteCompany, "CC-1", "laptops"))
	for name, only := range parts {
		address, err := freePort()
		require.NoError(t, err)
		s.parts[name] = &part{only: only, address: address}
		s.start(t, name)
	}
	for name := range parts {
		s.ready(t, name)
	}
	return s
}

func (s *site) close() {
	for _, p := range s.parts {
		if p.process != nil {
			p.kill()
		}
	}
	if s.provider != nil {
		s.provider.kill()
	}
	if s.ledger != nil {
		_ = s.ledger.Close()
	}
	if s.database != nil {
		_ = s.database.Stop()
	}
	if files, err := postgres.Files(filepath.Join(s.dir, "pg")); err == nil {
		_ = os.RemoveAll(files)
	}
	_ = os.RemoveAll(s.dir)
}

// dsn names the database by a path that stays when the server is started anew.
func (s *site) dsn(role string) string {
	return "host=" + filepath.Join(s.dir, "socket") + " port=5432 dbname=tollbook sslmode=disable user=" + role
}

func (s *site) startDatabase(t *testing.T) {
	t.Helper()
	var err error
	s.database, err = postgres.Start(t.Context(), postgres.Config{Dir: filepath.Join(s.dir, "pg")})
	require.NoError(t, err)
	fresh := filepath.Join(s.dir, "next")
	require.NoError(t, os.Symlink(s.database.SocketDir(), fresh))
	require.NoError(t, os.Rename(fresh, filepath.Join(s.dir, "socket")))
}

// killDatabase ends it as a crash would.
func (s *site) killDatabase(t *testing.T) {
	t.Helper()
	require.NoError(t, syscall.Kill(s.database.PID(), syscall.SIGKILL))
	for range s.database.Done() {
	}
	_ = s.database.Stop() // it is dead already
}

func (s *site) run(t *testing.T, args ...string) string {
	t.Helper()
	out, code := command(t, s.environment, args...)
	require.Zero(t, code, out)
	return out
}

func (s *site) start(t *testing.T, name string) {
	t.Helper()
	p := s.parts[name]
	var err error
	p.process, err = startIn(append(slices.Clone(s.environment), "TOLLBOOK_LISTEN="+p.address), "serve", "--only", p.only)
	require.NoError(t, err)
}

func (s *site) ready(t *testing.T, name string) {
	t.Helper()
	s.await(t, s.parts[name].process, "http://"+s.parts[name].address+"/readyz")
}

func (s *site) await(t *testing.T, p *process, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	require.NoError(t, p.ready(ctx, address))
}

// traffic is what clients of a site have done in one session.
type traffic struct {
	s        *site
	gateways []string // names
	session  string
	mu       sync.Mutex
	whole    map[string]bool // by the provider's id: the last byte is here
	sent     int
	failed   []string
}

func (s *site) traffic(session string, gateways ...string) *traffic {
	return &traffic{s: s, session: session, gateways: gateways, whole: map[string]bool{}}
}

// run sends requests from some clients until ctx ends; those under way end first.
func (c *traffic) run(ctx context.Context, clients int) {
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				c.one(fmt.Sprintf("deltas=%d,delta-ms=%d,first-byte-ms=%d", 1+rand.IntN(12), rand.IntN(6), rand.IntN(10)))
			}
		})
	}
	all.Wait()
}

// one sends one request and keeps how it went.
func (c *traffic) one(shape string) {
	c.mu.Lock()
	c.sent++
	c.mu.Unlock()
	at, err := c.ask(shape)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err.Error())
		return
	}
	c.whole[at] = true
}

func (c *traffic) ask(shape string) (string, error) {
	gateway := c.s.parts[c.gateways[rand.IntN(len(c.gateways))]]
	streamed := strings.Contains(shape, "delta-ms") || rand.IntN(5) > 0 // pauses are between the events of a stream
	r, err := http.NewRequest(http.MethodPost, "http://"+gateway.address+"/gw/"+siteCompany+"/v1/messages?beta=true", strings.NewReader(
		fmt.Sprintf(`{"model":"claude-haiku-5-5","max_tokens":500,"stream":%t,"messages":[{"role":"user","content":"hello %d"}]}`, streamed, rand.IntN(1000))))
	if err != nil {
		return "", err
	}
	r.Header.Set("X-Api-Key", c.s.key)
	r.Header.Set("Anthropic-Version", "2023-06-01")
	r.Header.Set("X-Claude-Code-Session-Id", c.session)
	r.Header.Set("X-Sim-Fault", shape)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%d %s", res.StatusCode, got)
	}
	// What counts is that the last event is here, not how the connection ended after it.
	if streamed && strings.Contains(string(got), "data: {\"type\":\"message_stop\"}\n") {
		err = nil
	} else if streamed && err == nil {
		err = fmt.Errorf("a stream without its end: %s", got)
	}
	return res.Header.Get("Request-Id"), err
}

func (c *traffic) done() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.whole)
}

// entry is one row of the ledger.
type entry struct {
	requestID, state string
	pico             int64
}

func (s *site) entries(t *testing.T, session string) []entry {
	t.Helper()
	all, err := s.readEntries(session)
	require.NoError(t, err)
	return all
}

// readEntries fails on a connection that a killed database left behind: the next try
// takes another.
func (s *site) readEntries(session string) ([]entry, error) {
	rows, err := s.ledger.Query(`select coalesce(request_id, ''), state, charge_pico from usage_event where session_id = $1`, session)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []entry
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.requestID, &e.state, &e.pico); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// settled waits until the ledger has a row for each request the provider saw and
// compares: none lost, none twice, every complete one exact, open ones listed.
func (c *traffic) settled(t *testing.T) {
	t.Helper()
	var all []entry
	provider := map[string]booked{}
	require.Eventually(t, func() bool {
		clear(provider)
		for _, b := range books(t, c.s.books, url.Values{"session": {c.session}}) {
			provider[b.RequestID] = b
		}
		var err error
		all, err = c.s.readEntries(c.session)
		return err == nil && len(all) >= len(provider)
	}, 2*time.Minute, 50*time.Millisecond, "every request the provider saw has a row")
	named, unnamed := map[string]entry{}, 0
	for _, e := range all {
		if e.requestID == "" {
			unnamed++
			require.Contains(t, []string{"open", "incomplete", "estimated", "error"}, e.state)
			continue
		}
		_, twice := named[e.requestID] // require.NotContains would walk all of them
		require.False(t, twice, "%s is in the ledger twice", e.requestID)
		named[e.requestID] = e
	}
	amount := func(e entry) string { return fmt.Sprintf("%d.%012d", e.pico/1e12, e.pico%1e12) }
	for at := range c.whole {
		e, ok := named[at]
		require.True(t, ok, "a client has all of %s, the ledger has nothing", at)
		require.Equal(t, "complete", e.state, at)
	}
	missing := 0
	for at, b := range provider {
		switch e, ok := named[at]; {
		case !ok:
			missing++ // an open row stands for it
		case e.state == "complete":
			require.Equal(t, b.Amount, amount(e), at)
		}
	}
	require.LessOrEqual(t, missing, unnamed, "a request reached the provider and left no row")
	t.Logf("%d sent, %d whole at the client, %d at the provider, %d rows, %d of them open or unanswered", c.sent, len(c.whole), len(provider), len(all), unnamed)
}

// consistent compares the ledger's own parts with one another: rows, rollups, batches.
func (s *site) consistent(t *testing.T) {
	t.Helper()
	sums := func(query string) (n int64, pico string) {
		require.NoError(t, s.ledger.QueryRow(query).Scan(&n, &pico))
		return n, pico
	}
	n, pico := sums(`select count(*), coalesce(sum(charge_pico), 0)::text from usage_event`)
	for _, query := range []string{
		`select coalesce(sum(requests), 0), coalesce(sum(charge_pico), 0)::text from rollup_placement_day`,
		`select coalesce(sum(requests), 0), coalesce(sum(amount_pico), 0)::text from usage_batch`,
	} {
		otherN, otherPico := sums(query)
		require.Equal(t, n, otherN, query)
		require.Equal(t, pico, otherPico, query)
	}
	var twice int64
	require.NoError(t, s.ledger.QueryRow(`select count(*) from (select request_id from usage_event where request_id is not null group by 1 having count(*) > 1) as again`).Scan(&twice))
	require.Zero(t, twice)
}

func (s *site) metric(t *testing.T, name, metric string) string {
	t.Helper()
	res, err := http.Get("http://" + s.parts[name].address + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^tollbook_` + metric + ` (\S+)$`).FindStringSubmatch(string(text))
	require.Len(t, found, 2, metric)
	return found[1]
}

// TestASiteSurvivesATermAndAnOutage ends a gateway in order under streams, starts it
// again without its database, and gives the database back.
func TestASiteSurvivesATermAndAnOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"gateway": "gateway", "jobs": "jobs"})
	c := s.traffic("11111111-0000-4000-8000-000000000001", "gateway")
	var streams sync.WaitGroup
	for range 10 {
		streams.Go(func() { c.one("deltas=200,delta-ms=50") }) // ten seconds each: all run at once also where they begin slowly
	}
	require.Eventually(t, func() bool { return s.metric(t, "gateway", "requests_running") == "10" }, time.Minute, 5*time.Millisecond)
	require.NoError(t, s.parts["gateway"].cmd.Process.Signal(syscall.SIGTERM))
	streams.Wait()
	<-s.parts["gateway"].ended
	require.Zero(t, s.parts["gateway"].cmd.ProcessState.ExitCode(), s.parts["gateway"].output)
	require.Empty(t, c.failed, "every stream ended whole")
	require.Len(t, s.entries(t, c.session), 10, "and was in the ledger when the gateway was gone")

	s.killDatabase(t)
	s.start(t, "gateway")
	s.ready(t, "gateway")
	require.Eventually(t, func() bool {
		res, err := http.Get("http://" + s.parts["jobs"].address + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusServiceUnavailable
	}, time.Minute, 10*time.Millisecond, "a process without a gateway needs the database")
	for range 10 {
		c.one("deltas=2")
	}
	require.Empty(t, c.failed, "nobody noticed that the database is away")
	require.Equal(t, "10", s.metric(t, "gateway", "journal_pending"))
	s.startDatabase(t)
	s.ready(t, "jobs")
	c.settled(t)
	require.Len(t, s.entries(t, c.session), 20)
	s.consistent(t)
}
