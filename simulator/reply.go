package simulator

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// reply is a finished answer; how it travels (stream or whole) is decided later.
type reply struct {
	blocks     []replyBlock
	stopReason string
	searches   int64
}

type blockKind int

const (
	blockText blockKind = iota
	blockThinking
	blockToolUse
	blockServerToolUse
	blockSearchResult
	blockWhole // text is the block's JSON; the server's own words
)

// replyBlock is one content block. text is the text, the thinking or the tool's
// input as JSON.
type replyBlock struct {
	kind     blockKind
	id, name string
	text     string
	hidden   bool // thinking that is produced and billed but not shown
}

// size is what the block counts for in output tokens, bytes.
func (b *replyBlock) size() int64 {
	if b.kind == blockSearchResult || b.kind == blockWhole {
		return 0 // the server's, not the model's
	}

	return int64(len(b.name) + len(b.text))
}

func (r *reply) size() int64 {
	var n int64
	for i := range r.blocks {
		n += r.blocks[i].size()
	}

	return n
}

func (r *reply) thinkingTokens() int64 {
	for i := range r.blocks {
		if r.blocks[i].kind == blockThinking {
			return tokensOfBytes(r.blocks[i].size())
		}
	}

	return 0
}

// author writes replies. Its patterns are compiled once.
type author struct {
	seed     uint64
	command  *regexp.Regexp
	useTool  *regexp.Regexp
	reminder *regexp.Regexp
	knob     *regexp.Regexp
	words    []string
}

func newAuthor(seed uint64) *author {
	return &author{
		seed:     seed,
		command:  regexp.MustCompile("(?i)\\brun:?[ \\t]+(?:`([^`\\n]+)`|([^\\n]+))"),
		useTool:  regexp.MustCompile(`(?i)\buse tool ([A-Za-z0-9_.-]+)`),
		reminder: regexp.MustCompile(`(?s)<system-reminder>.*?</system-reminder>`),
		knob:     regexp.MustCompile(`\[\[[^\]]*\]\]`),
		words: strings.Fields(`the ledger keeps every charge with its reason and a month closes when each
			figure can be walked back to what was asked so this answer is made from a seed and says little
			on purpose while its length and its cost are known before it starts`),
	}
}

// turn is the last word of the person: the texts of the last user message that is
// not only tool results, last block first, without what the client wrapped around.
type turn struct {
	texts      []string
	raw        string // all texts as they came, where knobs are looked for
	toolResult string // what the last message's tool printed
	hasResult  bool
}

func (a *author) readTurn(r *request) turn {
	var t turn
	last := len(r.messages) - 1
	for last > 0 && r.messages[last].role == "system" {
		last-- // Claude Code puts system messages after the person's
	}
	for _, b := range r.messages[last].blocks {
		if b.kind == "tool_result" {
			t.hasResult = true
			t.toolResult = contentText(b.content)
		}
	}
	for i := last; i >= 0; i-- {
		m := &r.messages[i]
		if m.role != "user" {
			continue
		}
		var raw []string
		for _, block := range slices.Backward(m.blocks) {
			if block.kind == "text" {
				raw = append(raw, block.text)
			}
		}
		if len(raw) == 0 {
			continue
		}
		t.raw = strings.Join(raw, "\n")
		for _, text := range raw {
			if text = strings.TrimSpace(a.reminder.ReplaceAllString(text, "")); text != "" {
				t.texts = append(t.texts, text)
			}
		}
		if len(t.texts) > 0 || !onlyResults(m) {
			return t
		}
	}

	return t
}

// onlyResults: a message of tool results stays one when the client adds reminders.
func onlyResults(m *message) bool {
	for _, b := range m.blocks {
		if b.kind == "tool_result" {
			return true
		}
	}

	return false
}

// contentText is the text of a tool result, which is a string or a list of blocks.
func contentText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var blocks []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &blocks) != nil {
		return ""
	}
	parts := make([]string, 0, len(blocks))
	for _, b := range blocks {
		parts = append(parts, b.Text)
	}

	return strings.Join(parts, "\n")
}

// refuseWord in a prompt asks for a refusal before any output.
const refuseWord = "[[refuse]]"

