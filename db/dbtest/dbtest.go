package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"tollbook/db"
	"tollbook/db/postgres"
)

// server is the one Postgres of this test binary. It is a global because a test
// binary has no other place that outlives a test: Main sets it before any runs.
var server struct { //nolint:gochecknoglobals // see above
	*postgres.Server
	clones atomic.Int64
}

const template = "tollbook_template"

// Main runs a package's tests with a Postgres behind them; call it from TestMain.
func Main(m *testing.M) {
	os.Exit(run(m, false))
}

// RecordedMain is Main for tests of use cases: a transaction that writes to a tenant's
// tables and leaves no record in the log does not commit.
func RecordedMain(m *testing.M) {
	os.Exit(run(m, true))
}

func run(m *testing.M, recorded bool) int {
	dir, err := os.MkdirTemp("", "tollbook-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the test database:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	started, err := postgres.Start(ctx, postgres.Config{Dir: dir, Fast: true, Log: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the test database:", err)
		return 1
	}
	defer started.Stop() //nolint:errcheck // the process ends here
	server.Server = started
	if err := makeTemplate(ctx, recorded); err != nil {
		fmt.Fprintln(os.Stderr, "make the template database:", err)
		return 1
	}
	return m.Run()
}

func makeTemplate(ctx context.Context, recorded bool) error {
	if err := admin(ctx, "create database "+template); err != nil {
		return err
	}
	if _, err := db.Migrate(ctx, server.DSN(template, "tollbook")); err != nil || !recorded {
		return err
	}
	return watchRecords(ctx, server.DSN(template, "tollbook"))
}

func admin(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, server.DSN("postgres", "tollbook"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// Clone is one test's database.
type Clone struct {
	*db.DB
	Name string
}

// URL returns how to connect as a role.
func (c *Clone) URL(role string) string { return server.DSN(c.Name, role) }

// URLOf returns how to connect to any database of the test server as a role.
func URLOf(database, role string) string { return server.DSN(database, role) }

// Admin opens the clone as superuser, to look at what no role may see.
func (c *Clone) Admin(t testing.TB) *sql.DB {
	t.Helper()
	cfg, err := pgx.ParseConfig(server.DSN(c.Name, "tollbook"))
	require.NoError(t, err)
	conn := stdlib.OpenDB(*cfg)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// New clones the template and connects as the roles that run.
func New(t testing.TB, options ...func(*db.Config)) *Clone {
	t.Helper()
	return Template{name: template}.New(t, options...)
}

// Template is a database that tests clone, and that nobody is connected to.
type Template struct{ name string }

// New clones it and connects as the roles that run.
func (from Template) New(t testing.TB, options ...func(*db.Config)) *Clone {
	t.Helper()
	require.NotNil(t, server.Server, "call dbtest.Main from TestMain")
	return open(t, copyOf(t, from.name), options)
}

// Freeze closes a clone and keeps it as it is for the tests that come, so that what many
// of them begin with is made once.
func (c *Clone) Freeze(t testing.TB) Template {
	t.Helper()
	c.Close()
	return Template{name: copyOf(t, c.Name)}
}

func copyOf(t testing.TB, database string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", server.clones.Add(1))
	require.NoError(t, admin(context.Background(), "create database "+name+" template "+database))
	return name
}

// open connects to a database as the roles that run.
func open(t testing.TB, name string, options []func(*db.Config)) *Clone {
	t.Helper()
	ctx := context.Background()
	cfg := db.Config{URL: server.DSN(name, "tollbook_app"), SystemURL: server.DSN(name, "tollbook_system"), MaxConns: 8}
	for _, set := range options {
		set(&cfg)
	}
	opened, err := db.Open(ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		opened.Close()
		_ = admin(ctx, "drop database "+name+" with (force)")
	})
	return &Clone{DB: opened, Name: name}
}

// Backup copies a clone as it is, as a backup of its files does. It closes the clone, and
// opens it and the copy.
func (c *Clone) Backup(t testing.TB, options ...func(*db.Config)) (same, backup *Clone) {
	t.Helper()
	c.Close()
	name := copyOf(t, c.Name)
	return open(t, c.Name, options), open(t, name, options)
}
