//go:build clients

package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClients drives the gateway with the real clients. What each does is done twice,
// straight at the provider and through the gateway, and must come out the same.
func TestClients(t *testing.T) {
	h := openHouse(t)
	t.Run("ClaudeCode", h.claudeCode)
	t.Run("Refusals", h.refusals)
	t.Run("GoSDK", h.goSDKs)
	t.Run("TypeScriptSDK", h.typeScriptSDK)
}

// house is one demo for all the clients' tests. Its provider is whatever a test puts
// there for its session.
type house struct {
	*installation
	lines sync.Map // session id -> *station, the way to that session's provider
}

func openHouse(t *testing.T) *house {
	t.Helper()
	h := &house{}
	exchange := httptest.NewServer(http.HandlerFunc(h.connect))
	t.Cleanup(exchange.Close)
	dir, err := os.MkdirTemp("", "tollbook-clients-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) // the user that runs Postgres passes through
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h.installation, err = openDemo(dir, "--upstream", exchange.URL)
	require.NoError(t, err)
	t.Cleanup(h.interrupt)
	return h
}

// connect sends what comes from the gateway to its session's provider.
func (h *house) connect(w http.ResponseWriter, r *http.Request) {
	line, ok := h.lines.Load(r.Header.Get("X-Claude-Code-Session-Id"))
	if !ok {
		http.Error(w, "no session of a test: "+r.Header.Get("X-Claude-Code-Session-Id"), http.StatusTeapot)
		return
	}
	line.(*station).ServeHTTP(w, r)
}

// fresh starts a provider without a history: two of them give the same answers, ids
// and all.
func fresh(t *testing.T) string {
	t.Helper()
	return provider(t, "--seed", "7")
}
