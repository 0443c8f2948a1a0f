package simulator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// part is one block of a test prompt: its tokens and the breakpoint at its end.
type part struct {
	name   string
	tokens int64
	ttl    time.Duration
}

func prefixes(parts []part) ([]segment, int64) {
	var (
		segments []segment
		total    int64
		chain    string
	)
	for _, p := range parts {
		total += p.tokens
		chain += p.name + "/"
		var key prefixKey
		copy(key[:], chain)
		segments = append(segments, segment{key, total, p.ttl})
	}

	return segments, total
}

func TestCacheRules(t *testing.T) {
	t.Parallel()
	const m5, h1 = 5 * time.Minute, time.Hour
	type step struct {
		after time.Duration
		parts []part
		want  Tokens
	}
	base := []part{{"tools", 1000, h1}, {"system", 1000, m5}, {"user", 100, 0}}
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"writes 1h before 5m, then reads both", []step{
			{0, base, Tokens{Input: 100, CacheWrite1h: 1000, CacheWrite5m: 1000}},
			{time.Minute, base, Tokens{Input: 100, CacheRead: 2000}},
		}},
		{"the 5m part expires, the 1h part stays", []step{
			{0, base, Tokens{Input: 100, CacheWrite1h: 1000, CacheWrite5m: 1000}},
			{m5, base, Tokens{Input: 100, CacheRead: 1000, CacheWrite5m: 1000}},
			{h1, base, Tokens{Input: 100, CacheWrite1h: 1000, CacheWrite5m: 1000}},
		}},
		{"a hit renews", []step{
			{0, base[1:], Tokens{Input: 100, CacheWrite5m: 1000}},
			{4 * time.Minute, base[1:], Tokens{Input: 100, CacheRead: 1000}},
			{4 * time.Minute, base[1:], Tokens{Input: 100, CacheRead: 1000}},
			{4 * time.Minute, base[1:], Tokens{Input: 100, CacheRead: 1000}},
		}},
		{"a breakpoint that moves on writes only what is new", []step{
			{0, []part{{"system", 1000, m5}, {"u1", 500, m5}}, Tokens{CacheWrite5m: 1500}},
			{0, []part{{"system", 1000, m5}, {"u1", 500, 0}, {"a1", 50, 0}, {"u2", 500, m5}}, Tokens{CacheRead: 1500, CacheWrite5m: 550}},
		}},
		{"a change in front loses what follows", []step{
			{0, base, Tokens{Input: 100, CacheWrite1h: 1000, CacheWrite5m: 1000}},
			{0, []part{{"tools", 1000, h1}, {"other", 1000, m5}, {"user", 100, 0}}, Tokens{Input: 100, CacheRead: 1000, CacheWrite5m: 1000}},
		}},
		{"too short to cache", []step{
			{0, []part{{"system", 511, m5}, {"user", 100, 0}}, Tokens{Input: 611}},
			{0, []part{{"system", 511, m5}, {"user", 100, 0}}, Tokens{Input: 611}},
			{0, []part{{"system", 511, m5}, {"user", 1, m5}}, Tokens{CacheWrite5m: 512}},
		}},
		{"no breakpoint", []step{{0, []part{{"system", 5000, 0}}, Tokens{Input: 5000}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cache, now := newPromptCache(maxCacheEntries), noon()
			for i, s := range tc.steps {
				now = now.Add(s.after)
				segments, total := prefixes(s.parts)
				require.Equal(t, s.want, cache.use(segments, total, 512, now), "step %d", i)
			}
		})
	}
}

func TestCacheLooksBackTwentyBlocks(t *testing.T) {
	t.Parallel()
	long := func(extra int) []part {
		parts := []part{{"system", 1000, 0}}
		for i := range extra {
			parts = append(parts, part{fmt.Sprint("b", i), 1, 0})
		}
		parts[len(parts)-1].ttl = 5 * time.Minute

		return parts
	}
	for added, hit := range map[int]bool{19: true, 20: false} {
		cache := newPromptCache(maxCacheEntries)
		first, total := prefixes(long(1))
		cache.use(first, total, 512, noon())
		second, total := prefixes(long(1 + added))
		require.Equal(t, hit, cache.use(second, total, 512, noon()).CacheRead == 1001, "%d blocks later", added)
	}
}

func TestCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	cache := newPromptCache(2)
	use := func(name string) int64 {
		segments, total := prefixes([]part{{name, 1000, time.Hour}})

		return cache.use(segments, total, 512, noon()).CacheRead
	}
	use("a")
	use("b")
	require.EqualValues(t, 1000, use("a"))
	use("c") // b goes
	require.EqualValues(t, 1000, use("a"))
	require.Zero(t, use("b"))
	require.Equal(t, 2, cache.recent.Len())
	require.Len(t, cache.byKey, 2)
}

// Over the wire: breakpoints may move without changing what is cached, and neither
// models nor workspaces share.
func TestCacheOverTheWire(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	system := strings.Repeat("policy ", 1000)
	prompt := func(model, systemControl, tail string) string {
		return fmt.Sprintf(`{"model":%q,"max_tokens":100,"system":[{"type":"text","text":%q%s}],"messages":[%s]}`, model, system, systemControl, tail)
	}
	const five, hour = `,"cache_control":{"type":"ephemeral"}`, `,"cache_control":{"type":"ephemeral","ttl":"1h"}`
	user := `{"role":"user","content":"hello"}`
	usageOf := func(b string, headers map[string]string) usage {
		rec := ask(t, sim, b, headers)
		require.Equal(t, 200, rec.Code, rec.Body.String())

		return decode[wireMessage](t, rec.Body.Bytes()).Usage
	}
	first := usageOf(prompt("claude-opus-5-5", five, user), nil)
	require.Equal(t, first.CacheCreationTokens, first.CacheCreation.Tokens5m)
	require.Greater(t, first.CacheCreationTokens, int64(1700))
	require.Zero(t, first.CacheReadTokens)
	moved := usageOf(prompt("claude-opus-5-5", "", `{"role":"user","content":[{"type":"text","text":"hello","cache_control":{"type":"ephemeral","ttl":"5m"}}]}`), nil)
	require.Equal(t, first.CacheCreationTokens, moved.CacheReadTokens)
	require.Equal(t, first.InputTokens, moved.CacheCreationTokens+framingTokens)
	require.EqualValues(t, framingTokens, moved.InputTokens)
	other := usageOf(prompt("claude-sonnet-5-5", hour, user), nil)
	require.Zero(t, other.CacheReadTokens)
	require.Equal(t, other.CacheCreationTokens, other.CacheCreation.Tokens1h)
	workspace := usageOf(prompt("claude-opus-5-5", five, user), map[string]string{"anthropic-workspace-id": "wrkspc_2"})
	require.Zero(t, workspace.CacheReadTokens)
	sameWorkspace := usageOf(prompt("claude-opus-5-5", five, user), map[string]string{"x-api-key": "sk-another"})
	require.Equal(t, first.CacheCreationTokens, sameWorkspace.CacheReadTokens)
	automatic := usageOf(strings.TrimSuffix(prompt("claude-opus-5", "", user), "}")+`,"cache_control":{"type":"ephemeral"}}`, nil)
	require.EqualValues(t, framingTokens, automatic.InputTokens)
	require.Positive(t, automatic.CacheCreationTokens)
}
