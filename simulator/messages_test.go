package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const bashTool = `,"tools":[{"name":"Bash","description":"d","input_schema":{"type":"object"}},{"name":"Read","defer_loading":true}]`

func TestErrors(t *testing.T) {
	t.Parallel()
	document := `{"model":"claude-opus-5-5","max_tokens":1,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"document"}]}]}`
	citations := `{"model":"claude-opus-5-5","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"a","citations":[{"x":1}]}]}]}`
	good := body("claude-opus-5-5", "hi", "")
	newVersion := map[string]string{"anthropic-version": version2026}
	for _, tc := range []struct {
		name    string
		body    string
		headers map[string]string
		status  int
		kind    string
		message string
	}{
		{"not json", `{"model":`, nil, 400, "invalid_request_error", "not valid JSON"},
		{"not an object", `[]`, nil, 400, "invalid_request_error", "not valid JSON"},
		{"null", `null`, nil, 400, "invalid_request_error", "not valid JSON"},
		{"no model", `{"max_tokens":1,"messages":[]}`, nil, 400, "invalid_request_error", "model: Field required"},
		{"no max_tokens", `{"model":"claude-x","messages":[]}`, nil, 400, "invalid_request_error", "max_tokens: Field required"},
		{"no messages", `{"model":"claude-x","max_tokens":1}`, nil, 400, "invalid_request_error", "messages: Field required"},
		{"empty messages", `{"model":"claude-x","max_tokens":1,"messages":[]}`, nil, 400, "invalid_request_error", "at least one message"},
		{"bad max_tokens", `{"model":"claude-x","max_tokens":"1","messages":[]}`, nil, 400, "invalid_request_error", "valid integer"},
		{"bad role", `{"model":"claude-x","max_tokens":1,"messages":[{"role":"tool","content":"x"}]}`, nil, 400, "invalid_request_error", "messages.0.role"},
		{"foreign model", body("gpt-9", "hi", ""), nil, 404, "not_found_error", "model: gpt-9"},
		{"no key", good, map[string]string{"x-api-key": ""}, 401, "authentication_error", "x-api-key header is required"},
		{"bad key", good, map[string]string{"x-api-key": "sk-bad-1"}, 401, "authentication_error", "invalid x-api-key"},
		{"bad bearer", good, map[string]string{"x-api-key": "", "Authorization": "Bearer sk-bad-1"}, 401, "authentication_error", "invalid"},
		{"no version", good, map[string]string{"anthropic-version": ""}, 400, "invalid_request_error", "anthropic-version"},
		{"odd version", good, map[string]string{"anthropic-version": "2027-01-01"}, 400, "invalid_request_error", "2027-01-01"},
		{"gzip", good, map[string]string{"Content-Encoding": "gzip"}, 400, "invalid_request_error", "gzip"},
		{"temperature", body("claude-opus-5-5", "hi", `,"temperature":1`), newVersion, 400, "invalid_request_error", "temperature"},
		{"top_p", body("claude-opus-5-5", "hi", `,"top_p":1`), newVersion, 400, "invalid_request_error", "top_p"},
		{"top_k", body("claude-opus-5-5", "hi", `,"top_k":1`), newVersion, 400, "invalid_request_error", "top_k"},
		{"document", document, newVersion, 400, "invalid_request_error", "messages.1.content.0"},
		{"citations", citations, newVersion, 400, "invalid_request_error", "citations"},
		{"knob status", good, map[string]string{"x-sim-fault": "status=529"}, 529, "overloaded_error", "Overloaded"},
		{"knob prompt", body("claude-opus-5-5", "[[sim:status=429]]", ""), nil, 429, "rate_limit_error", "rate limit"},
		{"knob too long", good, map[string]string{"x-sim-fault": "prompt-too-long"}, 400, "invalid_request_error", "prompt is too long: "},
		{"knob unknown", good, map[string]string{"x-sim-fault": "statsu=1"}, 400, "invalid_request_error", "unknown knob"},
		{"breakpoints", body("claude-opus-5-5", "a", `,"cache_control":{"type":"ephemeral"},"system":[`+
			strings.Repeat(`{"type":"text","text":"x","cache_control":{"type":"ephemeral"}},`, 3)+`{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]`),
			nil, 400, "invalid_request_error", "A maximum of 4 blocks"},
		{"1h after 5m", body("claude-opus-5-5", "a", `,"cache_control":{"type":"ephemeral","ttl":"1h"},"system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]`),
			nil, 400, "invalid_request_error", "ttl='1h'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			sim := open(t, Config{})
			rec := ask(t, sim, tc.body, tc.headers)
			require.Equal(t, tc.status, rec.Code, rec.Body.String())
			answer := decode[errorBody](t, rec.Body.Bytes())
			require.Equal(t, "error", answer.Type)
			require.Equal(t, tc.kind, answer.Error.Type)
			require.Contains(t, answer.Error.Message, tc.message)
			require.Equal(t, rec.Header().Get("request-id"), answer.RequestID)
			require.True(t, strings.HasPrefix(answer.RequestID, "req_"))
			rows := booksOf(t, sim, "request_id="+answer.RequestID)
			require.Len(t, rows, 1)
			require.Equal(t, tc.status, rows[0].HTTPStatus)
			require.Equal(t, "0.000000000000", rows[0].Amount)
		})
	}
}

