package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/db/postgres"
	"tollbook/gateway"
	"tollbook/gateway/journal"
)

// server is a PostgreSQL of one test's own, which may be killed and started again.
// Clients reach it by a path that stays.
type server struct {
	*postgres.Server
	dir string
}

func newServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tollbook-faults-") //nolint:usetesting // a socket's path is short
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	s := &server{dir: dir}
	t.Cleanup(func() {
		_ = s.Stop()
		if files, err := postgres.Files(filepath.Join(dir, "pg")); err == nil {
			_ = os.RemoveAll(files)
		}
		_ = os.RemoveAll(dir)
	})
	s.start(t)
	require.NoError(t, db.Recreate(t.Context(), s.DSN("postgres", postgres.Superuser), "tollbook"))
	_, err = db.Migrate(t.Context(), s.DSN("tollbook", postgres.Superuser))
	require.NoError(t, err)
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	var err error
	s.Server, err = postgres.Start(t.Context(), postgres.Config{Dir: filepath.Join(s.dir, "pg"), Settings: map[string]string{"fsync": "off", "full_page_writes": "off"}})
	require.NoError(t, err)
	fresh := filepath.Join(s.dir, "next")
	require.NoError(t, os.Symlink(s.SocketDir(), fresh))
	require.NoError(t, os.Rename(fresh, filepath.Join(s.dir, "socket")))
}

// kill ends the server as a crash would.
func (s *server) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, syscall.Kill(s.PID(), syscall.SIGKILL))
	for range s.Done() {
	}
	_ = s.Stop() // it is dead already
}

func (s *server) open(t *testing.T, set ...func(*db.Config)) *db.DB {
	t.Helper()
	at := "host=" + filepath.Join(s.dir, "socket") + " port=5432 dbname=tollbook sslmode=disable user="
	cfg := db.Config{URL: at + "tollbook_app", SystemURL: at + "tollbook_system", MaxConns: 8}
	for _, f := range set {
		f(&cfg)
	}
	d, err := db.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

// follow keeps snapshots current until the test ends.
func follow(t *testing.T, s *app.Snapshots) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var following sync.WaitGroup
	following.Go(func() { s.Follow(ctx) })
	t.Cleanup(func() { cancel(); following.Wait() })
}

// again is the house after a restart of its gateway process: everything in memory is
// gone, and the database may be away.
func (h *house) again(t *testing.T, d *db.DB, set ...func(*gateway.Config)) error {
	t.Helper()
	h.server.Close()
	require.NoError(t, h.gateway.Close(t.Context()))
	var err error
	h.metering, err = app.NewMetering(d)
	require.NoError(t, err)
	h.snapshots = app.NewSnapshots(d, h.ring, slog.New(slog.DiscardHandler), time.Now)
	h.snapshots.KeepIn(filepath.Join(h.dir, "snapshot"))
	restored := h.snapshots.Restore(t.Context())
	h.open(t, set...)
	return restored
}

func later(c *db.Config) { c.Later = true }

func TestAGatewayStartsWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	s := newServer(t)
	h := furnish(t, s.open(t), url)
	h.snapshots.KeepIn(filepath.Join(h.dir, "snapshot"))
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	require.NoError(t, h.snapshots.Keep())
	s.kill(t)
	_, err := db.Open(t.Context(), db.Config{URL: "host=" + s.dir, SystemURL: "host=" + s.dir})
	require.Error(t, err, "who does not say that it can wait is told at once")

	d := s.open(t, later)
	require.NoError(t, h.again(t, d))
	require.NoError(t, h.gateway.Ready())
	for _, slug := range []string{"one", "two"} {
		for range 5 {
			res := h.post(t, slug, question, func(r *http.Request) { r.Header.Set("X-Tollbook-Developer", "ada@example.com") })
			require.Equal(t, http.StatusOK, res.StatusCode)
			_, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, "sk-upstream-"+slug, a.asked.Load().Header.Get("X-Api-Key"))
		}
	}
	require.Equal(t, http.StatusUnauthorized, h.post(t, "one", question, func(r *http.Request) { r.Header.Set("X-Api-Key", h.key["two"]) }).StatusCode)
	require.Equal(t, 10, h.gateway.Stats().Pending, "everything waits in the journal")

	follow(t, h.snapshots)
	s.start(t)
	h.reports = app.NewReports(d, h.access, h.ring)
	for _, slug := range []string{"one", "two"} {
		for _, row := range h.rows(t, slug, 5) {
			require.Equal(t, "complete", row.State)
			require.Equal(t, "ada@example.com", row.Developer)
		}
	}
	require.Eventually(t, func() bool { return h.gateway.Stats().Pending == 0 }, 10*time.Second, time.Millisecond)
}

