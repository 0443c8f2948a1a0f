//go:build clients

package e2e_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// typeScriptSDK drives Anthropic's client for TypeScript.
func (h *house) typeScriptSDK(t *testing.T) {
	t.Parallel()
	sdk := os.Getenv("TOLLBOOK_TYPESCRIPT")
	require.NotEmpty(t, sdk, "run it as: make test-clients")
	b := h.twice(t, sdkTurns(), func(t *testing.T, base, key, session string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), "node", "typescript/client.mjs")
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TOLLBOOK_TYPESCRIPT=" + sdk, "BASE_URL=" + base, "API_KEY=" + key, "SESSION=" + session}
		command.Stderr = os.Stderr
		out, err := command.Output()
		require.NoError(t, err, string(out))
		return string(out)
	})
	require.Equal(t, "2026-10-21", b.client.all()[0].header.Get("Anthropic-Version"))
	require.Equal(t, "0 0 0 0 0 0 1 0", retries(b.client))
	require.Contains(t, b.through, `"text":"The command printed: hi"`)
	require.Contains(t, b.through, "cut failed: ", "it notices a cut stream, and does not ask again")
	require.Equal(t, 1, strings.Count(b.through, "\nerror: "))
}
