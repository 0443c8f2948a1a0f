package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// workload is one kind of request and the answer it must get.
type workload struct {
	name  string
	mode  string
	body  string
	want  string
	about string
}

// variants is how many different developers, sessions and header blocks the
// requests of a workload are spread over.
const variants = 16

const (
	upstreamCredential = "sk-ant-bench-upstream"
	model              = "claude-opus-5-5"
)

const plainAnswer = `{"id":"msg_01BenchBenchBenchBenchBe","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{"type":"text","text":"` +
	`The table is read once at start and swapped whole; nothing on the path of a request waits for it."}],"stop_reason":"end_turn","stop_sequence":null,` +
	`"usage":{"input_tokens":212,"cache_creation_input_tokens":1804,"cache_read_input_tokens":21377,"cache_creation":{"ephemeral_5m_input_tokens":1804,` +
	`"ephemeral_1h_input_tokens":0},"output_tokens":131,"service_tier":"standard","inference_geo":"global"}}`

// deltas of a stream, and the index of the first among its events.
const (
	deltas     = 50
	firstDelta = 3
)

func streamEvents() []string {
	event := func(name, data string) string { return "event: " + name + "\ndata: " + data + "\n\n" }
	events := make([]string, 0, deltas+firstDelta+3)
	events = append(events,
		event("message_start", `{"type":"message_start","message":{"id":"msg_01BenchBenchBenchBenchBe","type":"message","role":"assistant","model":"claude-opus-5-5","content":[],`+
			`"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":212,"cache_creation_input_tokens":1804,"cache_read_input_tokens":21377,`+
			`"cache_creation":{"ephemeral_5m_input_tokens":1804,"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard","inference_geo":"global"}}}`),
		event("content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`),
		event("ping", `{"type":"ping"}`))
	for range deltas {
		events = append(events, event("content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" read once at start, "}}`))
	}
	return append(events,
		event("content_block_stop", `{"type":"content_block_stop","index":0}`),
		event("message_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":131}}`),
		event("message_stop", `{"type":"message_stop"}`))
}

// makeWorkloads prepares every kind of request.
func makeWorkloads() (map[string]workload, error) {
	stream := strings.Join(streamEvents(), "")
	all := map[string]workload{}
	for _, w := range []struct {
		name, mode, want, about string
		bytes                   int
	}{
		{"plain-1kb", modePlain, plainAnswer, "1 KB in, plain answer", 1 << 10},
		{"plain-100kb", modePlain, plainAnswer, "100 KB in, plain answer", 100 << 10},
		{"stream", modeStream, stream, "100 KB in, 50 deltas at once", 100 << 10},
		{"stream-paced", modePaced, stream, "100 KB in, 50 deltas 5 ms apart", 100 << 10},
		{"hold", modeHold, stream, "100 KB in, held after one delta", 100 << 10},
	} {
		body, err := makeBody(w.bytes, w.mode != modePlain)
		if err != nil {
			return nil, err
		}
		all[w.name] = workload{name: w.name, mode: w.mode, body: body, want: w.want, about: w.about}
	}
	return all, nil
}

type (
	block map[string]any
	list  []any
)

// makeBody makes a request shaped like Claude Code's, of about a size: system
// blocks, tools, and a conversation of tool calls and their results.
func makeBody(size int, stream bool) (string, error) {
	request := struct {
		Model    string `json:"model"`
		Messages list   `json:"messages"`
		System   list   `json:"system,omitempty"`
		Tools    list   `json:"tools,omitempty"`
		Metadata block  `json:"metadata"`
		Tokens   int    `json:"max_tokens"`
		Stream   bool   `json:"stream"`
	}{Model: model, Metadata: block{"user_id": "user_bench_account__session_00000000"}, Tokens: 32_000, Stream: stream}
	request.Messages = list{block{"role": "user", "content": list{block{"type": "text", "text": "Why does the flush wait for the period? Read the code and tell me."}}}}
	if size > 10<<10 {
		request.System = list{
			block{"type": "text", "text": "You are Claude Code, a command line tool for software engineering."},
			block{"type": "text", "text": prose(12 << 10), "cache_control": block{"type": "ephemeral"}},
		}
		for i := range 16 {
			request.Tools = append(request.Tools, tool(i))
		}
	}
	for i := 0; ; i++ { // ends: every turn adds to the body
		body, err := json.Marshal(request)
		if err != nil {
			return "", fmt.Errorf("make request body: %w", err)
		}
		left := size - len(body)
		if left < 1000 {
			return pad(string(body), left), nil
		}
		id := "toolu_bench" + strconv.Itoa(i)
		request.Messages = append(request.Messages,
			block{"role": "assistant", "content": list{block{"type": "tool_use", "id": id, "name": "Read", "input": block{"file_path": "src/flush_" + strconv.Itoa(i) + ".go", "limit": 200}}}},
			block{"role": "user", "content": list{block{"type": "tool_result", "tool_use_id": id, "content": code(min((left-500)*3/4, 4<<10))}}})
	}
}

// pad brings a body to its exact size with the white space JSON allows.
func pad(body string, left int) string {
	if left <= 0 {
		return body
	}
	return body[:len(body)-1] + strings.Repeat(" ", left) + "}"
}

func tool(i int) block {
	return block{
		"name": "Tool" + strconv.Itoa(i), "description": prose(1200),
		"input_schema": block{"type": "object", "required": list{"path"}, "additionalProperties": false, "properties": block{
			"path":  block{"type": "string", "description": "The absolute path of the file to work on"},
			"limit": block{"type": "number", "description": "How many lines to take"},
		}},
	}
}

func prose(n int) string {
	const sentence = "Prefer small changes; say what you did and why. Never guess a file's content: read it first, \"then\" edit.\n"
	return strings.Repeat(sentence, n/len(sentence)+1)[:max(0, n)]
}

func code(n int) string {
	const line = "   42\tif err := tx.exec(\"hold period\", `select state from period where tenant_id = $1`, t.Tenant); err != nil {\n\t\treturn \"\", err\n\t}\n"
	return strings.Repeat(line, n/len(line)+1)[:max(0, n)]
}
