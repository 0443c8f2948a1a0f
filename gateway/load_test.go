package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/db"
	"tollbook/gateway"
)

// held is an upstream that answers when it is told to.
func held(t *testing.T) (a *answer, url string, begun chan struct{}, release chan struct{}) {
	t.Helper()
	begun, release = make(chan struct{}, 100), make(chan struct{})
	a, url = upstream(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
			return
		}
		jsonAnswer(http.StatusOK, plainAnswer)(w, r)
	})
	return a, url, begun, release
}

// refusedWith checks a refusal as Claude Code reads it.
func refusedWith(t *testing.T, res *http.Response, status int, typ string) {
	t.Helper()
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, status, res.StatusCode, string(got))
	var shape struct {
		Error struct{ Type, Message string }
	}
	require.NoError(t, json.Unmarshal(got, &shape))
	require.Equal(t, typ, shape.Error.Type)
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, seconds)
	require.LessOrEqual(t, seconds, 60, "longer waits are not waited for")
	require.NotEqual(t, "false", res.Header.Get("X-Should-Retry"))
}

func (h *house) restart(t *testing.T, set ...func(*gateway.Config)) {
	t.Helper()
	h.server.Close()
	require.NoError(t, h.gateway.Close(t.Context()))
	h.open(t, set...)
}

// TestRequestsAtOnceAreBounded fills one company's share and then the whole.
func TestRequestsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	a, url, begun, release := held(t)
	h := build(t, url)
	h.restart(t, func(c *gateway.Config) { c.MaxRequests, c.MaxTenantRequests = 3, 2 })
	var running sync.WaitGroup
	send := func(slug string) {
		running.Go(func() {
			res := h.post(t, slug, question)
			_, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Error(res.StatusCode, err)
			}
		})
		<-begun
	}
	send("one")
	send("one")
	refusedWith(t, h.post(t, "one", question), http.StatusTooManyRequests, "rate_limit_error")
	send("two") // which has its own share
	refusedWith(t, h.post(t, "two", question), 529, "overloaded_error")
	refusedWith(t, h.post(t, "one", question), 529, "overloaded_error")
	requests, _, bodies := h.gateway.Load()
	require.EqualValues(t, 3, requests)
	require.EqualValues(t, 3*len(question), bodies)
	require.EqualValues(t, 3, a.count.Load(), "what was refused never reached the provider")
	close(release)
	running.Wait()
	require.Eventually(t, func() bool { requests, lookups, bodies := h.gateway.Load(); return requests+lookups+bodies == 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, h.post(t, "one", question).StatusCode)
	h.rows(t, "one", 3)
	h.rows(t, "two", 1)
}

func TestLookupsAtOnceAreBoundedApartFromRequests(t *testing.T) {
	t.Parallel()
	_, url, begun, release := held(t)
	h := build(t, url)
	h.restart(t, func(c *gateway.Config) { c.MaxLookups, c.MaxRequests = 52, 1 })
	count := func(t *testing.T, slug string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+"/gw/"+slug+"/v1/messages/count_tokens", strings.NewReader(question))
		require.NoError(t, err)
		r.Header.Set("X-Api-Key", h.key[slug])
		res, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	var running sync.WaitGroup
	for range 26 { // what one /context sends
		running.Go(func() {
			if res := count(t, "one"); res.StatusCode != http.StatusOK {
				t.Error(res.StatusCode)
			}
		})
	}
	for range 26 {
		<-begun
	}
	refusedWith(t, count(t, "one"), http.StatusTooManyRequests, "rate_limit_error")
	running.Go(func() {
		if res := h.post(t, "one", question); res.StatusCode != http.StatusOK {
			t.Error(res.StatusCode)
		}
	})
	<-begun // a billed request has a place of its own
	close(release)
	running.Wait()
	h.rows(t, "one", 1)
}

