package anthropic_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/usage"
	"tollbook/gateway/anthropic"
)

// wanted is what each recorded stream must be metered as.
func wanted() map[string]anthropic.Metered {
	const id = "msg_01XFDUDYJgAACzvnptVvoYEL"
	opus := func(t usage.Tokens) usage.Counts {
		return usage.Counts{Model: "claude-opus-5-5", Tokens: t, Geography: "global", Tier: "standard"}
	}
	with := func(c usage.Counts, change func(*usage.Counts)) usage.Counts { change(&c); return c }
	text := anthropic.Metered{
		MessageID: id, StopReason: "end_turn", Started: true, Finished: true, OutputBytes: 5 + 22 + 13 + 29,
		Counts: with(opus(usage.Tokens{9, 27, 240, 0, 18044}), func(c *usage.Counts) { c.Speed = "standard" }),
	}
	return map[string]anthropic.Metered{
		"text": text, "crlf": text, "cr": text, "no_event_names": text, "split_data": text, "strange": text,
		"thinking": {
			MessageID: id, StopReason: "end_turn", Started: true, Finished: true, OutputBytes: 11 + 14 + 5,
			Counts: with(opus(usage.Tokens{31, 412, 0, 700, 9000}), func(c *usage.Counts) { c.Model = "claude-sonnet-5-5" }),
		},
		"tool_use": {
			MessageID: id, StopReason: "tool_use", Started: true, Finished: true, OutputBytes: 11 + 11 + 14 + 1,
			Counts: opus(usage.Tokens{12, 60}),
		},
		"web_search": {
			MessageID: id, StopReason: "end_turn", Started: true, Finished: true, OutputBytes: 19 + 12,
			// the split said 1000 and 500; the total grew to 4200: the excess is 5m
			Counts: with(opus(usage.Tokens{10682, 510, 3700, 500, 3000}), func(c *usage.Counts) { c.Model, c.WebSearches = "claude-sonnet-5", 2 }),
		},
		"refusal": {
			MessageID: id, StopReason: "refusal", Started: true, Finished: true,
			Counts: with(opus(usage.Tokens{412}), func(c *usage.Counts) { c.Model, c.Free = "claude-fable-5-2", true }),
		},
		"refusal_midstream": {
			MessageID: id, StopReason: "refusal", Started: true, Finished: true, OutputBytes: 9,
			Counts: with(opus(usage.Tokens{412, 4}), func(c *usage.Counts) { c.Model = "claude-fable-5-2" }),
		},
		"error": {
			MessageID: id, Started: true, OutputBytes: 12, ErrorType: "overloaded_error",
			Counts: opus(usage.Tokens{50, 2, 0, 0, 1000}), Incomplete: []string{"stream_error", "no_final_usage"},
		},
		"error_first": {ErrorType: "api_error", Incomplete: []string{"stream_error", "no_message_start", "no_final_usage"}},
		"cut": {
			MessageID: id, Started: true, OutputBytes: 13,
			Counts: opus(usage.Tokens{50, 2, 0, 0, 1000}), Incomplete: []string{"no_final_usage"},
		},
		"fallback": {
			MessageID: id, StopReason: "end_turn", Started: true, Finished: true, OutputBytes: 18,
			Counts: with(opus(usage.Tokens{420, 264, 200, 50, 10}), func(c *usage.Counts) {
				c.Iterations = []usage.Iteration{{Kind: "fallback_message", Model: "claude-fable-5-2", Free: true, Tokens: usage.Tokens{412, 0, 0, 300}}}
			}),
		},
		"compaction": {
			MessageID: id, StopReason: "end_turn", Started: true, Finished: true, OutputBytes: 6,
			Counts: with(opus(usage.Tokens{100, 20}), func(c *usage.Counts) {
				c.Iterations = []usage.Iteration{
					{Kind: "compaction", Model: "claude-opus-5-5", Tokens: usage.Tokens{9000, 700}},
					{Kind: "advisor_message", Model: "claude-sonnet-5-5", Tokens: usage.Tokens{500, 50, 4, 5, 7}},
				}
			}),
		},
		"two_deltas": {
			MessageID: id, StopReason: "end_turn", Started: true, Finished: true, OutputBytes: 1,
			Counts: opus(usage.Tokens{9, 9}),
		},
	}
}

