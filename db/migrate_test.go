package db_test

import (
	"database/sql"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/db"
	"tollbook/db/dbtest"
)

func openAs(clone *dbtest.Clone, role string) (*sql.DB, error) {
	return sql.Open("pgx", clone.URL(role))
}

// TestMigratingAFreshDatabaseAndAgain takes every step on an empty database, lists
// them, and finds nothing left to do, as a superuser and as the migrator.
func TestMigratingAFreshDatabaseAndAgain(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	fresh := clone.Name + "_fresh"
	require.NoError(t, db.Recreate(t.Context(), clone.URL("tollbook"), fresh))
	admin := clone.Admin(t)
	t.Cleanup(func() { _, _ = admin.Exec("drop database if exists " + fresh + " with (force)") })
	url := dbtest.URLOf(fresh, "tollbook")

	files, err := fs.Glob(db.Migrations(), "migrations/*.sql")
	require.NoError(t, err)
	status, err := db.MigrationStatus(t.Context(), url)
	require.NoError(t, err)
	require.Len(t, status, len(files))
	for _, step := range status {
		require.True(t, step.AppliedAt.IsZero(), step.Name)
	}
	taken, err := db.Migrate(t.Context(), url)
	require.NoError(t, err)
	require.Len(t, taken, len(files))
	for _, role := range []string{"tollbook", "tollbook_migrator"} {
		again, err := db.Migrate(t.Context(), dbtest.URLOf(fresh, role))
		require.NoError(t, err, role)
		require.Empty(t, again, role)
		status, err = db.MigrationStatus(t.Context(), dbtest.URLOf(fresh, role))
		require.NoError(t, err, role)
		require.Len(t, status, len(files))
		for i, step := range status {
			require.EqualValues(t, i+1, step.Version)
			require.False(t, step.AppliedAt.IsZero(), step.Name)
		}
	}
	opened, err := db.Open(t.Context(), db.Config{URL: dbtest.URLOf(fresh, "tollbook_app"), SystemURL: dbtest.URLOf(fresh, "tollbook_system")})
	require.NoError(t, err)
	defer opened.Close()
	require.NoError(t, opened.Ping(t.Context()))
	// The migrator can take steps, not only find none left: a table as every one is made.
	migrator, err := sql.Open("pgx", dbtest.URLOf(fresh, "tollbook_migrator"))
	require.NoError(t, err)
	defer migrator.Close()
	for _, statement := range []string{
		`create table later (tenant_id uuid not null references tenant, later_id uuid not null, primary key (tenant_id, later_id))`,
		`select make_tenant_table('later', 'select, insert')`, `select make_append_only('later', false)`, `drop table later`,
	} {
		_, err = migrator.Exec(statement)
		require.NoError(t, err, statement)
	}
	for _, role := range []string{"tollbook_app", "tollbook_system"} {
		running, err := sql.Open("pgx", dbtest.URLOf(fresh, role))
		require.NoError(t, err)
		defer running.Close()
		_, err = running.Exec(`create temporary table x (y int)`)
		require.ErrorContains(t, err, "42501", "a temporary table could stand in for a real one")
		_, err = db.Migrate(t.Context(), dbtest.URLOf(fresh, role))
		require.Error(t, err, "who runs does not migrate")
	}
}
