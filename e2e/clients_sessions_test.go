//go:build clients

package e2e_test

import (
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// claudeSubagents lets two subagents work at once, of which one has its own: every
// request is a row that says whose it was.
func (h *house) claudeSubagents(t *testing.T) {
	t.Parallel()
	const prompt = `use tool Agent {"description":"one","prompt":"run echo one","subagent_type":"general-purpose","run_in_background":false} and ` +
		`use tool Agent {"description":"two","subagent_type":"general-purpose","run_in_background":false,` +
		`"prompt":"use tool Agent {\"description\":\"leaf\",\"prompt\":\"run echo leaf\",\"subagent_type\":\"general-purpose\",\"run_in_background\":false}"}`
	run := claude{args: []string{prompt, "--allowedTools", "Bash", "Agent"}}
	b := h.twice(t, scenario{states: slices.Repeat([]string{"complete"}, 8), rough: true, ids: true, words: true}, run.print(t))
	for _, said := range []string{"one", "leaf"} {
		require.Contains(t, b.direct, "The command printed: "+said)
		require.Contains(t, b.through, "The command printed: "+said)
	}

	type caller struct{ Agent, Parent, Class string }
	sent, kept := map[caller]int{}, map[caller]int{}
	for _, p := range b.client.messages() {
		sent[caller{p.header.Get("X-Claude-Code-Agent-Id"), p.header.Get("X-Claude-Code-Parent-Agent-Id"), p.header.Get("X-Claude-Code-Request-Class")}]++
	}
	connection, err := pgx.Connect(t.Context(), h.card.DatabaseURL)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	rows, err := connection.Query(t.Context(), `select coalesce(agent_id, ''), coalesce(parent_agent_id, ''), coalesce(request_class, '') from usage_event where session_id = $1`, b.session)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[caller])
	require.NoError(t, err)
	for _, c := range all {
		kept[c]++
	}
	require.Equal(t, sent, kept)
	require.Len(t, kept, 4, "the main conversation, two subagents and a nested one")
	parents := 0
	for c, n := range kept {
		require.Equal(t, 2, n, "%+v", c)
		require.Equal(t, c.Agent == "", c.Class == "main", "%+v", c)
		if c.Parent != "" {
			require.Equal(t, 2, kept[caller{c.Parent, "", "subagent"}], "the nested one names who called it")
			parents++
		}
	}
	require.Equal(t, 1, parents)
	for _, row := range b.rows {
		require.Equal(t, 2, kept[caller{row.AgentID, "", "main"}]+kept[caller{row.AgentID, "", "subagent"}]+nested(kept, row.AgentID, func(c caller) (string, string) { return c.Agent, c.Parent }), "the API names the agent")
	}
}

func nested[C comparable](kept map[C]int, agent string, of func(C) (string, string)) int {
	n := 0
	for c, count := range kept {
		if who, parent := of(c); who == agent && parent != "" {
			n += count
		}
	}
	return n
}

// claudeSearch uses the web search, a request of its own with a tool of the server.
func (h *house) claudeSearch(t *testing.T) {
	t.Parallel()
	run := claude{args: []string{`use tool WebSearch {"query":"search for cats"}`, "--tools", "WebSearch", "--allowedTools", "WebSearch"}}
	b := h.twice(t, scenario{states: []string{"complete", "complete", "complete"}}, run.print(t))
	require.Contains(t, b.result(t).Result, "A simulated page")
	var searched int64
	for _, row := range b.rows {
		for _, c := range row.Charges {
			if c.Class == "web_search" {
				searched += c.Quantity
			}
		}
	}
	require.Equal(t, int64(1), searched)
}

// claudeContext asks for its context's size: a burst of token counts, of which nothing
// is limited, billed or kept.
func (h *house) claudeContext(t *testing.T) {
	t.Parallel()
	run := claude{args: []string{"/context"}}
	b := h.twice(t, scenario{rough: true}, run.print(t))
	require.Contains(t, b.result(t).Result, "Context Usage")
	most := 0
	counts := b.client.all()
	for _, p := range counts {
		require.True(t, strings.HasPrefix(p.uri, "/v1/messages/count_tokens"), p.uri)
		require.Equal(t, http.StatusOK, p.status)
		most = max(most, p.open)
	}
	require.Greater(t, len(counts), 20, "it is a burst")
	require.Greater(t, most, 2, "and they come at once")
	require.Empty(t, b.rows)
}

