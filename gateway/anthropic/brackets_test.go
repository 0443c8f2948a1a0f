package anthropic

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// plainNested is what nested must do, one byte after the other.
func plainNested(b []byte) (end int, ok bool) {
	var open []byte
	quoted, escaped := false, false
	for i, c := range b {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\\':
			return i, false
		case c == '{' || c == '[':
			if len(open) == maxDepth {
				return i, false
			}
			open = append(open, c+2) // the bracket that closes it
		case c == '}' || c == ']':
			if open[len(open)-1] != c {
				return i, false
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				return i + 1, true
			}
		}
	}
	return len(b), false
}

func checkNested(t require.TestingT, b []byte) {
	end, ok := plainNested(b)
	whole := scanner{b: b}
	require.Equal(t, ok, whole.nested(), "%q", b)
	require.Equal(t, end, whole.i, "%q", b)
	single := scanner{b: b}
	require.Equal(t, ok, single.nestedByBytes(), "%q", b)
	require.Equal(t, end, single.i, "%q", b)
	if canClassify() {
		blocks := scanner{b: b}
		require.Equal(t, ok, blocks.nestedByBlocks(), "%q", b)
		require.Equal(t, end, blocks.i, "%q", b)
	}
}

func TestNestedFollowsStringsAndEscapes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		alphabet := rapid.SampledFrom([]string{`\"`, `\"\"{}[] x`, `\"[]`, `"x`, `\x`, `{}[]"\`}).Draw(t, "alphabet")
		content := rapid.StringOfN(rapid.RuneFrom([]rune(alphabet)), 0, 700, -1).Draw(t, "content")
		checkNested(t, []byte("["+content))
		checkNested(t, []byte(`["`+content+`"]`))
		checkNested(t, []byte(`{"x":"`+content))
	})
}

// TestNestedAtEveryPlace moves what decides over the edges of blocks and of what is
// looked at together.
func TestNestedAtEveryPlace(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{`"\\"`, `"\""`, `"\\\"]"`, `"]"`, `"\`, `\`, `}`, `]`, `"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\"`} {
		for at := range 700 {
			b := append([]byte("["), bytes.Repeat([]byte(" "), at)...)
			b = append(append(b, piece...), `]  {"more":"\"" }`...)
			checkNested(t, b)
			b[1+at/2] = '"' // what was outside of a string is in one, and the other way around
			checkNested(t, b)
		}
	}
}

func FuzzNested(f *testing.F) {
	f.Add([]byte(`{"a":["\\\"]}",{}]}`))
	f.Add(append(bytes.Repeat([]byte(`["\\",`), 100), ']'))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkNested(t, append([]byte("{"), b...))
	})
}
