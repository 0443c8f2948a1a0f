package simulator

import (
	"bytes"
	"strings"
)

// garbleNames are the events of knob garble. All but short-data stand beside the
// answer's own events, so that a reader who survives them reads the same answer.
func garbleNames() []string {
	return []string{
		"bad-json", "wrong-type", "wrong-name", "bad-utf8", "short-data", "huge", "comment",
		"unknown-event", "unknown-delta", "unknown-block",
	}
}

// garbled renders one garbled event. index is the open block's; next is free.
func garbled(name string, index, next int) []byte {
	event := func(kind, body string) []byte { return appendEvent(nil, kind, []byte(body)) }
	at := string(appendInt(nil, index))
	switch name {
	case "bad-json":
		return event("content_block_delta", `{"type":"content_block_delta","index":`+at+`,"delta":{"type":"text_delta","text":"half`)
	case "wrong-type":
		return event("message_delta", `{"type":"message_delta","delta":[],"usage":{"output_tokens":"many","input_tokens":-1.5}}`)
	case "wrong-name":
		return event("ping", `{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":1}}`)
	case "bad-utf8":
		return event("content_block_delta", `{"type":"content_block_delta","index":`+at+`,"delta":{"type":"text_delta","text":"`+"\xff"+`"}}`)
	case "short-data": // no blank line: it runs into the next event and spoils that one too
		return []byte("event: content_block_delta\ndata: {\"type\":\"content_bl\n")
	case "huge":
		return event("quantum_bulk", `{"type":"quantum_bulk","padding":"`+strings.Repeat("x", hugeEventBytes)+`"}`)
	case "comment":
		return []byte(": keep-alive\n\n")
	case "unknown-event":
		return event("quantum_update", `{"type":"quantum_update","usage":{"output_tokens":999999}}`)
	case "unknown-delta":
		return event("content_block_delta", `{"type":"content_block_delta","index":`+at+`,"delta":{"type":"quantum_delta","quantum":"x"}}`)
	default: // unknown-block
		at = string(appendInt(nil, next))

		return bytes.Join([][]byte{
			event("content_block_start", `{"type":"content_block_start","index":`+at+`,"content_block":{"type":"quantum_block","quantum":""}}`),
			event("content_block_delta", `{"type":"content_block_delta","index":`+at+`,"delta":{"type":"quantum_delta","quantum":"x"}}`),
			event("content_block_stop", `{"type":"content_block_stop","index":`+at+`}`),
		}, nil)
	}
}

// reshape writes a frame the way knobs crlf and split-data ask for: the same event
// to everyone who reads server-sent events by their standard.
func (k *knobs) reshape(frame []byte) []byte {
	if k.splitData {
		frame = bytes.ReplaceAll(frame, []byte("data: {\""), []byte("data: {\ndata: \""))
		if body, whole := bytes.CutSuffix(frame, []byte("}\n\n")); whole {
			frame = append(bytes.Clone(body), "\ndata: }\n\n"...)
		}
	}
	if k.crlf {
		frame = bytes.ReplaceAll(frame, []byte("\n"), []byte("\r\n"))
	}

	return frame
}

// garbleWhole spoils an answer that is not streamed, with those garbles that mean
// something there: it ends in the middle, has a byte that is no text, counts in words
// or holds a block from the future.
func (k *knobs) garbleWhole(body string) string {
	for _, name := range k.garbles {
		switch name {
		case "bad-json", "short-data":
			body = body[:len(body)/2]
		case "bad-utf8":
			body = strings.Replace(body, `"content":[`, `"content":[{"type":"text","text":"`+"\xff"+`"},`, 1)
		case "wrong-type":
			body = strings.Replace(body, `"output_tokens":`, `"output_tokens":"many","was":`, 1)
		case "unknown-block":
			body = strings.Replace(body, `"content":[`, `"content":[{"type":"quantum_block","quantum":""},`, 1)
		}
	}

	return body
}
