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
