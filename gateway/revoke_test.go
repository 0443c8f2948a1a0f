package gateway_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/gateway"
)

// replica is a second gateway on the house's database and journal root, with a memory
// of its own.
func (h *house) replica(t *testing.T, now func() time.Time, set ...func(*gateway.Config)) *house {
	t.Helper()
	other := *h
	other.snapshots = app.NewSnapshots(h.clone.DB, h.ring, slog.New(slog.DiscardHandler), now)
	require.NoError(t, other.snapshots.Load(t.Context(), id.Tenant{}))
	var err error
	other.metering, err = app.NewMetering(h.clone.DB)
	require.NoError(t, err)
	other.open(t, set...)
	return &other
}

// TestARevokedKeyIsRefusedEverywhere revokes under two gateways that serve: each goes
// over to refusing, once and for good, within the second that is promised. The bound
// below is wider, because machines stall; the time taken is in the log.
func TestARevokedKeyIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	one := build(t, url)
	two := one.replica(t, time.Now)
	follow(t, one.snapshots)
	follow(t, two.snapshots)
	made, err := one.keys.Create(t.Context(), app.Command(one.tenant["one"]), app.NewKey{Label: "fresh", CostCenter: "CC-1"}, "test")
	require.NoError(t, err)
	status := func(h *house) int {
		return h.post(t, "one", question, func(r *http.Request) { r.Header.Set("X-Api-Key", made.Secret.Reveal()) }).StatusCode
	}
	for _, h := range []*house{one, two} {
		require.Eventually(t, func() bool { return status(h) == http.StatusOK }, 10*time.Second, time.Millisecond)
	}
	require.NoError(t, one.keys.Revoke(t.Context(), app.Command(one.tenant["one"]), made.ID, "lost"))
	revoked := time.Now()
	for name, h := range map[string]*house{"one": one, "two": two} {
		require.Eventually(t, func() bool { return status(h) == http.StatusUnauthorized }, 10*time.Second, time.Millisecond, name)
		t.Logf("gateway %s refuses after %s", name, time.Since(revoked).Round(time.Millisecond))
		for range 20 {
			require.Equal(t, http.StatusUnauthorized, status(h), "and never accepts it again")
		}
		require.Equal(t, http.StatusOK, h.post(t, "one", question).StatusCode, "the others go on")
	}
}

// TestASuspendedCompanyIsRefusedEverywhere suspends under two gateways that serve: each
// goes over to refusing with what costs a client one request, and back when it is resumed.
func TestASuspendedCompanyIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	one := build(t, url)
	two := one.replica(t, time.Now)
	follow(t, one.snapshots)
	follow(t, two.snapshots)
	becomes := func(status int) {
		for name, h := range map[string]*house{"one": one, "two": two} {
			changed := time.Now()
			require.Eventually(t, func() bool { return h.post(t, "one", question).StatusCode == status }, 10*time.Second, time.Millisecond, name)
			t.Logf("gateway %s answers %d after %s", name, status, time.Since(changed).Round(time.Millisecond))
		}
	}
	becomes(http.StatusOK)
	require.NoError(t, one.tenants.Suspend(t.Context(), app.Command(one.tenant["one"]), "the contract ended"))
	becomes(http.StatusPaymentRequired)
	asked := a.count.Load()
	for _, h := range []*house{one, two} {
		for _, path := range []string{"/v1/messages", "/v1/messages/count_tokens"} {
			res := h.post(t, "one", question, func(r *http.Request) { r.URL.Path = "/gw/one" + path })
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusPaymentRequired, res.StatusCode, "%s: %s", path, body)
			require.Equal(t, "false", res.Header.Get("X-Should-Retry"))
			require.Empty(t, res.Header.Get("Retry-After"))
			require.Contains(t, string(body), `"type":"permission_error"`)
			require.Contains(t, string(body), "Your company is suspended")
		}
		stranger := h.post(t, "one", question, func(r *http.Request) { r.Header.Set("X-Api-Key", h.key["two"]) })
		require.Equal(t, http.StatusUnauthorized, stranger.StatusCode, "who has no key here is told nothing")
		require.Equal(t, http.StatusOK, h.post(t, "two", question).StatusCode, "the other company goes on")
	}
	require.Equal(t, asked+2, a.count.Load())
	require.NoError(t, one.tenants.Resume(t.Context(), app.Command(one.tenant["one"]), "it goes on"))
	becomes(http.StatusOK)
}

// TestAKeyIsRefusedFromTheInstantItExpires moves the clock alone: no notice, no load.
func TestAKeyIsRefusedFromTheInstantItExpires(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	made, err := h.keys.Create(t.Context(), app.Command(h.tenant["one"]), app.NewKey{Label: "short", CostCenter: "CC-1", ExpiresAt: ends}, "test")
	require.NoError(t, err)
	var now atomic.Pointer[time.Time]
	set := func(at time.Time) { now.Store(&at) }
	set(time.Now())
	late := h.replica(t, func() time.Time { return *now.Load() })
	status := func() int {
		res := late.post(t, "one", question, func(r *http.Request) { r.Header.Set("X-Api-Key", made.Secret.Reveal()) })
		if res.StatusCode == http.StatusUnauthorized {
			require.Equal(t, "false", res.Header.Get("X-Should-Retry"))
		}
		return res.StatusCode
	}
	set(ends.Add(-time.Nanosecond))
	require.Equal(t, http.StatusOK, status())
	asked := a.count.Load()
	for _, at := range []time.Time{ends, ends.Add(time.Hour)} {
		set(at)
		require.Equal(t, http.StatusUnauthorized, status())
	}
	require.Equal(t, asked, a.count.Load())
}

// TestAnUpstreamCredentialThatWasReplacedIsUsedAtOnce is a provider's key that expired:
// its refusal passes, costs nothing, and the next credential is followed by notice.
func TestAnUpstreamCredentialThatWasReplacedIsUsedAtOnce(t *testing.T) {
	t.Parallel()
	const refusal = `{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != "sk-fresh" {
			jsonAnswer(http.StatusUnauthorized, refusal)(w, r)
			return
		}
		jsonAnswer(http.StatusOK, plainAnswer)(w, r)
	}))
	t.Cleanup(server.Close)
	h := build(t, server.URL)
	follow(t, h.snapshots)
	require.Equal(t, http.StatusUnauthorized, h.post(t, "one", question).StatusCode)
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "error", row.State)
	require.Zero(t, row.Amount)
	require.NoError(t, h.tenants.SetUpstream(t.Context(), app.Command(h.tenant["one"]), server.URL, secret.NewText("sk-fresh"), "the old one expired"))
	require.Eventually(t, func() bool { return h.post(t, "one", question).StatusCode == http.StatusOK }, 10*time.Second, time.Millisecond)
}
