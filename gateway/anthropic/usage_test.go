package anthropic_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/usage"
	"tollbook/gateway/anthropic"
)

// golden is one usage object and what it means. Streams give more than one, in
// the order they come.
type golden struct {
	Name       string
	Model      string // the message's; claude-opus-5-5 when empty
	Usage      []json.RawMessage
	Stop       string
	Content    bool
	Want       usage.Counts
	Incomplete []string
}

func readGolden(t testing.TB) []golden {
	t.Helper()
	file, err := os.ReadFile("testdata/usage.json")
	require.NoError(t, err)
	var all []golden
	require.NoError(t, json.Unmarshal(file, &all))
	return all
}

func (g golden) model() string {
	if g.Model == "" {
		return "claude-opus-5-5"
	}
	return g.Model
}

// plain writes the golden's usage as a response, if it has just one object.
func (g golden) plain() (string, bool) {
	content := ""
	if g.Content {
		content = `{"type":"text","text":"x"}`
	}
	return fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":%q,"content":[%s],"stop_reason":%q,"usage":%s}`,
		g.model(), content, g.Stop, g.Usage[0]), len(g.Usage) == 1
}

func (g golden) stream() string {
	var s strings.Builder
	for i, object := range g.Usage {
		stop := "null"
		if i == len(g.Usage)-1 {
			stop = fmt.Sprintf("%q", g.Stop)
		}
		if i == 0 {
			fmt.Fprintf(&s, "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":%q,\"content\":[],\"usage\":%s}}\n\n", g.model(), object)
			if g.Content {
				s.WriteString("data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n")
			}
			if len(g.Usage) > 1 {
				continue
			}
		}
		fmt.Fprintf(&s, "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":%s},\"usage\":%s}\n\n", stop, object)
	}
	return s.String() + "data: {\"type\":\"message_stop\"}\n\n"
}

func TestGoldenUsage(t *testing.T) {
	t.Parallel()
	all := readGolden(t)
	require.GreaterOrEqual(t, len(all), 25)
	for _, g := range all {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			if g.Want.Model == "" {
				g.Want.Model = g.model()
			}
			m, stop := tapped([]byte(g.stream()))
			require.True(t, stop)
			require.Equal(t, g.Want, m.Counts)
			require.Equal(t, g.Incomplete, m.Incomplete)
			require.True(t, json.Valid(m.RawUsage))
			body, single := g.plain()
			if !single {
				return
			}
			m = anthropic.ParseMessage([]byte(body))
			require.Equal(t, g.Want, m.Counts)
			require.Equal(t, g.Incomplete, m.Incomplete)
			require.JSONEq(t, string(g.Usage[0]), string(m.RawUsage))
			require.Equal(t, "msg_1", m.MessageID)
			require.Equal(t, g.Stop, m.StopReason)
			require.True(t, m.Started)
		})
	}
}

func TestParseMessageReadsPastWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	m := anthropic.ParseMessage([]byte(" {\"new\":{\"usage\":{\"input_tokens\":9}},\"usage\" : {\"input_tokens\":3,\"output_tokens\":4},\n\"content\":[ {\"type\":\"text\",\"text\":\"}]\\\"\"} ],\"id\":\"msg_\\u0032\",\"model\":\"m\",\"type\":\"message\",\"safeguard_results\":[]} \n"))
	require.Empty(t, m.Incomplete)
	require.Equal(t, "msg_2", m.MessageID)
	require.Equal(t, usage.Counts{Model: "m", Tokens: usage.Tokens{3, 4}}, m.Counts)
	require.True(t, m.Started && m.Finished)

	whole := `{"id":"msg_1","type":"message","model":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":4}}`
	for cut := range whole {
		m := anthropic.ParseMessage([]byte(whole[:cut]))
		require.Contains(t, m.Incomplete, "body_malformed")
	}
	require.Contains(t, anthropic.ParseMessage([]byte(whole+"x")).Incomplete, "body_malformed")
	m = anthropic.ParseMessage([]byte(`{"type":"error","error":{"type":"overloaded_error","message":"x"}}`))
	require.Equal(t, anthropic.Metered{ErrorType: "overloaded_error", Incomplete: []string{"stream_error", "no_message_start", "no_final_usage"}}, m)
	m = anthropic.ParseMessage([]byte(`{"type":"message","usage":null}`))
	require.Equal(t, []string{"no_final_usage"}, m.Incomplete)
}

