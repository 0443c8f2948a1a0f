package anthropic

import (
	"tollbook/app/usage"
)

// The kinds of iterations a usage object may list.
const (
	stepMessage    = "message"
	stepCompaction = "compaction"
	stepAdvisor    = "advisor_message"
	stepFallback   = "fallback_message"
)

// step is one entry of usage.iterations.
type step struct {
	kind   string
	model  string
	tokens usage.Tokens
	split  bool // it divides its cache writes itself
}

// serves says whether the step is known to be part of the attempt that a model
// answered with, whose sum is the top level.
func (s step) serves(model string) bool {
	return attempt(s.kind) && (s.model == model || s.kind == stepFallback && s.model == "")
}

// iterations reads the list anew: it is cumulative like everything else.
func (m *meter) iterations(value []byte) {
	if null(value) {
		return
	}
	if value[0] != '[' {
		m.because(ReasonUsageMalformed)
		return
	}
	m.steps = m.steps[:0]
	for s := (scanner{b: value, i: 1}); ; {
		if c := s.space(); c == ']' || c == 0 {
			return
		} else if c == ',' {
			s.i++
			continue
		}
		entry, ok := s.value()
		if !ok || entry[0] != '{' {
			m.because(ReasonUsageMalformed)
			return
		}
		if len(m.steps) == maxSteps {
			m.because(ReasonUsageTooLong)
			return
		}
		m.steps = append(m.steps, m.step(entry))
	}
}

// step reads one entry with a meter of its own, since its fields are the same.
func (m *meter) step(entry []byte) step {
	own := meter{objects: 1}
	var s step
	for f := membersOf(entry); f.next(); {
		switch string(f.key) {
		case "type":
			s.kind = word(f.value)
		case "model":
			if text, ok := unquote(f.value); ok {
				s.model = usage.Clip(text, maxModel)
			}
		case "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation":
			own.field(f.key, f.value)
		default:
			own.doubt("", f.key, f.value)
		}
	}
	s.tokens[usage.ClassInput] = own.input.n
	s.tokens[usage.ClassOutput] = own.output.n
	s.tokens[usage.ClassCacheRead] = own.read.n
	five, hour, conflict := own.writes()
	s.tokens[usage.ClassCacheWrite5m], s.tokens[usage.ClassCacheWrite1h] = five, hour
	s.split = own.five.at+own.hour.at > 0 || own.written.n == 0
	if conflict {
		own.because(ReasonUsageConflict)
	}
	for _, reason := range own.reasons {
		m.because(reason)
	}
	for _, name := range own.unknown {
		m.note("iterations." + name)
	}
	return s
}

// settle lists the steps that are billed, or were free, beside the top level.
// Fallen says that a fallback model was tried; then what another model than the
// one that answered did is not in the top level.
func (m *meter) settle(c *usage.Counts, fallen bool, requested string) {
	left := c.Tokens
	for _, s := range m.steps {
		if fallen && s.serves(c.Model) {
			left = minus(left, s.tokens)
		}
	}
	for _, s := range m.steps {
		if attempt(s.kind) && (!fallen || s.serves(c.Model)) {
			continue // in the top level
		}
		silent := s.tokens[usage.ClassOutput] == 0
		if attempt(s.kind) && s.model == "" && !silent && within(s.tokens, left) {
			left = minus(left, s.tokens)
			continue // an earlier turn of the attempt that answered
		}
		if len(c.Iterations) == maxSurfaced {
			m.because(ReasonUsageTooLong)
			return
		}
		c.Iterations = append(c.Iterations, m.bill(s, c.Model, requested))
	}
}

// bill makes the iteration of a step outside the top level.
func (m *meter) bill(s step, served, requested string) usage.Iteration {
	billed := usage.Iteration{Kind: s.kind, Model: s.model, Tokens: s.tokens}
	switch s.kind {
	case stepMessage, stepFallback:
		// An attempt that was declined, which is free if it put out nothing.
		billed.Kind, billed.Free = stepFallback, s.tokens[usage.ClassOutput] == 0
		if s.model == "" && requested != served {
			billed.Model = requested
		}
	case stepCompaction:
		if s.model == "" {
			billed.Model = requested
		}
	case stepAdvisor:
	default:
		m.note("iterations." + s.kind)
	}
	if billed.Model == "" && !billed.Free {
		m.note("iterations.model")
	}
	return billed
}

func attempt(kind string) bool { return kind == stepMessage || kind == stepFallback }

// fallback says whether a fallback model was tried, and sets the model that
// served: the one whose steps make up the top level. A stream names the model it
// began with, which may since have declined.
func (m *meter) fallback(c *usage.Counts) bool {
	last := ""
	found := false
	for _, s := range m.steps {
		if s.kind == stepFallback {
			found, last = true, s.model
		}
	}
	if !found || last == "" || last == c.Model {
		return found
	}
	if m.sum(c.Model) == flat(c.Tokens) {
		return true // the listed fallback declined; the model named answered
	}
	if m.sum(last) != flat(c.Tokens) {
		m.because(ReasonUsageConflict)
	}
	c.Model = last
	return true
}

// flat is tokens with the cache writes in one class: where a total was split is
// not comparable.
func flat(t usage.Tokens) usage.Tokens {
	t[usage.ClassCacheWrite5m] += t[usage.ClassCacheWrite1h]
	t[usage.ClassCacheWrite1h] = 0
	return t
}

// sum is what all attempts of one model used, flat.
func (m *meter) sum(model string) usage.Tokens {
	var total usage.Tokens
	for _, s := range m.steps {
		if attempt(s.kind) && s.model == model {
			total = total.Plus(flat(s.tokens))
		}
	}
	return total
}

// served is the cache writes of one model's attempts by time to live, if they
// all tell.
func (m *meter) served(model string) (five, hour int64, found bool) {
	for _, s := range m.steps {
		if !s.serves(model) {
			continue
		}
		if !s.split {
			return 0, 0, false
		}
		found = true
		five += s.tokens[usage.ClassCacheWrite5m]
		hour += s.tokens[usage.ClassCacheWrite1h]
	}
	return five, hour, found
}

func minus(a, b usage.Tokens) usage.Tokens {
	for c := range a {
		a[c] -= b[c]
	}
	return a
}

// within says whether one attempt's tokens, which must be some, fit in what the
// top level has left.
func within(tokens, left usage.Tokens) bool {
	tokens, left = flat(tokens), flat(left)
	for c := range tokens {
		if tokens[c] > left[c] {
			return false
		}
	}
	return tokens != usage.Tokens{}
}