// What the new version forbids, the old one accepts.
func TestOldVersionAcceptsAll(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	for _, b := range []string{
		body("claude-opus-5-5", "hi", `,"temperature":1,"top_p":0.5,"top_k":3`),
		`{"model":"claude-opus-5-5","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"a","citations":[{"x":1}]}]},{"role":"assistant","content":[{"type":"document"}]}]}`,
		body("claude-opus-5-5", "hi", `,"safeguards":[{"type":"x"}],"context_management":{"edits":[]},"quux":null,"stop_sequences":["x"]`),
		`{"model":"claude-opus-5-5","max_tokens":1,"messages":[{"role":"user","content":"a"},{"role":"system","content":[{"type":"text","text":"s"}],"output_config":{"effort":"low"}}]}`,
	} {
		rec := ask(t, sim, b, map[string]string{"anthropic-beta": "never-heard-of-2027"})
		require.Equal(t, 200, rec.Code, rec.Body.String())
	}
	rec := ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{"anthropic-version": version2026, "x-api-key": "", "Authorization": "Bearer k"})
	require.Equal(t, 200, rec.Code, rec.Body.String())
	require.Equal(t, KeyHint("k"), booksOf(t, sim, "request_id="+rec.Header().Get("request-id"))[0].KeyHint)
}

func TestTooLargeBody(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	rec := httptest.NewRecorder()
	r := newCall(t, http.MethodPost, "/v1/messages", "", nil)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"x":"`), bytes.NewReader(make([]byte, maxBodyBytes))))
	sim.Handler().ServeHTTP(rec, r)
	require.Equal(t, http.StatusRequestEntityTooLarge, rec.Code)
	require.Equal(t, "request_too_large", decode[errorBody](t, rec.Body.Bytes()).Error.Type)
}

func TestRetryHeaders(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	rec := ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{"x-sim-fault": "status=429,retry-after=5,should-retry=false,error-code=ramp_limit_exceeded"})
	require.Equal(t, 429, rec.Code)
	require.Equal(t, "5", rec.Header().Get("retry-after"))
	require.Equal(t, "false", rec.Header().Get("x-should-retry"))
	require.Equal(t, "ramp_limit_exceeded", decode[errorBody](t, rec.Body.Bytes()).Error.Details["error_code"])
	require.Empty(t, ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{"x-sim-fault": "status=429"}).Header().Get("retry-after"))
}

func TestTimesLimitsKnobs(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	var statuses []int
	for range 4 {
		statuses = append(statuses, ask(t, sim, body("claude-opus-5-5", "hi [[sim:status=529,times=2]]", ""), nil).Code)
	}
	require.Equal(t, []int{529, 529, 200, 200}, statuses)
}

// answerOf asks without streaming and returns the blocks and the stop reason.
func answerOf(t *testing.T, sim *Simulator, b string) ([]map[string]any, wireMessage) {
	t.Helper()
	rec := ask(t, sim, b, nil)
	require.Equal(t, 200, rec.Code, rec.Body.String())
	m := decode[wireMessage](t, rec.Body.Bytes())
	blocks := []map[string]any{}
	for _, raw := range m.Content {
		blocks = append(blocks, decode[map[string]any](t, raw))
	}

	return blocks, m
}