// write makes the reply to a request. serial makes tool ids unique.
func (a *author) write(r *request, t turn, k *knobs, serial uint64) reply {
	rng := rand.New(rand.NewPCG(a.seed, uint64FromDigest(r.digest)))
	if strings.Contains(t.raw, refuseWord) && k.fallback == "" {
		return reply{stopReason: "refusal"}
	}
	if r.maxTokens == 0 {
		return reply{stopReason: "max_tokens"} // pre-warms the cache
	}
	var out reply
	out.stopReason = "end_turn"
	if r.thinking && r.maxTokens >= 64 {
		out.blocks = append(out.blocks, replyBlock{kind: blockThinking, text: a.prose(rng, 8+rng.IntN(16)), hidden: !r.showThinking})
	}
	if uses := a.toolUses(r, t); len(uses) > 0 {
		for i, use := range uses {
			id := toolID(a.seed+uint64(i), serial) // the serial alone would give all uses of one reply the same
			out.blocks = append(out.blocks, replyBlock{kind: blockToolUse, id: id, name: use.name, text: use.input})
		}
		out.stopReason = "tool_use"

		return out
	}
	if query, found := a.searchQuery(r, t); found {
		out.searches = 1
		id := "srv" + toolID(a.seed, serial)
		out.blocks = append(out.blocks,
			replyBlock{kind: blockServerToolUse, id: id, name: "web_search", text: mustJSON(map[string]string{"query": query})},
			replyBlock{kind: blockSearchResult, id: id})
	}
	text := a.text(r, t, k, rng)
	if limit := 4*r.maxTokens - out.size(); int64(len(text)) > limit && limit > 0 {
		text = cutText(text, int(limit))
		out.stopReason = "max_tokens"
	}
	out.blocks = append(out.blocks, replyBlock{kind: blockText, text: text})
	if k.refuseLate {
		out.stopReason = "refusal"
	}

	return out
}

// toolUse is a tool's name and its input as JSON.
type toolUse struct{ name, input string }

// toolUses decides whether the reply is tools' use and of which: what the prompt
// asks for first wins.
func (a *author) toolUses(r *request, t turn) []toolUse {
	if t.hasResult || r.noTools {
		return nil
	}
	for _, text := range t.texts {
		text = a.knob.ReplaceAllString(text, "")
		command, named := a.command.FindStringSubmatchIndex(text), a.useTool.FindStringIndex(text)
		if uses := a.namedUses(r, text); len(uses) > 0 && (command == nil || named[0] < command[0] || !r.offers("Bash")) {
			return uses
		}
		if command != nil && r.offers("Bash") {
			m := a.command.FindStringSubmatch(text)
			words := strings.TrimSpace(m[1] + m[2])

			return []toolUse{{"Bash", mustJSON(map[string]string{"command": words, "description": "Run " + cutText(words, 60)})}}
		}
	}
	for _, candidate := range r.tools {
		if candidate.name == r.forcedTool && r.forcedTool != "" && !candidate.isServer() {
			return []toolUse{{candidate.name, minimalJSON(candidate.schema)}}
		}
	}

	return nil
}

// namedUses reads every "use tool <name> [<input>]" of a text, at most maxToolUses. An
// input is skipped whole, so that the prompt of a subagent may ask for tools itself.
func (a *author) namedUses(r *request, text string) []toolUse {
	var uses []toolUse
	for len(uses) < maxToolUses {
		m := a.useTool.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		made := toolUse{text[m[2]:m[3]], "{}"}
		text = text[m[1]:]
		var input json.RawMessage
		decoder := json.NewDecoder(strings.NewReader(text))
		if strings.HasPrefix(strings.TrimLeft(text, " \t"), "{") && decoder.Decode(&input) == nil {
			made.input = string(input)
			text = text[decoder.InputOffset():]
		}
		if r.offers(made.name) {
			uses = append(uses, made)
		}
	}

	return uses
}

func (r *request) offers(name string) bool {
	for _, t := range r.tools {
		if t.name == name && !t.isServer() {
			return true
		}
	}

	return false
}

func (t *tool) isServer() bool { return strings.HasPrefix(t.kind, "web_") }