func TestRawUsageIsBounded(t *testing.T) {
	t.Parallel()
	object := `{"input_tokens":1,"output_tokens":2,"note":"` + strings.Repeat("x", 20<<10) + `"}`
	m := anthropic.ParseMessage([]byte(`{"type":"message","model":"m","usage":` + object + `}`))
	require.Equal(t, []string{"usage_too_long"}, m.Incomplete)
	require.Equal(t, usage.Tokens{1, 2}, m.Counts.Tokens)
	require.LessOrEqual(t, len(m.RawUsage), 16<<10)
}

func TestStepsAreBounded(t *testing.T) {
	t.Parallel()
	step := `{"type":"advisor_message","model":"a","input_tokens":1},`
	m := anthropic.ParseMessage([]byte(`{"type":"message","model":"m","usage":{"output_tokens":1,"iterations":[` + strings.Repeat(step, 300) + `{}]}}`))
	require.Contains(t, m.Incomplete, "usage_too_long")
	require.LessOrEqual(t, len(m.Counts.Iterations), 64)
}

func checkBounds(t *testing.T, m anthropic.Metered) {
	t.Helper()
	require.LessOrEqual(t, len(m.RawUsage), 16<<10)
	require.LessOrEqual(t, len(m.Counts.Unknown), 8)
	require.LessOrEqual(t, len(m.Counts.Iterations), 64)
	for _, name := range m.Counts.Unknown {
		require.LessOrEqual(t, len(name), 64)
	}
	for _, n := range m.Counts.Tokens {
		require.GreaterOrEqual(t, n, int64(0))
	}
	for _, step := range m.Counts.Iterations {
		for _, n := range step.Tokens {
			require.GreaterOrEqual(t, n, int64(0))
		}
	}
	require.GreaterOrEqual(t, m.OutputBytes, int64(0))
	require.Equal(t, m.Finished && m.Started, m.Finished && m.Started && !slices.Contains(m.Incomplete, "no_final_usage"))
}

// TestUsageThatBreaksOffIsMalformed leaves counts behind what is no JSON: they would be
// charged to nobody if the answer passed for complete.
func TestUsageThatBreaksOffIsMalformed(t *testing.T) {
	t.Parallel()
	for _, usage := range []string{
		"{\"input_tokens\":10,\"output_tokens\":20,\"video\":\x83,\"cache_read_input_tokens\":9}",
		`{"input_tokens":10,"output_tokens":20,"x":tru,"cache_read_input_tokens":9}`,
		`{"input_tokens":10,"output_tokens":20 "cache_read_input_tokens":9}`,
		`{"input_tokens":10,"output_tokens":20,"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":3,x,"ephemeral_1h_input_tokens":4}}`,
		`{"input_tokens":10,"output_tokens":20,"server_tool_use":{"x":01,"web_search_requests":4}}`,
	} {
		m := anthropic.ParseMessage([]byte(`{"id":"msg_1","type":"message","model":"claude-opus-5-5","content":[],"stop_reason":"end_turn","usage":` + usage + `}`))
		require.Contains(t, m.Incomplete, anthropic.ReasonUsageMalformed, usage)
	}
}

// FuzzParseMessage reads any bytes as an answer: spelled otherwise it counts the same,
// and one that was cut is never taken for a whole one.
func FuzzParseMessage(f *testing.F) {
	for _, g := range readGolden(f) {
		body, _ := g.plain()
		f.Add([]byte(body), 100)
	}
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		m := anthropic.ParseMessage(body)
		checkBounds(t, m)
		whole := bytes.TrimRight(body, " \t\r\n")
		if len(whole) > 0 {
			part := anthropic.ParseMessage(whole[:int(uint(cut)%uint(len(whole)))])
			checkBounds(t, part)
			if json.Valid(whole) { // of what is none, a beginning may be one
				require.NotEmpty(t, part.Incomplete, "no beginning of an answer is a whole one")
			}
		}
		if !json.Valid(body) || len(body) > 1<<10 { // longer usage may be kept in one spelling and not in another
			return
		}
		if len(m.RawUsage) > 0 {
			require.True(t, json.Valid(m.RawUsage), "%s", m.RawUsage)
		}
		var spaced bytes.Buffer
		require.NoError(t, json.Indent(&spaced, body, "", " "))
		again := anthropic.ParseMessage(spaced.Bytes())
		m.RawUsage, again.RawUsage = nil, nil
		require.Equal(t, m, again, "white space counts for nothing")
	})
}