func TestBodiesInMemoryAreBounded(t *testing.T) {
	t.Parallel()
	a, url, begun, release := held(t)
	h := build(t, url)
	h.restart(t, func(c *gateway.Config) { c.MaxBodyBytes, c.MaxBodiesBytes = 1000, 2000 })
	long := `{"model":"claude-opus-5-5","x":"` + strings.Repeat("a", 800) + `"}`
	var running sync.WaitGroup
	running.Go(func() {
		if res := h.post(t, "one", long); res.StatusCode != http.StatusOK {
			t.Error(res.StatusCode)
		}
	})
	<-begun
	refusedWith(t, h.post(t, "one", long), http.StatusTooManyRequests, "rate_limit_error")
	chunked := func(r *http.Request) { r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader(question)) }
	refusedWith(t, h.post(t, "one", question, chunked), http.StatusTooManyRequests, "rate_limit_error")
	require.EqualValues(t, 1, a.count.Load())
	close(release)
	running.Wait()
	require.Equal(t, http.StatusOK, h.post(t, "one", question, chunked).StatusCode, "there is room again")
}

// TestASlowBodyIsNotWaitedFor sends a head and half a body, and nothing more.
func TestASlowBodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	h.restart(t, func(c *gateway.Config) { c.BodyWithin = 50 * time.Millisecond })
	for _, path := range []string{"/v1/messages", "/v1/messages/count_tokens"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.server.URL, "http://"))
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST /gw/one%s HTTP/1.1\r\nHost: x\r\nX-Api-Key: %s\r\nContent-Length: 1000\r\n\r\n{\"model\"", path, h.key["one"])
		require.NoError(t, err)
		said, err := io.ReadAll(conn) // until the gateway closes
		require.NoError(t, err)
		require.Contains(t, string(said), "400 Bad Request")
		require.Contains(t, string(said), "invalid_request_error")
		require.NoError(t, conn.Close())
	}
	require.Zero(t, a.count.Load())
	requests, lookups, bodies := h.gateway.Load()
	require.Zero(t, requests+lookups+bodies)
	h.rows(t, "one", 0)
}

// TestAProviderThatAcceptsAndStaysSilentIsLeft also ends one that stalls mid-stream.
func TestAProviderThatAcceptsAndStaysSilentIsLeft(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Stall") == "head" {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream(""))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	h := build(t, url)
	h.restart(t, func(c *gateway.Config) { c.SilenceWithin = 100 * time.Millisecond })
	res := h.post(t, "one", question, func(r *http.Request) { r.Header.Set("X-Stall", "head") })
	require.Equal(t, 529, res.StatusCode)
	res = h.post(t, "one", question)
	require.Equal(t, http.StatusOK, res.StatusCode)
	got, err := io.ReadAll(res.Body)
	require.Error(t, err, "the stream did not end, and does not look as if it had")
	require.Equal(t, stream(""), string(got))
	for _, row := range h.rows(t, "one", 2) {
		require.Equal(t, "incomplete", row.State)
		require.Contains(t, row.Flags, "upstream_dropped")
	}
}

func TestAProviderThatCannotBeConnectedInTimeIsLeft(t *testing.T) {
	t.Parallel()
	// A port whose queue is full: the kernel answers no further connection.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	h := build(t, "https://"+listener.Addr().String()) // it accepts, and never speaks TLS
	h.restart(t, func(c *gateway.Config) { c.ConnectWithin = 50 * time.Millisecond })
	res := h.post(t, "one", question)
	require.Equal(t, 529, res.StatusCode)
	row := h.rows(t, "one", 1)[0]
	require.Contains(t, []string{"error", "incomplete"}, row.State)
	require.Zero(t, row.Amount)
}

func TestAnEndlessAnswerHeadIsLeft(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range 100 {
			w.Header().Set(fmt.Sprintf("X-Long-%d", i), strings.Repeat("x", 1000))
		}
		jsonAnswer(http.StatusOK, plainAnswer)(w, r)
	})
	h := build(t, url)
	h.restart(t, func(c *gateway.Config) { c.MaxAnswerHeaderBytes = 64 << 10 })
	require.Equal(t, 529, h.post(t, "one", question).StatusCode)
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "incomplete", row.State, "it reached the provider, and may be billed")
}

