package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/gateway"
)

func TestDrainsAreBoundedAndCounted(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	_, upstreamURL := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream(""))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-release:
			_, _ = io.WriteString(w, streamEnd)
		}
	})
	h := build(t, upstreamURL)
	h.server.Close()
	h.open(t, func(c *gateway.Config) { c.MaxDrains, c.DrainFor = 1, time.Minute })
	leave := func() {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := h.post(t, "one", question, func(r *http.Request) { *r = *r.WithContext(ctx) }).Body.Read(make([]byte, 10))
		require.NoError(t, err)
		cancel()
	}
	reached := func(drains int, refused, open int64) {
		t.Helper()
		require.Eventually(t, func() bool {
			m := h.gateway.Metrics()
			return m.Drains == drains && m.DrainsRefused == refused && m.Running == open && m.OpenStreams == open
		}, 10*time.Second, 5*time.Millisecond)
	}
	require.Equal(t, 1, h.gateway.Metrics().DrainsBound)
	leave()
	reached(1, 0, 1)
	leave()
	reached(1, 1, 1)
	require.Equal(t, "estimated", h.rows(t, "one", 1)[0].State, "no drain was free for the second")
	close(release)
	reached(0, 1, 0)
	states := map[string]int{}
	for _, row := range h.rows(t, "one", 2) {
		states[row.State]++
	}
	require.Equal(t, map[string]int{"estimated": 1, "complete": 1}, states)
}

func TestARequestTheLedgerRefusesIsCountedAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	var answers atomic.Int64
	_, upstreamURL := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		stop := "end_turn"
		if answers.Add(1) == 2 {
			stop = "poison"
		}
		jsonAnswer(http.StatusOK, strings.Replace(plainAnswer, "end_turn", stop, 1))(w, r)
	})
	h := build(t, upstreamURL)
	_, err := h.clone.Admin(t).ExecContext(t.Context(), `alter table usage_event add constraint no_poison check (stop_reason <> 'poison')`)
	require.NoError(t, err)
	for range 3 {
		_, err := io.ReadAll(h.post(t, "one", question).Body)
		require.NoError(t, err)
	}
	h.rows(t, "one", 2)
	require.Eventually(t, func() bool {
		m := h.gateway.Metrics()
		return m.Admitted == 3 && m.Confirmed == 2 && m.Stuck == 1 && m.Repeated == 0 && h.gateway.Stats().Pending == 1
	}, 10*time.Second, 5*time.Millisecond)
}
