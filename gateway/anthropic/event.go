package anthropic

import (
	"bytes"
	"encoding/json"
)

// kind is the type of the event whose data is kept: the data's own word for it,
// else the event's name; empty when the data is no JSON object.
func (t *Tap) kind() string {
	if bytes.IndexByte(t.data, '{') < 0 || !json.Valid(t.data) {
		return ""
	}
	if kind := typeOf(t.data); kind != "" {
		return kind
	}
	return string(t.name[:t.nameLen])
}

// event reads a whole event.
func (t *Tap) event() {
	r := &t.reading
	switch t.mode {
	case modeSniff, modeSkip:
	case modeDelta:
		r.output(t.data, t.total)
	case modeBlock:
		r.content = true // a long one is a tool's result, not what is looked for
		if t.total == int64(len(t.data)) && t.kind() == "content_block_start" {
			r.block(t.data)
		}
	case modeKeep:
		t.kept()
	}
}

// kept reads an event that may carry usage.
func (t *Tap) kept() {
	r := &t.reading
	switch t.kind() {
	case "":
		t.garbage()
	case "message_start":
		r.start(t.data)
	case "message_delta":
		r.delta(t.data)
	case "message_stop":
		t.stop()
	case "content_block_start":
		r.content = true
		r.block(t.data)
	case "content_block_delta":
		r.output(t.data, t.total)
	case "error":
		r.fail(t.data)
	case "content_block_stop", "ping":
	default:
		// A kind of event that is not known is passed on like any other; should it
		// carry usage, the price is not final.
		if object := find(t.data, "usage"); len(object) > 0 && numeric(object) {
			r.meter.note("event.usage")
		}
	}
}

// garbage notes an event that is no JSON if it would have carried usage.
func (t *Tap) garbage() {
	name := string(t.name[:t.nameLen])
	for _, kind := range []string{"message_start", "message_delta"} {
		if name == kind || bytes.HasPrefix(t.data, []byte(`{"type":"`+kind+`"`)) {
			t.reading.meter.because(ReasonEventMalformed)
		}
	}
	if name == "error" || bytes.HasPrefix(t.data, []byte(`{"type":"error"`)) {
		t.reading.meter.because(ReasonStreamError)
	}
}

// find returns the value of one member of an object, nil if there is none.
func find(object []byte, key string) []byte {
	var value []byte
	for m := membersOf(object); m.next(); {
		if string(m.key) == key {
			value = m.value
		}
	}
	return value
}

func (r *reading) start(event []byte) {
	if r.started {
		r.meter.because(ReasonMessageRepeated)
		return
	}
	message := find(event, "message")
	if len(message) == 0 || message[0] != '{' {
		r.meter.because(ReasonEventMalformed)
		return
	}
	r.started = true
	for m := membersOf(message); m.next(); {
		if string(m.key) == "usage" {
			r.meter.usage(m.value)
			continue
		}
		r.message(m.key, m.value)
	}
}

func (r *reading) delta(event []byte) {
	final := false
	for m := membersOf(event); m.next(); {
		switch string(m.key) {
		case "usage":
			final = r.meter.usage(m.value)
		case "delta":
			if stop := find(m.value, "stop_reason"); len(stop) > 0 {
				r.message([]byte("stop_reason"), stop)
			}
		}
	}
	r.counted = r.counted || final
	// A later delta may follow one that does not say why it stopped.
	r.finished = r.finished || r.counted && r.stop != ""
}

// end is message_stop: what was counted is final now.
func (r *reading) end() { r.finished = r.finished || r.counted }

// block is the start of a content block: it may be the mark where another model
// took over.
func (r *reading) block(event []byte) {
	block := find(event, "content_block")
	if typeOf(block) != "fallback" {
		return
	}
	if to := find(find(block, "to"), "model"); len(to) > 0 {
		r.serve(to)
	}
}

// output counts what a delta of total bytes adds to the answer; event is all of
// it, or its beginning. There are hundreds of these in a stream.
func (r *reading) output(event []byte, total int64) {
	r.content = true
	if total > int64(len(event)) {
		r.long(event, total)
		return
	}
	if text, ok := usual(event); ok {
		r.outputBytes += decodedLen(text)
		return
	}
	for m := membersOf(find(event, "delta")); m.next(); {
		switch string(m.key) {
		case "text", "partial_json", "thinking":
			r.outputBytes += decodedLen(m.value)
		}
	}
}

// usual finds the quoted text of a delta that is spelled as the provider does:
// {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"…"}}.
func usual(event []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(event, []byte(`{"type":"content_block_delta","index":`))
	if !ok {
		return nil, false
	}
	for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
		rest = rest[1:]
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`,"delta":{"type":"`)); !ok {
		return nil, false
	}
	for _, spelling := range [...]string{`text_delta","text":`, `input_json_delta","partial_json":`, `thinking_delta","thinking":`} {
		if len(rest) > len(spelling) && string(rest[:len(spelling)]) == spelling && rest[len(spelling)] == '"' {
			s := scanner{b: rest, i: len(spelling)}
			_, ok := s.text()
			return rest[len(spelling):s.i], ok && string(rest[s.i:]) == "}}"
		}
	}
	return nil, false
}

// long takes a delta of which only the beginning was kept. If that is text,
// nearly all of it is.
func (r *reading) long(beginning []byte, total int64) {
	const around = 4 * maxSniff // about what a delta is beside its text, and more
	for _, kind := range [...]string{`"text_delta"`, `"input_json_delta"`, `"thinking_delta"`} {
		if bytes.Contains(beginning[:around], []byte(kind)) {
			r.outputBytes += total - around
			return
		}
	}
}

// decodedLen is how many bytes a quoted JSON string stands for, but that every
// \u counts as two: \u00e9 is two in UTF-8, \u4e2d three, a pair of them four.
func decodedLen(quoted []byte) int64 {
	if len(quoted) < 2 || quoted[0] != '"' {
		return 0
	}
	inner := quoted[1 : len(quoted)-1]
	n := len(inner)
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 || i+1 >= len(inner) {
			return int64(n)
		}
		n--
		if inner[i+1] == 'u' {
			n -= 3
		}
		inner = inner[i+2:]
	}
}

func (r *reading) fail(event []byte) {
	r.errorType = typeOf(find(event, "error"))
	r.meter.because(ReasonStreamError)
}
