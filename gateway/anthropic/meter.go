package anthropic

import (
	"bytes"
	"slices"

	"tollbook/app/usage"
)

// Bounds of what one response may leave behind.
const (
	maxCount    = 1 << 53 // beyond it JSON numbers are no longer exact
	maxRaw      = 16 << 10
	maxUnknown  = 8
	maxSteps    = 256
	maxSurfaced = 64 // billed steps handed on
)

// tally is a count and when it was last stated: 0 never, else the number of the
// usage object it came in.
type tally struct {
	n  int64
	at int
}

// meter gathers what the usage objects of one response say.
type meter struct {
	objects                                  int // usage objects read
	input, output, read, written, five, hour tally
	searches                                 tally
	speed, geography, tier                   string
	redeemed                                 bool // a fallback credit
	steps                                    []step
	unknown                                  []string
	raw, spare                               []byte
	reasons                                  []string
}

func (m *meter) reset() {
	*m = meter{
		steps: m.steps[:0], unknown: m.unknown[:0], reasons: m.reasons[:0],
		raw: m.raw[:0], spare: m.spare[:0],
	}
}

// because notes a reason once.
func (m *meter) because(reason string) {
	if !slices.Contains(m.reasons, reason) {
		m.reasons = append(m.reasons, reason)
	}
}

// usage reads one usage object; null says nothing. It tells whether the object
// stated output_tokens, which makes it a final one where it is cumulative.
func (m *meter) usage(object []byte) bool {
	if len(object) == 0 || null(object) {
		return false
	}
	if object[0] != '{' {
		m.because(ReasonUsageMalformed)
		return false
	}
	m.objects++
	f := membersOf(object)
	for f.next() {
		m.field(f.key, f.value)
	}
	m.readWhole(&f)
	m.overlay(object)
	return m.output.at == m.objects
}

func (m *meter) field(key, value []byte) {
	switch string(key) {
	case "input_tokens":
		m.set(&m.input, value)
	case "output_tokens":
		m.set(&m.output, value)
	case "cache_read_input_tokens":
		m.set(&m.read, value)
	case "cache_creation_input_tokens":
		m.set(&m.written, value)
	case "cache_creation":
		m.split(value)
	case "server_tool_use":
		m.tools(value)
	case "iterations":
		m.iterations(value)
	case "service_tier":
		setWord(&m.tier, value)
	case "speed":
		setWord(&m.speed, value)
	case "inference_geo":
		setWord(&m.geography, value)
	case "fallback_credit":
		m.credit(value)
	case "output_tokens_details":
	default:
		m.doubt("", key, value)
	}
}

// set overwrites a count with a stated one. Null states nothing; what is no
// count leaves the last good one.
func (m *meter) set(t *tally, value []byte) {
	if null(value) {
		return
	}
	n, ok := count(value)
	if !ok {
		m.because(ReasonUsageMalformed)
		return
	}
	*t = tally{n: n, at: m.objects}
}

func setWord(to *string, value []byte) {
	if text := word(value); text != "" {
		*to = usage.Clip(text, maxWord)
	}
}

func (m *meter) split(object []byte) {
	if !m.object(object) {
		return
	}
	f := membersOf(object)
	for f.next() {
		switch string(f.key) {
		case "ephemeral_5m_input_tokens":
			m.set(&m.five, f.value)
		case "ephemeral_1h_input_tokens":
			m.set(&m.hour, f.value)
		default:
			m.doubt("cache_creation.", f.key, f.value)
		}
	}
	m.readWhole(&f)
}

// credit reads whether a fallback credit was redeemed. A status that is not known
// may be one that moves the price.
func (m *meter) credit(object []byte) {
	if !m.object(object) {
		return
	}
	switch kind := typeOf(find(object, "status")); kind {
	case "redeemed":
		m.redeemed = true
	case "not_applied":
		m.redeemed = false
	default:
		m.note("fallback_credit.status")
	}
}

func (m *meter) tools(object []byte) {
	if !m.object(object) {
		return
	}
	f := membersOf(object)
	for f.next() {
		switch string(f.key) {
		case "web_search_requests":
			m.set(&m.searches, f.value)
		case "web_fetch_requests", "code_execution_requests": // free, or not priced by count
		default:
			m.doubt("server_tool_use.", f.key, f.value)
		}
	}
	m.readWhole(&f)
}

// readWhole says so where an object broke off: counts may have stood behind.
func (m *meter) readWhole(f *members) {
	if f.broken {
		m.because(ReasonUsageMalformed)
	}
}

// object says whether a value is an object; null is none, anything else is wrong.
func (m *meter) object(value []byte) bool {
	if value[0] != '{' && !null(value) {
		m.because(ReasonUsageMalformed)
	}
	return value[0] == '{'
}

