//go:build clients

package e2e_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// claude is how one scenario runs Claude Code.
type claude struct {
	args        []string
	environment []string
	patient     bool // it tries again as often as it does by itself: ten times and more
}

// device is a device id: Claude Code makes one up for every new home.
const device = "5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed"

// home makes an empty machine for Claude Code: the same paths each time, because they
// are in its prompt.
func (c claude) home(t *testing.T, root string) (home, work string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(root))
	home, work = filepath.Join(root, "home"), filepath.Join(root, "work")
	for _, dir := range []string{home, work, filepath.Join(root, "tmp")} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	settings, err := json.Marshal(map[string]any{
		"userID": device, "hasCompletedOnboarding": true, "theme": "dark",
		"projects": map[string]any{work: map[string]any{"hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true}},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(home, ".claude.json"), settings, 0o600))
	return home, work
}

// command prepares Claude Code with nothing of this machine's environment. Whatever
// it might want from elsewhere ends at a proxy that is not there.
func (c claude) command(t *testing.T, root, base, key, session string, args ...string) *exec.Cmd {
	t.Helper()
	home, work := c.home(t, root)
	command := exec.CommandContext(t.Context(), os.Getenv("TOLLBOOK_CLAUDE"), append(append(args, c.args...), "--session-id", session)...)
	command.Dir = work
	command.Env = append([]string{
		"HOME=" + home, "TMPDIR=" + filepath.Join(root, "tmp"), "PATH=/usr/bin:/bin", "TERM=xterm-256color",
		"ANTHROPIC_BASE_URL=" + base, "ANTHROPIC_AUTH_TOKEN=" + key, "CLAUDE_CODE_GATEWAY_HINT_HEADERS=1",
		"DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1", "DISABLE_AUTOUPDATER=1",
		"HTTPS_PROXY=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1",
	}, c.environment...)
	if !c.patient {
		command.Env = append(command.Env, "CLAUDE_CODE_MAX_RETRIES=2")
	}
	return command
}

// print runs Claude Code for one prompt; its events, without ids and times, are what
// the user saw.
func (c claude) print(t *testing.T) client {
	t.Helper()
	root := t.TempDir()
	return func(t *testing.T, base, key, session string) string {
		t.Helper()
		command := c.command(t, filepath.Join(root, "claude"), base, key, session, "-p", "--output-format", "stream-json", "--verbose")
		command.Env = append(command.Env, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1")
		var complaints strings.Builder
		command.Stderr = &complaints
		out, err := command.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			require.NoError(t, err)
		}
		require.NotEmpty(t, out, complaints.String())
		return transcript(t, out)
	}
}

// transcript keeps of Claude Code's events what does not depend on the clock.
func transcript(t *testing.T, out []byte) string {
	t.Helper()
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		var event map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &event), line)
		if event["subtype"] == "thinking_tokens" {
			continue // a notice of progress, by the clock
		}
		timeless(event)
		content, err := json.Marshal(event)
		require.NoError(t, err)
		lines = append(lines, string(content))
	}
	return strings.Join(lines, "\n")
}

func timeless(value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			switch {
			case name == "uuid", name == "timestamp", name == "messaging_socket_path", name == "durationSeconds", strings.HasSuffix(name, "_ms"), strings.HasSuffix(name, "_at"):
				delete(v, name)
			default:
				timeless(inner)
			}
		}
	case []any:
		for _, inner := range v {
			timeless(inner)
		}
	}
}

// result is the last event of a transcript.
type result struct {
	Result  string `json:"result"`
	IsError bool   `json:"is_error"`
}

func (b *both) result(t *testing.T) result {
	t.Helper()
	var r result
	require.NoError(t, json.Unmarshal([]byte(b.through[strings.LastIndexByte(b.through, '\n')+1:]), &r))
	return r
}

// claudeCode is how Claude Code fares with its provider through the gateway.
func (h *house) claudeCode(t *testing.T) {
	require.NotEmpty(t, os.Getenv("TOLLBOOK_CLAUDE"), "run it as: make test-clients")
	t.Run("Provider", h.claudeAndItsProvider)
	t.Run("Subagents", h.claudeSubagents)
	t.Run("Search", h.claudeSearch)
	t.Run("Context", h.claudeContext)
	t.Run("Stall", h.claudeStall)
	t.Run("Interrupt", h.claudeInterrupt)
	t.Run("Terminal", h.claudeTerminal)
}

