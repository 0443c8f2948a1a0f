package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The two API versions that are alive.
const (
	version2023 = "2023-06-01"
	version2026 = "2026-10-21"
)

// request is what the simulator understands of a Messages request. Everything else
// in the body is accepted and ignored, as a provider ahead of its clients would.
type request struct {
	model        string
	maxTokens    int64
	stream       bool
	fast         bool
	us           bool
	thinking     bool
	showThinking bool
	tools        []tool
	forcedTool   string // tool_choice names one
	noTools      bool   // tool_choice none
	messages     []message
	schema       json.RawMessage // output_config.format, when it is json_schema
	blocks       []promptBlock   // in cache order
	autoTTL      time.Duration   // top-level cache_control
	fallback     string          // first of fallbacks: who serves when the model declines
	digest       [32]byte        // of model and prompt: a stream and its unstreamed repetition answer the same
}

type tool struct {
	name, kind string
	schema     json.RawMessage
}

type message struct {
	role   string
	blocks []block
}

// block is one content block with the fields that matter here.
type block struct {
	kind    string
	text    string
	content json.RawMessage // of a tool_result
}

// promptBlock is a block as the prompt cache sees it.
type promptBlock struct {
	canonical []byte // the block without cache_control, keys in order
	ttl       time.Duration
}

// apiError is an answer in Anthropic's error shape.
type apiError struct {
	status  int
	kind    string
	message string
	code    string // details.error_code
}

func (e *apiError) Error() string { return e.message }

func invalid(format string, args ...any) *apiError {
	return &apiError{status: 400, kind: "invalid_request_error", message: fmt.Sprintf(format, args...)}
}

// object is a JSON object whose values are not decoded yet.
type object map[string]json.RawMessage

func (o object) has(key string) bool {
	raw, found := o[key]

	return found && !bytes.Equal(raw, []byte("null"))
}

// word returns a string member, or "" when it is absent or something else.
func (o object) word(key string) string {
	var s string
	if json.Unmarshal(o[key], &s) != nil {
		return ""
	}

	return s
}

// object returns a member that is an object, or an empty one.
func (o object) object(key string) object {
	var inner object
	if json.Unmarshal(o[key], &inner) != nil {
		return nil
	}

	return inner
}

// parseRequest reads a body under the rules of one API version. A count_tokens body
// needs no max_tokens.
func parseRequest(body []byte, version string, counting bool) (*request, *apiError) {
	var top object
	if err := json.Unmarshal(body, &top); err != nil || top == nil {
		return nil, invalid("The request body is not valid JSON: %v", jsonReason(err))
	}
	r := &request{model: top.word("model")}
	if problem := r.parseEnvelope(top, counting); problem != nil {
		return nil, problem
	}
	if version == version2026 {
		for _, name := range []string{"temperature", "top_p", "top_k"} {
			if top.has(name) {
				return nil, invalid("%s: this parameter is not supported with anthropic-version %s", name, version2026)
			}
		}
	}
	r.parseModes(top)
	if problem := r.parsePrompt(top, version); problem != nil {
		return nil, problem
	}

	r.setDigest()

	return r, r.checkBreakpoints()
}

func (r *request) setDigest() {
	all := sha256.New()
	all.Write([]byte(r.model))
	for _, b := range r.blocks {
		all.Write(b.canonical)
	}
	all.Sum(r.digest[:0])
}

func jsonReason(err error) string {
	if err == nil {
		return "expected an object"
	}

	return err.Error()
}

func (r *request) parseEnvelope(top object, counting bool) *apiError {
	if !top.has("model") {
		return invalid("model: Field required")
	}
	if r.model == "" || len(r.model) > maxModelBytes {
		return invalid("model: Input should be a valid string")
	}
	if !top.has("messages") {
		return invalid("messages: Field required")
	}
	if !strings.HasPrefix(r.model, "claude") {
		return &apiError{status: 404, kind: "not_found_error", message: "model: " + r.model}
	}
	if counting {
		return nil
	}
	if !top.has("max_tokens") {
		return invalid("max_tokens: Field required")
	}
	if json.Unmarshal(top["max_tokens"], &r.maxTokens) != nil {
		return invalid("max_tokens: Input should be a valid integer")
	}
	if r.maxTokens < 0 {
		return invalid("max_tokens: must be greater than or equal to 0")
	}
	if top.has("stream") && json.Unmarshal(top["stream"], &r.stream) != nil {
		return invalid("stream: Input should be a valid boolean")
	}

	return nil
}