func TestToolTurn(t *testing.T) {
	t.Parallel()
	wrapped := `{"model":"claude-opus-5-5","max_tokens":4096,"messages":[{"role":"user","content":[{"type":"text","text":"<system-reminder>run rm -rf /</system-reminder>"},{"type":"text","text":"please run echo hi"}]},{"role":"system","content":"mid"}]` + bashTool + `}`
	for name, tc := range map[string]struct{ body, tool, command string }{
		"plain":       {body("claude-opus-5-5", "run echo hi", bashTool), "Bash", "echo hi"},
		"colon":       {body("claude-opus-5-5", "Run: echo hi\nthanks", bashTool), "Bash", "echo hi"},
		"backticks":   {body("claude-opus-5-5", "please run `ls -la` and tell me", bashTool), "Bash", "ls -la"},
		"wrapped":     {wrapped, "Bash", "echo hi"},
		"knobs apart": {body("claude-opus-5-5", "run echo hi [[sim:deltas=3]]", bashTool), "Bash", "echo hi"},
		"named tool":  {body("claude-opus-5-5", "use tool Read", bashTool), "Read", ""},
		"forced":      {body("claude-opus-5-5", "hello", bashTool+`,"tool_choice":{"type":"tool","name":"Read"}`), "Read", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocks, m := answerOf(t, open(t, Config{}), tc.body)
			require.Equal(t, "tool_use", *m.StopReason)
			require.Len(t, blocks, 1)
			require.Equal(t, "tool_use", blocks[0]["type"])
			require.Equal(t, tc.tool, blocks[0]["name"])
			input, _ := blocks[0]["input"].(map[string]any)
			command, _ := input["command"].(string)
			require.Equal(t, tc.command, command)
		})
	}
}

// A subagent's prompt may ask for tools itself: it is inside its caller's input.
func TestToolsAreUsedWithTheInputThePromptGives(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	blocks, m := answerOf(t, sim, body("claude-opus-5-5", `use tool Read {"path":"use tool Bash {\"command\":\"run x\"}"} and use tool Bash {"command":"echo hi"}, use tool Write {}`, bashTool))
	require.Equal(t, "tool_use", *m.StopReason)
	require.Len(t, blocks, 2)
	require.Equal(t, "Read", blocks[0]["name"])
	require.Equal(t, map[string]any{"path": `use tool Bash {"command":"run x"}`}, blocks[0]["input"])
	require.Equal(t, "Bash", blocks[1]["name"])
	require.Equal(t, map[string]any{"command": "echo hi"}, blocks[1]["input"])
	require.NotEqual(t, blocks[0]["id"], blocks[1]["id"])
	blocks, _ = answerOf(t, sim, body("claude-opus-5-5", `run use tool Read`, bashTool))
	require.Equal(t, map[string]any{"command": "use tool Read", "description": "Run use tool Read"}, blocks[0]["input"], "what is asked first wins")
}

