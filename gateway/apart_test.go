package gateway_test

import (
	"database/sql"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/gateway"
)

// TestATenantWhoseRowsAreLockedHoldsNobodyUp locks some rows of one company in the
// database, as a long transaction does. What the other asks for is in the ledger within
// seconds, again and again, and the first one's comes when the lock is gone.
func TestATenantWhoseRowsAreLockedHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	send := func(slug string) {
		t.Helper()
		res := h.post(t, slug, question)
		_, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	send("one")
	h.rows(t, "one", 1)
	admin := h.clone.Admin(t)
	locked, err := admin.Begin()
	require.NoError(t, err)
	t.Cleanup(func() { _ = locked.Rollback() })
	var rows int
	require.NoError(t, locked.QueryRow(`select count(*) from (select 1 from rollup_placement_day where tenant_id = $1 for update) locked`, h.tenant["one"]).Scan(&rows))
	require.Positive(t, rows)
	send("one")
	require.Eventually(t, func() bool { return waits(t, admin) }, 10*time.Second, time.Millisecond)
	for n := range 20 {
		send("two")
		send("one")
		h.rows(t, "two", n+1)
	}
	require.True(t, waits(t, admin), "the first flush is the one that still waits")
	h.rows(t, "one", 1)
	require.NoError(t, locked.Rollback())
	h.rows(t, "one", 22)
	require.Zero(t, h.gateway.Metrics().FlushWaiting)
	h.restart(t, func(*gateway.Config) {})
	h.rows(t, "one", 22)
}

// waits tells whether somebody waits for a lock of this test's database.
func waits(t *testing.T, in *sql.DB) bool {
	t.Helper()
	var n int
	require.NoError(t, in.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n))
	return n > 0
}
