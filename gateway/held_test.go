package gateway

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHeadAndBodyArriveWhole sends bodies of sizes around that of the write buffer, with
// heads of many sizes, over connections that serve one after the other: what is held
// back for one write arrives, in its place, and nothing waits that nothing follows.
func TestHeadAndBodyArriveWhole(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		_, _ = fmt.Fprintf(w, "%d %x %d %d", n, sum.Sum(nil), len(r.Header.Get("X-Pad")), len(r.Header.Get("X-More")))
	}
	for name, start := range map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer, "TLS": httptest.NewTLSServer} {
		server := start(http.HandlerFunc(echo))
		t.Cleanup(server.Close)
		transport := newTransport(Config{SilenceWithin: time.Minute, ConnectWithin: time.Minute})
		t.Cleanup(transport.CloseIdleConnections)
		if base, ok := server.Client().Transport.(*http.Transport); ok {
			transport.TLSClientConfig = base.TLSClientConfig
		}
		g := &Gateway{}
		g.pools()
		for _, size := range []int{0, 1, 100, 3800, writeBuffer - 1, writeBuffer, writeBuffer + 1, 2 * writeBuffer, 100 << 10, 1 << 20} {
			for _, pad := range []int{0, 3500, 3700, 3900, writeBuffer, 3*writeBuffer + 17} {
				content := make([]byte, size)
				_, _ = rand.Read(content)
				b := &body{g: g, buffer: bytes.NewBuffer(bytes.Clone(content))}
				r, err := http.NewRequestWithContext(traced(t.Context(), size, nil), http.MethodPost, server.URL, b.reader())
				require.NoError(t, err)
				r.ContentLength = int64(size)
				r.Header.Set("X-Pad", strings.Repeat("p", pad))
				r.Header.Set("X-More", strings.Repeat("m", pad/2))
				res, err := transport.RoundTrip(r)
				require.NoError(t, err, "%s: %d bytes, head of %d", name, size, pad)
				got, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				require.Equal(t, fmt.Sprintf("%d %x %d %d", size, sha256.Sum256(content), pad, pad/2), string(got), "%s: %d bytes, head of %d", name, size, pad)
			}
		}
		// Heads whose last byte is a buffer's last, and nothing behind them.
		for pad := range 600 {
			r, err := http.NewRequestWithContext(traced(t.Context(), 0, nil), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			r.Header.Set("X-Pad", strings.Repeat("p", 3600+pad))
			res, err := transport.RoundTrip(r)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusOK, res.StatusCode)
		}
	}
}
