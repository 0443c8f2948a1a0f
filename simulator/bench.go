package simulator

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// wantsBench looks for the knob before anything is parsed: it is what makes the
// simulator cheap enough to be a benchmark's upstream.
func wantsBench(r *http.Request) bool {
	words := r.Header.Get("x-sim-fault")

	return words == "bench" || strings.HasPrefix(words, "bench,")
}

// serveBench answers from a template. Nothing is parsed, cached or booked; only the
// counters know. It obeys deltas, delta-ms, text-bytes and first-byte-ms.
func (ex *exchange) serveBench() {
	if err := ex.knobs.parse(strings.TrimPrefix(ex.http.Header.Get("x-sim-fault"), "bench")); err != nil {
		ex.fail(invalid("%s", err))

		return
	}
	s := ex.sim
	buf := s.takeBuffer()
	defer s.returnBuffer(buf)
	if problem := readBody(ex.w, ex.http, buf); problem != nil {
		ex.fail(problem)

		return
	}
	if !pause(ex.http.Context(), ex.knobs.firstByte()) {
		return
	}
	model := scanModel(*buf)
	input := tokensOfBytes(int64(len(*buf)))
	deltas := max(1, ex.knobs.deltas)
	output := int64(deltas) * 2
	piece := strings.Repeat("word ", max(1, ex.knobs.textBytes/deltas/5))
	s.bench.requests.Add(1)
	s.bench.input.Add(input)
	s.bench.output.Add(output)
	s.setRates(ex.w.Header())
	usage := fmt.Sprintf(`"input_tokens":%d,"cache_creation_input_tokens":0,"cache_read_input_tokens":0`, input)
	if bytes.Contains(*buf, []byte(`"stream":true`)) {
		ex.streamBench(model, usage, piece, deltas, output)

		return
	}
	id := makeID("msg_", s.seed, ex.serial)
	body := fmt.Sprintf(`{"id":"%s","type":"message","role":"assistant","model":"%s","content":[{"type":"text","text":"%s"}],`+
		`"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"usage":{%s,"cache_creation":{"ephemeral_5m_input_tokens":0,`+
		`"ephemeral_1h_input_tokens":0},"output_tokens":%d,"service_tier":"standard","inference_geo":"global"}}`,
		id, model, strings.Repeat(piece, deltas), usage, output)
	ex.w.Header().Set("Content-Type", "application/json")
	ex.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = io.WriteString(ex.w, body) // the client's loss
}

func (ex *exchange) streamBench(model, usage, piece string, deltas int, output int64) {
	h := ex.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	rc := http.NewResponseController(ex.w)
	id := makeID("msg_", ex.sim.seed, ex.serial)
	head := fmt.Sprintf(`{"type":"message_start","message":{"id":"%s","type":"message","role":"assistant","model":"%s","content":[],`+
		`"stop_reason":null,"stop_sequence":null,"stop_details":null,"usage":{%s,"cache_creation":{"ephemeral_5m_input_tokens":0,`+
		`"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard","inference_geo":"global"}}}`, id, model, usage)
	delta := appendDelta(nil, 0, "text_delta", "text", piece)
	tail := fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{%s,"output_tokens":%d}}`, usage, output)
	send := func(frame []byte) bool {
		_, err := ex.w.Write(frame)

		return err == nil && rc.Flush() == nil
	}
	ok := send(appendEvent(nil, "message_start", []byte(head))) &&
		send(appendEvent(nil, "content_block_start", []byte(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`))) &&
		send(appendEvent(nil, "ping", []byte(`{"type":"ping"}`)))
	for i := 0; ok && i < deltas; i++ {
		ok = (i == 0 || ex.knobs.deltaMs == 0 || pause(ex.http.Context(), time.Duration(ex.knobs.deltaMs)*time.Millisecond)) && send(delta)
	}
	_ = ok &&
		send(appendEvent(nil, "content_block_stop", []byte(`{"type":"content_block_stop","index":0}`))) &&
		send(appendEvent(nil, "message_delta", []byte(tail))) &&
		send(appendEvent(nil, "message_stop", []byte(`{"type":"message_stop"}`)))
}

// scanModel finds the model without decoding; bench bodies are our own.
func scanModel(body []byte) string {
	_, rest, found := bytes.Cut(body, []byte(`"model":"`))
	model, _, closed := bytes.Cut(rest, []byte(`"`))
	if !found || !closed || len(model) > maxModelBytes || bytes.ContainsAny(model, "\\") {
		return "claude-opus-5-5"
	}

	return string(model)
}
