package gateway_test

import (
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestARequestBeginsWithItsIntent sends a body slowly: what the gateway publishes in the
// meantime says that everything before is in the ledger, so the request that is not
// written down yet must not be of before.
func TestARequestBeginsWithItsIntent(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	body, rest := io.Pipe()
	var running sync.WaitGroup
	running.Go(func() {
		res := h.post(t, "one", question, func(r *http.Request) { r.ContentLength, r.Body = int64(len(question)), body })
		if _, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
			t.Error(res.StatusCode, err)
		}
	})
	_, err := io.WriteString(rest, question[:10])
	require.NoError(t, err)
	require.Eventually(t, func() bool { requests, _, _ := h.gateway.Load(); return requests == 1 }, 10*time.Second, time.Millisecond)
	require.Zero(t, h.gateway.Stats().Pending)
	published := time.Now().Truncate(time.Millisecond) // as good as any instant at which nothing was pending
	_, err = io.WriteString(rest, question[10:])
	require.NoError(t, err)
	running.Wait()
	row := h.rows(t, "one", 1)[0]
	require.False(t, row.ID.Time().Before(published), "%s is before %s", row.ID.Time(), published)
}
