package usage_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

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

func FuzzParseTags(f *testing.F) {
	f.Add(`{"a":"b"}`)
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := usage.ParseTags(text)
		if err == nil {
			require.LessOrEqual(t, len(tags), 10)
		}
	})
}
