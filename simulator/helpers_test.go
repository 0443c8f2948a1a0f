package simulator

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func open(t *testing.T, cfg Config) *Simulator {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Now == nil {
		cfg.Now = noon
	}
	sim, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })

	return sim
}

// newCall builds a request with the headers that every good client sends; extra ones
// replace them, and an empty value removes one.
func newCall(t *testing.T, method, url, body string, extra map[string]string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	headers := map[string]string{"x-api-key": "sk-test", "anthropic-version": version2023, "X-Claude-Code-Session-Id": "session-1"}
	maps.Copy(headers, extra)
	for name, value := range headers {
		if value != "" {
			r.Header.Set(name, value)
		}
	}

	return r
}

// call answers from memory. It does not suit cut connections.
func call(t *testing.T, sim *Simulator, method, path, body string, extra map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	sim.Handler().ServeHTTP(rec, newCall(t, method, path, body, extra))

	return rec
}

func ask(t *testing.T, sim *Simulator, body string, extra map[string]string) *httptest.ResponseRecorder {
	t.Helper()

	return call(t, sim, http.MethodPost, "/v1/messages?beta=true", body, extra)
}

func decode[T any](t *testing.T, raw []byte) T {
	t.Helper()
	var value T
	require.NoError(t, json.Unmarshal(raw, &value), string(raw))

	return value
}

// body builds a small request; more is further members, each with a leading comma.
func body(model, prompt, more string) string {
	return fmt.Sprintf(`{"model":%q,"max_tokens":4096,"messages":[{"role":"user","content":%q}]%s}`, model, prompt, more)
}

func booksOf(t *testing.T, sim *Simulator, query string) []bookRow {
	t.Helper()
	rec := call(t, sim, http.MethodGet, "/books?"+query, "", nil)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())

	return decode[struct{ Data []bookRow }](t, rec.Body.Bytes()).Data
}

type sseEvent struct {
	name string
	data map[string]any
}

// readEvents reads whole frames until the stream ends, well or badly.
func readEvents(t *testing.T, r io.Reader) ([]sseEvent, error) {
	t.Helper()
	var events []sseEvent
	reader := bufio.NewReader(r)
	for {
		first, err := reader.ReadString('\n')
		if err == io.EOF && first == "" {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		second, err := reader.ReadString('\n')
		if err != nil {
			return events, err
		}
		blank, err := reader.ReadString('\n')
		if err != nil {
			return events, err
		}
		require.Equal(t, "\n", blank)
		name, found := strings.CutPrefix(strings.TrimSuffix(first, "\n"), "event: ")
		require.True(t, found, first)
		raw, found := strings.CutPrefix(second, "data: ")
		require.True(t, found, second)
		event := sseEvent{name, decode[map[string]any](t, []byte(raw))}
		require.Equal(t, event.name, event.data["type"])
		events = append(events, event)
	}
}

func names(events []sseEvent) string {
	var out []string
	for _, e := range events {
		if len(out) == 0 || out[len(out)-1] != e.name {
			out = append(out, e.name)
		}
	}

	return strings.Join(out, " ")
}

func count(events []sseEvent, name string) int {
	n := 0
	for _, e := range events {
		if e.name == name {
			n++
		}
	}

	return n
}