// TestDrainsAreBounded leaves with more clients than may be drained: the provider's
// work for the others is cut at once.
func TestDrainsAreBounded(t *testing.T) {
	t.Parallel()
	var cut, begun sync.WaitGroup
	cut.Add(2)
	_, url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream(""))
		_ = http.NewResponseController(w).Flush()
		begun.Done()
		<-r.Context().Done()
		cut.Done()
	})
	h := build(t, url)
	h.restart(t, func(c *gateway.Config) { c.MaxDrains, c.DrainFor = 1, time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	begun.Add(3)
	for range 3 {
		h.post(t, "one", question, func(r *http.Request) { *r = *r.WithContext(ctx) })
	}
	begun.Wait()
	cancel()
	cut.Wait()
	for _, row := range h.rows(t, "one", 2) {
		require.Equal(t, "estimated", row.State)
		require.Contains(t, row.Flags, "client_gone")
	}
	// The one that is drained is ended by the gateway's own end.
	cut.Add(1)
	h.server.CloseClientConnections()
	require.NoError(t, h.gateway.Close(t.Context()))
	cut.Wait()
	h.rows(t, "one", 3)
}

// descriptors counts this process's open files.
func descriptors(t *testing.T) int {
	t.Helper()
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if open, err := os.ReadDir(dir); err == nil {
			return len(open)
		}
	}
	t.Fatal("this system does not list open files")
	return 0
}

// fillPool makes every connection to the database that the pool may have.
func (h *house) fillPool(t *testing.T) {
	t.Helper()
	const most = 8 // as dbtest opens it
	var here, all sync.WaitGroup
	here.Add(most)
	for range most {
		all.Go(func() {
			err := h.clone.InTenant(t.Context(), h.tenant["one"], func(*db.Tx) error { here.Done(); here.Wait(); return nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestTwoThousandAbortedStreamsLeaveNothingBehind aborts streams at every stage and
// counts goroutines and descriptors before and after.
//
//nolint:paralleltest // it counts what the whole process has
func TestTwoThousandAbortedStreamsLeaveNothingBehind(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for range 20 {
			if _, err := io.WriteString(w, ": "+strings.Repeat("x", 200)+"\n\n"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			if r.Context().Err() != nil {
				return
			}
		}
		if r.Header.Get("X-Hold") != "" {
			<-r.Context().Done()
		}
	}))
	t.Cleanup(provider.Close)
	h := build(t, provider.URL)
	h.restart(t, func(c *gateway.Config) { c.DrainFor = time.Millisecond })
	client := &http.Transport{MaxIdleConnsPerHost: 16}
	abort := func(n int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.server.URL+"/gw/one/v1/messages", bytes.NewReader([]byte(question)))
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("X-Api-Key", h.key["one"])
		if n%2 == 0 {
			r.Header.Set("X-Hold", "1")
		}
		if n%4 == 0 {
			time.AfterFunc(time.Duration(n%7)*100*time.Microsecond, cancel) // before the head, perhaps
		}
		res, err := client.RoundTrip(r)
		if err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, res.Body, int64(n%3)*1000)
		cancel()
		_ = res.Body.Close()
	}
	settle := func() (goroutines, files int) {
		client.CloseIdleConnections()
		h.server.CloseClientConnections()
		provider.CloseClientConnections()
		runtime.GC()
		return runtime.NumGoroutine(), descriptors(t)
	}
	run := func(count int) {
		var all sync.WaitGroup
		for worker := range 16 {
			all.Go(func() {
				for n := worker; n < count; n += 16 {
					abort(n)
				}
			})
		}
		all.Wait()
	}
	h.fillPool(t)
	run(64)
	var goroutines, files int
	require.Eventually(t, func() bool {
		requests, _, _ := h.gateway.Load()
		goroutines, files = settle()
		return requests == 0 && h.gateway.Stats().Pending == 0
	}, 20*time.Second, 10*time.Millisecond)
	run(2000)
	require.Eventually(t, func() bool {
		nowGoroutines, nowFiles := settle()
		return nowGoroutines <= goroutines && nowFiles <= files
	}, 30*time.Second, 20*time.Millisecond, "goroutines and descriptors are back where they were")
	require.Eventually(t, func() bool { return h.gateway.Stats().Pending == 0 }, 20*time.Second, 10*time.Millisecond, "each is in the ledger")
}