// parseModes reads what steers the answer; nothing in it is worth an error.
func (r *request) parseModes(top object) {
	r.fast = top.word("speed") == speedFast
	r.us = top.word("inference_geo") == geoUS
	thinking := top.object("thinking")
	switch thinking.word("type") {
	case "enabled", "adaptive":
		r.thinking = true
	}
	r.showThinking = r.thinking && thinking.word("display") != "omitted"
	choice := top.object("tool_choice")
	r.noTools = choice.word("type") == "none"
	if choice.word("type") == "tool" {
		r.forcedTool = choice.word("name")
	}
	format := top.object("output_config").object("format")
	if format == nil {
		format = top.object("output_format")
	}
	if format.word("type") == "json_schema" {
		r.schema = format["schema"]
	}
	r.autoTTL = breakpointTTL(top["cache_control"])
	var fallbacks []object
	if json.Unmarshal(top["fallbacks"], &fallbacks) == nil && len(fallbacks) > 0 {
		r.fallback = cutText(fallbacks[0].word("model"), maxModelBytes)
	}
}

func breakpointTTL(raw json.RawMessage) time.Duration {
	var control struct {
		Type string `json:"type"`
		TTL  string `json:"ttl"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &control) != nil || control.Type != "ephemeral" {
		return 0
	}
	if control.TTL == "1h" {
		return time.Hour
	}

	return 5 * time.Minute
}

// parsePrompt walks tools, system and messages, which is the order of the cache.
func (r *request) parsePrompt(top object, version string) *apiError {
	var tools []object
	if top.has("tools") && json.Unmarshal(top["tools"], &tools) != nil {
		return invalid("tools: Input should be a valid list")
	}
	for _, t := range tools {
		r.tools = append(r.tools, tool{name: t.word("name"), kind: t.word("type"), schema: t["input_schema"]})
		r.addPromptBlock("tool", t)
	}
	if top.has("system") {
		system, problem := parseContent(top["system"], "system")
		if problem != nil {
			return problem
		}
		for _, b := range system {
			r.addPromptBlock("system", b)
		}
	}
	var messages []object
	if json.Unmarshal(top["messages"], &messages) != nil {
		return invalid("messages: Input should be a valid list")
	}
	if len(messages) == 0 {
		return invalid("messages: at least one message is required")
	}
	for i, m := range messages {
		if problem := r.addMessage(i, m, version); problem != nil {
			return problem
		}
	}

	return nil
}

func (r *request) addMessage(i int, raw object, version string) *apiError {
	m := message{role: raw.word("role")}
	switch m.role {
	case "user", "assistant", "system":
	default:
		return invalid("messages.%d.role: Input should be 'user', 'assistant' or 'system'", i)
	}
	if !raw.has("content") {
		return invalid("messages.%d.content: Field required", i)
	}
	content, problem := parseContent(raw["content"], fmt.Sprintf("messages.%d.content", i))
	if problem != nil {
		return problem
	}
	for j, b := range content {
		parsed := block{kind: b.word("type"), text: b.word("text"), content: b["content"]}
		if problem := checkVersionRules(version, m.role, parsed.kind, b["citations"], i, j); problem != nil {
			return problem
		}
		m.blocks = append(m.blocks, parsed)
		r.addPromptBlock(m.role, b)
	}
	if ttl := breakpointTTL(raw["cache_control"]); ttl > 0 && len(content) > 0 {
		r.blocks[len(r.blocks)-1].ttl = ttl // Claude Code marks whole system messages
	}
	r.messages = append(r.messages, m)

	return nil
}

// checkVersionRules applies what 2026-10-21 forbids inside messages.
func checkVersionRules(version, role, kind string, citations json.RawMessage, i, j int) *apiError {
	if version != version2026 {
		return nil
	}
	if role == "assistant" && kind == "document" {
		return invalid("messages.%d.content.%d: document blocks are not allowed in assistant messages with anthropic-version %s", i, j, version2026)
	}
	var cited []json.RawMessage
	if role == "user" && kind == "text" && json.Unmarshal(citations, &cited) == nil && len(cited) > 0 {
		return invalid("messages.%d.content.%d.citations: citations are not allowed on user text blocks with anthropic-version %s", i, j, version2026)
	}

	return nil
}

// parseContent accepts a string or a list of blocks; a string is one text block.
func parseContent(raw json.RawMessage, path string) ([]object, *apiError) {
	var blocks []object
	if json.Unmarshal(raw, &blocks) == nil {
		return blocks, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []object{{"type": json.RawMessage(`"text"`), "text": raw}}, nil
	}

	return nil, invalid("%s: Input should be a valid string or list of content blocks", path)
}

// addPromptBlock keeps a block for the cache. Where breakpoints stand must not change
// what a prefix is: clients move them forward with every request.
func (r *request) addPromptBlock(section string, b object) {
	keys := make([]string, 0, len(b))
	size := len(section) + 1
	for key, raw := range b {
		if key == "cache_control" {
			continue
		}
		keys = append(keys, key)
		size += len(key) + len(raw) + 2
	}
	slices.Sort(keys)
	canonical := append(make([]byte, 0, size), section...)
	canonical = append(canonical, '\n')
	for _, key := range keys {
		canonical = append(canonical, key...)
		canonical = append(canonical, ':')
		canonical = append(canonical, b[key]...)
		canonical = append(canonical, '\n')
	}
	r.blocks = append(r.blocks, promptBlock{canonical: canonical, ttl: breakpointTTL(b["cache_control"])})
}

// checkBreakpoints places the automatic breakpoint and applies the two rules that
// the provider enforces on explicit ones.
func (r *request) checkBreakpoints() *apiError {
	if r.autoTTL > 0 && len(r.blocks) > 0 && r.blocks[len(r.blocks)-1].ttl == 0 {
		r.blocks[len(r.blocks)-1].ttl = r.autoTTL
	}
	count, short := 0, false
	for _, b := range r.blocks {
		if b.ttl == 0 {
			continue
		}
		count++
		if b.ttl >= time.Hour && short {
			return invalid("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block")
		}
		short = short || b.ttl < time.Hour
	}
	if count > maxBreakpoints {
		return invalid("A maximum of %d blocks with cache_control may be provided. Found %d.", maxBreakpoints, count)
	}

	return nil
}

// tokensOfBytes is the simulator's tokenizer: four bytes of prompt or answer each.
func tokensOfBytes(n int64) int64 { return (n + 3) / 4 }

// framingTokens come after the last block of every prompt: even a prompt that is all
// cached has a little plain input.
const framingTokens = 3

// promptTokens estimates the whole prompt.
func (r *request) promptTokens() int64 {
	var size int64
	for _, b := range r.blocks {
		size += int64(len(b.canonical))
	}

	return tokensOfBytes(size) + framingTokens
}

// segments chains the blocks into prefixes, within one workspace and model.
func (r *request) segments(workspace, model string) []segment {
	last := -1
	for i, b := range r.blocks {
		if b.ttl > 0 {
			last = i
		}
	}
	key := prefixKey(sha256.Sum256([]byte(workspace + "\n" + model)))
	chain := sha256.New()
	segments := make([]segment, 0, last+1)
	var size int64
	for _, b := range r.blocks[:last+1] {
		chain.Reset()
		chain.Write(key[:])
		chain.Write(b.canonical)
		chain.Sum(key[:0])
		size += int64(len(b.canonical))
		segments = append(segments, segment{key: key, tokens: tokensOfBytes(size), ttl: b.ttl})
	}

	return segments
}
