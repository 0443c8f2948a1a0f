package main

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/secret"
	"tollbook/signer"
)

// TestASignerIsAProcessOfItsOwn serves a signer on its socket as the command does, and
// signs a company's log with it.
func TestASignerIsAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	seed := secret.NewMaster()
	own := map[string]string{"TOLLBOOK_LOG_KEY": seed.Reveal()}
	e := &environment{lookup: func(name string) (string, bool) { value, ok := own[name]; return value, ok }}
	address := "unix:" + filepath.Join(t.TempDir(), "s.sock")
	authority, token := e.signing(address)
	require.NoError(t, e.err())
	keeper, err := signer.OpenKeeper(t.TempDir(), authority, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = keeper.Close() })
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	for range 2 { // the second time the first one's socket is in the way
		l, err := listenSigner(address)
		require.NoError(t, err)
		at, err := os.Stat(strings.TrimPrefix(address, "unix:"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), at.Mode().Perm(), "whoever may use the file may ask")
		ended := make(chan error, 1)
		go func() {
			ended <- serveUntil(ctx, l, signerHandler(keeper, token), settings{Limits: standardLimits()}, slog.New(slog.DiscardHandler))
		}()
		t.Cleanup(func() {
			stop()
			require.NoError(t, <-ended)
		})
	}
	set := map[string]string{"TOLLBOOK_SIGNER": address}
	client := (&environment{lookup: func(name string) (string, bool) { value, ok := set[name]; return value, ok }}).signer(secret.Text{})
	s := openHouse(t, func(s *settings) { s.Signer = client })
	s.tenant(t, "acme", "http://127.0.0.1:9", "sk-test")
	list, err := s.tenants.List(t.Context())
	require.NoError(t, err)
	_, err = s.audit.Sequence(t.Context(), list[0].ID)
	require.NoError(t, err)
	require.NoError(t, s.records.Sign(t.Context(), list[0].ID))
	view, err := s.records.Read(t.Context(), app.Command(list[0].ID), app.LogQuery{})
	require.NoError(t, err)
	require.Positive(t, view.State.Signed)
	require.True(t, view.State.Apart)

	numbers := httptest.NewRecorder()
	signerHandler(keeper, token).ServeHTTP(numbers, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	text, err := io.ReadAll(numbers.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "tollbook_signer_heads_total 1\n")
	require.NotContains(t, string(text), list[0].ID.String())
	page, err := os.ReadFile("docs/operations.md")
	require.NoError(t, err)
	names := func(text string) map[string]bool {
		found := map[string]bool{}
		for _, name := range regexp.MustCompile(`tollbook_signer_[a-z_]+`).FindAllString(text, -1) {
			found[name] = true
		}
		return found
	}
	require.Equal(t, names(string(text)), names(string(page)))
}

func TestASignerIsConfiguredOrRefused(t *testing.T) {
	t.Parallel()
	seed, other := secret.NewMaster().Reveal(), secret.NewMaster().Reveal()
	signing := func(address, key, token string) string {
		set := map[string]string{"TOLLBOOK_LOG_KEY": key, "TOLLBOOK_SIGNER_TOKEN": token}
		e := &environment{lookup: func(name string) (string, bool) { value, ok := set[name]; return value, ok }}
		e.signing(address)
		if err := e.err(); err != nil {
			return err.Error()
		}
		return ""
	}
	token := strings.Repeat("t", 24)
	require.Empty(t, signing("unix:/run/s.sock", seed, ""))
	require.Empty(t, signing("127.0.0.1:8091", seed, token))
	require.Empty(t, signing("[::1]:8091", seed+","+other, token))
	require.Contains(t, signing("unix:/run/s.sock", "", ""), "TOLLBOOK_LOG_KEY is not set")
	require.Contains(t, signing("unix:/run/s.sock", seed+","+seed, ""), "TOLLBOOK_LOG_KEY cannot be used")
	require.Contains(t, signing("unix:/run/s.sock", base64.StdEncoding.EncodeToString([]byte("short")), ""), "TOLLBOOK_LOG_KEY cannot be used")
	require.Contains(t, signing("127.0.0.1:8091", seed, "short"), "TOLLBOOK_SIGNER_TOKEN should be a secret")
	require.Contains(t, signing("0.0.0.0:8091", seed, token), "--listen should be unix: and a path")

	serve := func(set map[string]string) string {
		_, err := readSettings(func(name string) (string, bool) { value, ok := set[name]; return value, ok }, []string{"web"})
		return err.Error() // the rest is not configured
	}
	require.NotContains(t, serve(map[string]string{"TOLLBOOK_SIGNER": "unix:/run/s.sock"}), "SIGNER")
	require.Contains(t, serve(map[string]string{"TOLLBOOK_SIGNER": "unix:/run/s.sock", "TOLLBOOK_LOG_KEY": seed}), "TOLLBOOK_SIGNER and TOLLBOOK_LOG_KEY are both set")
	require.Contains(t, serve(map[string]string{"TOLLBOOK_SIGNER": "http://127.0.0.1:1"}), "TOLLBOOK_SIGNER should be unix:")
	require.NotContains(t, serve(map[string]string{"TOLLBOOK_SIGNER": "http://127.0.0.1:1", "TOLLBOOK_SIGNER_TOKEN": token}), "SIGNER")
	require.Contains(t, serve(map[string]string{"TOLLBOOK_MASTER_KEY": seed, "TOLLBOOK_LOG_KEY": other + "," + seed}), "TOLLBOOK_LOG_KEY is the master key")

	require.ErrorContains(t, run(t.Context(), []string{"signer"}, io.Discard, io.Discard), "signer needs --listen and --data")
}
