package anthropic

import (
	"slices"

	"tollbook/app/usage"
)

// ParseMessage meters a plain JSON response. It never fails: what it could not
// read is a reason in Incomplete.
func ParseMessage(body []byte) Metered {
	var r reading
	kind := ""
	m := membersOf(body)
	for m.next() {
		switch string(m.key) {
		case "type":
			kind = word(m.value)
		case "error":
			r.errorType = typeOf(m.value)
		case "usage":
			r.finished = r.meter.usage(m.value)
		default:
			r.message(m.key, m.value)
		}
	}
	if m.broken || m.space() != 0 || m.i < len(body) {
		r.meter.because(ReasonBodyMalformed)
	}
	r.started = kind == "message" || r.finished
	if kind == "error" {
		r.meter.because(ReasonStreamError)
	}
	return r.metered()
}

// reading is what was read of one response, plain or streamed.
type reading struct {
	meter       meter
	id          string
	model       string // as last stated
	requested   string // as first stated
	stop        string
	content     bool // some output was seen
	started     bool
	counted     bool // a delta stated output_tokens
	finished    bool
	outputBytes int64
	errorType   string
}

// message takes one member of a message object, its usage apart.
func (r *reading) message(key, value []byte) {
	switch string(key) {
	case "id":
		if text, ok := unquote(value); ok {
			r.id = usage.Clip(text, 2*maxWord)
		}
	case "model":
		r.serve(value)
	case "stop_reason":
		if text := word(value); text != "" {
			r.stop = usage.Clip(text, maxWord)
		}
	case "content":
		s := scanner{b: value, i: 1}
		r.content = r.content || !null(value) && s.space() != ']'
	}
}

// serve takes the name of the model that answers.
func (r *reading) serve(value []byte) {
	text, ok := unquote(value)
	if !ok || text == "" {
		return
	}
	r.model = usage.Clip(text, maxModel)
	if r.requested == "" {
		r.requested = r.model
	}
}

// typeOf is the "type" of an object, empty if there is none.
func typeOf(object []byte) string {
	kind := ""
	for m := membersOf(object); m.next(); {
		if string(m.key) == "type" {
			kind = usage.Clip(word(m.value), maxWord)
		}
	}
	return kind
}

// metered sums up. It works on a copy: what contradicts itself in the middle of
// a stream may agree at its end.
func (r *reading) metered() Metered {
	m := r.meter
	m.reasons, m.unknown = slices.Clip(m.reasons), slices.Clip(m.unknown)
	out := Metered{
		MessageID: r.id, StopReason: r.stop, ErrorType: r.errorType,
		Started: r.started, Finished: r.finished, OutputBytes: r.outputBytes,
		Counts: m.counts(r.model, r.requested),
	}
	if len(m.raw) > 0 {
		out.RawUsage = append([]byte(nil), m.raw...)
	}
	if r.stop == "refusal" && !r.content && r.finished && m.output.n == 0 {
		billed := slices.ContainsFunc(out.Counts.Iterations, func(i usage.Iteration) bool { return !i.Free })
		out.Counts.Free = !billed
		if billed {
			// Nothing says whether a step before a free refusal is free too.
			m.because(ReasonRefusalBilled)
		}
	}
	if !r.started {
		m.because(ReasonNoMessageStart)
	}
	if !r.finished {
		m.because(ReasonNoFinalUsage)
	}
	if len(m.reasons) > 0 {
		out.Incomplete = slices.Clone(m.reasons)
	}
	return out
}
