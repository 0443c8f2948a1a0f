package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/gateway"
)

// refusalOf reads the provider's error shape.
func refusalOf(t *testing.T, res *http.Response) (typ, message string) {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	var shape struct {
		Type  string
		Error struct{ Type, Message string }
	}
	require.NoError(t, json.Unmarshal(body, &shape), string(body))
	require.Equal(t, "error", shape.Type)
	return shape.Error.Type, shape.Error.Message
}

func withKey(plain string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("X-Api-Key", plain) }
}

func TestAKeyAsksOnlyForItsModels(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	made, err := h.keys.Create(t.Context(), app.Command(h.tenant["one"]), app.NewKey{Label: "small", CostCenter: "CC-1", Models: []string{"claude-opus-5-5", "claude-haiku-*"}}, "test")
	require.NoError(t, err)
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	ask := func(model string) *http.Response {
		return h.post(t, "one", strings.Replace(question, "claude-opus-5-5", model, 1), withKey(made.Secret.Reveal()))
	}
	for _, model := range []string{"claude-opus-5-5", "claude-haiku-5-5", "claude-haiku-4-5-20251001"} {
		require.Equal(t, http.StatusOK, ask(model).StatusCode, model)
	}
	asked := a.count.Load()
	for _, model := range []string{"claude-opus-5", "claude-opus-5-5-x", "claude-sonnet-5-5", "Claude-haiku-5-5"} {
		res := ask(model)
		require.Equal(t, http.StatusBadRequest, res.StatusCode, model)
		require.Equal(t, "false", res.Header.Get("X-Should-Retry"))
		typ, message := refusalOf(t, res)
		require.Equal(t, "invalid_request_error", typ)
		require.Contains(t, message, model)
		require.Contains(t, message, "claude-haiku-*, claude-opus-5-5")
	}
	require.Equal(t, asked, a.count.Load(), "nothing was sent")
	require.Equal(t, http.StatusOK, h.post(t, "one", strings.Replace(question, "claude-opus-5-5", "claude-sonnet-5-5", 1)).StatusCode, "another key of the company")
	require.Len(t, h.rows(t, "one", 4), 4)
}

func TestAKeyAsksNoMoreOftenThanItMay(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	create := func(slug string, perMinute int64) string {
		made, err := h.keys.Create(t.Context(), app.Command(h.tenant[slug]), app.NewKey{Label: "slow", CostCenter: "CC-1", RequestsPerMinute: perMinute}, "test")
		require.NoError(t, err)
		return made.Secret.Reveal()
	}
	three, other, once := create("one", 3), create("two", 3), create("one", 1)
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	g := h.replica(t, clock, func(c *gateway.Config) { c.Now = clock })
	status := func(slug, key string) int { return g.post(t, slug, question, withKey(key)).StatusCode }
	for range 3 {
		require.Equal(t, http.StatusOK, status("one", three))
	}
	refused := func(key string, seconds int) {
		t.Helper()
		res := g.post(t, "one", question, withKey(key))
		require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
		require.Equal(t, strconv.Itoa(seconds), res.Header.Get("Retry-After"))
		require.Empty(t, res.Header.Get("X-Should-Retry"), "Claude Code waits and tries again")
		require.Empty(t, res.Header.Get("Anthropic-Ratelimit-Unified-Status"))
		typ, _ := refusalOf(t, res)
		require.Equal(t, "rate_limit_error", typ)
	}
	asked := a.count.Load()
	refused(three, 20)
	now.Add(int64(19 * time.Second))
	refused(three, 1)
	require.Equal(t, asked, a.count.Load(), "nothing was sent")
	require.Equal(t, http.StatusOK, status("two", other), "another company's bucket is its own")
	now.Add(int64(time.Second))
	require.Equal(t, http.StatusOK, status("one", three))
	refused(three, 20)

	require.Equal(t, http.StatusOK, status("one", once))
	refused(once, 60)
	now.Add(-int64(24 * time.Hour)) // the clock is set back
	require.Equal(t, http.StatusOK, status("one", once), "nobody waits a day")
	refused(once, 60)

	// What the provider does not bill is not counted, nor refused.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.server.URL+"/gw/one/v1/messages/count_tokens", strings.NewReader(question))
	require.NoError(t, err)
	r.Header.Set("X-Api-Key", once)
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	for range 10 {
		require.Equal(t, http.StatusOK, g.post(t, "one", question).StatusCode, "a key without a limit")
	}
}

// TestARotatedKeyIsAcceptedUnderBothSecretsUntilTheOldOneEnds follows notices: the new
// secret counts at once, and the old one ends by the clock alone.
func TestARotatedKeyIsAcceptedUnderBothSecretsUntilTheOldOneEnds(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	follow(t, h.snapshots)
	until := time.Now().Add(time.Hour)
	made, err := h.keys.RotateOnce(t.Context(), app.Command(h.tenant["one"]), app.Rotation{Key: h.keyID["one"], EarlierUntil: until}, "yearly", "")
	require.NoError(t, err)
	require.Equal(t, h.keyID["one"], made.ID)
	fresh := withKey(made.Secret.Reveal())
	require.Eventually(t, func() bool { return h.post(t, "one", question, fresh).StatusCode == http.StatusOK }, 10*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, h.post(t, "one", question).StatusCode, "the one before goes on")
	require.Equal(t, http.StatusUnauthorized, h.post(t, "two", question, fresh).StatusCode, "not at another company")
	late := h.replica(t, func() time.Time { return until })
	require.Equal(t, http.StatusUnauthorized, late.post(t, "one", question).StatusCode)
	require.Equal(t, http.StatusOK, late.post(t, "one", question, fresh).StatusCode)
	for _, row := range h.rows(t, "one", 3) {
		require.Equal(t, h.keyID["one"], row.Key, "one key, whatever the secret")
	}

	// Once more, and this time the ones before end now.
	again, err := h.keys.RotateOnce(t.Context(), app.Command(h.tenant["one"]), app.Rotation{Key: h.keyID["one"], EarlierUntil: time.Now()}, "leaked", "")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return h.post(t, "one", question, withKey(again.Secret.Reveal())).StatusCode == http.StatusOK
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, http.StatusUnauthorized, h.post(t, "one", question).StatusCode)
	require.Equal(t, http.StatusUnauthorized, h.post(t, "one", question, fresh).StatusCode)
}
