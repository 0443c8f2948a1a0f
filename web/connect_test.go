package web_test

import (
	"encoding/json"
	"html"
	"os/exec"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

// TestWhatOneCopiesIsWhatProgramsRead takes the snippets off the page: the settings are
// JSON, and a shell gives the variables back as they were meant.
func TestWhatOneCopiesIsWhatProgramsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.see(t, w.one, app.RoleDeveloper, "/connect")
	snippets := map[string]string{}
	for _, found := range regexp.MustCompile(`(?s)<pre tabindex="0" aria-label="([^"]+)"><code>(.*?)</code></pre>`).FindAllStringSubmatch(page.body, -1) {
		snippets[found[1]] = html.UnescapeString(found[2])
	}
	for _, name := range []string{"settings.json", "managed-settings.json", "settings.json for who signs in"} {
		var settings struct {
			Env                   map[string]string
			APIKeyHelper          string `json:"apiKeyHelper"`
			SkipWebFetchPreflight bool   `json:"skipWebFetchPreflight"`
		}
		require.NoError(t, json.Unmarshal([]byte(snippets[name]), &settings), snippets[name])
		require.Equal(t, "http://127.0.0.1:8080/gw/acme", settings.Env["ANTHROPIC_BASE_URL"])
		require.Equal(t, "1", settings.Env["CLAUDE_CODE_GATEWAY_HINT_HEADERS"])
		require.True(t, settings.SkipWebFetchPreflight)
		require.Equal(t, name == "settings.json", settings.APIKeyHelper == "", "a fleet has a helper and no key in a file")
		require.Equal(t, name == "settings.json", settings.Env["ANTHROPIC_AUTH_TOKEN"] != "")
	}
	for script, want := range map[string]string{
		snippets["Shell profile"] + "\nprintf %s \"$ANTHROPIC_BASE_URL $ANTHROPIC_AUTH_TOKEN\"": "http://127.0.0.1:8080/gw/acme tbk_…",
		snippets["Shell profile or direnv"] + "\nprintf %s \"$ANTHROPIC_CUSTOM_HEADERS\"": "x-tollbook-project: P-100\nx-tollbook-developer: you@example.com\n" +
			`x-tollbook-tags: {"team":"platform","ticket":"ENG-123"}`,
	} {
		out, err := exec.CommandContext(t.Context(), "bash", "-euc", script).Output()
		require.NoError(t, err)
		require.Equal(t, want, string(out))
	}
}
