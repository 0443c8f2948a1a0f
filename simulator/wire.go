package simulator

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
)

// usage is the provider's usage object. Pointers are members that come and go.
type usage struct {
	InputTokens         int64            `json:"input_tokens"`
	CacheCreationTokens int64            `json:"cache_creation_input_tokens"`
	CacheReadTokens     int64            `json:"cache_read_input_tokens"`
	CacheCreation       *cacheCreation   `json:"cache_creation,omitempty"`
	OutputTokens        int64            `json:"output_tokens"`
	OutputDetails       *outputDetails   `json:"output_tokens_details,omitempty"`
	ServerToolUse       *serverToolUse   `json:"server_tool_use,omitempty"`
	ServiceTier         string           `json:"service_tier,omitempty"`
	Speed               string           `json:"speed,omitempty"`
	InferenceGeo        string           `json:"inference_geo,omitempty"`
	Iterations          []usageIteration `json:"iterations,omitempty"`
	FallbackCredit      *fallbackCredit  `json:"fallback_credit,omitempty"`
	QuantumTokens       *int64           `json:"quantum_tokens,omitempty"` // knob unknown-field
}

type cacheCreation struct {
	Tokens5m int64 `json:"ephemeral_5m_input_tokens"`
	Tokens1h int64 `json:"ephemeral_1h_input_tokens"`
}

type outputDetails struct {
	ThinkingTokens int64 `json:"thinking_tokens"`
}

type serverToolUse struct {
	WebSearchRequests int64 `json:"web_search_requests"`
	WebFetchRequests  int64 `json:"web_fetch_requests"`
}

type usageIteration struct {
	Type                string         `json:"type"`
	Model               string         `json:"model"`
	InputTokens         int64          `json:"input_tokens"`
	OutputTokens        int64          `json:"output_tokens"`
	CacheCreationTokens int64          `json:"cache_creation_input_tokens"`
	CacheReadTokens     int64          `json:"cache_read_input_tokens"`
	CacheCreation       *cacheCreation `json:"cache_creation"`
}

// wireMessage is a message, whole or as message_start carries it.
type wireMessage struct {
	ID           string            `json:"id"`
	Type         string            `json:"type"`
	Role         string            `json:"role"`
	Model        string            `json:"model"`
	Content      []json.RawMessage `json:"content"`
	StopReason   *string           `json:"stop_reason"`
	StopSequence *string           `json:"stop_sequence"`
	StopDetails  *stopDetails      `json:"stop_details"`
	Usage        usage             `json:"usage"`
}

type stopDetails struct {
	Type        string  `json:"type"`
	Category    *string `json:"category"`
	Explanation string  `json:"explanation"`
}

type wireDelta struct {
	StopReason   string       `json:"stop_reason"`
	StopSequence *string      `json:"stop_sequence"`
	StopDetails  *stopDetails `json:"stop_details"`
}

type messageDelta struct {
	Type  string    `json:"type"`
	Delta wireDelta `json:"delta"`
	Usage *usage    `json:"usage,omitempty"`

	Padding string `json:"padding,omitempty"` // knob huge-final
}

type errorBody struct {
	Type      string      `json:"type"`
	Error     errorDetail `json:"error"`
	RequestID string      `json:"request_id,omitempty"`
}

type errorDetail struct {
	Type    string            `json:"type"`
	Message string            `json:"message"`
	Details map[string]string `json:"details,omitempty"`
}

// encode renders a content block: the whole of it, or as content_block_start shows
// it before its deltas.
func (b *replyBlock) encode(start bool, signature string) json.RawMessage {
	text := b.text
	if start || b.hidden {
		text = ""
	}
	var value any
	switch b.kind {
	case blockWhole:
		return json.RawMessage(b.text)
	case blockThinking:
		if start {
			signature = ""
		}
		value = struct {
			Type      string `json:"type"`
			Thinking  string `json:"thinking"`
			Signature string `json:"signature"`
		}{"thinking", text, signature}
	case blockToolUse, blockServerToolUse:
		kind := "tool_use"
		if b.kind == blockServerToolUse {
			kind = "server_tool_use"
		}
		input := json.RawMessage(`{}`)
		if !start {
			input = json.RawMessage(b.text)
		}
		value = struct {
			Type  string          `json:"type"`
			ID    string          `json:"id"`
			Name  string          `json:"name"`
			Input json.RawMessage `json:"input"`
		}{kind, b.id, b.name, input}
	case blockSearchResult:
		value = searchResultBlock(b.id)
	case blockText:
		value = struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}{"text", text}
	}

	return json.RawMessage(mustJSON(value))
}

func searchResultBlock(toolUseID string) any {
	type result struct {
		Type             string  `json:"type"`
		URL              string  `json:"url"`
		Title            string  `json:"title"`
		EncryptedContent string  `json:"encrypted_content"`
		PageAge          *string `json:"page_age"`
	}

	return struct {
		Type      string   `json:"type"`
		ToolUseID string   `json:"tool_use_id"`
		Content   []result `json:"content"`
	}{"web_search_tool_result", toolUseID, []result{{"web_search_result", "https://example.com/simulated", "A simulated page", "c2ltdWxhdGVk", nil}}}
}

// signatureOf looks like the opaque signature of a thinking block.
func signatureOf(seed uint64, digest [32]byte) string {
	raw := make([]byte, 0, 96)
	for i := range uint64(8) {
		raw = binary.BigEndian.AppendUint64(raw, mix(seed+i))
	}

	return base64.StdEncoding.EncodeToString(append(raw, digest[:]...))
}

// appendEvent renders one SSE frame. body is one line of JSON.
func appendEvent(frames []byte, event string, body []byte) []byte {
	frames = append(frames, "event: "...)
	frames = append(frames, event...)
	frames = append(frames, "\ndata: "...)
	frames = append(frames, body...)

	return append(frames, "\n\n"...)
}

// appendDelta renders one content_block_delta without reflection: streams are long.
func appendDelta(frames []byte, index int, kind, member, text string) []byte {
	frames = append(frames, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":"...)
	frames = appendInt(frames, index)
	frames = append(frames, `,"delta":{"type":"`...)
	frames = append(frames, kind...)
	frames = append(frames, `","`...)
	frames = append(frames, member...)
	frames = append(frames, `":`...)
	frames = appendJSONString(frames, text)

	return append(frames, "}}\n\n"...)
}

func appendInt(to []byte, n int) []byte {
	if n > 9 {
		to = appendInt(to, n/10)
	}

	return append(to, byte('0'+n%10))
}

// appendJSONString leaves < and > alone, as the provider does.
func appendJSONString(to []byte, text string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return append(to, `""`...) // cannot happen: a string always encodes
	}

	return append(to, bytes.TrimRight(b.Bytes(), "\n")...)
}