// claudeStall leaves the stream silent for longer than Claude Code waits: it asks again,
// without a stream. What the silent one had used is a row.
func (h *house) claudeStall(t *testing.T) {
	t.Parallel()
	run := claude{
		args:        []string{"say hello to the ledger"},
		environment: []string{"CLAUDE_ENABLE_BYTE_WATCHDOG=1", "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS=10000"}, // ten seconds is its least
	}
	b := h.twice(t, scenario{faults: []string{"delta-ms=40,deltas=12,stall-after=2,stall-ms=14000"}, states: []string{"complete", "complete"}, rough: true, words: true}, run.print(t))
	require.False(t, b.result(t).IsError)
	require.Contains(t, string(b.client.messages()[1].body), `"stream":false`)
}

// claudeInterrupt stops Claude Code in the middle of an answer: what the provider goes
// on to produce is read to its end, because it is billed.
func (h *house) claudeInterrupt(t *testing.T) {
	t.Parallel()
	session := uuid.NewString()
	behind := fresh(t)
	line := newStation(t, behind, "deltas=40,delta-ms=50")
	h.lines.Store(session, line)
	front := newStation(t, h.card.GatewayURL)
	run := claude{args: []string{"say hello to the ledger"}}
	command := run.command(t, filepath.Join(t.TempDir(), "claude"), front.listen(t), h.card.VirtualKeys["CC-4200"], session, "-p")
	require.NoError(t, command.Start())
	require.Eventually(t, func() bool {
		seen := line.messages()
		return len(seen) == 1 && seen[0].begun()
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, command.Process.Signal(syscall.SIGINT))
	_ = command.Wait()
	h.sameRows(t, func() []booked { return books(t, behind, url.Values{"session": {session}}) }, session, []string{"complete"})
	require.True(t, front.messages()[0].left)
	require.False(t, line.messages()[0].left)
}

// claudeTerminal types into Claude Code as a person does, with the traffic that this
// brings: a title for the session, beside the answer.
func (h *house) claudeTerminal(t *testing.T) {
	t.Parallel()
	session := uuid.NewString()
	behind := fresh(t)
	line := newStation(t, behind)
	h.lines.Store(session, line)
	h.lines.Store("", line) // the list of models is asked for outside the session
	front := newStation(t, h.card.GatewayURL)
	base := front.listen(t)
	run := claude{args: []string{"say hello to the ledger"}}
	command := run.command(t, filepath.Join(t.TempDir(), "claude"), base, h.card.VirtualKeys["CC-4200"], session)
	terminal := exec.CommandContext(t.Context(), "script", "--quiet", "--flush", "--return", "--command", quoted(command.Args), "/dev/null")
	terminal.Dir, terminal.Env = command.Dir, slices.Concat(command.Env, []string{"CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY=1"})
	keys, err := terminal.StdinPipe()
	require.NoError(t, err)
	screen := &lockedBuffer{}
	terminal.Stdout, terminal.Stderr = screen, screen
	require.NoError(t, terminal.Start())
	ended := func(n int) func() bool {
		return func() bool {
			done := 0
			for _, p := range front.messages() {
				if p.whole() {
					done++
				}
			}
			return done >= n
		}
	}
	require.Eventually(t, ended(2), time.Minute, 20*time.Millisecond, "the answer and the title\n%s", screen)
	left := make(chan struct{})
	go func() { _ = terminal.Wait(); close(left) }()
	require.Eventually(t, func() bool {
		select {
		case <-left:
			return true
		default:
			_, _ = io.WriteString(keys, "\x03") // the person presses Ctrl-C until it ends
			return false
		}
	}, time.Minute, 200*time.Millisecond, "%s", screen)

	titles := 0
	for _, p := range front.messages() {
		if strings.Contains(string(p.body), `"json_schema"`) {
			titles++
			require.NotContains(t, string(p.body), `"tools":[{`)
		}
	}
	require.Equal(t, 1, titles, "one request gives the session its title")
	sameBytes(t, slices.DeleteFunc(front.all(), func(p *passed) bool { return !p.billed() }), line.messages())
	require.True(t, slices.ContainsFunc(front.all(), func(p *passed) bool { return strings.HasPrefix(p.uri, "/v1/models") && p.status == http.StatusOK }), "it asked for the models")
	h.sameRows(t, func() []booked { return books(t, behind, url.Values{"session": {session}}) }, session, slices.Repeat([]string{"complete"}, len(front.messages())))
}

// quoted writes a command for a shell.
func quoted(words []string) string {
	var out []string
	for _, word := range words {
		out = append(out, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return strings.Join(out, " ")
}
