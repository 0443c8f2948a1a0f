package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/gateway"
)

// upstreamAsItWas names a company's upstream as it could be named before a virtual key
// was refused as its credential.
func (h *house) upstreamAsItWas(t *testing.T, slug, url, credential string) {
	t.Helper()
	require.NoError(t, h.clone.InTenant(t.Context(), h.tenant[slug], func(tx *db.Tx) error {
		var change id.Change
		require.NoError(t, tx.SQL().QueryRow(`select change_id from change order by number desc limit 1`).Scan(&change))
		return tx.SetUpstream(id.NewVersion(tx.Now), url, h.ring.Seal("upstream-credential", h.tenant[slug].String(), []byte(credential)), tx.Now, change)
	}))
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
}

// TestAGatewayIsNoUpstreamOfAGateway has companies name their own gateway, and each
// other's, with the keys that these accept: without an end each request would become as
// many as there is room for.
func TestAGatewayIsNoUpstreamOfAGateway(t *testing.T) {
	t.Parallel()
	h := build(t, "http://127.0.0.1:1")
	h.restart(t, func(c *gateway.Config) { c.MaxRequests = 10 })
	for name, circle := range map[string]map[string]string{
		"itself":                {"one": "one"},
		"itself, behind spaces": {"one": " one"},
		"each other":            {"one": "two", "two": "one"},
	} {
		for from, to := range circle {
			slug := strings.TrimSpace(to)
			h.upstreamAsItWas(t, from, h.server.URL+"/gw/"+slug, strings.Replace(to, slug, h.key[slug], 1))
		}
		for _, path := range []string{"/v1/messages", "/v1/messages/count_tokens"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+"/gw/one"+path, strings.NewReader(question))
			require.NoError(t, err)
			r.Header.Set("X-Api-Key", h.key["one"])
			res, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			got, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusMisdirectedRequest, res.StatusCode, "%s: %s", name, got)
			require.Equal(t, "false", res.Header.Get("X-Should-Retry"))
			var said struct {
				Error struct{ Type, Message string }
			}
			require.NoError(t, json.Unmarshal(got, &said))
			require.Equal(t, "invalid_request_error", said.Error.Type)
			require.Contains(t, said.Error.Message, "provider")
			require.NotContains(t, string(got), "tbk_")
		}
	}
	require.Zero(t, h.gateway.Metrics().Admitted, "nothing went round")
	for _, f := range h.gateway.Metrics().Refusals {
		if f.Reason == "upstream_loop" {
			require.EqualValues(t, 6, f.Count)
		}
	}
	ask := func(ctx context.Context, credential string) error {
		return h.tenants.SetUpstream(ctx, app.Command(h.tenant["one"]), h.server.URL+"/gw/one", secret.NewText(credential), "test")
	}
	for _, credential := range []string{h.key["one"], h.key["two"], "\t" + h.key["two"]} {
		require.Equal(t, "upstream_loop", fault.From(ask(t.Context(), credential)).Code)
	}

	// With any other credential the gateway is a provider that refuses: one step, no more.
	require.NoError(t, ask(t.Context(), "sk-any"))
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	require.Equal(t, http.StatusUnauthorized, h.post(t, "one", question).StatusCode)
	require.EqualValues(t, 1, h.gateway.Metrics().Admitted)
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "error", row.State)
	require.WithinDuration(t, time.Now(), row.OccurredAt, time.Minute)
}
