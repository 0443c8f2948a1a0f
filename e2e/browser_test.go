package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestJourneys runs one journey per person in a real browser, with axe on every page.
func TestJourneys(t *testing.T) { browse(t, demo(t), "journeys") }

// TestThreeMonthsBecomeBooks takes a demo of its own from its traffic to closed months, a
// posted journal and a packet in the mail, as two people of finance do it.
func TestThreeMonthsBecomeBooks(t *testing.T) {
	dir, err := os.MkdirTemp("", "tollbook-demo-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	in, err := openDemo(dir)
	require.NoError(t, err)
	t.Cleanup(in.interrupt)
	browse(t, in, "books")
}

// browse runs a project of browser tests against a demo.
func browse(t *testing.T, in *installation, project string) {
	t.Helper()
	run := exec.CommandContext(t.Context(), "npm", "run", "--silent", project)
	run.Env = append(os.Environ(), "TOLLBOOK_DEMO_JSON="+filepath.Join(in.dir, "demo.json"), "TOLLBOOK_BINARY="+binary)
	out, err := run.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "passed")
	t.Logf("%s", out)
}
