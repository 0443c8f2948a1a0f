package anthropic

import (
	"math"
	"strconv"

	"tollbook/app/fault"
)

// Bounds of what is kept of a request's strings, in bytes.
const (
	maxModel = 256
	maxWord  = 64
)

// Request is what the gateway reads of a request body. Values the provider
// would refuse (a number for speed, say) are left at their zero: refusing them
// is the provider's business.
type Request struct {
	Model string
	// ModelStart and ModelEnd bound the model's string in the body, quotes
	// included, for a splice.
	ModelStart, ModelEnd int
	Stream               bool
	MaxTokens            int64 // tokens; 0 if absent
	Speed                string
	ServiceTier          string
	InferenceGeo         string
	// HasThread says the history is on the provider's side: the body's size says
	// nothing about its tokens then.
	HasThread bool
}

// ScanRequest reads the top-level keys of a request body in one pass. It fails
// with a *fault.Fault: body_syntax when the body is no JSON object,
// body_duplicate_model when it names a model twice (parsers differ on which
// counts, and the price hangs on it), model_missing, or model_length.
func ScanRequest(body []byte) (Request, error) {
	var r Request
	m := membersOf(body)
	for m.next() {
		if err := r.read(&m); err != nil {
			return Request{}, err
		}
	}
	if m.broken {
		return Request{}, syntax(m.i)
	}
	if m.space() != 0 || m.i < len(body) {
		return Request{}, syntax(m.i)
	}
	if r.Model == "" {
		return Request{}, fault.Invalid("model", "model_missing", "The request body must name a model.")
	}
	return r, nil
}

// read takes one top-level member.
func (r *Request) read(m *members) error {
	switch string(m.key) {
	case "model":
		return r.readModel(m)
	case "stream":
		r.Stream = string(m.value) == "true"
	case "max_tokens":
		r.MaxTokens = tokens(m.value)
	case "speed":
		r.Speed = word(m.value)
	case "service_tier":
		r.ServiceTier = word(m.value)
	case "inference_geo":
		r.InferenceGeo = word(m.value)
	case "thread":
		r.HasThread = !null(m.value)
	}
	return nil
}

func (r *Request) readModel(m *members) error {
	if r.ModelEnd > 0 {
		return fault.Invalid("model", "body_duplicate_model", "The request body names a model twice; name one.")
	}
	r.ModelStart, r.ModelEnd = m.i-len(m.value), m.i
	if len(m.value) > maxModel {
		return fault.Invalid("model", "model_length", "A model's name has at most %d bytes.", maxModel-2)
	}
	if m.value[0] != '"' {
		return fault.Invalid("model", "model_missing", "The request body must name a model, as a string.")
	}
	name, ok := unquote(m.value)
	if !ok {
		return syntax(r.ModelStart)
	}
	r.Model = name
	return nil
}

func syntax(at int) error {
	return fault.Invalid("body", "body_syntax", "The request body must be one JSON object; it stops being one at byte %d.", at)
}

// word decodes a short string; anything else is empty.
func word(value []byte) string {
	if len(value) > maxWord+2 {
		return ""
	}
	text, _ := unquote(value)
	return text
}

// tokens reads a count a client asked for, in any of JSON's spellings; what is
// no whole number is 0.
func tokens(value []byte) int64 {
	if n, ok := count(value); ok {
		return n
	}
	if len(value) > 32 || value[0] < '0' || value[0] > '9' {
		return 0
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || f != math.Trunc(f) || f > maxCount {
		return 0
	}
	return int64(f)
}
