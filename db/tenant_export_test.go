package db_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/db"
	"tollbook/db/dbtest"
)

// TestAnExportHasEveryTableAndNoSecret compares with the catalog: each table of tenants is
// exported, and each column of bytes is either left out or known to hold none.
func TestAnExportHasEveryTableAndNoSecret(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	admin := clone.Admin(t)
	tenant := newTenant(t, clone, "one")
	var exported []string
	require.NoError(t, clone.ReadTenant(t.Context(), tenant, func(tx *db.Tx) error {
		found, err := tx.ExportTables()
		for _, table := range found {
			exported = append(exported, table.Name)
			for _, column := range table.Columns {
				require.False(t, strings.HasSuffix(column, "_sealed") || strings.HasSuffix(column, "_hash"), "%s.%s is in an export", table.Name, column)
			}
			for _, column := range table.LeftOut {
				// A column of bytes under another name is left out, too: say in plainBytes that it holds
				// no secret, or name it for what it is.
				require.True(t, strings.HasSuffix(column, "_sealed") || strings.HasSuffix(column, "_hash"), "%s.%s is left out of an export", table.Name, column)
			}
		}
		return err
	}))
	var all []string
	for _, name := range tables(t, admin, "r,p") {
		var partition bool
		require.NoError(t, admin.QueryRow(`select relispartition from pg_class where relname = $1`, name).Scan(&partition))
		if installation()[name] == "" && !partition {
			all = append(all, name)
		}
	}
	require.Equal(t, all, exported)
}

// TestAnExportReadsMoreThanACursorIsAskedForAtOnce streams more rows than come at once,
// and as many as do exactly: each once, in order.
func TestAnExportReadsMoreThanACursorIsAskedForAtOnce(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	for _, want := range []int{0, 1, 2000, 2001, 6000} {
		tenant := newTenant(t, clone, fmt.Sprintf("c%d", want))
		require.NoError(t, clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error {
			_, err := tx.SQL().Exec(`insert into tenant_counter (tenant_id, counter, value) select $1, to_char(n, '00000'), n from generate_series(1, $2) n`, tenant.UUID(), want)
			return err
		}))
		require.NoError(t, clone.ReadTenant(t.Context(), tenant, func(tx *db.Tx) error {
			found, err := tx.ExportTables()
			require.NoError(t, err)
			for _, table := range found {
				if table.Name != "tenant_counter" {
					continue
				}
				n := 0
				require.NoError(t, tx.StreamTable(table, func(row []*string) error {
					n++
					require.Equal(t, strconv.Itoa(n), *row[2])
					return nil
				}))
				require.Equal(t, want, n)
			}
			return nil
		}))
	}
}