// searchQuery asks for one web search when the tool is there and the prompt says so.
func (a *author) searchQuery(r *request, t turn) (string, bool) {
	offered := false
	for _, candidate := range r.tools {
		offered = offered || strings.HasPrefix(candidate.kind, "web_search")
	}
	if !offered || r.noTools {
		return "", false
	}
	for _, text := range t.texts {
		if strings.Contains(strings.ToLower(text), "search") {
			return cutText(text, 120), true
		}
	}

	return "", false
}

// text is the visible answer, in the shape the knobs ask for.
func (a *author) text(r *request, t turn, k *knobs, rng *rand.Rand) string {
	var text string
	switch {
	case r.schema != nil:
		return minimalJSON(r.schema)
	case t.hasResult:
		text = "The command printed: " + cutText(t.toolResult, maxQuotedBytes)
	default:
		text = a.prose(rng, 12+rng.IntN(40))
	}
	if k.textBytes != unset {
		var long strings.Builder
		long.WriteString(text)
		for long.Len() < k.textBytes {
			long.WriteByte(' ')
			long.WriteString(a.prose(rng, min(4096, 1+k.textBytes/4)))
		}

		return cutText(long.String(), k.textBytes)
	}
	if k.deltas != unset && len(text) < 4*k.deltas {
		text += " " + a.prose(rng, k.deltas)
	}

	return text
}

func (a *author) prose(rng *rand.Rand, words int) string {
	var b strings.Builder
	for range words {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(a.words[rng.IntN(len(a.words))])
	}

	return b.String()
}

// cutText keeps at most n bytes and no half rune.
func cutText(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}

	return text[:n]
}

// minimalJSON makes the smallest value that fits a JSON schema.
func minimalJSON(schema json.RawMessage) string {
	var root map[string]any
	if json.Unmarshal(schema, &root) != nil {
		return "{}"
	}

	return mustJSON(minimalValue(root, root, "", 0))
}

func minimalValue(root, schema map[string]any, name string, depth int) any {
	if depth > maxSchemaDepth {
		return nil
	}
	if ref, ok := schema["$ref"].(string); ok {
		return minimalValue(root, resolveRef(root, ref), name, depth+1)
	}
	if value, found := schema["const"]; found {
		return value
	}
	for _, key := range []string{"enum", "anyOf", "oneOf", "allOf"} {
		options, _ := schema[key].([]any)
		if len(options) == 0 {
			continue
		}
		if inner, ok := options[0].(map[string]any); ok && key != "enum" {
			return minimalValue(root, inner, name, depth+1)
		}

		return options[0]
	}

	return minimalOfType(root, schema, name, depth)
}

func minimalOfType(root, schema map[string]any, name string, depth int) any {
	kind, _ := schema["type"].(string)
	if kinds, ok := schema["type"].([]any); ok && len(kinds) > 0 {
		kind, _ = kinds[0].(string)
	}
	properties, _ := schema["properties"].(map[string]any)
	switch {
	case kind == "object" || properties != nil:
		return minimalObject(root, schema, properties, depth)
	case kind == "array":
		items, _ := schema["items"].(map[string]any)
		least, _ := schema["minItems"].(float64)
		values := []any{}
		for range min(int(least), maxSchemaDepth) {
			values = append(values, minimalValue(root, items, name, depth+1))
		}

		return values
	case kind == "integer" || kind == "number":
		if least, found := schema["minimum"]; found {
			return least
		}

		return 0
	case kind == "boolean":
		return false
	case kind == "null":
		return nil
	default:
		return "Simulated " + name
	}
}

func minimalObject(root, schema, properties map[string]any, depth int) any {
	value := map[string]any{}
	required, listed := schema["required"].([]any)
	for name, raw := range properties {
		wanted := !listed
		for _, r := range required {
			wanted = wanted || r == name
		}
		if inner, ok := raw.(map[string]any); ok && wanted {
			value[name] = minimalValue(root, inner, name, depth+1)
		}
	}

	return value
}

// resolveRef follows "#/$defs/name"; anything else resolves to no constraint.
func resolveRef(root map[string]any, ref string) map[string]any {
	current := root
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		next, ok := current[part].(map[string]any)
		if !ok {
			return map[string]any{}
		}
		current = next
	}

	return current
}

// mustJSON encodes what cannot fail: strings, and values that were JSON before.
func mustJSON(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("simulator: encode %T: %v", value, err))
	}

	return string(raw)
}
