package usage_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"tollbook/app/fault"
	"tollbook/app/usage"
)

func TestParseTags(t *testing.T) {
	t.Parallel()
	tags, err := usage.ParseTags(`{"team":"perception","épic":"7"}`)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"team": "perception", "épic": "7"}, tags)
	tags, err = usage.ParseTags("")
	require.NoError(t, err)
	require.Nil(t, tags)
	for _, bad := range []string{
		"x", "null", "[]", `{"a":1}`, `{"":"x"}`, `{"a":"\u0000"}`, `{"` + strings.Repeat("k", 65) + `":"v"}`,
		`{"a":"` + strings.Repeat("v", 257) + `"}`, `{"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","a":"","b":""}`,
	} {
		_, err := usage.ParseTags(bad)
		require.Error(t, err, bad)
	}
}

func TestPromptIsEveryTokenButTheOutput(t *testing.T) {
	t.Parallel()
	require.Equal(t, int64(1+4+8+16), usage.Tokens{1, 2, 4, 8, 16}.Prompt())
}

func FuzzClip(f *testing.F) {
	f.Add("a\x00b\xff", 3)
	f.Fuzz(func(t *testing.T, text string, n int) {
		n = max(0, n%1000)
		got := usage.Clip(text, n)
		require.LessOrEqual(t, len(got), n)
		require.True(t, utf8.ValidString(got))
		require.NotContains(t, got, "\x00")
	})
}

// FuzzParseTags: what is accepted is within the bounds, printable, and reads back the
// same; what is not is a fault of the field and shows nothing of what was sent.
func FuzzParseTags(f *testing.F) {
	for _, text := range []string{`{"a":"b"}`, `{"sprint":"47","team":"perception"}`, `{"a":1}`, `["a"]`, `null`, `{"a":"b","a":"c"}`, `{"\u0000":"x"}`, "{\"a\":\"\xff\"}", `{"":""}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := usage.ParseTags(text)
		if err != nil {
			require.Equal(t, "x-tollbook-tags", fault.From(err).Field)
			require.Empty(t, tags)
			return
		}
		require.LessOrEqual(t, len(tags), 10)
		for key, value := range tags {
			require.True(t, key != "" && len(key) <= 64 && len(value) <= 256, "%q: %q", key, value)
			require.Equal(t, key, usage.Clip(key, 64))
			require.Equal(t, value, usage.Clip(value, 256))
		}
		if len(tags) > 0 {
			again, err := json.Marshal(tags)
			require.NoError(t, err)
			same, err := usage.ParseTags(string(again))
			require.NoError(t, err)
			require.Equal(t, tags, same)
		}
	})
}

// FuzzParseLabel: a label that is accepted is short, printable and stays as it is.
func FuzzParseLabel(f *testing.F) {
	for _, text := range []string{"P-4100-07", " ada@example.com ", "a\x00b", "\xff", strings.Repeat("é", 200), "\u2028"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		label, err := usage.ParseLabel("x-tollbook-project", text)
		if err != nil {
			require.Equal(t, "x-tollbook-project", fault.From(err).Field)
			require.Empty(t, label)
			return
		}
		require.Equal(t, strings.TrimSpace(text), label)
		require.Equal(t, label, usage.Clip(label, 1000))
		again, err := usage.ParseLabel("x-tollbook-project", label)
		require.NoError(t, err)
		require.Equal(t, label, again)
	})
}
