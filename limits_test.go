package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/gateway"
)

func environmentOf(set map[string]string) *environment {
	return &environment{lookup: func(name string) (string, bool) { v, ok := set[name]; return v, ok }}
}

// TestEveryLimitIsASetting reads each variable of README's table at, below and above
// its bounds, and finds it in what the gateway is given.
func TestEveryLimitIsASetting(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	size := func(get func(*gateway.Config) int64) func(limits) any {
		return func(l limits) any { var c gateway.Config; l.apply(&c); return get(&c) }
	}
	number := func(get func(*gateway.Config) int) func(limits) any {
		return func(l limits) any { var c gateway.Config; l.apply(&c); return get(&c) }
	}
	duration := func(get func(*gateway.Config) time.Duration) func(limits) any {
		return func(l limits) any { var c gateway.Config; l.apply(&c); return get(&c) }
	}
	for name, c := range map[string]struct {
		good string
		want any
		got  func(limits) any
		bad  []string
	}{
		"TOLLBOOK_MAX_BODY_BYTES":          {"8M", int64(8 << 20), size(func(c *gateway.Config) int64 { return c.MaxBodyBytes }), []string{"0", "2G", "8MB", "M", "-1", "1e6"}},
		"TOLLBOOK_MAX_BODIES_BYTES":        {"4G", int64(4 << 30), size(func(c *gateway.Config) int64 { return c.MaxBodiesBytes }), []string{"0", "40M", "9999999999999999999G"}},
		"TOLLBOOK_MAX_ANSWERS_BYTES":       {"4G", int64(4 << 30), size(func(c *gateway.Config) int64 { return c.MaxAnswersBytes }), []string{"0", "1K", "9999999999999999999G"}},
		"TOLLBOOK_MAX_HEADER_BYTES":        {"128K", int64(128 << 10), func(l limits) any { return l.headerBytes }, []string{"1", "2M"}},
		"TOLLBOOK_MAX_ANSWER_HEADER_BYTES": {"65536", int64(65536), size(func(c *gateway.Config) int64 { return c.MaxAnswerHeaderBytes }), []string{"1", "1G"}},
		"TOLLBOOK_JOURNAL_BYTES":           {"10G", int64(10 << 30), size(func(c *gateway.Config) int64 { return c.JournalBytes }), []string{"1M", "x"}},
		"TOLLBOOK_MAX_REQUESTS":            {"7", 7, number(func(c *gateway.Config) int { return c.MaxRequests }), []string{"0", "-1", "many"}},
		"TOLLBOOK_MAX_TENANT_REQUESTS":     {"5", 5, number(func(c *gateway.Config) int { return c.MaxTenantRequests }), []string{"0"}},
		"TOLLBOOK_MAX_LOOKUPS":             {"100", 100, number(func(c *gateway.Config) int { return c.MaxLookups }), []string{"0"}},
		"TOLLBOOK_MAX_DRAINS":              {"9", 9, number(func(c *gateway.Config) int { return c.MaxDrains }), []string{"0"}},
		"TOLLBOOK_DRAIN_TIME":              {"1s", time.Second, duration(func(c *gateway.Config) time.Duration { return c.DrainFor }), []string{"0", "10", "1h"}},
		"TOLLBOOK_BODY_TIME":               {"1m", time.Minute, duration(func(c *gateway.Config) time.Duration { return c.BodyWithin }), []string{"0s", "25h"}},
		"TOLLBOOK_READ_TIME":               {"1m", time.Minute, duration(func(c *gateway.Config) time.Duration { return c.ReadWithin }), []string{"0s", "25h"}},
		"TOLLBOOK_CONNECT_TIME":            {"2s", 2 * time.Second, duration(func(c *gateway.Config) time.Duration { return c.ConnectWithin }), []string{"1ms", "1h"}},
		"TOLLBOOK_SILENCE_TIME":            {"5m", 5 * time.Minute, duration(func(c *gateway.Config) time.Duration { return c.SilenceWithin }), []string{"1m", "25h"}},
		"TOLLBOOK_STALE_AFTER":             {"1h", time.Hour, duration(func(c *gateway.Config) time.Duration { return c.StaleAfter }), []string{"1s", "9999h"}},
		"TOLLBOOK_SHUTDOWN_TIME":           {"45s", 45 * time.Second, func(l limits) any { return l.shutdown }, []string{"0s", "2h"}},
	} {
		e := environmentOf(map[string]string{name: c.good})
		got := e.limits()
		require.NoError(t, e.err(), name)
		require.Equal(t, c.want, c.got(got), name)
		require.NotEqual(t, c.want, c.got(standardLimits()), "%s: the test tells it from the default", name)
		for _, bad := range c.bad {
			e := environmentOf(map[string]string{name: bad})
			e.limits()
			require.ErrorContains(t, e.err(), name, bad)
		}
		require.Contains(t, string(readme), "`"+name+"`")
	}
	require.Equal(t, 9, strings.Count(string(readme), "| `TOLLBOOK_MAX_"), "no limit is named that is none")
	e := environmentOf(map[string]string{"TOLLBOOK_MAX_REQUESTS": "101"})
	require.Equal(t, 51, e.limits().tenantRequests, "a tenant may have half")
	// The gateway's own defaults are the same: a process that is told nothing has them.
	var told gateway.Config
	standardLimits().apply(&told)
	own := gateway.Config{JournalDir: "x", JournalKey: make([]byte, 32)}
	require.NoError(t, own.Validate())
	own.JournalBytes = 1 << 30 // the journal's own default
	told.JournalDir, told.JournalKey, told.FlushEvery, told.Log, told.Now, own.Now = own.JournalDir, own.JournalKey, own.FlushEvery, own.Log, nil, nil
	require.Equal(t, told, own)
}

// served runs serveUntil on a loopback port and returns its address.
func served(t *testing.T, handler http.Handler, l limits) (address string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serveUntil(ctx, listener, handler, settings{Limits: l}, slog.New(slog.DiscardHandler))
	}()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() { _ = stop() })
	return listener.Addr().String(), stop
}

func TestALargeHeadIsRefused(t *testing.T) {
	t.Parallel()
	l := standardLimits()
	l.headerBytes = 8 << 10
	address, _ := served(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }), l)
	ask := func(bytes int) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
		require.NoError(t, err)
		r.Header.Set("X-Large", strings.Repeat("x", bytes))
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		return res.StatusCode
	}
	require.Equal(t, http.StatusOK, ask(4<<10))
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, ask(32<<10))
}

// TestAShutdownLetsAnswersEnd stops the server in the middle of an answer: it ends
// whole, the connection closes after it, and nobody new comes in.
func TestAShutdownLetsAnswersEnd(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	address, stop := served(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-release
		_, _ = io.WriteString(w, "last\n")
	}), standardLimits())
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond, "the port is closed at once")
	select {
	case err := <-stopped:
		t.Fatal("it did not wait for the answer", err)
	default:
	}
	close(release)
	all, err := io.ReadAll(bufio.NewReader(conn))
	require.NoError(t, err, "the connection is closed in order")
	require.Contains(t, string(all), "last\n")
	require.NoError(t, <-stopped)
}

// TestAShutdownEndsWhatDoesNotEnd cuts an answer that goes on for ever.
func TestAShutdownEndsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	l := standardLimits()
	l.shutdown = 20 * time.Millisecond
	address, stop := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-r.Context().Done()
	}), l)
	res, err := http.Get("http://" + address)
	require.NoError(t, err)
	defer res.Body.Close()
	<-begun
	require.NoError(t, stop())
	_, err = io.ReadAll(res.Body)
	require.Error(t, err)
}
