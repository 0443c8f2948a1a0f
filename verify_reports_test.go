package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/provider"
	"tollbook/app/secret"
	"tollbook/jobs/anthropicadmin"
	"tollbook/simulator"
)

// TestAnAuditorAsksTheProviderForTheSameReports keeps a day of reports as the job does,
// downloads what was received, and compares it with what the provider says to another key:
// the same, with bytes changed on the way, and after the provider changed its mind.
func TestAnAuditorAsksTheProviderForTheSameReports(t *testing.T) {
	t.Parallel()
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3)
	sim, err := simulator.Open(simulator.Config{Dir: t.TempDir(), Now: time.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	book := func(name string, output int64) {
		_, err := sim.Import(func(yield func(simulator.Fact) bool) {
			for i := range 40 {
				if !yield(simulator.Fact{
					RequestID: fmt.Sprint(name, i), OccurredAt: day.Add(time.Duration(i) * time.Minute), KeyHint: fmt.Sprint("apikey_", i%7), Model: "claude-haiku-5-5", Speed: "standard", ServiceTier: "standard", InferenceGeo: "global",
					Tokens: simulator.Tokens{Input: int64(100 + i), Output: output},
				}) {
					return
				}
			}
		})
		require.NoError(t, err)
	}
	book("first", 7)
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	archive := archived(t, server.URL, day)

	dir := t.TempDir()
	path, key := filepath.Join(dir, "reports.zip"), filepath.Join(dir, "key.txt")
	require.NoError(t, os.WriteFile(path, archive, 0o600))
	require.NoError(t, os.WriteFile(key, []byte("sk-ant-admin01-of-the-auditor\n"), 0o600))
	said := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"verify"}, args...), &out, io.Discard)
		return out.String(), err
	}
	text, err := said(path)
	require.NoError(t, err)
	require.Contains(t, text, "GOOD "+path)
	require.Contains(t, text, "no usage report of "+day.AddDate(0, 0, -1).Format(time.DateOnly)+" counted")
	require.Contains(t, text, "Asked again  no")
	text, err = said(path, "--admin-key", key, "--provider", server.URL)
	require.NoError(t, err)
	require.Contains(t, text, "all 2 reports are the same to the last token and pico-dollar")

	unpacked := filepath.Join(dir, "unpacked")
	files, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(unpacked, files))
	for name, c := range map[string]struct {
		change func(t *testing.T, page string)
		says   string
	}{
		"another byte": {func(t *testing.T, page string) { rewrite(t, page, "7", "8") }, "does not have the bytes that were received"},
		"a page more":  {func(t *testing.T, page string) { require.NoError(t, os.WriteFile(page+"x", []byte("{}"), 0o600)) }, "is in no pull"},
		"a page less":  {func(t *testing.T, page string) { require.NoError(t, os.Remove(page)) }, "is not there"},
		"other figures": {func(t *testing.T, page string) {
			rewrite(t, filepath.Join(filepath.Dir(page), "..", "..", "reports.json"), `"figures_sha256": "`, `"figures_sha256": "0`)
		}, "make other figures than counted"},
		"other layout": {func(t *testing.T, page string) {
			rewrite(t, filepath.Join(filepath.Dir(page), "..", "..", "reports.json"), "reports 1", "reports 2")
		}, "is not of the layout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			copied := filepath.Join(t.TempDir(), "copy")
			require.NoError(t, os.CopyFS(copied, os.DirFS(unpacked)))
			c.change(t, filepath.Join(copied, "pages", day.Format(time.DateOnly), "cost-001.json"))
			text, err := said(copied)
			require.ErrorContains(t, err, c.says)
			require.Contains(t, text, "BAD")
		})
	}

	book("second", 1)
	text, err = said(path, "--admin-key", key, "--provider", server.URL)
	require.ErrorIs(t, err, errReportsDiffer)
	require.Contains(t, text, "DIFFERS      usage of "+day.Format(time.DateOnly))
	require.Contains(t, text, "global output: kept 42, now 48")
	for _, args := range [][]string{
		{path, "--provider", server.URL}, {path, "--admin-key", filepath.Join(dir, "nothing")}, {path, "--admin-key", key, "--provider", "http://example.test"}, {path, "--log-keys", key}, {path, "--admin-key", path},
	} {
		_, err = said(args...)
		require.Error(t, err, args)
	}
}

// archived keeps the reports of a day and downloads them with the day before.
func archived(t *testing.T, at string, day time.Time) []byte {
	t.Helper()
	h := openHouse(t, func(s *settings) { s.Development = true })
	h.tenant(t, "acme", "http://127.0.0.1:9", "sk-test")
	list, err := h.tenants.List(t.Context())
	require.NoError(t, err)
	who := app.Command(list[0].ID)
	require.NoError(t, h.provider.SetSource(t.Context(), who, app.ReportSource{BaseURL: at, FirstDay: day.AddDate(0, 0, -1).Format(time.DateOnly)}, secret.NewText("sk-ant-admin01-ours"), "to compare"))
	client := anthropicadmin.New(anthropicadmin.Config{Ask: askProvider(), Now: time.Now, Version: "test", Rows: 9})
	for _, report := range []provider.Report{provider.Usage, provider.Cost} {
		pull, err := h.provider.Begin(t.Context(), who.Tenant, report, day)
		require.NoError(t, err)
		require.NoError(t, client.Pages(t.Context(), anthropicadmin.Question{BaseURL: at, Credential: pull.Credential, API: pull.API, Report: report, Day: day}, pull,
			func(page anthropicadmin.Answer) error {
				return h.provider.KeepPage(t.Context(), pull, app.Received(page))
			}))
		_, err = h.provider.Finish(t.Context(), pull)
		require.NoError(t, err)
	}
	bundle, err := h.provider.Archive(t.Context(), who, app.ReportsAsk{From: day.AddDate(0, 0, -1), Through: day, Version: "test"})
	require.NoError(t, err)
	return bundle.Content
}

func rewrite(t *testing.T, path, from, to string) {
	t.Helper()
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	after := strings.Replace(string(before), from, to, 1)
	require.NotEqual(t, string(before), after)
	require.NoError(t, os.WriteFile(path, []byte(after), 0o600))
}