// doubt notes a field that is not known and holds a number somewhere: it may be
// something the provider bills.
func (m *meter) doubt(prefix string, key, value []byte) {
	if bytes.HasSuffix(key, []byte("_details")) || !numeric(value) {
		return
	}
	m.note(prefix + string(key))
}

func (m *meter) note(name string) {
	name = usage.Clip(name, maxWord)
	if len(m.unknown) < maxUnknown && !slices.Contains(m.unknown, name) {
		m.unknown = append(m.unknown, name)
	}
}

// numeric says whether a value is a number or holds one.
func numeric(value []byte) bool {
	switch value[0] {
	case '"':
		return false
	case '{', '[':
		for s := (scanner{b: value, i: 1}); s.i < len(value); {
			switch c := value[s.i]; {
			case c == '"':
				s.text()
			case c >= '0' && c <= '9':
				return true
			default:
				s.i++
			}
		}
		return false
	}
	return value[0] == '-' || value[0] >= '0' && value[0] <= '9'
}

// count reads a whole number from 0 to 2^53, in plain digits.
func count(value []byte) (int64, bool) {
	if len(value) == 0 || len(value) > 16 {
		return 0, false
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n <= maxCount
}

// overlay puts an object's fields over those kept raw. Null does not hide what
// was stated before.
func (m *meter) overlay(object []byte) {
	out := append(m.spare[:0], '{') //nolint:gocritic // the spare buffer becomes raw below
	for old := membersOf(m.raw); old.next(); {
		value := old.value
		for f := membersOf(object); f.next(); {
			if bytes.Equal(f.key, old.key) && !null(f.value) {
				value = f.value
			}
		}
		out = appendMember(out, old.key, value)
	}
	for f := membersOf(object); f.next(); {
		if !has(out, f.key) {
			out = appendMember(out, f.key, f.value)
		}
		if len(out) > maxRaw {
			break
		}
	}
	out = append(out, '}')
	if len(out) > maxRaw {
		m.because(ReasonUsageTooLong) // what is kept stays as it was
		return
	}
	m.raw, m.spare = out, m.raw
}

// has says whether an unfinished object already holds a key.
func has(object, key []byte) bool {
	for f := membersOf(object); f.next(); {
		if bytes.Equal(f.key, key) {
			return true
		}
	}
	return false
}

func appendMember(out, key, value []byte) []byte {
	if len(out) > 1 {
		out = append(out, ',')
	}
	if printable(key) && !bytes.ContainsAny(key, `"\\`) {
		out = append(append(append(out, '"'), key...), '"')
	} else {
		out = append(out, quote(string(key))...)
	}
	out = append(out, ':')
	return append(out, value...)
}

// counts is what the objects say together. Model is the response's as last
// stated, requested as first.
func (m *meter) counts(model, requested string) usage.Counts {
	c := usage.Counts{
		Model: model, WebSearches: m.searches.n,
		Speed: m.speed, Geography: m.geography, Tier: m.tier, CreditRedeemed: m.redeemed,
	}
	five, hour, conflict := m.writes()
	c.Tokens[usage.ClassInput] = m.input.n
	c.Tokens[usage.ClassOutput] = m.output.n
	c.Tokens[usage.ClassCacheRead] = m.read.n
	c.Tokens[usage.ClassCacheWrite5m], c.Tokens[usage.ClassCacheWrite1h] = five, hour
	fallen := m.fallback(&c)
	if fallen {
		// The split kept from the start is that of the model that declined.
		if f, h, ok := m.served(c.Model); ok && f+h == five+hour {
			c.Tokens[usage.ClassCacheWrite5m], c.Tokens[usage.ClassCacheWrite1h] = f, h
			conflict = false
		}
	}
	if conflict {
		m.because(ReasonUsageConflict)
	}
	if requested == "" {
		requested = c.Model
	}
	m.settle(&c, fallen, requested)
	c.Unknown = slices.Clone(m.unknown)
	return c
}

// writes divides the cache writes by their time to live. Conflict says that the
// total fell below the split it belongs to.
func (m *meter) writes() (five, hour int64, conflict bool) {
	five, hour = m.five.n, m.hour.n
	switch {
	case m.written.at == 0, m.written.at < max(m.five.at, m.hour.at) && m.written.n < five+hour:
		return five, hour, false // the split is newer than the total, or all there is
	case m.written.n >= five+hour:
		return m.written.n - hour, hour, false // writes beyond the split are 5-minute ones
	}
	hour = min(hour, m.written.n)
	return m.written.n - hour, hour, true
}
