package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestARequestBeginsWithAWholeWindowOfSilence sends requests over one connection, which
// idles between them for as long as it takes to lose part of a window, and for some time
// while an answer comes: never has a provider less than the setting to be silent in.
func TestARequestBeginsWithAWholeWindowOfSilence(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	t.Cleanup(server.Close)
	const silence = time.Hour
	transport := newTransport(Config{SilenceWithin: silence, ConnectWithin: time.Minute})
	t.Cleanup(transport.CloseIdleConnections)
	var dialed []*upstreamConn
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if u, ok := c.(*upstreamConn); ok {
			dialed = append(dialed, u)
		}
		return c, err
	}
	for n := range 5 {
		ctx := traced(t.Context(), 0, nil)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		res, err := transport.RoundTrip(r)
		require.NoError(t, err)
		require.Len(t, dialed, 1, "one connection for all of them")
		c := dialed[0]
		left := time.Duration(c.until.Load()) - time.Since(c.made)
		require.Greater(t, left, silence-time.Minute, "request %d", n)
		require.LessOrEqual(t, left, silence+silence/4)
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, "ok", string(got))
		require.NoError(t, res.Body.Close())
		c.until.Add(-int64(silence) * int64(n) / 4) // it idles
	}
}