func TestAStaleSnapshotIsNotServedFrom(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	s := newServer(t)
	h := furnish(t, s.open(t), url)
	h.snapshots.KeepIn(filepath.Join(h.dir, "snapshot"))
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	require.NoError(t, h.snapshots.Keep())
	s.kill(t)
	d := s.open(t, later)
	require.NoError(t, h.again(t, d, func(c *gateway.Config) { c.StaleAfter = time.Nanosecond }))
	refused := func(want string) {
		res := h.post(t, "one", question)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, 529, res.StatusCode)
		require.Contains(t, string(body), "overloaded_error")
		require.Contains(t, string(body), want)
		require.NotEqual(t, "false", res.Header.Get("X-Should-Retry"))
		require.Error(t, h.gateway.Ready())
	}
	refused("refresh its keys")

	// Without any file it is the same, until the database answers.
	require.NoError(t, os.Remove(filepath.Join(h.dir, "snapshot")))
	require.ErrorIs(t, h.again(t, d), app.ErrNoSnapshotFile)
	refused("refresh its keys")
	require.Zero(t, a.count.Load())
	follow(t, h.snapshots)
	s.start(t)
	require.Eventually(t, func() bool { return h.gateway.Ready() == nil }, 20*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, h.post(t, "one", question).StatusCode)
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(h.dir, "snapshot")); return err == nil }, 20*time.Second, time.Millisecond)
}

// TestTheMasterKeyIsReplacedUnderARunningHouse starts the next life of a gateway with
// a new master key in front of the old one: everything that was made under the old
// one goes on.
func TestTheMasterKeyIsReplacedUnderARunningHouse(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	master := secret.NewMaster()
	old := h.master
	h.snapshots.KeepIn(filepath.Join(h.dir, "snapshot"))
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	require.NoError(t, h.snapshots.Keep())
	declared := func(r *http.Request) { r.Header.Set("X-Tollbook-Developer", "ada@example.com") }
	_, err := io.ReadAll(h.post(t, "one", question, declared).Body)
	require.NoError(t, err)
	before := h.rows(t, "one", 1)[0]

	// A journal that the old life left, chained with its key.
	left := h.orphan(t, h.dir, h.ring.Derive("journal-mac"), before, "complete", "open")
	ring, err := secret.NewKeyring(secret.NewText("2:"+master.Reveal()), old)
	require.NoError(t, err)
	h.ring = ring
	require.NoError(t, h.again(t, h.clone.DB), "the snapshot file opens")
	res := h.post(t, "one", question, declared)
	require.Equal(t, http.StatusOK, res.StatusCode, "a key made under the old one is accepted, the upstream's credential opens")
	_, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	h.reports = app.NewReports(h.clone.DB, h.access, ring)
	rows := h.rows(t, "one", 4)
	var adopted, declaredRows int
	for _, row := range rows {
		if row.DeveloperID == before.DeveloperID {
			declaredRows++
			require.Equal(t, "ada@example.com", row.Developer)
		}
		if row.State == "open" || row.RequestID == "req_orphan" {
			adopted++
		}
	}
	require.Equal(t, 2, adopted)
	require.Equal(t, 2, declaredRows, "one developer before and after")
	require.NoDirExists(t, left)
}

// orphan leaves a dead gateway's journal with one request for each state, and returns
// its directory. They are like a request that is in the ledger.
func (h *house) orphan(t *testing.T, root string, key []byte, like app.Request, states ...string) string {
	t.Helper()
	dead, err := journal.Open(journal.Config{Root: root, MACKey: key})
	require.NoError(t, err)
	for i, state := range states {
		at := id.NewEvent(time.Now())
		in := fmt.Sprintf(`{"t":%q,"k":%q,"m":"claude-opus-5-5","s":[{"placement":%q,"ppm":1000000}],"r":"key","n":1,"q":%d}`,
			h.tenant["one"], h.keyID["one"], like.Allocations[0].Placement, i+1)
		_, err = dead.AppendIntent(at.Bytes(), []byte(in))
		require.NoError(t, err)
		if state == "open" {
			continue
		}
		_, err = dead.AppendOutcome(at.Bytes(), fmt.Appendf(nil, `{"st":%q,"h":200,"i":"req_orphan","u":{"Model":"claude-opus-5-5","Tokens":[1000,500,0,0,0]}}`, state))
		require.NoError(t, err)
	}
	require.NoError(t, dead.Close()) // pending intents: the directory stays
	return filepath.Join(root, dead.Replica().String())
}

// gate is a channel that is closed by a test, or at its end if that comes first.
func gate(t *testing.T) (shut <-chan struct{}, open func()) {
	t.Helper()
	made := make(chan struct{})
	open = sync.OnceFunc(func() { close(made) })
	t.Cleanup(open)
	return made, open
}

// words keeps what a gateway logs.
type words struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (w *words) set(c *gateway.Config) { c.Log = slog.New(slog.NewTextHandler(w, nil)) }

func reading(text string) io.Reader { return strings.NewReader(text) }
