package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// childDir makes the test program start a server there, say so and wait for
// its death, so that a test has a parent process to kill.
const childDir = "TOLLBOOK_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(beChild(dir))
	}
	os.Exit(m.Run())
}

func beChild(dir string) int {
	srv, err := Start(context.Background(), Config{Dir: dir})
	if err != nil {
		_, _ = fmt.Fprintln(os.Stdout, "error", err)
		return 1
	}
	_, _ = fmt.Fprintln(os.Stdout, "ready", srv.PID(), srv.URL("postgres", Superuser))
	if err := <-srv.Done(); err != nil {
		return 1
	}
	return 0
}

// startChild runs the test program as a parent of a server.
func startChild(t *testing.T, dir string) (parent *exec.Cmd, postmaster int, url string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var word string
	_, err = fmt.Fscan(out, &word, &postmaster, &url)
	require.NoError(t, err)
	require.Equal(t, "ready", word)
	return cmd, postmaster, url
}

// testDir is a directory the server's user can enter: those of testing are
// below one of mode 0700.
func testDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o711))
	return filepath.Join(dir, "pg")
}

func startServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	srv, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Stop()) })
	return srv
}

func connect(t *testing.T, conn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), conn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func run(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	_, err := c.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func query(t *testing.T, c *pgx.Conn, sql string) string {
	t.Helper()
	var out string
	require.NoError(t, c.QueryRow(t.Context(), sql).Scan(&out))
	return out
}

func TestServerKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	var log bytes.Buffer
	srv, err := Start(t.Context(), Config{Dir: dir, Log: &log})
	require.NoError(t, err)
	require.Contains(t, log.String(), "Creating a PostgreSQL cluster")
	require.DirExists(t, filepath.Join(dir, "data"))
	run(t, connect(t, srv.DSN("postgres", Superuser)), "create table kept as select 'here' as word")
	require.NoError(t, srv.Stop())
	require.NoError(t, srv.Stop(), "a second stop is the first one's")
	require.NoDirExists(t, srv.SocketDir())
	err, open := <-srv.Done()
	require.NoError(t, err, "a stop is not a death")
	require.False(t, open)

	log.Reset()
	again := startServer(t, Config{Dir: dir, Log: &log})
	require.Empty(t, log.String(), "a restart has nothing to tell")
	require.Equal(t, "here", query(t, connect(t, again.URL("postgres", Superuser)), "select word from kept"))
}

func TestServerListensOnlyOnItsPrivateSocket(t *testing.T) {
	t.Parallel()
	srv := startServer(t, Config{Dir: testDir(t), Fast: true, Settings: map[string]string{"max_connections": "33"}})
	st, err := os.Stat(srv.SocketDir())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), st.Mode().Perm())
	require.Less(t, len(filepath.Join(srv.SocketDir(), socketName)), 107)

	c := connect(t, srv.DSN("postgres", Superuser))
	require.Equal(t, "33", query(t, c, "show max_connections"))
	require.Empty(t, query(t, c, "show listen_addresses"))
	require.Equal(t, "off", query(t, c, "show fsync"))
	require.Equal(t, "minimal", query(t, c, "show wal_level"))
	require.Equal(t, "UTF8", query(t, c, "show server_encoding"))
	require.Equal(t, "UTC", query(t, c, "show timezone"))
	require.Equal(t, Superuser, query(t, c, "select usename::text from pg_user where usesuper"))
}

