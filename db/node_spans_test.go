package db_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/db"
	"tollbook/db/dbtest"
)

// grove is a tenant's tree written by hand, as somebody with the app's role could.
type grove struct {
	t      *testing.T
	clone  *dbtest.Clone
	app    *sql.DB
	tenant id.Tenant
	change string
}

func newGrove(t *testing.T) *grove {
	t.Helper()
	g := &grove{t: t, clone: dbtest.New(t)}
	var err error
	g.app, err = openAs(g.clone, "tollbook_app")
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.app.Close() })
	s := newScene("one").furnish(t, g.clone)
	g.tenant, g.change = s.tenant, s.change.ID.UUID()
	return g
}

// begin opens a transaction in the tenant.
func (g *grove) begin(level sql.IsolationLevel) *sql.Tx {
	g.t.Helper()
	tx, err := g.app.BeginTx(context.Background(), &sql.TxOptions{Isolation: level})
	require.NoError(g.t, err)
	_, err = tx.Exec(`select set_config('app.tenant_id', $1, true)`, g.tenant.UUID())
	require.NoError(g.t, err)
	return tx
}

// day is a day of November as SQL.
func day(n int) string { return fmt.Sprintf("timestamptz '2026-11-%02d 00:00Z'", n) }

func node(n int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", n) }

// plant is the statements that record a version of a node; until 0 leaves it open.
func (g *grove) plant(n int, code string, parent, from, until, recorded int) []string {
	ends, closed, above := "null", "null", "null"
	if until > 0 {
		ends, closed = day(until), day(recorded)
	}
	if parent > 0 {
		above = "'" + node(parent) + "'"
	}
	return []string{
		fmt.Sprintf(`insert into node (tenant_id, node_id, recorded_at) values (current_tenant(), '%s', now()) on conflict do nothing`, node(n)),
		fmt.Sprintf(`insert into node_version (tenant_id, version_id, node_id, code, name, kind, parent_id, capitalization, effective_from, effective_to, recorded_at, closed_at, change_id)
			values (current_tenant(), gen_random_uuid(), '%s', '%s', 'x', 'project', %s, 'expense', %s, %s, %s, %s, '%s')`, node(n), code, above, day(from), ends, day(recorded), closed, g.change),
	}
}

// end closes a node's open version.
func (g *grove) end(n, ends int) []string {
	return []string{fmt.Sprintf(`select close_version('node_version', (select version_id from node_version where node_id = '%s' and effective_to is null), %s, %s)`, node(n), day(ends), day(20))}
}

func (g *grove) run(statements ...[]string) error {
	tx := g.begin(sql.LevelDefault)
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	for _, list := range statements {
		for _, s := range list {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}

func (g *grove) spans() string {
	g.t.Helper()
	var text sql.NullString
	require.NoError(g.t, g.clone.Admin(g.t).QueryRow(`select string_agg(code || ' ' || extract(day from lower(span)) || '-' || coalesce(extract(day from upper(span))::text, ''), ', ' order by code, span)
		from node_span where tenant_id = $1 and node_id::text like '00000000%'`, g.tenant).Scan(&text))
	return text.String
}

func TestWhatIsKnownOfNodesNeverOverlaps(t *testing.T) {
	t.Parallel()
	g := newGrove(t)
	require.NoError(t, g.run(g.plant(1, "A", 0, 1, 0, 1), g.plant(2, "B", 1, 2, 0, 2)))
	require.Equal(t, "A 1-, B 2-", g.spans())
	for name, try := range map[string]struct {
		code       string
		statements [][]string
	}{
		"a code of another node":         {"23P01", [][]string{g.plant(3, "A", 0, 5, 9, 3)}},
		"two new nodes of one code":      {"23P01", [][]string{g.plant(3, "C", 0, 5, 0, 3), g.plant(4, "C", 0, 9, 0, 3)}},
		"a parent that is not there yet": {"TB005", [][]string{g.plant(3, "C", 2, 1, 0, 3)}},
		"a parent that ends before":      {"TB005", [][]string{g.plant(3, "C", 0, 1, 9, 3), g.plant(4, "D", 3, 2, 0, 3)}},
		"a parent with a gap":            {"TB005", [][]string{g.plant(3, "C", 0, 1, 5, 3), g.plant(3, "C", 0, 6, 0, 3), g.plant(4, "D", 3, 2, 0, 3)}},
		"the end of a parent":            {"TB005", [][]string{g.end(1, 15)}},
		"a circle":                       {"TB005", [][]string{g.plant(1, "A", 2, 3, 0, 5)}},
		"its own parent":                 {"TB005", [][]string{g.plant(3, "C", 3, 3, 0, 5)}},
		"a span by hand":                 {"42501", [][]string{{`insert into node_span select * from node_span`}}},
		"none by hand":                   {"42501", [][]string{{`delete from node_span`}}},
		"a tree by hand":                 {"42501", [][]string{{`update node_tree set revision = 0`}}},
		"no check by hand":               {"42501", [][]string{{`alter table node_span drop constraint node_span_code`}}},
		"spans of nobody's asking":       {"42501", [][]string{{`select * from known_spans(current_tenant(), '` + node(1) + `')`}}},
	} {
		require.ErrorContains(t, g.run(try.statements...), try.code, name)
		require.Equal(t, "A 1-, B 2-", g.spans(), name)
	}
	// Put off to the end of the transaction: what does not fit on the way fits at commit.
	require.NoError(t, g.run(g.end(2, 10), g.plant(3, "B", 1, 10, 0, 11), g.plant(2, "B2", 3, 10, 0, 11)))
	require.Equal(t, "A 1-, B 2-10, B 10-, B2 10-", g.spans())
	// A correction, recorded later, of a span that is closed; and one that takes the node away.
	require.NoError(t, g.run(g.plant(2, "B-wrong", 1, 4, 6, 12)))
	require.Equal(t, "A 1-, B 2-4, B 6-10, B 10-, B-wrong 4-6, B2 10-", g.spans())
	retired := g.plant(2, "B2", 3, 15, 0, 13)
	retired[1] = strings.Replace(strings.Replace(retired[1], "change_id)", "change_id, retired)", 1), "'"+g.change+"')", "'"+g.change+"', true)", 1)
	require.NoError(t, g.run(retired))
	require.Equal(t, "A 1-, B 2-4, B 6-10, B 10-, B-wrong 4-6, B2 10-15", g.spans())
	// Recorded earlier than what there is, it changes nothing that is known.
	require.NoError(t, g.run(g.plant(2, "late news", 1, 4, 6, 3)))
	require.Equal(t, "A 1-, B 2-4, B 6-10, B 10-, B-wrong 4-6, B2 10-15", g.spans())
}

// TestTwoWhoCannotSeeEachOtherCannotBothCommit runs pairs of transactions of which each
// would be fine alone, under each isolation and in either order of commits.
func TestTwoWhoCannotSeeEachOtherCannotBothCommit(t *testing.T) {
	t.Parallel()
	for name, pair := range map[string]func(g *grove) (one, two [][]string){
		"one code twice": func(g *grove) (one, two [][]string) {
			return [][]string{g.plant(8, "SAME", 0, 5, 0, 5)}, [][]string{g.plant(9, "SAME", 0, 6, 0, 6)}
		},
		"a parent ends, a child begins": func(g *grove) (one, two [][]string) {
			return [][]string{g.end(1, 15)}, [][]string{g.plant(9, "NEW", 1, 16, 0, 6)}
		},
		"each below the other": func(g *grove) (one, two [][]string) {
			return [][]string{g.plant(2, "B", 3, 5, 0, 5)}, [][]string{g.plant(3, "C", 2, 5, 0, 5)}
		},
	} {
		for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable} {
			for _, swapped := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s %t", name, level, swapped), func(t *testing.T) {
					t.Parallel()
					g := newGrove(t)
					require.NoError(t, g.run(g.plant(1, "A", 0, 1, 0, 1), g.plant(2, "B", 0, 1, 0, 1), g.plant(3, "C", 0, 1, 0, 1), g.plant(4, "D", 0, 1, 0, 1)))
					first, second := pair(g)
					if swapped {
						first, second = second, first
					}
					g.race(level, first, second)
				})
			}
		}
	}
}