// claudeAndItsProvider is what Claude Code does when all is well and when the provider is not.
func (h *house) claudeAndItsProvider(t *testing.T) {
	const ask = "say hello to the ledger"
	const complete, incomplete, failed = "complete", "incomplete", "error"
	slowly := "deltas=12,delta-ms=40," // and cut inside a frame: all that the client can read it has read before it notices
	for name, c := range map[string]struct {
		prompt  string
		faults  []string
		states  []string
		streams []bool // of each request
		says    string
		fails   bool
		words   bool
	}{
		"hello":                {prompt: ask, states: []string{complete}},
		"tool":                 {prompt: "run echo hi", states: []string{complete, complete}, says: "hi"},
		"overloaded once":      {prompt: ask, faults: []string{"status=529"}, states: []string{failed, complete}},
		"overloaded":           {prompt: ask, faults: []string{"status=529", "status=529", "status=529", "status=529"}, states: []string{failed, failed, failed}, says: "529", fails: true},
		"limited once":         {prompt: ask, faults: []string{"status=429,retry-after=1"}, states: []string{failed, complete}},
		"limited for good":     {prompt: ask, faults: []string{"status=429,retry-after=1,should-retry=false"}, states: []string{failed}, says: "429", fails: true},
		"prompt too long":      {prompt: ask, faults: []string{"prompt-too-long"}, states: []string{failed}, says: "Prompt is too long", fails: true},
		"request too large":    {prompt: ask, faults: []string{"status=413"}, states: []string{failed}, says: "Request too large", fails: true},
		"html":                 {prompt: ask, faults: []string{"status=502,html"}, states: []string{failed, complete}},
		"without a stream":     {prompt: ask, faults: []string{"status=404"}, states: []string{failed, complete}, streams: []bool{true, false}},
		"cut before a block":   {prompt: ask, faults: []string{slowly + "drop-inside=2"}, states: []string{incomplete, complete}},
		"cut after a block":    {prompt: ask, faults: []string{slowly + "drop-inside=9"}, states: []string{incomplete, complete}},
		"no head":              {prompt: ask, faults: []string{"drop-head"}, states: []string{incomplete, complete}, words: true},
		"never a head":         {prompt: ask, faults: []string{"drop-head", "drop-head", "drop-head", "drop-head"}, states: []string{incomplete, incomplete, incomplete}, says: "529", fails: true, words: true},
		"no final usage":       {prompt: ask, faults: []string{slowly + "no-final"}, states: []string{incomplete, complete}},
		"no stop":              {prompt: ask, faults: []string{slowly + "no-stop"}, states: []string{complete}},
		"error first":          {prompt: ask, faults: []string{slowly + "sse-error-after=0"}, states: []string{incomplete, complete}},
		"error before a block": {prompt: ask, faults: []string{slowly + "sse-error-after=2"}, states: []string{incomplete, complete}},
		"error after a block":  {prompt: ask, faults: []string{slowly + "sse-error-after=9"}, states: []string{incomplete, complete}},
		"refused":              {prompt: ask + " [[refuse]]", states: []string{complete, complete}, says: "safeguards", fails: true},
		"comments and padding": {prompt: ask, faults: []string{slowly + "crlf,garble=comment,garble-after=3"}, states: []string{complete}},
		"events nobody knows":  {prompt: ask, faults: []string{slowly + "garble=unknown-event,garble-after=3"}, states: []string{"unpriced"}},
		"compaction":           {prompt: ask, faults: []string{"compaction=5000"}, states: []string{complete}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := claude{args: []string{c.prompt, "--allowedTools", "Bash"}, patient: !c.words}
			b := h.twice(t, scenario{faults: c.faults, states: c.states, words: c.words}, run.print(t))
			require.Equal(t, c.fails, b.result(t).IsError, b.through)
			require.Contains(t, b.result(t).Result, c.says)
			for i, want := range c.streams {
				require.Equal(t, want, strings.Contains(string(b.client.messages()[i].body), `"stream":true`), "request %d", i+1)
			}
		})
	}
}