func TestConnectionStringsCarryAnyName(t *testing.T) {
	t.Parallel()
	srv := startServer(t, Config{Dir: testDir(t), Fast: true})
	admin := connect(t, srv.DSN("postgres", Superuser))
	run(t, admin, `create database "it's odd\"`)
	run(t, admin, `create role "o dd@role" login`)
	for _, conn := range []string{srv.DSN(`it's odd\`, "o dd@role"), srv.URL(`it's odd\`, "o dd@role")} {
		c := connect(t, conn)
		require.Equal(t, `it's odd\`, query(t, c, "select current_database()::text"))
		require.Equal(t, "o dd@role", query(t, c, "select current_user::text"))
	}
}

func TestTwoServersLiveSideBySide(t *testing.T) {
	t.Parallel()
	one := startServer(t, Config{Dir: testDir(t), Fast: true})
	two := startServer(t, Config{Dir: testDir(t), Fast: true})
	require.NotEqual(t, one.SocketDir(), two.SocketDir())
	run(t, connect(t, one.DSN("postgres", Superuser)), "create table only_in_one ()")
	require.Equal(t, "0", query(t, connect(t, two.DSN("postgres", Superuser)), "select count(*)::text from pg_tables where tablename = 'only_in_one'"))
}

func TestAKilledServerIsNoticedAndRecovers(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	srv, err := Start(t.Context(), Config{Dir: dir})
	require.NoError(t, err)
	run(t, connect(t, srv.DSN("postgres", Superuser)), "create table kept as select 'here' as word")
	require.NoError(t, syscall.Kill(srv.PID(), syscall.SIGKILL))
	require.ErrorContains(t, <-srv.Done(), "ended by itself: signal: killed")
	require.NoError(t, srv.Stop())

	again := startServer(t, Config{Dir: dir})
	require.Equal(t, "here", query(t, connect(t, again.DSN("postgres", Superuser)), "select word from kept"))
}

func TestAServerDoesNotOutliveItsKilledParent(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	parent, postmaster, url := startChild(t, dir)
	run(t, connect(t, url), "create table kept as select 'here' as word")
	require.NoError(t, parent.Process.Kill())
	require.ErrorContains(t, parent.Wait(), "killed")

	again := startServer(t, Config{Dir: dir})
	require.NotEqual(t, postmaster, again.PID())
	require.Equal(t, "here", query(t, connect(t, again.DSN("postgres", Superuser)), "select word from kept"))
}

func TestParentAndServerKilledTogether(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	parent, postmaster, url := startChild(t, dir)
	run(t, connect(t, url), "create table kept as select 'here' as word")
	require.NoError(t, syscall.Kill(postmaster, syscall.SIGKILL))
	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait() // killed, or ended because its server had

	again := startServer(t, Config{Dir: dir})
	require.Equal(t, "here", query(t, connect(t, again.DSN("postgres", Superuser)), "select word from kept"))
}

func TestALiveTollbookKeepsOthersOut(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	srv := startServer(t, Config{Dir: dir, Fast: true})
	_, err := Start(t.Context(), Config{Dir: dir, Fast: true})
	require.ErrorContains(t, err, "another Tollbook (pid "+strconv.Itoa(os.Getpid())+") is using "+dir)
	require.Equal(t, "1", query(t, connect(t, srv.DSN("postgres", Superuser)), "select '1'"))
}

func TestAStalePIDFileOfSomebodyElse(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	srv, err := Start(t.Context(), Config{Dir: dir, Fast: true})
	require.NoError(t, err)
	pidPath := srv.files.pidPath()
	raw, err := os.ReadFile(pidPath)
	require.NoError(t, err)
	require.NoError(t, srv.Stop())
	_, rest, _ := strings.Cut(string(raw), "\n")
	require.NoError(t, os.WriteFile(pidPath, []byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0o600))
	require.NoError(t, srv.files.owner.give(pidPath))

	again := startServer(t, Config{Dir: dir, Fast: true})
	require.Equal(t, "1", query(t, connect(t, again.DSN("postgres", Superuser)), "select '1'"))
}

func TestADirectoryTheServerCannotEnter(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(t.TempDir(), "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	dir := filepath.Join(closed, "pg")
	place, err := Files(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(place)) })

	var log bytes.Buffer
	srv := startServer(t, Config{Dir: dir, Fast: true, Log: &log})
	require.Equal(t, filepath.Join(place, "data"), srv.DataDir())
	if os.Geteuid() == 0 {
		require.Equal(t, sharedRoot, filepath.Dir(place))
		require.Contains(t, log.String(), "cannot enter "+dir+": its files are in "+place)
		require.NoDirExists(t, dir)
	} else {
		require.Equal(t, dir, place, "who is not root enters what it owns")
	}
	require.Equal(t, "1", query(t, connect(t, srv.DSN("postgres", Superuser)), "select '1'"))
}

func TestATemporaryDirectoryIsGivenToTheServer(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	require.NoError(t, os.Mkdir(dir, 0o700))
	srv, err := Start(t.Context(), Config{Dir: dir, Fast: true})
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "data"), srv.DataDir())
	require.NoError(t, srv.Stop())

	again := startServer(t, Config{Dir: dir, Fast: true})
	require.Equal(t, filepath.Join(dir, "data"), again.DataDir())
}

func TestADirectoryWithOtherFilesKeepsItsOwner(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "demo.json"), nil, 0o600))
	place, err := Files(dir)
	require.NoError(t, err)
	require.Equal(t, os.Geteuid() != 0, place == dir)
}

func TestAnUnfinishedClusterIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	srv := startServer(t, Config{Dir: dir, Fast: true})
	require.NoDirExists(t, filepath.Join(dir, "data.new"))
	require.Equal(t, "1", query(t, connect(t, srv.DSN("postgres", Superuser)), "select '1'"))
}

func TestAClusterOfAnotherVersionIsExplained(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o644))
	_, err := Start(t.Context(), Config{Dir: dir})
	require.ErrorContains(t, err, `was made by PostgreSQL "9\n"`)
}

func TestABadSettingIsReportedInTheServersWords(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Config{Dir: testDir(t), Fast: true, Settings: map[string]string{"work_mem": "a lot"}})
	require.ErrorContains(t, err, `invalid value for parameter "work_mem"`)
}

func TestACanceledStartLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Config{Dir: dir, Fast: true})
	require.ErrorIs(t, err, context.Canceled)
	startServer(t, Config{Dir: dir, Fast: true})
}
