package anthropic

import (
	"bytes"
	"encoding/json"
)

// maxDepth bounds the nesting of any JSON read here.
const maxDepth = 512

// scanner walks JSON without building anything. It checks the structure it
// passes (brackets, strings, literals at its own level), not every rule of the
// grammar inside the values it skips.
type scanner struct {
	b []byte
	i int
}

// space moves to the next byte that is no white space and returns it; 0 at the end.
func (s *scanner) space() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// text passes a string whose opening quote is next and returns what is between
// the quotes, escapes and all.
func (s *scanner) text() ([]byte, bool) {
	start := s.i + 1
	for from := start; ; {
		n := bytes.IndexByte(s.b[from:], '"')
		if n < 0 {
			s.i = len(s.b)
			return nil, false
		}
		end := from + n
		slashes := 0
		for end-slashes > from && s.b[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			s.i = end + 1
			return s.b[start:end], true
		}
		from = end + 1
	}
}

// value passes any value and returns its bytes.
func (s *scanner) value() ([]byte, bool) {
	var start int
	switch s.space() {
	case 0:
		return nil, false
	case '"':
		start = s.i
		_, ok := s.text()
		return s.b[start:s.i], ok
	case '{', '[':
		start = s.i
		ok := s.nested()
		return s.b[start:s.i], ok
	}
	start = s.i
	for s.i < len(s.b) && plain(s.b[s.i]) {
		s.i++
	}
	return s.b[start:s.i], literal(s.b[start:s.i])
}

// nested passes an object or array whose opening bracket is next.
func (s *scanner) nested() bool {
	if canClassify() && len(s.b)-s.i >= 4*blockBytes {
		return s.nestedByBlocks()
	}
	return s.nestedByBytes()
}

func (s *scanner) nestedByBytes() bool {
	var open opened
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case '"':
			if _, ok := s.text(); !ok {
				return false
			}
			continue
		case '{', '[', '}', ']':
			if !open.pass(c) {
				return false
			}
			if open.depth == 0 {
				s.i++
				return true
			}
		case '\\':
			return false
		}
		s.i++
	}
	return false
}

// plain tells the bytes numbers and literals are made of.
func plain(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

func literal(b []byte) bool {
	switch string(b) {
	case "true", "false", "null":
		return true
	}
	return len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9') && json.Valid(b)
}

// members walks the members of one object.
type members struct {
	scanner
	key    []byte // decoded if it had escapes
	value  []byte
	begun  bool
	ended  bool
	broken bool // the object is not well formed at or after i
}

func membersOf(object []byte) members { return members{scanner: scanner{b: object}} }

// next moves to the next member; false at the end or where the object breaks.
func (m *members) next() bool {
	if m.ended || m.broken {
		return false
	}
	if !m.begun {
		m.begun = true
		if m.space() != '{' {
			return m.fail()
		}
		m.i++
		if m.space() == '}' {
			m.i++
			m.ended = true
			return false
		}
	} else {
		switch m.space() {
		case '}':
			m.i++
			m.ended = true
			return false
		case ',':
			m.i++
		default:
			return m.fail()
		}
	}
	return m.member()
}

func (m *members) member() bool {
	if m.space() != '"' {
		return m.fail()
	}
	at := m.i
	key, ok := m.text()
	if !ok {
		return m.fail()
	}
	if bytes.IndexByte(key, '\\') >= 0 {
		text, ok := unquote(m.b[at:m.i])
		if !ok {
			m.i = at
			return m.fail()
		}
		key = []byte(text)
	}
	if m.space() != ':' {
		return m.fail()
	}
	m.i++
	value, ok := m.scanner.value()
	if !ok {
		return m.fail()
	}
	m.key, m.value = key, value
	return true
}

func (m *members) fail() bool {
	m.broken = true
	return false
}

// unquote decodes a JSON string with its quotes; false for anything else.
func unquote(quoted []byte) (string, bool) {
	if len(quoted) < 2 || quoted[0] != '"' {
		return "", false
	}
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 && printable(inner) {
		return string(inner), true
	}
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return "", false
	}
	return text, true
}

// printable tells plain ASCII, which decodes to itself.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func null(value []byte) bool { return string(value) == "null" }
