package gateway_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/gateway"
)

// TestARequestThatTheLedgerRefusesHoldsNothingUp has the schema refuse one request.
// Thousands more pass by it, the journal stays small, and once the schema takes it,
// whoever adopts the journal brings it in.
func TestARequestThatTheLedgerRefusesHoldsNothingUp(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	admin := h.clone.Admin(t)
	_, err := admin.Exec(`alter table usage_event add constraint not_this check (declared_project is distinct from 'unwanted')`)
	require.NoError(t, err)
	h.restart(t, func(c *gateway.Config) { c.JournalBytes = 512 << 10 })
	send := func(project string) {
		res := h.post(t, "one", question, func(r *http.Request) {
			r.Header.Set("X-Tollbook-Project", project)
			r.Header.Set("X-Tollbook-Developer", "ada@example.com")
		})
		require.Equal(t, http.StatusOK, res.StatusCode)
		_, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
	}
	send("unwanted")
	require.Eventually(t, func() bool { return h.gateway.Stuck() == 1 }, 10*time.Second, time.Millisecond)
	sent := 0
	for seg := h.gateway.Stats().Segments; seg < 6; seg = h.gateway.Stats().Segments { // five segments behind it
		send("P-1")
		sent++
	}
	require.Eventually(t, func() bool { s := h.gateway.Stats(); return s.Pending == 1 && s.Segments <= 2 }, 30*time.Second, time.Millisecond,
		"it is carried to the end, and the segments before are gone")
	for range 100 {
		send("P-1")
		sent++
	}
	_, err = admin.Exec(`alter table usage_event drop constraint not_this`)
	require.NoError(t, err)
	h.restart(t)
	require.Eventually(t, func() bool {
		page, err := h.reports.Requests(t.Context(), app.System(h.tenant["one"]), app.RequestFilter{Limit: 500, State: "complete", Session: ""})
		require.NoError(t, err)
		for _, row := range page.Rows {
			if row.Rule == "key:project_unknown" {
				require.Equal(t, "complete", row.State)
				require.Equal(t, "0.014000000000", row.Amount.String())
				return true
			}
		}
		return false
	}, 20*time.Second, 10*time.Millisecond)
	var rows, events int
	require.NoError(t, admin.QueryRow(`select count(*), count(distinct event_id) from usage_event where tenant_id = $1`, h.tenant["one"]).Scan(&rows, &events))
	require.Equal(t, sent+1, rows)
	require.Equal(t, rows, events)
	require.EqualValues(t, 0, h.gateway.Broken())
}