// race takes both transactions' snapshots, then runs the one and, while it is open, the
// other; the one commits.
func (g *grove) race(level sql.IsolationLevel, first, second [][]string) {
	g.t.Helper()
	one, two := g.begin(level), g.begin(level)
	for _, tx := range []*sql.Tx{one, two} {
		_, err := tx.Exec(`select count(*) from node_version`)
		require.NoError(g.t, err)
	}
	for _, list := range first {
		for _, s := range list {
			_, err := one.Exec(s)
			require.NoError(g.t, err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		defer two.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
		for _, list := range second {
			for _, s := range list {
				if _, err := two.Exec(s); err != nil {
					ended <- err
					return
				}
			}
		}
		ended <- two.Commit()
	}()
	require.NoError(g.t, one.Commit())
	err := <-ended
	require.Error(g.t, err)
	require.Regexp(g.t, `TB005|23P01|40001`, err.Error())
}

// TestANodesPastIsLaidOutWhenTheStepIsTaken takes the step on rows that are there, as the
// migrator.
func TestANodesPastIsLaidOutWhenTheStepIsTaken(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	fresh := clone.Name + "_spans"
	require.NoError(t, db.Recreate(t.Context(), clone.URL("tollbook"), fresh))
	admin := clone.Admin(t)
	t.Cleanup(func() { _, _ = admin.Exec("drop database if exists " + fresh + " with (force)") })
	steps, err := fs.Glob(db.Migrations(), "migrations/*_node_spans.sql")
	require.NoError(t, err)
	require.Len(t, steps, 1)
	var step int64
	_, err = fmt.Sscanf(steps[0], "migrations/%d_", &step)
	require.NoError(t, err)
	require.NoError(t, db.MigrateTo(t.Context(), dbtest.URLOf(fresh, "tollbook"), step-1))

	old, err := sql.Open("pgx", dbtest.URLOf(fresh, "tollbook"))
	require.NoError(t, err)
	defer old.Close()
	tenant, change := id.NewTenant(time.Now()), id.NewChange(time.Now())
	for _, s := range []string{
		`insert into tenant values ('` + tenant.UUID() + `', 'one', 'One', now())`,
		`insert into change (tenant_id, change_id, number, kind, payload, digest, reason, effective_from, maker, proposed_at) values ('` + tenant.UUID() + `', '` + change.UUID() + `', 1, 'node', '', '', 'x', now(), 'x', now())`,
	} {
		_, err := old.Exec(s)
		require.NoError(t, err)
	}
	g := &grove{t: t, tenant: tenant, change: change.UUID()}
	for _, list := range [][]string{g.plant(1, "A", 0, 1, 0, 1), g.plant(2, "B", 1, 2, 10, 3), g.plant(2, "B2", 1, 10, 0, 4)} {
		for _, s := range list {
			_, err := old.Exec(strings.ReplaceAll(s, "current_tenant()", "'"+tenant.UUID()+"'"))
			require.NoError(t, err)
		}
	}
	require.NoError(t, db.MigrateTo(t.Context(), dbtest.URLOf(fresh, "tollbook_migrator"), step))
	var text string
	require.NoError(t, old.QueryRow(`select string_agg(code || ' ' || span::text, ', ' order by code) from node_span`).Scan(&text))
	require.Equal(t, 3, strings.Count(text, "["), text)
}