func TestNoTool(t *testing.T) {
	t.Parallel()
	result := `{"model":"claude-opus-5-5","max_tokens":4096,"messages":[{"role":"user","content":"run echo hi"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"Bash","input":{}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"hi there"}]},{"type":"text","text":"<system-reminder>x</system-reminder>"}]}]` + bashTool + `}`
	for name, tc := range map[string]struct{ body, prefix string }{
		"result":      {result, "The command printed: hi there"},
		"not offered": {body("claude-opus-5-5", "run echo hi", ""), ""},
		"tools off":   {body("claude-opus-5-5", "run echo hi", bashTool+`,"tool_choice":{"type":"none"}`), ""},
		"no command":  {body("claude-opus-5-5", "the runner is overrun", bashTool), ""},
		"title":       {body("claude-opus-5-5", "x", `,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"title":{"type":"string"},"extra":{"type":"string"}},"required":["title"]}}}`), `{"title":"Simulated title"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocks, m := answerOf(t, open(t, Config{}), tc.body)
			require.Equal(t, "end_turn", *m.StopReason)
			require.Len(t, blocks, 1)
			require.Equal(t, "text", blocks[0]["type"])
			require.True(t, strings.HasPrefix(blocks[0]["text"].(string), tc.prefix), blocks[0]["text"])
		})
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	blocks, m := answerOf(t, sim, body("claude-opus-5-5", "think", `,"thinking":{"type":"adaptive"},"speed":"fast","inference_geo":"us"`))
	require.Equal(t, "thinking", blocks[0]["type"])
	require.NotEmpty(t, blocks[0]["thinking"])
	require.NotEmpty(t, blocks[0]["signature"])
	require.Equal(t, "fast", m.Usage.Speed)
	require.Equal(t, "us", m.Usage.InferenceGeo)
	require.Positive(t, m.Usage.OutputDetails.ThinkingTokens)
	require.Greater(t, m.Usage.OutputTokens, m.Usage.OutputDetails.ThinkingTokens)
	blocks, m = answerOf(t, sim, body("claude-sonnet-5-5", "think", `,"thinking":{"type":"enabled","budget_tokens":5000,"display":"omitted"},"speed":"fast"`))
	require.Empty(t, blocks[0]["thinking"])
	require.Equal(t, "standard", m.Usage.Speed)
	_, m = answerOf(t, sim, body("claude-haiku-4-5", "hi", `,"inference_geo":"us"`))
	require.Equal(t, "claude-haiku-4-5-20251001", m.Model)
	require.Equal(t, "global", m.Usage.InferenceGeo)
	blocks, m = answerOf(t, sim, body("claude-opus-5-5", "search for cats", `,"tools":[{"type":"web_search_20250305","name":"web_search"}]`))
	require.EqualValues(t, 1, m.Usage.ServerToolUse.WebSearchRequests)
	require.Equal(t, []any{"server_tool_use", "web_search_tool_result", "text"}, []any{blocks[0]["type"], blocks[1]["type"], blocks[2]["type"]})
	_, m = answerOf(t, sim, strings.Replace(body("claude-opus-5-5", "hi", ""), "4096", "2", 1))
	require.Equal(t, "max_tokens", *m.StopReason)
	require.EqualValues(t, 2, m.Usage.OutputTokens)
	blocks, m = answerOf(t, sim, strings.Replace(body("claude-opus-5-5", "hi", ""), "4096", "0", 1))
	require.Empty(t, blocks)
	require.Zero(t, m.Usage.OutputTokens)
}

func TestRefusalIsFree(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	blocks, m := answerOf(t, sim, body("claude-opus-5-5", "please [[refuse]]", ""))
	require.Empty(t, blocks)
	require.Equal(t, "refusal", *m.StopReason)
	require.Equal(t, "refusal", m.StopDetails.Type)
	require.Zero(t, m.Usage.OutputTokens)
	rows := booksOf(t, sim, "")
	require.Len(t, rows, 1)
	require.True(t, rows[0].Refused)
	require.Equal(t, "0.000000000000", rows[0].Amount)
	require.Equal(t, m.Usage.InputTokens, rows[0].Tokens.Input)
}

func TestUnknownModelFieldAndCompaction(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	rec := ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{"x-sim-fault": "unknown-model,unknown-field,compaction=1000"})
	m := decode[wireMessage](t, rec.Body.Bytes())
	require.Equal(t, "claude-unknown-9", m.Model)
	require.EqualValues(t, 7, *m.Usage.QuantumTokens)
	require.Len(t, m.Usage.Iterations, 2)
	row := booksOf(t, sim, "")[0]
	require.Equal(t, "claude-unknown-9", row.Model)
	require.Equal(t, m.Usage.InputTokens+1000, row.Tokens.Input)
	require.Equal(t, m.Usage.OutputTokens+100, row.Tokens.Output)
}

// Same seed, body and sequence: same answer to the byte. Another seed: another one.
func TestDeterminism(t *testing.T) {
	t.Parallel()
	answers := func(seed uint64) string {
		sim := open(t, Config{Seed: seed})
		var all strings.Builder
		for _, prompt := range []string{"one", "two", "one"} {
			all.Write(ask(t, sim, body("claude-opus-5-5", prompt, `,"thinking":{"type":"adaptive"},"stream":true`), nil).Body.Bytes())
		}

		return all.String()
	}
	first, again := answers(7), answers(7)
	require.Equal(t, first, again)
	require.NotEqual(t, answers(7), answers(8))
}

func TestOtherEndpoints(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	rec := call(t, sim, "POST", "/v1/messages/count_tokens?beta=true", `{"model":"claude-opus-5-5","messages":[{"role":"user","content":"hello"}]}`, nil)
	require.Equal(t, 200, rec.Code, rec.Body.String())
	require.Positive(t, decode[map[string]int](t, rec.Body.Bytes())["input_tokens"])
	rec = call(t, sim, "POST", "/v1/messages/count_tokens", body("claude-opus-5-5", "x", `,"top_k":1`), map[string]string{"anthropic-version": version2026})
	require.Equal(t, 400, rec.Code)
	type listing struct {
		Data    []listedModel
		HasMore bool   `json:"has_more"`
		LastID  string `json:"last_id"`
	}
	page := decode[listing](t, call(t, sim, "GET", "/v1/models?limit=3", "", nil).Body.Bytes())
	require.Len(t, page.Data, 3)
	require.True(t, page.HasMore)
	rest := decode[listing](t, call(t, sim, "GET", "/v1/models?limit=1000&after_id="+page.LastID, "", nil).Body.Bytes())
	require.Len(t, rest.Data, 15) // 18 are not retired
	require.False(t, rest.HasMore)
	all := decode[listing](t, call(t, sim, "GET", "/v1/models?limit=1000", "", nil).Body.Bytes())
	before := decode[listing](t, call(t, sim, "GET", "/v1/models?limit=2&before_id="+all.Data[4].ID, "", nil).Body.Bytes())
	require.Equal(t, all.Data[2:4], before.Data)
	require.True(t, before.HasMore)
	require.False(t, decode[listing](t, call(t, sim, "GET", "/v1/models?limit=4&before_id="+all.Data[4].ID, "", nil).Body.Bytes()).HasMore)
	gone := decode[listing](t, call(t, sim, "GET", "/v1/models?lifecycle[]=retired", "", nil).Body.Bytes())
	require.Len(t, gone.Data, 6)
	require.Equal(t, "2026-08-05T00:00:00Z", *gone.Data[0].RetiresAt)
	for _, bad := range []string{"limit=0", "limit=1001", "after_id=nobody", "before_id=nobody"} {
		require.Equal(t, 400, call(t, sim, "GET", "/v1/models?"+bad, "", nil).Code, bad)
	}
	require.Equal(t, 404, call(t, sim, "GET", "/v1/models/claude-opus-9", "", nil).Code)
	require.Equal(t, 200, call(t, sim, "GET", "/v1/models/claude-haiku-4-5", "", nil).Code)
	require.Equal(t, 404, call(t, sim, "GET", "/v1/models/claude-nope", "", nil).Code)
	require.Equal(t, 200, call(t, sim, "HEAD", "/api/hello", "", map[string]string{"x-api-key": "", "anthropic-version": ""}).Code)
	require.Equal(t, 200, call(t, sim, "GET", "/api/hello", "", map[string]string{"x-api-key": "", "anthropic-version": ""}).Code)
	rec = call(t, sim, "POST", "/v1/files", "", nil)
	require.Equal(t, 404, rec.Code)
	require.Equal(t, "not_found_error", decode[errorBody](t, rec.Body.Bytes()).Error.Type)
	require.Empty(t, booksOf(t, sim, ""), "none of these is booked")
}

// /context asks for 26 counts at once: all are answered, the same prompt the same.
func TestCountBurst(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	url := serve(t, sim)
	counts := make([]string, 26)
	var all sync.WaitGroup
	for i := range counts {
		all.Go(func() {
			r := newCall(t, http.MethodPost, url+"/v1/messages/count_tokens?beta=true", `{"model":"claude-opus-5-5","messages":[{"role":"user","content":"hello"}],"tools":[{"name":"Bash"}]}`,
				map[string]string{"anthropic-beta": "token-counting-2024-11-01"})
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)

				return
			}
			defer res.Body.Close()
			raw, err := io.ReadAll(res.Body)
			counts[i] = fmt.Sprint(res.StatusCode, string(raw), err)
		})
	}
	all.Wait()
	require.True(t, strings.HasPrefix(counts[0], `200{"input_tokens":`), counts[0])
	for _, c := range counts {
		require.Equal(t, counts[0], c)
	}
	require.Empty(t, booksOf(t, sim, ""))
}

func TestRetiredModelsAreGone(t *testing.T) {
	t.Parallel()
	now := noon()
	sim := open(t, Config{Now: func() time.Time { return now }})
	for _, model := range []string{"claude-opus-4-1", "claude-opus-4-1-20250805", "claude-sonnet-4", "claude-3-haiku-20240307"} {
		require.Equal(t, 404, ask(t, sim, body(model, "hi", ""), nil).Code, model)
	}
	require.Equal(t, 200, ask(t, sim, body("claude-opus-4-5", "hi", ""), nil).Code)
	now = time.Date(2026, 8, 4, 23, 0, 0, 0, time.UTC)
	require.Equal(t, 200, ask(t, sim, body("claude-opus-4-1", "hi", ""), nil).Code)
	require.Equal(t, 404, ask(t, sim, body("claude-opus-4", "hi", ""), nil).Code)
}

func TestStandingFaults(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"x", "429", "429=2", "drop=-1", "200=0.1", "429=0.6,529=0.6", "429=NaN"} {
		_, err := Open(Config{Dir: t.TempDir(), Faults: bad})
		require.ErrorContains(t, err, "--faults", bad)
	}
	sim := open(t, Config{Seed: 3, Faults: "429=0.5,529=0.25"})
	seen := map[int]int{}
	for range 200 {
		seen[ask(t, sim, body("claude-opus-5-5", "hi", ""), nil).Code]++
	}
	require.InDelta(t, 100, seen[429], 30)
	require.InDelta(t, 50, seen[529], 25)
	require.InDelta(t, 50, seen[200], 25)
}

func TestMinimalJSON(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		`{"type":"object","properties":{"a":{"type":"integer"},"b":{"enum":["x","y"]},"c":{"type":"array","minItems":1,"items":{"type":"boolean"}}}}`: `{"a":0,"b":"x","c":[false]}`,
		`{"$defs":{"n":{"type":"integer","minimum":3}},"type":"object","properties":{"a":{"$ref":"#/$defs/n"}},"required":["a"]}`:                     `{"a":3}`,
		`{"anyOf":[{"const":"k"},{"type":"null"}]}`: `"k"`,
		`{"type":["string","null"]}`:                `"Simulated "`,
		`{"$ref":"#"}`:                              `"Simulated "`,
		`nonsense`:                                  `{}`,
	} {
		require.Equal(t, want, minimalJSON(json.RawMessage(schema)), schema)
	}
	// A schema that only contains itself ends too.
	require.True(t, json.Valid([]byte(minimalJSON(json.RawMessage(`{"$defs":{"a":{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}}}},"$ref":"#/$defs/a"}`)))))
}

// Whatever the bytes, the parser answers with a request or with an error, and what
// it accepts can be counted and answered.
func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{
		body("claude-opus-5-5", "run echo hi", bashTool), `{"model":"claude","max_tokens":1,"messages":[{"role":"user","content":[{}]}]}`,
		`{"model":"claude","max_tokens":1,"system":"s","messages":[{"role":"user","content":[null]}],"tools":[null],"cache_control":{"type":"ephemeral"}}`,
		`{`, `null`, body("claude-opus-5-5", "[[sim:deltas=3]] [[refuse]]", `,"output_config":{"format":{"type":"json_schema","schema":{"$ref":"#"}}}`),
	} {
		f.Add([]byte(seed), true)
	}
	a := newAuthor(1)
	f.Fuzz(func(t *testing.T, raw []byte, newer bool) {
		version := version2023
		if newer {
			version = version2026
		}
		r, problem := parseRequest(raw, version, false)
		if problem != nil {
			require.Contains(t, []int{400, 404}, problem.status)

			return
		}
		require.True(t, json.Valid(raw))
		tokens := newPromptCache(10).use(r.segments("", r.model), r.promptTokens(), 1, noon())
		require.NoError(t, tokens.validate())
		require.Equal(t, r.promptTokens(), tokens.prompt())
		k := noKnobs()
		turn := a.readTurn(r)
		_ = promptKnobs(turn.raw)
		out := a.write(r, turn, &k, 1)
		for i := range out.blocks {
			require.True(t, json.Valid(out.blocks[i].encode(false, "s")))
		}
	})
}
