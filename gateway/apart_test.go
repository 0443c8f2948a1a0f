package gateway_test

import (
	"database/sql"
	"io"
	"net/http"
	"strings"
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

// TestATenantWhoseFlushesFailForGoodIsSeenAndBounded has the database refuse everything of
// one company, in a way that is no row's fault. It is counted, said once, and may fill
// its part of the journal; the other company goes on, past the journal's size. When the
// fault is mended, all of it is in the ledger.
func TestATenantWhoseFlushesFailForGoodIsSeenAndBounded(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	admin := h.clone.Admin(t)
	_, err := admin.Exec(`create function broken() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$`)
	require.NoError(t, err)
	_, err = admin.Exec(`create trigger broken before insert on usage_batch for each row when (new.tenant_id = '` + h.tenant["one"].UUID() + `') execute function broken()`)
	require.NoError(t, err)
	const bound = 1 << 20
	log := &words{}
	h.restart(t, log.set, func(c *gateway.Config) { c.JournalBytes = bound })
	sent := map[string]int{}
	send := func(slug string) int {
		t.Helper()
		res := h.post(t, slug, question)
		_, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		if res.StatusCode == http.StatusOK {
			sent[slug]++
		}
		return res.StatusCode
	}
	reading := h.gateway.Metrics
	require.Empty(t, h.gateway.Ailing())
	require.Equal(t, http.StatusOK, send("one"))
	require.Eventually(t, func() bool { return reading().FlushFailures >= 5 && reading().FlushFailing == 1 }, 20*time.Second, time.Millisecond)
	require.EqualValues(t, 1, reading().FlushFailingWaiting)
	require.Equal(t, 1, strings.Count(log.String(), "do not reach the ledger"), "once in a while, not with every try")
	require.Contains(t, log.String(), h.tenant["one"].String())
	require.NotContains(t, log.String(), "ledger not reached", "the database is there")
	require.Contains(t, h.gateway.Ailing(), "1 company")
	require.NoError(t, h.gateway.Ready())

	for h.gateway.Stats().LastPosition < 4000 { // about twice the journal
		require.Equal(t, http.StatusOK, send("two"))
		if s := h.gateway.Stats(); s.Bytes > bound*3/4 {
			require.Eventually(t, func() bool { return h.gateway.Stats().Bytes < bound/2 }, 20*time.Second, time.Millisecond,
				"what the failing company holds is carried to the end")
		}
	}
	for send("one") == http.StatusOK {
		require.LessOrEqual(t, sent["one"], bound/4/2048+1, "a quarter of the journal")
	}
	res := h.post(t, "one", question)
	refusedWith(t, res, 529, "overloaded_error")
	require.Equal(t, http.StatusOK, send("two"))
	require.LessOrEqual(t, h.gateway.Stats().Bytes, int64(bound))
	_, err = admin.Exec(`drop trigger broken on usage_batch`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return h.gateway.Stats().Pending == 0 }, 30*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return reading().FlushFailing == 0 }, 10*time.Second, time.Millisecond)
	require.Empty(t, h.gateway.Ailing())
	require.Equal(t, http.StatusOK, send("one"), "it is served again")
	require.Eventually(t, func() bool { return h.gateway.Stats().Pending == 0 }, 30*time.Second, time.Millisecond)
	for slug, n := range sent {
		var rows int
		require.NoError(t, admin.QueryRow(`select count(distinct event_id) from usage_event where tenant_id = $1`, h.tenant[slug]).Scan(&rows))
		require.Equal(t, n, rows, slug)
	}
}
