package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/gateway"
)

// TestABodyIsCountedUntilItIsSent lets a provider of one company's own answer before it
// has read a body, and read no more of it: the body is in memory still, and counts.
func TestABodyIsCountedUntilItIsSent(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	begun, release := make(chan struct{}, 10), make(chan struct{})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"+stream(""))
				begun <- struct{}{}
				<-release
			}()
		}
	}()
	h := build(t, "http://"+listener.Addr().String())
	h.restart(t, func(c *gateway.Config) { c.MaxBodyBytes, c.MaxBodiesBytes = 16<<20, 32<<20 })
	long := `{"model":"claude-opus-5-5","x":"` + strings.Repeat("a", 12<<20) + `"}` // more than the sockets hold
	res := h.post(t, "one", long)
	<-begun
	require.Equal(t, http.StatusOK, res.StatusCode)
	_, _, bodies := h.gateway.Load()
	require.EqualValues(t, len(long), bodies, "nobody has taken the body")
	refusedWith(t, h.post(t, "one", long), http.StatusTooManyRequests, "rate_limit_error")
	close(release)
	_, _ = io.ReadAll(res.Body)
	require.Eventually(t, func() bool { requests, lookups, bodies := h.gateway.Load(); return requests+lookups+bodies == 0 }, 10*time.Second, time.Millisecond)
	h.rows(t, "one", 1)
}

// TestABodyOfUnstatedLengthCountsAsWhatItIs once it was read: small ones sent in chunks
// do not shut a company out while the provider works.
func TestABodyOfUnstatedLengthCountsAsWhatItIs(t *testing.T) {
	t.Parallel()
	_, url, begun, release := held(t)
	h := build(t, url)
	var running sync.WaitGroup
	running.Go(func() {
		if res := h.post(t, "one", question, func(r *http.Request) { r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader(question)) }); res.StatusCode != http.StatusOK {
			t.Error(res.StatusCode)
		}
	})
	<-begun
	_, _, bodies := h.gateway.Load()
	require.LessOrEqual(t, bodies, int64(len(question)))
	close(release)
	running.Wait()
}
