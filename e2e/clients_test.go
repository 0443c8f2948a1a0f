//go:build clients

package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClientsClaudeCode runs the real Claude Code with one tool call: every request
// it makes is one row of its session, priced as the provider's books have it.
func TestClientsClaudeCode(t *testing.T) {
	program := os.Getenv("TOLLBOOK_CLAUDE")
	require.NotEmpty(t, program, "run it as: make test-clients")
	in := demo(t)
	command := exec.CommandContext(t.Context(), program, "-p", "run echo hi", "--allowedTools", "Bash", "--output-format", "json")
	command.Dir = t.TempDir()
	command.Stderr = os.Stderr
	command.Env = []string{
		"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "ANTHROPIC_BASE_URL=" + in.card.GatewayURL,
		"ANTHROPIC_AUTH_TOKEN=" + in.card.VirtualKeys["CC-4200"], "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_TELEMETRY=1",
		"DISABLE_AUTOUPDATER=1", "CLAUDE_CODE_GATEWAY_HINT_HEADERS=1",
	}
	out, err := command.Output()
	require.NoError(t, err, string(out))
	var result struct {
		SessionID string `json:"session_id"`
		Result    string `json:"result"`
		IsError   bool   `json:"is_error"`
		NumTurns  int    `json:"num_turns"`
	}
	require.NoError(t, json.Unmarshal(out, &result), string(out))
	require.False(t, result.IsError, string(out))
	require.Contains(t, result.Result, "hi")
	rows := in.sameBooks(t, result.SessionID, 2)
	for _, row := range rows {
		require.Equal(t, "complete", row.State)
		require.Equal(t, "CC-4200", row.Node.Code)
	}
}

// TestClientsRevokedKey shows that a refused key costs Claude Code one request, not
// three minutes of retries.
func TestClientsRevokedKey(t *testing.T) {
	program := os.Getenv("TOLLBOOK_CLAUDE")
	require.NotEmpty(t, program, "run it as: make test-clients")
	in := demo(t)
	command := exec.CommandContext(t.Context(), program, "-p", "say hi", "--output-format", "json")
	command.Dir = t.TempDir()
	command.Env = []string{
		"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "ANTHROPIC_BASE_URL=" + in.card.GatewayURL, "ANTHROPIC_AUTH_TOKEN=tbk_wrong",
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_TELEMETRY=1", "DISABLE_AUTOUPDATER=1",
	}
	out, _ := command.Output() // it exits with an error; what it says is the result
	var result struct {
		Result  string `json:"result"`
		IsError bool   `json:"is_error"`
		APIMs   int    `json:"duration_api_ms"`
	}
	require.NoError(t, json.Unmarshal(out, &result), string(out))
	require.True(t, result.IsError)
	require.Contains(t, result.Result, "401")
	require.Less(t, result.APIMs, 30_000, "it must not retry")
}