func streams(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/streams/*.sse")
	require.NoError(t, err)
	all := map[string][]byte{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		all[strings.TrimSuffix(filepath.Base(file), ".sse")] = b
	}
	return all
}

func tapped(parts ...[]byte) (anthropic.Metered, bool) {
	var tap anthropic.Tap
	for _, p := range parts {
		tap.Write(p)
	}
	return tap.Metered(), tap.Stopped()
}

func TestRecordedStreams(t *testing.T) {
	t.Parallel()
	want := wanted()
	require.Len(t, streams(t), len(want))
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, stopped := tapped(stream)
			raw := whole.RawUsage
			require.Equal(t, want[name].Started, raw != nil)
			whole.RawUsage = nil
			require.Equal(t, want[name], whole)
			require.Equal(t, want[name].Finished, stopped)
			whole.RawUsage = raw

			var tap anthropic.Tap
			for i := range stream {
				tap.Write(stream[i : i+1])
			}
			require.Equal(t, whole, tap.Metered(), "byte by byte")
			for cut := range stream {
				got, _ := tapped(stream[:cut], stream[cut:])
				require.Equal(t, whole, got, "cut at %d", cut)
			}
			tap.Reset()
			fresh := tap.Metered()
			require.Equal(t, anthropic.Metered{Incomplete: []string{"no_message_start", "no_final_usage"}}, fresh)
			tap.Write(stream)
			require.Equal(t, whole, tap.Metered(), "after a reset")
		})
	}
}

// A truncated stream is finished only once its final usage is whole, and never
// says less than what came before the cut.
func TestEveryPrefix(t *testing.T) {
	t.Parallel()
	for name, stream := range streams(t) {
		finished, stopped := false, false
		var last anthropic.Metered
		for cut := range len(stream) + 1 {
			got, now := tapped(stream[:cut])
			require.GreaterOrEqual(t, got.OutputBytes, last.OutputBytes, name)
			require.GreaterOrEqual(t, got.Counts.Tokens[usage.ClassOutput], last.Counts.Tokens[usage.ClassOutput], name)
			require.False(t, finished && !got.Finished, name)
			require.False(t, stopped && !now, name)
			if got.Finished && !finished {
				require.Contains(t, string(stream[:cut]), "message_delta", name)
				require.Positive(t, cut)
				require.Contains(t, "\r\n", string(stream[cut-1:cut]), "%s: at the end of a line", name)
			}
			if now && !stopped && name != "split_data" {
				at := bytes.LastIndex(stream, []byte(`{"type":"message_stop"}`)) + len(`{"type":"message_stop"}`)
				require.Equal(t, at+1, cut, "%s: with the first byte of the line's end", name)
			}
			require.Equal(t, !got.Finished, len(got.Incomplete) > 0, "%s at %d: %v", name, cut, got.Incomplete)
			finished, stopped, last = got.Finished, now, got
		}
	}
}

func TestAnyChunkingIsTheSame(t *testing.T) {
	t.Parallel()
	all := streams(t)
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		stream := all[rapid.SampledFrom(names).Draw(t, "stream")]
		whole, _ := tapped(stream)
		var tap anthropic.Tap
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), rapid.IntRange(1, 300).Draw(t, "n"))
			tap.Write(rest[:n])
			rest = rest[n:]
		}
		require.Equal(t, whole, tap.Metered())
	})
}

func TestRawUsageIsOverlaid(t *testing.T) {
	t.Parallel()
	m, _ := tapped(streams(t)["web_search"])
	require.JSONEq(t, `{"input_tokens":10682,"cache_creation_input_tokens":4200,"cache_read_input_tokens":3000,
		"cache_creation":{"ephemeral_5m_input_tokens":1000,"ephemeral_1h_input_tokens":500},"output_tokens":510,
		"service_tier":"standard","inference_geo":"global","server_tool_use":{"web_search_requests":2,"web_fetch_requests":1}}`, string(m.RawUsage))
}

func started(extra string) string {
	return "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude-opus-5-5\",\"content\":[],\"usage\":{\"input_tokens\":5,\"output_tokens\":1}" + extra + "}}\n\n"
}

const (
	ended   = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n"
	stopped = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
)

func TestStreamsThatAreNotAsTheyShouldBe(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		stream     string
		finished   bool
		stopped    bool
		incomplete []string
		output     int64
	}{
		"plain":             {started("") + ended + stopped, true, true, nil, 7},
		"no start":          {ended + stopped, true, true, []string{"no_message_start"}, 7},
		"no delta":          {started("") + stopped, false, true, []string{"no_final_usage"}, 1},
		"two starts":        {started("") + started("") + ended + stopped, true, true, []string{"message_repeated"}, 7},
		"no stop reason":    {started("") + strings.Replace(ended, `"end_turn"`, "null", 1), false, false, []string{"no_final_usage"}, 7},
		"then stopped":      {started("") + strings.Replace(ended, `"end_turn"`, "null", 1) + stopped, true, true, nil, 7},
		"no output count":   {started("") + strings.Replace(ended, `"output_tokens"`, `"input_tokens"`, 1) + stopped, false, true, []string{"no_final_usage"}, 1},
		"null usage":        {started("") + strings.Replace(ended, `{"output_tokens":7}`, "null", 1) + stopped, false, true, []string{"no_final_usage"}, 1},
		"usage no object":   {started("") + strings.Replace(ended, `{"output_tokens":7}`, "[7]", 1) + stopped, false, true, []string{"usage_malformed", "no_final_usage"}, 1},
		"broken delta":      {started("") + strings.Replace(ended, `}}`, `}`, 1) + stopped, false, true, []string{"event_malformed", "no_final_usage"}, 1},
		"broken start":      {strings.Replace(started(""), `"message":{`, `"message":[{`, 1) + ended + stopped, true, true, []string{"event_malformed", "no_message_start"}, 7},
		"message no object": {"data: {\"type\":\"message_start\",\"message\":7}\n\n" + ended + stopped, true, true, []string{"event_malformed", "no_message_start"}, 7},
		"long start":        {started(`,"x":"`+long+`"`) + ended + stopped, true, true, []string{"event_too_long", "no_message_start"}, 7},
		"long unknown":      {started("") + `data: {"type":"new","x":"` + long + "\"}\n\n" + ended + stopped, true, true, []string{"event_too_long"}, 7},
		"long block":        {started("") + `data: {"type":"content_block_start","x":"` + long + "\"}\n\n" + ended + stopped, true, true, nil, 7},
		"long ping":         {started("") + `data: {"type":"ping","x":"` + long + "\"}\n\n" + ended + stopped, true, true, nil, 7},
		"error named only":  {started("") + "event: error\ndata: oh no\n\n", false, false, []string{"stream_error", "no_final_usage"}, 1},
		"stop named only":   {started("") + ended + "event: message_stop\ndata: {}\n\n", true, true, nil, 7},
		"stop named after":  {started("") + ended + "data: {}\nevent: message_stop\n\n", true, true, nil, 7},
		"stop unfinished":   {started("") + ended + "event: message_stop\ndata: {\"type\":\"message_stop\"}", true, false, nil, 7},
		"stop line only":    {started("") + ended + "data: {\"type\":\"message_stop\"}\n", true, true, nil, 7},
		"a word in a text":  {started("") + "data: {\"type\":\"message\",\"x\":\"message_stop\"}\n\n" + ended, true, false, nil, 7},
		"space in the type": {strings.Replace(started("")+ended+stopped, `{"type":"`, `{ "type" : "`, 3), true, true, nil, 7},
		"escaped type":      {started("") + strings.Replace(ended, `"type":"message_delta"`, `"ty\u0070e":"message\u005fdelta"`, 1) + stopped, true, true, nil, 7},
		"after the stop":    {started("") + ended + stopped + strings.Replace(ended, "7", "8", 1), true, true, nil, 7},
		"empty":             {"", false, false, []string{"no_message_start", "no_final_usage"}, 0},
		"html":              {"<html>\n<body>502 Bad Gateway</body>", false, false, []string{"no_message_start", "no_final_usage"}, 0},
	} {
		for _, size := range []int{1 << 30, 4096, 61} {
			var tap anthropic.Tap
			for rest := []byte(c.stream); len(rest) > 0; {
				n := min(len(rest), size)
				tap.Write(rest[:n])
				rest = rest[n:]
			}
			m := tap.Metered()
			require.Equal(t, c.finished, m.Finished, name)
			require.Equal(t, c.stopped, tap.Stopped(), name)
			require.Equal(t, c.incomplete, m.Incomplete, name)
			require.Equal(t, c.output, m.Counts.Tokens[usage.ClassOutput], name)
		}
	}
}

func TestAnUnknownEventWithUsageIsNotFinal(t *testing.T) {
	t.Parallel()
	m, _ := tapped([]byte(started("") + "data: {\"type\":\"usage_update\",\"usage\":{\"n\":1}}\n\n" + ended + stopped))
	require.Equal(t, []string{"event.usage"}, m.Counts.Unknown)
	require.Empty(t, m.Incomplete)
}

func TestOutputBytesOfALongDelta(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("y", 100_000)
	m, _ := tapped([]byte(started("") + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"` + text + "\"}}\n\n"))
	require.InDelta(t, len(text), m.OutputBytes, 200)
	require.LessOrEqual(t, m.OutputBytes, int64(len(text)), "a floor")
	m, _ = tapped([]byte(started("") + `data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"` + text + "\"}}\n\n"))
	require.Zero(t, m.OutputBytes)
}

//nolint:paralleltest // memory is measured for the whole process
func TestTheTapKeepsLittle(t *testing.T) {
	// Not parallel: AllocsPerRun counts the whole process.
	var tap anthropic.Tap
	tap.Write([]byte(started("")))
	chunk := bytes.Repeat([]byte("z"), 32<<10)
	tap.Write([]byte(`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"`))
	tap.Write(chunk)
	require.Zero(t, testing.AllocsPerRun(100, func() { tap.Write(chunk) }))
}

// FuzzTap reads any bytes as a stream: however they are cut up, the tap sees the same;
// what it has seen it does not take back; and what comes after the end is not read.
func FuzzTap(f *testing.F) {
	for _, stream := range streams(f) {
		f.Add(stream, []byte{7, 1, 200})
	}
	f.Add([]byte(started("")+ended+stopped), []byte{1})
	f.Add([]byte(strings.ReplaceAll(started("")+ended+stopped, "\n", "\r\n")), []byte{2, 3})
	f.Fuzz(func(t *testing.T, stream, sizes []byte) {
		whole, stop := tapped(stream)
		checkBounds(t, whole)
		var tap anthropic.Tap
		var last anthropic.Metered
		lastStop := false
		for rest, i := stream, 0; len(rest) > 0; i++ {
			n := len(rest)
			if len(sizes) > 0 {
				n = min(n, 1+int(sizes[i%len(sizes)]))
			}
			tap.Write(rest[:n])
			rest = rest[n:]
			now := tap.Metered()
			require.False(t, last.Started && !now.Started || last.Finished && !now.Finished || lastStop && !tap.Stopped(), "what was seen is not taken back")
			require.GreaterOrEqual(t, now.OutputBytes, last.OutputBytes)
			last, lastStop = now, tap.Stopped()
		}
		require.Equal(t, whole, tap.Metered())
		require.Equal(t, stop, tap.Stopped())
		if stop {
			after, _ := tapped(stream, []byte(started("")+ended))
			require.Equal(t, whole, after, "message_stop ends the message")
		}
		tap.Reset()
		tap.Write(stream)
		require.Equal(t, whole, tap.Metered(), "after a reset")
	})
}
